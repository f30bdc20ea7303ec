#include "transport/rmq_broker.h"

#include "core/log.h"
#include "wire/json.h"

/* The patterns of its sink: echo answers at once, hold and stream are kept until the test ends
 * them, raise fails; all else is nobody's. */
typedef struct rmq_server_test {
  rmq_broker broker;
  roost_server_config config;
  roost_server *server;
  roost_log *log;
  roost_buffer lines;
  roost_origin *held[8];
  size_t held_count;
  char route[64]; /* of the message that came last; "": none */
  char metadata[256];
  unsigned messages;
  unsigned gone;
  unsigned writables;
  unsigned drained;
} rmq_server_test;

/* ------------------------------------------------------------------------- the sink ---------- */

static void reply(roost_origin *origin, roost_reply_kind kind, const char *value) {
  roost_buffer *out = origin->ops->reply_begin(origin, kind);
  if (out == NULL)
    return;
  if (roost_buffer_append_slice(out, roost_slice_text(value)) != 0)
    origin->ops->reply_undo(origin);
  else
    (void)origin->ops->reply_end(origin, kind, ROOST_SLICE("\"id\""));
}

static void end_call(roost_origin *origin) {
  origin->in_flight--;
  origin->ops->eased(origin);
}

static int on_message(void *ud, roost_origin *origin, const roost_message *message) {
  rmq_server_test *self = ud;
  self->messages++;
  snprintf(self->route, sizeof self->route, "%.*s", (int)message->route.len, message->route.ptr);
  snprintf(self->metadata, sizeof self->metadata, "%.*s", (int)message->metadata.len,
           message->metadata.ptr);
  if (message->data.ptr != NULL && roost_json_validate(message->data) != 0)
    return ROOST_EPROTO;
  const roost_slice pattern = message->pattern;
  const bool is_held = roost_slice_equal(pattern, ROOST_SLICE("\"hold\""));
  if (roost_slice_equal(pattern, ROOST_SLICE("\"nobody\""))) {
    if (message->id.ptr != NULL)
      origin->ops->reply_unhandled(origin, message->id);
    return 0;
  }
  origin->in_flight++;
  if (is_held) {
    assert_true(self->held_count < 8);
    self->held[self->held_count++] = origin;
    return 0;
  }
  if (roost_slice_equal(pattern, ROOST_SLICE("\"raise\"")))
    origin->ops->failed(origin, ROOST_SETTLE_NACK);
  else if (message->id.ptr != NULL)
    reply(origin, ROOST_REPLY_LAST, "1");
  end_call(origin);
  return 0;
}

static void on_gone(void *ud, roost_origin *origin, bool reachable) {
  rmq_server_test *self = ud;
  assert_true(origin->gone);
  assert_false(reachable);
  self->gone++;
  for (size_t i = 0; i < self->held_count; i++)
    if (self->held[i] == origin)
      self->held[i] = NULL;
  origin->in_flight = 0;
}

static void on_writable(void *ud, roost_origin *origin) {
  (void)origin;
  ((rmq_server_test *)ud)->writables++;
}

static const roost_sink_ops sink = {
    .on_message = on_message, .on_gone = on_gone, .on_writable = on_writable};

static void on_drained(void *ud, roost_server *server) {
  (void)server;
  ((rmq_server_test *)ud)->drained++;
}

static void on_line(void *ud, roost_log_level level, roost_slice line) {
  rmq_server_test *self = ud;
  (void)level;
  assert_int_equal(roost_buffer_append_slice(&self->lines, line), 0);
  assert_int_equal(roost_buffer_append_byte(&self->lines, '\n'), 0);
}

static void expect_line(rmq_server_test *self, const char *text) {
  roost_log_drain(self->log);
  assert_int_equal(roost_buffer_append_byte(&self->lines, '\0'), 0);
  if (strstr(self->lines.ptr, text) == NULL)
    fail_msg("no \"%s\" in: %s", text, self->lines.ptr);
  roost_buffer_clear(&self->lines);
}

