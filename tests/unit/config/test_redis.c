#include "load_settings.h"

#include "transport/redis.h"

static const roost_redis_options *server_of(const load_case *load, size_t number) {
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->servers[number].transport, "redis");
  return load->settings->servers[number].options;
}

static void defaults_are_those_of_redis(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { { transport = 'redis' } } }");
  const roost_redis_options *options = server_of(load, 0);
  assert_string_equal(options->broker.endpoint.host, "127.0.0.1");
  assert_int_equal(options->broker.endpoint.port, 6379);
  assert_int_equal(options->db, 0);
  assert_null(options->username);
  assert_null(options->password);
  assert_null(options->broker.tls);
  assert_false(options->wildcards);
  assert_int_equal(load->settings->servers[0].retry_attempts, 0);
}

static void keys_are_read(void **state) {
  load_case *load = *state;
  load_text(load,
            "return { services = {}, servers = { { transport = 'redis', host = 'r', port = 7, "
            "db = 3, username = 'u', password = 'p', wildcards = true, tls = true, "
            "retry_attempts = 5, retry_delay = 10 } } }");
  const roost_redis_options *options = server_of(load, 0);
  assert_string_equal(options->broker.endpoint.host, "r");
  assert_int_equal(options->broker.endpoint.port, 7);
  assert_int_equal(options->db, 3);
  assert_string_equal(options->username, "u");
  assert_string_equal(options->password, "p");
  assert_non_null(options->broker.tls);
  assert_true(options->wildcards);
  assert_int_equal(load->settings->servers[0].retry_attempts, 5);
  assert_int_equal(load->settings->servers[0].retry_delay, 10);
}

static void a_url_says_it_all(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { "
                  "{ transport = 'redis', url = 'redis://u:p%20q@r:7/3' }, "
                  "{ transport = 'redis', url = 'rediss://:p@r' }, "
                  "{ transport = 'redis', url = 'redis://u:p@r:7/3', host = 'other', port = 8, "
                  "db = 0, username = 'v', password = 'w' } } }");
  const roost_redis_options *options = server_of(load, 0);
  assert_string_equal(options->broker.endpoint.host, "r");
  assert_int_equal(options->broker.endpoint.port, 7);
  assert_string_equal(options->username, "u");
  assert_string_equal(options->password, "p q");
  assert_int_equal(options->db, 3);
  assert_null(options->broker.tls);
  options = server_of(load, 1);
  assert_int_equal(options->broker.endpoint.port, 6379);
  assert_null(options->username);
  assert_string_equal(options->password, "p");
  assert_non_null(options->broker.tls);
  options = server_of(load, 2);
  assert_string_equal(options->broker.endpoint.host, "other");
  assert_int_equal(options->broker.endpoint.port, 8);
  assert_int_equal(options->db, 0);
  assert_string_equal(options->username, "v");
  assert_string_equal(options->password, "w");
}

static void clients_have_the_same(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, clients = { A = { transport = 'redis', port = 7, "
                  "password = 'p' }, B = { url = 'redis://r/2' } } }");
  assert_int_equal(load->status, 0);
  for (size_t i = 0; i < load->settings->client_count; i++) {
    const roost_client_config *client = &load->settings->clients[i];
    const roost_redis_options *options = client->options;
    const bool is_first = strcmp(client->name, "A") == 0;
    assert_string_equal(client->transport, "redis");
    assert_string_equal(client->host, is_first ? "127.0.0.1" : "r");
    assert_int_equal(client->port, is_first ? 7 : 6379);
    assert_int_equal(options->db, is_first ? 0 : 2);
  }
}

static void assert_wrong(load_case *load, const char *entry, const char *error) {
  char text[300];
  snprintf(text, sizeof text, "return { services = {}, servers = { { transport = 'redis', %s } } }",
           entry);
  load_text(load, text);
  assert_error(load, error);
}

static void what_is_wrong_is_named(void **state) {
  load_case *load = *state;
  assert_wrong(load, "port = 0", "host.lua: servers[1].port: must be between 1 and 65535, got 0");
  assert_wrong(load, "db = -1", "host.lua: servers[1].db: must be between 0 and 65535, got -1");
  assert_wrong(load, "url = 'redis://r/x'",
               "host.lua: servers[1]: url: expected the number of a database behind the host, got "
               "\"x\"");
  assert_wrong(load, "url = 'nats://r'",
               "host.lua: servers[1].url: expected redis://[USER:PASSWORD@]HOST[:PORT], got "
               "\"nats://r\"");
  assert_wrong(load, "passwort = 'x'",
               "host.lua: servers[1].passwort: unknown key (did you mean \"password\"?)");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(defaults_are_those_of_redis), LOAD_TEST(keys_are_read),
      LOAD_TEST(a_url_says_it_all),           LOAD_TEST(clients_have_the_same),
      LOAD_TEST(what_is_wrong_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
