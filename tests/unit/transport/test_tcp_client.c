#include "net/net_test.h"

#include "transport/transport.h"

/* The client against a peer that the test plays, mostly on a pair in memory. */

typedef enum action { NOTHING, CLOSE, CLOSE_AND_CONNECT, FREE } action;

typedef struct client_test {
  net_test test;
  roost_client_config config;
  roost_client *client; /* NULL: freed */
  net_record peer;      /* the other end of the newest connection */
  bool refuses;         /* what dial does */
  bool is_short;        /* of memory, when it dials */
  unsigned dials;
  unsigned opened;
  unsigned closed;
  unsigned writables;
  int status;
  const char *why;
  roost_buffer replies; /* "ID VALUE" of each, a line */
  unsigned reply_count;
  action on_open; /* to be done there */
  action on_reply;
  action on_closed;
} client_test;

/* --------------------------------------------------------------------- the sink -------------- */

static void act(client_test *self, action *what) {
  const action now = *what;
  *what = NOTHING;
  if (now == FREE) {
    self->client->ops->free(self->client);
    self->client = NULL;
  } else if (now != NOTHING) {
    self->client->ops->close(self->client);
  }
  if (now == CLOSE_AND_CONNECT)
    assert_int_equal(self->client->ops->connect(self->client), 0);
}

static void on_open(void *ud) {
  client_test *self = ud;
  self->opened++;
  act(self, &self->on_open);
}

static void on_reply(void *ud, const roost_reply *reply) {
  client_test *self = ud;
  const roost_slice value = reply->err.ptr != NULL ? reply->err : reply->response;
  self->reply_count++;
  assert_int_equal(roost_buffer_printf(&self->replies, "%.*s %.*s\n", (int)reply->id.len,
                                       reply->id.len ? reply->id.ptr : "", (int)value.len,
                                       value.len ? value.ptr : ""),
                   0);
  act(self, &self->on_reply);
}

static void on_closed(void *ud, int status, const char *why) {
  client_test *self = ud;
  self->closed++;
  self->status = status;
  self->why = why;
  act(self, &self->on_closed);
}

static void on_writable(void *ud) {
  client_test *self = ud;
  assert_false(self->client->ops->crowded(self->client));
  self->writables++;
}

static const roost_client_sink sink = {on_open, on_reply, on_closed, on_writable};

/* --------------------------------------------------------------------- the connection -------- */

static int dial(void *ud, roost_conn **out, const roost_conn_ops *ops, void *ops_ud) {
  client_test *self = ud;
  roost_conn *other;
  self->dials++;
  if (self->refuses)
    return ROOST_ECONNECT;
  if (self->is_short)
    return ROOST_ENOMEM;
  const int status = roost_conn_pair(out, &other, self->test.loop);
  if (status != 0)
    return status;
  net_record_deinit(&self->peer);
  net_record_init(&self->peer, other);
  roost_conn_set_ops(*out, ops, ops_ud);
  return 1;
}

static void prepare(client_test *self) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  roost_client_config_init(&self->config);
  roost_buffer_init(&self->replies, roost_alloc_default());
  net_record_init(&self->peer, NULL);
}

static void make(client_test *self) {
  assert_int_equal(roost_tcp_client_new(&self->client, self->test.loop, &self->config, &sink, self),
                   0);
}

/* Connected; change the config between prepare and this. */
static void start(client_test *self) {
  make(self);
  roost_client_set_dial(self->client, dial, self);
  assert_int_equal(self->client->ops->connect(self->client), 0);
  assert_int_equal(self->opened, 0); /* told in a later turn */
  net_test_turns(&self->test, 2);
  assert_true(self->opened >= 1);
}

/* The same with the usual config. */
static void begin(client_test *self) {
  prepare(self);
  start(self);
}

