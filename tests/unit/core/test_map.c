#include "alloc_probe.h"
#include "core/map.h"
#include "core/slice.h"

#define KEYS 500

static roost_slice number_key(char *text, int number) {
  return roost_slice_of(text, (size_t)snprintf(text, 32, "key-%d", number));
}

static void holds_what_was_set(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_map map;
  int a = 1;
  int b = 2;
  roost_alloc_probe_init(&probe);
  roost_map_init(&map, &probe.alloc);
  assert_null(roost_map_get(&map, ROOST_SLICE("a")));
  assert_null(roost_map_remove(&map, ROOST_SLICE("a")));
  assert_int_equal(roost_map_set(&map, ROOST_SLICE("a"), &a), 0);
  assert_int_equal(roost_map_set(&map, ROOST_SLICE(""), &b), 0);
  assert_int_equal(roost_map_set(&map, ROOST_SLICE("a\0x"), &b), 0);
  assert_ptr_equal(roost_map_get(&map, ROOST_SLICE("a")), &a);
  assert_ptr_equal(roost_map_get(&map, ROOST_SLICE("")), &b);
  assert_ptr_equal(roost_map_get(&map, ROOST_SLICE("a\0x")), &b);
  assert_null(roost_map_get(&map, ROOST_SLICE("a\0y")));
  assert_int_equal(roost_map_set(&map, ROOST_SLICE("a"), &b), 0);
  assert_ptr_equal(roost_map_get(&map, ROOST_SLICE("a")), &b);
  assert_int_equal(map.count, 3);
  assert_ptr_equal(roost_map_remove(&map, ROOST_SLICE("")), &b);
  assert_null(roost_map_get(&map, ROOST_SLICE("")));
  assert_int_equal(map.count, 2);
  roost_map_deinit(&map);
  assert_int_equal(probe.bytes, 0);
}

/* Random sets and removals against an array; removal must keep every collision chain whole. */
static void agrees_with_a_model(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_map map;
  char *model[KEYS] = {NULL};
  char values[8];
  char text[32];
  size_t count = 0;
  roost_alloc_probe_init(&probe);
  roost_map_init(&map, &probe.alloc);
  srand(1);
  for (int step = 0; step < 100000; step++) {
    const int number = rand() % KEYS;
    const roost_slice key = number_key(text, number);
    if (rand() % 2) {
      count += model[number] == NULL;
      model[number] = &values[rand() % 8];
      assert_int_equal(roost_map_set(&map, key, model[number]), 0);
    } else {
      count -= model[number] != NULL;
      assert_ptr_equal(roost_map_remove(&map, key), model[number]);
      model[number] = NULL;
    }
    const int other = rand() % KEYS;
    assert_ptr_equal(roost_map_get(&map, number_key(text, other)), model[other]);
    assert_int_equal(map.count, count);
  }
  for (int i = 0; i < KEYS; i++)
    assert_ptr_equal(roost_map_get(&map, number_key(text, i)), model[i]);
  size_t walked = 0;
  for (size_t at = 0; roost_map_next(&map, &at) != NULL;)
    walked++;
  assert_int_equal(walked, count);
  roost_map_deinit(&map);
  assert_int_equal(probe.bytes, 0);
}

static void refusal_leaves_it_as_it_was(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_map map;
  char text[32];
  int value = 0;
  roost_alloc_probe_init(&probe);
  roost_map_init(&map, &probe.alloc);
  for (int i = 0; i < 100; i++) {
    const size_t count = map.count;
    for (size_t allowed = 0;; allowed++) {
      probe.refuse_after = allowed;
      const int status = roost_map_set(&map, number_key(text, i), &value);
      probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
      if (status == 0)
        break;
      assert_int_equal(status, ROOST_ENOMEM);
      assert_int_equal(map.count, count);
      assert_null(roost_map_get(&map, number_key(text, i)));
    }
    for (int j = 0; j <= i; j++)
      assert_ptr_equal(roost_map_get(&map, number_key(text, j)), &value);
  }
  roost_map_deinit(&map);
  assert_int_equal(probe.bytes, 0);
}

static void hash_spreads_over_low_and_high_bits(void **state) {
  (void)state;
  char text[32];
  unsigned low[64] = {0};
  unsigned high[64] = {0};
  for (int i = 0; i < 6400; i++) {
    const uint64_t hash = roost_hash(number_key(text, i));
    low[hash % 64]++;
    high[hash >> 58]++;
  }
  for (size_t i = 0; i < 64; i++) { /* 100 expected, standard deviation 10 */
    assert_in_range(low[i], 40, 160);
    assert_in_range(high[i], 40, 160);
  }
  assert_true(roost_hash(ROOST_SLICE("a")) != roost_hash(ROOST_SLICE("a\0")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(holds_what_was_set),
      cmocka_unit_test(agrees_with_a_model),
      cmocka_unit_test(refusal_leaves_it_as_it_was),
      cmocka_unit_test(hash_spreads_over_low_and_high_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
