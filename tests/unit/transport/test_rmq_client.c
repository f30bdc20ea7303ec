#include "transport/rmq_broker.h"

typedef struct rmq_client_test {
  rmq_broker broker;
  roost_client_config config;
  roost_client *client; /* NULL: freed */
  unsigned opened;
  unsigned closes;
  int status; /* of the last end */
  char why[256];
  unsigned replies;
  char id[64]; /* of the last reply, as are those that follow; "": missing */
  char response[256];
  char err[256];
  bool last;
  bool foreign;
  unsigned writables;
  bool free_on_reply;
} rmq_client_test;

/* ------------------------------------------------------------------------- the sink ---------- */

static void on_open(void *ud) {
  ((rmq_client_test *)ud)->opened++;
}

static void on_reply(void *ud, const roost_reply *reply) {
  rmq_client_test *self = ud;
  self->replies++;
  snprintf(self->id, sizeof self->id, "%.*s", (int)reply->id.len, reply->id.ptr);
  snprintf(self->response, sizeof self->response, "%.*s", (int)reply->response.len,
           reply->response.ptr);
  snprintf(self->err, sizeof self->err, "%.*s", (int)reply->err.len, reply->err.ptr);
  self->last = reply->last;
  self->foreign = reply->foreign;
  if (self->free_on_reply) {
    self->client->ops->free(self->client);
    self->client = NULL;
  }
}

static void on_closed(void *ud, int status, const char *why) {
  rmq_client_test *self = ud;
  self->closes++;
  self->status = status;
  snprintf(self->why, sizeof self->why, "%s", why);
}

static void on_writable(void *ud) {
  ((rmq_client_test *)ud)->writables++;
}

static const roost_client_sink sink = {on_open, on_reply, on_closed, on_writable};

/* ------------------------------------------------------------------------- start and stop ---- */

static int setup(void **state) {
  rmq_client_test *self = calloc(1, sizeof *self);
  assert_non_null(self);
  rmq_broker_init(&self->broker);
  roost_client_config_init(&self->config);
  self->config.transport = "rmq";
  self->config.options = &self->broker.options;
  *state = self;
  return 0;
}

static void make_client(rmq_client_test *self) {
  assert_int_equal(
      roost_rmq_client_new(&self->client, self->broker.test.loop, &self->config, &sink, self), 0);
  roost_client_set_dial(self->client, rmq_broker_dial, &self->broker);
}

static void connect_client(rmq_client_test *self) {
  if (self->client == NULL)
    make_client(self);
  assert_int_equal(self->client->ops->connect(self->client), 0);
  rmq_greet(&self->broker);
}

/* Until it is open. */
static void open_client(rmq_client_test *self) {
  connect_client(self);
  while (rmq_next(&self->broker) != RMQ_CONSUME)
    assert_true(self->broker.at < self->broker.peer.bytes.len);
  rmq_consuming(&self->broker);
  assert_int_equal(self->opened, 1);
}

static int teardown(void **state) {
  rmq_client_test *self = *state;
  if (self->client != NULL)
    self->client->ops->free(self->client);
  rmq_turns(&self->broker);
  rmq_broker_deinit(&self->broker);
  free(self);
  return 0;
}

/* As the service layer sends; texts are JSON, NULL: missing. */
static int publish(rmq_client_test *self, const char *pattern, const char *id, const char *metadata,
                   const char *options) {
  const roost_message head = {.pattern = roost_slice_text(pattern),
                              .id = roost_slice_text(id),
                              .metadata = roost_slice_text(metadata),
                              .options = roost_slice_text(options)};
  roost_buffer *out = self->client->ops->begin(self->client, &head);
  if (out == NULL)
    return ROOST_ENOMEM;
  if (roost_buffer_append_slice(out, ROOST_SLICE("[1]")) != 0) {
    self->client->ops->undo(self->client);
    return ROOST_ENOMEM;
  }
  const int status = self->client->ops->end(self->client, &head);
  rmq_turns(&self->broker);
  return status;
}

static void answer(rmq_client_test *self, const char *body, const char *correlation_id) {
  rmq_delivery(rmq_out(&self->broker), 1, body, NULL, correlation_id);
  rmq_say(&self->broker);
}

/* ------------------------------------------------------------------------- connecting -------- */

