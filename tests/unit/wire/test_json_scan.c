#include "wire/json.h"
#include "wire/json_scan.h"
#include "wire_test.h"

static const char *end_of(roost_slice text) {
  return text.ptr + text.len;
}

typedef struct row {
  const char *text;
  int pass;    /* bytes of the value, -1 where it is none */
  int balance; /* the same, only balanced */
} row;

static const row rows[] = {
    {"1,", 1, 1},
    {"-1.5e+3}", 7, 7},
    {"0]", 1, 2},
    {"null ", 4, 4},
    {"true", 4, 4},
    {"falsey", 5, 6},
    {"\"a\\\"b\",", 6, 6},
    {"\"\xC3\xA9\"x", 4, 4},
    {"[]]", 2, 2},
    {"{}}", 2, 2},
    {"[1,[2,{\"a\":\"]}\"}]],3", 18, 18},
    {"[\"0123456789]]]{\\\"]}\",{\"]0123456789\":[]}],3", 41, 41},
    {"[ [[[[[[[[[[[[[]]]]]]]]]]]]],[\"abcdefghijklmnopqrstuvwxyz]\"] ] ]", 62, 62},
    {"[\"0123456789abcdefghi\x01\"]", -1, -1},
    {"[\"0123456789abcdefghi]", -1, -1},
    {"{ \"a\" : [ ] , \"b\" : { } } ,", 25, 25},
    {"[1,2}", -1, 5},
    {"[1,]", -1, 4},
    {"{\"a\"}", -1, 5},
    {"{1:2}", -1, 5},
    {"[[1]", -1, -1},
    {"[\"]", -1, -1},
    {"[\"\\\"]", -1, -1},
    {"[\"\\x\"]", -1, -1},
    {"[\"\n\"]", -1, -1},
    {"\"abc", -1, -1},
    {"\"\\u00e\"", -1, -1},
    {"01", -1, 2},
    {"1.", -1, 2},
    {"-", -1, 1},
    {"1e", -1, 2},
    {"nul", -1, 3},
    {",", -1, -1},
    {"}", -1, -1},
    {"]", -1, 1},
};

static void finds_where_values_end(void **state) {
  (void)state;
  for (size_t i = 0; i < ROWS(rows); i++) {
    roost_slice text = exact_copy(roost_slice_text(rows[i].text));
    const char *pass = roost_json_pass(text.ptr, text.ptr, end_of(text), ROOST_JSON_DEPTH_MAX);
    const char *balance = roost_json_balance(text.ptr, text.ptr, end_of(text));
    int passed = pass != NULL ? (int)(pass - text.ptr) : -1;
    int balanced = balance != NULL ? (int)(balance - text.ptr) : -1;
    if (passed != rows[i].pass || balanced != rows[i].balance)
      print_error("text %s\n", rows[i].text);
    assert_int_equal(passed, rows[i].pass);
    assert_int_equal(balanced, rows[i].balance);
    free_copy(text);
  }
}

static void pass_limits_the_depth_and_balance_does_not(void **state) {
  (void)state;
  static char text[20000];
  memset(text, '[', 10000);
  memset(text + 10000, ']', 10000);
  for (size_t depth = 1; depth <= ROOST_JSON_DEPTH_MAX; depth += 111) {
    const char *start = text + 10000 - depth;
    const char *end = text + 10000 + depth;
    assert_ptr_equal(roost_json_pass(start, start, end, (unsigned)depth), end);
    assert_null(roost_json_pass(start, start, end, (unsigned)depth - 1));
  }
  assert_ptr_equal(roost_json_balance(text, text, text + 20000), text + 20000);
}

/* Strings of every length, with what ends them at every distance from the end of the text. */
static void finds_closing_quotes(void **state) {
  (void)state;
  for (size_t len = 0; len < 40; len++) {
    for (size_t more = 0; more < 20; more++) {
      char bytes[80];
      memset(bytes, 'x', sizeof bytes);
      bytes[len] = '"';
      roost_slice text = exact_copy((roost_slice){bytes, len + 1 + more});
      bool escaped = true;
      assert_ptr_equal(roost_json_quote(text.ptr, text.ptr, end_of(text), &escaped),
                       text.ptr + len);
      assert_false(escaped);
      free_copy(text);
    }
  }
}

static void says_what_stops_a_string(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t stop;
    bool escaped;
  } strings[] = {
      {"ab\"", 2, false},        {"ab", 2, false},
      {"a\\n\"", 3, true},       {"a\\x\"", 1, false},
      {"a\x1F\"", 1, false},     {"\\u00e9\\\"\"", 8, true},
      {"\\\\\\u123\"", 2, true}, {"\\", 0, false},
      {"\\u00e", 0, false},      {"", 0, false},
  };
  for (size_t i = 0; i < ROWS(strings); i++) {
    roost_slice text = exact_copy(roost_slice_text(strings[i].text));
    bool escaped;
    assert_ptr_equal(roost_json_quote(text.ptr, text.ptr, end_of(text), &escaped),
                     text.ptr + strings[i].stop);
    assert_int_equal(escaped, strings[i].escaped);
    free_copy(text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_where_values_end),
      cmocka_unit_test(pass_limits_the_depth_and_balance_does_not),
      cmocka_unit_test(finds_closing_quotes),
      cmocka_unit_test(says_what_stops_a_string),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
