#include "tls_test.h"

#include <signal.h>

#include "net/tls_stream.h"

/* A server of ours on a socket, and the stream at its other end. */
typedef struct world {
  net_test test;
  tls_world pki;
  net_record server;
  roost_tls_stream *stream;
  int descriptor;
} world;

static void init(world *self, const char *name) {
  int pair[2];
  roost_conn *conn;
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  tls_world_init(&self->pki, roost_alloc_default(), ROOST_TLS_VERIFY_REQUIRED, ROOST_TLS_1_2);
  net_socket_pair(pair);
  assert_int_equal(roost_conn_adopt(&conn, self->test.loop, pair[0]), 0);
  net_record_init(&self->server, conn);
  assert_int_equal(roost_conn_start_tls(conn, self->pki.server_context, NULL, 0), 0);
  self->descriptor = pair[1];
  assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
  assert_int_equal(roost_tls_stream_new(&self->stream, roost_alloc_default(),
                                        self->pki.client_context, name, pair[1]),
                   0);
}

static void deinit(world *self) {
  roost_tls_stream_free(self->stream);
  close(self->descriptor);
  if (self->server.conn != NULL)
    roost_conn_close(self->server.conn);
  NET_TEST_UNTIL(&self->test, self->server.closes == 1);
  net_record_deinit(&self->server);
  net_test_deinit(&self->test);
  tls_world_deinit(&self->pki);
}

static void bytes_go_both_ways_and_end(void **state) {
  enum { MANY = 1000000 };
  static char text[MANY];
  static char got[MANY];
  (void)state;
  world self;
  init(&self, "server.test");
  NET_TEST_UNTIL(&self.test, roost_tls_stream_handshake(self.stream) == 0);
  assert_int_equal(roost_tls_stream_read(self.stream, got, sizeof got), -EAGAIN);
  for (size_t i = 0; i < sizeof text; i++)
    text[i] = (char)(i * 7);
  size_t sent = 0;
  for (int turns = 0; sent < sizeof text && turns < 100000; turns++) {
    const ssize_t n = roost_tls_stream_write(self.stream, text + sent, sizeof text - sent);
    assert_true(n > 0 || n == -EAGAIN);
    assert_int_equal(roost_tls_stream_wants_write(self.stream), n == -EAGAIN);
    sent += n > 0 ? (size_t)n : 0;
    roost_loop_poll(self.test.loop, 0);
  }
  NET_TEST_UNTIL(&self.test, self.server.bytes.len == sizeof text);
  assert_memory_equal(self.server.bytes.ptr, text, sizeof text);
  net_write(self.server.conn, "answer");
  ssize_t n = -EAGAIN;
  NET_TEST_UNTIL(&self.test, (n = roost_tls_stream_read(self.stream, got, sizeof got)) != -EAGAIN);
  assert_int_equal(n, 6);
  assert_memory_equal(got, "answer", 6);
  roost_conn_shutdown(self.server.conn);
  NET_TEST_UNTIL(&self.test, (n = roost_tls_stream_read(self.stream, got, sizeof got)) != -EAGAIN);
  assert_int_equal(n, 0);
  assert_string_equal(roost_tls_stream_why(self.stream), "");
  deinit(&self);
}

static void a_wrong_name_is_refused(void **state) {
  (void)state;
  world self;
  int status = -EAGAIN;
  init(&self, "other.test");
  NET_TEST_UNTIL(&self.test, (status = roost_tls_stream_handshake(self.stream)) != -EAGAIN);
  assert_int_equal(status, -EPROTO);
  assert_non_null(strstr(roost_tls_stream_why(self.stream), "the server's certificate: "));
  deinit(&self);
}

static void who_hangs_up_is_told(void **state) {
  (void)state;
  world self;
  int status = -EAGAIN;
  init(&self, "server.test");
  roost_conn_close(self.server.conn);
  NET_TEST_UNTIL(&self.test, (status = roost_tls_stream_handshake(self.stream)) != -EAGAIN);
  assert_true(status < 0);
  deinit(&self);
}

static void some_name_must_be_known(void **state) {
  (void)state;
  world self;
  roost_tls_stream *stream;
  init(&self, "server.test");
  assert_int_equal(roost_tls_stream_new(&stream, roost_alloc_default(), self.pki.client_context,
                                        NULL, self.descriptor),
                   ROOST_EINVAL);
  assert_null(stream);
  roost_tls_stream_free(stream);
  deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes_go_both_ways_and_end),
      cmocka_unit_test(a_wrong_name_is_refused),
      cmocka_unit_test(who_hangs_up_is_told),
      cmocka_unit_test(some_name_must_be_known),
  };
  signal(SIGPIPE, SIG_IGN); /* as the stream's users must */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