static void test_queue(void **state) {
  rmq_client_test *self = *state;
  connect_client(self);
  rmq_expect(&self->broker, RMQ_QUEUE_DECLARE);
  RMQ_EXPECT_TEXT(&self->broker, "\4work\2");
  rmq_expect(&self->broker, RMQ_CONSUME);
  RMQ_EXPECT_TEXT(&self->broker, "\x15"
                                 "amq.rabbitmq.reply-to\0\2");
  rmq_expect_nothing(&self->broker);
  assert_int_equal(self->opened, 0);
  rmq_consuming(&self->broker);
  assert_int_equal(self->opened, 1);
  assert_non_null(roost_client_remote(self->client));
  assert_string_equal(roost_client_place(self->client).host, "broker");
}

static void test_exchanges(void **state) {
  rmq_client_test *self = *state;
  self->broker.options.exchange = "e";
  self->broker.options.routing_key = "k";
  self->broker.options.no_assert = true;
  connect_client(self);
  rmq_expect(&self->broker, RMQ_BIND);
  RMQ_EXPECT_TEXT(&self->broker, "\4work\1e\1k");
  self->client->ops->free(self->client);
  self->client = NULL;
  self->broker.options.wildcards = true;
  connect_client(self);
  rmq_expect(&self->broker, RMQ_EXCHANGE_DECLARE);
  RMQ_EXPECT_TEXT(&self->broker, "\1e\5topic\2");
  rmq_expect(&self->broker, RMQ_CONSUME);
}

static void expect_refusal(rmq_client_test *self, const char *why) {
  rmq_turns(&self->broker);
  assert_int_equal(self->closes, 1);
  assert_int_equal(self->status, ROOST_ECONNECT);
  assert_string_equal(self->why, why);
  self->closes = 0;
}

static void test_refusals(void **state) {
  rmq_client_test *self = *state;
  make_client(self);
  self->broker.refuses = true;
  assert_int_equal(self->client->ops->connect(self->client), 0);
  expect_refusal(self, "ECONNREFUSED");
  self->broker.refuses = false;
  assert_int_equal(self->client->ops->connect(self->client), 0);
  rmq_turns(&self->broker);
  rmq_start(rmq_out(&self->broker));
  rmq_close(rmq_out(&self->broker), 0, 403, "ACCESS_REFUSED - Login was refused");
  roost_conn_dirty(self->broker.peer.conn);
  expect_refusal(self, "EACCES: ACCESS_REFUSED - Login was refused");
  assert_int_equal(self->client->ops->connect(self->client), 0);
  rmq_turns(&self->broker);
  roost_conn_close(self->broker.peer.conn);
  expect_refusal(self, "ECONNRESET");
  assert_int_equal(self->client->ops->connect(self->client), 0);
  rmq_turns(&self->broker);
  assert_int_equal(roost_buffer_append(rmq_out(&self->broker), "AMQP\0\0\x09\0", 8), 0);
  roost_conn_dirty(self->broker.peer.conn);
  expect_refusal(self, "EPROTO: it does not speak AMQP 0-9-1");
  assert_int_equal(self->client->ops->connect(self->client), 0);
  rmq_turns(&self->broker);
  net_test_advance(&self->broker.test, 15000);
  expect_refusal(self, "ETIMEDOUT: the broker does not answer");
  connect_client(self);
  rmq_close(rmq_out(&self->broker), 1, 406, "PRECONDITION_FAILED - inequivalent arg 'durable'");
  roost_conn_dirty(self->broker.peer.conn);
  expect_refusal(self, "EINVAL: PRECONDITION_FAILED - inequivalent arg 'durable'");
  roost_buffer fields = rmq_fields();
  assert_int_equal(self->client->ops->connect(self->client), 0);
  rmq_turns(&self->broker);
  rmq_number(&fields, 9, 2);
  rmq_number(&fields, 0, 4);
  rmq_text(&fields, "EXTERNAL PLAINER", 4);
  rmq_text(&fields, "en_US", 4);
  rmq_method(rmq_out(&self->broker), 0, RMQ_START, &fields);
  roost_conn_dirty(self->broker.peer.conn);
  expect_refusal(self, "EACCES: the broker takes no user and password");
  assert_int_equal(self->opened, 0);
}

/* ------------------------------------------------------------------------- requests ---------- */

