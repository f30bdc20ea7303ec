#include "wire/nats.h"
#include "wire/nats_headers.h"
#include "wire_test.h"

static void connect_says_who_we_are(void **state) {
  fixture *f = *state;
  const roost_nats_connect connect = {.name = ROOST_SLICE("r\"1"),
                                      .version = ROOST_SLICE("1.0.0"),
                                      .user = ROOST_SLICE("ann"),
                                      .pass = ROOST_SLICE("\xC3\xA9"),
                                      .tls = true};
  assert_int_equal(roost_nats_write_connect(&f->out, &connect), 0);
  assert_text(
      roost_buffer_slice(&f->out),
      "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,\"lang\":\"roost\","
      "\"headers\":true,\"no_responders\":true,\"tls_required\":true,\"echo\":true,"
      "\"name\":\"r\\\"1\",\"version\":\"1.0.0\",\"user\":\"ann\",\"pass\":\"\xC3\xA9\"}\r\n");
  roost_buffer_clear(&f->out);
  const roost_nats_connect creds = {.jwt = ROOST_SLICE("j"),
                                    .nkey = ROOST_SLICE("k"),
                                    .token = ROOST_SLICE("t"),
                                    .signature = ROOST_SLICE("s"),
                                    .no_echo = true};
  assert_int_equal(roost_nats_write_connect(&f->out, &creds), 0);
  assert_int_equal(roost_buffer_append_byte(&f->out, '\0'), 0);
  const char *rest = strstr(f->out.ptr, "\"tls_required\"");
  assert_non_null(rest);
  assert_string_equal(rest,
                      "\"tls_required\":false,\"echo\":false,\"auth_token\":\"t\",\"jwt\":\"j\","
                      "\"nkey\":\"k\",\"sig\":\"s\"}\r\n");
}

static void what_is_not_utf8_is_refused(void **state) {
  fixture *f = *state;
  const roost_nats_connect connect = {.pass = ROOST_SLICE("\xff")};
  assert_int_equal(roost_nats_write_connect(&f->out, &connect), ROOST_EINVAL);
  assert_int_equal(f->out.len, 0);
}

static void writes_the_short_operations(void **state) {
  fixture *f = *state;
  assert_int_equal(roost_nats_write_sub(&f->out, ROOST_SLICE("a.*"), (roost_slice){NULL, 0}, 1), 0);
  assert_int_equal(roost_nats_write_sub(&f->out, ROOST_SLICE("a"), ROOST_SLICE("q"), 2), 0);
  assert_int_equal(roost_nats_write_unsub(&f->out, 1, 0), 0);
  assert_int_equal(roost_nats_write_unsub(&f->out, 2, 5), 0);
  assert_int_equal(roost_nats_write_ping(&f->out), 0);
  assert_int_equal(roost_nats_write_pong(&f->out), 0);
  assert_text(roost_buffer_slice(&f->out),
              "SUB a.* 1\r\nSUB a q 2\r\nUNSUB 1\r\nUNSUB 2 5\r\nPING\r\nPONG\r\n");
}

static void says_which_subjects_are_good(void **state) {
  (void)state;
  assert_true(roost_nats_subject_good(ROOST_SLICE("a.b")));
  assert_true(roost_nats_subject_good(ROOST_SLICE("{\"cmd\":\"sum\"}")));
  assert_true(roost_nats_subject_good(ROOST_SLICE("\xC3\xA9")));
  assert_false(roost_nats_subject_good(ROOST_SLICE("")));
  assert_false(roost_nats_subject_good(ROOST_SLICE("a b")));
  assert_false(roost_nats_subject_good(ROOST_SLICE("a\tb")));
  assert_false(roost_nats_subject_good(ROOST_SLICE("a\r\nPUB b 0\r\n")));
  assert_false(roost_nats_subject_good(ROOST_SLICE("a\x7f")));
  char text[ROOST_NATS_SUBJECT_MAX + 1];
  memset(text, 'x', sizeof text);
  assert_true(roost_nats_subject_good((roost_slice){text, ROOST_NATS_SUBJECT_MAX}));
  assert_false(roost_nats_subject_good((roost_slice){text, sizeof text}));
}

