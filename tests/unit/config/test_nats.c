#include "load_settings.h"

#include "transport/nats.h"

static const roost_nats_options *server_of(const load_case *load) {
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->servers[0].transport, "nats");
  return load->settings->servers[0].options;
}

static const roost_nats_options *client_of(const load_case *load) {
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->clients[0].transport, "nats");
  return load->settings->clients[0].options;
}

static void load_server(load_case *load, const char *keys) {
  char text[1024];
  snprintf(text, sizeof text, "return { services = {}, servers = { { transport = 'nats', %s } } }",
           keys);
  load_text(load, text);
}

static void load_client(load_case *load, const char *keys) {
  char text[1024];
  snprintf(text, sizeof text, "return { services = {}, servers = {}, clients = { C = { %s } } }",
           keys);
  load_text(load, text);
}

static void defaults_are_those_of_nest(void **state) {
  load_case *load = *state;
  load_server(load, "");
  const roost_nats_options *options = server_of(load);
  assert_string_equal(options->broker.endpoint.host, "127.0.0.1");
  assert_int_equal(options->broker.endpoint.port, 4222);
  assert_int_equal(options->broker.other_count, 0);
  assert_null(options->broker.tls);
  assert_null(options->queue);
  assert_null(options->headers);
  assert_null(options->user);
  assert_null(options->token);
  assert_null(options->creds);
  assert_null(options->inbox_prefix);
  assert_null(options->durable);
  assert_null(options->dead_letter);
  assert_false(options->graceful_shutdown);
  assert_int_equal(options->grace_period_ms, 10000);
  assert_int_equal(options->max_deliver, 5);
  assert_int_equal(options->ack_wait_ms, 30000);
  assert_int_equal(load->settings->servers[0].retry_attempts, 0);
  assert_int_equal(load->settings->servers[0].max_in_flight, 1024);
}

static void keys_are_read(void **state) {
  load_case *load = *state;
  load_server(load, "servers = { 'nats://a', 'b:1', 'nats://[::1]:2' }, queue = 'q', "
                    "headers = { a = '1', b = { '2', '3' } }, user = 'u', pass = 'p', token = 't', "
                    "creds = 'c', inbox_prefix = 'my.own', graceful_shutdown = true, "
                    "grace_period = 7, durable = 'd', max_deliver = 9, dead_letter = 'dead', "
                    "ack_wait = 100, tls = true, retry_attempts = 3, retry_delay = 4");
  const roost_nats_options *options = server_of(load);
  assert_string_equal(options->broker.endpoint.host, "a");
  assert_int_equal(options->broker.endpoint.port, 4222);
  assert_int_equal(options->broker.other_count, 2);
  assert_string_equal(options->broker.others[0].host, "b");
  assert_int_equal(options->broker.others[0].port, 1);
  assert_string_equal(options->broker.others[1].host, "::1");
  assert_int_equal(options->broker.others[1].port, 2);
  assert_non_null(options->broker.tls);
  assert_string_equal(options->queue, "q");
  assert_true(strcmp(options->headers, "{\"a\":\"1\",\"b\":[\"2\",\"3\"]}") == 0 ||
              strcmp(options->headers, "{\"b\":[\"2\",\"3\"],\"a\":\"1\"}") == 0);
  assert_string_equal(options->user, "u");
  assert_string_equal(options->pass, "p");
  assert_string_equal(options->token, "t");
  assert_string_equal(options->creds, "c");
  assert_string_equal(options->dir, load->dir);
  assert_string_equal(options->inbox_prefix, "my.own");
  assert_true(options->graceful_shutdown);
  assert_int_equal(options->grace_period_ms, 7);
  assert_string_equal(options->durable, "d");
  assert_int_equal(options->max_deliver, 9);
  assert_string_equal(options->dead_letter, "dead");
  assert_int_equal(options->ack_wait_ms, 100);
  assert_int_equal(load->settings->servers[0].retry_attempts, 3);
  assert_int_equal(load->settings->servers[0].retry_delay, 4);
}

static void a_url_says_it_all(void **state) {
  load_case *load = *state;
  load_client(load, "url = 'nats://u:p%40q@h:7', timeout = 5");
  const roost_nats_options *options = client_of(load);
  assert_string_equal(options->broker.endpoint.host, "h");
  assert_int_equal(options->broker.endpoint.port, 7);
  assert_string_equal(options->broker.user, "u");
  assert_string_equal(options->broker.password, "p@q");
  assert_int_equal(load->settings->clients[0].timeout, 5);
  load_client(load, "transport = 'nats', url = 'tls://h'");
  assert_non_null(client_of(load)->broker.tls);
}

static void what_is_wrong_is_said(void **state) {
  static const struct {
    const char *keys;
    const char *problem;
  } rows[] = {
      {"queue = 'a b'", "host.lua: servers[1].queue: expected text without blanks and control "
                        "characters, at most 2048 bytes"},
      {"dead_letter = 'a\\n'", "host.lua: servers[1].dead_letter: expected text without blanks and "
                               "control characters, at most 2048 bytes"},
      {"inbox_prefix = 'a.*'", "host.lua: servers[1].inbox_prefix: expected at most 100 bytes, and "
                               "neither * nor > among them"},
      {"headers = { ['a b'] = '1' }",
       "host.lua: servers[1].headers: a header's name has a blank, a "
       "colon or a control character"},
      {"headers = { a = '\\n' }", "host.lua: servers[1].headers: a header's value has a line's end "
                                  "or another control character"},
      {"headers = { '1' }", "host.lua: servers[1].headers: expected a table of texts by name"},
      {"headers = { a = '\\255' }",
       "host.lua: servers[1].headers: a: text is not UTF-8 (roost.bytes sends binary)"},
      {"url = 'redis://h'", "host.lua: servers[1].url: expected "
                            "nats://[USER:PASSWORD@]HOST[:PORT], got \"redis://h\""},
      {"servers = 'nats:/h'", "host.lua: servers[1].servers: expected "
                              "nats://[USER:PASSWORD@]HOST[:PORT], got \"nats://nats:/h\""},
      {"servers = { 'nats://a', 'tls://b' }",
       "host.lua: servers[1].servers[2]: either all are by TLS or none is"},
  };
  load_case *load = *state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    load_server(load, rows[i].keys);
    assert_error(load, rows[i].problem);
  }
  load_server(load, "ack_wait = 99, headers = 1, unheard = 1");
  assert_int_equal(load->problems.errors, 3);
}

static void survives_a_refusing_allocator(void **state) {
  load_case *load = *state;
  load->status = ROOST_ENOMEM;
  for (size_t n = 0; load->status == ROOST_ENOMEM; n++) {
    load->probe.refuse_after = n;
    load_server(load, "servers = { 'nats://u:p@a', 'b' }, headers = { a = '1' }, queue = 'q'");
    load->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  }
  assert_int_equal(load->status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(defaults_are_those_of_nest),
      LOAD_TEST(keys_are_read),
      LOAD_TEST(a_url_says_it_all),
      LOAD_TEST(what_is_wrong_is_said),
      LOAD_TEST(survives_a_refusing_allocator),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
