#include "alloc_probe.h"

#include "core/slice.h"
#include "transport/redis_internal.h"

static bool matches(const char *pattern, const char *text) {
  return roost_redis_glob_matches(roost_slice_text(pattern), roost_slice_text(text));
}

/* What redis-server 7 said of each pair, by a subscription and a message. */
static void as_redis_matches(void **state) {
  (void)state;
  static const char *const yes[][2] = {
      {"", ""},
      {"a", "a"},

      {"*", "abc"},
      {"a*", "a"},
      {"a*c", "abc"},
      {"a*c", "ac"},
      {"*.reply", "a.b.reply"},
      {"a**b", "ab"},
      {"a?c", "abc"},
      {"a.[bc]", "a.c"},
      {"[a-c]x", "bx"},
      {"[c-a]x", "bx"},
      {"[^a]x", "bx"},
      {"\\*", "*"},
      {"a\\?", "a?"},
      {"[\\]]", "]"},
      {"[a\\-c]", "-"},
      {"*a*b*", "xaybz"},
      {"orders.*", "orders."},
      {"[abc", "a"},
      {"a\\", "a\\"},
      {"{\"a\":*}", "{\"a\":1}"},
  };
  static const char *const no[][2] = {
      {"", "a"},
      {"a", ""},
      {"a", "b"},
      {"a?c", "ac"},
      {"a*c", "abd"},
      {"[a-c]", "d"},
      {"[^a-c]", "b"},
      {"\\*", "a"},
      {"[\\]]", "\\"},
      {"[]", "]"},
      {"[a\\-c]", "b"},
      {"*.reply", "a.repl"},
      {"orders.*", "orders"},
      {"?", ""},
  };
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
    if (!matches(yes[i][0], yes[i][1]))
      fail_msg("%s does not match %s", yes[i][0], yes[i][1]);
  for (size_t i = 0; i < sizeof no / sizeof *no; i++)
    if (matches(no[i][0], no[i][1]))
      fail_msg("%s matches %s", no[i][0], no[i][1]);
}

static void what_is_a_pattern(void **state) {
  (void)state;
  static const char *const globs[] = {"*", "a?", "[a]", "a.[", "\\*"};
  static const char *const texts[] = {"", "a.b", "a\\", "{\"a\":1}", "]", "^"};
  for (size_t i = 0; i < sizeof globs / sizeof *globs; i++)
    assert_true(roost_redis_is_glob(roost_slice_text(globs[i])));
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    assert_false(roost_redis_is_glob(roost_slice_text(texts[i])));
}

/* Many stars on a text that does not match: no more than the square of it. */
static void stars_take_no_time(void **state) {
  char pattern[201], text[2001];
  (void)state;
  for (size_t i = 0; i < 200; i++)
    pattern[i] = i % 2 == 0 ? 'a' : '*';
  memset(text, 'a', 2000);
  pattern[199] = 'b';
  pattern[200] = text[2000] = '\0';
  assert_false(matches(pattern, text));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(as_redis_matches),
      cmocka_unit_test(what_is_a_pattern),
      cmocka_unit_test(stars_take_no_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
