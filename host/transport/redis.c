/*
 * The server's side of a Redis: a session that subscribes to the routes of its handlers, for as
 * long as the host runs. How messages are taken: redis_message.c.
 */
#include "transport/redis.h"

#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "transport/redis_server.h"
#include "transport/session.h"

static roost_redis_server *of(roost_server *server) {
  return (roost_redis_server *)server;
}

void roost_redis_server_log(roost_redis_server *self, roost_log_level level, roost_log_kind kind,
                            const char *msg, roost_slice subject, roost_slice err) {
  roost_session_log(&self->server, &self->pair.pub.dialer, level, kind, msg, subject, err);
}

static void say(roost_redis_server *self, roost_log_level level, const char *msg, const char *err) {
  roost_session_say(&self->server, &self->pair.pub.dialer, level, msg, err);
}

/* ------------------------------------------------------------------------- channels ---------- */

static void free_channel(roost_redis_server *self, roost_redis_channel *channel) {
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  (void)roost_map_remove(&self->by_route, channel->route);
  roost_list_remove(&channel->link);
  roost_alloc_put(alloc, (char *)(uintptr_t)channel->route.ptr, channel->route.len + 1);
  roost_alloc_put(alloc, channel, sizeof *channel);
}

/* The channel of that route, made where there is none; NULL where memory is short. */
static roost_redis_channel *get_channel(roost_redis_server *self, roost_slice route) {
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  roost_redis_channel *channel = roost_map_get(&self->by_route, route);
  if (channel != NULL)
    return channel;
  channel = roost_alloc_get(alloc, sizeof *channel);
  char *text = channel != NULL ? roost_alloc_text(alloc, route) : NULL;
  if (text != NULL && roost_map_set(&self->by_route, route, channel) == 0) {
    channel->route = roost_slice_of(text, route.len);
    channel->is_glob = self->options->wildcards && roost_redis_is_glob(route);
    roost_list_append(&self->channels, &channel->link);
    return channel;
  }
  roost_alloc_put(alloc, text, route.len + 1);
  roost_alloc_put(alloc, channel, sizeof *channel);
  return NULL;
}

/* Begins or gives up a subscription. */
static int set_subscribed(roost_redis_server *self, roost_redis_channel *channel, bool value) {
  const char *verb = value ? (channel->is_glob ? "PSUBSCRIBE" : "SUBSCRIBE")
                           : (channel->is_glob ? "PUNSUBSCRIBE" : "UNSUBSCRIBE");
  if (!self->pair.open || channel->is_subscribed == value)
    return 0;
  const int status = roost_redis_listen(&self->pair, verb, channel->route);
  if (status == 0)
    channel->is_subscribed = value;
  return status;
}

/* Subscribes to what is wanted and gives up the rest. */
static int update_channels(roost_redis_server *self) {
  int status = 0;
  roost_list *at = self->channels.next;
  while (at != &self->channels) {
    roost_redis_channel *channel = ROOST_LIST_ENTRY(at, roost_redis_channel, link);
    at = at->next;
    const int each = set_subscribed(self, channel, channel->is_wanted);
    if (each != 0)
      status = each;
    else if (!channel->is_wanted)
      free_channel(self, channel);
  }
  return status;
}

static int subscribe(roost_server *server, const roost_subscription *routes, size_t count) {
  roost_redis_server *self = of(server);
  int status = 0;
  if (server->draining || self->closing)
    return 0;
  for (roost_list *at = self->channels.next; at != &self->channels; at = at->next)
    ROOST_LIST_ENTRY(at, roost_redis_channel, link)->is_wanted = false;
  for (size_t i = 0; i < count; i++) {
    roost_redis_channel *channel = get_channel(self, routes[i].route);
    if (channel == NULL) {
      status = ROOST_ENOMEM;
      continue;
    }
    channel->is_wanted = true;
    roost_list_remove(&channel->link);
    roost_list_append(&self->channels, &channel->link);
  }
  const int updated = update_channels(self);
  return status != 0 ? status : updated;
}

/* ------------------------------------------------------------------------- the end ----------- */

static void free_server(roost_redis_server *self) {
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  while (!roost_list_empty(&self->channels))
    free_channel(self, ROOST_LIST_ENTRY(self->channels.next, roost_redis_channel, link));
  roost_delivery_pool_deinit(&self->pool);
  roost_redis_pair_deinit(&self->pair);
  roost_map_deinit(&self->by_route);
  roost_buffer_deinit(&self->text);
  roost_buffer_deinit(&self->packet);
  roost_buffer_deinit(&self->name);
  roost_buffer_deinit(&self->reply);
  roost_buffer_deinit(&self->body);
  roost_alloc_put(alloc, self, sizeof *self);
}

static void disconnected(roost_redis_server *self) {
  self->server.stats.connections = 0;
  self->leaving = 0;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->retry);
  for (roost_list *at = self->channels.next; at != &self->channels; at = at->next)
    ROOST_LIST_ENTRY(at, roost_redis_channel, link)->is_subscribed = false;
}

static void on_end(void *ud) {
  roost_redis_server *self = ud;
  if (self->closing) {
    free_server(self);
    return;
  }
  if (self->pool.count > 0 || self->leaving > 0)
    return;
  roost_redis_pair_close(&self->pair);
  disconnected(self);
  if (self->server.on_drained != NULL)
    self->server.on_drained(self->server.on_drained_ud, &self->server);
}

void roost_redis_server_eased(void *ud) {
  roost_redis_server *self = ud;
  if (self->server.draining && self->pool.count == 0 && self->leaving == 0)
    roost_loop_defer(self->loop, &self->end);
  roost_redis_pair_go_on(&self->pair);
}