static void a_message_is_written_in_place(void **state) {
  fixture *f = *state;
  roost_nats_mark mark;
  assert_int_equal(
      roost_nats_pub_begin(&f->out, &mark, ROOST_SLICE("a.b"), (roost_slice){NULL, 0}, false), 0);
  assert_int_equal(roost_buffer_append(&f->out, "hello", 5), 0);
  assert_int_equal(roost_nats_pub_size(&f->out, &mark), 5);
  assert_int_equal(roost_nats_pub_end(&f->out, &mark), 0);
  assert_text(roost_buffer_slice(&f->out), "PUB a.b        5\r\nhello\r\n");
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_nats_pub_begin(&f->out, &mark, ROOST_SLICE("a"), ROOST_SLICE("r"), true),
                   0);
  assert_int_equal(roost_nats_headers_write(&f->out, ROOST_SLICE("k"), ROOST_SLICE("v")), 0);
  assert_int_equal(roost_nats_pub_body(&f->out, &mark), 0);
  assert_int_equal(roost_buffer_append(&f->out, "12345678", 8), 0);
  assert_int_equal(roost_nats_pub_end(&f->out, &mark), 0);
  assert_text(roost_buffer_slice(&f->out),
              "HPUB a r       18       26\r\nNATS/1.0\r\nk: v\r\n\r\n12345678\r\n");
}

static void an_empty_message_and_one_taken_back(void **state) {
  fixture *f = *state;
  roost_nats_mark mark;
  assert_int_equal(
      roost_nats_pub_begin(&f->out, &mark, ROOST_SLICE("a"), (roost_slice){NULL, 0}, false), 0);
  assert_int_equal(roost_nats_pub_end(&f->out, &mark), 0);
  assert_text(roost_buffer_slice(&f->out), "PUB a        0\r\n\r\n");
  const size_t len = f->out.len;
  assert_int_equal(
      roost_nats_pub_begin(&f->out, &mark, ROOST_SLICE("a"), (roost_slice){NULL, 0}, true), 0);
  roost_nats_pub_undo(&f->out, &mark);
  assert_int_equal(f->out.len, len);
}

static void the_largest_size_has_room(void **state) {
  fixture *f = *state;
  roost_nats_mark mark;
  assert_int_equal(
      roost_nats_pub_begin(&f->out, &mark, ROOST_SLICE("a"), (roost_slice){NULL, 0}, false), 0);
  assert_int_equal(roost_buffer_reserve(&f->out, ROOST_NATS_PAYLOAD_MAX + 1), 0);
  f->out.len += ROOST_NATS_PAYLOAD_MAX;
  assert_int_equal(roost_nats_pub_end(&f->out, &mark), 0);
  assert_slice((roost_slice){f->out.ptr, 17}, "PUB a 99999999\r\n\xa5", 17);
  roost_buffer_clear(&f->out);
  assert_int_equal(
      roost_nats_pub_begin(&f->out, &mark, ROOST_SLICE("a"), (roost_slice){NULL, 0}, false), 0);
  f->out.len += ROOST_NATS_PAYLOAD_MAX + 1;
  assert_int_equal(roost_nats_pub_end(&f->out, &mark), ROOST_EFULL);
  assert_int_equal(f->out.len, 0);
}

static int write_all(roost_buffer *out) {
  roost_nats_mark mark;
  const roost_nats_connect connect = {.name = ROOST_SLICE("n")};
  int status = roost_nats_write_connect(out, &connect);
  if (status != 0)
    return status;
  status = roost_nats_pub_begin(out, &mark, ROOST_SLICE("a"), ROOST_SLICE("r"), true);
  if (status != 0)
    return status;
  status = roost_nats_headers_write(out, ROOST_SLICE("k"), ROOST_SLICE("v"));
  if (status == 0)
    status = roost_nats_pub_body(out, &mark);
  if (status == 0)
    status = roost_buffer_append(out, "0123456789", 10);
  if (status == 0)
    return roost_nats_pub_end(out, &mark);
  roost_nats_pub_undo(out, &mark);
  return status;
}

static void survives_a_refusing_allocator(void **state) {
  fixture *f = *state;
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status == ROOST_ENOMEM; n++) {
    roost_buffer_deinit(&f->out);
    f->probe.refuse_after = n;
    status = write_all(&f->out);
    f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    assert_true(status == 0 || status == ROOST_ENOMEM);
    assert_true(f->out.len == 0 || f->out.ptr[f->out.len - 1] == '\n');
  }
  assert_int_equal(status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(connect_says_who_we_are, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_not_utf8_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(writes_the_short_operations, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_message_is_written_in_place, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_empty_message_and_one_taken_back, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_largest_size_has_room, set_up, tear_down),
      cmocka_unit_test_setup_teardown(survives_a_refusing_allocator, set_up, tear_down),
      cmocka_unit_test(says_which_subjects_are_good),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
