#include "net_test.h"

#include "net/poll.h"

typedef struct watched {
  roost_poll *poll;
  int ends[2]; /* of a pipe; the first is watched */
  unsigned calls;
  bool takes;  /* reads a byte each time */
  bool closes; /* its own poll, when called */
} watched;

static void on_ready(void *ud) {
  watched *self = ud;
  char byte;
  self->calls++;
  if (self->takes)
    assert_int_equal(read(self->ends[0], &byte, 1), 1);
  if (!self->closes)
    return;
  roost_poll_close(self->poll);
  self->poll = NULL;
}

static void watched_init(watched *self, net_test *test) {
  memset(self, 0, sizeof *self);
  net_test_init(test);
  assert_int_equal(pipe(self->ends), 0);
  assert_int_equal(roost_poll_open(&self->poll, test->loop, self->ends[0], on_ready, self), 0);
}

static void watched_deinit(const watched *self, net_test *test) {
  net_test_deinit(test);
  close(self->ends[0]);
  close(self->ends[1]);
}

static void it_tells_in_every_turn_until_all_is_read(void **state) {
  (void)state;
  net_test test;
  watched self;
  watched_init(&self, &test);
  net_test_turns(&test, 2);
  assert_int_equal(self.calls, 0);
  assert_int_equal(write(self.ends[1], "ab", 2), 2);
  NET_TEST_UNTIL(&test, self.calls >= 3);
  self.takes = true;
  self.calls = 0;
  NET_TEST_UNTIL(&test, self.calls == 2);
  net_test_turns(&test, 3);
  assert_int_equal(self.calls, 2);
  roost_poll_close(self.poll);
  watched_deinit(&self, &test);
}

static void it_may_be_closed_by_its_own_call(void **state) {
  (void)state;
  net_test test;
  watched self;
  watched_init(&self, &test);
  self.closes = true;
  assert_int_equal(write(self.ends[1], "a", 1), 1);
  NET_TEST_UNTIL(&test, self.calls == 1);
  net_test_turns(&test, 3);
  assert_int_equal(self.calls, 1);
  assert_int_equal(fcntl(self.ends[0], F_GETFD) >= 0, 1); /* its owner's still */
  roost_poll_close(NULL);
  watched_deinit(&self, &test);
}

static void the_loop_closes_what_is_left(void **state) {
  (void)state;
  net_test test;
  watched self;
  watched_init(&self, &test);
  assert_int_equal(write(self.ends[1], "a", 1), 1);
  watched_deinit(&self, &test);
}

static void what_cannot_be_watched_is_refused(void **state) {
  (void)state;
  net_test test;
  watched self;
  roost_poll *other;
  watched_init(&self, &test);
  assert_int_equal(roost_poll_open(&other, test.loop, self.ends[0], on_ready, &self),
                   ROOST_ESYSTEM);
  assert_null(other);
  assert_int_equal(roost_poll_open(&other, test.loop, -1, on_ready, &self), ROOST_ESYSTEM);
  test.probe.refuse_after = 0;
  assert_int_equal(roost_poll_open(&other, test.loop, self.ends[1], on_ready, &self), ROOST_ENOMEM);
  watched_deinit(&self, &test);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_tells_in_every_turn_until_all_is_read),
      cmocka_unit_test(it_may_be_closed_by_its_own_call),
      cmocka_unit_test(the_loop_closes_what_is_left),
      cmocka_unit_test(what_cannot_be_watched_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
