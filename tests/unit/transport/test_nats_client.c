#include "nats_test.h"

/* The client of services behind a NATS server that the test plays. */

typedef struct client_test {
  nats_peer peer;
  roost_client_config config;
  roost_client *client; /* NULL: freed */
  unsigned opened;
  unsigned closed;
  roost_buffer replies; /* "ID VALUE" of each, a line; ! before an error, . after the last */
  bool frees_on_reply;
} client_test;

static void on_open(void *ud) {
  ((client_test *)ud)->opened++;
}

static void on_reply(void *ud, const roost_reply *reply) {
  client_test *self = ud;
  const bool is_error = reply->err.ptr != NULL;
  const roost_slice value = is_error ? reply->err : reply->response;
  assert_int_equal(roost_buffer_printf(&self->replies, "%.*s %s%.*s%s\n", (int)reply->id.len,
                                       reply->id.ptr, is_error ? "!" : "", (int)value.len,
                                       value.len > 0 ? value.ptr : "", reply->last ? "." : ""),
                   0);
  if (self->frees_on_reply) {
    self->client->ops->free(self->client);
    self->client = NULL;
  }
}

static void on_closed(void *ud, int status, const char *why) {
  (void)status;
  (void)why;
  ((client_test *)ud)->closed++;
}

static void on_writable(void *ud) {
  (void)ud;
}

static const roost_client_sink sink = {on_open, on_reply, on_closed, on_writable};

static client_test *begin(void) {
  static client_test self;
  memset(&self, 0, sizeof self);
  nats_peer_init(&self.peer);
  roost_client_config_init(&self.config);
  self.config.transport = "nats";
  self.config.name = "MATH";
  self.config.options = &self.peer.options;
  roost_buffer_init(&self.replies, roost_alloc_default());
  return &self;
}

static client_test *make(client_test *self) {
  assert_int_equal(
      roost_nats_client_new(&self->client, self->peer.test.loop, &self->config, &sink, self), 0);
  roost_nats_conn *conn = roost_nats_client_conn(self->client);
  conn->dialer.dial = nats_dial;
  conn->dialer.dial_ud = &self->peer;
  conn->inbox_len = (size_t)snprintf(conn->inbox, sizeof conn->inbox, "_INBOX.me");
  assert_int_equal(self->client->ops->connect(self->client), 0);
  nats_greet(&self->peer);
  assert_int_equal(self->opened, 1);
  nats_expect(&self->peer, "SUB _INBOX.me.> 1\r\n");
  return self;
}

static client_test *start(void) {
  return make(begin());
}

static void stop(client_test *self) {
  if (self->client != NULL)
    self->client->ops->free(self->client);
  roost_buffer_deinit(&self->replies);
  nats_peer_deinit(&self->peer);
}

static int try_send(client_test *self, const char *pattern, const char *data, const char *id,
                    const char *metadata) {
  const roost_client_ops *ops = self->client->ops;
  const roost_message head = {.pattern = roost_slice_text(pattern),
                              .id = roost_slice_text(id),
                              .metadata = roost_slice_text(metadata)};
  roost_buffer *out = ops->begin(self->client, &head);
  if (out == NULL)
    return ROOST_ENOMEM;
  if (roost_buffer_append_slice(out, roost_slice_text(data)) != 0) {
    ops->undo(self->client);
    return ROOST_ENOMEM;
  }
  return ops->end(self->client, &head);
}

static void send_one(client_test *self, const char *pattern, const char *data, const char *id) {
  assert_int_equal(try_send(self, pattern, data, id, NULL), 0);
}

static void expect_replies(client_test *self, const char *text) {
  nats_turns(&self->peer);
  if (!roost_slice_equal(roost_buffer_slice(&self->replies), roost_slice_text(text)))
    fail_msg("replies: %.*s", (int)self->replies.len, self->replies.ptr);
  roost_buffer_clear(&self->replies);
}

