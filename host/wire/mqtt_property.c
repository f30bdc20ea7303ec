#include "wire/mqtt_internal.h"

/* How a property's value is written. */
typedef enum shape { SHAPE_NONE, FLAG, WORD, LONG, NUMBER, TEXT, BYTES, PAIR } shape;

#define IN(type) (1u << (type))
#define ANSWERS                                                                                    \
  (IN(ROOST_MQTT_CONNACK) | IN(ROOST_MQTT_PUBACK) | IN(ROOST_MQTT_PUBREC) |                        \
   IN(ROOST_MQTT_PUBREL) | IN(ROOST_MQTT_PUBCOMP) | IN(ROOST_MQTT_SUBACK) |                        \
   IN(ROOST_MQTT_UNSUBACK) | IN(ROOST_MQTT_DISCONNECT) | IN(ROOST_MQTT_AUTH))

typedef struct rule {
  uint8_t shape;
  bool repeats;    /* may stand more than once in a packet */
  bool not_zero;   /* 0 breaks the protocol */
  uint32_t inside; /* packets of a broker it may stand in */
} rule;

/* Every property of the protocol that a broker may send, by number. */
static const rule rules[] = {
    [1] = {.shape = FLAG, .inside = IN(ROOST_MQTT_PUBLISH)}, /* payload format */
    [2] = {.shape = LONG, .inside = IN(ROOST_MQTT_PUBLISH)}, /* message expiry */
    [3] = {.shape = TEXT, .inside = IN(ROOST_MQTT_PUBLISH)}, /* content type */
    [ROOST_MQTT_RESPONSE_TOPIC] = {.shape = TEXT, .inside = IN(ROOST_MQTT_PUBLISH)},
    [9] = {.shape = BYTES, .inside = IN(ROOST_MQTT_PUBLISH)}, /* correlation data */
    [ROOST_MQTT_SUBSCRIPTION] = {.shape = NUMBER,
                                 .repeats = true,
                                 .not_zero = true,
                                 .inside = IN(ROOST_MQTT_PUBLISH)},
    [ROOST_MQTT_SESSION_EXPIRY] = {.shape = LONG, .inside = IN(ROOST_MQTT_CONNACK)},
    [ROOST_MQTT_CLIENT_ID] = {.shape = TEXT, .inside = IN(ROOST_MQTT_CONNACK)},
    [ROOST_MQTT_SERVER_KEEP_ALIVE] = {.shape = WORD, .inside = IN(ROOST_MQTT_CONNACK)},
    [21] = {.shape = TEXT, /* authentication method */
            .inside = IN(ROOST_MQTT_CONNACK) | IN(ROOST_MQTT_AUTH)},
    [22] = {.shape = BYTES, /* authentication data */
            .inside = IN(ROOST_MQTT_CONNACK) | IN(ROOST_MQTT_AUTH)},
    [26] = {.shape = TEXT, .inside = IN(ROOST_MQTT_CONNACK)}, /* response information */
    [28] = {.shape = TEXT,                                    /* server reference */
            .inside = IN(ROOST_MQTT_CONNACK) | IN(ROOST_MQTT_DISCONNECT)},
    [ROOST_MQTT_REASON_STRING] = {.shape = TEXT, .inside = ANSWERS},
    [ROOST_MQTT_RECEIVE_MAXIMUM] = {.shape = WORD,
                                    .not_zero = true,
                                    .inside = IN(ROOST_MQTT_CONNACK)},
    [34] = {.shape = WORD, .inside = IN(ROOST_MQTT_CONNACK)}, /* topic alias maximum */
    [ROOST_MQTT_TOPIC_ALIAS] = {.shape = WORD, .not_zero = true, .inside = IN(ROOST_MQTT_PUBLISH)},
    [ROOST_MQTT_MAXIMUM_QOS] = {.shape = FLAG, .inside = IN(ROOST_MQTT_CONNACK)},
    [ROOST_MQTT_RETAIN_AVAILABLE] = {.shape = FLAG, .inside = IN(ROOST_MQTT_CONNACK)},
    [ROOST_MQTT_USER_PROPERTY] = {.shape = PAIR,
                                  .repeats = true,
                                  .inside = ANSWERS | IN(ROOST_MQTT_PUBLISH)},
    [ROOST_MQTT_MAXIMUM_PACKET_SIZE] = {.shape = LONG,
                                        .not_zero = true,
                                        .inside = IN(ROOST_MQTT_CONNACK)},
    [ROOST_MQTT_WILDCARD_AVAILABLE] = {.shape = FLAG, .inside = IN(ROOST_MQTT_CONNACK)},
    [ROOST_MQTT_IDENTIFIERS_AVAILABLE] = {.shape = FLAG, .inside = IN(ROOST_MQTT_CONNACK)},
    [ROOST_MQTT_SHARED_AVAILABLE] = {.shape = FLAG, .inside = IN(ROOST_MQTT_CONNACK)},
};

#define RULES (sizeof rules / sizeof *rules)

bool roost_mqtt_take_text(roost_slice *rest, roost_slice *text) {
  return roost_mqtt_take_bytes(rest, text) && roost_mqtt_is_string(*text);
}

