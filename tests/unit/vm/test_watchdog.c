/* The parts of the watchdog that need no other thread: hooks that count, and what an end leaves. */
#include "vm_test.h"

#include "runaways.h"
#include "vm/pack.h"
#include "vm/watchdog.h"

#define BUDGET_MS 10

typedef struct told {
  int count;
  char what[64];
  roost_stop stop;
} told;

static told overruns;
static int exhaustions;

static void on_overrun(roost_vm *vm, const char *what, const roost_stop *stop) {
  (void)vm;
  overruns.count++;
  snprintf(overruns.what, sizeof overruns.what, "%s", what);
  overruns.stop = *stop;
}

static void on_exhausted(roost_vm *vm) {
  assert_true(vm->exhausted);
  assert_false(roost_runner_busy(vm->runner));
  exhaustions++;
}

static void init_with(vm_test *self, uint64_t cpu_limit_ms, size_t memory_limit) {
  vm_test_prepare(self);
  self->cpu_limit_ms = cpu_limit_ms;
  assert_int_equal(vm_test_try_open(self, memory_limit), 0);
  self->vm->on_overrun = on_overrun;
  self->vm->on_exhausted = on_exhausted;
  memset(&overruns, 0, sizeof overruns);
  exhaustions = 0;
  roost_vm_go_live(self->vm);
}

static void init(vm_test *self) {
  init_with(self, BUDGET_MS, (size_t)64 << 20);
}

static void assert_limit_error(const vm_job *job, const char *name) {
  if (job->ended != 1 || !job->failed || job->reset ||
      strncmp(job->result, "LimitError: test.lua:", 21) != 0 ||
      strstr(job->result, "ECPU: stopped after ") == NULL ||
      strncmp(job->trace, "test.lua:", 9) != 0)
    fail_msg("%s: ended %d, failed %d, reset %d: %s, trace %s", name, job->ended, job->failed,
             job->reset, job->result, job->trace);
}

static void expect_stopped(vm_test *self, const char *code) {
  vm_job job;
  vm_job_start(&job, self, code);
  assert_limit_error(&job, code);
  assert_false(roost_runner_busy(&self->runner));
  assert_false(roost_runner_fired(&self->runner));
  vm_test_expect(self, "return 'goes on'", "goes on");
}

/* ------------------------------------------------------------------------- stopping ---------- */

static void every_runaway_is_stopped_by_counting(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof runaways / sizeof runaways[0]; i++) {
    vm_test self;
    init(&self);
    expect_stopped(&self, runaways[i].code);
    vm_test_deinit(&self);
  }
}

static void without_a_limit_nothing_counts(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  assert_null(lua_gethook(self.vm->lua));
  vm_test_expect(&self, "local n = 0 for i = 1, 3000000 do n = n + 1 end return n", "3000000");
  vm_test_deinit(&self);
}

static void the_limit_is_that_of_one_run(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  init_with(&self, 200, 0);
  vm_job_start(&job, &self,
               "for i = 1, 30 do local n = 0\n"
               "for i = 1, 300000 do n = n + 1 end sleep(1) end return 'done'");
  vm_test_advance(&self, 40);
  assert_string_equal(job.result, "done");
  vm_test_deinit(&self);
}

static void the_error_says_where_and_how_long(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  unsigned spent;
  unsigned limit;
  init(&self);
  vm_job_start(&job, &self, "local function inner()\n  while true do\n  end\nend\ninner()");
  assert_int_equal(sscanf(job.result,
                          "LimitError: test.lua:%*u: ECPU: stopped after %u ms of CPU time, the "
                          "limit is %u ms",
                          &spent, &limit),
                   2);
  assert_true(spent >= BUDGET_MS);
  assert_int_equal(limit, BUDGET_MS);
  assert_non_null(strstr(job.trace, "in upvalue 'inner'") ? job.trace
                                                          : strstr(job.trace, "'inner'"));
  assert_non_null(strstr(job.trace, "\ntest.lua:5:"));
  vm_test_deinit(&self);
}

/* A C function that looks at nothing but the poll. */
static int poll_for_ever(lua_State *lua) {
  for (;;)
    roost_vm_poll(lua);
  return 0;
}

