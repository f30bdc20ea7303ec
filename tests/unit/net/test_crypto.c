#include "alloc_probe.h"

#include "net/crypto.h"

static void every_byte_is_filled_and_differs_from_call_to_call(void **state) {
  unsigned char first[64];
  unsigned char second[64];
  unsigned char seen[64] = {0};
  (void)state;
  for (unsigned i = 0; i < 100; i++) {
    memset(first, 0, sizeof first);
    assert_int_equal(roost_random_bytes(first, sizeof first - 1), 0);
    assert_int_equal(first[63], 0); /* beyond the end */
    assert_int_equal(roost_random_bytes(second, sizeof second), 0);
    assert_memory_not_equal(first, second, 63);
    for (unsigned n = 0; n < 64; n++)
      seen[n] |= first[n];
  }
  for (unsigned n = 0; n < 63; n++)
    assert_int_not_equal(seen[n], 0);
  assert_int_equal(roost_random_bytes(NULL, 0), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_byte_is_filled_and_differs_from_call_to_call),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
