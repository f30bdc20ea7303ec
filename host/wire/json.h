/*
 * wire/json.h - strict JSON (RFC 8259): a pull tokenizer and writers for the single values.
 *
 * Start reading at roost_json_next: one call, one token; no tree is ever built. The tokenizer
 * checks the grammar itself, so a loop that only pulls until ROOST_JSON_END is a validator.
 * Text must be valid UTF-8 (frames are; check anything else with wire/utf8.h first).
 * Integers without fraction and exponent that fit int64 are exact; every other number is a
 * double, rounded correctly (1e400 is infinity, -0 the double -0).
 * No I/O; nothing allocates but the buffers given; any thread; the locale does not matter.
 */
#ifndef ROOST_WIRE_JSON_H
#define ROOST_WIRE_JSON_H

#include "core/buffer.h"

/* Containers may nest this deep. */
#define ROOST_JSON_DEPTH_MAX 1000

typedef enum roost_json_type {
  ROOST_JSON_ERROR, /* reader->error says why; every later call gives it again */
  ROOST_JSON_END,   /* the text held exactly one value and it is over */
  ROOST_JSON_NULL,
  ROOST_JSON_FALSE,
  ROOST_JSON_TRUE,
  ROOST_JSON_INTEGER,
  ROOST_JSON_DOUBLE,
  ROOST_JSON_STRING,
  ROOST_JSON_KEY, /* a member's name; its value is the next token */
  ROOST_JSON_ARRAY,
  ROOST_JSON_ARRAY_END,
  ROOST_JSON_OBJECT,
  ROOST_JSON_OBJECT_END
} roost_json_type;

typedef struct roost_json_token {
  union {
    int64_t integer;  /* ROOST_JSON_INTEGER */
    double number;    /* ROOST_JSON_DOUBLE */
    roost_slice text; /* STRING, KEY: what stands between the quotes, borrowed from the input */
  };
  bool escaped; /* STRING, KEY: text has escapes; see roost_json_unescape */
} roost_json_token;

typedef struct roost_json_reader {
  const char *start; /* of the text */
  const char *at;    /* next byte to read */
  const char *end;   /* of the text */
  const char *error; /* fixed text after ROOST_JSON_ERROR; at is where */
  uint16_t depth;    /* containers open now */
  uint8_t expect;    /* what the grammar allows next; private to json.c */
  bool in_object;    /* the innermost open container is an object */
  uint64_t object[(ROOST_JSON_DEPTH_MAX + 63) / 64]; /* bit per level: an object, not an array;
                                                        only levels below depth are ever set */
} roost_json_reader;

void roost_json_reader_init(roost_json_reader *reader, roost_slice text);
roost_json_type roost_json_next(roost_json_reader *reader, roost_json_token *token);

/* Right after ARRAY, OBJECT or KEY was returned: passes over the rest of that container, or over
 * that key's value, checking it. 0 or EPROTO (also at any other time). */
int roost_json_skip(roost_json_reader *reader);

/* After KEY: the text of that key's value, checked; the limit counts only what nests inside it.
 * 0 or EPROTO. */
int roost_json_take(roost_json_reader *reader, roost_slice *value);

/* Writes text without its escapes to out, which has room for text.len bytes; returns how many.
 * A surrogate pair becomes its character, a lone surrogate its three-byte form (WTF-8). */
size_t roost_json_unescape(char *out, roost_slice text);

/* 0 where text is exactly one JSON value, else EPROTO. */
int roost_json_validate(roost_slice text);

/* The writers append; ENOMEM. Numbers print as JavaScript prints them: a whole double without a
 * point, -0 as 0, the shortest digits that read back the same; NaN and infinities as null. */
int roost_json_write_integer(roost_buffer *out, int64_t value);
int roost_json_write_double(roost_buffer *out, double value);

/* Appends text in quotes, escaped as JSON.stringify does (short escapes, \u00xx for other control
 * characters, a surrogate of WTF-8 as \udxxx, nothing else). EINVAL where text is not WTF-8;
 * nothing is appended then. */
int roost_json_write_string(roost_buffer *out, roost_slice text);

/* A member's name: the byte before it (a brace or a comma), text as above, and the colon. */
int roost_json_write_key(roost_buffer *out, char before, roost_slice text);

#endif
