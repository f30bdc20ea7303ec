#include "wire/kafka.h"

#include "wire/json.h"
#include "wire_test.h"

/* ------------------------------------------------------------------------- reading ----------- */

typedef struct reading {
  const char *bytes; /* NULL: null */
  size_t len;
  const char *json;
} reading;

#define BYTES(literal) (literal), sizeof(literal) - 1

static const reading readings[] = {
    {NULL, 0, "null"},
    {BYTES(""), "\"\""},
    {BYTES("text"), "\"text\""},
    {BYTES("15"), "\"15\""},
    {BYTES("null"), "\"null\""},
    {BYTES("\"quoted\""), "\"\\\"quoted\\\"\""},
    {BYTES("{\"a\":[1, 2]} "), "{\"a\":[1, 2]} "},
    {BYTES("[]"), "[]"},
    {BYTES("{broken"), "\"{broken\""},
    {BYTES("[1]x"), "\"[1]x\""},
    {BYTES(" {}"), "\" {}\""},
    {BYTES("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\""},
    {BYTES("a\xff"), "\"a\xef\xbf\xbd\""},
    {BYTES("{\"a\":\"\xff\"}"), "\"{\\\"a\\\":\\\"\xef\xbf\xbd\\\"}\""},
    {BYTES("\0\xff{"), "{\"type\":\"Buffer\",\"data\":[0,255,123]}"},
    {BYTES("\0"), "{\"type\":\"Buffer\",\"data\":[0]}"},
};

static void reads_values_as_nest_does(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < ROWS(readings); i++) {
    roost_buffer_clear(&f->out);
    const reading *row = &readings[i];
    if (row->bytes == NULL) {
      assert_int_equal(roost_kafka_read_value(&f->out, (roost_slice){NULL, 0}), 0);
    } else {
      roost_slice bytes = exact_copy(roost_slice_of(row->bytes, row->len));
      assert_int_equal(roost_kafka_read_value(&f->out, bytes), 0);
      free_copy(bytes);
    }
    assert_text(roost_buffer_slice(&f->out), row->json);
  }
}

static const roost_kafka_header some_headers[] = {
    {{BYTES("text")}, {BYTES("a\"b")}},
    {{BYTES("object")}, {BYTES("{\"x\":1}")}},
    {{BYTES("none")}, {NULL, 0}},
    {{BYTES("n\xff")}, {BYTES("\0")}},
};
static const char some_headers_json[] = "{\"text\":\"a\\\"b\",\"object\":{\"x\":1},\"none\":null,"
                                        "\"n\xef\xbf\xbd\":{\"type\":\"Buffer\",\"data\":[0]}}";

static void reads_headers(void **state) {
  fixture *f = *state;
  assert_int_equal(roost_kafka_read_headers(&f->out, NULL, 0), 0);
  assert_text(roost_buffer_slice(&f->out), "{}");
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_kafka_read_headers(&f->out, some_headers, ROWS(some_headers)), 0);
  assert_text(roost_buffer_slice(&f->out), some_headers_json);
}

static const roost_kafka_facts some_facts = {.topic = {BYTES("a.topic")},
                                             .partition = 2,
                                             .offset = 9007199254740993,
                                             .timestamp = 1700000000123,
                                             .key = {BYTES("k")},
                                             .headers = some_headers,
                                             .header_count = 1};

static void reads_a_null_value_as_its_record(void **state) {
  fixture *f = *state;
  assert_int_equal(roost_kafka_read_null(&f->out, &some_facts), 0);
  assert_text(roost_buffer_slice(&f->out),
              "{\"timestamp\":\"1700000000123\",\"offset\":\"9007199254740993\","
              "\"partition\":2,\"topic\":\"a.topic\",\"key\":\"k\",\"value\":null,"
              "\"headers\":{\"text\":\"a\\\"b\"}}");
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_kafka_read_facts(&f->out, &some_facts), 0);
  assert_text(roost_buffer_slice(&f->out),
              "{\"timestamp\":\"1700000000123\",\"offset\":\"9007199254740993\","
              "\"partition\":2,\"topic\":\"a.topic\",\"key\":\"k\"}");
}

