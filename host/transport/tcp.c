#include "core/error_text.h"
#include "core/slice.h"
#include "transport/tcp_internal.h"

void roost_tcp_log(roost_tcp_server *server, roost_log_level level, roost_log_kind kind,
                   const char *msg, const roost_address *peer, const char *err) {
  roost_log *log = server->server.log;
  roost_log_line line;
  if (log == NULL || !roost_log_enabled(log, level) || !roost_log_limited(log, kind))
    return;
  roost_log_begin(&line, log, level, roost_slice_text(msg));
  roost_log_text(&line, "server", roost_slice_text(server->server.config->name));
  roost_log_address(&line, "peer", peer);
  roost_log_text(&line, "err", roost_slice_text(err));
  roost_log_end(&line);
}

void roost_tcp_log_closed(roost_tcp_server *server, const roost_conn *conn, int status) {
  if (status == ROOST_EFULL)
    roost_tcp_log(server, ROOST_LOG_WARN, ROOST_LOG_KIND_LIMIT,
                  "peer does not read, connection closed", roost_conn_remote(conn),
                  "max_send_buffer_size");
  else if (status == ROOST_ETIMEDOUT)
    roost_tcp_log(server, ROOST_LOG_INFO, ROOST_LOG_KIND_LIMIT, "idle connection closed",
                  roost_conn_remote(conn), "idle_timeout");
}

/* --------------------------------------------------------------------- the end --------------- */

static void free_server(roost_tcp_server *self) {
  roost_tcp_rest_deinit(self);
  roost_buffer_deinit(&self->packet);
  roost_buffer_deinit(&self->body);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static void on_end(void *ud) {
  roost_tcp_server *self = ud;
  if (self->listener != NULL || self->server.stats.connections > 0)
    return;
  if (self->closing) {
    free_server(self);
    return;
  }
  if (self->server.draining && self->server.on_drained != NULL)
    self->server.on_drained(self->server.on_drained_ud, &self->server);
}

void roost_tcp_server_released(roost_tcp_server *self) {
  self->server.stats.connections--;
  if (self->closing || self->server.draining)
    roost_loop_defer(self->loop, &self->end);
}

/* --------------------------------------------------------------------- the listener's calls -- */

static void on_accept(void *ud, roost_conn *conn) {
  roost_tcp_server *self = ud;
  if (self->closing) {
    roost_conn_close(conn);
    return;
  }
  roost_tcp_rest_begin(self, conn);
}

/* Whoever only looks whether somebody listens here is worth no more than a debug line. */
static void on_insecure(roost_tcp_server *self, int status, const char *why,
                        const roost_address *address) {
  roost_tcp_log(self, status == ROOST_EGONE ? ROOST_LOG_DEBUG : ROOST_LOG_WARN, ROOST_LOG_KIND_TLS,
                "TLS handshake failed", address, roost_error_text(why));
}

static void on_refused(void *ud, int status, const char *why, const roost_address *address) {
  roost_tcp_server *self = ud;
  if (status == ROOST_ECONNECT || status == ROOST_EGONE) {
    on_insecure(self, status, why, address);
    return;
  }
  if (status == ROOST_ESYSTEM && address == NULL) {
    roost_tcp_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_ACCEPT,
                  "accepting paused until descriptors are free", NULL, why);
    return;
  }
  self->server.stats.denied++;
  roost_tcp_log(self, ROOST_LOG_WARN, ROOST_LOG_KIND_LIMIT, "connection refused", address, why);
}

static void on_lost(void *ud, const char *why) {
  roost_tcp_server *self = ud;
  roost_tcp_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_ACCEPT, "listening socket lost", NULL, why);
  roost_server_tell(&self->server, ROOST_SERVER_LOST, NULL, why);
}

static void on_listening(void *ud) {
  roost_tcp_server *self = ud;
  self->server.address = *roost_listener_address(self->listener);
  roost_tcp_log(self, ROOST_LOG_WARN, ROOST_LOG_KIND_ACCEPT, "listening again",
                &self->server.address, "");
  roost_server_tell(&self->server, ROOST_SERVER_LISTENING, NULL, "");
}

static void on_listener_closed(void *ud) {
  roost_tcp_server *self = ud;
  self->listener = NULL;
  roost_loop_defer(self->loop, &self->end);
}

static const roost_listener_ops listener_ops = {
    .on_accept = on_accept,
    .on_refused = on_refused,
    .on_lost = on_lost,
    .on_listening = on_listening,
    .on_closed = on_listener_closed,
};

/* --------------------------------------------------------------------- the server's verbs ---- */

static int start(roost_server *server) {
  roost_tcp_server *self = (roost_tcp_server *)server;
  if (self->listener != NULL && server->config->tls != NULL && !self->is_secured)
    return ROOST_ESTATE;
  const int status = self->listener != NULL ? roost_listener_start(self->listener) : 0;
  if (status == 0)
    roost_server_tell(server, ROOST_SERVER_LISTENING, NULL, "");
  return status;
}

