/*
 * nats_test.h - a NATS server that the test plays, mostly on a pair in memory.
 *
 * dial makes the pair; nats_greet does what a server does until a client is ready. peer records
 * what it is sent.
 */
#ifndef ROOST_TESTS_NATS_TEST_H
#define ROOST_TESTS_NATS_TEST_H

#include "net/net_test.h"

#include "transport/nats_server.h"

typedef struct nats_peer {
  net_test test;
  roost_nats_options options;
  net_record record; /* the server's end of the newest connection */
  bool refuses;      /* what dial does */
  unsigned dials;
} nats_peer;

static inline int nats_dial(void *ud, roost_conn **out, const roost_conn_ops *ops, void *ops_ud) {
  nats_peer *self = ud;
  roost_conn *other;
  self->dials++;
  if (self->refuses)
    return ROOST_ECONNECT;
  const int status = roost_conn_pair(out, &other, self->test.loop);
  if (status != 0)
    return status;
  net_record_deinit(&self->record);
  net_record_init(&self->record, other);
  roost_conn_set_ops(*out, ops, ops_ud);
  return 1;
}

static inline void nats_peer_init(nats_peer *self) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  self->options.broker.endpoint = (roost_endpoint){"nats.example", 4222};
  self->options.ack_wait_ms = 30000;
  net_record_init(&self->record, NULL);
}

static inline void nats_peer_deinit(nats_peer *self) {
  if (self->record.conn != NULL)
    roost_conn_close(self->record.conn);
  net_test_turns(&self->test, 6);
  net_record_deinit(&self->record);
  net_test_deinit(&self->test);
}

static inline void nats_turns(nats_peer *self) {
  net_test_turns(&self->test, 6);
}

static inline void nats_say(nats_peer *self, const char *text) {
  net_write(self->record.conn, text);
  nats_turns(self);
}

/* What the server was sent since the last look, to its last byte. */
static inline void nats_expect(nats_peer *self, const char *text) {
  nats_turns(self);
  if (!net_record_has(&self->record, text))
    fail_msg("the server was sent %.*s", (int)self->record.bytes.len, self->record.bytes.ptr);
  roost_buffer_clear(&self->record.bytes);
}

/* Has some text in it somewhere, with a zero behind. */
static inline bool nats_was_sent(nats_peer *self, const char *text) {
  nats_turns(self);
  assert_int_equal(roost_buffer_append_byte(&self->record.bytes, '\0'), 0);
  self->record.bytes.len--;
  return strstr(self->record.bytes.ptr, text) != NULL;
}

/* A server that takes everybody, and has headers. */
static inline void nats_greet(nats_peer *self) {
  nats_turns(self);
  nats_say(self, "INFO {\"version\":\"2.9.10\",\"headers\":true,\"max_payload\":1000}\r\n");
  assert_true(nats_was_sent(self, "CONNECT {"));
  assert_true(nats_was_sent(self, "}\r\nPING\r\n"));
  roost_buffer_clear(&self->record.bytes);
  nats_say(self, "PONG\r\n");
}

#endif
