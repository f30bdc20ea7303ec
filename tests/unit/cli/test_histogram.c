#include "alloc_probe.h"
#include "cli/histogram.h"

static roost_histogram histogram;

static int start(void **state) {
  (void)state;
  roost_histogram_init(&histogram);
  return 0;
}

static void empty_has_no_quantiles(void **state) {
  (void)state;
  assert_int_equal(roost_histogram_quantile(&histogram, 0), 0);
  assert_int_equal(roost_histogram_quantile(&histogram, 1), 0);
  assert_int_equal(histogram.count, 0);
}

static void one_value_is_every_quantile(void **state) {
  (void)state;
  roost_histogram_record(&histogram, 1234567);
  static const double shares[] = {0, 0.001, 0.5, 0.999, 1};
  for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
    assert_int_equal(roost_histogram_quantile(&histogram, shares[i]), 1234567);
  assert_int_equal(histogram.min, 1234567);
  assert_int_equal(histogram.max, 1234567);
}

static void small_values_are_exact(void **state) {
  (void)state;
  for (uint64_t value = 1; value <= 100; value++)
    roost_histogram_record(&histogram, value);
  for (uint64_t percent = 1; percent <= 100; percent++)
    assert_int_equal(roost_histogram_quantile(&histogram, (double)percent / 100), percent);
  assert_int_equal(roost_histogram_quantile(&histogram, 0.501), 51); /* half is not enough */
  assert_int_equal(histogram.count, 100);
  assert_true(histogram.sum == 5050);
  assert_int_equal(histogram.min, 1);
  assert_int_equal(histogram.max, 100);
}

/* Whatever the size, the answer is not below the value and at most 1/128 above it. */
static void large_values_are_close(void **state) {
  (void)state;
  for (unsigned bit = 0; bit < 64; bit++) {
    for (int offset = -1; offset <= 1; offset++) {
      const uint64_t value = ((uint64_t)1 << bit) + (uint64_t)offset;
      roost_histogram_init(&histogram);
      roost_histogram_record(&histogram, value);
      roost_histogram_record(&histogram, UINT64_MAX); /* so that the bucket's end shows */
      const uint64_t answer = roost_histogram_quantile(&histogram, 0.5);
      assert_true(answer >= value);
      assert_true(answer - value <= value / 128);
    }
  }
}

static void quantiles_grow_with_their_share(void **state) {
  (void)state;
  uint64_t value = 1;
  for (size_t i = 0; i < 10000; i++) {
    value = value * 6364136223846793005u + 1442695040888963407u;
    roost_histogram_record(&histogram, value >> (value % 60));
  }
  uint64_t before = 0;
  for (unsigned share = 0; share <= 1000; share++) {
    const uint64_t now = roost_histogram_quantile(&histogram, (double)share / 1000);
    assert_true(now >= before);
    before = now;
  }
  assert_true(before == histogram.max);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(empty_has_no_quantiles, start),
      cmocka_unit_test_setup(one_value_is_every_quantile, start),
      cmocka_unit_test_setup(small_values_are_exact, start),
      cmocka_unit_test_setup(large_values_are_close, start),
      cmocka_unit_test_setup(quantiles_grow_with_their_share, start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