/* --------------------------------------------------------------------- sending --------------- */

static void messages_are_as_nest_writes_them(void **state) {
  (void)state;
  client_test *self = start();
  send_one(self, "{\"b\":1,\"a\":2}", "[1,2]", "\"abc\"");
  nats_expect(&self->peer, "PUB {\"a\":2,\"b\":1} _INBOX.me.abc.{\"a\":2,\"b\":1}       49\r\n"
                           "{\"pattern\":{\"b\":1,\"a\":2},\"data\":[1,2],\"id\":\"abc\"}\r\n");
  send_one(self, "\"math.sum\"", "1", "\"abc\"");
  send_one(self, "7", "1", NULL);
  nats_expect(&self->peer, "PUB math.sum _INBOX.me.abc.math.sum       42\r\n"
                           "{\"pattern\":\"math.sum\",\"data\":1,\"id\":\"abc\"}\r\n"
                           "PUB 7       22\r\n{\"pattern\":7,\"data\":1}\r\n");
  assert_int_equal(self->peer.record.reads, 4); /* one write for the turn */
  stop(self);
}

/* Where the route would make a subject that is none, or one that is long, only the id stands. */
static void not_every_route_stands_in_the_inbox(void **state) {
  static const char *const routes[] = {"a..b", "a.", ".a", "a.*", ">"};
  char text[300];
  (void)state;
  client_test *self = start();
  for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
    snprintf(text, sizeof text, "\"%s\"", routes[i]);
    send_one(self, text, "1", "\"abc\"");
    snprintf(text, sizeof text, "PUB %s _INBOX.me.abc  ", routes[i]);
    assert_true(nats_was_sent(&self->peer, text));
  }
  memset(text, 'x', sizeof text - 1);
  text[0] = text[sizeof text - 2] = '"';
  text[sizeof text - 1] = '\0';
  send_one(self, text, "1", "\"def\"");
  assert_true(nats_was_sent(&self->peer, " _INBOX.me.def  "));
  stop(self);
}

static void headers_stand_before_the_body(void **state) {
  (void)state;
  client_test *self = begin();
  self->peer.options.headers = "{\"a\":\"1\",\"b\":\"2\"}";
  make(self);
  assert_int_equal(try_send(self, "\"p\"", "1", NULL, "{\"b\":\"3\",\"c\":4}"), 0);
  nats_expect(&self->peer, "HPUB p       30       54\r\nNATS/1.0\r\na: 1\r\nb: 3\r\nc: 4\r\n\r\n"
                           "{\"pattern\":\"p\",\"data\":1}\r\n");
  send_one(self, "\"p\"", "1", NULL);
  nats_expect(&self->peer, "HPUB p       24       48\r\nNATS/1.0\r\na: 1\r\nb: 2\r\n\r\n"
                           "{\"pattern\":\"p\",\"data\":1}\r\n");
  stop(self);
  self = start();
  assert_int_equal(try_send(self, "\"p\"", "1", NULL, "{}"), 0);
  nats_expect(&self->peer, "PUB p       24\r\n{\"pattern\":\"p\",\"data\":1}\r\n");
  stop(self);
}

static void refuses(client_test *self, const char *pattern, const char *data, const char *metadata,
                    const char *why) {
  assert_int_equal(try_send(self, pattern, data, "\"x\"", metadata), ROOST_EUNSUPPORTED);
  assert_non_null(strstr(self->client->refusal, why));
  nats_expect(&self->peer, "");
}

