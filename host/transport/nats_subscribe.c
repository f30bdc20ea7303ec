/*
 * The subscriptions of a session: held against the routes of the server, and made on each
 * connection.
 */
#include "core/slice.h"
#include "transport/nats_durable.h"

static const roost_alloc *alloc_of(const roost_nats_server *self) {
  return roost_loop_alloc(self->loop);
}

static void free_sub(const roost_nats_server *self, roost_nats_sub *sub) {
  roost_nats_durable_free(sub->durable);
  roost_alloc_put_text(alloc_of(self), sub->route);
  roost_alloc_put_text(alloc_of(self), sub->queue);
  roost_alloc_put(alloc_of(self), sub, sizeof *sub);
}

void roost_nats_server_free_subs(roost_nats_server *self) {
  for (size_t i = 0; i < self->sub_count; i++)
    free_sub(self, self->subs[i]);
  roost_alloc_put(alloc_of(self), self->subs, self->sub_cap * sizeof(roost_nats_sub *));
  self->subs = NULL;
  self->sub_count = self->sub_cap = 0;
}

/* Looked for from the first to the last: what came by them is found by its sid. */
roost_nats_sub *roost_nats_server_find(const roost_nats_server *self, uint64_t sid) {
  size_t low = 0;
  size_t high = self->sub_count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (self->subs[middle]->sid < sid)
      low = middle + 1;
    else
      high = middle;
  }
  return low < self->sub_count && self->subs[low]->sid == sid ? self->subs[low] : NULL;
}

/* ------------------------------------------------------------------------- on the wire ------- */

/* Events of a durable come from its stream; requests, and events that only message handlers take,
 * come as they are published. */
static bool wants_core(const roost_nats_sub *sub) {
  return sub->durable == NULL || sub->message;
}

static int subscribe_one(roost_nats_server *self, roost_nats_sub *sub) {
  int status = 0;
  if (wants_core(sub)) {
    status = roost_nats_write_sub(roost_nats_conn_out(&self->conn), roost_slice_text(sub->route),
                                  roost_slice_text(sub->queue), sub->sid);
    roost_nats_conn_dirty(&self->conn);
  }
  if (status == 0 && sub->durable != NULL)
    status = roost_nats_durable_connect(sub->durable);
  return status;
}

static void unsubscribe_one(roost_nats_server *self, roost_nats_sub *sub) {
  if (!roost_nats_conn_ready(&self->conn))
    return;
  if (wants_core(sub) && roost_nats_write_unsub(roost_nats_conn_out(&self->conn), sub->sid, 0) == 0)
    roost_nats_conn_dirty(&self->conn);
  if (sub->durable != NULL)
    roost_nats_durable_stop(sub->durable);
}

int roost_nats_server_subscribe_all(roost_nats_server *self) {
  int status = 0;
  for (size_t i = 0; i < self->sub_count && status == 0; i++)
    status = subscribe_one(self, self->subs[i]);
  return status;
}

void roost_nats_server_unsubscribe_all(roost_nats_server *self) {
  for (size_t i = 0; i < self->sub_count; i++)
    unsubscribe_one(self, self->subs[i]);
}

/* ------------------------------------------------------------------------- comparing --------- */

static const char *queue_of(const roost_nats_server *self, const roost_subscription *route) {
  return route->queue != NULL ? route->queue : self->options->queue;
}

static bool same_text(const char *a, const char *b) {
  return roost_slice_equal(roost_slice_text(a), roost_slice_text(b));
}

/* A sub serves as long as all that is said of it to the server is the same. */
static bool serves(const roost_nats_server *self, const roost_nats_sub *sub,
                   const roost_subscription *route) {
  const bool is_same = roost_slice_equal(roost_slice_text(sub->route), route->route) &&
                       same_text(sub->queue, queue_of(self, route));
  return is_same && (self->options->durable == NULL ||
                     (sub->message == route->message && sub->event == route->event));
}

