#include "transport/nats.h"

#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "transport/nats_durable.h"
#include "transport/session.h"

/* Clients of NATS connect again after two seconds where they are told nothing else. */
#define LATE_MS 2500

void roost_nats_server_log(roost_nats_server *self, roost_log_level level, roost_log_kind kind,
                           const char *msg, roost_slice subject, const char *err) {
  roost_session_log(&self->server, &self->conn.dialer, level, kind, msg, subject,
                    roost_slice_text(err != NULL ? err : ""));
}

static void say(roost_nats_server *self, roost_log_level level, const char *msg, const char *err) {
  roost_session_say(&self->server, &self->conn.dialer, level, msg, err);
}

/* ------------------------------------------------------------------------- the connection ---- */

static void wait_to_retry(roost_nats_server *self, const char *why) {
  (void)roost_session_retry(&self->server, &self->conn.dialer, &self->retry, &self->attempts, why);
}

static void connect_session(roost_nats_server *self) {
  const int status = roost_nats_conn_connect(&self->conn);
  if (status == 0)
    return;
  say(self, ROOST_LOG_WARN, "cannot connect", roost_status_name(status));
  wait_to_retry(self, roost_status_name(status));
}

static void on_retry(roost_timer *timer) {
  roost_nats_server *self = ROOST_LIST_ENTRY(timer, roost_nats_server, retry);
  roost_server_tell(&self->server, ROOST_SERVER_RETRYING, NULL, "");
  connect_session(self);
}

/* What was held while there was no connection goes first: it is the oldest. */
static int send_held(roost_nats_server *self) {
  const int status =
      roost_buffer_append_slice(roost_nats_conn_out(&self->conn), roost_buffer_slice(&self->away));
  roost_buffer_deinit(&self->away);
  return status;
}

static void on_ready(void *ud) {
  roost_nats_server *self = ud;
  const roost_address *remote = roost_dialer_remote(&self->conn.dialer);
  self->attempts = 0;
  self->life++;
  if (self->replies.len > 0 || self->pool.count > 0)
    roost_timer_start(roost_loop_wheel(self->loop), &self->late, LATE_MS);
  if (send_held(self) != 0 || roost_nats_server_subscribe_all(self) != 0) {
    roost_nats_conn_fail(&self->conn, ROOST_ENOMEM, "out of memory");
    return;
  }
  roost_nats_conn_dirty(&self->conn);
  roost_conn_count(self->conn.dialer.link->conn, &self->server.stats.bytes);
  self->server.stats.connections = 1;
  self->server.stats.accepted++;
  if (remote != NULL)
    self->server.address = *remote;
  say(self, ROOST_LOG_INFO, "connected", "");
  roost_server_tell(&self->server, ROOST_SERVER_LISTENING, NULL, "");
}

static void on_closed(void *ud, int status, const char *why) {
  roost_nats_server *self = ud;
  const bool was_there = self->server.stats.connections > 0;
  (void)status;
  self->server.stats.connections = 0;
  say(self, ROOST_LOG_WARN, was_there ? "disconnected" : "cannot connect", why);
  roost_server_tell(&self->server, ROOST_SERVER_LOST, NULL, why);
  if (self->server.draining)
    roost_nats_server_eased(self);
  else
    wait_to_retry(self, why);
}

static void on_writable(void *ud) {
  roost_nats_server *self = ud;
  roost_delivery_pool_writable(&self->pool);
  roost_loop_defer(self->loop, &self->resume);
}

static void on_refused(void *ud, roost_slice text) {
  char err[160];
  snprintf(err, sizeof err, "%.*s", (int)(text.len < sizeof err ? text.len : sizeof err), text.ptr);
  roost_nats_server_log(ud, ROOST_LOG_ERROR, ROOST_LOG_KIND_DENIED, "the server of NATS refuses",
                        (roost_slice){NULL, 0}, err);
}

static void on_pong(void *ud) {
  roost_nats_server_eased(ud);
}

static const roost_nats_conn_ops conn_ops = {.on_ready = on_ready,
                                             .on_message = roost_nats_server_on_message,
                                             .on_writable = on_writable,
                                             .on_pong = on_pong,
                                             .on_refused = on_refused,
                                             .on_closed = on_closed};

/* ------------------------------------------------------------------------- the end ----------- */

static void stop_timers(roost_nats_server *self) {
  roost_wheel *wheel = roost_loop_wheel(self->loop);
  roost_timer_stop(wheel, &self->retry);
  roost_timer_stop(wheel, &self->grace);
  roost_timer_stop(wheel, &self->late);
  roost_timer_stop(wheel, &self->look);
}

