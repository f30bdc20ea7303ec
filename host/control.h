/*
 * control.h - the control thread: what must go on while a worker is busy or stuck.
 *
 * It writes the log, and gives memory that was freed back to the system. It never runs Lua. Owned
 * by the host.
 */
#ifndef ROOST_CONTROL_H
#define ROOST_CONTROL_H

#include "core/log.h"

typedef struct roost_control roost_control;

/* Starts the thread; all signals are blocked in it. ENOMEM, ESYSTEM. */
int roost_control_start(roost_control **out, const roost_alloc *alloc, roost_log *log);

/* Much memory of the C library's was freed: some of it is given back to the system within a few
 * seconds, which would be too slow to do on a worker. Any thread. */
void roost_control_trim(roost_control *control);

/* Has it write what is queued, ends it and frees. NULL is allowed. */
void roost_control_stop(roost_control *control);

#endif
