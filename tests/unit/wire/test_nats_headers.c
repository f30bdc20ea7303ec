#include "wire/nats_headers.h"
#include "wire_test.h"

static void reads_a_status_and_lines(void **state) {
  (void)state;
  roost_nats_headers headers;
  roost_slice name;
  roost_slice value;
  assert_int_equal(roost_nats_headers_open(&headers, ROOST_SLICE("NATS/1.0 503\r\n\r\n")), 0);
  assert_int_equal(headers.status, 503);
  assert_text(headers.reason, "");
  assert_false(roost_nats_headers_next(&headers, &name, &value));
  assert_int_equal(roost_nats_headers_open(
                       &headers, ROOST_SLICE("NATS/1.0 100 Idle Heartbeat\r\nA:1\r\nno colon\r\n"
                                             ":none\r\nB :\t x: y \r\nC:\r\n\r\n")),
                   0);
  assert_int_equal(headers.status, 100);
  assert_text(headers.reason, "Idle Heartbeat");
  static const char *const lines[][2] = {{"A", "1"}, {"B ", "x: y"}, {"C", ""}};
  for (size_t i = 0; i < ROWS(lines); i++) {
    assert_true(roost_nats_headers_next(&headers, &name, &value));
    assert_text(name, lines[i][0]);
    assert_text(value, lines[i][1]);
  }
  assert_false(roost_nats_headers_next(&headers, &name, &value));
  assert_int_equal(roost_nats_headers_open(&headers, ROOST_SLICE("NATS/1.0\r\nA: 1\r\n\r\n")), 0);
  assert_int_equal(headers.status, 0);
  assert_int_equal(roost_nats_headers_open(&headers, ROOST_SLICE("HTTP/1.0\r\n\r\n")),
                   ROOST_EPROTO);
  assert_int_equal(roost_nats_headers_open(&headers, ROOST_SLICE("")), ROOST_EPROTO);
}

static void finds_one_by_its_name(void **state) {
  (void)state;
  const roost_slice block = ROOST_SLICE("NATS/1.0\r\nA: 1\r\nB: 2\r\nA: 3\r\n\r\n");
  assert_text(roost_nats_header(block, ROOST_SLICE("A")), "1");
  assert_text(roost_nats_header(block, ROOST_SLICE("B")), "2");
  assert_null(roost_nats_header(block, ROOST_SLICE("a")).ptr);
  assert_null(roost_nats_header((roost_slice){NULL, 0}, ROOST_SLICE("a")).ptr);
}

static void check_json(fixture *f, const char *block, const char *json) {
  roost_buffer_clear(&f->out);
  const roost_slice copy = exact_copy(roost_slice_text(block));
  assert_int_equal(roost_nats_headers_to_json(&f->out, copy), 0);
  free_copy(copy);
  assert_text(roost_buffer_slice(&f->out), json);
}

static void are_an_object_of_texts(void **state) {
  fixture *f = *state;
  check_json(f, "NATS/1.0\r\n\r\n", "{}");
  check_json(f, "NATS/1.0", "{}");
  check_json(f, "NATS/1.0\r\nb: 2\r\na: \"q\"\r\n\r\n", "{\"b\":\"2\",\"a\":\"\\\"q\\\"\"}");
  check_json(f, "NATS/1.0\r\na: 1\r\nb: 2\r\na: 3\r\na: 4\r\n\r\n",
             "{\"a\":[\"1\",\"3\",\"4\"],\"b\":\"2\"}");
  check_json(f, "NATS/1.0\r\na\xff: \xC3\xA9\xE2\x82\r\n\r\n",
             "{\"a\xEF\xBF\xBD\":\"\xC3\xA9\xEF\xBF\xBD\"}");
}

static void too_many_are_refused(void **state) {
  fixture *f = *state;
  roost_buffer block;
  roost_buffer_init(&block, roost_alloc_default());
  assert_int_equal(roost_buffer_printf(&block, "NATS/1.0\r\n"), 0);
  for (size_t i = 0; i < ROOST_NATS_HEADERS_MAX; i++)
    assert_int_equal(roost_buffer_printf(&block, "a: 1\r\n"), 0);
  assert_int_equal(roost_nats_headers_to_json(&f->out, roost_buffer_slice(&block)), 0);
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_buffer_printf(&block, "a: 1\r\n"), 0);
  assert_int_equal(roost_nats_headers_to_json(&f->out, roost_buffer_slice(&block)), ROOST_EPROTO);
  assert_int_equal(f->out.len, 0);
  roost_buffer_deinit(&block);
  assert_int_equal(roost_nats_headers_to_json(&f->out, ROOST_SLICE("x")), ROOST_EPROTO);
}

