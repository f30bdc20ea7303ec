#include "nats_test.h"

#include "wire/json.h"

/* A server's session with a NATS server that the test plays; the sink keeps each message until the
 * test ends it. */

#define KEPT 64

typedef struct session_test {
  nats_peer peer;
  roost_server_config config;
  roost_server *server;
  roost_log *log;
  roost_buffer lines;
  roost_buffer messages; /* "ROUTE PATTERN DATA ID METADATA" of each, a line */
  roost_origin *kept[KEPT];
  size_t count;
  unsigned drained;
  const roost_subscription *routes; /* at the start */
  size_t route_count;
} session_test;

static void note(roost_buffer *out, roost_slice part) {
  assert_int_equal(roost_buffer_printf(out, "%.*s ", part.ptr != NULL ? (int)part.len : 1,
                                       part.ptr != NULL ? part.ptr : "-"),
                   0);
}

static int on_message(void *ud, roost_origin *origin, const roost_message *message) {
  session_test *self = ud;
  if (message->data.ptr != NULL && roost_json_validate(message->data) != 0)
    return ROOST_EPROTO;
  note(&self->messages, message->route);
  note(&self->messages, message->pattern);
  note(&self->messages, message->data);
  note(&self->messages, message->id);
  note(&self->messages, message->metadata);
  self->messages.ptr[self->messages.len - 1] = '\n';
  assert_true(self->count < KEPT);
  self->kept[self->count++] = origin;
  origin->in_flight++;
  return 0;
}

static void on_gone(void *ud, roost_origin *origin, bool reachable) {
  (void)ud;
  (void)reachable;
  origin->in_flight = 0;
}

static const roost_sink_ops sink = {.on_message = on_message, .on_gone = on_gone};

static void on_line(void *ud, roost_log_level level, roost_slice line) {
  session_test *self = ud;
  (void)level;
  assert_int_equal(roost_buffer_append_slice(&self->lines, line), 0);
}

static void on_drained(void *ud, roost_server *server) {
  (void)server;
  ((session_test *)ud)->drained++;
}

static const roost_subscription usual[] = {
    {.route = {"echo", 4}, .qos = -1, .message = true},
    {.route = {"orders.*", 8}, .qos = -1, .event = true, .queue = "own"}};

static const roost_subscription events[] = {{.route = {"orders.*", 8}, .qos = -1, .event = true}};

static session_test *begin(void) {
  static session_test self;
  memset(&self, 0, sizeof self);
  nats_peer_init(&self.peer);
  roost_server_config_init(&self.config);
  self.config.transport = "nats";
  self.config.options = &self.peer.options;
  self.config.retry_delay = 100;
  self.routes = usual;
  self.route_count = 2;
  self.peer.options.max_deliver = 2;
  roost_buffer_init(&self.lines, roost_alloc_default());
  roost_buffer_init(&self.messages, roost_alloc_default());
  return &self;
}

static roost_nats_server *session_of(const session_test *self) {
  return (roost_nats_server *)self->server;
}

static void subscribe(session_test *self, const roost_subscription *routes, size_t count) {
  assert_int_equal(self->server->ops->subscribe(self->server, routes, count), 0);
}

/* Until it has dialled. */
static session_test *make(session_test *self) {
  const char *why;
  assert_int_equal(
      roost_log_new(&self->log, roost_alloc_default(), &self->peer.test.clock, on_line, self), 0);
  const roost_transport *transport = roost_transport_find("nats");
  assert_int_equal(transport->open_server(&self->server, self->peer.test.loop, &self->config,
                                          self->log, &sink, self, &why),
                   0);
  self->server->on_drained = on_drained;
  self->server->on_drained_ud = self;
  roost_nats_conn *conn = &session_of(self)->conn;
  conn->dialer.dial = nats_dial;
  conn->dialer.dial_ud = &self->peer;
  conn->inbox_len = (size_t)snprintf(conn->inbox, sizeof conn->inbox, "_INBOX.me");
  subscribe(self, self->routes, self->route_count);
  assert_int_equal(self->server->ops->start(self->server), 0);
  return self;
}

