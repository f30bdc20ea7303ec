#include "transport/redis_test.h"

typedef enum action { NOTHING, CLOSE, FREE } action;

typedef struct client_test {
  net_test test;
  roost_client_config config;
  roost_redis_options options;
  roost_client *client; /* NULL: freed */
  fake_redis redis;
  unsigned opened;
  unsigned closed;
  unsigned writables;
  int status;
  char why[200];
  roost_buffer replies; /* "ID VALUE" of each, a line */
  action on_open;       /* to be done there */
  action on_reply;
  action on_closed;
  uint64_t token; /* of the last request */
} client_test;

static void act(client_test *self, action *what) {
  const action now = *what;
  *what = NOTHING;
  if (now == CLOSE)
    self->client->ops->close(self->client);
  if (now == FREE) {
    self->client->ops->free(self->client);
    self->client = NULL;
  }
}

static void on_open(void *ud) {
  client_test *self = ud;
  self->opened++;
  act(self, &self->on_open);
}

static void on_reply(void *ud, const roost_reply *reply) {
  client_test *self = ud;
  const roost_slice value = reply->err.ptr != NULL ? reply->err : reply->response;
  assert_int_equal(roost_buffer_printf(&self->replies, "%.*s %.*s\n", (int)reply->id.len,
                                       reply->id.ptr, (int)value.len, value.len ? value.ptr : ""),
                   0);
  act(self, &self->on_reply);
}

static void on_closed(void *ud, int status, const char *why) {
  client_test *self = ud;
  self->closed++;
  self->status = status;
  snprintf(self->why, sizeof self->why, "%s", why);
  act(self, &self->on_closed);
}

static void on_writable(void *ud) {
  ((client_test *)ud)->writables++;
}

static const roost_client_sink sink = {on_open, on_reply, on_closed, on_writable};

static void prepare(client_test *self) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  roost_client_config_init(&self->config);
  self->options.broker.endpoint = (roost_endpoint){"127.0.0.1", 6379};
  self->config.options = &self->options;
  roost_buffer_init(&self->replies, roost_alloc_default());
}

static void dial(client_test *self) {
  assert_int_equal(
      roost_redis_client_new(&self->client, self->test.loop, &self->config, &sink, self), 0);
  redis_play(&self->redis, &self->test, roost_redis_client_pair(self->client));
  assert_int_equal(self->client->ops->connect(self->client), 0);
}

static void start(client_test *self) {
  prepare(self);
  dial(self);
  redis_greet(&self->redis);
  assert_int_equal(self->opened, 1);
}

static void stop(client_test *self) {
  self->test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  if (self->client != NULL)
    self->client->ops->free(self->client);
  redis_end(&self->redis);
  net_test_advance(&self->test, 3000); /* those that linger */
  net_test_turns(&self->test, 4);
  roost_buffer_deinit(&self->replies);
  net_test_deinit(&self->test);
}

/* Sends a request, or an event where id is NULL. */
static int ask(client_test *self, const char *pattern, const char *data, const char *id) {
  const roost_client_ops *ops = self->client->ops;
  roost_message head = {.pattern = roost_slice_text(pattern)};
  roost_buffer *out = ops->begin(self->client, &head);
  if (out == NULL)
    return ROOST_ENOMEM;
  if (roost_buffer_append_slice(out, roost_slice_text(data)) != 0) {
    ops->undo(self->client);
    return ROOST_ENOMEM;
  }
  if (id != NULL)
    head.id = roost_slice_text(id);
  const int status = ops->end(self->client, &head);
  self->token = self->client->token;
  return status;
}

static void expect_replies(client_test *self, const char *text) {
  assert_int_equal(roost_buffer_append_byte(&self->replies, '\0'), 0);
  assert_string_equal(self->replies.ptr, text);
  roost_buffer_clear(&self->replies);
}

/* --------------------------------------------------------------------- connecting ------------ */

static void both_connections_are_greeted(void **state) {
  client_test self;
  (void)state;
  prepare(&self);
  self.options.username = "ann";
  self.options.password = "secret";
  self.options.db = 3;
  dial(&self);
  assert_string_equal(redis_sent(&self.redis, &self.redis.pub),
                      "AUTH ann secret\nSELECT 3\nPING\n");
  redis_say(&self.redis, &self.redis.pub, "+OK\r\n+OK\r\n");
  assert_int_equal(self.redis.dials, 1);
  redis_say(&self.redis, &self.redis.pub, "+PONG\r\n");
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub),
                      "AUTH ann secret\nSELECT 3\nPING\n");
  assert_int_equal(self.opened, 0);
  redis_say(&self.redis, &self.redis.sub, "+OK\r\n+OK\r\n+PONG\r\n");
  assert_int_equal(self.opened, 1);
  stop(&self);
}

