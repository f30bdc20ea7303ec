/*
 * The admin pages as they are served: a worker with a service, its loop on a thread of its own or
 * not driven at all, the control thread, and requests over both doors.
 */
#include "alloc_probe.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/client.h"
#include "core/slice.h"
#include "net/crypto.h"

#define TIMEOUT_MS 20000

typedef struct fixture {
  char folder[64];
  roost_clock clock;
  roost_log *log;
  roost_control *control;
  roost_store *store;
  roost_worker *worker;
  roost_settings *settings;
  roost_problems problems;
  roost_admin *admin;
  roost_admin_config config;
  pthread_t thread; /* of the worker */
  bool driven;
  roost_buffer bytes; /* of the last answer */
  /* What reload was asked, and says. */
  char service[32];
  int refuses;
  bool later; /* it answers when told to */
  void (*done)(void *ud, roost_slice json);
  void *done_ud;
} fixture;

static void ignore_line(void *ud, roost_log_level level, roost_slice line) {
  (void)ud;
  (void)level;
  (void)line;
}

/* --------------------------------------------------------------------- the host -------------- */

static void load_settings(fixture *self, const char *admin) {
  char text[256];
  snprintf(text, sizeof text, "return { services = {}, servers = {}, admin = %s }", admin);
  const roost_settings_source source = {
      .path = "host.lua", .text = text, .working_dir = self->folder};
  roost_settings_free(self->settings);
  assert_int_equal(
      roost_settings_load(&self->settings, roost_alloc_default(), &source, &self->problems), 0);
}

static void load_service(fixture *self) {
  char path[96];
  roost_found_list found;
  snprintf(path, sizeof path, "%s/math.lua", self->folder);
  FILE *file = fopen(path, "w");
  fputs("local service = require('roost').service() "
        "service:message('sum', function() return 1 end) return service",
        file);
  fclose(file);
  roost_found_init(&found, roost_alloc_default());
  assert_int_equal(roost_found_add(&found, self->folder, "math.lua", NULL, NULL), 0);
  assert_int_equal(roost_worker_load(self->worker, &found, &self->problems), 0);
  assert_int_equal(
      roost_worker_check_conflicts(self->worker, ROOST_PROBLEM_WARNING, &self->problems), 0);
  roost_found_deinit(&found);
}

static int reload(void *ud, const char *service, void (*done)(void *done_ud, roost_slice json),
                  void *done_ud) {
  fixture *self = ud;
  snprintf(self->service, sizeof self->service, "%s", service ? service : "all");
  if (self->refuses != 0)
    return self->refuses;
  self->done = done;
  self->done_ud = done_ud;
  if (!self->later)
    done(done_ud, ROOST_SLICE("[{\"at\":\"once\"}]"));
  return 0;
}

static const roost_admin_ops ops = {.reload = reload};

static int set_up(void **state) {
  fixture *self = calloc(1, sizeof *self);
  const roost_alloc *alloc = roost_alloc_default();
  const roost_store_config store = {alloc, &self->clock, roost_random_bytes};
  strcpy(self->folder, "/tmp/roost-admin-XXXXXX");
  roost_buffer_init(&self->bytes, alloc);
  roost_problems_init(&self->problems, alloc);
  if (mkdtemp(self->folder) == NULL ||
      roost_log_new(&self->log, alloc, &self->clock, ignore_line, NULL) != 0 ||
      roost_control_start(&self->control, alloc, self->log) != 0 ||
      roost_store_new(&self->store, &store) != 0)
    return 1;
  const roost_worker_config worker = {.alloc = alloc,
                                      .clock = &self->clock,
                                      .log = self->log,
                                      .store = self->store,
                                      .working_dir = self->folder};
  if (roost_worker_new(&self->worker, &worker) != 0)
    return 1;
  load_service(self);
  load_settings(self, "{ socket = 'run/a.sock', http = '127.0.0.1:0' }");
  self->config = (roost_admin_config){.alloc = alloc,
                                      .log = self->log,
                                      .control = self->control,
                                      .worker = self->worker,
                                      .settings = self->settings,
                                      .working_dir = self->folder,
                                      .ops = &ops,
                                      .ud = self};
  *state = self;
  return 0;
}

static void *drive(void *ud) {
  roost_loop_run(ud);
  return NULL;
}

static void stop_driving(void *ud) {
  roost_loop_stop(ud);
}

