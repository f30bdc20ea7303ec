#include "vm_test.h"

static int push_error(lua_State *lua) {
  roost_error_push(lua, luaL_checkstring(lua, 1), "ECODE", luaL_checkstring(lua, 2));
  return 1;
}

static int mark_exception(lua_State *lua) {
  lua_settop(lua, 1);
  roost_error_mark_exception(lua);
  return 1;
}

static int tell(lua_State *lua) {
  lua_pushboolean(lua, roost_error_is_exception(lua, 1));
  lua_pushboolean(lua, roost_error_is(lua, 1, "AnError"));
  return 2;
}

static int describe(lua_State *lua) {
  roost_buffer out;
  roost_buffer_init(&out, roost_alloc_default());
  roost_error_describe(lua, 1, &out);
  lua_pushlstring(lua, out.ptr, out.len);
  roost_buffer_deinit(&out);
  return 1;
}

/* rethrow(error, trace) */
static int rethrow(lua_State *lua) {
  roost_slice trace;
  trace.ptr = luaL_checklstring(lua, 2, &trace.len);
  lua_pushvalue(lua, 1);
  return roost_error_rethrow(lua, trace);
}

static void init(vm_test *self) {
  vm_test_init(self);
  lua_register(self->vm->lua, "push_error", push_error);
  lua_register(self->vm->lua, "mark_exception", mark_exception);
  lua_register(self->vm->lua, "tell", tell);
  lua_register(self->vm->lua, "describe", describe);
  lua_register(self->vm->lua, "rethrow", rethrow);
  lua_register(self->vm->lua, "handler", roost_error_traceback);
}

static void error_tables(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self,
                 "local e = push_error('AnError', 'text') return e, e.name, e.code, e.message",
                 "AnError: text,AnError,ECODE,text");
  vm_test_expect(&self, "return tell(push_error('AnError', ''))", "false,true");
  vm_test_expect(&self, "return tell(push_error('Other', ''))", "false,false");
  vm_test_expect(&self, "return tell({ name = 'AnError' })", "false,false");
  vm_test_expect(&self, "return tell(mark_exception{ name = 'AnError' })", "true,false");
  vm_test_expect(&self, "local a, b = tell('AnError') local c, d = tell(null) return a, b, c, d",
                 "false,false,false,false");
  vm_test_expect(&self, "return tostring(push_error('AnError', ''))", "AnError");
  vm_test_expect(&self, "return describe('text'), describe(12), describe(push_error('E', 'm'))",
                 "text,12,E: m");
  vm_test_expect(&self,
                 "return describe(setmetatable({}, {__tostring = function() return 'own' end}))",
                 "own");
  vm_test_expect(&self, "return describe({ code = 42 }), describe({ message = { 'a' } })",
                 "{\"code\":42},{\"message\":[\"a\"]}");
  vm_test_expect(&self, "return (describe({ print }):gsub('0x%x+', 'ADDRESS'))", "table: ADDRESS");
  vm_test_deinit(&self);
}

/* A frame that is not the user's, as the Lua half of the API has them. */
static void define_api(vm_test *self) {
  static const char code[] = "function api(fn) local v = fn() return v end\n"
                             "function fails() error('inside', 0) end";
  assert_int_equal(luaL_loadbuffer(self->vm->lua, code, sizeof code - 1, "=roost.api"), LUA_OK);
  lua_call(self->vm->lua, 0, 0);
}

static void a_trace_starts_and_ends_in_the_users_files(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  init(&self);
  define_api(&self);
  vm_job_run(&job, &self, 1, "local function mine()\n fails()\n return 1 end\nlocal v = api(mine)");
  assert_string_equal(job.result, "inside");
  assert_int_equal(strncmp(job.trace, "test.lua:2: in ", 15), 0);
  assert_non_null(strstr(job.trace, "\nroost.api:1: in "));
  const char *last = strrchr(job.trace, '\n');
  assert_string_equal(last, "\ntest.lua:4: in main chunk");
  assert_null(strstr(job.trace, "[C]"));
  vm_test_deinit(&self);
}

static void there_may_be_nothing_of_the_users_in_it(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  init(&self);
  define_api(&self);
  vm_job_run(&job, &self, 0, "return fails()"); /* a tail call: our frame is gone */
  assert_string_equal(job.trace, "");
  vm_job_run(&job, &self, 0, "local e = mark_exception{} error(e)");
  assert_string_equal(job.trace, ""); /* meant for the caller: nobody logs it */
  vm_test_deinit(&self);
}

static void a_deep_trace_is_cut(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  init(&self);
  vm_job_run(&job, &self, 0,
             "local function f(n) if n == 0 then error('deep') end return 1 + f(n - 1) end f(500)");
  size_t lines = 1;
  for (const char *at = job.trace; *at != '\0'; at++)
    lines += *at == '\n';
  assert_int_equal(lines, 40);
  vm_job_run(&job, &self, 0, "local function f() return 1 + f() end f()");
  assert_non_null(strstr(job.result, "stack overflow"));
  assert_true(job.trace[0] != '\0');
  vm_test_deinit(&self);
}

static void what_is_raised_again_keeps_its_trace(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  init(&self);
  vm_job_run(&job, &self, 0, "rethrow('boom', 'from afar')");
  assert_string_equal(job.result, "boom");
  assert_string_equal(job.trace, "from afar");
  vm_job_run(&job, &self, 0, "error('boom', 0)");
  assert_int_equal(strncmp(job.trace, "test.lua:1: in ", 15), 0);
  vm_job_run(&job, &self, 0, "rethrow('boom', '')");
  assert_int_equal(strncmp(job.trace, "test.lua:1: in ", 15), 0);
  /* Caught on its way, it says nothing about the next error. */
  vm_job_run(&job, &self, 0, "pcall(rethrow, {}, 'from afar') error('other', 0)");
  assert_int_equal(strncmp(job.trace, "test.lua:1: in ", 15), 0);
  vm_job_run(&job, &self, 0, "rethrow(nil, 'from afar')");
  assert_string_equal(job.trace, "from afar");
  vm_test_deinit(&self);
}

static void without_memory_a_trace_is_short(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self, "return xpcall(error, handler, 'warm', 0)", "false,warm");
  roost_buffer_deinit(&self.vm->trace);
  vm_test_expect(&self, "f = load('xpcall(error, handler, text)', '@x.lua') text = 'x' return 1",
                 "1");
  self.probe.refuse_after = 0;
  vm_job job;
  assert_int_equal(vm_job_try(&job, &self, "f()", &vm_job_ops), 0);
  self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  assert_int_equal(job.ended, 1);
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(error_tables),
      cmocka_unit_test(a_trace_starts_and_ends_in_the_users_files),
      cmocka_unit_test(there_may_be_nothing_of_the_users_in_it),
      cmocka_unit_test(a_deep_trace_is_cut),
      cmocka_unit_test(what_is_raised_again_keeps_its_trace),
      cmocka_unit_test(without_memory_a_trace_is_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
