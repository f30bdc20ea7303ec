#include "service/dispatch.h"

#include "wire/json.h"
#include "wire/pattern.h"

static const char internal_error[] = "Internal server error";

/* ------------------------------------------------------------------------- messages ---------- */

/* An answer for which there is no call. */
static void answer_error(roost_origin *origin, const roost_message *message, const char *text) {
  if (roost_message_is_event(message))
    return;
  roost_buffer *out = origin->ops->reply_begin(origin, ROOST_REPLY_ERROR);
  if (out == NULL)
    return;
  if (roost_message_write_error(out, roost_slice_text(text)) != 0)
    origin->ops->reply_undo(origin);
  else
    origin->ops->reply_end(origin, ROOST_REPLY_ERROR, message->id);
}

static void log_message(roost_dispatch *dispatch, roost_origin *origin,
                        const roost_message *message, roost_log_kind kind, const char *text) {
  roost_log_line line;
  if (!roost_log_limited(dispatch->config.log, kind))
    return;
  roost_log_begin(&line, dispatch->config.log, ROOST_LOG_WARN, roost_slice_text(text));
  roost_log_text(&line, "server", roost_slice_text(origin->server->config->name));
  roost_log_address(&line, "peer", origin->ops->remote(origin));
  if (message->pattern.ptr != NULL) {
    roost_slice shown = message->pattern;
    if (shown.len > 200)
      shown.len = 200;
    roost_log_text(&line, "pattern", shown);
  }
  roost_log_end(&line);
}

/* Where no handler decodes it: EPROTO, as one would find. */
static int check_data(const roost_message *message) {
  return message->data.ptr != NULL && message->format == ROOST_FORMAT_JSON
             ? roost_json_validate(message->data)
             : 0;
}

static int unhandled(roost_dispatch *dispatch, roost_origin *origin, const roost_message *message) {
  const bool event = roost_message_is_event(message);
  if (check_data(message) != 0)
    return ROOST_EPROTO;
  dispatch->stats.unhandled++;
  dispatch->stats.unhandled_events += event;
  log_message(dispatch, origin, message, ROOST_LOG_KIND_UNHANDLED,
              event ? "There is no matching event handler defined in the remote service."
                    : "There is no matching message handler defined in the remote service.");
  if (!event)
    origin->ops->reply_unhandled(origin, message->id);
  return 0;
}

static bool is_allowed(const roost_gate *gate, const roost_origin *origin,
                       const roost_message *message, const roost_match *match) {
  roost_slice route = {NULL, 0};
  if (message->route.ptr != NULL)
    route = message->route;
  else if (message->pattern.ptr != NULL)
    route = roost_table_route(gate->table, match);
  const roost_tls_info *tls = origin->ops->tls != NULL ? origin->ops->tls(origin) : NULL;
  return roost_allow_permits(gate->config->allow, origin->ops->remote(origin), tls, route);
}

/* No rule permits it: nothing of a service runs, or is given away. */
static int refuse(roost_dispatch *dispatch, roost_origin *origin, const roost_message *message) {
  if (check_data(message) != 0)
    return ROOST_EPROTO;
  origin->server->stats.denied++;
  log_message(dispatch, origin, message, ROOST_LOG_KIND_DENIED,
              roost_message_is_event(message) ? "event refused: no rule of allow permits it"
                                              : "request refused: no rule of allow permits it");
  answer_error(origin, message, "Forbidden resource");
  return 0;
}

static int start(roost_dispatch *dispatch, roost_origin *origin, const roost_message *message,
                 const roost_handler *handler, bool event) {
  int status = roost_call_start(dispatch, origin, message, handler, event);
  if (status == ROOST_ENOMEM && !event)
    answer_error(origin, message, internal_error);
  return status == ROOST_EPROTO ? status : 0;
}

/* All event handlers of an entry; the first of them answers where a reply is wanted. */
static int start_events(roost_dispatch *dispatch, roost_origin *origin,
                        const roost_message *message, const roost_entry *entry, bool reply) {
  for (size_t i = 0; i < entry->event_count; i++) {
    int status = start(dispatch, origin, message, entry->events[i], i > 0 || !reply);
    if (status != 0)
      return status;
  }
  return 0;
}

static int on_request(roost_dispatch *dispatch, roost_origin *origin, const roost_message *message,
                      const roost_match *match) {
  if (match->entry->message != NULL)
    return start(dispatch, origin, message, match->entry->message, false);
  return start_events(dispatch, origin, message, match->entry, true);
}

static int on_event(roost_table *table, roost_dispatch *dispatch, roost_origin *origin,
                    const roost_message *message, roost_match *match) {
  for (; match->entry != NULL; roost_table_next(table, match)) {
    const roost_entry *entry = match->entry;
    int status = entry->event_count > 0 ? start_events(dispatch, origin, message, entry, false)
                                        : start(dispatch, origin, message, entry->message, true);
    if (status != 0)
      return status;
  }
  return 0;
}

