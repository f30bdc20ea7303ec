#include "alloc_probe.h"
#include "core/slice.h"

static void get_is_zeroed(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_alloc_probe_init(&probe);
  unsigned char *ptr = roost_alloc_get(&probe.alloc, 100);
  for (size_t i = 0; i < 100; i++)
    assert_int_equal(ptr[i], 0);
  roost_alloc_put(&probe.alloc, ptr, 100);
  roost_alloc_put(&probe.alloc, NULL, 0);
  assert_int_equal(probe.bytes, 0);
}

static void default_resizes_and_frees(void **state) {
  (void)state;
  const roost_alloc *alloc = roost_alloc_default();
  char *ptr = roost_alloc_resize(alloc, NULL, 0, 4);
  memcpy(ptr, "abc", 4);
  ptr = roost_alloc_resize(alloc, ptr, 4, 100000);
  assert_string_equal(ptr, "abc");
  assert_null(roost_alloc_resize(alloc, ptr, 100000, 0));
}

static void text_is_copied(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_alloc_probe_init(&probe);
  char *text = roost_alloc_text(&probe.alloc, ROOST_SLICE("hello"));
  char *empty = roost_alloc_text(&probe.alloc, (roost_slice){NULL, 0});
  char *cut = roost_alloc_text(&probe.alloc, ROOST_SLICE("a\0b"));
  assert_string_equal(text, "hello");
  assert_string_equal(empty, "");
  assert_string_equal(cut, "a");
  roost_alloc_put_text(&probe.alloc, text);
  roost_alloc_put_text(&probe.alloc, empty);
  roost_alloc_put_text(&probe.alloc, cut);
  roost_alloc_put_text(&probe.alloc, NULL);
  assert_int_equal(probe.bytes, 0);
}

static void refusal_is_null(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_alloc_probe_init(&probe);
  probe.refuse_after = 0;
  assert_null(roost_alloc_get(&probe.alloc, 8));
  assert_null(roost_alloc_text(&probe.alloc, ROOST_SLICE("x")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(get_is_zeroed),
      cmocka_unit_test(default_resizes_and_frees),
      cmocka_unit_test(text_is_copied),
      cmocka_unit_test(refusal_is_null),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
