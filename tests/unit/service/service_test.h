/*
 * service_test.h - a dispatch with the real Lua API, one server whose peers are stubs, and time
 * that the test moves.
 *
 *     service_test self;
 *     service_test_init(&self);
 *     service_test_load(&self, "math", "service:message('two', function() return 2 end)");
 *     service_test_go(&self);
 *     service_test_send(&self, &self.peer, "\"two\"", "null", "\"1\"");
 *     service_test_expect(&self, "last 1 2\n");
 *     service_test_deinit(&self);
 *
 * Services are files in a folder of the test's own; what is given is put between a head that makes
 * roost and service and a tail that returns it. A reply is written down as "KIND ID VALUE\n".
 */
#ifndef ROOST_TESTS_SERVICE_TEST_H
#define ROOST_TESTS_SERVICE_TEST_H

#include "alloc_probe.h"

#include <unistd.h>

#include "bind/bind.h"
#include "core/slice.h"
#include "net/crypto.h"
#include "service/dispatch.h"
#include "transport/transport.h"

typedef struct service_peer {
  roost_origin origin; /* first */
  struct service_test *test;
  const roost_tls_info *tls;    /* what ops->tls says */
  bool crowded;                 /* what ops->crowded says */
  bool refuses;                 /* reply_begin gives NULL */
  bool closed;                  /* ops->close was called */
  unsigned eased;               /* how often */
  const roost_message *waiting; /* what ops->next gives, one after the other */
  size_t waiting_count;
} service_peer;

typedef struct service_test {
  roost_alloc_probe probe;
  roost_clock clock;
  roost_wheel wheel;
  roost_runner runner;
  roost_log *log;
  roost_store *store;
  roost_dispatch *dispatch;
  roost_gate *gate;
  roost_server_config server_config;
  roost_server server;
  service_peer peer;
  service_peer other;
  roost_buffer reply; /* being written */
  bool writing;
  char out[16384];   /* replies so far */
  char lines[16384]; /* logged so far */
  char folder[64];
  char error[2048]; /* why the last load failed */
  unsigned changes; /* calls of on_change */
} service_test;

/* --------------------------------------------------------------------- the stub origin ------- */

static inline service_test *service_test_of(const roost_origin *origin) {
  return ((const service_peer *)origin)->test;
}

static inline void service_test_note(char *to, size_t size, const char *kind, roost_slice id,
                                     roost_slice value) {
  size_t len = strlen(to);
  int added = snprintf(to + len, size - len, "%s %.*s %.*s\n", kind, (int)id.len,
                       id.ptr ? id.ptr : "", (int)value.len, value.len ? value.ptr : "");
  assert_true(added > 0 && (size_t)added < size - len);
}

static inline roost_buffer *service_test_begin(roost_origin *origin, roost_reply_kind kind) {
  service_test *self = service_test_of(origin);
  (void)kind;
  assert_false(self->writing); /* whoever begins must end or undo before the next one does */
  if (((service_peer *)origin)->refuses)
    return NULL;
  self->writing = true;
  roost_buffer_clear(&self->reply);
  return &self->reply;
}

static inline int service_test_end(roost_origin *origin, roost_reply_kind kind, roost_slice id) {
  static const char *const kinds[] = {[ROOST_REPLY_ITEM] = "item",
                                      [ROOST_REPLY_VOID] = "void",
                                      [ROOST_REPLY_LAST] = "last",
                                      [ROOST_REPLY_END] = "end",
                                      [ROOST_REPLY_ERROR] = "error"};
  service_test *self = service_test_of(origin);
  assert_true(self->writing);
  self->writing = false;
  service_test_note(self->out, sizeof self->out, kinds[kind], id, roost_buffer_slice(&self->reply));
  return 0;
}

static inline void service_test_undo(roost_origin *origin) {
  service_test *self = service_test_of(origin);
  assert_true(self->writing);
  self->writing = false;
}

static inline void service_test_unhandled(roost_origin *origin, roost_slice id) {
  service_test *self = service_test_of(origin);
  service_test_note(self->out, sizeof self->out, "unhandled", id, (roost_slice){NULL, 0});
}

static inline bool service_test_next(roost_origin *origin, roost_message *message) {
  service_peer *peer = (service_peer *)origin;
  if (peer->waiting_count == 0)
    return false;
  *message = *peer->waiting++;
  peer->waiting_count--;
  return true;
}

static inline void service_test_eased(roost_origin *origin) {
  ((service_peer *)origin)->eased++;
}

