/*
 * The server behind RabbitMQ: its session with the broker, from start to drain.
 */
#include "transport/rmq.h"

#include <string.h>

#include "core/slice.h"
#include "transport/rmq_server.h"
#include "transport/session.h"

#define GOODBYE_MS 5000 /* for the broker to take what it was sent */

static roost_rmq_server *of(roost_server *server) {
  return (roost_rmq_server *)server;
}

static void say(const roost_rmq_server *self, roost_log_level level, const char *msg,
                const char *err) {
  roost_session_say(&self->server, &self->connection.dialer, level, msg, err);
}

void roost_rmq_log(const roost_rmq_server *self, roost_log_level level, roost_log_kind kind,
                   const char *msg, const char *err) {
  roost_session_log(&self->server, &self->connection.dialer, level, kind, msg,
                    (roost_slice){NULL, 0}, roost_slice_text(err));
}

bool roost_rmq_is_full(const roost_rmq_server *self) {
  const uint32_t most = self->server.config->max_in_flight;
  const roost_rmq_session *session = roost_rmq_session_of(&self->connection);
  return (most > 0 && self->pool.count - self->streams >= most) ||
         (session != NULL && roost_conn_crowded(session->link.conn));
}

/* ------------------------------------------------------------------------- the connection ---- */

static void connect_again(roost_rmq_server *self, const char *why) {
  (void)roost_session_retry(&self->server, &self->connection.dialer, &self->timer, &self->attempts,
                            why);
}

static void on_closed(void *ud, int status, const char *why) {
  roost_rmq_server *self = ud;
  self->is_consuming = false;
  roost_delivery_pool_abandon(&self->pool);
  if (self->closing)
    return;
  if (self->server.draining) {
    self->has_ended = self->has_left = true;
    roost_loop_defer(self->loop, &self->end);
    return;
  }
  if (status == ROOST_EFULL)
    why = "max_send_buffer_size";
  say(self, ROOST_LOG_WARN, "disconnected", why);
  roost_server_tell(&self->server, ROOST_SERVER_LOST, NULL, why);
  connect_again(self, why);
}

static void try_to_connect(roost_rmq_server *self) {
  const int status = roost_rmq_connection_open(&self->connection);
  if (status != 0)
    on_closed(self, status, roost_status_name(status));
}

static void on_timer(roost_timer *timer) {
  roost_rmq_server *self = ROOST_LIST_ENTRY(timer, roost_rmq_server, timer);
  if (self->server.draining) { /* the broker has had time enough */
    self->has_left = self->is_leaving;
    self->has_ended = true;
    roost_loop_defer(self->loop, &self->end);
    return;
  }
  roost_server_tell(&self->server, ROOST_SERVER_RETRYING, NULL, "");
  try_to_connect(self);
}

static void on_ready(void *ud, roost_rmq_session *session) {
  roost_rmq_server *self = ud;
  const char *why = "";
  roost_conn_count(session->link.conn, &self->server.stats.bytes);
  if (roost_rmq_sent(session, roost_rmq_setup(self, session, &why)) == ROOST_EINVAL)
    roost_rmq_connection_fail(&self->connection, ROOST_ECONNECT, why);
}

/* ------------------------------------------------------------------------- events ------------ */

static void ask_to_end(roost_rmq_server *self, roost_rmq_session *session) {
  const int status =
      roost_rmq_write_cancel(session->codec, roost_rmq_out(session), ROOST_RMQ_CHANNEL,
                             (roost_slice){self->tag, self->tag_len});
  (void)roost_rmq_sent(session, status);
  roost_timer_start(roost_loop_wheel(self->loop), &self->timer, GOODBYE_MS);
}

/* The broker will send us the queue's messages. */
static void on_consuming(roost_rmq_server *self, roost_rmq_session *session, roost_slice tag) {
  self->is_consuming = true;
  self->attempts = 0;
  self->tag_len = tag.len;
  if (tag.len > 0)
    memcpy(self->tag, tag.ptr, tag.len);
  self->server.address = *roost_conn_remote(session->link.conn);
  self->server.stats.accepted++;
  if (self->server.draining) {
    ask_to_end(self, session);
    return;
  }
  say(self, ROOST_LOG_INFO, "connected", "");
  roost_server_tell(&self->server, ROOST_SERVER_LISTENING, NULL, "");
}

