#include "poll_probe.h"

static void endless_ranges_are_ended(void **state) {
  (void)state;
  static const char *const chunks[] = {
      "table.move({}, 1, 1 << 62, 2)",
      "table.move({}, 1, 1 << 62, 1, {})",
      "table.move({}, 1, 1 << 62, 0)",
      "table.insert(setmetatable({}, {__len = function() return 1 << 62 end}), 1, 'x')",
      "table.remove(setmetatable({}, {__len = function() return 1 << 62 end}), 1)",
      "table.concat(setmetatable({}, {__index = rawlen}), '', 1, 1 << 62)",
      "table.concat((function() local t = {} for i = 1, 300000 do t[i] = '' end return t end)())",
      "table.concat({('x'):rep(1000000), '', ''}, ('x'):rep(3000000))",
      "table.unpack({}, 1, 900000)",
      "table.unpack(setmetatable({}, {__index = rawlen}), 1, 10000)",
      "table.move('text', 1, 1 << 62, 1, {})",
  };
  vm_test self;
  vm_test_init(&self);
  for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++)
    poll_probe_expect_end(&self, chunks[i]);
  vm_test_expect(&self, "return table.concat(table.move({1, 2, 3}, 1, 3, 2), ',')", "1,1,2,3");
  vm_test_deinit(&self);
}

/* An access to something that has a metatable may take long: it is as many steps. */
static void accesses_with_a_metatable_count_for_more(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  assert_in_range(poll_probe_count(&self, "table.move({}, 1, 10000, 1, {})"), 0, 1);
  assert_in_range(poll_probe_count(&self, "table.move(setmetatable({}, {}), 1, 10000, 1, {})"), 30,
                  50);
  assert_in_range(poll_probe_count(&self, "table.move({}, 1, 10000, 1, setmetatable({}, {}))"), 30,
                  50);
  vm_test_deinit(&self);
}

/* Calls from C, each of them short, are counted together. */
static void short_calls_are_counted_together(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  poll_probe_expect_end(&self,
                        "local t = {} for i = 1, 5000 do t[i] = '' end "
                        "table.unpack(setmetatable(t, {__index = table.concat}), 5001, 9999)");
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(endless_ranges_are_ended),
      cmocka_unit_test(accesses_with_a_metatable_count_for_more),
      cmocka_unit_test(short_calls_are_counted_together),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