static inline bool service_test_crowded(const roost_origin *origin) {
  return ((const service_peer *)origin)->crowded;
}

static inline const roost_address *service_test_address(const roost_origin *origin) {
  static const roost_address address = {.text = "10.0.0.5", .port = 4711};
  (void)origin;
  return &address;
}

static inline const roost_tls_info *service_test_tls(const roost_origin *origin) {
  return ((const service_peer *)origin)->tls;
}

static inline void service_test_close(roost_origin *origin) {
  ((service_peer *)origin)->closed = true;
}

static const roost_origin_ops service_test_ops = {
    .reply_begin = service_test_begin,
    .reply_end = service_test_end,
    .reply_undo = service_test_undo,
    .reply_unhandled = service_test_unhandled,
    .next = service_test_next,
    .eased = service_test_eased,
    .crowded = service_test_crowded,
    .remote = service_test_address,
    .local = service_test_address,
    .tls = service_test_tls,
    .close = service_test_close,
};

static inline void service_test_log(void *ud, roost_log_level level, roost_slice line) {
  service_test *self = ud;
  (void)level;
  size_t len = strlen(self->lines);
  assert_true(len + line.len + 2 < sizeof self->lines);
  snprintf(self->lines + len, sizeof self->lines - len, "%.*s\n", (int)line.len, line.ptr);
}

/* --------------------------------------------------------------------- making ---------------- */

static inline void service_test_peer(service_test *self, service_peer *peer) {
  *peer =
      (service_peer){.origin = {.ops = &service_test_ops, .server = &self->server}, .test = self};
  roost_list_init(&peer->origin.calls);
}

static inline int service_test_dispatch(service_test *self) {
  const roost_dispatch_config config = {.alloc = &self->probe.alloc,
                                        .clock = &self->clock,
                                        .runner = &self->runner,
                                        .wheel = &self->wheel,
                                        .now_us = &self->clock.now_us,
                                        .log = self->log,
                                        .store = self->store,
                                        .binding = &roost_bind,
                                        .random_bytes = roost_random_bytes,
                                        .working_dir = self->folder,
                                        .request_timeout_ms = 30000};
  int status = roost_dispatch_new(&self->dispatch, &config);
  if (status == 0)
    status = roost_dispatch_add_gate(&self->gate, self->dispatch, &self->server_config);
  return status;
}

static inline void service_test_prepare(service_test *self) {
  memset(self, 0, sizeof *self);
  roost_alloc_probe_init(&self->probe);
  self->clock = (roost_clock){.fake = true, .now_us = 1000000};
  roost_wheel_init(&self->wheel, 1000);
  roost_runner_init(&self->runner);
  roost_server_config_init(&self->server_config);
  self->server_config.name = "public";
  static const roost_server_ops no_ops = {0};
  self->server.ops = &no_ops;
  self->server.config = &self->server_config;
  service_test_peer(self, &self->peer);
  service_test_peer(self, &self->other);
  strcpy(self->folder, "/tmp/roost-service-XXXXXX");
  assert_non_null(mkdtemp(self->folder));
  assert_int_equal(
      roost_log_new(&self->log, roost_alloc_default(), &self->clock, service_test_log, self), 0);
  const roost_store_config store = {roost_alloc_default(), &self->clock, roost_random_bytes};
  assert_int_equal(roost_store_new(&self->store, &store), 0);
  roost_buffer_init(&self->reply, roost_alloc_default());
}

static inline void service_test_init(service_test *self) {
  service_test_prepare(self);
  assert_int_equal(service_test_dispatch(self), 0);
}

static inline void service_test_deinit(service_test *self) {
  char command[96];
  roost_dispatch_free(self->dispatch);
  roost_store_free(self->store);
  roost_log_free(self->log);
  roost_buffer_deinit(&self->reply);
  assert_int_equal(self->probe.bytes, 0);
  assert_int_equal(self->wheel.count, 0);
  assert_false(self->writing);
  snprintf(command, sizeof command, "rm -r '%s'", self->folder);
  assert_int_equal(system(command), 0);
}

/* --------------------------------------------------------------------- services -------------- */

static inline void service_test_changed(void *ud, roost_generation *generation) {
  (void)generation;
  ((service_test *)ud)->changes++;
}

static inline void service_test_write(const service_test *self, const char *name,
                                      const char *text) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s.lua", self->folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

