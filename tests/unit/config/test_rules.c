#include "core/slice.h"
#include "load_settings.h"

/* Loads one server with these rules. */
static const roost_allow *load_rules(load_case *load, const char *rules) {
  char text[2048];
  snprintf(text, sizeof text, "return { services = {}, servers = { { allow = %s } } }", rules);
  load_text(load, text);
  return load->settings != NULL ? load->settings->servers[0].allow : NULL;
}

static void without_the_key_nobody_is_asked(void **state) {
  load_case *load = *state;
  assert_null(load_rules(load, "nil"));
  assert_int_equal(load->problems.count, 0);
  load_text(load, "return { services = {} }");
  assert_null(load->settings->servers[0].allow);
}

static void rules_are_compiled(void **state) {
  load_case *load = *state;
  const roost_allow *allow = load_rules(
      load, "{ { peer = 'CN=billing', patterns = { 'orders.*', { cmd = 'sum', a = { 1 } }, 7, 1.5, "
            "'{\"b\":\"*\"}', { cmd = 'a.*' } } }, { peer = '*' }, { peer = '10.0.0.0/8' } }");
  static const char *const routes[] = {
      "orders.*",         "{\"a\":{\"0\":1},\"cmd\":\"sum\"}", "7", "1.5", "{\"b\":\"*\"}",
      "{\"cmd\":\"a.*\"}"};
  assert_int_equal(load->problems.errors, 0);
  assert_int_equal(allow->rule_count, 3);
  const roost_allow_rule *rule = &allow->rules[0];
  assert_int_equal(rule->peer.kind, ROOST_ALLOW_NAME);
  assert_string_equal(rule->peer.name, "billing");
  assert_false(rule->all);
  assert_int_equal(rule->route_count, 6);
  for (size_t i = 0; i < 6; i++) {
    assert_true(roost_slice_equal(rule->routes[i].route, roost_slice_text(routes[i])));
    assert_int_equal(rule->routes[i].wildcard, i == 0);
  }
  assert_int_equal(allow->rules[1].peer.kind, ROOST_ALLOW_ANY);
  assert_true(allow->rules[1].all);
  assert_int_equal(allow->rules[2].peer.kind, ROOST_ALLOW_NETWORK);
}

static void what_is_wrong_is_named(void **state) {
  static const char *const cases[][2] = {
      {"5", ": expected a list, got 5"},
      {"{ x = 1 }", ": expected a list, found the key \"x\""},
      {"{ 5 }", "[1]: expected a table, got 5"},
      {"{ { peer = '*' }, { pear = '*', peer = '*' } }",
       "[2].pear: unknown key (did you mean \"peer\"?)"},
      {"{ {} }", "[1].peer: is missing; \"*\" means everybody"},
      {"{ { peer = 5 } }", "[1].peer: expected text, got 5"},
      {"{ { peer = 'a\\0b' } }", "[1].peer: must not contain a NUL byte"},
      {"{ { peer = '*' }, { peer = 'billing' } }",
       "[2].peer: expected CN=, DNS:, sha256:, an address, a CIDR or *, got \"billing\""},
      {"{ { peer = '10.0.0.0/33' } }",
       "[1].peer: an IPv4 address has 32 bits, got \"10.0.0.0/33\""},
      {"{ { peer = '*', patterns = 'a' } }", "[1].patterns: expected a list, got \"a\""},
      {"{ { peer = '*', patterns = { a = 1 } } }",
       "[1].patterns: expected a list, found the key \"a\""},
      {"{ { peer = '*', patterns = { 'a', true } } }",
       "[1].patterns[2]: a pattern is text, a number or a table"},
      {"{ { peer = '*', patterns = { tostring } } }",
       "[1].patterns[1]: no pattern: a function cannot be sent"},
      {"{ { peer = '*', patterns = { '\\xff' } } }",
       "[1].patterns[1]: no pattern: text is not UTF-8 (roost.bytes sends binary)"},
      {"{ { peer = '*', patterns = { { a = { b = { c = { d = { e = { f = { g = 1 } } } } } } } } } "
       "}",
       "[1].patterns[1]: the pattern is nested deeper than 5 levels below the top"},
  };
  load_case *load = *state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char expected[256];
    (void)load_rules(load, cases[i][0]);
    snprintf(expected, sizeof expected, "host.lua: servers[1].allow%s", cases[i][1]);
    assert_error(load, expected);
  }
}

static void rules_that_permit_nothing_are_pointed_out(void **state) {
  load_case *load = *state;
  const roost_allow *allow = load_rules(load, "{}");
  assert_int_equal(allow->rule_count, 0);
  assert_warning(load, "host.lua: servers[1].allow: has no rule, so everything is refused "
                       "(without it, nothing)");
  allow = load_rules(load, "{ { peer = '*', patterns = {} } }");
  assert_false(allow->rules[0].all);
  assert_int_equal(allow->rules[0].route_count, 0);
  assert_warning(load, "host.lua: servers[1].allow[1].patterns: is empty, so the rule permits "
                       "nothing (without it, everything)");
}

static void rules_about_certificates_nobody_is_asked_for(void **state) {
  load_case *load = *state;
  static const char warning[] = "host.lua: servers[1].allow[2].peer: nobody is known by a "
                                "certificate here: tls.verify asks for none";
  (void)load_rules(load, "{ { peer = '10.0.0.1' }, { peer = 'CN=a' } }");
  assert_warning(load, warning);
  load_text(load,
            "return { services = {}, servers = { { tls = { key = 'k', cert = 'c' }, allow = { "
            "{ peer = '*' }, { peer = 'DNS:a' } } } } }");
  assert_warning(load, warning);
  load_text(load, "return { services = {}, servers = { { tls = { key = 'k', cert = 'c', ca = 'c', "
                  "verify = 'optional' }, allow = { { peer = 'DNS:a' } } } } }");
  assert_int_equal(load->problems.count, 0);
}

static void out_of_memory_anywhere(void **state) {
  load_case *load = *state;
  for (size_t n = 0;; n++) {
    load->probe.refuse_after = n;
    (void)load_rules(load, "{ { peer = 'CN=a', patterns = { 'a.*', { b = 1 } } } }");
    load->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    if (load->status == 0)
      return;
    assert_int_equal(load->status, ROOST_ENOMEM);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(without_the_key_nobody_is_asked),
      LOAD_TEST(rules_are_compiled),
      LOAD_TEST(what_is_wrong_is_named),
      LOAD_TEST(rules_that_permit_nothing_are_pointed_out),
      LOAD_TEST(rules_about_certificates_nobody_is_asked_for),
      LOAD_TEST(out_of_memory_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
