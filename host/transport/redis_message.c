/*
 * What a Redis server hears: messages of its channels, handed to the sink, and their replies.
 */
#include "core/slice.h"
#include "transport/codec.h"
#include "transport/redis_server.h"
#include "wire/envelope.h"
#include "wire/json.h"

static const char reply_suffix[] = ".reply";
#define SUFFIX (sizeof reply_suffix - 1)

typedef struct redis_delivery {
  roost_delivery delivery; /* first: a redis_delivery is a roost_delivery */
  roost_buffer channel;    /* it came by, and .reply */
  roost_slice id;          /* of its message, while that is dispatched */
} redis_delivery;

static redis_delivery *of(roost_origin *origin) {
  return (redis_delivery *)origin;
}

static roost_redis_server *server_of(const roost_origin *origin) {
  return (roost_redis_server *)origin->server;
}

/* ------------------------------------------------------------------------- replies ----------- */

static roost_buffer *reply_begin(roost_origin *origin, roost_reply_kind kind) {
  roost_redis_server *self = server_of(origin);
  if (!self->pair.open || origin->gone)
    return NULL;
  roost_buffer_clear(&self->reply);
  return roost_envelope_reply_begin(&self->reply, kind) == 0 ? &self->reply : NULL;
}

static void reply_undo(roost_origin *origin) {
  roost_buffer_clear(&server_of(origin)->reply);
}

/* What is in self->reply, as the codec has it. */
static int publish(roost_redis_server *self, roost_slice channel) {
  roost_codec *codec = self->server.codec;
  roost_slice packet = roost_buffer_slice(&self->reply);
  int status = 0;
  if (codec != NULL && codec->write != NULL) {
    roost_buffer_clear(&self->body);
    status = codec->write(codec, packet, &self->body);
    packet = roost_buffer_slice(&self->body);
  }
  if (status == 0)
    status = roost_redis_publish(&self->pair, channel, packet);
  if (status == ROOST_ESCRIPT && codec != NULL)
    roost_redis_server_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_HANDLER, "a reply cannot be sent",
                           channel, roost_slice_text(codec->why));
  roost_buffer_trim(&self->body, ROOST_REDIS_KEEP_BYTES);
  roost_buffer_clear(&self->reply);
  roost_buffer_trim(&self->reply, ROOST_REDIS_KEEP_BYTES);
  return status;
}

static int reply_error(roost_origin *origin, const char *text, roost_slice id);

/* In the place of a last reply that the codec did not take, so that nobody waits for it. */
static int reply_masked(roost_origin *origin, int status, roost_reply_kind kind, roost_slice id) {
  const bool is_last = kind != ROOST_REPLY_ITEM && kind != ROOST_REPLY_VOID;
  if (status != ROOST_ESCRIPT || !is_last || kind == ROOST_REPLY_ERROR)
    return status;
  return reply_error(origin, "Internal server error", id);
}

static int reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id) {
  roost_redis_server *self = server_of(origin);
  if (!self->pair.open)
    return ROOST_EGONE;
  int status = roost_envelope_reply_end(&self->reply, kind, id);
  if (status == 0)
    status = publish(self, roost_buffer_slice(&of(origin)->channel));
  if (status != 0)
    return reply_masked(origin, status, kind, id);
  return roost_dialer_crowded(&self->pair.pub.dialer) ? ROOST_EFULL : 0;
}

static int reply_error(roost_origin *origin, const char *text, roost_slice id) {
  roost_buffer *out = reply_begin(origin, ROOST_REPLY_ERROR);
  if (out == NULL)
    return ROOST_ENOMEM;
  const int status = roost_message_write_error(out, roost_slice_text(text));
  return status == 0 ? reply_end(origin, ROOST_REPLY_ERROR, id) : status;
}

static void reply_unhandled(roost_origin *origin, roost_slice id) {
  roost_redis_server *self = server_of(origin);
  if (!self->pair.open)
    return;
  roost_buffer_clear(&self->reply);
  if (roost_envelope_write_unhandled(&self->reply, id) == 0)
    (void)publish(self, roost_buffer_slice(&of(origin)->channel));
}

/* ------------------------------------------------------------------------- deliveries -------- */

static bool crowded(const roost_origin *origin) {
  return roost_dialer_crowded(&server_of(origin)->pair.pub.dialer);
}

