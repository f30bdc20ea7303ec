#include "vm_test.h"

/* --------------------------------------------------------------------- waiting --------------- */

static void runs_at_once_and_ends(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self, "return 1, 'a', nil");
  assert_null(job.task);
  assert_int_equal(job.ended, 1);
  assert_false(job.reset);
  assert_string_equal(job.result, "1,a,nil");
  assert_int_equal(self.vm->task_count, 0);
  vm_test_deinit(&self);
}

static void waits_for_time(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self, "log(sleep(5)) sleep(0) return 'done'");
  assert_int_equal(job.task->state, ROOST_TASK_WAITING);
  vm_test_advance(&self, 4);
  assert_string_equal(self.log, "");
  vm_test_advance(&self, 1);
  assert_string_equal(self.log, "slept;");
  vm_test_advance(&self, 1);
  assert_string_equal(job.result, "done");
  vm_test_deinit(&self);
}

static void waits_in_a_list_in_order(void **state) {
  (void)state;
  vm_test self;
  vm_job jobs[3];
  vm_test_init(&self);
  vm_job_start(&jobs[0], &self, "wait() log('a') wait() log('d')");
  vm_job_start(&jobs[1], &self, "wait() log('b')");
  vm_job_start(&jobs[2], &self, "wait() log('c')");
  vm_test_wake_all(&self);
  assert_string_equal(self.log, "a;b;c;");
  vm_test_wake_all(&self);
  assert_string_equal(self.log, "a;b;c;d;");
  assert_int_equal(jobs[0].ended, 1);
  vm_test_deinit(&self);
}

static void a_wake_before_time_stops_the_timer(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self, "sleep(50) log('woken') sleep(50) log('again')");
  roost_task_wake(job.task);
  roost_task_wake(job.task); /* it is ready already */
  vm_test_turn(&self);
  assert_string_equal(self.log, "woken;");
  vm_test_advance(&self, 49);
  assert_string_equal(self.log, "woken;");
  vm_test_advance(&self, 1);
  assert_int_equal(job.ended, 1);
  vm_test_deinit(&self);
}

static void waits_inside_coroutines(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  vm_test_expect(&self,
                 "local function generator(depth)"
                 "  return coroutine.wrap(function(a)"
                 "    sleep(3)"
                 "    if depth == 0 then"
                 "      local b = coroutine.yield(a .. 'x') sleep(2) return b .. 'y'"
                 "    end"
                 "    local inner = generator(depth - 1)"
                 "    local b = coroutine.yield(inner(a)) sleep(1)"
                 "    return inner(b)"
                 "  end)"
                 "end "
                 "local g = generator(6) local one = g('1') sleep(1) return one, g('2')",
                 "1x,2y");
  vm_test_expect(&self,
                 "local co = coroutine.create(function() sleep(1) error('bad', 0) end)"
                 "local ok, err = coroutine.resume(co)"
                 "return ok, err, coroutine.status(co)",
                 "false,bad,dead");
  vm_test_deinit(&self);
}

static void waits_in_metamethods_iterators_and_protected_calls(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  vm_test_expect(&self,
                 "local t = setmetatable({}, {__index = function(_, k) sleep(1) return k end})"
                 "return t.a .. t.b",
                 "ab");
  vm_test_expect(&self, "for v in function() return sleep(1) end do return v end", "slept");
  vm_test_expect(&self, "return pcall(pcall, function() sleep(1) error('e', 0) end)",
                 "true,false,e");
  vm_test_expect(&self, "return xpcall(function(a) sleep(1) return a end, print, 7)", "true,7");
  vm_test_deinit(&self);
}

static void may_not_wait_below_c_functions(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  const char *const refused[] = {
      "table.sort({2, 1}, function() sleep(1) end)",
      "string.gsub('a', 'a', function() sleep(1) end)",
      "xpcall(error, function() sleep(1) end) error('cannot wait here', 0)",
      "table.sort({2, 1}, function() coroutine.wrap(function() sleep(1) end)() end)",
      "local co = coroutine.create(function()"
      "  local x <close> = setmetatable({}, {__close = function() sleep(1) end})"
      "  coroutine.yield()"
      "end) coroutine.resume(co) error(select(2, coroutine.close(co)), 0)",
  };
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    vm_job job;
    vm_job_run(&job, &self, 10, refused[i]);
    assert_true(job.failed);
    assert_non_null(strstr(job.result, "cannot wait here"));
  }
  vm_test_expect(&self, "sleep(1) return 'fine after all that'", "fine after all that");
  vm_test_deinit(&self);
}

