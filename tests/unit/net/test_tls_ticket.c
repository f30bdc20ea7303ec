#include "tls_test.h"

#include <openssl/ssl.h>

#include "net/tls_internal.h"

/* A server of ours and a client that is OpenSSL itself, so that sessions can be looked at. */
typedef struct world {
  net_test test;
  tls_world pki;
  SSL_CTX *context;
} world;

static void init(world *self, int version) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  tls_world_init(&self->pki, roost_alloc_default(), ROOST_TLS_VERIFY_REQUIRED, ROOST_TLS_1_2);
  self->context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_max_proto_version(self->context, version);
  SSL_CTX_use_certificate(self->context, self->pki.client.x509);
  SSL_CTX_use_PrivateKey(self->context, self->pki.client.pkey);
}

static void deinit(world *self) {
  net_test_deinit(&self->test);
  tls_world_deinit(&self->pki);
  SSL_CTX_free(self->context);
}

/* A connection of both; the server's end has its record. */
static SSL *begin(world *self, net_record *server, SSL_SESSION *session) {
  int pair[2];
  roost_conn *conn;
  net_socket_pair(pair);
  assert_int_equal(roost_conn_adopt(&conn, self->test.loop, pair[0]), 0);
  net_record_init(server, conn);
  assert_int_equal(roost_conn_start_tls(conn, self->pki.server_context, NULL, 0), 0);
  assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
  SSL *ssl = SSL_new(self->context);
  SSL_set_fd(ssl, pair[1]);
  if (session != NULL)
    SSL_set_session(ssl, session);
  NET_TEST_UNTIL(&self->test, SSL_connect(ssl) == 1);
  NET_TEST_UNTIL(&self->test, server->opened == 1);
  return ssl;
}

static void end(world *self, SSL *ssl, net_record *server) {
  const int descriptor = SSL_get_fd(ssl);
  SSL_free(ssl);
  close(descriptor);
  NET_TEST_UNTIL(&self->test, server->closes + server->eofs > 0);
  if (server->conn != NULL)
    roost_conn_close(server->conn);
  NET_TEST_UNTIL(&self->test, server->closes == 1);
  net_record_deinit(server);
}

/* Talks a little, which brings the ticket, and gives the session; reused: whether it was one. */
static SSL_SESSION *visit(world *self, SSL_SESSION *session, bool *reused) {
  net_record server;
  char byte = 0;
  SSL *ssl = begin(self, &server, session);
  assert_int_equal(SSL_write(ssl, "?", 1), 1);
  NET_TEST_UNTIL(&self->test, server.bytes.len == 1);
  /* whoever comes back is still known */
  assert_string_equal(roost_conn_tls_info(server.conn)->common_name, "client");
  assert_true(roost_conn_tls_info(server.conn)->verified);
  net_write(server.conn, "!");
  NET_TEST_UNTIL(&self->test, SSL_read(ssl, &byte, 1) == 1);
  *reused = SSL_session_reused(ssl) == 1;
  SSL_SESSION *next = SSL_get1_session(ssl);
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* it stays a good session */
  end(self, ssl, &server);
  return next;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void a_ticket_outlives_one_key_but_not_two(void **state) {
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    for (int changes = 0; changes < 3; changes++) {
      world self;
      bool reused;
      init(&self, versions[i]);
      SSL_SESSION *first = visit(&self, NULL, &reused);
      assert_false(reused);
      for (int n = 0; n < changes; n++)
        assert_true(roost_tls_tickets_renew(self.pki.server_context->tickets));
      SSL_SESSION *second = visit(&self, first, &reused);
      assert_int_equal(reused, changes < 2);
      SSL_SESSION *third = visit(&self, second, &reused); /* sealed anew with the last key */
      assert_true(reused);
      SSL_SESSION_free(first);
      SSL_SESSION_free(second);
      SSL_SESSION_free(third);
      deinit(&self);
    }
  }
}

static void a_ticket_of_another_context_is_worth_nothing(void **state) {
  (void)state;
  world self;
  world other;
  bool reused;
  init(&self, TLS1_3_VERSION);
  init(&other, TLS1_3_VERSION);
  SSL_SESSION *session = visit(&other, NULL, &reused);
  SSL_SESSION_free(visit(&self, session, &reused));
  assert_false(reused);
  SSL_SESSION_free(session);
  deinit(&self);
  deinit(&other);
}

/* Asks for new keys, each time for an answer too, and reads none of them. */
static void ask_for_keys(SSL *ssl) {
  for (unsigned i = 0; i < 200; i++) {
    SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
    if (SSL_do_handshake(ssl) != 1)
      return;
  }
}

static void whoever_reads_no_answers_is_hung_up_on(void **state) {
  (void)state;
  world self;
  net_record server;
  init(&self, TLS1_3_VERSION);
  SSL *ssl = begin(&self, &server, NULL);
  const int small = 4096; /* of the kernel's buffers, which would hold many */
  setsockopt(roost_conn_descriptor(server.conn), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  NET_TEST_UNTIL(&self.test, (ask_for_keys(ssl), server.closes == 1));
  assert_int_equal(server.status, ROOST_EGONE);
  assert_string_equal(server.why, "ETLS: the peer asks for much and reads nothing");
  end(&self, ssl, &server);
  deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_ticket_outlives_one_key_but_not_two),
      cmocka_unit_test(a_ticket_of_another_context_is_worth_nothing),
      cmocka_unit_test(whoever_reads_no_answers_is_hung_up_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
