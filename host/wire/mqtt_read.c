/*
 * Packets cut out of a stream of bytes. A PUBLISH over the limit doesn't end the connection, since
 * a broker would send it again after the next CONNECT: its topic and id are read, the rest is
 * thrown away as it comes.
 */
#include "wire/mqtt_internal.h"

/* Memory an idle reader may keep. */
#define KEEP_BYTES 512

static const char error_length[] = "the remaining length of a packet is malformed";
static const char error_size[] = "a packet is larger than the limit (max_buffer_size)";
static const char error_memory[] = "out of memory while gathering a packet";
static const char error_publish[] = "malformed PUBLISH";

void roost_mqtt_reader_init(roost_mqtt_reader *reader, const roost_alloc *alloc, uint8_t level,
                            size_t max_bytes) {
  *reader = (roost_mqtt_reader){.level = level, .max_bytes = max_bytes};
  roost_buffer_init(&reader->held, alloc);
}

void roost_mqtt_reader_deinit(roost_mqtt_reader *reader) {
  roost_buffer_deinit(&reader->held);
}

size_t roost_mqtt_reader_memory(const roost_mqtt_reader *reader) {
  return reader->held.cap;
}

static int fail(roost_mqtt_reader *reader, int status, const char *error) {
  reader->error = error;
  reader->failure = status;
  return status;
}

static void forget(roost_mqtt_reader *reader) {
  reader->delivered = false;
  roost_buffer_clear(&reader->held);
  if (reader->held.cap > KEEP_BYTES)
    roost_buffer_deinit(&reader->held);
}

static void drop_front(roost_slice *input, size_t n) {
  if (n > 0)
    *input = roost_slice_of(input->ptr + n, input->len - n);
}

static void skip(roost_mqtt_reader *reader, roost_slice *input) {
  const size_t n = reader->skip < input->len ? reader->skip : input->len;
  reader->skip -= (uint32_t)n;
  drop_front(input, n);
}

/* ------------------------------------------------------------------------- the head ---------- */

/* How much of a body is to be gathered: all of it, or of a PUBLISH that is too large what comes
 * first, the length of its topic. */
static int begin_body(roost_mqtt_reader *reader) {
  roost_slice digits = {(const char *)reader->head + 1, reader->head_len - 1u};
  if (!roost_mqtt_take_number(&digits, &reader->want))
    return fail(reader, ROOST_EPROTO, error_length);
  reader->has_head = true;
  reader->too_large = reader->want > reader->max_bytes;
  if (!reader->too_large)
    return 1;
  if (reader->head[0] >> 4 != ROOST_MQTT_PUBLISH)
    return fail(reader, ROOST_EFULL, error_size);
  reader->skip = reader->want;
  reader->want = reader->want < 2 ? reader->want : 2;
  reader->skip -= reader->want;
  return 1;
}

/* 1: the head is whole; 0: more is needed. */
static int read_head(roost_mqtt_reader *reader, roost_slice *input) {
  uint8_t byte;
  while (roost_mqtt_take_byte(input, &byte)) {
    reader->head[reader->head_len++] = byte;
    if (reader->head_len == 1) {
      const char *wrong = roost_mqtt_check_first(reader->level, byte);
      if (wrong != NULL)
        return fail(reader, ROOST_EPROTO, wrong);
    } else if ((byte & 0x80) == 0) {
      return begin_body(reader);
    } else if (reader->head_len == sizeof reader->head) {
      return fail(reader, ROOST_EPROTO, error_length);
    }
  }
  return 0;
}

/* ------------------------------------------------------------------------- the body ---------- */

/* 1 and the bytes that were wanted; 0: more is needed. What too large a packet has is held in any
 * case, since it is wanted bit by bit. */
static int gather(roost_mqtt_reader *reader, roost_slice *input, roost_slice *body) {
  const size_t missing = reader->want - reader->held.len;
  if (!reader->too_large && reader->held.len == 0 && input->len >= missing) {
    *body = roost_slice_of(input->ptr, missing);
    drop_front(input, missing);
    return 1;
  }
  const size_t n = missing < input->len ? missing : input->len;
  if (roost_buffer_append(&reader->held, input->ptr, n) != 0)
    return fail(reader, ROOST_ENOMEM, error_memory);
  drop_front(input, n);
  *body = roost_buffer_slice(&reader->held);
  return n == missing;
}

/* A packet is whole: the next byte begins another, or is one to be skipped. */
static int deliver(roost_mqtt_reader *reader, const char *wrong) {
  reader->has_head = false;
  reader->head_len = 0;
  reader->delivered = true;
  return wrong == NULL ? 1 : fail(reader, ROOST_EPROTO, wrong);
}

/* Wants what it now knows the packet's topic and id to need, or delivers it. */
static int read_large(roost_mqtt_reader *reader, roost_slice *input, roost_mqtt_packet *packet) {
  for (;;) {
    roost_slice body;
    const int status = gather(reader, input, &body);
    if (status <= 0)
      return status;
    uint16_t topic_len;
    roost_slice rest = body;
    if (!roost_mqtt_take_word(&rest, &topic_len))
      return fail(reader, ROOST_EPROTO, error_publish);
    const uint32_t need = 2u + topic_len + ((reader->head[0] & 6) != 0 ? 2 : 0);
    if (need > reader->want + reader->skip)
      return fail(reader, ROOST_EPROTO, error_publish);
    if (need > reader->want) {
      reader->skip -= need - reader->want;
      reader->want = need;
      continue;
    }
    packet->too_large = true;
    return deliver(reader, roost_mqtt_decode_publish_head(packet, reader->head[0], &body));
  }
}

static int read_body(roost_mqtt_reader *reader, roost_slice *input, roost_mqtt_packet *packet) {
  roost_slice body;
  *packet = (roost_mqtt_packet){.type = (roost_mqtt_type)(reader->head[0] >> 4)};
  if (reader->too_large)
    return read_large(reader, input, packet);
  const int status = gather(reader, input, &body);
  if (status <= 0)
    return status;
  return deliver(reader, roost_mqtt_decode(packet, reader->level, reader->head[0], body));
}

int roost_mqtt_read(roost_mqtt_reader *reader, roost_slice *input, roost_mqtt_packet *packet) {
  if (reader->failure != 0)
    return reader->failure;
  if (reader->delivered)
    forget(reader);
  if (!reader->has_head) {
    skip(reader, input);
    const int status = read_head(reader, input);
    if (status <= 0)
      return status;
  }
  return read_body(reader, input, packet);
}
