#include "alloc_probe.h"
#include "roost.h"

static void names_every_code(void **state) {
  (void)state;
  assert_string_equal(roost_status_name(ROOST_OK), "ROOST_OK");
  assert_string_equal(roost_status_name(ROOST_ENOMEM), "ROOST_ENOMEM");
  assert_string_equal(roost_status_name(ROOST_EGONE), "ROOST_EGONE");
  assert_string_equal(roost_status_name(ROOST_EUNSUPPORTED), "ROOST_EUNSUPPORTED");
  for (int status = 0; status >= ROOST_EUNSUPPORTED; status--)
    assert_string_not_equal(roost_status_name(status), "ROOST_E?");
}

static void knows_what_is_no_code(void **state) {
  (void)state;
  assert_string_equal(roost_status_name(1), "ROOST_E?");
  assert_string_equal(roost_status_name(ROOST_EUNSUPPORTED - 1), "ROOST_E?");
  assert_string_equal(roost_status_name(INT32_MIN), "ROOST_E?");
  assert_string_equal(roost_status_name(INT32_MAX), "ROOST_E?");
}

static void version_is_the_header_s(void **state) {
  (void)state;
  assert_int_equal(roost_version(),
                   ROOST_VERSION_MAJOR * 10000 + ROOST_VERSION_MINOR * 100 + ROOST_VERSION_PATCH);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_every_code),
      cmocka_unit_test(knows_what_is_no_code),
      cmocka_unit_test(version_is_the_header_s),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