/* ------------------------------------------------------------------------- start and stop ---- */

static int setup(void **state) {
  rmq_server_test *self = calloc(1, sizeof *self);
  assert_non_null(self);
  rmq_broker_init(&self->broker);
  roost_buffer_init(&self->lines, roost_alloc_default());
  assert_int_equal(
      roost_log_new(&self->log, roost_alloc_default(), &self->broker.test.clock, on_line, self), 0);
  roost_server_config_init(&self->config);
  self->config.name = "jobs";
  self->config.transport = "rmq";
  self->config.options = &self->broker.options;
  self->config.retry_delay = 1000;
  *state = self;
  return 0;
}

/* Change options and config before it. */
static void open_server(rmq_server_test *self) {
  const char *why;
  assert_int_equal(roost_rmq_server_open(&self->server, self->broker.test.loop, &self->config,
                                         self->log, &sink, self, &why),
                   0);
  self->server->on_drained = on_drained;
  self->server->on_drained_ud = self;
  roost_rmq_server_set_dial(self->server, rmq_broker_dial, &self->broker);
}

static void start_server(rmq_server_test *self) {
  open_server(self);
  assert_int_equal(self->server->ops->start(self->server), 0);
}

/* Until it consumes. */
static void serve(rmq_server_test *self) {
  start_server(self);
  rmq_greet(&self->broker);
  while (rmq_next(&self->broker) != RMQ_CONSUME)
    assert_true(self->broker.at < self->broker.peer.bytes.len);
  rmq_consuming(&self->broker);
  assert_true(self->server->listening);
  rmq_expect_nothing(&self->broker);
}

static int teardown(void **state) {
  rmq_server_test *self = *state;
  if (self->server != NULL)
    self->server->ops->close(self->server);
  rmq_turns(&self->broker);
  rmq_broker_deinit(&self->broker);
  roost_log_free(self->log);
  roost_buffer_deinit(&self->lines);
  free(self);
  return 0;
}

static void deliver(rmq_server_test *self, uint64_t tag, const char *body) {
  rmq_delivery(rmq_out(&self->broker), tag, body, "answers", "c1");
  rmq_say(&self->broker);
}

/* ------------------------------------------------------------------------- what is asked for - */

static void test_queue(void **state) {
  rmq_server_test *self = *state;
  rmq_broker *broker = &self->broker;
  broker->options.arguments = "{\"x-max-length\":5}";
  broker->options.prefetch_count = 10;
  start_server(self);
  rmq_greet(broker);
  rmq_expect(broker, RMQ_QUEUE_DECLARE);
  RMQ_EXPECT_TEXT(broker, "\4work\2\0\0\0\x12\x0cx-max-lengthI\0\0\0\5");
  rmq_expect(broker, RMQ_QOS);
  RMQ_EXPECT_TEXT(broker, "\0\0\0\0\0\x0a\0");
  rmq_expect(broker, RMQ_CONSUME);
  RMQ_EXPECT_TEXT(broker, "\4work\0\2");
  assert_false(self->server->listening);
  rmq_consuming(broker);
  assert_true(self->server->listening);
  expect_line(self, "msg=\"connected\" server=jobs");
}

static void test_acknowledged_queue(void **state) {
  rmq_server_test *self = *state;
  rmq_broker *broker = &self->broker;
  broker->options.no_ack = false;
  broker->options.dead_letter = "dead";
  broker->options.no_assert = true;
  broker->options.consumer_tag = "me";
  start_server(self);
  rmq_greet(broker);
  rmq_expect(broker, RMQ_EXCHANGE_DECLARE);
  RMQ_EXPECT_TEXT(broker, "\4dead\6fanout\2");
  rmq_expect(broker, RMQ_QUEUE_DECLARE);
  RMQ_EXPECT_TEXT(broker, "\4dead\2");
  rmq_expect(broker, RMQ_BIND);
  RMQ_EXPECT_TEXT(broker, "\4dead\4dead\0");
  rmq_expect(broker, RMQ_QOS); /* as many as may be in flight */
  RMQ_EXPECT_TEXT(broker, "\0\0\0\0\4\0\0");
  rmq_expect(broker, RMQ_CONSUME);
  RMQ_EXPECT_TEXT(broker, "\4work\2me\0");
}

