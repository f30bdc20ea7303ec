#include "transport/mqtt_routes.h"

#include "core/slice.h"
#include "wire/mqtt.h"

void roost_mqtt_routes_init(roost_mqtt_routes *routes, const roost_alloc *alloc) {
  *routes = (roost_mqtt_routes){.alloc = alloc};
  roost_buffer_init(&routes->texts, alloc);
  roost_map_init(&routes->exact, alloc);
}

void roost_mqtt_routes_deinit(roost_mqtt_routes *routes) {
  roost_alloc_put(routes->alloc, routes->routes, routes->cap * sizeof *routes->routes);
  roost_buffer_deinit(&routes->texts);
  roost_map_deinit(&routes->exact);
  roost_mqtt_routes_init(routes, routes->alloc);
}

/* Room for all texts at once, so that they stay where they are. */
static int reserve(roost_mqtt_routes *routes, const roost_subscription *subscriptions,
                   size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++)
    bytes += subscriptions[i].route.len;
  if (roost_buffer_reserve(&routes->texts, bytes + 1) != 0)
    return ROOST_ENOMEM;
  routes->routes = roost_alloc_get(routes->alloc, (count + 1) * sizeof *routes->routes);
  if (routes->routes == NULL)
    return ROOST_ENOMEM;
  routes->cap = count + 1;
  return 0;
}

/* FNV-1a, folded into what the protocol can say. */
static uint32_t number_of(roost_slice text) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < text.len; i++)
    hash = (hash ^ (uint8_t)text.ptr[i]) * 16777619u;
  return hash % ROOST_MQTT_NUMBER_MAX + 1;
}

static int add(roost_mqtt_routes *routes, const roost_subscription *subscription, uint8_t qos) {
  roost_mqtt_route *route = &routes->routes[routes->count];
  const size_t at = routes->texts.len;
  (void)roost_buffer_append_slice(&routes->texts, subscription->route); /* there is room */
  route->text = roost_slice_of(routes->texts.ptr + at, subscription->route.len);
  route->number = number_of(route->text);
  route->qos = subscription->qos >= 0 && subscription->qos <= 2 ? (uint8_t)subscription->qos : qos;
  route->is_valid = roost_mqtt_filter_is_valid(route->text);
  route->matches =
      roost_mqtt_filter_is_shared(route->text) || roost_mqtt_filter_is_wildcard(route->text);
  routes->count++;
  return route->matches ? 0 : roost_map_set(&routes->exact, route->text, route);
}

int roost_mqtt_routes_set(roost_mqtt_routes *routes, const roost_subscription *subscriptions,
                          size_t count, uint8_t qos) {
  int status = reserve(routes, subscriptions, count);
  for (size_t i = 0; i < count && status == 0; i++)
    status = add(routes, &subscriptions[i], qos);
  if (status != 0)
    roost_mqtt_routes_deinit(routes);
  return status;
}

const roost_mqtt_route *roost_mqtt_routes_get(const roost_mqtt_routes *routes, roost_slice text) {
  const roost_mqtt_route *exact = roost_map_get(&routes->exact, text);
  if (exact != NULL)
    return exact;
  for (size_t i = 0; i < routes->count; i++) {
    if (routes->routes[i].matches && roost_slice_equal(routes->routes[i].text, text))
      return &routes->routes[i];
  }
  return NULL;
}

const roost_mqtt_route *roost_mqtt_routes_numbered(const roost_mqtt_routes *routes, uint32_t number,
                                                   roost_slice topic) {
  for (size_t i = 0; i < routes->count; i++) {
    const roost_mqtt_route *route = &routes->routes[i];
    if (route->number == number && roost_mqtt_filter_matches(route->text, topic))
      return route;
  }
  return NULL;
}

const roost_mqtt_route *roost_mqtt_routes_find(const roost_mqtt_routes *routes, roost_slice topic) {
  const roost_mqtt_route *exact = roost_map_get(&routes->exact, topic);
  if (exact != NULL)
    return exact;
  for (size_t i = 0; i < routes->count; i++) {
    if (routes->routes[i].matches && roost_mqtt_filter_matches(routes->routes[i].text, topic))
      return &routes->routes[i];
  }
  return NULL;
}