/* Loads the file as it is. NULL: it could not be, see self->error. */
static inline roost_generation *service_test_load_file(service_test *self, const char *name) {
  char path[128];
  roost_buffer error;
  roost_service *service;
  roost_generation *generation = NULL;
  snprintf(path, sizeof path, "%s/%s.lua", self->folder, name);
  roost_buffer_init(&error, roost_alloc_default());
  int status = roost_dispatch_add_service(&service, self->dispatch, name, self->folder, path);
  if (status == 0)
    status = roost_generation_load(&generation, service, &error);
  snprintf(self->error, sizeof self->error, "%.*s", (int)error.len, error.len ? error.ptr : "");
  roost_buffer_deinit(&error);
  assert_true((status == 0) == (generation != NULL));
  if (generation == NULL)
    return NULL;
  service->current = generation;
  generation->on_change = service_test_changed;
  generation->on_change_ud = self;
  return generation;
}

static inline roost_generation *service_test_load(service_test *self, const char *name,
                                                  const char *code) {
  static const char head[] = "local roost = require 'roost' local service = roost.service() ";
  char text[8192];
  int len = snprintf(text, sizeof text, "%s%s\nreturn service\n", head, code);
  assert_true(len > 0 && (size_t)len < sizeof text);
  service_test_write(self, name, text);
  roost_generation *generation = service_test_load_file(self, name);
  if (generation == NULL)
    print_error("%s\n", self->error);
  assert_non_null(generation);
  return generation;
}

/* Makes all services live. */
static inline void service_test_go(service_test *self) {
  for (size_t i = 0; i < self->dispatch->service_count; i++)
    roost_generation_publish(self->dispatch->services[i]->current);
  assert_int_equal(roost_dispatch_rebuild(self->dispatch, NULL, NULL), 0);
}

/* --------------------------------------------------------------------- running --------------- */

static inline void service_test_turn(service_test *self) {
  for (int round = 0; round < 16 && roost_runner_turn(&self->runner, UINT64_MAX); round++)
    ;
  roost_dispatch_flush(self->dispatch);
  roost_log_drain(self->log);
}

static inline void service_test_advance(service_test *self, uint64_t ms) {
  for (; ms > 0; ms--) {
    roost_clock_advance_ms(&self->clock, 1);
    roost_wheel_advance(&self->wheel, self->wheel.now_ms + 1);
    service_test_turn(self);
  }
}

static inline roost_slice service_test_text(const char *text) {
  return text ? roost_slice_text(text) : (roost_slice){NULL, 0};
}

/* Hands in a message whose bytes are gone afterwards; NULL: that member is missing. */
static inline int service_test_try(service_test *self, service_peer *peer, const char *pattern,
                                   const char *data, const char *id) {
  const char *const parts[] = {pattern, data, id};
  roost_slice slices[3];
  for (size_t i = 0; i < 3; i++) {
    char *copy = parts[i] ? strdup(parts[i]) : NULL;
    slices[i] = service_test_text(copy);
  }
  const roost_message message = {.pattern = slices[0], .data = slices[1], .id = slices[2]};
  int status = roost_dispatch_sink.on_message(self->gate, &peer->origin, &message);
  for (size_t i = 0; i < 3; i++)
    free((char *)slices[i].ptr);
  return status;
}

static inline void service_test_send(service_test *self, service_peer *peer, const char *pattern,
                                     const char *data, const char *id) {
  assert_int_equal(service_test_try(self, peer, pattern, data, id), 0);
  service_test_turn(self);
}

static inline void service_test_gone(service_test *self, service_peer *peer, bool reachable) {
  peer->origin.gone = true;
  roost_dispatch_sink.on_gone(self->gate, &peer->origin, reachable);
  service_test_turn(self);
}

static inline void service_test_writable(service_test *self, service_peer *peer) {
  peer->crowded = false;
  roost_dispatch_sink.on_writable(self->gate, &peer->origin);
  service_test_turn(self);
}

/* What was replied since the last look. */
static inline void service_test_expect(service_test *self, const char *replies) {
  assert_string_equal(self->out, replies);
  self->out[0] = '\0';
}

/* That text was logged since the last look. */
static inline void service_test_expect_line(service_test *self, const char *text) {
  roost_log_drain(self->log);
  if (strstr(self->lines, text) == NULL)
    print_error("logged: %s\n", self->lines);
  assert_non_null(strstr(self->lines, text));
}

static inline void service_test_forget(service_test *self) {
  self->out[0] = self->lines[0] = '\0';
}

#endif