/* What on_message does where it has to look. */
static int find_and_start(roost_gate *gate, roost_origin *origin, const roost_message *message) {
  roost_table *table = gate->table;
  roost_match match;
  int status = 0;
  if (message->route.ptr != NULL)
    roost_table_find_route(table, message->route, &match);
  else
    status = roost_table_find(table, message->pattern, &match);
  if (status == ROOST_EPROTO)
    return status;
  if (status != 0) {
    answer_error(origin, message, internal_error);
    return 0;
  }
  if (gate->config->allow != NULL && !is_allowed(gate, origin, message, &match))
    return refuse(gate->dispatch, origin, message);
  if (match.entry == NULL)
    return unhandled(gate->dispatch, origin, message);
  return roost_message_is_event(message) ? on_event(table, gate->dispatch, origin, message, &match)
                                         : on_request(gate->dispatch, origin, message, &match);
}

const roost_handler *roost_gate_recall(const roost_gate *gate, const roost_message *message) {
  if (gate->config->allow != NULL || roost_message_is_event(message))
    return NULL;
  const roost_entry *entry = roost_table_recall(gate->table, message->pattern);
  return entry != NULL ? entry->message : NULL;
}

static int dispatch_one(roost_gate *gate, roost_origin *origin, const roost_message *message) {
  const roost_handler *handler = roost_gate_recall(gate, message);
  return handler != NULL ? start(gate->dispatch, origin, message, handler, false)
                         : find_and_start(gate, origin, message);
}

static int on_message(void *ud, roost_origin *origin, const roost_message *message) {
  roost_gate *gate = ud;
  roost_dispatch *dispatch = gate->dispatch;
  roost_gate *outer = dispatch->gate; /* a handler may call another one, within the host */
  dispatch->gate = gate;
  int status = dispatch_one(gate, origin, message);
  while (status == 0 && dispatch->has_next) {
    const roost_message next = dispatch->next;
    dispatch->has_next = false;
    status = dispatch_one(gate, origin, &next);
  }
  dispatch->gate = outer;
  return status;
}

static void on_gone(void *ud, roost_origin *origin, bool reachable) {
  (void)ud;
  roost_list calls;
  roost_list_init(&calls);
  roost_list_move(&calls, &origin->calls);
  while (!roost_list_empty(&calls)) {
    roost_call *call = ROOST_LIST_ENTRY(calls.next, roost_call, link);
    roost_list_remove(&call->link);
    roost_list_append(&origin->calls, &call->link);
    roost_call_gone(call, reachable);
  }
}

static void on_writable(void *ud, roost_origin *origin) {
  (void)ud;
  for (roost_list *at = origin->calls.next; at != &origin->calls; at = at->next)
    roost_call_writable(ROOST_LIST_ENTRY(at, roost_call, link));
}

static bool all_lua(const roost_entry *entry) {
  for (size_t i = 0; i < entry->event_count; i++)
    if (entry->events[i]->generation == NULL)
      return false;
  return entry->message == NULL || entry->message->generation != NULL;
}

/* C handlers are given JSON text. */
static roost_format format(void *ud, roost_slice pattern) {
  const roost_gate *gate = ud;
  roost_match match;
  if (roost_table_find(gate->table, pattern, &match) != 0)
    return ROOST_FORMAT_JSON;
  for (; match.entry != NULL; roost_table_next(gate->table, &match))
    if (!all_lua(match.entry))
      return ROOST_FORMAT_JSON;
  return ROOST_FORMAT_PACKED;
}

const roost_sink_ops roost_dispatch_sink = {on_message, on_gone, on_writable, format};

/* ------------------------------------------------------------------------- life -------------- */

int roost_dispatch_new(roost_dispatch **out, const roost_dispatch_config *config) {
  roost_dispatch *dispatch = roost_alloc_get(config->alloc, sizeof *dispatch);
  *out = dispatch;
  if (dispatch == NULL)
    return ROOST_ENOMEM;
  dispatch->config = *config;
  pthread_mutex_init(&dispatch->lock, NULL);
  roost_list_init(&dispatch->removed);
  roost_meter_init(&dispatch->meter, config->clock);
  roost_list_init(&dispatch->handlers);
  roost_list_init(&dispatch->routes);
  roost_list_init(&dispatch->gates);
  roost_list_init(&dispatch->calls);
  roost_list_init(&dispatch->idle_calls);
  roost_list_init(&dispatch->items);
  roost_list_init(&dispatch->swaps);
  roost_list_init(&dispatch->draining);
  roost_list_init(&dispatch->outbounds);
  return 0;
}

