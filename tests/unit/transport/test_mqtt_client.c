#include "mqtt_broker.h"

#include "transport/transport.h"

/* The client of an MQTT broker that the test plays. */

typedef struct client_test {
  mqtt_broker broker; /* first */
  roost_client_config config;
  roost_client *client; /* NULL: freed */
  unsigned opened;
  unsigned closed;
  unsigned writables;
  int status;
  char why[200];
  roost_buffer replies; /* "ID VALUE" of each, a line */
  bool frees;           /* when it is told of a reply or of the end */
} client_test;

static void free_client(client_test *self) {
  if (self->client != NULL)
    self->client->ops->free(self->client);
  self->client = NULL;
}

static void on_open(void *ud) {
  ((client_test *)ud)->opened++;
}

static void on_reply(void *ud, const roost_reply *reply) {
  client_test *self = ud;
  const roost_slice value = reply->err.ptr != NULL ? reply->err : reply->response;
  assert_int_equal(roost_buffer_printf(&self->replies, "%.*s %.*s%s\n", (int)reply->id.len,
                                       reply->id.ptr, (int)value.len,
                                       value.len > 0 ? value.ptr : "", reply->last ? "." : ""),
                   0);
  if (self->frees)
    free_client(self);
}

static void on_closed(void *ud, int status, const char *why) {
  client_test *self = ud;
  self->closed++;
  self->status = status;
  snprintf(self->why, sizeof self->why, "%s", why);
  if (self->frees)
    free_client(self);
}

static void on_writable(void *ud) {
  ((client_test *)ud)->writables++;
}

static const roost_client_sink sink = {on_open, on_reply, on_closed, on_writable};

static void prepare(client_test *self) {
  memset(self, 0, sizeof *self);
  mqtt_broker_init(&self->broker);
  roost_client_config_init(&self->config);
  self->config.max_buffer_size = 0x100000;
  self->config.options = &self->broker.options;
  roost_buffer_init(&self->replies, roost_alloc_default());
}

static int make(client_test *self) {
  const int status =
      roost_mqtt_client_new(&self->client, self->broker.test.loop, &self->config, &sink, self);
  if (status == 0)
    roost_client_set_dial(self->client, mqtt_broker_dial, &self->broker);
  return status;
}

static void dial(client_test *self) {
  assert_int_equal(self->client->ops->connect(self->client), 0);
}

/* Connected, with what the broker says to that. */
static void start(client_test *self, const char *connack) {
  assert_int_equal(make(self), 0);
  dial(self);
  mqtt_expect(&self->broker, self->broker.options.clean ? CONNECT_5 : KEPT_5);
  assert_int_equal(self->opened, 0);
  mqtt_send(&self->broker, connack);
  assert_int_equal(self->opened, 1);
}

static void begin(client_test *self) {
  prepare(self);
  start(self, CONNACK);
}

static void stop(client_test *self) {
  free_client(self);
  mqtt_broker_deinit(&self->broker);
  roost_buffer_deinit(&self->replies);
}

static int try_send(client_test *self, const char *topic, const char *options, const char *id) {
  char pattern[64];
  snprintf(pattern, sizeof pattern, "\"%s\"", topic);
  const roost_message head = {.pattern = roost_slice_text(pattern),
                              .id = roost_slice_text(id),
                              .options = roost_slice_text(options)};
  roost_buffer *out = self->client->ops->begin(self->client, &head);
  if (out == NULL)
    return ROOST_ENOMEM;
  if (roost_buffer_append(out, "1", 1) != 0) {
    self->client->ops->undo(self->client);
    return ROOST_ENOMEM;
  }
  return self->client->ops->end(self->client, &head);
}

static uint64_t request(client_test *self, const char *topic, const char *id) {
  assert_int_equal(try_send(self, topic, NULL, id), 0);
  return self->client->token;
}

static void emit(client_test *self, const char *topic, const char *options) {
  assert_int_equal(try_send(self, topic, options, NULL), 0);
}

static void expect_replies(client_test *self, const char *text) {
  mqtt_turns(&self->broker);
  if (!roost_slice_equal(roost_buffer_slice(&self->replies), roost_slice_text(text)))
    fail_msg("replies: %.*s", (int)self->replies.len, self->replies.ptr);
  roost_buffer_clear(&self->replies);
}

