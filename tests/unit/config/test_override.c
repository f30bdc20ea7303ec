#include "load_settings.h"

static void sets_values_of_every_kind(void **state) {
  load_case *load = *state;
  load_set(load, "limits.request_timeout", "1234");
  load_set(load, "servers.1.port", "4000");
  load_set(load, "servers[2].port", "0x10");
  load_set(load, "servers.2.host", "localhost"); /* a word, not a variable */
  load_set(load, "log.level", "\"debug\"");
  load_set(load, "wildcards", "true");
  load_set(load, "servers.1.services", "{'a', 'b'}");
  load_text(load, "return { services = {}, servers = { { port = 1, name = 'first' } } }");
  assert_int_equal(load->status, 0);
  assert_int_equal(load->settings->limits.request_timeout, 1234);
  assert_int_equal(load->settings->server_count, 2);
  assert_int_equal(load->settings->servers[0].port, 4000);
  assert_string_equal(load->settings->servers[0].name, "first");
  assert_string_equal(load->settings->servers[0].services[1], "b");
  assert_int_equal(load->settings->servers[1].port, 16);
  assert_string_equal(load->settings->servers[1].host, "localhost");
  assert_int_equal(load->settings->log_level, ROOST_LOG_DEBUG);
  assert_true(load->settings->wildcards);
}

static void the_last_one_wins_and_nil_takes_away(void **state) {
  load_case *load = *state;
  load_set(load, "log.level", "debug");
  load_set(load, "log.level", "error");
  load_set(load, "limits", "nil");
  load_text(load, "return { services = {}, limits = 'nonsense' }");
  assert_int_equal(load->status, 0);
  assert_int_equal(load->settings->log_level, ROOST_LOG_ERROR);
}

static void text_that_is_no_literal_is_text(void **state) {
  static const char *const texts[] = {"plain",  "with space", "a/b.lua",  "10.0.0.1",  "",
                                      "\"open", "1, 2",       "print(1)", "a..b",      "-",
                                      "return", "...",        "x = 1",    "} return {"};
  load_case *load = *state;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    load->override_count = 0;
    load_set(load, "servers.1.name", texts[i]);
    load_text(load, "return { services = {} }");
    if (texts[i][0] == '\0') {
      assert_error(load, "host.lua: servers[1].name: must not be empty");
      continue;
    }
    assert_int_equal(load->status, 0);
    assert_string_equal(load->settings->servers[0].name, texts[i]);
  }
}

static void plain_ones_are_never_literals(void **state) {
  load_case *load = *state;
  load->overrides[load->override_count++] = (roost_override){"servers.1.name", "12", true};
  load_text(load, "return { services = {} }");
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->servers[0].name, "12");
}

static void a_literal_cannot_run_for_ever(void **state) {
  load_case *load = *state;
  load_set(load, "servers.1.name", "(function() while true do end end)()");
  load_text(load, "return { services = {} }");
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->servers[0].name, "(function() while true do end end)()");
}

static void says_what_is_no_key(void **state) {
  static const char *const keys[] = {"",    ".",    "a..b", ".a",    "a.", "a[",
                                     "a[]", "a[x]", "a[1",  "a.[1]", "a]["};
  load_case *load = *state;
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    char expected[96];
    load->override_count = 0;
    load_set(load, keys[i], "1");
    load_text(load, "return { services = {} }");
    assert_true(load->problems.errors >= 1);
    snprintf(expected, sizeof expected, "%s=1: \"%s\" is not a key, as servers[1].port is", keys[i],
             keys[i]);
    assert_string_equal(load->problems.items[0].text, expected);
  }
}

static void says_what_is_no_table(void **state) {
  load_case *load = *state;
  load_set(load, "log.level.x", "1");
  load_text(load, "return { services = {}, log = { level = 'info' } }");
  assert_error(load, "log.level.x=1: cannot be set in \"info\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(sets_values_of_every_kind),       LOAD_TEST(the_last_one_wins_and_nil_takes_away),
      LOAD_TEST(text_that_is_no_literal_is_text), LOAD_TEST(plain_ones_are_never_literals),
      LOAD_TEST(a_literal_cannot_run_for_ever),   LOAD_TEST(says_what_is_no_key),
      LOAD_TEST(says_what_is_no_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