static void on_blocked(roost_rmq_server *self, const roost_rmq_event *event) {
  char why[256];
  const bool is_blocked = event->kind == ROOST_RMQ_BLOCKED;
  const size_t len = event->text.len < sizeof why - 1 ? event->text.len : sizeof why - 1;
  if (len > 0)
    memcpy(why, event->text.ptr, len);
  why[len] = '\0';
  roost_rmq_log(self, is_blocked ? ROOST_LOG_WARN : ROOST_LOG_INFO, ROOST_LOG_KIND_LIMIT,
                is_blocked ? "the broker takes no messages" : "the broker takes messages again",
                why);
  roost_server_tell(&self->server, is_blocked ? ROOST_SERVER_BLOCKED : ROOST_SERVER_UNBLOCKED, NULL,
                    why);
}

static void on_writable(void *ud) {
  roost_rmq_server *self = ud;
  roost_delivery_pool_writable(&self->pool);
  if (!roost_rmq_is_full(self))
    roost_rmq_connection_resume(&self->connection);
}

static bool on_event(void *ud, roost_rmq_session *session, const roost_rmq_event *event) {
  roost_rmq_server *self = ud;
  switch (event->kind) {
  case ROOST_RMQ_DELIVERY:
    roost_rmq_take_delivery(self, event);
    break;
  case ROOST_RMQ_CONSUME_OK:
    on_consuming(self, session, event->text);
    break;
  case ROOST_RMQ_CANCEL:
    roost_rmq_connection_fail(&self->connection, ROOST_EGONE, "the queue is gone");
    break;
  case ROOST_RMQ_CANCEL_OK:
    self->has_ended = true;
    roost_timer_stop(roost_loop_wheel(self->loop), &self->timer);
    roost_loop_defer(self->loop, &self->end);
    break;
  case ROOST_RMQ_CHANNEL_CLOSE_OK:
    self->has_left = true;
    roost_loop_defer(self->loop, &self->end);
    break;
  case ROOST_RMQ_BLOCKED:
  case ROOST_RMQ_UNBLOCKED:
    on_blocked(self, event);
    if (event->kind == ROOST_RMQ_UNBLOCKED)
      on_writable(self);
    break;
  default:
    break;
  }
  return !roost_rmq_is_full(self);
}

static const roost_rmq_connection_ops connection_ops = {
    .on_ready = on_ready, .on_event = on_event, .on_writable = on_writable, .on_closed = on_closed};

/* ------------------------------------------------------------------------- the end ----------- */

static void free_server(roost_rmq_server *self) {
  roost_timer_stop(roost_loop_wheel(self->loop), &self->timer);
  roost_rmq_connection_deinit(&self->connection);
  roost_rmq_routes_free(self);
  roost_buffer_deinit(&self->body);
  roost_buffer_deinit(&self->coded);
  roost_buffer_deinit(&self->packet);
  roost_buffer_deinit(&self->text);
  roost_buffer_deinit(&self->route);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

/* Everything is answered and settled: it goes once the broker has all that, which the end of the
 * channel says. */
static void leave(roost_rmq_server *self) {
  roost_rmq_session *session = roost_rmq_ready(&self->connection);
  self->is_leaving = true;
  if (session == NULL) {
    self->has_left = true;
    return;
  }
  const int status =
      roost_rmq_write_channel_close(session->codec, roost_rmq_out(session), ROOST_RMQ_CHANNEL);
  (void)roost_rmq_sent(session, status);
  roost_timer_start(roost_loop_wheel(self->loop), &self->timer, GOODBYE_MS);
}

/* The connection, whose channel has ended, does so, too. */
static void say_goodbye(roost_rmq_server *self) {
  const roost_rmq_session *session = roost_rmq_ready(&self->connection);
  if (session != NULL && roost_rmq_write_close(session->codec, roost_rmq_out(session),
                                               ROOST_RMQ_GOODBYE_CODE, ROOST_SLICE("")) == 0)
    roost_conn_dirty(session->link.conn);
  roost_dialer_close(&self->connection.dialer);
}

static void on_end(void *ud) {
  roost_rmq_server *self = ud;
  if (self->closing) {
    free_server(self);
    return;
  }
  if (!self->server.draining || !self->has_ended || self->pool.count > 0)
    return;
  if (self->connection.is_paused && !self->is_leaving && !roost_rmq_is_full(self)) {
    roost_rmq_connection_resume(&self->connection); /* there may be messages in what was not read */
    roost_loop_defer(self->loop, &self->end);
    return;
  }
  if (!self->is_leaving)
    leave(self);
  if (!self->has_left)
    return;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->timer);
  say_goodbye(self);
  if (self->server.on_drained != NULL)
    self->server.on_drained(self->server.on_drained_ud, &self->server);
}

