#include "transport/redis_test.h"

#include "transport/redis_server.h"
#include "wire/json.h"

/* The server against a Redis that the test plays, with a sink of the test's own. */

#define HELD 64

typedef struct held {
  roost_origin *origin; /* NULL: it is over */
  char id[16];
} held;

typedef struct server_test {
  net_test test;
  roost_server_config config;
  roost_redis_options options;
  roost_server *server; /* NULL: closed */
  fake_redis redis;
  roost_log *log;
  roost_buffer lines; /* of the log */
  roost_buffer seen;  /* "KIND ROUTE PATTERN DATA METADATA" of each message, a line */
  held held[HELD];    /* messages to routes that begin with h */
  size_t held_count;
  unsigned gone;
  unsigned drained;
} server_test;

/* --------------------------------------------------------------------- the sink -------------- */

static int reply(roost_origin *origin, const char *id, roost_slice value) {
  roost_buffer *out = origin->ops->reply_begin(origin, ROOST_REPLY_LAST);
  if (out == NULL)
    return ROOST_EGONE;
  if (roost_buffer_append_slice(out, value) != 0) {
    origin->ops->reply_undo(origin);
    return ROOST_ENOMEM;
  }
  return origin->ops->reply_end(origin, ROOST_REPLY_LAST, roost_slice_text(id));
}

static void note(server_test *self, const roost_message *message) {
  const roost_slice data = message->data;
  assert_int_equal(roost_buffer_printf(&self->seen, "%s %.*s %.*s %.*s%.*s\n",
                                       roost_message_is_event(message) ? "event" : "request",
                                       (int)message->route.len, message->route.ptr,
                                       (int)message->pattern.len, message->pattern.ptr,
                                       (int)data.len, data.len ? data.ptr : "",
                                       (int)message->metadata.len,
                                       message->metadata.len ? message->metadata.ptr : ""),
                   0);
}

static int on_message(void *ud, roost_origin *origin, const roost_message *message) {
  server_test *self = ud;
  char id[16] = "";
  if (message->data.ptr != NULL && roost_json_validate(message->data) != 0)
    return ROOST_EPROTO;
  note(self, message);
  assert_int_equal(roost_json_validate(message->pattern), 0);
  if (message->id.ptr != NULL)
    memcpy(id, message->id.ptr, message->id.len);
  if (message->route.ptr[0] == 'h') {
    held *at = &self->held[self->held_count++];
    at->origin = origin;
    memcpy(at->id, id, sizeof at->id);
    origin->in_flight++;
  } else if (message->route.ptr[0] == 'u' && id[0] != '\0') {
    origin->ops->reply_unhandled(origin, roost_slice_text(id));
  } else if (id[0] != '\0') {
    (void)reply(origin, id, message->data);
  }
  return 0;
}

static void finish(server_test *self, size_t number) {
  held *at = &self->held[number];
  roost_origin *origin = at->origin;
  at->origin = NULL;
  (void)reply(origin, at->id, ROOST_SLICE("\"later\""));
  origin->in_flight--;
  origin->ops->eased(origin);
}

static void on_gone(void *ud, roost_origin *origin, bool reachable) {
  server_test *self = ud;
  assert_false(reachable);
  self->gone++;
  for (size_t i = 0; i < self->held_count; i++)
    if (self->held[i].origin == origin) {
      self->held[i].origin = NULL;
      origin->in_flight--;
    }
}

static void on_writable(void *ud, roost_origin *origin) {
  (void)ud;
  (void)origin;
}

static const roost_sink_ops sink = {
    .on_message = on_message, .on_gone = on_gone, .on_writable = on_writable};

/* --------------------------------------------------------------------- start and stop -------- */

static void on_line(void *ud, roost_log_level level, roost_slice line) {
  server_test *self = ud;
  (void)level;
  assert_int_equal(roost_buffer_append_slice(&self->lines, line), 0);
}

static void on_drained(void *ud, roost_server *server) {
  server_test *self = ud;
  assert_ptr_equal(server, self->server);
  self->drained++;
}

static int subscribe(server_test *self, const char *const *routes) {
  roost_subscription list[8];
  size_t count = 0;
  for (; routes[count] != NULL; count++)
    list[count] = (roost_subscription){.route = roost_slice_text(routes[count]), .message = true};
  return self->server->ops->subscribe(self->server, list, count);
}

