#include "wire/utf8.h"
#include "wire_test.h"

#define FFFD "\xEF\xBF\xBD"

typedef struct row {
  const char *text;
  size_t valid;         /* bytes before the first broken one */
  const char *repaired; /* NULL: as text */
} row;

static const row rows[] = {
    {"", 0, NULL},
    {"plain", 5, NULL},
    {"h\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80!", 11, NULL},
    {"\xEF\xBB\xBFx", 4, NULL},
    {"\xF4\x8F\xBF\xBF", 4, NULL},
    {"\xED\x9F\xBF\xEE\x80\x80", 6, NULL},
    {"\xFF", 0, FFFD},
    {"a\xC3", 1, "a" FFFD},
    {"\xE2\x82", 0, FFFD},
    {"\xF0\x9F\x98", 0, FFFD},
    {"\xF0\x9F\x98x", 0, FFFD "x"},
    {"\xED\xA0\x80", 0, FFFD FFFD FFFD},
    {"\xC0\xAF", 0, FFFD FFFD},
    {"\xE0\x80\xAF", 0, FFFD FFFD FFFD},
    {"\xF4\x90\x80\x80", 0, FFFD FFFD FFFD FFFD},
    {"\xF8\x88\x80", 0, FFFD FFFD FFFD},
    {"\x80\xBF", 0, FFFD FFFD},
    {"\xE2\x82\xE2\x82\xAC", 0, FFFD "\xE2\x82\xAC"},
    {"\xC3\xA9\xC3\xC3\xA9", 2, "\xC3\xA9" FFFD "\xC3\xA9"},
    {"0123456789abcdef0123456789abcdef\xC3", 32, "0123456789abcdef0123456789abcdef" FFFD},
};

static void finds_and_repairs_what_is_broken(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < ROWS(rows); i++) {
    roost_slice text = exact_copy(roost_slice_text(rows[i].text));
    roost_buffer_clear(&f->out);
    assert_int_equal(roost_utf8_valid_prefix(text), rows[i].valid);
    assert_int_equal(roost_utf8_repair(&f->out, text), 0);
    assert_text(roost_buffer_slice(&f->out), rows[i].repaired ? rows[i].repaired : rows[i].text);
    assert_int_equal(roost_utf8_valid_prefix(roost_buffer_slice(&f->out)), f->out.len);
    free_copy(text);
  }
}

static void counts_utf16(void **state) {
  (void)state;
  assert_int_equal(roost_utf8_utf16_length((roost_slice){NULL, 0}), 0);
  assert_int_equal(roost_utf8_utf16_length(ROOST_SLICE("abc")), 3);
  assert_int_equal(roost_utf8_utf16_length(ROOST_SLICE("\xC3\xA9")), 1);
  assert_int_equal(roost_utf8_utf16_length(ROOST_SLICE("\xE2\x82\xAC")), 1);
  assert_int_equal(roost_utf8_utf16_length(ROOST_SLICE("\xF0\x9F\x98\x80")), 2);
}

static void repair_reports_no_memory(void **state) {
  fixture *f = *state;
  f->probe.refuse_after = 0;
  assert_int_equal(roost_utf8_repair(&f->out, ROOST_SLICE("\xFF")), ROOST_ENOMEM);
  assert_int_equal(roost_utf8_repair(&f->out, ROOST_SLICE("x\xFF")), ROOST_ENOMEM);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(finds_and_repairs_what_is_broken, set_up, tear_down),
      cmocka_unit_test(counts_utf16),
      cmocka_unit_test_setup_teardown(repair_reports_no_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
