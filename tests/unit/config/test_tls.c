#include "load_settings.h"

static const roost_tls_config *load_tls(load_case *load, const char *tls) {
  char text[512];
  snprintf(text, sizeof text, "return { services = {}, servers = { { tls = %s } } }", tls);
  load_text(load, text);
  return load->status == 0 ? load->settings->servers[0].tls : NULL;
}

static void a_server_without_has_none(void **state) {
  load_case *load = *state;
  assert_null(load_tls(load, "nil"));
  assert_int_equal(load->status, 0);
  assert_int_equal(load->settings->servers[0].handshake_timeout, 10000);
}

static void every_member_is_stored(void **state) {
  load_case *load = *state;
  const roost_tls_config *tls =
      load_tls(load, "{ key = 'k.pem', cert = 'c.pem', passphrase = 'p', ca = { 'a', 'b' }, "
                     "verify = 'required', min_version = '1.3', ciphers = 'X:Y', "
                     "sni = { ['a.test'] = { key = 'k2', cert = 'c2', passphrase = 'p2' } } }");
  assert_non_null(tls);
  assert_string_equal(tls->dir, load->dir); /* where relative paths start */
  assert_string_equal(tls->key, "k.pem");
  assert_string_equal(tls->cert, "c.pem");
  assert_string_equal(tls->passphrase, "p");
  assert_string_equal(tls->ca[0], "a");
  assert_string_equal(tls->ca[1], "b");
  assert_null(tls->ca[2]);
  assert_int_equal(tls->verify, ROOST_TLS_VERIFY_REQUIRED);
  assert_int_equal(tls->min_version, ROOST_TLS_1_3);
  assert_string_equal(tls->ciphers, "X:Y");
  assert_int_equal(tls->sni_count, 1);
  assert_string_equal(tls->sni[0].name, "a.test");
  assert_string_equal(tls->sni[0].key, "k2");
  assert_string_equal(tls->sni[0].cert, "c2");
  assert_string_equal(tls->sni[0].passphrase, "p2");
}

static void the_rest_has_defaults(void **state) {
  load_case *load = *state;
  const roost_tls_config *tls = load_tls(load, "{ key = 'k', cert = 'c', ca = 'one' }");
  assert_non_null(tls);
  assert_null(tls->passphrase);
  assert_null(tls->ciphers);
  assert_string_equal(tls->ca[0], "one");
  assert_null(tls->ca[1]);
  assert_int_equal(tls->verify, ROOST_TLS_VERIFY_NONE);
  assert_int_equal(tls->min_version, ROOST_TLS_1_2);
  assert_int_equal(tls->sni_count, 0);
  tls = load_tls(load, "{ key = 'k', cert = 'c' }");
  assert_null(tls->ca);
}

static void what_is_missing_or_wrong_is_said(void **state) {
  static const char *const cases[][2] = {
      {"{}", "key: is needed"},
      {"{ cert = 'c' }", "key: is needed"},
      {"{ key = 'k' }", "cert: is needed"},
      {"{ key = 'k', cert = 'c', verify = 'optional' }", "ca: is needed to verify clients"},
      {"{ key = 'k', cert = 'c', min_version = '1.1' }",
       "min_version: expected \"1.2\" or \"1.3\", got \"1.1\""},
      {"{ key = '', cert = 'c' }", "key: must not be empty"},
      {"{ key = 'k', cert = 'c', sni = 5 }", "sni: expected a table, got 5"},
      {"{ key = 'k', cert = 'c', sni = { 'a' } }", "sni: expected names as keys, found 1"},
      {"{ key = 'k', cert = 'c', sni = { a = { key = 'k' } } }", "sni.a.cert: is needed"},
      {"{ key = 'k', cert = 'c', sni = { a = 5 } }", "sni.a: expected a table, got 5"},
      {"{ key = 'k', cert = 'c', servername = 'x' }", "servername: unknown key"},
  };
  load_case *load = *state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char expected[160];
    assert_null(load_tls(load, cases[i][0]));
    snprintf(expected, sizeof expected, "host.lua: servers[1].tls.%s", cases[i][1]);
    if (!load_has_problem(load, expected))
      fail_msg("%s: %s", cases[i][0], load->problems.items[0].text);
  }
  load_tls(load, "true");
  assert_error(load, "host.lua: servers[1].tls: expected a table, got true");
}

static void a_clients_is_checked(void **state) {
  static const struct {
    const char *tls;
    const char *problem; /* NULL: none but that clients are not served yet */
  } cases[] = {{"true", NULL},
               {"false", NULL},
               {"{}", NULL},
               {"{ ca = { 'a' }, cert = 'c', key = 'k', servername = 's', insecure = true }", NULL},
               {"{ cert = 'c' }", "key: is needed beside the other half"},
               {"{ key = 'c' }", "cert: is needed beside the other half"},
               {"{ verify = 'none' }", "verify: unknown key"}};
  load_case *load = *state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[256];
    snprintf(text, sizeof text, "return { services = {}, clients = { A = { tls = %s } } }",
             cases[i].tls);
    load_text(load, text);
    assert_int_equal(load->problems.errors, cases[i].problem != NULL);
    if (cases[i].problem == NULL)
      continue;
    snprintf(text, sizeof text, "host.lua: clients.A.tls.%s", cases[i].problem);
    assert_error(load, text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(a_server_without_has_none), LOAD_TEST(every_member_is_stored),
      LOAD_TEST(the_rest_has_defaults),     LOAD_TEST(what_is_missing_or_wrong_is_said),
      LOAD_TEST(a_clients_is_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
