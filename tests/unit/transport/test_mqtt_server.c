#include "mqtt_broker.h"

#include "transport/mqtt_internal.h"

/* A server behind an MQTT broker that the test plays, as the sink, too. */

#define CALLS 8

typedef struct server_test {
  mqtt_broker broker; /* first */
  roost_server_config config;
  roost_server *server; /* NULL: closed */
  roost_server_watcher watcher;
  roost_buffer told;          /* what was: a line per message, a word per event */
  roost_origin *calls[CALLS]; /* running, in the order they began; NULL: over */
  char ids[CALLS][8];         /* of their requests; "": events */
  unsigned count;             /* of calls */
  int status;                 /* what on_message returns */
  bool ends_at_once;          /* each call has ended before on_message returns */
  unsigned gone;
  unsigned writable;
  unsigned drained;
} server_test;

static void say(server_test *self, const char *format, roost_slice text) {
  assert_int_equal(
      roost_buffer_printf(&self->told, format, (int)text.len, text.len > 0 ? text.ptr : ""), 0);
}

static void end_call(server_test *self, unsigned number, const char *reply) {
  roost_origin *origin = self->calls[number];
  const roost_slice id = roost_slice_text(self->ids[number]);
  self->calls[number] = NULL;
  roost_buffer *out = NULL;
  if (id.len > 0)
    out = origin->ops->reply_begin(origin, ROOST_REPLY_LAST);
  if (out != NULL) {
    assert_int_equal(roost_buffer_append(out, reply, strlen(reply)), 0);
    (void)origin->ops->reply_end(origin, ROOST_REPLY_LAST, id);
  }
  origin->in_flight--;
  origin->ops->eased(origin);
}

static int on_message(void *ud, roost_origin *origin, const roost_message *message) {
  server_test *self = ud;
  say(self, "%.*s", message->route);
  say(self, " %.*s", message->pattern);
  say(self, " %.*s", message->data);
  say(self, " %.*s", message->id);
  say(self, " %.*s;", message->metadata);
  if (self->status != 0)
    return self->status;
  assert_true(self->count < CALLS);
  snprintf(self->ids[self->count], sizeof *self->ids, "%.*s", (int)message->id.len,
           message->id.len > 0 ? message->id.ptr : "");
  self->calls[self->count++] = origin;
  origin->in_flight++;
  if (self->ends_at_once)
    end_call(self, self->count - 1, "0");
  return 0;
}

static void on_gone(void *ud, roost_origin *origin, bool reachable) {
  server_test *self = ud;
  assert_false(reachable);
  self->gone++;
  for (unsigned i = 0; i < self->count; i++) {
    if (self->calls[i] == origin)
      self->calls[i] = NULL;
  }
  origin->in_flight = 0;
}

static void on_writable(void *ud, roost_origin *origin) {
  (void)origin;
  ((server_test *)ud)->writable++;
}

static const roost_sink_ops sink = {
    .on_message = on_message, .on_gone = on_gone, .on_writable = on_writable};

static void on_told(roost_server_watcher *watcher, roost_server_event event,
                    const roost_address *peer, const char *why) {
  static const char *const names[] = {[ROOST_SERVER_LISTENING] = "listening",
                                      [ROOST_SERVER_LOST] = "lost",
                                      [ROOST_SERVER_RETRYING] = "retrying",
                                      [ROOST_SERVER_DRAINING] = "draining"};
  server_test *self = ROOST_LIST_ENTRY(watcher, server_test, watcher);
  (void)peer;
  say(self, "%.*s", roost_slice_text(names[event]));
  say(self, why[0] != '\0' ? " %.*s;" : "%.*s;", roost_slice_text(why));
}

static void on_watcher_gone(roost_server_watcher *watcher) {
  (void)watcher;
}

static void on_drained(void *ud, roost_server *server) {
  (void)server;
  ((server_test *)ud)->drained++;
}

static void prepare(server_test *self) {
  memset(self, 0, sizeof *self);
  mqtt_broker_init(&self->broker);
  roost_server_config_init(&self->config);
  self->config.max_buffer_size = 0x100000;
  self->config.max_in_flight = 1024;
  self->config.retry_attempts = 0;
  self->config.retry_delay = 1000;
  self->config.options = &self->broker.options;
  roost_buffer_init(&self->told, roost_alloc_default());
}

