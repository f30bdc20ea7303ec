#include "wire/kafka.h"

#include "core/slice.h"
#include "wire/json.h"
#include "wire/utf8.h"

enum { kept_bytes = 4096 }; /* of a record's room, from one use to the next */

static const roost_kafka_span null_span = {0, SIZE_MAX};

/* ------------------------------------------------------------------------- reading ----------- */

static int append_text(roost_buffer *out, const char *text) {
  return roost_buffer_append(out, text, strlen(text));
}

/* {"type":"Buffer","data":[0,255]} */
static int append_binary(roost_buffer *out, roost_slice bytes) {
  int status = append_text(out, "{\"type\":\"Buffer\",\"data\":[");
  for (size_t i = 0; i < bytes.len && status == 0; i++) {
    if (i > 0)
      status = roost_buffer_append_byte(out, ',');
    if (status == 0)
      status = roost_json_write_integer(out, (unsigned char)bytes.ptr[i]);
  }
  return status == 0 ? append_text(out, "]}") : status;
}

/* Puts quotes around text that is UTF-8 but for the bytes that break it. */
static int append_string(roost_buffer *out, roost_slice bytes) {
  if (roost_utf8_valid_prefix(bytes) == bytes.len)
    return roost_json_write_string(out, bytes);
  roost_buffer repaired;
  roost_buffer_init(&repaired, out->alloc);
  int status = roost_utf8_repair(&repaired, bytes);
  if (status == 0)
    status = roost_json_write_string(out, roost_buffer_slice(&repaired));
  roost_buffer_deinit(&repaired);
  return status;
}

/* With room for the two levels that it may be put into. */
static bool is_shallow_json(roost_slice text) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_type type;
  roost_json_reader_init(&reader, text);
  do
    type = roost_json_next(&reader, &token);
  while (type != ROOST_JSON_END && type != ROOST_JSON_ERROR &&
         reader.depth <= ROOST_JSON_DEPTH_MAX - 2);
  return type == ROOST_JSON_END;
}

/* Nest takes nothing else for JSON: "15" stays a text. */
static bool is_json(roost_slice bytes) {
  return bytes.len > 0 && (bytes.ptr[0] == '{' || bytes.ptr[0] == '[') &&
         roost_utf8_valid_prefix(bytes) == bytes.len && is_shallow_json(bytes);
}

int roost_kafka_read_value(roost_buffer *out, roost_slice bytes) {
  const size_t before = out->len;
  int status;
  if (bytes.ptr == NULL)
    status = append_text(out, "null");
  else if (bytes.len > 0 && bytes.ptr[0] == '\0')
    status = append_binary(out, bytes);
  else if (is_json(bytes))
    status = roost_buffer_append_slice(out, bytes);
  else
    status = append_string(out, bytes);
  if (status != 0)
    out->len = before;
  return status;
}

/* A header's name: the byte before it, the name in quotes, the colon. */
static int append_name(roost_buffer *out, char before, roost_slice name) {
  int status = roost_buffer_append_byte(out, before);
  if (status == 0)
    status = append_string(out, name);
  return status == 0 ? roost_buffer_append_byte(out, ':') : status;
}

int roost_kafka_read_headers(roost_buffer *out, const roost_kafka_header *headers, size_t count) {
  const size_t before = out->len;
  int status = count == 0 ? roost_buffer_append_byte(out, '{') : 0;
  for (size_t i = 0; i < count && status == 0; i++) {
    status = append_name(out, i == 0 ? '{' : ',', headers[i].name);
    if (status == 0)
      status = roost_kafka_read_value(out, headers[i].value);
  }
  if (status == 0)
    status = roost_buffer_append_byte(out, '}');
  if (status != 0)
    out->len = before;
  return status;
}