static void test_request(void **state) {
  rmq_client_test *self = *state;
  open_client(self);
  assert_int_equal(publish(self, "{\"cmd\":\"sum\"}", "\"0a1b\"", NULL, NULL), 0);
  rmq_expect(&self->broker, RMQ_PUBLISH);
  RMQ_EXPECT_TEXT(&self->broker, "\0\0\0\4work\0");
  rmq_expect(&self->broker, 2);
  RMQ_EXPECT_TEXT(&self->broker, "\0\0\0\0\1\4"
                                 "0a1b\x15"
                                 "amq.rabbitmq.reply-to");
  rmq_expect(&self->broker, 3);
  RMQ_EXPECT_TEXT(&self->broker, "{\"pattern\":{\"cmd\":\"sum\"},\"data\":[1],\"id\":\"0a1b\"}");
  answer(self, "{\"response\":6}", "0a1b");
  assert_string_equal(self->id, "\"0a1b\"");
  assert_string_equal(self->response, "6");
  assert_false(self->last);
  answer(self, "{\"response\":7,\"isDisposed\":true,\"id\":\"another\"}", "0a1b");
  assert_string_equal(self->id, "\"0a1b\"");
  assert_true(self->last);
  answer(self, "{\"err\":{\"a\":1},\"isDisposed\":true}", "0a1b");
  assert_string_equal(self->err, "{\"a\":1}");
  answer(self, "{\"response\":7}", NULL);
  answer(self, "{\"response\":7}", "a\"b");
  assert_int_equal(self->replies, 3);
}

static void test_replies_of_others(void **state) {
  rmq_client_test *self = *state;
  static const struct {
    const char *body;
    const char *response;
  } rows[] = {{"5", "5"},
              {"{\"a\":1}", "{\"a\":1}"},
              {"plain \"text\"", "\"plain \\\"text\\\"\""},
              {"\xff", "\"\xef\xbf\xbd\""},
              {"", "\"\""}};
  open_client(self);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    answer(self, rows[i].body, "1");
    assert_string_equal(self->response, rows[i].response);
    assert_true(self->foreign && self->last);
  }
}

static void test_unroutable(void **state) {
  rmq_client_test *self = *state;
  self->broker.options.wildcards = true;
  open_client(self);
  assert_int_equal(publish(self, "{\"b\":1,\"a\":2}", "\"1\"", NULL, NULL), 0);
  rmq_expect(&self->broker, RMQ_PUBLISH);
  RMQ_EXPECT_TEXT(&self->broker, "\4work\x0d{\"a\":2,\"b\":1}\1"); /* sorted, and mandatory */
  roost_buffer *out = rmq_out(&self->broker);
  roost_buffer fields = rmq_fields();
  rmq_number(&fields, 312, 2);
  rmq_text(&fields, "NO_ROUTE", 1);
  rmq_text(&fields, "work", 1);
  rmq_text(&fields, "x", 1);
  rmq_method(out, 1, RMQ_RETURN, &fields);
  rmq_header(out, 1, 1,
             "\4\0\1"
             "1",
             4);
  rmq_frame(out, 3, 1, "x", 1);
  rmq_say(&self->broker);
  assert_string_equal(self->id, "\"1\"");
  assert_string_equal(self->err,
                      "\"There is no matching message handler defined in the remote service.\"");
  while (rmq_next(&self->broker) != 0) {
  }
  assert_int_equal(publish(self, "\"a.b\"", NULL, NULL, NULL), 0);
  rmq_expect(&self->broker, RMQ_PUBLISH);
  RMQ_EXPECT_TEXT(&self->broker, "\4work\3a.b\0"); /* an event is not */
}

static void expect_refused(rmq_client_test *self, const char *pattern, const char *metadata,
                           const char *options, const char *why) {
  assert_int_equal(publish(self, pattern, NULL, metadata, options), ROOST_EUNSUPPORTED);
  assert_string_equal(self->client->refusal, why);
  rmq_expect_nothing(&self->broker);
}

static void test_options(void **state) {
  rmq_client_test *self = *state;
  self->broker.options.headers = "{\"a\":1,\"b\":{\"c\":[2]}}";
  open_client(self);
  assert_int_equal(publish(self, "\"x\"", NULL, "{\"a\":true,\"d\":null}",
                           "{\"priority\":9,\"expiration\":5000,\"persistent\":true}"),
                   0);
  rmq_expect(&self->broker, RMQ_PUBLISH);
  rmq_expect(&self->broker, 2);
  RMQ_EXPECT_TEXT(&self->broker, "\0\0\0\x1a\1bF\0\0\0\x0c\1cA\0\0\0\5I\0\0\0\2\1at\1\1dV\2\x09\4"
                                 "5000");
  rmq_expect(&self->broker, 3);
  RMQ_EXPECT_TEXT(&self->broker, "{\"pattern\":\"x\",\"data\":[1]}");
  expect_refused(self, "\"x\"", NULL, "{\"qos\":1}", "rmq has no option qos");
  expect_refused(self, "\"x\"", NULL, "{\"priority\":256}",
                 "priority must be a whole number from 0 to 255");
  expect_refused(self, "\"x\"", NULL, "{\"priority\":1.5}",
                 "priority must be a whole number from 0 to 255");
  expect_refused(self, "\"x\"", NULL, "{\"expiration\":-1}",
                 "expiration must be a number of milliseconds");
  char name[320] = "{\"";
  memset(name + 2, 'n', 256);
  memcpy(name + 258, "\":1}", 5);
  expect_refused(self, "\"x\"", name, NULL, "metadata cannot be sent as headers");
  self->broker.options.wildcards = true;
  char pattern[300] = "\"";
  memset(pattern + 1, 'p', 256);
  pattern[257] = '"';
  expect_refused(self, pattern, NULL, NULL, "the pattern is longer than RabbitMQ's keys may be");
}

