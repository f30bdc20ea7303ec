/*
 * Reloads of a host with several workers: all swap or none, and whoever is at fault is named.
 */
#include <sys/stat.h>

#include "workers_test.h"

static void a_reload_is_one_of_all_workers(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_connected(&self, fds);
  for (int i = 0; i < WORKERS; i++)
    for (int n = 0; n <= i; n++)
      expect_number(&self, fds[i], "n", "1", n + 1);
  expect_number(&self, fds[1], "next", "1", 1);
  put_each(&self, 2, "", "");
  assert_int_equal(roost_host_reload(self.host, NULL), 0);
  host_test_until_logged(&self, "msg=\"service reloaded\" service=each worker=0 gen=2 from=1");
  host_test_until_logged(&self, "msg=\"service reloaded\" service=one worker=0 gen=2 from=1");
  for (int i = 0; i < WORKERS; i++) {
    expect_number(&self, fds[i], "version", "1", 2);
    expect_number(&self, fds[i], "n", "1", i + 2); /* each has its own handed over */
    expect_number(&self, fds[i], "next", "1", i + 2);
  }
  finish(&self, fds, WORKERS);
}

static void expect_refused(host_test *self, const char *adopt, const char *begin, const char *why) {
  int fds[WORKERS];
  connect_all(self, fds, WORKERS);
  put_each(self, 2, adopt, begin);
  assert_int_equal(roost_host_reload(self->host, "each"), 0);
  host_test_until_logged(self, why);
  for (int i = 0; i < WORKERS; i++)
    expect_number(self, fds[i], "version", "1", 1);
  close_all(fds, WORKERS);
}

static void one_that_cannot_start_refuses_all(void **state) {
  (void)state;
  host_test self;
  start(&self, WORKERS);
  expect_refused(&self, "", "if starts == 2 * 3 then error('not me') end", "not me");
  host_test_deinit(&self);
}

static void one_that_does_not_adopt_refuses_all(void **state) {
  (void)state;
  host_test self;
  start(&self, WORKERS);
  expect_refused(&self, "if roost.store:incr('adopts', 1) == 2 then error('not mine') end", "",
                 "not mine");
  host_test_deinit(&self);
}

/* The leader's next state waits in on_start until a worker whose own has started is held up for
 * longer than the others wait. */
static void one_that_is_busy_refuses_all(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  prepare(&self, WORKERS);
  host_test_put(&self, "one.lua",
                "local roost = require 'roost' local service = roost.service()"
                "service:message('busy', function() roost.store:set('busy', 1) "
                "os.execute('sleep 0.5') return 1 end) return service");
  host_test_load(&self);
  host_test_until_logged(&self, "msg=\"ready\"");
  connect_all(&self, fds, WORKERS);
  put_each(&self, 2, "",
           "if starts == 4 then while not roost.store:get('busy') do roost.sleep(1) end "
           "elseif starts > 4 then print('start ' .. starts) end");
  assert_int_equal(roost_host_reload(self.host, "each"), 0);
  host_test_until_logged(&self, "msg=\"start 5\"");
  host_test_until_logged(&self, "msg=\"start 6\"");
  host_test_send(fds[1], "busy", "1", "1");
  host_test_until_logged(&self, "worker 1 was not free within 100 ms");
  host_test_expect(&self, fds[1], "{\"response\":1,\"isDisposed\":true,\"id\":\"1\"}");
  finish(&self, fds, WORKERS);
}

/* A pipe: who reads it is blocked until the test has seen enough. */
static void make_pipe(const host_test *self) {
  char path[sizeof self->folder + 8];
  snprintf(path, sizeof path, "%s/pipe", self->folder);
  assert_int_equal(mkfifo(path, 0600), 0);
}

/* A service with a message that blocks its worker, and another one; little time for loading. */
static void start_with_pipe(host_test *self, int fds[WORKERS]) {
  char text[512];
  prepare(self, WORKERS);
  make_pipe(self);
  host_test_put(self, "host.lua",
                "return { services = { 'each.lua', 'one.lua' }, workers = 3, servers = { { host = "
                "'127.0.0.1', port = 0 } }, reload = { start_timeout = 200 } }");
  snprintf(text, sizeof text,
           "local roost = require 'roost' local service = roost.service()"
           "service:message('block', function() roost.store:set('blocked', 1) "
           "return io.open('%s/pipe'):read('n') end) return service",
           self->folder);
  host_test_put(self, "one.lua", text);
  host_test_load(self);
  host_test_until_logged(self, "msg=\"ready\"");
  connect_all(self, fds, WORKERS);
}

static void let_go_on(const host_test *self) {
  host_test_put(self, "pipe", "7\n");
}

/* What that took from one worker is given back: it takes part in the next reload. */
static void expect_next_reload(host_test *self, const int fds[WORKERS]) {
  put_each(self, 3, "", "");
  assert_int_equal(roost_host_reload(self->host, "each"), 0);
  host_test_until_logged(self, "msg=\"service reloaded\" service=each worker=0 gen=2 from=1");
  for (int i = 0; i < WORKERS; i++)
    expect_number(self, fds[i], "version", "1", 3);
}

static void expect_given_up(host_test *self, const int fds[WORKERS]) {
  host_test_until_logged(self, "msg=\"reload refused, the old generation goes on\" service=each "
                               "worker=0 gen=2 err=\"worker 1 is stuck: it has done nothing for "
                               "200 ms\"");
  expect_number(self, fds[0], "version", "1", 1);
  expect_number(self, fds[2], "version", "1", 1);
}

