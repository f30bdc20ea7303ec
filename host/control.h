/*
 * control.h - the control thread: what must go on while a worker is busy or stuck.
 *
 * For now it writes the log. It never runs Lua. Owned by the host.
 */
#ifndef ROOST_CONTROL_H
#define ROOST_CONTROL_H

#include "core/log.h"

typedef struct roost_control roost_control;

/* Starts the thread; all signals are blocked in it. ENOMEM, ESYSTEM. */
int roost_control_start(roost_control **out, const roost_alloc *alloc, roost_log *log);

/* Has it write what is queued, ends it and frees. NULL is allowed. */
void roost_control_stop(roost_control *control);

#endif
