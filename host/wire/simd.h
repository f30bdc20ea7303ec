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

/* How many of the word's first bytes (as they lie in memory) are decimal digits, and the number
 * that the first count of them, 1 to 8, are. Little-endian machines only. */
static inline unsigned roost_word_digits(uint64_t word) {
  uint64_t folded = word ^ ROOST_WORD_ONES * '0';
  uint64_t others = ((folded + ROOST_WORD_ONES * 0x76) | folded) & ROOST_WORD_HIGHS;
  return others != 0 ? (unsigned)__builtin_ctzll(others) / 8 : 8;
}

static inline uint64_t roost_word_number(uint64_t word, unsigned count) {
  word = (word ^ ROOST_WORD_ONES * '0') << (64 - 8 * count); /* zeros in front */
  word = word * 10 + (word >> 8);                            /* pairs, in every second byte */
  return ((word & 0x000000FF000000FF) * 0x000F424000000064 +
          (word >> 16 & 0x000000FF000000FF) * 0x0000271000000001) >>
         32;
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

/* As roost_scan_special for what is probably short: looks at up to 16 bytes; NULL where none of
 * them is special. The bytes from start (<= at) on may be read, too. */
static inline const char *roost_scan_short_portable(const char *start, const char *at,
                                                    const char *end) {
  (void)start;
  for (const char *limit = end - at > 16 ? at + 16 : end; at < limit; at++) {
    if (roost_byte_is_special(*at))
      return at;
  }
  return NULL;
}

/* Looks at up to 32 bytes from an array's first element on: how many elements it has, 0 where it
 * doesn't end there or that is not easily told, for there is a bracket or a backslash. The bytes
 * from start (<= at) on may be read, too. Of what is no JSON it says anything. */
static inline unsigned roost_count_elements_portable(const char *start, const char *at,
                                                     const char *end) {
  unsigned commas = 0;
  bool in_string = false;
  (void)start;
  for (const char *limit = end - at > 32 ? at + 32 : end; at < limit; at++) {
    if (*at == '\\' || (*at | 0x20) == '{')
      return 0;
    if (*at == '"')
      in_string = !in_string;
    if (in_string)
      continue;
    if (*at == ']')
      return commas + 1;
    commas += *at == ',';
  }
  return 0;
}

static inline bool roost_word_is_plain(uint64_t word) {
  return ((word & ROOST_WORD_HIGHS) | roost_word_below(word, 0x20) | roost_word_equal(word, '"') |
          roost_word_equal(word, '\\')) == 0;
}

/* Copies up to 15 bytes and says whether all of them are plain (see roost_scan_plain); where some
 * are not, what was copied is anything. */
static inline bool roost_copy_plain_short_portable(char *to, const char *at, size_t len) {
  if (len >= 8) {
    uint64_t first = roost_word_load(at);
    uint64_t last = roost_word_load(at + len - 8);
    memcpy(to, &first, 8);
    memcpy(to + len - 8, &last, 8);
    return roost_word_is_plain(first) && roost_word_is_plain(last);
  }
  if (len >= 4) {
    uint32_t first;
    uint32_t last;
    memcpy(&first, at, 4);
    memcpy(&last, at + len - 4, 4);
    memcpy(to, &first, 4);
    memcpy(to + len - 4, &last, 4);
    return roost_word_is_plain((uint64_t)last << 32 | first);
  }
  for (size_t i = 0; i < len; i++) {
    if (roost_byte_is_special(at[i]) || (uint8_t)at[i] >= 0x80)
      return false;
    to[i] = at[i];
  }
  return true;
}

/* Copies plain bytes up to the first piece that holds one that is not; returns how many were
 * copied: len where all are plain. `to` has room for len bytes. */
static inline size_t roost_copy_plain_portable(char *to, const char *at, size_t len) {
  size_t done = 0;
  for (; len - done >= 8; done += 8) {
    uint64_t word = roost_word_load(at + done);
    if (!roost_word_is_plain(word))
      return done;
    memcpy(to + done, &word, 8);
  }
  return roost_copy_plain_short_portable(to + done, at + done, len - done) ? len : done;
}

#if defined(__SSE2__)

static inline __m128i roost_block_load(const char *at) {
  return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline unsigned roost_block_equal(__m128i block, char byte) {
  return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(byte)));
}

/* The exclusive or of all bits of quotes up to each: what lies in strings, their first quotes
 * included. */
static inline unsigned roost_block_inside(unsigned quotes) {
  quotes ^= quotes << 1;
  quotes ^= quotes << 2;
  quotes ^= quotes << 4;
  quotes ^= quotes << 8;
  return quotes & 0xFFFF;
}

static inline unsigned roost_block_special(__m128i block) {
  __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1F)), block);
  __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
  __m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
  return (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
}

static inline unsigned roost_block_not_plain(__m128i block) {
  return roost_block_special(block) | (unsigned)_mm_movemask_epi8(block);
}

