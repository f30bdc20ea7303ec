/*
 * Messages that come to a server behind RabbitMQ, and their replies.
 */
#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "transport/rmq_server.h"
#include "wire/envelope.h"
#include "wire/json.h"
#include "wire/pattern.h"
#include "wire/utf8.h"

static const char not_json[] = "The message is not JSON";

static roost_rmq_delivery *of(roost_delivery *delivery) {
  return (roost_rmq_delivery *)delivery;
}

static roost_rmq_delivery *of_origin(roost_origin *origin) {
  return (roost_rmq_delivery *)origin;
}

static roost_rmq_server *server_of(const roost_delivery *delivery) {
  return (roost_rmq_server *)delivery->pool->server;
}

/* ------------------------------------------------------------------------- replies ----------- */

/* Where there is no id in them, though the kind without a value has nothing else to be known by: to
 * Nest {} would be a value. */
static const struct {
  roost_slice before;
  roost_slice after;
} parts[] = {
    [ROOST_REPLY_ITEM] = {ROOST_SLICE("{\"response\":"), ROOST_SLICE("}")},
    [ROOST_REPLY_VOID] = {ROOST_SLICE("{\"id\":"), ROOST_SLICE("}")},
    [ROOST_REPLY_LAST] = {ROOST_SLICE("{\"response\":"), ROOST_SLICE(",\"isDisposed\":true}")},
    [ROOST_REPLY_END] = {ROOST_SLICE("{"), ROOST_SLICE("\"isDisposed\":true}")},
    [ROOST_REPLY_ERROR] = {ROOST_SLICE("{\"err\":"), ROOST_SLICE(",\"isDisposed\":true}")}};

/* The packet in self->body goes to where the message wanted its replies. */
static int publish(roost_rmq_server *self, roost_slice reply_to, roost_slice correlation_id,
                   roost_slice packet) {
  roost_rmq_session *session = roost_rmq_ready(&self->connection);
  if (session == NULL)
    return ROOST_EGONE;
  const roost_rmq_target target = {.exchange = ROOST_SLICE(""), .routing_key = reply_to};
  const roost_rmq_properties properties = {.correlation_id = correlation_id, .priority = -1};
  const int status = roost_rmq_write_publish(session->codec, roost_rmq_out(session),
                                             ROOST_RMQ_CHANNEL, &target, &properties, packet);
  if (status == 0)
    roost_conn_dirty(session->link.conn);
  return status != 0 ? status : roost_conn_crowded(session->link.conn) ? ROOST_EFULL : 0;
}

/* What the codec makes of the packet in self->body; the packet itself where there is none. */
static int encoded(roost_rmq_server *self, roost_slice *packet) {
  roost_codec *codec = self->server.codec;
  *packet = roost_buffer_slice(&self->body);
  if (codec == NULL || codec->write == NULL)
    return 0;
  roost_buffer_clear(&self->coded);
  const int status = codec->write(codec, *packet, &self->coded);
  if (status == ROOST_ESCRIPT)
    roost_rmq_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_HANDLER, "a reply cannot be sent",
                  codec->why);
  *packet = roost_buffer_slice(&self->coded);
  return status;
}

static void forget(roost_buffer *buffer) {
  roost_buffer_clear(buffer);
  roost_buffer_trim(buffer, ROOST_RMQ_KEEP_BYTES);
}

static int send_body(roost_rmq_server *self, const roost_rmq_delivery *delivery) {
  roost_slice packet;
  int status = encoded(self, &packet);
  if (status == 0)
    status =
        publish(self, delivery->properties.reply_to, delivery->properties.correlation_id, packet);
  forget(&self->body);
  forget(&self->coded);
  return status;
}

static bool is_wanted(const roost_rmq_server *self, const roost_rmq_delivery *delivery) {
  return delivery->properties.reply_to.len > 0 && !delivery->base.origin.gone &&
         roost_rmq_ready(&self->connection) != NULL;
}

