#include "tls_test.h"

#include <openssl/ssl.h>

#include "net/tls_internal.h"

typedef struct world {
  net_test test;
  tls_world pki;
} world;

static void init(world *self, roost_tls_version version) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  tls_world_init(&self->pki, roost_alloc_default(), ROOST_TLS_VERIFY_REQUIRED, version);
}

static void deinit(world *self) {
  net_test_deinit(&self->test);
  tls_world_deinit(&self->pki);
}

/* One connection on which both say something, which brings the ticket. Whether it resumed. */
static bool visit(world *self, const char *name) {
  roost_conn *conns[2];
  net_record ends[2];
  assert_int_equal(roost_conn_pair(&conns[0], &conns[1], self->test.loop), 0);
  net_record_init(&ends[0], conns[0]);
  net_record_init(&ends[1], conns[1]);
  assert_int_equal(roost_conn_start_tls(conns[0], self->pki.server_context, NULL, 0), 0);
  assert_int_equal(roost_conn_start_tls(conns[1], self->pki.client_context, name, 0), 0);
  NET_TEST_UNTIL(&self->test, ends[0].opened == 1 && ends[1].opened == 1);
  net_write(conns[1], "?");
  NET_TEST_UNTIL(&self->test, ends[0].bytes.len == 1);
  net_write(conns[0], "!");
  NET_TEST_UNTIL(&self->test, ends[1].bytes.len == 1);
  const roost_tls_info *server = roost_conn_tls_info(conns[1]);
  const bool resumed = server->resumed;
  assert_int_equal(roost_conn_tls_info(conns[0])->resumed, resumed);
  assert_string_equal(server->common_name, "server"); /* whoever comes back still knows */
  assert_true(server->verified);
  assert_true(roost_conn_tls_info(conns[0])->verified);
  roost_conn_close(conns[1]);
  NET_TEST_UNTIL(&self->test, ends[1].closes == 1 && ends[0].closes + ends[0].eofs > 0);
  if (ends[0].conn != NULL)
    roost_conn_close(ends[0].conn);
  NET_TEST_UNTIL(&self->test, ends[0].closes == 1);
  net_record_deinit(&ends[0]);
  net_record_deinit(&ends[1]);
  return resumed;
}

static const roost_tls_version versions[] = {ROOST_TLS_1_2, ROOST_TLS_1_3};

static void a_client_takes_its_session_up_again(void **state) {
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    world self;
    init(&self, versions[i]);
    if (versions[i] == ROOST_TLS_1_2)
      SSL_CTX_set_max_proto_version(self.pki.client_context->ssl, TLS1_2_VERSION);
    assert_false(visit(&self, "server.test"));
    for (int n = 0; n < 3; n++)
      assert_true(visit(&self, "server.test"));
    deinit(&self);
  }
}

static void a_session_is_for_the_name_it_began_with(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_1_3);
  assert_false(visit(&self, "server.test"));
  assert_false(visit(&self, "127.0.0.1"));
  assert_true(visit(&self, "127.0.0.1"));
  assert_false(visit(&self, "server.test"));
  assert_false(visit(&self, "127.0.0.1"));
  deinit(&self);
}

static void what_the_server_does_not_know_is_a_whole_handshake(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_1_3);
  assert_false(visit(&self, "server.test"));
  assert_true(roost_tls_tickets_renew(self.pki.server_context->tickets));
  assert_true(roost_tls_tickets_renew(self.pki.server_context->tickets));
  assert_false(visit(&self, "server.test"));
  assert_true(visit(&self, "server.test"));
  deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_client_takes_its_session_up_again),
      cmocka_unit_test(a_session_is_for_the_name_it_began_with),
      cmocka_unit_test(what_the_server_does_not_know_is_a_whole_handshake),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