static void test_exchanges(void **state) {
  rmq_server_test *self = *state;
  rmq_broker *broker = &self->broker;
  const roost_subscription routes[] = {{.route = ROOST_SLICE("a.*"), .message = true},
                                       {.route = ROOST_SLICE("b"), .event = true}};
  broker->options.wildcards = true;
  broker->options.routing_key = "more";
  open_server(self);
  assert_int_equal(self->server->ops->subscribe(self->server, routes, 2), 0);
  assert_int_equal(self->server->ops->start(self->server), 0);
  rmq_greet(broker);
  rmq_expect(broker, RMQ_QUEUE_DECLARE);
  rmq_expect(broker, RMQ_EXCHANGE_DECLARE);
  RMQ_EXPECT_TEXT(broker, "\4work\5topic\2");
  rmq_expect(broker, RMQ_BIND);
  RMQ_EXPECT_TEXT(broker, "\4work\4work\4more");
  rmq_expect(broker, RMQ_BIND);
  RMQ_EXPECT_TEXT(broker, "\3a.*");
  rmq_expect(broker, RMQ_BIND);
  RMQ_EXPECT_TEXT(broker, "\1b");
  rmq_expect(broker, RMQ_CONSUME);
  rmq_consuming(broker);
  const roost_subscription later[] = {{.route = ROOST_SLICE("b")}, {.route = ROOST_SLICE("c.#")}};
  assert_int_equal(self->server->ops->subscribe(self->server, later, 2), 0);
  rmq_turns(broker);
  rmq_expect(broker, RMQ_BIND);
  RMQ_EXPECT_TEXT(broker, "\3c.#");
  rmq_expect(broker, RMQ_UNBIND);
  RMQ_EXPECT_TEXT(broker, "\3a.*");
  deliver(self, 1, "{\"pattern\":\"b\",\"data\":1}");
  assert_string_equal(self->route, "");
  deliver(self, 2, "{\"pattern\":\"c.d.e\",\"data\":1}");
  assert_string_equal(self->route, "c.#");
}

static void test_names_that_are_too_long(void **state) {
  rmq_server_test *self = *state;
  char name[300];
  memset(name, 'n', sizeof name);
  name[299] = '\0';
  self->broker.options.queue = name;
  start_server(self);
  rmq_greet(&self->broker);
  rmq_expect_nothing(&self->broker);
  expect_line(self, "queue and queue_options cannot be sent");
}

/* ------------------------------------------------------------------------- messages ---------- */

static void test_request(void **state) {
  rmq_server_test *self = *state;
  serve(self);
  deliver(self, 1, "{\"pattern\":\"echo\",\"data\":1,\"id\":\"x\"}");
  rmq_expect_message(&self->broker, "answers", "\2c1", "{\"response\":1,\"isDisposed\":true}");
  deliver(self, 2, "{\"pattern\":\"nobody\",\"data\":1,\"id\":\"x\"}");
  rmq_expect_message(&self->broker, "answers", "\2c1",
                     "{\"id\":\"x\",\"err\":\"There is no matching message handler defined in the "
                     "remote service.\",\"status\":\"error\"}");
  rmq_delivery(rmq_out(&self->broker), 3, "{\"pattern\":\"echo\",\"data\":1,\"id\":\"x\"}", NULL,
               NULL);
  rmq_say(&self->broker);
  assert_int_equal(self->messages, 3);
  rmq_expect_nothing(&self->broker); /* nobody wants to hear it, and no_ack */
}

