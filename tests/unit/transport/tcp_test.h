/*
 * tcp_test.h - a tcp server with a sink that the tests steer.
 *
 * The sink knows the patterns echo (answers at once), hold and stream (kept until the test answers
 * with tcp_answer; a stream counts as one), big (data is a number: answers with so many bytes),
 * close (drops the peer). Everything else is unhandled. Data is validated as the real one does.
 */
#ifndef ROOST_TESTS_TCP_TEST_H
#define ROOST_TESTS_TCP_TEST_H

#include "net/net_test.h"

#include "transport/transport.h"
#include "wire/json.h"

#define TCP_HELD 16384

typedef struct tcp_held {
  roost_origin *origin; /* NULL: answered, or the peer is gone */
  char id[64];
  bool stream;
} tcp_held;

typedef struct tcp_test {
  net_test test;
  roost_server_config config;
  roost_server *server;
  roost_log *log;
  roost_buffer lines; /* of the log */
  unsigned line_count;
  net_record peer; /* the other end of a memory pair */
  tcp_held held[TCP_HELD];
  size_t held_count;
  unsigned messages;
  unsigned events;
  unsigned leaving; /* on_gone, reachable */
  unsigned gone;
  unsigned writables;
  unsigned drained;
} tcp_test;

/* --------------------------------------------------------------------- the sink -------------- */

static inline int tcp_reply(roost_origin *origin, const char *id, roost_slice value) {
  roost_buffer *out = origin->ops->reply_begin(origin, ROOST_REPLY_LAST);
  if (out == NULL)
    return ROOST_EGONE;
  if (roost_buffer_append_slice(out, value) != 0) {
    origin->ops->reply_undo(origin);
    return ROOST_ENOMEM;
  }
  return origin->ops->reply_end(origin, ROOST_REPLY_LAST, roost_slice_text(id));
}

static inline void tcp_forget(tcp_held *held) {
  if (held->stream)
    held->origin->streams--;
  else
    held->origin->in_flight--;
  held->origin = NULL;
}

/* Answers a held call, as its handler would by returning. */
static inline int tcp_answer(tcp_test *self, size_t number, const char *value) {
  tcp_held *held = &self->held[number];
  roost_origin *origin = held->origin;
  assert_non_null(origin);
  const int status = tcp_reply(origin, held->id, roost_slice_text(value));
  tcp_forget(held);
  origin->ops->eased(origin);
  return status;
}

static inline void tcp_hold(tcp_test *self, roost_origin *origin, roost_slice id, bool stream) {
  assert_true(self->held_count < TCP_HELD && id.len < sizeof self->held[0].id);
  tcp_held *held = &self->held[self->held_count++];
  *held = (tcp_held){.origin = origin, .stream = stream};
  memcpy(held->id, id.ptr, id.len);
  if (stream)
    origin->streams++;
  else
    origin->in_flight++;
}

static inline void tcp_reply_big(roost_origin *origin, const char *id, size_t bytes) {
  roost_buffer *out = origin->ops->reply_begin(origin, ROOST_REPLY_LAST);
  if (out == NULL)
    return;
  assert_int_equal(roost_buffer_reserve(out, bytes), 0);
  memset(out->ptr + out->len, '1', bytes);
  out->len += bytes;
  (void)origin->ops->reply_end(origin, ROOST_REPLY_LAST, roost_slice_text(id));
}

static inline int tcp_on_message(void *ud, roost_origin *origin, const roost_message *message) {
  tcp_test *self = ud;
  const roost_slice data = message->data;
  char id[64] = "";
  if (data.ptr != NULL && roost_json_validate(data) != 0)
    return ROOST_EPROTO;
  self->messages++;
  if (roost_message_is_event(message)) {
    self->events++;
    return 0;
  }
  memcpy(id, message->id.ptr, message->id.len);
  if (roost_slice_equal(message->pattern, ROOST_SLICE("\"echo\"")))
    (void)tcp_reply(origin, id, data);
  else if (roost_slice_equal(message->pattern, ROOST_SLICE("\"hold\"")))
    tcp_hold(self, origin, message->id, false);
  else if (roost_slice_equal(message->pattern, ROOST_SLICE("\"stream\"")))
    tcp_hold(self, origin, message->id, true);
  else if (roost_slice_equal(message->pattern, ROOST_SLICE("\"big\"")))
    tcp_reply_big(origin, id, strtoul(data.ptr, NULL, 10));
  else if (roost_slice_equal(message->pattern, ROOST_SLICE("\"close\"")))
    origin->ops->close(origin);
  else
    origin->ops->reply_unhandled(origin, message->id);
  return 0;
}

/* As the service layer does: leaving ends the streams, being gone everything. */
static inline void tcp_on_gone(void *ud, roost_origin *origin, bool reachable) {
  tcp_test *self = ud;
  assert_true(origin->gone);
  if (reachable)
    self->leaving++;
  else
    self->gone++;
  for (size_t i = 0; i < self->held_count; i++) {
    if (self->held[i].origin == origin && (!reachable || self->held[i].stream))
      tcp_forget(&self->held[i]);
  }
  assert_int_equal(origin->streams, 0);
}

static inline void tcp_on_writable(void *ud, roost_origin *origin) {
  assert_false(origin->ops->crowded(origin));
  ((tcp_test *)ud)->writables++;
}