static void a_main_chunk_may_not_wait(void **state) {
  (void)state;
  vm_test self;
  vm_test_prepare(&self);
  assert_int_equal(vm_test_try_open(&self, 0), 0);
  assert_true(luaL_dostring(self.vm->lua, "sleep(1)"));
  assert_non_null(strstr(lua_tostring(self.vm->lua, -1), "not before on_start"));
  assert_true(luaL_dostring(self.vm->lua, "coroutine.wrap(sleep)(1)"));
  assert_non_null(strstr(lua_tostring(self.vm->lua, -1), "not before on_start"));
  lua_settop(self.vm->lua, 0);
  vm_test_deinit(&self);
}

/* --------------------------------------------------------------------- held ------------------ */

static void is_held_until_the_vm_is_live(void **state) {
  (void)state;
  vm_test self;
  vm_job held;
  vm_job early;
  vm_job dropped;
  vm_test_prepare(&self);
  assert_int_equal(vm_test_try_open(&self, 0), 0);
  vm_job_start(&held, &self, "log('held')");
  vm_job_start(&dropped, &self, "log('never')");
  assert_int_equal(vm_job_try(&early, &self, "sleep(1) log('early')", &vm_job_early_ops), 0);
  vm_test_advance(&self, 5);
  assert_string_equal(self.log, "early;");
  assert_int_equal(held.task->state, ROOST_TASK_HELD);
  roost_task_cancel(dropped.task);
  assert_int_equal(dropped.ended, 1);
  assert_true(dropped.reset);
  roost_vm_go_live(self.vm);
  assert_string_equal(self.log, "early;");
  vm_test_turn(&self);
  assert_string_equal(self.log, "early;held;");
  vm_test_deinit(&self);
}

static vm_job nested_job;

static int start_nested(lua_State *lua) {
  vm_test *self = roost_vm_of(lua)->owner;
  vm_job_start(&nested_job, self, "log('nested')");
  assert_int_equal(nested_job.task->state, ROOST_TASK_READY);
  return 0;
}

static void one_started_by_a_script_waits_for_it(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  lua_register(self.vm->lua, "start_nested", start_nested);
  vm_job_start(&job, &self, "start_nested() log('outer')");
  assert_string_equal(self.log, "outer;");
  vm_test_turn(&self);
  assert_string_equal(self.log, "outer;nested;");
  vm_test_deinit(&self);
}

/* --------------------------------------------------------------------- cancel ---------------- */

static void cancel_is_raised_out_of_every_wait(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self,
               "local ok, err = pcall(sleep, 50) log(err.name, err.code)"
               "ok, err = pcall(sleep, 50) log(ok, err.name)"
               "ok, err = pcall(wait) log(ok, tostring(err))"
               "ok, err = coroutine.resume(coroutine.create(sleep), 1) log(ok, err.name)"
               "log(pcall(coroutine.wrap(function() return pcall(sleep, 1) end)))"
               "sleep(1) log('never')");
  roost_task_cancel(job.task);
  assert_string_equal(self.log, ""); /* nothing is raised but where it waits */
  vm_test_turn(&self);
  assert_non_null(strstr(self.log, "CancelledError,ECANCELED;false,CancelledError;"
                                   "false,CancelledError: The task was cancelled;"
                                   "false,CancelledError;true,false,CancelledError"));
  assert_null(strstr(self.log, "never"));
  assert_true(job.failed);
  assert_string_equal(job.result, "CancelledError: The task was cancelled");
  assert_false(job.reset);
  assert_int_equal(self.wheel.count, 0); /* nobody will reset it any more */
  vm_test_deinit(&self);
}

static void close_variables_may_wait_while_it_unwinds(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self,
               "local function guard(name) return setmetatable({}, {__close = function(_, err)"
               "  log(name, err.name, sleep(10))"
               "  log(coroutine.resume(coroutine.create(error), 'x'))"
               "  log(name, pcall(sleep, 10)) log(name, sleep(10))"
               "end}) end "
               "local a <close> = guard('a')"
               "local function inner() local b <close> = guard('b') wait() end "
               "local ok, err = pcall(inner)"
               "log(ok, err.name, pcall(wait))");
  roost_task_cancel(job.task);
  vm_test_turn(&self);
  vm_test_advance(&self, 30);
  assert_non_null(strstr(self.log, "b,CancelledError,slept;false,x;b,true,slept;b,slept;"
                                   "false,CancelledError"));
  assert_int_equal(job.ended, 1); /* a was closed without an error, so it could not wait */
  vm_test_deinit(&self);
}

