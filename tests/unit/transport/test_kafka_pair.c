/* A pair against librdkafka's mock cluster: what a real one does that a mock does not (rebalances,
 * offsets kept over a restart) is tested in tests/interop/brokers. */
#include "transport/kafka_pair.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "net/net_test.h"

typedef struct fixture {
  net_test test;
  rd_kafka_t *handle; /* owns the mock */
  rd_kafka_mock_cluster_t *mock;
  roost_kafka_settings producer;
  roost_kafka_settings consumer;
  roost_kafka_pair *pair;
  roost_buffer why;
  unsigned ups;
  unsigned downs;
  unsigned assigned; /* partitions */
  unsigned revoked;
  unsigned caught_up;
  unsigned seats;
  int32_t seat; /* the last one */
  unsigned delivered;
  unsigned undelivered;
  unsigned writable;
  unsigned ended;
  unsigned records;
  char last_why[256];
  char last_value[64];
  char last_header[64];
  int64_t last_offset;
} fixture;

static void on_up(void *ud) {
  ((fixture *)ud)->ups++;
}

static void on_down(void *ud, const char *why) {
  fixture *f = ud;
  f->downs++;
  snprintf(f->last_why, sizeof f->last_why, "%s", why);
}

static void on_assigned(void *ud, const roost_kafka_place *places, size_t count) {
  fixture *f = ud;
  for (size_t i = 0; i < count; i++)
    assert_string_equal(places[i].topic, "topic");
  f->assigned += (unsigned)count;
}

static void on_revoking(void *ud) {
  fixture *f = ud;
  f->revoked++;
  roost_kafka_pair_revoke(f->pair);
}

static void on_caught_up(void *ud) {
  ((fixture *)ud)->caught_up++;
}

static void on_seated(void *ud, const roost_kafka_place *begin) {
  fixture *f = ud;
  assert_memory_equal(begin->topic, "topic", 5); /* or one that begins so */
  f->seats++;
  f->seat = begin->partition;
}

static void copy(char *to, roost_slice from) {
  assert_true(from.len < 64);
  memcpy(to, from.len > 0 ? from.ptr : "", from.len);
  to[from.len] = '\0';
}

static void on_record(void *ud, roost_kafka_raw *raw) {
  fixture *f = ud;
  roost_slice header;
  roost_kafka_facts facts;
  roost_buffer headers;
  roost_buffer_init(&headers, &f->test.probe.alloc);
  f->records++;
  copy(f->last_value, roost_kafka_raw_value(raw));
  assert_false(roost_kafka_raw_header(raw, "none", &header));
  assert_true(roost_kafka_raw_header(raw, "name", &header));
  copy(f->last_header, header);
  assert_int_equal(roost_kafka_raw_facts(raw, &facts, &headers), 0);
  assert_int_equal(facts.header_count, 1);
  assert_true(roost_slice_equal(facts.headers[0].name, ROOST_SLICE("name")));
  assert_true(roost_slice_equal(facts.topic, ROOST_SLICE("topic")));
  assert_true(roost_slice_equal(facts.key, ROOST_SLICE("key")));
  assert_true(facts.timestamp > 0);
  f->last_offset = facts.offset;
  const roost_kafka_place next = {"topic", facts.partition, facts.offset + 1};
  roost_kafka_pair_store(f->pair, &next, 1);
  roost_buffer_deinit(&headers);
  roost_kafka_raw_free(raw);
}

static void on_delivered(void *ud, void *opaque, const roost_kafka_raw *raw, const char *why) {
  fixture *f = ud;
  assert_ptr_equal(opaque, f);
  assert_non_null(raw);
  if (why == NULL)
    f->delivered++;
  else
    f->undelivered++;
}

static void on_trouble(void *ud, const char *topic, const char *why) {
  (void)ud;
  (void)topic;
  print_message("trouble: %s\n", why);
}