static void drain(roost_server *server) {
  roost_tcp_server *self = (roost_tcp_server *)server;
  if (server->draining || self->closing)
    return;
  if (self->listener != NULL)
    roost_listener_close(self->listener); /* which accepts who is waiting */
  server->draining = true;
  for (roost_list *link = self->sessions.next; link != &self->sessions; link = link->next)
    roost_tcp_session_drain(ROOST_LIST_ENTRY(link, roost_tcp_session, link));
  roost_tcp_rest_drain(self);
  roost_server_tell(server, ROOST_SERVER_DRAINING, NULL, "");
  roost_loop_defer(self->loop, &self->end);
}

static void close_server(roost_server *server) {
  roost_tcp_server *self = (roost_tcp_server *)server;
  if (self->closing)
    return;
  self->closing = true;
  roost_server_let_go(server);
  if (self->listener != NULL)
    roost_listener_close(self->listener);
  for (roost_list *link = self->sessions.next; link != &self->sessions; link = link->next)
    roost_tcp_session_close(ROOST_LIST_ENTRY(link, roost_tcp_session, link));
  roost_tcp_rest_close(self);
  roost_loop_defer(self->loop, &self->end);
}

static void secure(roost_server *server, roost_tls_context *context) {
  roost_tcp_server *self = (roost_tcp_server *)server;
  self->is_secured = true;
  const int64_t expires = roost_tls_context_expires(context);
  server->cert_expires = expires < INT64_MAX ? expires : 0;
  if (self->listener != NULL)
    roost_listener_set_tls(self->listener, context, server->config->handshake_timeout);
}

static int descriptor(const roost_server *server) {
  const roost_tcp_server *self = (const roost_tcp_server *)server;
  return self->listener != NULL ? roost_listener_descriptor(self->listener) : -1;
}

static const roost_server_ops server_ops = {.start = start,
                                            .drain = drain,
                                            .close = close_server,
                                            .secure = secure,
                                            .descriptor = descriptor};

int roost_tcp_server_new(roost_server **out, roost_loop *loop, const roost_server_config *config,
                         roost_log *log, const roost_sink_ops *sink, void *sink_ud) {
  *out = NULL;
  roost_tcp_server *self = roost_alloc_get(roost_loop_alloc(loop), sizeof *self);
  if (self == NULL)
    return ROOST_ENOMEM;
  self->server.ops = &server_ops;
  self->server.config = config;
  self->server.log = log;
  self->server.sink = sink;
  self->server.sink_ud = sink_ud;
  self->loop = loop;
  self->end.fn = on_end;
  self->end.ud = self;
  self->digits = 2;
  roost_list_init(&self->sessions);
  roost_tcp_rest_init(self);
  roost_buffer_init(&self->packet, roost_loop_alloc(loop));
  roost_buffer_init(&self->body, roost_loop_alloc(loop));
  roost_list_init(&self->server.watchers);
  *out = &self->server;
  return 0;
}

int roost_tcp_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                          roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                          const char **why) {
  *why = "out of memory";
  int status = roost_tcp_server_new(out, loop, config, log, sink, sink_ud);
  if (status != 0)
    return status;
  roost_tcp_server *self = (roost_tcp_server *)*out;
  const roost_listener_config listener = {
      .host = config->host,
      .port = config->port,
      .backlog = config->backlog,
      .max_connections = config->max_connections,
      .max_connections_per_ip = config->max_connections_per_ip,
      .retry_attempts = config->retry_attempts,
      .retry_delay_ms = config->retry_delay,
  };
  status = roost_listener_open(&self->listener, loop, &listener, &listener_ops, self, why);
  if (status != 0) {
    free_server(self);
    *out = NULL;
    return status;
  }
  self->server.address = *roost_listener_address(self->listener);
  return 0;
}

int roost_tcp_server_open_shared(roost_server **out, roost_loop *loop,
                                 const roost_server_config *config, const roost_address *address,
                                 roost_log *log, const roost_sink_ops *sink, void *sink_ud) {
  int status = roost_tcp_server_new(out, loop, config, log, sink, sink_ud);
  if (status != 0)
    return status;
  roost_tcp_server *self = (roost_tcp_server *)*out;
  status = roost_listener_open_shared(&self->listener, loop, &listener_ops, self);
  if (status != 0) {
    free_server(self);
    *out = NULL;
    return status;
  }
  self->server.address = *address;
  return 0;
}

int roost_tcp_server_share(roost_server *server, roost_server *const *others, size_t count,
                           size_t *held) {
  roost_tcp_server *self = (roost_tcp_server *)server;
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  if (count == 0)
    return self->listener != NULL ? roost_listener_share(self->listener, NULL, 0, NULL) : 0;
  roost_listener **listeners = roost_alloc_get(alloc, count * sizeof(roost_listener *));
  if (listeners == NULL)
    return ROOST_ENOMEM;
  for (size_t i = 0; i < count; i++)
    listeners[i] = ((const roost_tcp_server *)others[i])->listener;
  const int status = roost_listener_share(self->listener, listeners, count, held);
  roost_alloc_put(alloc, listeners, count * sizeof(roost_listener *));
  return status;
}

int roost_tcp_server_adopt(roost_server *server, roost_conn *conn) {
  roost_tcp_server *self = (roost_tcp_server *)server;
  if (self->closing || server->draining) {
    roost_conn_close(conn);
    return ROOST_ESTATE;
  }
  roost_tcp_rest_begin(self, conn);
  return 0;
}
