/*
 * Our coroutine table and Lua's own run the same scripts; what they return must be the same text.
 */
#include "vm_test.h"

#include <lualib.h>

static const char prelude[] =
    "local out = {}"
    "local function show(...) local t = table.pack(...)"
    "  for i = 1, t.n do t[i] = type(t[i]) == 'thread' and 'thread' or tostring(t[i]) end"
    "  out[#out + 1] = table.concat(t, ' ') end "
    "local function guard(name, fn) return setmetatable({}, {__close = function(_, e)"
    "  show('close', name, e) if fn then fn() end end}) end ";

static const char *const scripts[] = {
    "local co = coroutine.create(function(a, b) show(a, b)"
    "  show(coroutine.yield(a + b)) show(coroutine.yield()) return 'x', 'y' end)"
    "show(coroutine.resume(co, 1, 2)) show(coroutine.status(co))"
    "show(coroutine.resume(co, 'r')) show(coroutine.resume(co))"
    "show(coroutine.status(co)) show(coroutine.resume(co)) show(coroutine.resume(co, 1, 2))",

    "local w = coroutine.wrap(function(...) for i = 1, select('#', ...) do "
    "  show(coroutine.yield((select(i, ...)))) end end)"
    "show(w('a', nil, 'c')) show(w(1)) show(w(2)) show(w(3)) show(pcall(w))",

    "local co co = coroutine.create(function() show(coroutine.status(co))"
    "  show(coroutine.resume(co)) show(coroutine.isyieldable()) show(pcall(coroutine.close, co))"
    "  local outer = co local inner = coroutine.create(function()"
    "    show(coroutine.status(outer)) show(coroutine.resume(outer, 1))"
    "    show(pcall(coroutine.close, outer)) end)"
    "  show(coroutine.resume(inner)) end) show(coroutine.resume(co))",

    "local w w = coroutine.wrap(function() show(pcall(w)) coroutine.wrap(function() show(pcall(w)) "
    "end)() end) w()",

    "show(coroutine.isyieldable(), select(2, coroutine.running()))"
    "coroutine.wrap(function() show(coroutine.isyieldable(), select(2, coroutine.running())) end)()"
    "show(coroutine.isyieldable(coroutine.create(print)))",

    "show(pcall(coroutine.yield, 1))",

    "for _, bad in ipairs{ {}, 1, 'x', print } do"
    "  show(pcall(coroutine.resume, bad)) show(pcall(coroutine.status, bad))"
    "  show(pcall(coroutine.close, bad)) end"
    " show(pcall(coroutine.create)) show(pcall(coroutine.create, 1)) show(pcall(coroutine.wrap, "
    "{}))",

    "local co = coroutine.create(function() error('boom') end)"
    "show(coroutine.resume(co)) show(coroutine.status(co)) show(coroutine.close(co))"
    "show(coroutine.close(co)) show(coroutine.resume(co))",

    "local co = coroutine.create(function() error({}) end) local ok, e = coroutine.resume(co)"
    "show(ok, type(e))",

    "local w = coroutine.wrap(function() error('in wrap') end) show(pcall(w)) show(pcall(w))",

    "local w = coroutine.wrap(function() error({ code = 7 }) end)"
    "local ok, e = pcall(w) show(ok, e.code)",

    "local w = coroutine.wrap(function() local a <close> = guard('a') local b <close> = guard('b') "
    "  error('first', 0) end) show(pcall(w))",

    "local w = coroutine.wrap(function()"
    "  local a <close> = guard('a', function() error('second', 0) end) error('first', 0) end)"
    "show(pcall(w))",

    "local co = coroutine.create(function() local a <close> = guard('a')"
    "  local b <close> = guard('b') coroutine.yield(1) end)"
    "show(coroutine.resume(co)) show(coroutine.close(co)) show(coroutine.status(co))"
    "show(coroutine.close(co))",

    "local co = coroutine.create(function()"
    "  local a <close> = guard('a', function() error('in close', 0) end) coroutine.yield(1) end)"
    "show(coroutine.resume(co)) show(coroutine.close(co)) show(coroutine.status(co))"
    "show(coroutine.close(co))",

    "local co = coroutine.create(function()"
    "  local a <close> = guard('a', function() coroutine.yield(2) end) coroutine.yield(1) end)"
    "show(coroutine.resume(co)) show(coroutine.close(co))",

    "local co = coroutine.create(function() local a <close> = guard('a', function() "
    "  show(coroutine.yield('from close')) end) return 'ret' end)"
    "show(coroutine.resume(co)) show(coroutine.resume(co, 'back')) show(coroutine.status(co))",

    "show(coroutine.close(coroutine.create(print)))"
    "show(coroutine.resume(coroutine.create(function(...) return ... end), 1, nil, nil))",

    "local co = coroutine.wrap(function() return pcall(function() coroutine.yield(1)"
    "  error('late', 0) end) end) show(co()) show(co())",

    "local co = coroutine.wrap(function() return xpcall(function(a) coroutine.yield(a) error('x', "
    "0)"
    "  end, function(m) return m .. '!' end, 9) end) show(co()) show(co())",

    "local co = coroutine.wrap(function() table.sort({ 3, 2, 1 }, function(a, b)"
    "  coroutine.yield() return a < b end) end) show(pcall(co))",

    "local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end "
    "end) end local s = 0 for i in gen(1000) do s = s + i end show(s)",

    "local function nest(n) if n == 0 then return coroutine.yield('deep') end"
    "  return coroutine.wrap(nest)(n - 1) end"
    " local co = coroutine.create(function() return coroutine.wrap(nest)(5) end)"
    "show(coroutine.resume(co)) show(coroutine.status(co)) show(coroutine.resume(co, 'v'))",

    "local function deep(n) return coroutine.wrap(function() return deep(n + 1) end)() end"
    " local ok, e = pcall(deep, 1) show(ok, (e:find('C stack overflow')) ~= nil)",

    "local co = coroutine.create(function() return table.unpack({}, 1, 200000) end)"
    "local ok, e = coroutine.resume(co) show(ok)",
    "local co = coroutine.create(function(...) return select('#', ...) end)"
    "show(coroutine.resume(co, table.unpack({}, 1, 100000)))",

    "local co co = coroutine.create(function() local x <close> = guard('x')"
    "  pcall(error) coroutine.yield() end) coroutine.resume(co) co = nil collectgarbage() "
    "show('gc')",

    "local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co)"
    "show((debug.traceback(co):gsub('%s+', ' ')))",
};