static int make(server_test *self) {
  const char *why;
  const int status = roost_mqtt_server_open(&self->server, self->broker.test.loop, &self->config,
                                            NULL, &sink, self, &why);
  if (status != 0)
    return status;
  roost_mqtt_server_set_dial(self->server, mqtt_broker_dial, &self->broker);
  self->server->on_drained = on_drained;
  self->server->on_drained_ud = self;
  self->watcher.told = on_told;
  self->watcher.gone = on_watcher_gone;
  roost_list_append(&self->server->watchers, &self->watcher.link);
  return 0;
}

static int subscribe(server_test *self, const char *const *routes) {
  roost_subscription list[8];
  size_t count = 0;
  for (; routes[count] != NULL; count++)
    list[count] = (roost_subscription){.route = roost_slice_text(routes[count]), .qos = -1};
  return self->server->ops->subscribe(self->server, list, count);
}

/* Up, subscribed to these, whose subscriptions have no numbers, and nothing of it left to see. */
static void start_with(server_test *self, const char *const *routes, const char *connack) {
  assert_int_equal(make(self), 0);
  assert_int_equal(subscribe(self, routes), 0);
  assert_int_equal(self->server->ops->start(self->server), 0);
  mqtt_expect(&self->broker, self->broker.options.clean ? CONNECT_5 : KEPT_5);
  mqtt_send(&self->broker, connack);
  roost_buffer_clear(&self->broker.peer.bytes);
  mqtt_send(&self->broker, "90 04 00 01 00 00");
  roost_buffer_clear(&self->told);
}

static const char *const a_and_h[] = {"a", "h/#", NULL};
#define PLAIN "20 05 00 00 02 29 00" /* a broker without numbers */

static void begin(server_test *self) {
  prepare(self);
  start_with(self, a_and_h, PLAIN);
}

static void close_server(server_test *self) {
  if (self->server != NULL)
    self->server->ops->close(self->server);
  self->server = NULL;
  mqtt_turns(&self->broker);
}

static void stop(server_test *self) {
  close_server(self);
  mqtt_broker_deinit(&self->broker);
  roost_buffer_deinit(&self->told);
}

static void expect_told(server_test *self, const char *text) {
  mqtt_turns(&self->broker);
  if (!roost_slice_equal(roost_buffer_slice(&self->told), roost_slice_text(text)))
    fail_msg("told: %.*s", (int)self->told.len, self->told.ptr);
  roost_buffer_clear(&self->told);
}

#define REPLY_OF_A "30 31 00 07 'a/reply' 00 '{\"response\":0,\"isDisposed\":true,\"id\":1}'"

/* ------------------------------------------------------------------------- subscribing ------- */

static void each_route_is_subscribed_to(void **state) {
  static server_test self;
  (void)state;
  prepare(&self);
  self.broker.options.qos = 1;
  assert_int_equal(make(&self), 0);
  assert_int_equal(subscribe(&self, (const char *[]){"a", "$share/g/b", "bad#", NULL}), 0);
  assert_int_equal(self.server->ops->start(self.server), 0);
  mqtt_send(&self.broker, PLAIN);
  mqtt_expect(&self.broker, CONNECT_5 " 82 14 00 01 00 00 01 'a' 05 00 0a '$share/g/b' 01");
  expect_told(&self, "");
  assert_false(self.server->listening);
  mqtt_send(&self.broker, "90 05 00 01 00 01 87"); /* one is refused, which is logged */
  expect_told(&self, "listening;");
  assert_int_equal(self.server->stats.connections, 1);
  assert_int_equal(subscribe(&self, (const char *[]){"c", "a", NULL}), 0);
  mqtt_expect(&self.broker, "82 07 00 02 00 00 01 'c' 05 a2 0f 00 03 00 00 0a '$share/g/b'");
  stop(&self);
}