static void stop(client_test *self) {
  if (self->client != NULL)
    self->client->ops->free(self->client);
  net_test_turns(&self->test, 4);
  net_test_deinit(&self->test);
  net_record_deinit(&self->peer);
  roost_buffer_deinit(&self->replies);
}

/* --------------------------------------------------------------------- talking --------------- */

static int try_send(client_test *self, const char *pattern, const char *data, const char *id) {
  const roost_message head = {.pattern = roost_slice_text(pattern),
                              .id = id ? roost_slice_text(id) : (roost_slice){NULL, 0}};
  roost_buffer *out = self->client->ops->begin(self->client, &head);
  if (out == NULL)
    return ROOST_ENOMEM;
  if (roost_buffer_append_slice(out, roost_slice_text(data)) != 0) {
    self->client->ops->undo(self->client);
    return ROOST_ENOMEM;
  }
  return self->client->ops->end(self->client, &head);
}

static void send_one(client_test *self, const char *pattern, const char *data, const char *id) {
  assert_int_equal(try_send(self, pattern, data, id), 0);
}

static void send_large(client_test *self) {
  const roost_message head = {.pattern = ROOST_SLICE("1")};
  roost_buffer *out = self->client->ops->begin(self->client, &head);
  assert_int_equal(roost_buffer_reserve(out, 300000), 0);
  memset(out->ptr + out->len, '1', 300000);
  out->len += 300000;
  assert_int_equal(self->client->ops->end(self->client, &head), 0);
}

static void turns(client_test *self) {
  net_test_turns(&self->test, 6);
}

static void expect_peer(client_test *self, const char *text) {
  turns(self);
  if (!net_record_has(&self->peer, text))
    fail_msg("the peer was sent %.*s", (int)self->peer.bytes.len, self->peer.bytes.ptr);
  roost_buffer_clear(&self->peer.bytes);
}

static void expect_replies(client_test *self, const char *text) {
  turns(self);
  if (!roost_slice_equal(roost_buffer_slice(&self->replies), roost_slice_text(text)))
    fail_msg("replies: %.*s", (int)self->replies.len, self->replies.ptr);
  roost_buffer_clear(&self->replies);
}

static void expect_closed(client_test *self, int status, const char *why) {
  turns(self);
  assert_int_equal(self->closed, 1);
  assert_int_equal(self->status, status);
  assert_string_equal(self->why, why);
  assert_null(roost_client_remote(self->client));
  assert_int_equal(roost_client_descriptor(self->client), -1);
}

static const char one[] = "43#{\"response\":1,\"isDisposed\":true,\"id\":\"abc\"}";
static const char item[] = "25#{\"response\":2,\"id\":\"abc\"}";

/* --------------------------------------------------------------------- sending --------------- */

static void messages_are_frames_as_nest_writes_them(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  send_one(&self, "{\"b\":1,\"a\":2}", "[1,2]", "\"3dcfcb87bd4bf06ff701b\"");
  send_one(&self, "\"é😀\"", "\"é😀\"", "\"87bd4bf06ff701b533561\"");
  send_one(&self, "\"notify\"", "{\"v\":1}", NULL);
  expect_peer(&self,
              "67#{\"pattern\":{\"b\":1,\"a\":2},\"data\":[1,2],\"id\":\"3dcfcb87bd4bf06ff701b\"}"
              "59#{\"pattern\":\"é😀\",\"data\":\"é😀\",\"id\":\"87bd4bf06ff701b533561\"}"
              "35#{\"pattern\":\"notify\",\"data\":{\"v\":1}}");
  assert_int_equal(self.peer.reads, 1); /* one write for the turn */
  stop(&self);
}

static void metadata_stands_before_the_id(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  const roost_message head = {.pattern = ROOST_SLICE("\"p\""),
                              .id = ROOST_SLICE("\"i\""),
                              .metadata = ROOST_SLICE("{\"m\":1}")};
  roost_buffer *out = self.client->ops->begin(self.client, &head);
  assert_int_equal(roost_buffer_append_byte(out, '2'), 0);
  assert_int_equal(self.client->ops->end(self.client, &head), 0);
  expect_peer(&self, "52#{\"pattern\":\"p\",\"data\":2,\"metadata\":{\"m\":1},\"id\":\"i\"}");
  stop(&self);
}

