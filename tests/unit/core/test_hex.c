#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/hex.h"

static void numbers_are_written_and_read(void **state) {
  (void)state;
  uint32_t value = 0;
  for (int i = 0; i < 100000; i++, value = value * 1664525u + 1013904223u) {
    char expected[9];
    char got[8];
    uint32_t again;
    snprintf(expected, sizeof expected, "%08x", value);
    roost_hex_write8(got, value);
    assert_memory_equal(got, expected, 8);
    assert_true(roost_hex_read8(got, &again));
    assert_int_equal(again, value);
  }
}

static void every_other_byte_is_refused_at_every_place(void **state) {
  (void)state;
  for (int place = 0; place < 8; place++) {
    for (int byte = 0; byte < 256; byte++) {
      char text[8];
      uint32_t value;
      memcpy(text, "0189abef", sizeof text);
      text[place] = (char)byte;
      const int is_digit = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
      assert_int_equal(roost_hex_read8(text, &value), is_digit);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_are_written_and_read),
      cmocka_unit_test(every_other_byte_is_refused_at_every_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