static void what_cannot_be_sent_is_refused(void **state) {
  char large[1100];
  (void)state;
  client_test *self = start();
  refuses(self, "\"a b\"", "1", NULL, "neither blanks");
  refuses(self, "\"\"", "1", NULL, "neither blanks");
  refuses(self, "true", "1", NULL, "cannot be a subject");
  refuses(self, "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":1}}}}}}}", "1", NULL, "nested");
  refuses(self, "\"p\"", "1", "{\"a:\":\"1\"}", "name has");
  refuses(self, "\"p\"", "1", "{\"a\":\"\\n\"}", "value has");
  refuses(self, "\"p\"", "1", "[12]", "no object");
  memset(large, '1', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  refuses(self, "\"p\"", large, NULL, "takes 1000 (max_payload)");
  send_one(self, "\"p\"", "1", NULL);
  nats_expect(&self->peer, "PUB p       24\r\n{\"pattern\":\"p\",\"data\":1}\r\n");
  stop(self);
}

static void one_that_is_undone_leaves_nothing(void **state) {
  (void)state;
  client_test *self = start();
  const roost_message head = {.pattern = ROOST_SLICE("\"p\""), .id = ROOST_SLICE("\"i\"")};
  assert_non_null(self->client->ops->begin(self->client, &head));
  self->client->ops->undo(self->client);
  nats_expect(&self->peer, "");
  stop(self);
}

static int upper_case(roost_codec *codec, roost_slice packet, roost_buffer *body) {
  (void)codec;
  for (size_t i = 0; i < packet.len; i++)
    assert_int_equal(roost_buffer_append_byte(body, packet.ptr[i] == 'p' ? 'P' : packet.ptr[i]), 0);
  return 0;
}

static int lower_case(roost_codec *codec, roost_slice body, roost_buffer *packet) {
  (void)codec;
  for (size_t i = 0; i < body.len; i++)
    assert_int_equal(roost_buffer_append_byte(packet, body.ptr[i] == 'R' ? 'r' : body.ptr[i]), 0);
  return 0;
}

static void a_codec_stands_between(void **state) {
  roost_codec codec = {.read = lower_case, .write = upper_case};
  (void)state;
  client_test *self = start();
  self->client->codec = &codec;
  assert_int_equal(try_send(self, "\"x\"", "1", "\"i\"", "{\"p\":\"p\"}"), 0);
  assert_true(
      nats_was_sent(&self->peer, "p: p\r\n\r\n{\"Pattern\":\"x\",\"data\":1,\"id\":\"i\"}\r\n"));
  nats_say(&self->peer, "MSG _INBOX.me.i.x 1 35\r\n{\"Response\":1,\"isDisposed\":true   }\r\n");
  expect_replies(self, "\"i\" 1.\n");
  stop(self);
}

/* --------------------------------------------------------------------- replies --------------- */

static void reply(client_test *self, const char *subject, const char *body) {
  char text[400];
  snprintf(text, sizeof text, "MSG %s 1 %zu\r\n%s\r\n", subject, strlen(body), body);
  nats_say(&self->peer, text);
}

static void replies_are_known_by_id_or_subject(void **state) {
  (void)state;
  client_test *self = start();
  reply(self, "_INBOX.me.abc.sum", "{\"response\":1,\"id\":\"abc\"}");
  reply(self, "_INBOX.me.abc.sum", "{\"response\":2}");
  reply(self, "_INBOX.me.abc", "{\"response\":3,\"isDisposed\":true}");
  reply(self, "_INBOX.me.abc", "{\"err\":\"e\",\"isDisposed\":true,\"id\":\"abc\"}");
  expect_replies(self, "\"abc\" 1\n\"abc\" 2\n\"abc\" 3.\n\"abc\" !\"e\".\n");
  reply(self, "_INBOX.me.abc", "{\"response\":3,\"isDisposed\":true,\"id\":\"other\"}");
  reply(self, "_INBOX.me", "{\"response\":3}");
  expect_replies(self, "");
  stop(self);
}

