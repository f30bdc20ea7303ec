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

/* The first test of RFC 8032, 7.1, which signs nothing. */
static void signs_as_the_standard_says(void **state) {
  static const uint8_t secret[ROOST_ED25519_KEY] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
                                                    0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
                                                    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19,
                                                    0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
  static const uint8_t key[ROOST_ED25519_KEY] = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7,
                                                 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
                                                 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25,
                                                 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};
  static const uint8_t expected[ROOST_ED25519_SIGNATURE] = {
      0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60, 0xac, 0x72, 0x90, 0x86, 0xe2, 0xcc, 0x80,
      0x6e, 0x82, 0x8a, 0x84, 0x87, 0x7f, 0x1e, 0xb8, 0xe5, 0xd9, 0x74, 0xd8, 0x73,
      0xe0, 0x65, 0x22, 0x49, 0x01, 0x55, 0x5f, 0xb8, 0x82, 0x15, 0x90, 0xa3, 0x3b,
      0xac, 0xc6, 0x1e, 0x39, 0x70, 0x1c, 0xf9, 0xb4, 0x6b, 0xd2, 0x5b, 0xf5, 0xf0,
      0x59, 0x5b, 0xbe, 0x24, 0x65, 0x51, 0x41, 0x43, 0x8e, 0x7a, 0x10, 0x0b};
  uint8_t signature[ROOST_ED25519_SIGNATURE];
  uint8_t public_key[ROOST_ED25519_KEY];
  (void)state;
  assert_int_equal(roost_ed25519_sign(signature, secret, "", 0), 0);
  assert_memory_equal(signature, expected, sizeof expected);
  assert_int_equal(roost_ed25519_public(public_key, secret), 0);
  assert_memory_equal(public_key, key, sizeof key);
}

static void a_secret_is_overwritten(void **state) {
  char secret[] = "secret";
  (void)state;
  roost_wipe(secret, sizeof secret);
  for (size_t i = 0; i < sizeof secret; i++)
    assert_int_equal(secret[i], 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_byte_is_filled_and_differs_from_call_to_call),
      cmocka_unit_test(signs_as_the_standard_says),
      cmocka_unit_test(a_secret_is_overwritten),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
