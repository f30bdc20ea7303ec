/*
 * The reports of several workers as one. They have the same servers and services; what is known of
 * a service by one alone (it was just found, say) counts all the same, where the first has it.
 */
#include "core/slice.h"
#include "report.h"

/* The merged report being filled in; the first ENOMEM is kept. */
typedef struct merging {
  roost_report *report;
  int status;
} merging;

static void *get(merging *to, size_t count, size_t size) {
  void *place = roost_arena_get(&to->report->arena, count * size + 1);
  if (place == NULL)
    to->status = ROOST_ENOMEM;
  return place;
}

/* A copy of so many items in an array with room for more. */
static void *copy(merging *to, const void *items, size_t count, size_t room, size_t size) {
  char *place = get(to, count + room, size);
  if (place != NULL && count > 0)
    memcpy(place, items, count * size);
  return place;
}

/* ------------------------------------------------------------------------- servers ----------- */

static void add_server(roost_server_stats *to, const roost_server_stats *from) {
  to->connections += from->connections;
  to->accepted += from->accepted;
  to->denied += from->denied;
  to->bytes.bytes_in += from->bytes.bytes_in;
  to->bytes.bytes_out += from->bytes.bytes_out;
}

static bool same_name(const roost_report_server *a, const roost_report_server *b) {
  return a->name != NULL && b->name != NULL && strcmp(a->name, b->name) == 0;
}

/* The first worker has some of its own, sessions with brokers. */
static void add_servers(const merging *to, const roost_report *part) {
  roost_report *report = to->report;
  for (size_t i = 0; i < report->server_count; i++)
    for (size_t j = 0; j < part->server_count; j++)
      if (same_name(&report->servers[i], &part->servers[j]))
        add_server(&report->servers[i].stats, &part->servers[j].stats);
}

/* ------------------------------------------------------------------------- routes ------------ */

static roost_report_route *find_route(const roost_report_routes *routes, roost_slice route) {
  for (size_t i = 0; i < routes->count; i++)
    if (roost_slice_equal(routes->items[i].route, route))
      return &routes->items[i];
  return NULL;
}

static void add_route(roost_report_route *to, const roost_report_route *from) {
  for (int event = 0; event < 2; event++) {
    to->registered[event] |= from->registered[event];
    for (int outcome = 0; outcome < ROOST_OUTCOMES; outcome++)
      to->ended[event][outcome] += from->ended[event][outcome];
  }
}

static void add_routes(merging *to, roost_report_routes *routes, const roost_report_routes *from) {
  size_t missing = 0;
  for (size_t i = 0; i < from->count; i++)
    missing += find_route(routes, from->items[i].route) == NULL;
  roost_report_route *items =
      copy(to, routes->items, routes->count, missing, sizeof *routes->items);
  if (items == NULL)
    return;
  routes->items = items;
  for (size_t i = 0; i < from->count; i++) {
    roost_report_route *known = find_route(routes, from->items[i].route);
    if (known != NULL)
      add_route(known, &from->items[i]);
    else
      items[routes->count++] = from->items[i];
  }
}

/* ------------------------------------------------------------------------- services ---------- */

static void add_latency(roost_latency *to, const roost_latency *from) {
  for (size_t i = 0; i < ROOST_LATENCY_BUCKETS; i++) {
    to->recent[0][i] += from->recent[0][i];
    to->recent[1][i] += from->recent[1][i];
    to->older[i] += from->older[i];
  }
  to->sum_us += from->sum_us;
}

static void add_stats(roost_service_stats *to, const roost_service_stats *from) {
  to->requests += from->requests;
  to->events += from->events;
  to->errors += from->errors;
  to->timeouts += from->timeouts;
  to->in_flight += from->in_flight;
}

