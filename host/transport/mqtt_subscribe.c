/*
 * What a server asks the broker for: its routes, when it connects and when they change.
 */
#include "core/slice.h"
#include "transport/mqtt_internal.h"

#define FILTERS 64 /* in one SUBSCRIBE */
#define FAILED  0x80

typedef struct ask {
  roost_list link; /* in server->asks */
  uint16_t id;
  bool is_back;       /* an UNSUBSCRIBE */
  roost_buffer texts; /* of its filters, each after its length, a uint16_t */
} ask;

/* ------------------------------------------------------------------------- asks -------------- */

static void free_ask(roost_mqtt_server *self, ask *one) {
  roost_mqtt_session_give_id(&self->session, one->id);
  roost_list_remove(&one->link);
  roost_buffer_deinit(&one->texts);
  roost_alloc_put(roost_loop_alloc(self->loop), one, sizeof *one);
}

void roost_mqtt_forget_asks(roost_mqtt_server *self) {
  while (!roost_list_empty(&self->asks))
    free_ask(self, ROOST_LIST_ENTRY(self->asks.next, ask, link));
}

static ask *new_ask(roost_mqtt_server *self, bool is_back) {
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  ask *one = roost_alloc_get(alloc, sizeof *one);
  if (one == NULL)
    return NULL;
  one->id = roost_mqtt_session_take_id(&self->session);
  if (one->id == 0) {
    roost_alloc_put(alloc, one, sizeof *one);
    return NULL;
  }
  one->is_back = is_back;
  roost_buffer_init(&one->texts, alloc);
  roost_list_append(&self->asks, &one->link);
  return one;
}

static int note(ask *one, roost_slice text) {
  const uint16_t len = (uint16_t)text.len;
  const int status = roost_buffer_append(&one->texts, &len, sizeof len);
  return status == 0 ? roost_buffer_append_slice(&one->texts, text) : status;
}

/* The text noted at *at, which goes on to the next. */
static roost_slice noted(const ask *one, size_t *at) {
  uint16_t len;
  memcpy(&len, one->texts.ptr + *at, sizeof len);
  *at += sizeof len + len;
  return roost_slice_of(one->texts.ptr + *at - len, len);
}

/* ------------------------------------------------------------------------- asking ------------ */

/* What a broker would not take is said, not sent. */
static const char *why_not(const roost_mqtt_server *self, const roost_mqtt_route *route) {
  const roost_mqtt_limits *limits = &self->session.limits;
  if (!route->is_valid)
    return "it is no topic filter";
  if (roost_mqtt_filter_is_shared(route->text) && !limits->shared_available)
    return "the broker has no shared subscriptions";
  if (roost_mqtt_filter_is_wildcard(route->text) && !limits->wildcard_available)
    return "the broker has no wildcards";
  return NULL;
}

static roost_mqtt_subscription to_wire(const roost_mqtt_route *route) {
  return (roost_mqtt_subscription){.filter = route->text,
                                   .qos = route->qos,
                                   .no_local = !roost_mqtt_filter_is_shared(route->text)};
}

/* number: of the route, where there is one only; else 0. */
static void send_ask(roost_mqtt_server *self, const roost_mqtt_subscription *subscriptions,
                     size_t count, uint32_t number, bool is_back) {
  roost_mqtt_session *session = &self->session;
  roost_slice filters[FILTERS];
  ask *one = new_ask(self, is_back);
  int status = one != NULL ? 0 : ROOST_ENOMEM;
  for (size_t i = 0; i < count && status == 0; i++) {
    filters[i] = subscriptions[i].filter;
    status = note(one, filters[i]);
  }
  if (status == 0 && is_back)
    status = roost_mqtt_write_unsubscribe(roost_mqtt_session_out(session), session->level, one->id,
                                          filters, count);
  else if (status == 0)
    status = roost_mqtt_write_subscribe(roost_mqtt_session_out(session), session->level, one->id,
                                        number, subscriptions, count);
  roost_mqtt_session_check(session, status);
}

static bool is_up(const roost_mqtt_server *self) {
  return self->session.state == ROOST_MQTT_UP;
}