/* A JSON object without its last brace. */
static int append_facts(roost_buffer *out, const roost_kafka_facts *facts) {
  int status = roost_buffer_printf(
      out, "{\"timestamp\":\"%lld\",\"offset\":\"%lld\",\"partition\":%ld",
      (long long)facts->timestamp, (long long)facts->offset, (long)facts->partition);
  if (status == 0)
    status = append_name(out, ',', ROOST_SLICE("topic"));
  if (status == 0)
    status = append_string(out, facts->topic);
  if (status == 0)
    status = append_name(out, ',', ROOST_SLICE("key"));
  return status == 0 ? roost_kafka_read_value(out, facts->key) : status;
}

static int append_null(roost_buffer *out, const roost_kafka_facts *facts) {
  int status = append_facts(out, facts);
  if (status == 0)
    status = append_text(out, ",\"value\":null,\"headers\":");
  if (status == 0)
    status = roost_kafka_read_headers(out, facts->headers, facts->header_count);
  return status == 0 ? roost_buffer_append_byte(out, '}') : status;
}

int roost_kafka_read_null(roost_buffer *out, const roost_kafka_facts *facts) {
  const size_t before = out->len;
  const int status = append_null(out, facts);
  if (status != 0)
    out->len = before;
  return status;
}

int roost_kafka_read_facts(roost_buffer *out, const roost_kafka_facts *facts) {
  const size_t before = out->len;
  int status = append_facts(out, facts);
  if (status == 0)
    status = roost_buffer_append_byte(out, '}');
  if (status != 0)
    out->len = before;
  return status;
}

/* ------------------------------------------------------------------------- writing ----------- */

void roost_kafka_record_init(roost_kafka_record *record, const roost_alloc *alloc) {
  roost_buffer_init(&record->bytes, alloc);
  roost_buffer_init(&record->headers, alloc);
  roost_kafka_record_clear(record);
}

void roost_kafka_record_deinit(roost_kafka_record *record) {
  roost_buffer_deinit(&record->bytes);
  roost_buffer_deinit(&record->headers);
}

void roost_kafka_record_clear(roost_kafka_record *record) {
  roost_buffer_clear(&record->bytes);
  roost_buffer_clear(&record->headers);
  roost_buffer_trim(&record->bytes, kept_bytes);
  roost_buffer_trim(&record->headers, kept_bytes);
  record->value = null_span;
  record->key = null_span;
  record->partition = -1;
}

/* Takes what was appended since before for the span. */
static void end_span(const roost_kafka_record *record, roost_kafka_span *span, size_t before) {
  *span = (roost_kafka_span){before, record->bytes.len - before};
}

static int add_bytes(roost_kafka_record *record, roost_kafka_span *span, roost_slice bytes) {
  const size_t before = record->bytes.len;
  int status = roost_buffer_append_slice(&record->bytes, bytes);
  if (status == 0)
    end_span(record, span, before);
  return status;
}

/* A lone surrogate is U+FFFD, as node writes it; both have three bytes. */
static void replace_surrogates(roost_buffer *text) {
  for (size_t i = 0; i + 2 < text->len; i++)
    if (text->ptr[i] == '\xed' && (unsigned char)text->ptr[i + 1] >= 0xa0)
      memcpy(text->ptr + i, "\xef\xbf\xbd", 3);
}

/* A text without its quotes and escapes. */
static int add_string(roost_kafka_record *record, roost_kafka_span *span,
                      const roost_json_token *token) {
  const size_t before = record->bytes.len;
  if (!token->escaped)
    return add_bytes(record, span, token->text);
  roost_buffer plain;
  roost_buffer_init(&plain, record->bytes.alloc);
  int status = roost_buffer_reserve(&plain, token->text.len);
  if (status == 0) {
    plain.len = roost_json_unescape(plain.ptr, token->text);
    replace_surrogates(&plain);
    status = roost_buffer_append_slice(&record->bytes, roost_buffer_slice(&plain));
  }
  if (status == 0)
    end_span(record, span, before);
  roost_buffer_deinit(&plain);
  return status;
}

