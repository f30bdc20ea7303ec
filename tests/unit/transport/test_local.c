#include "net/net_test.h"

#include "transport/transport.h"

/* The local client, with a sink that the test plays. It answers the pattern "now" inside
 * on_message, "asks" likewise after it has sent a message of its own, keeps all others for the
 * test, and takes "packed" and "now" packed. */

typedef struct local_test {
  net_test test;
  roost_client_config config;
  roost_server_config server_config;
  roost_client *client;
  roost_origin *origin; /* of the last message */
  char message[256];    /* the last one: "PATTERN DATA METADATA ID FORMAT" */
  unsigned messages;
  unsigned gone;
  unsigned writable;    /* origins that were told so */
  uint64_t inner_token; /* of what "asks" has sent */
  int message_status;   /* what on_message returns */
  unsigned opened;
  unsigned closed;
  char replies[1024]; /* "ID VALUE", a line each: = item, ! error, . the last */
  unsigned nested;    /* depth of on_reply */
  bool close_on_reply;
} local_test;

/* --------------------------------------------------------------------- both sinks ------------ */

/* What the service layer does when a call is over, or goes on without its caller. */
static void end_call(roost_origin *origin) {
  origin->in_flight--;
  origin->ops->eased(origin);
}

static int reply(local_test *self, roost_reply_kind kind, const char *id, const char *value,
                 roost_format format) {
  roost_buffer *out = self->origin->ops->reply_begin(self->origin, kind);
  assert_non_null(out);
  if (roost_buffer_append_slice(out, roost_slice_text(value)) != 0) {
    self->origin->ops->reply_undo(self->origin);
    return ROOST_ENOMEM;
  }
  self->origin->value_format = format;
  const int status = self->origin->ops->reply_end(self->origin, kind, roost_slice_text(id));
  if (kind == ROOST_REPLY_LAST || kind == ROOST_REPLY_END || kind == ROOST_REPLY_ERROR)
    end_call(self->origin);
  return status;
}

static int try_send(local_test *self, const char *pattern, const char *data, const char *id);

static void ask_and_answer(local_test *self, roost_origin *origin, roost_slice data) {
  char before[16];
  snprintf(before, sizeof before, "%.*s", (int)data.len, data.ptr);
  assert_int_equal(try_send(self, "\"p\"", "999", "\"k\""), 0);
  self->inner_token = self->client->token;
  assert_memory_equal(data.ptr, before, data.len);
  self->origin = origin;
  (void)reply(self, ROOST_REPLY_LAST, "\"i\"", "2", ROOST_FORMAT_JSON);
}

static int on_message(void *ud, roost_origin *origin, const roost_message *message) {
  local_test *self = ud;
  self->messages++;
  self->origin = origin;
  origin->in_flight += self->message_status == 0;
  snprintf(self->message, sizeof self->message, "%.*s %.*s %.*s %.*s %d", (int)message->pattern.len,
           message->pattern.ptr, (int)message->data.len, message->data.ptr,
           (int)message->metadata.len, message->metadata.len ? message->metadata.ptr : "",
           (int)message->id.len, message->id.len ? message->id.ptr : "", (int)message->format);
  if (roost_slice_equal(message->pattern, ROOST_SLICE("\"now\""))) {
    (void)reply(self, ROOST_REPLY_ITEM, "\"i\"", "1", ROOST_FORMAT_PACKED);
    (void)reply(self, ROOST_REPLY_LAST, "\"i\"", "2", ROOST_FORMAT_JSON);
  }
  if (roost_slice_equal(message->pattern, ROOST_SLICE("\"asks\"")))
    ask_and_answer(self, origin, message->data);
  return self->message_status;
}

static void on_gone(void *ud, roost_origin *origin, bool reachable) {
  assert_false(reachable);
  ((local_test *)ud)->gone++;
  while (origin->in_flight > 0)
    end_call(origin);
}

static void on_writable_again(void *ud, roost_origin *origin) {
  assert_false(origin->ops->crowded(origin));
  ((local_test *)ud)->writable++;
}

static roost_format format(void *ud, roost_slice pattern) {
  (void)ud;
  return roost_slice_equal(pattern, ROOST_SLICE("\"json\"")) ? ROOST_FORMAT_JSON
                                                             : ROOST_FORMAT_PACKED;
}

