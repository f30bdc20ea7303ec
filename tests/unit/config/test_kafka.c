#include "load_settings.h"

#include "transport/kafka.h"

static const roost_kafka_options *server_of(const load_case *load, size_t number) {
  if (load->problems.count > 0)
    fail_msg("%s", load->problems.items[0].text);
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->servers[number].transport, "kafka");
  return load->settings->servers[number].options;
}

/* The value librdkafka is told for a name; "" where none is. */
static const char *value_of(const roost_kafka_settings *settings, const char *wanted) {
  size_t at = 0;
  const char *name;
  const char *value;
  const char *found = "";
  assert_int_equal(settings->status, 0);
  while (roost_kafka_settings_next(settings, &at, &name, &value))
    if (strcmp(name, wanted) == 0)
      found = value;
  return found;
}

static void assert_settings(const roost_kafka_options *options, bool is_server, bool consumer,
                            const char *const *pairs) {
  roost_kafka_settings settings;
  roost_kafka_settings_init(&settings, roost_alloc_default());
  if (consumer)
    roost_kafka_consumer_settings(&settings, options, is_server, 16777216);
  else
    roost_kafka_producer_settings(&settings, options, is_server, 16777216);
  for (; pairs[0] != NULL; pairs += 2)
    assert_string_equal(value_of(&settings, pairs[0]), pairs[1]);
  roost_kafka_settings_deinit(&settings);
}

static void defaults_keep_apart_from_nests(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, servers = { { transport = 'kafka' } } }");
  const roost_kafka_options *options = server_of(load, 0);
  assert_null(options->dead_letter);
  assert_settings(options, true, true,
                  (const char *const[]){"bootstrap.servers", "127.0.0.1:9092", "group.id",
                                        "roost-group-server", "client.id", "roost-server",
                                        "auto.offset.reset", "latest", "security.protocol",
                                        "plaintext", "enable.auto.offset.store", "false",
                                        "session.timeout.ms", "30000", NULL});
  assert_settings(
      options, false, true,
      (const char *const[]){"group.id", "roost-group-client", "auto.offset.reset", "latest", NULL});
  assert_settings(options, true, false,
                  (const char *const[]){"linger.ms", "0", "request.required.acks", "-1",
                                        "compression.type", "none", "sasl.username", "",
                                        "queue.buffering.max.kbytes", "16384", NULL});
}

/* As with the other brokers. */
static void one_table_serves_both_sides(void **state) {
  load_case *load = *state;
  load_text(load,
            "local entry = { transport = 'kafka', producer_only_mode = true, dead_letter = 'd' }\n"
            "return { services = {}, servers = { entry }, clients = { A = entry } }");
  assert_string_equal(server_of(load, 0)->dead_letter, "d");
  const roost_kafka_options *client = load->settings->clients[0].options;
  assert_true(client->producer_only_mode);
}

static void keys_are_read(void **state) {
  load_case *load = *state;
  load_text(load,
            "return { services = {}, servers = { { transport = 'kafka', client = { client_id = "
            "'c', brokers = { 'one', 'two:7', '[::1]' }, ssl = { ca = 'ca.pem' }, sasl = { "
            "mechanism = 'scram-sha-512', username = 'u', password = 'p' } }, consumer = { "
            "group_id = 'g', session_timeout = 6000, heartbeat_interval = 500, max_wait_time = 7, "
            "max_bytes = 2000000, max_bytes_per_partition = 1000, auto_commit_interval = 9 }, "
            "producer = { acks = 1, idempotent = true, compression = 'lz4', message_timeout = 11 "
            "}, subscribe = { from_beginning = true }, postfix_id = '', dead_letter = 'letters', "
            "allow_auto_topic_creation = false } } }");
  const roost_kafka_options *options = server_of(load, 0);
  assert_string_equal(options->dead_letter, "letters");
  assert_string_equal(load->settings->servers[0].host, "one");
  assert_int_equal(load->settings->servers[0].port, 9092);
  assert_settings(options, true, true,
                  (const char *const[]){"bootstrap.servers",
                                        "one:9092,two:7,[::1]:9092",
                                        "group.id",
                                        "g",
                                        "client.id",
                                        "c",
                                        "auto.offset.reset",
                                        "earliest",
                                        "security.protocol",
                                        "sasl_ssl",
                                        "sasl.mechanisms",
                                        "SCRAM-SHA-512",
                                        "sasl.username",
                                        "u",
                                        "sasl.password",
                                        "p",
                                        "session.timeout.ms",
                                        "6000",
                                        "heartbeat.interval.ms",
                                        "500",
                                        "fetch.wait.max.ms",
                                        "7",
                                        "fetch.max.bytes",
                                        "2000000",
                                        "fetch.message.max.bytes",
                                        "1000",
                                        "auto.commit.interval.ms",
                                        "9",
                                        "allow.auto.create.topics",
                                        "false",
                                        "ssl.endpoint.identification.algorithm",
                                        "https",
                                        NULL});
  assert_settings(options, true, false,
                  (const char *const[]){"request.required.acks", "1", "enable.idempotence", "true",
                                        "compression.type", "lz4", "message.timeout.ms", "11",
                                        NULL});
}