static void c_functions_that_poll_are_stopped(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  lua_register(self.vm->lua, "poll", poll_for_ever);
  expect_stopped(&self, "poll()");
  expect_stopped(&self, "while true do pcall(poll) end");
  expect_stopped(&self, "coroutine.wrap(poll)()");
  expect_stopped(&self, "while true do pcall(table.sort, { 3, 2, 1 }, poll) end");
  expect_stopped(&self, "local t = setmetatable({}, { __gc = poll }) t = nil collectgarbage()\n"
                        "while true do end");
  vm_test_deinit(&self);
}

static int free_out(lua_State *lua) {
  roost_buffer_deinit(lua_touserdata(lua, 1));
  return 0;
}

/* A buffer that the collector frees. */
static roost_buffer *push_out(lua_State *lua) {
  roost_buffer *out = lua_newuserdatauv(lua, sizeof *out, 0);
  roost_buffer_init(out, roost_vm_of(lua)->alloc);
  if (luaL_newmetatable(lua, "out")) {
    lua_pushcfunction(lua, free_out);
    lua_setfield(lua, -2, "__gc");
  }
  lua_setmetatable(lua, -2);
  return out;
}

static bool came_back;

/* convert(kind, value): ends the run, then does what should not come to its end any more. */
static int convert(lua_State *lua) {
  static const char *const kinds[] = {"encode", "decode", "pack", "unpack", NULL};
  const int kind = luaL_checkoption(lua, 1, NULL, kinds);
  roost_buffer *out = push_out(lua);
  roost_slice text = {NULL, 0};
  if (kind == 1 || kind == 3)
    text.ptr = luaL_checklstring(lua, 2, &text.len);
  roost_watchdog_fire(roost_vm_of(lua)->runner);
  if (kind == 0)
    (void)roost_value_write_json(lua, 2, out);
  else if (kind == 1)
    (void)roost_value_push_json(lua, text, NULL, NULL);
  else if (kind == 2)
    (void)roost_pack_write(lua, 2, out);
  else
    (void)roost_pack_push(lua, text);
  came_back = true;
  return 0;
}

/* packed(value) -> text */
static int packed(lua_State *lua) {
  roost_buffer out;
  roost_buffer_init(&out, roost_vm_of(lua)->alloc);
  assert_int_equal(roost_pack_write(lua, 1, &out), 0);
  lua_pushlstring(lua, out.ptr, out.len);
  roost_buffer_deinit(&out);
  return 1;
}

static void conversions_poll(void **state) {
  (void)state;
  static const char *const codes[] = {
      "local t = {} for i = 1, 200000 do t[i] = i end convert('encode', t)",
      "local t = {} for i = 1, 200000 do t['k' .. i] = i end convert('encode', t)",
      "local t = {} for i = 1, 5000 do t[i] = {} end convert('encode', t)",
      "local t = { [3] = 1, [2] = 1 } for i = 200000, 1, -1 do t[i] = i end convert('encode', t)",
      "convert('decode', '[' .. ('1,'):rep(200000) .. '1]')",
      "convert('decode', '[' .. ('[],'):rep(5000) .. '1]')",
      ("local t = {} for i = 1, 200000 do t[i] = ('\"k%d\":1'):format(i) end\n"
       "convert('decode', '{' .. table.concat(t, ',') .. '}')"),
      "local t = {} for i = 1, 200000 do t[i] = i end convert('pack', t)",
      "local t = {} for i = 1, 200000 do t['k' .. i] = i end convert('pack', t)",
      "local t = {} for i = 1, 200000 do t[i] = i end convert('unpack', packed(t))",
      "local t = {} for i = 1, 200000 do t['k' .. i] = i end convert('unpack', packed(t))",
      "local t = {} for i = 1, 5000 do t[i] = {} end convert('unpack', packed(t))"};
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    vm_test self;
    init_with(&self, 60000, 0);
    lua_register(self.vm->lua, "convert", convert);
    lua_register(self.vm->lua, "packed", packed);
    came_back = false;
    expect_stopped(&self, codes[i]);
    assert_false(came_back);
    vm_test_deinit(&self);
  }
}

/* ------------------------------------------------------------------------- afterwards -------- */