bool roost_mqtt_take_number(roost_slice *rest, uint32_t *number) {
  uint8_t byte = 0x80;
  *number = 0;
  for (unsigned shift = 0; (byte & 0x80) != 0; shift += 7) {
    if (shift > 21 || !roost_mqtt_take_byte(rest, &byte) || (shift > 0 && byte == 0))
      return false;
    *number |= (uint32_t)(byte & 0x7f) << shift;
  }
  return true;
}

static bool take_flag(roost_slice *rest, uint32_t *number) {
  uint8_t byte;
  if (!roost_mqtt_take_byte(rest, &byte) || byte > 1)
    return false;
  *number = byte;
  return true;
}

static bool take_word(roost_slice *rest, uint32_t *number) {
  uint16_t word;
  if (!roost_mqtt_take_word(rest, &word))
    return false;
  *number = word;
  return true;
}

static bool take_long(roost_slice *rest, uint32_t *number) {
  uint16_t high;
  uint16_t low;
  if (!roost_mqtt_take_word(rest, &high) || !roost_mqtt_take_word(rest, &low))
    return false;
  *number = (uint32_t)high << 16 | low;
  return true;
}

static bool take_value(roost_slice *rest, shape of, roost_mqtt_property *property) {
  switch (of) {
  case FLAG:
    return take_flag(rest, &property->number);
  case WORD:
    return take_word(rest, &property->number);
  case LONG:
    return take_long(rest, &property->number);
  case NUMBER:
    return roost_mqtt_take_number(rest, &property->number);
  case TEXT:
    return roost_mqtt_take_text(rest, &property->text);
  case BYTES:
    return roost_mqtt_take_bytes(rest, &property->text);
  case PAIR:
    return roost_mqtt_take_text(rest, &property->text) &&
           roost_mqtt_take_text(rest, &property->value);
  default:
    return false;
  }
}

static bool take_property(roost_slice *rest, roost_mqtt_property *property) {
  *property = (roost_mqtt_property){.id = 0};
  return roost_mqtt_take_byte(rest, &property->id) && property->id < RULES &&
         take_value(rest, (shape)rules[property->id].shape, property);
}

static bool is_allowed(const roost_mqtt_property *property, roost_mqtt_type type, uint64_t seen) {
  const rule *of = &rules[property->id];
  return (of->inside & IN(type)) != 0 && (of->repeats || (seen >> property->id & 1) == 0) &&
         !(of->not_zero && property->number == 0);
}

bool roost_mqtt_take_properties(roost_slice *rest, roost_mqtt_type type, roost_slice *properties) {
  uint32_t len;
  uint64_t seen = 0;
  if (!roost_mqtt_take_number(rest, &len) || rest->len < len)
    return false;
  *properties = roost_slice_of(rest->ptr, len);
  *rest = roost_slice_of(rest->ptr + len, rest->len - len);
  for (roost_slice left = *properties; left.len > 0;) {
    roost_mqtt_property property;
    if (!take_property(&left, &property) || !is_allowed(&property, type, seen))
      return false;
    seen |= (uint64_t)1 << property.id;
  }
  return true;
}

bool roost_mqtt_property_next(roost_slice *rest, roost_mqtt_property *property) {
  return rest->len > 0 && take_property(rest, property);
}

bool roost_mqtt_property_find(const roost_mqtt_packet *packet, roost_mqtt_property_id id,
                              roost_mqtt_property *property) {
  roost_slice rest = packet->properties;
  while (roost_mqtt_property_next(&rest, property)) {
    if (property->id == id)
      return true;
  }
  return false;
}

static uint32_t number_of(const roost_mqtt_packet *packet, roost_mqtt_property_id id,
                          uint32_t otherwise) {
  roost_mqtt_property property;
  return roost_mqtt_property_find(packet, id, &property) ? property.number : otherwise;
}

void roost_mqtt_limits_read(roost_mqtt_limits *limits, const roost_mqtt_packet *connack) {
  roost_mqtt_property property;
  *limits = (roost_mqtt_limits){
      .receive_maximum = (uint16_t)number_of(connack, ROOST_MQTT_RECEIVE_MAXIMUM, UINT16_MAX),
      .maximum_packet_size = number_of(connack, ROOST_MQTT_MAXIMUM_PACKET_SIZE, UINT32_MAX),
      .maximum_qos = (uint8_t)number_of(connack, ROOST_MQTT_MAXIMUM_QOS, 2),
      .retain_available = number_of(connack, ROOST_MQTT_RETAIN_AVAILABLE, 1) != 0,
      .wildcard_available = number_of(connack, ROOST_MQTT_WILDCARD_AVAILABLE, 1) != 0,
      .shared_available = number_of(connack, ROOST_MQTT_SHARED_AVAILABLE, 1) != 0,
      .identifiers_available = number_of(connack, ROOST_MQTT_IDENTIFIERS_AVAILABLE, 1) != 0};
  limits->has_keep_alive =
      roost_mqtt_property_find(connack, ROOST_MQTT_SERVER_KEEP_ALIVE, &property);
  if (limits->has_keep_alive)
    limits->keep_alive_s = (uint16_t)property.number;
  if (roost_mqtt_property_find(connack, ROOST_MQTT_CLIENT_ID, &property))
    limits->client_id = property.text;
}
