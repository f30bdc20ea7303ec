/*
 * Runs of all kinds, each ended at a random moment: nothing else is hit, and no byte is lost.
 * ROOST_HAMMER says how many are to be ended; by default few.
 */
#include "vm/vm_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "vm/runaways.h"
#include "watchdog.h"
#include "watchdog_signal.h"

#define BYSTANDERS 8

/* ThreadSanitizer holds signals back: there hooks count, beside a watchdog that looks on. */
#if defined(__SANITIZE_THREAD__)
#define COUNTS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define COUNTS 1
#endif
#endif
#ifdef COUNTS
#define KILLS 50
#else
#define COUNTS 0
#define KILLS  800
#endif
#define RUNAWAYS (sizeof runaways / sizeof runaways[0])

/* Scripts that come to an end, for ends that hit them somewhere in the library. */
static const char *const finite[] = {
    "for i = 1, 20 do collectgarbage() end",
    "for i = 1, 2000 do collectgarbage('step', 1) end",
    "for i = 1, 20 do collectgarbage('generational') local t = {}\n"
    "for j = 1, 500 do t[j] = { j } end collectgarbage('incremental') end",
    "local t = {} for i = 1, 3000 do t[i] = (i * 7919) % 3001 end\n"
    "table.sort(t, function(a, b) return a < b end)",
    "local s = ('ab '):rep(2000) for i = 1, 5 do s:gsub('%w+', function(w) return w end) end",
    "for i = 1, 300 do load('local a = {' .. ('1,'):rep(i) .. '} return a')() end",
    "local function deep(n) if n > 0 then return deep(n - 1) + 1 end return 0 end\n"
    "for i = 1, 50 do deep(1500) end",
    "local t = {} for i = 1, 3000 do t[i] = ('x'):rep(i % 50) end local s = table.concat(t)",
    "for i = 1, 300 do local co = coroutine.wrap(function() for j = 1, 5 do\n"
    "coroutine.yield(j) end end) for j = 1, 5 do co() end end",
    "for i = 1, 200 do setmetatable({}, { __gc = function(o) o.n = {} end }) end collectgarbage()",
    "for i = 1, 500 do local x <close> = setmetatable({}, { __close = function() end }) end",
    "for i = 1, 300 do pcall(error, setmetatable({}, { __tostring = error })) end",
    "for i = 1, 300 do local co = coroutine.create(function()\n"
    "local x <close> = setmetatable({}, { __close = function() end }) coroutine.yield() end)\n"
    "coroutine.resume(co) coroutine.close(co) end",
    "for i = 1, 300 do string.format('%s %d %q', {}, i, 'x\\n') end",
};

typedef struct killer {
  roost_runner *runner;
  roost_watchdog *watchdog; /* where hooks count */
  pthread_t victim;
  pthread_t thread;
  atomic_bool armed; /* only what starts now may be hit */
  atomic_bool over;
} killer;

static int signal_number(void) {
  return SIGRTMIN + 3;
}

static uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static void end_what_runs(const killer *self) {
  roost_runner *runner = self->runner;
  const uint64_t sequence = atomic_load_explicit(&runner->sequence, memory_order_acquire);
  if ((sequence & 1) == 0 || !atomic_load(&self->armed) ||
      sequence != atomic_load_explicit(&runner->sequence, memory_order_acquire))
    return;
  atomic_store_explicit(&runner->end, sequence, memory_order_release);
  roost_watchdog_signal_send(signal_number(), self->victim, runner);
}

static void *kill_on(void *ud) {
  const killer *self = ud;
  uint32_t random = 1;
  while (!atomic_load(&self->over)) {
    const struct timespec pause = {0, 200000 + (long)(next_random(&random) % 2000000)};
    nanosleep(&pause, NULL);
    if (COUNTS)
      (void)roost_watchdog_tick(self->watchdog);
    else
      end_what_runs(self);
  }
  return NULL;
}

static void begin_killing(killer *self, roost_runner *runner) {
  const roost_watchdog_config config = {.alloc = roost_alloc_default()};
  memset(self, 0, sizeof *self);
  self->runner = runner;
  self->victim = pthread_self();
  if (COUNTS) {
    assert_int_equal(roost_watchdog_new(&self->watchdog, &config), 0);
    assert_int_equal(roost_watchdog_add(self->watchdog, runner), 0);
  } else {
    assert_int_equal(roost_watchdog_signal_install(signal_number()), 0);
    (void)roost_watchdog_signal_enter(signal_number(), runner);
    runner->counts = false;
  }
  assert_int_equal(pthread_create(&self->thread, NULL, kill_on, self), 0);
}

