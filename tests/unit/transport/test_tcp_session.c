#include "transport/tcp_test.h"

static void start(tcp_test *self) {
  tcp_init(self);
  tcp_start(self);
}

static void send_text(tcp_test *self, const char *text) {
  net_write(self->peer.conn, text);
}

static void expect_text(tcp_test *self, const char *text) {
  roost_buffer expected;
  roost_buffer_init(&expected, roost_alloc_default());
  assert_int_equal(roost_buffer_append(&expected, text, strlen(text)), 0);
  tcp_expect_bytes(self, &self->peer, &expected);
  roost_buffer_deinit(&expected);
}

/* --------------------------------------------------------------------- messages -------------- */

static void requests_events_and_what_nobody_handles(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  tcp_request(&self.peer, "echo", "[1,{\"a\":null}]", "1");
  tcp_expect_reply(&self, &self.peer, "[1,{\"a\":null}]", "1");
  send_text(&self, "25#{\"pattern\":\"e\",\"data\":[]}");
  NET_TEST_UNTIL(&self.test, self.events == 1);
  tcp_request(&self.peer, "nobody", "1", "2");
  expect_text(&self,
              "103#{\"id\":\"2\",\"status\":\"error\",\"err\":\"There is no matching message "
              "handler defined in the remote service.\"}");
  tcp_expect_silence(&self);
  tcp_deinit(&self);
}

static void replies_of_every_kind(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  tcp_request(&self.peer, "stream", "1", "s");
  NET_TEST_UNTIL(&self.test, self.held_count == 1);
  roost_origin *origin = self.held[0].origin;
  const roost_slice id = ROOST_SLICE("\"s\"");
  const roost_reply_kind kinds[] = {ROOST_REPLY_ITEM, ROOST_REPLY_END, ROOST_REPLY_ERROR};
  for (size_t i = 0; i < 3; i++) {
    roost_buffer *out = origin->ops->reply_begin(origin, kinds[i]);
    assert_non_null(out);
    if (kinds[i] != ROOST_REPLY_END)
      assert_int_equal(roost_buffer_append(out, "\"v\"", 3), 0);
    assert_int_equal(origin->ops->reply_end(origin, kinds[i], id), 0);
  }
  roost_buffer *out = origin->ops->reply_begin(origin, ROOST_REPLY_LAST);
  assert_int_equal(roost_buffer_append(out, "rubbish", 7), 0);
  origin->ops->reply_undo(origin);
  expect_text(&self, "25#{\"response\":\"v\",\"id\":\"s\"}"
                     "28#{\"isDisposed\":true,\"id\":\"s\"}"
                     "38#{\"err\":\"v\",\"isDisposed\":true,\"id\":\"s\"}");
  assert_string_equal(origin->ops->remote(origin)->text, "memory");
  assert_string_equal(origin->ops->local(origin)->text, "memory");
  (void)tcp_answer(&self, 0, "1");
  tcp_deinit(&self);
}

static void foreign_messages_are_logged_and_nothing_is_sent(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  send_text(&self, "10#{\"id\":\"x\"}1#5");
  tcp_request(&self.peer, "echo", "1", "after");
  tcp_expect_reply(&self, &self.peer, "1", "after");
  assert_int_equal(self.messages, 1);
  tcp_expect_lines(&self, 2, "server=public peer=memory:0");
  tcp_deinit(&self);
}

static void one_byte_at_a_time(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  const char text[] =
      "40#{\"pattern\":\"echo\",\"data\":\"\xc3\xa9\xf0\x9f\x98\x80\",\"id\":\"1\"}";
  for (size_t i = 0; i < sizeof text - 1; i++) {
    const char byte[2] = {text[i], '\0'};
    send_text(&self, byte);
    net_test_turns(&self.test, 2);
  }
  expect_text(&self, "45#{\"response\":\"\xc3\xa9\xf0\x9f\x98\x80\",\"isDisposed\":true,\"id\":"
                     "\"1\"}");
  tcp_deinit(&self);
}

static void a_large_frame_is_read_and_answered(void **state) {
  static tcp_test self;
  const size_t size = 3000000;
  (void)state;
  start(&self);
  send_text(&self, "39#{\"pattern\":\"echo\",\"data\":1,\"id\":\"warm\"}");
  NET_TEST_UNTIL(&self.test, self.peer.bytes.len > 0);
  net_test_turns(&self.test, 3);
  const size_t idle = self.test.probe.bytes;
  roost_buffer *out = roost_conn_out(self.peer.conn);
  const char head[] = "{\"pattern\":\"echo\",\"id\":\"1\",\"data\":\"";
  assert_int_equal(roost_buffer_printf(out, "%zu#%s", sizeof head - 1 + size + 2, head), 0);
  net_write_many(self.peer.conn, size);
  send_text(&self, "\"}");
  NET_TEST_UNTIL(&self.test, self.peer.bytes.len > size);
  net_test_turns(&self.test, 20);
  assert_int_equal(self.messages, 2);
  assert_true(self.test.probe.bytes <= idle); /* nothing is kept of it */
  tcp_deinit(&self);
}

