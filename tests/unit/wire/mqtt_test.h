/* mqtt_test.h - what the tests of the MQTT codec share: packets written as hex, and what was read
 * of them as text. */
#ifndef ROOST_TESTS_MQTT_TEST_H
#define ROOST_TESTS_MQTT_TEST_H

#include "wire/mqtt.h"
#include "wire_test.h"

#define LARGEST 100

/* "20 02 'ab'": bytes in hex, text between quotes; freed with free_copy. */
static inline roost_slice bytes_of(const char *spec) {
  const size_t room = strlen(spec) + 1;
  char *bytes = malloc(room);
  size_t len = 0;
  assert_non_null(bytes);
  while (*spec != '\0') {
    if (*spec == ' ') {
      spec++;
    } else if (*spec == '\'') {
      for (spec++; *spec != '\''; spec++)
        bytes[len++] = *spec;
      spec++;
    } else {
      const char digits[] = {spec[0], spec[1], '\0'};
      bytes[len++] = (char)strtoul(digits, NULL, 16);
      spec += 2;
    }
  }
  const roost_slice exact = exact_copy((roost_slice){bytes, len});
  free(bytes);
  return exact;
}

static inline void describe_properties(roost_buffer *out, roost_slice rest) {
  roost_mqtt_property property;
  while (roost_mqtt_property_next(&rest, &property)) {
    const int status = roost_buffer_printf(
        out, " %u:%u:%.*s:%.*s", property.id, property.number, (int)property.text.len,
        property.text.len > 0 ? property.text.ptr : "", (int)property.value.len,
        property.value.len > 0 ? property.value.ptr : "");
    assert_int_equal(status, 0);
  }
}

/* A line per packet: type, flags, and of what else there is the most. */
static inline void describe(roost_buffer *out, const roost_mqtt_packet *packet) {
  int status = roost_buffer_printf(out, "%d", packet->type);
  if (packet->type == ROOST_MQTT_PUBLISH)
    status |= roost_buffer_printf(
        out, "%s%s%s q%u %.*s=%.*s", packet->dup ? "d" : "", packet->retain ? "r" : "",
        packet->too_large ? "!" : "", packet->qos, (int)packet->topic.len, packet->topic.ptr,
        (int)packet->payload.len, packet->payload.len > 0 ? packet->payload.ptr : "");
  if (packet->session_present)
    status |= roost_buffer_printf(out, "s");
  if (packet->id != 0)
    status |= roost_buffer_printf(out, " #%u", packet->id);
  if (packet->reason != 0)
    status |= roost_buffer_printf(out, " x%02x", packet->reason);
  for (size_t i = 0; i < packet->reasons.len; i++)
    status |= roost_buffer_printf(out, " y%02x", (uint8_t)packet->reasons.ptr[i]);
  describe_properties(out, packet->properties);
  status |= roost_buffer_printf(out, "\n");
  assert_int_equal(status, 0);
}

/* Reads input in pieces of chunk bytes and appends what came to out; the last status. */
static inline int read_chunks(fixture *f, roost_mqtt_reader *reader, roost_slice input,
                              size_t chunk) {
  int status = 0;
  while (input.len > 0 && status >= 0) {
    const size_t n = chunk < input.len ? chunk : input.len;
    const roost_slice piece = exact_copy((roost_slice){input.ptr, n});
    roost_slice rest = piece;
    roost_mqtt_packet packet;
    while ((status = roost_mqtt_read(reader, &rest, &packet)) == 1)
      describe(&f->out, &packet);
    assert_true(status < 0 || rest.len == 0);
    free_copy(piece);
    input = (roost_slice){input.ptr + n, input.len - n};
  }
  return status;
}

#endif
