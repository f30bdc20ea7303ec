#include "net_test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* A hook, timer or post that leaves a letter in the trace. */
typedef struct step {
  roost_loop_hook hook;
  roost_timer timer;
  net_test *test;
  char letter;
  unsigned runs;
  unsigned again; /* defers itself this often */
} step;

static char trace[256];

static void leave(char letter) {
  const size_t len = strlen(trace);
  assert_true(len + 1 < sizeof trace);
  trace[len] = letter;
  trace[len + 1] = '\0';
}

static void on_step(void *ud) {
  step *self = ud;
  self->runs++;
  leave(self->letter);
  if (self->again == 0)
    return;
  self->again--;
  roost_loop_defer(self->test->loop, &self->hook);
}

static void on_step_timer(roost_timer *timer) {
  on_step(ROOST_LIST_ENTRY(timer, step, timer));
}

static step step_of(net_test *test, char letter) {
  step self = {.test = test, .letter = letter};
  self.hook.fn = on_step;
  return self;
}

static void start(net_test *test) {
  net_test_init(test);
  trace[0] = '\0';
}

static void deferred_hooks_run_once_in_the_next_turn_in_order(void **state) {
  net_test test;
  (void)state;
  start(&test);
  step a = step_of(&test, 'a');
  step b = step_of(&test, 'b');
  a.hook.ud = &a;
  b.hook.ud = &b;
  roost_loop_defer(test.loop, &b.hook);
  roost_loop_defer(test.loop, &a.hook);
  roost_loop_defer(test.loop, &b.hook);
  assert_string_equal(trace, "");
  net_test_turns(&test, 3);
  assert_string_equal(trace, "ba");
  net_test_deinit(&test);
}

static void a_hook_that_defers_itself_runs_once_a_turn(void **state) {
  net_test test;
  (void)state;
  start(&test);
  step a = step_of(&test, 'a');
  a.hook.ud = &a;
  a.again = 2;
  roost_loop_defer(test.loop, &a.hook);
  net_test_turn(&test);
  assert_int_equal(a.runs, 1);
  assert_int_equal(roost_loop_timeout(test.loop), 0);
  net_test_turn(&test);
  assert_int_equal(a.runs, 2);
  net_test_turns(&test, 3);
  assert_int_equal(a.runs, 3);
  assert_int_equal(roost_loop_timeout(test.loop), -1);
  net_test_deinit(&test);
}

static void a_deferred_hook_keeps_the_loop_from_sleeping(void **state) {
  net_test test;
  (void)state;
  start(&test);
  step a = step_of(&test, 'a');
  a.hook.ud = &a;
  roost_loop_defer(test.loop, &a.hook);
  alarm(NET_TEST_GUARD_S); /* sleeping would be the end of the test */
  assert_int_equal(roost_loop_poll(test.loop, 3600 * 1000), 0);
  alarm(0);
  assert_int_equal(a.runs, 1);
  net_test_deinit(&test);
}

static void a_hook_taken_out_does_not_run(void **state) {
  net_test test;
  (void)state;
  start(&test);
  step a = step_of(&test, 'a');
  a.hook.ud = &a;
  roost_loop_remove_hook(&a.hook); /* in none */
  roost_loop_defer(test.loop, &a.hook);
  roost_loop_remove_hook(&a.hook);
  net_test_turns(&test, 2);
  assert_int_equal(a.runs, 0);
  roost_loop_add_flush(test.loop, &a.hook);
  net_test_turn(&test);
  const unsigned runs = a.runs;
  assert_true(runs > 0);
  roost_loop_remove_hook(&a.hook);
  net_test_turn(&test);
  assert_int_equal(a.runs, runs);
  net_test_deinit(&test);
}

static void flush_hooks_run_in_order_after_everything_else_of_the_turn(void **state) {
  net_test test;
  (void)state;
  start(&test);
  step flush = step_of(&test, 'f');
  step second = step_of(&test, 'g');
  step later = step_of(&test, 'd');
  flush.hook.ud = &flush;
  second.hook.ud = &second;
  later.hook.ud = &later;
  roost_loop_add_flush(test.loop, &flush.hook);
  roost_loop_add_flush(test.loop, &second.hook);
  roost_loop_defer(test.loop, &later.hook);
  net_test_turn(&test);
  assert_memory_equal(trace, "dfg", 3);
  roost_loop_remove_hook(&flush.hook);
  roost_loop_remove_hook(&second.hook);
  net_test_deinit(&test);
}