static void small_requests_allocate_nothing_in_the_steady_state(void **state) {
  static tcp_test self;
  char text[4096];
  char got[4096];
  size_t len = 0;
  (void)state;
  tcp_init(&self);
  tcp_listen(&self);
  const int peer = net_connect(self.server->address.port);
  for (int i = 0; i < 16; i++)
    len += (size_t)snprintf(text + len, sizeof text - len,
                            "39#{\"pattern\":\"echo\",\"data\":1,\"id\":\"good\"}");
  size_t asked = 0;
  for (unsigned round = 0; round < 10; round++) {
    assert_int_equal(send(peer, text, len, 0), len);
    size_t received = 0;
    while (received < 16 * 47) {
      ssize_t n = -1;
      NET_TEST_UNTIL(&self.test, (n = recv(peer, got, sizeof got, MSG_DONTWAIT)) > 0);
      received += (size_t)n;
    }
    if (round == 0)
      asked = self.test.probe.asked;
  }
  assert_int_equal(self.messages, 160);
  assert_int_equal(self.test.probe.asked, asked);
  close(peer);
  tcp_deinit(&self);
}

/* --------------------------------------------------------------------- framing errors -------- */

static void bytes_that_are_no_frame_end_the_connection(void **state) {
  static const struct {
    const char *bytes;
    const char *line;
  } rows[] = {
      {"rubbish#{}", "Corrupted length value"},
      {"2#{]", "Could not parse JSON"},
      {"36#{\"pattern\":\"echo\",\"data\":[,],\"id\":1}", "Could not parse JSON"},
      {"1000#", "max_buffer_size"},
      {"00000000000000000000000000000000000000000000000000000000000000000", "64 bytes"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    static tcp_test self;
    tcp_init(&self);
    self.config.max_buffer_size = 100;
    tcp_start(&self);
    tcp_request(&self.peer, "echo", "1", "good");
    send_text(&self, rows[i].bytes);
    tcp_request(&self.peer, "echo", "2", "thrown away");
    tcp_expect_reply(&self, &self.peer, "1", "good");
    NET_TEST_UNTIL(&self.test, self.peer.eofs == 1);
    tcp_request(&self.peer, "echo", "3", "thrown away, too");
    net_test_turns(&self.test, 5);
    assert_int_equal(self.messages, 1);
    tcp_expect_lines(&self, 1, rows[i].line);
    roost_conn_shutdown(self.peer.conn);
    NET_TEST_UNTIL(&self.test, self.peer.closes == 1 && self.gone == 1);
    assert_int_equal(self.peer.status, 0); /* without a reset, whatever else was sent */
    assert_int_equal(self.peer.bytes.len, 0);
    tcp_deinit(&self);
  }
}

static void after_a_framing_error_what_runs_is_answered_before_fin(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  tcp_request(&self.peer, "hold", "1", "slow");
  tcp_request(&self.peer, "stream", "1", "items");
  tcp_request(&self.peer, "echo", "1", "quick");
  send_text(&self, "rubbish#");
  tcp_expect_reply(&self, &self.peer, "1", "quick");
  net_test_turns(&self.test, 5);
  assert_int_equal(self.peer.eofs + self.leaving, 0);
  assert_int_equal(tcp_answer(&self, 1, "2"), 0);
  tcp_expect_reply(&self, &self.peer, "2", "items");
  assert_int_equal(self.peer.eofs, 0);
  assert_int_equal(tcp_answer(&self, 0, "3"), 0);
  tcp_expect_reply(&self, &self.peer, "3", "slow");
  NET_TEST_UNTIL(&self.test, self.peer.eofs == 1);
  assert_int_equal(self.gone, 0);
  net_test_advance(&self.test, 2000); /* a peer that doesn't close is dropped in the end */
  NET_TEST_UNTIL(&self.test, self.peer.closes + self.gone > 0);
  tcp_deinit(&self);
}

static void after_a_framing_error_streams_do_not_go_on_for_ever(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  tcp_request(&self.peer, "stream", "1", "endless");
  send_text(&self, "rubbish#");
  NET_TEST_UNTIL(&self.test, self.held_count == 1);
  net_test_turns(&self.test, 3);
  net_test_advance(&self.test, 29999);
  assert_int_equal(self.leaving, 0);
  net_test_advance(&self.test, 1);
  assert_int_equal(self.leaving, 1);
  NET_TEST_UNTIL(&self.test, self.peer.eofs == 1);
  tcp_deinit(&self);
}

static void after_a_framing_error_the_peers_fin_ends_streams_at_once(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  tcp_request(&self.peer, "stream", "1", "endless");
  send_text(&self, "rubbish#");
  roost_conn_shutdown(self.peer.conn);
  NET_TEST_UNTIL(&self.test, self.peer.closes == 1);
  assert_int_equal(self.leaving, 1);
  assert_int_equal(self.gone, 1);
  tcp_deinit(&self);
}

static void a_flood_after_a_framing_error_is_not_read_without_bound(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  tcp_request(&self.peer, "hold", "1", "slow");
  send_text(&self, "rubbish#");
  net_write_many(self.peer.conn, 10000000);
  net_test_turns(&self.test, 200);
  assert_true(self.server->stats.bytes.bytes_in < 1000000);
  assert_int_equal(tcp_answer(&self, 0, "1"), 0);
  tcp_expect_reply(&self, &self.peer, "1", "slow");
  NET_TEST_UNTIL(&self.test, self.peer.eofs == 1);
  net_test_advance(&self.test, 2000);
  NET_TEST_UNTIL(&self.test, self.peer.closes == 1);
  tcp_deinit(&self);
}

/* --------------------------------------------------------------------- the peer leaves ------- */

static void after_the_peers_fin_replies_owed_are_sent(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  tcp_request(&self.peer, "hold", "1", "slow");
  tcp_request(&self.peer, "stream", "1", "items");
  roost_conn_shutdown(self.peer.conn);
  NET_TEST_UNTIL(&self.test, self.leaving == 1);
  assert_null(self.held[1].origin); /* its streams end at once */
  net_test_turns(&self.test, 5);
  assert_int_equal(self.peer.eofs, 0);
  assert_int_equal(tcp_answer(&self, 0, "2"), 0);
  tcp_expect_reply(&self, &self.peer, "2", "slow");
  NET_TEST_UNTIL(&self.test, self.peer.closes == 1 && self.gone == 1);
  assert_int_equal(self.peer.eofs, 1);
  assert_int_equal(self.leaving, 1);
  tcp_expect_silence(&self);
  tcp_deinit(&self);
}

static void fin_with_nothing_owed_is_answered_at_once(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  send_text(&self, "44#{\"pattern\":\"ec");
  roost_conn_shutdown(self.peer.conn);
  NET_TEST_UNTIL(&self.test, self.peer.closes == 1 && self.gone == 1);
  assert_int_equal(self.messages, 0);
  tcp_expect_silence(&self);
  tcp_deinit(&self);
}

static void a_lost_connection_frees_its_origin(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  tcp_request(&self.peer, "hold", "1", "slow");
  NET_TEST_UNTIL(&self.test, self.held_count == 1);
  tcp_request(&self.peer, "echo", "1", "resets, since nobody reads the reply");
  roost_conn_pause(self.peer.conn);
  net_test_turns(&self.test, 4);
  roost_conn_close(self.peer.conn);
  NET_TEST_UNTIL(&self.test, self.gone == 1);
  assert_null(self.held[0].origin);
  assert_int_equal(self.leaving, 0);
  assert_int_equal(self.server->stats.connections, 0);
  tcp_deinit(&self);
}

static void a_handler_may_drop_its_caller(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  tcp_request(&self.peer, "hold", "1", "1");
  tcp_request(&self.peer, "close", "1", "2");
  tcp_request(&self.peer, "echo", "1", "3");
  NET_TEST_UNTIL(&self.test, self.gone == 1);
  assert_int_equal(self.messages, 2);
  assert_int_equal(self.peer.bytes.len, 0);
  tcp_deinit(&self);
}

static void nobody_listens_after_close(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  tcp_request(&self.peer, "hold", "1", "1");
  NET_TEST_UNTIL(&self.test, self.held_count == 1);
  roost_origin *origin = self.held[0].origin;
  origin->ops->close(origin);
  assert_null(origin->ops->reply_begin(origin, ROOST_REPLY_LAST));
  origin->ops->reply_unhandled(origin, (roost_slice)ROOST_SLICE("1"));
  assert_int_equal(tcp_answer(&self, 0, "1"), ROOST_EGONE);
  NET_TEST_UNTIL(&self.test, self.gone == 1);
  tcp_deinit(&self);
}

/* --------------------------------------------------------------------- limits ---------------- */

static void an_unfinished_frame_ends_the_connection_in_time(void **state) {
  static const char *const rows[] = {"4", "40#", "40#{\"patt", "40#{\"pattern\":\"\xf0\x9f"};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    static tcp_test self;
    tcp_init(&self);
    self.config.incomplete_message_timeout = 500;
    tcp_start(&self);
    tcp_request(&self.peer, "echo", "1", "good");
    send_text(&self, rows[i]);
    tcp_expect_reply(&self, &self.peer, "1", "good");
    net_test_advance(&self.test, 499);
    net_test_turns(&self.test, 3);
    assert_int_equal(self.peer.eofs + self.peer.closes, 0);
    net_test_advance(&self.test, 1);
    NET_TEST_UNTIL(&self.test, self.gone == 1);
    tcp_expect_lines(&self, 1, "err=incomplete_message_timeout");
    tcp_deinit(&self);
  }
}