static void test_kinds_of_replies(void **state) {
  rmq_server_test *self = *state;
  serve(self);
  deliver(self, 1, "{\"pattern\":\"hold\",\"data\":1,\"id\":\"x\"}");
  roost_origin *origin = self->held[0];
  reply(origin, ROOST_REPLY_ITEM, "1");
  reply(origin, ROOST_REPLY_VOID, "");
  reply(origin, ROOST_REPLY_ERROR, "{\"a\":1}");
  reply(origin, ROOST_REPLY_END, "");
  roost_buffer *out = origin->ops->reply_begin(origin, ROOST_REPLY_ITEM);
  assert_non_null(out);
  origin->ops->reply_undo(origin);
  roost_buffer facts = rmq_fields();
  assert_int_equal(origin->ops->facts(origin, &facts), 0);
  assert_int_equal(roost_json_validate(roost_buffer_slice(&facts)), 0);
  roost_buffer_deinit(&facts);
  end_call(origin);
  rmq_turns(&self->broker);
  rmq_expect_message(&self->broker, "answers", "\2c1", "{\"response\":1}");
  rmq_expect_message(&self->broker, "answers", "\2c1", "{\"id\":\"id\"}");
  rmq_expect_message(&self->broker, "answers", "\2c1", "{\"err\":{\"a\":1},\"isDisposed\":true}");
  rmq_expect_message(&self->broker, "answers", "\2c1", "{\"isDisposed\":true}");
  rmq_expect_nothing(&self->broker);
}

static void expect_settled(rmq_server_test *self, uint32_t method, const char *fields,
                           size_t size) {
  rmq_turns(&self->broker);
  rmq_expect(&self->broker, method);
  assert_int_equal(self->broker.payload.len, size + 4);
  assert_memory_equal(self->broker.payload.ptr + 4, fields, size);
}

#define TAG "\0\0\0\0\0\0\0"

static void test_settling(void **state) {
  rmq_server_test *self = *state;
  self->broker.options.no_ack = false;
  serve(self);
  deliver(self, 1, "{\"pattern\":\"echo\",\"data\":1}");
  expect_settled(self, RMQ_ACK, TAG "\1\0", 9);
  deliver(self, 2, "{\"pattern\":\"raise\",\"data\":1}");
  expect_settled(self, RMQ_NACK, TAG "\2\0", 9);
  deliver(self, 3, "{\"pattern\":\"nobody\",\"data\":1}");
  expect_settled(self, RMQ_NACK, TAG "\3\0", 9);
  deliver(self, 4, "{\"pattern\":\"hold\",\"data\":1}");
  assert_true(self->held[0]->ops->settle(self->held[0], ROOST_SETTLE_REQUEUE));
  expect_settled(self, RMQ_NACK, TAG "\4\2", 9);
  assert_false(self->held[0]->ops->settle(self->held[0], ROOST_SETTLE_ACK));
  end_call(self->held[0]);
  deliver(self, 5, "{\"pattern\":\"echo\",\"data\":{]}");
  rmq_expect_message(&self->broker, "answers", "\2c1",
                     "{\"err\":{\"status\":\"error\",\"message\":\"The message is not JSON\"},"
                     "\"isDisposed\":true}");
  expect_settled(self, RMQ_NACK, TAG "\5\0", 9);
  deliver(self, 6, "nothing");
  rmq_expect_message(&self->broker, "answers", "\2c1",
                     "{\"err\":{\"status\":\"error\",\"message\":\"The message is not JSON\"},"
                     "\"isDisposed\":true}");
  expect_settled(self, RMQ_NACK, TAG "\6\0", 9);
  rmq_expect_nothing(&self->broker);
  assert_int_equal(self->gone, 0);
}

