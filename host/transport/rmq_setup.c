/*
 * What a server asks the broker for: queue, exchange, bindings, consumer.
 */
#include <string.h>

#include "core/slice.h"
#include "transport/rmq_server.h"

/* What is being asked for; after a failure nothing more is written. */
typedef struct asking {
  roost_rmq_codec *codec;
  roost_buffer *out;
  int status;
  const char *why; /* what EINVAL is about */
} asking;

static void done(asking *self, int status, const char *what) {
  if (self->status != 0)
    return;
  self->status = status;
  self->why = what;
}

static void declare_exchange(asking *self, const roost_rmq_declare *exchange, const char *what) {
  if (self->status == 0)
    done(self,
         roost_rmq_write_exchange_declare(self->codec, self->out, ROOST_RMQ_CHANNEL, exchange),
         what);
}

static void declare_queue(asking *self, const roost_rmq_declare *queue, const char *what) {
  if (self->status == 0)
    done(self, roost_rmq_write_queue_declare(self->codec, self->out, ROOST_RMQ_CHANNEL, queue),
         what);
}

static void bind(asking *self, roost_slice queue, roost_slice exchange, roost_slice key,
                 const char *what) {
  if (self->status == 0)
    done(self,
         roost_rmq_write_bind(self->codec, self->out, ROOST_RMQ_CHANNEL, queue, exchange, key),
         what);
}

/* An exchange and a queue of that name, for what nobody could handle to lie in. */
static void ask_for_dead_letters(asking *self, const char *name) {
  const roost_rmq_declare both = {
      .name = roost_slice_text(name), .type = ROOST_SLICE("fanout"), .durable = true};
  declare_exchange(self, &both, "dead_letter is too long");
  declare_queue(self, &both, "dead_letter is too long");
  bind(self, both.name, both.name, ROOST_SLICE(""), "dead_letter is too long");
}

static void ask_for_exchange(asking *self, const roost_rmq_server *server) {
  const roost_rmq_options *options = server->options;
  const roost_rmq_declare exchange = roost_rmq_exchange_of(options);
  const roost_slice queue = roost_slice_text(options->queue);
  const bool is_fanout = roost_slice_equal(exchange.type, ROOST_SLICE("fanout"));
  declare_exchange(self, &exchange, "the exchange's name is too long");
  if (options->routing_key != NULL || is_fanout)
    bind(self, queue, exchange.name, roost_slice_text(is_fanout ? "" : options->routing_key),
         "routing_key is too long");
  for (size_t i = 0; options->wildcards && i < server->routes.count; i++)
    bind(self, queue, exchange.name, server->routes.list[i].text,
         "a pattern is longer than RabbitMQ's keys may be");
}

/* So many messages at a time: in a channel that acknowledges none that means nothing. */
static uint16_t prefetch_of(const roost_rmq_server *server) {
  const roost_rmq_options *options = server->options;
  const uint32_t most = server->server.config->max_in_flight;
  const uint32_t count =
      options->prefetch_count != 0 || options->no_ack ? options->prefetch_count : most;
  return count > UINT16_MAX ? UINT16_MAX : (uint16_t)count;
}

int roost_rmq_setup(roost_rmq_server *self, roost_rmq_session *session, const char **why) {
  const roost_rmq_options *options = self->options;
  const roost_slice queue = roost_slice_text(options->queue);
  asking all = {.codec = session->codec, .out = roost_rmq_out(session)};
  const size_t before = all.out->len;
  const roost_rmq_declare declared = roost_rmq_queue_of(options);
  if (options->dead_letter != NULL)
    ask_for_dead_letters(&all, options->dead_letter);
  if (!options->no_assert || queue.len == 0) /* from here on "" is the one the broker names */
    declare_queue(&all, &declared, "queue and queue_options cannot be sent");
  if (options->exchange != NULL || options->wildcards)
    ask_for_exchange(&all, self);
  const uint16_t prefetch = prefetch_of(self);
  if (all.status == 0 && prefetch > 0)
    done(&all,
         roost_rmq_write_qos(all.codec, all.out, ROOST_RMQ_CHANNEL, prefetch,
                             options->is_global_prefetch),
         "");
  if (all.status == 0)
    done(&all,
         roost_rmq_write_consume(all.codec, all.out, ROOST_RMQ_CHANNEL, queue,
                                 roost_slice_text(options->consumer_tag), options->no_ack, false),
         "queue or consumer_tag is too long");
  if (all.status != 0)
    all.out->len = before;
  *why = all.why;
  return all.status;
}

