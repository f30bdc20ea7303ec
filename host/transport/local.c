/*
 * The local transport: a client of the services on its own worker, without a socket and, between
 * two Lua states, without JSON.
 *
 * It is a client towards who calls, and a server towards the sink; a message, a delivery, is
 * dispatched when it ends, its replies are handed back as they are made, but for those made before
 * the sender's end has returned: they wait for the next turn, and those after them, too. What takes
 * the place of a send buffer is those, and what the sender of a message has not read yet: over half
 * of it whoever answers is to wait. Whose replies nobody waits for any more is told so, in the next
 * turn, too.
 */
#include "core/slice.h"
#include "core/slots.h"
#include "transport/delivery.h"
#include "wire/envelope.h"

typedef struct local_client {
  roost_client client; /* first: a local_client is a roost_client */
  roost_server server; /* as the sink sees it */
  roost_delivery_pool pool;
  roost_slots requests;   /* deliveries that may still be answered */
  roost_buffer forgotten; /* their numbers: nobody waits for them any more */
  roost_loop *loop;
  roost_loop_hook later; /* tells what must not be told at once */
  roost_buffer data;     /* of the message being written */
  roost_buffer value;    /* of the reply being written */
  roost_buffer early;    /* replies made before end has returned: see early_reply */
  bool sending;          /* inside end */
  bool opening;          /* later tells that it is open */
} local_client;

/* A message, while calls of it run. */
typedef struct local_delivery {
  roost_delivery delivery; /* first: a local_delivery is a roost_delivery */
  uint64_t number;         /* in requests; 0: an event */
  bool is_held;            /* its sender has enough to read */
} local_delivery;

/* A reply that waits: this, then its id and its value. */
typedef struct early_reply {
  roost_reply_kind kind;
  roost_format format;
  size_t id_len;
  size_t value_len;
} early_reply;

static local_client *of(roost_client *client) {
  return (local_client *)client;
}

static local_client *of_origin(const roost_origin *origin) {
  return ((const roost_delivery *)origin)->pool->ud;
}

/* ------------------------------------------------------------------------- replies ----------- */

static void deliver(local_client *self, roost_reply_kind kind, roost_format format, roost_slice id,
                    roost_slice value) {
  const bool has_value = kind == ROOST_REPLY_ITEM || kind == ROOST_REPLY_LAST;
  const bool is_error = kind == ROOST_REPLY_ERROR && roost_envelope_is_truthy(value);
  const roost_slice none = {NULL, 0};
  const roost_reply reply = {.format = format,
                             .id = id,
                             .response = has_value ? value : none,
                             .err = is_error ? value : none,
                             .last = kind != ROOST_REPLY_ITEM && kind != ROOST_REPLY_VOID};
  self->client.sink->on_reply(self->client.sink_ud, &reply);
}

static int keep(local_client *self, roost_reply_kind kind, roost_format format, roost_slice id,
                roost_slice value) {
  const early_reply head = {kind, format, id.len, value.len};
  const size_t before = self->early.len;
  int status = roost_buffer_append(&self->early, &head, sizeof head);
  if (status == 0)
    status = roost_buffer_append_slice(&self->early, id);
  if (status == 0)
    status = roost_buffer_append_slice(&self->early, value);
  if (status != 0)
    self->early.len = before;
  roost_loop_defer(self->loop, &self->later);
  return status;
}

static bool is_full(const local_client *self) {
  return self->early.len > self->client.config->max_buffer_size / 2;
}

static bool reply_crowded(const roost_origin *origin) {
  return ((const local_delivery *)origin)->is_held || is_full(of_origin(origin));
}

/* Delivers the reply that lies at at; its size there. */
static size_t deliver_kept(local_client *self, const char *at) {
  early_reply head;
  memcpy(&head, at, sizeof head);
  const char *id = at + sizeof head;
  deliver(self, head.kind, head.format, roost_slice_of(id, head.id_len),
          roost_slice_of(id + head.id_len, head.value_len));
  return sizeof head + head.id_len + head.value_len;
}

/* What the poll's quota leaves of all, from at on, waits for the next turn, before what came
 * meanwhile. */
static bool put_off(local_client *self, roost_buffer *all, size_t at) {
  if (at == all->len || !roost_loop_is_spent(self->loop) ||
      roost_buffer_append_slice(all, roost_buffer_slice(&self->early)) != 0)
    return false;
  const roost_buffer meanwhile = self->early;
  roost_buffer_consume(all, at);
  self->early = *all;
  *all = meanwhile;
  roost_loop_defer(self->loop, &self->later);
  return true;
}

