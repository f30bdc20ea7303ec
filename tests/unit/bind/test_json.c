#include "bind_test.h"

static void values_and_text(void **state) {
  (void)state;
  bind_test_expect("return roost.json.encode{ 1, 'x', roost.null, {} }",
                   "\"[1,\\\"x\\\",null,{}]\"");
  bind_test_expect("return roost.json.decode'{\"a\":[]}'", "{\"a\":[]}");
  bind_test_expect("return { roost.array(), roost.array{}, roost.array{ 1 } }", "[[],[],[1]]");
  bind_test_expect("return roost.bytes('a')", "{\"type\":\"Buffer\",\"data\":[97]}");
  bind_test_expect("return roost.null == require('cjson').null", "true");
  bind_test_expect("return roost.json.decode'null' == roost.null", "true");
}

static void errors_say_where(void **state) {
  (void)state;
  bind_test_expect_error("roost.json.decode'[1,'", "not JSON: ");
  bind_test_expect_error("roost.json.decode'[\"\\255\"]'", "not JSON: not UTF-8 at byte 3");
  bind_test_expect_error("roost.json.encode{ a = { print } }", "a[1]: a function cannot be sent");
  bind_test_expect_error("roost.array(5)", "table expected");
  bind_test_expect_error("roost.json.encode()", "value expected");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_and_text),
      cmocka_unit_test(errors_say_where),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
