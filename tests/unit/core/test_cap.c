#include "alloc_probe.h"
#include "core/cap.h"

static void it_refuses_what_is_over_the_limit(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_cap cap;
  roost_alloc_probe_init(&probe);
  roost_cap_init(&cap, &probe.alloc, 100);
  char *first = roost_alloc_get(&cap.alloc, 60);
  assert_non_null(first);
  assert_null(roost_alloc_get(&cap.alloc, 41));
  assert_null(roost_alloc_get(&cap.alloc, SIZE_MAX));
  char *second = roost_alloc_get(&cap.alloc, 40);
  assert_non_null(second);
  assert_int_equal(roost_cap_held(&cap), 100);
  assert_null(roost_alloc_resize(&cap.alloc, first, 60, 61));
  first = roost_alloc_resize(&cap.alloc, first, 60, 10);
  assert_int_equal(roost_cap_held(&cap), 50);
  first = roost_alloc_resize(&cap.alloc, first, 10, 60);
  assert_non_null(first);
  roost_alloc_put(&cap.alloc, first, 60);
  roost_alloc_put(&cap.alloc, second, 40);
  assert_int_equal(roost_cap_held(&cap), 0);
  assert_int_equal(probe.bytes, 0);
}

static void what_was_refused_below_is_not_counted(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_cap cap;
  roost_alloc_probe_init(&probe);
  roost_cap_init(&cap, &probe.alloc, 100);
  char *ptr = roost_alloc_get(&cap.alloc, 10);
  probe.refuse_after = 0;
  assert_null(roost_alloc_get(&cap.alloc, 10));
  assert_null(roost_alloc_resize(&cap.alloc, ptr, 10, 20));
  assert_int_equal(roost_cap_held(&cap), 10);
  roost_alloc_put(&cap.alloc, ptr, 10);
  assert_int_equal(roost_cap_held(&cap), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_refuses_what_is_over_the_limit),
      cmocka_unit_test(what_was_refused_below_is_not_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
