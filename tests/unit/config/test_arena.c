#include "alloc_probe.h"
#include "config/arena.h"
#include "core/slice.h"

static void pieces_live_until_the_end(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_arena arena;
  char *texts[50];
  roost_alloc_probe_init(&probe);
  roost_arena_init(&arena, &probe.alloc);
  for (int i = 0; i < 50; i++) {
    char text[16];
    const int len = snprintf(text, sizeof text, "text %d", i);
    texts[i] = roost_arena_text(&arena, roost_slice_of(text, (size_t)len));
  }
  const char *zeroes = roost_arena_get(&arena, 100);
  for (int i = 0; i < 100; i++)
    assert_int_equal(zeroes[i], 0);
  assert_string_equal(texts[0], "text 0");
  assert_string_equal(texts[49], "text 49");
  assert_string_equal(roost_arena_text(&arena, (roost_slice){NULL, 0}), "");
  roost_arena_deinit(&arena);
  roost_arena_deinit(&arena);
  assert_int_equal(probe.bytes, 0);
}

static void refusal_is_null(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_arena arena;
  roost_alloc_probe_init(&probe);
  roost_arena_init(&arena, &probe.alloc);
  assert_null(roost_arena_get(&arena, SIZE_MAX));
  assert_non_null(roost_arena_get(&arena, 1));
  probe.refuse_after = 0;
  assert_null(roost_arena_get(&arena, 1));
  assert_null(roost_arena_text(&arena, ROOST_SLICE("x")));
  roost_arena_deinit(&arena);
  assert_int_equal(probe.bytes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces_live_until_the_end),
      cmocka_unit_test(refusal_is_null),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