static void a_password_alone_is_the_default_users(void **state) {
  client_test self;
  (void)state;
  prepare(&self);
  self.options.password = "secret";
  dial(&self);
  assert_string_equal(redis_sent(&self.redis, &self.redis.pub), "AUTH secret\nPING\n");
  redis_say(&self.redis, &self.redis.pub, "-WRONGPASS invalid\r\n");
  assert_int_equal(self.closed, 1);
  assert_int_equal(self.status, ROOST_ECONNECT);
  assert_string_equal(self.why, "EAUTH: WRONGPASS invalid");
  stop(&self);
}

static void a_refusal_is_told(void **state) {
  client_test self;
  (void)state;
  prepare(&self);
  dial(&self);
  net_test_turns(&self.test, 2);
  self.client->ops->close(self.client);
  self.redis.refuses = true;
  assert_int_equal(self.client->ops->connect(self.client), 0);
  net_test_turns(&self.test, 4);
  assert_int_equal(self.closed, 1);
  assert_string_equal(self.why, "ECONNREFUSED");
  self.redis.refuses = false;
  assert_int_equal(self.client->ops->connect(self.client), 0);
  redis_greet(&self.redis);
  assert_int_equal(self.opened, 1);
  stop(&self);
}

static void one_that_says_nothing_is_given_up(void **state) {
  client_test self;
  (void)state;
  prepare(&self);
  dial(&self);
  net_test_turns(&self.test, 2);
  for (int i = 0; i < 3 && self.closed == 0; i++)
    net_test_advance(&self.test, ROOST_REDIS_PING_MS);
  assert_int_equal(self.closed, 1);
  assert_string_equal(self.why, "ETIMEDOUT");
  stop(&self);
}

static void signs_of_life(void **state) {
  client_test self;
  (void)state;
  start(&self);
  for (int i = 0; i < 5; i++) {
    net_test_advance(&self.test, ROOST_REDIS_PING_MS);
    assert_string_equal(redis_sent(&self.redis, &self.redis.pub), "PING\n");
    assert_string_equal(redis_sent(&self.redis, &self.redis.sub), "PING\n");
    redis_say(&self.redis, &self.redis.pub, "+PONG\r\n");
    redis_say(&self.redis, &self.redis.sub, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  }
  assert_int_equal(self.closed, 0);
  net_test_advance(&self.test, ROOST_REDIS_PING_MS);
  redis_say(&self.redis, &self.redis.pub, "+PONG\r\n");
  net_test_advance(&self.test, ROOST_REDIS_PING_MS); /* sub was silent */
  assert_int_equal(self.closed, 1);
  assert_int_equal(self.status, ROOST_EGONE);
  stop(&self);
}

static void one_connection_takes_the_other_along(void **state) {
  (void)state;
  for (int which = 0; which < 2; which++) {
    client_test self;
    start(&self);
    roost_conn_close(which == 0 ? self.redis.pub.conn : self.redis.sub.conn);
    net_test_turns(&self.test, 6);
    assert_int_equal(self.closed, 1);
    assert_int_equal(self.status, ROOST_EGONE);
    assert_int_equal(self.client->ops->connect(self.client), 0);
    redis_greet(&self.redis);
    assert_int_equal(self.opened, 2);
    stop(&self);
  }
}

/* --------------------------------------------------------------------- requests -------------- */

static void a_request_waits_for_its_reply_channel(void **state) {
  client_test self;
  (void)state;
  start(&self);
  assert_int_equal(ask(&self, "\"sum\"", "[1]", "\"a\""), 0);
  assert_int_equal(ask(&self, "\"sum\"", "[2]", "\"b\""), 0);
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub), "SUBSCRIBE sum.reply\n");
  assert_string_equal(redis_sent(&self.redis, &self.redis.pub), "");
  redis_acknowledge(&self.redis, &self.redis.sub, "subscribe", "sum.reply");
  assert_string_equal(redis_sent(&self.redis, &self.redis.pub),
                      "PUBLISH sum {\"pattern\":\"sum\",\"data\":[1],\"id\":\"a\"}\n"
                      "PUBLISH sum {\"pattern\":\"sum\",\"data\":[2],\"id\":\"b\"}\n");
  assert_int_equal(ask(&self, "\"sum\"", "[3]", "\"c\""), 0);
  assert_string_equal(redis_sent(&self.redis, &self.redis.pub),
                      "PUBLISH sum {\"pattern\":\"sum\",\"data\":[3],\"id\":\"c\"}\n");
  redis_message(&self.redis, &self.redis.sub, NULL, "sum.reply",
                "{\"response\":2,\"isDisposed\":true,\"id\":\"b\"}");
  redis_message(&self.redis, &self.redis.sub, NULL, "sum.reply", "{\"response\":1,\"id\":\"a\"}");
  redis_message(&self.redis, &self.redis.sub, NULL, "sum.reply",
                "{\"err\":\"no\",\"isDisposed\":true,\"id\":\"c\"}");
  expect_replies(&self, "\"b\" 2\n\"a\" 1\n\"c\" \"no\"\n");
  stop(&self);
}