static void a_broker_of_version_5_is_given_numbers(void **state) {
  static server_test self;
  (void)state;
  prepare(&self);
  assert_int_equal(make(&self), 0);
  assert_int_equal(subscribe(&self, (const char *[]){"a", "b", NULL}), 0);
  assert_int_equal(self.server->ops->start(self.server), 0);
  mqtt_turns(&self.broker);
  roost_buffer_clear(&self.broker.peer.bytes);
  mqtt_send(&self.broker, CONNACK);
  assert_int_equal(self.broker.peer.bytes.len, 2 * 14);
  mqtt_send(&self.broker, "90 04 00 01 00 00");
  expect_told(&self, "");
  mqtt_send(&self.broker, "90 04 00 02 00 00");
  expect_told(&self, "listening;");
  stop(&self);
}

/* One packet for both routes, as some brokers have it. */
static void a_packet_may_be_for_several_routes(void **state) {
  static server_test self;
  (void)state;
  prepare(&self);
  self.ends_at_once = true;
  static const char *const routes[] = {"x/+", "x/#", NULL};
  start_with(&self, routes, CONNACK);
  mqtt_send(&self.broker, "90 04 00 02 00 00");
  roost_buffer_clear(&self.told);
  const roost_mqtt_server *server = (const roost_mqtt_server *)self.server;
  char spec[200];
  char numbers[2][20];
  for (size_t i = 0; i < 2; i++) {
    const uint32_t n = server->routes.routes[i].number;
    snprintf(numbers[i], sizeof numbers[i], "0b %02x %02x %02x %02x", (n & 127) | 128,
             (n >> 7 & 127) | 128, (n >> 14 & 127) | 128, n >> 21);
    assert_true(n >> 21 > 0);
  }
  snprintf(spec, sizeof spec, "32 13 00 03 'x/y' 00 09 0a %s %s '1'", numbers[0], numbers[1]);
  mqtt_send(&self.broker, spec);
  expect_told(&self, "x/+ \"x/y\" 1  ;x/# \"x/y\" 1  ;");
  mqtt_expect(&self.broker, "40 02 00 09");
  /* An event by the second alone; a request by it is answered by the copy for the first. */
  snprintf(spec, sizeof spec, "32 0e 00 03 'x/y' 00 0a 05 %s '1'", numbers[1]);
  mqtt_send(&self.broker, spec);
  expect_told(&self, "x/# \"x/y\" 1  ;");
  snprintf(spec, sizeof spec, "32 1e 00 03 'x/y' 00 0b 05 %s '{\"data\":1,\"id\":1}'", numbers[1]);
  mqtt_send(&self.broker, spec);
  expect_told(&self, "");
  mqtt_expect(&self.broker, "40 02 00 0a 40 02 00 0b");
  stop(&self);
}

/* ------------------------------------------------------------------------- messages ---------- */

static void messages_are_handed_on(void **state) {
  static server_test self;
  (void)state;
  begin(&self);
  self.ends_at_once = true;
  mqtt_send(&self.broker, "30 25 00 01 'a' 00 '{\"pattern\":\"z\",\"data\":[5],\"id\":1}'");
  expect_told(&self, "a \"a\" [5] 1 ;");
  mqtt_expect(&self.broker, REPLY_OF_A);
  mqtt_send(&self.broker, "30 11 00 03 'h/x' 07 26 00 01 'k' 00 01 'v' 'text'");
  expect_told(&self, "h/# \"h/x\" \"text\"  {\"k\":\"v\"};");
  mqtt_send(&self.broker, "30 0d 00 05 'h/{1}' 00 '[1,2]'");
  expect_told(&self, "h/# \"h/{1}\" [1,2]  ;");
  mqtt_send(&self.broker, "30 05 00 01 '7' 00 ff"); /* not UTF-8, and a topic of no route */
  expect_told(&self, "7 7 \"\xEF\xBF\xBD\"  ;");
  stop(&self);
}

static void replies_that_a_wildcard_hears_are_dropped(void **state) {
  static server_test self;
  (void)state;
  begin(&self);
  mqtt_send(&self.broker, "32 23 00 09 'h/x/reply' 00 01 00 '{\"response\":0,\"id\":1}'");
  mqtt_expect(&self.broker, "40 02 00 01");
  expect_told(&self, "");
  mqtt_send(&self.broker, "30 0e 00 09 'h/x/reply' 00 '{}'");
  expect_told(&self, "h/# \"h/x/reply\" {}  ;");
  stop(&self);
}