static void expect_closed(client_test *self, int status, const char *why) {
  mqtt_turns(&self->broker);
  assert_int_equal(self->closed, 1);
  assert_int_equal(self->status, status);
  assert_string_equal(self->why, why);
  self->closed = 0;
}

#define REQUEST "'{\"pattern\":\"a\",\"data\":1,\"id\":1}'"
#define EVENT   "'{\"pattern\":\"a\",\"data\":1}'"
#define REPLY   "30 31 00 07 'a/reply' 00 '{\"response\":2,\"isDisposed\":true,\"id\":1}'"

/* ------------------------------------------------------------------------- requests ---------- */

static void a_request_waits_for_its_reply_topic(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  request(&self, "a", "1");
  mqtt_expect(&self.broker, "82 0d 00 01 00 00 07 'a/reply' 00");
  mqtt_send(&self.broker, "90 04 00 01 00 00");
  mqtt_expect(&self.broker, "30 23 00 01 'a' 00 " REQUEST);
  mqtt_send(&self.broker, REPLY);
  expect_replies(&self, "1 2.\n");
  request(&self, "a", "1"); /* now it is subscribed to */
  mqtt_expect(&self.broker, "30 23 00 01 'a' 00 " REQUEST);
  emit(&self, "a", NULL);
  mqtt_expect(&self.broker, "30 1c 00 01 'a' 00 " EVENT);
  stop(&self);
}

static void a_topic_nobody_waits_on_is_kept_for_a_while(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  const uint64_t first = request(&self, "a", "1");
  const uint64_t second = request(&self, "a", "1");
  mqtt_expect(&self.broker, "82 0d 00 01 00 00 07 'a/reply' 00");
  mqtt_send(&self.broker, "90 04 00 01 00 00");
  mqtt_expect(&self.broker, "30 23 00 01 'a' 00 " REQUEST " 30 23 00 01 'a' 00 " REQUEST);
  self.client->ops->forget(self.client, first);
  net_test_advance(&self.broker.test, 100000);
  mqtt_expect(&self.broker, ""); /* the second still waits */
  self.client->ops->forget(self.client, second);
  for (unsigned i = 0; i < 3; i++) {
    net_test_advance(&self.broker.test, 9000);
    mqtt_expect(&self.broker, "");
  }
  net_test_advance(&self.broker.test, 20000);
  mqtt_expect(&self.broker, "a2 0c 00 02 00 00 07 'a/reply'");
  mqtt_send(&self.broker, "b0 04 00 02 00 00");
  self.client->ops->forget(self.client, second); /* of a topic that has gone */
  request(&self, "a", "1");
  mqtt_expect(&self.broker, "82 0d 00 03 00 00 07 'a/reply' 00");
  stop(&self);
}

static void who_may_not_subscribe_is_told(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  request(&self, "a", "1");
  request(&self, "a", "2");
  mqtt_send(&self.broker, "90 04 00 01 00 87");
  expect_replies(&self, "1 {\"status\":\"error\",\"message\":\"The broker refused the message: Not "
                        "authorized\"}.\n"
                        "2 {\"status\":\"error\",\"message\":\"The broker refused the message: Not "
                        "authorized\"}.\n");
  request(&self, "a", "1");
  self.frees = true;
  mqtt_send(&self.broker, "90 04 00 02 00 87");
  assert_null(self.client);
  stop(&self);
}

static void what_cannot_be_sent_is_said(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  assert_int_equal(try_send(&self, "a/+", NULL, "1"), ROOST_EUNSUPPORTED);
  assert_string_equal(self.client->refusal,
                      "the topic is empty, longer than 65535 bytes, or has a wildcard in it");
  assert_int_equal(try_send(&self, "a", "{\"qos\":5}", NULL), ROOST_EUNSUPPORTED);
  assert_string_equal(self.client->refusal, "qos is 0, 1 or 2");
  mqtt_expect(&self.broker, "");
  stop(&self);
  prepare(&self);
  start(&self, "20 08 00 00 05 27 00 00 00 1e"); /* packets of 30 bytes */
  emit(&self, "a", NULL);
  assert_int_equal(try_send(&self, "ab", NULL, NULL), ROOST_EUNSUPPORTED);
  assert_int_equal(try_send(&self, "ab", "{\"qos\":1}", NULL), ROOST_EUNSUPPORTED);
  assert_string_equal(self.client->refusal, "the message is larger than the broker takes");
  mqtt_expect(&self.broker, "30 1c 00 01 'a' 00 " EVENT);
  stop(&self);
}