static void one_that_is_undone_leaves_nothing(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  send_one(&self, "1", "1", NULL);
  const roost_message head = {.pattern = ROOST_SLICE("\"p\""), .id = ROOST_SLICE("\"i\"")};
  assert_non_null(self.client->ops->begin(self.client, &head));
  self.client->ops->undo(self.client);
  send_one(&self, "2", "2", NULL);
  expect_peer(&self, "22#{\"pattern\":1,\"data\":1}22#{\"pattern\":2,\"data\":2}");
  stop(&self);
}

/* --------------------------------------------------------------------- replies --------------- */

static void replies_come_in_pieces(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  for (size_t i = 0; i + 1 < sizeof item; i++) {
    const char byte[] = {item[i], '\0'};
    net_write(self.peer.conn, byte);
    net_test_turns(&self.test, 2);
  }
  net_write(self.peer.conn, one);
  net_write(self.peer.conn, one);
  expect_replies(&self, "\"abc\" 2\n\"abc\" 1\n\"abc\" 1\n");
  assert_int_equal(self.closed, 0);
  stop(&self);
}

static void nothing_is_read_while_it_pauses(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  self.client->ops->pause(self.client, true);
  net_write(self.peer.conn, item);
  expect_replies(&self, "");
  self.client->ops->pause(self.client, false);
  expect_replies(&self, "\"abc\" 2\n");
  self.client->ops->pause(self.client, true);
  self.client->ops->close(self.client);
  roost_conn_shutdown(self.peer.conn);
  turns(&self);
  assert_int_equal(self.peer.closes, 1); /* both have seen the other's end */
  self.client->ops->pause(self.client, false);
  stop(&self);
}

static void a_large_reply_is_read_in_place(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  char head[64];
  const size_t len = 1000000;
  const int n = snprintf(head, sizeof head, "%zu#{\"id\":\"abc\",\"response\":\"", len + 26);
  assert_int_equal(roost_buffer_append(roost_conn_out(self.peer.conn), head, (size_t)n), 0);
  net_write_many(self.peer.conn, len);
  net_write(self.peer.conn, "\"}");
  net_write(self.peer.conn, one);
  NET_TEST_UNTIL(&self.test, self.reply_count == 2);
  assert_int_equal(self.replies.len, 6 + len + 3 + 8);
  stop(&self);
}

static void what_is_no_reply_is_ignored_or_ends_the_connection(void **state) {
  static const struct {
    const char *bytes;
    const char *why; /* NULL: nothing happens */
  } rows[] = {
      {"1#7", NULL},
      {"4#true", NULL},
      {"6#\"text\"", NULL},
      {"4#null", NULL},
      {"3#{,}", "a reply is not JSON"},
      {"5#{\"a\":", "a reply is not JSON"},
      {"2#{}2#no", "a reply is not JSON"},
      {"abc#{}", NULL}, /* the text is the reader's */
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    static client_test self;
    prepare(&self);
    start(&self);
    net_write(self.peer.conn, rows[i].bytes);
    turns(&self);
    const bool ends = rows[i].why != NULL || rows[i].bytes[0] == 'a';
    assert_int_equal(self.closed, ends);
    if (rows[i].why != NULL)
      expect_closed(&self, ROOST_EPROTO, rows[i].why);
    else if (ends)
      assert_int_equal(self.status, ROOST_EPROTO);
    stop(&self);
  }
}

static void a_reply_over_max_buffer_size_ends_the_connection(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  self.config.max_buffer_size = 100;
  start(&self);
  net_write(self.peer.conn, one);
  net_write(self.peer.conn, "101#");
  expect_replies(&self, "\"abc\" 1\n");
  assert_int_equal(self.closed, 1);
  assert_int_equal(self.status, ROOST_EPROTO);
  stop(&self);
}