static void add_service(merging *to, roost_report_service *service,
                        const roost_report_service *from) {
  service->memory_bytes += from->memory_bytes;
  service->instances += from->instances;
  service->draining += from->draining;
  service->reloads += from->reloads;
  service->refusals += from->refusals;
  service->cpu_us += from->cpu_us;
  if (from->generation > service->generation)
    service->generation = from->generation;
  if (service->last_error.len == 0)
    service->last_error = from->last_error;
  if (service->refused.len == 0)
    service->refused = from->refused;
  add_stats(&service->stats, &from->stats);
  add_latency(&service->latency, &from->latency);
  add_routes(to, &service->routes, &from->routes);
}

static void add_services(merging *to, const roost_report *part) {
  for (size_t i = 0; i < to->report->service_count && to->status == 0; i++) {
    roost_report_service *service = &to->report->services[i];
    const roost_report_service *from = roost_report_find(part, roost_slice_text(service->name));
    if (from != NULL)
      add_service(to, service, from);
  }
}

/* ------------------------------------------------------------------------- clients ----------- */

static roost_report_client *find_client(const roost_report *report, const char *name) {
  for (size_t i = 0; i < report->client_count; i++)
    if (strcmp(report->clients[i].name, name) == 0)
      return &report->clients[i];
  return NULL;
}

static void add_client(roost_report_client *to, const roost_report_client *from) {
  to->connected |= from->connected;
  to->pending += from->pending;
  to->stats.requests += from->stats.requests;
  to->stats.answered += from->stats.answered;
  to->stats.errors += from->stats.errors;
  to->stats.timeouts += from->stats.timeouts;
  to->stats.reconnects += from->stats.reconnects;
  to->stats.late += from->stats.late;
}

static void add_clients(merging *to, const roost_report *part) {
  roost_report *report = to->report;
  roost_report_client *clients =
      copy(to, report->clients, report->client_count, part->client_count, sizeof *report->clients);
  if (clients == NULL)
    return;
  report->clients = clients;
  for (size_t i = 0; i < part->client_count; i++) {
    roost_report_client *known = find_client(report, part->clients[i].name);
    if (known != NULL)
      add_client(known, &part->clients[i]);
    else
      clients[report->client_count++] = part->clients[i];
  }
}

/* ------------------------------------------------------------------------- the whole --------- */

static void add_part(merging *to, const roost_report *part) {
  roost_report *report = to->report;
  add_servers(to, part);
  add_services(to, part);
  if (to->status == 0)
    add_clients(to, part);
  if (to->status == 0)
    add_routes(to, &report->routes, &part->routes);
  report->unhandled[0] += part->unhandled[0];
  report->unhandled[1] += part->unhandled[1];
}

/* What is added to is copied; the rest is that of the first. */
static void begin(merging *to, const roost_report *first, size_t count) {
  roost_report *report = to->report;
  const roost_arena arena = report->arena;
  *report = *first;
  report->arena = arena;
  report->servers = copy(to, first->servers, first->server_count, 0, sizeof *first->servers);
  report->services = copy(to, first->services, first->service_count, 0, sizeof *first->services);
  report->workers = get(to, count, sizeof *report->workers);
  report->worker_count = 0;
}

static void add_worker(const merging *to, const roost_report *part, size_t number, bool stuck) {
  roost_report_worker *own = &to->report->workers[to->report->worker_count++];
  *own = (roost_report_worker){.number = (unsigned)number};
  if (part != NULL && part->worker_count > 0)
    *own = part->workers[0];
  own->stuck = stuck;
}

int roost_report_merge(roost_report **out, const roost_alloc *alloc, roost_report *const *parts,
                       const bool *stuck, size_t count) {
  roost_report *report = roost_alloc_get(alloc, sizeof *report);
  *out = report;
  if (report == NULL)
    return ROOST_ENOMEM;
  merging to = {.report = report};
  roost_arena_init(&report->arena, alloc);
  begin(&to, parts[0], count);
  for (size_t i = 0; i < count && to.status == 0; i++) {
    if (i > 0 && parts[i] != NULL)
      add_part(&to, parts[i]);
    add_worker(&to, parts[i], i, stuck[i]);
  }
  if (to.status == 0)
    return 0;
  roost_report_free(report);
  *out = NULL;
  return to.status;
}
