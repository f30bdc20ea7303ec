#include "wire/envelope.h"

#include "core/slice.h"
#include "wire/json.h"
#include "wire/number.h"

/* Longest member name there is, and its longest spelling with every character escaped. */
#define NAME_MAX_BYTES    10
#define NAME_MAX_SPELLING (NAME_MAX_BYTES * 6)

/* --------------------------------------------------------------------- reading --------------- */

/* The name without escapes, in buffer where it has any; empty where it is too long to be ours. */
static inline roost_slice plain_name(const roost_json_token *key, char *buffer) {
  if (!key->escaped)
    return key->text;
  if (key->text.len > NAME_MAX_SPELLING)
    return (roost_slice){buffer, 0};
  return (roost_slice){buffer, roost_json_unescape(buffer, key->text)};
}

static inline bool is_name(roost_slice name, roost_slice other) {
  return name.len == other.len && memcmp(name.ptr, other.ptr, other.len) == 0;
}

/* Reads the value of one member of a request. */
static int read_member(roost_json_reader *reader, roost_message *message, roost_slice name) {
  roost_slice ignored;
  if (is_name(name, ROOST_SLICE("data"))) {
    /* Nobody will decode a value that a later one replaces, so it is checked here. */
    if (message->data.ptr != NULL && roost_json_validate(message->data) != 0)
      return ROOST_EPROTO;
    return roost_json_take_unchecked(reader, &message->data);
  }
  if (is_name(name, ROOST_SLICE("pattern")))
    return roost_json_take(reader, &message->pattern);
  if (is_name(name, ROOST_SLICE("id")))
    return roost_json_take(reader, &message->id);
  if (is_name(name, ROOST_SLICE("metadata")))
    return roost_json_take(reader, &message->metadata);
  return roost_json_take(reader, &ignored);
}

int roost_envelope_read(roost_message *message, roost_slice text) {
  *message = (roost_message){.format = ROOST_FORMAT_JSON};
  roost_json_reader reader;
  roost_json_token key;
  roost_json_type type;
  char buffer[NAME_MAX_SPELLING];
  roost_json_reader_init(&reader, text);
  if (roost_json_next(&reader, &key) != ROOST_JSON_OBJECT)
    return roost_json_validate(text);
  while ((type = roost_json_next(&reader, &key)) == ROOST_JSON_KEY) {
    if (read_member(&reader, message, plain_name(&key, buffer)) != 0)
      return ROOST_EPROTO;
  }
  if (type != ROOST_JSON_OBJECT_END || roost_json_next(&reader, &key) != ROOST_JSON_END)
    return ROOST_EPROTO;
  return message->pattern.ptr != NULL || message->data.ptr != NULL ? 1 : 0;
}

/* JavaScript's idea of truth, for checked JSON text. */
static bool is_truthy(roost_slice value) {
  if (value.ptr == NULL)
    return false;
  switch (value.ptr[0]) {
  case 'n':
  case 'f':
    return false;
  case '"':
    return value.len > 2;
  case 't':
  case '{':
  case '[':
    return true;
  default: {
    roost_number number;
    roost_number_read(&number, value.ptr, value.ptr + value.len);
    return number.is_integer ? number.integer != 0 : number.number != 0;
  }
  }
}

/* Reads one member of a reply; is_last is the value that says so. */
static int read_reply_member(roost_json_reader *reader, roost_reply *reply, roost_slice name,
                             roost_slice *is_last) {
  roost_slice ignored;
  if (is_name(name, ROOST_SLICE("response")))
    return roost_json_take(reader, &reply->response);
  if (is_name(name, ROOST_SLICE("id")))
    return roost_json_take(reader, &reply->id);
  if (is_name(name, ROOST_SLICE("isDisposed")))
    return roost_json_take(reader, is_last);
  if (is_name(name, ROOST_SLICE("err")))
    return roost_json_take(reader, &reply->err);
  if (!is_name(name, ROOST_SLICE("status")))
    reply->foreign = true;
  return roost_json_take(reader, &ignored);
}