static const roost_sink_ops server_sink = {on_message, on_gone, on_writable_again, format};

static void on_open(void *ud) {
  ((local_test *)ud)->opened++;
}

static void on_reply(void *ud, const roost_reply *got) {
  local_test *self = ud;
  const roost_slice value = got->err.ptr != NULL ? got->err : got->response;
  const size_t len = strlen(self->replies);
  assert_int_equal(self->nested++, 0);
  snprintf(self->replies + len, sizeof self->replies - len, "%.*s %.*s %s%d\n", (int)got->id.len,
           got->id.ptr, (int)value.len, value.len ? value.ptr : "",
           got->err.ptr != NULL ? "!"
           : got->last          ? "."
                                : "=",
           (int)got->format);
  if (self->close_on_reply)
    self->client->ops->close(self->client);
  self->nested--;
}

static void on_closed(void *ud, int status, const char *why) {
  (void)status;
  (void)why;
  ((local_test *)ud)->closed++;
}

static void on_writable(void *ud) {
  (void)ud;
}

static const roost_client_sink client_sink = {on_open, on_reply, on_closed, on_writable};

/* --------------------------------------------------------------------- making ---------------- */

static void prepare(local_test *self) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  roost_client_config_init(&self->config);
  self->server_config = (roost_server_config){.name = "local", .transport = "local"};
}

static int make(local_test *self) {
  return roost_local_client_new(&self->client, self->test.loop, &self->config, &self->server_config,
                                &server_sink, self, &client_sink, self);
}

static void start(local_test *self) {
  prepare(self);
  assert_int_equal(make(self), 0);
  assert_int_equal(self->client->ops->connect(self->client), 0);
  assert_int_equal(self->opened, 0); /* told in a later turn */
  net_test_turns(&self->test, 2);
  assert_int_equal(self->opened, 1);
}

static void stop(local_test *self) {
  if (self->client != NULL)
    self->client->ops->free(self->client);
  net_test_deinit(&self->test);
}

static int try_send(local_test *self, const char *pattern, const char *data, const char *id) {
  const roost_client_ops *ops = self->client->ops;
  const roost_message head = {.pattern = roost_slice_text(pattern),
                              .format = ops->format(self->client, roost_slice_text(pattern)),
                              .id = id ? roost_slice_text(id) : (roost_slice){NULL, 0},
                              .metadata = ROOST_SLICE("{}")};
  roost_buffer *out = ops->begin(self->client, &head);
  assert_non_null(out);
  if (roost_buffer_append_slice(out, roost_slice_text(data)) != 0) {
    ops->undo(self->client);
    return ROOST_ENOMEM;
  }
  return ops->end(self->client, &head);
}

static void expect(local_test *self, const char *replies) {
  assert_string_equal(self->replies, replies);
  self->replies[0] = '\0';
}

/* --------------------------------------------------------------------- tests ----------------- */

static void messages_are_handed_on_as_they_are(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  assert_int_equal(try_send(&self, "\"p\"", "1", "\"i\""), 0);
  assert_string_equal(self.message, "\"p\" 1 {} \"i\" 1");
  assert_int_equal(try_send(&self, "\"json\"", "2", NULL), 0);
  assert_string_equal(self.message, "\"json\" 2 {}  0");
  assert_null(roost_client_remote(self.client));
  assert_null(roost_client_local(self.client));
  assert_int_equal(roost_client_descriptor(self.client), -1);
  assert_false(self.client->ops->crowded(self.client));
  assert_null(self.origin->ops->remote(self.origin));
  assert_true(self.origin->takes_packed);
  stop(&self);
}

static void replies_of_every_kind(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  assert_int_equal(try_send(&self, "\"p\"", "1", "\"i\""), 0);
  assert_int_equal(reply(&self, ROOST_REPLY_ITEM, "\"i\"", "1", ROOST_FORMAT_PACKED), 0);
  assert_int_equal(reply(&self, ROOST_REPLY_VOID, "\"i\"", "", ROOST_FORMAT_JSON), 0);
  assert_int_equal(reply(&self, ROOST_REPLY_LAST, "\"i\"", "2", ROOST_FORMAT_JSON), 0);
  assert_int_equal(reply(&self, ROOST_REPLY_END, "\"j\"", "", ROOST_FORMAT_JSON), 0);
  assert_int_equal(reply(&self, ROOST_REPLY_ERROR, "\"k\"", "3", ROOST_FORMAT_JSON), 0);
  self.origin->ops->reply_unhandled(self.origin, ROOST_SLICE("\"l\""));
  expect(&self,
         "\"i\" 1 =1\n\"i\"  =0\n\"i\" 2 .0\n\"j\"  .0\n\"k\" 3 !0\n"
         "\"l\" \"There is no matching message handler defined in the remote service.\" !0\n");
  stop(&self);
}

