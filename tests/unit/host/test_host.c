/*
 * The whole library, through roost.h alone.
 */
#include <poll.h>
#include <signal.h>

#include "host_test.h"

/* --------------------------------------------------------------------- life ------------------ */

static void a_host_does_its_job(void **state) {
  (void)state;
  host_test self;
  roost_stats stats = {.struct_size = sizeof stats};
  host_test_init(&self);
  host_test_load(&self);
  assert_string_equal(roost_host_error(self.host), "");
  assert_int_equal(roost_host_port(self.host, 1), ROOST_ENOENT);
  int fd = host_test_connect(self.host, 0);
  host_test_send(fd, "echo", "[1]", "1");
  host_test_expect(&self, fd, "{\"response\":[1],\"isDisposed\":true,\"id\":\"1\"}");
  host_test_send(fd, "fail", "1", "2");
  host_test_expect(&self, fd,
                   "{\"err\":{\"status\":\"error\",\"message\":\"Internal server error\"},"
                   "\"isDisposed\":true,\"id\":\"2\"}");
  host_test_send(fd, "slow", "2", "3");
  assert_int_equal(roost_host_poll(self.host, 5), 1);
  roost_host_stats(self.host, &stats);
  assert_int_equal(stats.connections, 1);
  assert_int_equal(stats.accepted, 1);
  assert_int_equal(stats.requests, 3);
  assert_int_equal(stats.errors, 1);
  assert_int_equal(stats.services, 1);
  assert_true(stats.memory_bytes > 0 && stats.bytes_in > 0 && stats.bytes_out > 0);
  assert_int_equal(roost_host_stop(self.host), 0);
  assert_int_equal(roost_host_stop(self.host), 0);
  host_test_expect(&self, fd, "{\"response\":2,\"isDisposed\":true,\"id\":\"3\"}");
  host_test_run(&self);
  assert_int_equal(roost_host_poll(self.host, 0), 0);
  assert_int_equal(roost_host_run(self.host), 0);
  close(fd);
  roost_host_free(self.host);
  self.host = NULL;
  assert_non_null(strstr(self.lines, "err=\"a.lua:1: boom\""));
  assert_non_null(strstr(self.lines, "goodbye"));
  host_test_deinit(&self);
}

static void it_may_be_freed_at_any_time(void **state) {
  (void)state;
  host_test self;
  for (int when = 0; when < 6; when++) {
    int fd = -1;
    host_test_init(&self);
    if (when > 0)
      host_test_load(&self);
    if (when > 1)
      fd = host_test_connect(self.host, 0);
    if (when > 2) {
      host_test_send(fd, "slow", "1", "1");
      assert_int_equal(roost_host_poll(self.host, 5), 1);
      assert_int_equal(roost_host_poll(self.host, 5), 1);
    }
    if (when > 3)
      assert_int_equal(roost_host_stop(self.host), 0);
    if (when > 4)
      assert_int_equal(roost_host_poll(self.host, 0), 1);
    host_test_deinit(&self);
    if (fd >= 0)
      close(fd);
  }
  roost_host_free(NULL);
}

static void one_that_was_stopped_first_does_not_run(void **state) {
  (void)state;
  host_test self;
  host_test_init(&self);
  assert_int_equal(roost_host_stop(self.host), 0);
  assert_int_equal(roost_host_run(self.host), 0);
  host_test_deinit(&self);
  host_test_init(&self);
  host_test_load(&self);
  assert_int_equal(roost_host_stop(self.host), 0);
  host_test_run(&self);
  assert_int_equal(roost_host_listen(self.host, "tcp://127.0.0.1:0"), ROOST_ESTATE);
  host_test_deinit(&self);
}

static void every_on_stop_runs_to_its_end(void **state) {
  (void)state;
  host_test self;
  host_test_init(&self);
  host_test_put(&self, "host.lua",
                "return { services = { 'a.lua', 'b.lua', 'c.lua' }, servers = {} }");
  host_test_put(
      &self, "b.lua",
      "local roost = require 'roost' local service = roost.service() "
      "service:on_stop(function() roost.sleep(20) print('b is done') end) return service");
  host_test_put(&self, "c.lua", "return require 'roost'.service()");
  host_test_load(&self);
  assert_int_equal(roost_host_poll(self.host, 0), 1);
  assert_int_equal(roost_host_stop(self.host), 0);
  host_test_run(&self);
  roost_host_free(self.host);
  self.host = NULL;
  assert_non_null(strstr(self.lines, "goodbye"));
  assert_non_null(strstr(self.lines, "b is done"));
  host_test_deinit(&self);
}

