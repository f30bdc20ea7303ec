/*
 * What comes from the broker: made into messages, handed on, and answered once it is over.
 */
#include "core/slice.h"
#include "transport/codec.h"
#include "transport/mqtt_internal.h"
#include "transport/mqtt_properties.h"
#include "wire/envelope.h"
#include "wire/json.h"
#include "wire/utf8.h"

#define REASON_FAILED 0x80 /* unspecified error */
#define REASON_BROKEN 0x99 /* payload format invalid */
#define NOT_FOUND     0x92 /* packet identifier */

static void clear(roost_buffer *buffer) {
  roost_buffer_clear(buffer);
  roost_buffer_trim(buffer, ROOST_CODEC_KEEP_BYTES);
}

/* ------------------------------------------------------------------------- answers ----------- */

static void answer(roost_mqtt_server *self, roost_mqtt_type type, uint16_t id, uint8_t reason) {
  roost_mqtt_session *session = &self->session;
  roost_mqtt_session_check(session, roost_mqtt_write_answer(roost_mqtt_session_out(session),
                                                            session->level, type, id, reason));
}

/* Says that we have it. A QoS 2 message that is refused is over with that. */
static void acknowledge(roost_mqtt_server *self, uint16_t id, uint8_t qos, uint8_t reason) {
  const bool is_over = qos == 1 || (reason >= REASON_FAILED && self->session.level >= 5);
  (void)roost_mqtt_received_set(&self->received, id,
                                is_over ? ROOST_MQTT_FREE : ROOST_MQTT_RECEIVED);
  answer(self, qos == 1 ? ROOST_MQTT_PUBACK : ROOST_MQTT_PUBREC, id, reason);
}

void roost_mqtt_on_release(roost_mqtt_server *self, uint16_t id) {
  const bool is_known = roost_mqtt_received_get(&self->received, id) == ROOST_MQTT_RECEIVED;
  if (is_known)
    (void)roost_mqtt_received_set(&self->received, id, ROOST_MQTT_FREE);
  answer(self, ROOST_MQTT_PUBCOMP, id, is_known ? 0 : NOT_FOUND);
}

static uint8_t reason_of(roost_settlement how) {
  if (how == ROOST_SETTLE_NACK)
    return REASON_FAILED;
  return how == ROOST_SETTLE_BROKEN ? REASON_BROKEN : 0;
}

/* Where it was sent to, without what the replies' topic has after that. */
static roost_slice topic_of(const roost_mqtt_delivery *delivery) {
  return roost_slice_of(delivery->topic.ptr,
                        delivery->topic.len - (sizeof ROOST_MQTT_REPLY_SUFFIX - 1));
}

static void reply_broken(roost_mqtt_server *self, roost_origin *origin) {
  roost_buffer *out = roost_mqtt_reply_begin(origin, ROOST_REPLY_ERROR);
  if (out == NULL)
    return;
  if (roost_message_write_error(out, ROOST_SLICE("The message is not JSON")) == 0)
    (void)roost_mqtt_reply_end(origin, ROOST_REPLY_ERROR, self->dispatched_id);
  else
    roost_mqtt_reply_undo(origin);
}

void roost_mqtt_settled(roost_delivery *at, roost_settlement how) {
  roost_mqtt_delivery *delivery = (roost_mqtt_delivery *)at;
  roost_mqtt_server *self = (roost_mqtt_server *)at->origin.server;
  if (how == ROOST_SETTLE_BROKEN) {
    roost_mqtt_log(self, ROOST_LOG_WARN, ROOST_LOG_KIND_FRAME, "a message is not JSON",
                   topic_of(delivery), "");
    if (self->dispatched_id.ptr != NULL)
      reply_broken(self, &at->origin);
  }
  if (delivery->id == 0 || delivery->session != self->received.session)
    return;
  if (how == ROOST_SETTLE_REQUEUE) /* the broker sends it again when we connect again */
    (void)roost_mqtt_received_set(&self->received, delivery->id, ROOST_MQTT_FREE);
  else if (self->session.state == ROOST_MQTT_UP)
    acknowledge(self, delivery->id, delivery->qos, reason_of(how));
  else
    (void)roost_mqtt_received_set(&self->received, delivery->id,
                                  delivery->qos == 1 ? ROOST_MQTT_DONE : ROOST_MQTT_RECEIVED);
}

/* ------------------------------------------------------------------------- messages ---------- */

/* The payload as UTF-8, or as it came where the codec wants that. ENOMEM. */
static int read_text(roost_mqtt_server *self, roost_slice payload, roost_slice *text) {
  const roost_codec *codec = self->server.codec;
  const bool takes_bytes = codec != NULL && codec->takes_bytes;
  *text = payload;
  if (takes_bytes || roost_utf8_valid_prefix(payload) == payload.len)
    return 0;
  clear(&self->text);
  const int status = roost_utf8_repair(&self->text, payload);
  *text = roost_buffer_slice(&self->text);
  return status;
}