static roost_slice channel_of(const redis_delivery *delivery) {
  return roost_slice_of(delivery->channel.ptr, delivery->channel.len - SUFFIX);
}

static int facts(const roost_origin *origin, roost_buffer *out) {
  const redis_delivery *delivery = (const redis_delivery *)origin;
  int status = roost_json_write_key(out, '{', ROOST_SLICE("channel"));
  if (status == 0)
    status = roost_json_write_string(out, channel_of(delivery));
  return status == 0 ? roost_buffer_append_byte(out, '}') : status;
}

static void init(roost_delivery *delivery) {
  roost_buffer_init(&((redis_delivery *)delivery)->channel, delivery->pool->alloc);
}

static void clear(roost_delivery *delivery) {
  roost_buffer_clear(&((redis_delivery *)delivery)->channel);
  roost_buffer_trim(&((redis_delivery *)delivery)->channel, 256);
}

static void deinit(roost_delivery *delivery) {
  roost_buffer_deinit(&((redis_delivery *)delivery)->channel);
}

/* Redis keeps no message: only one that nobody could read is worth a word. */
static void settled(roost_delivery *at, roost_settlement how) {
  redis_delivery *delivery = (redis_delivery *)at;
  if (how != ROOST_SETTLE_BROKEN)
    return;
  roost_redis_server_log(server_of(&at->origin), ROOST_LOG_WARN, ROOST_LOG_KIND_FRAME,
                         "a message is not JSON", channel_of(delivery), ROOST_SLICE(""));
  if (delivery->id.ptr != NULL)
    (void)reply_error(&at->origin, "Internal server error", delivery->id);
}

static const roost_delivery_ops delivery_ops = {.size = sizeof(redis_delivery),
                                                .origin = {.reply_begin = reply_begin,
                                                           .reply_end = reply_end,
                                                           .reply_undo = reply_undo,
                                                           .reply_unhandled = reply_unhandled,
                                                           .crowded = crowded,
                                                           .facts = facts},
                                                .init = init,
                                                .clear = clear,
                                                .deinit = deinit,
                                                .settled = settled,
                                                .eased = roost_redis_server_eased};

void roost_redis_server_init_pool(roost_redis_server *self) {
  roost_delivery_pool_init(&self->pool, &delivery_ops, roost_loop_alloc(self->loop), &self->server,
                           self);
  self->pool.settles = false; /* Redis keeps no message */
}

/* ------------------------------------------------------------------------- messages ---------- */

static bool is_number(roost_slice text) {
  return text.len > 0 && (text.ptr[0] == '-' || (text.ptr[0] >= '0' && text.ptr[0] <= '9'));
}

/* The channel's name as a pattern: the object or number that it is the text of, or a text. */
static int write_name(roost_redis_server *self, roost_slice channel) {
  roost_buffer_clear(&self->name);
  const bool may_be_json = channel.len > 0 && (channel.ptr[0] == '{' || is_number(channel));
  int status = roost_redis_text(&self->name, &channel);
  if (status != 0)
    return status;
  if (channel.ptr == self->name.ptr && self->name.len > 0) { /* repaired: certainly a text */
    roost_buffer text = self->name;
    roost_buffer_init(&self->name, text.alloc);
    status = roost_json_write_string(&self->name, roost_buffer_slice(&text));
    roost_buffer_deinit(&text);
    return status;
  }
  return may_be_json && roost_json_validate(channel) == 0
             ? roost_buffer_append_slice(&self->name, channel)
             : roost_json_write_string(&self->name, channel);
}

static bool ends_with_suffix(roost_slice channel) {
  return channel.len > SUFFIX &&
         memcmp(channel.ptr + channel.len - SUFFIX, reply_suffix, SUFFIX) == 0;
}

/* A wildcard's own reply channels match it, too: what is said there is nobody's message. */
static bool is_reply(roost_slice channel, roost_slice body) {
  roost_reply reply;
  return ends_with_suffix(channel) && roost_envelope_read_reply(&reply, body) > 0 &&
         !reply.foreign && reply.id.ptr != NULL;
}

/* Of what is neither request nor event the whole is an event's data; text that is not JSON, too. */
static int read_foreign(roost_redis_server *self, roost_message *message, roost_slice body,
                        bool is_json) {
  *message = (roost_message){.data = body};
  if (is_json)
    return 0;
  roost_buffer text;
  roost_buffer_init(&text, self->text.alloc);
  const int status = roost_json_write_string(&text, body);
  roost_buffer_deinit(&self->text);
  self->text = text;
  message->data = roost_buffer_slice(&self->text);
  return status;
}

