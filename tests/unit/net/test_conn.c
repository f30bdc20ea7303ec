#include "tls_test.h"

#include <poll.h>

/* Two ends of a connection, in memory or over TCP, each with a record. */
typedef struct ends {
  net_test test;
  net_record a;
  net_record b;
  tls_world world; /* of the TLS kinds */
  bool has_world;
} ends;

static void start_memory(ends *self) {
  roost_conn *a;
  roost_conn *b;
  self->has_world = false;
  net_test_init(&self->test);
  assert_int_equal(roost_conn_pair(&a, &b, self->test.loop), 0);
  net_record_init(&self->a, a);
  net_record_init(&self->b, b);
}

static void start_tcp(ends *self) {
  int pair[2];
  roost_conn *a;
  roost_conn *b;
  self->has_world = false;
  net_test_init(&self->test);
  net_socket_pair(pair);
  assert_int_equal(roost_conn_adopt(&a, self->test.loop, pair[0]), 0);
  assert_int_equal(roost_conn_adopt(&b, self->test.loop, pair[1]), 0);
  net_record_init(&self->a, a);
  net_record_init(&self->b, b);
}

/* Both ends begin TLS, so that all that holds of a connection is seen to hold of one with TLS. */
static void start_tls(ends *self) {
  tls_world_init(&self->world, roost_alloc_default(), ROOST_TLS_VERIFY_REQUIRED, ROOST_TLS_1_2);
  self->has_world = true;
  tls_world_start(&self->world, self->a.conn, self->b.conn);
  NET_TEST_UNTIL(&self->test, self->a.opened == 1 && self->b.opened == 1);
  net_test_turns(&self->test, 5); /* the session ticket arrives */
}

static void start_memory_tls(ends *self) {
  start_memory(self);
  start_tls(self);
}

static void start_tcp_tls(ends *self) {
  start_tcp(self);
  start_tls(self);
}

static void finish(ends *self) {
  net_test_deinit(&self->test); /* closes what is open */
  if (self->has_world)
    tls_world_deinit(&self->world);
  assert_int_equal(self->a.closes, 1);
  assert_int_equal(self->b.closes, 1);
  net_record_deinit(&self->a);
  net_record_deinit(&self->b);
}

typedef void start_fn(ends *self);
static start_fn *const kinds[] = {start_memory, start_tcp, start_memory_tls, start_tcp_tls};
#define KINDS (sizeof kinds / sizeof kinds[0])

static void bytes_go_both_ways(void **state) {
  (void)state;
  for (size_t i = 0; i < KINDS; i++) {
    ends self;
    roost_conn_counters counters = {0};
    kinds[i](&self);
    roost_conn_count(self.a.conn, &counters);
    net_write(self.a.conn, "question");
    assert_int_equal(roost_conn_queued(self.a.conn), 8);
    NET_TEST_UNTIL(&self.test, self.b.bytes.len == 8);
    assert_true(net_record_has(&self.b, "question"));
    assert_int_equal(roost_conn_queued(self.a.conn), 0);
    net_write(self.b.conn, "answer");
    NET_TEST_UNTIL(&self.test, self.a.bytes.len == 6);
    assert_int_equal(counters.bytes_out, 8);
    assert_int_equal(counters.bytes_in, 6);
    finish(&self);
  }
}

static void one_turn_makes_one_write(void **state) {
  (void)state;
  for (size_t i = 0; i < KINDS; i++) {
    ends self;
    kinds[i](&self);
    for (unsigned n = 0; n < 100; n++)
      net_write(self.a.conn, "0123456789");
    NET_TEST_UNTIL(&self.test, self.b.bytes.len > 0);
    assert_int_equal(self.b.bytes.len, 1000);
    assert_int_equal(self.b.reads, 1);
    finish(&self);
  }
}