/* What the codec makes of it. ENOMEM, ESCRIPT. */
static int decode(roost_mqtt_server *self, roost_slice *text) {
  roost_codec *codec = self->server.codec;
  if (codec == NULL || codec->read == NULL)
    return 0;
  clear(&self->packet);
  const int status = codec->read(codec, *text, &self->packet);
  *text = roost_buffer_slice(&self->packet);
  return status;
}

/* The topic as a pattern: it may be the text of an object or a number. */
static int write_pattern(roost_buffer *out, roost_slice topic) {
  const bool may_be =
      topic.ptr[0] == '{' || topic.ptr[0] == '-' || (topic.ptr[0] >= '0' && topic.ptr[0] <= '9');
  if (may_be && roost_json_validate(topic) == 0)
    return roost_buffer_append_slice(out, topic);
  return roost_json_write_string(out, topic);
}

static bool ends_as_reply(roost_slice topic) {
  static const char suffix[] = ROOST_MQTT_REPLY_SUFFIX;
  const size_t len = sizeof suffix - 1;
  return topic.len > len && memcmp(topic.ptr + topic.len - len, suffix, len) == 0;
}

/* A wildcard also hears what is answered below it. */
static bool is_reply(const roost_mqtt_packet *packet, const roost_mqtt_route *route,
                     roost_slice text) {
  roost_reply reply;
  if ((route != NULL && !route->matches) || !ends_as_reply(packet->topic))
    return false;
  return roost_envelope_read_reply(&reply, text) == 1 && !reply.foreign && reply.id.ptr != NULL;
}

/* ------------------------------------------------------------------------- routes ------------ */

/* Which routes a packet is for. Where several subscriptions match a topic a broker sends a copy for
 * each, or one for all; from version 5 on it says which. */
typedef struct destination {
  const roost_mqtt_route *route; /* to be taken; NULL: none is registered */
  bool answers;                  /* it is the one that requests to the topic go to */
} destination;

static destination find_destination(const roost_mqtt_server *self,
                                    const roost_mqtt_packet *packet) {
  const roost_mqtt_route *first = roost_mqtt_routes_find(&self->routes, packet->topic);
  destination to = {.route = NULL};
  roost_mqtt_property property;
  for (roost_slice rest = packet->properties; roost_mqtt_property_next(&rest, &property);) {
    if (property.id != ROOST_MQTT_SUBSCRIPTION)
      continue;
    if (first != NULL && first->number == property.number)
      return (destination){first, true};
    if (to.route == NULL)
      to.route = roost_mqtt_routes_numbered(&self->routes, property.number, packet->topic);
  }
  return to.route != NULL ? to : (destination){first, true};
}

/* Where each part of server->members ends. */
typedef struct ends {
  size_t pattern;
  size_t data;
} ends;

/* Writes what the message does not have: its pattern, what is no packet as data, its metadata.
 * Returns 1 where there is metadata, 0, or ENOMEM. */
static int make_members(roost_mqtt_server *self, const roost_mqtt_packet *packet,
                        const roost_slice *plain, ends *at) {
  roost_buffer *out = &self->members;
  clear(out);
  int status = write_pattern(out, packet->topic);
  at->pattern = out->len;
  if (status == 0 && plain != NULL)
    status = roost_json_write_string(out, *plain);
  at->data = out->len;
  return status != 0 ? status : roost_mqtt_read_metadata(out, packet);
}

/* Fills the message; what is no packet of Nest's is an event with all of it as data. ENOMEM. */
static int fill(roost_mqtt_server *self, const roost_mqtt_packet *packet,
                const roost_mqtt_route *route, roost_slice text, roost_message *message) {
  ends at;
  const int kind = roost_envelope_read(message, text);
  if (kind <= 0)
    *message = (roost_message){.data = text};
  const int status = make_members(self, packet, kind < 0 ? &text : NULL, &at);
  if (status < 0)
    return status;
  const char *members = self->members.ptr;
  message->pattern = roost_slice_of(members, at.pattern);
  if (kind < 0)
    message->data = roost_slice_of(members + at.pattern, at.data - at.pattern);
  if (status > 0)
    message->metadata = roost_slice_of(members + at.data, self->members.len - at.data);
  message->route = route != NULL ? route->text : packet->topic;
  return 0;
}

/* ------------------------------------------------------------------------- handing on -------- */

static roost_mqtt_delivery *new_delivery(roost_mqtt_server *self, const roost_mqtt_packet *packet) {
  roost_mqtt_delivery *delivery = (roost_mqtt_delivery *)roost_delivery_take(&self->pool);
  if (delivery == NULL)
    return NULL;
  int status = roost_buffer_append_slice(&delivery->topic, packet->topic);
  if (status == 0)
    status = roost_buffer_append(&delivery->topic, ROOST_MQTT_REPLY_SUFFIX,
                                 sizeof ROOST_MQTT_REPLY_SUFFIX - 1);
  if (status == 0 && packet->id != 0)
    status = roost_mqtt_received_set(&self->received, packet->id, ROOST_MQTT_RUNNING);
  if (status != 0) {
    roost_delivery_give(&delivery->delivery);
    return NULL;
  }
  delivery->session = self->received.session;
  delivery->id = packet->id;
  delivery->qos = packet->qos;
  delivery->retain = packet->retain;
  delivery->dup = packet->dup;
  return delivery;
}