static void others_than_nest_answer_too(void **state) {
  (void)state;
  client_test *self = start();
  reply(self, "_INBOX.me.abc", "5");
  reply(self, "_INBOX.me.abc", "{\"stream\":\"S\",\"seq\":1}");
  reply(self, "_INBOX.me.abc", "no JSON");
  reply(self, "_INBOX.me.abc", "\"\xff\"");
  expect_replies(self, "\"abc\" 5.\n\"abc\" {\"stream\":\"S\",\"seq\":1}.\n"
                       "\"abc\" !\"The reply is not JSON\".\n\"abc\" \"\xEF\xBF\xBD\".\n");
  stop(self);
}

static void an_empty_one_says_whom_it_was_for(void **state) {
  (void)state;
  client_test *self = start();
  nats_say(&self->peer, "HMSG _INBOX.me.abc.math.sum 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
  reply(self, "_INBOX.me.abc.{\"cmd\":\"x\"}", "");
  expect_replies(self,
                 "\"abc\" !\"Empty response. There are no subscribers listening to that message "
                 "(\\\"math.sum\\\")\".\n\"abc\" !\"Empty response. There are no subscribers "
                 "listening to that message (\\\"{\\\"cmd\\\":\\\"x\\\"}\\\")\".\n");
  stop(self);
}

static void one_that_is_too_large_is_an_error(void **state) {
  (void)state;
  client_test *self = begin();
  self->config.max_buffer_size = 20;
  make(self);
  reply(self, "_INBOX.me.abc", "{\"response\":\"12345678901234567890\"}");
  reply(self, "_INBOX.me.abc", "{\"response\":1}");
  expect_replies(self, "\"abc\" !\"The reply is larger than max_buffer_size\".\n\"abc\" 1\n");
  stop(self);
}

static void a_reply_may_free_the_client(void **state) {
  static const char *const bodies[] = {"{\"response\":1}", "\"\xff\"", ""};
  (void)state;
  for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
    client_test *self = start();
    self->frees_on_reply = true;
    reply(self, "_INBOX.me.abc", bodies[i]);
    assert_null(self->client);
    stop(self);
  }
}

static void it_connects_again_when_told(void **state) {
  (void)state;
  client_test *self = start();
  roost_conn_close(self->peer.record.conn);
  nats_turns(&self->peer);
  assert_int_equal(self->closed, 1);
  assert_null(roost_dialer_remote(self->client->dialer));
  assert_int_equal(self->client->ops->connect(self->client), 0);
  nats_greet(&self->peer);
  assert_int_equal(self->opened, 2);
  nats_expect(&self->peer, "SUB _INBOX.me.> 1\r\n");
  stop(self);
}

static void survives_a_refusing_allocator(void **state) {
  (void)state;
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status == ROOST_ENOMEM; n++) {
    client_test *self = begin();
    self->peer.options.headers = "{\"a\":\"1\"}";
    make(self);
    self->peer.test.probe.refuse_after = n;
    status =
        try_send(self, "{\"long\":\"pattern_of_some_length\"}", "1", "\"abc\"", "{\"b\":\"2\"}");
    self->peer.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    if (status != 0 && status != ROOST_ENOMEM)
      fail_msg("%d %s", status, self->client->refusal);
    nats_turns(&self->peer);
    assert_int_equal(self->peer.record.bytes.len > 0, status == 0);
    stop(self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_are_as_nest_writes_them),
      cmocka_unit_test(not_every_route_stands_in_the_inbox),
      cmocka_unit_test(headers_stand_before_the_body),
      cmocka_unit_test(what_cannot_be_sent_is_refused),
      cmocka_unit_test(one_that_is_undone_leaves_nothing),
      cmocka_unit_test(a_codec_stands_between),
      cmocka_unit_test(replies_are_known_by_id_or_subject),
      cmocka_unit_test(others_than_nest_answer_too),
      cmocka_unit_test(an_empty_one_says_whom_it_was_for),
      cmocka_unit_test(one_that_is_too_large_is_an_error),
      cmocka_unit_test(a_reply_may_free_the_client),
      cmocka_unit_test(it_connects_again_when_told),
      cmocka_unit_test(survives_a_refusing_allocator),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