static void what_is_broken_is_answered_and_over(void **state) {
  static server_test self;
  (void)state;
  begin(&self);
  self.status = ROOST_EPROTO;
  mqtt_send(&self.broker, "32 19 00 01 'a' 00 05 00 '{\"data\":tru,\"id\":1}'");
  roost_buffer_clear(&self.told);
  mqtt_expect(&self.broker,
              "30 61 00 07 'a/reply' 00 '{\"err\":{\"status\":\"error\",\"message\":\"The message "
              "is not JSON\"},\"isDisposed\":true,\"id\":1}' 40 03 00 05 99");
  stop(&self);
}

/* ------------------------------------------------------------------------- QoS 1 and 2 ------- */

static void messages_are_acknowledged_when_they_are_over(void **state) {
  static server_test self;
  (void)state;
  begin(&self);
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 05 00 '1'");
  mqtt_send(&self.broker, "34 07 00 01 'a' 00 06 00 '2'");
  mqtt_send(&self.broker, "3a 07 00 01 'a' 00 05 00 '1'"); /* it may not, but does no harm */
  mqtt_expect(&self.broker, "");
  expect_told(&self, "a \"a\" 1  ;a \"a\" 2  ;");
  end_call(&self, 1, "");
  mqtt_expect(&self.broker, "50 02 00 06");
  mqtt_send(&self.broker, "3c 07 00 01 'a' 00 06 00 '2'");
  mqtt_expect(&self.broker, "50 02 00 06");
  mqtt_send(&self.broker, "62 02 00 06");
  mqtt_expect(&self.broker, "70 02 00 06");
  mqtt_send(&self.broker, "62 02 00 06");
  mqtt_expect(&self.broker, "70 03 00 06 92");
  self.calls[0]->ops->failed(self.calls[0], ROOST_SETTLE_NACK);
  end_call(&self, 0, "");
  mqtt_expect(&self.broker, "40 03 00 05 80");
  expect_told(&self, "");
  stop(&self);
}

static void what_runs_is_not_begun_again(void **state) {
  static server_test self;
  (void)state;
  prepare(&self);
  self.broker.options.clean = false;
  start_with(&self, a_and_h, PLAIN);
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 05 00 '1' 34 07 00 01 'a' 00 06 00 '2'");
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 07 00 '3'");
  mqtt_break_off(&self.broker);
  end_call(&self, 0, ""); /* while there is nobody to tell */
  end_call(&self, 1, "");
  roost_buffer_clear(&self.told);
  net_test_advance(&self.broker.test, 1000);
  mqtt_turns(&self.broker);
  roost_buffer_clear(&self.broker.peer.bytes);
  mqtt_send(&self.broker, "20 05 01 00 02 29 00");
  roost_buffer_clear(&self.broker.peer.bytes);
  mqtt_send(&self.broker, "3a 07 00 01 'a' 00 05 00 '1' 3c 07 00 01 'a' 00 06 00 '2'");
  mqtt_send(&self.broker, "3a 07 00 01 'a' 00 07 00 '3'");
  mqtt_expect(&self.broker, "40 02 00 05 50 02 00 06");
  expect_told(&self, "retrying;");
  end_call(&self, 2, "");
  mqtt_expect(&self.broker, "40 02 00 07");
  stop(&self);
}

static void an_identifier_may_come_again_for_another_message(void **state) {
  static server_test self;
  (void)state;
  begin(&self);
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 05 00 '1' 34 07 00 01 'a' 00 06 00 '2'");
  end_call(&self, 1, "");
  mqtt_expect(&self.broker, "50 02 00 06");
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 05 00 '3' 34 07 00 01 'a' 00 06 00 '4'");
  expect_told(&self, "a \"a\" 1  ;a \"a\" 2  ;a \"a\" 3  ;a \"a\" 4  ;");
  end_call(&self, 0, ""); /* it has no identifier any more */
  mqtt_expect(&self.broker, "");
  end_call(&self, 2, "");
  mqtt_expect(&self.broker, "40 02 00 05");
  end_call(&self, 3, "");
  mqtt_expect(&self.broker, "50 02 00 06");
  stop(&self);
}

