/*
 * transport/mqtt_received.h - the QoS 1 and 2 messages that a broker has sent us and still keeps.
 *
 * Such a message has an identifier, by which it is answered: QoS 1 by PUBACK, QoS 2 by PUBREC,
 * whereupon the broker sends PUBREL and we PUBCOMP. We answer once its handlers have returned.
 * After a lost connection the broker sends what it has no answer to once more, with the same
 * identifier, as long as it knows the session: what is still running here is not begun again then.
 * No I/O; one thread at a time.
 */
#ifndef ROOST_TRANSPORT_MQTT_RECEIVED_H
#define ROOST_TRANSPORT_MQTT_RECEIVED_H

#include "core/alloc.h"

typedef enum roost_mqtt_receipt {
  ROOST_MQTT_FREE,    /* nothing is known of the identifier */
  ROOST_MQTT_RUNNING, /* its handlers run */
  ROOST_MQTT_DONE,    /* they have returned; of QoS 1 while there was no connection */
  ROOST_MQTT_RECEIVED /* the same of QoS 2: until PUBREL */
} roost_mqtt_receipt;

typedef struct roost_mqtt_received {
  const roost_alloc *alloc;
  uint8_t *receipts; /* a roost_mqtt_receipt per identifier; NULL until the first */
  uint32_t session;  /* number of the session they are of: another one when it is lost */
} roost_mqtt_received;

void roost_mqtt_received_init(roost_mqtt_received *received, const roost_alloc *alloc);
void roost_mqtt_received_deinit(roost_mqtt_received *received);

/* The broker knows nothing of the session any more. */
void roost_mqtt_received_forget(roost_mqtt_received *received);

roost_mqtt_receipt roost_mqtt_received_get(const roost_mqtt_received *received, uint16_t id);

/* ENOMEM, which only the first can fail with. */
int roost_mqtt_received_set(roost_mqtt_received *received, uint16_t id, roost_mqtt_receipt receipt);

#endif
