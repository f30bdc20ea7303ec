/*
 * wire/mqtt_internal.h - what the mqtt files share: taking a packet apart from its front.
 *
 * A take returns false where the bytes end too early or break a rule of the protocol. No ownership:
 * what is taken is borrowed from the bytes.
 */
#ifndef ROOST_WIRE_MQTT_INTERNAL_H
#define ROOST_WIRE_MQTT_INTERNAL_H

#include "core/slice.h"
#include "wire/mqtt.h"

static inline bool roost_mqtt_take_byte(roost_slice *rest, uint8_t *byte) {
  if (rest->len < 1)
    return false;
  *byte = (uint8_t)rest->ptr[0];
  *rest = roost_slice_of(rest->ptr + 1, rest->len - 1);
  return true;
}

static inline bool roost_mqtt_take_word(roost_slice *rest, uint16_t *word) {
  if (rest->len < 2)
    return false;
  *word = (uint16_t)((uint8_t)rest->ptr[0] << 8 | (uint8_t)rest->ptr[1]);
  *rest = roost_slice_of(rest->ptr + 2, rest->len - 2);
  return true;
}

/* Length, then so many bytes. */
static inline bool roost_mqtt_take_bytes(roost_slice *rest, roost_slice *bytes) {
  uint16_t len;
  if (!roost_mqtt_take_word(rest, &len) || rest->len < len)
    return false;
  *bytes = roost_slice_of(rest->ptr, len);
  *rest = roost_slice_of(rest->ptr + len, rest->len - len);
  return true;
}

/* At most 65,535 bytes of UTF-8 without NUL. */
bool roost_mqtt_is_string(roost_slice text);

/* Length, then a string. */
bool roost_mqtt_take_text(roost_slice *rest, roost_slice *text);

/* A number of 1 to 4 bytes, in as few as it needs. */
bool roost_mqtt_take_number(roost_slice *rest, uint32_t *number);

/* A packet's properties, after their length, validated. */
bool roost_mqtt_take_properties(roost_slice *rest, roost_mqtt_type type, roost_slice *properties);

/* Takes the body of a packet apart, which is whole. NULL, or a fixed text of what is wrong. */
const char *roost_mqtt_decode(roost_mqtt_packet *packet, uint8_t level, uint8_t first,
                              roost_slice body);

/* The same for the start of a PUBLISH: its topic and id. */
const char *roost_mqtt_decode_publish_head(roost_mqtt_packet *packet, uint8_t first,
                                           roost_slice *rest);

/* NULL, or a fixed text of why a broker can't send a packet that begins with this byte. */
const char *roost_mqtt_check_first(uint8_t level, uint8_t first);

#endif