static void prepare(server_test *self) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  roost_buffer_init(&self->lines, roost_alloc_default());
  roost_buffer_init(&self->seen, roost_alloc_default());
  assert_int_equal(
      roost_log_new(&self->log, roost_alloc_default(), &self->test.clock, on_line, self), 0);
  roost_server_config_init(&self->config);
  self->config.retry_attempts = 0;
  self->config.retry_delay = 1000;
  self->options.broker.endpoint = (roost_endpoint){"127.0.0.1", 6379};
  self->config.options = &self->options;
}

static void open_server(server_test *self) {
  const char *why;
  assert_int_equal(roost_redis_server_open(&self->server, self->test.loop, &self->config, self->log,
                                           &sink, self, &why),
                   0);
  self->server->on_drained = on_drained;
  self->server->on_drained_ud = self;
  redis_play(&self->redis, &self->test, &((roost_redis_server *)self->server)->pair);
}

/* Connected, with these routes, whose subscriptions have been read. */
static void start(server_test *self, const char *const *routes) {
  open_server(self);
  assert_int_equal(subscribe(self, routes), 0);
  assert_int_equal(self->server->ops->start(self->server), 0);
  net_test_turns(&self->test, 4);
  redis_say(&self->redis, &self->redis.pub, "+PONG\r\n");
  redis_say(&self->redis, &self->redis.sub, "+PONG\r\n");
  (void)redis_sent(&self->redis, &self->redis.pub);
  assert_true(self->server->listening);
}

static void stop(server_test *self) {
  self->test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  self->server->ops->close(self->server);
  net_test_turns(&self->test, 4);
  redis_end(&self->redis);
  net_test_advance(&self->test, 3000); /* those that linger */
  net_test_turns(&self->test, 4);
  roost_log_free(self->log);
  roost_buffer_deinit(&self->lines);
  roost_buffer_deinit(&self->seen);
  net_test_deinit(&self->test);
}

static const char *text_of(roost_buffer *buffer) {
  assert_int_equal(roost_buffer_append_byte(buffer, '\0'), 0);
  buffer->len--;
  return buffer->ptr;
}

static void expect_seen(server_test *self, const char *text) {
  assert_string_equal(text_of(&self->seen), text);
  roost_buffer_clear(&self->seen);
}

static const char *log_of(server_test *self) {
  roost_log_drain(self->log);
  return text_of(&self->lines);
}

#define ROUTES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void hear(server_test *self, const char *channel, const char *body) {
  redis_message(&self->redis, &self->redis.sub, NULL, channel, body);
}

/* --------------------------------------------------------------------- messages -------------- */

static void a_request_is_answered_on_its_reply_channel(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  start(&self, ROUTES("echo", "unhandled"));
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub),
                      "PING\nSUBSCRIBE echo\nSUBSCRIBE unhandled\n");
  hear(&self, "echo", "{\"pattern\":\"other\",\"data\":[1],\"id\":\"a\",\"metadata\":{\"m\":1}}");
  expect_seen(&self, "request echo \"echo\" [1]{\"m\":1}\n");
  assert_string_equal(redis_sent(&self.redis, &self.redis.pub),
                      "PUBLISH echo.reply {\"response\":[1],\"isDisposed\":true,\"id\":\"a\"}\n");
  hear(&self, "unhandled", "{\"data\":1,\"id\":\"b\"}");
  expect_seen(&self, "request unhandled \"unhandled\" 1\n");
  assert_string_equal(
      redis_sent(&self.redis, &self.redis.pub),
      "PUBLISH unhandled.reply {\"id\":\"b\",\"status\":\"error\",\"err\":\"There is "
      "no matching message handler defined in the remote service.\"}\n");
  hear(&self, "nobody", "{\"data\":1,\"id\":\"b\"}");
  expect_seen(&self, "");
  stop(&self);
}

static void names_of_channels_as_patterns(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  start(&self, ROUTES("{\"cmd\":\"sum\"}", "7", "{no", "-", "a\"b", "\377"));
  static const char *const channels[] = {"{\"cmd\":\"sum\"}", "7", "{no", "-", "a\"b", "\377"};
  for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
    hear(&self, channels[i], "{\"data\":1}");
  expect_seen(&self, "event {\"cmd\":\"sum\"} {\"cmd\":\"sum\"} 1\nevent 7 7 1\n"
                     "event {no \"{no\" 1\nevent - \"-\" 1\nevent a\"b \"a\\\"b\" 1\n"
                     "event \377 \"\xef\xbf\xbd\" 1\n");
  stop(&self);
}

