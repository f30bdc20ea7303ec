/*
 * transport/mqtt_routes.h - what a server behind an MQTT broker is subscribed to, and which route a
 * topic belongs to.
 *
 * Route: the text of a registered pattern, which is the filter that is subscribed to. Number: what
 * a broker of version 5 says with a message to tell which subscription it comes by; made of the
 * text alone, since a broker may keep messages longer than a host lives. Owned by its server; texts
 * live until the routes are set anew. One thread at a time.
 */
#ifndef ROOST_TRANSPORT_MQTT_ROUTES_H
#define ROOST_TRANSPORT_MQTT_ROUTES_H

#include "core/map.h"
#include "transport/transport.h"

typedef struct roost_mqtt_route {
  roost_slice text;
  uint32_t number;
  uint8_t qos;
  bool is_valid; /* as a filter */
  bool matches;  /* other topics than its own text: it has wildcards, or is shared */
} roost_mqtt_route;

typedef struct roost_mqtt_routes {
  const roost_alloc *alloc;
  roost_mqtt_route *routes; /* in order of registration */
  size_t count;
  size_t cap;
  roost_buffer texts; /* of all */
  roost_map exact;    /* those that match no other topic, by text */
} roost_mqtt_routes;

void roost_mqtt_routes_init(roost_mqtt_routes *routes, const roost_alloc *alloc);
void roost_mqtt_routes_deinit(roost_mqtt_routes *routes);

/* Fills what was initialised and is empty; qos is of those that say none. ENOMEM. */
int roost_mqtt_routes_set(roost_mqtt_routes *routes, const roost_subscription *subscriptions,
                          size_t count, uint8_t qos);

/* The route of that text, or NULL. */
const roost_mqtt_route *roost_mqtt_routes_get(const roost_mqtt_routes *routes, roost_slice text);

/* The route with that number that the topic belongs to; NULL: none. */
const roost_mqtt_route *roost_mqtt_routes_numbered(const roost_mqtt_routes *routes, uint32_t number,
                                                   roost_slice topic);

/* The route a topic belongs to: its own, else the first that matches; NULL: none. */
const roost_mqtt_route *roost_mqtt_routes_find(const roost_mqtt_routes *routes, roost_slice topic);

#endif
