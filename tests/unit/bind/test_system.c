#include "bind_test.h"

static void time_environment_and_chance(void **state) {
  (void)state;
  setenv("ROOST_TEST_VALUE", "set", 1);
  unsetenv("ROOST_TEST_NONE");
  bind_test_expect("return { roost.env('ROOST_TEST_VALUE'), roost.env('ROOST_TEST_NONE', 'd') }",
                   "[\"set\",\"d\"]");
  bind_test_expect("return roost.env('ROOST_TEST_NONE') == nil", "true");
  bind_test_expect("local t = roost.now() roost.sleep(5) return { roost.now() - t, t }",
                   "[5,1000]");
  bind_test_expect("return math.type(roost.time())", "\"integer\"");
  bind_test_expect("return { #roost.random(0), #roost.random(33), roost.random(16) ~= "
                   "roost.random(16) }",
                   "[0,33,true]");
  bind_test_expect("return roost.version:match('^%d+%.%d+%.%d+$') ~= nil", "true");
  bind_test_expect_error("roost.random(-1)", "0 to 1048576 bytes");
  bind_test_expect_error("roost.random(1 << 40)", "0 to 1048576 bytes");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(time_environment_and_chance)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
