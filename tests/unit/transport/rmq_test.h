/*
 * rmq_test.h - frames as RabbitMQ sends them.
 */
#ifndef ROOST_TESTS_RMQ_TEST_H
#define ROOST_TESTS_RMQ_TEST_H

#include "alloc_probe.h"

#include "core/buffer.h"
#include "core/slice.h"
#include "transport/rmq_codec.h"

/* Class and method. */
#define RMQ_METHOD(class, method) ((uint32_t)(class) << 16 | (method))
#define RMQ_START                 RMQ_METHOD(10, 10)
#define RMQ_SECURE                RMQ_METHOD(10, 20)
#define RMQ_TUNE                  RMQ_METHOD(10, 30)
#define RMQ_OPEN_OK               RMQ_METHOD(10, 41)
#define RMQ_CLOSE                 RMQ_METHOD(10, 50)
#define RMQ_CLOSE_OK              RMQ_METHOD(10, 51)
#define RMQ_BLOCKED               RMQ_METHOD(10, 60)
#define RMQ_UNBLOCKED             RMQ_METHOD(10, 61)
#define RMQ_CHANNEL_OPEN_OK       RMQ_METHOD(20, 11)
#define RMQ_FLOW                  RMQ_METHOD(20, 20)
#define RMQ_CHANNEL_CLOSE         RMQ_METHOD(20, 40)
#define RMQ_CHANNEL_CLOSE_OK      RMQ_METHOD(20, 41)
#define RMQ_EXCHANGE_OK           RMQ_METHOD(40, 11)
#define RMQ_QUEUE_OK              RMQ_METHOD(50, 11)
#define RMQ_BIND_OK               RMQ_METHOD(50, 21)
#define RMQ_UNBIND_OK             RMQ_METHOD(50, 51)
#define RMQ_QOS_OK                RMQ_METHOD(60, 11)
#define RMQ_CONSUME_OK            RMQ_METHOD(60, 21)
#define RMQ_CANCEL                RMQ_METHOD(60, 30)
#define RMQ_CANCEL_OK             RMQ_METHOD(60, 31)
#define RMQ_RETURN                RMQ_METHOD(60, 50)
#define RMQ_DELIVER               RMQ_METHOD(60, 60)
#define RMQ_ACK                   RMQ_METHOD(60, 80)
#define RMQ_NACK                  RMQ_METHOD(60, 120)
#define RMQ_CONFIRM_OK            RMQ_METHOD(85, 11)

static inline void rmq_number(roost_buffer *out, uint64_t number, unsigned bytes) {
  for (unsigned i = bytes; i-- > 0;)
    assert_int_equal(roost_buffer_append_byte(out, (char)(uint8_t)(number >> (8 * i))), 0);
}

/* Length in so many bytes, then the text. */
static inline void rmq_text(roost_buffer *out, const char *text, unsigned bytes) {
  rmq_number(out, strlen(text), bytes);
  assert_int_equal(roost_buffer_append_slice(out, roost_slice_text(text)), 0);
}

static inline void rmq_frame(roost_buffer *out, uint8_t type, uint16_t channel, const void *payload,
                             size_t size) {
  rmq_number(out, type, 1);
  rmq_number(out, channel, 2);
  rmq_number(out, size, 4);
  assert_int_equal(roost_buffer_append(out, payload, size), 0);
  rmq_number(out, 0xce, 1);
}

/* What a method consists of, without its number; frees it. */
static inline void rmq_method(roost_buffer *out, uint16_t channel, uint32_t method,
                              roost_buffer *fields) {
  roost_buffer payload;
  roost_buffer_init(&payload, roost_alloc_default());
  rmq_number(&payload, method, 4);
  if (fields != NULL) {
    assert_int_equal(roost_buffer_append_slice(&payload, roost_buffer_slice(fields)), 0);
    roost_buffer_deinit(fields);
  }
  rmq_frame(out, 1, channel, payload.ptr, payload.len);
  roost_buffer_deinit(&payload);
}

