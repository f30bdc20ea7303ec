#include "wire/mqtt.h"

typedef struct meaning {
  uint8_t reason;
  const char *text;
} meaning;

static const meaning connack_4[] = {
    {0, "Success"},
    {1, "Unacceptable protocol version"},
    {2, "Identifier rejected"},
    {3, "Server unavailable"},
    {4, "Bad username or password"},
    {5, "Not authorized"},
};

#define CONNACK_4_MAX 5 /* at level 5 a broker of before that may say so, too */

static const meaning all[] = {
    {0x00, "Success"},
    {0x10, "No matching subscribers"},
    {0x11, "No subscription existed"},
    {0x18, "Continue authentication"},
    {0x19, "Re-authenticate"},
    {0x80, "Unspecified error"},
    {0x81, "Malformed Packet"},
    {0x82, "Protocol Error"},
    {0x83, "Implementation specific error"},
    {0x84, "Unsupported Protocol Version"},
    {0x85, "Client Identifier not valid"},
    {0x86, "Bad User Name or Password"},
    {0x87, "Not authorized"},
    {0x88, "Server unavailable"},
    {0x89, "Server busy"},
    {0x8a, "Banned"},
    {0x8b, "Server shutting down"},
    {0x8c, "Bad authentication method"},
    {0x8d, "Keep Alive timeout"},
    {0x8e, "Session taken over"},
    {0x8f, "Topic Filter invalid"},
    {0x90, "Topic Name invalid"},
    {0x91, "Packet identifier in use"},
    {0x92, "Packet Identifier not found"},
    {0x93, "Receive Maximum exceeded"},
    {0x94, "Topic Alias invalid"},
    {0x95, "Packet too large"},
    {0x96, "Message rate too high"},
    {0x97, "Quota exceeded"},
    {0x98, "Administrative action"},
    {0x99, "Payload format invalid"},
    {0x9a, "Retain not supported"},
    {0x9b, "QoS not supported"},
    {0x9c, "Use another server"},
    {0x9d, "Server moved"},
    {0x9e, "Shared Subscriptions not supported"},
    {0x9f, "Connection rate exceeded"},
    {0xa0, "Maximum connect time"},
    {0xa1, "Subscription Identifiers not supported"},
    {0xa2, "Wildcard Subscriptions not supported"},
};

static const char *find(const meaning *meanings, size_t count, uint8_t reason) {
  for (size_t i = 0; i < count; i++) {
    if (meanings[i].reason == reason)
      return meanings[i].text;
  }
  return "Unknown reason";
}

const char *roost_mqtt_reason_text(uint8_t level, bool is_connack, uint8_t reason) {
  if (is_connack && (level < 5 || reason <= CONNACK_4_MAX))
    return find(connack_4, sizeof connack_4 / sizeof *connack_4, reason);
  return find(all, sizeof all / sizeof *all, reason);
}
