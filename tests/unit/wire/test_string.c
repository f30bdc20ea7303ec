#include "wire/string.h"

#include <math.h>

#include "wire/json.h"
#include "wire_test.h"

typedef struct row {
  const char *escaped; /* as it stands in JSON, without the quotes */
  const char *plain;
  size_t len; /* of plain */
} row;

static const row readings[] = {
    {"", "", 0},
    {"abc", "abc", 3},
    {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8},
    {"\\u0000x", "\0x", 2},
    {"\\u0041\\u00e9\\u00E9\\u20AC", "A\xC3\xA9\xC3\xA9\xE2\x82\xAC", 8},
    {"\\ud83d\\ude00", "\xF0\x9F\x98\x80", 4},
    {"\\uDBFF\\uDFFF", "\xF4\x8F\xBF\xBF", 4},
    {"\\ud83d", "\xED\xA0\xBD", 3},
    {"\\ude00", "\xED\xB8\x80", 3},
    {"\\ud83dx", "\xED\xA0\xBDx", 4},
    {"\\ud83d\\n", "\xED\xA0\xBD\n", 4},
    {"\\ud83d\\u0041",
     "\xED\xA0\xBD"
     "A",
     4},
    {"\\ud83d\\ud83d\\ude00", "\xED\xA0\xBD\xF0\x9F\x98\x80", 7},
    {"\\ude00\\ud83d", "\xED\xB8\x80\xED\xA0\xBD", 6},
    {"a long text with one \\u00e9 in the middle of it",
     "a long text with one \xC3\xA9 in the middle of it", 43},
};

static void takes_escapes_out(void **state) {
  (void)state;
  for (size_t i = 0; i < ROWS(readings); i++) {
    roost_slice text = exact_copy(roost_slice_text(readings[i].escaped));
    char *out = malloc(text.len + 1);
    assert_non_null(out);
    assert_slice((roost_slice){out, roost_json_unescape(out, text)}, readings[i].plain,
                 readings[i].len);
    free(out);
    free_copy(text);
  }
}

static const row writings[] = {
    {"\"\"", "", 0},
    {"\"abc\"", "abc", 3},
    {"\"\\\"\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
    {"\"\\u0000\\u0001\\u001f\x7F\"", "\0\1\x1F\x7F", 4},
    {"\"\xC3\xA9\xE2\x82\xAC\xE2\x80\xA8\xF0\x9F\x98\x80\"",
     "\xC3\xA9\xE2\x82\xAC\xE2\x80\xA8\xF0\x9F\x98\x80", 12},
    {"\"\\ud83d\"", "\xED\xA0\xBD", 3},
    {"\"x\\udfffy\"", "x\xED\xBF\xBFy", 5},
    {"\"0123456789abcdef0123456789abcdef\\n\"", "0123456789abcdef0123456789abcdef\n", 33},
};

static void puts_escapes_in(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < ROWS(writings); i++) {
    roost_slice text = exact_copy((roost_slice){writings[i].plain, writings[i].len});
    roost_buffer_clear(&f->out);
    assert_int_equal(roost_json_write_string(&f->out, text), 0);
    assert_text(roost_buffer_slice(&f->out), writings[i].escaped);
    assert_int_equal(roost_json_validate(roost_buffer_slice(&f->out)), 0);
    free_copy(text);
  }
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_json_write_string(&f->out, (roost_slice){NULL, 0}), 0);
  assert_text(roost_buffer_slice(&f->out), "\"\"");
}

static void refuses_what_is_not_utf8(void **state) {
  fixture *f = *state;
  static const char *const broken[] = {"\xFF",         "a\xC3",    "\xE2\x82",
                                       "\xF0\x9F\x98", "\xC0\xAF", "\xF4\x90\x80\x80",
                                       "\xED\xA0",     "x\ny\x80", "\xED\xA0x"};
  assert_int_equal(roost_buffer_append(&f->out, "kept", 4), 0);
  for (size_t i = 0; i < ROWS(broken); i++) {
    roost_slice text = exact_copy(roost_slice_text(broken[i]));
    assert_int_equal(roost_json_write_string(&f->out, text), ROOST_EINVAL);
    assert_text(roost_buffer_slice(&f->out), "kept");
    free_copy(text);
  }
}

/* Every byte an escape of six: the most a text can grow. */
static void grows_as_needed_or_not_at_all(void **state) {
  fixture *f = *state;
  char text[1000];
  memset(text, 1, sizeof text);
  assert_int_equal(roost_json_write_string(&f->out, (roost_slice){text, sizeof text}), 0);
  assert_int_equal(f->out.len, 6 * sizeof text + 2);
  for (size_t refuse_after = 0; refuse_after < 3; refuse_after++) {
    roost_buffer_deinit(&f->out);
    assert_int_equal(roost_buffer_append(&f->out, "kept", 4), 0);
    f->probe.refuse_after = refuse_after;
    assert_int_equal(roost_json_write_string(&f->out, (roost_slice){text, sizeof text}),
                     ROOST_ENOMEM);
    assert_text(roost_buffer_slice(&f->out), "kept");
    f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  }
}

static void writes_numbers(void **state) {
  fixture *f = *state;
  static const double values[] = {1.0,        0.5, -0.0, 1e21, (double)INFINITY, (double)-INFINITY,
                                  (double)NAN};
  assert_int_equal(roost_json_write_integer(&f->out, INT64_MIN), 0);
  for (size_t i = 0; i < ROWS(values); i++) {
    assert_int_equal(roost_buffer_append_byte(&f->out, ' '), 0);
    assert_int_equal(roost_json_write_double(&f->out, values[i]), 0);
  }
  assert_text(roost_buffer_slice(&f->out), "-9223372036854775808 1 0.5 0 1e+21 null null null");
  roost_buffer_deinit(&f->out);
  f->probe.refuse_after = 0;
  assert_int_equal(roost_json_write_integer(&f->out, 1), ROOST_ENOMEM);
  assert_int_equal(roost_json_write_double(&f->out, 1.5), ROOST_ENOMEM);
  assert_int_equal(roost_json_write_double(&f->out, (double)NAN), ROOST_ENOMEM);
}

static void reads_single_characters(void **state) {
  (void)state;
  roost_slice text = ROOST_SLICE("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xED\xA0\xBD");
  static const uint32_t expected[] = {'a', 0xE9, 0x20AC, 0x1F600, 0xD83D};
  const char *at = text.ptr;
  for (size_t i = 0; i < ROWS(expected); i++)
    assert_int_equal(roost_string_character(&at, text.ptr + text.len), expected[i]);
  assert_ptr_equal(at, text.ptr + text.len);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(takes_escapes_out),
      cmocka_unit_test_setup_teardown(puts_escapes_in, set_up, tear_down),
      cmocka_unit_test_setup_teardown(refuses_what_is_not_utf8, set_up, tear_down),
      cmocka_unit_test_setup_teardown(grows_as_needed_or_not_at_all, set_up, tear_down),
      cmocka_unit_test_setup_teardown(writes_numbers, set_up, tear_down),
      cmocka_unit_test(reads_single_characters),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