static void what_is_no_reply_is_ignored(void **state) {
  client_test self;
  (void)state;
  start(&self);
  assert_int_equal(ask(&self, "7", "1", "\"a\""), 0);
  redis_acknowledge(&self.redis, &self.redis.sub, "subscribe", "7.reply");
  static const char *const bodies[] = {"text",
                                       "",
                                       "5",
                                       "[]",
                                       "{\"x\":1,\"id\":\"a\"}",
                                       "{\"response\":1}",
                                       "{\"response\":\377,\"id\":\"a\"}"};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
    redis_message(&self.redis, &self.redis.sub, NULL, "7.reply", bodies[i]);
  expect_replies(&self, "");
  redis_message(&self.redis, &self.redis.sub, NULL, "7.reply",
                "{\"response\":\"\377\",\"id\":\"a\"}");
  expect_replies(&self, "\"a\" \"\xef\xbf\xbd\"\n");
  assert_int_equal(self.closed, 0);
  stop(&self);
}

static void events_and_object_patterns(void **state) {
  client_test self;
  (void)state;
  start(&self);
  assert_int_equal(ask(&self, "{\"b\":1,\"a\":\"x\"}", "null", NULL), 0);
  assert_string_equal(
      redis_sent(&self.redis, &self.redis.pub),
      "PUBLISH {\"a\":\"x\",\"b\":1} {\"pattern\":{\"b\":1,\"a\":\"x\"},\"data\":null}\n");
  assert_int_equal(
      ask(&self, "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}", "1", NULL),
      ROOST_EUNSUPPORTED);
  assert_non_null(self.client->refusal);
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub), "");
  stop(&self);
}

static void a_channel_nobody_waits_for_is_given_up(void **state) {
  client_test self;
  (void)state;
  start(&self);
  assert_int_equal(ask(&self, "\"p\"", "1", "\"a\""), 0);
  const uint64_t first = self.token;
  assert_int_equal(ask(&self, "\"p\"", "1", "\"b\""), 0);
  const uint64_t second = self.token;
  redis_acknowledge(&self.redis, &self.redis.sub, "subscribe", "p.reply");
  self.client->ops->forget(self.client, first);
  net_test_advance(&self.test, 8000);
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub), "SUBSCRIBE p.reply\n");
  self.client->ops->forget(self.client, second);
  net_test_advance(&self.test, 1500);
  assert_int_equal(ask(&self, "\"p\"", "1", "\"c\""), 0); /* used again */
  self.client->ops->forget(self.client, self.token);
  for (int i = 0; i < 4; i++)
    net_test_advance(&self.test, 1000);
  redis_say(&self.redis, &self.redis.pub, "+PONG\r\n");
  assert_null(strstr(redis_sent(&self.redis, &self.redis.sub), "UNSUBSCRIBE"));
  for (int i = 0; i < 3; i++)
    net_test_advance(&self.test, 1000);
  assert_non_null(strstr(redis_sent(&self.redis, &self.redis.sub), "UNSUBSCRIBE p.reply\n"));
  self.client->ops->forget(self.client, first); /* of a channel that is gone */
  assert_int_equal(ask(&self, "\"p\"", "1", "\"d\""), 0);
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub), "SUBSCRIBE p.reply\n");
  stop(&self);
}

/* What was held for somebody who has left is not sent. */
static void a_request_that_is_over_before_it_was_sent(void **state) {
  client_test self;
  (void)state;
  start(&self);
  assert_int_equal(ask(&self, "\"p\"", "1", "\"a\""), 0);
  self.client->ops->forget(self.client, self.token);
  redis_acknowledge(&self.redis, &self.redis.sub, "subscribe", "p.reply");
  assert_string_equal(redis_sent(&self.redis, &self.redis.pub), "");
  assert_int_equal(ask(&self, "\"p\"", "2", "\"b\""), 0);
  assert_string_equal(redis_sent(&self.redis, &self.redis.pub),
                      "PUBLISH p {\"pattern\":\"p\",\"data\":2,\"id\":\"b\"}\n");
  stop(&self);
}