static inline roost_buffer rmq_fields(void) {
  roost_buffer fields;
  roost_buffer_init(&fields, roost_alloc_default());
  return fields;
}

static inline void rmq_start(roost_buffer *out) {
  roost_buffer fields = rmq_fields();
  rmq_number(&fields, 9, 2);
  rmq_number(&fields, 13, 4); /* a table of one entry */
  rmq_text(&fields, "product", 1);
  rmq_number(&fields, 'I', 1);
  rmq_number(&fields, 7, 4);
  rmq_text(&fields, "PLAIN AMQPLAIN", 4);
  rmq_text(&fields, "en_US", 4);
  rmq_method(out, 0, RMQ_START, &fields);
}

static inline void rmq_tune(roost_buffer *out, uint16_t channel_max, uint32_t frame_max,
                            uint16_t heartbeat_s) {
  roost_buffer fields = rmq_fields();
  rmq_number(&fields, channel_max, 2);
  rmq_number(&fields, frame_max, 4);
  rmq_number(&fields, heartbeat_s, 2);
  rmq_method(out, 0, RMQ_TUNE, &fields);
}

/* The end of a connection (channel 0) or a channel. */
static inline void rmq_close(roost_buffer *out, uint16_t channel, uint16_t code, const char *text) {
  roost_buffer fields = rmq_fields();
  rmq_number(&fields, code, 2);
  rmq_text(&fields, text, 1);
  rmq_number(&fields, 0, 4);
  rmq_method(out, channel, channel == 0 ? RMQ_CLOSE : RMQ_CHANNEL_CLOSE, &fields);
}

/* A method of one text and some zero bytes. */
static inline void rmq_said(roost_buffer *out, uint16_t channel, uint32_t method, const char *text,
                            unsigned zeros) {
  roost_buffer fields = rmq_fields();
  rmq_text(&fields, text, 1);
  while (zeros-- > 0)
    rmq_number(&fields, 0, 1);
  rmq_method(out, channel, method, &fields);
}

static inline void rmq_deliver_method(roost_buffer *out, uint16_t channel, uint64_t tag,
                                      const char *exchange, const char *key) {
  roost_buffer fields = rmq_fields();
  rmq_text(&fields, "consumer", 1);
  rmq_number(&fields, tag, 8);
  rmq_number(&fields, 1, 1);
  rmq_text(&fields, exchange, 1);
  rmq_text(&fields, key, 1);
  rmq_method(out, channel, RMQ_DELIVER, &fields);
}

/* A header with properties that are encoded already. */
static inline void rmq_header(roost_buffer *out, uint16_t channel, uint64_t body_bytes,
                              const void *properties, size_t size) {
  roost_buffer payload = rmq_fields();
  rmq_number(&payload, 60, 2);
  rmq_number(&payload, 0, 2);
  rmq_number(&payload, body_bytes, 8);
  assert_int_equal(roost_buffer_append(&payload, properties, size), 0);
  rmq_frame(out, 2, channel, payload.ptr, payload.len);
  roost_buffer_deinit(&payload);
}

/* correlationId and replyTo as Nest's client sets them; either may be NULL. */
static inline void rmq_delivery(roost_buffer *out, uint64_t tag, const char *body,
                                const char *reply_to, const char *correlation_id) {
  roost_buffer properties = rmq_fields();
  rmq_number(&properties, (correlation_id != NULL ? 0x400U : 0) | (reply_to != NULL ? 0x200U : 0),
             2);
  if (correlation_id != NULL)
    rmq_text(&properties, correlation_id, 1);
  if (reply_to != NULL)
    rmq_text(&properties, reply_to, 1);
  rmq_deliver_method(out, 1, tag, "", "queue");
  rmq_header(out, 1, strlen(body), properties.ptr, properties.len);
  if (*body != '\0')
    rmq_frame(out, 3, 1, body, strlen(body));
  roost_buffer_deinit(&properties);
}

#endif
