/*
 * Threads that meet: all go on together, or none.
 */
#include "alloc_probe.h"

#include <pthread.h>

#include "core/meeting.h"
#include "core/slice.h"

#define THREADS 4
#define LONG_MS 60000 /* never over in a test that goes well */

typedef struct guest {
  roost_meeting *meeting;
  pthread_t thread;
  uint32_t number;
  uint64_t within_ms;
  bool willing;
  bool came; /* what the meeting said */
  bool agreed;
} guest;

static void *come(void *ud) {
  guest *self = ud;
  self->came = roost_meeting_arrive(self->meeting, &self->number, self->within_ms);
  if (self->came)
    self->agreed =
        roost_meeting_agree(self->meeting, self->willing, ROOST_SLICE("no"), self->within_ms);
  return NULL;
}

static void prepare(guest *guests, roost_meeting *meeting, uint64_t within_ms) {
  assert_int_equal(roost_meeting_init(meeting, THREADS), 0);
  for (size_t i = 0; i < THREADS; i++)
    guests[i] = (guest){
        .meeting = meeting, .number = (uint32_t)i + 1, .within_ms = within_ms, .willing = true};
}

static void start(guest *guests, size_t count) {
  for (size_t i = 0; i < count; i++)
    assert_int_equal(pthread_create(&guests[i].thread, NULL, come, &guests[i]), 0);
}

static void join(guest *guests, size_t count) {
  for (size_t i = 0; i < count; i++)
    pthread_join(guests[i].thread, NULL);
}

static void all_come_and_agree(void **state) {
  (void)state;
  for (int round = 0; round < 200; round++) {
    roost_meeting meeting;
    guest guests[THREADS];
    prepare(guests, &meeting, LONG_MS);
    start(guests, THREADS);
    join(guests, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
      assert_true(guests[i].came && guests[i].agreed);
      assert_int_equal(guests[i].number, THREADS);
    }
    roost_meeting_deinit(&meeting);
  }
}

static void one_that_is_not_willing_decides(void **state) {
  (void)state;
  for (int round = 0; round < 200; round++) {
    roost_meeting meeting;
    guest guests[THREADS];
    prepare(guests, &meeting, LONG_MS);
    guests[round % THREADS].willing = false;
    start(guests, THREADS);
    join(guests, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
      assert_true(guests[i].came);
      assert_false(guests[i].agreed);
    }
    assert_string_equal(meeting.why, "no");
    roost_meeting_deinit(&meeting);
  }
}

static void whoever_is_late_finds_it_over(void **state) {
  (void)state;
  roost_meeting meeting;
  guest guests[THREADS];
  prepare(guests, &meeting, 1);
  start(guests, THREADS - 1);
  join(guests, THREADS - 1);
  (void)come(&guests[THREADS - 1]);
  for (size_t i = 0; i < THREADS; i++)
    assert_false(guests[i].came);
  roost_meeting_deinit(&meeting);
}

static void one_that_cancels_sends_all_home(void **state) {
  (void)state;
  roost_meeting meeting;
  guest guests[THREADS];
  prepare(guests, &meeting, LONG_MS);
  start(guests, THREADS - 1);
  roost_meeting_cancel(&meeting);
  join(guests, THREADS - 1);
  for (size_t i = 0; i + 1 < THREADS; i++)
    assert_false(guests[i].came);
  roost_meeting_deinit(&meeting);
}

static void a_long_reason_is_cut(void **state) {
  (void)state;
  char why[2 * ROOST_MEETING_WHY_BYTES];
  roost_meeting meeting;
  uint32_t number = 7;
  memset(why, 'x', sizeof why);
  assert_int_equal(roost_meeting_init(&meeting, 1), 0);
  assert_true(roost_meeting_arrive(&meeting, &number, 0));
  assert_int_equal(number, 7);
  assert_false(roost_meeting_agree(&meeting, false, roost_slice_of(why, sizeof why), 0));
  assert_int_equal(strlen(meeting.why), ROOST_MEETING_WHY_BYTES - 1);
  roost_meeting_deinit(&meeting);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_come_and_agree),
      cmocka_unit_test(one_that_is_not_willing_decides),
      cmocka_unit_test(whoever_is_late_finds_it_over),
      cmocka_unit_test(one_that_cancels_sends_all_home),
      cmocka_unit_test(a_long_reason_is_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
