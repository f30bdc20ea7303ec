#include "load_settings.h"

#include "transport/rmq.h"

static const roost_rmq_options *server_of(const load_case *load, size_t number) {
  if (load->problems.count > 0)
    fail_msg("%s", load->problems.items[0].text);
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->servers[number].transport, "rmq");
  return load->settings->servers[number].options;
}

static void defaults_are_nests(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { { transport = 'rmq' } } }");
  const roost_rmq_options *options = server_of(load, 0);
  assert_string_equal(options->broker.endpoint.host, "127.0.0.1");
  assert_int_equal(options->broker.endpoint.port, 5672);
  assert_null(options->broker.user);
  assert_null(options->broker.tls);
  assert_string_equal(options->queue, "");
  assert_string_equal(options->arguments, "{}");
  assert_true(options->is_durable && options->no_ack);
  assert_false(options->is_exclusive || options->is_auto_delete || options->no_assert);
  assert_false(options->persistent || options->wildcards || options->is_global_prefetch);
  assert_int_equal(options->prefetch_count, 0);
  assert_null(options->exchange);
  assert_null(options->exchange_type);
  assert_null(options->routing_key);
  assert_null(options->headers);
  assert_null(options->dead_letter);
  assert_string_equal(options->reply_queue, ROOST_RMQ_REPLY_TO);
  assert_int_equal(options->heartbeat, 60000);
  assert_int_equal(load->settings->servers[0].retry_delay, 1000);
}

static void keys_are_read(void **state) {
  load_case *load = *state;
  load_text(load,
            "return { services = {}, servers = { { transport = 'rmq', urls = { "
            "'amqps://me:p%40ss@one/v%2Fhost', 'amqps://two:7' }, queue = 'q', "
            "prefetch_count = 5, is_global_prefetch_count = true, no_ack = false, persistent = "
            "true, exchange = 'e', exchange_type = 'direct', routing_key = '', headers = { a = 1 "
            "}, reply_queue = 'r', dead_letter = 'd', consumer_tag = 't', heartbeat = 5000, "
            "queue_options = { durable = false, exclusive = true, auto_delete = true, no_assert = "
            "true } } } }");
  const roost_rmq_options *options = server_of(load, 0);
  assert_string_equal(options->broker.endpoint.host, "one");
  assert_int_equal(options->broker.endpoint.port, 5671);
  assert_int_equal(options->broker.other_count, 1);
  assert_int_equal(options->broker.others[0].port, 7);
  assert_string_equal(options->broker.user, "me");
  assert_string_equal(options->broker.password, "p@ss");
  assert_string_equal(options->broker.path, "v/host");
  assert_non_null(options->broker.tls);
  assert_string_equal(options->queue, "q");
  assert_int_equal(options->prefetch_count, 5);
  assert_true(options->is_global_prefetch && options->persistent && options->no_assert);
  assert_true(options->is_exclusive && options->is_auto_delete);
  assert_false(options->no_ack || options->is_durable);
  assert_string_equal(options->exchange, "e");
  assert_string_equal(options->exchange_type, "direct");
  assert_string_equal(options->routing_key, "");
  assert_string_equal(options->headers, "{\"a\":1}");
  assert_string_equal(options->reply_queue, "r");
  assert_string_equal(options->arguments, "{\"x-dead-letter-exchange\":\"d\"}");
  assert_string_equal(options->consumer_tag, "t");
  assert_int_equal(options->heartbeat, 5000);
}

