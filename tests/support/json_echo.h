/* json_echo.h - reads JSON text and writes it again, without white space; for oracles and fuzzing.
 */
#ifndef ROOST_TESTS_JSON_ECHO_H
#define ROOST_TESTS_JSON_ECHO_H

#include "wire/json.h"

static inline int json_echo_text(roost_buffer *out, roost_slice escaped) {
  roost_buffer plain;
  roost_buffer_init(&plain, out->alloc);
  int status = roost_buffer_reserve(&plain, escaped.len + 1);
  if (status == 0) {
    plain.len = roost_json_unescape(plain.ptr, escaped);
    status = roost_json_write_string(out, roost_buffer_slice(&plain));
  }
  roost_buffer_deinit(&plain);
  return status;
}

/* Appends one token; the commas and colons are the caller's. */
static inline int json_echo_token(roost_buffer *out, roost_json_type type,
                                  const roost_json_token *token) {
  switch (type) {
  case ROOST_JSON_NULL:
    return roost_buffer_append(out, "null", 4);
  case ROOST_JSON_TRUE:
    return roost_buffer_append(out, "true", 4);
  case ROOST_JSON_FALSE:
    return roost_buffer_append(out, "false", 5);
  case ROOST_JSON_INTEGER:
    return roost_json_write_integer(out, token->integer);
  case ROOST_JSON_DOUBLE:
    return roost_json_write_double(out, token->number);
  case ROOST_JSON_ARRAY:
    return roost_buffer_append_byte(out, '[');
  case ROOST_JSON_ARRAY_END:
    return roost_buffer_append_byte(out, ']');
  case ROOST_JSON_OBJECT:
    return roost_buffer_append_byte(out, '{');
  case ROOST_JSON_OBJECT_END:
    return roost_buffer_append_byte(out, '}');
  default:
    return json_echo_text(out, token->text);
  }
}

/* 0, EPROTO where text is not JSON, ENOMEM. */
static inline int json_echo(roost_buffer *out, roost_slice text) {
  roost_json_reader reader;
  roost_json_token token;
  bool is_first = true;
  int status = 0;
  roost_json_reader_init(&reader, text);
  while (status == 0) {
    roost_json_type type = roost_json_next(&reader, &token);
    if (type == ROOST_JSON_END || type == ROOST_JSON_ERROR)
      return type == ROOST_JSON_END ? 0 : ROOST_EPROTO;
    bool is_end = type == ROOST_JSON_ARRAY_END || type == ROOST_JSON_OBJECT_END;
    if (!is_first && !is_end)
      status = roost_buffer_append_byte(out, ',');
    if (status == 0)
      status = json_echo_token(out, type, &token);
    if (status == 0 && type == ROOST_JSON_KEY)
      status = roost_buffer_append_byte(out, ':');
    is_first = type == ROOST_JSON_ARRAY || type == ROOST_JSON_OBJECT || type == ROOST_JSON_KEY;
  }
  return status;
}

#endif