static void timers_follow_the_fake_clock(void **state) {
  net_test test;
  (void)state;
  start(&test);
  step a = step_of(&test, 'a');
  step b = step_of(&test, 'b');
  roost_timer_init(&a.timer, on_step_timer);
  roost_timer_init(&b.timer, on_step_timer);
  roost_timer_start(roost_loop_wheel(test.loop), &a.timer, 100);
  roost_timer_start(roost_loop_wheel(test.loop), &b.timer, 20);
  net_test_turns(&test, 2);
  assert_int_equal(roost_loop_timeout(test.loop), -1); /* only its owner moves it */
  net_test_advance(&test, 19);
  assert_string_equal(trace, "");
  roost_clock_advance_ms(&test.clock, 1);
  assert_int_equal(roost_loop_timeout(test.loop), 0);
  net_test_turn(&test);
  assert_string_equal(trace, "b");
  assert_int_equal(roost_loop_now_ms(test.loop), 5020);
  net_test_advance(&test, 1000);
  assert_string_equal(trace, "ba");
  net_test_deinit(&test);
}

static void timers_follow_the_real_clock(void **state) {
  net_test test;
  (void)state;
  start(&test);
  test.clock.fake = false;
  step a = step_of(&test, 'a');
  step b = step_of(&test, 'b');
  roost_timer_init(&a.timer, on_step_timer);
  roost_timer_init(&b.timer, on_step_timer);
  net_test_turn(&test);
  const uint64_t start_us = roost_clock_now_us(&test.clock);
  roost_timer_start(roost_loop_wheel(test.loop), &a.timer, 3600 * 1000);
  assert_in_range(roost_loop_timeout(test.loop), 3590 * 1000, 3600 * 1000);
  net_test_turn(&test); /* the loop knows of the hour when the sooner one comes */
  roost_timer_start(roost_loop_wheel(test.loop), &b.timer, 30);
  assert_in_range(roost_loop_timeout(test.loop), 0, 30);
  alarm(NET_TEST_GUARD_S); /* sleeping for the hour would be the end of the test */
  while (b.runs == 0)
    assert_int_equal(roost_loop_poll(test.loop, 3600 * 1000), 0);
  alarm(0);
  assert_true(roost_clock_now_us(&test.clock) - start_us >= 29000);
  assert_int_equal(a.runs, 0);
  roost_timer_stop(roost_loop_wheel(test.loop), &a.timer);
  net_test_deinit(&test);
}

/* --------------------------------------------------------------------- posts ----------------- */

typedef struct counter {
  pthread_mutex_t lock;
  net_test *test;
  unsigned next;     /* expected of the thread */
  unsigned in_order; /* posts that came as expected */
} counter;

typedef struct numbered {
  counter *counter;
  unsigned number;
} numbered;

#define POSTS 2000

static numbered posts[POSTS];

static void on_post(void *ud) {
  const numbered *self = ud;
  if (self->number == self->counter->next)
    self->counter->in_order++;
  self->counter->next++;
}

static void *post_all(void *ud) {
  counter *self = ud;
  for (unsigned i = 0; i < POSTS; i++) {
    posts[i] = (numbered){self, i};
    if (roost_loop_post(self->test->loop, on_post, &posts[i]) != 0)
      return self;
  }
  return NULL;
}

static void *stop_loop(void *ud) {
  roost_loop_stop(ud);
  return NULL;
}

static void stop_from_post(void *ud) {
  (void)stop_loop(ud);
}

static void posts_of_another_thread_run_in_order(void **state) {
  roost_clock clock = {.fake = true};
  net_test test = {.clock = clock};
  pthread_t thread;
  void *failed;
  (void)state;
  /* the probe is for one thread */
  assert_int_equal(roost_loop_new(&test.loop, roost_alloc_default(), &test.clock), 0);
  counter self = {.test = &test};
  assert_int_equal(pthread_create(&thread, NULL, post_all, &self), 0);
  NET_TEST_UNTIL(&test, self.next == POSTS);
  pthread_join(thread, &failed);
  assert_null(failed);
  assert_int_equal(self.in_order, POSTS);
  roost_loop_free(test.loop);
}

