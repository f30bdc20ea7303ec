/*
 * host_test.h - a whole host over a folder of its own, whose only service is a.lua, and callers
 * that speak bytes.
 *
 *     host_test self;
 *     host_test_init(&self);
 *     host_test_load(&self);
 *     int fd = host_test_connect(self.host, 0);
 *     host_test_send(fd, "echo", "1", "1");
 *     host_test_expect(&self, fd, "{\"response\":1,\"isDisposed\":true,\"id\":\"1\"}");
 *     host_test_deinit(&self);
 */
#ifndef ROOST_TESTS_HOST_TEST_H
#define ROOST_TESTS_HOST_TEST_H

#include "alloc_probe.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "roost.h"

/* --------------------------------------------------------------------- a tree of files ------- */

typedef struct host_test {
  char folder[64];
  char config[96];
  char lines[16384]; /* logged; written by the control thread until the host is freed */
  pthread_mutex_t mutex;
  roost_config cfg;
  roost_host *host;
} host_test;

static inline void host_test_log(void *ud, roost_log_level level, roost_slice line) {
  host_test *self = ud;
  (void)level;
  pthread_mutex_lock(&self->mutex);
  size_t len = strlen(self->lines);
  if (len + line.len + 2 < sizeof self->lines)
    snprintf(self->lines + len, sizeof self->lines - len, "%.*s\n", (int)line.len, line.ptr);
  pthread_mutex_unlock(&self->mutex);
}

static inline void host_test_put(const host_test *self, const char *name, const char *text) {
  char path[160];
  snprintf(path, sizeof path, "%s/%s", self->folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static inline void host_test_prepare(host_test *self) {
  memset(self, 0, sizeof *self);
  pthread_mutex_init(&self->mutex, NULL);
  strcpy(self->folder, "/tmp/roost-host-XXXXXX");
  assert_non_null(mkdtemp(self->folder));
  snprintf(self->config, sizeof self->config, "%s/host.lua", self->folder);
  host_test_put(self, "host.lua",
                "return { services = 'a.lua', servers = { { host = '127.0.0.1', port = 0 "
                "} }, reload = { drain_timeout = 5000 } }");
  host_test_put(self, "a.lua",
                "local roost = require 'roost' local service = roost.service() "
                "service:message('echo', function(d) return d end)"
                "service:message('slow', function(d) roost.sleep(20) return d end)"
                "service:message('fail', function() error('boom') end)"
                "service:on_stop(function() print('goodbye') end) return service");
  roost_config_init(&self->cfg);
  self->cfg.log = host_test_log;
  self->cfg.log_ud = self;
  self->cfg.working_dir = self->folder;
}

static inline void host_test_init(host_test *self) {
  host_test_prepare(self);
  assert_int_equal(roost_host_new(&self->host, &self->cfg), 0);
}

static inline void host_test_deinit(host_test *self) {
  char command[96];
  roost_host_free(self->host);
  pthread_mutex_destroy(&self->mutex);
  snprintf(command, sizeof command, "rm -r '%s'", self->folder);
  assert_int_equal(system(command), 0);
}

static inline void host_test_load(host_test *self) {
  int status = roost_host_load_config(self->host, "host.lua");
  if (status != 0)
    print_error("%s\n", roost_host_error(self->host));
  assert_int_equal(status, 0);
}

static inline bool host_test_has_logged(host_test *self, const char *text) {
  pthread_mutex_lock(&self->mutex);
  const bool found = strstr(self->lines, text) != NULL;
  pthread_mutex_unlock(&self->mutex);
  return found;
}

/* Polls until a line with this text has been logged. */
static inline void host_test_until_logged(host_test *self, const char *text) {
  for (int i = 0; i < 4000 && !host_test_has_logged(self, text); i++)
    assert_true(roost_host_poll(self->host, 5) >= 0);
  if (!host_test_has_logged(self, text))
    print_error("not logged: %s in\n%s", text, self->lines);
  assert_true(host_test_has_logged(self, text));
}

/* --------------------------------------------------------------------- a client -------------- */

static inline int host_test_connect(const roost_host *host, size_t server) {
  const int port = roost_host_port(host, server);
  assert_true(port > 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

static inline void host_test_send(int fd, const char *pattern, const char *data, const char *id) {
  char packet[256];
  char frame[300];
  int len = snprintf(packet, sizeof packet, "{\"pattern\":\"%s\",\"data\":%s,\"id\":\"%s\"}",
                     pattern, data, id);
  snprintf(frame, sizeof frame, "%d#%s", len, packet);
  assert_int_equal(send(fd, frame, strlen(frame), MSG_NOSIGNAL), strlen(frame));
}

/* Polls until a frame with this JSON text (ASCII) has come on fd, the client's side. */
static inline void host_test_expect(host_test *self, int fd, const char *json) {
  char text[512];
  char got[512];
  snprintf(text, sizeof text, "%zu#%s", strlen(json), json);
  size_t len = 0;
  for (int i = 0; i < 2000 && len < strlen(text); i++) {
    assert_true(roost_host_poll(self->host, 5) >= 0);
    ssize_t n = recv(fd, got + len, sizeof got - 1 - len, MSG_DONTWAIT);
    if (n > 0)
      len += (size_t)n;
  }
  got[len] = '\0';
  assert_string_equal(got, text);
}

static inline void host_test_run(host_test *self) {
  int status = 1;
  for (int i = 0; i < 4000 && status == 1; i++)
    status = roost_host_poll(self->host, 5);
  assert_int_equal(status, 0);
}

#endif
