/*
 * The client's side of a Redis: requests are published once their reply channel is subscribed to.
 *
 * Channel: a reply channel (ROUTE.reply), which all clients of a route share; how many requests
 * wait for something of it is counted, and one that nobody waits for is given up after a while.
 * Held: requests that wait until Redis has acknowledged the subscription.
 */
#include "core/map.h"
#include "core/slice.h"
#include "core/slots.h"
#include "transport/redis_internal.h"
#include "wire/envelope.h"
#include "wire/pattern.h"

#define IDLE_MS  5000 /* that a channel is kept, since the next request comes soon */
#define SWEEP_MS 1000

typedef struct reply_channel {
  roost_list link; /* in client->idle, or in none */
  roost_slice name;
  size_t waiting;    /* requests */
  uint64_t slot;     /* its token */
  uint64_t since_ms; /* nobody has waited */
  roost_buffer held; /* commands */
  bool is_subscribed;
} reply_channel;

typedef struct redis_client {
  roost_client client; /* first: a redis_client is a roost_client */
  roost_loop *loop;
  roost_redis_pair pair;
  roost_map channels; /* by name */
  roost_slots slots;  /* the same, by token */
  roost_list idle;    /* those nobody waits for, the first for the longest time */
  size_t held_bytes;  /* of all */
  roost_timer sweep;
  roost_buffer packet; /* being written */
  roost_buffer body;   /* what the codec makes of it */
  roost_buffer name;   /* a route, and the channel's name */
} redis_client;

static redis_client *of(roost_client *client) {
  return (redis_client *)client;
}

/* ------------------------------------------------------------------------- channels ---------- */

static void free_channel(redis_client *self, reply_channel *channel) {
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  (void)roost_map_remove(&self->channels, channel->name);
  roost_slots_remove(&self->slots, channel->slot);
  roost_list_remove(&channel->link);
  self->held_bytes -= channel->held.len;
  roost_buffer_deinit(&channel->held);
  roost_alloc_put(alloc, (char *)(uintptr_t)channel->name.ptr, channel->name.len + 1);
  roost_alloc_put(alloc, channel, sizeof *channel);
}

static void free_channels(redis_client *self) {
  size_t at = 0;
  const roost_map_entry *entry;
  while ((entry = roost_map_next(&self->channels, &at)) != NULL) {
    free_channel(self, entry->value);
    at = 0; /* it has changed */
  }
  roost_timer_stop(roost_loop_wheel(self->loop), &self->sweep);
}

static reply_channel *new_channel(redis_client *self, roost_slice name) {
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  reply_channel *channel = roost_alloc_get(alloc, sizeof *channel);
  if (channel == NULL)
    return NULL;
  roost_list_init(&channel->link);
  roost_buffer_init(&channel->held, alloc);
  channel->name = roost_slice_of(roost_alloc_text(alloc, name), name.len);
  channel->slot = channel->name.ptr != NULL ? roost_slots_add(&self->slots, channel) : 0;
  if (channel->slot != 0 && roost_map_set(&self->channels, channel->name, channel) == 0) {
    if (roost_redis_listen(&self->pair, "SUBSCRIBE", channel->name) == 0)
      return channel;
    (void)roost_map_remove(&self->channels, channel->name);
  }
  roost_slots_remove(&self->slots, channel->slot);
  roost_alloc_put(alloc, (char *)(uintptr_t)channel->name.ptr, name.len + 1);
  roost_alloc_put(alloc, channel, sizeof *channel);
  return NULL;
}

static void wait_on(reply_channel *channel) {
  channel->waiting++;
  roost_list_remove(&channel->link);
}

static void start_sweep(redis_client *self) {
  if (!roost_timer_running(&self->sweep))
    roost_timer_start(roost_loop_wheel(self->loop), &self->sweep, SWEEP_MS);
}

/* A request is over; what of it is still held is for nobody where it was the last. */
static void leave(redis_client *self, reply_channel *channel) {
  if (--channel->waiting > 0)
    return;
  self->held_bytes -= channel->held.len;
  roost_buffer_clear(&channel->held);
  channel->since_ms = roost_loop_now_ms(self->loop);
  roost_list_append(&self->idle, &channel->link);
  start_sweep(self);
}

static void on_sweep(roost_timer *timer) {
  redis_client *self = ROOST_LIST_ENTRY(timer, redis_client, sweep);
  const uint64_t now_ms = roost_loop_now_ms(self->loop);
  roost_list *at = self->idle.next;
  while (at != &self->idle) {
    reply_channel *channel = ROOST_LIST_ENTRY(at, reply_channel, link);
    at = at->next;
    if (now_ms - channel->since_ms < IDLE_MS)
      break;
    if (channel->is_subscribed &&
        roost_redis_listen(&self->pair, "UNSUBSCRIBE", channel->name) == 0)
      free_channel(self, channel);
  }
  if (!roost_list_empty(&self->idle))
    start_sweep(self);
}

