#include "load_settings.h"

static void load_admin(load_case *load, const char *admin) {
  char text[256];
  snprintf(text, sizeof text, "return { services = {}, admin = %s }", admin);
  load_text(load, text);
}

static void what_is_set_is_known_as_such(void **state) {
  load_case *load = *state;
  load_admin(load, "{ socket = 'x.sock', http = '[::1]:0' }");
  assert_int_equal(load->problems.count, 0);
  assert_string_equal(load->settings->admin_socket, "x.sock");
  assert_true(load->settings->admin_socket_given);
  assert_true(load->settings->admin_http_given);
  assert_string_equal(load->settings->admin_http_host, "::1");
  assert_int_equal(load->settings->admin_http_port, 0);
  load_admin(load, "{ http = 'localhost:9464' }");
  assert_false(load->settings->admin_socket_given);
  assert_string_equal(load->settings->admin_http_host, "localhost");
}

static void false_is_none(void **state) {
  load_case *load = *state;
  load_admin(load, "{ socket = false, http = false }");
  assert_int_equal(load->problems.count, 0);
  assert_null(load->settings->admin_socket);
  assert_null(load->settings->admin_http);
  assert_null(load->settings->admin_http_host);
}

static void what_is_no_loopback_address_with_a_port_is_an_error(void **state) {
  static const char *const cases[][2] = {
      {"'0.0.0.0:9464'", "admin.http: \"0.0.0.0\" is not a loopback address"},
      {"'example.com:80'", "is not a loopback address"},
      {"'[::]:80'", "is not a loopback address"},
      {"'127.0.0.1'", "expected HOST:PORT"},
      {"'9464'", "expected HOST:PORT"},
      {"':9464'", "expected HOST:PORT"},
      {"'127.0.0.1:70000'", "expected HOST:PORT"},
      {"'127.0.0.1:1/x'", "expected HOST:PORT"},
      {"true", "admin.http: expected"},
      {"9464", "admin.http: expected"}};
  load_case *load = *state;
  char text[64];
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    snprintf(text, sizeof text, "{ http = %s }", cases[i][0]);
    load_admin(load, text);
    assert_int_equal(load->problems.errors, 1);
    if (strstr(load->problems.items[0].text, cases[i][1]) == NULL)
      fail_msg("%s: \"%s\"", cases[i][0], load->problems.items[0].text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(what_is_set_is_known_as_such),
      LOAD_TEST(false_is_none),
      LOAD_TEST(what_is_no_loopback_address_with_a_port_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
