/*
 * workers_test.h - a host_test.h host with several workers, whose services are each.lua and
 * one.lua.
 *
 *     int fds[WORKERS];
 *     start_connected(&self, fds);
 *     expect_number(&self, fds[1], "n", "1", 1); // the second worker's
 *     finish(&self, fds, WORKERS);
 */
#ifndef ROOST_TESTS_WORKERS_TEST_H
#define ROOST_TESTS_WORKERS_TEST_H

#include "host_test.h"

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

static inline void put_each(const host_test *self, int version, const char *adopt,
                            const char *start) {
  char text[1024];
  snprintf(text, sizeof text, each_text, version, adopt, start);
  host_test_put(self, "each.lua", text);
}

static inline void put_config(const host_test *self, int workers) {
  char text[256];
  snprintf(text, sizeof text,
           "return { services = { 'each.lua', 'one.lua' }, workers = %d, servers = { { host = "
           "'127.0.0.1', port = 0 } }, reload = { drain_timeout = 5000 } }",
           workers);
  host_test_put(self, "host.lua", text);
}

static inline void prepare(host_test *self, int workers) {
  host_test_init(self);
  put_config(self, workers);
  put_each(self, 1, "", "");
  host_test_put(self, "one.lua", one_text);
}

static inline void start(host_test *self, int workers) {
  prepare(self, workers);
  host_test_load(self);
  host_test_until_logged(self, "msg=\"ready\"");
}

static inline void expect_number(host_test *self, int fd, const char *pattern, const char *data,
                                 int value) {
  char text[96];
  host_test_send(fd, pattern, data, "1");
  snprintf(text, sizeof text, "{\"response\":%d,\"isDisposed\":true,\"id\":\"1\"}", value);
  host_test_expect(self, fd, text);
}

/* One connection to each worker, in turn. */
static inline void connect_all(host_test *self, int fds[], int count) {
  for (int i = 0; i < count; i++) {
    fds[i] = host_test_connect(self->host, 0);
    expect_number(self, fds[i], "version", "1", 1);
  }
}

static inline void close_all(const int fds[], int count) {
  for (int i = 0; i < count; i++)
    close(fds[i]);
}

/* With a connection to each worker. */
static inline void start_connected(host_test *self, int fds[WORKERS]) {
  start(self, WORKERS);
  connect_all(self, fds, WORKERS);
}

static inline void finish(host_test *self, const int fds[], int count) {
  close_all(fds, count);
  host_test_deinit(self);
}

#endif