static void an_idle_conn_holds_no_buffer(void **state) {
  ends self;
  (void)state;
  start_memory(&self);
  net_write(self.a.conn, "x"); /* whatever the loop keeps for all of them is there then */
  NET_TEST_UNTIL(&self.test, self.b.bytes.len == 1);
  const size_t before = self.test.probe.bytes;
  net_write_many(self.a.conn, 200000);
  NET_TEST_UNTIL(&self.test, self.b.bytes.len == 200001);
  net_test_turns(&self.test, 3);
  assert_true(self.test.probe.bytes <= before);
  finish(&self);
}

static void small_writes_allocate_nothing_in_the_steady_state(void **state) {
  ends self;
  (void)state;
  start_tcp(&self);
  net_write(self.a.conn, "warm up");
  net_write(self.b.conn, "two ends");
  NET_TEST_UNTIL(&self.test, self.b.bytes.len == 7 && self.a.bytes.len == 8);
  const size_t asked = self.test.probe.asked;
  for (unsigned i = 1; i <= 10; i++) {
    net_write(self.a.conn, "another");
    net_write(self.b.conn, "and back");
    NET_TEST_UNTIL(&self.test, self.b.bytes.len == 7 + i * 7u && self.a.bytes.len == 8 + i * 8u);
  }
  assert_int_equal(self.test.probe.asked, asked);
  finish(&self);
}

/* More than any kernel buffer takes at once: the order is kept while more is appended. */
static void a_slow_reader_gets_everything_in_order(void **state) {
  (void)state;
  for (size_t i = 0; i < KINDS; i++) {
    ends self;
    const uint32_t count = 3000000;
    kinds[i](&self);
    uint32_t written = 0;
    while (written < count) {
      roost_buffer *out = roost_conn_out(self.a.conn);
      for (unsigned n = 0; n < 10000; n++, written++)
        assert_int_equal(roost_buffer_append(out, &written, sizeof written), 0);
      roost_conn_dirty(self.a.conn);
      net_test_turn(&self.test);
    }
    NET_TEST_UNTIL(&self.test, self.b.bytes.len == count * sizeof count);
    for (uint32_t n = 0; n < count; n++) {
      uint32_t value;
      memcpy(&value, self.b.bytes.ptr + n * sizeof value, sizeof value);
      if (value != n)
        assert_int_equal(value, n);
    }
    assert_int_equal(roost_conn_queued(self.a.conn), 0);
    finish(&self);
  }
}

static void a_paused_conn_is_not_read(void **state) {
  (void)state;
  for (size_t i = 0; i < KINDS; i++) {
    ends self;
    kinds[i](&self);
    roost_conn_pause(self.b.conn);
    net_write(self.a.conn, "wait");
    net_test_turns(&self.test, 5);
    assert_int_equal(self.b.bytes.len, 0);
    roost_conn_resume(self.b.conn);
    NET_TEST_UNTIL(&self.test, self.b.bytes.len == 4);
    roost_conn_pause(self.b.conn);
    net_write(self.a.conn, "now");
    net_test_turns(&self.test, 5);
    assert_int_equal(self.b.bytes.len, 4);
    roost_conn_read_now(self.b.conn);
    assert_true(net_record_has(&self.b, "waitnow"));
    finish(&self);
  }
}

/* --------------------------------------------------------------------- the end --------------- */

static void close_is_told_later_and_once(void **state) {
  (void)state;
  for (size_t i = 0; i < KINDS; i++) {
    ends self;
    kinds[i](&self);
    net_write(self.a.conn, "lost");
    roost_conn *conn = self.a.conn;
    roost_conn_close(conn);
    roost_conn_close(conn);
    net_write(conn, "nothing happens");
    assert_int_equal(self.a.closes, 0);
    NET_TEST_UNTIL(&self.test, self.b.eofs == 1 && self.a.closes == 1);
    assert_int_equal(self.a.status, 0);
    assert_int_equal(self.b.bytes.len, 0);
    finish(&self);
  }
}

