/*
 * AMQP's tables and the JSON objects they stand for.
 */
#include <string.h>

#include "core/slice.h"
#include "transport/rmq_codec_internal.h"
#include "wire/json.h"
#include "wire/utf8.h"

/* ------------------------------------------------------------------------- soundness --------- */

static uint32_t read_32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Bytes of a value of that kind; 0 where that is none of those with a fixed size. */
static size_t fixed_size(uint8_t kind) {
  switch (kind) {
  case AMQP_FIELD_KIND_BOOLEAN:
  case AMQP_FIELD_KIND_I8:
  case AMQP_FIELD_KIND_U8:
    return 1;
  case AMQP_FIELD_KIND_I16:
  case AMQP_FIELD_KIND_U16:
    return 2;
  case AMQP_FIELD_KIND_I32:
  case AMQP_FIELD_KIND_U32:
  case AMQP_FIELD_KIND_F32:
    return 4;
  case AMQP_FIELD_KIND_DECIMAL:
    return 5;
  case AMQP_FIELD_KIND_I64:
  case AMQP_FIELD_KIND_U64:
  case AMQP_FIELD_KIND_F64:
  case AMQP_FIELD_KIND_TIMESTAMP:
    return 8;
  default:
    return 0;
  }
}

static bool is_sound(const uint8_t **at, const uint8_t *end, bool has_keys, unsigned depth);

/* Passes over a value. */
static bool is_value_sound(const uint8_t **at, const uint8_t *end, unsigned depth) {
  if (*at == end)
    return false;
  const uint8_t kind = *(*at)++;
  size_t size = fixed_size(kind);
  if (kind == AMQP_FIELD_KIND_TABLE || kind == AMQP_FIELD_KIND_ARRAY)
    return is_sound(at, end, kind == AMQP_FIELD_KIND_TABLE, depth + 1);
  if (kind == AMQP_FIELD_KIND_UTF8 || kind == AMQP_FIELD_KIND_BYTES) {
    if (end - *at < 4)
      return false;
    size = read_32(*at);
    *at += 4;
  } else if (size == 0 && kind != AMQP_FIELD_KIND_VOID) {
    return false;
  }
  if ((size_t)(end - *at) < size)
    return false;
  *at += size;
  return true;
}

/* Passes over a table, or an array, which has no keys. */
static bool is_sound(const uint8_t **at, const uint8_t *end, bool has_keys, unsigned depth) {
  if (depth > ROOST_RMQ_TABLE_DEPTH || end - *at < 4)
    return false;
  const size_t size = read_32(*at);
  *at += 4;
  if ((size_t)(end - *at) < size)
    return false;
  const uint8_t *limit = *at + size;
  while (*at < limit) {
    if (has_keys) {
      const size_t key = *(*at)++;
      if ((size_t)(limit - *at) < key)
        return false;
      *at += key;
    }
    if (!is_value_sound(at, limit, depth))
      return false;
  }
  return true;
}

bool roost_rmq_table_is_sound(roost_slice encoded) {
  const uint8_t *at = (const uint8_t *)encoded.ptr;
  return encoded.ptr != NULL && is_sound(&at, at + encoded.len, true, 1);
}

/* ------------------------------------------------------------------------- to JSON ----------- */

static int append(roost_buffer *out, const char *text) {
  return roost_buffer_append_slice(out, roost_slice_text(text));
}

static int write_text(roost_buffer *out, roost_slice text) {
  int status = roost_json_write_string(out, text);
  if (status != ROOST_EINVAL)
    return status;
  roost_buffer repaired;
  roost_buffer_init(&repaired, out->alloc);
  status = roost_utf8_repair(&repaired, text);
  if (status == 0)
    status = roost_json_write_string(out, roost_buffer_slice(&repaired));
  roost_buffer_deinit(&repaired);
  return status;
}

/* As Node prints a Buffer. */
static int write_bytes(roost_buffer *out, amqp_bytes_t bytes) {
  int status = append(out, "{\"type\":\"Buffer\",\"data\":[");
  for (size_t i = 0; i < bytes.len && status == 0; i++)
    status = roost_buffer_printf(out, i == 0 ? "%u" : ",%u", ((const uint8_t *)bytes.bytes)[i]);
  return status == 0 ? append(out, "]}") : status;
}

static int write_unsigned(roost_buffer *out, uint64_t value) {
  return value <= INT64_MAX ? roost_json_write_integer(out, (int64_t)value)
                            : roost_json_write_double(out, (double)value);
}

