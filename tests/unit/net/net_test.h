/*
 * net_test.h - what the tests of net/ and transport/ share: a loop on a fake clock whose every
 * allocation is checked, a record of what a conn's owner is told, and waiting for things to
 * happen without looking at the clock (but for a guard against hanging).
 */
#ifndef ROOST_TESTS_NET_TEST_H
#define ROOST_TESTS_NET_TEST_H

#include "alloc_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/slice.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/loop.h"

#define NET_TEST_GUARD_S 20

typedef struct net_test {
  roost_alloc_probe probe;
  roost_clock clock;
  roost_loop *loop;
} net_test;

static inline void net_test_init(net_test *test) {
  roost_alloc_probe_init(&test->probe);
  test->clock = (roost_clock){.fake = true, .now_us = 5000000};
  assert_int_equal(roost_loop_new(&test->loop, &test->probe.alloc, &test->clock), 0);
}

/* Frees the loop and checks that nothing is left. */
static inline void net_test_deinit(net_test *test) {
  test->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  roost_loop_free(test->loop);
  assert_int_equal(test->probe.bytes, 0);
}

static inline void net_test_turn(net_test *test) {
  assert_int_equal(roost_loop_poll(test->loop, 0), 0);
}

static inline void net_test_turns(net_test *test, unsigned turns) {
  while (turns-- > 0)
    net_test_turn(test);
}

static inline void net_test_advance(net_test *test, uint64_t ms) {
  roost_clock_advance_ms(&test->clock, ms);
  net_test_turn(test);
}

static inline time_t net_test_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

/* Turns the loop until the condition holds. */
#define NET_TEST_UNTIL(test, condition)                                                            \
  do {                                                                                             \
    const time_t guard_ = net_test_seconds() + NET_TEST_GUARD_S;                                   \
    while (!(condition)) {                                                                         \
      assert_true(net_test_seconds() < guard_);                                                    \
      assert_int_equal(roost_loop_poll((test)->loop, 1), 0);                                       \
    }                                                                                              \
  } while (0)

/* What the owner of a conn was told. */
typedef struct net_record {
  roost_conn *conn;
  roost_buffer bytes;
  unsigned opened;
  unsigned reads;
  unsigned eofs;
  unsigned writables;
  unsigned closes;
  int status;
  char why[256];
  bool busy;           /* the answer to busy */
  bool close_on_bytes; /* closes its conn in that callback */
  bool close_on_eof;
  bool close_on_writable;
} net_record;

static inline void net_record_open(void *ud) {
  ((net_record *)ud)->opened++;
}

static inline void net_record_bytes(void *ud, roost_slice bytes) {
  net_record *record = ud;
  record->reads++;
  assert_int_equal(roost_buffer_append_slice(&record->bytes, bytes), 0);
  if (record->close_on_bytes)
    roost_conn_close(record->conn);
}

static inline void net_record_eof(void *ud) {
  net_record *record = ud;
  record->eofs++;
  if (record->close_on_eof)
    roost_conn_close(record->conn);
}

static inline void net_record_writable(void *ud) {
  net_record *record = ud;
  record->writables++;
  if (record->close_on_writable)
    roost_conn_close(record->conn);
}

static inline bool net_record_busy(void *ud) {
  return ((net_record *)ud)->busy;
}

static inline void net_record_closed(void *ud, int status, const char *why) {
  net_record *record = ud;
  record->closes++;
  record->status = status;
  snprintf(record->why, sizeof record->why, "%s", why);
  record->conn = NULL;
}

static const roost_conn_ops net_record_ops = {
    .on_open = net_record_open,
    .on_bytes = net_record_bytes,
    .on_eof = net_record_eof,
    .on_writable = net_record_writable,
    .busy = net_record_busy,
    .on_closed = net_record_closed,
};

static inline void net_record_init(net_record *record, roost_conn *conn) {
  *record = (net_record){.conn = conn};
  roost_buffer_init(&record->bytes, roost_alloc_default());
  if (conn != NULL)
    roost_conn_set_ops(conn, &net_record_ops, record);
}

static inline void net_record_deinit(net_record *record) {
  roost_buffer_deinit(&record->bytes);
}

static inline bool net_record_has(const net_record *record, const char *text) {
  return roost_slice_equal(roost_buffer_slice(&record->bytes), roost_slice_text(text));
}

static inline void net_write(roost_conn *conn, const char *text) {
  assert_int_equal(roost_buffer_append(roost_conn_out(conn), text, strlen(text)), 0);
  roost_conn_dirty(conn);
}

static inline void net_write_many(roost_conn *conn, size_t bytes) {
  roost_buffer *out = roost_conn_out(conn);
  assert_int_equal(roost_buffer_reserve(out, bytes), 0);
  memset(out->ptr + out->len, 'x', bytes);
  out->len += bytes;
  roost_conn_dirty(conn);
}

/* A non-blocking socket of the test's own, connected to a port of 127.0.0.1. */
static inline int net_connect(uint16_t port) {
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(descriptor >= 0);
  assert_int_equal(connect(descriptor, (const struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(fcntl(descriptor, F_SETFL, O_NONBLOCK), 0);
  return descriptor;
}

/* Two connected sockets over 127.0.0.1, so that they behave as TCP does; the first non-blocking. */
static inline void net_socket_pair(int pair[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  const int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(listening, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(listening, 1), 0);
  assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &size), 0);
  pair[0] = net_connect(ntohs(address.sin_port));
  pair[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
  assert_true(pair[1] >= 0);
  close(listening);
}

#endif
