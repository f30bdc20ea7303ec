#include "load_settings.h"

static void knows_loopback(void **state) {
  (void)state;
  static const char *const loopback[] = {"localhost", "127.0.0.1", "127.255.0.9", "::1"};
  static const char *const others[] = {"0.0.0.0", "::",        "10.0.0.1", "example.com",
                                       "",        "128.0.0.1", "127.1.1",  "localhost.evil.com"};
  for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
    assert_true(roost_is_loopback(loopback[i]));
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
    assert_false(roost_is_loopback(others[i]));
}

static void insecure_listeners_are_refused(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { {}, { host = '0.0.0.0' } } }");
  assert_error(load, "host.lua: servers[2].host: \"0.0.0.0\" is not a loopback address and the "
                     "listener has no TLS; say allow_insecure = true to have it so");
  load_text(load, "return { services = {}, servers = { { host = '0.0.0.0', "
                  "allow_insecure = true } } }");
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->servers[0].host, "0.0.0.0");
  load_text(load, "return { services = {}, servers = { { host = '0.0.0.0', "
                  "allow_insecure = false } } }");
  assert_int_equal(load->problems.errors, 1);
  load_text(load, "return { services = {}, servers = { { host = '0.0.0.0', tls = "
                  "{ key = 'k', cert = 'c' } } } }");
  assert_int_equal(load->status, 0);
}

static void names_default_to_the_position_and_differ(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { {}, { name = 'public' }, {} } }");
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->servers[0].name, "1");
  assert_string_equal(load->settings->servers[1].name, "public");
  assert_string_equal(load->settings->servers[2].name, "3");
  load_text(load, "return { services = {}, servers = { { name = 'a' }, {}, { name = 'a' } } }");
  assert_error(load, "host.lua: servers[3].name: \"a\" is the name of servers[1] too");
  load_text(load, "return { services = {}, servers = { { name = '2' }, {} } }");
  assert_error(load, "host.lua: servers[2].name: \"2\" is the name of servers[1] too");
}

static void a_transport_that_is_none(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { { transport = 'udp' } } }");
  assert_error(load, "host.lua: servers[1].transport: expected \"tcp\" or \"nats\" or \"redis\" or "
                     "\"mqtt\" or \"rmq\" or \"kafka\", got \"udp\"");
}

static void servers_are_a_list(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = {} }");
  assert_int_equal(load->status, 0);
  assert_int_equal(load->settings->server_count, 0);
  load_text(load, "return { services = {} }");
  assert_int_equal(load->status, 0);
  assert_int_equal(load->settings->server_count, 1);
  assert_int_equal(load->settings->servers[0].port, 3000);
  load_text(load, "return { services = {}, servers = { host = 'localhost' } }");
  assert_error(load, "host.lua: servers: expected a list, found the key \"host\"");
  load_text(load, "return { services = {}, servers = { 5 } }");
  assert_error(load, "host.lua: servers[1]: expected a table, got 5");
  load_text(load, "return { services = {}, servers = 'x' }");
  assert_error(load, "host.lua: servers: expected a list, got \"x\"");
}

static void a_rate_says_per_second_and_perhaps_burst(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { { rate = { per_second = 5 } }, "
                  "{ rate = { per_second = '10', burst = 40 } }, {} } }");
  assert_int_equal(load->status, 0);
  assert_int_equal(load->settings->servers[0].rate.per_second, 5);
  assert_int_equal(load->settings->servers[0].rate.burst, 5);
  assert_int_equal(load->settings->servers[1].rate.per_second, 10);
  assert_int_equal(load->settings->servers[1].rate.burst, 40);
  assert_int_equal(load->settings->servers[2].rate.per_second, 0);
  load_text(load, "return { services = {}, servers = { {}, { rate = { burst = 5 } } } }");
  assert_error(load, "host.lua: servers[2].rate: per_second is missing");
  load_text(load, "return { services = {}, servers = { { rate = {} } } }");
  assert_error(load, "host.lua: servers[1].rate: per_second is missing");
  load_text(load, "return { services = {}, servers = { { rate = { per_second = 0 } } } }");
  assert_error(load, "host.lua: servers[1].rate.per_second: must be at least 1, got 0");
}