static void other_peoples_messages_are_nothing(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  mqtt_send(&self.broker, "30 0c 00 07 'a/reply' 00 'x{'");
  mqtt_send(&self.broker, "30 0c 00 07 'a/reply' 00 '{}'");
  mqtt_send(&self.broker, "30 12 00 07 'a/reply' 00 '{\"a\":1,'  '}'");
  mqtt_send(&self.broker, "30 0c 00 07 'a/reply' 00 'ff' ");
  mqtt_send(&self.broker, "32 0e 00 07 'a/reply' 00 05 00 '{}'");
  mqtt_expect(&self.broker, "40 02 00 05");
  mqtt_send(&self.broker, "34 0e 00 07 'a/reply' 00 06 00 '{}'");
  mqtt_expect(&self.broker, "50 02 00 06");
  mqtt_send(&self.broker, "62 02 00 06");
  mqtt_expect(&self.broker, "70 02 00 06");
  expect_replies(&self, "");
  stop(&self);
}

/* ------------------------------------------------------------------------- QoS 1 and 2 ------- */

static void no_more_than_the_window_is_under_way(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  start(&self, "20 06 00 00 03 21 00 01");
  emit(&self, "a", "{\"qos\":1}");
  emit(&self, "a", "{\"qos\":2}");
  emit(&self, "a", "{\"qos\":1}");
  mqtt_expect(&self.broker, "32 1e 00 01 'a' 00 01 00 " EVENT);
  mqtt_send(&self.broker, "40 02 00 01");
  mqtt_expect(&self.broker, "34 1e 00 01 'a' 00 02 00 " EVENT);
  mqtt_send(&self.broker, "50 02 00 02");
  mqtt_expect(&self.broker, "62 02 00 02");
  mqtt_send(&self.broker, "50 02 00 02"); /* again */
  mqtt_expect(&self.broker, "62 02 00 02");
  mqtt_send(&self.broker, "70 02 00 02");
  mqtt_expect(&self.broker, "32 1e 00 01 'a' 00 03 00 " EVENT);
  mqtt_send(&self.broker, "40 02 00 09 50 02 00 09 70 02 00 03"); /* of nothing we have sent */
  mqtt_expect(&self.broker, "62 03 00 09 92");
  stop(&self);
}

static void a_request_that_reaches_nobody_fails(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  assert_int_equal(try_send(&self, "a", "{\"qos\":1}", "1"), 0);
  mqtt_send(&self.broker, "90 04 00 01 00 00 40 03 00 02 10");
  expect_replies(&self, "1 {\"status\":\"error\",\"message\":\"Empty response. There are no "
                        "subscribers listening to that message\"}.\n");
  assert_int_equal(try_send(&self, "a", "{\"qos\":2}", "2"), 0);
  self.frees = true;
  mqtt_send(&self.broker, "50 03 00 03 87");
  expect_replies(&self, "2 {\"status\":\"error\",\"message\":\"The broker refused the message: Not "
                        "authorized\"}.\n");
  assert_null(self.client);
  stop(&self);
}

static void what_was_not_answered_is_sent_again(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  self.broker.options.clean = false;
  start(&self, CONNACK);
  emit(&self, "a", "{\"qos\":1}");
  emit(&self, "a", "{\"qos\":2}");
  emit(&self, "a", "{\"qos\":2}");
  mqtt_send(&self.broker, "50 02 00 02");
  roost_buffer_clear(&self.broker.peer.bytes);
  mqtt_break_off(&self.broker);
  expect_closed(&self, ROOST_EGONE, "Connection closed");
  dial(&self);
  mqtt_expect(&self.broker, KEPT_5);
  mqtt_send(&self.broker, PRESENT);
  mqtt_expect(&self.broker,
              "3a 1e 00 01 'a' 00 01 00 " EVENT "62 02 00 02 3c 1e 00 01 'a' 00 03 00 " EVENT);
  mqtt_break_off(&self.broker); /* this time the broker forgets it */
  dial(&self);
  mqtt_expect(&self.broker, KEPT_5);
  mqtt_send(&self.broker, CONNACK);
  roost_buffer *bytes = &self.broker.peer.bytes;
  assert_int_equal(bytes->len, 2 * 32);
  assert_int_equal((uint8_t)bytes->ptr[0] & 0x36, 0x32); /* as new: one of QoS 1, one of QoS 2 */
  assert_int_equal((uint8_t)bytes->ptr[32] & 0x36, 0x34);
  stop(&self);
}

