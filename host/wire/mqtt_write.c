#include "wire/mqtt_internal.h"

/* Room for everything is reserved before the first byte is written, so that nothing is to be taken
 * back: a writer is where the next byte goes. */
typedef char *writer;

static void put_byte(writer *to, unsigned byte) {
  *(*to)++ = (char)(uint8_t)byte;
}

static void put_word(writer *to, unsigned word) {
  put_byte(to, word >> 8);
  put_byte(to, word);
}

static void put_long(writer *to, uint32_t value) {
  put_word(to, value >> 16);
  put_word(to, value & 0xffff);
}

static void put_number(writer *to, size_t number) {
  for (; number >= 0x80; number >>= 7)
    put_byte(to, (unsigned)(number & 0x7f) | 0x80);
  put_byte(to, (unsigned)number);
}

static void put_raw(writer *to, roost_slice bytes) {
  if (bytes.len > 0)
    memcpy(*to, bytes.ptr, bytes.len);
  *to += bytes.len;
}

static void put_bytes(writer *to, roost_slice bytes) {
  put_word(to, (unsigned)bytes.len);
  put_raw(to, bytes);
}

static unsigned number_bytes(size_t number) {
  unsigned bytes = 1;
  for (; number >= 0x80; number >>= 7)
    bytes++;
  return bytes;
}

/* Reserves a packet and writes its head. EINVAL, ENOMEM. */
static int begin(roost_buffer *out, writer *to, unsigned first, size_t remaining) {
  if (remaining > ROOST_MQTT_REMAINING_MAX)
    return ROOST_EINVAL;
  const int status = roost_buffer_reserve(out, 1 + number_bytes(remaining) + remaining);
  if (status != 0)
    return status;
  *to = out->ptr + out->len;
  put_byte(to, first);
  put_number(to, remaining);
  return 0;
}

static void end(roost_buffer *out, const char *to) {
  out->len = (size_t)(to - out->ptr);
}

/* ------------------------------------------------------------------------- CONNECT ----------- */

/* Bytes of what is said by properties. */
static size_t connect_properties(const roost_mqtt_connect *connect) {
  return (connect->clean ? 0 : 5u) + (connect->receive_maximum > 0 ? 3u : 0) +
         (connect->maximum_packet_size > 0 ? 5u : 0);
}

static void put_connect_properties(writer *to, const roost_mqtt_connect *connect) {
  put_number(to, connect_properties(connect));
  if (!connect->clean) {
    put_byte(to, ROOST_MQTT_SESSION_EXPIRY);
    put_long(to, connect->session_expiry_s);
  }
  if (connect->receive_maximum > 0) {
    put_byte(to, ROOST_MQTT_RECEIVE_MAXIMUM);
    put_word(to, connect->receive_maximum);
  }
  if (connect->maximum_packet_size > 0) {
    put_byte(to, ROOST_MQTT_MAXIMUM_PACKET_SIZE);
    put_long(to, connect->maximum_packet_size);
  }
}

static size_t connect_length(const roost_mqtt_connect *connect) {
  size_t length = 10 + 2 + connect->client_id.len;
  if (connect->level >= 5)
    length += 1 + connect_properties(connect);
  if (connect->username.ptr != NULL)
    length += 2 + connect->username.len;
  if (connect->password.ptr != NULL)
    length += 2 + connect->password.len;
  return length;
}

int roost_mqtt_write_connect(roost_buffer *out, const roost_mqtt_connect *connect) {
  writer to;
  if (!roost_mqtt_is_string(connect->client_id) || !roost_mqtt_is_string(connect->username) ||
      connect->password.len > ROOST_MQTT_STRING_MAX)
    return ROOST_EINVAL;
  const int status = begin(out, &to, ROOST_MQTT_CONNECT << 4, connect_length(connect));
  if (status != 0)
    return status;
  put_bytes(&to, ROOST_SLICE("MQTT"));
  put_byte(&to, connect->level);
  put_byte(&to, (connect->username.ptr != NULL ? 0x80u : 0) |
                    (connect->password.ptr != NULL ? 0x40u : 0) | (connect->clean ? 2u : 0));
  put_word(&to, connect->keep_alive_s);
  if (connect->level >= 5)
    put_connect_properties(&to, connect);
  put_bytes(&to, connect->client_id);
  if (connect->username.ptr != NULL)
    put_bytes(&to, connect->username);
  if (connect->password.ptr != NULL)
    put_bytes(&to, connect->password);
  end(out, to);
  return 0;
}

/* ------------------------------------------------------------------------- small ones -------- */

int roost_mqtt_write_subscribe(roost_buffer *out, uint8_t level, uint16_t id, uint32_t identifier,
                               const roost_mqtt_subscription *subscriptions, size_t count) {
  writer to;
  const size_t properties = level >= 5 && identifier > 0 ? 1 + number_bytes(identifier) : 0;
  size_t length = (level >= 5 ? 3 : 2) + properties;
  for (size_t i = 0; i < count; i++)
    length += 2 + subscriptions[i].filter.len + 1;
  const int status = begin(out, &to, ROOST_MQTT_SUBSCRIBE << 4 | 2, length);
  if (status != 0)
    return status;
  put_word(&to, id);
  if (level >= 5)
    put_number(&to, properties);
  if (properties > 0) {
    put_byte(&to, ROOST_MQTT_SUBSCRIPTION);
    put_number(&to, identifier);
  }
  for (size_t i = 0; i < count; i++) {
    put_bytes(&to, subscriptions[i].filter);
    put_byte(&to, subscriptions[i].qos | (level >= 5 && subscriptions[i].no_local ? 4u : 0));
  }
  end(out, to);
  return 0;
}