static int read_reply_object(roost_json_reader *reader, roost_reply *reply) {
  roost_slice is_last = {NULL, 0};
  roost_json_token key;
  roost_json_type type;
  char buffer[NAME_MAX_SPELLING];
  bool is_empty = true;
  while ((type = roost_json_next(reader, &key)) == ROOST_JSON_KEY) {
    is_empty = false;
    if (read_reply_member(reader, reply, plain_name(&key, buffer), &is_last) != 0)
      return ROOST_EPROTO;
  }
  if (type != ROOST_JSON_OBJECT_END || roost_json_next(reader, &key) != ROOST_JSON_END)
    return ROOST_EPROTO;
  reply->foreign = reply->foreign || is_empty;
  if (!is_truthy(reply->err))
    reply->err = (roost_slice){NULL, 0};
  reply->last = is_truthy(is_last) || reply->err.ptr != NULL;
  return 0;
}

int roost_envelope_read_reply(roost_reply *reply, roost_slice text) {
  *reply = (roost_reply){.foreign = false};
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, text);
  roost_json_type type = roost_json_next(&reader, &token);
  int status =
      type == ROOST_JSON_OBJECT ? read_reply_object(&reader, reply) : roost_json_validate(text);
  if (status != 0)
    return status;
  if (type != ROOST_JSON_OBJECT && type != ROOST_JSON_ARRAY)
    return 0;
  if (reply->foreign || type == ROOST_JSON_ARRAY)
    *reply = (roost_reply){.id = reply->id, .response = text, .last = true, .foreign = true};
  return 1;
}

/* --------------------------------------------------------------------- writing --------------- */

/* Appends the parts in order. */
static int append_parts(roost_buffer *out, const roost_slice *parts, size_t count) {
  size_t len = 0;
  for (size_t i = 0; i < count; i++)
    len += parts[i].len;
  int status = roost_buffer_reserve(out, len);
  if (status != 0)
    return status;
  for (size_t i = 0; i < count; i++) {
    if (parts[i].len > 0)
      memcpy(out->ptr + out->len, parts[i].ptr, parts[i].len);
    out->len += parts[i].len;
  }
  return 0;
}

int roost_envelope_reply_begin(roost_buffer *out, roost_reply_kind kind) {
  roost_slice start = kind == ROOST_REPLY_END     ? ROOST_SLICE("{")
                      : kind == ROOST_REPLY_ERROR ? ROOST_SLICE("{\"err\":")
                                                  : ROOST_SLICE("{\"response\":");
  return append_parts(out, &start, 1);
}

int roost_envelope_reply_end(roost_buffer *out, roost_reply_kind kind, roost_slice id) {
  roost_slice before = kind == ROOST_REPLY_ITEM  ? ROOST_SLICE(",\"id\":")
                       : kind == ROOST_REPLY_END ? ROOST_SLICE("\"isDisposed\":true,\"id\":")
                                                 : ROOST_SLICE(",\"isDisposed\":true,\"id\":");
  roost_slice parts[] = {before, id, ROOST_SLICE("}")};
  return append_parts(out, parts, 3);
}

int roost_envelope_write_unhandled(roost_buffer *out, roost_slice id) {
  roost_slice parts[] = {
      ROOST_SLICE("{\"id\":"), id,
      ROOST_SLICE(",\"status\":\"error\",\"err\":\"There is no matching message handler defined "
                  "in the remote service.\"}")};
  return append_parts(out, parts, 3);
}

/* The member's name where there is a value to follow it. */
static roost_slice name_of(roost_slice name, roost_slice value) {
  return value.ptr != NULL ? name : (roost_slice){NULL, 0};
}

int roost_envelope_write_request(roost_buffer *out, const roost_message *message) {
  roost_slice parts[] = {
      ROOST_SLICE("{\"pattern\":"),
      message->pattern,
      ROOST_SLICE(",\"data\":"),
      message->data,
      name_of(ROOST_SLICE(",\"metadata\":"), message->metadata),
      message->metadata,
      name_of(ROOST_SLICE(",\"id\":"), message->id),
      message->id,
      ROOST_SLICE("}"),
  };
  return append_parts(out, parts, sizeof parts / sizeof parts[0]);
}
