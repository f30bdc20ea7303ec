/*
 * transport/kafka_server.h - the session of a Kafka server, for kafka.c (its life) and
 * kafka_delivery.c (its records and their replies) alone. Start at kafka.c.
 */
#ifndef ROOST_TRANSPORT_KAFKA_SERVER_H
#define ROOST_TRANSPORT_KAFKA_SERVER_H

#include "transport/delivery.h"
#include "transport/kafka.h"
#include "transport/kafka_routes.h"
#include "transport/kafka_window.h"

typedef struct roost_kafka_server {
  roost_server server; /* first: a roost_kafka_server is a roost_server */
  roost_loop *loop;
  const roost_kafka_options *options; /* borrowed */
  roost_kafka_pair *pair;             /* NULL: not started, or ended */
  roost_kafka_routes routes;
  roost_kafka_window window;
  roost_delivery_pool pool;
  roost_kafka_record record; /* that is being sent */
  roost_buffer value;        /* of the reply being written */
  roost_buffer text;         /* JSON of the message being dispatched */
  roost_buffer headers;      /* of that */
  roost_buffer places;       /* whose offsets are stored */
  roost_loop_hook pump;      /* starts what may be, stores what is done */
  roost_loop_hook end;       /* goes on with a drain, or frees it */
  roost_timer patience;      /* until partitions are given up, whatever runs */
  roost_timer retry;         /* until it is looked again whether a broker can be reached */
  unsigned attempts;         /* of those that failed, in a row */
  bool revoking;             /* the group wants its partitions back */
  bool reading;              /* as far as the group knows all is read */
  bool gave_up;              /* after retry_attempts */
  bool started;
  bool ended;   /* the pair has nothing left to do */
  bool drained; /* that was told */
  bool closing;
} roost_kafka_server;

/* A record whose handlers run. */
typedef struct roost_kafka_delivery {
  roost_delivery delivery;  /* first */
  roost_kafka_entry *entry; /* NULL: it was settled */
  roost_buffer texts;       /* where replies go: topic, then correlation id */
  size_t topic_len;         /* of texts; 0: no reply is wanted */
  int32_t partition;        /* where replies go; -1: anywhere */
} roost_kafka_delivery;

/* Logs a line about a topic (ptr NULL: none), at most ten a second of them. */
void roost_kafka_log(const roost_kafka_server *self, roost_log_level level, const char *msg,
                     roost_slice topic, const char *err);

/* A record came, and is the callee's. */
void roost_kafka_take(roost_kafka_server *self, roost_kafka_raw *raw);

/* Starts what may be started, and stores what is done. */
void roost_kafka_pump(roost_kafka_server *self);

/* What was sent for this entry has come to an end; why NULL: it is there. */
void roost_kafka_letter_sent(roost_kafka_server *self, roost_kafka_entry *entry, const char *why);

extern const roost_delivery_ops roost_kafka_delivery_ops;

#endif
