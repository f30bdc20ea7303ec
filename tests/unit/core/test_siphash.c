#include "alloc_probe.h"

#include "core/siphash.h"
#include "core/slice.h"

/* Of the authors' reference: the key is 00 01 .. 0f, the text the first bytes of 00 01 02 .. */
static void gives_the_published_hashes(void **state) {
  (void)state;
  static const struct {
    size_t len;
    unsigned char hash[8];
  } rows[] = {
      {0, {0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72}},
      {1, {0xfd, 0x67, 0xdc, 0x93, 0xc5, 0x39, 0xf8, 0x74}},
      {8, {0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93}},
      {15, {0xe5, 0x45, 0xbe, 0x49, 0x61, 0xca, 0x29, 0xa1}},
  };
  unsigned char bytes[16];
  roost_siphash_seed seed;
  for (unsigned char i = 0; i < 16; i++)
    bytes[i] = i;
  memcpy(&seed, bytes, sizeof seed);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uint64_t hash = roost_siphash(&seed, roost_slice_of((const char *)bytes, rows[i].len));
    assert_memory_equal(&hash, rows[i].hash, sizeof hash);
  }
}

static void depends_on_every_bit_of_the_seed(void **state) {
  (void)state;
  const roost_siphash_seed zero = {{0, 0}};
  uint64_t hash = roost_siphash(&zero, ROOST_SLICE("key"));
  for (unsigned bit = 0; bit < 128; bit++) {
    roost_siphash_seed seed = zero;
    seed.words[bit / 64] = (uint64_t)1 << bit % 64;
    assert_int_not_equal(roost_siphash(&seed, ROOST_SLICE("key")), hash);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gives_the_published_hashes),
      cmocka_unit_test(depends_on_every_bit_of_the_seed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