static void each_read_of_an_unfinished_frame_gives_it_more_time(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  self.config.incomplete_message_timeout = 500;
  tcp_start(&self);
  const char text[] = "36#{\"pattern\":\"echo\",\"data\":1,\"id\":\"1\"}";
  for (size_t i = 0; i < sizeof text - 1; i += 8) {
    char part[9] = "";
    const size_t left = sizeof text - 1 - i;
    memcpy(part, text + i, left < 8 ? left : 8);
    send_text(&self, part);
    net_test_turns(&self.test, 3);
    net_test_advance(&self.test, 400);
  }
  tcp_expect_reply(&self, &self.peer, "1", "1");
  net_test_advance(&self.test, 100000); /* silence between frames is none of its business */
  net_test_turns(&self.test, 3);
  assert_int_equal(self.gone, 0);
  tcp_deinit(&self);
}

static void at_max_in_flight_reading_pauses_and_nothing_is_lost(void **state) {
  static tcp_test self;
  roost_buffer expected;
  (void)state;
  tcp_init(&self);
  self.config.max_in_flight = 4;
  self.config.incomplete_message_timeout = 300;
  tcp_start(&self);
  for (unsigned i = 0; i < 20; i++)
    tcp_request(&self.peer, "hold", "1", "x");
  send_text(&self, "36#{\"pattern\""); /* the pause is ours: it must not count against the peer */
  NET_TEST_UNTIL(&self.test, self.held_count == 4);
  net_test_turns(&self.test, 5);
  assert_int_equal(self.held_count, 4);
  net_test_advance(&self.test, 999);
  tcp_expect_silence(&self);
  net_test_advance(&self.test, 1);
  tcp_expect_lines(&self, 1, "err=max_in_flight");
  net_test_advance(&self.test, 10000);
  tcp_expect_silence(&self);
  roost_buffer_init(&expected, roost_alloc_default());
  for (size_t i = 0; i < 20; i++) {
    net_test_advance(&self.test, i < 16 ? 2000 : 0); /* full again: said once and no more */
    assert_int_equal(tcp_answer(&self, i, "1"), 0);
    tcp_put_reply(&expected, "1", "x");
    net_test_turns(&self.test, 2);
    assert_int_equal(self.held_count, i + 5 < 20 ? i + 5 : 20);
  }
  tcp_expect_silence(&self);
  tcp_expect_bytes(&self, &self.peer, &expected);
  roost_buffer_deinit(&expected);
  send_text(&self, ":\"echo\",\"data\":1,\"id\":\"1\"}");
  tcp_expect_reply(&self, &self.peer, "1", "1");
  assert_int_equal(self.gone, 0);
  tcp_deinit(&self);
}