static int write_time(roost_buffer *out, uint64_t seconds) {
  int status = append(out, "{\"!\":\"timestamp\",\"value\":");
  if (status == 0)
    status = write_unsigned(out, seconds);
  return status == 0 ? append(out, "}") : status;
}

static int write_number(roost_buffer *out, const amqp_field_value_t *field) {
  switch (field->kind) {
  case AMQP_FIELD_KIND_I8:
    return roost_json_write_integer(out, field->value.i8);
  case AMQP_FIELD_KIND_U8:
    return roost_json_write_integer(out, field->value.u8);
  case AMQP_FIELD_KIND_I16:
    return roost_json_write_integer(out, field->value.i16);
  case AMQP_FIELD_KIND_U16:
    return roost_json_write_integer(out, field->value.u16);
  case AMQP_FIELD_KIND_I32:
    return roost_json_write_integer(out, field->value.i32);
  case AMQP_FIELD_KIND_U32:
    return roost_json_write_integer(out, field->value.u32);
  case AMQP_FIELD_KIND_I64:
    return roost_json_write_integer(out, field->value.i64);
  case AMQP_FIELD_KIND_U64:
    return write_unsigned(out, field->value.u64);
  case AMQP_FIELD_KIND_F32:
    return roost_json_write_double(out, (double)field->value.f32);
  default:
    return roost_json_write_double(out, field->value.f64);
  }
}

static int write_value(roost_buffer *out, const amqp_field_value_t *field);

static int write_array(roost_buffer *out, const amqp_array_t *array) {
  int status = append(out, "[");
  for (int i = 0; i < array->num_entries && status == 0; i++) {
    if (i > 0)
      status = append(out, ",");
    if (status == 0)
      status = write_value(out, &array->entries[i]);
  }
  return status == 0 ? append(out, "]") : status;
}

static int write_value(roost_buffer *out, const amqp_field_value_t *field) {
  switch (field->kind) {
  case AMQP_FIELD_KIND_BOOLEAN:
    return append(out, field->value.boolean ? "true" : "false");
  case AMQP_FIELD_KIND_VOID:
    return append(out, "null");
  case AMQP_FIELD_KIND_UTF8:
    return write_text(out, roost_rmq_slice(field->value.bytes));
  case AMQP_FIELD_KIND_BYTES:
    return write_bytes(out, field->value.bytes);
  case AMQP_FIELD_KIND_ARRAY:
    return write_array(out, &field->value.array);
  case AMQP_FIELD_KIND_TABLE:
    return roost_rmq_table_read(out, &field->value.table);
  case AMQP_FIELD_KIND_TIMESTAMP:
    return write_time(out, field->value.u64);
  case AMQP_FIELD_KIND_DECIMAL:
    return roost_buffer_printf(out, "{\"!\":\"decimal\",\"value\":{\"digits\":%lu,\"places\":%u}}",
                               (unsigned long)field->value.decimal.value,
                               field->value.decimal.decimals);
  default:
    return write_number(out, field);
  }
}

int roost_rmq_table_read(roost_buffer *out, const amqp_table_t *table) {
  int status = append(out, "{");
  for (int i = 0; i < table->num_entries && status == 0; i++) {
    if (i > 0)
      status = append(out, ",");
    if (status == 0)
      status = write_text(out, roost_rmq_slice(table->entries[i].key));
    if (status == 0)
      status = append(out, ":");
    if (status == 0)
      status = write_value(out, &table->entries[i].value);
  }
  return status == 0 ? append(out, "}") : status;
}

/* ------------------------------------------------------------------------- from JSON --------- */

/* What a table is being made of. */
typedef struct making {
  roost_json_reader reader;
  amqp_pool_t *pool;
} making;

/* Text without its escapes, in the pool where it has some. */
static int make_text(const making *self, amqp_bytes_t *out, const roost_json_token *token) {
  *out = roost_rmq_bytes(token->text);
  if (!token->escaped)
    return 0;
  char *copy = amqp_pool_alloc(self->pool, token->text.len);
  if (copy == NULL)
    return ROOST_ENOMEM;
  *out = (amqp_bytes_t){roost_json_unescape(copy, token->text), copy};
  return 0;
}

static int make_object(making *self, amqp_table_t *table, unsigned depth);
static int make_array(making *self, amqp_array_t *array, unsigned depth);

static void make_integer(amqp_field_value_t *field, int64_t value) {
  if (value >= INT32_MIN && value <= INT32_MAX) {
    field->kind = AMQP_FIELD_KIND_I32;
    field->value.i32 = (int32_t)value;
  } else {
    field->kind = AMQP_FIELD_KIND_I64;
    field->value.i64 = value;
  }
}