/* A Lua table has no order: each is looked for by itself. */
static void queues_have_arguments(void **state) {
  load_case *load = *state;
  static const struct {
    const char *key;
    const char *argument;
  } rows[] = {{"message_ttl = 0", "{\"x-message-ttl\":0}"},
              {"expires = 1000", "{\"x-expires\":1000}"},
              {"max_length = 5", "{\"x-max-length\":5}"},
              {"max_priority = 10", "{\"x-max-priority\":10}"},
              {"overflow = 'reject-publish'", "{\"x-overflow\":\"reject-publish\"}"},
              {"dead_letter_exchange = 'e'", "{\"x-dead-letter-exchange\":\"e\"}"},
              {"dead_letter_routing_key = 'k'", "{\"x-dead-letter-routing-key\":\"k\"}"},
              {"arguments = { a = true }", "{\"a\":true}"},
              {"arguments = {}", "{}"},
              {"max_length = 5, arguments = { a = true }", "{\"x-max-length\":5,\"a\":true}"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[300];
    snprintf(text, sizeof text,
             "return { services = {}, servers = { { transport = 'rmq', queue_options = { %s } } } "
             "}",
             rows[i].key);
    load_text(load, text);
    assert_string_equal(server_of(load, 0)->arguments, rows[i].argument);
  }
}

static void clients_have_the_same(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, clients = { A = { transport = 'rmq', queue = 'q', "
                  "dead_letter = 'd' }, B = { url = 'amqp://r', exchange = 'e', wildcards = true "
                  "} } }");
  assert_int_equal(load->status, 0);
  for (size_t i = 0; i < load->settings->client_count; i++) {
    const roost_client_config *client = &load->settings->clients[i];
    const roost_rmq_options *options = client->options;
    const bool is_first = strcmp(client->name, "A") == 0;
    assert_string_equal(client->transport, "rmq");
    assert_string_equal(client->host, is_first ? "127.0.0.1" : "r");
    assert_int_equal(client->port, 5672);
    assert_string_equal(options->arguments, is_first ? "{\"x-dead-letter-exchange\":\"d\"}" : "{}");
    const roost_slice exchange = roost_rmq_exchange(options);
    assert_int_equal(exchange.len, 1);
    assert_memory_equal(exchange.ptr, is_first ? "q" : "e", 1);
    assert_true(roost_rmq_is_routed(options) == !is_first);
  }
}

/* What a command can say of it, which has no keys. */
static void a_url_says_the_queue(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { { transport = 'rmq', url = "
                  "'amqp://r/v?queue=a%20b' }, { transport = 'rmq', url = "
                  "'amqp://r/?queue=q&exchange=e&wildcards=true', queue = 'own' } } }");
  const roost_rmq_options *options = server_of(load, 0);
  assert_string_equal(options->broker.path, "v");
  assert_string_equal(options->queue, "a b");
  assert_false(options->wildcards);
  options = server_of(load, 1);
  assert_string_equal(options->broker.path, "");
  assert_string_equal(options->queue, "own");
  assert_string_equal(options->exchange, "e");
  assert_true(options->wildcards);
}

static void assert_wrong(load_case *load, const char *entry, const char *error) {
  char text[300];
  snprintf(text, sizeof text, "return { services = {}, servers = { { transport = 'rmq', %s } } }",
           entry);
  load_text(load, text);
  assert_error(load, error);
}

static void what_is_wrong_is_named(void **state) {
  load_case *load = *state;
  assert_wrong(load, "urls = { 'http://r' }",
               "host.lua: servers[1].urls[1]: expected amqp://[USER:PASSWORD@]HOST[:PORT], got "
               "\"http://r\"");
  assert_wrong(load, "url = 'amqp://r/?heartbeat=5'",
               "host.lua: servers[1]: url: expected queue, exchange or wildcards behind its ?, got "
               "\"heartbeat\"");
  assert_wrong(load, "prefetch_count = 65536",
               "host.lua: servers[1].prefetch_count: must be between 0 and 65535, got 65536");
  assert_wrong(load, "wildcards = true",
               "host.lua: servers[1].queue: this or exchange is needed (in a URL: "
               "amqp://HOST/?queue=NAME)");
  assert_wrong(load, "exchange = 'e', exchange_type = 'bad'",
               "host.lua: servers[1].exchange_type: expected \"topic\", \"direct\", \"fanout\", "
               "\"headers\" or a plugin's as \"x-...\", got \"bad\"");
  assert_wrong(load, "queue = 'q', dead_letter = 'd'",
               "host.lua: servers[1].dead_letter: needs no_ack = false: the broker forgets a "
               "message that it need not hear of");
  assert_wrong(load,
               "no_ack = false, dead_letter = 'd', queue_options = { dead_letter_exchange = "
               "'e' }",
               "host.lua: servers[1].dead_letter: is the same as "
               "queue_options.dead_letter_exchange");
  assert_wrong(load, "headers = { 1 }",
               "host.lua: servers[1].headers: expected values by name, got a list");
  assert_wrong(load, "headers = { a = function() end }",
               "host.lua: servers[1].headers: a: a function cannot be sent");
  assert_wrong(load, "queue_options = { overflow = '\\255' }",
               "host.lua: servers[1].queue_options: has text that is not UTF-8");
  assert_wrong(load, "queue_option = {}",
               "host.lua: servers[1].queue_option: unknown key (did you mean "
               "\"queue_options\"?)");
  load_text(load, "return { services = {}, clients = { A = { transport = 'rmq' } } }");
  assert_error(load, "host.lua: clients.A.queue: is needed (in a URL: amqp://HOST/?queue=NAME)");
  load_text(load, "return { services = {}, clients = { A = { transport = 'rmq', exchange = 'e', "
                  "exchange_type = 'x-random' } } }");
  assert_int_equal(load->status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(defaults_are_nests),    LOAD_TEST(keys_are_read),
      LOAD_TEST(queues_have_arguments), LOAD_TEST(clients_have_the_same),
      LOAD_TEST(a_url_says_the_queue),  LOAD_TEST(what_is_wrong_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
