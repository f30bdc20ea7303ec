/*
 * watchdog_signal.h - the signal by which a watchdog has a thread end what it runs.
 *
 * The one thing of the process's that the library touches. A thread knows which runners are its
 * own; a signal that does not come from a watchdog, or is for somebody else's runner, goes to the
 * handler that was installed before.
 */
#ifndef ROOST_WATCHDOG_SIGNAL_H
#define ROOST_WATCHDOG_SIGNAL_H

#include <pthread.h>

#include "vm/runner.h"

/* Installs the handler of this signal, or counts one user more. Any thread. EINVAL. */
int roost_watchdog_signal_install(int number);

/* The counterpart. The last user takes the handler out, unless another one was put over it. */
void roost_watchdog_signal_uninstall(int number);

/* The calling thread takes the signal for this runner from now on; returns whether the signal was
 * blocked in it, to be handed to leave on the same thread. */
bool roost_watchdog_signal_enter(int number, roost_runner *runner);
void roost_watchdog_signal_leave(int number, roost_runner *runner, bool was_blocked);

/* Sends it to a thread that has entered. Any thread. */
void roost_watchdog_signal_send(int number, pthread_t thread, roost_runner *runner);

#endif
