#include "alloc_probe.h"
#include "core/error_text.h"

static void names_become_texts(void **state) {
  (void)state;
  assert_string_equal(roost_error_text("ECONNREFUSED"), "Connection refused");
  assert_string_equal(roost_error_text("EADDRINUSE"), "Address already in use");
  assert_string_equal(roost_error_text("EPERM"), "Operation not permitted");
  assert_string_equal(roost_error_text("EHWPOISON"), "Memory page has hardware error");
  assert_string_equal(roost_error_text("ENOTFOUND"), "No such host");
  assert_string_equal(roost_error_text("ETLS: certificate has expired"), "certificate has expired");
}

static void other_texts_stay(void **state) {
  (void)state;
  assert_string_equal(roost_error_text("timed out"), "timed out");
  assert_string_equal(roost_error_text(""), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_become_texts),
      cmocka_unit_test(other_texts_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