static void after_the_peers_fin_writing_still_works(void **state) {
  (void)state;
  for (size_t i = 0; i < KINDS; i++) {
    ends self;
    kinds[i](&self);
    net_write(self.a.conn, "last words");
    roost_conn_shutdown(self.a.conn);
    NET_TEST_UNTIL(&self.test, self.b.eofs == 1);
    assert_true(net_record_has(&self.b, "last words"));
    net_write(self.b.conn, "late reply");
    NET_TEST_UNTIL(&self.test, self.a.bytes.len == 10);
    net_test_turns(&self.test, 5);
    assert_int_equal(self.a.closes + self.b.closes, 0);
    roost_conn_shutdown(self.b.conn);
    NET_TEST_UNTIL(&self.test, self.a.closes == 1 && self.b.closes == 1);
    assert_int_equal(self.a.status, 0);
    assert_int_equal(self.b.status, 0);
    assert_int_equal(self.b.eofs, 1);
    finish(&self);
  }
}

static void fin_waits_for_what_is_queued(void **state) {
  (void)state;
  for (size_t i = 0; i < KINDS; i++) {
    ends self;
    kinds[i](&self);
    roost_conn_pause(self.b.conn);
    net_write_many(self.a.conn, 20000000);
    roost_conn_shutdown(self.a.conn);
    net_test_turns(&self.test, 5);
    assert_true(roost_conn_queued(self.a.conn) > 0);
    roost_conn_resume(self.b.conn);
    NET_TEST_UNTIL(&self.test, self.b.eofs == 1);
    assert_int_equal(self.b.bytes.len, 20000000);
    finish(&self);
  }
}

static void without_on_eof_fin_is_answered(void **state) {
  static const roost_conn_ops plain = {.on_bytes = net_record_bytes,
                                       .on_closed = net_record_closed};
  ends self;
  (void)state;
  start_memory(&self);
  roost_conn_set_ops(self.b.conn, &plain, &self.b);
  roost_conn_shutdown(self.a.conn);
  NET_TEST_UNTIL(&self.test, self.a.closes == 1 && self.b.closes == 1);
  finish(&self);
}