static void streams_do_not_count_against_max_in_flight(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  self.config.max_in_flight = 1;
  tcp_start(&self);
  for (unsigned i = 0; i < 10; i++)
    tcp_request(&self.peer, "stream", "1", "s");
  NET_TEST_UNTIL(&self.test, self.held_count == 10);
  tcp_deinit(&self);
}

/* --------------------------------------------------------------------- the rate -------------- */

static void start_rated(tcp_test *self, uint32_t per_second, uint32_t burst) {
  tcp_init(self);
  self->config.rate = (roost_rate){per_second, burst};
  tcp_start(self);
}

static void send_many(tcp_test *self, unsigned count) {
  for (unsigned i = 0; i < count; i++)
    tcp_request(&self->peer, "echo", "1", "x");
  net_test_turns(&self->test, 5);
}

/* Time as a loop sees it, turn by turn. */
static void pass(tcp_test *self, unsigned ms) {
  for (; ms > 0; ms--) {
    net_test_advance(&self->test, 1);
    net_test_turns(&self->test, 2);
  }
}

static void beyond_the_rate_messages_wait_and_none_is_lost(void **state) {
  static tcp_test self;
  (void)state;
  start_rated(&self, 10, 5);
  send_many(&self, 50);
  assert_int_equal(self.messages, 5);
  for (unsigned i = 1; i <= 45; i++) {
    net_test_advance(&self.test, 99);
    net_test_turns(&self.test, 3);
    assert_int_equal(self.messages, 4 + i);
    net_test_advance(&self.test, 1);
    net_test_turns(&self.test, 3);
    assert_int_equal(self.messages, 5 + i);
  }
  NET_TEST_UNTIL(&self.test, self.peer.bytes.len == 50 * 44);
  assert_int_equal(self.gone, 0);
  tcp_deinit(&self);
}

static void after_a_pause_a_burst_may_come_again(void **state) {
  static tcp_test self;
  (void)state;
  start_rated(&self, 10, 5);
  send_many(&self, 5);
  net_test_advance(&self.test, 250);
  send_many(&self, 3);
  assert_int_equal(self.messages, 7);
  net_test_advance(&self.test, 100000);
  net_test_turns(&self.test, 3);
  assert_int_equal(self.messages, 8);
  net_test_advance(&self.test, 100000);
  send_many(&self, 50);
  assert_int_equal(self.messages, 13);
  tcp_deinit(&self);
}

static void a_rate_of_many_a_millisecond_is_exact(void **state) {
  static tcp_test self;
  (void)state;
  start_rated(&self, 2500, 1);
  send_many(&self, 12);
  assert_int_equal(self.messages, 1);
  for (unsigned i = 0; i < 10; i++) { /* a token takes 0.4 ms; a burst of 1 keeps one at most */
    net_test_advance(&self.test, 1);
    net_test_turns(&self.test, 3);
    assert_int_equal(self.messages, 2 + i);
  }
  tcp_deinit(&self);
}

static void a_peer_over_its_rate_for_a_second_is_logged_once(void **state) {
  static tcp_test self;
  (void)state;
  start_rated(&self, 100, 1);
  send_many(&self, 400);
  pass(&self, 990);
  tcp_expect_silence(&self);
  pass(&self, 20);
  tcp_expect_lines(&self, 1,
                   "too many messages, read more slowly\" server=public peer=memory:0 "
                   "err=rate");
  pass(&self, 2000);
  send_many(&self, 400);
  pass(&self, 2000);
  tcp_expect_silence(&self);
  tcp_deinit(&self);
}

static void a_peer_that_keeps_to_its_rate_is_not_logged(void **state) {
  static tcp_test self;
  (void)state;
  start_rated(&self, 10, 1);
  for (unsigned i = 1; i <= 40; i++) {
    send_many(&self, 1);
    assert_int_equal(self.messages, i);
    pass(&self, 100);
  }
  for (unsigned i = 0; i < 10; i++) { /* now and then two at once */
    send_many(&self, 2);
    pass(&self, 400);
  }
  assert_int_equal(self.messages, 60);
  tcp_expect_silence(&self);
  tcp_deinit(&self);
}