static session_test *start(void) {
  session_test *self = make(begin());
  nats_greet(&self->peer);
  nats_expect(&self->peer, "SUB echo 1\r\nSUB orders.* own 2\r\n");
  return self;
}

static void stop(session_test *self) {
  self->server->ops->close(self->server);
  nats_turns(&self->peer);
  roost_log_free(self->log);
  roost_buffer_deinit(&self->lines);
  roost_buffer_deinit(&self->messages);
  nats_peer_deinit(&self->peer);
}

static void expect_messages(session_test *self, const char *text) {
  nats_turns(&self->peer);
  if (!roost_slice_equal(roost_buffer_slice(&self->messages), roost_slice_text(text)))
    fail_msg("messages: %.*s", (int)self->messages.len, self->messages.ptr);
  roost_buffer_clear(&self->messages);
}

static void answer(const session_test *self, size_t number, const char *value, const char *id) {
  roost_origin *origin = self->kept[number];
  roost_buffer *out = origin->ops->reply_begin(origin, ROOST_REPLY_LAST);
  if (out == NULL)
    return;
  if (roost_buffer_append_slice(out, roost_slice_text(value)) != 0) {
    origin->ops->reply_undo(origin);
    return;
  }
  (void)origin->ops->reply_end(origin, ROOST_REPLY_LAST, roost_slice_text(id));
}

static void end(const session_test *self, size_t number) {
  roost_origin *origin = self->kept[number];
  origin->in_flight--;
  origin->ops->eased(origin);
}

static void deliver(session_test *self, const char *line, const char *body) {
  char text[400];
  snprintf(text, sizeof text, "MSG %s %zu\r\n%s\r\n", line, strlen(body), body);
  nats_say(&self->peer, text);
}

static bool logged(session_test *self, const char *text) {
  roost_log_drain(self->log);
  assert_int_equal(roost_buffer_append_byte(&self->lines, '\0'), 0);
  self->lines.len--;
  return strstr(self->lines.ptr, text) != NULL;
}

/* --------------------------------------------------------------------- messages -------------- */

static void a_request_is_answered_at_its_inbox(void **state) {
  (void)state;
  session_test *self = start();
  deliver(self, "echo 1 in.box", "{\"pattern\":\"other\",\"data\":1,\"id\":\"a\"}");
  expect_messages(self, "echo \"echo\" 1 \"a\" -\n");
  answer(self, 0, "7", "\"a\"");
  end(self, 0);
  nats_expect(&self->peer,
              "PUB in.box       41\r\n{\"response\":7,\"isDisposed\":true,\"id\":\"a\"}\r\n");
  assert_false(self->kept[0]->ops->settle(self->kept[0], ROOST_SETTLE_ACK));
  stop(self);
}

static void what_a_message_is(void **state) {
  (void)state;
  session_test *self = start();
  deliver(self, "orders.new 2", "{\"pattern\":\"x\",\"data\":{\"n\":1}}");
  deliver(self, "orders.{\"a\":1} 2", "[1,2]");
  deliver(self, "{\"cmd\":\"x\"} 2", "5");
  deliver(self, "17 1 r", "{\"data\":null,\"id\":3}");
  nats_say(&self->peer,
           "HMSG orders.x 2 24 36\r\nNATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n{\"data\":1  }\r\n");
  expect_messages(self, "orders.* \"orders.new\" {\"n\":1} - -\n"
                        "orders.* \"orders.{\\\"a\\\":1}\" [1,2] - -\n"
                        "orders.* {\"cmd\":\"x\"} 5 - -\n"
                        "echo 17 null 3 -\n"
                        "orders.* \"orders.x\" 1 - {\"A\":\"1\",\"B\":\"2\"}\n");
  stop(self);
}

static void nobody_is_answered_who_wants_nothing(void **state) {
  (void)state;
  session_test *self = start();
  deliver(self, "echo 1", "{\"data\":1,\"id\":\"a\"}");
  answer(self, 0, "7", "\"a\"");
  end(self, 0);
  nats_expect(&self->peer, "");
  stop(self);
}

