#include <time.h>

#include "alloc_probe.h"
#include "core/clock.h"

static void real_time_is_the_system_s(void **state) {
  (void)state;
  const roost_clock clock = {.fake = false, .now_us = 5, .wall_us = 5};
  const uint64_t first = roost_clock_now_us(&clock);
  assert_true(roost_clock_now_us(&clock) >= first);
  const uint64_t before = (uint64_t)time(NULL);
  const uint64_t wall = roost_clock_wall_us(&clock);
  assert_true(wall / 1000000 + 1 >= before);
  assert_true(wall / 1000000 <= (uint64_t)time(NULL));
}

static void fake_time_moves_when_told(void **state) {
  (void)state;
  roost_clock clock = {.fake = true, .now_us = 5, .wall_us = 1700000000000000};
  assert_int_equal(roost_clock_now_us(&clock), 5);
  assert_int_equal(roost_clock_wall_us(&clock), 1700000000000000);
  roost_clock_advance_ms(&clock, 250);
  assert_int_equal(roost_clock_now_us(&clock), 250005);
  assert_int_equal(roost_clock_wall_us(&clock), 1700000000250000);
}

static void time_goes_on_from_where_a_fake_clock_was(void **state) {
  (void)state;
  roost_clock clock = {.fake = false};
  const uint64_t before = roost_clock_now_us(&clock);
  roost_clock_set_fake(&clock, true);
  const uint64_t stopped = roost_clock_now_us(&clock);
  assert_true(stopped >= before);
  assert_int_equal(stopped % 1000, 0);
  assert_int_equal(roost_clock_wall_us(&clock) % 1000, 0);
  assert_int_equal(roost_clock_now_us(&clock), stopped);
  roost_clock_advance_ms(&clock, 3600000);
  roost_clock_set_fake(&clock, true); /* which it is already */
  assert_int_equal(roost_clock_now_us(&clock), stopped + 3600000000);
  roost_clock_set_fake(&clock, false);
  assert_true(roost_clock_now_us(&clock) >= stopped + 3600000000);
  assert_true(roost_clock_wall_us(&clock) / 1000000 <= (uint64_t)time(NULL));
  roost_clock_set_fake(&clock, true);
  assert_true(roost_clock_now_us(&clock) >= stopped + 3600000000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(real_time_is_the_system_s),
      cmocka_unit_test(fake_time_moves_when_told),
      cmocka_unit_test(time_goes_on_from_where_a_fake_clock_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
