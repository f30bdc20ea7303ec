#include "alloc_probe.h"
#include "cli/json_text.h"
#include "core/slice.h"

typedef int transform(roost_buffer *out, roost_slice text);

static void assert_becomes(transform *fn, const char *text, const char *expected) {
  roost_alloc_probe probe;
  roost_buffer out;
  roost_alloc_probe_init(&probe);
  for (size_t allowed = 0;; allowed++) { /* out of memory at every allocation, then without */
    roost_buffer_init(&out, &probe.alloc);
    probe.refuse_after = allowed;
    const int status = fn(&out, roost_slice_text(text));
    probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    const bool done = status != ROOST_ENOMEM;
    if (done) {
      assert_int_equal(status, 0);
      assert_int_equal(out.len, strlen(expected));
      assert_memory_equal(out.ptr, expected, out.len);
    }
    roost_buffer_deinit(&out);
    assert_int_equal(probe.bytes, 0);
    if (done)
      break;
  }
}

static void arguments_are_json_or_text(void **state) {
  (void)state;
  transform *fn = roost_json_text_argument;
  assert_becomes(fn, "{\"cmd\":\"sum\"}", "{\"cmd\":\"sum\"}");
  assert_becomes(fn, "12", "12");
  assert_becomes(fn, "-5", "-5");
  assert_becomes(fn, "null", "null");
  assert_becomes(fn, "\"quoted\"", "\"quoted\"");
  assert_becomes(fn, " [1, 2] ", " [1, 2] ");
  assert_becomes(fn, "sum", "\"sum\"");
  assert_becomes(fn, "", "\"\"");
  assert_becomes(fn, "01", "\"01\"");
  assert_becomes(fn, "{cmd:1}", "\"{cmd:1}\"");
  assert_becomes(fn, "[1] [2]", "\"[1] [2]\"");
  assert_becomes(fn, "\"open", "\"\\\"open\"");
  assert_becomes(fn, "a\nb\xc3\xa9", "\"a\\nb\xc3\xa9\"");
}

static void arguments_must_be_utf8(void **state) {
  (void)state;
  roost_buffer out;
  roost_buffer_init(&out, roost_alloc_default());
  assert_int_equal(roost_json_text_argument(&out, ROOST_SLICE("\xff")), ROOST_EINVAL);
  assert_int_equal(roost_json_text_argument(&out, ROOST_SLICE("\"\xed\xa0\x80\"")), ROOST_EINVAL);
  assert_int_equal(out.len, 0);
  roost_buffer_deinit(&out);
}

static void compacting_leaves_strings_alone(void **state) {
  (void)state;
  transform *fn = roost_json_text_compact;
  assert_becomes(fn, "6", "6");
  assert_becomes(fn, " { \"a b\" :\t[ 1 ,\r\n 2 ] } ", "{\"a b\":[1,2]}");
  assert_becomes(fn, "\" \\\" \\\\\" ", "\" \\\" \\\\\"");
  assert_becomes(fn, "[\"a\\\\\" , \" b \"]", "[\"a\\\\\",\" b \"]");
}

static void errors_are_for_people(void **state) {
  (void)state;
  transform *fn = roost_json_text_error;
  assert_becomes(fn, "\"no \\\"handler\\\"\"", "no \"handler\"");
  assert_becomes(fn, "\"\"", "");
  assert_becomes(fn, "{\"status\":\"error\",\"message\":\"boom\"}", "boom");
  assert_becomes(fn, "{\"message\":\"a\\nb\"}", "a\nb");
  assert_becomes(fn, "{\"code\":42, \"message\":\"m\"}", "m\n{\"code\":42,\"message\":\"m\"}");
  assert_becomes(fn, "{\"status\":\"other\",\"message\":\"m\"}",
                 "m\n{\"status\":\"other\",\"message\":\"m\"}");
  assert_becomes(fn, "{\"message\":{\"a\":1}}", "{\"message\":{\"a\":1}}");
  assert_becomes(fn, "{\"code\":42}", "{\"code\":42}");
  assert_becomes(fn, "[1, 2]", "[1,2]");
  assert_becomes(fn, "true", "true");
  assert_becomes(fn, "{}", "{}");
}

static uint64_t hash(const char *text) {
  uint64_t value = 0;
  roost_buffer scratch;
  roost_buffer_init(&scratch, roost_alloc_default());
  assert_int_equal(roost_json_text_hash(&value, roost_slice_text(text), &scratch), 0);
  roost_buffer_deinit(&scratch);
  return value;
}

