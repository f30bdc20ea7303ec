#include "control.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define WAIT_MS       1000
#define TRIM_AFTER_MS 1000 /* and so at most this often */

struct roost_control {
  pthread_t thread;
  atomic_bool stopping;
  atomic_bool wants_trim;
  roost_clock clock;
  roost_log *log;           /* borrowed */
  const roost_alloc *alloc; /* borrowed */
};

/* What was freed in one burst is given back together, once it has been quiet for a moment. */
static void trim(roost_control *control, uint64_t *next_us) {
  uint64_t now_us = roost_clock_now_us(&control->clock);
  if (now_us < *next_us || !atomic_exchange(&control->wants_trim, false))
    return;
  *next_us = now_us + TRIM_AFTER_MS * 1000;
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

static void *run(void *ud) {
  roost_control *control = ud;
  uint64_t next_trim_us = 0;
  while (!atomic_load(&control->stopping)) {
    roost_log_wait(control->log, WAIT_MS);
    roost_log_drain(control->log);
    trim(control, &next_trim_us);
  }
  return NULL;
}

void roost_control_trim(roost_control *control) {
  atomic_store(&control->wants_trim, true);
}

int roost_control_start(roost_control **out, const roost_alloc *alloc, roost_log *log) {
  roost_control *control = roost_alloc_get(alloc, sizeof *control);
  sigset_t all;
  sigset_t before;
  *out = NULL;
  if (control == NULL)
    return ROOST_ENOMEM;
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
  if (control == NULL)
    return;
  atomic_store(&control->stopping, true);
  roost_log_wake(control->log);
  pthread_join(control->thread, NULL);
  roost_log_drain(control->log);
  roost_alloc_put(control->alloc, control, sizeof *control);
}
