#include "wire/envelope.h"

#include "core/slice.h"
#include "wire/json.h"
#include "wire/json_scan.h"
#include "wire/number.h"

/* Longest member name there is, and its longest spelling with every character escaped. */
#define NAME_MAX_BYTES    10
#define NAME_MAX_SPELLING (NAME_MAX_BYTES * 6)

/* --------------------------------------------------------------------- reading --------------- */

/* Where reading an object's members has got to. */
typedef struct walk {
  const char *start;
  const char *at; /* in front of a key, or of the end of the object */
  const char *end;
  roost_slice name;               /* of the current member, without escapes */
  char buffer[NAME_MAX_SPELLING]; /* for a name that has some */
} walk;

/* Enters the object that text is; false where it isn't one. */
static bool walk_start(walk *w, roost_slice text) {
  w->start = text.ptr;
  w->end = text.len > 0 ? text.ptr + text.len : text.ptr;
  w->at = roost_json_space(w->start, w->end);
  if (w->at == w->end || *w->at != '{')
    return false;
  w->at = roost_json_space(w->at + 1, w->end);
  return true;
}

/* Reads the next member's name and goes to its value. 1; 0 where the object and the text end here;
 * EPROTO. */
static inline int walk_next(walk *w) {
  if (w->at == w->end)
    return ROOST_EPROTO;
  if (*w->at == '}')
    return roost_json_space(w->at + 1, w->end) == w->end ? 0 : ROOST_EPROTO;
  if (*w->at != '"')
    return ROOST_EPROTO;
  bool escaped;
  const char *first = w->at + 1;
  const char *quote = roost_json_quote(w->start, first, w->end, &escaped);
  if (quote == w->end || *quote != '"')
    return ROOST_EPROTO;
  w->name = (roost_slice){first, (size_t)(quote - first)};
  if (escaped && w->name.len > NAME_MAX_SPELLING)
    w->name.len = 0; /* none of ours is as long */
  else if (escaped)
    w->name = (roost_slice){w->buffer, roost_json_unescape(w->buffer, w->name)};
  const char *colon = roost_json_space(quote + 1, w->end);
  if (colon == w->end || *colon != ':')
    return ROOST_EPROTO;
  w->at = roost_json_space(colon + 1, w->end);
  return w->at < w->end ? 1 : ROOST_EPROTO;
}

/* Takes the value, which ends in front of `after` (NULL: nowhere), and goes on to the next key. */
static inline int walk_on(walk *w, roost_slice *value, const char *after) {
  if (after == NULL)
    return ROOST_EPROTO;
  *value = (roost_slice){w->at, (size_t)(after - w->at)};
  w->at = roost_json_space(after, w->end);
  if (w->at == w->end || (*w->at != ',' && *w->at != '}'))
    return ROOST_EPROTO;
  if (*w->at == '}')
    return 0;
  w->at = roost_json_space(w->at + 1, w->end);
  return w->at < w->end && *w->at == '"' ? 0 : ROOST_EPROTO;
}

static inline int take(walk *w, roost_slice *value) {
  if (*w->at == '"') { /* most ids and many patterns; pass would do the same */
    bool escaped;
    const char *quote = roost_json_quote(w->start, w->at + 1, w->end, &escaped);
    return walk_on(w, value, quote < w->end && *quote == '"' ? quote + 1 : NULL);
  }
  return walk_on(w, value, roost_json_pass(w->start, w->at, w->end, ROOST_JSON_DEPTH_MAX));
}

/* As take, but leaves the check to whoever reads the value; nobody will read one that a later one
 * replaces. */
static inline int take_unchecked(walk *w, roost_slice *value) {
  if (value->ptr != NULL && roost_json_validate(*value) != 0)
    return ROOST_EPROTO;
  return walk_on(w, value, roost_json_balance(w->start, w->at, w->end));
}

static inline bool is_name(roost_slice name, roost_slice other) {
  return name.len == other.len && memcmp(name.ptr, other.ptr, other.len) == 0;
}

/* Reads the value of one member of a request. */
static inline int read_member(walk *w, roost_message *message) {
  roost_slice ignored;
  if (is_name(w->name, ROOST_SLICE("data")))
    return take_unchecked(w, &message->data);
  if (is_name(w->name, ROOST_SLICE("pattern")))
    return take_unchecked(w, &message->pattern);
  if (is_name(w->name, ROOST_SLICE("id")))
    return take(w, &message->id);
  if (is_name(w->name, ROOST_SLICE("metadata")))
    return take(w, &message->metadata);
  return take(w, &ignored);
}

