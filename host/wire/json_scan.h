/*
 * wire/json_scan.h - passing over JSON text without looking at what it says.
 *
 * Start reading at roost_json_pass. For json.c, which reads values, and envelope.c, which only
 * wants to know where they end. Text is valid UTF-8 or it doesn't matter. No I/O; any thread.
 */
#ifndef ROOST_WIRE_JSON_SCAN_H
#define ROOST_WIRE_JSON_SCAN_H

#include "wire/simd.h"

/* The byte after the value at `at`, or NULL where there is none or it nests deeper than depth_max.
 * Checks all of JSON's grammar. at < end; bytes from start (<= at) on may be read. */
const char *roost_json_pass(const char *start, const char *at, const char *end, unsigned depth_max);

/* The byte after what looks like a value at `at`, or NULL. A string is checked; of a container only
 * quotes and brackets are counted, of any kind and at any depth; a number or word is taken up to
 * where it must end. */
const char *roost_json_balance(const char *start, const char *at, const char *end);

/* The closing quote of a string, from within it on; or, where it isn't one, the end, or the byte
 * that can't stand there: a backslash of no escape, a control character. Sets *escaped where there
 * are escapes. */
const char *roost_json_string_end(const char *at, const char *end, bool *escaped);

static inline const char *roost_json_space(const char *at, const char *end) {
  while (at < end && (uint8_t)*at <= ' ' &&
         (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
    at++;
  return at;
}

/* As roost_json_string_end, and quick where the string is short and plain. */
static inline const char *roost_json_quote(const char *start, const char *at, const char *end,
                                           bool *escaped) {
  const char *stop = roost_scan_short(start, at, end);
  *escaped = false;
  if (stop != NULL && *stop == '"')
    return stop;
  return roost_json_string_end(stop != NULL ? stop : at, end, escaped);
}

#endif