static void what_is_no_packet_is_an_events_data(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  start(&self, ROUTES("e"));
  static const char *const bodies[] = {"text \"", "", "[1]", "5", "{\"id\":\"x\"}", "\377a", "{"};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
    hear(&self, "e", bodies[i]);
  expect_seen(&self, "event e \"e\" \"text \\\"\"\nevent e \"e\" \"\"\nevent e \"e\" [1]\n"
                     "event e \"e\" 5\nevent e \"e\" {\"id\":\"x\"}\n"
                     "event e \"e\" \"\xef\xbf\xbd"
                     "a\"\nevent e \"e\" \"{\"\n");
  hear(&self, "e", "{\"pattern\":\"e\",\"data\":{,\"id\":\"a\"}");
  (void)redis_sent(&self.redis, &self.redis.pub);
  hear(&self, "e", "{\"pattern\":\"e\",\"data\":{x},\"id\":\"a\"}");
  assert_non_null(strstr(log_of(&self), "a message is not JSON"));
  assert_string_equal(
      redis_sent(&self.redis, &self.redis.pub),
      "PUBLISH e.reply {\"err\":{\"status\":\"error\",\"message\":\"Internal server "
      "error\"},\"isDisposed\":true,\"id\":\"a\"}\n");
  stop(&self);
}

/* --------------------------------------------------------------------- wildcards ------------- */

static void patterns_are_subscribed_where_the_entry_says_wildcards(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  start(&self, ROUTES("a.*", "b"));
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub),
                      "PING\nSUBSCRIBE a.*\nSUBSCRIBE b\n");
  stop(&self);
  prepare(&self);
  self.options.wildcards = true;
  start(&self, ROUTES("a.*", "b", "a.?", "a.x"));
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub),
                      "PING\nPSUBSCRIBE a.*\nSUBSCRIBE b\nPSUBSCRIBE a.?\nSUBSCRIBE a.x\n");
  static const char request[] = "{\"data\":1,\"id\":\"i\"}";
  redis_message(&self.redis, &self.redis.sub, "a.*", "a.b.c", request);
  expect_seen(&self, "request a.* \"a.b.c\" 1\n");
  assert_non_null(strstr(redis_sent(&self.redis, &self.redis.pub), "PUBLISH a.b.c.reply {"));
  /* Each that matches is told of it: only the first takes it. */
  redis_message(&self.redis, &self.redis.sub, "a.*", "a.b", request);
  redis_message(&self.redis, &self.redis.sub, "a.?", "a.b", request);
  expect_seen(&self, "request a.* \"a.b\" 1\n");
  hear(&self, "a.x", request);
  redis_message(&self.redis, &self.redis.sub, "a.*", "a.x", request);
  redis_message(&self.redis, &self.redis.sub, "a.?", "a.x", request);
  expect_seen(&self, "request a.x \"a.x\" 1\n");
  /* An event is everybody's. */
  hear(&self, "a.x", "{\"data\":2}");
  redis_message(&self.redis, &self.redis.sub, "a.*", "a.x", "{\"data\":2}");
  expect_seen(&self, "event a.x \"a.x\" 2\nevent a.* \"a.x\" 2\n");
  stop(&self);
}

static void its_own_replies_are_nothing(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  self.options.wildcards = true;
  start(&self, ROUTES("a.*"));
  static const char *const bodies[] = {"{\"response\":1,\"isDisposed\":true,\"id\":\"i\"}",
                                       "{\"isDisposed\":true,\"id\":\"i\"}",
                                       "{\"err\":\"e\",\"isDisposed\":true,\"id\":\"i\"}",
                                       "{\"id\":\"i\",\"status\":\"error\",\"err\":\"none\"}"};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
    redis_message(&self.redis, &self.redis.sub, "a.*", "a.b.reply", bodies[i]);
  expect_seen(&self, "");
  redis_message(&self.redis, &self.redis.sub, "a.*", "a.b.reply", "{\"x\":1}");
  redis_message(&self.redis, &self.redis.sub, "a.*", "a.b.reply", "{\"data\":1}");
  redis_message(&self.redis, &self.redis.sub, "a.*", "a.b", bodies[0]);
  expect_seen(&self, "event a.* \"a.b.reply\" {\"x\":1}\nevent a.* \"a.b.reply\" 1\n"
                     "event a.* \"a.b\" {\"response\":1,\"isDisposed\":true,\"id\":\"i\"}\n");
  stop(&self);
}

