/*
 * wire/kafka.h - what the bytes of a Kafka record mean to Nest, and which bytes a value becomes.
 *
 * Nest has no envelope on Kafka: the record's value is the data, its headers say the rest. Start
 * reading at roost_kafka_read_value and roost_kafka_record_write.
 * Span: a run of a record's own bytes, or null, which Kafka tells apart from an empty one.
 * Record: one that is being made; it owns its bytes and is used again after a clear.
 * No I/O; any thread.
 */
#ifndef ROOST_WIRE_KAFKA_H
#define ROOST_WIRE_KAFKA_H

#include "core/buffer.h"

/* A header that came with a record; value.ptr NULL: null. Borrowed. */
typedef struct roost_kafka_header {
  roost_slice name;
  roost_slice value;
} roost_kafka_header;

/* What is known of a record that came. Borrowed. */
typedef struct roost_kafka_facts {
  roost_slice topic;
  int32_t partition;
  int64_t offset;
  int64_t timestamp; /* in ms since 1970; -1: none */
  roost_slice key;   /* ptr NULL: null */
  const roost_kafka_header *headers;
  size_t header_count;
} roost_kafka_facts;

typedef struct roost_kafka_span {
  size_t at;  /* in the record's bytes */
  size_t len; /* SIZE_MAX: null */
} roost_kafka_span;

typedef struct roost_kafka_record {
  roost_buffer bytes;   /* of all spans */
  roost_buffer headers; /* pairs of spans: name, value */
  roost_kafka_span value;
  roost_kafka_span key;
  int32_t partition; /* -1: the producer chooses */
} roost_kafka_record;

/* Appends the JSON text of the value that bytes stand for, as Nest reads them: an object or an
 * array where they are its JSON text; a Buffer where the first byte is zero; else a text, in which
 * what is not UTF-8 is U+FFFD. ptr NULL: null. ENOMEM; nothing is appended then. */
int roost_kafka_read_value(roost_buffer *out, roost_slice bytes);

/* Appends the headers as a JSON object, their values read as above; of several with one name the
 * last counts to whoever decodes it. ENOMEM. */
int roost_kafka_read_headers(roost_buffer *out, const roost_kafka_header *headers, size_t count);

/* Appends what Nest gives a handler as data where a record's value is null: the record itself.
 * ENOMEM. */
int roost_kafka_read_null(roost_buffer *out, const roost_kafka_facts *facts);

/* Appends where a record stands, when it was written, and its key, as a JSON object. ENOMEM. */
int roost_kafka_read_facts(roost_buffer *out, const roost_kafka_facts *facts);

void roost_kafka_record_init(roost_kafka_record *record, const roost_alloc *alloc);
void roost_kafka_record_deinit(roost_kafka_record *record);

/* Value and key null, no headers, no partition; keeps at most some kilobytes of room. */
void roost_kafka_record_clear(roost_kafka_record *record);

/* Sets the value from JSON text: objects and arrays as they are, a text as its bytes, a Buffer as
 * what it holds, numbers and booleans as text. An object that has key or value is a message of
 * Kafka's own instead: its value, key, headers and partition count. EPROTO where json is not JSON;
 * ENOMEM. The record is to be cleared then. */
int roost_kafka_record_write(roost_kafka_record *record, roost_slice json);

/* Sets the key from JSON text, a value as above; null leaves it as it is. EPROTO, ENOMEM. */
int roost_kafka_record_set_key(roost_kafka_record *record, roost_slice json);

/* Sets both to these bytes; ptr NULL: null. ENOMEM. */
int roost_kafka_record_set_bytes(roost_kafka_record *record, roost_slice value, roost_slice key);

/* Sets the partition from JSON text, a whole number that is not negative. EPROTO. */
int roost_kafka_record_set_partition(roost_kafka_record *record, roost_slice json);

/* Adds one header for each member of a JSON object, with a value as above. EPROTO where it is no
 * JSON object; ENOMEM. */
int roost_kafka_record_add_headers(roost_kafka_record *record, roost_slice object);

/* Adds a header with these bytes. ENOMEM. */
int roost_kafka_record_add_header(roost_kafka_record *record, roost_slice name, roost_slice value);

/* Adds a header with the bytes that a JSON value becomes: see roost_kafka_record_write. EPROTO,
 * ENOMEM. */
int roost_kafka_record_add_value(roost_kafka_record *record, roost_slice name, roost_slice json);

/* What a span stands for; ptr NULL: null. Valid until the record is changed. */
roost_slice roost_kafka_record_slice(const roost_kafka_record *record, roost_kafka_span span);

size_t roost_kafka_record_header_count(const roost_kafka_record *record);

/* One of them, valid until the record is changed. */
roost_kafka_header roost_kafka_record_header(const roost_kafka_record *record, size_t at);

#endif