/* An event that several wildcards match is settled once, when all are over. */
static void test_several_matches(void **state) {
  rmq_server_test *self = *state;
  const roost_subscription routes[] = {{.route = ROOST_SLICE("#")},
                                       {.route = ROOST_SLICE("*")},
                                       {.route = ROOST_SLICE("hold")},
                                       {.route = ROOST_SLICE("x")}};
  self->broker.options.no_ack = false;
  self->broker.options.wildcards = true;
  open_server(self);
  assert_int_equal(self->server->ops->subscribe(self->server, routes, 4), 0);
  assert_int_equal(self->server->ops->start(self->server), 0);
  rmq_greet(&self->broker);
  rmq_consuming(&self->broker);
  while (rmq_next(&self->broker) != 0) {
  }
  deliver(self, 1, "{\"pattern\":\"hold\",\"data\":1}");
  assert_int_equal(self->messages, 3);
  assert_int_equal(self->held_count, 3);
  assert_true(self->held[1]->ops->settle(self->held[1], ROOST_SETTLE_ACK));
  end_call(self->held[2]);
  self->held[0]->ops->failed(self->held[0], ROOST_SETTLE_NACK);
  end_call(self->held[0]);
  rmq_turns(&self->broker);
  rmq_expect_nothing(&self->broker);
  end_call(self->held[1]);
  expect_settled(self, RMQ_NACK, TAG "\1\0", 9);
}

static void test_as_many_as_may_be_in_flight(void **state) {
  rmq_server_test *self = *state;
  self->config.max_in_flight = 2;
  serve(self);
  for (unsigned i = 1; i <= 4; i++)
    rmq_delivery(rmq_out(&self->broker), i, "{\"pattern\":\"hold\",\"data\":1,\"id\":\"x\"}",
                 "answers", "c1");
  rmq_say(&self->broker);
  assert_int_equal(self->messages, 2);
  reply(self->held[0], ROOST_REPLY_ITEM, "1"); /* a stream does not count */
  end_call(self->held[1]);
  rmq_turns(&self->broker);
  assert_int_equal(self->messages, 4);
  deliver(self, 5, "{\"pattern\":\"hold\",\"data\":1,\"id\":\"x\"}");
  assert_int_equal(self->messages, 4);
  end_call(self->held[2]);
  rmq_turns(&self->broker);
  assert_int_equal(self->messages, 5);
}

/* ------------------------------------------------------------------------- the connection ---- */

static void test_comes_back(void **state) {
  rmq_server_test *self = *state;
  serve(self);
  deliver(self, 1, "{\"pattern\":\"hold\",\"data\":1,\"id\":\"x\"}");
  roost_conn_close(self->broker.peer.conn);
  rmq_turns(&self->broker);
  assert_int_equal(self->gone, 1);
  assert_false(self->server->listening);
  expect_line(self, "msg=\"disconnected\" server=jobs peer=broker:5672 err=");
  self->broker.refuses = true;
  net_test_advance(&self->broker.test, 1000);
  rmq_turns(&self->broker);
  assert_int_equal(self->broker.dials, 2);
  expect_line(self, "err=\"Connection refused\"");
  self->broker.refuses = false;
  net_test_advance(&self->broker.test, 2000);
  rmq_greet(&self->broker);
  rmq_consuming(&self->broker);
  assert_true(self->server->listening);
}

static void test_gives_up(void **state) {
  rmq_server_test *self = *state;
  self->broker.refuses = true;
  self->config.retry_attempts = 2;
  start_server(self);
  for (unsigned i = 0; i < 5; i++) {
    rmq_turns(&self->broker);
    net_test_advance(&self->broker.test, 60000);
  }
  assert_int_equal(self->broker.dials, 3);
  expect_line(self, "gave up connecting");
}