static void end_killing(killer *self) {
  atomic_store(&self->over, true);
  pthread_join(self->thread, NULL);
  if (COUNTS) {
    roost_watchdog_remove(self->watchdog, self->runner);
    roost_watchdog_free(self->watchdog);
  } else {
    roost_watchdog_signal_leave(signal_number(), self->runner, false);
    roost_watchdog_signal_uninstall(signal_number());
  }
}

static const char *pick(uint32_t *random) {
  const size_t at = next_random(random) % (RUNAWAYS + sizeof finite / sizeof finite[0]);
  return at < RUNAWAYS ? runaways[at].code : finite[at - RUNAWAYS];
}

/* Each has counted on, and was hit by nothing that was meant for others. */
static void check_bystanders(vm_test *self, const vm_job *jobs, lua_Integer *before) {
  vm_test_advance(self, 1);
  lua_getglobal(self->vm->lua, "count");
  const lua_Integer count = lua_tointeger(self->vm->lua, -1);
  lua_pop(self->vm->lua, 1);
  assert_int_equal(count, *before + BYSTANDERS);
  *before = count;
  for (size_t i = 0; i < BYSTANDERS; i++)
    assert_int_equal(jobs[i].ended, 0);
}

/* Buffers of Lua's library are not in Lua's own count, until they are collected. Finalizers may
 * never end. */
static void check_state(const vm_test *self, killer *killing) {
  lua_State *lua = self->vm->lua;
  assert_false(roost_runner_busy(&self->runner));
  assert_false(roost_runner_fired(&self->runner));
  if (!COUNTS)
    assert_null(lua_gethook(lua));
  assert_int_equal(lua_gettop(lua), 0);
  atomic_store(&killing->armed, true);
  lua_gc(lua, LUA_GCCOLLECT);
  lua_gc(lua, LUA_GCCOLLECT);
  atomic_store(&killing->armed, false);
  const size_t counted =
      (size_t)lua_gc(lua, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(lua, LUA_GCCOUNTB);
  assert_int_equal(self->vm->memory_bytes, counted);
}

static void start_bystanders(vm_test *self, vm_job *jobs) {
  vm_test_expect(self, "count = 0 return 0", "0");
  for (size_t i = 0; i < BYSTANDERS; i++)
    vm_job_start(&jobs[i], self, "while true do sleep(1) count = count + 1 end");
}

/* What a script left in the way of others. */
static const char tidy[] =
    "for name in pairs(package.preload) do package.preload[name] = nil end\n"
    "package.searchers[1] = function() end kept = nil again = nil return 'tidy'";

static unsigned hammer(size_t memory_limit, unsigned kills, uint32_t random) {
  vm_test self;
  killer killing;
  vm_job bystanders[BYSTANDERS];
  lua_Integer count = 0;
  unsigned ended = 0;
  vm_test_prepare(&self);
  begin_killing(&killing, &self.runner);
  self.cpu_limit_ms = COUNTS ? 1 : 0;
  assert_int_equal(vm_test_try_open(&self, memory_limit), 0);
  roost_vm_go_live(self.vm);
  start_bystanders(&self, bystanders);
  while (ended < kills) {
    vm_job job;
    atomic_store(&killing.armed, true);
    assert_int_equal(vm_job_try(&job, &self, pick(&random), &vm_job_ops), 0);
    atomic_store(&killing.armed, false);
    assert_int_equal(job.ended, 1);
    ended += strstr(job.result, "ECPU") != NULL || job.reset;
    check_state(&self, &killing);
    vm_job_start(&job, &self, tidy);
    check_bystanders(&self, bystanders, &count);
  }
  atomic_store(&killing.armed, true);
  vm_test_deinit(&self);
  end_killing(&killing);
  return ended;
}

static unsigned wanted(void) {
  const char *text = getenv("ROOST_HAMMER");
  const int number = text != NULL ? atoi(text) : 0;
  return number > 0 ? (unsigned)number : KILLS;
}

static void nothing_else_is_hit(void **state) {
  (void)state;
  assert_true(hammer(0, wanted() / 2, 1) > 0);
}

static void nor_where_memory_is_short(void **state) {
  (void)state;
  assert_true(hammer(700000, wanted() / 2, 2) > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_else_is_hit),
      cmocka_unit_test(nor_where_memory_is_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