static void what_was_stopped_is_dead(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  expect_stopped(&self, "kept = coroutine.create(function() while true do end end)\n"
                        "pcall(table.sort, { 2, 1 }, function() coroutine.resume(kept) end)");
  vm_test_expect(&self, "return coroutine.status(kept), coroutine.resume(kept)",
                 "dead,false,cannot resume dead coroutine");
  vm_test_expect(&self, "return coroutine.close(kept), coroutine.status(kept)", "true,dead");
  expect_stopped(&self, "kept = coroutine.create(function()\n"
                        "local x <close> = setmetatable({}, { __close = function() log('never')\n"
                        "while true do end end })\n"
                        "table.sort({ 2, 1 }, function() while true do end end) end)\n"
                        "coroutine.resume(kept)");
  vm_test_expect(&self, "coroutine.close(kept) return coroutine.status(kept)", "dead");
  assert_string_equal(self.log, "");
  vm_test_deinit(&self);
}

static void coroutines_made_meanwhile_have_no_hook(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  expect_stopped(&self, "other = {} while true do\n"
                        "other[#other % 50 + 1] = coroutine.wrap(function()\n"
                        "local n = 0 for i = 1, 100 do n = n + i end return n end) end");
  vm_test_expect(&self,
                 "local n = 0 for i = 1, #other do\n"
                 "local ok, v = pcall(other[i]) if ok then n = n + v end end\n"
                 "return n % 5050, #other > 0",
                 "0,true");
  vm_test_deinit(&self);
}

static void close_variables_run_after_a_stop(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  expect_stopped(&self,
                 "local x <close> = setmetatable({}, { __close = function() log('outer') end })\n"
                 "coroutine.wrap(function()\n"
                 "local y <close> = setmetatable({}, { __close = function() log('inner') end })\n"
                 "while true do end end)()");
  assert_string_equal(self.log, "inner;outer;");
  assert_int_equal(overruns.count, 0);
  expect_stopped(&self, "local x <close> = setmetatable({}, { __close = function()\n"
                        "while true do end end })\nwhile true do end");
  assert_int_equal(overruns.count, 1);
  assert_string_equal(overruns.what, "<close> variables");
  assert_string_equal(overruns.stop.where, "test.lua:2");
  vm_test_deinit(&self);
}

static int stubborn_fail(lua_State *lua, void *ud) {
  vm_job_fail(lua, ud);
  assert_int_equal(luaL_loadstring(lua, "while true do end"), LUA_OK);
  return 0;
}

static void a_fail_that_never_ends_is_stopped_once(void **state) {
  (void)state;
  static const roost_task_ops ops = {
      .begin = vm_job_begin, .finish = vm_job_finish, .fail = stubborn_fail, .ended = vm_job_ended};
  vm_test self;
  vm_job job;
  init(&self);
  assert_int_equal(vm_job_try(&job, &self, "while true do end", &ops), 0);
  assert_int_equal(job.ended, 1);
  assert_true(job.failed);
  assert_true(job.reset);
  vm_test_expect(&self, "return 'goes on'", "goes on");
  vm_test_deinit(&self);
}

static void finalizers_that_never_end_do_not_keep_a_state(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self,
                 "keep = {} for i = 1, 100 do keep[i] = setmetatable({}, {\n"
                 "__gc = function() while true do end end }) end return 1",
                 "1");
  vm_test_deinit(&self);
  assert_int_equal(overruns.count, 1);
  assert_string_equal(overruns.what, "finalizers");
  assert_string_equal(overruns.stop.where, "test.lua:2");
}

static void closing_a_state_has_one_budget_for_all_close_variables(void **state) {
  (void)state;
  vm_test self;
  vm_job jobs[50];
  init(&self);
  for (size_t i = 0; i < 50; i++)
    vm_job_start(&jobs[i], &self,
                 "local x <close> = setmetatable({}, { __close = function()\n"
                 "while true do end end }) wait()");
  vm_test_deinit(&self);
  for (size_t i = 0; i < 50; i++)
    assert_true(jobs[i].reset);
  assert_int_equal(overruns.count, 1);
}

