#include "poll_probe.h"

static void searches_that_take_for_ever_are_ended(void **state) {
  (void)state;
  static const char *const chunks[] = {
      "string.gsub((' '):rep(100000) .. 'x', '%s+$', '')",
      "string.match((' '):rep(100000) .. 'x', '^(.-)%s*$')",
      "string.match(('a'):rep(1000000), '.-b')",
      "string.find(('a'):rep(100), ('a*'):rep(30) .. 'b')",
      "string.find(('a'):rep(100), ('a?'):rep(60) .. 'b')",
      "string.find(('a'):rep(100000), '(.-)(.-)%1b')",
      "string.find(('('):rep(200000), '%b()')",
      "for _ in string.gmatch(('('):rep(200000), '%b()') do end",
      "string.find(('ab'):rep(100000), '[ab]+[ac]+c')",
      "string.find(('a'):rep(300000), ('a'):rep(70000) .. 'b', 1, true)",
      "string.find(('a'):rep(300000), ('a'):rep(150000) .. 'b', 1, true)",
      "string.find('x', '[' .. ('%w'):rep(1000000) .. ']')",
      "string.find(('x'):rep(100), '[' .. ('ab'):rep(1000000) .. ']')",
      "string.find(('x'):rep(1000), ('[%sx]x?[%sx]y'):format(('a'):rep(9999), ('c'):rep(9999)))",
      "string.find(('x'):rep(3000000), '%f[a]')",
      "string.find(('x'):rep(3000000), '^x*y')",
      "string.find(('x'):rep(3000000), '^[xy]*z')",
      "string.find(('x'):rep(3000000), '^%w*%s')",
      "string.match(('x'):rep(3000000), '^(.*)%1y')",
      "('x'):rep(300000):gsub('.', print and '%0')",
      "('x'):rep(3000000):find(('x'):rep(400000) .. '.*y')",
  };
  vm_test self;
  vm_test_init(&self);
  for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++)
    poll_probe_expect_end(&self, chunks[i]);
  vm_test_expect(&self, "return ('a b'):gsub('%s+$', '')", "a b,0");
  vm_test_deinit(&self);
}

static void replacements_are_counted(void **state) {
  (void)state;
  static const char *const chunks[] = {
      "string.gsub(('x'):rep(2000), '.', type)",
      "string.gsub(('x'):rep(2000), '.', setmetatable({}, {__index = rawget}))",
      "string.gsub(('x'):rep(100000), '.', ('%0'):rep(100))",
      "string.gsub(('x'):rep(100000), '^.*$', ('%0'):rep(100))",
      "string.gsub(('x'):rep(100), '.', function() return ('y'):rep(100000) end)",
  };
  vm_test self;
  vm_test_init(&self);
  for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++)
    poll_probe_expect_end(&self, chunks[i]);
  vm_test_deinit(&self);
}

static void repetition_ends(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  vm_test_expect(&self, "return #string.rep('', 1 << 60), #string.rep('', 1 << 60, '')", "0,0");
  vm_test_expect(&self, "return pcall(string.rep, 'x', 1 << 31)",
                 "false,resulting string too large");
  poll_probe_expect_end(&self, "string.rep('x', 10000000)");
  vm_test_expect(&self,
                 "return ('ab'):rep(40000, 'c') == table.concat((function()"
                 "  local t = {} for i = 1, 40000 do t[i] = 'ab' end return t end)(), 'c')",
                 "true");
  vm_test_deinit(&self);
}

static void what_is_done_at_once_is_not_polled(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  poll_probe_count(&self, "subject = ('key=value '):rep(300)");
  assert_int_equal(poll_probe_count(&self, "string.find(subject, '(%w+)=(%w+)')"), 0);
  assert_int_equal(poll_probe_count(&self, "string.find(subject, 'none', 1, true)"), 0);
  assert_int_equal(poll_probe_count(&self, "string.rep('x', 1000)"), 0);
  assert_in_range(poll_probe_count(&self, "subject:rep(30):gsub('%w+', '')"), 1, 8);
  vm_test_deinit(&self);
}

static void a_search_for_text_is_linear(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  assert_in_range(poll_probe_count(&self, "assert(not string.find(('a'):rep(4000000),"
                                          "('a'):rep(2000) .. 'b', 1, true))"),
                  0, 10);
  assert_in_range(poll_probe_count(&self, "assert(not string.find(('ab'):rep(2000000),"
                                          "('ba'):rep(20000) .. 'c', 1, true))"),
                  0, 10);
  vm_test_deinit(&self);
}

/* The callbacks of gsub are called from C: they may not wait. */
static void a_replacement_may_not_wait(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  vm_test_expect(&self, "return pcall(string.gsub, 'x', 'x', function() coroutine.yield() end)",
                 "false,test.lua:1: attempt to yield from outside a coroutine");
  vm_test_expect(&self,
                 "return coroutine.resume(coroutine.create(function()"
                 "  return string.gsub('x', 'x', coroutine.yield) end))",
                 "false,attempt to yield across a C-call boundary");
  vm_test_deinit(&self);
}

/* A buffer of the search lives in the state, and nothing else does. */
static void memory_errors_leave_nothing_behind(void **state) {
  (void)state;
  static const char *const chunks[] = {
      "return #('x '):rep(2000):gsub('x', '%0%0')",
      "local n = 0 for w in ('x '):rep(2000):gmatch('%a') do n = n + #w end return n",
      "return #('x'):rep(5000, ', ')",
      "local t = {} for i = 1, 900 do t[i] = i end return table.concat(table.move(t, 1, 900, 2))",
      "return load(('x = 1 '):rep(1000))",
  };
  for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
    for (size_t after = 0; after < 40; after++) {
      vm_test self;
      vm_test_init(&self);
      poll_probe_load(self.vm->lua, chunks[i]);
      self.probe.refuse_after = after;
      int status = lua_pcall(self.vm->lua, 0, 0, 0);
      self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
      if (status == LUA_ERRRUN) /* as luaL_Buffer says it */
        assert_string_equal(lua_tostring(self.vm->lua, -1), "not enough memory");
      else
        assert_true(status == LUA_OK || status == LUA_ERRMEM);
      vm_test_deinit(&self);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(searches_that_take_for_ever_are_ended),
      cmocka_unit_test(replacements_are_counted),
      cmocka_unit_test(repetition_ends),
      cmocka_unit_test(what_is_done_at_once_is_not_polled),
      cmocka_unit_test(a_search_for_text_is_linear),
      cmocka_unit_test(a_replacement_may_not_wait),
      cmocka_unit_test(memory_errors_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