static const struct {
  const char *json;
  const char *except;
  const char *lines; /* NULL: refused */
  int status;
} rows[] = {
    {"{}", NULL, "", 0},
    {"{\"a\":\"1\",\"b\":2,\"c\":true,\"d\":null}", NULL, "a: 1\r\nb: 2\r\nc: true\r\n", 0},
    {"{\"a\":\"\\u00e9\\\\\\\"\"}", NULL, "a: \xC3\xA9\\\"\r\n", 0},
    {"{\"a\":[\"1\",\"2\"],\"b\":[]}", NULL, "a: 1\r\na: 2\r\n", 0},
    {"{\"a\":{\"x\":[1]}}", NULL, "a: {\"x\":[1]}\r\n", 0},
    {"{\"a\":\"1\",\"b\":\"2\"}", "{\"b\":0}", "a: 1\r\n", 0},
    {"{\"a\":\"1\",\"b\":\"2\"}", "{\"x\":{\"a\":1},\"a\":0,\"b\":0}", "", 0},
    {"{\"a\":\"x\\r\\nb: y\"}", NULL, NULL, ROOST_EINVAL},
    {"{\"a\":{\"x\":\n1}}", NULL, NULL, ROOST_EINVAL},
    {"{\"a b\":\"x\"}", NULL, NULL, ROOST_EINVAL},
    {"{\"a:\":\"x\"}", NULL, NULL, ROOST_EINVAL},
    {"{\"\":\"x\"}", NULL, NULL, ROOST_EINVAL},
    {"{\"a\\n\":\"x\"}", NULL, NULL, ROOST_EINVAL},
    {"{\"a\":[1]}", NULL, NULL, ROOST_EINVAL},
    {"[]", NULL, NULL, ROOST_EPROTO},
    {"{\"a\":\"x\"", NULL, NULL, ROOST_EPROTO},
    {"{\"a\":}", NULL, NULL, ROOST_EPROTO},
};

static void are_written_from_an_object(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < ROWS(rows); i++) {
    const char *why = NULL;
    roost_buffer_clear(&f->out);
    const int status = roost_nats_headers_from_json(&f->out, roost_slice_text(rows[i].json),
                                                    roost_slice_text(rows[i].except), &why);
    if (status != rows[i].status)
      print_error("%s\n", rows[i].json);
    assert_int_equal(status, rows[i].status);
    if (rows[i].lines != NULL)
      assert_text(roost_buffer_slice(&f->out), rows[i].lines);
    assert_true((why != NULL) == (status == ROOST_EINVAL));
  }
}

static void survives_a_refusing_allocator(void **state) {
  fixture *f = *state;
  const char *why = NULL;
  const roost_slice none = {NULL, 0};
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status == ROOST_ENOMEM; n++) {
    roost_buffer_deinit(&f->out);
    f->probe.refuse_after = n;
    status = roost_nats_headers_to_json(&f->out, ROOST_SLICE("NATS/1.0\r\na\xff: 1\r\na\xff: 2"));
    f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    assert_true(status == 0 || f->out.len == 0);
  }
  assert_int_equal(status, 0);
  status = ROOST_ENOMEM;
  for (size_t n = 0; status == ROOST_ENOMEM; n++) {
    roost_buffer_deinit(&f->out);
    f->probe.refuse_after = n;
    status = roost_nats_headers_from_json(&f->out, ROOST_SLICE("{\"a\":\"\\n\\n\",\"b\":\"1\"}"),
                                          none, &why);
    f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  }
  assert_int_equal(status, ROOST_EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_a_status_and_lines),
      cmocka_unit_test(finds_one_by_its_name),
      cmocka_unit_test_setup_teardown(are_an_object_of_texts, set_up, tear_down),
      cmocka_unit_test_setup_teardown(too_many_are_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(are_written_from_an_object, set_up, tear_down),
      cmocka_unit_test_setup_teardown(survives_a_refusing_allocator, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