/* --------------------------------------------------------------------- subscriptions --------- */

static void a_reload_changes_what_is_subscribed(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  start(&self, ROUTES("a", "b"));
  (void)redis_sent(&self.redis, &self.redis.sub);
  assert_int_equal(subscribe(&self, ROUTES("b", "c")), 0);
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub), "UNSUBSCRIBE a\nSUBSCRIBE c\n");
  hear(&self, "a", "{\"data\":1}"); /* was on its way */
  hear(&self, "c", "{\"data\":2}");
  expect_seen(&self, "event c \"c\" 2\n");
  stop(&self);
}

static void a_refused_subscription_is_logged(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  start(&self, ROUTES("a", "b"));
  redis_say(&self.redis, &self.redis.sub, "-NOPERM not this one\r\n");
  hear(&self, "b", "{\"data\":2}");
  expect_seen(&self, "event b \"b\" 2\n");
  redis_say(&self.redis, &self.redis.pub, "-NOPERM nor that\r\n");
  const char *log = log_of(&self);
  assert_non_null(strstr(log, "msg=\"subscription refused\""));
  assert_non_null(strstr(log, "err=\"NOPERM not this one\""));
  assert_non_null(strstr(log, "msg=\"a reply was refused\""));
  assert_true(self.server->listening);
  stop(&self);
}

/* --------------------------------------------------------------------- the connection -------- */

static void it_comes_back(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  start(&self, ROUTES("a", "hold"));
  hear(&self, "hold", "{\"data\":1,\"id\":\"i\"}");
  self.redis.refuses = true;
  roost_conn_close(self.redis.sub.conn);
  net_test_turns(&self.test, 6);
  assert_false(self.server->listening);
  assert_int_equal(self.server->stats.connections, 0);
  assert_int_equal(self.gone, 1);
  unsigned dials = self.redis.dials;
  for (int i = 0; i < 10; i++)
    net_test_advance(&self.test, 1000);
  assert_in_range(self.redis.dials - dials, 2, 5); /* later and later */
  self.redis.refuses = false;
  dials = self.redis.dials;
  for (int i = 0; i < 30 && self.redis.dials == dials; i++)
    net_test_advance(&self.test, 1000);
  redis_greet(&self.redis);
  assert_true(self.server->listening);
  assert_int_equal(self.server->stats.connections, 1);
  hear(&self, "a", "{\"data\":1}");
  expect_seen(&self, "request hold \"hold\" 1\nevent a \"a\" 1\n");
  const char *log = log_of(&self);
  assert_non_null(strstr(log, "msg=\"disconnected\""));
  assert_non_null(strstr(log, "msg=\"cannot connect\""));
  stop(&self);
}

static void it_subscribes_again_where_it_comes_back(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  start(&self, ROUTES("a", "b"));
  roost_conn_close(self.redis.pub.conn);
  net_test_turns(&self.test, 6);
  net_test_advance(&self.test, 1000);
  net_test_turns(&self.test, 4);
  redis_say(&self.redis, &self.redis.pub, "+PONG\r\n");
  redis_say(&self.redis, &self.redis.sub, "+PONG\r\n");
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub), "PING\nSUBSCRIBE a\nSUBSCRIBE b\n");
  stop(&self);
}

static void it_gives_up_after_retry_attempts(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  self.config.retry_attempts = 3;
  open_server(&self);
  self.redis.refuses = true;
  assert_int_equal(self.server->ops->start(self.server), 0);
  for (int i = 0; i < 100; i++)
    net_test_advance(&self.test, 1000);
  assert_int_equal(self.redis.dials, 4);
  assert_non_null(strstr(log_of(&self), "gave up connecting"));
  stop(&self);
}

static void no_more_are_taken_than_may_run(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  self.config.max_in_flight = 2;
  start(&self, ROUTES("hold"));
  for (int i = 0; i < 5; i++)
    hear(&self, "hold", "{\"data\":1,\"id\":\"i\"}");
  assert_int_equal(self.held_count, 2);
  net_test_advance(&self.test, ROOST_REDIS_PING_MS); /* that it says nothing is our doing */
  redis_say(&self.redis, &self.redis.pub, "+PONG\r\n");
  net_test_advance(&self.test, ROOST_REDIS_PING_MS);
  redis_say(&self.redis, &self.redis.pub, "+PONG\r\n");
  assert_true(self.server->listening);
  finish(&self, 0);
  net_test_turns(&self.test, 4);
  assert_int_equal(self.held_count, 3);
  for (size_t i = 1; i < 5; i++) {
    finish(&self, i);
    net_test_turns(&self.test, 4);
  }
  assert_int_equal(self.held_count, 5);
  stop(&self);
}

