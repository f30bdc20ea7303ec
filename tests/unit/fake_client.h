/*
 * fake_client.h - a client that a test plays: it keeps what it is told to send.
 *
 * One who embeds it, as his first member, may put operations of his own into a copy of
 * FAKE_CLIENT_OPS. It is made by whoever the test hands over as open_client.
 */
#ifndef ROOST_TESTS_FAKE_CLIENT_H
#define ROOST_TESTS_FAKE_CLIENT_H

#include "alloc_probe.h"

#include "core/buffer.h"
#include "core/slice.h"
#include "transport/transport.h"

typedef struct fake_client {
  roost_client client; /* first */
  roost_buffer out;    /* the data of all that was sent, with what the ops write around it */
  size_t begun;        /* where the message that is open begins */
  bool open;           /* between begin and end or undo */
  unsigned connects;
  unsigned closes;
} fake_client;

static inline fake_client *fake_client_of(const roost_client *client) {
  return (fake_client *)(uintptr_t)client;
}

static inline void fake_client_init(fake_client *self, const roost_client_ops *ops,
                                    const roost_alloc *alloc, const roost_client_config *config,
                                    const roost_client_sink *sink, void *sink_ud) {
  self->client = (roost_client){.ops = ops, .config = config, .sink = sink, .sink_ud = sink_ud};
  roost_buffer_init(&self->out, alloc);
}

static inline void fake_client_deinit(fake_client *self) {
  assert_false(self->open);
  roost_buffer_deinit(&self->out);
}

static inline int fake_client_connect(roost_client *client) {
  fake_client_of(client)->connects++;
  return 0;
}

static inline roost_buffer *fake_client_begin(roost_client *client, const roost_message *head) {
  fake_client *self = fake_client_of(client);
  (void)head;
  assert_false(self->open); /* whoever begins must end or undo before the next one does */
  self->begun = self->out.len;
  self->open = true;
  return &self->out;
}

static inline void fake_client_undo(roost_client *client) {
  fake_client *self = fake_client_of(client);
  assert_true(self->open);
  self->open = false;
  self->out.len = self->begun;
}

static inline int fake_client_end(roost_client *client, const roost_message *head) {
  fake_client *self = fake_client_of(client);
  (void)head;
  assert_true(self->open);
  self->open = false;
  return 0;
}

static inline bool fake_client_crowded(const roost_client *client) {
  (void)client;
  return false;
}

static inline void fake_client_close(roost_client *client) {
  fake_client_of(client)->closes++;
}

#define FAKE_CLIENT_OPS                                                                            \
  .connect = fake_client_connect, .begin = fake_client_begin, .end = fake_client_end,              \
  .undo = fake_client_undo, .crowded = fake_client_crowded, .close = fake_client_close,            \
  .routes_events = true

#endif