static void open_admin(fixture *self) {
  assert_int_equal(roost_admin_open(&self->admin, &self->config, &self->problems), 0);
  assert_int_equal(self->problems.count, 0);
  assert_non_null(self->admin);
}

static void start(fixture *self) {
  roost_worker_start(self->worker);
  assert_int_equal(self->worker->state, ROOST_WORKER_RUNNING);
  assert_int_equal(pthread_create(&self->thread, NULL, drive, self->worker->loop), 0);
  self->driven = true;
}

static void stop(fixture *self) {
  if (!self->driven)
    return;
  assert_int_equal(roost_loop_post(self->worker->loop, stop_driving, self->worker->loop), 0);
  pthread_join(self->thread, NULL);
  self->driven = false;
}

static int tear_down(void **state) {
  fixture *self = *state;
  char command[96];
  stop(self);
  roost_admin_close(self->admin);
  roost_worker_free(self->worker);
  roost_store_free(self->store);
  roost_control_stop(self->control);
  roost_admin_free(self->admin);
  roost_log_free(self->log);
  roost_settings_free(self->settings);
  roost_problems_deinit(&self->problems);
  roost_buffer_deinit(&self->bytes);
  snprintf(command, sizeof command, "rm -r '%s'", self->folder);
  const int failed = system(command);
  free(self);
  return failed;
}

/* --------------------------------------------------------------------- requests -------------- */

/* Expects this code, and text somewhere in the body. */
static void expect(fixture *self, const char *method, const char *target, int code,
                   const char *text) {
  roost_admin_reply reply;
  const char *why = "";
  roost_buffer_clear(&self->bytes);
  const int status = roost_admin_request(&reply, &self->bytes, self->folder, "run/a.sock", method,
                                         target, TIMEOUT_MS, &why);
  if (status != 0)
    fail_msg("%s %s: %d, %s", method, target, status, why);
  assert_int_equal(roost_buffer_append_byte(&self->bytes, '\0'), 0);
  if (reply.code != code || strstr(self->bytes.ptr, text) == NULL)
    fail_msg("%s %s: %s", method, target, self->bytes.ptr);
}

static int connect_http(const fixture *self) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(roost_admin_port(self->admin))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

/* What an HTTP connection says until it ends. */
static const char *talk_http(fixture *self, const char *text) {
  const int fd = connect_http(self);
  ssize_t n;
  char part[4096];
  roost_buffer_clear(&self->bytes);
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
  while ((n = recv(fd, part, sizeof part, 0)) > 0)
    assert_int_equal(roost_buffer_append(&self->bytes, part, (size_t)n), 0);
  close(fd);
  assert_int_equal(roost_buffer_append_byte(&self->bytes, '\0'), 0);
  return self->bytes.ptr;
}

/* --------------------------------------------------------------------- tests ----------------- */

static void all_pages_are_served(void **state) {
  fixture *self = *state;
  open_admin(self);
  start(self);
  expect(self, "GET", "/live", 200, "live");
  expect(self, "GET", "/ready", 200, "ready");
  expect(self, "GET", "/status", 200, "\"math\":{\"state\":\"live\",\"generation\":1");
  expect(self, "GET", "/status", 200, "\"stuck\":false");
  expect(self, "GET", "/status?pretty=1", 200, "\"config\":\"host.lua\"");
  expect(self, "GET", "/services/math", 200, "\"patterns\":[\"sum\"]");
  expect(self, "GET", "/services/m%61th", 200, "\"patterns\":[\"sum\"]");
  expect(self, "GET", "/services/other", 404, "no service of that name");
  expect(self, "GET", "/metrics", 200,
         "\nroost_requests_total{service=\"math\",pattern=\"sum\",kind=\"message\",outcome=\"ok\"} "
         "0\n");
  expect(self, "GET", "/nothing", 404, "not found");
  expect(self, "PUT", "/status", 405, "Allow: GET, HEAD\r\n");
}

