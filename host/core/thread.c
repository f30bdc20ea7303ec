#include "core/thread.h"

#include <signal.h>

#include "roost.h"

int roost_thread_start(pthread_t *thread, void *(*run)(void *ud), void *ud) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = pthread_create(thread, NULL, run, ud);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed != 0 ? ROOST_ESYSTEM : 0;
}