/* With one message at a time, too: each waits, and the next comes as soon as it has gone. */
static void one_that_asks_again_at_once_is_over_its_rate(void **state) {
  static tcp_test self;
  (void)state;
  start_rated(&self, 10, 1);
  send_many(&self, 1);
  for (unsigned i = 1; i <= 12; i++) {
    send_many(&self, 1);
    assert_int_equal(self.messages, i);
    net_test_advance(&self.test, 100);
    net_test_turns(&self.test, 3);
    assert_int_equal(self.messages, i + 1);
  }
  tcp_expect_lines(&self, 1, "err=rate");
  tcp_deinit(&self);
}

static void events_and_what_is_foreign_count(void **state) {
  static tcp_test self;
  (void)state;
  start_rated(&self, 1, 3);
  send_text(&self, "25#{\"pattern\":\"e\",\"data\":[]}1#525#{\"pattern\":\"e\",\"data\":[]}"
                   "25#{\"pattern\":\"e\",\"data\":[]}");
  net_test_turns(&self.test, 5);
  assert_int_equal(self.events, 2);
  net_test_advance(&self.test, 1000);
  net_test_turns(&self.test, 3);
  assert_int_equal(self.events, 3);
  tcp_deinit(&self);
}

/* The pause is ours: it must not count against the peer. */
static void a_frame_begun_while_waiting_has_its_full_time(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  self.config.rate = (roost_rate){1, 1};
  self.config.incomplete_message_timeout = 300;
  tcp_start(&self);
  send_many(&self, 1);
  send_text(&self, "36#{\"pattern\"");
  net_test_turns(&self.test, 3);
  net_test_advance(&self.test, 1000);
  net_test_turns(&self.test, 3);
  net_test_advance(&self.test, 299);
  assert_int_equal(self.gone, 0);
  send_text(&self, ":\"echo\",\"data\":1,\"id\":\"1\"}");
  NET_TEST_UNTIL(&self.test, self.messages == 2);
  tcp_deinit(&self);
}

static void the_rate_goes_on_when_max_in_flight_lets_it(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  self.config.rate = (roost_rate){10, 2};
  self.config.max_in_flight = 2;
  tcp_start(&self);
  for (unsigned i = 0; i < 6; i++)
    tcp_request(&self.peer, "hold", "1", "x");
  net_test_turns(&self.test, 5);
  assert_int_equal(self.held_count, 2);
  (void)tcp_answer(&self, 0, "1"); /* no longer full, but out of tokens */
  net_test_turns(&self.test, 3);
  assert_int_equal(self.held_count, 2);
  net_test_advance(&self.test, 100);
  net_test_turns(&self.test, 3);
  assert_int_equal(self.held_count, 3);
  net_test_advance(&self.test, 1000); /* tokens, but full */
  net_test_turns(&self.test, 3);
  assert_int_equal(self.held_count, 3);
  (void)tcp_answer(&self, 1, "1");
  (void)tcp_answer(&self, 2, "1");
  net_test_turns(&self.test, 3);
  assert_int_equal(self.held_count, 5);
  tcp_deinit(&self);
}

static void a_draining_peer_is_served_without_its_rate(void **state) {
  static tcp_test self;
  (void)state;
  start_rated(&self, 1, 1);
  send_many(&self, 30);
  assert_int_equal(self.messages, 1);
  self.server->ops->drain(self.server);
  NET_TEST_UNTIL(&self.test, self.messages == 30 && self.peer.eofs > 0);
  tcp_deinit(&self);
}

static void a_peer_that_leaves_while_waiting_is_forgotten(void **state) {
  static tcp_test self;
  (void)state;
  start_rated(&self, 1, 1);
  send_many(&self, 30);
  roost_conn_close(self.peer.conn);
  net_test_advance(&self.test, 60000); /* it is not read, so not seen to leave at once */
  NET_TEST_UNTIL(&self.test, self.gone == 1);
  tcp_deinit(&self);
}

static void large_frames_count_as_one_each(void **state) {
  static tcp_test self;
  const size_t size = 300000;
  (void)state;
  start_rated(&self, 1, 1);
  for (int i = 0; i < 2; i++) {
    const char head[] = "{\"pattern\":\"echo\",\"id\":\"1\",\"data\":\"";
    assert_int_equal(roost_buffer_printf(roost_conn_out(self.peer.conn), "%zu#%s",
                                         sizeof head - 1 + size + 2, head),
                     0);
    net_write_many(self.peer.conn, size);
    send_text(&self, "\"}");
  }
  NET_TEST_UNTIL(&self.test, self.messages == 1);
  net_test_turns(&self.test, 20);
  assert_int_equal(self.messages, 1);
  net_test_advance(&self.test, 1000);
  NET_TEST_UNTIL(&self.test, self.messages == 2);
  tcp_deinit(&self);
}

/* --------------------------------------------------------------------- other framings -------- */

static void speaks_lines(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  self.config.framing = ROOST_FRAMING_NDJSON;
  tcp_start(&self);
  send_text(&self, "{\"pattern\":\"echo\",\"data\":\"\xc3\xa9\",\"id\":\"1\"}\r\n\n"
                   "{\"pattern\":\"nobody\",\"data\":1,\"id\":2}\n{\"pattern\":");
  expect_text(&self, "{\"response\":\"\xc3\xa9\",\"isDisposed\":true,\"id\":\"1\"}\n"
                     "{\"id\":2,\"status\":\"error\",\"err\":\"There is no matching message "
                     "handler defined in the remote service.\"}\n");
  send_text(&self, "\"echo\",\"data\":1,\"id\":3}\n");
  expect_text(&self, "{\"response\":1,\"isDisposed\":true,\"id\":3}\n");
  send_text(&self, "nonsense\n");
  NET_TEST_UNTIL(&self.test, self.peer.eofs > 0);
  tcp_expect_lines(&self, 1,
                   "bad frame, connection closed\" server=public peer=memory:0 "
                   "err=\"Could not parse JSON\"");
  tcp_deinit(&self);
}