static void on_writable(void *ud) {
  ((fixture *)ud)->writable++;
}

static void on_ended(void *ud) {
  ((fixture *)ud)->ended++;
}

static const roost_kafka_pair_ops ops = {.on_up = on_up,
                                         .on_down = on_down,
                                         .on_assigned = on_assigned,
                                         .on_revoking = on_revoking,
                                         .on_caught_up = on_caught_up,
                                         .on_seated = on_seated,
                                         .on_record = on_record,
                                         .on_delivered = on_delivered,
                                         .on_trouble = on_trouble,
                                         .on_writable = on_writable,
                                         .on_ended = on_ended};

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  char text[128];
  assert_non_null(f);
  roost_alloc_probe_init(&f->test.probe);
  assert_int_equal(roost_loop_new(&f->test.loop, &f->test.probe.alloc, &f->test.clock), 0);
  roost_buffer_init(&f->why, &f->test.probe.alloc);
  f->handle = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
  assert_non_null(f->handle);
  f->mock = rd_kafka_mock_cluster_new(f->handle, 1);
  assert_non_null(f->mock);
  assert_int_equal(rd_kafka_mock_topic_create(f->mock, "topic", 2, 1), 0);
  const char *brokers = rd_kafka_mock_cluster_bootstraps(f->mock);
  roost_kafka_settings_init(&f->producer, &f->test.probe.alloc);
  roost_kafka_settings_text(&f->producer, "bootstrap.servers", brokers);
  roost_kafka_settings_text(&f->producer, "linger.ms", "0");
  roost_kafka_settings_init(&f->consumer, &f->test.probe.alloc);
  roost_kafka_settings_text(&f->consumer, "bootstrap.servers", brokers);
  roost_kafka_settings_text(&f->consumer, "group.id", "group");
  roost_kafka_settings_text(&f->consumer, "fetch.wait.max.ms", "10");
  roost_kafka_settings_text(&f->consumer, "enable.partition.eof", "true");
  roost_kafka_settings_text(&f->consumer, "enable.auto.offset.store", "false");
  roost_kafka_settings_text(&f->consumer, "auto.offset.reset", "latest");
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  roost_kafka_settings_deinit(&f->producer);
  roost_kafka_settings_deinit(&f->consumer);
  roost_buffer_deinit(&f->why);
  net_test_deinit(&f->test);
  rd_kafka_mock_cluster_destroy(f->mock);
  rd_kafka_destroy(f->handle);
  free(f);
  return 0;
}

static void open_pair(fixture *f, bool consumes, size_t max_send_bytes) {
  const roost_kafka_pair_config config = {.producer = &f->producer,
                                          .consumer = consumes ? &f->consumer : NULL,
                                          .max_send_bytes = max_send_bytes};
  assert_int_equal(roost_kafka_pair_open(&f->pair, f->test.loop, &config, &ops, f, &f->why), 0);
}

/* partition -1: any. */
static void produce_to(fixture *f, int32_t partition, const char *value) {
  char digits[16];
  roost_kafka_record record;
  snprintf(digits, sizeof digits, "%d", (int)partition);
  roost_kafka_record_init(&record, &f->test.probe.alloc);
  assert_int_equal(roost_kafka_record_write(&record, roost_slice_text(value)), 0);
  assert_int_equal(roost_kafka_record_set_key(&record, ROOST_SLICE("\"key\"")), 0);
  if (partition >= 0)
    assert_int_equal(roost_kafka_record_set_partition(&record, roost_slice_text(digits)), 0);
  assert_int_equal(
      roost_kafka_record_add_header(&record, ROOST_SLICE("name"), ROOST_SLICE("header")), 0);
  assert_int_equal(roost_kafka_pair_produce(f->pair, ROOST_SLICE("topic"), &record, f), 0);
  roost_kafka_record_deinit(&record);
}

static void produce(fixture *f, const char *value) {
  produce_to(f, -1, value);
}