/* Closing with unread bytes resets the connection. */
static void break_off(int descriptor) {
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  assert_int_equal(setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  close(descriptor);
}

static roost_conn *adopt_half(net_test *test, int *other) {
  int pair[2];
  roost_conn *conn;
  net_socket_pair(pair);
  assert_int_equal(roost_conn_adopt(&conn, test->loop, pair[1]), 0);
  *other = pair[0];
  return conn;
}

static void a_reset_is_told_whether_reading_or_not(void **state) {
  enum { READING, PAUSED, AFTER_FIN, WRITING, MODES };
  (void)state;
  for (int mode = 0; mode < MODES; mode++) {
    net_test test;
    net_record record;
    int other;
    net_test_init(&test);
    net_record_init(&record, adopt_half(&test, &other));
    if (mode == PAUSED) {
      roost_conn_pause(record.conn);
      assert_int_equal(send(other, "x", 1, 0), 1); /* so that the pause is noticed */
    } else if (mode == AFTER_FIN) {
      shutdown(other, SHUT_WR);
      NET_TEST_UNTIL(&test, record.eofs == 1);
    } else if (mode == WRITING) {
      net_write_many(record.conn, 20000000);
    }
    net_test_turns(&test, 3);
    break_off(other);
    NET_TEST_UNTIL(&test, record.closes == 1);
    assert_int_equal(record.status, ROOST_EGONE);
    if (mode == READING || mode == PAUSED)
      assert_string_equal(record.why, "ECONNRESET");
    else /* the kernel's name for a reset after FIN or while writing */
      assert_true(strcmp(record.why, "EPIPE") == 0 || strcmp(record.why, "ECONNRESET") == 0);
    assert_int_equal(record.bytes.len, 0);
    net_record_deinit(&record);
    net_test_deinit(&test);
  }
}

static void urgent_data_does_not_keep_a_paused_conn_awake(void **state) {
  net_test test;
  net_record record;
  int other;
  (void)state;
  net_test_init(&test);
  net_record_init(&record, adopt_half(&test, &other));
  roost_conn_pause(record.conn);
  assert_int_equal(send(other, "x", 1, 0), 1);
  net_test_turns(&test, 5);
  assert_int_equal(send(other, "!", 1, MSG_OOB), 1);
  net_test_turns(&test, 5);
  struct pollfd ready = {.fd = roost_loop_fd(test.loop), .events = POLLIN};
  assert_int_equal(poll(&ready, 1, 0), 0);
  roost_conn_resume(record.conn);
  NET_TEST_UNTIL(&test, record.bytes.len == 1);
  assert_int_equal(record.closes, 0);
  close(other);
  net_record_deinit(&record);
  net_test_deinit(&test);
}

static void a_memory_end_closed_with_unread_bytes_resets(void **state) {
  ends self;
  (void)state;
  start_memory(&self);
  roost_conn_pause(self.b.conn);
  net_write(self.a.conn, "unread");
  net_test_turn(&self.test);
  roost_conn_close(self.b.conn);
  NET_TEST_UNTIL(&self.test, self.a.closes == 1);
  assert_int_equal(self.a.status, ROOST_EGONE);
  finish(&self);
}

static void the_owner_may_close_inside_any_callback(void **state) {
  (void)state;
  for (size_t i = 0; i < 2 * KINDS; i++) {
    ends self;
    kinds[i / 2](&self);
    self.b.close_on_bytes = i % 2 == 0;
    self.b.close_on_eof = true;
    net_write(self.a.conn, "x");
    roost_conn_shutdown(self.a.conn);
    NET_TEST_UNTIL(&self.test, self.a.closes == 1 && self.b.closes == 1);
    assert_int_equal(self.b.status, 0);
    finish(&self);
  }
}

static void a_conn_nobody_owns_is_closed_with_the_loop(void **state) {
  net_test test;
  roost_conn *a;
  roost_conn *b;
  (void)state;
  net_test_init(&test);
  assert_int_equal(roost_conn_pair(&a, &b, test.loop), 0);
  assert_int_equal(roost_conn_descriptor(a), -1);
  assert_string_equal(roost_conn_remote(b)->text, "memory");
  assert_ptr_equal(roost_conn_loop(a), test.loop);
  net_test_deinit(&test);
}

/* --------------------------------------------------------------------- limits ---------------- */

static void over_the_send_limit_the_conn_ends(void **state) {
  (void)state;
  for (size_t i = 0; i < KINDS; i++) {
    ends self;
    kinds[i](&self);
    roost_conn_set_send_limit(self.a.conn, 1000000);
    roost_conn_pause(self.b.conn);
    net_write_many(self.a.conn, 20000000);
    NET_TEST_UNTIL(&self.test, self.a.closes == 1);
    assert_int_equal(self.a.status, ROOST_EFULL);
    finish(&self);
  }
}

static void on_writable_comes_below_a_quarter_after_over_half(void **state) {
  ends self;
  (void)state;
  start_memory(&self); /* whose other end holds 64 KiB */
  roost_conn_set_send_limit(self.a.conn, 400000);
  roost_conn_pause(self.b.conn);
  net_write_many(self.a.conn, 100000 + 65536);
  net_test_turns(&self.test, 3);
  assert_false(roost_conn_crowded(self.a.conn));
  net_write_many(self.a.conn, 100001);
  assert_true(roost_conn_crowded(self.a.conn));
  net_test_turns(&self.test, 3);
  assert_true(roost_conn_crowded(self.a.conn));
  assert_int_equal(self.a.writables, 0);
  roost_conn_read_now(self.b.conn); /* 64 KiB: 134,465 queued */
  net_test_turns(&self.test, 3);
  assert_true(roost_conn_crowded(self.a.conn));
  assert_int_equal(self.a.writables, 0);
  roost_conn_read_now(self.b.conn); /* 68,929 */
  net_test_turns(&self.test, 3);
  assert_false(roost_conn_crowded(self.a.conn));
  assert_int_equal(self.a.writables, 1);
  roost_conn_resume(self.b.conn);
  NET_TEST_UNTIL(&self.test, self.b.bytes.len == 200001 + 65536);
  assert_int_equal(self.a.writables, 1);
  finish(&self);
}

static void on_writable_may_close(void **state) {
  ends self;
  (void)state;
  start_memory(&self);
  self.a.close_on_writable = true;
  roost_conn_set_send_limit(self.a.conn, 1000);
  net_write_many(self.a.conn, 900);
  NET_TEST_UNTIL(&self.test, self.a.closes == 1);
  assert_int_equal(self.a.writables, 1);
  finish(&self);
}

static void an_idle_conn_ends_but_not_a_used_or_busy_one(void **state) {
  ends self;
  (void)state;
  start_memory(&self);
  roost_conn_set_idle_timeout(self.a.conn, 1000);
  net_test_advance(&self.test, 600);
  net_write(self.b.conn, "read");
  net_test_turns(&self.test, 3);
  net_test_advance(&self.test, 600);
  net_write(self.a.conn, "written");
  net_test_turns(&self.test, 3);
  net_test_advance(&self.test, 999);
  net_test_turns(&self.test, 3);
  assert_int_equal(self.a.closes, 0);
  self.a.busy = true;
  net_test_advance(&self.test, 1);
  net_test_advance(&self.test, 999);
  net_test_turns(&self.test, 3);
  assert_int_equal(self.a.closes, 0);
  self.a.busy = false;
  net_test_advance(&self.test, 1);
  NET_TEST_UNTIL(&self.test, self.a.closes == 1);
  assert_int_equal(self.a.status, ROOST_ETIMEDOUT);
  finish(&self);
}

static void no_idle_timeout_is_the_default_and_can_be_set_back(void **state) {
  ends self;
  (void)state;
  start_memory(&self);
  roost_conn_set_idle_timeout(self.a.conn, 1000);
  roost_conn_set_idle_timeout(self.a.conn, 0);
  net_test_advance(&self.test, 1000000);
  net_test_turns(&self.test, 3);
  assert_int_equal(self.a.closes + self.b.closes, 0);
  finish(&self);
}

/* --------------------------------------------------------------------- in place -------------- */

typedef struct placed {
  char place[100000];
  size_t filled;
  net_record *plain;
} placed;

static size_t offer_room(void *ud, char **place) {
  placed *self = ud;
  *place = self->place + self->filled;
  return sizeof self->place - self->filled;
}

static void take_filled(void *ud, size_t n) {
  ((placed *)ud)->filled += n;
}

static void take_plain(void *ud, roost_slice bytes) {
  net_record_bytes(((placed *)ud)->plain, bytes);
}

static void bytes_go_into_the_room_that_is_offered(void **state) {
  static const roost_conn_ops ops = {
      .on_bytes = take_plain, .room = offer_room, .on_filled = take_filled};
  static placed self;
  (void)state;
  for (size_t i = 0; i < KINDS; i++) {
    ends both;
    kinds[i](&both);
    self = (placed){.plain = &both.b};
    roost_conn_set_ops(both.b.conn, &ops, &self);
    net_write_many(both.a.conn, sizeof self.place);
    net_write(both.a.conn, "rest");
    NET_TEST_UNTIL(&both.test, both.b.bytes.len == 4);
    assert_int_equal(self.filled, sizeof self.place);
    assert_int_equal(self.place[sizeof self.place - 1], 'x');
    assert_true(net_record_has(&both.b, "rest"));
    roost_conn_set_ops(both.b.conn, &net_record_ops, &both.b);
    finish(&both);
  }
}

/* --------------------------------------------------------------------- the rest -------------- */

static void sockets_are_tuned_and_named(void **state) {
  net_test test;
  int other;
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  (void)state;
  net_test_init(&test);
  roost_conn *conn = adopt_half(&test, &other);
  assert_int_equal(getsockname(other, (struct sockaddr *)&address, &size), 0);
  assert_string_equal(roost_conn_remote(conn)->text, "127.0.0.1");
  assert_int_equal(roost_conn_remote(conn)->port, ntohs(address.sin_port));
  assert_string_equal(roost_conn_local(conn)->text, "127.0.0.1");
  assert_true(roost_conn_descriptor(conn) >= 0);
  close(other);
  net_test_deinit(&test);
}

static void out_of_memory_making_a_conn(void **state) {
  (void)state;
  for (size_t point = 0;; point++) {
    net_test test;
    int pair[2];
    roost_conn *a;
    roost_conn *b;
    net_test_init(&test);
    test.probe.refuse_after = point;
    const int memory = roost_conn_pair(&a, &b, test.loop);
    net_socket_pair(pair);
    test.probe.refuse_after = point;
    const int adopted = roost_conn_adopt(&a, test.loop, pair[0]);
    if (adopted != 0)
      close(pair[0]);
    close(pair[1]);
    net_test_deinit(&test);
    if (memory == 0 && adopted == 0) {
      assert_int_equal(point, 4);
      return;
    }
    assert_int_equal(memory, ROOST_ENOMEM);
    assert_int_equal(adopted, point < 2 ? ROOST_ENOMEM : 0);
  }
}

static void a_descriptor_that_cannot_be_watched_is_refused(void **state) {
  net_test test;
  roost_conn *conn;
  (void)state;
  net_test_init(&test);
  const int file = open("/dev/null", O_RDWR | O_CLOEXEC);
  assert_int_equal(roost_conn_adopt(&conn, test.loop, file), ROOST_ESYSTEM);
  assert_null(conn);
  close(file);
  net_test_deinit(&test);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes_go_both_ways),
      cmocka_unit_test(one_turn_makes_one_write),
      cmocka_unit_test(an_idle_conn_holds_no_buffer),
      cmocka_unit_test(small_writes_allocate_nothing_in_the_steady_state),
      cmocka_unit_test(a_slow_reader_gets_everything_in_order),
      cmocka_unit_test(a_paused_conn_is_not_read),
      cmocka_unit_test(close_is_told_later_and_once),
      cmocka_unit_test(after_the_peers_fin_writing_still_works),
      cmocka_unit_test(fin_waits_for_what_is_queued),
      cmocka_unit_test(without_on_eof_fin_is_answered),
      cmocka_unit_test(a_reset_is_told_whether_reading_or_not),
      cmocka_unit_test(urgent_data_does_not_keep_a_paused_conn_awake),
      cmocka_unit_test(a_memory_end_closed_with_unread_bytes_resets),
      cmocka_unit_test(the_owner_may_close_inside_any_callback),
      cmocka_unit_test(a_conn_nobody_owns_is_closed_with_the_loop),
      cmocka_unit_test(over_the_send_limit_the_conn_ends),
      cmocka_unit_test(on_writable_comes_below_a_quarter_after_over_half),
      cmocka_unit_test(on_writable_may_close),
      cmocka_unit_test(an_idle_conn_ends_but_not_a_used_or_busy_one),
      cmocka_unit_test(no_idle_timeout_is_the_default_and_can_be_set_back),
      cmocka_unit_test(bytes_go_into_the_room_that_is_offered),
      cmocka_unit_test(sockets_are_tuned_and_named),
      cmocka_unit_test(out_of_memory_making_a_conn),
      cmocka_unit_test(a_descriptor_that_cannot_be_watched_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