static void an_on_start_that_fails_ends_the_host(void **state) {
  (void)state;
  host_test self;
  host_test_init(&self);
  host_test_put(
      &self, "a.lua",
      "local roost = require 'roost' local service = roost.service() "
      "service:on_start(function() roost.sleep(1) error('not today') end) return service");
  host_test_load(&self);
  assert_int_equal(roost_host_run(self.host), ROOST_ESCRIPT);
  assert_non_null(strstr(roost_host_error(self.host), "service a: on_start: a.lua:1: not today"));
  assert_int_equal(roost_host_run(self.host), ROOST_ESCRIPT);
  host_test_deinit(&self);
}

static void what_could_not_be_loaded_is_not_run(void **state) {
  (void)state;
  host_test self;
  host_test_init(&self);
  host_test_put(&self, "host.lua", "return { services = { 'a.lua', 'b.lua' }, servers = {} }");
  host_test_put(&self, "b.lua", "local x = = 1");
  assert_int_equal(roost_host_load_config(self.host, "host.lua"), ROOST_ESCRIPT);
  assert_non_null(strstr(roost_host_error(self.host), "b.lua:1: unexpected symbol"));
  assert_int_equal(roost_host_poll(self.host, 0), ROOST_ESTATE);
  assert_int_equal(roost_host_run(self.host), ROOST_ESTATE);
  assert_int_equal(roost_host_load_config(self.host, "host.lua"), ROOST_ESTATE);
  assert_int_equal(roost_host_stop(self.host), 0);
  host_test_deinit(&self);
  host_test_init(&self);
  assert_int_equal(roost_host_load_config(self.host, "none.lua"), ROOST_ECONFIG);
  assert_non_null(strstr(roost_host_error(self.host), "none.lua"));
  host_test_deinit(&self);
}

/* --------------------------------------------------------------------- settings -------------- */

