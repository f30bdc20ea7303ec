/*
 * A host with several workers: what they share, what each has of its own, and what becomes of all
 * of it when services are reloaded, when the host drains, and when memory is short.
 */
#include <stdatomic.h>

#include "workers.h"
#include "workers_test.h"

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
      cmocka_unit_test(a_drain_answers_on_all_workers),
      cmocka_unit_test(one_that_cannot_start_ends_the_host),
      cmocka_unit_test(a_host_may_go_at_any_time),
      cmocka_unit_test(out_of_memory_is_a_status),
      cmocka_unit_test(everything_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