static roost_buffer *reply_begin(roost_origin *origin, roost_reply_kind kind) {
  const roost_rmq_delivery *delivery = of_origin(origin);
  roost_rmq_server *self = server_of(&delivery->base);
  if (!is_wanted(self, delivery))
    return NULL;
  roost_buffer_clear(&self->body);
  return roost_buffer_append_slice(&self->body, parts[kind].before) == 0 ? &self->body : NULL;
}

static int reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id);

/* In the place of a last reply that the codec did not take, so that nobody waits for it. */
static int reply_masked(roost_rmq_server *self, roost_origin *origin, roost_slice id) {
  if (self->masking)
    return ROOST_ESCRIPT;
  roost_buffer *out = reply_begin(origin, ROOST_REPLY_ERROR);
  if (out == NULL || roost_message_write_error(out, ROOST_SLICE(ROOST_INTERNAL_ERROR)) != 0)
    return ROOST_ENOMEM;
  self->masking = true;
  const int status = reply_end(origin, ROOST_REPLY_ERROR, id);
  self->masking = false;
  return status;
}

static int reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id) {
  roost_rmq_delivery *delivery = of_origin(origin);
  roost_rmq_server *self = server_of(&delivery->base);
  const bool is_last = kind != ROOST_REPLY_ITEM && kind != ROOST_REPLY_VOID;
  if (!is_last && !delivery->is_stream) {
    delivery->is_stream = true;
    self->streams++;
  }
  int status = kind == ROOST_REPLY_VOID ? roost_buffer_append_slice(&self->body, id) : 0;
  if (status == 0)
    status = roost_buffer_append_slice(&self->body, parts[kind].after);
  if (status == 0)
    status = send_body(self, delivery);
  return status == ROOST_ESCRIPT && is_last ? reply_masked(self, origin, id) : status;
}

static void reply_undo(roost_origin *origin) {
  forget(&server_of(&of_origin(origin)->base)->body);
}

static void reply_unhandled(roost_origin *origin, roost_slice id) {
  const roost_rmq_delivery *delivery = of_origin(origin);
  roost_rmq_server *self = server_of(&delivery->base);
  const roost_slice text[] = {
      ROOST_SLICE("{\"id\":"), id,
      ROOST_SLICE(",\"err\":\"There is no matching message handler defined in the remote service."
                  "\",\"status\":\"error\"}")};
  if (!is_wanted(self, delivery))
    return;
  roost_buffer_clear(&self->body);
  int status = 0;
  for (size_t i = 0; i < 3 && status == 0; i++)
    status = roost_buffer_append_slice(&self->body, text[i]);
  if (status == 0 && send_body(self, delivery) == ROOST_ESCRIPT)
    (void)reply_masked(self, origin, id);
}

/* Tells whoever waits for an answer that the message was no good. */
static void reply_refused(roost_rmq_server *self, const roost_rmq_properties *properties,
                          const char *why) {
  roost_buffer *out = &self->body;
  roost_buffer_clear(out);
  if (properties->reply_to.len > 0 &&
      roost_buffer_append_slice(out, ROOST_SLICE("{\"err\":")) == 0 &&
      roost_message_write_error(out, roost_slice_text(why)) == 0 &&
      roost_buffer_append_slice(out, ROOST_SLICE(",\"isDisposed\":true}")) == 0)
    (void)publish(self, properties->reply_to, properties->correlation_id, roost_buffer_slice(out));
  forget(&self->body);
}

static bool crowded(const roost_origin *origin) {
  const roost_rmq_server *self = (const roost_rmq_server *)origin->server;
  return roost_rmq_crowded(&self->connection);
}

/* ------------------------------------------------------------------------- settling ---------- */

static void tell_broker(roost_rmq_server *self, uint64_t tag, roost_settlement how) {
  roost_rmq_session *session = roost_rmq_ready(&self->connection);
  if (session == NULL || self->options->no_ack)
    return;
  roost_buffer *out = roost_rmq_out(session);
  const int status = how == ROOST_SETTLE_ACK
                         ? roost_rmq_write_ack(session->codec, out, ROOST_RMQ_CHANNEL, tag, false)
                         : roost_rmq_write_nack(session->codec, out, ROOST_RMQ_CHANNEL, tag,
                                                how == ROOST_SETTLE_REQUEUE);
  if (status == 0)
    roost_conn_dirty(session->link.conn); /* else it comes again when the connection ends */
}

