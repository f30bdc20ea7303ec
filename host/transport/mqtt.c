/*
 * The server side of MQTT: a session with the broker that is made again for as long as the server
 * is there, or as often as it is told to try.
 */
#include "transport/mqtt.h"

#include "core/slice.h"
#include "transport/mqtt_internal.h"
#include "transport/session.h"
#include "wire/json.h"

/* ------------------------------------------------------------------------- logging ----------- */

void roost_mqtt_log(const roost_mqtt_server *self, roost_log_level level, roost_log_kind kind,
                    const char *msg, roost_slice pattern, const char *err) {
  roost_session_log(&self->server, &self->session.dialer, level, kind, msg, pattern,
                    roost_slice_text(err));
}

static void log_session(const roost_mqtt_server *self, roost_log_level level, const char *msg,
                        const char *err) {
  roost_session_say(&self->server, &self->session.dialer, level, msg, err);
}

/* ------------------------------------------------------------------------- deliveries -------- */

static roost_mqtt_delivery *of_delivery(roost_delivery *delivery) {
  return (roost_mqtt_delivery *)delivery;
}

static void init_delivery(roost_delivery *delivery) {
  roost_buffer_init(&of_delivery(delivery)->topic, delivery->pool->alloc);
}

static void clear_delivery(roost_delivery *delivery) {
  roost_buffer_clear(&of_delivery(delivery)->topic);
  roost_buffer_trim(&of_delivery(delivery)->topic, 256);
  of_delivery(delivery)->id = 0;
}

static void deinit_delivery(roost_delivery *delivery) {
  roost_buffer_deinit(&of_delivery(delivery)->topic);
}

static const char *truth(bool value) {
  return value ? "true" : "false";
}

/* What ctx:unwrap() shows: Nest's packet, as far as it is no property. */
static int facts(const roost_origin *origin, roost_buffer *out) {
  const roost_mqtt_delivery *delivery = (const roost_mqtt_delivery *)origin;
  const size_t suffix = sizeof ROOST_MQTT_REPLY_SUFFIX - 1;
  int status = roost_buffer_append(out, "{\"topic\":", 9);
  if (status == 0)
    status = roost_json_write_string(
        out, roost_slice_of(delivery->topic.ptr, delivery->topic.len - suffix));
  if (status == 0)
    status = roost_buffer_printf(out, ",\"qos\":%u,\"retain\":%s,\"dup\":%s", delivery->qos,
                                 truth(delivery->retain), truth(delivery->dup));
  if (status == 0 && delivery->id != 0)
    status = roost_buffer_printf(out, ",\"packet_id\":%u", delivery->id);
  return status == 0 ? roost_buffer_append_byte(out, '}') : status;
}

static void eased(void *ud) {
  roost_mqtt_go_on(ud);
}

static const roost_delivery_ops delivery_ops = {
    .size = sizeof(roost_mqtt_delivery),
    .origin = {.reply_begin = roost_mqtt_reply_begin,
               .reply_end = roost_mqtt_reply_end,
               .reply_undo = roost_mqtt_reply_undo,
               .reply_unhandled = roost_mqtt_reply_unhandled,
               .crowded = roost_mqtt_reply_crowded,
               .facts = facts},
    .init = init_delivery,
    .clear = clear_delivery,
    .deinit = deinit_delivery,
    .settled = roost_mqtt_settled,
    .eased = eased};

/* ------------------------------------------------------------------------- connecting -------- */

static void connect_later(roost_mqtt_server *self, const char *why) {
  (void)roost_session_retry(&self->server, &self->session.dialer, &self->retry, &self->attempts,
                            why);
}

static void connect(roost_mqtt_server *self) {
  const int status = roost_mqtt_session_connect(&self->session);
  if (status == 0)
    return;
  log_session(self, ROOST_LOG_WARN, "cannot connect", roost_status_name(status));
  connect_later(self, roost_status_name(status));
}

static void on_retry(roost_timer *timer) {
  roost_mqtt_server *self = ROOST_LIST_ENTRY(timer, roost_mqtt_server, retry);
  roost_server_tell(&self->server, ROOST_SERVER_RETRYING, NULL, "");
  connect(self);
}

