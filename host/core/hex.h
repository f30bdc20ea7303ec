/*
 * core/hex.h - numbers as hexadecimal digits in lower case, eight at a time and without a loop.
 *
 * A word holds one digit a byte, the first one highest. Any thread.
 */
#ifndef ROOST_CORE_HEX_H
#define ROOST_CORE_HEX_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ROOST_HEX_ONES UINT64_C(0x0101010101010101) /* in every byte */

/* From a word to its bytes in order, or back. */
static inline uint64_t roost_hex_swap(uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return __builtin_bswap64(word);
#else
  return word;
#endif
}

static inline uint64_t roost_hex_spell(uint32_t value) {
  uint64_t word = value;
  word = (word << 16 | word) & UINT64_C(0x0000ffff0000ffff);
  word = (word << 8 | word) & UINT64_C(0x00ff00ff00ff00ff);
  word = (word << 4 | word) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  const uint64_t letters = (word + 6 * ROOST_HEX_ONES) >> 4 & ROOST_HEX_ONES; /* 10 and above */
  return word + '0' * ROOST_HEX_ONES + ('a' - '0' - 10) * letters;
}

/* Writes value's eight digits. */
static inline void roost_hex_write8(char *out, uint32_t value) {
  const uint64_t word = roost_hex_swap(roost_hex_spell(value));
  memcpy(out, &word, sizeof word);
}

/* Reads eight digits; false where some byte is none (capital letters are none). */
static inline bool roost_hex_read8(const char *in, uint32_t *value) {
  uint64_t word;
  memcpy(&word, in, sizeof word);
  word = roost_hex_swap(word);
  const uint64_t letters = word >> 6 & ROOST_HEX_ONES;
  uint64_t packed = (word + 9 * letters) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  packed = (packed | packed >> 4) & UINT64_C(0x00ff00ff00ff00ff);
  packed = (packed | packed >> 8) & UINT64_C(0x0000ffff0000ffff);
  *value = (uint32_t)(packed | packed >> 16);
  return roost_hex_spell(*value) == word;
}

#endif
