/* The watchdog as it is in a host: a thread that ticks, signals, budgets of real processor time. */
#include "vm/vm_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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
  pthread_mutex_t lines_mutex;
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
  pthread_mutex_lock(&self->lines_mutex);
  const size_t len = strlen(self->lines);
  snprintf(self->lines + len, sizeof self->lines - len, "%.*s\n", (int)line.len, line.ptr);
  pthread_mutex_unlock(&self->lines_mutex);
}

static void dog_init_with(dog_test *self, int number, uint32_t stuck_after_ms) {
  memset(self, 0, sizeof *self);
  vm_test_prepare(&self->vm);
  pthread_mutex_init(&self->lines_mutex, NULL);
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
  pthread_mutex_destroy(&self->lines_mutex);
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

/* ThreadSanitizer holds signals back until a thread calls something that it knows, which these
 * never do. */
#if defined(__SANITIZE_THREAD__)
#define STOPPING_SIGNAL 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STOPPING_SIGNAL 0
#endif
#endif
#ifndef STOPPING_SIGNAL
#define STOPPING_SIGNAL (SIGRTMIN + 3)
#endif

static void every_runaway_is_stopped(void **state) {
  (void)state;
  dog_test self;
  dog_init_with(&self, STOPPING_SIGNAL, 0);
  for (size_t i = 0; i < sizeof runaways / sizeof runaways[0]; i++)
    assert_stopped(&self.vm, &runaways[i]);
  dog_deinit(&self);
}

static void finalizers_and_close_variables_are_stopped_at_the_end(void **state) {
  (void)state;
  dog_test self;
  vm_job job;
  dog_init_with(&self, STOPPING_SIGNAL, 0);
  vm_test_expect(&self.vm,
                 "keep = {} for i = 1, 50 do keep[i] = setmetatable({}, {\n"
                 "__gc = function() while true do end end }) end return 1",
                 "1");
  vm_job_start(&job, &self.vm,
               "local x <close> = setmetatable({}, { __close = function()\n"
               "while true do end end }) wait()");
  dog_deinit(&self);
  assert_true(job.reset);
}

static void a_main_chunk_is_stopped_by_the_clock_on_the_wall(void **state) {
  (void)state;
  dog_test self;
  dog_init_with(&self, STOPPING_SIGNAL, 0);
  self.vm.vm->cpu_limit_ms = 0;
  lua_State *lua = self.vm.vm->lua;
  lua_pushcfunction(lua, roost_error_traceback);
  assert_int_equal(luaL_loadbuffer(lua, "while true do end", 17, "@main.lua"), LUA_OK);
  assert_int_equal(roost_vm_load(self.vm.vm, 0, 1, BUDGET_MS), LUA_ERRRUN);
  assert_string_equal(luaL_tolstring(lua, -1, NULL),
                      "LimitError: main.lua:1: loading took longer than reload.start_timeout");
  lua_settop(lua, 0);
  assert_sane(&self.vm);
  dog_deinit(&self);
}

/* ------------------------------------------------------------------------- stuck ------------- */

static bool has_line(dog_test *self, const char *text) {
  pthread_mutex_lock(&self->lines_mutex);
  const bool found = strstr(self->lines, text) != NULL;
  pthread_mutex_unlock(&self->lines_mutex);
  return found;
}

static dog_test *current;

static void wait_for_line(const char *text) {
  const struct timespec pause = {0, 1000000};
  while (!has_line(current, text)) {
    roost_log_drain(current->log);
    nanosleep(&pause, NULL);
  }
}

/* C code that looks at nothing: it blocks, or it computes. */
static int block(lua_State *lua) {
  (void)lua;
  wait_for_line("worker is stuck");
  return 0;
}

static int compute(lua_State *lua) {
  (void)lua;
  while (!has_line(current, "worker is stuck"))
    roost_log_drain(current->log);
  return 0;
}

static void assert_stuck(int number, lua_CFunction function, const char *line) {
  dog_test self;
  vm_job job;
  dog_init_with(&self, number, 20);
  current = &self;
  lua_register(self.vm.vm->lua, "f", function);
  vm_job_start(&job, &self.vm, "f()");
  assert_int_equal(job.ended, 1);
  if (!has_line(&self, line))
    fail_msg("%s", self.lines);
  wait_for_line("worker goes on");
  dog_deinit(&self);
}

static void a_stuck_worker_is_told_of(void **state) {
  (void)state;
  static const char named[] = "level=error msg=\"worker is stuck\" service=test worker=0 ms=";
  static const char nameless[] = "level=error msg=\"worker is stuck\" worker=0 ms=";
  assert_stuck(SIGRTMIN + 3, block, named);
  assert_stuck(STOPPING_SIGNAL, compute, STOPPING_SIGNAL ? named : nameless);
  assert_stuck(0, block, nameless);
}

static void a_stuck_worker_aborts_where_that_is_wanted(void **state) {
  (void)state;
  const pid_t child = fork();
  if (child == 0) {
    dog_test self;
    vm_job job;
    dog_init_with(&self, SIGRTMIN + 3, 20);
    current = &self;
    roost_watchdog_set_abort(self.ticker.watchdog, true);
    lua_register(self.vm.vm->lua, "f", block);
    signal(SIGABRT, SIG_DFL);
    vm_job_start(&job, &self.vm, "f() f = nil while true do sleep(1) end");
    for (;;)
      pause();
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ------------------------------------------------------------------------- signals ----------- */

static volatile sig_atomic_t others;

static void on_other(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  (void)context;
  others++;
}

static void a_signal_of_somebody_else_goes_to_his_handler(void **state) {
  (void)state;
  const int number = SIGRTMIN + 4;
  struct sigaction mine = {.sa_flags = SA_SIGINFO};
  struct sigaction now;
  dog_test self;
  if (STOPPING_SIGNAL == 0)
    return; /* ThreadSanitizer holds them back */
  mine.sa_sigaction = on_other;
  others = 0;
  assert_int_equal(sigaction(number, &mine, NULL), 0);
  dog_init_with(&self, number, 0);
  assert_int_equal(raise(number), 0);
  assert_int_equal(others, 1);
  roost_runner stranger;
  roost_runner_init(&stranger);
  assert_int_equal(pthread_sigqueue(pthread_self(), number, (union sigval){.sival_ptr = &stranger}),
                   0);
  assert_int_equal(others, 2);
  /* For our own runner, which runs nothing that is to end. */
  assert_int_equal(
      pthread_sigqueue(pthread_self(), number, (union sigval){.sival_ptr = &self.vm.runner}), 0);
  assert_int_equal(others, 2);
  assert_sane(&self.vm);
  dog_deinit(&self);
  assert_int_equal(sigaction(number, NULL, &now), 0);
  assert_ptr_equal(now.sa_sigaction, on_other);
  signal(number, SIG_DFL);
}

static void a_handler_put_over_ours_stays(void **state) {
  (void)state;
  const int number = SIGRTMIN + 4;
  struct sigaction theirs = {.sa_flags = SA_SIGINFO};
  struct sigaction now;
  dog_test self;
  theirs.sa_sigaction = on_other;
  dog_init_with(&self, number, 0);
  assert_int_equal(sigaction(number, &theirs, NULL), 0);
  dog_deinit(&self);
  assert_int_equal(sigaction(number, NULL, &now), 0);
  assert_ptr_equal(now.sa_sigaction, on_other);
  signal(number, SIG_DFL);
}

static bool is_blocked(int number) {
  sigset_t set;
  pthread_sigmask(SIG_BLOCK, NULL, &set);
  return sigismember(&set, number) == 1;
}

static void a_blocked_signal_is_blocked_again(void **state) {
  (void)state;
  const int number = SIGRTMIN + 5;
  dog_test one;
  dog_test two;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  dog_init_with(&one, number, 0);
  assert_false(is_blocked(number));
  dog_init_with(&two, number, 0);
  dog_deinit(&two);
  assert_false(is_blocked(number));
  dog_deinit(&one);
  assert_true(is_blocked(number));
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void two_watchdogs_of_one_thread(void **state) {
  (void)state;
  dog_test one;
  dog_test two;
  vm_job job;
  dog_init_with(&one, STOPPING_SIGNAL, 0);
  dog_init_with(&two, STOPPING_SIGNAL, 0);
  vm_job_start(&job, &one.vm, "while true do end");
  assert_true(job.failed);
  vm_job_start(&job, &two.vm, "while true do end");
  assert_true(job.failed);
  dog_deinit(&one);
  vm_job_start(&job, &two.vm, "while true do end");
  assert_true(job.failed);
  dog_deinit(&two);
}

/* ------------------------------------------------------------------------- the rest ---------- */

static void failures(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_watchdog *watchdog;
  roost_runner runner;
  roost_runner_init(&runner);
  roost_alloc_probe_init(&probe);
  roost_watchdog_config config = {.alloc = &probe.alloc, .signal = 1000};
  assert_int_equal(roost_watchdog_new(&watchdog, &config), ROOST_EINVAL);
  assert_null(watchdog);
  config.signal = SIGKILL;
  assert_int_equal(roost_watchdog_new(&watchdog, &config), ROOST_EINVAL);
  config.signal = SIGRTMIN + 3;
  probe.refuse_after = 0;
  assert_int_equal(roost_watchdog_new(&watchdog, &config), ROOST_ENOMEM);
  probe.refuse_after = 1;
  assert_int_equal(roost_watchdog_new(&watchdog, &config), 0);
  assert_int_equal(roost_watchdog_add(watchdog, &runner), ROOST_ENOMEM);
  assert_true(runner.counts);
  roost_watchdog_remove(watchdog, &runner);
  roost_watchdog_free(watchdog);
  roost_watchdog_free(NULL);
  assert_int_equal(probe.bytes, 0);
}

static void count_wake(void *ud) {
  ++*(int *)ud;
}

static void it_sleeps_until_something_runs(void **state) {
  (void)state;
  const struct timespec pause = {0, 1000000};
  int wakes = 0;
  vm_test self;
  roost_watchdog *watchdog;
  const roost_watchdog_config config = {
      .alloc = roost_alloc_default(), .signal = SIGRTMIN + 3, .wake = count_wake, .ud = &wakes};
  vm_test_prepare(&self);
  assert_int_equal(roost_watchdog_new(&watchdog, &config), 0);
  assert_int_equal(roost_watchdog_tick(watchdog), 250);
  assert_int_equal(roost_watchdog_add(watchdog, &self.runner), 0);
  self.cpu_limit_ms = 1000;
  assert_int_equal(vm_test_try_open(&self, 0), 0);
  roost_vm_go_live(self.vm);
  vm_test_expect(&self, "return 1", "1");
  assert_int_equal(wakes, 1); /* it sleeps when there is none */
  assert_int_equal(roost_watchdog_tick(watchdog), 10);
  while (roost_watchdog_tick(watchdog) != 250)
    nanosleep(&pause, NULL);
  assert_int_equal(wakes, 1);
  vm_test_expect(&self, "return 1", "1");
  vm_test_expect(&self, "return 1", "1");
  assert_int_equal(wakes, 2);
  assert_int_equal(roost_watchdog_tick(watchdog), 10);
  vm_test_deinit(&self);
  roost_watchdog_remove(watchdog, &self.runner);
  roost_watchdog_free(watchdog);
}

/* A state whose runs have so much time, and a watchdog that ticks when it is told to. */
static void open_watched(vm_test *self, roost_watchdog **watchdog, uint64_t cpu_limit_ms) {
  const roost_watchdog_config config = {.alloc = roost_alloc_default(), .signal = SIGRTMIN + 3};
  vm_test_prepare(self);
  assert_int_equal(roost_watchdog_new(watchdog, &config), 0);
  assert_int_equal(roost_watchdog_add(*watchdog, &self->runner), 0);
  self->cpu_limit_ms = cpu_limit_ms;
  assert_int_equal(vm_test_try_open(self, 0), 0);
  roost_vm_go_live(self->vm);
}

static void close_watched(vm_test *self, roost_watchdog *watchdog) {
  vm_test_deinit(self);
  roost_watchdog_remove(watchdog, &self->runner);
  roost_watchdog_free(watchdog);
}

static void it_looks_as_often_as_the_budget_asks_for(void **state) {
  (void)state;
  static const uint64_t wanted[][2] = {{0, 4}, {50, 4}, {600, 6}, {1000, 10}, {60000, 10}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    vm_test self;
    roost_watchdog *watchdog;
    open_watched(&self, &watchdog, wanted[i][0]);
    vm_test_expect(&self, "return 1", "1");
    assert_int_equal(roost_watchdog_tick(watchdog), wanted[i][1]);
    close_watched(&self, watchdog);
  }
}

/* The budget is used up between two looks. */
static int use_up(lua_State *lua) {
  roost_watchdog *watchdog = lua_touserdata(lua, lua_upvalueindex(1));
  const roost_runner *runner = roost_vm_of(lua)->runner;
  (void)roost_watchdog_tick(watchdog);
  const uint64_t until_us = roost_runner_cpu_us() + BUDGET_MS * 1000;
  while (roost_runner_cpu_us() < until_us)
    continue;
  (void)roost_watchdog_tick(watchdog);
  assert_int_equal(atomic_load(&runner->end), atomic_load(&runner->sequence));
  return 0;
}

static void a_run_is_measured_from_the_first_look_at_it(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  roost_watchdog *watchdog;
  open_watched(&self, &watchdog, BUDGET_MS);
  lua_pushlightuserdata(self.vm->lua, watchdog);
  lua_pushcclosure(self.vm->lua, use_up, 1);
  lua_setglobal(self.vm->lua, "use_up");
  vm_job_start(&job, &self, "use_up()");
  assert_int_equal(job.ended, 1);
  close_watched(&self, watchdog);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_runaway_is_stopped),
      cmocka_unit_test(finalizers_and_close_variables_are_stopped_at_the_end),
      cmocka_unit_test(a_main_chunk_is_stopped_by_the_clock_on_the_wall),
      cmocka_unit_test(a_stuck_worker_is_told_of),
      cmocka_unit_test(a_stuck_worker_aborts_where_that_is_wanted),
      cmocka_unit_test(a_signal_of_somebody_else_goes_to_his_handler),
      cmocka_unit_test(a_handler_put_over_ours_stays),
      cmocka_unit_test(a_blocked_signal_is_blocked_again),
      cmocka_unit_test(two_watchdogs_of_one_thread),
      cmocka_unit_test(failures),
      cmocka_unit_test(it_sleeps_until_something_runs),
      cmocka_unit_test(it_looks_as_often_as_the_budget_asks_for),
      cmocka_unit_test(a_run_is_measured_from_the_first_look_at_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