static void one_that_does_not_end_is_reset(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self,
               "local x <close> = setmetatable({}, {__close = function()"
               "  log('closed', pcall(sleep, 1)) end})"
               "local y <close> = setmetatable({}, {__close = function() sleep(5000) end})"
               "wait()");
  roost_task_cancel(job.task);
  vm_test_turn(&self);
  vm_test_advance(&self, 999);
  assert_int_equal(job.ended, 0);
  vm_test_advance(&self, 1);
  assert_int_equal(job.ended, 1);
  assert_true(job.reset);
  assert_false(job.failed);
  assert_non_null(strstr(self.log, "closed,false,"));
  vm_test_expect(&self, "return 'the vm lives on'", "the vm lives on");
  vm_test_deinit(&self);
}

static void one_that_catches_it_for_ever_leaves_the_loop_idle_until_it_is_reset(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self, "while true do pcall(sleep, 50) end");
  roost_task_cancel(job.task);
  int turns = 0;
  while (roost_runner_turn(&self.runner, UINT64_MAX) && turns < 1000)
    turns++;
  assert_in_range(turns, 10, 999);
  vm_test_advance(&self, 999);
  assert_int_equal(job.ended, 0);
  vm_test_advance(&self, 1);
  assert_int_equal(job.ended, 1);
  assert_true(job.reset);
  vm_test_deinit(&self);
}

static void a_reset_closes_what_is_open_inside_coroutines_first(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self,
               "local function guard(name) return setmetatable({}, {__close = function()"
               "  log(name) end}) end "
               "local a <close> = guard('a')"
               "co = coroutine.create(function()"
               "  local b <close> = guard('b')"
               "  coroutine.wrap(function() local c <close> = guard('c') wait() end)()"
               "end) coroutine.resume(co)");
  roost_task_reset(job.task);
  assert_string_equal(self.log, "c;b;a;");
  vm_test_expect(&self, "return coroutine.status(co)", "dead");
  vm_test_deinit(&self);
}

static void an_ended_task_can_be_forgotten_by_all_lists(void **state) {
  (void)state;
  vm_test self;
  vm_job jobs[3];
  vm_test_init(&self);
  for (size_t i = 0; i < 3; i++)
    vm_job_start(&jobs[i], &self, "wait() log('on')");
  roost_task_reset(jobs[1].task); /* waits in a list */
  roost_task_wake(jobs[0].task);
  roost_task_reset(jobs[0].task); /* is ready */
  vm_test_wake_all(&self);
  assert_string_equal(self.log, "on;");
  vm_test_deinit(&self);
}

/* --------------------------------------------------------------------- one after another ----- */

#define CHAIN_END NULL

static vm_job chain[8];
static const char *const *chain_codes;

static int chain_next(void **ud) {
  const size_t at = (size_t)((vm_job *)*ud - chain);
  vm_job_ended(*ud, false);
  if (chain_codes[at + 1] == CHAIN_END)
    return -1;
  chain[at + 1] = (vm_job){.test = chain[at].test, .code = chain_codes[at + 1]};
  *ud = &chain[at + 1];
  return 1;
}

static const roost_task_ops chain_ops = {.begin = vm_job_begin,
                                         .finish = vm_job_finish,
                                         .fail = vm_job_fail,
                                         .ended = vm_job_ended,
                                         .next = chain_next};

static void start_chain(vm_test *self, const char *const *codes) {
  memset(chain, 0, sizeof chain);
  chain_codes = codes;
  assert_int_equal(vm_job_try(&chain[0], self, codes[0], &chain_ops), 0);
}

static void one_takes_the_place_of_another_that_is_over(void **state) {
  (void)state;
  static const char *const codes[] = {"first = coroutine.running() return 1, 2",
                                      "return first == coroutine.running()", "return", CHAIN_END};
  vm_test self;
  vm_test_init(&self);
  const uint64_t before = self.runner.sequence;
  start_chain(&self, codes);
  assert_string_equal(chain[0].result, "1,2");
  assert_string_equal(chain[1].result, "true");
  assert_string_equal(chain[2].result, "");
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(chain[i].ended, 1);
  assert_int_equal(self.vm->task_count, 0);
  assert_int_equal(self.vm->idle_count, 1);
  /* a begin, an end, and two for each end in between that was looked at: budgets of their own */
  assert_int_equal(self.runner.sequence, before + 2 + 2 * 3);
  vm_test_deinit(&self);
}