static void requests_are_not_sent_anew(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  assert_int_equal(try_send(&self, "a", "{\"qos\":1}", "1"), 0);
  mqtt_send(&self.broker, "90 04 00 01 00 00");
  roost_buffer_clear(&self.broker.peer.bytes);
  mqtt_break_off(&self.broker);
  dial(&self);
  mqtt_expect(&self.broker, CONNECT_5);
  mqtt_send(&self.broker, CONNACK);
  mqtt_expect(&self.broker, "");
  stop(&self);
}

static void whoever_sends_too_much_is_crowded(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  self.config.max_send_buffer_size = 200;
  start(&self, "20 06 00 00 03 21 00 01");
  for (unsigned i = 0; i < 3; i++)
    emit(&self, "a", "{\"qos\":1}");
  assert_false(self.client->ops->crowded(self.client));
  emit(&self, "a", "{\"qos\":1}");
  assert_true(self.client->ops->crowded(self.client));
  mqtt_send(&self.broker, "40 02 00 01");
  mqtt_send(&self.broker, "40 02 00 02");
  assert_int_equal(self.writables, 0);
  mqtt_send(&self.broker, "40 02 00 03");
  assert_int_equal(self.writables, 1);
  assert_false(self.client->ops->crowded(self.client));
  stop(&self);
}

/* ------------------------------------------------------------------------- the connection ---- */

static void a_broker_that_refuses_says_why(void **state) {
  static client_test self;
  (void)state;
  static const struct {
    const char *connack;
    int status;
    const char *why;
  } rows[] = {
      {"20 03 00 87 00", ROOST_ECONNECT, "EACCES: Not authorized"},
      {"20 0a 00 86 07 1f 00 04 'nope'", ROOST_ECONNECT,
       "EACCES: Bad User Name or Password (nope)"},
      {"20 03 00 97 00", ROOST_ECONNECT, "ECONNREFUSED: Quota exceeded"},
      {"d0 00", ROOST_ECONNECT, "EPROTO: the broker's packets come in the wrong order"},
      {"'HTTP/1.1'", ROOST_ECONNECT, "EPROTO: a packet with wrong flags"},
      {"e0 01 8b", ROOST_ECONNECT, "ECONNREFUSED: Server shutting down"},
  };
  for (size_t i = 0; i < ROWS(rows); i++) {
    prepare(&self);
    assert_int_equal(make(&self), 0);
    dial(&self);
    mqtt_send(&self.broker, rows[i].connack);
    expect_closed(&self, rows[i].status, rows[i].why);
    stop(&self);
  }
  prepare(&self);
  assert_int_equal(make(&self), 0);
  dial(&self);
  mqtt_turns(&self.broker);
  net_test_advance(&self.broker.test, 10001); /* it says nothing at all */
  expect_closed(&self, ROOST_ECONNECT, "ETIMEDOUT");
  self.broker.refuses = true;
  dial(&self);
  expect_closed(&self, ROOST_ECONNECT, "ECONNREFUSED");
  stop(&self);
}

