/*
 * transport/redis.h - what the entries of servers and clients say of a Redis.
 */
#ifndef ROOST_TRANSPORT_REDIS_H
#define ROOST_TRANSPORT_REDIS_H

#include "transport/transport.h"

#define ROOST_REDIS_PORT 6379

/* Owned by the configuration; texts are never logged. */
typedef struct roost_redis_options {
  roost_broker broker;  /* first */
  const char *username; /* NULL: the default user */
  const char *password; /* NULL: a user who needs none */
  int db;         /* selected on both connections: keyspaces have nothing to do with channels */
  bool wildcards; /* routes are glob patterns */
} roost_redis_options;

extern const roost_transport roost_redis_transport;

int roost_redis_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                            roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                            const char **why);
int roost_redis_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                           const roost_client_sink *sink, void *sink_ud);

#endif