static void an_unfinished_reply_runs_out_of_time(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  self.config.incomplete_message_timeout = 100;
  start(&self);
  net_write(self.peer.conn, "43#{\"resp");
  turns(&self);
  net_test_advance(&self.test, 99);
  net_write(self.peer.conn, "onse\":");
  turns(&self);
  net_test_advance(&self.test, 99); /* armed anew */
  turns(&self);
  assert_int_equal(self.closed, 0);
  net_test_advance(&self.test, 1);
  expect_closed(&self, ROOST_EPROTO, "a reply was begun and not finished");
  stop(&self);
}

static void silence_between_replies_is_no_matter(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  self.config.incomplete_message_timeout = 100;
  start(&self);
  net_write(self.peer.conn, item);
  turns(&self);
  net_test_advance(&self.test, 100000);
  net_write(self.peer.conn, one);
  expect_replies(&self, "\"abc\" 2\n\"abc\" 1\n");
  stop(&self);
}

/* --------------------------------------------------------------------- the end --------------- */

static void the_peers_fin_ends_it_after_what_came_before(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  net_write(self.peer.conn, one);
  net_write(self.peer.conn, "43#{\"half");
  roost_conn_shutdown(self.peer.conn);
  expect_replies(&self, "\"abc\" 1\n");
  expect_closed(&self, ROOST_EGONE, "Connection closed");
  assert_int_equal(self.peer.closes, 1);
  stop(&self);
}

static void a_lost_connection_is_told_with_its_cause(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  send_one(&self, "1", "1", NULL);
  net_test_turn(&self.test);
  roost_conn_pause(self.peer.conn);
  roost_conn_close(self.peer.conn); /* with bytes unread: a reset */
  turns(&self);
  assert_int_equal(self.closed, 1);
  assert_int_equal(self.status, ROOST_EGONE);
  stop(&self);
}

static void a_refusal_is_told_in_a_later_turn(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  self.refuses = true;
  make(&self);
  roost_client_set_dial(self.client, dial, &self);
  assert_int_equal(self.client->ops->connect(self.client), 0);
  assert_int_equal(self.closed, 0);
  expect_closed(&self, ROOST_ECONNECT, "ECONNREFUSED");
  stop(&self);
}

static void closing_tells_nothing(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  self.client->ops->close(self.client);
  self.client->ops->close(self.client);
  turns(&self);
  assert_int_equal(self.closed, 0);
  assert_int_equal(self.peer.eofs, 1);
  assert_int_equal(self.client->ops->connect(self.client), 0);
  self.client->ops->close(self.client); /* before it is open */
  turns(&self);
  assert_int_equal(self.opened, 1);
  assert_int_equal(self.closed, 0);
  stop(&self);
}

static void what_was_written_before_the_close_still_goes(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  send_one(&self, "1", "1", NULL);
  self.client->ops->close(self.client);
  expect_peer(&self, "22#{\"pattern\":1,\"data\":1}");
  assert_int_equal(self.peer.eofs, 1);
  net_write(self.peer.conn, one); /* nobody's any more */
  expect_replies(&self, "");
  roost_conn_shutdown(self.peer.conn);
  turns(&self);
  assert_int_equal(self.peer.closes, 1);
  stop(&self);
}