static void the_port_has_all_but_reload(void **state) {
  fixture *self = *state;
  open_admin(self);
  start(self);
  assert_non_null(strstr(talk_http(self, "GET /status HTTP/1.0\r\n\r\n"), "\"state\":\"running\""));
  assert_non_null(strstr(talk_http(self, "POST /reload HTTP/1.0\r\n\r\n"), " 404 "));
  assert_string_equal(self->service, "");
  assert_non_null(strstr(talk_http(self, "HEAD /status HTTP/1.0\r\n\r\n"), " 200 OK"));
  assert_null(strstr(self->bytes.ptr, "running"));
  assert_non_null(strstr(talk_http(self, "GET / HTTP/1.0\r\n\r\n"), " 404 "));
  talk_http(self, "nonsense\r\n\r\n"); /* and the next one is served */
  expect(self, "GET", "/live", 200, "live");
}

static void bodies_are_bounded(void **state) {
  fixture *self = *state;
  open_admin(self);
  start(self);
  assert_non_null(
      strstr(talk_http(self, "POST /status HTTP/1.0\r\nContent-Length: 1000000\r\n\r\n"), " 413 "));
  assert_non_null(
      strstr(talk_http(self, "POST /status HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"), " 405 "));
  expect(self, "GET", "/live", 200, "live");
}

/* Nobody drives the worker's loop: it does not answer, as one that is busy for ever. */
static void a_worker_that_does_not_answer_is_stuck(void **state) {
  fixture *self = *state;
  open_admin(self);
  expect(self, "GET", "/live", 200, "live");
  expect(self, "GET", "/ready", 503, "starting");
  expect(self, "GET", "/status", 200, "\"state\":\"starting\",\"stuck\":true");
  expect(self, "GET", "/metrics", 200, "roost_worker_stuck{worker=\"0\"} 1");
  start(self);
  for (int i = 0; i < 1000; i++) { /* at the latest when it has answered the old question */
    expect(self, "GET", "/status", 200, "\"state\":");
    if (strstr(self->bytes.ptr, "\"stuck\":false") != NULL)
      break;
  }
  expect(self, "GET", "/status", 200, "\"state\":\"running\",\"stuck\":false");
  stop(self);
  expect(self, "GET", "/status", 200, "\"state\":\"running\",\"stuck\":true");
  expect(self, "GET", "/services/math", 200, "\"state\":\"live\"");
}

static void reload_answers_at_once_or_says_why_not(void **state) {
  fixture *self = *state;
  open_admin(self);
  expect(self, "POST", "/reload", 200, "[{\"at\":\"once\"}]");
  assert_string_equal(self->service, "all");
  expect(self, "POST", "/reload/a%20b", 200, "[{\"at\":\"once\"}]");
  assert_string_equal(self->service, "a b");
  self->refuses = ROOST_ENOENT;
  expect(self, "POST", "/reload/x", 404, "no service of that name");
  self->refuses = ROOST_ENOMEM;
  expect(self, "POST", "/reload/x", 503, "ENOMEM");
  expect(self, "GET", "/reload", 405, "Allow: POST\r\n");
}

static void without_ops_there_is_no_reload(void **state) {
  fixture *self = *state;
  self->config.ops = NULL;
  open_admin(self);
  expect(self, "POST", "/reload", 501, "cannot reload");
}

static void finish_reload(void *ud) {
  const fixture *self = ud;
  self->done(self->done_ud, ROOST_SLICE("[\"later\"]"));
}

/* Lets it end as soon as it has begun: asked again and again on the control thread. */
static void finish_when_begun(void *ud) {
  fixture *self = ud;
  if (self->done != NULL)
    finish_reload(ud);
  else
    assert_int_equal(roost_control_post(self->control, finish_when_begun, self), 0);
}

static void reload_may_take_its_time(void **state) {
  fixture *self = *state;
  self->later = true;
  open_admin(self);
  assert_int_equal(roost_control_post(self->control, finish_when_begun, self), 0);
  expect(self, "POST", "/reload", 200, "[\"later\"]");
}

typedef struct look {
  const fixture *self;
  bool begun;
} look;

static void look_at_reload(void *ud) {
  look *at = ud;
  at->begun = at->self->done != NULL;
}

/* Sends a reload and does not wait for the answer. */
static int send_reload(fixture *self) {
  static const char text[] = "POST /reload HTTP/1.1\r\nHost: x\r\n\r\n";
  struct sockaddr_un_path {
    sa_family_t family;
    char path[108];
  } address = {.family = AF_UNIX};
  snprintf(address.path, sizeof address.path, "%s/run/a.sock", self->folder);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(send(fd, text, sizeof text - 1, MSG_NOSIGNAL), sizeof text - 1);
  for (look at = {.self = self}; !at.begun;)
    roost_control_call(self->control, look_at_reload, &at);
  return fd;
}

