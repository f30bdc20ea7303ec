#include "poll_probe.h"

#include "vm/jumps.h"
#include "vm/load.h"

static void compiling_is_ended(void **state) {
  (void)state;
  static const char *const chunks[] = {
      "return load(('x = 1 '):rep(100000))",
      "return load(('do goto a '):rep(100) .. ('::b%d:: '):rep(30))",
      "return load(function() return 'x = 1 ' end)",
      "local function again() return load(again) end return again()",
      "return load('return [[' .. ('x'):rep(1000000) .. ']]')",
      /* what is raised while it compiles is caught by the compiler, but not for long */
      "return pcall(load, (' '):rep(100000) .. '=')",
  };
  vm_test self;
  vm_test_init(&self);
  for (size_t i = 0; i + 1 < sizeof chunks / sizeof chunks[0]; i++)
    poll_probe_expect_end(&self, chunks[i]);
  vm_test_deinit(&self);
}

static void the_compiler_cannot_swallow_the_end(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  poll_probe_load(self.vm->lua, "load((' '):rep(100000)) error('went on')");
  poll_probe_arm(3);
  assert_int_equal(lua_pcall(self.vm->lua, 0, 0, 0), LUA_ERRRUN);
  assert_string_equal(lua_tostring(self.vm->lua, -1), POLL_PROBE_TEXT);
  poll_probe_arm(0);
  vm_test_expect(&self, "return load('return 1')()", "1");
  vm_test_deinit(&self);
}

static void chunks_are_limited(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  vm_test_expect(&self, "return (load((' '):rep(16 << 20))) ~= nil", "true");
  vm_test_expect(&self, "local f, e = load((' '):rep((16 << 20) + 1)) return f, e",
                 "nil,test.lua:1: chunk is too large (at most 16777216 bytes)");
  vm_test_expect(&self, "local f, e = load(function() return (' '):rep(1 << 20) end) return e",
                 "test.lua:1: chunk is too large (at most 16777216 bytes)");
  vm_test_expect(&self, "return load('while x do ' .. ('break; '):rep(5001) .. 'end')",
                 "nil,test.lua:1: chunk has too many jumps (at most 5000 goto and break)");
  vm_test_expect(&self, "return load(('do goto a ::a:: end '):rep(5000)) ~= nil", "true");
  vm_test_expect(&self, "return load('return [[' .. ('break '):rep(6000) .. ']]') ~= nil", "true");
  vm_test_expect(&self,
                 "local n = 0 local f, e = load(function() n = n + 1 "
                 "return n == 1 and 'while x do ' or n < 9000 and 'if y then break end ' or "
                 "n == 9000 and 'end' or nil end) return e",
                 "test.lua:1: chunk has too many jumps (at most 5000 goto and break)");
  vm_test_deinit(&self);
}

static void files_are_not_limited(void **state) {
  (void)state;
  static char code[ROOST_JUMPS_MAX * 8];
  vm_test self;
  vm_test_init(&self);
  strcpy(code, "while x do");
  size_t len = strlen(code);
  for (int i = 0; i <= ROOST_JUMPS_MAX; i++, len += 6)
    memcpy(code + len, " break", 6);
  memcpy(code + len, " end", 4);
  poll_probe_arm(0);
  assert_int_equal(roost_load(self.vm->lua, (roost_slice){code, len + 4}, "=code", "t"), LUA_OK);
  assert_true(poll_probe.polls > 100);
  lua_settop(self.vm->lua, 0);
  assert_int_equal(roost_load(self.vm->lua, (roost_slice){"x =", 3}, "=code", NULL), LUA_ERRSYNTAX);
  assert_string_equal(lua_tostring(self.vm->lua, -1), "code:1: unexpected symbol near <eof>");
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(compiling_is_ended),
      cmocka_unit_test(the_compiler_cannot_swallow_the_end),
      cmocka_unit_test(chunks_are_limited),
      cmocka_unit_test(files_are_not_limited),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