static roost_nats_sub *find_serving(const roost_nats_server *self,
                                    const roost_subscription *route) {
  for (size_t i = 0; i < self->sub_count; i++)
    if (serves(self, self->subs[i], route))
      return self->subs[i];
  return NULL;
}

static bool is_possible(roost_nats_server *self, const roost_subscription *route) {
  const roost_slice queue = roost_slice_text(queue_of(self, route));
  const char *err = NULL;
  if (!roost_nats_subject_good(route->route))
    err = "a subject of NATS has neither blanks nor control characters, and 1 to 2,048 bytes";
  else if (queue.len > 0 && !roost_nats_subject_good(queue))
    err = "the name of a queue has neither blanks nor control characters";
  if (err != NULL)
    roost_nats_server_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_DENIED,
                          "a pattern cannot be subscribed to", route->route, err);
  return err == NULL;
}

static int reserve(roost_nats_server *self) {
  if (self->sub_count < self->sub_cap)
    return 0;
  const size_t cap = self->sub_cap > 0 ? self->sub_cap * 2 : 16;
  roost_nats_sub **subs =
      roost_alloc_resize(alloc_of(self), self->subs, self->sub_cap * sizeof(roost_nats_sub *),
                         cap * sizeof(roost_nats_sub *));
  if (subs == NULL)
    return ROOST_ENOMEM;
  self->subs = subs;
  self->sub_cap = cap;
  return 0;
}

static int fill(roost_nats_server *self, roost_nats_sub *sub, const roost_subscription *route) {
  const char *queue = queue_of(self, route);
  sub->route = roost_alloc_text(alloc_of(self), route->route);
  if (sub->route == NULL)
    return ROOST_ENOMEM;
  if (queue != NULL) {
    sub->queue = roost_alloc_text(alloc_of(self), roost_slice_text(queue));
    if (sub->queue == NULL)
      return ROOST_ENOMEM;
  }
  sub->message = route->message;
  sub->event = route->event;
  sub->wanted = true;
  if (self->options->durable == NULL || !route->event)
    return 0;
  return roost_nats_durable_new(&sub->durable, self, sub);
}

/* Sids only rise, so that those of the list do, too, and none comes twice. */
static int add(roost_nats_server *self, const roost_subscription *route) {
  int status = reserve(self);
  if (status != 0)
    return status;
  roost_nats_sub *sub = roost_alloc_get(alloc_of(self), sizeof *sub);
  if (sub == NULL)
    return ROOST_ENOMEM;
  status = fill(self, sub, route);
  if (status == 0) {
    sub->sid = ++self->last_sid;
    if (roost_nats_conn_ready(&self->conn) && !self->server.draining)
      status = subscribe_one(self, sub);
  }
  if (status != 0) {
    free_sub(self, sub);
    return status;
  }
  self->subs[self->sub_count++] = sub;
  return 0;
}

static void sweep(roost_nats_server *self) {
  size_t kept = 0;
  for (size_t i = 0; i < self->sub_count; i++) {
    roost_nats_sub *sub = self->subs[i];
    if (sub->wanted) {
      self->subs[kept++] = sub;
    } else {
      unsubscribe_one(self, sub);
      free_sub(self, sub);
    }
  }
  self->sub_count = kept;
}

int roost_nats_server_subscribe(roost_server *server, const roost_subscription *routes,
                                size_t count) {
  roost_nats_server *self = (roost_nats_server *)server;
  int status = 0;
  for (size_t i = 0; i < self->sub_count; i++)
    self->subs[i]->wanted = false;
  for (size_t i = 0; i < count; i++) {
    roost_nats_sub *sub = find_serving(self, &routes[i]);
    if (sub != NULL) {
      sub->message = routes[i].message;
      sub->event = routes[i].event;
      sub->wanted = true;
    } else if (is_possible(self, &routes[i]) && add(self, &routes[i]) != 0) {
      status = ROOST_ENOMEM;
    }
  }
  if (status == 0)
    sweep(self);
  return status;
}