/* Asks for those that other has not with the same QoS, one by one where each has its number. */
static void ask_for(roost_mqtt_server *self, const roost_mqtt_routes *routes,
                    const roost_mqtt_routes *other) {
  roost_mqtt_subscription batch[FILTERS];
  const bool is_numbered = self->session.level >= 5 && self->session.limits.identifiers_available;
  size_t count = 0;
  for (size_t i = 0; i < routes->count && is_up(self); i++) {
    const roost_mqtt_route *route = &routes->routes[i];
    const roost_mqtt_route *had = other != NULL ? roost_mqtt_routes_get(other, route->text) : NULL;
    const char *why = why_not(self, route);
    if (had != NULL && had->qos == route->qos)
      continue;
    if (why != NULL) {
      roost_mqtt_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_LIMIT, "cannot subscribe", route->text,
                     why);
      continue;
    }
    batch[count++] = to_wire(route);
    if (count == FILTERS || is_numbered) {
      send_ask(self, batch, count, is_numbered ? route->number : 0, false);
      count = 0;
    }
  }
  if (count > 0 && is_up(self))
    send_ask(self, batch, count, 0, false);
}

/* Gives back those that other has not at all. */
static void ask_back(roost_mqtt_server *self, const roost_mqtt_routes *routes,
                     const roost_mqtt_routes *other) {
  roost_mqtt_subscription batch[FILTERS];
  size_t count = 0;
  for (size_t i = 0; i < routes->count && is_up(self); i++) {
    const roost_mqtt_route *route = &routes->routes[i];
    if (why_not(self, route) != NULL ||
        (other != NULL && roost_mqtt_routes_get(other, route->text) != NULL))
      continue;
    batch[count++] = to_wire(route);
    if (count == FILTERS) {
      send_ask(self, batch, count, 0, true);
      count = 0;
    }
  }
  if (count > 0 && is_up(self))
    send_ask(self, batch, count, 0, true);
}

int roost_mqtt_subscribe(roost_server *server, const roost_subscription *routes, size_t count) {
  roost_mqtt_server *self = (roost_mqtt_server *)server;
  roost_mqtt_routes fresh;
  roost_mqtt_routes_init(&fresh, roost_loop_alloc(self->loop));
  const int status = roost_mqtt_routes_set(&fresh, routes, count, (uint8_t)self->options->qos);
  if (status != 0)
    return status;
  roost_mqtt_routes old = self->routes;
  self->routes = fresh;
  if (is_up(self) && !server->draining) {
    ask_for(self, &self->routes, &old);
    ask_back(self, &old, &self->routes);
  }
  roost_mqtt_routes_deinit(&old);
  return 0;
}

void roost_mqtt_subscribe_all(roost_mqtt_server *self) {
  ask_for(self, &self->routes, NULL);
}

void roost_mqtt_unsubscribe_all(roost_mqtt_server *self) {
  ask_back(self, &self->routes, NULL);
}

/* ------------------------------------------------------------------------- answers ----------- */

static ask *find(const roost_mqtt_server *self, uint16_t id, bool is_back) {
  for (roost_list *at = self->asks.next; at != &self->asks; at = at->next) {
    ask *one = ROOST_LIST_ENTRY(at, ask, link);
    if (one->id == id && one->is_back == is_back)
      return one;
  }
  return NULL;
}

void roost_mqtt_take_answer(roost_mqtt_server *self, const roost_mqtt_packet *packet) {
  ask *one = find(self, packet->id, packet->type == ROOST_MQTT_UNSUBACK);
  size_t at = 0;
  if (one == NULL)
    return;
  for (size_t i = 0; i < packet->reasons.len && at < one->texts.len; i++) {
    const uint8_t reason = (uint8_t)packet->reasons.ptr[i];
    const roost_slice text = noted(one, &at);
    if (reason >= FAILED && !one->is_back)
      roost_mqtt_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_LIMIT, "cannot subscribe", text,
                     roost_mqtt_reason_text(self->session.level, false, reason));
  }
  free_ask(self, one);
  if (roost_list_empty(&self->asks))
    roost_mqtt_subscribed(self);
}
