/*
 * Reading what a host answers; the exchange itself is in test_admin.c.
 */
#include "alloc_probe.h"

#include "admin/client.h"
#include "core/slice.h"

static void a_whole_answer_is_taken_apart(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    int code;
    const char *body;
  } cases[] = {{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc"},
               {"HTTP/1.0 404 Not Found\r\n\r\nno\nsuch", 404, "no\nsuch"},
               {"HTTP/1.1 204\r\n\r\n", 204, ""},
               {"HTTP/1.1 200 OK\nX: y\n\nabc", 200, "abc"},
               {"HTTP/1.1 200 OK\r\ncontent-length:   2\r\n\r\nabc", 200, "ab"},
               {"HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", 503, ""}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    roost_admin_reply reply;
    assert_int_equal(roost_admin_reply_read(&reply, roost_slice_text(cases[i].bytes)), 0);
    assert_int_equal(reply.code, cases[i].code);
    assert_int_equal(reply.body.len, strlen(cases[i].body));
    assert_memory_equal(reply.body.ptr, cases[i].body, reply.body.len);
  }
}

static void anything_else_is_none(void **state) {
  (void)state;
  static const char *const cases[] = {
      "",
      "HTTP/1.1 200 OK",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
      "HTTP/2 200 OK\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1200 OK\r\n\r\n",
      "SSH-2.0-OpenSSH_9.2\r\n"};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    roost_admin_reply reply;
    if (roost_admin_reply_read(&reply, roost_slice_text(cases[i])) != ROOST_EPROTO)
      fail_msg("taken: %s", cases[i]);
  }
}

static void nobody_there_is_a_connect_failure(void **state) {
  (void)state;
  roost_admin_reply reply;
  roost_buffer bytes;
  const char *why = NULL;
  roost_buffer_init(&bytes, roost_alloc_default());
  assert_int_equal(
      roost_admin_request(&reply, &bytes, "/tmp", "no-such-folder/x.sock", "GET", "/", 1000, &why),
      ROOST_ECONNECT);
  assert_string_equal(why, "No such file or directory");
  roost_buffer_deinit(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_whole_answer_is_taken_apart),
      cmocka_unit_test(anything_else_is_none),
      cmocka_unit_test(nobody_there_is_a_connect_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
