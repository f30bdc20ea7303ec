/* What a broker sends comes out the same in one piece and in small ones, whole packets lie inside
 * the limits, and a PUBLISH that was read is the same after it was written. The first two bytes of
 * the input choose the version, the limit and the pieces. */
#include "fuzz.h"
#include "wire/mqtt.h"

typedef struct result {
  roost_buffer text; /* of every packet, one after the other */
  bool failed;
} result;

static void put(roost_buffer *out, roost_slice bytes) {
  PROMISE(roost_buffer_append(out, &bytes.len, sizeof bytes.len) == 0);
  PROMISE(roost_buffer_append_slice(out, bytes) == 0);
}

static void put_number(roost_buffer *out, uint32_t number) {
  PROMISE(roost_buffer_append(out, &number, sizeof number) == 0);
}

/* Appends the packet's user properties as they are written. */
static void copy_user_properties(roost_buffer *out, const roost_mqtt_packet *packet) {
  roost_mqtt_property property;
  for (roost_slice rest = packet->properties; roost_mqtt_property_next(&rest, &property);) {
    PROMISE(property.id != 0);
    if (property.id == ROOST_MQTT_USER_PROPERTY)
      PROMISE(roost_mqtt_put_user_property(out, property.text, property.value) == 0);
  }
}

static void check_written(const roost_mqtt_packet *packet, uint8_t level) {
  roost_buffer out;
  roost_buffer properties;
  roost_mqtt_mark mark;
  roost_mqtt_reader reader;
  roost_mqtt_packet again;
  roost_buffer_init(&out, roost_alloc_default());
  roost_buffer_init(&properties, roost_alloc_default());
  copy_user_properties(&properties, packet);
  const roost_mqtt_publish publish = {.dup = packet->dup,
                                      .retain = packet->retain,
                                      .qos = packet->qos,
                                      .id = packet->id,
                                      .topic = packet->topic,
                                      .properties = roost_buffer_slice(&properties)};
  PROMISE(roost_mqtt_publish_begin(&out, &mark, level, &publish, 2) == 0);
  PROMISE(roost_buffer_append_slice(&out, packet->payload) == 0);
  PROMISE(roost_mqtt_publish_end(&out, &mark, 0) > 0);
  roost_slice rest = roost_buffer_slice(&out);
  roost_mqtt_reader_init(&reader, roost_alloc_default(), level, SIZE_MAX);
  PROMISE(roost_mqtt_read(&reader, &rest, &again) == 1 && rest.len == 0);
  PROMISE(again.dup == packet->dup && again.retain == packet->retain);
  PROMISE(again.qos == packet->qos && again.id == packet->id);
  PROMISE(roost_slice_equal(again.topic, packet->topic));
  PROMISE(roost_slice_equal(again.payload, packet->payload));
  PROMISE(level < 5 || roost_slice_equal(again.properties, roost_buffer_slice(&properties)));
  roost_mqtt_reader_deinit(&reader);
  roost_buffer_deinit(&properties);
  roost_buffer_deinit(&out);
}

static void take_packet(result *r, const roost_mqtt_packet *packet, uint8_t level,
                        size_t max_bytes) {
  roost_mqtt_limits limits;
  PROMISE(packet->payload.len <= max_bytes && packet->properties.len <= max_bytes);
  PROMISE(packet->type != ROOST_MQTT_PUBLISH || roost_mqtt_topic_is_valid(packet->topic));
  PROMISE((packet->id != 0) == (packet->qos > 0 || (packet->type > ROOST_MQTT_PUBLISH &&
                                                    packet->type < ROOST_MQTT_PINGREQ)));
  PROMISE(roost_mqtt_reason_text(level, packet->type == ROOST_MQTT_CONNACK, packet->reason) !=
          NULL);
  roost_mqtt_limits_read(&limits, packet);
  PROMISE(limits.receive_maximum > 0 && limits.maximum_packet_size > 0);
  put_number(&r->text, (uint32_t)packet->type << 24 | (uint32_t)packet->reason << 16 | packet->id);
  put_number(&r->text, (packet->dup ? 1u : 0) | (packet->retain ? 2u : 0) |
                           (packet->too_large ? 4u : 0) | (packet->session_present ? 8u : 0) |
                           (uint32_t)packet->qos << 4);
  put(&r->text, packet->topic);
  put(&r->text, packet->payload);
  put(&r->text, packet->reasons);
  put(&r->text, packet->properties);
  if (packet->type == ROOST_MQTT_PUBLISH)
    check_written(packet, level);
}

static result read_all(roost_slice bytes, uint8_t level, size_t max_bytes, size_t piece) {
  result r = {.failed = false};
  roost_mqtt_reader reader;
  roost_buffer_init(&r.text, roost_alloc_default());
  roost_mqtt_reader_init(&reader, roost_alloc_default(), level, max_bytes);
  while (bytes.len > 0 && !r.failed) {
    const size_t n = piece < bytes.len ? piece : bytes.len;
    roost_slice part = {bytes.ptr, n};
    roost_mqtt_packet packet;
    int status;
    while ((status = roost_mqtt_read(&reader, &part, &packet)) == 1)
      take_packet(&r, &packet, level, max_bytes);
    r.failed = status < 0;
    PROMISE(r.failed == (reader.error != NULL) && (r.failed || part.len == 0));
    PROMISE(roost_mqtt_reader_memory(&reader) <= 2 * (max_bytes + 65536));
    bytes = (roost_slice){bytes.ptr + n, bytes.len - n};
  }
  roost_mqtt_reader_deinit(&reader);
  return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  const uint8_t level = (data[0] & 1) != 0 ? 5 : 4;
  const size_t max_bytes = (size_t)16 << (data[0] >> 1) % 16;
  const roost_slice bytes = {(const char *)data + 2, size - 2};
  result whole = read_all(bytes, level, max_bytes, size);
  result pieces = read_all(bytes, level, max_bytes, 1 + data[1] % 40);
  PROMISE(fuzz_same(&whole.text, &pieces.text) && whole.failed == pieces.failed);
  roost_buffer_deinit(&whole.text);
  roost_buffer_deinit(&pieces.text);
  return 0;
}