/* How bad it is that a part of a message ended so: what wants it again decides, then a failure. */
static int badness(roost_settlement how) {
  return how == ROOST_SETTLE_REQUEUE ? 2 : how != ROOST_SETTLE_ACK;
}

static void settled(roost_delivery *base, roost_settlement how) {
  roost_rmq_delivery *delivery = of(base);
  roost_rmq_server *self = server_of(base);
  roost_rmq_share *share = delivery->share;
  if (how == ROOST_SETTLE_BROKEN) {
    roost_rmq_log(self, ROOST_LOG_WARN, ROOST_LOG_KIND_FRAME, "bad message, dropped", not_json);
    reply_refused(self, &delivery->properties, not_json);
  }
  if (share == NULL)
    tell_broker(self, delivery->tag, how);
  else if (badness(how) > badness(share->how))
    share->how = how; /* the last one tells */
}

/* ------------------------------------------------------------------------- facts ------------- */

typedef struct fact {
  const char *name;
  roost_slice text;
} fact;

static int write_texts(roost_buffer *out, char before, const fact *facts, size_t count) {
  int status = 0;
  for (size_t i = 0; i < count && status == 0; i++) {
    if (facts[i].text.ptr == NULL)
      continue;
    status = roost_json_write_key(out, before, roost_slice_text(facts[i].name));
    if (status == 0)
      status = roost_json_write_string(out, facts[i].text);
    if (status == ROOST_EINVAL) /* not UTF-8 */
      status = roost_buffer_append_slice(out, ROOST_SLICE("null"));
    before = ',';
  }
  return status == 0 && before == '{' ? roost_buffer_append_byte(out, '{') : status;
}

static int write_properties(roost_buffer *out, const roost_rmq_properties *from) {
  const fact facts[] = {{"content_type", from->content_type},
                        {"content_encoding", from->content_encoding},
                        {"correlation_id", from->correlation_id},
                        {"reply_to", from->reply_to},
                        {"expiration", from->expiration},
                        {"message_id", from->message_id},
                        {"type", from->type},
                        {"user_id", from->user_id},
                        {"app_id", from->app_id}};
  char before = ',';
  int status = write_texts(out, '{', facts, sizeof facts / sizeof *facts);
  if (out->len > 0 && out->ptr[out->len - 1] == '{')
    before = ' ';
  if (status == 0 && from->delivery_mode != 0) {
    status = roost_buffer_printf(out, "%c\"delivery_mode\":%u", before, from->delivery_mode);
    before = ',';
  }
  if (status == 0 && from->priority >= 0) {
    status = roost_buffer_printf(out, "%c\"priority\":%d", before, from->priority);
    before = ',';
  }
  if (status == 0 && from->timestamp != 0)
    status = roost_buffer_printf(out, "%c\"timestamp\":%llu", before,
                                 (unsigned long long)from->timestamp);
  return status == 0 ? roost_buffer_append_byte(out, '}') : status;
}

static int facts(const roost_origin *origin, roost_buffer *out) {
  const roost_rmq_delivery *delivery = (const roost_rmq_delivery *)origin;
  const fact names[] = {{"exchange", delivery->exchange}, {"routing_key", delivery->routing_key}};
  int status = write_texts(out, '{', names, 2);
  if (status == 0)
    status = roost_buffer_printf(out, ",\"delivery_tag\":%llu,\"redelivered\":%s,\"properties\":",
                                 (unsigned long long)delivery->tag,
                                 delivery->is_redelivered ? "true" : "false");
  if (status == 0)
    status = write_properties(out, &delivery->properties);
  return status == 0 ? roost_buffer_append_byte(out, '}') : status;
}

/* ------------------------------------------------------------------------- life -------------- */

static void init(roost_delivery *base) {
  roost_buffer_init(&of(base)->texts, base->pool->alloc);
}

static void release_share(roost_rmq_delivery *delivery) {
  roost_rmq_share *share = delivery->share;
  delivery->share = NULL;
  if (share == NULL || --share->left > 0)
    return;
  tell_broker(server_of(&delivery->base), delivery->tag, share->how);
  roost_alloc_put(delivery->base.pool->alloc, share, sizeof *share);
}