static void deliver_early(local_client *self) {
  const bool was_full = is_full(self);
  roost_buffer all = self->early;
  size_t at = 0;
  roost_buffer_init(&self->early, all.alloc);
  while (at < all.len) {
    at += deliver_kept(self, all.ptr + at);
    if (put_off(self, &all, at))
      break;
  }
  roost_buffer_deinit(&all);
  if (was_full && !is_full(self))
    roost_delivery_pool_writable(&self->pool);
}

/* Its calls learn that their caller has left, unless they are over. */
static void abandon_forgotten(local_client *self) {
  uint64_t number;
  while (self->forgotten.len >= sizeof number) {
    memcpy(&number, self->forgotten.ptr, sizeof number);
    roost_buffer_consume(&self->forgotten, sizeof number);
    roost_delivery *delivery = roost_slots_get(&self->requests, number);
    if (delivery != NULL)
      roost_delivery_abandon(delivery);
  }
}

static void on_later(void *ud) {
  local_client *self = ud;
  if (self->opening) {
    self->opening = false;
    self->client.sink->on_open(self->client.sink_ud);
  }
  deliver_early(self);
  abandon_forgotten(self);
}

static roost_buffer *reply_begin(roost_origin *origin, roost_reply_kind kind) {
  local_client *self = of_origin(origin);
  (void)kind;
  roost_buffer_clear(&self->value);
  origin->value_format = ROOST_FORMAT_JSON;
  return &self->value;
}

static int reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id) {
  local_client *self = of_origin(origin);
  const roost_slice value = roost_buffer_slice(&self->value);
  if (self->sending || self->early.len > 0) /* none overtakes those that wait */
    return keep(self, kind, origin->value_format, id, value);
  deliver(self, kind, origin->value_format, id, value);
  return 0;
}

static void reply_undo(roost_origin *origin) {
  roost_buffer_clear(&of_origin(origin)->value);
}

static void answer_unhandled(local_client *self, roost_slice id) {
  const roost_slice text =
      ROOST_SLICE("\"There is no matching message handler defined in the remote service.\"");
  if (self->sending || self->early.len > 0)
    (void)keep(self, ROOST_REPLY_ERROR, ROOST_FORMAT_JSON, id, text);
  else
    deliver(self, ROOST_REPLY_ERROR, ROOST_FORMAT_JSON, id, text);
}

static void reply_unhandled(roost_origin *origin, roost_slice id) {
  answer_unhandled(of_origin(origin), id);
}

/* ------------------------------------------------------------------------- deliveries -------- */

static void init_delivery(roost_delivery *delivery) {
  const local_client *self = delivery->pool->ud;
  delivery->origin.takes_packed = !self->client.config->json;
}

static void clear_delivery(roost_delivery *delivery) {
  local_delivery *own = (local_delivery *)delivery;
  local_client *self = delivery->pool->ud;
  roost_slots_remove(&self->requests, own->number);
  own->number = 0;
  own->is_held = false;
}

static const roost_delivery_ops delivery_ops = {.size = sizeof(local_delivery),
                                                .origin = {.reply_begin = reply_begin,
                                                           .reply_end = reply_end,
                                                           .reply_undo = reply_undo,
                                                           .crowded = reply_crowded,
                                                           .reply_unhandled = reply_unhandled},
                                                .init = init_delivery,
                                                .clear = clear_delivery,
                                                .deinit = clear_delivery};

/* ------------------------------------------------------------------------- messages ---------- */

static int connect_client(roost_client *client) {
  local_client *self = of(client);
  self->opening = true;
  roost_loop_defer(self->loop, &self->later);
  return 0;
}

static roost_format format(const roost_client *client, roost_slice pattern) {
  const local_client *self = (const local_client *)client;
  if (client->config->json)
    return ROOST_FORMAT_JSON;
  return self->server.sink->format(self->server.sink_ud, pattern);
}

static roost_buffer *begin(roost_client *client, const roost_message *head) {
  local_client *self = of(client);
  (void)head;
  roost_buffer_clear(&self->data);
  return &self->data;
}

static void undo(roost_client *client) {
  roost_buffer_clear(&of(client)->data);
}