static void free_server(roost_nats_server *self) {
  roost_buffer *const buffers[] = {&self->away,     &self->replies, &self->pattern,
                                   &self->metadata, &self->packet,  &self->body};
  stop_timers(self);
  roost_loop_remove_hook(&self->resume);
  roost_delivery_pool_deinit(&self->pool);
  roost_nats_server_drop_crowd(self);
  roost_nats_server_free_subs(self);
  roost_nats_conn_deinit(&self->conn);
  for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
    roost_buffer_deinit(buffers[i]);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static void on_end(void *ud) {
  roost_nats_server *self = ud;
  if (self->closing)
    free_server(self);
  else if (self->server.on_drained != NULL)
    self->server.on_drained(self->server.on_drained_ud, &self->server);
}

static void finish(roost_nats_server *self) {
  if (self->drained)
    return;
  self->drained = true;
  stop_timers(self);
  roost_nats_conn_close(&self->conn);
  self->server.stats.connections = 0;
  roost_loop_defer(self->loop, &self->end);
}

/* A drain: first what the server sent before it knew that we want no more, then the end of all
 * that runs, then a sign that it has our replies. */
void roost_nats_server_eased(void *ud) {
  roost_nats_server *self = ud;
  if (self->crowd_count > 0 && !roost_nats_server_full(self))
    roost_loop_defer(self->loop, &self->resume);
  if (self->closing)
    return;
  if (!self->server.draining) {
    roost_nats_durables_eased(self);
    return;
  }
  const bool is_ready = roost_nats_conn_ready(&self->conn);
  const bool is_quiet = self->pool.count == 0 && self->crowd_count == 0;
  if (is_ready && self->conn.pongs < self->drain_ping)
    return;
  if (is_quiet && is_ready && !self->flushing) {
    self->flushing = true;
    (void)roost_nats_server_send_late(self);
    roost_nats_conn_ping(&self->conn);
    self->drain_ping = self->conn.pings;
  } else if (is_quiet) {
    finish(self);
  }
}

static void on_grace(roost_timer *timer) {
  finish(ROOST_LIST_ENTRY(timer, roost_nats_server, grace));
}

static void on_late(roost_timer *timer) {
  roost_nats_server *self = ROOST_LIST_ENTRY(timer, roost_nats_server, late);
  if (roost_nats_conn_ready(&self->conn) && roost_nats_server_send_late(self) != 0)
    roost_nats_conn_fail(&self->conn, ROOST_ENOMEM, "out of memory");
}

static void on_look(roost_timer *timer) {
  roost_nats_durable_look(ROOST_LIST_ENTRY(timer, roost_nats_server, look));
}

/* ------------------------------------------------------------------------- the server's verbs  */

static int start(roost_server *server) {
  roost_nats_server *self = (roost_nats_server *)server;
  connect_session(self);
  return 0;
}

static void drain(roost_server *server) {
  roost_nats_server *self = (roost_nats_server *)server;
  if (server->draining || self->closing)
    return;
  server->draining = true;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->retry);
  if (roost_nats_conn_ready(&self->conn)) {
    roost_nats_server_unsubscribe_all(self);
    roost_nats_conn_ping(&self->conn);
    self->drain_ping = self->conn.pings;
  } else {
    roost_nats_conn_close(&self->conn);
  }
  if (self->options->graceful_shutdown)
    roost_timer_start(roost_loop_wheel(self->loop), &self->grace, self->options->grace_period_ms);
  roost_server_tell(server, ROOST_SERVER_DRAINING, NULL, "");
  roost_nats_server_eased(self);
}

static void close_server(roost_server *server) {
  roost_nats_server *self = (roost_nats_server *)server;
  if (self->closing)
    return;
  self->closing = true;
  roost_server_let_go(server);
  stop_timers(self);
  roost_nats_conn_close(&self->conn);
  roost_loop_defer(self->loop, &self->end);
}

static const roost_server_ops server_ops = {.start = start,
                                            .drain = drain,
                                            .close = close_server,
                                            .subscribe = roost_nats_server_subscribe};

/* ------------------------------------------------------------------------- making ------------ */

static void init_members(roost_nats_server *self, roost_loop *loop) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  roost_buffer *const buffers[] = {&self->away,     &self->replies, &self->pattern,
                                   &self->metadata, &self->packet,  &self->body};
  self->loop = loop;
  self->resume = (roost_loop_hook){.fn = roost_nats_server_resume, .ud = self};
  self->end = (roost_loop_hook){.fn = on_end, .ud = self};
  roost_list_init(&self->resume.link);
  roost_list_init(&self->end.link);
  roost_list_init(&self->crowd);
  roost_list_init(&self->server.watchers);
  roost_timer_init(&self->retry, on_retry);
  roost_timer_init(&self->grace, on_grace);
  roost_timer_init(&self->late, on_late);
  roost_timer_init(&self->look, on_look);
  for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
    roost_buffer_init(buffers[i], alloc);
  roost_delivery_pool_init(&self->pool, &roost_nats_delivery_ops, alloc, &self->server, self);
}

static int open_server(roost_server **out, roost_loop *loop, const roost_server_config *config,
                       roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                       const char **why) {
  roost_nats_server *self = roost_alloc_get(roost_loop_alloc(loop), sizeof *self);
  *out = NULL;
  *why = "out of memory";
  if (self == NULL)
    return ROOST_ENOMEM;
  self->server.ops = &server_ops;
  self->server.config = config;
  self->server.log = log;
  self->server.sink = sink;
  self->server.sink_ud = sink_ud;
  self->options = config->options;
  init_members(self, loop);
  const int status = roost_nats_conn_init(&self->conn, loop, self->options, &conn_ops, self,
                                          config->max_send_buffer_size);
  self->conn.name = config->name;
  self->conn.max_bytes = config->max_buffer_size;
  if (status != 0) {
    free_server(self);
    return status;
  }
  *out = &self->server;
  return 0;
}

const roost_transport roost_nats_transport = {.name = "nats",
                                              .open_server = open_server,
                                              .new_client = roost_nats_client_new,
                                              .check_files = roost_nats_check_files};
