/*
 * Reloads that are asked for at a host's admin socket, through roost.h and HTTP.
 */
#include "alloc_probe.h"

#include <pthread.h>
#include <unistd.h>

#include "admin/client.h"
#include "core/slice.h"

#define TIMEOUT_MS 20000

typedef struct fixture {
  char folder[64];
  roost_config cfg;
  roost_host *host;
  pthread_t thread; /* of the one who asks */
  const char *target;
  int status;        /* of the request */
  roost_buffer text; /* the answer, NUL-terminated */
  bool over;         /* the host's thread: the answer is there */
} fixture;

static void ignore_line(void *ud, roost_log_level level, roost_slice line) {
  (void)ud;
  (void)level;
  (void)line;
}

static void put(const fixture *self, const char *name, const char *text) {
  char path[160];
  snprintf(path, sizeof path, "%s/%s", self->folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static int set_up(void **state) {
  fixture *self = calloc(1, sizeof *self);
  *state = self;
  strcpy(self->folder, "/tmp/roost-remote-XXXXXX");
  assert_non_null(mkdtemp(self->folder));
  put(self, "host.lua",
      "return { services = { 'a.lua', 'b.lua' }, servers = {}, admin = { http = false } }");
  put(self, "a.lua", "return require('roost').service()");
  put(self, "b.lua", "return require('roost').service()");
  roost_config_init(&self->cfg);
  self->cfg.log = ignore_line;
  self->cfg.working_dir = self->folder;
  roost_buffer_init(&self->text, roost_alloc_default());
  assert_int_equal(roost_host_new(&self->host, &self->cfg), 0);
  if (roost_host_load_config(self->host, "host.lua") != 0)
    fail_msg("%s", roost_host_error(self->host));
  return 0;
}

static int tear_down(void **state) {
  fixture *self = *state;
  char command[96];
  roost_host_free(self->host);
  roost_buffer_deinit(&self->text);
  snprintf(command, sizeof command, "rm -r '%s'", self->folder);
  const int failed = system(command);
  free(self);
  return failed;
}

static void on_over(void *ud, roost_host *host) {
  (void)host;
  ((fixture *)ud)->over = true;
}

static void *ask(void *ud) {
  fixture *self = ud;
  roost_admin_reply reply;
  const char *why;
  roost_buffer_clear(&self->text);
  self->status = roost_admin_request(&reply, &self->text, self->folder, "run/roost.sock", "POST",
                                     self->target, TIMEOUT_MS, &why);
  if (roost_buffer_append_byte(&self->text, '\0') == 0 && self->status == 0)
    (void)roost_host_post(self->host, on_over, self);
  return NULL;
}

static void begin(fixture *self, const char *target) {
  self->target = target;
  self->over = false;
  assert_int_equal(pthread_create(&self->thread, NULL, ask, self), 0);
}

/* Expects this text somewhere in the answer. */
static void expect(fixture *self, const char *target, const char *text) {
  begin(self, target);
  while (!self->over)
    assert_int_equal(roost_host_poll(self->host, 100), 1);
  pthread_join(self->thread, NULL);
  assert_int_equal(self->status, 0);
  if (strstr(self->text.ptr, text) == NULL)
    fail_msg("%s: %s", target, self->text.ptr);
}

/* From which generation is not said: files that were written just now may count as changed, too. */
static void outcomes_come_back(void **state) {
  fixture *self = *state;
  expect(self, "/reload", "[{\"service\":\"a\",\"from\":");
  expect(self, "/reload", ",\"refused\":null},{\"service\":\"b\",\"from\":");
  expect(self, "/reload/b", "[{\"service\":\"b\",\"from\":");
  put(self, "b.lua", "error('no way')");
  expect(self, "/reload/b", ",\"to\":0,\"refused\":\"b.lua:1: no way");
  expect(self, "/reload/c", "\"refused\":\"there is no such service\"");
}

static void a_host_that_stops_reloads_nothing(void **state) {
  fixture *self = *state;
  assert_int_equal(roost_host_poll(self->host, 0), 1);
  assert_int_equal(roost_host_stop(self->host), 0);
  begin(self, "/reload/a");
  /* The drain is over at once; what was posted meanwhile is seen to by the end. */
  while (roost_host_poll(self->host, 10) > 0)
    continue;
  roost_host_free(self->host);
  self->host = NULL;
  pthread_join(self->thread, NULL);
}

/* Nobody polls: the worker never hears of it. */
static void the_end_overtakes_what_was_asked(void **state) {
  fixture *self = *state;
  begin(self, "/reload");
  usleep(20000); /* so that it is under way most of the time; either way is right */
  roost_host_free(self->host);
  self->host = NULL;
  pthread_join(self->thread, NULL);
  assert_int_not_equal(self->status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(outcomes_come_back),
      TEST(a_host_that_stops_reloads_nothing),
      TEST(the_end_overtakes_what_was_asked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