static void speaks_lengths(void **state) {
  static tcp_test self;
  static const char request[] = "\0\0\0\x22{\"pattern\":\"echo\",\"data\":1,\"id\":3}";
  static const char reply[] = "\0\0\0\x27{\"response\":1,\"isDisposed\":true,\"id\":3}";
  roost_buffer expected;
  (void)state;
  tcp_init(&self);
  self.config.framing = ROOST_FRAMING_LENGTH32;
  tcp_start(&self);
  roost_buffer_init(&expected, roost_alloc_default());
  for (int i = 0; i < 2; i++) {
    assert_int_equal(
        roost_buffer_append(roost_conn_out(self.peer.conn), request, sizeof request - 1), 0);
    assert_int_equal(roost_buffer_append(&expected, reply, sizeof reply - 1), 0);
  }
  roost_conn_dirty(self.peer.conn);
  tcp_expect_bytes(&self, &self.peer, &expected);
  roost_buffer_deinit(&expected);
  assert_int_equal(roost_buffer_append(roost_conn_out(self.peer.conn), "\xff\xff\xff\xff{}", 6), 0);
  roost_conn_dirty(self.peer.conn);
  NET_TEST_UNTIL(&self.test, self.peer.eofs > 0);
  tcp_expect_lines(&self, 1, "exceeds the maximum allowed length (max_buffer_size)");
  tcp_deinit(&self);
}

static void an_unfinished_line_ends_the_connection_in_time(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  self.config.framing = ROOST_FRAMING_NDJSON;
  self.config.incomplete_message_timeout = 300;
  self.config.max_buffer_size = 100;
  tcp_start(&self);
  send_text(&self, "{\"pattern\"");
  net_test_turns(&self.test, 3);
  net_test_advance(&self.test, 300);
  NET_TEST_UNTIL(&self.test, self.gone == 1);
  tcp_expect_lines(&self, 1, "incomplete frame");
  tcp_deinit(&self);
}

static void a_crowded_peers_requests_wait_until_it_reads(void **state) {
  static tcp_test self;
  const size_t reply = 50000;
  const size_t count = 40;
  (void)state;
  tcp_init(&self);
  self.config.max_send_buffer_size = 400000;
  tcp_start(&self);
  roost_conn_pause(self.peer.conn);
  for (size_t i = 0; i < count; i++)
    tcp_request(&self.peer, "big", "50000", "b");
  net_test_turns(&self.test, 20);
  assert_true(self.messages < 10); /* 200,000 bytes and what the pipe holds */
  assert_int_equal(self.gone, 0);
  const unsigned before = self.messages;
  net_test_turns(&self.test, 20);
  assert_int_equal(self.messages, before);
  roost_conn_resume(self.peer.conn);
  NET_TEST_UNTIL(&self.test, self.messages == count && self.peer.bytes.len > count * reply);
  assert_true(self.writables > 0);
  tcp_deinit(&self);
}

static void a_peer_that_does_not_read_is_dropped_beyond_the_limit(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  self.config.max_send_buffer_size = 400000;
  tcp_start(&self);
  roost_conn_pause(self.peer.conn);
  tcp_request(&self.peer, "big", "1000000", "b");
  NET_TEST_UNTIL(&self.test, self.gone == 1);
  tcp_expect_lines(&self, 1, "err=max_send_buffer_size");
  tcp_deinit(&self);
}

static void reply_end_says_when_over_half_of_the_limit_is_queued(void **state) {
  static tcp_test self;
  char value[3000];
  (void)state;
  tcp_init(&self);
  self.config.max_send_buffer_size = 10000;
  tcp_start(&self);
  for (unsigned i = 0; i < 3; i++)
    tcp_request(&self.peer, "hold", "1", "x");
  NET_TEST_UNTIL(&self.test, self.held_count == 3);
  memset(value, '1', sizeof value);
  value[sizeof value - 1] = '\0';
  assert_int_equal(tcp_answer(&self, 0, value), 0);
  roost_origin *origin = self.held[1].origin;
  assert_false(origin->ops->crowded(origin));
  assert_int_equal(tcp_answer(&self, 1, value), ROOST_EFULL);
  assert_true(origin->ops->crowded(origin));
  NET_TEST_UNTIL(&self.test, self.writables == 1);
  assert_int_equal(tcp_answer(&self, 2, "1"), 0);
  NET_TEST_UNTIL(&self.test, self.peer.bytes.len > 6000);
  tcp_deinit(&self);
}

static void an_idle_peer_is_closed_but_not_one_that_waits(void **state) {
  static tcp_test self;
  net_record idle;
  (void)state;
  tcp_init(&self);
  self.config.idle_timeout = 1000;
  tcp_start(&self);
  tcp_connect(&self, &idle);
  tcp_request(&self.peer, "hold", "1", "slow");
  NET_TEST_UNTIL(&self.test, self.held_count == 1);
  net_test_advance(&self.test, 1000);
  NET_TEST_UNTIL(&self.test, idle.eofs == 1);
  tcp_expect_lines(&self, 1, "err=idle_timeout");
  net_test_advance(&self.test, 5000);
  net_test_turns(&self.test, 3);
  assert_int_equal(self.peer.eofs, 0);
  assert_int_equal(tcp_answer(&self, 0, "1"), 0);
  tcp_expect_reply(&self, &self.peer, "1", "slow");
  net_test_advance(&self.test, 1000);
  NET_TEST_UNTIL(&self.test, self.peer.eofs == 1);
  tcp_deinit(&self);
  net_record_deinit(&idle);
}