/* Wraps a script so that it is run by a coroutine-like main: returns its output as one text. */
static const char *run_stock(lua_State *lua, const char *script) {
  lua_settop(lua, 0);
  luaL_Buffer code;
  luaL_buffinit(lua, &code);
  luaL_addstring(&code, prelude);
  luaL_addstring(&code, script);
  luaL_addstring(&code, " return table.concat(out, '\\n')");
  luaL_pushresult(&code);
  if (luaL_loadbuffer(lua, lua_tostring(lua, -1), lua_rawlen(lua, -1), "@test.lua") != LUA_OK ||
      lua_pcall(lua, 0, 1, 0) != LUA_OK)
    fail_msg("%s", lua_tostring(lua, -1));
  return lua_tostring(lua, -1);
}

static int open_stock(lua_State *lua) {
  luaL_openlibs(lua);
  return 0;
}

/* The same script as a task, between waits: they must leave no trace. */
static void expect_same(vm_test *self, const char *script, const char *expected) {
  vm_job job;
  char code[8192];
  snprintf(code, sizeof code, "%s %s return table.concat(out, '\\n')", prelude, script);
  vm_job_run(&job, self, 1, code);
  if (strcmp(job.result, expected) != 0)
    print_error("in: %s\nours:\n%s\nLua's:\n%s\n", script, job.result, expected);
  assert_string_equal(job.result, expected);
}

static void behaves_as_luas_own(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  lua_State *stock = luaL_newstate();
  lua_pushcfunction(stock, open_stock);
  assert_int_equal(lua_pcall(stock, 0, 0, 0), LUA_OK);
  for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
    expect_same(&self, scripts[i], run_stock(stock, scripts[i]));
  lua_close(stock);
  vm_test_deinit(&self);
}

/* Every yield of the script becomes a wait followed by a yield. */
static void waits_change_nothing(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  lua_State *stock = luaL_newstate();
  lua_pushcfunction(stock, open_stock);
  assert_int_equal(lua_pcall(stock, 0, 0, 0), LUA_OK);
  vm_test_expect(&self,
                 "local yield = coroutine.yield function coroutine.yield(...)"
                 "  if coroutine.isyieldable() then pcall(sleep, 1) end return yield(...) end",
                 "");
  for (size_t i = 0; i < 3; i++) {
    vm_job job;
    char code[8192];
    const char *script = scripts[i == 0 ? 0 : i == 1 ? 1 : 22];
    snprintf(code, sizeof code, "%s %s return table.concat(out, '\\n')", prelude, script);
    vm_job_run(&job, &self, 50, code);
    assert_string_equal(job.result, run_stock(stock, script));
  }
  lua_close(stock);
  vm_test_deinit(&self);
}

static void one_that_waits_for_the_host_is_left_alone(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self,
               "co = coroutine.create(function() sleep(10) return 'woken' end)"
               "return coroutine.resume(co)");
  vm_test_expect(&self,
                 "local ok, err = coroutine.resume(co)"
                 "return ok, err, coroutine.status(co), (pcall(coroutine.close, co))",
                 "false,cannot resume a coroutine that is waiting for the host,normal,false");
  vm_test_advance(&self, 10);
  assert_string_equal(job.result, "true,woken");
  vm_test_deinit(&self);
}

static void what_resume_caught_does_not_change_the_unwinding(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self,
               "local x <close> = setmetatable({}, {__close = function()"
               "  log(coroutine.resume(coroutine.create(function() error('x', 0) end)))"
               "  log(sleep(1)) end}) wait()");
  roost_task_cancel(job.task);
  vm_test_advance(&self, 2);
  assert_string_equal(self.log, "false,x;slept;");
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(behaves_as_luas_own),
      cmocka_unit_test(waits_change_nothing),
      cmocka_unit_test(one_that_waits_for_the_host_is_left_alone),
      cmocka_unit_test(what_resume_caught_does_not_change_the_unwinding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