/* One for the message; NULL where memory is short. */
static roost_delivery *new_delivery(local_client *self, bool is_event) {
  roost_delivery *delivery = roost_delivery_take(&self->pool);
  if (delivery == NULL || is_event)
    return delivery;
  const uint64_t number = roost_slots_add(&self->requests, delivery);
  ((local_delivery *)delivery)->number = number;
  if (number != 0)
    return delivery;
  roost_delivery_give(delivery);
  return NULL;
}

static void dispatch(local_client *self, roost_delivery *delivery, const roost_message *message) {
  const bool was_sending = self->sending;
  self->sending = true;
  const int status = roost_delivery_dispatch(delivery, message);
  if (status == ROOST_EPROTO && message->id.ptr != NULL) /* its handlers have changed meanwhile */
    answer_unhandled(self, message->id);
  self->sending = was_sending;
}

/* The memory of data that is done with is for the next. */
static void keep_data(local_client *self, roost_buffer *data) {
  if (self->data.cap == 0)
    self->data = *data;
  else
    roost_buffer_deinit(data);
}

/* A handler in C may send messages of its own meanwhile. */
static int end(roost_client *client, const roost_message *head) {
  local_client *self = of(client);
  roost_delivery *delivery = new_delivery(self, roost_message_is_event(head));
  if (delivery == NULL)
    return ROOST_ENOMEM;
  const uint64_t number = ((const local_delivery *)delivery)->number;
  roost_buffer data = self->data;
  roost_buffer_init(&self->data, data.alloc);
  roost_message message = *head;
  message.data = roost_buffer_slice(&data);
  dispatch(self, delivery, &message);
  keep_data(self, &data);
  self->client.token = number;
  return 0;
}

/* In the next turn: this may be called by whoever is being handed a reply. Where memory is short
 * its calls go on for nobody, until they are over. */
static void forget(roost_client *client, uint64_t token) {
  local_client *self = of(client);
  if (roost_slots_get(&self->requests, token) == NULL)
    return;
  (void)roost_buffer_append(&self->forgotten, &token, sizeof token);
  roost_loop_defer(self->loop, &self->later);
}

static void hold(roost_client *client, uint64_t token, bool on) {
  local_client *self = of(client);
  local_delivery *delivery = roost_slots_get(&self->requests, token);
  if (delivery == NULL)
    return;
  delivery->is_held = on;
  if (!on)
    self->server.sink->on_writable(self->server.sink_ud, &delivery->delivery.origin);
}

static bool crowded(const roost_client *client) {
  (void)client;
  return false;
}

/* Whoever still answers has nobody to answer to. */
static void close_client(roost_client *client) {
  local_client *self = of(client);
  self->opening = false;
  roost_buffer_clear(&self->early);
  roost_buffer_clear(&self->forgotten);
  roost_delivery_pool_abandon(&self->pool);
}

static void free_client(roost_client *client) {
  local_client *self = of(client);
  close_client(client);
  roost_loop_remove_hook(&self->later);
  roost_delivery_pool_deinit(&self->pool);
  roost_slots_deinit(&self->requests);
  roost_buffer_deinit(&self->forgotten);
  roost_buffer_deinit(&self->data);
  roost_buffer_deinit(&self->value);
  roost_buffer_deinit(&self->early);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static const roost_client_ops client_ops = {.routes_events = true,
                                            .connect = connect_client,
                                            .format = format,
                                            .begin = begin,
                                            .end = end,
                                            .undo = undo,
                                            .forget = forget,
                                            .hold = hold,
                                            .crowded = crowded,
                                            .close = close_client,
                                            .free = free_client};

int roost_local_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                           const roost_server_config *server, const roost_sink_ops *sink,
                           void *sink_ud, const roost_client_sink *client_sink,
                           void *client_sink_ud) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  local_client *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->client = (roost_client){
      .ops = &client_ops, .config = config, .sink = client_sink, .sink_ud = client_sink_ud};
  self->server.config = server;
  self->server.sink = sink;
  self->server.sink_ud = sink_ud;
  roost_delivery_pool_init(&self->pool, &delivery_ops, alloc, &self->server, self);
  roost_slots_init(&self->requests, alloc);
  roost_buffer_init(&self->forgotten, alloc);
  self->loop = loop;
  self->later = (roost_loop_hook){.fn = on_later, .ud = self};
  roost_list_init(&self->later.link);
  roost_buffer_init(&self->data, alloc);
  roost_buffer_init(&self->value, alloc);
  roost_buffer_init(&self->early, alloc);
  *out = &self->client;
  return 0;
}