static void an_older_broker_is_spoken_to_as_it_wants(void **state) {
  static client_test self;
  (void)state;
  static const char *const refusals[] = {"20 02 00 01", "20 03 00 84 00"};
  for (size_t i = 0; i < ROWS(refusals); i++) {
    prepare(&self);
    assert_int_equal(make(&self), 0);
    dial(&self);
    mqtt_expect(&self.broker, CONNECT_5);
    mqtt_send(&self.broker, refusals[i]);
    mqtt_expect(&self.broker, CONNECT_4);
    mqtt_send(&self.broker, "20 02 00 00");
    assert_int_equal(self.opened, 1);
    emit(&self, "a", "{\"qos\":1}");
    mqtt_expect(&self.broker, "32 1d 00 01 'a' 00 01 " EVENT);
    stop(&self);
  }
  prepare(&self);
  self.broker.options.protocol_version = 5;
  assert_int_equal(make(&self), 0);
  dial(&self);
  mqtt_send(&self.broker, "20 02 00 01");
  expect_closed(&self, ROOST_ECONNECT, "ECONNREFUSED: Unacceptable protocol version");
  stop(&self);
}

static void a_silent_broker_is_asked_and_left(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  self.broker.options.keepalive = 10;
  assert_int_equal(make(&self), 0);
  dial(&self);
  mqtt_send(&self.broker, CONNACK);
  roost_buffer_clear(&self.broker.peer.bytes);
  net_test_advance(&self.broker.test, 5000);
  mqtt_expect(&self.broker, "c0 00");
  mqtt_send(&self.broker, "d0 00");
  net_test_advance(&self.broker.test, 5000);
  mqtt_expect(&self.broker, "");
  net_test_advance(&self.broker.test, 5000);
  mqtt_expect(&self.broker, "c0 00");
  net_test_advance(&self.broker.test, 5000);
  expect_closed(&self, ROOST_EGONE, "ETIMEDOUT");
  dial(&self);
  mqtt_send(&self.broker, "20 06 00 00 03 13 00 02"); /* the broker wants it more often */
  roost_buffer_clear(&self.broker.peer.bytes);
  net_test_advance(&self.broker.test, 1000);
  mqtt_expect(&self.broker, "c0 00");
  stop(&self);
}

static void the_end_is_told(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  mqtt_send(&self.broker, "e0 01 8e");
  expect_closed(&self, ROOST_EGONE, "the broker has ended the connection: Session taken over");
  dial(&self);
  mqtt_send(&self.broker, CONNACK);
  self.frees = true;
  mqtt_send(&self.broker, "36");
  expect_closed(&self, ROOST_EPROTO, "EPROTO: PUBLISH with QoS 3");
  assert_null(self.client);
  stop(&self);
}

static void a_client_that_is_closed_says_so(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  emit(&self, "a", NULL);
  self.client->ops->close(self.client);
  mqtt_expect(&self.broker, "30 1c 00 01 'a' 00 " EVENT "e0 00");
  assert_int_equal(self.closed, 0);
  dial(&self);
  self.client->ops->close(self.client);
  mqtt_turns(&self.broker);
  assert_int_equal(self.closed, 0);
  stop(&self);
}

#define FIRST_EVENT  "32 1e 00 01 'a' 00 01 00 " EVENT
#define SECOND_EVENT "32 1e 00 01 'a' 00 03 00 " EVENT

/* Two events, of which the broker takes one at a time, and a request; then it is closed. */
static void close_with_events(client_test *self) {
  prepare(self);
  start(self, "20 06 00 00 03 21 00 01");
  emit(self, "a", "{\"qos\":1}");
  emit(self, "a", "{\"qos\":1}");
  mqtt_expect(&self->broker, FIRST_EVENT);
  request(self, "b", "1");
  mqtt_turns(&self->broker);
  roost_buffer_clear(&self->broker.peer.bytes); /* SUBSCRIBE */
  self->client->ops->close(self->client);
  mqtt_expect(&self->broker, "");
}

static void events_go_before_it_leaves(void **state) {
  static client_test self;
  (void)state;
  for (int freed = 0; freed < 2; freed++) {
    close_with_events(&self);
    if (freed != 0)
      free_client(&self);
    mqtt_send(&self.broker, "90 04 00 02 00 00 40 02 00 01");
    mqtt_expect(&self.broker, SECOND_EVENT);
    mqtt_send(&self.broker, "30 0c 00 07 'b/reply' 00 '{}' 40 02 00 03");
    mqtt_expect(&self.broker, "e0 00");
    expect_replies(&self, "");
    assert_int_equal(self.closed, 0);
    stop(&self);
  }
}

