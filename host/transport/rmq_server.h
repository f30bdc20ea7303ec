/*
 * transport/rmq_server.h - a server behind RabbitMQ, for its files alone. Start reading at rmq.c,
 * on_event.
 *
 * Consumer: what has the broker send us the queue's messages; it is there from when all was
 * declared. Share: what the deliveries have in common that one event has been made into, because it
 * matches several wildcards. Stream: a delivery that has sent an item. Owned by the worker from
 * open until close; its deliveries are its pool's.
 */
#ifndef ROOST_TRANSPORT_RMQ_SERVER_H
#define ROOST_TRANSPORT_RMQ_SERVER_H

#include "transport/delivery.h"
#include "transport/rmq_internal.h"

/* A route, and whether it is more than a name. */
typedef struct roost_rmq_route {
  roost_slice text; /* in the routes' texts */
  bool is_wildcard;
} roost_rmq_route;

/* Those of the server, in order of registration. */
typedef struct roost_rmq_routes {
  roost_rmq_route *list;
  size_t count;
  size_t wildcards; /* how many are */
  char *texts;      /* one after the other */
  size_t text_bytes;
} roost_rmq_routes;

typedef struct roost_rmq_server {
  roost_server server; /* first: a roost_rmq_server is a roost_server */
  roost_loop *loop;
  const roost_rmq_options *options; /* borrowed */
  roost_rmq_connection connection;
  roost_delivery_pool pool;
  roost_rmq_routes routes;
  size_t streams;                /* deliveries that are */
  roost_timer timer;             /* to the next attempt, or for the broker's goodbye */
  unsigned attempts;             /* in a row that failed */
  roost_loop_hook end;           /* looks whether all is over, in a later turn */
  roost_buffer body;             /* of the reply being written */
  roost_buffer coded;            /* what the codec makes of it */
  roost_buffer packet;           /* what the codec makes of a message's body */
  roost_buffer text;             /* a body made valid UTF-8 */
  roost_buffer route;            /* of the pattern at hand */
  char tag[ROOST_RMQ_SHORT_MAX]; /* the consumer's */
  size_t tag_len;
  bool is_consuming; /* the consumer is there */
  bool has_ended;    /* draining: nothing more will come */
  bool is_leaving;   /* draining: the broker was said goodbye to */
  bool has_left;     /* draining: it is over */
  bool masking;      /* the reply being written stands in the place of another one */
  bool closing;      /* to be freed in a later turn */
} roost_rmq_server;

/* Several deliveries of one event; allocated, freed by the last. */
typedef struct roost_rmq_share {
  size_t left;          /* deliveries that are not over */
  roost_settlement how; /* the worst so far */
} roost_rmq_share;

typedef struct roost_rmq_delivery {
  roost_delivery base; /* first: a roost_rmq_delivery is a roost_delivery */
  uint64_t tag;
  bool is_redelivered;
  bool is_stream;
  roost_rmq_share *share; /* NULL: it is the only one */
  roost_buffer texts;     /* those below, one after the other */
  roost_slice exchange;   /* in texts, as are those of properties */
  roost_slice routing_key;
  roost_rmq_properties properties; /* without headers */
} roost_rmq_delivery;

extern const roost_delivery_ops roost_rmq_delivery_ops;

/* rmq_delivery.c: dispatches a message, or refuses it. */
void roost_rmq_take_delivery(roost_rmq_server *self, const roost_rmq_event *event);

/* rmq_setup.c: asks the broker for all that the server needs, in one go; its answer to the last is
 * CONSUME_OK, or it ends the channel. EINVAL: *why says what it can't be asked for. */
int roost_rmq_setup(roost_rmq_server *self, roost_rmq_session *session, const char **why);

/* Takes the place of the routes there are; binds and unbinds where the consumer is there. ENOMEM.
 */
int roost_rmq_routes_set(roost_rmq_server *self, const roost_subscription *routes, size_t count);
void roost_rmq_routes_free(roost_rmq_server *self);

/* True where no more messages are to be taken for now. */
bool roost_rmq_is_full(const roost_rmq_server *self);

/* One line, at most so many of a kind: server, err where there is some. */
void roost_rmq_log(const roost_rmq_server *self, roost_log_level level, roost_log_kind kind,
                   const char *msg, const char *err);

#endif