static void test_heartbeats(void **state) {
  rmq_server_test *self = *state;
  serve(self);
  for (unsigned i = 0; i < 3; i++) {
    net_test_advance(&self->broker.test, 30000);
    rmq_turns(&self->broker);
    rmq_expect(&self->broker, RMQ_BEAT);
  }
  rmq_frame(rmq_out(&self->broker), 8, 0, "", 0);
  rmq_say(&self->broker);
  for (unsigned i = 0; i < 4; i++) {
    net_test_advance(&self->broker.test, 30000);
    rmq_turns(&self->broker);
    rmq_expect(&self->broker, RMQ_BEAT);
  }
  assert_true(self->server->listening);
  net_test_advance(&self->broker.test, 30000);
  rmq_turns(&self->broker);
  assert_false(self->server->listening);
  expect_line(self, "the broker's heartbeat has stopped");
}

static void test_a_broker_that_says_nothing(void **state) {
  rmq_server_test *self = *state;
  start_server(self);
  rmq_turns(&self->broker);
  net_test_advance(&self->broker.test, 15000);
  rmq_turns(&self->broker);
  expect_line(self, "the broker does not answer");
}

static void test_blocked(void **state) {
  rmq_server_test *self = *state;
  serve(self);
  deliver(self, 1, "{\"pattern\":\"hold\",\"data\":1,\"id\":\"x\"}");
  rmq_said(rmq_out(&self->broker), 0, RMQ_BLOCKED, "low on memory", 0);
  rmq_say(&self->broker);
  expect_line(self, "the broker takes no messages");
  assert_true(self->server->listening);
  assert_true(self->held[0]->ops->crowded(self->held[0]));
  rmq_method(rmq_out(&self->broker), 0, RMQ_UNBLOCKED, NULL);
  rmq_say(&self->broker);
  assert_false(self->held[0]->ops->crowded(self->held[0]));
  assert_int_equal(self->writables, 1);
  roost_buffer flow = rmq_fields();
  rmq_number(&flow, 0, 1);
  rmq_method(rmq_out(&self->broker), 1, RMQ_FLOW, &flow);
  rmq_say(&self->broker);
  rmq_expect(&self->broker, RMQ_FLOW_OK);
}

static void test_ends_that_the_broker_says(void **state) {
  rmq_server_test *self = *state;
  serve(self);
  rmq_close(rmq_out(&self->broker), 1, 406, "PRECONDITION_FAILED - unknown delivery tag 5");
  rmq_say(&self->broker);
  rmq_expect(&self->broker, RMQ_CLOSE);
  expect_line(self, "EINVAL: PRECONDITION_FAILED - unknown delivery tag 5");
  net_test_advance(&self->broker.test, 1000);
  rmq_greet(&self->broker);
  rmq_close(rmq_out(&self->broker), 0, 320, "CONNECTION_FORCED - broker forced connection closure");
  rmq_say(&self->broker);
  while (self->broker.at < self->broker.peer.bytes.len)
    (void)rmq_next(&self->broker);
  RMQ_EXPECT_TEXT(&self->broker, "\0\x0a\0\x33");
  expect_line(self, "CONNECTION_FORCED");
  net_test_advance(&self->broker.test, 2000);
  rmq_greet(&self->broker);
  rmq_consuming(&self->broker);
  rmq_said(rmq_out(&self->broker), 1, RMQ_CANCEL, "tag", 1);
  rmq_say(&self->broker);
  expect_line(self, "the queue is gone");
  net_test_advance(&self->broker.test, 1000);
  rmq_greet(&self->broker);
  assert_int_equal(roost_buffer_append(rmq_out(&self->broker), "nonsense", 8), 0);
  rmq_say(&self->broker);
  expect_line(self, "a frame is larger than it may be");
}

/* ------------------------------------------------------------------------- the end ----------- */