static void a_finalizer_may_run_outside_of_any_task(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self, "setmetatable({}, { __gc = function() while true do end end }) return 1",
                 "1");
  lua_gc(self.vm->lua, LUA_GCCOLLECT);
  assert_int_equal(overruns.count, 1);
  assert_string_equal(overruns.what, "a finalizer");
  vm_test_expect(&self, "return 'goes on'", "goes on");
  vm_test_deinit(&self);
}

/* ------------------------------------------------------------------------- finalizers -------- */

static void setmetatable_is_luas_own(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  vm_test_expect(&self,
                 "local t, mt = {}, {}\n"
                 "return setmetatable(t, mt) == t, getmetatable(t) == mt,\n"
                 "getmetatable(setmetatable(t, nil))",
                 "true,true,nil");
  vm_test_expect(&self, "return pcall(setmetatable, 1, {})",
                 "false,bad argument #1 to 'setmetatable' (table expected, got number)");
  vm_test_expect(&self, "return pcall(setmetatable, {})",
                 "false,bad argument #2 to 'setmetatable' (nil or table expected, got no value)");
  vm_test_expect(&self, "return pcall(setmetatable, setmetatable({}, { __metatable = 1 }), {})",
                 "false,cannot change a protected metatable");
  vm_test_expect(&self, "local mt = { __gc = true } setmetatable({}, mt) return mt.__gc", "true");
  vm_test_deinit(&self);
}

static void finalizers_work_as_luas_own(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  vm_test_expect(&self,
                 "setmetatable({ n = 1 }, { __gc = function(o, more) log(o.n, more) end })\n"
                 "collectgarbage() return 1",
                 "1");
  assert_string_equal(self.log, "1,nil;");
  *self.log = '\0';
  vm_test_expect(&self,
                 "local mt = { __gc = function(o) log(o.n) end }\n"
                 "for i = 1, 3 do setmetatable({ n = i }, mt) end\n"
                 "collectgarbage() return 1",
                 "1");
  assert_string_equal(self.log, "3;2;1;");
  *self.log = '\0';
  vm_test_expect(&self,
                 "setmetatable({}, { __gc = function() error('x') end })\n"
                 "setmetatable({}, { __gc = function() coroutine.yield() log('no') end })\n"
                 "setmetatable({}, { __gc = function(o) again = o end })\n"
                 "setmetatable({}, { __gc = function() log(pcall(sleep, 1)) end })\n"
                 "collectgarbage() return type(again)",
                 "table");
  assert_non_null(strstr(self.log, "false,"));
  assert_null(strstr(self.log, "no;"));
  vm_test_deinit(&self);
}

/* ------------------------------------------------------------------------- loading ----------- */

static int run_code(lua_State *lua) {
  if (luaL_loadbuffer(lua, "while true do pcall(error) end", 30, "@main.lua") != LUA_OK)
    return lua_error(lua);
  lua_call(lua, 0, 0);
  return 0;
}

static void assert_load_fails(vm_test *self, uint64_t wall_ms, const char *text) {
  lua_State *lua = self->vm->lua;
  lua_pushcfunction(lua, roost_error_traceback);
  lua_pushcfunction(lua, run_code);
  assert_int_equal(roost_vm_load(self->vm, 0, 1, wall_ms), LUA_ERRRUN);
  assert_true(roost_error_is(lua, -1, "LimitError"));
  if (strstr(luaL_tolstring(lua, -1, NULL), text) == NULL)
    fail_msg("%s", lua_tostring(lua, -1));
  lua_settop(lua, 0);
  assert_false(roost_runner_fired(&self->runner));
}

static void a_main_chunk_has_both_limits(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  assert_load_fails(&self, 60000, "main.lua:1: ECPU: stopped after ");
  vm_test_deinit(&self);
  init_with(&self, 0, 0);
  assert_load_fails(&self, 5, "main.lua:1: loading took longer than reload.start_timeout");
  assert_null(lua_gethook(self.vm->lua));
  vm_test_deinit(&self);
}

static int load_within(lua_State *lua) {
  vm_test *other = lua_touserdata(lua, lua_upvalueindex(1));
  assert_load_fails(other, 0, "ECPU");
  return 0;
}

