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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arguments_are_json_or_text),
      cmocka_unit_test(arguments_must_be_utf8),
      cmocka_unit_test(compacting_leaves_strings_alone),
      cmocka_unit_test(errors_are_for_people),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