static void one_that_leaves_may_be_wanted_again(void **state) {
  static client_test self;
  (void)state;
  close_with_events(&self);
  dial(&self);
  mqtt_expect(&self.broker, CONNECT_5);
  mqtt_send(&self.broker, CONNACK);
  assert_int_equal(self.opened, 2);
  mqtt_turns(&self.broker);
  assert_true(self.broker.peer.bytes.len > 0); /* both events are for the new connection */
  stop(&self);
}

static void what_nobody_takes_is_dropped(void **state) {
  static client_test self;
  (void)state;
  close_with_events(&self);
  free_client(&self);
  net_test_advance(&self.broker.test, 2000);
  mqtt_expect(&self.broker, "e0 00");
  stop(&self);
  close_with_events(&self);
  free_client(&self);
  mqtt_break_off(&self.broker);
  assert_int_equal(self.closed, 0);
  stop(&self);
  close_with_events(&self); /* and the loop ends */
  stop(&self);
}

static void it_may_be_freed_by_a_reply(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  request(&self, "a", "1");
  mqtt_send(&self.broker, "90 04 00 01 00 00");
  self.frees = true;
  mqtt_send(&self.broker, REPLY REPLY);
  assert_null(self.client);
  stop(&self);
}

static void what_had_to_be_sent_and_was_not_ends_it(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  self.frees = true;
  const roost_slice many = bytes_of("32 0e 00 07 'a/reply' 00 05 00 '{}'");
  for (unsigned i = 0; i < 200; i++) /* more answers than there is room for */
    assert_int_equal(roost_buffer_append_slice(roost_conn_out(self.broker.peer.conn), many), 0);
  free_copy(many);
  roost_conn_dirty(self.broker.peer.conn);
  net_test_turn(&self.broker.test);
  self.broker.test.probe.refuse_after = 0;
  mqtt_turns(&self.broker);
  self.broker.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  mqtt_turns(&self.broker);
  assert_int_equal(self.closed, 1);
  assert_null(self.client);
  stop(&self);
}

/* All of it, with one more allocation each time. */
static void without_memory_it_fails_and_leaks_nothing(void **state) {
  static client_test self;
  (void)state;
  for (size_t allowed = 0; allowed < 60; allowed++) {
    prepare(&self);
    self.broker.test.probe.refuse_after = allowed;
    if (make(&self) == 0 && self.client->ops->connect(self.client) == 0) {
      mqtt_turns(&self.broker);
      self.broker.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
      mqtt_send(&self.broker, CONNACK);
      self.broker.test.probe.refuse_after = allowed;
      if (self.opened > 0 && self.closed == 0) {
        (void)try_send(&self, "a", NULL, "1");
        (void)try_send(&self, "b", "{\"qos\":1}", NULL);
        mqtt_turns(&self.broker);
        self.broker.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
        mqtt_send(&self.broker, "90 04 00 01 00 00");
      }
    }
    stop(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_waits_for_its_reply_topic),
      cmocka_unit_test(a_topic_nobody_waits_on_is_kept_for_a_while),
      cmocka_unit_test(who_may_not_subscribe_is_told),
      cmocka_unit_test(what_cannot_be_sent_is_said),
      cmocka_unit_test(other_peoples_messages_are_nothing),
      cmocka_unit_test(no_more_than_the_window_is_under_way),
      cmocka_unit_test(a_request_that_reaches_nobody_fails),
      cmocka_unit_test(what_was_not_answered_is_sent_again),
      cmocka_unit_test(requests_are_not_sent_anew),
      cmocka_unit_test(whoever_sends_too_much_is_crowded),
      cmocka_unit_test(a_broker_that_refuses_says_why),
      cmocka_unit_test(an_older_broker_is_spoken_to_as_it_wants),
      cmocka_unit_test(a_silent_broker_is_asked_and_left),
      cmocka_unit_test(the_end_is_told),
      cmocka_unit_test(a_client_that_is_closed_says_so),
      cmocka_unit_test(events_go_before_it_leaves),
      cmocka_unit_test(one_that_leaves_may_be_wanted_again),
      cmocka_unit_test(what_nobody_takes_is_dropped),
      cmocka_unit_test(it_may_be_freed_by_a_reply),
      cmocka_unit_test(what_had_to_be_sent_and_was_not_ends_it),
      cmocka_unit_test(without_memory_it_fails_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