/* ------------------------------------------------------------------------- the server's verbs  */

static int start(roost_server *server) {
  try_to_connect(of(server));
  return 0;
}

static void drain(roost_server *server) {
  roost_rmq_server *self = of(server);
  roost_rmq_session *session = roost_rmq_ready(&self->connection);
  if (server->draining || self->closing)
    return;
  server->draining = true;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->timer);
  if (self->is_consuming && session != NULL) {
    ask_to_end(self, session);
  } else if (session == NULL) { /* else it is asked to end as soon as it has begun */
    roost_dialer_close(&self->connection.dialer);
    self->has_ended = true;
  }
  roost_server_tell(server, ROOST_SERVER_DRAINING, NULL, "");
  roost_loop_defer(self->loop, &self->end);
}

static void close_server(roost_server *server) {
  roost_rmq_server *self = of(server);
  if (self->closing)
    return;
  self->closing = true;
  roost_server_let_go(server);
  roost_timer_stop(roost_loop_wheel(self->loop), &self->timer);
  roost_delivery_pool_deinit(&self->pool);
  roost_rmq_connection_close(&self->connection);
  roost_loop_defer(self->loop, &self->end);
}

static int subscribe(roost_server *server, const roost_subscription *routes, size_t count) {
  return roost_rmq_routes_set(of(server), routes, count);
}

static const roost_server_ops server_ops = {
    .start = start, .drain = drain, .close = close_server, .subscribe = subscribe};

/* ------------------------------------------------------------------------- making ------------ */

int roost_rmq_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                          roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                          const char **why) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  roost_rmq_server *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  *why = "out of memory";
  if (self == NULL)
    return ROOST_ENOMEM;
  self->server = (roost_server){
      .ops = &server_ops, .config = config, .log = log, .sink = sink, .sink_ud = sink_ud};
  roost_list_init(&self->server.watchers);
  self->loop = loop;
  self->options = config->options;
  roost_rmq_connection_init(&self->connection, loop, self->options, config->max_send_buffer_size,
                            &connection_ops, self);
  self->connection.name = config->name;
  self->connection.max_body = config->max_buffer_size;
  roost_delivery_pool_init(&self->pool, &roost_rmq_delivery_ops, alloc, &self->server, self);
  if (self->options->no_ack)
    self->pool.settles = false; /* the broker wants to know nothing */
  roost_timer_init(&self->timer, on_timer);
  self->end = (roost_loop_hook){.fn = on_end, .ud = self};
  roost_list_init(&self->end.link);
  roost_buffer *buffers[] = {&self->body, &self->coded, &self->packet, &self->text, &self->route};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
    roost_buffer_init(buffers[i], alloc);
  *out = &self->server;
  return 0;
}

void roost_rmq_server_set_dial(roost_server *server, roost_dial_fn *fn, void *ud) {
  of(server)->connection.dialer.dial = fn;
  of(server)->connection.dialer.dial_ud = ud;
}

const roost_transport roost_rmq_transport = {
    .name = "rmq", .open_server = roost_rmq_server_open, .new_client = roost_rmq_client_new};
