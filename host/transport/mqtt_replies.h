/*
 * transport/mqtt_replies.h - the topics on which a client's replies come.
 *
 * Start reading at roost_mqtt_replies_want. Reply topic: one that is subscribed to, or is being,
 * with how many wait for replies on it; what may not be sent before the broker has answered waits
 * in it. Idle: nobody waits on it; it is kept for a while, since who asks once asks again. The
 * client's, with all in it, for one connection at a time. The loop's thread.
 */
#ifndef ROOST_TRANSPORT_MQTT_REPLIES_H
#define ROOST_TRANSPORT_MQTT_REPLIES_H

#include "core/map.h"
#include "core/slots.h"
#include "transport/mqtt_flight.h"

typedef struct roost_mqtt_reply_topic {
  roost_list link;   /* in replies->asked, ->idle, or ->busy */
  roost_buffer name; /* with the suffix */
  roost_list held;   /* roost_mqtt_outgoing.link, until it is subscribed to */
  size_t held_bytes; /* of them */
  uint64_t idle_ms;  /* since when nobody waits */
  uint64_t token;    /* in replies->tokens: what the client's owner gives back for each waiter */
  uint32_t waiters;
  uint16_t ask; /* identifier of the SUBSCRIBE that is not answered yet; 0: it is */
} roost_mqtt_reply_topic;

typedef struct roost_mqtt_replies {
  roost_mqtt_session *session; /* borrowed, outlives it */
  roost_mqtt_flight *flight;   /* borrowed, outlives it */
  roost_mqtt_refused_fn *refused;
  void *ud;
  roost_map topics;   /* by name */
  roost_slots tokens; /* the same by token */
  roost_list asked;   /* in the order they were */
  roost_list busy;
  roost_list idle; /* the longest idle first */
  roost_timer timer;
  size_t held_bytes; /* of all */
} roost_mqtt_replies;

/* refused: the broker does not let us subscribe. */
void roost_mqtt_replies_init(roost_mqtt_replies *replies, roost_mqtt_session *session,
                             roost_mqtt_flight *flight, roost_mqtt_refused_fn *refused, void *ud);
void roost_mqtt_replies_deinit(roost_mqtt_replies *replies);

/* The connection has ended: nobody waits any more. */
void roost_mqtt_replies_clear(roost_mqtt_replies *replies);

/* One more waits for replies on "<topic>/reply"; subscribes to it where that is not so yet. EINVAL:
 * the topic is too long for that; ENOMEM: nobody waits. */
int roost_mqtt_replies_want(roost_mqtt_reply_topic **out, roost_mqtt_replies *replies,
                            roost_slice topic);

/* Sends it as soon as the topic is subscribed to; takes it. */
void roost_mqtt_replies_send(roost_mqtt_replies *replies, roost_mqtt_reply_topic *topic,
                             roost_mqtt_outgoing *outgoing);

/* One of those who wait on the topic with this token does so no more. Of a topic that has gone with
 * its connection nothing is known. */
void roost_mqtt_replies_done(roost_mqtt_replies *replies, uint64_t token);

/* A SUBACK or UNSUBACK. What it tells may free all. */
void roost_mqtt_replies_answer(roost_mqtt_replies *replies, const roost_mqtt_packet *packet);

#endif