static void on_up(void *ud, bool present) {
  roost_mqtt_server *self = ud;
  const roost_address *address = roost_dialer_remote(&self->session.dialer);
  self->attempts = 0;
  self->was_subscribed = false;
  self->server.stats.connections = 1;
  self->server.stats.accepted++;
  if (address != NULL)
    self->server.address = *address;
  if (!present)
    roost_mqtt_received_forget(&self->received);
  log_session(self, ROOST_LOG_INFO, "connected", "");
  roost_mqtt_subscribe_all(self);
  if (self->session.state == ROOST_MQTT_UP && roost_list_empty(&self->asks))
    roost_mqtt_subscribed(self);
}

void roost_mqtt_subscribed(roost_mqtt_server *self) {
  if (self->server.draining) {
    roost_mqtt_go_on(self);
  } else if (!self->was_subscribed) {
    self->was_subscribed = true;
    roost_server_tell(&self->server, ROOST_SERVER_LISTENING, NULL, "");
  }
}

static void end_drain(roost_mqtt_server *self) {
  self->drained = true;
  roost_loop_defer(self->loop, &self->end);
}

static void on_down(void *ud, int status, const char *why) {
  roost_mqtt_server *self = ud;
  if (self->finishing) {
    end_drain(self);
    return;
  }
  const bool was_up = self->server.stats.connections > 0;
  (void)status;
  self->server.stats.connections = 0;
  roost_mqtt_forget_asks(self);
  log_session(self, ROOST_LOG_WARN, was_up ? "disconnected" : "cannot connect", why);
  roost_server_tell(&self->server, ROOST_SERVER_LOST, NULL, why);
  if (self->server.draining)
    roost_mqtt_go_on(self);
  else
    connect_later(self, why);
}

static void on_answer(void *ud, const roost_mqtt_packet *packet) {
  roost_mqtt_server *self = ud;
  if (packet->type == ROOST_MQTT_PUBREL)
    roost_mqtt_on_release(self, packet->id);
  else if (packet->type == ROOST_MQTT_SUBACK || packet->type == ROOST_MQTT_UNSUBACK)
    roost_mqtt_take_answer(self, packet);
}

static void on_writable(void *ud) {
  roost_mqtt_server *self = ud;
  roost_delivery_pool_writable(&self->pool);
}

static const roost_mqtt_session_ops session_ops = {.on_up = on_up,
                                                   .on_publish = roost_mqtt_on_publish,
                                                   .on_answer = on_answer,
                                                   .on_writable = on_writable,
                                                   .on_down = on_down};

/* ------------------------------------------------------------------------- the server's verbs */

/* Nothing runs any more, and nothing that was delivered is unread. */
static void finish_drain(roost_mqtt_server *self) {
  if (self->finishing || self->pool.count > 0 || !roost_list_empty(&self->asks))
    return;
  self->finishing = true;
  self->server.stats.connections = 0;
  if (!roost_mqtt_session_end(&self->session))
    end_drain(self);
}

void roost_mqtt_go_on(roost_mqtt_server *self) {
  const uint32_t limit = self->server.config->max_in_flight;
  if (self->closing)
    return;
  const bool is_durable = self->server.draining && !self->options->clean;
  if (self->session.blocked && !is_durable && (limit == 0 || self->pool.count < limit))
    roost_mqtt_session_block(&self->session, false);
  if (self->server.draining)
    finish_drain(self);
}

static int start(roost_server *server) {
  roost_mqtt_server *self = (roost_mqtt_server *)server;
  if (self->is_started)
    return 0;
  self->is_started = true;
  connect(self);
  return 0;
}

/* What a session that is kept has subscribed to stays so: what comes now is for the next life. */
static void drain(roost_server *server) {
  roost_mqtt_server *self = (roost_mqtt_server *)server;
  if (server->draining || self->closing)
    return;
  server->draining = true;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->retry);
  if (self->session.state != ROOST_MQTT_UP) {
    roost_mqtt_session_close(&self->session);
  } else if (self->options->clean) {
    roost_mqtt_unsubscribe_all(self);
  } else {
    roost_mqtt_forget_asks(self); /* nothing is read any more, answers neither */
    roost_mqtt_session_block(&self->session, true);
  }
  roost_server_tell(server, ROOST_SERVER_DRAINING, NULL, "");
  finish_drain(self);
}

