/*
 * core/thread.h - threads of ours, which take no signals but those they ask for.
 */
#ifndef ROOST_CORE_THREAD_H
#define ROOST_CORE_THREAD_H

#include <pthread.h>

/* Starts a thread with all signals blocked: signals are for the threads of whoever runs the
 * process. The caller joins it. ESYSTEM. */
int roost_thread_start(pthread_t *thread, void *(*run)(void *ud), void *ud);

#endif