/* Goes past a literal; false where something else stands there. */
static inline bool pass_literal(const char **at, const char *end, roost_slice literal) {
  if ((size_t)(end - *at) < literal.len || memcmp(*at, literal.ptr, literal.len) != 0)
    return false;
  *at += literal.len;
  return true;
}

/* Goes past what looks like a value; false where nothing does. */
static inline bool pass_value(const char *start, const char **at, const char *end,
                              roost_slice *value) {
  const char *after = *at < end ? roost_json_balance(start, *at, end) : NULL;
  if (after == NULL)
    return false;
  *value = (roost_slice){*at, (size_t)(after - *at)};
  *at = after;
  return true;
}

/* Goes past a string and the bracket of the object that it ends, and the text with it. */
static inline bool pass_last_string(const char *start, const char *at, const char *end,
                                    roost_slice *string) {
  bool escaped;
  if (at == end || *at != '"')
    return false;
  const char *quote = roost_json_quote(start, at + 1, end, &escaped);
  *string = (roost_slice){at, (size_t)(quote + 1 - at)};
  return end - quote == 2 && quote[0] == '"' && quote[1] == '}';
}

/* Reads a request or event as peers write nearly all of them, {"pattern":P,"data":D,"id":"I"} with
 * or without an id; false where it is another one. */
static bool read_usual(roost_message *message, roost_slice text) {
  const char *at = text.ptr;
  const char *end = text.ptr + text.len;
  *message = (roost_message){.format = ROOST_FORMAT_JSON};
  if (!pass_literal(&at, end, ROOST_SLICE("{\"pattern\":")) ||
      !pass_value(text.ptr, &at, end, &message->pattern) ||
      !pass_literal(&at, end, ROOST_SLICE(",\"data\":")) ||
      !pass_value(text.ptr, &at, end, &message->data))
    return false;
  if (pass_literal(&at, end, ROOST_SLICE(",\"id\":")))
    return pass_last_string(text.ptr, at, end, &message->id);
  return end - at == 1 && *at == '}';
}

int roost_envelope_read(roost_message *message, roost_slice text) {
  walk w;
  int status;
  if (text.len > 0 && read_usual(message, text))
    return 1;
  *message = (roost_message){.format = ROOST_FORMAT_JSON};
  if (!walk_start(&w, text))
    return roost_json_validate(text);
  while ((status = walk_next(&w)) == 1) {
    if (read_member(&w, message) != 0)
      return ROOST_EPROTO;
  }
  if (status != 0)
    return status;
  return message->pattern.ptr != NULL || message->data.ptr != NULL ? 1 : 0;
}