static inline unsigned roost_block_not_ascii(__m128i block) {
  return (unsigned)_mm_movemask_epi8(block);
}

static inline unsigned roost_block_bracket(__m128i block) {
  __m128i folded = _mm_or_si128(block, _mm_set1_epi8(0x20));
  __m128i open = _mm_cmpeq_epi8(folded, _mm_set1_epi8('{'));
  __m128i close = _mm_cmpeq_epi8(folded, _mm_set1_epi8('}'));
  __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
  return (unsigned)_mm_movemask_epi8(_mm_or_si128(quote, _mm_or_si128(open, close)));
}

/* The scan that stops where find marks a byte. What is left over after whole blocks is looked at in
 * the last 16 bytes, those before it shifted out. */
#define ROOST_SCAN(name, find)                                                                     \
  static inline const char *name(const char *at, const char *end) {                                \
    if (end - at < 16)                                                                             \
      return name##_portable(at, end);                                                             \
    for (; end - at >= 16; at += 16) {                                                             \
      unsigned found = find(roost_block_load(at));                                                 \
      if (found != 0)                                                                              \
        return at + __builtin_ctz(found);                                                          \
    }                                                                                              \
    unsigned found = find(roost_block_load(end - 16)) >> (16 - (end - at));                        \
    return found != 0 ? at + __builtin_ctz(found) : end;                                           \
  }

ROOST_SCAN(roost_scan_special, roost_block_special)
ROOST_SCAN(roost_scan_plain, roost_block_not_plain)
ROOST_SCAN(roost_scan_ascii, roost_block_not_ascii)
ROOST_SCAN(roost_scan_bracket, roost_block_bracket)

/* As its portable twin: what there is, twice where it overlaps, is looked at in one block. */
static inline bool roost_copy_plain_short(char *to, const char *at, size_t len) {
  if (len >= 8) {
    const __m128i first = _mm_loadl_epi64((const __m128i *)(const void *)at);
    const __m128i last = _mm_loadl_epi64((const __m128i *)(const void *)(at + len - 8));
    _mm_storel_epi64((__m128i *)(void *)to, first);
    _mm_storel_epi64((__m128i *)(void *)(to + len - 8), last);
    return roost_block_not_plain(_mm_unpacklo_epi64(first, last)) == 0;
  }
  if (len >= 4) {
    uint32_t first;
    uint32_t last;
    memcpy(&first, at, 4);
    memcpy(&last, at + len - 4, 4);
    memcpy(to, &first, 4);
    memcpy(to + len - 4, &last, 4);
    const __m128i both = _mm_set_epi32(0, 0, (int)last, (int)first);
    return (roost_block_not_plain(both) & 0xFF) == 0;
  }
  return roost_copy_plain_short_portable(to, at, len);
}

static inline size_t roost_copy_plain(char *to, const char *at, size_t len) {
  if (len < 16)
    return roost_copy_plain_short(to, at, len) ? len : 0;
  for (size_t done = 0;; done += 16) {
    if (len - done < 16) /* the rest, in the last 16 bytes */
      done = len - 16;
    __m128i block = roost_block_load(at + done);
    if (roost_block_not_plain(block) != 0)
      return done;
    _mm_storeu_si128((__m128i *)(void *)(to + done), block);
    if (done == len - 16)
      return len;
  }
}

/* Goes through a container's text by whole blocks, counting brackets outside of strings in *depth,
 * as far as there are no backslashes and control characters; from its first byte on, where *depth
 * is 0. Returns the byte after the container's end, and then *depth is 0, or where it got to. */
static inline const char *roost_balance_blocks(const char *at, const char *end, size_t *depth,
                                               bool *in_string) {
  unsigned string = *in_string ? 0xFFFF : 0; /* as a mask: what the last block left open */
  for (; end - at >= 16; at += 16) {
    __m128i block = roost_block_load(at);
    unsigned quotes = roost_block_equal(block, '"');
    if (roost_block_special(block) != quotes)
      break;
    const unsigned inside = roost_block_inside(quotes) ^ string;
    string = (inside & 0x8000) != 0 ? 0xFFFF : 0;
    unsigned brackets = roost_block_bracket(block) & ~quotes & ~inside;
    for (; brackets != 0; brackets &= brackets - 1) {
      const char *bracket = at + __builtin_ctz(brackets);
      if ((*bracket | 0x20) == '{')
        ++*depth;
      else if (--*depth == 0)
        return bracket + 1;
    }
  }
  *in_string = string != 0;
  return at;
}

