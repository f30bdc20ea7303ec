#include "transport/tcp_test.h"

/* The server: its listener, its verbs, its counters. Sessions are tested in test_tcp_session.c. */

static const char echo[] = "39#{\"pattern\":\"echo\",\"data\":1,\"id\":\"good\"}";
static const char echo_reply[] = "44#{\"response\":1,\"isDisposed\":true,\"id\":\"good\"}";

static void expect_text(tcp_test *self, int descriptor, const char *text) {
  char got[4096];
  size_t len = 0;
  while (len < strlen(text)) {
    ssize_t n = -1;
    NET_TEST_UNTIL(&self->test,
                   (n = recv(descriptor, got + len, sizeof got - len, MSG_DONTWAIT)) >= 0);
    assert_true(n > 0);
    len += (size_t)n;
  }
  assert_int_equal(len, strlen(text));
  assert_memory_equal(got, text, len);
}

static bool is_over(int descriptor) {
  char byte;
  const ssize_t n = recv(descriptor, &byte, 1, MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void put(int descriptor, const char *text) {
  assert_int_equal(send(descriptor, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void a_request_over_tcp_is_answered_and_counted(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  tcp_listen(&self);
  assert_true(self.server->address.port > 0);
  const int peer = net_connect(self.server->address.port);
  put(peer, echo);
  expect_text(&self, peer, echo_reply);
  assert_int_equal(self.server->stats.accepted, 1);
  assert_int_equal(self.server->stats.connections, 1);
  assert_int_equal(self.server->stats.bytes.bytes_in, strlen(echo));
  assert_int_equal(self.server->stats.bytes.bytes_out, strlen(echo_reply));
  close(peer);
  NET_TEST_UNTIL(&self.test, self.server->stats.connections == 0);
  assert_int_equal(self.gone, 1);
  tcp_expect_silence(&self);
  tcp_deinit(&self);
}

/* Of a large frame's rest the socket tells in large parts only. */
static void a_large_frame_that_comes_slowly_has_time(void **state) {
  static tcp_test self;
  static char text[300000];
  (void)state;
  tcp_init(&self);
  self.config.incomplete_message_timeout = 500;
  tcp_listen(&self);
  const int peer = net_connect(self.server->address.port);
  put(peer, "300000#");
  memset(text, '"', sizeof text);
  assert_int_equal(send(peer, text, 20000, 0), 20000);
  NET_TEST_UNTIL(&self.test, self.server->stats.bytes.bytes_in == 20007);
  assert_int_equal(send(peer, text, 100000, 0), 100000);
  NET_TEST_UNTIL(&self.test, self.server->stats.bytes.bytes_in == 120007);
  for (size_t i = 1; i <= 5; i++) {
    assert_int_equal(send(peer, text, 10, 0), 10);
    net_test_advance(&self.test, 500);
    NET_TEST_UNTIL(&self.test, self.server->stats.bytes.bytes_in == 120007 + i * 10);
  }
  assert_int_equal(self.gone, 0);
  net_test_advance(&self.test, 500);
  NET_TEST_UNTIL(&self.test, self.gone == 1);
  tcp_expect_lines(&self, 1, "err=incomplete_message_timeout");
  close(peer);
  tcp_deinit(&self);
}

static void over_max_connections_one_line_names_limit_and_peer(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  self.config.max_connections = 1;
  tcp_listen(&self);
  const int first = net_connect(self.server->address.port);
  const int second = net_connect(self.server->address.port);
  NET_TEST_UNTIL(&self.test, is_over(second));
  assert_int_equal(self.server->stats.denied, 1);
  tcp_expect_lines(&self, 1, "server=public peer=127.0.0.1:");
  close(second);
  const int third = net_connect(self.server->address.port);
  NET_TEST_UNTIL(&self.test, self.server->stats.denied == 2);
  tcp_expect_lines(&self, 1, "err=max_connections");
  close(first);
  close(third);
  tcp_deinit(&self);
}

static void a_lost_listener_is_logged_and_comes_back(void **state) {
  static tcp_test self;
  struct sockaddr_in address;
  (void)state;
  tcp_init(&self);
  self.config.retry_attempts = 1;
  self.config.retry_delay = 300;
  tcp_listen(&self);
  const uint16_t port = self.server->address.port;
  net_test_turns(&self.test, 2);
  bool is_found = false;
  for (int descriptor = 3; descriptor < 256 && !is_found; descriptor++) {
    int listening = 0;
    socklen_t size = sizeof listening;
    socklen_t address_size = sizeof address;
    is_found = getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 &&
               listening != 0 &&
               getsockname(descriptor, (struct sockaddr *)&address, &address_size) == 0 &&
               ntohs(address.sin_port) == port;
    if (is_found)
      shutdown(descriptor, SHUT_RDWR);
  }
  assert_true(is_found);
  net_test_turns(&self.test, 5);
  tcp_expect_lines(&self, 1, "listening socket lost");
  net_test_advance(&self.test, 300);
  tcp_expect_lines(&self, 1, "listening again");
  const int peer = net_connect(port);
  put(peer, echo);
  expect_text(&self, peer, echo_reply);
  close(peer);
  tcp_deinit(&self);
}

/* --------------------------------------------------------------------- drain ----------------- */

static void draining_accepts_and_reads_what_is_queued_first(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  tcp_listen(&self);
  const uint16_t port = self.server->address.port;
  const int queued = net_connect(port);
  put(queued, echo);
  self.server->ops->drain(self.server);
  self.server->ops->drain(self.server);
  expect_text(&self, queued, echo_reply);
  NET_TEST_UNTIL(&self.test, is_over(queued));
  assert_int_equal(self.drained, 0);
  close(queued);
  NET_TEST_UNTIL(&self.test, self.drained == 1);
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(late, (const struct sockaddr *)&address, sizeof address), -1);
  close(late);
  net_test_turns(&self.test, 5);
  assert_int_equal(self.drained, 1);
  tcp_expect_silence(&self);
  tcp_deinit(&self);
}

static void draining_with_nobody_there(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  tcp_listen(&self);
  self.server->ops->drain(self.server);
  assert_int_equal(self.drained, 0); /* told later, never inside */
  NET_TEST_UNTIL(&self.test, self.drained == 1);
  tcp_deinit(&self);
}

static void draining_answers_what_was_received(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  tcp_start(&self);
  tcp_request(&self.peer, "hold", "1", "first");
  NET_TEST_UNTIL(&self.test, self.held_count == 1);
  tcp_request(&self.peer, "hold", "2", "queued");
  net_test_turn(&self.test); /* written, and maybe read */
  self.server->ops->drain(self.server);
  NET_TEST_UNTIL(&self.test, self.held_count == 2);
  net_test_turns(&self.test, 3);
  tcp_request(&self.peer, "hold", "3", "too late");
  net_test_turns(&self.test, 5);
  assert_int_equal(self.messages, 2);
  assert_int_equal(self.peer.eofs, 0);
  assert_int_equal(tcp_answer(&self, 1, "2"), 0);
  tcp_expect_reply(&self, &self.peer, "2", "queued");
  assert_int_equal(self.peer.eofs, 0);
  assert_int_equal(tcp_answer(&self, 0, "1"), 0);
  tcp_expect_reply(&self, &self.peer, "1", "first");
  NET_TEST_UNTIL(&self.test, self.peer.eofs == 1);
  assert_int_equal(self.drained, 0);
  roost_conn_shutdown(self.peer.conn);
  NET_TEST_UNTIL(&self.test, self.drained == 1);
  assert_int_equal(self.peer.status, 0);
  assert_int_equal(self.messages, 2);
  tcp_deinit(&self);
}

static void draining_waits_for_streams_and_dispatches_more_than_a_turn_takes(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  tcp_start(&self);
  for (unsigned i = 0; i < 300; i++)
    tcp_request(&self.peer, "stream", "1", "s");
  NET_TEST_UNTIL(&self.test, self.messages > 0);
  assert_true(self.messages < 300);
  self.server->ops->drain(self.server);
  NET_TEST_UNTIL(&self.test, self.messages == 300);
  net_test_turns(&self.test, 5);
  assert_int_equal(self.peer.eofs, 0);
  for (size_t i = 0; i < 300; i++)
    (void)tcp_answer(&self, i, "1");
  NET_TEST_UNTIL(&self.test, self.peer.eofs == 1);
  roost_conn_close(self.peer.conn);
  NET_TEST_UNTIL(&self.test, self.drained == 1);
  tcp_deinit(&self);
}

static void a_peer_that_never_closes_does_not_hold_up_the_drain(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  tcp_start(&self);
  net_test_turns(&self.test, 2);
  self.server->ops->drain(self.server);
  NET_TEST_UNTIL(&self.test, self.peer.eofs == 1);
  net_test_advance(&self.test, 1999);
  net_test_turns(&self.test, 3);
  assert_int_equal(self.drained, 0);
  net_test_advance(&self.test, 1);
  NET_TEST_UNTIL(&self.test, self.drained == 1);
  tcp_deinit(&self);
}

static void a_slow_reader_is_waited_for_while_it_reads(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  tcp_start(&self);
  roost_conn_pause(self.peer.conn);
  tcp_request(&self.peer, "big", "1000000", "b");
  NET_TEST_UNTIL(&self.test, self.messages == 1);
  self.server->ops->drain(self.server);
  net_test_turns(&self.test, 5);
  for (unsigned i = 0; i < 5; i++) {
    net_test_advance(&self.test, 1500);
    roost_conn_read_now(self.peer.conn);
    net_test_turns(&self.test, 3);
  }
  assert_int_equal(self.drained + self.peer.closes, 0);
  net_test_advance(&self.test, 2000); /* what it took in the meantime counts once more */
  net_test_turns(&self.test, 3);
  net_test_advance(&self.test, 2000);
  NET_TEST_UNTIL(&self.test, self.drained == 1);
  tcp_deinit(&self);
}

static void a_draining_server_takes_nobody(void **state) {
  static tcp_test self;
  roost_conn *near;
  roost_conn *far;
  net_record other;
  (void)state;
  tcp_init(&self);
  tcp_start(&self);
  self.server->ops->drain(self.server);
  assert_int_equal(roost_conn_pair(&near, &far, self.test.loop), 0);
  net_record_init(&other, near);
  assert_int_equal(roost_tcp_server_adopt(self.server, far), ROOST_ESTATE);
  NET_TEST_UNTIL(&self.test, other.eofs == 1);
  tcp_deinit(&self);
  net_record_deinit(&other);
}

/* --------------------------------------------------------------------- close ----------------- */

static void close_ends_everything_at_once(void **state) {
  static tcp_test self;
  (void)state;
  tcp_init(&self);
  tcp_listen(&self);
  const int peer = net_connect(self.server->address.port);
  put(peer, "39#{\"pattern\":\"hold\",\"data\":1,\"id\":\"good\"}");
  NET_TEST_UNTIL(&self.test, self.held_count == 1);
  roost_server *server = self.server;
  server->ops->close(server);
  server->ops->close(server);
  assert_int_equal(self.gone, 0); /* told later */
  NET_TEST_UNTIL(&self.test, is_over(peer));
  NET_TEST_UNTIL(&self.test, self.gone == 1);
  assert_null(self.held[0].origin);
  assert_int_equal(self.drained, 0);
  net_test_turns(&self.test, 3);
  close(peer);
  net_test_deinit(&self.test);
  roost_log_free(self.log);
  roost_buffer_deinit(&self.lines);
}

static void out_of_memory_opening_a_server(void **state) {
  (void)state;
  for (size_t point = 0;; point++) {
    static tcp_test self;
    const char *why = NULL;
    tcp_init(&self);
    self.test.probe.refuse_after = point;
    const int status = roost_tcp_server_open(&self.server, self.test.loop, &self.config, self.log,
                                             &tcp_sink, &self, &why);
    if (status == 0) {
      assert_true(point >= 3);
      tcp_deinit(&self);
      return;
    }
    assert_int_equal(status, ROOST_ENOMEM);
    assert_string_equal(why, "out of memory");
    assert_null(self.server);
    net_test_deinit(&self.test);
    roost_log_free(self.log);
  }
}

static void a_port_in_use_says_why(void **state) {
  static tcp_test self;
  roost_server *other;
  const char *why;
  (void)state;
  tcp_init(&self);
  tcp_listen(&self);
  roost_server_config config = self.config;
  config.port = self.server->address.port;
  assert_int_equal(
      roost_tcp_server_open(&other, self.test.loop, &config, self.log, &tcp_sink, &self, &why),
      ROOST_ESYSTEM);
  assert_string_equal(why, "EADDRINUSE");
  tcp_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_over_tcp_is_answered_and_counted),
      cmocka_unit_test(a_large_frame_that_comes_slowly_has_time),
      cmocka_unit_test(over_max_connections_one_line_names_limit_and_peer),
      cmocka_unit_test(a_lost_listener_is_logged_and_comes_back),
      cmocka_unit_test(draining_accepts_and_reads_what_is_queued_first),
      cmocka_unit_test(draining_with_nobody_there),
      cmocka_unit_test(draining_answers_what_was_received),
      cmocka_unit_test(draining_waits_for_streams_and_dispatches_more_than_a_turn_takes),
      cmocka_unit_test(a_peer_that_never_closes_does_not_hold_up_the_drain),
      cmocka_unit_test(a_slow_reader_is_waited_for_while_it_reads),
      cmocka_unit_test(a_draining_server_takes_nobody),
      cmocka_unit_test(close_ends_everything_at_once),
      cmocka_unit_test(out_of_memory_opening_a_server),
      cmocka_unit_test(a_port_in_use_says_why),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
