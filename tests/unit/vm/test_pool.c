#include "alloc_probe.h"
#include "vm/pool.h"

#define BLOCKS 2000
#define ROUNDS 40000

typedef struct block {
  unsigned char *ptr;
  size_t size;
  unsigned char mark; /* what every byte of it holds */
} block;

static uint32_t random_next(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return *seed >> 8;
}

static void check_block(const block *b) {
  for (size_t i = 0; i < b->size; i++)
    assert_int_equal(b->ptr[i], b->mark);
}

/* Every block keeps what was written into it, whatever happens to the others: none overlap, and a
 * block that moves takes its bytes along. */
static void blocks_keep_their_bytes(void **state) {
  (void)state;
  static block blocks[BLOCKS];
  roost_alloc_probe probe;
  roost_pool pool;
  uint32_t seed = 1;
  roost_alloc_probe_init(&probe);
  roost_pool_init(&pool, &probe.alloc);
  memset(blocks, 0, sizeof blocks);
  for (int round = 0; round < ROUNDS; round++) {
    block *b = &blocks[random_next(&seed) % BLOCKS];
    const size_t size = random_next(&seed) % 3 == 0 ? 0 : random_next(&seed) % (2 * ROOST_POOL_MAX);
    check_block(b);
    unsigned char *ptr = roost_pool_resize(&pool, b->ptr, b->size, size);
    assert_true((ptr == NULL) == (size == 0));
    const size_t kept = b->size < size ? b->size : size;
    for (size_t i = 0; i < kept; i++)
      assert_int_equal(ptr[i], b->mark);
    *b = (block){ptr, size, (unsigned char)random_next(&seed)};
    if (size > 0)
      memset(ptr, b->mark, size);
  }
  for (int i = 0; i < BLOCKS; i++) {
    check_block(&blocks[i]);
    roost_pool_resize(&pool, blocks[i].ptr, blocks[i].size, 0);
  }
  roost_pool_deinit(&pool);
  assert_int_equal(probe.bytes, 0);
}

static void freed_blocks_are_used_again(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_pool pool;
  roost_alloc_probe_init(&probe);
  roost_pool_init(&pool, &probe.alloc);
  for (int i = 0; i < 100000; i++)
    roost_pool_resize(&pool, roost_pool_resize(&pool, NULL, 0, 100), 100, 0);
  assert_true(probe.bytes <= 64 * 1024);
  roost_pool_deinit(&pool);
  assert_int_equal(probe.bytes, 0);
}

/* Refused: NULL, and the block that was to grow is as it was. */
static void refusals_change_nothing(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_pool pool;
  roost_alloc_probe_init(&probe);
  roost_pool_init(&pool, &probe.alloc);
  probe.refuse_after = 0;
  assert_null(roost_pool_resize(&pool, NULL, 0, 16));
  assert_null(roost_pool_resize(&pool, NULL, 0, 2 * ROOST_POOL_MAX));
  probe.refuse_after = 1;
  char *ptr = roost_pool_resize(&pool, NULL, 0, 16);
  assert_non_null(ptr);
  memcpy(ptr, "fifteen letters", 16);
  assert_null(roost_pool_resize(&pool, ptr, 16, 2 * ROOST_POOL_MAX));
  assert_string_equal(ptr, "fifteen letters");
  roost_pool_resize(&pool, ptr, 16, 0);
  roost_pool_deinit(&pool);
  assert_int_equal(probe.bytes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_keep_their_bytes),
      cmocka_unit_test(freed_blocks_are_used_again),
      cmocka_unit_test(refusals_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
