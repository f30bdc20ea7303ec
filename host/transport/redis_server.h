/*
 * transport/redis_server.h - the server's side of a Redis, for redis*.c alone.
 *
 * Start reading at redis_message.c, roost_redis_server_heard. Channel: a route, and its
 * subscription (SUBSCRIBE, or PSUBSCRIBE where it is a glob pattern and the entry says wildcards).
 * Delivery: one message, with the channel it came by, on whose reply channel (CHANNEL.reply) it is
 * answered. The server owns its channels and deliveries. The worker's thread.
 */
#ifndef ROOST_TRANSPORT_REDIS_SERVER_H
#define ROOST_TRANSPORT_REDIS_SERVER_H

#include "core/map.h"
#include "transport/delivery.h"
#include "transport/redis_internal.h"

typedef struct roost_redis_channel {
  roost_list link;    /* in server->channels */
  roost_slice route;  /* its own copy */
  bool is_glob;       /* subscribed with PSUBSCRIBE */
  bool is_wanted;     /* the last ROUTES had it */
  bool is_subscribed; /* in this connection */
} roost_redis_channel;

typedef struct roost_redis_server {
  roost_server server; /* first: a roost_redis_server is a roost_server */
  roost_loop *loop;
  const roost_redis_options *options;
  roost_redis_pair pair;
  roost_delivery_pool pool;
  roost_list channels; /* in order of registration */
  roost_map by_route;  /* the same */
  roost_buffer text;   /* a body that was repaired, or made JSON */
  roost_buffer packet; /* what the codec made of a body */
  roost_buffer name;   /* a channel as a pattern, JSON text */
  roost_buffer reply;  /* being written */
  roost_buffer body;   /* what the codec makes of that */
  roost_timer retry;
  unsigned attempts;   /* to connect, since it was last there */
  size_t leaving;      /* subscriptions that are being given up, while it drains */
  roost_loop_hook end; /* tells that all is over, in a later turn */
  bool closing;
} roost_redis_server;

/* A message came, or a subscription is over. */
void roost_redis_server_heard(roost_redis_server *self, const roost_redis_reply *reply);

/* Makes the pool of its deliveries. */
void roost_redis_server_init_pool(roost_redis_server *self);

/* One of them is over, or a subscription: it may be drained, or take the next message. */
void roost_redis_server_eased(void *ud);

/* One line, at most so many of a kind: server, peer while connected, pattern (where subject is not
 * empty), err. */
void roost_redis_server_log(roost_redis_server *self, roost_log_level level, roost_log_kind kind,
                            const char *msg, roost_slice subject, roost_slice err);

#endif
