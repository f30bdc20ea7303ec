/*
 * A host with several workers: what they share, what each has of its own, and what becomes of all
 * of it when services are reloaded, when the host drains, and when memory is short.
 */
#include <stdatomic.h>

#include "host_test.h"
#include "workers.h"

#define WORKERS 3

/* Each state counts what comes to it, and gives the count to the next. */
static const char each_text[] =
    "local roost = require 'roost' local service = roost.service() local n = 0\n"
    "service:message('n', function() n = n + 1 return n end)\n"
    "service:message('version', function() return %d end)\n"
    "service:message('incr', function() return roost.store:incr('total', 1) end)\n"
    "service:on_handoff(function() return n end)\n"
    "service:on_adopt(function(v) n = v %s end)\n"
    "service:on_start(function() local starts = roost.store:incr('starts', 1) %s end)\n"
    "return service\n";

static const char one_text[] =
    "local roost = require 'roost' local service = roost.service{ instances = 1 } local n = 0\n"
    "service:message('next', function() n = n + 1 return n end)\n"
    "service:message('late', function(d) roost.sleep(d) return d end)\n"
    "service:message('many', function(d, ctx) for i = 1, d do ctx:emit(i) end end)\n"
    "service:message('raise', function() error('boom') end)\n"
    "service:message('for ever', function(d, ctx)\n"
    "  while ctx:emit(1) do roost.sleep(1) end roost.store:set('left', 1) end)\n"
    "service:message('left', function() return roost.store:get('left') or 0 end)\n"
    "service:event('add', function(d) n = n + d end)\n"
    "service:on_handoff(function() return n end) service:on_adopt(function(v) n = v end)\n"
    "return service\n";

static void put_each(const host_test *self, int version, const char *adopt, const char *start) {
  char text[1024];
  snprintf(text, sizeof text, each_text, version, adopt, start);
  host_test_put(self, "each.lua", text);
}

static void put_config(const host_test *self, int workers) {
  char text[256];
  snprintf(text, sizeof text,
           "return { services = { 'each.lua', 'one.lua' }, workers = %d, servers = { { host = "
           "'127.0.0.1', port = 0 } }, reload = { drain_timeout = 5000 } }",
           workers);
  host_test_put(self, "host.lua", text);
}

static void prepare(host_test *self, int workers) {
  host_test_init(self);
  put_config(self, workers);
  put_each(self, 1, "", "");
  host_test_put(self, "one.lua", one_text);
}

static void start(host_test *self, int workers) {
  prepare(self, workers);
  host_test_load(self);
  host_test_until_logged(self, "msg=\"ready\"");
}

static void expect_number(host_test *self, int fd, const char *pattern, const char *data,
                          int value) {
  char text[96];
  host_test_send(fd, pattern, data, "1");
  snprintf(text, sizeof text, "{\"response\":%d,\"isDisposed\":true,\"id\":\"1\"}", value);
  host_test_expect(self, fd, text);
}

/* Polls until these very bytes have begun to come on fd. */
static void expect_bytes(const host_test *self, int fd, const char *bytes) {
  const size_t want = strlen(bytes);
  char got[512] = "";
  size_t len = 0;
  for (int i = 0; i < 2000 && len < want; i++) {
    assert_int_equal(roost_host_poll(self->host, 5), 1);
    const ssize_t n = recv(fd, got + len, want - len, MSG_DONTWAIT);
    if (n > 0)
      len += (size_t)n;
  }
  assert_memory_equal(got, bytes, want);
}

/* One connection to each worker, in turn. */
static void connect_all(host_test *self, int fds[], int count) {
  for (int i = 0; i < count; i++) {
    fds[i] = host_test_connect(self->host, 0);
    expect_number(self, fds[i], "version", "1", 1);
  }
}

static void close_all(const int fds[], int count) {
  for (int i = 0; i < count; i++)
    close(fds[i]);
}

/* With a connection to each worker. */
static void start_connected(host_test *self, int fds[WORKERS]) {
  start(self, WORKERS);
  connect_all(self, fds, WORKERS);
}

static void finish(host_test *self, const int fds[], int count) {
  close_all(fds, count);
  host_test_deinit(self);
}

/* ------------------------------------------------------------------------- spreading --------- */

static void connections_are_spread(void **state) {
  (void)state;
  host_test self;
  int fds[2 * WORKERS];
  start(&self, WORKERS);
  connect_all(&self, fds, 2 * WORKERS);
  for (int i = 0; i < 2 * WORKERS; i++)
    expect_number(&self, fds[i], "n", "1", i / WORKERS + 1);
  finish(&self, fds, 2 * WORKERS);
}