/* --------------------------------------------------------------------- fairness -------------- */

static void twelve_thousand_frames_do_not_hold_up_another_peer(void **state) {
  static tcp_test self;
  net_record other;
  const unsigned count = 12000;
  (void)state;
  start(&self);
  tcp_connect(&self, &other);
  for (unsigned i = 0; i < count; i++)
    tcp_request(&self.peer, "echo", "1", "0123456789");
  NET_TEST_UNTIL(&self.test, self.messages > 0);
  assert_true(self.messages <= 2 * 64);
  tcp_request(&other, "echo", "1", "me");
  NET_TEST_UNTIL(&self.test, other.bytes.len > 0);
  assert_true(self.messages < 1000);
  tcp_expect_reply(&self, &other, "1", "me");
  NET_TEST_UNTIL(&self.test, self.messages == count + 1);
  NET_TEST_UNTIL(&self.test, self.peer.bytes.len == count * 53u);
  tcp_deinit(&self);
  net_record_deinit(&other);
}

static void a_turn_dispatches_at_most_64_frames_of_a_peer(void **state) {
  static tcp_test self;
  (void)state;
  start(&self);
  for (unsigned i = 0; i < 200; i++)
    tcp_request(&self.peer, "echo", "1", "1");
  unsigned most = 0;
  while (self.messages < 200) {
    const unsigned before = self.messages;
    net_test_turn(&self.test);
    if (self.messages - before > most)
      most = self.messages - before;
  }
  assert_int_equal(most, 64);
  tcp_deinit(&self);
}

/* --------------------------------------------------------------------- out of memory --------- */

/* Whatever is refused, nothing crashes, leaks or hangs, and others are served afterwards. */
static void out_of_memory_anywhere(void **state) {
  (void)state;
  bool was_refused = true;
  for (size_t point = 0; was_refused; point++) {
    static tcp_test self;
    net_record other;
    start(&self);
    net_test_turns(&self.test, 2);
    for (unsigned i = 0; i < 70; i++)
      tcp_request(&self.peer, "echo", "1", "1");
    net_write_many(self.peer.conn, 100); /* and a framing error at the end */
    self.test.probe.refuse_after = point;
    for (unsigned i = 0; i < 20; i++)
      net_test_turn(&self.test);
    was_refused = self.test.probe.refuse_after == 0;
    self.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    tcp_connect(&self, &other);
    tcp_request(&other, "echo", "5", "after");
    tcp_expect_reply(&self, &other, "5", "after");
    tcp_deinit(&self);
    net_record_deinit(&other);
    assert_true(point < 200);
  }
}

static void out_of_memory_making_a_session(void **state) {
  static tcp_test self;
  char byte;
  (void)state;
  tcp_init(&self);
  tcp_listen(&self);
  const int peer = net_connect(self.server->address.port);
  NET_TEST_UNTIL(&self.test, self.server->stats.connections == 1);
  self.test.probe.refuse_after = 0;
  assert_int_equal(send(peer, "3#", 2, 0), 2);
  NET_TEST_UNTIL(&self.test, self.server->stats.connections == 0);
  self.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  assert_true(recv(peer, &byte, 1, 0) <= 0);
  close(peer);
  tcp_deinit(&self);
}

/* Its memory is what counts: thousands of these wait. */
static void a_connection_at_rest_takes_little(void **state) {
  static tcp_test self;
  enum { PEERS = 100, MOST_BYTES = 512 };
  int peers[PEERS];
  char got[4096];
  const char request[] = "39#{\"pattern\":\"echo\",\"data\":1,\"id\":\"good\"}";
  (void)state;
  tcp_init(&self);
  tcp_listen(&self);
  size_t before = 0;
  for (int i = 0; i < PEERS; i++) {
    peers[i] = net_connect(self.server->address.port);
    assert_int_equal(send(peers[i], request, sizeof request - 1, 0), sizeof request - 1);
    NET_TEST_UNTIL(&self.test, recv(peers[i], got, sizeof got, MSG_DONTWAIT) > 0);
    if (i == 0)
      before = self.test.probe.bytes;
  }
  net_test_turns(&self.test, 3);
  assert_true(self.test.probe.bytes - before <= (PEERS - 1) * MOST_BYTES);
  for (int i = 0; i < PEERS; i++)
    close(peers[i]);
  tcp_deinit(&self);
}

/* Those at rest are the server's, too. */
static void a_drain_ends_connections_at_rest(void **state) {
  static tcp_test self;
  char byte;
  (void)state;
  tcp_init(&self);
  tcp_listen(&self);
  const int waits = net_connect(self.server->address.port);
  const int asks = net_connect(self.server->address.port);
  const char request[] = "39#{\"pattern\":\"echo\",\"data\":1,\"id\":\"good\"}";
  NET_TEST_UNTIL(&self.test, self.server->stats.connections == 2);
  assert_int_equal(send(asks, request, sizeof request - 1, 0), sizeof request - 1);
  self.server->ops->drain(self.server); /* the request has not been read yet */
  NET_TEST_UNTIL(&self.test, recv(waits, &byte, 1, MSG_DONTWAIT) == 0);
  NET_TEST_UNTIL(&self.test, self.messages == 1);
  close(waits);
  close(asks);
  tcp_deinit(&self);
}