static void test_drain(void **state) {
  rmq_server_test *self = *state;
  rmq_broker *broker = &self->broker;
  broker->options.no_ack = false;
  serve(self);
  deliver(self, 1, "{\"pattern\":\"hold\",\"data\":1,\"id\":\"x\"}");
  self->server->ops->drain(self->server);
  self->server->ops->drain(self->server);
  rmq_turns(broker);
  rmq_expect(broker, RMQ_CANCEL);
  RMQ_EXPECT_TEXT(broker, "\3tag");
  rmq_delivery(rmq_out(broker), 2, "{\"pattern\":\"echo\",\"data\":1}", NULL, NULL);
  rmq_said(rmq_out(broker), 1, RMQ_CANCEL_OK, "tag", 0);
  rmq_say(broker);
  rmq_expect(broker, RMQ_ACK); /* what came before that is still taken */
  rmq_expect_nothing(broker);
  reply(self->held[0], ROOST_REPLY_LAST, "5");
  end_call(self->held[0]);
  rmq_turns(broker);
  rmq_expect_message(broker, "answers", "\2c1", "{\"response\":5,\"isDisposed\":true}");
  rmq_expect(broker, RMQ_ACK);
  rmq_expect(broker, RMQ_CHANNEL_CLOSE);
  rmq_expect_nothing(broker);
  assert_int_equal(self->drained, 0);
  rmq_method(rmq_out(broker), 1, RMQ_CHANNEL_CLOSE_OK, NULL);
  rmq_say(broker);
  rmq_expect(broker, RMQ_CLOSE);
  assert_int_equal(self->drained, 1);
}

/* Messages that were not read yet, since too many were in flight, are still taken. */
static void test_drain_of_what_was_not_read(void **state) {
  rmq_server_test *self = *state;
  self->config.max_in_flight = 1;
  serve(self);
  for (unsigned i = 1; i <= 3; i++)
    rmq_delivery(rmq_out(&self->broker), i, "{\"pattern\":\"hold\",\"data\":1}", NULL, NULL);
  rmq_say(&self->broker);
  assert_int_equal(self->messages, 1);
  self->server->ops->drain(self->server);
  rmq_turns(&self->broker);
  net_test_advance(&self->broker.test, 5000);
  for (unsigned i = 0; i < 3; i++) {
    assert_int_equal(self->messages, i + 1);
    end_call(self->held[i]);
    rmq_turns(&self->broker);
  }
  rmq_expect(&self->broker, RMQ_CANCEL);
  rmq_expect(&self->broker, RMQ_CHANNEL_CLOSE);
  net_test_advance(&self->broker.test, 5000);
  rmq_turns(&self->broker);
  assert_int_equal(self->drained, 1);
}

static void test_drain_without_a_broker(void **state) {
  rmq_server_test *self = *state;
  self->broker.refuses = true;
  start_server(self);
  rmq_turns(&self->broker);
  self->server->ops->drain(self->server);
  rmq_turns(&self->broker);
  assert_int_equal(self->drained, 1);
}

static void test_drain_of_a_broker_that_says_nothing(void **state) {
  rmq_server_test *self = *state;
  serve(self);
  self->server->ops->drain(self->server);
  rmq_turns(&self->broker);
  net_test_advance(&self->broker.test, 5000); /* it takes nothing, so nothing more will come */
  rmq_turns(&self->broker);
  assert_int_equal(self->drained, 0);
  net_test_advance(&self->broker.test, 5000);
  rmq_turns(&self->broker);
  assert_int_equal(self->drained, 1);
}

static void test_drain_that_loses_the_broker(void **state) {
  rmq_server_test *self = *state;
  serve(self);
  deliver(self, 1, "{\"pattern\":\"hold\",\"data\":1,\"id\":\"x\"}");
  self->server->ops->drain(self->server);
  roost_conn_close(self->broker.peer.conn);
  rmq_turns(&self->broker);
  assert_int_equal(self->gone, 1);
  assert_int_equal(self->drained, 1);
}

/* Calls run, and messages were not read yet: all of it goes, and acknowledgements are still sent.
 */
