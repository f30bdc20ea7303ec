/*
 * The gates of a dispatch: which handlers a server exposes, and the table that finds them.
 */
#include "service/dispatch.h"

/* ------------------------------------------------------------------------- tables ------------ */

static bool exposes(const roost_gate *gate, const roost_handler *handler) {
  const roost_server_config *config = gate->config;
  if (handler->transport != NULL && strcmp(handler->transport, config->transport) != 0)
    return false;
  if (config->services == NULL || handler->generation == NULL)
    return true;
  for (const char *const *name = config->services; *name != NULL; name++)
    if (strcmp(*name, handler->generation->service->name) == 0)
      return true;
  return false;
}

typedef struct build {
  roost_gate *gate;
  roost_table *table;
  roost_conflict_fn *conflict;
  void *ud;
} build;

/* Not when it is registered: another thread than the worker's may do that. */
static int find_stats(roost_dispatch *dispatch, roost_handler *handler) {
  const roost_generation *generation = handler->generation;
  if (handler->stats != NULL)
    return 0;
  int status = roost_route_stats_get(
      &handler->stats, generation != NULL ? &generation->service->routes : &dispatch->routes,
      dispatch->config.alloc, roost_buffer_slice(&handler->route));
  if (status == 0)
    handler->stats->registered[handler->event] = true;
  return status;
}

static int add_all(const build *b, const roost_list *handlers) {
  for (const roost_list *at = handlers->next; at != handlers; at = at->next) {
    roost_handler *handler = ROOST_LIST_ENTRY(at, roost_handler, link);
    const roost_handler *replaced;
    if (!exposes(b->gate, handler))
      continue;
    int status = find_stats(b->gate->dispatch, handler);
    if (status == 0)
      status = roost_table_add(b->table, handler, b->gate->config->wildcards, &replaced);
    if (status != 0)
      return status;
    if (replaced != NULL && b->conflict != NULL)
      b->conflict(b->ud, b->gate->config, handler, replaced);
  }
  return 0;
}

static int fill(const build *b) {
  roost_dispatch *dispatch = b->gate->dispatch;
  int status = add_all(b, &dispatch->handlers);
  for (size_t i = 0; i < dispatch->service_count && status == 0; i++) {
    const roost_generation *generation = dispatch->services[i]->current;
    if (generation != NULL)
      status = add_all(b, &generation->handlers);
  }
  return status;
}

static int build_gate(roost_gate *gate, roost_conflict_fn *conflict, void *ud) {
  build b = {gate, NULL, conflict, ud};
  int status = roost_table_new(&b.table, gate->dispatch->config.alloc);
  if (status == 0)
    status = fill(&b);
  if (status == 0)
    gate->built = b.table;
  else
    roost_table_free(b.table);
  return status;
}

static void swap_table(roost_gate *gate) {
  if (gate->table != NULL) {
    gate->table->next = gate->replaced;
    gate->replaced = gate->table;
  }
  gate->table = gate->built;
  gate->built = NULL;
  gate->subscribed = false;
}

void roost_dispatch_swap(roost_dispatch *dispatch) {
  for (roost_list *at = dispatch->gates.next; at != &dispatch->gates; at = at->next)
    swap_table(ROOST_LIST_ENTRY(at, roost_gate, link));
}

void roost_dispatch_unbuild(roost_dispatch *dispatch) {
  for (roost_list *at = dispatch->gates.next; at != &dispatch->gates; at = at->next) {
    roost_gate *gate = ROOST_LIST_ENTRY(at, roost_gate, link);
    roost_table_free(gate->built);
    gate->built = NULL;
  }
}

int roost_dispatch_build(roost_dispatch *dispatch, roost_conflict_fn *conflict, void *ud) {
  int status = 0;
  for (roost_list *at = dispatch->gates.next; at != &dispatch->gates && status == 0; at = at->next)
    status = build_gate(ROOST_LIST_ENTRY(at, roost_gate, link), conflict, ud);
  if (status != 0)
    roost_dispatch_unbuild(dispatch);
  return status;
}