static void clear(roost_delivery *base) {
  roost_rmq_delivery *delivery = of(base);
  release_share(delivery);
  if (delivery->is_stream)
    server_of(base)->streams--;
  delivery->is_stream = false;
  forget(&delivery->texts);
}

static void deinit(roost_delivery *base) {
  clear(base);
  roost_buffer_deinit(&of(base)->texts);
}

static void eased(void *ud) {
  roost_rmq_server *self = ud;
  if (self->server.draining)
    roost_loop_defer(self->loop, &self->end);
  if (!roost_rmq_is_full(self))
    roost_rmq_connection_resume(&self->connection);
}

const roost_delivery_ops roost_rmq_delivery_ops = {
    .size = sizeof(roost_rmq_delivery),
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
    .eased = eased,
};

/* ------------------------------------------------------------------------- arrival ----------- */

/* Keeps what replies and facts need. ENOMEM. */
static int fill(roost_rmq_delivery *delivery, const roost_rmq_event *event) {
  const roost_rmq_content *content = &event->content;
  delivery->tag = event->tag;
  delivery->is_redelivered = event->redelivered;
  delivery->exchange = content->exchange;
  delivery->routing_key = content->routing_key;
  delivery->properties = content->properties;
  delivery->properties.headers = (roost_slice){NULL, 0};
  roost_rmq_properties *to = &delivery->properties;
  roost_slice *texts[] = {
      &delivery->exchange, &delivery->routing_key, &to->content_type, &to->content_encoding,
      &to->correlation_id, &to->reply_to,          &to->expiration,   &to->message_id,
      &to->type,           &to->user_id,           &to->app_id};
  size_t bytes = 0;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    bytes += texts[i]->len;
  roost_buffer_clear(&delivery->texts);
  const int status = roost_buffer_reserve(&delivery->texts, bytes + 1);
  for (size_t i = 0; i < sizeof texts / sizeof *texts && status == 0; i++) {
    if (texts[i]->ptr == NULL)
      continue;
    const char *at = delivery->texts.ptr + delivery->texts.len;
    (void)roost_buffer_append_slice(&delivery->texts, *texts[i]); /* there is room */
    texts[i]->ptr = at;
  }
  return status;
}

/* A message that no handler can be given. */
static void refuse(roost_rmq_server *self, const roost_rmq_event *event, const char *err) {
  roost_rmq_log(self, ROOST_LOG_WARN, ROOST_LOG_KIND_FOREIGN, "not a message, dropped", err);
  reply_refused(self, &event->content.properties, err);
  tell_broker(self, event->tag, ROOST_SETTLE_BROKEN);
}

/* Memory is short: it comes again, to this host or another one. */
static void put_back(roost_rmq_server *self, const roost_rmq_event *event) {
  roost_rmq_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_LIMIT, "a message was not taken",
                "out of memory");
  reply_refused(self, &event->content.properties, "Internal server error");
  tell_broker(self, event->tag, ROOST_SETTLE_REQUEUE);
}

/* One more of the message, for that route; share where it is not the only one. */
static int dispatch(roost_rmq_server *self, const roost_rmq_event *event,
                    const roost_message *message, roost_rmq_share *share) {
  roost_delivery *base = roost_delivery_take(&self->pool);
  if (base == NULL)
    return ROOST_ENOMEM;
  if (fill(of(base), event) != 0) {
    roost_delivery_give(base);
    return ROOST_ENOMEM;
  }
  of(base)->share = share;
  roost_delivery_dispatch(base, message);
  return 0;
}

/* The next wildcard from *at on that matches the key, and moves on behind it; NULL: none. */
static const roost_rmq_route *next_match(const roost_rmq_server *self, roost_slice key,
                                         size_t *at) {
  while (*at < self->routes.count) {
    const roost_rmq_route *route = &self->routes.list[(*at)++];
    if (route->is_wildcard && roost_rmq_matches(route->text, key))
      return route;
  }
  return NULL;
}