static void appends_nothing_without_memory(void **state) {
  fixture *f = *state;
  int status;
  size_t granted = 0;
  do {
    roost_buffer_deinit(&f->out);
    f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    assert_int_equal(roost_buffer_append(&f->out, "x", 1), 0);
    f->probe.refuse_after = granted++;
    status = roost_kafka_read_headers(&f->out, some_headers, ROWS(some_headers));
    if (status == 0)
      status = roost_kafka_read_null(&f->out, &some_facts);
    else
      assert_text(roost_buffer_slice(&f->out), "x");
  } while (status == ROOST_ENOMEM);
  assert_int_equal(status, 0);
  assert_true(granted > 2);
  f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
}

/* ------------------------------------------------------------------------- writing ----------- */

typedef struct writing {
  const char *json;
  const char *bytes; /* NULL: null */
  size_t len;
} writing;

static const writing writings[] = {
    {"null", NULL, 0},
    {"\"\"", BYTES("")},
    {"\"text\"", BYTES("text")},
    {"\"a\\n\\u00e9\\ud83d\\ude00\"", BYTES("a\n\xc3\xa9\xf0\x9f\x98\x80")},
    {"\"\\ud83d\"", BYTES("\xef\xbf\xbd")},
    {"15", BYTES("15")},
    {"-0.5", BYTES("-0.5")},
    {"true", BYTES("true")},
    {"false", BYTES("false")},
    {"[1,\"a\"]", BYTES("[1,\"a\"]")},
    {"{\"a\":null}", BYTES("{\"a\":null}")},
    {"{\"type\":\"Buffer\",\"data\":[0,255]}", BYTES("\0\xff")},
    {"{\"type\":\"Buffer\",\"data\":[]}", BYTES("")},
    {"{\"data\":[1,2],\"type\":\"Buffer\"}", BYTES("\1\2")},
    {"{\"data\":[1],\"data\":[2]}", BYTES("{\"data\":[1],\"data\":[2]}")},
    {"{\"type\":\"Buffer\",\"data\":[256]}", BYTES("{\"type\":\"Buffer\",\"data\":[256]}")},
    {"{\"type\":\"Buffer\",\"data\":[0],\"x\":1}",
     BYTES("{\"type\":\"Buffer\",\"data\":[0],\"x\":1}")},
    {"{\"value\":\"v\"}", BYTES("v")},
    {"{\"value\":{\"a\":1},\"other\":2}", BYTES("{\"a\":1}")},
    {"{\"key\":\"k\"}", NULL, 0},
};

static void assert_bytes(roost_slice slice, const char *bytes, size_t len) {
  if (bytes == NULL) {
    assert_null(slice.ptr);
  } else {
    assert_non_null(slice.ptr);
    assert_slice(slice, bytes, len);
  }
}

static roost_slice value_of(const roost_kafka_record *record) {
  return roost_kafka_record_slice(record, record->value);
}

static roost_slice key_of(const roost_kafka_record *record) {
  return roost_kafka_record_slice(record, record->key);
}

static void writes_values_as_nest_does(void **state) {
  fixture *f = *state;
  roost_kafka_record record;
  roost_kafka_record_init(&record, &f->probe.alloc);
  for (size_t i = 0; i < ROWS(writings); i++) {
    roost_slice json = exact_copy(roost_slice_text(writings[i].json));
    assert_int_equal(roost_kafka_record_write(&record, json), 0);
    assert_bytes(value_of(&record), writings[i].bytes, writings[i].len);
    roost_kafka_record_clear(&record);
    free_copy(json);
  }
  roost_kafka_record_deinit(&record);
}

static void refuses_what_is_not_json(void **state) {
  fixture *f = *state;
  static const char *const broken[] = {"",         "{",       "[1",          "nul",
                                       "1 2",      "{\"a\"}", "\"a",         "{\"value\":1}x",
                                       "{\"a\":}", "{} {}",   "{\"key\":[}", "\"a\" x"};
  roost_kafka_record record;
  roost_kafka_record_init(&record, &f->probe.alloc);
  for (size_t i = 0; i < ROWS(broken); i++) {
    assert_int_equal(roost_kafka_record_write(&record, roost_slice_text(broken[i])), ROOST_EPROTO);
    roost_kafka_record_clear(&record);
  }
  assert_int_equal(roost_kafka_record_add_headers(&record, roost_slice_text("[]")), ROOST_EPROTO);
  assert_int_equal(roost_kafka_record_add_headers(&record, roost_slice_text("{} 1")), ROOST_EPROTO);
  assert_int_equal(roost_kafka_record_add_headers(&record, roost_slice_text("{\"a\":1")),
                   ROOST_EPROTO);
  roost_kafka_record_deinit(&record);
}