static void a_peer_that_stays_is_dropped_after_a_while(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  roost_conn_pause(self.peer.conn);
  roost_buffer *out;
  const roost_message head = {.pattern = ROOST_SLICE("1")};
  assert_non_null(out = self.client->ops->begin(self.client, &head));
  assert_int_equal(roost_buffer_reserve(out, 200000), 0);
  memset(out->ptr + out->len, '1', 200000);
  out->len += 200000;
  assert_int_equal(self.client->ops->end(self.client, &head), 0);
  self.client->ops->close(self.client);
  turns(&self);
  net_test_advance(&self.test, 1999); /* some of it went: another while */
  roost_conn_read_now(self.peer.conn);
  turns(&self);
  net_test_advance(&self.test, 1);
  turns(&self);
  net_test_advance(&self.test, 1999);
  turns(&self);
  assert_int_equal(self.peer.closes, 0);
  net_test_advance(&self.test, 4000);
  turns(&self);
  roost_conn_resume(self.peer.conn);
  turns(&self);
  assert_int_equal(self.peer.closes + self.peer.eofs, 1);
  stop(&self);
}

static void a_new_connection_does_not_wait_for_the_old_ones_end(void **state) {
  static client_test self;
  net_record old;
  (void)state;
  begin(&self);
  old = self.peer;
  roost_conn_set_ops(old.conn, &net_record_ops, &old);
  net_record_init(&self.peer, NULL);
  self.client->ops->close(self.client);
  assert_int_equal(self.client->ops->connect(self.client), 0);
  turns(&self);
  assert_int_equal(self.opened, 2);
  net_write(old.conn, one); /* what the old one still says reaches nobody */
  expect_replies(&self, "");
  roost_conn_close(old.conn);
  turns(&self);
  assert_int_equal(self.closed, 0);
  send_one(&self, "1", "1", NULL);
  expect_peer(&self, "22#{\"pattern\":1,\"data\":1}");
  net_write(self.peer.conn, one);
  expect_replies(&self, "\"abc\" 1\n");
  net_record_deinit(&old);
  stop(&self);
}

static void it_may_be_closed_inside_what_it_tells(void **state) {
  (void)state;
  for (action what = CLOSE; what <= FREE; what++)
    for (int where = 0; where < 3; where++) {
      static client_test self;
      prepare(&self);
      *(where == 0 ? &self.on_open : where == 1 ? &self.on_reply : &self.on_closed) = what;
      start(&self);
      if (self.client != NULL && self.peer.conn != NULL && where > 0) {
        net_write(self.peer.conn, one);
        net_write(self.peer.conn, item);
        turns(&self);
        assert_int_equal(self.reply_count, where == 1 ? 1 : 2);
      }
      if (self.peer.conn != NULL)
        roost_conn_close(self.peer.conn);
      turns(&self);
      assert_int_equal(self.client == NULL, what == FREE);
      stop(&self);
    }
}

static void a_large_reply_may_be_the_last_it_hears(void **state) {
  static client_test self;
  (void)state;
  begin(&self);
  self.on_reply = FREE;
  char head[64];
  const size_t len = 300000;
  const int n = snprintf(head, sizeof head, "%zu#{\"id\":\"abc\",\"response\":\"", len + 26);
  assert_int_equal(roost_buffer_append(roost_conn_out(self.peer.conn), head, (size_t)n), 0);
  net_write_many(self.peer.conn, len);
  net_write(self.peer.conn, "\"}");
  NET_TEST_UNTIL(&self.test, self.reply_count == 1);
  stop(&self);
}

/* --------------------------------------------------------------------- limits ---------------- */

static void a_crowded_one_tells_when_there_is_room(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  self.config.max_send_buffer_size = 400000;
  start(&self);
  roost_conn_pause(self.peer.conn);
  send_large(&self);
  turns(&self);
  assert_true(self.client->ops->crowded(self.client));
  assert_int_equal(self.writables, 0);
  roost_conn_resume(self.peer.conn);
  NET_TEST_UNTIL(&self.test, self.writables == 1);
  stop(&self);
}

static void over_the_send_limit_it_ends(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  self.config.max_send_buffer_size = 100000;
  start(&self);
  roost_conn_pause(self.peer.conn);
  send_large(&self);
  expect_closed(&self, ROOST_EGONE, "the peer does not read what is sent to it");
  stop(&self);
}

