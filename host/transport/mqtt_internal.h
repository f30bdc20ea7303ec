/*
 * transport/mqtt_internal.h - a server behind an MQTT broker, for its files alone. Start reading at
 * mqtt_message.c, roost_mqtt_on_publish.
 *
 * Session: the connection to the broker, made again for as long as the server is there. Ask: a
 * SUBSCRIBE or UNSUBSCRIBE that the broker has not answered yet. A delivery is one message; it
 * outlives a lost connection, so that its replies may go out in the next one.
 */
#ifndef ROOST_TRANSPORT_MQTT_INTERNAL_H
#define ROOST_TRANSPORT_MQTT_INTERNAL_H

#include "transport/delivery.h"
#include "transport/mqtt_received.h"
#include "transport/mqtt_routes.h"
#include "transport/mqtt_session.h"

typedef struct roost_mqtt_server {
  roost_server server; /* first: a roost_mqtt_server is a roost_server */
  roost_loop *loop;
  const roost_mqtt_options *options;
  roost_mqtt_session session;
  roost_mqtt_routes routes;
  roost_mqtt_received received;
  roost_delivery_pool pool;
  roost_list asks;           /* in the order they were sent */
  roost_timer retry;         /* the next attempt to connect */
  roost_loop_hook end;       /* tells that all is over, in a later turn */
  roost_mqtt_mark mark;      /* of the reply being written */
  size_t head;               /* bytes of it before the payload */
  unsigned length_bytes;     /* of the last reply's length: a guess for the next */
  roost_buffer text;         /* the message at hand, as UTF-8 */
  roost_buffer packet;       /* what the codec made of it */
  roost_buffer members;      /* its pattern, data and metadata, where they had to be made */
  roost_buffer body;         /* what the codec makes of a reply */
  roost_slice dispatched_id; /* of the message being handed on; ptr NULL: none, or an event */
  unsigned attempts;         /* to connect, since it was connected last */
  bool is_started;
  bool is_masking;     /* the reply being written stands in the place of another one */
  bool was_subscribed; /* what it began with was, in this connection */
  bool finishing;      /* nothing runs any more, and the broker is told that we leave */
  bool drained;        /* and has closed */
  bool closing;        /* to be freed when the turn is over */
} roost_mqtt_server;

typedef struct roost_mqtt_delivery {
  roost_delivery delivery; /* first: a roost_mqtt_delivery is a roost_delivery */
  roost_buffer topic;
  uint32_t session; /* as in roost_mqtt_received */
  uint16_t id;      /* 0: QoS 0 */
  uint8_t qos;
  bool retain;
  bool dup;
} roost_mqtt_delivery;

/* mqtt_message.c: what the session is told of messages, and what becomes of them. */
void roost_mqtt_on_publish(void *ud, const roost_mqtt_packet *packet);
void roost_mqtt_on_release(roost_mqtt_server *self, uint16_t id);
void roost_mqtt_settled(roost_delivery *at, roost_settlement how);

/* mqtt_reply.c: the part of a delivery's roost_origin_ops that writes. */
roost_buffer *roost_mqtt_reply_begin(roost_origin *origin, roost_reply_kind kind);
int roost_mqtt_reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id);
void roost_mqtt_reply_undo(roost_origin *origin);
void roost_mqtt_reply_unhandled(roost_origin *origin, roost_slice id);
bool roost_mqtt_reply_crowded(const roost_origin *origin);

/* mqtt_subscribe.c: as roost_server_ops.subscribe; all of it anew; all of it back (ENOMEM); the
 * broker's answer; the connection has ended. */
int roost_mqtt_subscribe(roost_server *server, const roost_subscription *routes, size_t count);
void roost_mqtt_subscribe_all(roost_mqtt_server *self);
void roost_mqtt_unsubscribe_all(roost_mqtt_server *self);
void roost_mqtt_take_answer(roost_mqtt_server *self, const roost_mqtt_packet *packet);
void roost_mqtt_forget_asks(roost_mqtt_server *self);

/* mqtt.c: what was asked for is answered; something is over that a drain may wait for. */
void roost_mqtt_subscribed(roost_mqtt_server *self);
void roost_mqtt_go_on(roost_mqtt_server *self);

/* One line, at most so many of a kind: server, and what else is not empty. */
void roost_mqtt_log(const roost_mqtt_server *self, roost_log_level level, roost_log_kind kind,
                    const char *msg, roost_slice pattern, const char *err);

#endif