/* ------------------------------------------------------------------------- routes ------------ */

static bool has_route(const roost_rmq_routes *routes, roost_slice text) {
  for (size_t i = 0; i < routes->count; i++)
    if (roost_slice_equal(routes->list[i].text, text))
      return true;
  return false;
}

/* Binds what is new, and lets go of what is gone. */
static void bind_difference(roost_rmq_server *self, roost_rmq_session *session,
                            const roost_rmq_routes *old) {
  const roost_slice queue = roost_slice_text(self->options->queue);
  const roost_slice exchange = roost_rmq_exchange(self->options);
  roost_buffer *out = roost_rmq_out(session);
  int status = 0;
  for (size_t i = 0; i < self->routes.count && status == 0; i++)
    if (!has_route(old, self->routes.list[i].text))
      status = roost_rmq_write_bind(session->codec, out, ROOST_RMQ_CHANNEL, queue, exchange,
                                    self->routes.list[i].text);
  for (size_t i = 0; i < old->count && status == 0; i++)
    if (!has_route(&self->routes, old->list[i].text))
      status = roost_rmq_write_unbind(session->codec, out, ROOST_RMQ_CHANNEL, queue, exchange,
                                      old->list[i].text);
  if (roost_rmq_sent(session, status) == ROOST_EINVAL)
    roost_rmq_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_LIMIT, "a pattern cannot be bound",
                  "it is longer than RabbitMQ's keys may be");
}

static void free_routes(const roost_alloc *alloc, roost_rmq_routes *routes) {
  roost_alloc_put(alloc, routes->list, routes->count * sizeof *routes->list);
  roost_alloc_put(alloc, routes->texts, routes->text_bytes);
  *routes = (roost_rmq_routes){0};
}

void roost_rmq_routes_free(roost_rmq_server *self) {
  free_routes(roost_loop_alloc(self->loop), &self->routes);
}

static int copy_routes(roost_rmq_routes *to, const roost_alloc *alloc,
                       const roost_subscription *routes, size_t count) {
  *to = (roost_rmq_routes){0};
  size_t bytes = 1;
  for (size_t i = 0; i < count; i++)
    bytes += routes[i].route.len;
  to->texts = roost_alloc_get(alloc, bytes);
  to->list =
      to->texts != NULL && count > 0 ? roost_alloc_get(alloc, count * sizeof *to->list) : NULL;
  if (to->texts == NULL || (count > 0 && to->list == NULL)) {
    roost_alloc_put(alloc, to->texts, bytes);
    return ROOST_ENOMEM;
  }
  to->text_bytes = bytes;
  to->count = count;
  char *at = to->texts;
  for (size_t i = 0; i < count; i++) {
    const roost_slice route = routes[i].route;
    if (route.len > 0)
      memcpy(at, route.ptr, route.len);
    to->list[i].text = (roost_slice){at, route.len};
    to->list[i].is_wildcard = roost_rmq_is_wildcard(route);
    to->wildcards += to->list[i].is_wildcard;
    at += route.len;
  }
  return 0;
}

int roost_rmq_routes_set(roost_rmq_server *self, const roost_subscription *routes, size_t count) {
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  roost_rmq_session *session = roost_rmq_ready(&self->connection);
  roost_rmq_routes now;
  const int status = copy_routes(&now, alloc, routes, count);
  if (status != 0)
    return status;
  roost_rmq_routes old = self->routes;
  self->routes = now;
  if (self->options->wildcards && session != NULL && !self->server.draining)
    bind_difference(self, session, &old);
  free_routes(alloc, &old);
  return 0;
}
