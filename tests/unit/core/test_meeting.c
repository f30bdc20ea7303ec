/*
 * Threads that meet: all go on together, or none.
 */
#include "alloc_probe.h"

#include <pthread.h>
#include <sched.h>

#include "core/meeting.h"
#include "core/slice.h"

#define THREADS 4
#define LONG_MS 60000 /* never over in a test that goes well */

static roost_alloc_probe memory; /* the test's own thread's */

typedef struct guest {
  roost_meeting *meeting;
  size_t place;
  pthread_t thread;
  uint64_t within_ms;
  uint64_t agree_ms;
  uint32_t number;
  bool willing;
  bool came; /* what the meeting said */
  bool agreed;
} guest;

/* Comes, and says nothing yet. */
static void *arrive(void *ud) {
  guest *self = ud;
  self->came = roost_meeting_arrive(self->meeting, self->place, &self->number, self->within_ms);
  return NULL;
}

static void *come(void *ud) {
  guest *self = ud;
  (void)arrive(self);
  if (self->came)
    self->agreed = roost_meeting_agree(self->meeting, self->place, self->willing, ROOST_SLICE("no"),
                                       self->agree_ms);
  return NULL;
}

static void prepare(guest *guests, roost_meeting *meeting, uint64_t within_ms) {
  assert_int_equal(roost_meeting_init(meeting, &memory.alloc, THREADS), 0);
  for (size_t i = 0; i < THREADS; i++)
    guests[i] = (guest){.meeting = meeting,
                        .place = i,
                        .number = (uint32_t)i + 1,
                        .within_ms = within_ms,
                        .agree_ms = within_ms,
                        .willing = true};
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
    assert_int_equal(meeting.culprit, round % THREADS);
    assert_string_equal(meeting.why, "no");
    roost_meeting_deinit(&meeting);
  }
}

/* Waits until so many have come to a stage. */
static void wait_for(roost_meeting *meeting, const size_t *count, size_t wanted) {
  bool there = false;
  while (!there) {
    pthread_mutex_lock(&meeting->mutex);
    there = *count == wanted;
    pthread_mutex_unlock(&meeting->mutex);
    sched_yield();
  }
}

/* The impatient one comes when all others but the late one are there. */
static void whoever_is_late_finds_it_over(void **state) {
  (void)state;
  roost_meeting meeting;
  guest guests[THREADS];
  prepare(guests, &meeting, LONG_MS);
  guests[0].within_ms = 1;
  start(guests + 1, THREADS - 2);
  wait_for(&meeting, &meeting.arrived, THREADS - 2);
  (void)come(&guests[0]);
  join(guests + 1, THREADS - 2);
  (void)come(&guests[THREADS - 1]);
  for (size_t i = 0; i < THREADS; i++)
    assert_false(guests[i].came);
  assert_int_equal(meeting.culprit, THREADS - 1);
  assert_string_equal(meeting.why, "");
  roost_meeting_deinit(&meeting);
}

static void one_that_cancels_sends_all_home(void **state) {
  (void)state;
  roost_meeting meeting;
  guest guests[THREADS];
  prepare(guests, &meeting, LONG_MS);
  start(guests, THREADS - 1);
  roost_meeting_cancel(&meeting, THREADS - 1, ROOST_SLICE("gone"));
  roost_meeting_cancel(&meeting, 0, ROOST_SLICE("another reason"));
  join(guests, THREADS - 1);
  for (size_t i = 0; i + 1 < THREADS; i++)
    assert_false(guests[i].came);
  assert_int_equal(meeting.culprit, THREADS - 1);
  assert_string_equal(meeting.why, "gone");
  roost_meeting_deinit(&meeting);
}

static void a_long_reason_is_cut(void **state) {
  (void)state;
  char why[2 * ROOST_MEETING_WHY_BYTES];
  roost_meeting meeting;
  uint32_t number = 7;
  memset(why, 'x', sizeof why);
  assert_int_equal(roost_meeting_init(&meeting, &memory.alloc, 1), 0);
  assert_true(roost_meeting_arrive(&meeting, 0, &number, 0));
  assert_int_equal(number, 7);
  assert_false(roost_meeting_agree(&meeting, 0, false, roost_slice_of(why, sizeof why), 0));
  assert_int_equal(strlen(meeting.why), ROOST_MEETING_WHY_BYTES - 1);
  roost_meeting_deinit(&meeting);
}

/* The impatient one, 0, waits for an answer when all others but the silent one, 2, have given
 * theirs. */
static void one_that_says_nothing_is_told_of(void **state) {
  (void)state;
  roost_meeting meeting;
  guest guests[THREADS];
  prepare(guests, &meeting, LONG_MS);
  assert_int_equal(pthread_create(&guests[2].thread, NULL, arrive, &guests[2]), 0);
  start(&guests[1], 1);
  start(&guests[3], 1);
  (void)arrive(&guests[0]);
  join(&guests[2], 1);
  wait_for(&meeting, &meeting.said, THREADS - 2);
  assert_false(roost_meeting_agree(&meeting, 0, true, ROOST_SLICE(""), 1));
  join(&guests[1], 1);
  join(&guests[3], 1);
  for (size_t i = 0; i < THREADS; i++)
    assert_true(guests[i].came);
  assert_false(guests[1].agreed || guests[3].agreed);
  assert_int_equal(meeting.culprit, 2);
  assert_string_equal(meeting.why, "");
  roost_meeting_deinit(&meeting);
}

static void out_of_memory_is_a_status(void **state) {
  (void)state;
  roost_meeting meeting;
  memory.refuse_after = 0;
  assert_int_equal(roost_meeting_init(&meeting, &memory.alloc, THREADS), ROOST_ENOMEM);
}

static int set_up(void **state) {
  (void)state;
  roost_alloc_probe_init(&memory);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  assert_int_equal(memory.bytes, 0);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(all_come_and_agree, set_up, tear_down),
      cmocka_unit_test_setup_teardown(one_that_is_not_willing_decides, set_up, tear_down),
      cmocka_unit_test_setup_teardown(whoever_is_late_finds_it_over, set_up, tear_down),
      cmocka_unit_test_setup_teardown(one_that_cancels_sends_all_home, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_long_reason_is_cut, set_up, tear_down),
      cmocka_unit_test_setup_teardown(one_that_says_nothing_is_told_of, set_up, tear_down),
      cmocka_unit_test_setup_teardown(out_of_memory_is_a_status, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
