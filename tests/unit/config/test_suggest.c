#include "alloc_probe.h"
#include "config/suggest.h"

static const char *nearest(const char *word) {
  static const char *const candidates[] = {
      "port",        "host",        "transport",       "max_in_flight",
      "max_streams", "retry_delay", "request_timeout", "tls"};
  roost_suggestion near = {.word = word};
  for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++)
    roost_suggest(&near, candidates[i]);
  return near.best;
}

static void finds_what_was_meant(void **state) {
  (void)state;
  assert_string_equal(nearest("prot"), "port"); /* swapped */
  assert_string_equal(nearest("por"), "port");
  assert_string_equal(nearest("ports"), "port");
  assert_string_equal(nearest("hosr"), "host");
  assert_string_equal(nearest("maxInFlight"),
                      "max_in_flight"); /* letters count without their case */
  assert_string_equal(nearest("request_timeuot"), "request_timeout");
  assert_string_equal(nearest("tsl"), "tls");
}

static void says_nothing_where_nothing_is_near(void **state) {
  (void)state;
  assert_null(nearest("colour"));
  assert_null(nearest(""));
  assert_null(nearest("x"));
  assert_null(nearest("a_word_that_is_far_longer_than_any_key_could_ever_be"));
}

static void the_nearest_wins(void **state) {
  (void)state;
  roost_suggestion near = {.word = "request"};
  roost_suggest(&near, "requesting");
  roost_suggest(&near, "requests");
  roost_suggest(&near, "requestss");
  assert_string_equal(near.best, "requests");
  assert_int_equal(near.distance, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_what_was_meant),
      cmocka_unit_test(says_nothing_where_nothing_is_near),
      cmocka_unit_test(the_nearest_wins),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