/* Up to 15 bytes, and zeros behind them, without a byte outside of them being read. */
static inline __m128i roost_block_load_short(const char *at, size_t len) {
  uint64_t low = 0;
  uint64_t high = 0;
  if (len >= 8) {
    low = roost_word_load(at);
    high = roost_word_load(at + len - 8) >> (8 * (15 - len)) >> 8;
  } else if (len >= 4) {
    uint32_t first;
    uint32_t last;
    memcpy(&first, at, 4);
    memcpy(&last, at + len - 4, 4);
    low = first | (uint64_t)last << (8 * (len - 4));
  } else if (len > 0) {
    low = (uint64_t)(uint8_t)at[0] | (uint64_t)(uint8_t)at[len / 2] << (8 * (len / 2)) |
          (uint64_t)(uint8_t)at[len - 1] << (8 * (len - 1));
  }
  return _mm_set_epi64x((long long)high, (long long)low);
}

static inline const char *roost_scan_short(const char *start, const char *at, const char *end) {
  const size_t left = (size_t)(end - at);
  unsigned found;
  if (left >= 16)
    found = roost_block_special(roost_block_load(at));
  else if (end - start >= 16)
    found = roost_block_special(roost_block_load(end - 16)) >> (16 - left);
  else
    found = roost_block_special(roost_block_load_short(at, left)) & ((1u << left) - 1);
  return found != 0 ? at + __builtin_ctz(found) : NULL;
}

static inline unsigned roost_count_elements(const char *start, const char *at, const char *end) {
  unsigned count = 1;
  unsigned string = 0; /* as a mask: what the first block left open */
  for (int blocks = 0; blocks < 2; blocks++, at += 16) {
    const size_t left = (size_t)(end - at);
    const bool is_short = left < 16 && end - start < 16;
    const unsigned past = left < 16 && !is_short ? 16 - (unsigned)left : 0;
    const __m128i block = is_short ? roost_block_load_short(at, left) : roost_block_load(at - past);
    const unsigned quotes = roost_block_equal(block, '"') >> past;
    const unsigned inside = quotes != 0 ? roost_block_inside(quotes) ^ string : string;
    const unsigned ends = (roost_block_equal(block, ']') >> past) & ~inside;
    const unsigned before = ends != 0 ? (ends & (0 - ends)) - 1 : 0xFFFF;
    const unsigned others = roost_block_equal(_mm_or_si128(block, _mm_set1_epi8(0x20)), '{') |
                            roost_block_equal(block, '\\');
    if ((others >> past & before) != 0)
      return 0;
    unsigned commas = (roost_block_equal(block, ',') >> past) & ~inside & before;
    for (; commas != 0; commas &= commas - 1)
      count++;
    if (ends != 0 || left <= 16)
      return ends != 0 ? count : 0;
    string = (inside & 0x8000) != 0 ? 0xFFFF : 0;
  }
  return 0;
}

/* Counts in each byte the UTF-16 units that begin there: 1, for long characters 2, else 0. */
static inline __m128i roost_block_units(__m128i block) {
  __m128i begins = _mm_cmpgt_epi8(block, _mm_set1_epi8(-65));
  __m128i is_long = _mm_cmpeq_epi8(_mm_max_epu8(block, _mm_set1_epi8((char)0xF0)), block);
  return _mm_sub_epi8(_mm_setzero_si128(), _mm_add_epi8(begins, is_long));
}

static inline size_t roost_block_sum(__m128i bytes) {
  __m128i sums = _mm_sad_epu8(bytes, _mm_setzero_si128());
  return (size_t)_mm_cvtsi128_si64(sums) +
         (size_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(sums, sums));
}

static inline size_t roost_count_utf16(const char *at, const char *end) {
  /* The 16 bytes from n on: the last n of them are set. */
  static const uint8_t tails[32] = {[16] = 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                    0xFF,        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
  if (end - at < 16)
    return roost_count_utf16_portable(at, end);
  size_t units = 0;
  __m128i counts = _mm_setzero_si128();
  while (end - at >= 16) {
    /* Per-byte counters hold at most 255: two for each of 120 blocks, then they are added up. */
    for (int n = 0; n < 120 && end - at >= 16; n++, at += 16)
      counts = _mm_add_epi8(counts, roost_block_units(roost_block_load(at)));
    if (end - at < 16)
      break;
    units += roost_block_sum(counts);
    counts = _mm_setzero_si128();
  }
  /* The rest lies at the end of the last 16 bytes. */
  __m128i tail = roost_block_load((const char *)tails + (end - at));
  __m128i rest = _mm_and_si128(roost_block_units(roost_block_load(end - 16)), tail);
  return units + roost_block_sum(_mm_add_epi8(counts, rest));
}

#else

#define roost_scan_special   roost_scan_special_portable
#define roost_scan_plain     roost_scan_plain_portable
#define roost_scan_short     roost_scan_short_portable
#define roost_scan_ascii     roost_scan_ascii_portable
#define roost_scan_bracket   roost_scan_bracket_portable
#define roost_copy_plain     roost_copy_plain_portable
#define roost_count_elements roost_count_elements_portable
#define roost_count_utf16    roost_count_utf16_portable

static inline const char *roost_balance_blocks(const char *at, const char *end, size_t *depth,
                                               bool *in_string) {
  (void)end;
  (void)depth;
  (void)in_string;
  return at;
}

#endif

#endif