static void an_error_that_is_false_is_the_end(void **state) {
  static local_test self;
  static const char *const payloads[] = {"false", "\"\"", "0", "null"};
  (void)state;
  start(&self);
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
    assert_int_equal(try_send(&self, "\"p\"", "1", "\"i\""), 0);
    assert_int_equal(reply(&self, ROOST_REPLY_ERROR, "\"i\"", payloads[i], ROOST_FORMAT_JSON), 0);
    expect(&self, "\"i\"  .0\n");
  }
  stop(&self);
}

static void what_is_answered_at_once_is_told_in_a_later_turn(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  assert_int_equal(try_send(&self, "\"now\"", "1", "\"i\""), 0);
  expect(&self, "");
  assert_int_equal(reply(&self, ROOST_REPLY_LAST, "\"x\"", "3", ROOST_FORMAT_JSON), 0);
  expect(&self, ""); /* it does not overtake */
  net_test_turns(&self.test, 2);
  expect(&self, "\"i\" 1 =1\n\"i\" 2 .0\n\"x\" 3 .0\n");
  assert_int_equal(reply(&self, ROOST_REPLY_LAST, "\"y\"", "4", ROOST_FORMAT_JSON), 0);
  expect(&self, "\"y\" 4 .0\n");
  stop(&self);
}

static void a_handler_that_sends_one_itself_is_no_other(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  assert_int_equal(try_send(&self, "\"asks\"", "123", "\"i\""), 0);
  expect(&self, "");
  net_test_turns(&self.test, 2);
  expect(&self, "\"i\" 2 .0\n");
  assert_int_not_equal(self.client->token, self.inner_token);
  self.client->ops->forget(self.client, self.inner_token);
  net_test_turns(&self.test, 2);
  assert_int_equal(self.gone, 1);
  stop(&self);
}

static void data_nobody_can_read_is_answered(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  self.message_status = ROOST_EPROTO;
  assert_int_equal(try_send(&self, "\"p\"", "1", "\"i\""), 0);
  assert_int_equal(try_send(&self, "\"p\"", "1", NULL), 0);
  net_test_turns(&self.test, 2);
  expect(&self,
         "\"i\" \"There is no matching message handler defined in the remote service.\" !0\n");
  stop(&self);
}

static void one_that_is_undone_leaves_nothing(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  const roost_message head = {.pattern = ROOST_SLICE("1")};
  roost_buffer *out = self.client->ops->begin(self.client, &head);
  assert_int_equal(roost_buffer_append(out, "junk", 4), 0);
  self.client->ops->undo(self.client);
  assert_int_equal(self.messages, 0);
  assert_int_equal(try_send(&self, "1", "2", NULL), 0);
  assert_string_equal(self.message, "1 2 {}  1");
  stop(&self);
}

static void closing_leaves_nobody_to_answer(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  assert_int_equal(try_send(&self, "\"now\"", "1", "\"i\""), 0);
  assert_int_equal(try_send(&self, "\"later\"", "1", "\"j\""), 0);
  self.client->ops->close(self.client);
  net_test_turns(&self.test, 2);
  assert_int_equal(self.gone, 1);
  assert_int_equal(self.closed, 0);
  expect(&self, "");
  assert_int_equal(self.client->ops->connect(self.client), 0);
  self.client->ops->close(self.client); /* before it is open */
  net_test_turns(&self.test, 2);
  assert_int_equal(self.opened, 1);
  stop(&self);
}