/* True where memory sufficed. */
static bool run_short(size_t allowed) {
  static client_test self;
  prepare(&self);
  self.test.probe.refuse_after = allowed;
  bool all = true;
  if (roost_tcp_client_new(&self.client, self.test.loop, &self.config, &sink, &self) != 0) {
    assert_null(self.client);
    stop(&self);
    return false;
  }
  roost_client_set_dial(self.client, dial, &self);
  const int status = self.client->ops->connect(self.client);
  if (status == 0) {
    turns(&self);
    all = self.opened == 1 && try_send(&self, "1", "[1]", "\"i\"") == 0;
    turns(&self);
    if (self.peer.conn != NULL && self.closed == 0)
      net_test_turns(&self.test, 2);
  } else {
    assert_int_equal(status, ROOST_ENOMEM);
  }
  stop(&self);
  return status == 0 && all;
}

static void each_allocation_may_fail(void **state) {
  size_t allowed = 0;
  (void)state;
  while (!run_short(allowed))
    allowed++;
  assert_in_range(allowed, 3, 100);
}

static void a_dial_short_of_memory_is_an_error(void **state) {
  static client_test self;
  (void)state;
  prepare(&self);
  self.is_short = true;
  make(&self);
  roost_client_set_dial(self.client, dial, &self);
  assert_int_equal(self.client->ops->connect(self.client), ROOST_ENOMEM);
  turns(&self);
  assert_int_equal(self.closed, 0);
  stop(&self);
}

/* --------------------------------------------------------------------- real sockets ---------- */

/* A socket that takes connections, or would if it listened, at a free port of 127.0.0.1. */
static int take_port(uint16_t *port, bool listens) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(taken, (struct sockaddr *)&address, size), 0);
  if (listens)
    assert_int_equal(listen(taken, 8), 0);
  assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &size), 0);
  *port = ntohs(address.sin_port);
  return taken;
}

static void it_tries_one_place_after_the_other(void **state) {
  static client_test self;
  uint16_t ports[3];
  int sockets[3];
  (void)state;
  prepare(&self);
  for (size_t i = 0; i < 3; i++)
    sockets[i] = take_port(&ports[i], i == 1);
  const roost_endpoint others[] = {{"127.0.0.1", ports[1]}, {"127.0.0.1", ports[2]}};
  self.config.host = "127.0.0.1";
  self.config.port = ports[0];
  self.config.others = others;
  self.config.other_count = 2;
  make(&self);
  assert_int_equal(self.client->ops->connect(self.client), 0);
  NET_TEST_UNTIL(&self.test, self.opened == 1);
  assert_int_equal(roost_client_place(self.client).port, ports[1]);
  assert_int_equal(roost_client_remote(self.client)->port, ports[1]);
  self.client->ops->close(self.client);
  assert_int_equal(self.client->ops->connect(self.client), 0); /* where it was connected, first */
  NET_TEST_UNTIL(&self.test, self.opened == 2);
  assert_int_equal(roost_client_place(self.client).port, ports[1]);
  close(sockets[1]);
  self.client->ops->close(self.client);
  assert_int_equal(self.client->ops->connect(self.client), 0);
  NET_TEST_UNTIL(&self.test, self.closed == 1); /* once, for all of them */
  assert_int_equal(self.status, ROOST_ECONNECT);
  assert_string_equal(self.why, "ECONNREFUSED");
  assert_int_equal(self.client->ops->connect(self.client), 0);
  self.client->ops->close(self.client); /* while more are to be tried */
  turns(&self);
  assert_int_equal(self.closed, 1);
  stop(&self);
  close(sockets[0]);
  close(sockets[2]);
}