static void takes_a_message_apart(void **state) {
  fixture *f = *state;
  roost_kafka_record record;
  roost_kafka_record_init(&record, &f->probe.alloc);
  static const char json[] = "{\"key\":7,\"value\":[1],\"headers\":{\"a\\n\":\"x\",\"b\":{\"c\":1},"
                             "\"none\":null},\"partition\":3}";
  assert_int_equal(roost_kafka_record_write(&record, roost_slice_text(json)), 0);
  assert_text(key_of(&record), "7");
  assert_text(value_of(&record), "[1]");
  assert_int_equal(record.partition, 3);
  assert_int_equal(roost_kafka_record_header_count(&record), 3);
  roost_kafka_header header = roost_kafka_record_header(&record, 0);
  assert_text(header.name, "a\n");
  assert_text(header.value, "x");
  header = roost_kafka_record_header(&record, 1);
  assert_text(header.name, "b");
  assert_text(header.value, "{\"c\":1}");
  assert_null(roost_kafka_record_header(&record, 2).value.ptr);
  roost_kafka_record_deinit(&record);
}

static void adds_headers_and_a_key(void **state) {
  fixture *f = *state;
  roost_kafka_record record;
  roost_kafka_record_init(&record, &f->probe.alloc);
  assert_int_equal(roost_kafka_record_set_key(&record, roost_slice_text("\"k\"")), 0);
  assert_text(key_of(&record), "k");
  assert_int_equal(roost_kafka_record_set_key(&record, roost_slice_text("null")), 0);
  assert_text(key_of(&record), "k");
  assert_int_equal(
      roost_kafka_record_add_header(&record, roost_slice_text("zero"), roost_slice_of("\0", 1)), 0);
  assert_int_equal(
      roost_kafka_record_add_value(&record, roost_slice_text("err"), roost_slice_text("\"boom\"")),
      0);
  assert_slice(roost_kafka_record_header(&record, 0).value, "\0", 1);
  assert_text(roost_kafka_record_header(&record, 1).value, "boom");
  roost_kafka_record_clear(&record);
  assert_null(key_of(&record).ptr);
  assert_int_equal(roost_kafka_record_header_count(&record), 0);
  roost_kafka_record_deinit(&record);
}

static void survives_without_memory(void **state) {
  fixture *f = *state;
  int status;
  size_t granted = 0;
  static const char json[] = "{\"value\":\"a\\nb\",\"headers\":{\"h\":{\"type\":\"Buffer\","
                             "\"data\":[1]}},\"key\":{\"x\":1}}";
  do {
    roost_kafka_record record;
    roost_kafka_record_init(&record, &f->probe.alloc);
    f->probe.refuse_after = granted++;
    status = roost_kafka_record_write(&record, roost_slice_text(json));
    f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    roost_kafka_record_deinit(&record);
  } while (status == ROOST_ENOMEM);
  assert_int_equal(status, 0);
  assert_true(granted > 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(reads_values_as_nest_does, set_up, tear_down),
      cmocka_unit_test_setup_teardown(reads_headers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(reads_a_null_value_as_its_record, set_up, tear_down),
      cmocka_unit_test_setup_teardown(appends_nothing_without_memory, set_up, tear_down),
      cmocka_unit_test_setup_teardown(writes_values_as_nest_does, set_up, tear_down),
      cmocka_unit_test_setup_teardown(refuses_what_is_not_json, set_up, tear_down),
      cmocka_unit_test_setup_teardown(takes_a_message_apart, set_up, tear_down),
      cmocka_unit_test_setup_teardown(adds_headers_and_a_key, set_up, tear_down),
      cmocka_unit_test_setup_teardown(survives_without_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("kafka", tests, NULL, NULL);
}
