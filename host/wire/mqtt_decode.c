#include "wire/mqtt_internal.h"

/* Reasons that say it went well and are no error in the packet they stand in. */
#define NO_MATCHING_SUBSCRIBERS 0x10
#define NO_SUBSCRIPTION_EXISTED 0x11
#define CONTINUE_AUTHENTICATION 0x18
#define RE_AUTHENTICATE         0x19
#define FAILED                  0x80
#define CONNACK_LEVEL_4_REASONS 5

const char *roost_mqtt_check_first(uint8_t level, uint8_t first) {
  const uint8_t flags = first & 0x0f;
  switch (first >> 4) {
  case ROOST_MQTT_PUBLISH:
    if ((flags & 6) == 6)
      return "PUBLISH with QoS 3";
    return (flags & 0x0e) == 8 ? "PUBLISH with QoS 0 and DUP" : NULL;
  case ROOST_MQTT_PUBREL:
    return flags == 2 ? NULL : "PUBREL with wrong flags";
  case ROOST_MQTT_CONNACK:
  case ROOST_MQTT_PUBACK:
  case ROOST_MQTT_PUBREC:
  case ROOST_MQTT_PUBCOMP:
  case ROOST_MQTT_SUBACK:
  case ROOST_MQTT_UNSUBACK:
  case ROOST_MQTT_PINGRESP:
    return flags == 0 ? NULL : "a packet with wrong flags";
  case ROOST_MQTT_DISCONNECT:
  case ROOST_MQTT_AUTH:
    if (level < 5)
      return "a packet that a broker of version 3.1.1 can't send";
    return flags == 0 ? NULL : "a packet with wrong flags";
  default:
    return "a packet that a broker can't send";
  }
}

/* ------------------------------------------------------------------------- CONNACK ----------- */

static bool decode_connack(roost_mqtt_packet *packet, uint8_t level, roost_slice *rest) {
  uint8_t flags;
  if (!roost_mqtt_take_byte(rest, &flags) || flags > 1 ||
      !roost_mqtt_take_byte(rest, &packet->reason))
    return false;
  packet->session_present = flags == 1;
  if (packet->session_present && packet->reason != 0)
    return false;
  const bool is_level_4 = packet->reason <= CONNACK_LEVEL_4_REASONS;
  if (level < 5)
    return is_level_4;
  if (rest->len == 0) /* a broker of before level 5, which refuses it */
    return is_level_4 && packet->reason != 0;
  return (packet->reason == 0 || packet->reason >= FAILED) &&
         roost_mqtt_take_properties(rest, packet->type, &packet->properties);
}

/* ------------------------------------------------------------------------- PUBLISH ----------- */

const char *roost_mqtt_decode_publish_head(roost_mqtt_packet *packet, uint8_t first,
                                           roost_slice *rest) {
  packet->dup = (first & 8) != 0;
  packet->qos = first >> 1 & 3;
  packet->retain = (first & 1) != 0;
  if (!roost_mqtt_take_text(rest, &packet->topic) || !roost_mqtt_topic_is_valid(packet->topic))
    return "PUBLISH with a malformed topic";
  if (packet->qos > 0 && (!roost_mqtt_take_word(rest, &packet->id) || packet->id == 0))
    return "PUBLISH without a packet identifier";
  return NULL;
}

/* We never permit aliases, so a topic always stands there. */
static const char *decode_publish(roost_mqtt_packet *packet, uint8_t level, uint8_t first,
                                  roost_slice *rest) {
  roost_mqtt_property property;
  const char *wrong = roost_mqtt_decode_publish_head(packet, first, rest);
  if (wrong != NULL)
    return wrong;
  if (level >= 5) {
    if (!roost_mqtt_take_properties(rest, packet->type, &packet->properties))
      return "PUBLISH with malformed properties";
    if (roost_mqtt_property_find(packet, ROOST_MQTT_TOPIC_ALIAS, &property))
      return "PUBLISH with a topic alias";
  }
  packet->payload = *rest;
  *rest = (roost_slice){NULL, 0};
  return NULL;
}

/* ------------------------------------------------------------------------- answers ----------- */

/* A reason that an answer to a PUBLISH may have. */
static bool is_answer_reason(roost_mqtt_type type, uint8_t reason) {
  const bool first = type == ROOST_MQTT_PUBACK || type == ROOST_MQTT_PUBREC;
  return reason == 0 || reason >= FAILED || (first && reason == NO_MATCHING_SUBSCRIBERS);
}