static void confirm(rmq_client_test *self, uint32_t method, uint64_t tag, bool multiple) {
  roost_buffer fields = rmq_fields();
  rmq_number(&fields, tag, 8);
  rmq_number(&fields, multiple, 1);
  rmq_method(rmq_out(&self->broker), 1, method, &fields);
  rmq_say(&self->broker);
}

static int publish_confirmed(rmq_client_test *self, const char *id) {
  const roost_message head = {.pattern = ROOST_SLICE("\"x\""), .confirm = roost_slice_text(id)};
  roost_buffer *out = self->client->ops->begin(self->client, &head);
  assert_non_null(out);
  assert_int_equal(roost_buffer_append_slice(out, ROOST_SLICE("1")), 0);
  return self->client->ops->end(self->client, &head);
}

/* Of those that last, the broker says which are safe. */
static void test_confirms(void **state) {
  rmq_client_test *self = *state;
  self->broker.options.persistent = true;
  make_client(self);
  assert_true(self->client->confirms);
  connect_client(self);
  rmq_expect(&self->broker, RMQ_QUEUE_DECLARE);
  rmq_expect(&self->broker, RMQ_METHOD(85, 10));
  rmq_expect(&self->broker, RMQ_CONSUME);
  rmq_method(rmq_out(&self->broker), 1, RMQ_CONFIRM_OK, NULL);
  rmq_consuming(&self->broker);
  assert_int_equal(publish_confirmed(self, "\"a\""), 0);
  assert_int_equal(publish(self, "\"x\"", "\"r\"", NULL, NULL), 0);
  assert_int_equal(publish_confirmed(self, "\"c\""), 0);
  assert_int_equal(publish_confirmed(self, "\"d\""), 0);
  confirm(self, RMQ_ACK, 2, false);
  assert_int_equal(self->replies, 0);
  confirm(self, RMQ_ACK, 3, true);
  assert_int_equal(self->replies, 2);
  assert_string_equal(self->id, "\"c\"");
  assert_string_equal(self->err, "");
  assert_true(self->last);
  confirm(self, RMQ_NACK, 4, false);
  assert_string_equal(self->id, "\"d\"");
  assert_string_not_equal(self->err, "");
  self->free_on_reply = true;
  assert_int_equal(publish_confirmed(self, "\"e\""), 0);
  assert_int_equal(publish_confirmed(self, "\"f\""), 0);
  confirm(self, RMQ_ACK, 6, true);
  assert_int_equal(self->replies, 4);
}

static void test_too_large(void **state) {
  rmq_client_test *self = *state;
  self->config.max_buffer_size = 4;
  open_client(self);
  answer(self, "12345", "1");
  assert_string_equal(self->err, "\"The reply is larger than max_buffer_size\"");
}

/* ------------------------------------------------------------------------- the end ----------- */

static void test_loses_the_broker(void **state) {
  rmq_client_test *self = *state;
  open_client(self);
  rmq_close(rmq_out(&self->broker), 0, 320, "CONNECTION_FORCED - bye");
  rmq_say(&self->broker);
  assert_int_equal(self->closes, 1);
  assert_int_equal(self->status, ROOST_EGONE);
  assert_string_equal(self->why, "EPROTO: CONNECTION_FORCED - bye");
  connect_client(self);
  rmq_consuming(&self->broker);
  rmq_said(rmq_out(&self->broker), 1, RMQ_CANCEL, "tag", 1);
  rmq_say(&self->broker);
  assert_int_equal(self->closes, 2);
  assert_string_equal(self->why, "the queue for replies is gone");
}