int roost_dispatch_rebuild(roost_dispatch *dispatch, roost_conflict_fn *conflict, void *ud) {
  const int status = roost_dispatch_build(dispatch, conflict, ud);
  if (status == 0)
    roost_dispatch_swap(dispatch);
  return status;
}

/* ------------------------------------------------------------------------- subscriptions ----- */

/* What the first of the entry's handlers says that says anything. */
static void take_options(roost_subscription *to, const roost_handler *handler) {
  if (to->queue == NULL)
    to->queue = handler->queue;
  if (to->qos < 0)
    to->qos = handler->qos;
}

static void fill_subscription(roost_subscription *to, const roost_entry *entry) {
  *to = (roost_subscription){.route = entry->route,
                             .qos = -1,
                             .message = entry->message != NULL,
                             .event = entry->event_count > 0};
  if (entry->message != NULL)
    take_options(to, entry->message);
  for (size_t i = 0; i < entry->event_count; i++)
    take_options(to, entry->events[i]);
}

static int subscribe(const roost_gate *gate) {
  const roost_alloc *alloc = gate->dispatch->config.alloc;
  roost_server *server = gate->server;
  const size_t count = gate->table->routes.count;
  roost_subscription *routes = roost_alloc_get(alloc, (count + 1) * sizeof *routes);
  if (routes == NULL)
    return ROOST_ENOMEM;
  roost_subscription *to = routes;
  for (const roost_entry *entry = gate->table->first; entry != NULL; entry = entry->next)
    fill_subscription(to++, entry);
  const int status = server->ops->subscribe(server, routes, count);
  roost_alloc_put(alloc, routes, (count + 1) * sizeof *routes);
  return status;
}

int roost_gate_subscribe(roost_gate *gate) {
  if (gate->subscribed || gate->server == NULL)
    return 0;
  const int status = gate->server->ops->subscribe != NULL ? subscribe(gate) : 0;
  gate->subscribed = status == 0;
  return status;
}

static void free_replaced(roost_gate *gate) {
  while (gate->replaced != NULL) {
    roost_table *table = gate->replaced;
    gate->replaced = table->next;
    roost_table_free(table);
  }
}

void roost_gate_flush(roost_gate *gate) {
  free_replaced(gate);
  (void)roost_gate_subscribe(gate);
}

/* ------------------------------------------------------------------------- life -------------- */

void roost_dispatch_remove_gate(roost_gate *gate) {
  roost_list_remove(&gate->link);
  free_replaced(gate);
  roost_table_free(gate->table);
  roost_alloc_put(gate->dispatch->config.alloc, gate, sizeof *gate);
}

int roost_dispatch_add_gate(roost_gate **out, roost_dispatch *dispatch,
                            const roost_server_config *config) {
  roost_gate *gate = roost_alloc_get(dispatch->config.alloc, sizeof *gate);
  *out = gate;
  if (gate == NULL)
    return ROOST_ENOMEM;
  gate->dispatch = dispatch;
  gate->config = config;
  roost_list_append(&dispatch->gates, &gate->link);
  int status = build_gate(gate, NULL, NULL);
  if (status == 0) {
    swap_table(gate);
    return 0;
  }
  roost_dispatch_remove_gate(gate);
  *out = NULL;
  return status;
}

/* ------------------------------------------------------------------------- servers ----------- */

static roost_server *server_of(const roost_list *link) {
  return ROOST_LIST_ENTRY(link, const roost_gate, link)->server;
}

roost_server *roost_dispatch_find_server(const roost_dispatch *dispatch, const char *name) {
  for (const roost_list *at = dispatch->gates.next; at != &dispatch->gates; at = at->next)
    if (server_of(at) != NULL && strcmp(server_of(at)->config->name, name) == 0)
      return server_of(at);
  return NULL;
}

roost_server *roost_dispatch_nth_server(const roost_dispatch *dispatch, size_t place) {
  for (const roost_list *at = dispatch->gates.next; at != &dispatch->gates; at = at->next)
    if (server_of(at) != NULL && --place == 0)
      return server_of(at);
  return NULL;
}