static void none_follows_one_that_has_waited_or_failed(void **state) {
  (void)state;
  static const char *const waits[] = {"return 1", "sleep(5) return 2", "return 3", CHAIN_END};
  static const char *const fails[] = {"return 1", "error('no', 0)", "return 3", CHAIN_END};
  static const char *const begins[] = {"return 1", "no Lua", "return 3", CHAIN_END};
  vm_test self;
  vm_test_init(&self);
  start_chain(&self, waits);
  assert_int_equal(chain[0].ended, 1);
  assert_int_equal(chain[1].ended, 0);
  vm_test_advance(&self, 5);
  assert_string_equal(chain[1].result, "2");
  assert_int_equal(chain[1].ended, 1);
  assert_int_equal(chain[2].ended, 0);
  start_chain(&self, fails);
  assert_string_equal(chain[1].result, "no");
  assert_int_equal(chain[1].ended, 1);
  assert_int_equal(chain[2].ended, 0);
  start_chain(&self, begins);
  assert_true(chain[1].failed);
  assert_int_equal(chain[1].ended, 1);
  assert_int_equal(chain[2].ended, 0);
  assert_int_equal(self.vm->task_count, 0);
  vm_test_deinit(&self);
}

/* --------------------------------------------------------------------- errors and memory ----- */

static int finish_twice(lua_State *lua, void *ud, int count) {
  vm_job *job = ud;
  if (strcmp(job->result, "") != 0)
    return vm_job_finish(lua, ud, count);
  vm_job_finish(lua, ud, count);
  lua_getglobal(lua, "second");
  lua_pushinteger(lua, count);
  return 1;
}

static void finish_may_go_on_with_another_function(void **state) {
  (void)state;
  static const roost_task_ops ops = {
      .begin = vm_job_begin, .finish = finish_twice, .fail = vm_job_fail, .ended = vm_job_ended};
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  assert_int_equal(
      luaL_dostring(self.vm->lua, "function second(n) sleep(1) log('second', n) return n * 2 end"),
      LUA_OK);
  assert_int_equal(vm_job_try(&job, &self, "return 'a', 'b', 'c'", &ops), 0);
  vm_test_advance(&self, 1);
  assert_string_equal(self.log, "second,3;");
  assert_string_equal(job.result, "6");
  vm_test_deinit(&self);
}

static void errors_reach_fail_with_a_trace(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_run(&job, &self, 5, "local function f() sleep(1) error('boom') end f() return 1");
  assert_true(job.failed);
  assert_false(job.reset);
  assert_string_equal(job.result, "test.lua:1: boom");
  assert_int_equal(strncmp(job.trace, "test.lua:1: in ", 15), 0);
  vm_job_run(&job, &self, 5, "syntax error");
  assert_true(job.failed);
  vm_test_deinit(&self);
}

/* Goes on with second(error), and with that one's error, until it has none. */
static int fail_and_go_on(lua_State *lua, void *ud) {
  vm_job_fail(lua, ud);
  lua_getglobal(lua, "second");
  lua_pushvalue(lua, -2);
  return 1;
}

static void fail_may_go_on_with_another_function(void **state) {
  (void)state;
  static const roost_task_ops ops = {.begin = vm_job_begin,
                                     .finish = vm_job_finish,
                                     .fail = fail_and_go_on,
                                     .ended = vm_job_ended};
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  assert_int_equal(
      luaL_dostring(self.vm->lua,
                    "function second(e) sleep(1) log('second', e) n = (n or 0) + 1"
                    "  if n < 3 then error('again ' .. n, 0) end return 'unheard' end"),
      LUA_OK);
  assert_int_equal(vm_job_try(&job, &self, "error('first', 0)", &ops), 0);
  vm_test_advance(&self, 5);
  assert_string_equal(self.log, "second,first;second,again 1;second,again 2;");
  assert_string_equal(job.result, "again 2");
  assert_int_equal(job.ended, 1);
  assert_false(job.reset);
  assert_int_equal(self.vm->idle_count, 1);
  assert_int_equal(vm_job_try(&job, &self, "n = 2 error('cut', 0)", &ops), 0);
  roost_task_reset(job.task); /* while it waits there */
  assert_int_equal(job.ended, 1);
  assert_true(job.reset);
  vm_test_deinit(&self);
}