static void a_post_wakes_run_and_stop_ends_it(void **state) {
  net_test test;
  (void)state;
  start(&test);
  assert_int_equal(roost_loop_post(test.loop, stop_from_post, test.loop), 0);
  assert_int_equal(roost_loop_run(test.loop), 0);
  roost_loop_stop(test.loop); /* before run */
  assert_int_equal(roost_loop_run(test.loop), 0);
  net_test_deinit(&test);
}

static void posts_left_when_the_loop_is_freed_do_not_run(void **state) {
  net_test test;
  (void)state;
  start(&test);
  counter self = {.test = &test};
  posts[0] = (numbered){&self, 0};
  assert_int_equal(roost_loop_post(test.loop, on_post, &posts[0]), 0);
  net_test_deinit(&test);
  assert_int_equal(self.next, 0);
}

typedef struct repeated {
  net_test *test;
  roost_loop_job job;
  unsigned runs;
} repeated;

static void on_repeated(void *ud) {
  repeated *self = ud;
  if (++self->runs < 3)
    roost_loop_post_job(self->test->loop, &self->job);
}

static void a_job_needs_no_memory_and_may_be_posted_again(void **state) {
  net_test test;
  (void)state;
  start(&test);
  repeated self = {.test = &test, .job = {.fn = on_repeated}};
  self.job.ud = &self;
  test.probe.refuse_after = 0;
  roost_loop_post_job(test.loop, &self.job);
  NET_TEST_UNTIL(&test, self.runs == 3);
  self.runs = 0;
  roost_loop_post_job(test.loop, &self.job);
  net_test_deinit(&test); /* which drops it */
  assert_int_equal(self.runs, 0);
}

static void *wake_loop(void *ud) {
  roost_loop_wake(ud);
  return NULL;
}

static void a_loop_that_sleeps_is_woken(void **state) {
  net_test test;
  pthread_t thread;
  (void)state;
  start(&test);
  test.clock.fake = false;
  step a = step_of(&test, 'a');
  a.hook.ud = &a;
  roost_loop_add_flush(test.loop, &a.hook);
  alarm(NET_TEST_GUARD_S); /* sleeping on would be the end of the test */
  assert_int_equal(pthread_create(&thread, NULL, wake_loop, test.loop), 0);
  assert_int_equal(roost_loop_poll(test.loop, 3600 * 1000), 0);
  pthread_join(thread, NULL);
  alarm(0);
  assert_true(a.runs > 0);
  roost_loop_remove_hook(&a.hook);
  net_test_deinit(&test);
}

static void a_turn_has_one_time(void **state) {
  net_test test;
  (void)state;
  start(&test);
  const uint64_t *now_us = roost_loop_now_us(test.loop);
  assert_int_equal(*now_us, 5000000);
  roost_clock_advance_ms(&test.clock, 7);
  assert_int_equal(*now_us, 5000000);
  net_test_turn(&test);
  assert_int_equal(*now_us, 5007000);
  net_test_deinit(&test);
}

static void the_descriptor_tells_of_posts(void **state) {
  net_test test;
  (void)state;
  start(&test);
  counter self = {.test = &test};
  posts[0] = (numbered){&self, 0};
  struct pollfd ready = {.fd = roost_loop_fd(test.loop), .events = POLLIN};
  net_test_turn(&test);
  assert_int_equal(poll(&ready, 1, 0), 0);
  assert_int_equal(roost_loop_post(test.loop, on_post, &posts[0]), 0);
  assert_int_equal(poll(&ready, 1, NET_TEST_GUARD_S * 1000), 1);
  net_test_turn(&test);
  assert_int_equal(self.next, 1);
  net_test_deinit(&test);
}

/* --------------------------------------------------------------------- the rest -------------- */

static int nested_status;

static void poll_inside(void *ud) {
  nested_status = roost_loop_poll(ud, 0);
}

