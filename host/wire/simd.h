/*
 * wire/simd.h - the byte scans everything else in wire/ is fast by.
 *
 * Start reading at roost_scan_plain. Each scan exists twice: with SSE2 (part of every x86-64) and
 * portably, eight bytes at a time; the _portable names are always there so that tests can hold one
 * against the other. No scan reads outside the bytes it was given. No I/O; any thread.
 */
#ifndef ROOST_WIRE_SIMD_H
#define ROOST_WIRE_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define ROOST_WORD_ONES  0x0101010101010101u
#define ROOST_WORD_HIGHS 0x8080808080808080u

static inline uint64_t roost_word_load(const char *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

/* The high bit of every byte that is below limit (1..128); bytes above 127 never are. A byte may
 * be marked wrongly, but only above one that is marked rightly. */
static inline uint64_t roost_word_below(uint64_t word, uint8_t limit) {
  return (word - ROOST_WORD_ONES * limit) & ~word & ROOST_WORD_HIGHS;
}

static inline uint64_t roost_word_equal(uint64_t word, char byte) {
  return roost_word_below(word ^ (ROOST_WORD_ONES * (uint8_t)byte), 1);
}

static inline bool roost_byte_is_special(char byte) {
  return (uint8_t)byte < 0x20 || byte == '"' || byte == '\\';
}

/* The first byte from at on that a JSON string can't hold as it is (a quote, a backslash, a
 * control character), or end. */
static inline const char *roost_scan_special_portable(const char *at, const char *end) {
  while (end - at >= 8) {
    uint64_t word = roost_word_load(at);
    if ((roost_word_below(word, 0x20) | roost_word_equal(word, '"') |
         roost_word_equal(word, '\\')) != 0)
      break;
    at += 8;
  }
  while (at < end && !roost_byte_is_special(*at))
    at++;
  return at;
}

/* As roost_scan_special, but stops at bytes above 127 too. */
static inline const char *roost_scan_plain_portable(const char *at, const char *end) {
  while (end - at >= 8) {
    uint64_t word = roost_word_load(at);
    if (((word & ROOST_WORD_HIGHS) | roost_word_below(word, 0x20) | roost_word_equal(word, '"') |
         roost_word_equal(word, '\\')) != 0)
      break;
    at += 8;
  }
  while (at < end && !roost_byte_is_special(*at) && (uint8_t)*at < 0x80)
    at++;
  return at;
}

/* The first byte above 127, or end. */
static inline const char *roost_scan_ascii_portable(const char *at, const char *end) {
  while (end - at >= 8 && (roost_word_load(at) & ROOST_WORD_HIGHS) == 0)
    at += 8;
  while (at < end && (uint8_t)*at < 0x80)
    at++;
  return at;
}

/* The first quote or bracket ([ ] { }), or end. */
static inline const char *roost_scan_bracket_portable(const char *at, const char *end) {
  for (; at < end; at++) {
    char folded = (char)(*at | 0x20);
    if (folded == '{' || folded == '}' || *at == '"')
      break;
  }
  return at;
}

/* UTF-16 units of valid UTF-8: one for each byte that begins a character, two for a long one. */
static inline size_t roost_count_utf16_portable(const char *at, const char *end) {
  size_t units = 0;
  for (; at < end; at++)
    units += (size_t)((int8_t)*at >= -64) + (size_t)((uint8_t)*at >= 0xF0);
  return units;
}

#if defined(__SSE2__)

static inline __m128i roost_block_load(const char *at) {
  return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline unsigned roost_block_special(__m128i block) {
  __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1F)), block);
  __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
  __m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
  return (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
}

static inline const char *roost_scan_special(const char *at, const char *end) {
  for (; end - at >= 16; at += 16) {
    unsigned found = roost_block_special(roost_block_load(at));
    if (found != 0)
      return at + __builtin_ctz(found);
  }
  return roost_scan_special_portable(at, end);
}

static inline const char *roost_scan_plain(const char *at, const char *end) {
  for (; end - at >= 16; at += 16) {
    __m128i block = roost_block_load(at);
    unsigned found = roost_block_special(block) | (unsigned)_mm_movemask_epi8(block);
    if (found != 0)
      return at + __builtin_ctz(found);
  }
  return roost_scan_plain_portable(at, end);
}

static inline const char *roost_scan_ascii(const char *at, const char *end) {
  for (; end - at >= 16; at += 16) {
    unsigned found = (unsigned)_mm_movemask_epi8(roost_block_load(at));
    if (found != 0)
      return at + __builtin_ctz(found);
  }
  return roost_scan_ascii_portable(at, end);
}

static inline const char *roost_scan_bracket(const char *at, const char *end) {
  for (; end - at >= 16; at += 16) {
    __m128i block = roost_block_load(at);
    __m128i folded = _mm_or_si128(block, _mm_set1_epi8(0x20));
    __m128i open = _mm_cmpeq_epi8(folded, _mm_set1_epi8('{'));
    __m128i close = _mm_cmpeq_epi8(folded, _mm_set1_epi8('}'));
    __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
    unsigned found = (unsigned)_mm_movemask_epi8(_mm_or_si128(quote, _mm_or_si128(open, close)));
    if (found != 0)
      return at + __builtin_ctz(found);
  }
  return roost_scan_bracket_portable(at, end);
}

static inline size_t roost_count_utf16(const char *at, const char *end) {
  size_t units = 0;
  while (end - at >= 16) {
    /* Per-byte counters hold at most 255: two for each of 127 blocks, then they are added up. */
    __m128i counts = _mm_setzero_si128();
    for (int n = 0; n < 127 && end - at >= 16; n++, at += 16) {
      __m128i block = roost_block_load(at);
      __m128i begins = _mm_cmpgt_epi8(block, _mm_set1_epi8(-65));
      __m128i is_long = _mm_cmpeq_epi8(_mm_max_epu8(block, _mm_set1_epi8((char)0xF0)), block);
      counts = _mm_sub_epi8(counts, _mm_add_epi8(begins, is_long));
    }
    __m128i sums = _mm_sad_epu8(counts, _mm_setzero_si128());
    units +=
        (size_t)_mm_cvtsi128_si64(sums) + (size_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(sums, sums));
  }
  return units + roost_count_utf16_portable(at, end);
}

#else

#define roost_scan_special roost_scan_special_portable
#define roost_scan_plain   roost_scan_plain_portable
#define roost_scan_ascii   roost_scan_ascii_portable
#define roost_scan_bracket roost_scan_bracket_portable
#define roost_count_utf16  roost_count_utf16_portable

#endif

#endif
