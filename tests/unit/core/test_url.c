#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/slice.h"
#include "core/url.h"

static void expect(const char *text, const char *scheme, const char *host, int port) {
  roost_url_parts parts;
  if (!roost_url_split(text, &parts))
    fail_msg("%s: is one", text);
  assert_true(roost_slice_equal(parts.scheme, roost_slice_text(scheme)));
  assert_true(roost_slice_equal(parts.host, roost_slice_text(host)));
  assert_int_equal(parts.has_port, port >= 0);
  assert_int_equal(parts.port, port >= 0 ? port : 0);
}

static void addresses_are_split(void **state) {
  (void)state;
  expect("tcp://127.0.0.1:3000", "tcp", "127.0.0.1", 3000);
  expect("tcp://localhost", "tcp", "localhost", -1);
  expect("tls://a.example.org:65535", "tls", "a.example.org", 65535);
  expect("tcp://[::1]:3000", "tcp", "::1", 3000);
  expect("tcp://[fe80::1%eth0]", "tcp", "fe80::1%eth0", -1);
  expect("tcp://h:0", "tcp", "h", 0);
  expect("tcp://h:00080", "tcp", "h", 80);
  expect("amqp://x:1", "amqp", "x", 1);
}

static void others_are_none(void **state) {
  static const char *const rows[] = {"",
                                     "tcp",
                                     "tcp:",
                                     "tcp:/h:1",
                                     "tcp://",
                                     "://h:1",
                                     "tcp://:1",
                                     "tcp://h:",
                                     "tcp://h:x",
                                     "tcp://h:1x",
                                     "tcp://h:-1",
                                     "tcp://h:+1",
                                     "tcp://h: 1",
                                     "tcp://h:65536",
                                     "tcp://h:100000",
                                     "tcp://h:1/",
                                     "tcp://h/",
                                     "tcp://h/path",
                                     "tcp://[::1",
                                     "tcp://[]:1",
                                     "tcp://[::1]x",
                                     "tcp://[::1]1",
                                     "tcp://::1:1",
                                     "127.0.0.1:3000"};
  roost_url_parts parts;
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (roost_url_split(rows[i], &parts))
      fail_msg("%s: is none", rows[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(addresses_are_split),
      cmocka_unit_test(others_are_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