static void forget(roost_client *client, uint64_t token) {
  redis_client *self = of(client);
  reply_channel *channel = roost_slots_get(&self->slots, token);
  if (channel != NULL)
    leave(self, channel);
}

/* ------------------------------------------------------------------------- hearing ----------- */

static bool is_crowded(const redis_client *self) {
  const size_t limit = self->client.config->max_send_buffer_size;
  return roost_dialer_crowded(&self->pair.pub.dialer) ||
         (limit > 0 && self->held_bytes > limit / 2);
}

static void fail(redis_client *self, const char *why) {
  roost_redis_pair_fail(&self->pair, ROOST_EGONE, why);
}

/* Redis will hand over what is published to the channel from now on: what was held may go. */
static void subscribed(redis_client *self, roost_slice name) {
  reply_channel *channel = roost_map_get(&self->channels, name);
  roost_conn *conn = self->pair.pub.dialer.link->conn;
  const bool was_crowded = is_crowded(self);
  if (channel == NULL || channel->is_subscribed)
    return;
  if (roost_buffer_append_slice(roost_conn_out(conn), roost_buffer_slice(&channel->held)) != 0) {
    fail(self, "out of memory");
    return;
  }
  channel->is_subscribed = true;
  self->held_bytes -= channel->held.len;
  roost_buffer_deinit(&channel->held);
  roost_conn_dirty(conn);
  if (was_crowded && !is_crowded(self))
    self->client.sink->on_writable(self->client.sink_ud);
}

static void take_packet(redis_client *self, roost_slice packet) {
  roost_reply reply;
  const int status = roost_envelope_read_reply(&reply, packet);
  if (status > 0 && !reply.foreign && reply.id.ptr != NULL)
    self->client.sink->on_reply(self->client.sink_ud, &reply);
}

/* What is no reply, or one to another client's request, is nothing to us. What is told may free the
 * client, so that a packet which is not what came is in memory of its own. */
static void take_body(redis_client *self, roost_slice body) {
  roost_codec *codec = self->client.codec;
  roost_buffer text, packet;
  roost_buffer_init(&text, roost_loop_alloc(self->loop));
  roost_buffer_init(&packet, text.alloc);
  int status = codec != NULL && codec->takes_bytes ? 0 : roost_redis_text(&text, &body);
  if (status == 0 && codec != NULL && codec->read != NULL) {
    status = codec->read(codec, body, &packet);
    body = roost_buffer_slice(&packet);
  }
  if (status == 0)
    take_packet(self, body);
  else if (status == ROOST_ENOMEM)
    fail(self, "out of memory");
  roost_buffer_deinit(&text);
  roost_buffer_deinit(&packet);
}

static void on_heard(void *ud, const roost_redis_reply *reply) {
  redis_client *self = ud;
  char why[160];
  if (reply->is_array && reply->count == 3 && roost_redis_is(&reply->items[0], "message")) {
    take_body(self, reply->items[2].text);
  } else if (reply->is_array && reply->count == 3 &&
             roost_redis_is(&reply->items[0], "subscribe")) {
    subscribed(self, reply->items[1].text);
  } else if (!reply->is_array) {
    roost_redis_error_text(why, sizeof why, reply->items[0].text);
    fail(self, why);
  }
}

static void on_refused(void *ud, roost_slice text) {
  char why[160];
  roost_redis_error_text(why, sizeof why, text);
  fail(ud, why);
}

static void on_open(void *ud) {
  const redis_client *self = ud;
  self->client.sink->on_open(self->client.sink_ud);
}

static void on_writable(void *ud) {
  const redis_client *self = ud;
  if (!is_crowded(self))
    self->client.sink->on_writable(self->client.sink_ud);
}

static void on_closed(void *ud, int status, const char *why) {
  redis_client *self = ud;
  free_channels(self);
  self->client.sink->on_closed(self->client.sink_ud, status, why);
}

static const roost_redis_pair_ops pair_ops = {.on_open = on_open,
                                              .on_heard = on_heard,
                                              .on_refused = on_refused,
                                              .on_writable = on_writable,
                                              .on_closed = on_closed};

/* ------------------------------------------------------------------------- sending ----------- */

static int connect_client(roost_client *client) {
  return roost_redis_pair_connect(&of(client)->pair);
}

static roost_buffer *begin(roost_client *client, const roost_message *head) {
  redis_client *self = of(client);
  roost_buffer_clear(&self->packet);
  return roost_envelope_request_begin(&self->packet, head) == 0 ? &self->packet : NULL;
}

static void undo(roost_client *client) {
  redis_client *self = of(client);
  roost_buffer_clear(&self->packet);
  roost_buffer_trim(&self->packet, ROOST_REDIS_KEEP_BYTES);
}