/* --------------------------------------------------------------------- the end --------------- */

static void a_drain_finishes_what_was_published(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  start(&self, ROUTES("hold", "a"));
  (void)redis_sent(&self.redis, &self.redis.sub);
  hear(&self, "hold", "{\"data\":1,\"id\":\"i\"}");
  self.server->ops->drain(self.server);
  assert_string_equal(redis_sent(&self.redis, &self.redis.sub),
                      "UNSUBSCRIBE hold\nUNSUBSCRIBE a\n");
  hear(&self, "a", "{\"data\":2,\"id\":\"j\"}"); /* was on its way */
  redis_acknowledge(&self.redis, &self.redis.sub, "unsubscribe", "hold");
  finish(&self, 0);
  net_test_turns(&self.test, 4);
  assert_int_equal(self.drained, 0);
  redis_acknowledge(&self.redis, &self.redis.sub, "unsubscribe", "a");
  net_test_turns(&self.test, 4);
  assert_int_equal(self.drained, 1);
  assert_int_equal(self.redis.pub.eofs, 1);
  const char *sent = redis_sent(&self.redis, &self.redis.pub);
  assert_non_null(strstr(sent, "PUBLISH hold.reply {\"response\":\"later\""));
  assert_non_null(strstr(sent, "PUBLISH a.reply {\"response\":2"));
  stop(&self);
}

static void a_drain_without_redis_is_over_at_once(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  open_server(&self);
  self.redis.refuses = true;
  assert_int_equal(self.server->ops->start(self.server), 0);
  net_test_turns(&self.test, 4);
  self.server->ops->drain(self.server);
  net_test_turns(&self.test, 4);
  assert_int_equal(self.drained, 1);
  for (int i = 0; i < 10; i++)
    net_test_advance(&self.test, 1000);
  assert_int_equal(self.redis.dials, 1);
  stop(&self);
}

static void closing_frees_it_while_messages_run(void **state) {
  server_test self;
  (void)state;
  prepare(&self);
  start(&self, ROUTES("hold"));
  hear(&self, "hold", "{\"data\":1,\"id\":\"i\"}");
  stop(&self);
  assert_int_equal(self.gone, 1);
}

/* From the start to a reply, with each allocation refused in turn. */
static void each_allocation_may_fail(void **state) {
  (void)state;
  bool was_whole = false;
  for (size_t after = 0; !was_whole; after++) {
    server_test self;
    prepare(&self);
    self.options.wildcards = true;
    open_server(&self);
    self.test.probe.refuse_after = after;
    const int subscribed = subscribe(&self, ROUTES("a.*", "\377"));
    if (self.server->ops->start(self.server) == 0 && subscribed == 0) {
      redis_greet(&self.redis);
      redis_message(&self.redis, &self.redis.sub, NULL, "\377", "plain \377");
      redis_message(&self.redis, &self.redis.sub, "a.*", "a.b", "{\"data\":\"\377\",\"id\":\"i\"}");
      was_whole = strstr(redis_sent(&self.redis, &self.redis.pub), "PUBLISH a.b.reply") != NULL &&
                  self.test.probe.refuse_after > 0;
    }
    stop(&self);
    assert_true(after < 500);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_is_answered_on_its_reply_channel),
      cmocka_unit_test(names_of_channels_as_patterns),
      cmocka_unit_test(what_is_no_packet_is_an_events_data),
      cmocka_unit_test(patterns_are_subscribed_where_the_entry_says_wildcards),
      cmocka_unit_test(its_own_replies_are_nothing),
      cmocka_unit_test(a_reload_changes_what_is_subscribed),
      cmocka_unit_test(a_refused_subscription_is_logged),
      cmocka_unit_test(it_comes_back),
      cmocka_unit_test(it_subscribes_again_where_it_comes_back),
      cmocka_unit_test(it_gives_up_after_retry_attempts),
      cmocka_unit_test(no_more_are_taken_than_may_run),
      cmocka_unit_test(a_drain_finishes_what_was_published),
      cmocka_unit_test(a_drain_without_redis_is_over_at_once),
      cmocka_unit_test(closing_frees_it_while_messages_run),
      cmocka_unit_test(each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