static void equal_values_have_equal_hashes(void **state) {
  (void)state;
  static const char *const pairs[][2] = {
      {"{\"a\":1,\"b\":[2,{\"c\":3,\"d\":4}]}", " { \"b\":[2,{\"d\":4,\"c\":3}], \"a\":1 } "},
      {"\"\\u00e9\\n/\"", "\"\u00e9\\u000a\\/\""},
      {"{\"\\u0061\":1}", "{\"a\":1}"},
      {"[1.0,-0.0,1e2,1.5]", "[1,0,100,15e-1]"},
      {"1e400", "2e400"}};
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
    if (hash(pairs[i][0]) != hash(pairs[i][1]))
      fail_msg("%s and %s", pairs[i][0], pairs[i][1]);
}

static void different_values_have_different_hashes(void **state) {
  (void)state;
  static const char *const texts[] = {"0",
                                      "1",
                                      "-1",
                                      "1.5",
                                      "9007199254740993",
                                      "9007199254740992",
                                      "1e300",
                                      "\"\"",
                                      "\"1\"",
                                      "\"a\"",
                                      "\"a\\u0000\"",
                                      "\"abcdefgh\"",
                                      "\"abcdefgi\"",
                                      "\"abcdefghi\"",
                                      "null",
                                      "true",
                                      "false",
                                      "[]",
                                      "{}",
                                      "[[]]",
                                      "[[],[]]",
                                      "[{}]",
                                      "[0]",
                                      "[1]",
                                      "[1,2]",
                                      "[2,1]",
                                      "[12]",
                                      "[[1],2]",
                                      "[1,[2]]",
                                      "[1,2,[]]",
                                      "{\"a\":1}",
                                      "{\"a\":2}",
                                      "{\"b\":1}",
                                      "{\"a\":1,\"b\":2}",
                                      "{\"a\":2,\"b\":1}",
                                      "{\"a\":{\"b\":1}}",
                                      "{\"a\":null}",
                                      "{\"a\":[]}",
                                      "{\"a\":{}}",
                                      "[\"a\",1]",
                                      "[null]",
                                      "[null,null]",
                                      "{\"a\":\"b\"}",
                                      "{\"b\":\"a\"}"};
  const size_t count = sizeof texts / sizeof texts[0];
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < i; k++)
      if (hash(texts[i]) == hash(texts[k]))
        fail_msg("%s and %s", texts[i], texts[k]);
}

static void what_is_not_json_has_no_hash(void **state) {
  (void)state;
  static const char *const texts[] = {"",         "[",        "[1",         "{",     "{\"a\"}",
                                      "{\"a\":}", "{\"a\":1", "[1,]",       "1 2",   "[] []",
                                      "nul",      "\"a",      "{\"a\":1,}", "[1 2]", "{\"a\":[}"};
  roost_buffer scratch;
  uint64_t value;
  roost_buffer_init(&scratch, roost_alloc_default());
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    if (roost_json_text_hash(&value, roost_slice_text(texts[i]), &scratch) != ROOST_EPROTO)
      fail_msg("%s", texts[i]);
  roost_buffer_deinit(&scratch);
}

static void hashing_may_run_out_of_memory(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_buffer scratch;
  uint64_t value;
  roost_alloc_probe_init(&probe);
  roost_buffer_init(&scratch, &probe.alloc);
  probe.refuse_after = 0;
  const roost_slice text = ROOST_SLICE("[1,{\"a\":\"\\n\"}]");
  assert_int_equal(roost_json_text_hash(&value, text, &scratch), ROOST_ENOMEM);
  probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  assert_int_equal(roost_json_text_hash(&value, text, &scratch), 0);
  roost_buffer_deinit(&scratch);
  assert_int_equal(probe.bytes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arguments_are_json_or_text),
      cmocka_unit_test(arguments_must_be_utf8),
      cmocka_unit_test(compacting_leaves_strings_alone),
      cmocka_unit_test(errors_are_for_people),
      cmocka_unit_test(equal_values_have_equal_hashes),
      cmocka_unit_test(different_values_have_different_hashes),
      cmocka_unit_test(what_is_not_json_has_no_hash),
      cmocka_unit_test(hashing_may_run_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
