/*
 * transport/kafka_routes.h - the routes of a server as Kafka's topics: exact ones, and those that
 * begin with ^, which are regular expressions (POSIX, extended).
 *
 * Owned by its maker; its texts are its own. The worker's thread.
 */
#ifndef ROOST_TRANSPORT_KAFKA_ROUTES_H
#define ROOST_TRANSPORT_KAFKA_ROUTES_H

#include "core/buffer.h"
#include "core/map.h"
#include "transport/transport.h"

typedef struct roost_kafka_route {
  const char *text; /* owned */
  bool is_regex;
  void *regex; /* a regex_t; NULL: it is none */
} roost_kafka_route;

typedef struct roost_kafka_routes {
  const roost_alloc *alloc;
  roost_buffer list;  /* of roost_kafka_route, in order of registration */
  roost_map by_topic; /* of the exact ones: index + 1 */
} roost_kafka_routes;

void roost_kafka_routes_init(roost_kafka_routes *routes, const roost_alloc *alloc);
void roost_kafka_routes_deinit(roost_kafka_routes *routes);

/* Calls bad for each that can be no topic and is left out; why is a fixed text. Of routes what is
 * there may be used until it is filled again. ENOMEM: nothing is left in it. */
int roost_kafka_routes_fill(roost_kafka_routes *routes, const roost_subscription *list,
                            size_t count, void (*bad)(void *ud, roost_slice route, const char *why),
                            void *ud);

/* Whether both have the same in the same order. */
bool roost_kafka_routes_equal(const roost_kafka_routes *a, const roost_kafka_routes *b);

size_t roost_kafka_routes_count(const roost_kafka_routes *routes);
const char *roost_kafka_routes_text(const roost_kafka_routes *routes, size_t at);

/* The route of a topic: the exact one, else the first expression that matches. ptr NULL: none. */
roost_slice roost_kafka_routes_find(const roost_kafka_routes *routes, const char *topic);

/* Whether no route is the topic's name itself. */
bool roost_kafka_routes_are_wild(const roost_kafka_routes *routes, const char *topic);

/* Whether a text can be a topic's name. */
bool roost_kafka_is_topic(roost_slice text);

#define ROOST_KAFKA_TOPIC_BYTES 249 /* of the longest, as brokers have it */

#endif