/* 1; 0: it is nothing for a handler. */
static int read_body(roost_redis_server *self, roost_message *message, roost_slice channel,
                     roost_slice body) {
  roost_codec *codec = self->server.codec;
  int status = codec != NULL && codec->takes_bytes ? 0 : roost_redis_text(&self->text, &body);
  if (status == 0 && codec != NULL && codec->read != NULL) {
    roost_buffer_clear(&self->packet);
    status = codec->read(codec, body, &self->packet);
    body = roost_buffer_slice(&self->packet);
  }
  if (status != 0)
    return status;
  status = roost_envelope_read(message, body);
  if (status == 0 && is_reply(channel, body))
    return 0;
  if (status <= 0)
    status = read_foreign(self, message, body, status == 0);
  return status < 0 ? status : 1;
}

/* Whether this route is the one to run a request to the channel: the first that matches. */
static bool is_first(const roost_redis_server *self, const roost_redis_channel *from,
                     roost_slice channel) {
  const roost_redis_channel *exact = roost_map_get(&self->by_route, channel);
  if (exact != NULL && !exact->is_glob)
    return exact == from;
  for (const roost_list *at = self->channels.next; at != &self->channels; at = at->next) {
    const roost_redis_channel *each = ROOST_LIST_ENTRY(at, roost_redis_channel, link);
    if (each == from)
      return true;
    if (each->is_glob && roost_redis_glob_matches(each->route, channel))
      return false;
  }
  return true;
}

static int dispatch(roost_redis_server *self, const roost_redis_channel *from, roost_slice channel,
                    roost_message *message) {
  redis_delivery *delivery = (redis_delivery *)roost_delivery_take(&self->pool);
  if (delivery == NULL)
    return ROOST_ENOMEM;
  int status = roost_buffer_append_slice(&delivery->channel, channel);
  if (status == 0)
    status = roost_buffer_append(&delivery->channel, reply_suffix, SUFFIX);
  if (status == 0)
    status = write_name(self, channel);
  if (status != 0) {
    roost_delivery_give(&delivery->delivery);
    return status;
  }
  delivery->id = message->id;
  message->pattern = roost_buffer_slice(&self->name);
  message->route = from->route;
  roost_delivery_dispatch(&delivery->delivery, message);
  return 0;
}

static void take_message(roost_redis_server *self, roost_slice route, roost_slice channel,
                         roost_slice body) {
  roost_message message = {.format = ROOST_FORMAT_JSON};
  const roost_redis_channel *from = roost_map_get(&self->by_route, route);
  if (from == NULL)
    return; /* its subscription is being given up */
  int status = read_body(self, &message, channel, body);
  if (status > 0 && !roost_message_is_event(&message) && from->is_glob &&
      !is_first(self, from, channel))
    return;
  if (status > 0)
    status = dispatch(self, from, channel, &message);
  if (status < 0)
    roost_redis_server_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_FRAME, "a message was lost",
                           channel,
                           roost_slice_text(status == ROOST_ESCRIPT ? self->server.codec->why
                                                                    : roost_status_name(status)));
  roost_buffer_trim(&self->text, ROOST_REDIS_KEEP_BYTES);
  roost_buffer_trim(&self->packet, ROOST_REDIS_KEEP_BYTES);
}

static bool is_verb(const roost_redis_reply *reply, const char *verb, size_t count) {
  return reply->count == count && roost_redis_is(&reply->items[0], verb);
}

void roost_redis_server_heard(roost_redis_server *self, const roost_redis_reply *reply) {
  const roost_redis_item *items = reply->items;
  if (!reply->is_array) {
    roost_redis_server_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_DENIED, "subscription refused",
                           ROOST_SLICE(""), items[0].text);
  } else if (is_verb(reply, "message", 3)) {
    take_message(self, items[1].text, items[1].text, items[2].text);
  } else if (is_verb(reply, "pmessage", 4)) {
    take_message(self, items[1].text, items[2].text, items[3].text);
  } else if (self->leaving > 0 &&
             (is_verb(reply, "unsubscribe", 3) || is_verb(reply, "punsubscribe", 3))) {
    self->leaving--;
    roost_redis_server_eased(self);
  }
}
