/*
 * roost_host_reload_config: what it reads, what it refuses, and that a refusal changes
 * nothing.
 */
#include "net/tls_test.h"

#include "roost.h"

typedef struct fixture {
  char folder[64];
  tls_identity ca;
  tls_identity first;
  tls_identity second;
  roost_host *host;
  pthread_mutex_t mutex; /* of lines, which the control thread writes */
  char lines[8192];
} fixture;

static void keep_line(void *ud, roost_log_level level, roost_slice line) {
  fixture *self = ud;
  (void)level;
  pthread_mutex_lock(&self->mutex);
  const size_t len = strlen(self->lines);
  snprintf(self->lines + len, sizeof self->lines - len, "%.*s\n", (int)line.len, line.ptr);
  pthread_mutex_unlock(&self->mutex);
}

static bool is_logged(fixture *self, const char *text) {
  pthread_mutex_lock(&self->mutex);
  const bool found = strstr(self->lines, text) != NULL;
  pthread_mutex_unlock(&self->mutex);
  return found;
}

/* Has it read its configuration again, until that line is logged. */
static void reload(fixture *self, const char *line) {
  pthread_mutex_lock(&self->mutex);
  self->lines[0] = '\0';
  pthread_mutex_unlock(&self->mutex);
  assert_int_equal(roost_host_reload_config(self->host), 0);
  for (int i = 0; i < 5000 && !is_logged(self, line); i++)
    assert_true(roost_host_poll(self->host, 1) >= 0);
  if (!is_logged(self, line))
    print_error("logged: %s\n", self->lines);
  assert_true(is_logged(self, line));
}

static void put(const fixture *self, const char *name, const char *text) {
  char path[160];
  snprintf(path, sizeof path, "%s/%s", self->folder, name);
  unlink(path);
  const int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  assert_true(file >= 0);
  assert_int_equal(write(file, text, strlen(text)), strlen(text));
  close(file);
}

static void install(const fixture *self, const tls_identity *identity) {
  put(self, "key.pem", identity->key);
  put(self, "cert.pem", identity->cert);
}

static int begin(void **state) {
  fixture *self = calloc(1, sizeof *self);
  roost_config config;
  *state = self;
  strcpy(self->folder, "/tmp/roost-host-XXXXXX");
  assert_non_null(mkdtemp(self->folder));
  self->ca = tls_identity_make((tls_wanted){.cn = "authority"});
  self->first = tls_identity_make((tls_wanted){.cn = "first", .issuer = &self->ca});
  self->second = tls_identity_make((tls_wanted){.cn = "second", .issuer = &self->ca});
  install(self, &self->first);
  put(self, "host.lua",
      "return { services = {}, servers = { { host = '127.0.0.1', port = 0 }, { host = '127.0.0.1', "
      "port = 0, tls = { key = 'key.pem', cert = 'cert.pem' } } } }");
  roost_config_init(&config);
  pthread_mutex_init(&self->mutex, NULL);
  config.log = keep_line;
  config.log_ud = self;
  config.working_dir = self->folder;
  assert_int_equal(roost_host_new(&self->host, &config), 0);
  return 0;
}

static int end(void **state) {
  fixture *self = *state;
  char command[96];
  roost_host_free(self->host);
  tls_identity_free(&self->ca);
  tls_identity_free(&self->first);
  tls_identity_free(&self->second);
  snprintf(command, sizeof command, "rm -r '%s'", self->folder);
  const int left = system(command);
  free(self);
  return left;
}

/* Whose certificate the listener shows: CN=... */
static void assert_shown(const fixture *self, const char *subject) {
  net_test test;
  net_record record;
  net_test_init(&test);
  const roost_tls_config config = {.insecure = true};
  roost_tls_context *context = tls_context_make(&test.probe.alloc, false, &config);
  net_record_init(&record, NULL);
  const int port = roost_host_port(self->host, 1);
  assert_int_equal(roost_conn_dial(&record.conn, test.loop, "127.0.0.1", (uint16_t)port, 0,
                                   &net_record_ops, &record),
                   0);
  assert_int_equal(roost_conn_start_tls(record.conn, context, NULL, 0), 0);
  for (int i = 0; i < 2000 && record.opened == 0; i++) {
    assert_true(roost_host_poll(self->host, 1) >= 0);
    net_test_turn(&test);
  }
  assert_string_equal(roost_conn_tls_info(record.conn)->subject, subject);
  roost_conn_close(record.conn);
  net_test_turns(&test, 5);
  roost_tls_context_release(context);
  net_record_deinit(&record);
  net_test_deinit(&test);
}

static void nothing_is_loaded_yet(void **state) {
  fixture *self = *state;
  assert_int_equal(roost_host_reload_config(self->host), ROOST_ESTATE);
  assert_string_not_equal(roost_host_error(self->host), "");
}

static void new_files_are_shown_and_wrong_ones_are_not(void **state) {
  fixture *self = *state;
  assert_int_equal(roost_host_load_config(self->host, "host.lua"), 0);
  assert_shown(self, "CN=first");
  reload(self, "msg=\"configuration reloaded\"");
  assert_shown(self, "CN=first");
  install(self, &self->second);
  reload(self, "msg=\"configuration reloaded\"");
  assert_true(is_logged(self, "msg=\"certificates reloaded\" server=2"));
  assert_shown(self, "CN=second");
  put(self, "key.pem", self->first.key);
  reload(self, "msg=\"configuration not reloaded, the old one stays\" err=\"host.lua: "
               "servers[2].tls.key: key.pem: does not belong to the certificate in cert.pem\"");
  assert_shown(self, "CN=second");
}

static void a_wrong_one_is_not_started_with(void **state) {
  fixture *self = *state;
  put(self, "cert.pem", "nothing\n");
  assert_int_equal(roost_host_load_config(self->host, "host.lua"), ROOST_ECONFIG);
  assert_string_equal(roost_host_error(self->host),
                      "host.lua: servers[2].tls.cert: cert.pem: there is no certificate in it");
  assert_int_equal(roost_host_reload_config(self->host), ROOST_ESTATE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(nothing_is_loaded_yet),
      TEST(new_files_are_shown_and_wrong_ones_are_not),
      TEST(a_wrong_one_is_not_started_with),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