/* An event that several wildcards match; each route's handlers are a delivery of their own. The
 * first route is taken already. */
static int dispatch_all(roost_rmq_server *self, const roost_rmq_event *event,
                        roost_message *message, roost_slice key, size_t count, bool is_exact) {
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  roost_rmq_share *share = roost_alloc_get(alloc, sizeof *share);
  if (share == NULL)
    return ROOST_ENOMEM;
  *share = (roost_rmq_share){.left = count, .how = ROOST_SETTLE_ACK};
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    const roost_rmq_route *route = is_exact && i == 0 ? NULL : next_match(self, key, &at);
    message->route = route != NULL ? route->text : (roost_slice){NULL, 0};
    if (dispatch(self, event, message, share) == 0)
      continue;
    share->how = ROOST_SETTLE_REQUEUE;
    if (--share->left == 0) {
      roost_alloc_put(alloc, share, sizeof *share);
      return ROOST_ENOMEM;
    }
  }
  return 0;
}

static bool has_exact(const roost_rmq_server *self, roost_slice key) {
  for (size_t i = 0; i < self->routes.count; i++)
    if (roost_slice_equal(self->routes.list[i].text, key))
      return true;
  return false;
}

/* Finds the routes that the message is for, where its server has wildcards: a request is the
 * first's, an event all's. */
static int dispatch_by_wildcards(roost_rmq_server *self, const roost_rmq_event *event,
                                 roost_message *message) {
  roost_buffer_clear(&self->route);
  if (message->pattern.ptr == NULL || roost_pattern_resolve(&self->route, message->pattern) != 1)
    return dispatch(self, event, message, NULL);
  const roost_slice key = roost_buffer_slice(&self->route);
  const bool is_exact = has_exact(self, key);
  const bool is_event = message->id.ptr == NULL;
  size_t at = 0;
  size_t count = is_exact;
  const roost_rmq_route *first = NULL;
  const roost_rmq_route *next = NULL;
  while ((is_event || count == 0) && (next = next_match(self, key, &at)) != NULL) {
    first = first != NULL ? first : next;
    count++;
  }
  if (count > 1)
    return dispatch_all(self, event, message, key, count, is_exact);
  if (!is_exact && first != NULL)
    message->route = first->text;
  return dispatch(self, event, message, NULL);
}

/* The packet that the body stands for. ESCRIPT, ENOMEM. */
static int decoded(roost_rmq_server *self, roost_slice *body) {
  roost_codec *codec = self->server.codec;
  const bool takes_bytes = codec != NULL && codec->read != NULL && codec->takes_bytes;
  if (!takes_bytes && roost_utf8_valid_prefix(*body) != body->len) {
    roost_buffer_clear(&self->text);
    if (roost_utf8_repair(&self->text, *body) != 0)
      return ROOST_ENOMEM;
    *body = roost_buffer_slice(&self->text);
  }
  if (codec == NULL || codec->read == NULL)
    return 0;
  roost_buffer_clear(&self->packet);
  const int status = codec->read(codec, *body, &self->packet);
  *body = roost_buffer_slice(&self->packet);
  return status;
}

void roost_rmq_take_delivery(roost_rmq_server *self, const roost_rmq_event *event) {
  roost_message message = {.format = ROOST_FORMAT_JSON};
  roost_slice body = event->content.body;
  if (event->content.is_too_large) {
    refuse(self, event, "The message is too large");
    return;
  }
  int status = decoded(self, &body);
  if (status == ROOST_ESCRIPT) {
    refuse(self, event, "The message cannot be read");
    return;
  }
  if (status == 0) {
    const int kind = roost_envelope_read(&message, body);
    if (kind <= 0) {
      refuse(self, event, kind < 0 ? not_json : "The message has neither pattern nor data");
      return;
    }
    message.metadata = event->content.properties.headers;
    status = self->routes.wildcards > 0 && self->options->wildcards
                 ? dispatch_by_wildcards(self, event, &message)
                 : dispatch(self, event, &message, NULL);
  }
  if (status != 0)
    put_back(self, event);
  forget(&self->text);
  forget(&self->packet);
}
