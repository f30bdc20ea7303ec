#include "net_test.h"

#define PAIRS 4

/* Connections in memory: near is what is limited, far writes to it. */
typedef struct fixture {
  net_test test;
  net_record near[PAIRS];
  net_record far[PAIRS];
} fixture;

static void start(fixture *self, size_t limit) {
  net_test_init(&self->test);
  roost_loop_set_buffer_limit(self->test.loop, limit);
  for (size_t i = 0; i < PAIRS; i++) {
    roost_conn *a;
    roost_conn *b;
    assert_int_equal(roost_conn_pair(&a, &b, self->test.loop), 0);
    net_record_init(&self->near[i], a);
    net_record_init(&self->far[i], b);
  }
}

static void finish(fixture *self) {
  net_test_deinit(&self->test);
  for (size_t i = 0; i < PAIRS; i++) {
    net_record_deinit(&self->near[i]);
    net_record_deinit(&self->far[i]);
  }
}

static void hold(fixture *self, size_t number, size_t bytes) {
  roost_conn_account(self->near[number].conn, bytes);
}

/* Writes to all of them, in order; gives it time to arrive. */
static void write_to_all(fixture *self) {
  for (size_t i = 0; i < PAIRS; i++) {
    if (self->far[i].conn != NULL)
      net_write(self->far[i].conn, "x");
  }
  net_test_turns(&self->test, 5);
}

/* Who has read so far, as a number per connection: "1011". */
static void expect_reads(fixture *self, const char *expected) {
  char got[PAIRS + 1] = "";
  for (size_t i = 0; i < PAIRS; i++)
    got[i] = (char)('0' + self->near[i].bytes.len);
  assert_string_equal(got, expected);
}

static void below_the_limit_everybody_is_read(void **state) {
  fixture self;
  (void)state;
  start(&self, 1000000);
  hold(&self, 0, 500000);
  hold(&self, 1, 500000);
  assert_int_equal(roost_loop_buffer_bytes(self.test.loop), 1000000);
  write_to_all(&self);
  expect_reads(&self, "1111");
  finish(&self);
}

static void over_it_the_large_ones_but_one_are_not_read(void **state) {
  fixture self;
  (void)state;
  start(&self, 1000000);
  hold(&self, 0, 400000);
  hold(&self, 1, 400000);
  hold(&self, 2, 400000);
  hold(&self, 3, 60000); /* less than its share: an eighth of half of the limit */
  write_to_all(&self);
  expect_reads(&self, "1001");
  write_to_all(&self);
  expect_reads(&self, "2002");
  hold(&self, 0, 100000); /* 960,000 in all */
  net_test_turns(&self.test, 5);
  expect_reads(&self, "2222");
  finish(&self);
}

static void the_one_that_goes_on_changes_when_it_is_done(void **state) {
  fixture self;
  (void)state;
  start(&self, 1000000);
  for (size_t i = 0; i < PAIRS; i++)
    hold(&self, i, 500000 + i);
  write_to_all(&self);
  expect_reads(&self, "1000");
  hold(&self, 0, 0); /* 1,500,000 are left: the largest is next */
  net_test_turns(&self.test, 5);
  expect_reads(&self, "1001");
  roost_conn_pause(self.near[3].conn);
  net_test_turns(&self.test, 5);
  expect_reads(&self, "1011");
  roost_conn_close(self.near[2].conn);
  roost_conn_resume(self.near[3].conn);
  net_test_turns(&self.test, 5);
  expect_reads(&self, "1111");
  finish(&self);
}

static void a_large_one_that_leaves_makes_room(void **state) {
  fixture self;
  (void)state;
  start(&self, 1000000);
  for (size_t i = 0; i < PAIRS; i++)
    hold(&self, i, 400000);
  write_to_all(&self);
  expect_reads(&self, "1000");
  for (size_t i = 0; i < PAIRS; i++)
    roost_conn_shutdown(self.far[i].conn);
  net_test_turns(&self.test, 5);
  assert_int_equal(self.near[0].eofs, 1);
  /* Its end is seen, so another one goes on, and so forth: nobody waits for ever. */
  NET_TEST_UNTIL(&self.test, self.near[3].eofs == 1);
  expect_reads(&self, "1111");
  finish(&self);
}

