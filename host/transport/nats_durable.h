/*
 * transport/nats_durable.h - events that are kept in a stream until they are handled, for the nats
 * files alone. Start reading at roost_nats_durable_connect.
 *
 * Stream: where the server of NATS (its part JetStream) keeps what was published to some subjects.
 * Consumer: what remembers, under a name, which messages of a stream are done; hosts that have the
 * same name share them. Durable: the consumer of one route, on the way of being found or made, or
 * in use. Pull: a request for so many messages; the next is made when they have come, so that what
 * is not handled yet stays with the server. The worker's thread.
 */
#ifndef ROOST_TRANSPORT_NATS_DURABLE_H
#define ROOST_TRANSPORT_NATS_DURABLE_H

#include "transport/nats_server.h"

/* Words of a name that is made of a subject: NATS has none longer. */
#define ROOST_NATS_NAME_MAX 128

typedef enum roost_nats_step {
  ROOST_NATS_STEP_NONE,     /* not connected */
  ROOST_NATS_STEP_FIND,     /* which stream has the subject? */
  ROOST_NATS_STEP_MAKE,     /* a stream for it */
  ROOST_NATS_STEP_CONSUMER, /* the consumer */
  ROOST_NATS_STEP_LETTERS,  /* which stream has the dead letters? */
  ROOST_NATS_STEP_MAKE_LETTERS,
  ROOST_NATS_STEP_READY,
  ROOST_NATS_STEP_FAILED /* looked at again later */
} roost_nats_step;

struct roost_nats_durable {
  roost_nats_server *server;
  const roost_nats_sub *sub; /* whose it is */
  roost_nats_step step;
  uint64_t sid;                          /* of the subject that pulled messages come to */
  uint64_t turn;                         /* number of the last question or pull */
  uint64_t asked_ms;                     /* when that was sent */
  size_t wanted;                         /* messages that the last pull has still to bring */
  char name[ROOST_NATS_NAME_MAX + 1];    /* of the consumer, and of a stream made for it */
  char letters[ROOST_NATS_NAME_MAX + 1]; /* of a stream made for dead letters */
  char stream[ROOST_NATS_NAME_MAX * 2];  /* that has the subject */
  bool stopped;                          /* it pulls no more */
  bool failed;                           /* and that was said */
};

/* ENOMEM. */
int roost_nats_durable_new(roost_nats_durable **out, roost_nats_server *self,
                           const roost_nats_sub *sub);
void roost_nats_durable_free(roost_nats_durable *durable);

/* The connection is new: everything is looked for, and pulling begins. ENOMEM. */
int roost_nats_durable_connect(roost_nats_durable *durable);

/* Pulls no more. */
void roost_nats_durable_stop(roost_nats_durable *durable);

/* A message that came by one of its subjects: an answer, a sign of the server's, or an event. */
void roost_nats_durable_take(roost_nats_durable *durable, const roost_nats_op *op);

/* The session's timer look: makes late steps and pulls again, and says of events that take long
 * that they are being worked on. */
void roost_nats_durable_look(roost_nats_server *self);

/* There is room for more, perhaps: those that wait for it pull. */
void roost_nats_durables_eased(roost_nats_server *self);

/* ------------------------------------------------------------------------- nats_event.c ------ */

/* An event: dispatches it, or makes a dead letter of it. */
void roost_nats_event_take(roost_nats_durable *durable, const roost_nats_op *op);

/* Of the deliveries' ops: tells the server what has become of an event. */
void roost_nats_event_settled(roost_delivery *at, roost_settlement how);

/* Says of all that run that they are being worked on. */
void roost_nats_events_go_on(roost_nats_server *self);

/* The durable is going. */
void roost_nats_events_forget(const roost_nats_durable *durable);

/* A dead letter was kept, or not: the event behind ack, the subject of its acknowledgement, is done
 * with, or comes again. */
void roost_nats_letter_answered(roost_nats_durable *durable, roost_slice ack,
                                const roost_nats_op *op);

#endif