static void the_one_with_the_fewest_gets_the_next(void **state) {
  (void)state;
  host_test self;
  int fds[2 * WORKERS];
  start(&self, WORKERS);
  connect_all(&self, fds, 2 * WORKERS);
  for (int i = 0; i < 2 * WORKERS; i++)
    expect_number(&self, fds[i], "n", "1", i / WORKERS + 1);
  close(fds[1]); /* both of the second worker's */
  close(fds[1 + WORKERS]);
  roost_stats stats = {.struct_size = sizeof stats, .connections = 1 + 2 * WORKERS};
  for (int i = 0; i < 2000 && stats.connections != 2 * WORKERS - 2; i++) {
    assert_int_equal(roost_host_poll(self.host, 5), 1);
    roost_host_stats(self.host, &stats);
  }
  assert_int_equal(stats.connections, 2 * WORKERS - 2);
  assert_int_equal(stats.accepted, 2 * WORKERS);
  for (int i = 0; i < 2; i++) {
    fds[1] = host_test_connect(self.host, 0);
    expect_number(&self, fds[1], "n", "1", 3 + i);
  }
  host_test_deinit(&self);
}

static void limits_count_all_connections(void **state) {
  (void)state;
  host_test self;
  int fds[3];
  char byte;
  prepare(&self, WORKERS);
  host_test_put(&self, "host.lua",
                "return { services = { 'each.lua' }, workers = 3, servers = { { host = "
                "'127.0.0.1', port = 0, max_connections = 2 } } }");
  host_test_load(&self);
  connect_all(&self, fds, 2);
  fds[2] = host_test_connect(self.host, 0);
  host_test_until_logged(&self, "err=max_connections");
  assert_int_equal(recv(fds[2], &byte, 1, 0), 0);
  finish(&self, fds, 3);
}

/* ------------------------------------------------------------------------- what one has ------ */

static void a_singleton_has_one_state(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_connected(&self, fds);
  for (int i = 0; i < 4 * WORKERS; i++)
    expect_number(&self, fds[i % WORKERS], "next", "1", i + 1);
  for (int i = 0; i < WORKERS; i++) {
    host_test_send(fds[i], "raise", "1", "7");
    host_test_expect(&self, fds[i],
                     "{\"err\":{\"status\":\"error\",\"message\":\"Internal server error\"},"
                     "\"isDisposed\":true,\"id\":\"7\"}");
  }
  finish(&self, fds, WORKERS);
}

/* What is sent on one connection comes in order, and so are its events counted. */
static void order_is_kept_on_the_way(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_connected(&self, fds);
  for (int round = 0, n = 0; round < WORKERS; round++)
    for (int i = 0; i < 50; i++) {
      char frame[96];
      const int len =
          snprintf(frame, sizeof frame, "31#{\"pattern\":\"add\",\"data\":%d}      ", 10);
      assert_int_equal(send(fds[round], frame, (size_t)len, MSG_NOSIGNAL), len);
      n += 11;
      expect_number(&self, fds[round], "next", "1", n);
    }
  finish(&self, fds, WORKERS);
}

static void streams_come_from_elsewhere_whole(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_connected(&self, fds);
  for (int at = 0; at < WORKERS; at++) {
    host_test_send(fds[at], "many", "5", "3");
    for (int i = 1; i < 5; i++) {
      char text[96];
      snprintf(text, sizeof text, "23#{\"response\":%d,\"id\":\"3\"}", i);
      expect_bytes(&self, fds[at], text);
    }
    expect_bytes(&self, fds[at], "41#{\"response\":5,\"isDisposed\":true,\"id\":\"3\"}");
  }
  finish(&self, fds, WORKERS);
}

static void a_caller_that_leaves_ends_his_stream(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_connected(&self, fds);
  host_test_send(fds[1], "for ever", "1", "3");
  expect_bytes(&self, fds[1], "23#{\"response\":1,\"id\":\"3\"}");
  close(fds[1]);
  char got[96] = "";
  for (int i = 0; i < 2000 && strstr(got, ":1,") == NULL; i++) {
    host_test_send(fds[0], "left", "1", "4");
    ssize_t n = 0;
    for (int turn = 0; turn < 2000 && n <= 0; turn++) {
      assert_int_equal(roost_host_poll(self.host, 5), 1);
      n = recv(fds[0], got, sizeof got - 1, MSG_DONTWAIT);
    }
    got[n > 0 ? n : 0] = '\0';
  }
  assert_non_null(strstr(got, "\"response\":1,"));
  close(fds[0]);
  close(fds[2]);
  host_test_deinit(&self);
}