static void urls_name_brokers_users_and_tls(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, clients = { A = { transport = 'kafka', url = { "
                  "'kafkas://u:p@one:1', "
                  "'kafkas://two' }, producer_only_mode = true } } }");
  if (load->problems.count > 0)
    fail_msg("%s", load->problems.items[0].text);
  assert_int_equal(load->status, 0);
  const roost_client_config *client = &load->settings->clients[0];
  const roost_kafka_options *options = client->options;
  assert_string_equal(client->transport, "kafka");
  assert_true(options->producer_only_mode);
  assert_settings(options, false, false,
                  (const char *const[]){"bootstrap.servers", "one:1,two:9092", "security.protocol",
                                        "sasl_ssl", "sasl.mechanisms", "PLAIN", "sasl.username",
                                        "u", "sasl.password", "p", NULL});
}

static void assert_wrong(load_case *load, const char *entry, const char *error) {
  char text[300];
  snprintf(text, sizeof text, "return { services = {}, servers = { { transport = 'kafka', %s } } }",
           entry);
  load_text(load, text);
  assert_error(load, error);
}

static void what_is_wrong_is_named(void **state) {
  load_case *load = *state;
  assert_wrong(load, "client = { broker = 'x' }",
               "host.lua: servers[1].client.broker: unknown key (did you mean \"brokers\"?)");
  assert_wrong(
      load, "client = { sasl = { mechanism = 'magic' } }",
      "host.lua: servers[1].client.sasl.mechanism: expected \"plain\" or \"scram-sha-256\" "
      "or \"scram-sha-512\", got \"magic\"");
  assert_wrong(load, "client = { brokers = {} }",
               "host.lua: servers[1].client.brokers: an empty list leads nowhere");
  assert_wrong(load, "client = { sasl = {} }",
               "host.lua: servers[1].client.sasl: username is needed");
  assert_wrong(load, "client = { sasl = { password = 'p' } }",
               "host.lua: servers[1].client.sasl: username is needed");
  assert_wrong(load, "client = { sasl = { mechanism = 'plain', username = 'u' } }",
               "host.lua: servers[1].client.sasl: password is needed");
  load_text(load, "return { services = {}, servers = { { transport = 'kafka', url = "
                  "'kafka://u:p@k', client = { sasl = { mechanism = 'scram-sha-256' } } } } }");
  assert_int_equal(load->status, 0);
  assert_wrong(load, "serializer = 'cjson'",
               "host.lua: servers[1].serializer: a Kafka record has no packet");
  assert_wrong(load, "tls = { servername = 'x' }",
               "host.lua: servers[1].tls: servername: a broker must have the name it is reached "
               "by");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(defaults_keep_apart_from_nests),
      LOAD_TEST(one_table_serves_both_sides),
      LOAD_TEST(keys_are_read),
      LOAD_TEST(urls_name_brokers_users_and_tls),
      LOAD_TEST(what_is_wrong_is_named),
  };
  return cmocka_run_group_tests_name("kafka", tests, NULL, NULL);
}