/* Appends the bytes of the list that the reader stands before; 1, 0: they are none. ENOMEM. */
static int append_list(roost_buffer *out, roost_json_reader *reader) {
  roost_json_token token;
  roost_json_type type = roost_json_next(reader, &token);
  if (type != ROOST_JSON_ARRAY)
    return 0;
  while ((type = roost_json_next(reader, &token)) == ROOST_JSON_INTEGER && token.integer >= 0 &&
         token.integer <= UINT8_MAX)
    if (roost_buffer_append_byte(out, (char)token.integer) != 0)
      return ROOST_ENOMEM;
  return type == ROOST_JSON_ARRAY_END;
}

/* 1: it is a Buffer as node prints it, and its bytes are appended; 0: it is not. ENOMEM. */
static int append_bytes_of(roost_buffer *out, roost_slice json) {
  roost_json_reader reader;
  roost_json_token token;
  bool has_type = false;
  bool has_data = false;
  int status = 1;
  roost_json_reader_init(&reader, json);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return 0;
  while (status == 1 && roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    if (!has_data && roost_slice_equal(token.text, ROOST_SLICE("data"))) {
      has_data = true;
      status = append_list(out, &reader);
    } else {
      status = !has_type && roost_slice_equal(token.text, ROOST_SLICE("type")) &&
               roost_json_next(&reader, &token) == ROOST_JSON_STRING &&
               roost_slice_equal(token.text, ROOST_SLICE("Buffer"));
      has_type = true;
    }
  }
  return status == 1 ? has_type && has_data && roost_json_next(&reader, &token) == ROOST_JSON_END
                     : status;
}

static int add_object(roost_kafka_record *record, roost_kafka_span *span, roost_slice json) {
  const size_t before = record->bytes.len;
  int status = append_bytes_of(&record->bytes, json);
  if (status == 1) {
    end_span(record, span, before);
    return 0;
  }
  record->bytes.len = before;
  if (status != 0)
    return status;
  return roost_json_validate(json) == 0 ? add_bytes(record, span, json) : ROOST_EPROTO;
}

/* Sets a span to the bytes that a value becomes; null: it stays as it was. */
static int add_value(roost_kafka_record *record, roost_kafka_span *span, roost_slice json) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, json);
  const roost_json_type type = roost_json_next(&reader, &token);
  if (type == ROOST_JSON_OBJECT)
    return add_object(record, span, json);
  if (roost_json_validate(json) != 0)
    return ROOST_EPROTO;
  if (type == ROOST_JSON_NULL)
    return 0;
  if (type == ROOST_JSON_STRING)
    return add_string(record, span, &token);
  return add_bytes(record, span, json);
}

/* The members that make an object a message of Kafka's own; ptr NULL: it is not there. */
typedef struct message_parts {
  roost_slice value;
  roost_slice key;
  roost_slice headers;
  roost_slice partition;
} message_parts;

static roost_slice *part_of(message_parts *parts, roost_slice name) {
  static const char *const names[] = {"value", "key", "headers", "partition"};
  roost_slice *const members[] = {&parts->value, &parts->key, &parts->headers, &parts->partition};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (roost_slice_equal(name, roost_slice_text(names[i])))
      return members[i];
  return NULL;
}

static int read_parts(message_parts *parts, roost_slice json) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_type type;
  *parts = (message_parts){{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
  roost_json_reader_init(&reader, json);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return 0;
  while ((type = roost_json_next(&reader, &token)) == ROOST_JSON_KEY) {
    roost_slice *part = token.escaped ? NULL : part_of(parts, token.text);
    if ((part != NULL ? roost_json_take(&reader, part) : roost_json_skip(&reader)) != 0)
      return ROOST_EPROTO;
  }
  return type == ROOST_JSON_OBJECT_END ? 0 : ROOST_EPROTO;
}

int roost_kafka_record_set_partition(roost_kafka_record *record, roost_slice json) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, json);
  if (roost_json_next(&reader, &token) != ROOST_JSON_INTEGER || token.integer < 0 ||
      token.integer > INT32_MAX)
    return ROOST_EPROTO;
  record->partition = (int32_t)token.integer;
  return 0;
}

static bool is_object(roost_slice json) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, json);
  return roost_json_next(&reader, &token) == ROOST_JSON_OBJECT;
}