static void test_close_in_the_middle(void **state) {
  rmq_server_test *self = *state;
  self->broker.options.no_ack = false;
  self->config.max_in_flight = 1;
  serve(self);
  for (unsigned i = 1; i <= 3; i++)
    rmq_delivery(rmq_out(&self->broker), i, "{\"pattern\":\"hold\",\"data\":1}", NULL, NULL);
  rmq_say(&self->broker);
  assert_true(self->held[0]->ops->settle(self->held[0], ROOST_SETTLE_ACK));
  self->server->ops->close(self->server);
  self->server = NULL;
  assert_int_equal(self->gone, 1);
  rmq_turns(&self->broker);
  rmq_expect(&self->broker, RMQ_ACK);
  rmq_expect(&self->broker, RMQ_CHANNEL_CLOSE);
  rmq_method(rmq_out(&self->broker), 1, RMQ_CHANNEL_CLOSE_OK, NULL);
  rmq_say(&self->broker);
  rmq_expect(&self->broker, RMQ_CLOSE);
}

/* ------------------------------------------------------------------------- memory ------------ */

/* Each allocation fails once: whatever becomes of it, nothing is lost or used twice. */
static void test_no_memory(void **state) {
  rmq_server_test *self = *state;
  rmq_broker *broker = &self->broker;
  const char *why;
  broker->options.no_ack = false;
  for (size_t refuse = 0; refuse < 120; refuse++) {
    broker->test.probe.refuse_after = refuse;
    self->held_count = 0;
    if (roost_rmq_server_open(&self->server, broker->test.loop, &self->config, self->log, &sink,
                              self, &why) != 0) {
      self->server = NULL;
      continue;
    }
    roost_rmq_server_set_dial(self->server, rmq_broker_dial, broker);
    self->server->ops->start(self->server);
    rmq_turns(broker);
    if (broker->peer.conn != NULL) {
      roost_buffer said = rmq_fields();
      rmq_start(&said);
      rmq_tune(&said, 0, 131072, 60);
      rmq_said(&said, 0, RMQ_OPEN_OK, "", 0);
      roost_buffer opened = rmq_fields();
      rmq_text(&opened, "", 4);
      rmq_method(&said, 1, RMQ_CHANNEL_OPEN_OK, &opened);
      rmq_said(&said, 1, RMQ_CONSUME_OK, "tag", 0);
      rmq_delivery(&said, 1, "{\"pattern\":\"hold\",\"data\":1,\"id\":\"x\"}", "answers", "c1");
      rmq_delivery(&said, 2, "{\"pattern\":\"echo\",\"data\":1,\"id\":\"x\"}", "answers", "c1");
      (void)roost_buffer_append_slice(rmq_out(broker), roost_buffer_slice(&said));
      roost_buffer_deinit(&said);
      rmq_say(broker);
    }
    if (self->held_count > 0 && self->held[0] != NULL)
      end_call(self->held[0]);
    rmq_turns(broker);
    broker->test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    self->server->ops->close(self->server);
    self->server = NULL;
    if (broker->peer.conn != NULL)
      roost_conn_close(broker->peer.conn);
    rmq_turns(broker);
  }
  assert_int_equal(roost_loop_conn_count(broker->test.loop), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_queue),
      TEST(test_acknowledged_queue),
      TEST(test_exchanges),
      TEST(test_names_that_are_too_long),
      TEST(test_request),
      TEST(test_kinds_of_replies),
      TEST(test_settling),
      TEST(test_several_matches),
      TEST(test_as_many_as_may_be_in_flight),
      TEST(test_comes_back),
      TEST(test_gives_up),
      TEST(test_heartbeats),
      TEST(test_a_broker_that_says_nothing),
      TEST(test_blocked),
      TEST(test_ends_that_the_broker_says),
      TEST(test_drain),
      TEST(test_drain_of_what_was_not_read),
      TEST(test_drain_without_a_broker),
      TEST(test_drain_of_a_broker_that_says_nothing),
      TEST(test_drain_that_loses_the_broker),
      TEST(test_close_in_the_middle),
      TEST(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