static void on_call(void *ud, roost_call *call) {
  int *count = ud; /* all run on this thread */
  char text[16];
  const int len = snprintf(text, sizeof text, "%d", ++*count);
  assert_int_equal(roost_call_reply(call, (roost_slice){text, (size_t)len}), 0);
}

static void c_handlers_run_on_the_first_alone(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  int counts[2] = {0, 0};
  prepare(&self, WORKERS);
  assert_int_equal(roost_host_handle(self.host, "before", on_call, &counts[0]), 0);
  host_test_load(&self);
  assert_int_equal(roost_host_handle(self.host, "after", on_call, &counts[1]), 0);
  connect_all(&self, fds, WORKERS);
  for (int i = 0; i < WORKERS; i++) {
    expect_number(&self, fds[i], "before", "1", i + 1);
    expect_number(&self, fds[i], "after", "1", i + 1);
  }
  finish(&self, fds, WORKERS);
}

/* ------------------------------------------------------------------------- reloading --------- */

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
  host_test_until_logged(&self, "not all workers were free within 100 ms");
  host_test_expect(&self, fds[1], "{\"response\":1,\"isDisposed\":true,\"id\":\"1\"}");
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

/* ------------------------------------------------------------------------- the end ----------- */

static void a_drain_answers_on_all_workers(void **state) {
  (void)state;
  host_test self;
  int fds[WORKERS];
  start_connected(&self, fds);
  const int waiting = host_test_connect(self.host, 0); /* not accepted yet */
  host_test_send(waiting, "n", "1", "9");
  for (int i = 0; i < WORKERS; i++)
    host_test_send(fds[i], "late", "20", "5");
  assert_int_equal(roost_host_stop(self.host), 0);
  host_test_run(&self);
  char got[256];
  for (int i = 0; i < WORKERS; i++) {
    const ssize_t n = recv(fds[i], got, sizeof got - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    assert_non_null(strstr(got, "{\"response\":20,\"isDisposed\":true,\"id\":\"5\"}"));
  }
  const ssize_t n = recv(waiting, got, sizeof got - 1, 0);
  assert_true(n > 0);
  close(waiting);
  finish(&self, fds, WORKERS);
}

static void one_that_cannot_start_ends_the_host(void **state) {
  (void)state;
  host_test self;
  prepare(&self, WORKERS);
  put_each(&self, 1, "", "if starts == 2 then error('cannot') end");
  host_test_load(&self);
  int status = 1;
  for (int i = 0; i < 4000 && status == 1; i++)
    status = roost_host_poll(self.host, 5);
  assert_int_equal(status, ROOST_ESCRIPT);
  assert_non_null(strstr(roost_host_error(self.host), "service each: on_start: "));
  host_test_deinit(&self);
}

static void a_host_may_go_at_any_time(void **state) {
  (void)state;
  for (int turns = 0; turns < 12; turns++) {
    host_test self;
    int fds[WORKERS];
    prepare(&self, WORKERS);
    host_test_load(&self);
    for (int i = 0; i < WORKERS; i++) {
      fds[i] = host_test_connect(self.host, 0);
      host_test_send(fds[i], i == 1 ? "for ever" : "late", "1000", "5");
    }
    for (int i = 0; i < turns; i++)
      assert_true(roost_host_poll(self.host, 1) >= 0);
    if (turns > 6)
      (void)roost_host_reload(self.host, NULL);
    host_test_deinit(&self);
    close_all(fds, WORKERS);
  }
}

/* The C library's, but for one allocation and all after it; all threads use it. */
typedef struct scarce {
  atomic_long left; /* negative: plenty */
} scarce;

static void *scarce_resize(void *ud, void *ptr, size_t old_size, size_t new_size) {
  scarce *self = ud;
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  if (new_size > old_size && atomic_load(&self->left) >= 0 &&
      atomic_fetch_sub(&self->left, 1) <= 0) {
    atomic_store(&self->left, 0);
    return NULL;
  }
  return realloc(ptr, new_size);
}

/* Not each allocation, as there are thousands: steps that are prime to what repeats. */
static void out_of_memory_is_a_status(void **state) {
  (void)state;
  bool loaded = false;
  for (long allowed = 3; !loaded; allowed += 97) {
    host_test self;
    scarce memory;
    host_test_prepare(&self);
    put_config(&self, WORKERS);
    put_each(&self, 1, "", "");
    host_test_put(&self, "one.lua", one_text);
    atomic_init(&memory.left, allowed);
    self.cfg.alloc = (roost_alloc){scarce_resize, &memory};
    int status = roost_host_new(&self.host, &self.cfg);
    if (status == 0)
      status = roost_host_load_config(self.host, "host.lua");
    loaded = status == 0;
    assert_true(loaded || status == ROOST_ENOMEM || status == ROOST_ESCRIPT ||
                status == ROOST_ECONFIG || status == ROOST_ESYSTEM);
    atomic_store(&memory.left, -1);
    host_test_deinit(&self);
  }
}

/* ------------------------------------------------------------------------- stress ------------ */

#define CLIENTS 4
#define PEERS   6
#define ROUNDS  150

typedef struct client {
  pthread_t thread;
  int fds[PEERS];
  atomic_int *done; /* clients that are */
  bool failed;
} client;

static bool answered(int fd) {
  char got[128];
  size_t len = 0;
  for (;;) {
    const ssize_t n = recv(fd, got + len, sizeof got - 1 - len, 0);
    if (n <= 0)
      return false;
    len += (size_t)n;
    got[len] = '\0';
    if (strchr(got, '}') != NULL)
      return strstr(got, "\"response\":") != NULL && strstr(got, "\"err\"") == NULL;
  }
}

/* Off the test's thread, where a failure cannot be asserted: it shows as no answer. */
static void send_one(int fd, const char *pattern) {
  char packet[96];
  char frame[128];
  int len =
      snprintf(packet, sizeof packet, "{\"pattern\":\"%s\",\"data\":1,\"id\":\"x\"}", pattern);
  len = snprintf(frame, sizeof frame, "%d#%s", len, packet);
  (void)send(fd, frame, (size_t)len, MSG_NOSIGNAL);
}

static void *be_client(void *ud) {
  static const char *const patterns[] = {"n", "next", "incr", "counted"};
  client *self = ud;
  for (int round = 0; round < ROUNDS && !self->failed; round++)
    for (int at = 0; at < 4 && !self->failed; at++) {
      for (int i = 0; i < PEERS; i++)
        send_one(self->fds[i], patterns[at]);
      for (int i = 0; i < PEERS; i++)
        self->failed |= !answered(self->fds[i]);
    }
  atomic_fetch_add(self->done, 1);
  return NULL;
}

/* Nothing is lost or counted twice, whatever is reloaded meanwhile. */
static void everything_at_once(void **state) {
  (void)state;
  host_test self;
  client clients[CLIENTS];
  atomic_int done = 0;
  int counted = 0;
  prepare(&self, 4);
  assert_int_equal(roost_host_handle(self.host, "counted", on_call, &counted), 0);
  host_test_load(&self);
  host_test_until_logged(&self, "msg=\"ready\"");
  for (int i = 0; i < CLIENTS; i++) {
    clients[i] = (client){.done = &done};
    for (int at = 0; at < PEERS; at++)
      clients[i].fds[at] = host_test_connect(self.host, 0);
    assert_int_equal(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]), 0);
  }
  for (int turn = 0; atomic_load(&done) < CLIENTS; turn++) {
    assert_int_equal(roost_host_poll(self.host, 5), 1);
    if (turn % 50 == 0)
      (void)roost_host_reload(self.host, NULL);
  }
  for (int i = 0; i < CLIENTS; i++) {
    pthread_join(clients[i].thread, NULL);
    assert_false(clients[i].failed);
    close_all(clients[i].fds, PEERS);
  }
  const int all = CLIENTS * PEERS * ROUNDS;
  const int fd = host_test_connect(self.host, 0);
  expect_number(&self, fd, "next", "1", all + 1);
  expect_number(&self, fd, "incr", "1", all + 1);
  assert_int_equal(counted, all);
  close(fd);
  host_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(connections_are_spread),
      cmocka_unit_test(the_one_with_the_fewest_gets_the_next),
      cmocka_unit_test(limits_count_all_connections),
      cmocka_unit_test(a_singleton_has_one_state),
      cmocka_unit_test(order_is_kept_on_the_way),
      cmocka_unit_test(streams_come_from_elsewhere_whole),
      cmocka_unit_test(a_caller_that_leaves_ends_his_stream),
      cmocka_unit_test(c_handlers_run_on_the_first_alone),
      cmocka_unit_test(a_reload_is_one_of_all_workers),
      cmocka_unit_test(one_that_cannot_start_refuses_all),
      cmocka_unit_test(one_that_does_not_adopt_refuses_all),
      cmocka_unit_test(one_that_is_busy_refuses_all),
      cmocka_unit_test(a_service_becomes_a_singleton_and_back),
      cmocka_unit_test(a_drain_answers_on_all_workers),
      cmocka_unit_test(one_that_cannot_start_ends_the_host),
      cmocka_unit_test(a_host_may_go_at_any_time),
      cmocka_unit_test(out_of_memory_is_a_status),
      cmocka_unit_test(everything_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