static void a_session_that_is_lost_wants_no_answers(void **state) {
  static server_test self;
  (void)state;
  begin(&self);
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 05 00 '1'");
  mqtt_break_off(&self.broker);
  expect_told(&self, "a \"a\" 1  ;lost Connection closed;");
  assert_int_equal(self.server->stats.connections, 0);
  net_test_advance(&self.broker.test, 1000);
  mqtt_turns(&self.broker);
  mqtt_send(&self.broker, PLAIN);
  roost_buffer_clear(&self.broker.peer.bytes);
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 05 00 '9'"); /* another one */
  end_call(&self, 0, "");
  mqtt_expect(&self.broker, "");
  end_call(&self, 1, "");
  mqtt_expect(&self.broker, "40 02 00 05");
  stop(&self);
}

static void replies_go_out_in_the_next_connection(void **state) {
  static server_test self;
  (void)state;
  begin(&self);
  mqtt_send(&self.broker, "30 15 00 01 'a' 00 '{\"data\":5,\"id\":1}'");
  mqtt_break_off(&self.broker);
  net_test_advance(&self.broker.test, 1000);
  mqtt_turns(&self.broker);
  mqtt_send(&self.broker, PLAIN);
  roost_buffer_clear(&self.broker.peer.bytes);
  end_call(&self, 0, "0");
  mqtt_expect(&self.broker, REPLY_OF_A);
  stop(&self);
}

static void no_more_than_max_in_flight_is_read(void **state) {
  static server_test self;
  (void)state;
  prepare(&self);
  self.config.max_in_flight = 2;
  assert_int_equal(make(&self), 0);
  assert_int_equal(subscribe(&self, a_and_h), 0);
  assert_int_equal(self.server->ops->start(self.server), 0);
  mqtt_send(&self.broker, PLAIN);
  mqtt_send(&self.broker, "30 05 00 01 'a' 00 '1' 30 05 00 01 'a' 00 '2' 30 05 00 01 'a' 00 '3' "
                          "30 05 00 01 'a' 00 '4'");
  expect_told(&self, "a \"a\" 1  ;a \"a\" 2  ;");
  mqtt_send(&self.broker, "30 05 00 01 'a' 00 '5'");
  expect_told(&self, "");
  end_call(&self, 1, "");
  expect_told(&self, "a \"a\" 3  ;");
  end_call(&self, 0, "");
  end_call(&self, 2, "");
  expect_told(&self, "a \"a\" 4  ;a \"a\" 5  ;");
  stop(&self);
}

/* ------------------------------------------------------------------------- the end ----------- */

static void expect_drained_once_the_broker_has_closed(server_test *self) {
  assert_int_equal(self->drained, 0);
  mqtt_break_off(&self->broker);
  assert_int_equal(self->drained, 1);
}

static void a_drain_finishes_what_was_delivered(void **state) {
  static server_test self;
  (void)state;
  begin(&self);
  mqtt_send(&self.broker, "30 15 00 01 'a' 00 '{\"data\":5,\"id\":1}'");
  self.server->ops->drain(self.server);
  mqtt_expect(&self.broker, "a2 0b 00 02 00 00 01 'a' 00 03 'h/#'");
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 05 00 '2' b0 05 00 02 00 00 00");
  assert_int_equal(self.count, 2);
  end_call(&self, 1, "");
  mqtt_expect(&self.broker, "40 02 00 05");
  assert_int_equal(self.drained, 0);
  end_call(&self, 0, "0");
  mqtt_expect(&self.broker, REPLY_OF_A " e0 00");
  expect_drained_once_the_broker_has_closed(&self);
  stop(&self);
}

static void a_session_that_is_kept_is_left_as_it_is(void **state) {
  static server_test self;
  (void)state;
  prepare(&self);
  self.broker.options.clean = false;
  start_with(&self, a_and_h, PLAIN);
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 05 00 '1'");
  self.server->ops->drain(self.server);
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 06 00 '2'"); /* for the next life */
  assert_int_equal(self.count, 1);
  end_call(&self, 0, "");
  mqtt_expect(&self.broker, "40 02 00 05 e0 00");
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 07 00 '3'"); /* as one does that has more */
  assert_int_equal(self.count, 1);
  expect_drained_once_the_broker_has_closed(&self);
  stop(&self);
}

