#include "nats_test.h"

/* A connection from its first byte to its last, as its owner sees it. */

typedef struct conn_test {
  nats_peer peer;
  roost_nats_conn conn;
  unsigned ready;
  unsigned closed;
  unsigned messages;
  unsigned pongs;
  int status;
  char why[192];
  char refused[128];
  bool closes_on_message;
} conn_test;

static void on_ready(void *ud) {
  ((conn_test *)ud)->ready++;
}

static void on_message(void *ud, const roost_nats_op *op) {
  conn_test *self = ud;
  assert_true(op->subject.len > 0);
  self->messages++;
  if (self->closes_on_message)
    roost_nats_conn_close(&self->conn);
}

static void on_writable(void *ud) {
  (void)ud;
}

static void on_pong(void *ud) {
  ((conn_test *)ud)->pongs++;
}

static void on_refused(void *ud, roost_slice text) {
  conn_test *self = ud;
  snprintf(self->refused, sizeof self->refused, "%.*s", (int)text.len, text.ptr);
}

static void on_closed(void *ud, int status, const char *why) {
  conn_test *self = ud;
  self->closed++;
  self->status = status;
  snprintf(self->why, sizeof self->why, "%s", why);
}

static const roost_nats_conn_ops ops = {on_ready, on_message, on_writable,
                                        on_pong,  on_refused, on_closed};

static void connect_again(conn_test *self) {
  assert_int_equal(roost_nats_conn_connect(&self->conn), 0);
  nats_turns(&self->peer);
}

static void make(conn_test *self) {
  assert_int_equal(roost_nats_conn_init(&self->conn, self->peer.test.loop, &self->peer.options,
                                        &ops, self, 100000),
                   0);
  self->conn.max_bytes = 10000;
  self->conn.dialer.dial = nats_dial;
  self->conn.dialer.dial_ud = &self->peer;
}

static conn_test *begin(void) {
  static conn_test self;
  memset(&self, 0, sizeof self);
  nats_peer_init(&self.peer);
  return &self;
}

static conn_test *start(void) {
  conn_test *self = begin();
  make(self);
  connect_again(self);
  return self;
}

static void stop(conn_test *self) {
  roost_nats_conn_deinit(&self->conn);
  nats_peer_deinit(&self->peer);
}

static void expect_closed(conn_test *self, int status, const char *why) {
  nats_turns(&self->peer);
  assert_int_equal(self->closed, 1);
  assert_int_equal(self->status, status);
  assert_string_equal(self->why, why);
  assert_int_equal(self->conn.state, ROOST_NATS_DOWN);
  self->closed = 0;
}

/* --------------------------------------------------------------------- the greeting ---------- */

static void it_is_ready_once_the_server_has_taken_it(void **state) {
  (void)state;
  conn_test *self = start();
  nats_expect(&self->peer, ""); /* the server speaks first */
  nats_say(&self->peer, "INFO {\"headers\":true,\"max_payload\":");
  nats_say(&self->peer, "1000}\r\n");
  assert_true(nats_was_sent(
      &self->peer,
      "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,\"lang\":\"roost\","
      "\"headers\":true,\"no_responders\":true,\"tls_required\":false,\"echo\":true,"
      "\"version\":\""));
  assert_true(nats_was_sent(&self->peer, "\"}\r\nPING\r\n"));
  roost_buffer_clear(&self->peer.record.bytes);
  assert_int_equal(self->ready, 0);
  nats_say(&self->peer, "PING\r\nPONG\r\n");
  nats_expect(&self->peer, "PONG\r\n");
  assert_int_equal(self->ready, 1);
  assert_true(roost_nats_conn_ready(&self->conn));
  assert_int_equal(self->conn.max_payload, 1000);
  assert_true(self->conn.has_headers);
  stop(self);
}