/* At level 5 the reason may be left out, and then the properties too. */
static bool decode_answer(roost_mqtt_packet *packet, uint8_t level, roost_slice *rest) {
  if (!roost_mqtt_take_word(rest, &packet->id) || packet->id == 0)
    return false;
  if (level < 5 || rest->len == 0)
    return true;
  if (!roost_mqtt_take_byte(rest, &packet->reason) ||
      !is_answer_reason(packet->type, packet->reason))
    return false;
  return rest->len == 0 || roost_mqtt_take_properties(rest, packet->type, &packet->properties);
}

/* Of a filter that was subscribed to: the QoS granted, or a failure. */
static bool is_subscribe_reason(uint8_t level, uint8_t reason) {
  return reason <= 2 || (level < 5 ? reason == FAILED : reason >= FAILED);
}

static bool is_unsubscribe_reason(uint8_t level, uint8_t reason) {
  (void)level;
  return reason == 0 || reason == NO_SUBSCRIPTION_EXISTED || reason >= FAILED;
}

static bool decode_reasons(roost_mqtt_packet *packet, uint8_t level, roost_slice *rest,
                           bool (*is_reason)(uint8_t level, uint8_t reason)) {
  if (rest->len == 0)
    return false;
  packet->reasons = *rest;
  for (uint8_t reason; roost_mqtt_take_byte(rest, &reason);) {
    if (!is_reason(level, reason))
      return false;
  }
  return true;
}

static bool decode_suback(roost_mqtt_packet *packet, uint8_t level, roost_slice *rest) {
  if (!roost_mqtt_take_word(rest, &packet->id) || packet->id == 0)
    return false;
  if (level >= 5 && !roost_mqtt_take_properties(rest, packet->type, &packet->properties))
    return false;
  if (packet->type == ROOST_MQTT_SUBACK)
    return decode_reasons(packet, level, rest, is_subscribe_reason);
  return level < 5 || decode_reasons(packet, level, rest, is_unsubscribe_reason);
}

/* ------------------------------------------------------------------------- the rest ---------- */

static bool decode_disconnect(roost_mqtt_packet *packet, roost_slice *rest) {
  if (rest->len == 0)
    return true;
  if (!roost_mqtt_take_byte(rest, &packet->reason) ||
      (packet->reason != 0 && packet->reason < FAILED))
    return false;
  return rest->len == 0 || roost_mqtt_take_properties(rest, packet->type, &packet->properties);
}

static bool decode_auth(roost_mqtt_packet *packet, roost_slice *rest) {
  if (rest->len == 0)
    return true;
  return roost_mqtt_take_byte(rest, &packet->reason) &&
         (packet->reason == 0 || packet->reason == CONTINUE_AUTHENTICATION ||
          packet->reason == RE_AUTHENTICATE) &&
         roost_mqtt_take_properties(rest, packet->type, &packet->properties);
}

static const char *wrong_unless(bool ok, const char *wrong) {
  return ok ? NULL : wrong;
}

static const char *decode(roost_mqtt_packet *packet, uint8_t level, uint8_t first,
                          roost_slice *rest) {
  switch (packet->type) {
  case ROOST_MQTT_CONNACK:
    return wrong_unless(decode_connack(packet, level, rest), "malformed CONNACK");
  case ROOST_MQTT_PUBLISH:
    return decode_publish(packet, level, first, rest);
  case ROOST_MQTT_SUBACK:
  case ROOST_MQTT_UNSUBACK:
    return wrong_unless(decode_suback(packet, level, rest), "malformed SUBACK or UNSUBACK");
  case ROOST_MQTT_PINGRESP:
    return NULL;
  case ROOST_MQTT_DISCONNECT:
    return wrong_unless(decode_disconnect(packet, rest), "malformed DISCONNECT");
  case ROOST_MQTT_AUTH:
    return wrong_unless(decode_auth(packet, rest), "malformed AUTH");
  default:
    return wrong_unless(decode_answer(packet, level, rest), "malformed answer to a PUBLISH");
  }
}

const char *roost_mqtt_decode(roost_mqtt_packet *packet, uint8_t level, uint8_t first,
                              roost_slice body) {
  const char *wrong = decode(packet, level, first, &body);
  if (wrong == NULL && body.len > 0)
    return "a packet with bytes left over";
  return wrong;
}