static void what_is_no_json_is_answered(void **state) {
  (void)state;
  session_test *self = start();
  const char refusal[] =
      "PUB r       48\r\n{\"err\":\"Could not parse JSON\",\"isDisposed\":true}\r\n";
  deliver(self, "echo 1 r", "nonsense");
  nats_expect(&self->peer, refusal);
  deliver(self, "echo 1 r", "{\"data\":[1,],\"id\":\"a\"}");
  nats_expect(&self->peer, refusal);
  deliver(self, "echo 1 r", "");
  nats_expect(&self->peer, refusal);
  deliver(self, "echo 1", "nonsense");
  nats_expect(&self->peer, "");
  expect_messages(self, "");
  assert_true(logged(self, "a message is refused"));
  deliver(self, "echo 1 r", "\"\xff\"");
  expect_messages(self, "echo \"echo\" \"\xEF\xBF\xBD\" - -\n");
  stop(self);
}

static void one_that_is_too_large_is_answered(void **state) {
  (void)state;
  session_test *self = begin();
  self->config.max_buffer_size = 30;
  make(self);
  nats_greet(&self->peer);
  roost_buffer_clear(&self->peer.record.bytes);
  deliver(self, "echo 1 r", "{\"data\":\"123456789012345678901234567890\",\"id\":\"a\"}");
  assert_true(nats_was_sent(&self->peer, "{\"err\":\"it is larger than max_buffer_size\""));
  deliver(self, "echo 1 r", "{\"data\":1,\"id\":\"a\"}");
  expect_messages(self, "echo \"echo\" 1 \"a\" -\n");
  stop(self);
}