bool roost_envelope_is_truthy(roost_slice value) {
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
static int read_reply_member(walk *w, roost_reply *reply, roost_slice *is_last) {
  roost_slice ignored;
  if (is_name(w->name, ROOST_SLICE("response")))
    return take(w, &reply->response);
  if (is_name(w->name, ROOST_SLICE("id")))
    return take(w, &reply->id);
  if (is_name(w->name, ROOST_SLICE("isDisposed")))
    return take(w, is_last);
  if (is_name(w->name, ROOST_SLICE("err")))
    return take(w, &reply->err);
  if (!is_name(w->name, ROOST_SLICE("status")))
    reply->foreign = true;
  return take(w, &ignored);
}

static int read_reply_object(walk *w, roost_reply *reply) {
  roost_slice is_last = {NULL, 0};
  int status;
  bool is_empty = true;
  while ((status = walk_next(w)) == 1) {
    is_empty = false;
    if (read_reply_member(w, reply, &is_last) != 0)
      return ROOST_EPROTO;
  }
  reply->foreign = reply->foreign || is_empty;
  if (!roost_envelope_is_truthy(reply->err))
    reply->err = (roost_slice){NULL, 0};
  reply->last = roost_envelope_is_truthy(is_last) || reply->err.ptr != NULL;
  return status;
}

/* Reads a reply as peers write nearly all of them, {"response":V,"isDisposed":true,"id":"I"} with
 * or without its middle; false where it is another one. */
static bool read_usual_reply(roost_reply *reply, roost_slice text) {
  const char *at = text.ptr;
  const char *end = text.ptr + text.len;
  if (!pass_literal(&at, end, ROOST_SLICE("{\"response\":")))
    return false;
  const char *value = at;
  at = at < end ? roost_json_pass(text.ptr, at, end, ROOST_JSON_DEPTH_MAX) : NULL;
  if (at == NULL)
    return false;
  const roost_slice response = {value, (size_t)(at - value)};
  const bool last = pass_literal(&at, end, ROOST_SLICE(",\"isDisposed\":true"));
  roost_slice id;
  if (!pass_literal(&at, end, ROOST_SLICE(",\"id\":")) || !pass_last_string(text.ptr, at, end, &id))
    return false;
  *reply = (roost_reply){.id = id, .response = response, .last = last};
  return true;
}

int roost_envelope_read_reply(roost_reply *reply, roost_slice text) {
  if (text.len > 0 && read_usual_reply(reply, text))
    return 1;
  *reply = (roost_reply){.foreign = false};
  walk w;
  bool is_object = walk_start(&w, text);
  int status = is_object ? read_reply_object(&w, reply) : roost_json_validate(text);
  if (status != 0)
    return status;
  bool is_array = !is_object && *roost_json_space(w.start, w.end) == '[';
  if (!is_object && !is_array)
    return 0;
  if (reply->foreign || is_array)
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

/* What stands around a reply's value, by kind. */
static const struct {
  roost_slice before;
  roost_slice after;
} reply_parts[] = {
#define PARTS(before, after)                                                                       \
  {                                                                                                \
    {before, sizeof(before) - 1}, {                                                                \
      after, sizeof(after) - 1                                                                     \
    }                                                                                              \
  }
    [ROOST_REPLY_ITEM] = PARTS("{\"response\":", ",\"id\":"),
    [ROOST_REPLY_VOID] = PARTS("{", "\"id\":"),
    [ROOST_REPLY_LAST] = PARTS("{\"response\":", ",\"isDisposed\":true,\"id\":"),
    [ROOST_REPLY_END] = PARTS("{", "\"isDisposed\":true,\"id\":"),
    [ROOST_REPLY_ERROR] = PARTS("{\"err\":", ",\"isDisposed\":true,\"id\":"),
#undef PARTS
};

int roost_envelope_reply_begin(roost_buffer *out, roost_reply_kind kind) {
  return roost_buffer_append_slice(out, reply_parts[kind].before);
}

int roost_envelope_reply_end(roost_buffer *out, roost_reply_kind kind, roost_slice id) {
  roost_slice after = reply_parts[kind].after;
  int status = roost_buffer_reserve(out, after.len + id.len + 1);
  if (status != 0)
    return status;
  char *to = out->ptr + out->len;
  memcpy(to, after.ptr, after.len);
  to += after.len;
  if (id.len > 0)
    memcpy(to, id.ptr, id.len);
  to[id.len] = '}';
  out->len += after.len + id.len + 1;
  return 0;
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

/* Copies a part to its place; returns where the next one goes. */
static inline char *put(char *to, roost_slice part) {
  if (part.len > 0)
    memcpy(to, part.ptr, part.len);
  return to + part.len;
}

int roost_envelope_request_begin(roost_buffer *out, const roost_message *message) {
  const roost_slice before = ROOST_SLICE("{\"pattern\":");
  const roost_slice after = ROOST_SLICE(",\"data\":");
  const int status = roost_buffer_reserve(out, before.len + message->pattern.len + after.len);
  if (status != 0)
    return status;
  char *to = put(out->ptr + out->len, before);
  to = put(put(to, message->pattern), after);
  out->len = (size_t)(to - out->ptr);
  return 0;
}

int roost_envelope_request_end(roost_buffer *out, const roost_message *message) {
  const roost_slice metadata = name_of(ROOST_SLICE(",\"metadata\":"), message->metadata);
  const roost_slice id = name_of(ROOST_SLICE(",\"id\":"), message->id);
  const int status = roost_buffer_reserve(out, metadata.len + message->metadata.len + id.len +
                                                   message->id.len + 1);
  if (status != 0)
    return status;
  char *to = put(put(out->ptr + out->len, metadata), message->metadata);
  to = put(put(to, id), message->id);
  *to++ = '}';
  out->len = (size_t)(to - out->ptr);
  return 0;
}

int roost_envelope_write_request(roost_buffer *out, const roost_message *message) {
  size_t before = out->len;
  int status = roost_envelope_request_begin(out, message);
  if (status == 0)
    status = roost_buffer_append_slice(out, message->data);
  if (status == 0)
    status = roost_envelope_request_end(out, message);
  if (status != 0)
    out->len = before;
  return status;
}