static void test_blocked(void **state) {
  rmq_client_test *self = *state;
  open_client(self);
  assert_false(self->client->ops->crowded(self->client));
  rmq_said(rmq_out(&self->broker), 0, RMQ_BLOCKED, "low on memory", 0);
  rmq_say(&self->broker);
  assert_true(self->client->ops->crowded(self->client));
  assert_true(self->client->is_blocked);
  assert_int_equal(self->writables, 1); /* to look at that */
  rmq_method(rmq_out(&self->broker), 0, RMQ_UNBLOCKED, NULL);
  rmq_say(&self->broker);
  assert_false(self->client->ops->crowded(self->client));
  assert_false(self->client->is_blocked);
  assert_int_equal(self->writables, 2);
}

static void test_close(void **state) {
  rmq_client_test *self = *state;
  open_client(self);
  assert_int_equal(publish(self, "\"x\"", NULL, NULL, NULL), 0);
  self->client->ops->close(self->client);
  rmq_turns(&self->broker);
  rmq_expect_message(&self->broker, "work", "\1", "{\"pattern\":\"x\",\"data\":[1]}");
  rmq_expect(&self->broker, RMQ_CHANNEL_CLOSE);
  rmq_expect_nothing(&self->broker);
  answer(self, "{\"response\":7}", "1"); /* comes too late */
  rmq_method(rmq_out(&self->broker), 1, RMQ_CHANNEL_CLOSE_OK, NULL);
  rmq_say(&self->broker);
  rmq_expect(&self->broker, RMQ_CLOSE);
  assert_int_equal(self->broker.peer.eofs, 1);
  assert_int_equal(self->replies + self->closes, 0);
}

/* A broker that does not answer the goodbye is not waited for long; one that is lost not at all. */
static void test_close_without_an_answer(void **state) {
  rmq_client_test *self = *state;
  open_client(self);
  self->client->ops->close(self->client);
  rmq_turns(&self->broker);
  net_test_advance(&self->broker.test, 5000);
  rmq_turns(&self->broker);
  rmq_expect(&self->broker, RMQ_CHANNEL_CLOSE);
  rmq_expect(&self->broker, RMQ_CLOSE);
  connect_client(self);
  rmq_consuming(&self->broker);
  self->client->ops->close(self->client);
  roost_conn_close(self->broker.peer.conn);
  rmq_turns(&self->broker);
  assert_int_equal(self->closes, 0);
  assert_int_equal(roost_loop_conn_count(self->broker.test.loop), 0);
}

static void test_freed_by_a_reply(void **state) {
  rmq_client_test *self = *state;
  open_client(self);
  self->free_on_reply = true;
  rmq_delivery(rmq_out(&self->broker), 1, "{\"response\":1}", NULL, "1");
  rmq_delivery(rmq_out(&self->broker), 2, "{\"response\":2}", NULL, "1");
  rmq_say(&self->broker);
  assert_int_equal(self->replies, 1);
  assert_null(self->client);
}

static void test_no_memory(void **state) {
  rmq_client_test *self = *state;
  rmq_broker *broker = &self->broker;
  broker->options.headers = "{\"a\":1}";
  for (size_t refuse = 0; refuse < 100; refuse++) {
    broker->test.probe.refuse_after = refuse;
    self->opened = 0;
    if (roost_rmq_client_new(&self->client, broker->test.loop, &self->config, &sink, self) != 0) {
      self->client = NULL;
      continue;
    }
    roost_client_set_dial(self->client, rmq_broker_dial, broker);
    if (self->client->ops->connect(self->client) == 0)
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
      rmq_delivery(&said, 1, "not \xff JSON", NULL, "1");
      (void)roost_buffer_append_slice(rmq_out(broker), roost_buffer_slice(&said));
      roost_buffer_deinit(&said);
      rmq_say(broker);
    }
    if (self->opened > 0)
      (void)publish(self, "\"x\"", "\"1\"", "{\"b\":1}", NULL);
    self->client->ops->free(self->client);
    self->client = NULL;
    rmq_turns(broker);
    broker->test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    if (broker->peer.conn != NULL)
      roost_conn_close(broker->peer.conn);
    rmq_turns(broker);
  }
  assert_int_equal(roost_loop_conn_count(broker->test.loop), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_queue),      TEST(test_exchanges),
      TEST(test_refusals),   TEST(test_request),
      TEST(test_unroutable), TEST(test_replies_of_others),
      TEST(test_options),    TEST(test_too_large),
      TEST(test_blocked),    TEST(test_loses_the_broker),
      TEST(test_close),      TEST(test_close_without_an_answer),
      TEST(test_no_memory),  TEST(test_freed_by_a_reply),
      TEST(test_confirms),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