static void sends_and_reads(void **state) {
  fixture *f = *state;
  const char *const topics[] = {"topic"};
  open_pair(f, true, 0);
  assert_int_equal(roost_kafka_pair_subscribe(f->pair, topics, 1), 0);
  NET_TEST_UNTIL(&f->test, f->ups == 1 && f->caught_up == 1);
  assert_int_equal(f->assigned, 2);
  produce(f, "\"hello\"");
  NET_TEST_UNTIL(&f->test, f->records == 1 && f->delivered == 1);
  assert_string_equal(f->last_value, "hello");
  assert_string_equal(f->last_header, "header");
  for (int i = 0; i < 200; i++)
    produce(f, "[1]");
  NET_TEST_UNTIL(&f->test, f->records == 201 && f->delivered == 201);
  roost_kafka_pair_end(f->pair, 5000);
  NET_TEST_UNTIL(&f->test, f->ended == 1);
  assert_int_equal(f->revoked, 1);
  roost_kafka_pair_close(f->pair);
}

/* Each of the two has half of the topic, and nothing of what was there before. */
static void reads_a_seat_from_its_end_on(void **state) {
  fixture *f = *state;
  open_pair(f, true, 0);
  for (int i = 0; i < 20; i++)
    produce(f, "1");
  NET_TEST_UNTIL(&f->test, f->delivered == 20);
  assert_int_equal(roost_kafka_pair_sit(f->pair, "topic"), 0);
  NET_TEST_UNTIL(&f->test, f->seats == 1);
  assert_in_range(f->seat, 0, 1);
  assert_int_equal(f->assigned, 0);
  produce_to(f, f->seat, "2");
  produce_to(f, 1 - f->seat, "3");
  NET_TEST_UNTIL(&f->test, f->delivered == 22 && f->records > 0);
  assert_int_equal(f->records, 1);
  assert_string_equal(f->last_value, "2");
  roost_kafka_pair_close(f->pair);
}

/* One that is added takes nothing from what is read: the first is read on where it was. */
static void sits_down_for_more(void **state) {
  fixture *f = *state;
  assert_int_equal(rd_kafka_mock_topic_create(f->mock, "topics", 1, 1), 0);
  open_pair(f, true, 0);
  assert_int_equal(roost_kafka_pair_sit(f->pair, "topic"), 0);
  NET_TEST_UNTIL(&f->test, f->seats == 1);
  const int32_t seat = f->seat;
  for (int i = 0; i < 100; i++)
    produce_to(f, seat, "1");
  assert_int_equal(roost_kafka_pair_sit(f->pair, "topics"), 0);
  for (int i = 0; i < 100; i++)
    produce_to(f, seat, "2");
  NET_TEST_UNTIL(&f->test, f->seats == 2 && f->records == 200);
  assert_int_equal(f->last_offset, 199);
  roost_kafka_pair_end(f->pair, 5000);
  NET_TEST_UNTIL(&f->test, f->ended == 1);
  roost_kafka_pair_close(f->pair);
}

/* The broker's absence is waited for, the topic's made known; freeing it meanwhile is tear_down's.
 */
