/*
 * transport/mqtt_flight.h - what a client publishes with QoS 1 or 2, until the broker has it.
 *
 * Start reading at roost_mqtt_flight_send. Outgoing: one PUBLISH, kept whole so that it can be sent
 * again. Window: as many as the broker takes before it has answered the first; the others queue. An
 * outgoing is whoever's made it until it is sent, then the flight's, who frees it. When a session
 * is lost with its connection, requests are dropped (whoever made them was told) and events are
 * sent anew; when the broker still knows the session all are sent again, as the protocol demands.
 * The loop's thread.
 */
#ifndef ROOST_TRANSPORT_MQTT_FLIGHT_H
#define ROOST_TRANSPORT_MQTT_FLIGHT_H

#include "transport/mqtt_session.h"

typedef enum roost_mqtt_step {
  ROOST_MQTT_QUEUED,
  ROOST_MQTT_PUBLISHED, /* waits for PUBACK or PUBREC */
  ROOST_MQTT_RELEASED   /* PUBREL is sent: waits for PUBCOMP */
} roost_mqtt_step;

typedef struct roost_mqtt_outgoing {
  roost_list link;
  roost_buffer packet;  /* the PUBLISH */
  roost_buffer request; /* JSON text of its id; empty: an event */
  size_t id_at;         /* where in packet its identifier is to stand; 0: QoS 0 has none */
  uint16_t id;          /* 0: none yet */
  uint8_t qos;
  uint8_t level; /* of the protocol it is written for */
  roost_mqtt_step step;
} roost_mqtt_outgoing;

/* The broker has answered a request with a reason that is no success: it does not take it, or
 * nobody is there. id as in roost_mqtt_outgoing.request. False where whoever was told has freed
 * all. */
typedef bool roost_mqtt_refused_fn(void *ud, roost_slice id, uint8_t reason);

typedef struct roost_mqtt_flight {
  roost_mqtt_session *session; /* borrowed, outlives it */
  roost_mqtt_refused_fn *refused;
  void *ud;
  roost_list under_way; /* in the order they were sent */
  roost_list queued;    /* in order */
  size_t window;
  size_t count; /* under way */
  size_t bytes; /* of all */
} roost_mqtt_flight;

void roost_mqtt_flight_init(roost_mqtt_flight *flight, roost_mqtt_session *session,
                            roost_mqtt_refused_fn *refused, void *ud);
void roost_mqtt_flight_deinit(roost_mqtt_flight *flight);

/* Made of body, what the packet's payload is to be. publish->id is not used. EFULL: longer than
 * the broker takes, EINVAL (too long a topic or properties), ENOMEM. */
int roost_mqtt_outgoing_new(roost_mqtt_outgoing **out, const roost_mqtt_session *session,
                            const roost_mqtt_publish *publish, roost_slice body,
                            roost_slice request);
void roost_mqtt_outgoing_free(roost_mqtt_outgoing *outgoing, const roost_alloc *alloc);

/* Sends one of QoS 1 or 2 now, or when there is room in the window; takes it. The session is up. */
void roost_mqtt_flight_send(roost_mqtt_flight *flight, roost_mqtt_outgoing *outgoing);

/* A PUBACK, PUBREC or PUBCOMP; what was asked for none of them is ignored. */
void roost_mqtt_flight_answer(roost_mqtt_flight *flight, const roost_mqtt_packet *packet);

/* Whether the broker has all of it. */
bool roost_mqtt_flight_is_empty(const roost_mqtt_flight *flight);

/* Nobody waits for requests any more: those that are not sent yet are dropped. */
void roost_mqtt_flight_forget(roost_mqtt_flight *flight);

/* The session is up again; present: the broker knows it. */
void roost_mqtt_flight_up(roost_mqtt_flight *flight, bool present);

#endif