static void loading_within_a_run_ends_alone(void **state) {
  (void)state;
  vm_test self;
  vm_test other;
  init_with(&self, 60000, 0);
  vm_test_prepare(&other);
  other.cpu_limit_ms = BUDGET_MS;
  assert_int_equal(vm_test_try_open(&other, 0), 0);
  other.vm->runner = &self.runner;
  lua_pushlightuserdata(self.vm->lua, &other);
  lua_pushcclosure(self.vm->lua, load_within, 1);
  lua_setglobal(self.vm->lua, "load_within");
  vm_test_expect(&self, "load_within() local n = 0 for i = 1, 100 do n = n + 1 end return n",
                 "100");
  vm_test_deinit(&other);
  vm_test_deinit(&self);
}

/* ------------------------------------------------------------------------- memory ------------ */

static void out_of_memory_is_a_limit_error(void **state) {
  (void)state;
  vm_test self;
  init_with(&self, 0, 1000000);
  vm_test_expect(&self, "local ok, e = pcall(string.rep, 'x', 2000000) return ok, e.name, e.code",
                 "false,LimitError,EMEMORY");
  vm_test_expect(&self,
                 "local ok, e = xpcall(string.rep, debug.traceback, 'x', 2000000)\n"
                 "return ok, e.code",
                 "false,EMEMORY");
  vm_test_expect(&self,
                 "local co = coroutine.create(string.rep)\n"
                 "local ok, e = coroutine.resume(co, 'x', 2000000) return ok, e.code",
                 "false,EMEMORY");
  vm_test_expect(&self,
                 "local ok, e = pcall(coroutine.wrap(string.rep), 'x', 2000000)\n"
                 "return ok, e.code",
                 "false,EMEMORY");
  vm_job job;
  vm_job_run(&job, &self, 0, "local t = {} while true do t[#t + 1] = {} end");
  assert_string_equal(job.result,
                      "LimitError: EMEMORY: not enough memory: the limit is 1000000 bytes");
  assert_int_equal(exhaustions, 0);
  assert_false(self.vm->exhausted);
  vm_test_deinit(&self);
}

static void a_state_that_stays_full_is_exhausted(void **state) {
  (void)state;
  vm_test self;
  init_with(&self, 0, 1000000);
  for (int i = 0; i < 3; i++) {
    vm_job job;
    vm_job_run(&job, &self, 0, "t = t or {} while true do t[#t + 1] = { #t } end");
    assert_true(job.failed || job.reset);
    assert_true(self.vm->exhausted);
    assert_int_equal(exhaustions, 1);
  }
  vm_test_deinit(&self);
}

static void one_big_refusal_does_not_exhaust(void **state) {
  (void)state;
  vm_test self;
  init_with(&self, 0, 1000000);
  vm_test_expect(&self, "t = ('x'):rep(400000) return pcall(string.rep, 'y', 700000)",
                 "false,LimitError: EMEMORY: not enough memory: the limit is 1000000 bytes");
  assert_int_equal(exhaustions, 0);
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_runaway_is_stopped_by_counting),
      cmocka_unit_test(without_a_limit_nothing_counts),
      cmocka_unit_test(the_limit_is_that_of_one_run),
      cmocka_unit_test(the_error_says_where_and_how_long),
      cmocka_unit_test(c_functions_that_poll_are_stopped),
      cmocka_unit_test(conversions_poll),
      cmocka_unit_test(what_was_stopped_is_dead),
      cmocka_unit_test(coroutines_made_meanwhile_have_no_hook),
      cmocka_unit_test(close_variables_run_after_a_stop),
      cmocka_unit_test(a_fail_that_never_ends_is_stopped_once),
      cmocka_unit_test(finalizers_that_never_end_do_not_keep_a_state),
      cmocka_unit_test(closing_a_state_has_one_budget_for_all_close_variables),
      cmocka_unit_test(a_finalizer_may_run_outside_of_any_task),
      cmocka_unit_test(setmetatable_is_luas_own),
      cmocka_unit_test(finalizers_work_as_luas_own),
      cmocka_unit_test(a_main_chunk_has_both_limits),
      cmocka_unit_test(loading_within_a_run_ends_alone),
      cmocka_unit_test(out_of_memory_is_a_limit_error),
      cmocka_unit_test(a_state_that_stays_full_is_exhausted),
      cmocka_unit_test(one_big_refusal_does_not_exhaust),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
