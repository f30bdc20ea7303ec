/*
 * Reloading of a whole host, with its threads; and what is told to whoever asks for it.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "host_test.h"
#include "reloads.h"

/* --------------------------------------------------------------------- a host ---------------- */

/* A service that answers "v" with a number, whose state takes a while to make and to close, and
 * whose finalizers use what there is. */
static const char service_text[] =
    "local roost = require 'roost' local service = roost.service() local kept = {}\n"
    "for i = 1, %d do kept[i] = { i } end\n"
    "kept.last = setmetatable({}, { __gc = function()"
    "  coroutine.wrap(function() roost.store:incr('closed', 1) roost.log:info('closed') end)()"
    "  pcall(roost.spawn, print) pcall(roost.sleep, 1) roost.now() end })\n"
    "service:message('v', function() return kept and %d end)\n"
    "service:message('closed', function() return roost.store:get('closed') or 0 end)\n"
    "%s\nreturn service\n";

/* One written just before it is read counts as changed, and tests that count do not want that. */
static void put_old(const host_test *self, const char *name, const char *text) {
  static time_t seconds = 1000000000;
  char path[160];
  host_test_put(self, name, text);
  snprintf(path, sizeof path, "%s/%s", self->folder, name);
  const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
  seconds++;
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void put_service(const host_test *self, int size, int value, const char *more) {
  char text[2048];
  snprintf(text, sizeof text, service_text, size, value, more);
  put_old(self, "a.lua", text);
}

static void wait_ms(long ms) {
  const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

static void start(host_test *self, const char *reload) {
  char text[256];
  host_test_init(self);
  snprintf(text, sizeof text,
           "return { services = 'a.lua', servers = { { host = '127.0.0.1', port = 0 } }, "
           "reload = { drain_timeout = 1000, %s } }",
           reload);
  host_test_put(self, "host.lua", text);
  put_service(self, 100, 1, "");
  host_test_load(self);
  host_test_until_logged(self, "msg=\"ready\"");
}

static void expect_number(host_test *self, int fd, const char *pattern, int value) {
  char text[96];
  host_test_send(fd, pattern, "1", "1");
  snprintf(text, sizeof text, "{\"response\":%d,\"isDisposed\":true,\"id\":\"1\"}", value);
  host_test_expect(self, fd, text);
}

static void a_host_reloads_what_it_is_told(void **state) {
  (void)state;
  host_test self;
  start(&self, "watch = false");
  int fd = host_test_connect(self.host, 0);
  expect_number(&self, fd, "v", 1);
  put_service(&self, 100, 2, "");
  assert_int_equal(roost_host_reload(self.host, "b"), ROOST_ENOENT);
  assert_non_null(strstr(roost_host_error(self.host), "b: there is no such service"));
  assert_int_equal(roost_host_reload(self.host, "a"), 0);
  host_test_until_logged(&self, "msg=\"service reloaded\" service=a worker=0 gen=2 from=1");
  expect_number(&self, fd, "v", 2);
  host_test_until_logged(&self, "msg=\"closed\"");
  put_service(&self, 100, 3, "error('no luck')");
  assert_int_equal(roost_host_reload(self.host, NULL), 0);
  host_test_until_logged(&self, "no luck");
  expect_number(&self, fd, "v", 2);
  put_service(&self, 100, 4, "");
  assert_int_equal(roost_host_reload(self.host, NULL), 0);
  host_test_until_logged(&self, "gen=3 from=2");
  expect_number(&self, fd, "v", 4);
  assert_int_equal(roost_host_stop(self.host), 0);
  assert_int_equal(roost_host_reload(self.host, "a"), ROOST_ESTATE);
  host_test_run(&self);
  close(fd);
  host_test_deinit(&self);
}

static void a_host_watches_its_files(void **state) {
  (void)state;
  host_test self;
  start(&self, "watch = true, debounce = 1");
  int fd = host_test_connect(self.host, 0);
  put_service(&self, 100, 2, "");
  host_test_until_logged(&self, "from=1");
  put_service(&self, 100, 3, "error('no luck')");
  host_test_until_logged(&self, "no luck");
  put_service(&self, 100, 4, "service:on_start(function() print('the fourth') end)");
  host_test_until_logged(&self, "the fourth");
  expect_number(&self, fd, "v", 4);
  close(fd);
  host_test_deinit(&self);
}

/* --------------------------------------------------------------------- its end --------------- */

typedef enum moment {
  BUILDING,
  BUILT, /* on the other thread, and nobody was told */
  ONE_POLL_LATER,
  STARTING, /* on_start waits */
  LOOKING,
  LOOKED,
  CHANGED, /* a file was, and the worker has not heard of it */
  REFUSED, /* and it is time to try again */
  CLOSING, /* the reaper closes a large state */
  DRAINING,
  MOMENTS
} moment;

static void come_to(host_test *self, moment when) {
  const char *more = when == STARTING   ? "service:on_start(function() roost.sleep(5000) end)"
                     : when == REFUSED  ? "error('no luck')"
                     : when == DRAINING ? "roost.spawn(function() roost.sleep(5000) end)"
                                        : "";
  put_service(self, when == BUILDING || when == CLOSING ? 200000 : 100, 2, more);
  if (when != CHANGED)
    assert_int_equal(roost_host_reload(self->host, when == LOOKING || when == LOOKED ? NULL : "a"),
                     0);
  if (when == ONE_POLL_LATER)
    roost_host_poll(self->host, 0);
  else if (when == BUILT || when == LOOKED || when == CHANGED)
    wait_ms(50);
  else if (when == STARTING)
    for (int i = 0; i < 10; i++)
      roost_host_poll(self->host, 5);
  else if (when == REFUSED)
    host_test_until_logged(self, "no luck"), wait_ms(1050);
  else if (when == CLOSING || when == DRAINING)
    host_test_until_logged(self, "from=1");
  if (when != CLOSING)
    return;
  put_service(self, 100, 3, "");
  assert_int_equal(roost_host_reload(self->host, "a"), 0);
  host_test_until_logged(self, "from=2");
}

static void a_host_may_be_freed_at_any_moment_of_a_reload(void **state) {
  (void)state;
  for (int stopped = 0; stopped < 2; stopped++)
    for (moment when = BUILDING; when < MOMENTS; when++) {
      host_test self;
      start(&self, "watch = true, debounce = 1");
      int fd = host_test_connect(self.host, 0);
      expect_number(&self, fd, "v", 1);
      come_to(&self, when);
      if (stopped)
        assert_int_equal(roost_host_stop(self.host), 0);
      close(fd);
      host_test_deinit(&self);
    }
}

/* A drain waits neither for what is being built nor for what a stopped host would reload. */
static void a_drain_ends_reloads(void **state) {
  (void)state;
  for (moment when = BUILDING; when < MOMENTS; when++) {
    host_test self;
    if (when == CLOSING || when == REFUSED)
      continue;
    start(&self, "watch = true, debounce = 1");
    come_to(&self, when);
    assert_int_equal(roost_host_stop(self.host), 0);
    host_test_run(&self);
    host_test_deinit(&self);
  }
}

/* --------------------------------------------------------------------- under load ------------ */

#define PEERS 4

/* Reads whole frames off fd, all of which must be replies without an error; how many. */
static int read_frames(int fd) {
  char got[8192];
  int frames = 0;
  const ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
  if (n <= 0)
    return 0;
  got[n] = '\0';
  assert_null(strstr(got, "\"err\""));
  for (const char *at = got; (at = strstr(at, "isDisposed")) != NULL; at++)
    frames++;
  return frames;
}

static void no_request_is_lost(void **state) {
  (void)state;
  host_test self;
  int peers[PEERS];
  int sent = 0;
  int answered = 0;
  start(&self, "watch = false");
  for (int i = 0; i < PEERS; i++)
    peers[i] = host_test_connect(self.host, 0);
  for (int round = 0;
       round < 300 || (!host_test_has_logged(&self, "service reloaded") && round < 30000);
       round++) {
    if (round % 10 == 0) {
      put_service(&self, 100, round, round % 30 == 0 ? "error('no luck')" : "");
      assert_int_equal(roost_host_reload(self.host, round % 20 == 0 ? NULL : "a"), 0);
    }
    for (int i = 0; i < PEERS; i++, sent++)
      host_test_send(peers[i], "v", "1", "1");
    for (int tries = 0; answered < sent && tries < 4000; tries++) {
      assert_int_equal(roost_host_poll(self.host, 1), 1);
      for (int i = 0; i < PEERS; i++)
        answered += read_frames(peers[i]);
    }
    assert_int_equal(answered, sent);
  }
  for (int i = 0; i < PEERS; i++)
    close(peers[i]);
  assert_true(host_test_has_logged(&self, "service reloaded"));
  host_test_deinit(&self);
}

typedef struct life {
  pthread_t thread;
  host_test test;
} life;

static void *reload_often(void *ud) {
  life *self = ud;
  for (int i = 0; i < 20; i++) {
    roost_host_reload(self->test.host, i % 2 ? NULL : "a");
    for (int polls = 0; polls < 3; polls++)
      roost_host_poll(self->test.host, 1);
  }
  roost_host_stop(self->test.host);
  for (int i = 0; i < 4000 && roost_host_poll(self->test.host, 5) == 1; i++)
    ;
  return NULL;
}

static void several_hosts_reload_on_their_own(void **state) {
  (void)state;
  life lives[3];
  for (size_t i = 0; i < 3; i++)
    start(&lives[i].test, "watch = true, debounce = 1");
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(pthread_create(&lives[i].thread, NULL, reload_often, &lives[i]), 0);
  for (size_t i = 0; i < 3; i++)
    pthread_join(lives[i].thread, NULL);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(roost_host_poll(lives[i].test.host, 0), 0);
    host_test_deinit(&lives[i].test);
  }
}

/* --------------------------------------------------------------------- requests -------------- */

/* A worker, and no other thread but control's: what is asked for is over when it returns. */
typedef struct parts {
  host_test files;
  roost_alloc_probe probe;
  roost_clock clock;
  roost_log *log;
  roost_control *control;
  roost_store *store;
  roost_worker *worker;
  roost_settings *settings;
  roost_reloads *reloads;
  char told[1024];
  int times;
} parts;

static int no_random(void *out, size_t len) {
  memset(out, 7, len);
  return 0;
}

static void init(parts *self) {
  roost_problems problems;
  roost_found_list found;
  memset(self, 0, sizeof *self);
  roost_alloc_probe_init(&self->probe);
  host_test_prepare(&self->files);
  put_service(&self->files, 1, 1, "");
  assert_int_equal(
      roost_log_new(&self->log, roost_alloc_default(), &self->clock, host_test_log, &self->files),
      0);
  assert_int_equal(roost_control_start(&self->control, roost_alloc_default(), self->log), 0);
  const roost_store_config store = {roost_alloc_default(), &self->clock, no_random};
  assert_int_equal(roost_store_new(&self->store, &store), 0);
  const roost_worker_config config = {.alloc = &self->probe.alloc,
                                      .clock = &self->clock,
                                      .log = self->log,
                                      .store = self->store,
                                      .working_dir = self->files.folder};
  assert_int_equal(roost_worker_new(&self->worker, &config), 0);
  const roost_settings_source source = {.path = "host.lua",
                                        .text = "return { services = '.', servers = {} }",
                                        .working_dir = self->files.folder};
  roost_problems_init(&problems, roost_alloc_default());
  assert_int_equal(roost_settings_load(&self->settings, roost_alloc_default(), &source, &problems),
                   0);
  unlink(self->files.config);
  roost_worker_apply(self->worker, self->settings);
  roost_found_init(&found, &self->probe.alloc);
  assert_int_equal(roost_found_add(&found, self->files.folder, ".", NULL, NULL), 0);
  assert_int_equal(roost_worker_load(self->worker, &found, &problems), 0);
  roost_found_deinit(&found);
  roost_problems_deinit(&problems);
  const roost_reloads_config reloads = {.alloc = &self->probe.alloc,
                                        .control = self->control,
                                        .log = self->log,
                                        .worker = self->worker,
                                        .working_dir = self->files.folder};
  assert_int_equal(roost_reloads_new(&self->reloads, &reloads), 0);
  roost_reloads_apply(self->reloads, self->settings);
  roost_worker_start(self->worker);
}

static void deinit(parts *self) {
  self->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  roost_reloads_free(self->reloads);
  roost_worker_free(self->worker);
  roost_store_free(self->store);
  roost_control_stop(self->control);
  roost_log_free(self->log);
  roost_settings_free(self->settings);
  host_test_deinit(&self->files);
  assert_int_equal(self->probe.bytes, 0);
}

static void on_done(void *ud, roost_slice json) {
  parts *self = ud;
  self->times++;
  snprintf(self->told, sizeof self->told, "%.*s", (int)json.len, json.ptr);
}

static void expect_told(parts *self, const char *service, const char *json) {
  self->times = 0;
  assert_int_equal(roost_reloads_request(self->reloads, service, on_done, self), 0);
  for (int i = 0; i < 4 && self->times == 0; i++)
    roost_loop_poll(self->worker->loop, 0);
  assert_int_equal(self->times, 1);
  assert_string_equal(self->told, json);
}

/* Whichever is over first. */
static void outcomes_are_in_the_services_order(void **state) {
  (void)state;
  parts self;
  init(&self);
  put_old(&self.files, "a.lua",
          "local roost = require 'roost' local service = roost.service() "
          "service:on_start(function() while not roost.store:get('b') do roost.sleep(1) end end) "
          "return service");
  put_old(&self.files, "b.lua",
          "local roost = require 'roost' local service = roost.service() "
          "service:on_start(function() roost.after(1, function() roost.store:set('b', 1) end) end) "
          "return service");
  assert_int_equal(roost_reloads_request(self.reloads, NULL, on_done, &self), 0);
  for (int i = 0; i < 2000 && self.times == 0; i++)
    roost_loop_poll(self.worker->loop, 5);
  assert_string_equal(self.told, "[{\"service\":\"a\",\"from\":1,\"to\":2,\"refused\":null},"
                                 "{\"service\":\"b\",\"from\":0,\"to\":1,\"refused\":null}]");
  deinit(&self);
}

static void who_asks_is_told_what_came_of_it(void **state) {
  (void)state;
  parts self;
  init(&self);
  expect_told(&self, "a", "[{\"service\":\"a\",\"from\":1,\"to\":2,\"refused\":null}]");
  expect_told(&self, "b",
              "[{\"service\":\"b\",\"from\":0,\"to\":0,\"refused\":\"there is no such service\"}]");
  put_old(&self.files, "b.lua", "return require 'roost'.service()");
  expect_told(&self, NULL,
              "[{\"service\":\"a\",\"from\":2,\"to\":3,\"refused\":null},"
              "{\"service\":\"b\",\"from\":0,\"to\":1,\"refused\":null}]");
  put_old(&self.files, "a.lua", "error 'no \\xff \"luck\"'");
  self.times = 0;
  assert_int_equal(roost_reloads_request(self.reloads, "a", on_done, &self), 0);
  roost_loop_poll(self.worker->loop, 0);
  assert_int_equal(self.times, 1);
  assert_non_null(
      strstr(self.told, "[{\"service\":\"a\",\"from\":3,\"to\":0,\"refused\":\"a.lua:1:"));
  assert_int_equal(roost_reloads_request(self.reloads, "a", NULL, NULL), 0); /* nobody listens */
  roost_worker_drain(self.worker);
  assert_int_equal(roost_reloads_request(self.reloads, "a", on_done, &self), ROOST_ESTATE);
  deinit(&self);
}

static size_t times_logged(parts *self, const char *text) {
  size_t times = 0;
  roost_log_drain(self->log);
  pthread_mutex_lock(&self->files.mutex);
  for (const char *at = self->files.lines; (at = strstr(at, text)) != NULL; at++)
    times++;
  pthread_mutex_unlock(&self->files.mutex);
  return times;
}

static void look(parts *self) {
  roost_reloads_look(self->reloads);
  roost_loop_poll(self->worker->loop, 0);
}

/* Also where others come and go. */
static void a_problem_is_said_once(void **state) {
  (void)state;
  parts self;
  char folder[96];
  char other[96];
  init(&self);
  snprintf(folder, sizeof folder, "%s/empty", self.files.folder);
  snprintf(other, sizeof other, "%s/other", self.files.folder);
  assert_int_equal(mkdir(folder, 0700), 0);
  look(&self);
  look(&self);
  assert_int_equal(mkdir(other, 0700), 0);
  look(&self);
  assert_int_equal(rmdir(other), 0);
  look(&self);
  assert_int_equal(times_logged(&self, "empty: skipped"), 1);
  assert_int_equal(times_logged(&self, "other: skipped"), 1);
  assert_int_equal(mkdir(other, 0700), 0);
  look(&self);
  assert_int_equal(times_logged(&self, "other: skipped"), 2);
  deinit(&self);
}

/* Another that has changed waits for who asks for all, as one that is new does. */
static void only_what_is_named_is_reloaded(void **state) {
  (void)state;
  parts self;
  init(&self);
  put_old(&self.files, "b.lua", "return require 'roost'.service()");
  expect_told(&self, NULL,
              "[{\"service\":\"a\",\"from\":1,\"to\":2,\"refused\":null},"
              "{\"service\":\"b\",\"from\":0,\"to\":1,\"refused\":null}]");
  put_old(&self.files, "b.lua", "error 'no luck'");
  put_old(&self.files, "0.lua", "return require 'roost'.service()");
  put_old(&self.files, "c.lua", "return require 'roost'.service()");
  expect_told(&self, "a", "[{\"service\":\"a\",\"from\":2,\"to\":3,\"refused\":null}]");
  expect_told(&self, "c", "[{\"service\":\"c\",\"from\":0,\"to\":1,\"refused\":null}]");
  assert_int_equal(times_logged(&self, "no luck"), 0);
  assert_null(roost_worker_find_service(self.worker, "0"));
  assert_string_equal(self.worker->dispatch->services[2]->name, "c");
  look(&self);
  assert_int_equal(times_logged(&self, "no luck"), 1);
  assert_string_equal(self.worker->dispatch->services[0]->name, "0");
  assert_int_equal(self.worker->dispatch->services[0]->current->number, 1);
  deinit(&self);
}

static void whose_file_is_gone_goes_on_before_those_that_are_there(void **state) {
  (void)state;
  parts self;
  char path[160];
  init(&self);
  put_old(&self.files, "b.lua", "return require 'roost'.service()");
  look(&self);
  assert_string_equal(self.worker->dispatch->services[1]->name, "b");
  snprintf(path, sizeof path, "%s/b.lua", self.files.folder);
  assert_int_equal(unlink(path), 0);
  look(&self);
  assert_string_equal(self.worker->dispatch->services[0]->name, "b");
  assert_non_null(self.worker->dispatch->services[0]->current);
  assert_string_equal(self.worker->dispatch->services[1]->name, "a");
  deinit(&self);
}

static void who_asks_is_told_even_where_the_host_ends(void **state) {
  (void)state;
  parts self;
  init(&self);
  put_service(&self.files, 1, 1, "service:on_start(function() roost.sleep(1000000) end)");
  assert_int_equal(roost_reloads_request(self.reloads, NULL, on_done, &self), 0);
  roost_loop_poll(self.worker->loop, 0);
  assert_int_equal(self.times, 0);
  roost_worker_drain(self.worker);
  assert_int_equal(self.times, 1);
  assert_string_equal(
      self.told, "[{\"service\":\"a\",\"from\":1,\"to\":0,\"refused\":\"the host is stopping\"}]");
  deinit(&self);
}

/* Whoever asks is always told, or was told that he would not be. */
static void memory_may_end_at_every_point_of_a_request(void **state) {
  (void)state;
  bool worked = false;
  for (size_t n = 0; !worked; n += n < 40 ? 1 : 13) {
    parts self;
    init(&self);
    put_old(&self.files, "b.lua", "return require 'roost'.service()");
    self.probe.refuse_after = n;
    const int status = roost_reloads_request(self.reloads, NULL, on_done, &self);
    for (int i = 0; i < 8; i++)
      roost_loop_poll(self.worker->loop, 0);
    assert_true(status == 0 || status == ROOST_ENOMEM);
    assert_int_equal(self.times, status == 0);
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    worked = strcmp(self.told, "[{\"service\":\"a\",\"from\":1,\"to\":2,\"refused\":null},"
                               "{\"service\":\"b\",\"from\":0,\"to\":1,\"refused\":null}]") == 0;
    assert_true(n < 20000);
    assert_non_null(self.worker->dispatch->services[0]->current);
    deinit(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_host_reloads_what_it_is_told),
      cmocka_unit_test(a_host_watches_its_files),
      cmocka_unit_test(a_host_may_be_freed_at_any_moment_of_a_reload),
      cmocka_unit_test(a_drain_ends_reloads),
      cmocka_unit_test(no_request_is_lost),
      cmocka_unit_test(several_hosts_reload_on_their_own),
      cmocka_unit_test(who_asks_is_told_what_came_of_it),
      cmocka_unit_test(outcomes_are_in_the_services_order),
      cmocka_unit_test(a_problem_is_said_once),
      cmocka_unit_test(only_what_is_named_is_reloaded),
      cmocka_unit_test(whose_file_is_gone_goes_on_before_those_that_are_there),
      cmocka_unit_test(who_asks_is_told_even_where_the_host_ends),
      cmocka_unit_test(memory_may_end_at_every_point_of_a_request),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