static void coroutines_are_used_again(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_run(&job, &self, 0, "first = coroutine.running() leak = 5 return 1, 2, 3");
  assert_int_equal(self.vm->idle_count, 1);
  vm_test_expect(&self, "return first == coroutine.running(), ...", "true");
  vm_job_run(&job, &self, 0, "error('x')");
  vm_test_expect(&self, "return first == coroutine.running()", "true");
  vm_job_start(&job, &self, "wait()");
  roost_task_reset(job.task); /* one that was cut off is not */
  assert_int_equal(self.vm->idle_count, 0);
  vm_test_deinit(&self);
}

static void out_of_memory_starts_nothing_or_fails(void **state) {
  (void)state;
  vm_test self;
  bool succeeded = false;
  for (size_t n = 0; !succeeded; n++) {
    vm_job job;
    vm_test_init(&self);
    self.probe.refuse_after = n;
    int status = vm_job_try(&job, &self,
                            "local t = {} for i = 1, 20 do t[i] = ('x'):rep(i * 50) end sleep(1)"
                            "return coroutine.wrap(function() sleep(1) return 'ok' end)()",
                            &vm_job_ops);
    assert_int_equal(job.ended, status == 0 && job.task == NULL ? 1 : 0);
    if (status == 0)
      vm_test_advance(&self, 5);
    succeeded = strcmp(job.result, "ok") == 0;
    assert_true(succeeded || status == ROOST_ENOMEM || job.ended == 1);
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    vm_test_expect(&self, "return 'the vm is whole'", "the vm is whole");
    vm_test_deinit(&self);
  }
}

/* --------------------------------------------------------------------- for tests ------------- */

static void an_interrupted_task_raises_from_every_wait(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self,
               "for i = 1, 2 do log(select(2, pcall(sleep, 50))) end sleep(1) return 'no'");
  roost_task_interrupt(job.task, "too long");
  vm_test_turn(&self);
  vm_test_turn(&self);
  vm_test_turn(&self);
  assert_string_equal(self.log, "TimeoutError: too long;TimeoutError: too long;");
  assert_int_equal(job.ended, 1);
  assert_true(job.failed);
  assert_string_equal(job.result, "TimeoutError: too long");
  vm_test_deinit(&self);
}

static void an_interrupt_may_be_taken_back(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self, "log(select(2, pcall(sleep, 50))) sleep(5) return 'slept'");
  roost_task_interrupt(job.task, "too long");
  roost_runner_turn(&self.runner, UINT64_MAX);
  roost_task_interrupt(job.task, NULL);
  vm_test_advance(&self, 10);
  assert_string_equal(job.result, "slept");
  vm_test_deinit(&self);
}

static void no_pcall_catches_what_must_end(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self, "wait() pcall(error, 'end') return 'caught'");
  self.vm->no_catch = true;
  vm_test_wake_all(&self);
  assert_true(job.failed);
  assert_string_equal(job.result, "end");
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs_at_once_and_ends),
      cmocka_unit_test(waits_for_time),
      cmocka_unit_test(waits_in_a_list_in_order),
      cmocka_unit_test(a_wake_before_time_stops_the_timer),
      cmocka_unit_test(waits_inside_coroutines),
      cmocka_unit_test(waits_in_metamethods_iterators_and_protected_calls),
      cmocka_unit_test(may_not_wait_below_c_functions),
      cmocka_unit_test(a_main_chunk_may_not_wait),
      cmocka_unit_test(is_held_until_the_vm_is_live),
      cmocka_unit_test(one_started_by_a_script_waits_for_it),
      cmocka_unit_test(cancel_is_raised_out_of_every_wait),
      cmocka_unit_test(close_variables_may_wait_while_it_unwinds),
      cmocka_unit_test(one_that_does_not_end_is_reset),
      cmocka_unit_test(one_that_catches_it_for_ever_leaves_the_loop_idle_until_it_is_reset),
      cmocka_unit_test(a_reset_closes_what_is_open_inside_coroutines_first),
      cmocka_unit_test(an_ended_task_can_be_forgotten_by_all_lists),
      cmocka_unit_test(one_takes_the_place_of_another_that_is_over),
      cmocka_unit_test(none_follows_one_that_has_waited_or_failed),
      cmocka_unit_test(finish_may_go_on_with_another_function),
      cmocka_unit_test(fail_may_go_on_with_another_function),
      cmocka_unit_test(errors_reach_fail_with_a_trace),
      cmocka_unit_test(coroutines_are_used_again),
      cmocka_unit_test(out_of_memory_starts_nothing_or_fails),
      cmocka_unit_test(an_interrupted_task_raises_from_every_wait),
      cmocka_unit_test(an_interrupt_may_be_taken_back),
      cmocka_unit_test(no_pcall_catches_what_must_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
