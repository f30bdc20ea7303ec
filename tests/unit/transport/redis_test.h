/*
 * redis_test.h - a Redis that the tests play: the other ends of a pair's two connections, in
 * memory.
 *
 * redis_dial makes them; what was sent there is read as commands, "VERB a b" a line, by redis_sent;
 * what Redis says is written by redis_say, in the way of PING: "+PONG\r\n".
 */
#ifndef ROOST_TESTS_REDIS_TEST_H
#define ROOST_TESTS_REDIS_TEST_H

#include "net/net_test.h"

#include "transport/redis_internal.h"

typedef struct fake_redis {
  net_test *test;
  roost_redis_pair *pair;
  net_record pub; /* the first connection made */
  net_record sub; /* the second */
  net_record old; /* what earlier ones are told */
  unsigned dials;
  bool refuses;
  roost_buffer lines; /* of the last redis_sent */
} fake_redis;

static inline int redis_dial(fake_redis *self, net_record *record, roost_conn **out,
                             const roost_conn_ops *ops, void *ops_ud) {
  roost_conn *other;
  self->dials++;
  if (self->refuses)
    return ROOST_ECONNECT;
  const int status = roost_conn_pair(out, &other, self->test->loop);
  if (status != 0)
    return status;
  if (record->conn != NULL) { /* of an earlier life */
    roost_conn_set_ops(record->conn, &net_record_ops, &self->old);
    roost_conn_close(record->conn);
  }
  roost_buffer_deinit(&record->bytes);
  net_record_init(record, other);
  roost_conn_set_ops(*out, ops, ops_ud);
  return 1;
}

static inline int redis_dial_pub(void *ud, roost_conn **out, const roost_conn_ops *ops,
                                 void *ops_ud) {
  return redis_dial(ud, &((fake_redis *)ud)->pub, out, ops, ops_ud);
}

static inline int redis_dial_sub(void *ud, roost_conn **out, const roost_conn_ops *ops,
                                 void *ops_ud) {
  return redis_dial(ud, &((fake_redis *)ud)->sub, out, ops, ops_ud);
}

static inline void redis_play(fake_redis *self, net_test *test, roost_redis_pair *pair) {
  *self = (fake_redis){.test = test, .pair = pair};
  net_record_init(&self->pub, NULL);
  net_record_init(&self->sub, NULL);
  net_record_init(&self->old, NULL);
  roost_buffer_init(&self->lines, roost_alloc_default());
  pair->pub.dialer.dial = redis_dial_pub;
  pair->sub.dialer.dial = redis_dial_sub;
  pair->pub.dialer.dial_ud = pair->sub.dialer.dial_ud = self;
}

static inline void redis_end(fake_redis *self) {
  if (self->pub.conn != NULL)
    roost_conn_close(self->pub.conn);
  if (self->sub.conn != NULL)
    roost_conn_close(self->sub.conn);
  net_test_turns(self->test, 4);
  net_record_deinit(&self->pub);
  net_record_deinit(&self->sub);
  net_record_deinit(&self->old);
  roost_buffer_deinit(&self->lines);
}

static inline void redis_say(const fake_redis *self, net_record *to, const char *text) {
  if (to->conn == NULL)
    return;
  (void)roost_buffer_append_slice(roost_conn_out(to->conn), roost_slice_text(text));
  roost_conn_dirty(to->conn);
  net_test_turns(self->test, 4);
}

/* A message of a channel, or by a pattern. */
static inline void redis_message(const fake_redis *self, net_record *to, const char *pattern,
                                 const char *channel, const char *body) {
  char text[1000];
  if (pattern == NULL)
    snprintf(text, sizeof text, "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
             strlen(channel), channel, strlen(body), body);
  else
    snprintf(text, sizeof text,
             "*4\r\n$8\r\npmessage\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(pattern),
             pattern, strlen(channel), channel, strlen(body), body);
  redis_say(self, to, text);
}

static inline void redis_acknowledge(const fake_redis *self, net_record *to, const char *verb,
                                     const char *channel) {
  char text[300];
  snprintf(text, sizeof text, "*3\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n:1\r\n", strlen(verb), verb,
           strlen(channel), channel);
  redis_say(self, to, text);
}

/* What was sent there since the last call: commands, a line each. */
static inline const char *redis_sent(fake_redis *self, net_record *from) {
  roost_redis_reader *reader;
  roost_redis_reply reply;
  const char *why;
  net_test_turns(self->test, 4);
  roost_buffer_clear(&self->lines);
  assert_int_equal(roost_redis_reader_new(&reader, roost_alloc_default(), 0), 0);
  assert_int_equal(roost_redis_feed(reader, roost_buffer_slice(&from->bytes)), 0);
  while (roost_redis_next(reader, &reply, &why) == 1) {
    for (size_t i = 0; i < reply.count; i++)
      assert_int_equal(roost_buffer_printf(&self->lines, "%s%.*s", i > 0 ? " " : "",
                                           (int)reply.items[i].text.len, reply.items[i].text.ptr),
                       0);
    assert_int_equal(roost_buffer_append_byte(&self->lines, '\n'), 0);
  }
  roost_redis_reader_free(reader);
  roost_buffer_clear(&from->bytes);
  assert_int_equal(roost_buffer_append_byte(&self->lines, '\0'), 0);
  return self->lines.ptr;
}

/* Answers the greeting of both connections. */
static inline void redis_greet(fake_redis *self) {
  net_test_turns(self->test, 4);
  redis_say(self, &self->pub, "+PONG\r\n");
  net_test_turns(self->test, 4);
  redis_say(self, &self->sub, "+PONG\r\n");
  (void)redis_sent(self, &self->pub);
  (void)redis_sent(self, &self->sub);
}

#endif