static void run_and_poll_do_not_nest(void **state) {
  net_test test;
  (void)state;
  start(&test);
  assert_int_equal(roost_loop_post(test.loop, poll_inside, test.loop), 0);
  net_test_turns(&test, 2);
  assert_int_equal(nested_status, ROOST_ESTATE);
  net_test_deinit(&test);
}

static void raise_pipe_signal(void *ud) {
  (void)ud;
  assert_int_equal(raise(SIGPIPE), 0);
}

static void a_pipe_signal_raised_inside_poll_is_consumed(void **state) {
  net_test test;
  sigset_t pending;
  sigset_t mask;
  (void)state;
  start(&test);
  assert_int_equal(roost_loop_post(test.loop, raise_pipe_signal, NULL), 0);
  net_test_turns(&test, 2); /* its default action ends the process */
  assert_int_equal(sigpending(&pending), 0);
  assert_int_equal(sigismember(&pending, SIGPIPE), 0);
  assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
  assert_int_equal(sigismember(&mask, SIGPIPE), 0);
  net_test_deinit(&test);
}

static void out_of_memory_leaves_nothing_behind(void **state) {
  (void)state;
  for (size_t point = 0;; point++) {
    roost_alloc_probe probe;
    roost_clock clock = {.fake = true};
    roost_loop *loop;
    roost_alloc_probe_init(&probe);
    probe.refuse_after = point;
    int status = roost_loop_new(&loop, &probe.alloc, &clock);
    if (status == 0)
      status = roost_loop_post(loop, on_post, NULL);
    if (status == 0) {
      roost_loop_free(loop);
      assert_int_equal(probe.bytes, 0);
      assert_int_equal(point, 3);
      return;
    }
    assert_int_equal(status, ROOST_ENOMEM);
    roost_loop_free(loop);
    assert_int_equal(probe.bytes, 0);
  }
}

static void ignore_closed(void *ud, int status, const char *why) {
  (void)ud;
  (void)status;
  (void)why;
}

static void ignore_bytes(void *ud, roost_slice bytes) {
  (void)ud;
  (void)bytes;
}

static void listens_while_a_descriptor_is_watched(void **state) {
  static const roost_conn_ops ops = {.on_bytes = ignore_bytes, .on_closed = ignore_closed};
  net_test test;
  int sockets[2];
  roost_conn *conn;
  (void)state;
  start(&test);
  assert_false(roost_loop_listens(test.loop));
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  assert_int_equal(roost_conn_adopt(&conn, test.loop, sockets[0]), 0);
  roost_conn_set_ops(conn, &ops, NULL);
  assert_true(roost_loop_listens(test.loop));
  roost_conn_close(conn);
  roost_loop_poll(test.loop, 0);
  assert_false(roost_loop_listens(test.loop));
  close(sockets[1]);
  net_test_deinit(&test);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(deferred_hooks_run_once_in_the_next_turn_in_order),
      cmocka_unit_test(a_hook_that_defers_itself_runs_once_a_turn),
      cmocka_unit_test(a_deferred_hook_keeps_the_loop_from_sleeping),
      cmocka_unit_test(a_hook_taken_out_does_not_run),
      cmocka_unit_test(flush_hooks_run_in_order_after_everything_else_of_the_turn),
      cmocka_unit_test(timers_follow_the_fake_clock),
      cmocka_unit_test(timers_follow_the_real_clock),
      cmocka_unit_test(posts_of_another_thread_run_in_order),
      cmocka_unit_test(a_post_wakes_run_and_stop_ends_it),
      cmocka_unit_test(posts_left_when_the_loop_is_freed_do_not_run),
      cmocka_unit_test(a_job_needs_no_memory_and_may_be_posted_again),
      cmocka_unit_test(a_loop_that_sleeps_is_woken),
      cmocka_unit_test(a_turn_has_one_time),
      cmocka_unit_test(the_descriptor_tells_of_posts),
      cmocka_unit_test(run_and_poll_do_not_nest),
      cmocka_unit_test(a_pipe_signal_raised_inside_poll_is_consumed),
      cmocka_unit_test(out_of_memory_leaves_nothing_behind),
      cmocka_unit_test(listens_while_a_descriptor_is_watched),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
