#include "transport/kafka_routes.h"

#include <regex.h>
#include <string.h>

#include "core/slice.h"

bool roost_kafka_is_topic(roost_slice text) {
  if (text.len == 0 || text.len > ROOST_KAFKA_TOPIC_BYTES)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    const char c = text.ptr[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
          c == '_' || c == '-'))
      return false;
  }
  return !roost_slice_equal(text, ROOST_SLICE(".")) && !roost_slice_equal(text, ROOST_SLICE(".."));
}

void roost_kafka_routes_init(roost_kafka_routes *routes, const roost_alloc *alloc) {
  routes->alloc = alloc;
  roost_buffer_init(&routes->list, alloc);
  roost_map_init(&routes->by_topic, alloc);
}

static roost_kafka_route *all(const roost_kafka_routes *routes) {
  return (roost_kafka_route *)(void *)routes->list.ptr;
}

size_t roost_kafka_routes_count(const roost_kafka_routes *routes) {
  return routes->list.len / sizeof(roost_kafka_route);
}

const char *roost_kafka_routes_text(const roost_kafka_routes *routes, size_t at) {
  return all(routes)[at].text;
}

static void free_route(roost_kafka_routes *routes, roost_kafka_route *route) {
  if (route->regex != NULL) {
    regfree(route->regex);
    roost_alloc_put(routes->alloc, route->regex, sizeof(regex_t));
  }
  roost_alloc_put_text(routes->alloc, (char *)(uintptr_t)route->text);
}

void roost_kafka_routes_deinit(roost_kafka_routes *routes) {
  for (size_t i = 0; i < roost_kafka_routes_count(routes); i++)
    free_route(routes, &all(routes)[i]);
  roost_buffer_deinit(&routes->list);
  roost_map_deinit(&routes->by_topic);
}

/* 0; EINVAL: it is no expression; ENOMEM. */
static int compile(roost_kafka_routes *routes, roost_kafka_route *route) {
  regex_t *regex = roost_alloc_get(routes->alloc, sizeof *regex);
  if (regex == NULL)
    return ROOST_ENOMEM;
  const int error = regcomp(regex, route->text, REG_EXTENDED | REG_NOSUB);
  if (error == 0) {
    route->regex = regex;
    return 0;
  }
  roost_alloc_put(routes->alloc, regex, sizeof *regex);
  return error == REG_ESPACE ? ROOST_ENOMEM : ROOST_EINVAL;
}

static int add(roost_kafka_routes *routes, roost_slice text) {
  roost_kafka_route route = {.text = roost_alloc_text(routes->alloc, text),
                             .is_regex = text.ptr[0] == '^'};
  if (route.text == NULL)
    return ROOST_ENOMEM;
  int status = route.is_regex ? compile(routes, &route) : 0;
  const uintptr_t number = roost_kafka_routes_count(routes) + 1;
  if (status == 0 && !route.is_regex)
    status = roost_map_set(&routes->by_topic, text, (void *)number);
  if (status == 0)
    status = roost_buffer_append(&routes->list, &route, sizeof route);
  if (status != 0)
    free_route(routes, &route);
  return status;
}

int roost_kafka_routes_fill(roost_kafka_routes *routes, const roost_subscription *list,
                            size_t count, void (*bad)(void *ud, roost_slice route, const char *why),
                            void *ud) {
  const roost_alloc *alloc = routes->alloc;
  int status = 0;
  roost_kafka_routes_deinit(routes);
  roost_kafka_routes_init(routes, alloc);
  for (size_t i = 0; i < count && status == 0; i++) {
    const roost_slice text = list[i].route;
    const bool is_regex =
        text.len > 0 && text.ptr[0] == '^' && memchr(text.ptr, 0, text.len) == NULL;
    if (!is_regex && !roost_kafka_is_topic(text)) {
      bad(ud, text, "no name of a Kafka topic: letters, digits, dots, underscores and hyphens are");
      continue;
    }
    status = add(routes, text);
    if (status == ROOST_EINVAL) {
      bad(ud, text, "no regular expression");
      status = 0;
    }
  }
  if (status != 0) {
    roost_kafka_routes_deinit(routes);
    roost_kafka_routes_init(routes, alloc);
  }
  return status;
}

bool roost_kafka_routes_equal(const roost_kafka_routes *a, const roost_kafka_routes *b) {
  const size_t count = roost_kafka_routes_count(a);
  if (count != roost_kafka_routes_count(b))
    return false;
  for (size_t i = 0; i < count; i++)
    if (strcmp(all(a)[i].text, all(b)[i].text) != 0)
      return false;
  return true;
}

roost_slice roost_kafka_routes_find(const roost_kafka_routes *routes, const char *topic) {
  const uintptr_t number = (uintptr_t)roost_map_get(&routes->by_topic, roost_slice_text(topic));
  if (number > 0)
    return roost_slice_text(all(routes)[number - 1].text);
  for (size_t i = 0; i < roost_kafka_routes_count(routes); i++) {
    const roost_kafka_route *route = &all(routes)[i];
    if (route->is_regex && regexec(route->regex, topic, 0, NULL, 0) == 0)
      return roost_slice_text(route->text);
  }
  return (roost_slice){NULL, 0};
}

bool roost_kafka_routes_are_wild(const roost_kafka_routes *routes, const char *topic) {
  return roost_map_get(&routes->by_topic, roost_slice_text(topic)) == NULL;
}