/* It is over before it was begun: said, and answered. */
static void refuse(roost_mqtt_server *self, const roost_mqtt_packet *packet, const char *msg,
                   const char *err) {
  roost_mqtt_log(self, ROOST_LOG_WARN, ROOST_LOG_KIND_FRAME, msg, packet->topic, err);
  if (packet->id != 0)
    acknowledge(self, packet->id, packet->qos, REASON_BROKEN);
}

/* Where memory is short it is not answered, so that the broker keeps it. */
static void dispatch(roost_mqtt_server *self, const roost_mqtt_packet *packet,
                     const roost_message *message) {
  roost_mqtt_delivery *delivery = new_delivery(self, packet);
  const uint32_t limit = self->server.config->max_in_flight;
  if (delivery == NULL) {
    roost_mqtt_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_LIMIT, "a message is lost", packet->topic,
                   "out of memory");
    return;
  }
  if (limit > 0 && self->pool.count >= limit)
    roost_mqtt_session_block(&self->session, true);
  self->dispatched_id = message->id;
  roost_delivery_dispatch(&delivery->delivery, message);
  self->dispatched_id = (roost_slice){NULL, 0};
}

/* The routes besides the one taken that a packet is for, where the broker sends one for all. */
static void dispatch_others(roost_mqtt_server *self, const roost_mqtt_packet *packet,
                            const roost_mqtt_route *taken, roost_message *message) {
  roost_mqtt_property property;
  roost_mqtt_packet copy = *packet;
  copy.id = 0; /* the one that was taken is what the broker is told of */
  for (roost_slice rest = packet->properties; roost_mqtt_property_next(&rest, &property);) {
    if (property.id != ROOST_MQTT_SUBSCRIPTION || property.number == taken->number)
      continue;
    const roost_mqtt_route *route =
        roost_mqtt_routes_numbered(&self->routes, property.number, packet->topic);
    if (route == NULL || route == taken)
      continue;
    message->route = route->text;
    dispatch(self, &copy, message);
  }
}

/* A request is handed on for the route that answers it alone, an event for each. */
static void hand_on(roost_mqtt_server *self, const roost_mqtt_packet *packet, destination to,
                    roost_message *message) {
  const bool is_event = roost_message_is_event(message);
  if (!is_event && !to.answers) {
    if (packet->id != 0)
      acknowledge(self, packet->id, packet->qos, 0);
    return;
  }
  dispatch(self, packet, message);
  if (is_event && to.route != NULL)
    dispatch_others(self, packet, to.route, message);
}

static void take(roost_mqtt_server *self, const roost_mqtt_packet *packet) {
  const destination to = find_destination(self, packet);
  roost_message message;
  roost_slice text;
  int status = packet->too_large ? ROOST_EFULL : read_text(self, packet->payload, &text);
  if (status == 0)
    status = decode(self, &text);
  if (status == 0 && is_reply(packet, to.route, text)) {
    if (packet->id != 0)
      acknowledge(self, packet->id, packet->qos, 0);
    return;
  }
  if (status == 0)
    status = fill(self, packet, to.route, text, &message);
  if (status == 0)
    hand_on(self, packet, to, &message);
  else if (status == ROOST_ESCRIPT)
    refuse(self, packet, "a message cannot be read", self->server.codec->why);
  else if (status == ROOST_EFULL)
    refuse(self, packet, "a message is too large", "max_buffer_size");
  else
    roost_mqtt_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_LIMIT, "a message is lost", packet->topic,
                   "out of memory");
}

/* The identifier is another message's now: a broker that was restored from what it had saved before
 * gives some of them a second time. */
static void disown(const roost_mqtt_server *self, uint16_t id) {
  const roost_list *live = &self->pool.live;
  for (roost_list *at = live->next; at != live; at = at->next) {
    roost_mqtt_delivery *delivery =
        (roost_mqtt_delivery *)ROOST_LIST_ENTRY(at, roost_delivery, link);
    if (delivery->id == id)
      delivery->id = 0;
  }
}

/* One that the broker sends again because it has no answer yet is not begun again. */
static void take_again(roost_mqtt_server *self, const roost_mqtt_packet *packet,
                       roost_mqtt_receipt receipt) {
  if (!packet->dup) {
    disown(self, packet->id);
    take(self, packet);
  } else if (receipt != ROOST_MQTT_RUNNING) {
    acknowledge(self, packet->id, packet->qos, 0);
  }
}

void roost_mqtt_on_publish(void *ud, const roost_mqtt_packet *packet) {
  roost_mqtt_server *self = ud;
  const roost_mqtt_receipt receipt =
      packet->id != 0 ? roost_mqtt_received_get(&self->received, packet->id) : ROOST_MQTT_FREE;
  if (receipt == ROOST_MQTT_FREE)
    take(self, packet);
  else
    take_again(self, packet, receipt);
}
