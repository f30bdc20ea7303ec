#include "control.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define WAIT_MS 1000

struct roost_control {
  pthread_t thread;
  atomic_bool stopping;
  roost_log *log;           /* borrowed */
  const roost_alloc *alloc; /* borrowed */
};

static void *run(void *ud) {
  roost_control *control = ud;
  while (!atomic_load(&control->stopping)) {
    roost_log_wait(control->log, WAIT_MS);
    roost_log_drain(control->log);
  }
  return NULL;
}

int roost_control_start(roost_control **out, const roost_alloc *alloc, roost_log *log) {
  roost_control *control = roost_alloc_get(alloc, sizeof *control);
  sigset_t all;
  sigset_t before;
  *out = NULL;
  if (control == NULL) return ROOST_ENOMEM;
  control->log = log;
  control->alloc = alloc;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&control->thread, NULL, run, control);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed != 0) {
    roost_alloc_put(alloc, control, sizeof *control);
    return ROOST_ESYSTEM;
  }
  *out = control;
  return 0;
}

void roost_control_stop(roost_control *control) {
  if (control == NULL) return;
  atomic_store(&control->stopping, true);
  roost_log_wake(control->log);
  pthread_join(control->thread, NULL);
  roost_log_drain(control->log);
  roost_alloc_put(control->alloc, control, sizeof *control);
}
