#include "net_test.h"

/* A listening socket of the test's own; its port. */
static uint16_t listen_somewhere(int *descriptor) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  *descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(*descriptor, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(*descriptor, 8), 0);
  assert_int_equal(getsockname(*descriptor, (struct sockaddr *)&address, &size), 0);
  return ntohs(address.sin_port);
}

/* A port that nobody listens on. */
static uint16_t free_port(void) {
  int descriptor;
  const uint16_t port = listen_somewhere(&descriptor);
  close(descriptor);
  return port;
}

static int dial(net_test *test, net_record *record, const char *host, uint16_t port,
                uint64_t timeout_ms) {
  net_record_init(record, NULL);
  return roost_conn_dial(&record->conn, test->loop, host, port, timeout_ms, &net_record_ops,
                         record);
}

static void finish(net_test *test, net_record *record) {
  net_test_deinit(test);
  net_record_deinit(record);
}

static void a_numeric_address_and_a_name_connect(void **state) {
  static const char *const hosts[] = {"127.0.0.1", "localhost"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    net_test test;
    net_record record;
    int listening;
    char text[8] = "";
    net_test_init(&test);
    const uint16_t port = listen_somewhere(&listening);
    assert_int_equal(dial(&test, &record, hosts[i], port, 1000), 0);
    net_write(record.conn, "early"); /* before it is open */
    assert_int_equal(record.opened, 0);
    NET_TEST_UNTIL(&test, record.opened == 1);
    const int accepted = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    NET_TEST_UNTIL(&test, recv(accepted, text, sizeof text, MSG_DONTWAIT) == 5);
    assert_string_equal(text, "early");
    assert_int_equal(send(accepted, "hello", 5, 0), 5);
    NET_TEST_UNTIL(&test, record.bytes.len == 5);
    assert_string_equal(roost_conn_remote(record.conn)->text, "127.0.0.1");
    assert_int_equal(roost_conn_remote(record.conn)->port, port);
    net_test_advance(&test, 5000); /* the connect time-out is over and done with */
    net_test_turns(&test, 3);
    assert_int_equal(record.closes, 0);
    close(accepted);
    close(listening);
    finish(&test, &record);
  }
}

static void nobody_listening_is_refused(void **state) {
  static const char *const hosts[] = {"127.0.0.1", "localhost"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    net_test test;
    net_record record;
    net_test_init(&test);
    assert_int_equal(dial(&test, &record, hosts[i], free_port(), 1000), 0);
    assert_int_equal(record.closes, 0);
    NET_TEST_UNTIL(&test, record.closes == 1);
    assert_int_equal(record.status, ROOST_ECONNECT);
    assert_string_equal(record.why, "ECONNREFUSED");
    assert_int_equal(record.opened, 0);
    finish(&test, &record);
  }
}

static void a_name_that_does_not_exist(void **state) {
  net_test test;
  net_record record;
  (void)state;
  net_test_init(&test);
  assert_int_equal(dial(&test, &record, "", 1, 0), ROOST_EINVAL);
  assert_int_equal(dial(&test, &record, "no such host", 1, 0), 0);
  NET_TEST_UNTIL(&test, record.closes == 1);
  assert_int_equal(record.status, ROOST_ECONNECT);
  assert_string_not_equal(record.why, "");
  finish(&test, &record);
}

/* A full backlog takes no further connection: the kernel drops what asks for one. */
static void connecting_takes_no_longer_than_its_timeout(void **state) {
  net_test test;
  net_record record;
  net_record fillers[4];
  int listening;
  (void)state;
  net_test_init(&test);
  const uint16_t port = listen_somewhere(&listening);
  assert_int_equal(listen(listening, 0), 0);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(dial(&test, &fillers[i], "127.0.0.1", port, 0), 0);
  NET_TEST_UNTIL(&test, fillers[0].opened == 1);
  net_test_turns(&test, 20);
  assert_int_equal(dial(&test, &record, "127.0.0.1", port, 700), 0);
  net_test_turns(&test, 20);
  net_test_advance(&test, 699);
  net_test_turns(&test, 3);
  assert_int_equal(record.opened + record.closes, 0);
  net_test_advance(&test, 1);
  NET_TEST_UNTIL(&test, record.closes == 1);
  assert_int_equal(record.status, ROOST_ECONNECT);
  assert_string_equal(record.why, "ETIMEDOUT");
  close(listening);
  finish(&test, &record);
}

static void closing_while_connecting_or_looking_up(void **state) {
  static const char *const hosts[] = {"127.0.0.1", "localhost", "nobody.invalid"};
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    net_test test;
    net_record record;
    int listening;
    net_test_init(&test);
    const uint16_t port = listen_somewhere(&listening);
    assert_int_equal(dial(&test, &record, hosts[i], port, 1000), 0);
    roost_conn_close(record.conn);
    NET_TEST_UNTIL(&test, record.closes == 1);
    assert_int_equal(record.status, 0);
    assert_int_equal(record.opened, 0);
    assert_int_equal(dial(&test, &record, hosts[i], port, 1000), 0);
    close(listening);
    finish(&test, &record); /* the loop is freed while it is under way */
    assert_int_equal(record.closes, 1);
  }
}

static void out_of_memory(void **state) {
  int listening;
  (void)state;
  const uint16_t port = listen_somewhere(&listening);
  for (size_t point = 0;; point++) {
    net_test test;
    net_record record;
    net_test_init(&test);
    test.probe.refuse_after = point;
    const int status = dial(&test, &record, "127.0.0.1", port, 1000);
    if (status == 0)
      NET_TEST_UNTIL(&test, record.opened + record.closes == 1);
    const bool is_open = record.opened == 1;
    if (!is_open && status == 0) {
      assert_int_equal(record.status, ROOST_ECONNECT);
      assert_string_equal(record.why, "ENOMEM");
    } else if (!is_open) {
      assert_int_equal(status, ROOST_ENOMEM);
    }
    finish(&test, &record);
    if (is_open) {
      assert_int_equal(point, 3);
      break;
    }
  }
  close(listening);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_numeric_address_and_a_name_connect),
      cmocka_unit_test(nobody_listening_is_refused),
      cmocka_unit_test(a_name_that_does_not_exist),
      cmocka_unit_test(connecting_takes_no_longer_than_its_timeout),
      cmocka_unit_test(closing_while_connecting_or_looking_up),
      cmocka_unit_test(out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
