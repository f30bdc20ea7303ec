#include "wire/pattern_key.h"
#include "wire_test.h"

static roost_pattern_key key_of(const char *text) {
  return (roost_pattern_key){roost_slice_text(text), strchr(text, '\\') != NULL};
}

/* Each is before the next: ICU's root order. A space stands for itself. */
static const char *const sorted[] = {
    "",
    "\\t",
    "\\n",
    " ",
    "\xC2\xA0",
    "_",
    "_x",
    "-",
    "-y",
    ",",
    ".",
    "\\\"",
    "(",
    "@",
    "/",
    "\\\\",
    "&",
    "$",
    "0",
    "1",
    "\xC2\xB9",
    "\xC2\xBD",
    "10",
    "1a",
    "2",
    "9",
    "a",
    "A",
    "\xC2\xAA",
    "\xC3\xA1",
    "\xC3\xA0",
    "aa",
    "aA",
    "Aa",
    "\u00E1a",
    "ab",
    "ae",
    "\u00E1e",
    "\xC3\xA6",
    "\xC3\x86",
    "az",
    "b",
    "B",
    "d",
    "\xC3\xB0",
    "e",
    "\xC3\xA9",
    "eb",
    "l",
    "l\xC2\xB7",
    "L\xC2\xB7",
    "s",
    "ss",
    "Ss",
    "\xC3\x9F",
    "sz",
    "z",
    "\xC3\xBE",
    "\xC2\xB5",
    "\xC4\x80",
    "\xE4\xB8\xAD",
    "\xF0\x9F\x98\x80",
};

static void sorts_as_the_root_collation(void **state) {
  (void)state;
  for (size_t i = 0; i < ROWS(sorted); i++) {
    for (size_t j = 0; j < ROWS(sorted); j++) {
      roost_pattern_key a = key_of(sorted[i]);
      roost_pattern_key b = key_of(sorted[j]);
      int order = roost_pattern_key_compare(&a, &b);
      if ((order > 0) != (i > j) || (order < 0) != (i < j))
        print_error("\"%s\" and \"%s\": %d\n", sorted[i], sorted[j], order);
      assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
      assert_int_equal(roost_pattern_key_equal(&a, &b), i == j);
    }
  }
}

static void ignores_control_characters(void **state) {
  (void)state;
  static const char *const same[] = {"ab", "a\\u0000b", "\\u0001ab\\u0002", "a\u00ADb", "ab\x7F"};
  for (size_t i = 0; i < ROWS(same); i++) {
    for (size_t j = 0; j < ROWS(same); j++) {
      roost_pattern_key a = key_of(same[i]);
      roost_pattern_key b = key_of(same[j]);
      assert_int_equal(roost_pattern_key_compare(&a, &b), 0);
      assert_int_equal(roost_pattern_key_equal(&a, &b), i == j);
    }
  }
}

static void sees_through_escapes(void **state) {
  (void)state;
  static const char *const pairs[][2] = {{"a", "\\u0061"},
                                         {"/", "\\/"},
                                         {"\xC3\xA9", "\\u00E9"},
                                         {"\xF0\x9F\x98\x80", "\\ud83d\\uDE00"},
                                         {"\xED\xA0\xBD", "\\ud83d"},
                                         {"\\n", "\\u000a"}};
  for (size_t i = 0; i < ROWS(pairs); i++) {
    roost_pattern_key a = key_of(pairs[i][0]);
    roost_pattern_key b = key_of(pairs[i][1]);
    assert_true(roost_pattern_key_equal(&a, &b));
    assert_int_equal(roost_pattern_key_compare(&a, &b), 0);
  }
}

static void knows_array_indexes(void **state) {
  (void)state;
  static const char *const yes[] = {"0", "1", "42", "4294967294", "\\u0031"};
  static const char *const no[] = {"",           "00",          "01", "-1", "1.0",
                                   "4294967295", "99999999999", "1a", " 1"};
  for (size_t i = 0; i < ROWS(yes); i++) {
    roost_pattern_key key = key_of(yes[i]);
    assert_true(roost_pattern_key_is_index(&key));
  }
  for (size_t i = 0; i < ROWS(no); i++) {
    roost_pattern_key key = key_of(no[i]);
    assert_false(roost_pattern_key_is_index(&key));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sorts_as_the_root_collation),
      cmocka_unit_test(ignores_control_characters),
      cmocka_unit_test(sees_through_escapes),
      cmocka_unit_test(knows_array_indexes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