static void it_leaves_a_place_that_takes_it_and_says_nothing(void **state) {
  static client_test self;
  uint16_t ports[2];
  int sockets[2];
  (void)state;
  prepare(&self);
  for (size_t i = 0; i < 2; i++)
    sockets[i] = take_port(&ports[i], true);
  const roost_endpoint other = {"127.0.0.1", ports[1]};
  self.config.host = "127.0.0.1";
  self.config.port = ports[0];
  self.config.others = &other;
  self.config.other_count = 1;
  make(&self);
  assert_int_equal(self.client->ops->connect(self.client), 0);
  NET_TEST_UNTIL(&self.test, self.opened == 1);
  close(accept(sockets[0], NULL, NULL));
  NET_TEST_UNTIL(&self.test, self.closed == 1);
  assert_int_equal(self.status, ROOST_EGONE);
  assert_int_equal(roost_client_place(self.client).port, ports[0]); /* what the error is of */
  assert_int_equal(self.client->ops->connect(self.client), 0);
  NET_TEST_UNTIL(&self.test, self.opened == 2);
  assert_int_equal(roost_client_place(self.client).port, ports[1]);
  stop(&self);
  close(sockets[0]);
  close(sockets[1]);
}

static void it_dials_and_knows_both_ends(void **state) {
  static client_test self;
  uint16_t port;
  (void)state;
  prepare(&self);
  const int listening = take_port(&port, true);
  self.config.host = "localhost";
  self.config.port = port;
  make(&self);
  assert_int_equal(self.client->ops->connect(self.client), 0);
  NET_TEST_UNTIL(&self.test, self.opened == 1);
  assert_int_equal(roost_client_remote(self.client)->port, self.config.port);
  assert_string_equal(roost_client_local(self.client)->text, "127.0.0.1");
  assert_true(roost_client_descriptor(self.client) > 0);
  close(listening);
  self.client->ops->close(self.client);
  assert_int_equal(self.client->ops->connect(self.client), 0);
  NET_TEST_UNTIL(&self.test, self.closed == 1);
  assert_int_equal(self.status, ROOST_ECONNECT);
  assert_string_equal(self.why, "ECONNREFUSED");
  stop(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_are_frames_as_nest_writes_them),
      cmocka_unit_test(metadata_stands_before_the_id),
      cmocka_unit_test(one_that_is_undone_leaves_nothing),
      cmocka_unit_test(replies_come_in_pieces),
      cmocka_unit_test(nothing_is_read_while_it_pauses),
      cmocka_unit_test(a_large_reply_is_read_in_place),
      cmocka_unit_test(what_is_no_reply_is_ignored_or_ends_the_connection),
      cmocka_unit_test(a_reply_over_max_buffer_size_ends_the_connection),
      cmocka_unit_test(an_unfinished_reply_runs_out_of_time),
      cmocka_unit_test(silence_between_replies_is_no_matter),
      cmocka_unit_test(the_peers_fin_ends_it_after_what_came_before),
      cmocka_unit_test(a_lost_connection_is_told_with_its_cause),
      cmocka_unit_test(a_refusal_is_told_in_a_later_turn),
      cmocka_unit_test(closing_tells_nothing),
      cmocka_unit_test(what_was_written_before_the_close_still_goes),
      cmocka_unit_test(a_peer_that_stays_is_dropped_after_a_while),
      cmocka_unit_test(a_new_connection_does_not_wait_for_the_old_ones_end),
      cmocka_unit_test(it_may_be_closed_inside_what_it_tells),
      cmocka_unit_test(a_large_reply_may_be_the_last_it_hears),
      cmocka_unit_test(a_crowded_one_tells_when_there_is_room),
      cmocka_unit_test(over_the_send_limit_it_ends),
      cmocka_unit_test(each_allocation_may_fail),
      cmocka_unit_test(a_dial_short_of_memory_is_an_error),
      cmocka_unit_test(it_tries_one_place_after_the_other),
      cmocka_unit_test(it_leaves_a_place_that_takes_it_and_says_nothing),
      cmocka_unit_test(it_dials_and_knows_both_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
