#include "alloc_probe.h"
#include "config/problems.h"

static void keeps_them_in_order(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_problems problems;
  char text[32];
  roost_alloc_probe_init(&probe);
  roost_problems_init(&problems, &probe.alloc);
  for (int i = 0; i < 20; i++)
    roost_problems_add(&problems, i % 2 ? ROOST_PROBLEM_ERROR : ROOST_PROBLEM_WARNING,
                       "line one\nnumber %d", i);
  assert_int_equal(problems.count, 20);
  assert_int_equal(problems.errors, 10);
  for (int i = 0; i < 20; i++) {
    snprintf(text, sizeof text, "line one number %d", i);
    assert_string_equal(problems.items[i].text, text);
    assert_int_equal(problems.items[i].severity, i % 2);
  }
  roost_problems_deinit(&problems);
  assert_int_equal(problems.count, 0);
  assert_int_equal(probe.bytes, 0);
}

static void an_error_that_was_not_kept_still_counts(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_problems problems;
  roost_alloc_probe_init(&probe);
  for (size_t allowed = 0; allowed < 2; allowed++) {
    roost_problems_init(&problems, &probe.alloc);
    probe.refuse_after = allowed;
    roost_problems_add(&problems, ROOST_PROBLEM_ERROR, "x");
    assert_int_equal(problems.status, ROOST_ENOMEM);
    assert_int_equal(problems.errors, 1);
    assert_int_equal(problems.count, 0);
    probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    roost_problems_deinit(&problems);
    assert_int_equal(probe.bytes, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_them_in_order),
      cmocka_unit_test(an_error_that_was_not_kept_still_counts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