static void a_broker_that_does_not_close_is_left(void **state) {
  static server_test self;
  (void)state;
  begin(&self);
  self.server->ops->drain(self.server);
  mqtt_expect(&self.broker, "a2 0b 00 02 00 00 01 'a' 00 03 'h/#'");
  mqtt_send(&self.broker, "b0 05 00 02 00 00 00");
  mqtt_expect(&self.broker, "e0 00");
  net_test_advance(&self.broker.test, 1000);
  assert_int_equal(self.drained, 0);
  net_test_advance(&self.broker.test, 1500);
  assert_int_equal(self.drained, 1);
  stop(&self);
}

static void without_a_broker_it_drains_at_once(void **state) {
  static server_test self;
  (void)state;
  prepare(&self);
  self.broker.refuses = true;
  self.config.retry_attempts = 2;
  assert_int_equal(make(&self), 0);
  assert_int_equal(self.server->ops->start(self.server), 0);
  expect_told(&self, "lost ECONNREFUSED;");
  for (unsigned i = 0; i < 5; i++)
    net_test_advance(&self.broker.test, 5000);
  expect_told(&self, "retrying;lost ECONNREFUSED;retrying;lost ECONNREFUSED;");
  assert_int_equal(self.broker.dials, 3);
  self.server->ops->drain(self.server);
  expect_told(&self, "draining;");
  assert_int_equal(self.drained, 1);
  stop(&self);
}

static void closing_ends_what_runs(void **state) {
  static server_test self;
  (void)state;
  begin(&self);
  mqtt_send(&self.broker, "32 07 00 01 'a' 00 05 00 '1'");
  close_server(&self);
  assert_int_equal(self.gone, 1);
  mqtt_expect(&self.broker, "e0 00");
  stop(&self);
}

/* All of it, with one more allocation each time. */
static void without_memory_it_fails_and_leaks_nothing(void **state) {
  static server_test self;
  (void)state;
  for (size_t allowed = 0; allowed < 70; allowed++) {
    prepare(&self);
    self.broker.test.probe.refuse_after = allowed;
    if (make(&self) == 0 && subscribe(&self, a_and_h) == 0 &&
        self.server->ops->start(self.server) == 0) {
      mqtt_turns(&self.broker);
      self.broker.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
      mqtt_send(&self.broker, PLAIN "90 05 00 01 00 00 00");
      self.broker.test.probe.refuse_after = allowed;
      if (self.broker.peer.conn != NULL) {
        mqtt_turns(&self.broker);
        self.broker.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
        const roost_slice bytes =
            bytes_of("32 11 00 01 'a' 00 05 07 26 00 01 'k' 00 01 'v' 'text'");
        assert_int_equal(roost_buffer_append_slice(roost_conn_out(self.broker.peer.conn), bytes),
                         0);
        roost_conn_dirty(self.broker.peer.conn);
        free_copy(bytes);
        net_test_turn(&self.broker.test);
        self.broker.test.probe.refuse_after = allowed;
        mqtt_turns(&self.broker);
      }
    }
    self.broker.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    stop(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_route_is_subscribed_to),
      cmocka_unit_test(a_broker_of_version_5_is_given_numbers),
      cmocka_unit_test(a_packet_may_be_for_several_routes),
      cmocka_unit_test(messages_are_handed_on),
      cmocka_unit_test(replies_that_a_wildcard_hears_are_dropped),
      cmocka_unit_test(what_is_broken_is_answered_and_over),
      cmocka_unit_test(messages_are_acknowledged_when_they_are_over),
      cmocka_unit_test(what_runs_is_not_begun_again),
      cmocka_unit_test(an_identifier_may_come_again_for_another_message),
      cmocka_unit_test(a_session_that_is_lost_wants_no_answers),
      cmocka_unit_test(replies_go_out_in_the_next_connection),
      cmocka_unit_test(no_more_than_max_in_flight_is_read),
      cmocka_unit_test(a_drain_finishes_what_was_delivered),
      cmocka_unit_test(a_session_that_is_kept_is_left_as_it_is),
      cmocka_unit_test(a_broker_that_does_not_close_is_left),
      cmocka_unit_test(without_a_broker_it_drains_at_once),
      cmocka_unit_test(closing_ends_what_runs),
      cmocka_unit_test(without_memory_it_fails_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