/* Makes the value that begins with the token of that type. */
static int make_value(making *self, amqp_field_value_t *field, roost_json_type type,
                      const roost_json_token *token, unsigned depth) {
  switch (type) {
  case ROOST_JSON_NULL:
    field->kind = AMQP_FIELD_KIND_VOID;
    return 0;
  case ROOST_JSON_FALSE:
  case ROOST_JSON_TRUE:
    field->kind = AMQP_FIELD_KIND_BOOLEAN;
    field->value.boolean = type == ROOST_JSON_TRUE;
    return 0;
  case ROOST_JSON_INTEGER:
    make_integer(field, token->integer);
    return 0;
  case ROOST_JSON_DOUBLE:
    field->kind = AMQP_FIELD_KIND_F64;
    field->value.f64 = token->number;
    return 0;
  case ROOST_JSON_STRING:
    field->kind = AMQP_FIELD_KIND_UTF8;
    return make_text(self, &field->value.bytes, token);
  case ROOST_JSON_ARRAY:
    field->kind = AMQP_FIELD_KIND_ARRAY;
    return make_array(self, &field->value.array, depth + 1);
  case ROOST_JSON_OBJECT:
    field->kind = AMQP_FIELD_KIND_TABLE;
    return make_object(self, &field->value.table, depth + 1);
  default:
    return ROOST_EINVAL;
  }
}

/* Room for one more entry of size bytes behind count others: the pool has no realloc, so that each
 * time it is full it doubles. NULL: no memory. */
static void *grown(const making *self, void *entries, int count, size_t size) {
  if (count > 0 && (count & (count - 1)) != 0)
    return entries;
  void *more = amqp_pool_alloc(self->pool, (count > 0 ? (size_t)count * 2 : 1) * size);
  if (more != NULL && count > 0)
    memcpy(more, entries, (size_t)count * size);
  return more;
}

static int make_array(making *self, amqp_array_t *array, unsigned depth) {
  roost_json_token token;
  roost_json_type type;
  *array = (amqp_array_t){0, NULL};
  if (depth > ROOST_RMQ_TABLE_DEPTH)
    return ROOST_EINVAL;
  while ((type = roost_json_next(&self->reader, &token)) != ROOST_JSON_ARRAY_END) {
    void *entries = grown(self, array->entries, array->num_entries, sizeof *array->entries);
    if (entries == NULL)
      return ROOST_ENOMEM;
    array->entries = entries;
    const int status = make_value(self, &array->entries[array->num_entries], type, &token, depth);
    if (status != 0)
      return status;
    array->num_entries++;
  }
  return 0;
}

/* The rest of an object whose brace was read. */
static int make_object(making *self, amqp_table_t *table, unsigned depth) {
  roost_json_token token;
  *table = (amqp_table_t){0, NULL};
  if (depth > ROOST_RMQ_TABLE_DEPTH)
    return ROOST_EINVAL;
  roost_json_type type;
  while ((type = roost_json_next(&self->reader, &token)) == ROOST_JSON_KEY) {
    void *entries = grown(self, table->entries, table->num_entries, sizeof *table->entries);
    if (entries == NULL)
      return ROOST_ENOMEM;
    table->entries = entries;
    amqp_table_entry_t *entry = &table->entries[table->num_entries];
    int status = make_text(self, &entry->key, &token);
    if (status == 0 && entry->key.len > ROOST_RMQ_SHORT_MAX)
      status = ROOST_EINVAL;
    if (status == 0) {
      type = roost_json_next(&self->reader, &token);
      status = make_value(self, &entry->value, type, &token, depth);
    }
    if (status != 0)
      return status;
    table->num_entries++;
  }
  return type == ROOST_JSON_OBJECT_END ? 0 : ROOST_EINVAL;
}

int roost_rmq_table_make(amqp_table_t *table, amqp_pool_t *pool, roost_slice json) {
  making self = {.pool = pool};
  roost_json_token token;
  *table = (amqp_table_t){0, NULL};
  if (json.ptr == NULL)
    return 0;
  roost_json_reader_init(&self.reader, json);
  if (roost_json_next(&self.reader, &token) != ROOST_JSON_OBJECT)
    return ROOST_EINVAL;
  const int status = make_object(&self, table, 1);
  if (status != 0)
    return status;
  return roost_json_next(&self.reader, &token) == ROOST_JSON_END ? 0 : ROOST_EINVAL;
}