static void framings_by_name(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { { framing = 'ndjson' }, {} }, clients = { "
                  "A = { framing = 'length32' } } }");
  assert_int_equal(load->status, 0);
  assert_int_equal(load->settings->servers[0].framing, ROOST_FRAMING_NDJSON);
  assert_int_equal(load->settings->servers[1].framing, ROOST_FRAMING_NEST);
  assert_int_equal(load->settings->clients[0].framing, ROOST_FRAMING_LENGTH32);
  load_text(load, "return { services = {}, servers = { { framing = 'lines' } } }");
  assert_error(load, "host.lua: servers[1].framing: expected \"nest\" or \"ndjson\" or "
                     "\"length32\", got \"lines\"");
}

static const roost_client_config *find_client(const load_case *load, const char *name) {
  for (size_t i = 0; i < load->settings->client_count; i++)
    if (strcmp(load->settings->clients[i].name, name) == 0)
      return &load->settings->clients[i];
  fail_msg("there is no client %s", name);
  return NULL;
}

static void clients_are_tables_or_functions(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, clients = {} }");
  assert_int_equal(load->problems.count, 0);
  load_text(load,
            "return { services = {}, clients = { A = { transport = 'tcp', host = 'a', "
            "port = '3001', timeout = 5 }, B = function() return { url = 'tcp://[::1]:7' } end, "
            "C = { transport = 'local' }, D = {} } }");
  assert_int_equal(load->status, 0);
  assert_int_equal(load->settings->client_count, 4);
  assert_string_equal(find_client(load, "A")->host, "a");
  assert_int_equal(find_client(load, "A")->port, 3001);
  assert_int_equal(find_client(load, "A")->timeout, 5);
  assert_string_equal(find_client(load, "B")->host, "::1");
  assert_int_equal(find_client(load, "B")->port, 7);
  assert_string_equal(find_client(load, "C")->transport, "local");
  assert_string_equal(find_client(load, "D")->host, "127.0.0.1");
  assert_int_equal(find_client(load, "D")->port, 3000);
  assert_int_equal(find_client(load, "D")->max_buffer_size, 16777216);
}

static void clients_that_are_wrong(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, clients = { A = { url = 'nonsense' } } }");
  assert_error(
      load,
      "host.lua: clients.A.url: expected tcp://HOST:PORT or tls://HOST:PORT, got \"nonsense\"");
  load_text(load, "return { services = {}, clients = { A = { urls = {} } } }");
  assert_error(load, "host.lua: clients.A.urls: an empty list leads nowhere");
  load_text(load,
            "return { services = {}, clients = { A = { urls = { 'tcp://a', 'tls://b' } } } }");
  assert_error(load, "host.lua: clients.A.urls: either all are tls:// or none is");
  load_text(load, "return { services = {}, clients = { A = { urls = { 'tcp://a', 'b' } } } }");
  assert_error(load,
               "host.lua: clients.A.urls: expected tcp://HOST:PORT or tls://HOST:PORT, got \"b\"");
  load_text(
      load,
      "return { services = {}, clients = { A = { url = 'tcp://a', urls = { 'tcp://b' } } } }");
  assert_error(load, "host.lua: clients.A.urls: there is url, too: one of them says it all");
  load_text(load, "return { services = {}, clients = { A = { url = 'tcp://a:0' } } }");
  assert_error(load, "host.lua: clients.A.url: 0 is no port to connect to");
  load_text(load, "return { services = {}, clients = { A = { url = 'gopher://a:1' } } }");
  assert_error(load, "host.lua: clients.A.url: the scheme gopher is not supported");
  load_text(load, "return { services = {}, clients = { A = function() return 5 end } }");
  assert_error(load, "host.lua: clients.A: expected a table or a function, got 5");
  load_text(load, "return { services = {}, clients = { A = { prt = 1 } } }");
  assert_error(load, "host.lua: clients.A.prt: unknown key (did you mean \"port\"?)");
  load_text(load, "return { services = {}, clients = { A = 5 } }");
  assert_error(load, "host.lua: clients.A: expected a table or a function, got 5");
  load_text(load, "return { services = {}, clients = { { port = 1 } } }");
  assert_error(load, "host.lua: clients: expected names as keys, found 1");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(knows_loopback),
      LOAD_TEST(insecure_listeners_are_refused),
      LOAD_TEST(names_default_to_the_position_and_differ),
      LOAD_TEST(a_transport_that_is_none),
      LOAD_TEST(servers_are_a_list),
      LOAD_TEST(a_rate_says_per_second_and_perhaps_burst),
      LOAD_TEST(framings_by_name),
      LOAD_TEST(clients_are_tables_or_functions),
      LOAD_TEST(clients_that_are_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