int roost_mqtt_write_unsubscribe(roost_buffer *out, uint8_t level, uint16_t id,
                                 const roost_slice *filters, size_t count) {
  writer to;
  size_t length = level >= 5 ? 3 : 2;
  for (size_t i = 0; i < count; i++)
    length += 2 + filters[i].len;
  const int status = begin(out, &to, ROOST_MQTT_UNSUBSCRIBE << 4 | 2, length);
  if (status != 0)
    return status;
  put_word(&to, id);
  if (level >= 5)
    put_number(&to, 0);
  for (size_t i = 0; i < count; i++)
    put_bytes(&to, filters[i]);
  end(out, to);
  return 0;
}

int roost_mqtt_write_answer(roost_buffer *out, uint8_t level, roost_mqtt_type type, uint16_t id,
                            uint8_t reason) {
  writer to;
  const bool says_why = level >= 5 && reason != 0;
  const unsigned flags = type == ROOST_MQTT_PUBREL ? 2 : 0;
  const int status = begin(out, &to, (unsigned)type << 4 | flags, says_why ? 3 : 2);
  if (status != 0)
    return status;
  put_word(&to, id);
  if (says_why)
    put_byte(&to, reason);
  end(out, to);
  return 0;
}

int roost_mqtt_write_ping(roost_buffer *out) {
  writer to;
  const int status = begin(out, &to, ROOST_MQTT_PINGREQ << 4, 0);
  if (status == 0)
    end(out, to);
  return status;
}

int roost_mqtt_write_disconnect(roost_buffer *out, uint8_t level, uint8_t reason) {
  writer to;
  const bool says_why = level >= 5 && reason != 0;
  const int status = begin(out, &to, ROOST_MQTT_DISCONNECT << 4, says_why ? 1 : 0);
  if (status != 0)
    return status;
  if (says_why)
    put_byte(&to, reason);
  end(out, to);
  return 0;
}

/* ------------------------------------------------------------------------- PUBLISH ----------- */

int roost_mqtt_put_user_property(roost_buffer *properties, roost_slice name, roost_slice value) {
  if (!roost_mqtt_is_string(name) || !roost_mqtt_is_string(value))
    return ROOST_EINVAL;
  const int status = roost_buffer_reserve(properties, 1 + 2 + name.len + 2 + value.len);
  if (status != 0)
    return status;
  writer to = properties->ptr + properties->len;
  put_byte(&to, ROOST_MQTT_USER_PROPERTY);
  put_bytes(&to, name);
  put_bytes(&to, value);
  end(properties, to);
  return 0;
}

int roost_mqtt_publish_begin(roost_buffer *out, roost_mqtt_mark *mark, uint8_t level,
                             const roost_mqtt_publish *publish, unsigned length_bytes) {
  if (publish->topic.len > ROOST_MQTT_STRING_MAX ||
      publish->properties.len > ROOST_MQTT_REMAINING_MAX)
    return ROOST_EINVAL;
  mark->at = out->len;
  mark->head = 1 + (length_bytes < 1 ? 1 : length_bytes > 4 ? 4 : length_bytes);
  mark->first = (uint8_t)(ROOST_MQTT_PUBLISH << 4 | (publish->dup ? 8u : 0) |
                          (unsigned)publish->qos << 1 | (publish->retain ? 1u : 0));
  const int status = roost_buffer_reserve(out, mark->head + 2 + publish->topic.len + 2 + 4 +
                                                   publish->properties.len);
  if (status != 0)
    return status;
  writer to = out->ptr + out->len + mark->head;
  put_bytes(&to, publish->topic);
  if (publish->qos > 0)
    put_word(&to, publish->id);
  if (level >= 5) {
    put_number(&to, publish->properties.len);
    put_raw(&to, publish->properties);
  }
  end(out, to);
  return 0;
}

int roost_mqtt_publish_end(roost_buffer *out, const roost_mqtt_mark *mark, size_t max_bytes) {
  const size_t remaining = out->len - mark->at - mark->head;
  const unsigned head = 1 + number_bytes(remaining);
  if (remaining > ROOST_MQTT_REMAINING_MAX || (max_bytes > 0 && head + remaining > max_bytes)) {
    roost_mqtt_publish_undo(out, mark);
    return ROOST_EFULL;
  }
  if (head > mark->head && roost_buffer_reserve(out, head - mark->head) != 0) {
    roost_mqtt_publish_undo(out, mark);
    return ROOST_ENOMEM;
  }
  writer to = out->ptr + mark->at;
  if (head != mark->head)
    memmove(to + head, to + mark->head, remaining);
  put_byte(&to, mark->first);
  put_number(&to, remaining);
  out->len = mark->at + head + remaining;
  return (int)head - 1;
}

void roost_mqtt_publish_undo(roost_buffer *out, const roost_mqtt_mark *mark) {
  out->len = mark->at;
}