static void free_removed(roost_dispatch *dispatch) {
  roost_list *at = dispatch->removed.next;
  while (at != &dispatch->removed) {
    roost_service *service = ROOST_LIST_ENTRY(at, roost_service, link);
    at = at->next;
    if (service->draining == 0)
      roost_service_free(service);
  }
}

void roost_dispatch_free(roost_dispatch *dispatch) {
  if (dispatch == NULL)
    return;
  const roost_alloc *alloc = dispatch->config.alloc;
  while (!roost_list_empty(&dispatch->draining))
    roost_generation_free(ROOST_LIST_ENTRY(dispatch->draining.next, roost_generation, link));
  free_removed(dispatch);
  for (size_t i = 0; i < dispatch->service_count; i++)
    roost_service_free(dispatch->services[i]);
  roost_alloc_put(alloc, dispatch->services, dispatch->service_count * sizeof(roost_service *));
  roost_call_free_all(dispatch);
  while (!roost_list_empty(&dispatch->outbounds))
    roost_outbound_free(ROOST_LIST_ENTRY(dispatch->outbounds.next, roost_outbound, link));
  while (!roost_list_empty(&dispatch->handlers))
    roost_handler_free(alloc, ROOST_LIST_ENTRY(dispatch->handlers.next, roost_handler, link));
  roost_route_stats_free_all(&dispatch->routes);
  while (!roost_list_empty(&dispatch->gates))
    roost_dispatch_remove_gate(ROOST_LIST_ENTRY(dispatch->gates.next, roost_gate, link));
  pthread_mutex_destroy(&dispatch->lock);
  roost_alloc_put(alloc, dispatch, sizeof *dispatch);
}

int roost_dispatch_add_service(roost_service **out, roost_dispatch *dispatch, const char *name,
                               const char *root, const char *path) {
  const roost_alloc *alloc = dispatch->config.alloc;
  size_t count = dispatch->service_count;
  *out = NULL;
  roost_service **grown = roost_alloc_resize(alloc, dispatch->services, count * sizeof *grown,
                                             (count + 1) * sizeof *grown);
  if (grown == NULL)
    return ROOST_ENOMEM;
  dispatch->services = grown;
  int status = roost_service_new(&grown[count], dispatch, name, root, path);
  if (status != 0) { /* give the place back, so that the size stays the count */
    grown = roost_alloc_resize(alloc, grown, (count + 1) * sizeof *grown, count * sizeof *grown);
    if (grown != NULL || count == 0)
      dispatch->services = grown;
    return status;
  }
  dispatch->service_count++;
  *out = grown[count];
  return 0;
}

static void say_removed(const roost_dispatch *dispatch, const roost_service *service) {
  roost_log_line line;
  roost_log_begin(&line, dispatch->config.log, ROOST_LOG_INFO, ROOST_SLICE("service removed"));
  roost_log_text(&line, "service", roost_slice_text(service->name));
  roost_log_end(&line);
}

/* The array keeps its size for the next one that is added. */
static void take_out(roost_dispatch *dispatch, const roost_service *service) {
  size_t at = 0;
  while (dispatch->services[at] != service)
    at++;
  const size_t count = dispatch->service_count--;
  memmove(dispatch->services + at, dispatch->services + at + 1,
          (count - at - 1) * sizeof *dispatch->services);
  roost_service **smaller =
      roost_alloc_resize(dispatch->config.alloc, dispatch->services, count * sizeof *smaller,
                         (count - 1) * sizeof *smaller);
  if (smaller != NULL || count == 1)
    dispatch->services = smaller;
}

int roost_dispatch_remove_service(roost_dispatch *dispatch, roost_service *service) {
  roost_generation *generation = service->current;
  service->current = NULL;
  const int status = roost_dispatch_rebuild(dispatch, NULL, NULL);
  if (status != 0) {
    service->current = generation;
    return status;
  }
  roost_reload_abandon(service); /* nor is one that was refused tried again */
  take_out(dispatch, service);
  say_removed(dispatch, service);
  roost_list_append(&dispatch->removed, &service->link);
  if (generation != NULL)
    roost_generation_retire(generation);
  return 0;
}

int roost_dispatch_add_handler(roost_dispatch *dispatch, roost_slice pattern, roost_handler_fn *fn,
                               void *ud, const char **why) {
  roost_handler from = {.timeout_ms = ROOST_TIMEOUT_DEFAULT, .qos = -1, .fn = fn, .ud = ud};
  roost_handler *handler;
  int status = roost_handler_new(&handler, dispatch->config.alloc, &from, pattern, why);
  if (status != 0)
    return status;
  roost_list_append(&dispatch->handlers, &handler->link);
  status = roost_dispatch_rebuild(dispatch, NULL, NULL);
  if (status == 0)
    return 0;
  roost_handler_free(dispatch->config.alloc, handler);
  *why = "out of memory";
  return status;
}