static void one_that_is_stuck_is_not_waited_for(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_with_pipe(&self, fds);
  host_test_send(fds[1], "block", "1", "1");
  put_each(&self, 2, "", "");
  assert_int_equal(roost_host_reload(self.host, "each"), 0);
  expect_given_up(&self, fds);
  /* From now on that is known before anything is begun. */
  assert_int_equal(roost_host_reload(self.host, "one"), 0);
  host_test_until_logged(&self, "service=one worker=0 gen=2 err=\"worker 1 is stuck");
  let_go_on(&self);
  host_test_expect(&self, fds[1], "{\"response\":7,\"isDisposed\":true,\"id\":\"1\"}");
  expect_number(&self, fds[1], "version", "1", 1);
  expect_next_reload(&self, fds);
  finish(&self, fds, WORKERS);
}

/* Its next state is there already, and waits in on_start. */
static void one_may_get_stuck_on_the_way(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_with_pipe(&self, fds);
  put_each(&self, 2, "",
           "if starts > 3 then print('start ' .. starts) "
           "while not roost.store:get('blocked') do roost.sleep(1) end end");
  assert_int_equal(roost_host_reload(self.host, "each"), 0);
  host_test_until_logged(&self, "msg=\"start 6\"");
  host_test_send(fds[1], "block", "1", "1");
  expect_given_up(&self, fds);
  let_go_on(&self);
  host_test_expect(&self, fds[1], "{\"response\":7,\"isDisposed\":true,\"id\":\"1\"}");
  expect_next_reload(&self, fds);
  finish(&self, fds, WORKERS);
}

/* Only the second worker's state was asked for n. */
static void start_with_handoff(host_test *self, int fds[WORKERS], const char *handoff) {
  char text[1024];
  prepare(self, WORKERS);
  make_pipe(self);
  host_test_put(self, "host.lua",
                "return { services = { 'each.lua' }, workers = 3, service_options = { each = { cpu "
                "= 50 } }, servers = { { host = '127.0.0.1', port = 0 } } }");
  snprintf(text, sizeof text,
           "local roost = require 'roost' local service = roost.service() local n = 0 "
           "local pipe = '%s/pipe' service:message('n', function() n = n + 1 return n end)\n"
           "service:message('version', function() return 1 end)\n"
           "service:on_handoff(function() if n == 1 then %s end return n end)\n"
           "return service\n",
           self->folder, handoff);
  host_test_put(self, "each.lua", text);
  host_test_load(self);
  host_test_until_logged(self, "msg=\"ready\"");
  connect_all(self, fds, WORKERS);
  expect_number(self, fds[1], "n", "1", 1);
  put_each(self, 3, "", "");
  assert_int_equal(roost_host_reload(self->host, "each"), 0);
}

static void the_one_that_refuses_is_named(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_with_handoff(&self, fds, "error('not now')");
  host_test_until_logged(
      &self, "service=each worker=0 gen=2 err=\"worker 1: the running code's on_handoff: ");
  for (int i = 0; i < WORKERS; i++)
    expect_number(&self, fds[i], "version", "1", 1);
  finish(&self, fds, WORKERS);
}

/* The next try, which comes by itself, goes well. */
static void the_one_whose_handoff_is_stuck_is_named(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_with_handoff(&self, fds, "if roost.store:add('once', 1) then io.open(pipe):read('n') end");
  host_test_until_logged(&self, "service=each worker=0 gen=2 err=\"not reloaded: worker 1 has not "
                                "said whether it can within 300 ms\"");
  expect_number(&self, fds[0], "version", "1", 1);
  let_go_on(&self);
  host_test_until_logged(&self, "msg=\"service reloaded\" service=each worker=0 gen=2 from=1");
  for (int i = 0; i < WORKERS; i++)
    expect_number(&self, fds[i], "version", "1", 3);
  finish(&self, fds, WORKERS);
}

static void a_service_becomes_a_singleton_and_back(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_connected(&self, fds);
  host_test_put(&self, "each.lua",
                "local roost = require 'roost' local service = roost.service{ instances = 1 } "
                "local n = 0 service:message('n', function() n = n + 1 return n end) "
                "service:message('version', function() return 2 end) return service");
  assert_int_equal(roost_host_reload(self.host, "each"), 0);
  host_test_until_logged(&self, "service=each worker=0 gen=2 from=1");
  for (int i = 0; i < WORKERS; i++)
    expect_number(&self, fds[i], "n", "1", i + 1);
  put_each(&self, 3, "", "");
  assert_int_equal(roost_host_reload(self.host, "each"), 0);
  host_test_until_logged(&self, "service=each worker=0 gen=3 from=2");
  for (int i = 0; i < WORKERS; i++) {
    expect_number(&self, fds[i], "version", "1", 3);
    expect_number(&self, fds[i], "n", "1", 1);
  }
  finish(&self, fds, WORKERS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_reload_is_one_of_all_workers),
      cmocka_unit_test(one_that_cannot_start_refuses_all),
      cmocka_unit_test(one_that_does_not_adopt_refuses_all),
      cmocka_unit_test(one_that_is_busy_refuses_all),
      cmocka_unit_test(one_that_is_stuck_is_not_waited_for),
      cmocka_unit_test(one_may_get_stuck_on_the_way),
      cmocka_unit_test(the_one_that_refuses_is_named),
      cmocka_unit_test(the_one_whose_handoff_is_stuck_is_named),
      cmocka_unit_test(a_service_becomes_a_singleton_and_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