static void what_a_closed_conn_held_is_counted_no_more(void **state) {
  fixture self;
  (void)state;
  start(&self, 1000000);
  hold(&self, 0, 900000);
  hold(&self, 1, 800000);
  write_to_all(&self);
  expect_reads(&self, "1011");
  roost_conn_close(self.near[0].conn);
  NET_TEST_UNTIL(&self.test, self.near[1].bytes.len == 1);
  assert_int_equal(roost_loop_buffer_bytes(self.test.loop), 800000);
  finish(&self);
}

static void taking_the_limit_away_lets_everybody_go_on(void **state) {
  fixture self;
  (void)state;
  start(&self, 1000000);
  hold(&self, 0, 900000);
  hold(&self, 1, 800000);
  write_to_all(&self);
  roost_loop_set_buffer_limit(self.test.loop, 0);
  net_test_turns(&self.test, 5);
  expect_reads(&self, "1111");
  finish(&self);
}

static void what_is_queued_counts(void **state) {
  fixture self;
  (void)state;
  start(&self, 1000000);
  roost_conn_pause(self.far[0].conn);
  net_write_many(self.near[0].conn, 2000000);
  net_test_turns(&self.test, 3);
  assert_in_range(roost_loop_buffer_bytes(self.test.loop), 2000000, 4000000);
  roost_conn_resume(self.far[0].conn);
  NET_TEST_UNTIL(&self.test, self.far[0].bytes.len == 2000000);
  net_test_turns(&self.test, 3);
  assert_int_equal(roost_loop_buffer_bytes(self.test.loop), 0);
  finish(&self);
}

/* What another loop holds counts, as it was in its last turn; it wakes us when it lets go. */
static void a_limit_may_be_shared(void **state) {
  fixture self;
  roost_loop *other;
  roost_conn *a;
  roost_conn *b;
  (void)state;
  start(&self, 1000000);
  assert_int_equal(roost_loop_new(&other, &self.test.probe.alloc, &self.test.clock), 0);
  roost_loop *const both[] = {self.test.loop, other};
  roost_loop_share_limit(self.test.loop, both, 2);
  roost_loop_share_limit(other, both, 2);
  roost_loop_set_buffer_limit(other, 1000000);
  assert_int_equal(roost_conn_pair(&a, &b, other), 0);
  roost_conn_account(a, 600000);
  hold(&self, 0, 300000);
  hold(&self, 1, 300000);
  assert_int_equal(roost_loop_poll(other, 0), 0);
  net_test_turn(&self.test);
  write_to_all(&self);
  expect_reads(&self, "1011"); /* 1,200,000 in all: only one that is large goes on */
  roost_conn_account(a, 0);
  assert_int_equal(roost_loop_poll(other, 0), 0);
  net_test_turns(&self.test, 5);
  expect_reads(&self, "1111");
  roost_loop_share_limit(self.test.loop, NULL, 0);
  roost_loop_share_limit(other, NULL, 0);
  roost_conn_close(a);
  roost_loop_free(other);
  finish(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(below_the_limit_everybody_is_read),
      cmocka_unit_test(over_it_the_large_ones_but_one_are_not_read),
      cmocka_unit_test(the_one_that_goes_on_changes_when_it_is_done),
      cmocka_unit_test(a_large_one_that_leaves_makes_room),
      cmocka_unit_test(what_a_closed_conn_held_is_counted_no_more),
      cmocka_unit_test(taking_the_limit_away_lets_everybody_go_on),
      cmocka_unit_test(what_is_queued_counts),
      cmocka_unit_test(a_limit_may_be_shared),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