/* ------------------------------------------------------------------------- clients ----------- */

void roost_dispatch_set_clients(roost_dispatch *dispatch, const roost_client_config *clients,
                                size_t count) {
  pthread_mutex_lock(&dispatch->lock);
  dispatch->clients = clients;
  dispatch->client_count = count;
  pthread_mutex_unlock(&dispatch->lock);
}

int roost_dispatch_new_client(roost_outbound **out, roost_dispatch *dispatch,
                              const roost_client_config *client) {
  const roost_dispatch_config *config = &dispatch->config;
  const roost_outbound_config outbound = {.alloc = config->alloc,
                                          .wheel = config->wheel,
                                          .random_bytes = config->random_bytes,
                                          .open = config->open_client,
                                          .open_ud = config->open_client_ud};
  const int status = roost_outbound_new(out, &outbound, client);
  if (status == 0)
    roost_list_append(&dispatch->outbounds, &(*out)->link);
  return status;
}

static const roost_client_config *named(const roost_dispatch *dispatch, const char *name) {
  const roost_dispatch_config *config = &dispatch->config;
  for (size_t i = 0; i < dispatch->client_count; i++)
    if (strcmp(dispatch->clients[i].name, name) == 0)
      return &dispatch->clients[i];
  return config->other_client ? config->other_client(config->other_client_ud, name) : NULL;
}

/* Whether it was made from that configuration, or one that says the same. */
static bool is_of(const roost_outbound *outbound, const roost_client_config *config) {
  const roost_client_config *own = outbound->config;
  return own == config ||
         (own->name != NULL && own->mark == config->mark && strcmp(own->name, config->name) == 0);
}

void roost_dispatch_sweep_clients(roost_dispatch *dispatch) {
  roost_list *at = dispatch->outbounds.next;
  while (at != &dispatch->outbounds) {
    roost_outbound *outbound = ROOST_LIST_ENTRY(at, roost_outbound, link);
    at = at->next;
    if (outbound->config->name == NULL || !roost_list_empty(&outbound->watchers))
      continue;
    const roost_client_config *config = named(dispatch, outbound->config->name);
    if (config == NULL || !is_of(outbound, config))
      roost_outbound_free(outbound);
  }
}

bool roost_dispatch_knows_client(roost_dispatch *dispatch, const char *name) {
  pthread_mutex_lock(&dispatch->lock);
  const bool known = named(dispatch, name) != NULL;
  pthread_mutex_unlock(&dispatch->lock);
  return known;
}

int roost_dispatch_find_client(roost_outbound **out, roost_dispatch *dispatch, const char *name) {
  const roost_client_config *config = named(dispatch, name);
  *out = NULL;
  if (config == NULL)
    return ROOST_ENOENT;
  for (roost_list *at = dispatch->outbounds.next; at != &dispatch->outbounds; at = at->next) {
    roost_outbound *outbound = ROOST_LIST_ENTRY(at, roost_outbound, link);
    if (is_of(outbound, config)) {
      *out = outbound;
      return 0;
    }
  }
  return roost_dispatch_new_client(out, dispatch, config);
}

void roost_dispatch_drop_pending(roost_dispatch *dispatch, const void *owner) {
  for (roost_list *at = dispatch->outbounds.next; at != &dispatch->outbounds; at = at->next)
    roost_outbound_drop(ROOST_LIST_ENTRY(at, roost_outbound, link), owner);
}

/* ------------------------------------------------------------------------- the turn ---------- */

void roost_dispatch_flush(roost_dispatch *dispatch) {
  while (!roost_list_empty(&dispatch->items))
    roost_call_flush(ROOST_LIST_ENTRY(dispatch->items.next, roost_call, flush));
  for (roost_list *at = dispatch->gates.next; at != &dispatch->gates; at = at->next)
    roost_gate_flush(ROOST_LIST_ENTRY(at, roost_gate, link));
  roost_generation_flush(dispatch);
  free_removed(dispatch);
  roost_reload_flush(dispatch);
}

void roost_dispatch_cut(roost_dispatch *dispatch, const roost_generation *generation) {
  roost_list calls;
  roost_list_init(&calls);
  roost_list_move(&calls, &dispatch->calls);
  while (!roost_list_empty(&calls)) {
    roost_call *call = ROOST_LIST_ENTRY(calls.next, roost_call, running_link);
    roost_list_remove(&call->running_link);
    roost_list_append(&dispatch->calls, &call->running_link);
    if (generation == NULL || call->generation == generation)
      roost_call_cut(call);
  }
}