int roost_kafka_record_write(roost_kafka_record *record, roost_slice json) {
  message_parts parts;
  int status = read_parts(&parts, json);
  if (status != 0)
    return status;
  if (parts.value.ptr == NULL && parts.key.ptr == NULL)
    return add_value(record, &record->value, json);
  if (roost_json_validate(json) != 0)
    return ROOST_EPROTO;
  if (parts.value.ptr != NULL)
    status = add_value(record, &record->value, parts.value);
  if (status == 0 && parts.key.ptr != NULL)
    status = add_value(record, &record->key, parts.key);
  if (status == 0 && parts.headers.ptr != NULL && is_object(parts.headers))
    status = roost_kafka_record_add_headers(record, parts.headers);
  if (status == 0 && parts.partition.ptr != NULL)
    (void)roost_kafka_record_set_partition(record, parts.partition); /* it stays free */
  return status;
}

int roost_kafka_record_set_key(roost_kafka_record *record, roost_slice json) {
  return add_value(record, &record->key, json);
}

int roost_kafka_record_set_bytes(roost_kafka_record *record, roost_slice value, roost_slice key) {
  int status = value.ptr != NULL ? add_bytes(record, &record->value, value) : 0;
  if (status == 0 && key.ptr != NULL)
    status = add_bytes(record, &record->key, key);
  return status;
}

int roost_kafka_record_add_header(roost_kafka_record *record, roost_slice name, roost_slice value) {
  roost_kafka_span pair[2] = {null_span, null_span};
  int status = add_bytes(record, &pair[0], name);
  if (status == 0 && value.ptr != NULL)
    status = add_bytes(record, &pair[1], value);
  return status == 0 ? roost_buffer_append(&record->headers, pair, sizeof pair) : status;
}

int roost_kafka_record_add_value(roost_kafka_record *record, roost_slice name, roost_slice json) {
  roost_kafka_span pair[2] = {null_span, null_span};
  int status = add_bytes(record, &pair[0], name);
  if (status == 0)
    status = add_value(record, &pair[1], json);
  return status == 0 ? roost_buffer_append(&record->headers, pair, sizeof pair) : status;
}

/* One member of an object of headers; the reader stands behind its name. */
static int add_member(roost_kafka_record *record, roost_json_reader *reader,
                      const roost_json_token *name) {
  roost_kafka_span pair[2] = {null_span, null_span};
  roost_slice value;
  int status = add_string(record, &pair[0], name);
  if (status == 0)
    status = roost_json_take(reader, &value);
  if (status == 0)
    status = add_value(record, &pair[1], value);
  return status == 0 ? roost_buffer_append(&record->headers, pair, sizeof pair) : status;
}

int roost_kafka_record_add_headers(roost_kafka_record *record, roost_slice object) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_type type;
  roost_json_reader_init(&reader, object);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return ROOST_EPROTO;
  while ((type = roost_json_next(&reader, &token)) == ROOST_JSON_KEY) {
    int status = add_member(record, &reader, &token);
    if (status != 0)
      return status;
  }
  return type == ROOST_JSON_OBJECT_END && roost_json_next(&reader, &token) == ROOST_JSON_END
             ? 0
             : ROOST_EPROTO;
}

roost_slice roost_kafka_record_slice(const roost_kafka_record *record, roost_kafka_span span) {
  if (span.len == SIZE_MAX)
    return (roost_slice){NULL, 0};
  if (span.len == 0)
    return (roost_slice){"", 0};
  return (roost_slice){record->bytes.ptr + span.at, span.len};
}

size_t roost_kafka_record_header_count(const roost_kafka_record *record) {
  return record->headers.len / sizeof(roost_kafka_span[2]);
}

roost_kafka_header roost_kafka_record_header(const roost_kafka_record *record, size_t at) {
  roost_kafka_span pair[2];
  memcpy(pair, record->headers.ptr + at * sizeof pair, sizeof pair);
  return (roost_kafka_header){roost_kafka_record_slice(record, pair[0]),
                              roost_kafka_record_slice(record, pair[1])};
}