static void close_server(roost_server *server) {
  roost_mqtt_server *self = (roost_mqtt_server *)server;
  if (self->closing)
    return;
  self->closing = true;
  roost_server_let_go(server);
  roost_timer_stop(roost_loop_wheel(self->loop), &self->retry);
  roost_mqtt_session_close(&self->session);
  roost_loop_defer(self->loop, &self->end);
}

static void free_server(roost_mqtt_server *self) {
  roost_timer_stop(roost_loop_wheel(self->loop), &self->retry);
  roost_mqtt_forget_asks(self);
  roost_delivery_pool_deinit(&self->pool);
  roost_mqtt_session_deinit(&self->session);
  roost_mqtt_routes_deinit(&self->routes);
  roost_mqtt_received_deinit(&self->received);
  roost_buffer_deinit(&self->text);
  roost_buffer_deinit(&self->packet);
  roost_buffer_deinit(&self->members);
  roost_buffer_deinit(&self->body);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static void on_end(void *ud) {
  roost_mqtt_server *self = ud;
  if (self->closing)
    free_server(self);
  else if (self->drained && self->server.on_drained != NULL)
    self->server.on_drained(self->server.on_drained_ud, &self->server);
}

static const roost_server_ops server_ops = {
    .start = start, .drain = drain, .close = close_server, .subscribe = roost_mqtt_subscribe};

static void init_parts(roost_mqtt_server *self) {
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  roost_list_init(&self->server.watchers);
  roost_list_init(&self->asks);
  roost_timer_init(&self->retry, on_retry);
  self->end = (roost_loop_hook){.fn = on_end, .ud = self};
  roost_list_init(&self->end.link);
  roost_mqtt_routes_init(&self->routes, alloc);
  roost_mqtt_received_init(&self->received, alloc);
  roost_delivery_pool_init(&self->pool, &delivery_ops, alloc, &self->server, self);
  roost_buffer_init(&self->text, alloc);
  roost_buffer_init(&self->packet, alloc);
  roost_buffer_init(&self->members, alloc);
  roost_buffer_init(&self->body, alloc);
  self->length_bytes = 1;
}

int roost_mqtt_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                           roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                           const char **why) {
  roost_mqtt_server *self = roost_alloc_get(roost_loop_alloc(loop), sizeof *self);
  const uint32_t most = config->max_in_flight;
  *out = NULL;
  *why = "out of memory";
  if (self == NULL)
    return ROOST_ENOMEM;
  self->server.ops = &server_ops;
  self->server.config = config;
  self->server.log = log;
  self->server.sink = sink;
  self->server.sink_ud = sink_ud;
  self->loop = loop;
  self->options = config->options;
  const roost_mqtt_session_config session = {.options = self->options,
                                             .max_buffer_size = config->max_buffer_size,
                                             .max_send_buffer_size = config->max_send_buffer_size,
                                             .receive_maximum =
                                                 most < UINT16_MAX ? (uint16_t)most : UINT16_MAX,
                                             .counters = &self->server.stats.bytes};
  const int status = roost_mqtt_session_init(&self->session, loop, &session, &session_ops, self);
  if (status != 0) {
    roost_alloc_put(roost_loop_alloc(loop), self, sizeof *self);
    return status;
  }
  init_parts(self);
  *out = &self->server;
  return 0;
}

void roost_mqtt_server_set_dial(roost_server *server, roost_dial_fn *fn, void *ud) {
  roost_mqtt_server *self = (roost_mqtt_server *)server;
  self->session.dialer.dial = fn;
  self->session.dialer.dial_ud = ud;
}

const roost_transport roost_mqtt_transport = {
    .name = "mqtt", .open_server = roost_mqtt_server_open, .new_client = roost_mqtt_client_new};
