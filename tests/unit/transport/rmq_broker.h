/*
 * rmq_broker.h - a broker that the test plays, at the other end of connections in memory.
 */
#ifndef ROOST_TESTS_RMQ_BROKER_H
#define ROOST_TESTS_RMQ_BROKER_H

#include "net/net_test.h"

#include "transport/rmq.h"
#include "transport/rmq_test.h"

/* What Roost asks for, as class and method. */
#define RMQ_START_OK         RMQ_METHOD(10, 11)
#define RMQ_TUNE_OK          RMQ_METHOD(10, 31)
#define RMQ_OPEN             RMQ_METHOD(10, 40)
#define RMQ_CHANNEL_OPEN     RMQ_METHOD(20, 10)
#define RMQ_FLOW_OK          RMQ_METHOD(20, 21)
#define RMQ_EXCHANGE_DECLARE RMQ_METHOD(40, 10)
#define RMQ_QUEUE_DECLARE    RMQ_METHOD(50, 10)
#define RMQ_BIND             RMQ_METHOD(50, 20)
#define RMQ_UNBIND           RMQ_METHOD(50, 50)
#define RMQ_QOS              RMQ_METHOD(60, 10)
#define RMQ_CONSUME          RMQ_METHOD(60, 20)
#define RMQ_PUBLISH          RMQ_METHOD(60, 40)
#define RMQ_BEAT             1U /* a heartbeat */

typedef struct rmq_broker {
  net_test test;
  net_record peer;   /* the connection dialled last */
  net_record before; /* those before, which are closed */
  unsigned dials;
  bool refuses;        /* whoever dials */
  size_t at;           /* bytes of the peer's that were looked at */
  roost_slice payload; /* of the frame taken last, in the peer's bytes */
  roost_rmq_options options;
} rmq_broker;

static inline int rmq_broker_dial(void *ud, roost_conn **out, const roost_conn_ops *ops,
                                  void *ops_ud) {
  rmq_broker *self = ud;
  roost_conn *far;
  self->dials++;
  if (self->refuses)
    return ROOST_ECONNECT;
  const int status = roost_conn_pair(out, &far, self->test.loop);
  if (status != 0)
    return status;
  roost_conn_set_ops(*out, ops, ops_ud);
  if (self->peer.conn != NULL) {
    roost_conn_set_ops(self->peer.conn, &net_record_ops, &self->before);
    roost_conn_close(self->peer.conn);
  }
  net_record_deinit(&self->peer);
  net_record_init(&self->peer, far);
  self->at = 0;
  return 1;
}

static inline void rmq_broker_init(rmq_broker *self) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  net_record_init(&self->peer, NULL);
  net_record_init(&self->before, NULL);
  self->options = (roost_rmq_options){.broker.endpoint = {"broker", ROOST_RMQ_PORT},
                                      .queue = "work",
                                      .arguments = "{}",
                                      .is_durable = true,
                                      .no_ack = true,
                                      .reply_queue = ROOST_RMQ_REPLY_TO,
                                      .heartbeat = 60000};
}

static inline void rmq_broker_deinit(rmq_broker *self) {
  net_test_deinit(&self->test);
  net_record_deinit(&self->peer);
  net_record_deinit(&self->before);
}

static inline void rmq_turns(rmq_broker *self) {
  net_test_turns(&self->test, 4);
}

/* Where to append what the broker says; rmq_say sends it. */
static inline roost_buffer *rmq_out(rmq_broker *self) {
  assert_non_null(self->peer.conn);
  return roost_conn_out(self->peer.conn);
}

static inline void rmq_say(rmq_broker *self) {
  roost_conn_dirty(self->peer.conn);
  rmq_turns(self);
}

/* The number of the next frame's method (RMQ_BEAT: a heartbeat; 2, 3: header, body); 0: none. */
static inline uint32_t rmq_next(rmq_broker *self) {
  const roost_buffer *bytes = &self->peer.bytes;
  const uint8_t *at = (const uint8_t *)bytes->ptr + self->at;
  if (self->at == 0 && bytes->len >= 8) {
    assert_memory_equal(at, "AMQP\0\0\x09\1", 8);
    self->at = 8;
    at += 8;
  }
  if (bytes->len - self->at < 8)
    return 0;
  const size_t size = (size_t)at[3] << 24 | (size_t)at[4] << 16 | (size_t)at[5] << 8 | at[6];
  assert_true(bytes->len - self->at >= size + 8);
  assert_int_equal(at[size + 7], 0xce);
  self->at += size + 8;
  self->payload = (roost_slice){(const char *)at + 7, size};
  if (at[0] != 1)
    return at[0] == 8 ? RMQ_BEAT : at[0];
  return (uint32_t)at[7] << 24 | (uint32_t)at[8] << 16 | (uint32_t)at[9] << 8 | at[10];
}

static inline void rmq_expect(rmq_broker *self, uint32_t method) {
  const uint32_t got = rmq_next(self);
  if (got != method)
    fail_msg("%u.%u in the place of %u.%u", got >> 16, got & 0xffff, method >> 16, method & 0xffff);
}

static inline void rmq_expect_nothing(rmq_broker *self) {
  rmq_expect(self, 0);
}

/* Whether the payload taken last has that text in it. */
static inline void rmq_expect_text(const rmq_broker *self, const char *text, size_t size) {
  if (memmem(self->payload.ptr, self->payload.len, text, size) == NULL)
    fail_msg("no \"%s\" there", text);
}

#define RMQ_EXPECT_TEXT(broker, text) rmq_expect_text(broker, text, sizeof(text) - 1)

/* A message to a queue, of which the routing key, the properties and the body have these texts. */
static inline void rmq_expect_message(rmq_broker *self, const char *key, const char *property,
                                      const char *body) {
  rmq_expect(self, RMQ_PUBLISH);
  rmq_expect_text(self, key, strlen(key));
  rmq_expect(self, 2);
  rmq_expect_text(self, property, strlen(property));
  rmq_expect(self, 3);
  const roost_slice wanted = roost_slice_text(body);
  if (!roost_slice_equal(self->payload, wanted))
    fail_msg("%.*s is not %s", (int)self->payload.len, self->payload.ptr, body);
}

/* Plays the broker until the channel is open. */
static inline void rmq_greet(rmq_broker *self) {
  rmq_turns(self);
  rmq_expect_nothing(self);
  rmq_start(rmq_out(self));
  rmq_say(self);
  rmq_expect(self, RMQ_START_OK);
  rmq_tune(rmq_out(self), 2047, 131072, 60);
  rmq_say(self);
  rmq_expect(self, RMQ_TUNE_OK);
  rmq_expect(self, RMQ_OPEN);
  rmq_said(rmq_out(self), 0, RMQ_OPEN_OK, "", 0);
  rmq_say(self);
  rmq_expect(self, RMQ_CHANNEL_OPEN);
  roost_buffer opened = rmq_fields();
  rmq_text(&opened, "", 4);
  rmq_method(rmq_out(self), 1, RMQ_CHANNEL_OPEN_OK, &opened);
  rmq_say(self);
}

static inline void rmq_consuming(rmq_broker *self) {
  rmq_said(rmq_out(self), 1, RMQ_CONSUME_OK, "tag", 0);
  rmq_say(self);
}

#endif