static const roost_sink_ops tcp_sink = {
    .on_message = tcp_on_message, .on_gone = tcp_on_gone, .on_writable = tcp_on_writable};

/* --------------------------------------------------------------------- start and stop -------- */

static inline void tcp_on_line(void *ud, roost_log_level level, roost_slice line) {
  tcp_test *self = ud;
  (void)level;
  self->line_count++;
  assert_int_equal(roost_buffer_append_slice(&self->lines, line), 0);
  assert_int_equal(roost_buffer_append_byte(&self->lines, '\n'), 0);
}

static inline void tcp_on_drained(void *ud, roost_server *server) {
  tcp_test *self = ud;
  assert_ptr_equal(server, self->server);
  self->drained++;
}

static inline void tcp_init(tcp_test *self) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  roost_buffer_init(&self->lines, roost_alloc_default());
  assert_int_equal(
      roost_log_new(&self->log, roost_alloc_default(), &self->test.clock, tcp_on_line, self), 0);
  roost_server_config_init(&self->config);
  self->config.name = "public";
  self->config.host = "127.0.0.1";
  self->config.port = 0;
}

static inline void tcp_hand_over(tcp_test *self) {
  self->server->on_drained = tcp_on_drained;
  self->server->on_drained_ud = self;
}

/* One more peer of the server, over memory. */
static inline void tcp_connect(tcp_test *self, net_record *peer) {
  roost_conn *near;
  roost_conn *far;
  assert_int_equal(roost_conn_pair(&near, &far, self->test.loop), 0);
  net_record_init(peer, near);
  assert_int_equal(roost_tcp_server_adopt(self->server, far), 0);
}

/* A server without a listener, and one peer. Change the config between init and this. */
static inline void tcp_start(tcp_test *self) {
  assert_int_equal(roost_tcp_server_new(&self->server, self->test.loop, &self->config, self->log,
                                        &tcp_sink, self),
                   0);
  tcp_hand_over(self);
  tcp_connect(self, &self->peer);
}

/* A server with a listener on a free port, accepting. */
static inline void tcp_listen(tcp_test *self) {
  const char *why;
  assert_int_equal(roost_tcp_server_open(&self->server, self->test.loop, &self->config, self->log,
                                         &tcp_sink, self, &why),
                   0);
  tcp_hand_over(self);
  net_record_init(&self->peer, NULL);
  assert_int_equal(self->server->ops->start(self->server), 0);
}

static inline void tcp_deinit(tcp_test *self) {
  self->server->ops->close(self->server);
  net_test_deinit(&self->test);
  net_record_deinit(&self->peer);
  roost_log_free(self->log);
  roost_buffer_deinit(&self->lines);
}

/* --------------------------------------------------------------------- talking --------------- */

/* Checks that the log says text, in so many lines since it was last looked at. */
static inline void tcp_expect_lines(tcp_test *self, unsigned count, const char *text) {
  roost_log_drain(self->log);
  assert_int_equal(self->line_count, count);
  assert_int_equal(roost_buffer_append_byte(&self->lines, '\0'), 0);
  if (strstr(self->lines.ptr, text) == NULL)
    fail_msg("no \"%s\" in: %s", text, self->lines.ptr);
  self->line_count = 0;
  roost_buffer_clear(&self->lines);
}

static inline void tcp_expect_silence(tcp_test *self) {
  roost_log_drain(self->log);
  if (self->line_count > 0)
    fail_msg("the log says: %.*s", (int)self->lines.len, self->lines.ptr);
}

/* A frame with the text as its body; the text is ASCII. */
static inline void tcp_put_frame(roost_buffer *out, const char *body) {
  assert_int_equal(roost_buffer_printf(out, "%zu#%s", strlen(body), body), 0);
}

static inline void tcp_put_request(roost_buffer *out, const char *pattern, const char *data,
                                   const char *id) {
  char body[512];
  snprintf(body, sizeof body, "{\"pattern\":\"%s\",\"data\":%s,\"id\":\"%s\"}", pattern, data, id);
  tcp_put_frame(out, body);
}

static inline void tcp_request(net_record *peer, const char *pattern, const char *data,
                               const char *id) {
  tcp_put_request(roost_conn_out(peer->conn), pattern, data, id);
  roost_conn_dirty(peer->conn);
}

static inline void tcp_put_reply(roost_buffer *out, const char *data, const char *id) {
  char body[512];
  snprintf(body, sizeof body, "{\"response\":%s,\"isDisposed\":true,\"id\":\"%s\"}", data, id);
  tcp_put_frame(out, body);
}

/* Waits for exactly these bytes from the server, and forgets them. */
static inline void tcp_expect_bytes(tcp_test *self, net_record *peer, const roost_buffer *bytes) {
  NET_TEST_UNTIL(&self->test, peer->bytes.len >= bytes->len);
  net_test_turns(&self->test, 3);
  if (!roost_slice_equal(roost_buffer_slice(bytes), roost_buffer_slice(&peer->bytes)))
    fail_msg("got %.*s", (int)peer->bytes.len, peer->bytes.ptr);
  roost_buffer_clear(&peer->bytes);
}

static inline void tcp_expect_reply(tcp_test *self, net_record *peer, const char *data,
                                    const char *id) {
  roost_buffer expected;
  roost_buffer_init(&expected, roost_alloc_default());
  tcp_put_reply(&expected, data, id);
  tcp_expect_bytes(self, peer, &expected);
  roost_buffer_deinit(&expected);
}

#endif