static void a_reply_that_finds_no_memory_leaves_no_trace(void **state) {
  static tcp_test self;
  static char large[6000];
  (void)state;
  start(&self);
  memset(large, '1', sizeof large - 1);
  for (unsigned i = 0; i < 40; i++)
    tcp_request(&self.peer, "hold", "1", "x");
  NET_TEST_UNTIL(&self.test, self.held_count == 40);
  size_t refused = 0;
  for (size_t i = 0; i < 40; i++) {
    self.test.probe.refuse_after = 0;
    const int status = tcp_answer(&self, i, i % 8 == 7 ? large : "1");
    self.test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    refused += status != 0;
    assert_true(status == 0 || status == ROOST_ENOMEM || status == ROOST_EGONE);
  }
  assert_true(refused > 0);
  tcp_request(&self.peer, "echo", "1", "end");
  NET_TEST_UNTIL(&self.test, self.messages == 41);
  net_test_turns(&self.test, 5);
  roost_buffer *got = &self.peer.bytes;
  assert_int_equal(roost_buffer_append_byte(got, '\0'), 0);
  for (const char *at = got->ptr; *at != '\0';) { /* whole frames and nothing else */
    char *body;
    const size_t len = strtoul(at, &body, 10);
    assert_int_equal(*body, '#');
    assert_int_equal(roost_json_validate(roost_slice_of(body + 1, len)), 0);
    at = body + 1 + len;
  }
  tcp_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_events_and_what_nobody_handles),
      cmocka_unit_test(replies_of_every_kind),
      cmocka_unit_test(foreign_messages_are_logged_and_nothing_is_sent),
      cmocka_unit_test(one_byte_at_a_time),
      cmocka_unit_test(a_large_frame_is_read_and_answered),
      cmocka_unit_test(small_requests_allocate_nothing_in_the_steady_state),
      cmocka_unit_test(bytes_that_are_no_frame_end_the_connection),
      cmocka_unit_test(after_a_framing_error_what_runs_is_answered_before_fin),
      cmocka_unit_test(after_a_framing_error_streams_do_not_go_on_for_ever),
      cmocka_unit_test(after_a_framing_error_the_peers_fin_ends_streams_at_once),
      cmocka_unit_test(a_flood_after_a_framing_error_is_not_read_without_bound),
      cmocka_unit_test(after_the_peers_fin_replies_owed_are_sent),
      cmocka_unit_test(fin_with_nothing_owed_is_answered_at_once),
      cmocka_unit_test(a_lost_connection_frees_its_origin),
      cmocka_unit_test(a_handler_may_drop_its_caller),
      cmocka_unit_test(nobody_listens_after_close),
      cmocka_unit_test(an_unfinished_frame_ends_the_connection_in_time),
      cmocka_unit_test(each_read_of_an_unfinished_frame_gives_it_more_time),
      cmocka_unit_test(at_max_in_flight_reading_pauses_and_nothing_is_lost),
      cmocka_unit_test(streams_do_not_count_against_max_in_flight),
      cmocka_unit_test(beyond_the_rate_messages_wait_and_none_is_lost),
      cmocka_unit_test(after_a_pause_a_burst_may_come_again),
      cmocka_unit_test(a_rate_of_many_a_millisecond_is_exact),
      cmocka_unit_test(a_peer_over_its_rate_for_a_second_is_logged_once),
      cmocka_unit_test(a_peer_that_keeps_to_its_rate_is_not_logged),
      cmocka_unit_test(one_that_asks_again_at_once_is_over_its_rate),
      cmocka_unit_test(events_and_what_is_foreign_count),
      cmocka_unit_test(a_frame_begun_while_waiting_has_its_full_time),
      cmocka_unit_test(the_rate_goes_on_when_max_in_flight_lets_it),
      cmocka_unit_test(a_draining_peer_is_served_without_its_rate),
      cmocka_unit_test(a_peer_that_leaves_while_waiting_is_forgotten),
      cmocka_unit_test(large_frames_count_as_one_each),
      cmocka_unit_test(speaks_lines),
      cmocka_unit_test(speaks_lengths),
      cmocka_unit_test(an_unfinished_line_ends_the_connection_in_time),
      cmocka_unit_test(a_crowded_peers_requests_wait_until_it_reads),
      cmocka_unit_test(a_peer_that_does_not_read_is_dropped_beyond_the_limit),
      cmocka_unit_test(reply_end_says_when_over_half_of_the_limit_is_queued),
      cmocka_unit_test(an_idle_peer_is_closed_but_not_one_that_waits),
      cmocka_unit_test(twelve_thousand_frames_do_not_hold_up_another_peer),
      cmocka_unit_test(a_turn_dispatches_at_most_64_frames_of_a_peer),
      cmocka_unit_test(out_of_memory_anywhere),
      cmocka_unit_test(out_of_memory_making_a_session),
      cmocka_unit_test(a_connection_at_rest_takes_little),
      cmocka_unit_test(a_drain_ends_connections_at_rest),
      cmocka_unit_test(a_reply_that_finds_no_memory_leaves_no_trace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