/* ------------------------------------------------------------------------- the connection ---- */

static void lost(roost_redis_server *self, const char *why);

static void on_retry(roost_timer *timer) {
  roost_redis_server *self = ROOST_LIST_ENTRY(timer, roost_redis_server, retry);
  roost_server_tell(&self->server, ROOST_SERVER_RETRYING, NULL, "");
  const int status = roost_redis_pair_connect(&self->pair);
  if (status != 0)
    lost(self, roost_status_name(status));
}

static void lost(roost_redis_server *self, const char *why) {
  (void)roost_session_retry(&self->server, &self->pair.pub.dialer, &self->retry, &self->attempts,
                            why);
}

static void on_closed(void *ud, int status, const char *why) {
  roost_redis_server *self = ud;
  const bool was_open = self->server.stats.connections > 0;
  (void)status;
  disconnected(self);
  say(self, ROOST_LOG_WARN, was_open ? "disconnected" : "cannot connect", why);
  roost_server_tell(&self->server, ROOST_SERVER_LOST, NULL, why);
  roost_delivery_pool_abandon(&self->pool);
  if (self->server.draining || self->closing)
    roost_loop_defer(self->loop, &self->end);
  else
    lost(self, why);
}

static void count_bytes(roost_redis_server *self, const roost_redis_side *side) {
  roost_conn_count(side->dialer.link->conn, &self->server.stats.bytes);
}

static void on_open(void *ud) {
  roost_redis_server *self = ud;
  self->attempts = 0;
  self->server.stats.connections = 1;
  self->server.stats.accepted++;
  self->server.address = *roost_dialer_remote(&self->pair.pub.dialer);
  count_bytes(self, &self->pair.pub);
  count_bytes(self, &self->pair.sub);
  say(self, ROOST_LOG_INFO, "connected", "");
  if (update_channels(self) != 0) {
    roost_redis_pair_fail(&self->pair, ROOST_EGONE, "out of memory");
    return;
  }
  roost_server_tell(&self->server, ROOST_SERVER_LISTENING, &self->server.address, "");
}

static void on_heard(void *ud, const roost_redis_reply *reply) {
  roost_redis_server_heard(ud, reply);
}

static void on_refused(void *ud, roost_slice text) {
  roost_redis_server_log(ud, ROOST_LOG_ERROR, ROOST_LOG_KIND_DENIED, "a reply was refused",
                         ROOST_SLICE(""), text);
}

static bool takes(void *ud) {
  const roost_redis_server *self = ud;
  const uint32_t most = self->server.config->max_in_flight;
  return (most == 0 || self->pool.count < most) && !roost_dialer_crowded(&self->pair.pub.dialer);
}

static void on_writable(void *ud) {
  roost_redis_server *self = ud;
  roost_delivery_pool_writable(&self->pool);
  roost_redis_pair_go_on(&self->pair);
}

static const roost_redis_pair_ops pair_ops = {.on_open = on_open,
                                              .on_heard = on_heard,
                                              .on_refused = on_refused,
                                              .takes = takes,
                                              .on_writable = on_writable,
                                              .on_closed = on_closed};

/* ------------------------------------------------------------------------- the verbs --------- */

static int start(roost_server *server) {
  return roost_redis_pair_connect(&of(server)->pair);
}

/* What was published before Redis has taken note still comes, and is handled. */
static void drain(roost_server *server) {
  roost_redis_server *self = of(server);
  if (server->draining || self->closing)
    return;
  server->draining = true;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->retry);
  for (roost_list *at = self->channels.next; at != &self->channels; at = at->next) {
    roost_redis_channel *channel = ROOST_LIST_ENTRY(at, roost_redis_channel, link);
    if (channel->is_subscribed && set_subscribed(self, channel, false) == 0)
      self->leaving++;
  }
  roost_server_tell(server, ROOST_SERVER_DRAINING, NULL, "");
  roost_redis_server_eased(self);
}

static void close_server(roost_server *server) {
  roost_redis_server *self = of(server);
  if (self->closing)
    return;
  self->closing = true;
  roost_server_let_go(server);
  roost_redis_pair_close(&self->pair);
  disconnected(self);
  roost_delivery_pool_abandon(&self->pool);
  roost_loop_defer(self->loop, &self->end);
}

static const roost_server_ops server_ops = {
    .start = start, .drain = drain, .close = close_server, .subscribe = subscribe};

int roost_redis_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                            roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                            const char **why) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  roost_redis_server *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  *why = "out of memory";
  if (self == NULL)
    return ROOST_ENOMEM;
  self->server = (roost_server){
      .ops = &server_ops, .config = config, .log = log, .sink = sink, .sink_ud = sink_ud};
  self->loop = loop;
  self->options = config->options;
  self->end = (roost_loop_hook){.fn = on_end, .ud = self};
  roost_list_init(&self->end.link);
  roost_list_init(&self->server.watchers);
  roost_list_init(&self->channels);
  roost_map_init(&self->by_route, alloc);
  roost_buffer_init(&self->text, alloc);
  roost_buffer_init(&self->packet, alloc);
  roost_buffer_init(&self->name, alloc);
  roost_buffer_init(&self->reply, alloc);
  roost_buffer_init(&self->body, alloc);
  roost_timer_init(&self->retry, on_retry);
  roost_redis_pair_init(&self->pair, loop, self->options, config->max_buffer_size,
                        config->max_send_buffer_size, &pair_ops, self);
  roost_redis_server_init_pool(self);
  *out = &self->server;
  return 0;
}

const roost_transport roost_redis_transport = {
    .name = "redis", .open_server = roost_redis_server_open, .new_client = roost_redis_client_new};
