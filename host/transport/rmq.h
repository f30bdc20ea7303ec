/*
 * transport/rmq.h - messages through RabbitMQ, as Nest sends them: what entries of servers and
 * clients say of it. Start reading at roost_rmq_transport, in rmq.c and rmq_client.c.
 */
#ifndef ROOST_TRANSPORT_RMQ_H
#define ROOST_TRANSPORT_RMQ_H

#include <string.h>

#include "transport/transport.h"

#define ROOST_RMQ_PORT     5672
#define ROOST_RMQ_TLS_PORT 5671
#define ROOST_RMQ_REPLY_TO "amq.rabbitmq.reply-to" /* a queue of each channel's own */

/* Texts are owned by the configuration; NULL: not said. */
typedef struct roost_rmq_options {
  roost_broker broker;   /* first; path is the virtual host */
  const char *queue;     /* "": the broker names it */
  const char *arguments; /* of the queue: text of a JSON object */
  bool is_durable;
  bool is_exclusive;
  bool is_auto_delete;
  bool no_assert;          /* the queue is there already */
  uint32_t prefetch_count; /* unacknowledged messages at a time; 0: as many as may be in flight */
  bool is_global_prefetch; /* of the channel, not of each consumer */
  bool no_ack;             /* the broker forgets a message when it has sent it */
  bool persistent;         /* messages outlive the broker */
  bool wildcards;          /* by a topic exchange */
  const char *exchange;
  const char *exchange_type;
  const char *routing_key;
  const char *headers;      /* of every message: text of a JSON object */
  const char *reply_queue;  /* where a client wants its replies */
  const char *dead_letter;  /* an exchange and a queue for messages nobody could handle */
  const char *consumer_tag; /* NULL: the broker makes one up */
  uint64_t heartbeat;       /* ms; 0: none */
} roost_rmq_options;

/* Messages are published to an exchange, with their pattern as the key. */
static inline bool roost_rmq_is_routed(const roost_rmq_options *options) {
  return options->wildcards ||
         (options->exchange_type != NULL && strcmp(options->exchange_type, "fanout") == 0);
}

/* That exchange, whose name may be the queue's. */
static inline roost_slice roost_rmq_exchange(const roost_rmq_options *options) {
  const char *name = options->exchange != NULL ? options->exchange : options->queue;
  return (roost_slice){name, strlen(name)};
}

extern const roost_transport roost_rmq_transport;

int roost_rmq_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                          roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                          const char **why);
int roost_rmq_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                         const roost_client_sink *sink, void *sink_ud);

/* For tests: as roost_client_set_dial, before start. */
void roost_rmq_server_set_dial(roost_server *server, roost_dial_fn *fn, void *ud);

/* Whether a wildcard that RabbitMQ takes for a key matches it with Nest's rules: words between
 * dots,
 * * is one, # as the last one is the rest, also of no words. Exact ones are none. */
bool roost_rmq_is_wildcard(roost_slice route);
bool roost_rmq_matches(roost_slice wildcard, roost_slice key);

#endif
