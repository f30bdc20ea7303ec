#include "vm/runner.h"

#include <string.h>
#include <time.h>

void roost_runner_init(roost_runner *runner) {
  memset(runner, 0, sizeof *runner);
  roost_list_init(&runner->ready);
  runner->counts = true;
}

void roost_runner_deinit(roost_runner *runner) {
  roost_list_remove(&runner->ready);
  runner->wake = NULL;
}

void roost_runner_wake(roost_runner *runner) {
  atomic_store_explicit(&runner->asleep, false, memory_order_relaxed);
  if (runner->wake != NULL)
    runner->wake(runner->wake_ud);
}

uint64_t roost_runner_cpu_us(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
    return 0;
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
