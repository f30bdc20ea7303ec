#include "alloc_probe.h"
#include "core/slots.h"

#define OBJECTS 1000

static void stale_ids_find_nothing(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_slots slots;
  int a = 0;
  int b = 0;
  roost_alloc_probe_init(&probe);
  roost_slots_init(&slots, &probe.alloc);
  assert_null(roost_slots_get(&slots, 0));
  assert_null(roost_slots_get(&slots, UINT64_MAX));
  const uint64_t first = roost_slots_add(&slots, &a);
  assert_true(first != 0);
  assert_ptr_equal(roost_slots_get(&slots, first), &a);
  assert_null(roost_slots_get(&slots, 0));
  roost_slots_remove(&slots, first);
  roost_slots_remove(&slots, first);
  assert_null(roost_slots_get(&slots, first));
  assert_int_equal(slots.count, 0);
  const uint64_t second = roost_slots_add(&slots, &b);
  assert_true(second != first);
  roost_slots_remove(&slots, first); /* stale: must not end its successor */
  assert_ptr_equal(roost_slots_get(&slots, second), &b);
  assert_null(roost_slots_get(&slots, first));
  roost_slots_deinit(&slots);
  assert_int_equal(probe.bytes, 0);
}

static void tag_never_makes_an_id_zero(void **state) {
  (void)state;
  roost_slots slots;
  int a = 0;
  roost_slots_init(&slots, roost_alloc_default());
  const uint64_t id = roost_slots_add(&slots, &a);
  slots.slots[(uint32_t)id].tag = UINT32_MAX;
  const uint64_t last = (uint64_t)UINT32_MAX << 32 | (uint32_t)id;
  roost_slots_remove(&slots, last);
  const uint64_t next = roost_slots_add(&slots, &a);
  assert_true(next != 0);
  assert_ptr_equal(roost_slots_get(&slots, next), &a);
  assert_null(roost_slots_get(&slots, last));
  roost_slots_deinit(&slots);
}

static void agrees_with_a_model(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_slots slots;
  uint64_t ids[OBJECTS] = {0};
  static char objects[OBJECTS];
  uint32_t count = 0;
  roost_alloc_probe_init(&probe);
  roost_slots_init(&slots, &probe.alloc);
  srand(2);
  for (int step = 0; step < 100000; step++) {
    const int i = rand() % OBJECTS;
    if (ids[i] == 0) {
      ids[i] = roost_slots_add(&slots, &objects[i]);
      assert_true(ids[i] != 0);
      count++;
    } else if (rand() % 2) {
      roost_slots_remove(&slots, ids[i]);
      assert_null(roost_slots_get(&slots, ids[i]));
      ids[i] = 0;
      count--;
    }
    const int other = rand() % OBJECTS;
    if (ids[other] != 0)
      assert_ptr_equal(roost_slots_get(&slots, ids[other]), &objects[other]);
    assert_int_equal(slots.count, count);
  }
  roost_slots_deinit(&slots);
  assert_int_equal(probe.bytes, 0);
}

static void a_crowd_that_leaves_gives_memory_back(void **state) {
  enum { CROWD = 20000 };
  static uint64_t ids[CROWD];
  static uint64_t again[CROWD];
  (void)state;
  for (int kept = -1; kept < CROWD; kept += CROWD / 2) { /* nobody, one in the middle, the last */
    roost_alloc_probe probe;
    roost_slots slots;
    roost_alloc_probe_init(&probe);
    roost_slots_init(&slots, &probe.alloc);
    for (int i = 0; i < CROWD; i++)
      ids[i] = roost_slots_add(&slots, &ids[i]);
    const size_t most = probe.bytes;
    for (int i = 0; i < CROWD; i++)
      if (i != kept)
        roost_slots_remove(&slots, ids[i]);
    if (kept < 0)
      assert_true(probe.bytes <= most / 16);
    else
      assert_true(probe.bytes >= (size_t)kept * sizeof(roost_slot));
    for (int i = 0; i < CROWD; i++)
      again[i] = roost_slots_add(&slots, &again[i]);
    for (int i = 0; i < CROWD; i++) {
      assert_ptr_equal(roost_slots_get(&slots, ids[i]), i == kept ? &ids[i] : NULL);
      assert_ptr_equal(roost_slots_get(&slots, again[i]), &again[i]);
    }
    assert_int_equal(slots.count, CROWD + (kept >= 0));
    roost_slots_deinit(&slots);
    assert_int_equal(probe.bytes, 0);
  }
}

static void refusal_gives_no_id(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_slots slots;
  int object = 0;
  roost_alloc_probe_init(&probe);
  roost_slots_init(&slots, &probe.alloc);
  probe.refuse_after = 0;
  assert_true(roost_slots_add(&slots, &object) == 0);
  probe.refuse_after = 1;
  uint64_t first = roost_slots_add(&slots, &object);
  assert_true(first != 0);
  while (slots.count < slots.cap)
    assert_true(roost_slots_add(&slots, &object) != 0);
  assert_true(roost_slots_add(&slots, &object) == 0);
  assert_int_equal(slots.count, slots.cap);
  assert_ptr_equal(roost_slots_get(&slots, first), &object);
  roost_slots_deinit(&slots);
  assert_int_equal(probe.bytes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stale_ids_find_nothing),
      cmocka_unit_test(tag_never_makes_an_id_zero),
      cmocka_unit_test(agrees_with_a_model),
      cmocka_unit_test(a_crowd_that_leaves_gives_memory_back),
      cmocka_unit_test(refusal_gives_no_id),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
