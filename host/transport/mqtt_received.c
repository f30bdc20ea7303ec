#include "transport/mqtt_received.h"

#include <string.h>

#define IDS 65536

void roost_mqtt_received_init(roost_mqtt_received *received, const roost_alloc *alloc) {
  *received = (roost_mqtt_received){.alloc = alloc};
}

void roost_mqtt_received_deinit(roost_mqtt_received *received) {
  roost_alloc_put(received->alloc, received->receipts, IDS);
  received->receipts = NULL;
}

void roost_mqtt_received_forget(roost_mqtt_received *received) {
  received->session++;
  if (received->receipts != NULL)
    memset(received->receipts, ROOST_MQTT_FREE, IDS);
}

roost_mqtt_receipt roost_mqtt_received_get(const roost_mqtt_received *received, uint16_t id) {
  return received->receipts != NULL ? (roost_mqtt_receipt)received->receipts[id] : ROOST_MQTT_FREE;
}

int roost_mqtt_received_set(roost_mqtt_received *received, uint16_t id,
                            roost_mqtt_receipt receipt) {
  if (received->receipts == NULL)
    received->receipts = roost_alloc_get(received->alloc, IDS);
  if (received->receipts == NULL)
    return ROOST_ENOMEM;
  received->receipts[id] = (uint8_t)receipt;
  return 0;
}