static void no_more_is_held_than_may_be_queued(void **state) {
  client_test self;
  char large[300];
  (void)state;
  prepare(&self);
  self.config.max_send_buffer_size = 1000;
  dial(&self);
  redis_greet(&self.redis);
  memset(large, '1', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  int status = 0;
  int count = 0;
  for (; status == 0; count++)
    status = ask(&self, "\"p\"", large, "\"a\"");
  assert_int_equal(status, ROOST_ENOMEM);
  assert_int_equal(count, 4);
  assert_true(self.client->ops->crowded(self.client));
  assert_int_equal(self.writables, 0);
  redis_acknowledge(&self.redis, &self.redis.sub, "subscribe", "p.reply");
  net_test_turns(&self.test, 4);
  assert_false(self.client->ops->crowded(self.client));
  assert_true(self.writables > 0);
  stop(&self);
}

static void an_error_of_redis_ends_the_connection(void **state) {
  (void)state;
  for (int which = 0; which < 2; which++) {
    client_test self;
    start(&self);
    redis_say(&self.redis, which == 0 ? &self.redis.pub : &self.redis.sub, "-NOPERM no\r\n");
    assert_int_equal(self.closed, 1);
    assert_int_equal(self.status, ROOST_EGONE);
    assert_string_equal(self.why, "NOPERM no");
    stop(&self);
    start(&self);
    redis_say(&self.redis, which == 0 ? &self.redis.pub : &self.redis.sub, "nonsense\r\n");
    assert_int_equal(self.closed, 1);
    assert_int_equal(self.status, ROOST_EPROTO);
    stop(&self);
  }
}

/* --------------------------------------------------------------------- leaving --------------- */

static void it_may_be_closed_and_freed_at_any_time(void **state) {
  (void)state;
  for (action what = CLOSE; what <= FREE; what++) {
    client_test self;
    prepare(&self);
    self.on_open = what;
    dial(&self);
    redis_greet(&self.redis);
    assert_int_equal(self.opened, 1);
    stop(&self);

    start(&self);
    self.on_reply = what;
    assert_int_equal(ask(&self, "\"p\"", "1", "\"a\""), 0);
    redis_acknowledge(&self.redis, &self.redis.sub, "subscribe", "p.reply");
    redis_message(&self.redis, &self.redis.sub, NULL, "p.reply", "{\"response\":1,\"id\":\"a\"}");
    expect_replies(&self, "\"a\" 1\n");
    assert_int_equal(self.closed, 0);
    stop(&self);

    start(&self);
    self.on_closed = what;
    redis_say(&self.redis, &self.redis.sub, "-ERR\r\n");
    assert_int_equal(self.closed, 1);
    stop(&self);
  }
}

/* The whole of a request with each allocation refused in turn. */
static void each_allocation_may_fail(void **state) {
  (void)state;
  bool was_whole = false;
  for (size_t after = 0; !was_whole; after++) {
    client_test self;
    prepare(&self);
    assert_int_equal(
        roost_redis_client_new(&self.client, self.test.loop, &self.config, &sink, &self), 0);
    redis_play(&self.redis, &self.test, roost_redis_client_pair(self.client));
    self.test.probe.refuse_after = after;
    if (self.client->ops->connect(self.client) == 0) {
      redis_greet(&self.redis);
      if (self.opened == 1 && self.closed == 0 && ask(&self, "\"p\"", "\"\377\"", "\"a\"") == 0) {
        redis_acknowledge(&self.redis, &self.redis.sub, "subscribe", "p.reply");
        redis_message(&self.redis, &self.redis.sub, NULL, "p.reply",
                      "{\"response\":\"\377\",\"id\":\"a\"}");
        was_whole = self.replies.len > 0 && self.test.probe.refuse_after > 0;
      }
    }
    stop(&self);
    assert_true(after < 500);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(both_connections_are_greeted),
      cmocka_unit_test(a_password_alone_is_the_default_users),
      cmocka_unit_test(a_refusal_is_told),
      cmocka_unit_test(one_that_says_nothing_is_given_up),
      cmocka_unit_test(signs_of_life),
      cmocka_unit_test(one_connection_takes_the_other_along),
      cmocka_unit_test(a_request_waits_for_its_reply_channel),
      cmocka_unit_test(what_is_no_reply_is_ignored),
      cmocka_unit_test(events_and_object_patterns),
      cmocka_unit_test(a_channel_nobody_waits_for_is_given_up),
      cmocka_unit_test(a_request_that_is_over_before_it_was_sent),
      cmocka_unit_test(no_more_is_held_than_may_be_queued),
      cmocka_unit_test(an_error_of_redis_ends_the_connection),
      cmocka_unit_test(it_may_be_closed_and_freed_at_any_time),
      cmocka_unit_test(each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