/* The route, which is the channel's name; what no handler can have for one stands for itself. */
static int write_route(redis_client *self, roost_slice pattern) {
  const char *why = NULL;
  roost_buffer_clear(&self->name);
  const int status = roost_pattern_normalise(&self->name, pattern, &why);
  if (status == 0)
    return roost_buffer_append_slice(&self->name, pattern);
  self->client.refusal = why;
  return status == ROOST_EINVAL ? ROOST_EUNSUPPORTED : status < 0 ? status : 0;
}

/* Of the route in self->name. */
static reply_channel *channel_of(redis_client *self) {
  const size_t route_len = self->name.len;
  if (roost_buffer_append_slice(&self->name, ROOST_SLICE(".reply")) != 0)
    return NULL;
  const roost_slice name = roost_buffer_slice(&self->name);
  reply_channel *channel = roost_map_get(&self->channels, name);
  self->name.len = route_len;
  return channel != NULL ? channel : new_channel(self, name);
}

static int hold(redis_client *self, reply_channel *channel, roost_slice packet) {
  const size_t limit = self->client.config->max_send_buffer_size;
  const size_t before = channel->held.len;
  const roost_slice args[] = {ROOST_SLICE("PUBLISH"), roost_buffer_slice(&self->name), packet};
  if (limit > 0 && self->held_bytes > limit)
    return ROOST_ENOMEM;
  const int status = roost_redis_command(&channel->held, args, 3);
  self->held_bytes += channel->held.len - before;
  return status;
}

static int send_packet(redis_client *self, roost_slice packet, bool is_event) {
  if (is_event)
    return roost_redis_publish(&self->pair, roost_buffer_slice(&self->name), packet);
  reply_channel *channel = channel_of(self);
  if (channel == NULL)
    return ROOST_ENOMEM;
  wait_on(channel);
  const int status = channel->is_subscribed
                         ? roost_redis_publish(&self->pair, roost_buffer_slice(&self->name), packet)
                         : hold(self, channel, packet);
  if (status != 0)
    leave(self, channel);
  self->client.token = channel->slot;
  return status;
}

static int end(roost_client *client, const roost_message *head) {
  redis_client *self = of(client);
  roost_codec *codec = client->codec;
  int status = roost_envelope_request_end(&self->packet, head);
  roost_slice packet = roost_buffer_slice(&self->packet);
  if (status == 0 && codec != NULL && codec->write != NULL) {
    roost_buffer_clear(&self->body);
    status = codec->write(codec, packet, &self->body);
    packet = roost_buffer_slice(&self->body);
  }
  if (status == 0)
    status = write_route(self, head->pattern);
  if (status == 0)
    status = send_packet(self, packet, head->id.ptr == NULL);
  undo(client);
  roost_buffer_trim(&self->body, ROOST_REDIS_KEEP_BYTES);
  return status;
}

static bool crowded(const roost_client *client) {
  return is_crowded((const redis_client *)client);
}

/* ------------------------------------------------------------------------- the rest ---------- */

static void close_client(roost_client *client) {
  redis_client *self = of(client);
  roost_redis_pair_close(&self->pair);
  free_channels(self);
}

static void free_client(roost_client *client) {
  redis_client *self = of(client);
  close_client(client);
  roost_redis_pair_deinit(&self->pair);
  roost_map_deinit(&self->channels);
  roost_slots_deinit(&self->slots);
  roost_buffer_deinit(&self->packet);
  roost_buffer_deinit(&self->body);
  roost_buffer_deinit(&self->name);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static const roost_client_ops client_ops = {.connect = connect_client,
                                            .begin = begin,
                                            .end = end,
                                            .undo = undo,
                                            .forget = forget,
                                            .crowded = crowded,
                                            .close = close_client,
                                            .free = free_client};

int roost_redis_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                           const roost_client_sink *sink, void *sink_ud) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  redis_client *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->client = (roost_client){.ops = &client_ops,
                                .config = config,
                                .sink = sink,
                                .sink_ud = sink_ud,
                                .dialer = &self->pair.pub.dialer};
  self->loop = loop;
  roost_map_init(&self->channels, alloc);
  roost_slots_init(&self->slots, alloc);
  roost_list_init(&self->idle);
  roost_timer_init(&self->sweep, on_sweep);
  roost_buffer_init(&self->packet, alloc);
  roost_buffer_init(&self->body, alloc);
  roost_buffer_init(&self->name, alloc);
  roost_redis_pair_init(&self->pair, loop, config->options, config->max_buffer_size,
                        config->max_send_buffer_size, &pair_ops, self);
  *out = &self->client;
  return 0;
}

roost_redis_pair *roost_redis_client_pair(roost_client *client) {
  return &of(client)->pair;
}