static void keys_can_be_set_before_the_file_is_read(void **state) {
  (void)state;
  host_test self;
  host_test_init(&self);
  assert_int_equal(roost_host_set(self.host, "limits.request_timeout", "10"), 0);
  assert_int_equal(roost_host_set(self.host, "", "1"), ROOST_EINVAL);
  assert_int_equal(roost_host_set(self.host, "x", NULL), ROOST_EINVAL);
  static const char *const wrong[] = {"a..b", ".a", "a.", "a[x]"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    assert_int_equal(roost_host_set(self.host, wrong[i], "1"), ROOST_EINVAL);
  assert_string_equal(roost_host_error(self.host), "a[x]: not a key, as servers[1].port is");
  host_test_load(&self);
  assert_int_equal(roost_host_set(self.host, "limits.request_timeout", "10"), ROOST_ESTATE);
  int fd = host_test_connect(self.host, 0);
  host_test_send(fd, "slow", "1", "1");
  host_test_expect(&self, fd,
                   "{\"err\":{\"status\":\"error\",\"message\":\"Timeout has occurred\"},"
                   "\"isDisposed\":true,\"id\":\"1\"}");
  close(fd);
  host_test_deinit(&self);
}

static void a_wrong_struct_is_refused(void **state) {
  (void)state;
  roost_host *host;
  roost_config cfg;
  roost_config_init(&cfg);
  cfg.struct_size = 1;
  assert_int_equal(roost_host_new(&host, &cfg), ROOST_EINVAL);
  assert_null(host);
  assert_string_equal(roost_host_error(NULL), "struct_size: 1: was roost_config_init called?");
  assert_int_equal(roost_host_new(&host, NULL), ROOST_EINVAL);
  assert_string_equal(roost_host_error(NULL), "a roost_config is needed");
  assert_int_equal(roost_version(),
                   ROOST_VERSION_MAJOR * 10000 + ROOST_VERSION_MINOR * 100 + ROOST_VERSION_PATCH);
}

static void *refuse(void *ud, void *ptr, size_t old_size, size_t new_size) {
  (void)ud;
  (void)ptr;
  (void)old_size;
  (void)new_size;
  return NULL;
}

static void why_there_is_no_host_is_said(void **state) {
  (void)state;
  roost_host *host;
  roost_config cfg;
  roost_config_init(&cfg);
  cfg.watchdog_signal = SIGKILL;
  assert_int_equal(roost_host_new(&host, &cfg), ROOST_EINVAL);
  assert_string_equal(roost_host_error(NULL), "watchdog_signal: 9 cannot be used");
  cfg.watchdog_signal = 9999;
  assert_int_equal(roost_host_new(&host, &cfg), ROOST_EINVAL);
  assert_string_equal(roost_host_error(NULL), "watchdog_signal: 9999 cannot be used");
  cfg.watchdog_signal = 0;
  cfg.alloc.resize = refuse;
  assert_int_equal(roost_host_new(&host, &cfg), ROOST_ENOMEM);
  assert_string_equal(roost_host_error(NULL), "out of memory");
  cfg.alloc.resize = NULL;
  cfg.memory_limit = 1;
  assert_int_equal(roost_host_new(&host, &cfg), ROOST_ENOMEM);
  assert_string_equal(roost_host_error(NULL), "out of memory");
}

static void a_working_directory_that_was_removed_is_said(void **state) {
  (void)state;
  char folder[] = "/tmp/roost-host-XXXXXX";
  char before[4096];
  roost_host *host;
  roost_config cfg;
  roost_config_init(&cfg);
  assert_non_null(getcwd(before, sizeof before));
  assert_non_null(mkdtemp(folder));
  assert_int_equal(chdir(folder), 0);
  assert_int_equal(rmdir(folder), 0);
  const int status = roost_host_new(&host, &cfg);
  cfg.working_dir = "/";
  const int other = roost_host_new(&host, &cfg); /* which needs it not */
  assert_int_equal(chdir(before), 0);
  assert_int_equal(status, ROOST_ESYSTEM);
  assert_string_equal(roost_host_error(NULL), "the working directory: No such file or directory");
  assert_int_equal(other, 0);
  roost_host_free(host);
}

static void no_host_is_told_so(void **state) {
  (void)state;
  roost_config cfg;
  roost_stats stats = {.struct_size = sizeof stats};
  const roost_slice text = {"1", 1};
  roost_config_init(NULL);
  roost_config_init(&cfg);
  assert_int_equal(roost_host_new(NULL, &cfg), ROOST_EINVAL);
  assert_int_equal(roost_host_set(NULL, "a", "1"), ROOST_EINVAL);
  assert_int_equal(roost_host_load_config(NULL, NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_reload(NULL, NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_reload_config(NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_listen(NULL, "tcp://127.0.0.1:0"), ROOST_EINVAL);
  assert_int_equal(roost_host_inherit(NULL, 0), ROOST_EINVAL);
  assert_int_equal(roost_host_port(NULL, 0), ROOST_EINVAL);
  assert_int_equal(roost_host_connect(NULL, "A", "tcp://127.0.0.1:1"), ROOST_EINVAL);
  assert_int_equal(roost_host_run(NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_poll(NULL, 0), ROOST_EINVAL);
  assert_int_equal(roost_host_poll_budget(NULL, 0), ROOST_EINVAL);
  assert_int_equal(roost_host_fd(NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_timeout(NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_state(NULL), ROOST_STATE_FAILED);
  assert_int_equal(roost_host_stop(NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_post(NULL, NULL, NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_handle(NULL, "a", NULL, NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_module(NULL, "a", NULL), ROOST_EINVAL);
  assert_int_equal(roost_request(NULL, "a", text, text, 0, NULL, NULL), ROOST_EINVAL);
  assert_int_equal(roost_emit(NULL, "a", text, text), ROOST_EINVAL);
  roost_host_stats(NULL, &stats);
  assert_int_equal(stats.services, 0);
}

static void no_call_and_no_params_are_nothing(void **state) {
  (void)state;
  const roost_slice text = {"1", 1};
  assert_null(roost_call_pattern(NULL).ptr);
  assert_null(roost_call_data(NULL).ptr);
  assert_false(roost_call_is_event(NULL));
  assert_int_equal(roost_call_push(NULL, text), ROOST_EINVAL);
  assert_int_equal(roost_call_reply(NULL, text), ROOST_EINVAL);
  assert_int_equal(roost_call_fail(NULL, NULL), ROOST_EINVAL);
  assert_false(roost_params_given(NULL, 0));
  assert_false(roost_params_boolean(NULL, 0));
  assert_int_equal(roost_params_integer(NULL, 0), 0);
  assert_true(roost_params_number(NULL, 0) == 0);
  assert_null(roost_params_text(NULL, 0).ptr);
  assert_null(roost_params_json(NULL, 0).ptr);
  assert_int_equal(roost_return_nil(NULL), ROOST_EINVAL);
  assert_int_equal(roost_return_boolean(NULL, true), ROOST_EINVAL);
  assert_int_equal(roost_return_integer(NULL, 1), ROOST_EINVAL);
  assert_int_equal(roost_return_number(NULL, 1), ROOST_EINVAL);
  assert_int_equal(roost_return_text(NULL, text), ROOST_EINVAL);
  assert_int_equal(roost_return_json(NULL, text), ROOST_EINVAL);
  assert_int_equal(roost_raise(NULL, "x"), ROOST_EINVAL);
}

/* --------------------------------------------------------------------- C handlers ------------ */

static void reply_ud(void *ud, roost_call *call) {
  assert_int_equal(roost_call_reply(call, (roost_slice){ud, strlen(ud)}), 0);
}

static void listeners_and_handlers_without_a_file(void **state) {
  (void)state;
  host_test self;
  char one[] = "1";
  char two[] = "2";
  host_test_init(&self);
  assert_int_equal(roost_host_handle(self.host, "plain", reply_ud, one), 0);
  assert_int_equal(roost_host_listen(self.host, "tcp://127.0.0.1:0"), 0);
  assert_int_equal(roost_host_handle(self.host, "{\"c\":1}", reply_ud, two), 0);
  assert_int_equal(roost_host_handle(self.host, "true", reply_ud, two), ROOST_EINVAL);
  assert_int_equal(roost_host_handle(self.host, "\xff", reply_ud, two), ROOST_EINVAL);
  assert_int_equal(roost_host_handle(self.host, "x", NULL, two), ROOST_EINVAL);
  int fd = host_test_connect(self.host, 0);
  host_test_send(fd, "plain", "1", "1");
  host_test_expect(&self, fd, "{\"response\":1,\"isDisposed\":true,\"id\":\"1\"}");
  host_test_send(fd, "{\\\"c\\\":1}", "1", "2");
  host_test_expect(&self, fd, "{\"response\":2,\"isDisposed\":true,\"id\":\"2\"}");
  close(fd);
  host_test_deinit(&self);
}

static void a_listener_that_fails_leaves_nothing(void **state) {
  (void)state;
  host_test self;
  char url[64];
  host_test_init(&self);
  assert_int_equal(roost_host_listen(self.host, "tcp://127.0.0.1:0"), 0);
  snprintf(url, sizeof url, "tcp://127.0.0.1:%d", roost_host_port(self.host, 0));
  assert_int_equal(roost_host_listen(self.host, url), ROOST_ESYSTEM);
  assert_non_null(strstr(roost_host_error(self.host), url));
  static const char *const wrong[] = {"127.0.0.1:0", "tcp://127.0.0.1", "tcp://:1",
                                      "udp://a:1",   "tcp://a:1234567", "tcp://0.0.0.0:0"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    assert_int_equal(roost_host_listen(self.host, wrong[i]), ROOST_EINVAL);
  /* The tables are built anew for the listeners there are, and for no others. */
  char one[] = "1";
  assert_int_equal(roost_host_handle(self.host, "c", reply_ud, one), 0);
  assert_int_equal(roost_host_port(self.host, 1), ROOST_ENOENT);
  host_test_deinit(&self);
}

/* --------------------------------------------------------------------- posting, inside ------- */

typedef struct posts {
  pthread_t thread;
  roost_host *host;
  int order[100];
  int count;
  int inside;
} posts;

static void on_post(void *ud, roost_host *host) {
  posts *self = ud;
  self->order[self->count] = self->count;
  self->count++;
  self->inside = roost_host_poll(host, 0);
  if (self->count == 100)
    roost_host_stop(host);
}

static void *post_all(void *ud) {
  posts *self = ud;
  for (int i = 0; i < 100; i++)
    roost_host_post(self->host, on_post, self);
  return NULL;
}

static void any_thread_may_post(void **state) {
  (void)state;
  host_test self;
  posts jobs = {.count = 0};
  host_test_init(&self);
  jobs.host = self.host;
  assert_int_equal(pthread_create(&jobs.thread, NULL, post_all, &jobs), 0);
  assert_int_equal(roost_host_run(self.host), 0);
  pthread_join(jobs.thread, NULL);
  assert_int_equal(jobs.count, 100);
  assert_int_equal(jobs.inside, ROOST_ESTATE);
  assert_int_equal(roost_host_post(self.host, on_post, &jobs), 0); /* never run, and freed */
  host_test_deinit(&self);
}

static void the_descriptor_and_the_timeout_say_when_to_poll(void **state) {
  (void)state;
  host_test self;
  host_test_init(&self);
  host_test_load(&self);
  assert_int_equal(roost_host_timeout(self.host), 0);
  while (roost_host_timeout(self.host) == 0)
    assert_int_equal(roost_host_poll(self.host, 0), 1);
  int fd = host_test_connect(self.host, 0);
  host_test_send(fd, "slow", "7", "1");
  char got[128];
  ssize_t n = -1;
  for (int i = 0; i < 2000 && n <= 0; i++) {
    struct pollfd at = {.fd = roost_host_fd(self.host), .events = POLLIN};
    int timeout = roost_host_timeout(self.host);
    poll(&at, 1, timeout < 0 || timeout > 100 ? 100 : timeout);
    assert_int_equal(roost_host_poll(self.host, 0), 1);
    n = recv(fd, got, sizeof got, MSG_DONTWAIT);
  }
  assert_true(n > 0);
  assert_memory_equal(got, "41#{\"response\":7,", 17);
  close(fd);
  host_test_deinit(&self);
}

/* --------------------------------------------------------------------- memory ---------------- */

typedef struct failing {
  pthread_mutex_t mutex; /* the control thread allocates, too */
  long left;             /* allocations that still succeed; < 0: all */
  size_t bytes;
} failing;

static void *failing_resize(void *ud, void *ptr, size_t old_size, size_t new_size) {
  failing *self = ud;
  void *moved = NULL;
  pthread_mutex_lock(&self->mutex);
  bool refused = new_size > old_size && self->left == 0;
  if (new_size > old_size && self->left > 0)
    self->left--;
  if (new_size == 0)
    free(ptr);
  else if (!refused)
    moved = realloc(ptr, new_size);
  if (new_size == 0 || moved != NULL)
    self->bytes += new_size - old_size;
  pthread_mutex_unlock(&self->mutex);
  return moved;
}

/* One life of a host with everything in it, errors ignored. True where all of it worked. */
static bool live(host_test *self) {
  if (roost_host_new(&self->host, &self->cfg) != 0)
    return false;
  char one[] = "1";
  bool fine = roost_host_set(self->host, "log.level", "debug") == 0;
  fine = roost_host_load_config(self->host, "host.lua") == 0 && fine;
  fine = roost_host_handle(self->host, "c", reply_ud, one) == 0 && fine;
  (void)strlen(roost_host_error(self->host));
  int fd = roost_host_port(self->host, 0) > 0 ? host_test_connect(self->host, 0) : -1;
  if (fd >= 0)
    host_test_send(fd, "echo", "{\"a\":[1,2]}", "1");
  size_t received = 0;
  for (int i = 0; i < 6 && roost_host_poll(self->host, 0) == 1; i++) {
    char got[256];
    ssize_t n = fd >= 0 ? recv(fd, got, sizeof got, MSG_DONTWAIT) : -1;
    received += n > 0 ? (size_t)n : 0;
  }
  roost_host_stop(self->host);
  for (int i = 0; i < 50 && roost_host_poll(self->host, 0) == 1; i++)
    ;
  if (fd >= 0)
    close(fd);
  return fine && received > 0;
}

static void a_life_may_fail_at_every_allocation(void **state) {
  (void)state;
  host_test self;
  failing memory = {.left = -1};
  host_test_prepare(&self);
  pthread_mutex_init(&memory.mutex, NULL);
  self.cfg.alloc = (roost_alloc){failing_resize, &memory};
  bool worked = false;
  for (long n = 0; !worked; n += n < 500 ? 1 : 7) {
    memory.left = n;
    worked = live(&self);
    memory.left = -1;
    roost_host_free(self.host);
    self.host = NULL;
    assert_int_equal(memory.bytes, 0);
    assert_true(n < 100000);
  }
  pthread_mutex_destroy(&memory.mutex);
  host_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_host_does_its_job),
      cmocka_unit_test(it_may_be_freed_at_any_time),
      cmocka_unit_test(one_that_was_stopped_first_does_not_run),
      cmocka_unit_test(every_on_stop_runs_to_its_end),
      cmocka_unit_test(an_on_start_that_fails_ends_the_host),
      cmocka_unit_test(what_could_not_be_loaded_is_not_run),
      cmocka_unit_test(keys_can_be_set_before_the_file_is_read),
      cmocka_unit_test(a_wrong_struct_is_refused),
      cmocka_unit_test(why_there_is_no_host_is_said),
      cmocka_unit_test(a_working_directory_that_was_removed_is_said),
      cmocka_unit_test(no_host_is_told_so),
      cmocka_unit_test(no_call_and_no_params_are_nothing),
      cmocka_unit_test(listeners_and_handlers_without_a_file),
      cmocka_unit_test(a_listener_that_fails_leaves_nothing),
      cmocka_unit_test(any_thread_may_post),
      cmocka_unit_test(the_descriptor_and_the_timeout_say_when_to_poll),
      cmocka_unit_test(a_life_may_fail_at_every_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
