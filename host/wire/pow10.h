/*
 * wire/pow10.h - powers of ten to 128 bits, and 64 by 64 bit products: what exact number
 * conversion in number_read.c and number_print.c is made of. Constants; any thread.
 */
#ifndef ROOST_WIRE_POW10_H
#define ROOST_WIRE_POW10_H

#include <stdint.h>

#define ROOST_POW10_FIRST (-342)
#define ROOST_POW10_LAST  324

/* The first 128 bits of a power of ten, cut off: high * 2^64 + low, the top bit set. */
typedef struct roost_pow10 {
  uint64_t high;
  uint64_t low;
} roost_pow10;

/* Index 0 is 10^ROOST_POW10_FIRST. */
extern const roost_pow10 roost_pow10_table[ROOST_POW10_LAST - ROOST_POW10_FIRST + 1];

static inline const roost_pow10 *roost_pow10_get(int power) {
  return &roost_pow10_table[power - ROOST_POW10_FIRST];
}

/* floor(log2(10^power)) for powers in the table. */
static inline int roost_pow10_log2(int power) {
  return (int)((int64_t)power * 1741647 >> 19);
}

__extension__ typedef unsigned __int128 roost_uint128;

static inline roost_uint128 roost_multiply(uint64_t a, uint64_t b) {
  return (roost_uint128)a * b;
}

#endif
