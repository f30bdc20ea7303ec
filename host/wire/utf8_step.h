/*
 * wire/utf8_step.h - one step of UTF-8 decoding, shared by utf8.c, string.c and frame.c.
 *
 * Start reading at roost_utf8_sequence, which looks at one whole sequence; roost_utf8_step is the
 * same knowledge byte by byte, for text that comes in pieces. No I/O; any thread.
 */
#ifndef ROOST_WIRE_UTF8_STEP_H
#define ROOST_WIRE_UTF8_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is still missing of a character; ROOST_UTF8_READY is 0. */
typedef enum roost_utf8_state {
  ROOST_UTF8_READY,     /* between characters */
  ROOST_UTF8_LAST,      /* one more byte */
  ROOST_UTF8_TWO,       /* two more */
  ROOST_UTF8_TWO_E0,    /* two more, the first not below A0 (overlong) */
  ROOST_UTF8_TWO_ED,    /* two more, the first not above 9F (a surrogate) */
  ROOST_UTF8_LONG_LAST, /* as LAST, TWO and so on, of a character of four bytes */
  ROOST_UTF8_LONG_TWO,
  ROOST_UTF8_LONG_THREE,
  ROOST_UTF8_LONG_THREE_F0, /* three more, the first not below 90 (overlong) */
  ROOST_UTF8_LONG_THREE_F4, /* three more, the first not above 8F (past U+10FFFF) */
  ROOST_UTF8_BROKEN         /* the byte can't stand here */
} roost_utf8_state;

/* The state after byte at the start of a character. */
static inline roost_utf8_state roost_utf8_begin(uint8_t byte) {
  if (byte < 0x80)
    return ROOST_UTF8_READY;
  if (byte < 0xC2)
    return ROOST_UTF8_BROKEN;
  if (byte < 0xE0)
    return ROOST_UTF8_LAST;
  if (byte < 0xF0)
    return byte == 0xE0 ? ROOST_UTF8_TWO_E0 : byte == 0xED ? ROOST_UTF8_TWO_ED : ROOST_UTF8_TWO;
  if (byte < 0xF5)
    return byte == 0xF0   ? ROOST_UTF8_LONG_THREE_F0
           : byte == 0xF4 ? ROOST_UTF8_LONG_THREE_F4
                          : ROOST_UTF8_LONG_THREE;
  return ROOST_UTF8_BROKEN;
}

/* The state after byte inside a character; BROKEN leaves byte to be looked at again. */
static inline roost_utf8_state roost_utf8_step(roost_utf8_state state, uint8_t byte) {
  static const struct {
    uint8_t low;
    uint8_t high;
    uint8_t next;
  } steps[] = {
      [ROOST_UTF8_LAST] = {0x80, 0xBF, ROOST_UTF8_READY},
      [ROOST_UTF8_TWO] = {0x80, 0xBF, ROOST_UTF8_LAST},
      [ROOST_UTF8_TWO_E0] = {0xA0, 0xBF, ROOST_UTF8_LAST},
      [ROOST_UTF8_TWO_ED] = {0x80, 0x9F, ROOST_UTF8_LAST},
      [ROOST_UTF8_LONG_LAST] = {0x80, 0xBF, ROOST_UTF8_READY},
      [ROOST_UTF8_LONG_TWO] = {0x80, 0xBF, ROOST_UTF8_LONG_LAST},
      [ROOST_UTF8_LONG_THREE] = {0x80, 0xBF, ROOST_UTF8_LONG_TWO},
      [ROOST_UTF8_LONG_THREE_F0] = {0x90, 0xBF, ROOST_UTF8_LONG_TWO},
      [ROOST_UTF8_LONG_THREE_F4] = {0x80, 0x8F, ROOST_UTF8_LONG_TWO},
  };
  if (byte < steps[state].low || byte > steps[state].high)
    return ROOST_UTF8_BROKEN;
  return (roost_utf8_state)steps[state].next;
}

/* Looks at the sequence at the start of len (> 0) bytes. Returns its length and sets *state to
 * READY where it is a whole character, to BROKEN where it is a maximal subpart of none, and to what
 * is missing where all len bytes could begin one. */
static inline size_t roost_utf8_sequence(const char *at, size_t len, roost_utf8_state *state) {
  roost_utf8_state now = roost_utf8_begin((uint8_t)at[0]);
  size_t n = 1;
  while (now != ROOST_UTF8_READY && now != ROOST_UTF8_BROKEN && n < len) {
    now = roost_utf8_step(now, (uint8_t)at[n]);
    if (now != ROOST_UTF8_BROKEN)
      n++;
  }
  *state = now;
  return n;
}

/* Whether what is missing belongs to a character of four bytes, which is two UTF-16 units. */
static inline bool roost_utf8_is_long(roost_utf8_state state) {
  return state >= ROOST_UTF8_LONG_LAST && state <= ROOST_UTF8_LONG_THREE_F4;
}

/* The length of the valid character of two to four bytes at the start of len bytes, or 0. */
static inline size_t roost_utf8_character(const char *at, size_t len) {
  uint8_t first = (uint8_t)at[0];
  uint8_t second = len > 1 ? (uint8_t)at[1] : 0;
  if (first >= 0xC2 && first < 0xE0)
    return (second & 0xC0) == 0x80 ? 2 : 0;
  if (first >= 0xE1 && first <= 0xEC && len >= 3)
    return (second & 0xC0) == 0x80 && (at[2] & 0xC0) == 0x80 ? 3 : 0;
  roost_utf8_state state;
  size_t n = roost_utf8_sequence(at, len, &state);
  return state == ROOST_UTF8_READY && n > 1 ? n : 0;
}

#endif
