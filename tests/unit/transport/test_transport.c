#include "alloc_probe.h"

#include "transport/transport.h"

static void the_defaults(void **state) {
  roost_server_config config;
  (void)state;
  memset(&config, 0xff, sizeof config);
  roost_server_config_init(&config);
  assert_string_equal(config.transport, "tcp");
  assert_string_equal(config.host, "localhost");
  assert_int_equal(config.port, 3000);
  assert_null(config.services);
  assert_false(config.wildcards);
  assert_int_equal(config.max_buffer_size, 16777216);
  assert_int_equal(config.incomplete_message_timeout, 30000);
  assert_int_equal(config.max_send_buffer_size, 16777216);
  assert_int_equal(config.max_connections, 10000);
  assert_int_equal(config.max_connections_per_ip, 0);
  assert_int_equal(config.backlog, 1024);
  assert_int_equal(config.max_in_flight, 1024);
  assert_int_equal(config.max_streams, 65536);
  assert_int_equal(config.idle_timeout, 0);
  assert_int_equal(config.retry_attempts, 0);
  assert_int_equal(config.retry_delay, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_defaults),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