static void who_asked_for_a_reload_may_leave(void **state) {
  fixture *self = *state;
  self->later = true;
  open_admin(self);
  close(send_reload(self));
  expect(self, "GET", "/live", 200, "live");
  roost_control_call(self->control, finish_reload, self);
  expect(self, "GET", "/live", 200, "live");
}

static void the_end_may_come_before_that_of_a_reload(void **state) {
  fixture *self = *state;
  self->later = true;
  open_admin(self);
  const int fd = send_reload(self);
  roost_admin_close(self->admin);
  char byte;
  assert_int_equal(recv(fd, &byte, 1, 0), 0);
  close(fd);
  roost_control_call(self->control, finish_reload, self);
}

static void the_end_may_come_while_a_report_is_waited_for(void **state) {
  fixture *self = *state;
  open_admin(self);
  const int fd = connect_http(self);
  assert_int_equal(send(fd, "GET /status HTTP/1.1\r\n\r\n", 24, MSG_NOSIGNAL), 24);
  expect(self, "GET", "/live", 200, "live"); /* by then the other one has been read, too */
  roost_admin_close(self->admin);
  close(fd);
}

static bool is_there(const fixture *self) {
  char path[96];
  struct stat info;
  snprintf(path, sizeof path, "%s/run/a.sock", self->folder);
  return lstat(path, &info) == 0;
}

static void what_was_asked_for_must_be_had(void **state) {
  fixture *self = *state;
  roost_admin *other;
  char admin[96];
  open_admin(self);
  assert_int_equal(roost_admin_open(&other, &self->config, &self->problems), ROOST_ESYSTEM);
  assert_null(other);
  assert_string_equal(self->problems.items[0].text,
                      "host.lua: admin.socket: cannot listen on run/a.sock: another host answers "
                      "there");
  assert_true(is_there(self));
  roost_settings *first = self->settings;
  self->settings = NULL;
  snprintf(admin, sizeof admin, "{ socket = false, http = '127.0.0.1:%u' }",
           roost_admin_port(self->admin));
  load_settings(self, admin);
  roost_admin_config config = self->config;
  config.settings = self->settings;
  assert_int_equal(roost_admin_open(&other, &config, &self->problems), ROOST_ESYSTEM);
  assert_int_equal(self->problems.errors, 2);
  assert_non_null(strstr(self->problems.items[1].text, "admin.http: cannot listen on 127.0.0.1:"));
  self->settings->admin_http_given = false; /* as the default */
  assert_int_equal(roost_admin_open(&other, &config, &self->problems), 0);
  assert_null(other);
  assert_int_equal(self->problems.errors, 2);
  assert_non_null(strstr(self->problems.items[2].text, "; going on without it"));
  roost_settings_free(self->settings);
  self->settings = first;
  roost_admin_close(self->admin);
  assert_false(is_there(self));
}

static void false_is_neither(void **state) {
  fixture *self = *state;
  load_settings(self, "{ socket = false, http = false }");
  self->config.settings = self->settings;
  assert_int_equal(roost_admin_open(&self->admin, &self->config, &self->problems), 0);
  assert_null(self->admin);
  assert_int_equal(roost_admin_port(self->admin), 0);
}

static void memory_may_be_short(void **state) {
  fixture *self = *state;
  roost_alloc_probe probe;
  roost_admin *admin;
  roost_alloc_probe_init(&probe);
  probe.refuse_after = 0;
  roost_admin_config config = self->config;
  config.alloc = &probe.alloc;
  assert_int_equal(roost_admin_open(&admin, &config, &self->problems), ROOST_ENOMEM);
  assert_null(admin);
  assert_false(is_there(self));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(all_pages_are_served),
      TEST(the_port_has_all_but_reload),
      TEST(bodies_are_bounded),
      TEST(a_worker_that_does_not_answer_is_stuck),
      TEST(reload_answers_at_once_or_says_why_not),
      TEST(without_ops_there_is_no_reload),
      TEST(reload_may_take_its_time),
      TEST(who_asked_for_a_reload_may_leave),
      TEST(the_end_may_come_before_that_of_a_reload),
      TEST(the_end_may_come_while_a_report_is_waited_for),
      TEST(what_was_asked_for_must_be_had),
      TEST(false_is_neither),
      TEST(memory_may_be_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