/* In the next turn; what is over already is nobody's business. */
static void whose_replies_nobody_waits_for_is_told(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  assert_int_equal(try_send(&self, "\"now\"", "1", "\"i\""), 0);
  self.client->ops->forget(self.client, self.client->token);
  assert_int_equal(try_send(&self, "\"later\"", "1", "\"j\""), 0);
  const uint64_t token = self.client->token;
  self.client->ops->forget(self.client, token);
  assert_int_equal(self.gone, 0);
  net_test_turns(&self.test, 2);
  assert_int_equal(self.gone, 1);
  self.client->ops->forget(self.client, token);
  net_test_turns(&self.test, 2);
  assert_int_equal(self.gone, 1);
  stop(&self);
}

static void it_may_be_closed_inside_a_reply(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  self.close_on_reply = true;
  assert_int_equal(try_send(&self, "\"now\"", "1", "\"i\""), 0);
  net_test_turns(&self.test, 2);
  self.client->ops->free(self.client);
  self.client = NULL;
  net_test_turns(&self.test, 2);
  stop(&self);
}

static bool is_crowded(const local_test *self) {
  return self->origin->ops->crowded(self->origin);
}

static void whoever_answers_waits_for_who_reads(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  assert_int_equal(try_send(&self, "\"p\"", "1", "\"i\""), 0);
  const uint64_t token = self.client->token;
  self.client->ops->hold(self.client, token, true);
  assert_true(is_crowded(&self));
  self.client->ops->hold(self.client, token, false);
  assert_int_equal(self.writable, 1);
  assert_false(is_crowded(&self));
  self.client->ops->hold(self.client, token, true);
  assert_int_equal(reply(&self, ROOST_REPLY_END, "\"i\"", "", ROOST_FORMAT_JSON), 0);
  self.client->ops->hold(self.client, token, false); /* it is over */
  assert_int_equal(self.writable, 1);
  assert_int_equal(try_send(&self, "\"p\"", "1", "\"i\""), 0);
  assert_false(is_crowded(&self)); /* the delivery is used again */
  stop(&self);
}

static void what_waits_for_the_next_turn_is_bounded(void **state) {
  static local_test self;
  (void)state;
  start(&self);
  self.config.max_buffer_size = 2; /* no reply that waits is as small */
  assert_int_equal(try_send(&self, "\"p\"", "1", "\"i\""), 0);
  const roost_origin *waits = self.origin;
  assert_int_equal(try_send(&self, "\"now\"", "1", "\"j\""), 0);
  assert_true(waits->ops->crowded(waits)); /* they have one buffer */
  net_test_turns(&self.test, 2);
  assert_int_equal(self.writable, 1);
  assert_false(waits->ops->crowded(waits));
  stop(&self);
}

/* True where memory sufficed. */
static bool run_short(size_t allowed) {
  static local_test self;
  prepare(&self);
  self.test.probe.refuse_after = allowed;
  if (make(&self) != 0) {
    assert_null(self.client);
    stop(&self);
    return false;
  }
  assert_int_equal(self.client->ops->connect(self.client), 0);
  net_test_turns(&self.test, 2);
  bool all = try_send(&self, "\"now\"", "1", "\"i\"") == 0;
  net_test_turns(&self.test, 2); /* what was kept is whole, whatever was not */
  all = all && strlen(self.replies) == 18;
  assert_true(strlen(self.replies) % 9 == 0);
  stop(&self);
  return all;
}

static void each_allocation_may_fail(void **state) {
  size_t allowed = 0;
  (void)state;
  while (!run_short(allowed))
    allowed++;
  assert_in_range(allowed, 2, 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_are_handed_on_as_they_are),
      cmocka_unit_test(replies_of_every_kind),
      cmocka_unit_test(an_error_that_is_false_is_the_end),
      cmocka_unit_test(what_is_answered_at_once_is_told_in_a_later_turn),
      cmocka_unit_test(a_handler_that_sends_one_itself_is_no_other),
      cmocka_unit_test(data_nobody_can_read_is_answered),
      cmocka_unit_test(one_that_is_undone_leaves_nothing),
      cmocka_unit_test(closing_leaves_nobody_to_answer),
      cmocka_unit_test(whose_replies_nobody_waits_for_is_told),
      cmocka_unit_test(it_may_be_closed_inside_a_reply),
      cmocka_unit_test(whoever_answers_waits_for_who_reads),
      cmocka_unit_test(what_waits_for_the_next_turn_is_bounded),
      cmocka_unit_test(each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
