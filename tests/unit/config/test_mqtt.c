#include "load_settings.h"

#include "transport/mqtt.h"

static const roost_mqtt_options *server_of(const load_case *load, size_t number) {
  if (load->problems.count > 0)
    fail_msg("%s", load->problems.items[0].text);
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->servers[number].transport, "mqtt");
  return load->settings->servers[number].options;
}

static void defaults_are_nests(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { { transport = 'mqtt' } } }");
  const roost_mqtt_options *options = server_of(load, 0);
  assert_string_equal(options->broker.endpoint.host, "127.0.0.1");
  assert_int_equal(options->broker.endpoint.port, 1883);
  assert_null(options->broker.tls);
  assert_null(options->username);
  assert_null(options->password);
  assert_null(options->client_id);
  assert_true(options->clean);
  assert_int_equal(options->keepalive, 60);
  assert_int_equal(options->qos, 0);
  assert_int_equal(options->protocol_version, 0);
  assert_int_equal(options->user_property_count, 0);
}

static void keys_are_read(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { { transport = 'mqtt', url = "
                  "'mqtts://me:p%40ss@one', username = 'u', password = '', client_id = 'c', clean "
                  "= false, keepalive = 5, subscribe_options = { qos = 2 }, user_properties = { a "
                  "= 'b' }, protocol_version = 4 } } }");
  const roost_mqtt_options *options = server_of(load, 0);
  assert_string_equal(options->broker.endpoint.host, "one");
  assert_int_equal(options->broker.endpoint.port, 8883);
  assert_string_equal(options->broker.user, "me");
  assert_string_equal(options->broker.password, "p@ss");
  assert_non_null(options->broker.tls);
  assert_string_equal(options->username, "u");
  assert_string_equal(options->password, "");
  assert_string_equal(options->client_id, "c");
  assert_false(options->clean);
  assert_int_equal(options->keepalive, 5);
  assert_int_equal(options->qos, 2);
  assert_int_equal(options->protocol_version, 4);
  assert_int_equal(options->user_property_count, 1);
  assert_string_equal(options->user_properties[0].name, "a");
  assert_string_equal(options->user_properties[0].value, "b");
}

static void clients_have_the_same(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, clients = { A = { url = 'mqtt://m:7', "
                  "subscribe_options = { qos = 1 }, timeout = 5 } } }");
  assert_int_equal(load->status, 0);
  const roost_client_config *client = &load->settings->clients[0];
  const roost_mqtt_options *options = client->options;
  assert_string_equal(client->transport, "mqtt");
  assert_string_equal(client->host, "m");
  assert_int_equal(client->port, 7);
  assert_int_equal(client->timeout, 5);
  assert_int_equal(options->qos, 1);
}

static void assert_wrong(load_case *load, const char *entry, const char *error) {
  char text[300];
  snprintf(text, sizeof text, "return { services = {}, servers = { { transport = 'mqtt', %s } } }",
           entry);
  load_text(load, text);
  assert_error(load, error);
}

static void what_is_wrong_is_named(void **state) {
  load_case *load = *state;
  assert_wrong(load, "url = 'http://r'",
               "host.lua: servers[1].url: expected mqtt://[USER:PASSWORD@]HOST[:PORT], got "
               "\"http://r\"");
  assert_wrong(load, "subscribe_options = { qos = 3 }",
               "host.lua: servers[1].subscribe_options.qos: must be between 0 and 2, got 3");
  assert_wrong(load, "protocol_version = 3",
               "host.lua: servers[1].protocol_version: must be between 4 and 5, got 3");
  assert_wrong(load, "keepalive = 65536",
               "host.lua: servers[1].keepalive: must be between 0 and 65535, got 65536");
  assert_wrong(load, "user_properties = { a = {} }",
               "host.lua: servers[1].user_properties.a: expected text, got a table");
  assert_wrong(load, "clean = false",
               "host.lua: servers[1].clean: false wants a client_id, by which the broker knows the "
               "session again");
  assert_wrong(load, "clientId = 'x'",
               "host.lua: servers[1].clientId: unknown key (did you mean \"client_id\"?)");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(defaults_are_nests),
      LOAD_TEST(keys_are_read),
      LOAD_TEST(clients_have_the_same),
      LOAD_TEST(what_is_wrong_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