static void logs_in(const roost_nats_options *options, const char *text) {
  conn_test *self = begin();
  const roost_endpoint endpoint = self->peer.options.broker.endpoint;
  self->peer.options = *options;
  self->peer.options.broker.endpoint = endpoint;
  make(self);
  connect_again(self);
  nats_say(&self->peer, "INFO {\"nonce\":\"nonce\"}\r\n");
  if (!nats_was_sent(&self->peer, text))
    fail_msg("the server was sent %s", self->peer.record.bytes.ptr);
  stop(self);
}

static void it_says_who_it_is(void **state) {
  (void)state;
  logs_in(&(roost_nats_options){.user = "u", .pass = "p"}, ",\"user\":\"u\",\"pass\":\"p\"}");
  logs_in(&(roost_nats_options){.token = "t"}, ",\"auth_token\":\"t\"}");
  logs_in(&(roost_nats_options){.broker = {.user = "u", .password = "p"}},
          ",\"user\":\"u\",\"pass\":\"p\"}");
  logs_in(&(roost_nats_options){.broker = {.user = "t"}}, ",\"auth_token\":\"t\"}");
  logs_in(&(roost_nats_options){.broker = {.user = "u", .password = "p"}, .pass = "q"},
          ",\"user\":\"u\",\"pass\":\"q\"}");
  /* A seed, and what nkeys of NATS itself makes of it. */
  logs_in(
      &(roost_nats_options){.creds = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"},
      ",\"nkey\":\"UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK\",\"sig\":"
      "\"-HTq4d6DDHVNb8MsTRAZtSIa0vXA_yuZblwTA7JT5wYzmKBxJ2wpYfjHh7hcptZlidbVw_6ZLyubjm_yDk-"
      "OCQ\"}");
  logs_in(
      &(roost_nats_options){
          .creds = "eyJ.eyJ.x\nSUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y\n"},
      ",\"jwt\":\"eyJ.eyJ.x\",\"sig\":\"-HTq");
}

static void refuses(const char *greeting, const roost_nats_options *options, const char *why) {
  conn_test *self = begin();
  const roost_endpoint endpoint = self->peer.options.broker.endpoint;
  self->peer.options = *options;
  self->peer.options.broker.endpoint = endpoint;
  make(self);
  connect_again(self);
  nats_say(&self->peer, greeting);
  expect_closed(self, ROOST_ECONNECT, why);
  assert_int_equal(self->ready, 0);
  stop(self);
}

static void what_goes_wrong_before_is_a_refusal(void **state) {
  static const roost_tls_config tls = {.insecure = true};
  (void)state;
  refuses("INFO {}\r\n-ERR 'Authorization Violation'\r\n", &(roost_nats_options){.token = "t"},
          "EACCES: Authorization Violation");
  refuses("INFO []\r\n", &(roost_nats_options){.token = "t"},
          "EPROTO: the server's INFO is not JSON");
  refuses("INFO {\"tls_required\":true}\r\n", &(roost_nats_options){.token = "t"},
          "ETLS: the server wants TLS, and tls is not set");
  refuses("INFO {}\r\n", &(roost_nats_options){.broker = {.tls = &tls}},
          "ETLS: the server has no TLS");
  refuses("INFO {\"tls_available\":true}\r\nPING\r\n",
          &(roost_nats_options){.broker = {.tls = &tls}}, "ETLS: the server goes on without it");
  refuses("INFO {\"nonce\":\"x\"}\r\n", &(roost_nats_options){.creds = "SU\n"},
          "EACCES: creds: there is no seed of a user in it");
  refuses(
      "INFO {}\r\n",
      &(roost_nats_options){.creds = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"},
      "EACCES: creds: the server wants none");
  refuses("INFO {}\r\n", &(roost_nats_options){.creds = "x", .dir = "/nowhere"},
          "EACCES: creds: it cannot be opened: No such file or directory");
  refuses("INFO {}\r\n", &(roost_nats_options){.user = "\xff", .pass = ""},
          "EACCES: user, pass or token is not UTF-8");
}

static void a_silent_server_is_left(void **state) {
  (void)state;
  conn_test *self = start();
  net_test_advance(&self->peer.test, 9999);
  assert_int_equal(self->closed, 0);
  net_test_advance(&self->peer.test, 1);
  expect_closed(self, ROOST_ECONNECT, "ETIMEDOUT: the server does not answer");
  stop(self);
}

static void an_end_before_is_a_refusal(void **state) {
  (void)state;
  conn_test *self = start();
  roost_conn_close(self->peer.record.conn);
  nats_turns(&self->peer);
  expect_closed(self, ROOST_ECONNECT, "Connection closed");
  stop(self);
}

/* --------------------------------------------------------------------- afterwards ------------ */

static conn_test *start_ready(void) {
  conn_test *self = start();
  nats_greet(&self->peer);
  assert_int_equal(self->ready, 1);
  return self;
}

static void what_the_server_says_at_the_end_is_told(void **state) {
  (void)state;
  conn_test *self = start_ready();
  nats_say(&self->peer, "-ERR 'Stale Connection'\r\n");
  assert_int_equal(self->closed, 0);
  roost_conn_close(self->peer.record.conn);
  expect_closed(self, ROOST_EGONE, "Stale Connection");
  connect_again(self);
  nats_greet(&self->peer);
  roost_conn_close(self->peer.record.conn);
  expect_closed(self, ROOST_EGONE, "Connection closed");
  stop(self);
}

static void what_it_refuses_is_not_the_end(void **state) {
  (void)state;
  conn_test *self = start_ready();
  nats_say(&self->peer, "-ERR 'Permissions Violation for Publish to \"x\"'\r\n+OK\r\n");
  assert_string_equal(self->refused, "Permissions Violation for Publish to \"x\"");
  nats_say(&self->peer, "MSG a 1 1\r\nx\r\n");
  assert_int_equal(self->messages, 1);
  stop(self);
}

static void broken_bytes_are(void **state) {
  (void)state;
  conn_test *self = start_ready();
  nats_say(&self->peer, "MSG a\r\n");
  expect_closed(self, ROOST_EPROTO, "a message's line is broken");
  stop(self);
}

static void it_asks_whether_the_server_lives(void **state) {
  (void)state;
  conn_test *self = start_ready();
  for (unsigned i = 0; i < 5; i++) {
    net_test_advance(&self->peer.test, 15000);
    nats_expect(&self->peer, "PING\r\n");
    nats_say(&self->peer, "PONG\r\n");
  }
  assert_int_equal(self->pongs, 5);
  net_test_advance(&self->peer.test, 15000);
  for (unsigned i = 0; i < 2; i++) {
    net_test_advance(&self->peer.test, 15000);
    nats_expect(&self->peer, i == 0 ? "PING\r\nPING\r\n" : "PING\r\n");
    assert_int_equal(self->closed, 0);
  }
  net_test_advance(&self->peer.test, 15000);
  expect_closed(self, ROOST_EGONE, "ETIMEDOUT: the server does not answer");
  stop(self);
}

static void pongs_belong_to_pings(void **state) {
  (void)state;
  conn_test *self = start_ready();
  roost_nats_conn_ping(&self->conn);
  roost_nats_conn_ping(&self->conn);
  nats_expect(&self->peer, "PING\r\nPING\r\n");
  assert_int_equal(self->conn.pings, 2);
  nats_say(&self->peer, "PONG\r\n");
  assert_int_equal(self->conn.pongs, 1);
  stop(self);
}

static void it_may_be_closed_from_a_message(void **state) {
  (void)state;
  conn_test *self = start_ready();
  self->closes_on_message = true;
  nats_say(&self->peer, "MSG a 1 1\r\nx\r\nMSG a 1 1\r\nx\r\n");
  assert_int_equal(self->messages, 1);
  assert_int_equal(self->closed, 0);
  assert_int_equal(self->peer.record.eofs, 1);
  self->closes_on_message = false;
  roost_conn_close(self->peer.record.conn);
  nats_turns(&self->peer);
  connect_again(self);
  nats_greet(&self->peer);
  assert_int_equal(self->ready, 2);
  stop(self);
}

/* --------------------------------------------------------------------- places ---------------- */

static void it_goes_on_to_servers_that_were_named(void **state) {
  (void)state;
  conn_test *self = start();
  nats_say(&self->peer, "INFO {\"connect_urls\":[\"10.0.0.1:4222\",\"nats.example:4222\",\"bad\","
                        "\"[::1]:4223\",\"10.0.0.1:4222\",\"x:0\"]}\r\n");
  nats_say(&self->peer, "PONG\r\nINFO {\"connect_urls\":[\"10.0.0.2:1\",\"10.0.0.1:4222\"]}\r\n");
  assert_int_equal(self->conn.place_count, 3);
  assert_string_equal(self->conn.places[1].host, "::1");
  assert_int_equal(self->conn.places[1].port, 4223);
  assert_string_equal(self->conn.places[2].host, "10.0.0.2");
  roost_conn_close(self->peer.record.conn);
  expect_closed(self, ROOST_EGONE, "Connection closed");
  self->peer.refuses = true;
  self->peer.dials = 0;
  connect_again(self);
  self->peer.refuses = false;
  connect_again(self);
  assert_string_equal(roost_dialer_place(&self->conn.dialer).host, "nats.example");
  stop(self);
}

static void not_without_end(void **state) {
  (void)state;
  conn_test *self = start();
  roost_buffer text;
  roost_buffer_init(&text, roost_alloc_default());
  assert_int_equal(roost_buffer_printf(&text, "INFO {\"connect_urls\":[\"a:1\""), 0);
  for (unsigned i = 0; i < 200; i++)
    assert_int_equal(roost_buffer_printf(&text, ",\"h%u:1\"", i), 0);
  assert_int_equal(roost_buffer_append(&text, "]}\r\n", 5), 0);
  nats_say(&self->peer, text.ptr);
  assert_int_equal(self->conn.place_count, 64);
  roost_buffer_deinit(&text);
  stop(self);
}

static void another_is_tried_where_one_refuses_us(void **state) {
  static const roost_endpoint others[] = {{"b.example", 1}};
  (void)state;
  conn_test *self = begin();
  self->peer.options.broker.others = others;
  self->peer.options.broker.other_count = 1;
  make(self);
  connect_again(self);
  nats_say(&self->peer, "INFO {}\r\n-ERR 'Authorization Violation'\r\n");
  expect_closed(self, ROOST_ECONNECT, "EACCES: Authorization Violation");
  connect_again(self);
  assert_string_equal(roost_dialer_place(&self->conn.dialer).host, "b.example");
  nats_greet(&self->peer);
  assert_int_equal(self->ready, 1);
  stop(self);
}

static void inboxes_are_its_own(void **state) {
  (void)state;
  conn_test *self = start();
  assert_int_equal(self->conn.inbox_len, strlen("_INBOX.") + 22);
  assert_memory_equal(self->conn.inbox, "_INBOX.", 7);
  stop(self);
  self = begin();
  self->peer.options.inbox_prefix = "my.own";
  make(self);
  assert_memory_equal(self->conn.inbox, "my.own.", 7);
  stop(self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_is_ready_once_the_server_has_taken_it),
      cmocka_unit_test(it_says_who_it_is),
      cmocka_unit_test(what_goes_wrong_before_is_a_refusal),
      cmocka_unit_test(a_silent_server_is_left),
      cmocka_unit_test(an_end_before_is_a_refusal),
      cmocka_unit_test(what_the_server_says_at_the_end_is_told),
      cmocka_unit_test(what_it_refuses_is_not_the_end),
      cmocka_unit_test(broken_bytes_are),
      cmocka_unit_test(it_asks_whether_the_server_lives),
      cmocka_unit_test(pongs_belong_to_pings),
      cmocka_unit_test(it_may_be_closed_from_a_message),
      cmocka_unit_test(it_goes_on_to_servers_that_were_named),
      cmocka_unit_test(not_without_end),
      cmocka_unit_test(another_is_tried_where_one_refuses_us),
      cmocka_unit_test(inboxes_are_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