static void sits_down_when_it_can(void **state) {
  fixture *f = *state;
  open_pair(f, true, 0);
  NET_TEST_UNTIL(&f->test, f->ups == 1);
  assert_int_equal(rd_kafka_mock_broker_set_down(f->mock, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  NET_TEST_UNTIL(&f->test, f->downs > 0);
  assert_int_equal(roost_kafka_pair_sit(f->pair, "topic"), 0);
  net_test_turns(&f->test, 3);
  assert_int_equal(f->seats, 0);
  assert_int_equal(rd_kafka_mock_broker_set_up(f->mock, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  NET_TEST_UNTIL(&f->test, f->seats == 1);
  rd_kafka_mock_topic_set_error(f->mock, "topics", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  assert_int_equal(roost_kafka_pair_sit(f->pair, "topics"), 0);
  NET_TEST_UNTIL(&f->test, strstr(roost_kafka_pair_why(f->pair), "topics: ") != NULL);
  assert_string_equal(roost_kafka_pair_why(f->pair),
                      "EPROTO: topics: Broker: Topic authorization failed");
}

static void ends_while_it_asks(void **state) {
  fixture *f = *state;
  roost_kafka_settings_text(&f->consumer, "bootstrap.servers", "127.0.0.1:1");
  open_pair(f, true, 0);
  assert_int_equal(roost_kafka_pair_sit(f->pair, "topic"), 0);
  net_test_turns(&f->test, 3);
  roost_kafka_pair_end(f->pair, 5000);
  NET_TEST_UNTIL(&f->test, f->ended == 1);
  roost_kafka_pair_close(f->pair);
}

static void stops_reading_while_paused(void **state) {
  fixture *f = *state;
  const char *const topics[] = {"topic"};
  open_pair(f, true, 0);
  assert_int_equal(roost_kafka_pair_subscribe(f->pair, topics, 1), 0);
  NET_TEST_UNTIL(&f->test, f->caught_up == 1);
  const roost_kafka_place places[] = {{"topic", 0, 0}, {"topic", 1, 0}};
  for (int i = 0; i < 2; i++)
    roost_kafka_pair_pause(f->pair, &places[i]);
  for (int i = 0; i < 20; i++)
    produce(f, "1");
  NET_TEST_UNTIL(&f->test, f->delivered == 20);
  for (int i = 0; i < 50; i++)
    assert_int_equal(roost_loop_poll(f->test.loop, 1), 0);
  assert_int_equal(f->records, 0);
  for (int i = 0; i < 2; i++)
    roost_kafka_pair_resume(f->pair, &places[i]);
  NET_TEST_UNTIL(&f->test, f->records == 20);
  roost_kafka_pair_close(f->pair);
}

static void says_when_there_is_room_again(void **state) {
  fixture *f = *state;
  open_pair(f, false, 64);
  assert_false(roost_kafka_pair_crowded(f->pair));
  for (int i = 0; i < 8; i++)
    produce(f, "\"0123456789\"");
  assert_true(roost_kafka_pair_crowded(f->pair));
  NET_TEST_UNTIL(&f->test, f->writable == 1);
  assert_false(roost_kafka_pair_crowded(f->pair));
  roost_kafka_pair_close(f->pair);
}

static void says_that_nobody_is_there(void **state) {
  fixture *f = *state;
  roost_kafka_settings_text(&f->producer, "bootstrap.servers", "127.0.0.1:1");
  open_pair(f, false, 0);
  NET_TEST_UNTIL(&f->test, f->downs > 0);
  assert_memory_equal(f->last_why, "ECONNREFUSED: 127.0.0.1:1", 25);
  assert_int_equal(f->ups, 0);
  produce(f, "1");
  roost_kafka_pair_end(f->pair, 1);
  NET_TEST_UNTIL(&f->test, f->ended == 1);
  roost_kafka_pair_close(f->pair);
}

static void names_why_a_connection_ended(void **state) {
  fixture *f = *state;
  open_pair(f, false, 0);
  NET_TEST_UNTIL(&f->test, f->ups == 1);
  assert_int_equal(rd_kafka_mock_broker_set_down(f->mock, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  NET_TEST_UNTIL(&f->test, f->downs > 0);
  assert_memory_equal(f->last_why, "ECONNRE", 7); /* SET or FUSED, whichever comes first */
  assert_non_null(strchr(f->last_why, ':'));
  roost_kafka_pair_close(f->pair);
}

static void refuses_settings_that_are_wrong(void **state) {
  fixture *f = *state;
  const roost_kafka_pair_config config = {.producer = &f->producer, .consumer = &f->consumer};
  roost_kafka_settings_text(&f->consumer, "session.timeout.ms", "soon");
  assert_int_equal(roost_kafka_pair_open(&f->pair, f->test.loop, &config, &ops, f, &f->why),
                   ROOST_ECONFIG);
  assert_null(f->pair);
  assert_non_null(memmem(f->why.ptr, f->why.len, "session.timeout.ms", 18));
}

static void refuses_topics_that_are_none(void **state) {
  fixture *f = *state;
  roost_kafka_record record;
  char longest[251];
  memset(longest, 'x', sizeof longest);
  roost_kafka_record_init(&record, &f->test.probe.alloc);
  open_pair(f, false, 0);
  assert_int_equal(roost_kafka_pair_produce(f->pair, roost_slice_of(longest, 250), &record, NULL),
                   ROOST_EINVAL);
  assert_int_equal(roost_kafka_pair_produce(f->pair, ROOST_SLICE(""), &record, NULL), ROOST_EINVAL);
  roost_kafka_record_deinit(&record);
  roost_kafka_pair_close(f->pair);
}

static void survives_a_loop_that_is_freed(void **state) {
  fixture *f = *state;
  const char *const topics[] = {"topic"};
  open_pair(f, true, 0);
  assert_int_equal(roost_kafka_pair_subscribe(f->pair, topics, 1), 0);
  NET_TEST_UNTIL(&f->test, f->caught_up == 1); /* tear_down frees the loop */
}

static void survives_it_while_nobody_is_there(void **state) {
  fixture *f = *state;
  const char *const topics[] = {"topic"};
  roost_kafka_settings_text(&f->producer, "bootstrap.servers", "127.0.0.1:1");
  roost_kafka_settings_text(&f->consumer, "bootstrap.servers", "127.0.0.1:1");
  roost_kafka_settings_text(&f->consumer, "reconnect.backoff.max.ms", "100");
  open_pair(f, true, 0);
  assert_int_equal(roost_kafka_pair_subscribe(f->pair, topics, 1), 0);
  produce(f, "1");
  NET_TEST_UNTIL(&f->test, f->downs > 0);
  roost_kafka_pair_close(f->pair);
  net_test_turns(&f->test, 3); /* tear_down frees the loop */
}

static void opens_only_with_memory(void **state) {
  fixture *f = *state;
  const roost_kafka_pair_config config = {.producer = &f->producer, .consumer = &f->consumer};
  for (size_t granted = 0; granted < 2; granted++) {
    f->test.probe.refuse_after = granted;
    assert_int_equal(roost_kafka_pair_open(&f->pair, f->test.loop, &config, &ops, f, &f->why),
                     ROOST_ENOMEM);
    assert_null(f->pair);
  }
  f->test.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(sends_and_reads, set_up, tear_down),
      cmocka_unit_test_setup_teardown(stops_reading_while_paused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(reads_a_seat_from_its_end_on, set_up, tear_down),
      cmocka_unit_test_setup_teardown(sits_down_for_more, set_up, tear_down),
      cmocka_unit_test_setup_teardown(sits_down_when_it_can, set_up, tear_down),
      cmocka_unit_test_setup_teardown(ends_while_it_asks, set_up, tear_down),
      cmocka_unit_test_setup_teardown(says_when_there_is_room_again, set_up, tear_down),
      cmocka_unit_test_setup_teardown(says_that_nobody_is_there, set_up, tear_down),
      cmocka_unit_test_setup_teardown(names_why_a_connection_ended, set_up, tear_down),
      cmocka_unit_test_setup_teardown(refuses_settings_that_are_wrong, set_up, tear_down),
      cmocka_unit_test_setup_teardown(refuses_topics_that_are_none, set_up, tear_down),
      cmocka_unit_test_setup_teardown(survives_a_loop_that_is_freed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(survives_it_while_nobody_is_there, set_up, tear_down),
      cmocka_unit_test_setup_teardown(opens_only_with_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("kafka_pair", tests, NULL, NULL);
}