static void a_reply_that_is_too_large_is_an_error(void **state) {
  char large[1100];
  (void)state;
  session_test *self = start();
  memset(large, '1', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  deliver(self, "echo 1 r", "{\"data\":1,\"id\":\"a\"}");
  answer(self, 0, large, "\"a\"");
  end(self, 0);
  nats_expect(&self->peer,
              "PUB r       87\r\n{\"err\":{\"status\":\"error\",\"message\":\"Internal "
              "server error\"},\"isDisposed\":true,\"id\":\"a\"}\r\n");
  assert_true(logged(self, "a reply is too large"));
  stop(self);
}

static void what_is_too_much_waits_and_then_is_refused(void **state) {
  (void)state;
  session_test *self = begin();
  self->config.max_in_flight = 2;
  self->config.max_buffer_size = 300;
  make(self);
  nats_greet(&self->peer);
  roost_buffer_clear(&self->peer.record.bytes);
  for (unsigned i = 0; i < 6; i++)
    deliver(self, "echo 1 r", "{\"data\":1,\"id\":\"a\"}");
  assert_int_equal(self->count, 2);
  assert_true(nats_was_sent(&self->peer, "{\"err\":\"Too many requests\",\"isDisposed\":true}"));
  assert_true(self->server->stats.denied > 0);
  const size_t held = session_of(self)->crowd_count;
  assert_true(held > 0 && held < 4);
  end(self, 0);
  nats_turns(&self->peer);
  assert_int_equal(self->count, 3);
  for (size_t i = 1; i < self->count; i++) {
    end(self, i);
    nats_turns(&self->peer);
  }
  assert_int_equal(self->count, 2 + held);
  assert_int_equal(session_of(self)->crowd_bytes, 0);
  stop(self);
}

/* --------------------------------------------------------------------- subscriptions --------- */

static void routes_are_compared(void **state) {
  (void)state;
  session_test *self = start();
  const roost_subscription next[] = {
      {.route = {"orders.*", 8}, .qos = -1, .event = true, .queue = "own"},
      {.route = {"new", 3}, .qos = -1, .message = true},
      {.route = {"with blank", 10}, .qos = -1, .message = true}};
  subscribe(self, next, 3);
  nats_expect(&self->peer, "SUB new 3\r\nUNSUB 1\r\n");
  assert_true(logged(self, "a pattern cannot be subscribed to"));
  subscribe(self, next, 2);
  nats_expect(&self->peer, "");
  deliver(self, "echo 1 r", "{\"data\":1,\"id\":\"a\"}"); /* it was under way */
  expect_messages(self, "");
  deliver(self, "new 3 r", "{\"data\":1,\"id\":\"a\"}");
  expect_messages(self, "new \"new\" 1 \"a\" -\n");
  const roost_subscription moved[] = {
      {.route = {"new", 3}, .qos = -1, .message = true, .queue = "q"}};
  subscribe(self, moved, 1);
  nats_expect(&self->peer, "SUB new q 4\r\nUNSUB 2\r\nUNSUB 3\r\n");
  stop(self);
}

/* --------------------------------------------------------------------- the connection -------- */

static void a_lost_connection_is_made_again(void **state) {
  (void)state;
  session_test *self = start();
  deliver(self, "echo 1 r", "{\"data\":1,\"id\":\"a\"}");
  assert_int_equal(self->server->stats.connections, 1);
  roost_conn_close(self->peer.record.conn);
  nats_turns(&self->peer);
  assert_int_equal(self->server->stats.connections, 0);
  assert_false(self->server->listening);
  answer(self, 0, "7", "\"a\""); /* who asked may be there again as well */
  end(self, 0);
  net_test_advance(&self->peer.test, 100);
  nats_greet(&self->peer);
  nats_expect(&self->peer, "SUB echo 1\r\nSUB orders.* own 2\r\n");
  deliver(self, "echo 1 q", "{\"data\":1,\"id\":\"b\"}");
  answer(self, 1, "8", "\"b\"");
  end(self, 1);
  nats_expect(&self->peer,
              "PUB q       41\r\n{\"response\":8,\"isDisposed\":true,\"id\":\"b\"}\r\n");
  net_test_advance(&self->peer.test, 2499);
  nats_expect(&self->peer, "");
  net_test_advance(&self->peer.test, 1);
  nats_expect(&self->peer,
              "PUB r       41\r\n{\"response\":7,\"isDisposed\":true,\"id\":\"a\"}\r\n");
  assert_true(self->server->listening);
  assert_true(logged(self, "disconnected"));
  stop(self);
}

static void it_is_tried_for_ever_or_so_often(void **state) {
  (void)state;
  for (unsigned attempts = 0; attempts < 4; attempts += 3) {
    session_test *self = begin();
    self->config.retry_attempts = attempts;
    self->peer.refuses = true;
    make(self);
    for (unsigned i = 0; i < 30; i++) {
      nats_turns(&self->peer);
      net_test_advance(&self->peer.test, 30000);
    }
    nats_turns(&self->peer);
    assert_int_equal(self->peer.dials, attempts == 0 ? 31 : 4);
    assert_int_equal(logged(self, "gave up connecting"), attempts > 0);
    stop(self);
  }
}

/* --------------------------------------------------------------------- the end --------------- */

static void a_drain_ends_what_came(void **state) {
  (void)state;
  session_test *self = start();
  deliver(self, "echo 1 r", "{\"data\":1,\"id\":\"a\"}");
  self->server->ops->drain(self->server);
  nats_expect(&self->peer, "UNSUB 1\r\nUNSUB 2\r\nPING\r\n");
  deliver(self, "echo 1 r", "{\"data\":2,\"id\":\"b\"}"); /* it was under way */
  nats_say(&self->peer, "PONG\r\n");
  assert_int_equal(self->count, 2);
  assert_int_equal(self->drained, 0);
  for (size_t i = 0; i < 2; i++) {
    answer(self, i, "7", "\"x\"");
    end(self, i);
  }
  assert_true(nats_was_sent(&self->peer, "\"id\":\"x\"}\r\nPING\r\n"));
  assert_int_equal(self->drained, 0);
  nats_say(&self->peer, "PONG\r\n");
  assert_int_equal(self->drained, 1);
  assert_int_equal(self->peer.record.eofs, 1);
  stop(self);
}

static void a_drain_waits_no_longer_than_it_may(void **state) {
  (void)state;
  session_test *self = begin();
  self->peer.options.graceful_shutdown = true;
  self->peer.options.grace_period_ms = 500;
  make(self);
  nats_greet(&self->peer);
  deliver(self, "echo 1 r", "{\"data\":1,\"id\":\"a\"}");
  self->server->ops->drain(self->server);
  nats_say(&self->peer, "PONG\r\n");
  net_test_advance(&self->peer.test, 499);
  assert_int_equal(self->drained, 0);
  net_test_advance(&self->peer.test, 1);
  nats_turns(&self->peer);
  assert_int_equal(self->drained, 1);
  stop(self);
}

static void without_a_connection_a_drain_is_short(void **state) {
  (void)state;
  session_test *self = begin();
  self->peer.refuses = true;
  make(self);
  nats_turns(&self->peer);
  self->server->ops->drain(self->server);
  nats_turns(&self->peer);
  assert_int_equal(self->drained, 1);
  stop(self);
  self = start();
  deliver(self, "echo 1 r", "{\"data\":1,\"id\":\"a\"}");
  self->server->ops->drain(self->server);
  nats_turns(&self->peer);
  roost_conn_close(self->peer.record.conn);
  nats_turns(&self->peer);
  assert_int_equal(self->drained, 0);
  end(self, 0);
  nats_turns(&self->peer);
  assert_int_equal(self->drained, 1);
  stop(self);
}

static void it_may_be_closed_while_something_runs(void **state) {
  (void)state;
  session_test *self = start();
  deliver(self, "echo 1 r", "{\"data\":1,\"id\":\"a\"}");
  stop(self);
}

/* --------------------------------------------------------------------- durable events -------- */

/* Until the consumer is there and the first pull is under way. */
static session_test *start_durable(const char *letters) {
  session_test *self = begin();
  self->peer.options.durable = "shop";
  self->peer.options.dead_letter = letters;
  self->config.max_in_flight = 3;
  self->routes = events;
  self->route_count = 1;
  make(self);
  nats_greet(&self->peer);
  assert_true(nats_was_sent(&self->peer, "SUB _INBOX.me.1.> 1\r\n"));
  assert_true(nats_was_sent(&self->peer, "PUB $JS.API.STREAM.NAMES _INBOX.me.1.1       22\r\n"
                                         "{\"subject\":\"orders.*\"}\r\n"));
  assert_false(nats_was_sent(&self->peer, "SUB orders.*"));
  roost_buffer_clear(&self->peer.record.bytes);
  return self;
}

static void answer_question(session_test *self, unsigned turn, const char *json) {
  char line[64];
  snprintf(line, sizeof line, "_INBOX.me.1.%u 1", turn);
  deliver(self, line, json);
}

static session_test *start_pulling(void) {
  session_test *self = start_durable(NULL);
  answer_question(self, 1, "{\"total\":1,\"streams\":[\"ORDERS\"]}");
  assert_true(
      nats_was_sent(&self->peer, "PUB $JS.API.CONSUMER.DURABLE.CREATE.ORDERS.shop-orders__-"));
  assert_true(nats_was_sent(&self->peer, "\"filter_subject\":\"orders.*\""));
  answer_question(self, 2, "{\"name\":\"x\"}");
  assert_true(nats_was_sent(&self->peer, "PUB $JS.API.CONSUMER.MSG.NEXT.ORDERS.shop-orders__-"));
  assert_true(nats_was_sent(&self->peer, "{\"batch\":3,"));
  roost_buffer_clear(&self->peer.record.bytes);
  return self;
}

static void event(session_test *self, unsigned tries, unsigned sequence) {
  char line[100];
  snprintf(line, sizeof line, "orders.new 1 $JS.ACK.ORDERS.c.%u.%u.1.2.0", tries, sequence);
  deliver(self, line, "{\"pattern\":\"orders.new\",\"data\":1}");
}

static void a_stream_is_made_where_there_is_none(void **state) {
  (void)state;
  session_test *self = start_durable("dead");
  answer_question(self, 1, "{\"total\":0,\"streams\":null}");
  assert_true(nats_was_sent(&self->peer, "PUB $JS.API.STREAM.CREATE.shop-orders__-"));
  assert_true(nats_was_sent(&self->peer, "\"subjects\":[\"orders.*\"],\"retention\":\"interest\""));
  answer_question(self, 2, "{\"config\":{\"streams\":[1]},\"created\":\"x\"}");
  assert_true(nats_was_sent(&self->peer, "PUB $JS.API.CONSUMER.DURABLE.CREATE.shop-orders__-"));
  answer_question(self, 3, "{}");
  assert_true(nats_was_sent(&self->peer, "{\"subject\":\"dead\"}"));
  answer_question(self, 4, "{\"streams\":[]}");
  assert_true(nats_was_sent(&self->peer, "\"subjects\":[\"dead\"],\"retention\":\"limits\""));
  answer_question(self, 5, "{}");
  assert_true(nats_was_sent(&self->peer, "PUB $JS.API.CONSUMER.MSG.NEXT."));
  stop(self);
}

static void what_fails_is_said_and_tried_again(void **state) {
  static const char *const answers[][2] = {
      {"{\"error\":{\"code\":500,\"description\":\"no space\"}}", "JetStream: no space"},
      {"{\"error\":{}}", "an error without description"},
      {"{\"streams\":[\"A\",\"B\"]}", "several streams have a part of them"},
      {"{\"streams\":7}", "is not understood"},
      {"nonsense", "is not understood"}};
  (void)state;
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
    session_test *self = start_durable(NULL);
    answer_question(self, 1, answers[i][0]);
    assert_true(logged(self, answers[i][1]));
    net_test_advance(&self->peer.test, 5000);
    net_test_advance(&self->peer.test, 5000);
    assert_true(nats_was_sent(&self->peer, "PUB $JS.API.STREAM.NAMES _INBOX.me.1.2 "));
    stop(self);
  }
  session_test *self = start_durable(NULL);
  nats_say(&self->peer, "HMSG _INBOX.me.1.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
  assert_true(logged(self, "JetStream is not on"));
  stop(self);
}

static void an_event_is_acknowledged_when_it_is_done(void **state) {
  (void)state;
  session_test *self = start_pulling();
  event(self, 1, 1);
  expect_messages(self, "orders.* \"orders.new\" 1 - -\n");
  nats_expect(&self->peer, "");
  end(self, 0);
  nats_expect(&self->peer, "PUB $JS.ACK.ORDERS.c.1.1.1.2.0        4\r\n+ACK\r\n");
  stop(self);
}

static void pulls_are_made_as_there_is_room(void **state) {
  (void)state;
  session_test *self = start_pulling();
  for (unsigned i = 1; i <= 3; i++)
    event(self, 1, i);
  nats_expect(&self->peer, ""); /* three run, and no more may */
  end(self, 0);
  assert_true(nats_was_sent(&self->peer, "{\"batch\":1,"));
  roost_buffer_clear(&self->peer.record.bytes);
  nats_say(&self->peer, "HMSG _INBOX.me.1.4 1 32 32\r\nNATS/1.0 408 Request Timeout\r\n\r\n\r\n");
  assert_true(nats_was_sent(&self->peer, "{\"batch\":1,"));
  stop(self);
}

static void one_that_fails_comes_later_and_then_no_more(void **state) {
  (void)state;
  session_test *self = start_pulling();
  event(self, 1, 1);
  self->kept[0]->ops->failed(self->kept[0], ROOST_SETTLE_NACK);
  end(self, 0);
  assert_true(nats_was_sent(&self->peer, "-NAK {\"delay\": 250000000}\r\n"));
  event(self, 2, 1);
  self->kept[1]->ops->failed(self->kept[1], ROOST_SETTLE_NACK);
  end(self, 1);
  assert_true(nats_was_sent(&self->peer, "PUB $JS.ACK.ORDERS.c.2.1.1.2.0        5\r\n+TERM\r\n"));
  assert_true(logged(self, "an event has failed for good"));
  event(self, 3, 2); /* whoever had it has died with it */
  assert_true(nats_was_sent(&self->peer, "PUB $JS.ACK.ORDERS.c.3.2.1.2.0        5\r\n+TERM\r\n"));
  assert_int_equal(self->count, 2);
  stop(self);
}

static void what_takes_long_is_said_to_be_worked_on(void **state) {
  (void)state;
  session_test *self = start_pulling();
  event(self, 1, 1);
  net_test_advance(&self->peer.test, 5000);
  nats_expect(&self->peer, "PUB $JS.ACK.ORDERS.c.1.1.1.2.0        4\r\n+WPI\r\n");
  assert_true(self->kept[0]->ops->settle(self->kept[0], ROOST_SETTLE_REQUEUE));
  nats_expect(&self->peer, "PUB $JS.ACK.ORDERS.c.1.1.1.2.0        4\r\n-NAK\r\n");
  net_test_advance(&self->peer.test, 5000);
  end(self, 0);
  nats_expect(&self->peer, "");
  stop(self);
}

static void a_route_that_goes_leaves_its_events(void **state) {
  (void)state;
  session_test *self = start_pulling();
  event(self, 1, 1);
  subscribe(self, usual, 1);
  assert_true(nats_was_sent(&self->peer, "UNSUB 1\r\n"));
  roost_buffer_clear(&self->peer.record.bytes);
  end(self, 0);
  nats_expect(&self->peer, "PUB $JS.ACK.ORDERS.c.1.1.1.2.0        4\r\n+ACK\r\n");
  stop(self);
}

static void a_drain_gives_back_what_comes_late(void **state) {
  (void)state;
  session_test *self = start_pulling();
  self->server->ops->drain(self->server);
  roost_buffer_clear(&self->peer.record.bytes);
  nats_turns(&self->peer);
  roost_buffer_clear(&self->peer.record.bytes);
  event(self, 1, 1);
  nats_expect(&self->peer, "PUB $JS.ACK.ORDERS.c.1.1.1.2.0        4\r\n-NAK\r\n");
  expect_messages(self, "");
  nats_say(&self->peer, "PONG\r\nPONG\r\n");
  nats_say(&self->peer, "PONG\r\n");
  assert_int_equal(self->drained, 1);
  stop(self);
}

/* --------------------------------------------------------------------- memory ---------------- */

static void survives_a_refusing_allocator(void **state) {
  const roost_nats_op op = {.kind = ROOST_NATS_MESSAGE,
                            .sid = 1,
                            .subject = ROOST_SLICE("echo"),
                            .reply = ROOST_SLICE("r"),
                            .payload = ROOST_SLICE("{\"data\":1,\"id\":\"a\"}")};
  const roost_subscription more[] = {usual[0], {.route = {"new", 3}, .qos = -1, .message = true}};
  (void)state;
  for (size_t n = 0; n < 12; n++) {
    session_test *self = start();
    self->peer.test.probe.refuse_after = n;
    const int status = self->server->ops->subscribe(self->server, more, 2);
    roost_nats_server_on_message(session_of(self), &op);
    for (size_t i = 0; i < self->count; i++) {
      answer(self, i, "7", "\"a\"");
      end(self, i);
    }
    self->peer.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    assert_true(status == 0 || status == ROOST_ENOMEM);
    subscribe(self, more, 2);
    stop(self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_is_answered_at_its_inbox),
      cmocka_unit_test(what_a_message_is),
      cmocka_unit_test(nobody_is_answered_who_wants_nothing),
      cmocka_unit_test(what_is_no_json_is_answered),
      cmocka_unit_test(one_that_is_too_large_is_answered),
      cmocka_unit_test(a_reply_that_is_too_large_is_an_error),
      cmocka_unit_test(what_is_too_much_waits_and_then_is_refused),
      cmocka_unit_test(routes_are_compared),
      cmocka_unit_test(a_lost_connection_is_made_again),
      cmocka_unit_test(it_is_tried_for_ever_or_so_often),
      cmocka_unit_test(a_drain_ends_what_came),
      cmocka_unit_test(a_drain_waits_no_longer_than_it_may),
      cmocka_unit_test(without_a_connection_a_drain_is_short),
      cmocka_unit_test(it_may_be_closed_while_something_runs),
      cmocka_unit_test(a_stream_is_made_where_there_is_none),
      cmocka_unit_test(what_fails_is_said_and_tried_again),
      cmocka_unit_test(an_event_is_acknowledged_when_it_is_done),
      cmocka_unit_test(pulls_are_made_as_there_is_room),
      cmocka_unit_test(one_that_fails_comes_later_and_then_no_more),
      cmocka_unit_test(what_takes_long_is_said_to_be_worked_on),
      cmocka_unit_test(a_route_that_goes_leaves_its_events),
      cmocka_unit_test(a_drain_gives_back_what_comes_late),
      cmocka_unit_test(survives_a_refusing_allocator),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
