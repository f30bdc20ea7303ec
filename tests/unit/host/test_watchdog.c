/* The watchdog as it is in a host: a thread that ticks, signals, budgets of real processor time. */
#include "vm/vm_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "vm/runaways.h"
#include "watchdog.h"

#define BUDGET_MS 20

/* What the control thread is in a host. */
typedef struct ticker {
  roost_watchdog *watchdog;
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t woken;
  bool awake;
  bool over;
} ticker;

typedef struct dog_test {
  vm_test vm; /* first */
  roost_clock clock;
  roost_log *log;
  char lines[4096]; /* of the log */
  ticker ticker;
} dog_test;

static void wake(void *ud) {
  ticker *self = ud;
  pthread_mutex_lock(&self->mutex);
  self->awake = true;
  pthread_cond_signal(&self->woken);
  pthread_mutex_unlock(&self->mutex);
}

static void *tick(void *ud) {
  ticker *self = ud;
  pthread_mutex_lock(&self->mutex);
  while (!self->over) {
    pthread_mutex_unlock(&self->mutex);
    const uint32_t ms = roost_watchdog_tick(self->watchdog);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&self->mutex);
    if (!self->awake && !self->over)
      pthread_cond_timedwait(&self->woken, &self->mutex, &until);
    self->awake = false;
  }
  pthread_mutex_unlock(&self->mutex);
  return NULL;
}

static void on_line(void *ud, roost_log_level level, roost_slice line) {
  dog_test *self = ud;
  (void)level;
  const size_t len = strlen(self->lines);
  snprintf(self->lines + len, sizeof self->lines - len, "%.*s\n", (int)line.len, line.ptr);
}

static void dog_init_with(dog_test *self, int number, uint32_t stuck_after_ms) {
  memset(self, 0, sizeof *self);
  vm_test_prepare(&self->vm);
  assert_int_equal(roost_log_new(&self->log, roost_alloc_default(), &self->clock, on_line, self),
                   0);
  pthread_mutex_init(&self->ticker.mutex, NULL);
  pthread_cond_init(&self->ticker.woken, NULL);
  const roost_watchdog_config config = {.alloc = roost_alloc_default(),
                                        .log = self->log,
                                        .signal = number,
                                        .stuck_after_ms = stuck_after_ms,
                                        .wake = wake,
                                        .ud = &self->ticker};
  assert_int_equal(roost_watchdog_new(&self->ticker.watchdog, &config), 0);
  assert_int_equal(roost_watchdog_add(self->ticker.watchdog, &self->vm.runner), 0);
  self->vm.cpu_limit_ms = BUDGET_MS;
  assert_int_equal(vm_test_try_open(&self->vm, (size_t)64 << 20), 0);
  roost_vm_go_live(self->vm.vm);
  assert_int_equal(pthread_create(&self->ticker.thread, NULL, tick, &self->ticker), 0);
}

static void dog_init(dog_test *self) {
  dog_init_with(self, SIGRTMIN + 3, 0);
}

static void stop_ticking(dog_test *self) {
  pthread_mutex_lock(&self->ticker.mutex);
  self->ticker.over = true;
  pthread_cond_signal(&self->ticker.woken);
  pthread_mutex_unlock(&self->ticker.mutex);
  pthread_join(self->ticker.thread, NULL);
}

static void dog_deinit(dog_test *self) {
  if (self->vm.vm != NULL)
    vm_test_deinit(&self->vm);
  stop_ticking(self);
  roost_watchdog_remove(self->ticker.watchdog, &self->vm.runner);
  roost_watchdog_free(self->ticker.watchdog);
  roost_log_free(self->log);
  pthread_cond_destroy(&self->ticker.woken);
  pthread_mutex_destroy(&self->ticker.mutex);
}

/* Nothing of an end is left behind, and the state goes on. */
static void assert_sane(vm_test *self) {
  assert_false(roost_runner_busy(&self->runner));
  assert_false(roost_runner_fired(&self->runner));
  if (!self->runner.counts)
    assert_null(lua_gethook(self->vm->lua));
  vm_test_expect(self, "local s = 0 for i = 1, 1000 do s = s + i end return s", "500500");
  vm_test_expect(
      self, "return select('#', pcall(error)), coroutine.wrap(function() return 7 end)()", "2,7");
}

static void assert_stopped(vm_test *self, const runaway *script) {
  vm_job job;
  vm_job_start(&job, self, script->code);
  if (job.ended != 1 || !job.failed || job.reset || strstr(job.result, "ECPU: stopped") == NULL)
    fail_msg("%s: ended %d, failed %d, reset %d: %s", script->name, job.ended, job.failed,
             job.reset, job.result);
  if (strncmp(job.result, "LimitError: test.lua:", 21) != 0 ||
      strncmp(job.trace, "test.lua:", 9) != 0)
    fail_msg("%s: %s, trace %s", script->name, job.result, job.trace);
  assert_sane(self);
}

static void every_runaway_is_stopped(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof runaways / sizeof runaways[0]; i++) {
    dog_test self;
    fprintf(stderr, "%s\n", runaways[i].name);
    dog_init(&self);
    assert_stopped(&self.vm, &runaways[i]);
    dog_deinit(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_runaway_is_stopped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
