#include "transport/kafka_window.h"

#include "alloc_probe.h"
#include "core/slice.h"

typedef struct fixture {
  roost_alloc_probe probe;
  roost_wheel wheel;
  roost_kafka_window window;
  roost_buffer places;
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  roost_alloc_probe_init(&f->probe);
  roost_wheel_init(&f->wheel, 0);
  roost_kafka_window_init(&f->window, &f->probe.alloc, &f->wheel);
  roost_buffer_init(&f->places, &f->probe.alloc);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  roost_kafka_window_deinit(&f->window);
  roost_buffer_deinit(&f->places);
  assert_int_equal(f->probe.bytes, 0);
  free(f);
  return 0;
}

static roost_kafka_partition *add(fixture *f, const char *topic, int32_t partition) {
  const roost_kafka_place place = {topic, partition, 0};
  assert_int_equal(roost_kafka_window_add(&f->window, &place), 0);
  roost_kafka_partition *added = roost_kafka_window_find(&f->window, &place);
  assert_non_null(added);
  return added;
}

static void push(fixture *f, roost_kafka_partition *partition, int64_t offset, bool event) {
  assert_int_equal(roost_kafka_window_push(&f->window, partition, NULL, offset, 10, event), 0);
}

static roost_kafka_entry *ready(fixture *f, roost_kafka_partition *partition) {
  return roost_kafka_window_ready(&f->window, partition);
}

/* The offset that is to be stored; -1: none is. */
static int64_t stored(fixture *f) {
  roost_buffer_clear(&f->places);
  assert_int_equal(roost_kafka_window_collect(&f->window, &f->places), 0);
  assert_true(f->places.len <= sizeof(roost_kafka_place));
  return f->places.len > 0 ? ((const roost_kafka_place *)(void *)f->places.ptr)->offset : -1;
}

static void requests_run_together_and_are_stored_in_order(void **state) {
  fixture *f = *state;
  roost_kafka_partition *partition = add(f, "t", 0);
  roost_kafka_entry *entries[3];
  for (int i = 0; i < 3; i++)
    push(f, partition, 10 + i * 2, false); /* offsets may have gaps */
  assert_int_equal(partition->waiting, 3);
  assert_int_equal(partition->waiting_bytes, 30);
  for (int i = 0; i < 3; i++) {
    entries[i] = ready(f, partition);
    assert_int_equal(entries[i]->offset, 10 + i * 2);
  }
  assert_null(ready(f, partition));
  assert_int_equal(f->window.running, 3);
  assert_int_equal(partition->waiting_bytes, 0);
  roost_kafka_window_done(&f->window, entries[1]);
  assert_int_equal(stored(f), -1);
  roost_kafka_window_done(&f->window, entries[0]);
  assert_int_equal(stored(f), 13);
  assert_int_equal(stored(f), -1);
  roost_kafka_window_done(&f->window, entries[2]);
  assert_int_equal(stored(f), 15);
  assert_int_equal(f->window.running, 0);
}

static void an_event_is_alone(void **state) {
  fixture *f = *state;
  roost_kafka_partition *partition = add(f, "t", 0);
  roost_kafka_partition *other = add(f, "t", 1);
  push(f, partition, 0, false);
  push(f, partition, 1, true);
  push(f, partition, 2, false);
  push(f, other, 0, true);
  roost_kafka_entry *request = ready(f, partition);
  assert_null(ready(f, partition)); /* the event waits for it */
  assert_non_null(ready(f, other)); /* other partitions don't */
  roost_kafka_window_done(&f->window, request);
  roost_kafka_entry *event = ready(f, partition);
  assert_true(event->event);
  assert_null(ready(f, partition)); /* and what comes after it waits for the event */
  roost_kafka_window_done(&f->window, event);
  assert_int_equal(ready(f, partition)->offset, 2);
}

static void what_is_parked_blocks_its_partition(void **state) {
  fixture *f = *state;
  roost_kafka_partition *partition = add(f, "t", 0);
  push(f, partition, 0, true);
  push(f, partition, 1, true);
  roost_kafka_entry *entry = ready(f, partition);
  roost_kafka_window_park(&f->window, entry);
  assert_int_equal(f->window.running, 0);
  assert_null(ready(f, partition));
  roost_kafka_window_unpark(&f->window, entry);
  assert_int_equal(f->window.running, 1);
  roost_kafka_window_done(&f->window, entry);
  assert_int_equal(stored(f), 1);
  assert_int_equal(ready(f, partition)->offset, 1);
}

static void what_runs_outlives_its_partition(void **state) {
  fixture *f = *state;
  const roost_kafka_place place = {"t", 0, 0};
  roost_kafka_partition *partition = add(f, "t", 0);
  for (int i = 0; i < 4; i++)
    push(f, partition, i, false);
  roost_kafka_entry *first = ready(f, partition);
  roost_kafka_entry *second = ready(f, partition);
  roost_kafka_window_park(&f->window, ready(f, partition));
  roost_kafka_window_drop(&f->window);
  assert_null(roost_kafka_window_find(&f->window, &place));
  assert_int_equal(f->window.running, 0);
  (void)add(f, "t", 0); /* it comes back */
  roost_kafka_window_done(&f->window, first);
  assert_int_equal(stored(f), -1);
  roost_kafka_window_done(&f->window, second);
  assert_int_equal(f->window.running, 0);
}

static void frees_what_is_left(void **state) {
  fixture *f = *state;
  roost_kafka_partition *partition = add(f, "t", 0);
  push(f, partition, 0, false);
  push(f, partition, 1, false);
  (void)ready(f, partition);
  roost_kafka_window_drop(&f->window);
  push(f, add(f, "u", 3), 7, true); /* tear_down frees both */
}

static void finds_partitions_by_topic_and_number(void **state) {
  fixture *f = *state;
  roost_kafka_partition *a = add(f, "a", 1);
  roost_kafka_partition *b = add(f, "a", 2);
  roost_kafka_partition *c = add(f, "aa", 1);
  assert_true(a != b && b != c && a != c);
  assert_string_equal(c->place.topic, "aa");
}

static void adds_only_with_memory(void **state) {
  fixture *f = *state;
  const roost_kafka_place place = {"t", 0, 0};
  int status;
  size_t granted = 0;
  do {
    f->probe.refuse_after = granted++;
    status = roost_kafka_window_add(&f->window, &place);
    f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    assert_int_equal(roost_kafka_window_find(&f->window, &place) != NULL, status == 0);
  } while (status == ROOST_ENOMEM);
  assert_int_equal(status, 0);
  roost_kafka_partition *partition = roost_kafka_window_find(&f->window, &place);
  f->probe.refuse_after = 0;
  assert_int_equal(roost_kafka_window_push(&f->window, partition, NULL, 0, 1, false), ROOST_ENOMEM);
  f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  assert_int_equal(partition->waiting, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(requests_run_together_and_are_stored_in_order, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(an_event_is_alone, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_parked_blocks_its_partition, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_runs_outlives_its_partition, set_up, tear_down),
      cmocka_unit_test_setup_teardown(frees_what_is_left, set_up, tear_down),
      cmocka_unit_test_setup_teardown(finds_partitions_by_topic_and_number, set_up, tear_down),
      cmocka_unit_test_setup_teardown(adds_only_with_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("kafka_window", tests, NULL, NULL);
}
