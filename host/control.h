/*
 * control.h - the control thread: what must go on while a worker is busy or stuck.
 *
 * It is an event loop of its own, always by the real clock. It writes the log and gives memory that
 * was freed back to the system; what else lives on it uses its loop. It never runs Lua, and nothing
 * on it may block. Owned by the host.
 */
#ifndef ROOST_CONTROL_H
#define ROOST_CONTROL_H

#include "core/log.h"
#include "net/loop.h"

typedef struct roost_control roost_control;

/* Starts the thread; all signals are blocked in it. log and alloc are borrowed, and alloc is used
 * by both threads. ENOMEM, ESYSTEM. */
int roost_control_start(roost_control **out, const roost_alloc *alloc, roost_log *log);

/* Its loop, for whoever lives on the control thread. Others only post to it. */
roost_loop *roost_control_loop(roost_control *control);

/* Has fn called on the control thread; what was posted before stop still is. Any thread. ENOMEM. */
int roost_control_post(roost_control *control, void (*fn)(void *ud), void *ud);

/* The same, and waits until it has been. Any thread but the control thread. */
void roost_control_call(roost_control *control, void (*fn)(void *ud), void *ud);

/* Has fn called on the control thread, at once and then always as many milliseconds later as it
 * returns, but not within one. There is one such function; NULL: none any more, and once that has
 * returned fn is not running. Any thread but the control thread. */
void roost_control_set_tick(roost_control *control, uint32_t (*fn)(void *ud), void *ud);

/* Has that function called at once. ud: the control. Any thread, until the control is stopped. */
void roost_control_tick_now(void *ud);

/* Much memory of the C library's was freed: some of it is given back to the system within a few
 * seconds, which would be too slow to do on a worker. Any thread. */
void roost_control_trim(roost_control *control);

/* Has it write what is queued, ends it and frees. What lives on it must be gone. NULL is allowed.
 */
void roost_control_stop(roost_control *control);

#endif
