/*
 * wire/json_read.h - the single steps of reading JSON, inline, for who keeps track of the grammar.
 *
 * Start reading at roost_json_read_scalar. json.c makes the tokenizer of them; vm/value.c, for
 * which that would be most of the work, recurses over the containers itself. Each step begins at
 * `at`, where no white space is left, sets reader->at behind what it read, or fails as
 * roost_json_fail does. No I/O; any thread.
 */
#ifndef ROOST_WIRE_JSON_READ_H
#define ROOST_WIRE_JSON_READ_H

#include "wire/json.h"
#include "wire/json_scan.h"
#include "wire/number.h"

static const char roost_json_error_value[] = "a value is expected";
static const char roost_json_error_key[] = "a member's name in quotes is expected";
static const char roost_json_error_colon[] = "a colon is expected";
static const char roost_json_error_more[] = "a comma or the end of the container is expected";
static const char roost_json_error_extra[] = "there is more than one value";
static const char roost_json_error_number[] = "this is not a number";
static const char roost_json_error_string[] = "the string is not closed";
static const char roost_json_error_control[] = "a control character must be escaped in a string";
static const char roost_json_error_escape[] = "there is no such escape";
static const char roost_json_error_depth[] = "containers are nested too deep";

static inline roost_json_type roost_json_fail(roost_json_reader *reader, const char *at,
                                              const char *error) {
  reader->at = at;
  reader->error = error;
  return ROOST_JSON_ERROR;
}

/* Reads the string whose opening quote is at `at`; false on failure. */
static inline bool roost_json_read_string(roost_json_reader *reader, const char *at,
                                          roost_json_token *token) {
  const char *first = at + 1;
  const char *stop = roost_json_quote(reader->start, first, reader->end, &token->escaped);
  if (stop == reader->end) {
    roost_json_fail(reader, at, roost_json_error_string);
    return false;
  }
  if (*stop != '"') {
    roost_json_fail(reader, stop,
                    *stop == '\\' ? roost_json_error_escape : roost_json_error_control);
    return false;
  }
  token->text = (roost_slice){first, (size_t)(stop - first)};
  reader->at = stop + 1;
  return true;
}

/* Reads a member's name and the colon after it; false on failure. */
static inline bool roost_json_read_key(roost_json_reader *reader, const char *at,
                                       roost_json_token *token) {
  if (at == reader->end || *at != '"') {
    roost_json_fail(reader, at, roost_json_error_key);
    return false;
  }
  if (!roost_json_read_string(reader, at, token))
    return false;
  at = roost_json_space(reader->at, reader->end);
  if (at == reader->end || *at != ':') {
    roost_json_fail(reader, at, roost_json_error_colon);
    return false;
  }
  reader->at = at + 1;
  return true;
}

__attribute__((noinline)) static roost_json_type
roost_json_read_any_number(roost_json_reader *reader, const char *at, roost_json_token *token) {
  roost_number number;
  const char *after = roost_number_read(&number, at, reader->end);
  if (after == NULL)
    return roost_json_fail(reader, at, roost_json_error_number);
  reader->at = after;
  if (number.is_integer) {
    token->integer = number.integer;
    return ROOST_JSON_INTEGER;
  }
  token->number = number.number;
  return ROOST_JSON_DOUBLE;
}

/* Adds the digits at `at` to *value, up to the limit; returns the byte after them. */
static inline const char *roost_json_read_digits(const char *at, const char *limit,
                                                 uint64_t *value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (limit - at >= 8) {
    uint64_t word = roost_word_load(at);
    unsigned count = roost_word_digits(word);
    if (count == 0)
      return at;
    *value = roost_word_number(word, count);
    at += count;
    if (count < 8)
      return at;
  }
#endif
  for (; at < limit && (unsigned)(*at - '0') <= 9; at++)
    *value = *value * 10 + (uint64_t)(*at - '0');
  return at;
}

static inline bool roost_json_ends_number(char byte) {
  return (unsigned)(byte - '0') > 9 && byte != '.' && (byte | 0x20) != 'e';
}

/* Whole numbers of up to 18 digits are read here, all others by wire/number.h. */
static inline roost_json_type roost_json_read_number(roost_json_reader *reader, const char *at,
                                                     roost_json_token *token) {
  if (*at != '-' && reader->end - at >= 2 && roost_json_ends_number(at[1])) { /* a single digit */
    reader->at = at + 1;
    token->integer = *at - '0';
    return ROOST_JSON_INTEGER;
  }
  bool is_negative = *at == '-';
  const char *first = at + is_negative;
  const char *limit = reader->end - first > 19 ? first + 19 : reader->end;
  uint64_t value = 0;
  const char *after = roost_json_read_digits(first, limit, &value);
  bool is_simple = after > first && after - first <= 18 && (*first != '0' || after - first == 1) &&
                   !(is_negative && value == 0);
  if (!is_simple || (after < reader->end && (*after == '.' || (*after | 0x20) == 'e')))
    return roost_json_read_any_number(reader, at, token);
  reader->at = after;
  token->integer = is_negative ? -(int64_t)value : (int64_t)value;
  return ROOST_JSON_INTEGER;
}

static inline roost_json_type roost_json_read_word(roost_json_reader *reader, const char *at,
                                                   const char *word, size_t len,
                                                   roost_json_type type) {
  if ((size_t)(reader->end - at) < len || memcmp(at, word, len) != 0)
    return roost_json_fail(reader, at, roost_json_error_value);
  reader->at = at + len;
  return type;
}

/* Reads a value that is no container. */
static inline roost_json_type roost_json_read_scalar(roost_json_reader *reader, const char *at,
                                                     roost_json_token *token) {
  if (at == reader->end)
    return roost_json_fail(reader, at, roost_json_error_value);
  switch (*at) {
  case '"':
    return roost_json_read_string(reader, at, token) ? ROOST_JSON_STRING : ROOST_JSON_ERROR;
  case 't':
    return roost_json_read_word(reader, at, "true", 4, ROOST_JSON_TRUE);
  case 'f':
    return roost_json_read_word(reader, at, "false", 5, ROOST_JSON_FALSE);
  case 'n':
    return roost_json_read_word(reader, at, "null", 4, ROOST_JSON_NULL);
  default:
    if (*at == '-' || (*at >= '0' && *at <= '9'))
      return roost_json_read_number(reader, at, token);
    return roost_json_fail(reader, at, roost_json_error_value);
  }
}

#endif
