#include "transport/rmq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/slice.h"

static void test_wildcards(void **state) {
  (void)state;
  static const char *const yes[] = {"*", "#", "a.*", "*.a", "a.*.b", "a.#", "#.a"};
  static const char *const no[] = {"", "a", "a.b", "a*", "**", "a.b#", "{\"a\":\"*\"}"};
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
    assert_true(roost_rmq_is_wildcard(roost_slice_text(yes[i])));
  for (size_t i = 0; i < sizeof no / sizeof *no; i++)
    assert_false(roost_rmq_is_wildcard(roost_slice_text(no[i])));
}

static void test_matches(void **state) {
  (void)state;
  static const struct {
    const char *wildcard;
    const char *key;
    bool matches;
  } rows[] = {
      {"a", "a", true},         {"a", "b", false},       {"a.b", "a", false},
      {"*", "a", true},         {"*", "a.b", false},     {"*", "", false},
      {"a.*", "a.b", true},     {"a.*", "a", false},     {"a.*", "a.b.c", false},
      {"a.*.c", "a.b.c", true}, {"a.*.c", "a.c", false}, {"*.*", "a.b", true},
      {"#", "a", true},         {"#", "a.b.c", true},    {"#", "", true},
      {"a.#", "a", true},       {"a.#", "a.b", true},    {"a.#", "a.b.c", true},
      {"a.#", "b", false},      {"a.*.#", "a.b", true},  {"a.*.#", "a", false},
      {"#.a", "b.a", false}, /* Nest knows it only as the last one */
      {"a..b", "a..b", true},   {"a..b", "a.b", false},  {"", "", true},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const bool got =
        roost_rmq_matches(roost_slice_text(rows[i].wildcard), roost_slice_text(rows[i].key));
    if (got != rows[i].matches)
      fail_msg("%s and %s", rows[i].wildcard, rows[i].key);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_wildcards),
                                     cmocka_unit_test(test_matches)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
