#include "net/net_test.h"

/* A conn whose owner reads a large frame into its place: that is told of in large parts. */

#define FRAME_BYTES 100000

typedef struct framed {
  net_test test;
  net_record record; /* of what is not the frame's, and of the end */
  int other;         /* the peer's descriptor */
  char place[FRAME_BYTES];
  size_t filled;
} framed;

static size_t offer_room(void *ud, char **place) {
  framed *self = ud;
  *place = self->place + self->filled;
  return sizeof self->place - self->filled;
}

static void take_filled(void *ud, size_t n) {
  ((framed *)ud)->filled += n;
}

static void take_plain(void *ud, roost_slice bytes) {
  net_record_bytes(&((framed *)ud)->record, bytes);
}

static void take_eof(void *ud) {
  net_record_eof(&((framed *)ud)->record);
}

static void take_end(void *ud, int status, const char *why) {
  net_record_closed(&((framed *)ud)->record, status, why);
}

static const roost_conn_ops ops = {.on_bytes = take_plain,
                                   .room = offer_room,
                                   .on_filled = take_filled,
                                   .on_eof = take_eof,
                                   .on_closed = take_end};

static void start(framed *self) {
  int pair[2];
  net_test_init(&self->test);
  net_socket_pair(pair);
  self->other = pair[0];
  self->filled = 0;
  net_record_init(&self->record, NULL);
  assert_int_equal(roost_conn_adopt(&self->record.conn, self->test.loop, pair[1]), 0);
  roost_conn_set_ops(self->record.conn, &ops, self);
}

static void finish(framed *self) {
  close(self->other);
  if (self->record.conn != NULL)
    roost_conn_close(self->record.conn);
  NET_TEST_UNTIL(&self->test, self->record.closes == 1);
  net_record_deinit(&self->record);
  net_test_deinit(&self->test);
}

static void put(const framed *self, size_t bytes) {
  static const char zeros[FRAME_BYTES];
  assert_int_equal(send(self->other, zeros, bytes, 0), (ssize_t)bytes);
}

/* The first piece is read as it comes; from then on more is waited for. */
static void put_first(framed *self) {
  put(self, 1000);
  NET_TEST_UNTIL(&self->test, self->filled == 1000);
}

/* So many thousands, which are read together where they are. */
static void put_many(framed *self, size_t count) {
  while (count-- > 0) {
    put(self, 1000);
    net_test_turn(&self->test);
  }
}

static void small_pieces_are_read_together(void **state) {
  static framed self;
  (void)state;
  start(&self);
  put_first(&self);
  put_many(&self, 64);
  net_test_turns(&self.test, 5);
  assert_int_equal(self.filled, 1000);
  put_many(&self, 2);
  NET_TEST_UNTIL(&self.test, self.filled == 67000);
  finish(&self);
}

static void the_end_of_a_frame_and_what_follows_are_read_as_they_come(void **state) {
  static framed self;
  (void)state;
  start(&self);
  put_first(&self);
  put_many(&self, 66); /* less is missing then than is waited for */
  NET_TEST_UNTIL(&self.test, self.filled == 67000);
  put(&self, 10);
  NET_TEST_UNTIL(&self.test, self.filled == 67010);
  put(&self, FRAME_BYTES - 67010);
  NET_TEST_UNTIL(&self.test, self.filled == FRAME_BYTES);
  put(&self, 1);
  NET_TEST_UNTIL(&self.test, self.record.bytes.len == 1);
  finish(&self);
}

static void what_waits_is_read_on_demand(void **state) {
  static framed self;
  (void)state;
  start(&self);
  put_first(&self);
  put(&self, 500);
  NET_TEST_UNTIL(&self.test, roost_conn_read_now(self.record.conn));
  assert_int_equal(self.filled, 1500);
  assert_false(roost_conn_read_now(self.record.conn));
  finish(&self);
}

static void the_peers_end_is_not_waited_for(void **state) {
  static framed self;
  (void)state;
  start(&self);
  put_first(&self);
  put(&self, 500);
  shutdown(self.other, SHUT_WR);
  NET_TEST_UNTIL(&self.test, self.record.eofs == 1);
  assert_int_equal(self.filled, 1500);
  finish(&self);
}

static void a_peer_who_sends_slowly_is_not_idle(void **state) {
  static framed self;
  (void)state;
  start(&self);
  roost_conn_set_idle_timeout(self.record.conn, 100);
  put_first(&self);
  for (size_t i = 1; i <= 5; i++) {
    put(&self, 10);
    net_test_advance(&self.test, 100);
    NET_TEST_UNTIL(&self.test, self.filled == 1000 + i * 10);
  }
  assert_int_equal(self.record.closes, 0);
  net_test_advance(&self.test, 100);
  NET_TEST_UNTIL(&self.test, self.record.closes == 1);
  assert_int_equal(self.record.status, ROOST_ETIMEDOUT);
  finish(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_pieces_are_read_together),
      cmocka_unit_test(the_end_of_a_frame_and_what_follows_are_read_as_they_come),
      cmocka_unit_test(what_waits_is_read_on_demand),
      cmocka_unit_test(the_peers_end_is_not_waited_for),
      cmocka_unit_test(a_peer_who_sends_slowly_is_not_idle),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
