#include "report.h"

#include <stdio.h>

#include "core/slice.h"

/* A report being filled in; the first ENOMEM is kept. */
typedef struct filling {
  roost_report *report;
  int status;
} filling;

static void *get(filling *to, size_t count, size_t size) {
  void *place = roost_arena_get(&to->report->arena, count * size + 1);
  if (place == NULL)
    to->status = ROOST_ENOMEM;
  return place;
}

static const char *text(filling *to, const char *from) {
  const char *copy = roost_arena_text(&to->report->arena, roost_slice_text(from));
  if (copy == NULL)
    to->status = ROOST_ENOMEM;
  return copy;
}

static roost_slice slice(filling *to, const roost_buffer *from) {
  char *copy = from->len > 0 ? get(to, from->len, 1) : NULL;
  if (copy == NULL)
    return (roost_slice){NULL, 0};
  memcpy(copy, from->ptr, from->len);
  return roost_slice_of(copy, from->len);
}

static size_t length(const roost_list *list) {
  size_t count = 0;
  for (const roost_list *at = list->next; at != list; at = at->next)
    count++;
  return count;
}

/* ------------------------------------------------------------------------- parts ------------- */

/* What a configuration says of the broker, in the place of a listener's own. */
static void fill_broker(filling *to, roost_report_server *server, const roost_broker *broker) {
  server->place = text(to, broker->endpoint.host);
  server->place_port = broker->endpoint.port;
  server->tls = broker->tls != NULL;
}

static void fill_servers(filling *to, const roost_worker *worker) {
  roost_report_server *servers = get(to, worker->server_count, sizeof *servers);
  for (size_t i = 0; i < worker->server_count && to->status == 0; i++) {
    const roost_server *server = worker->servers[i];
    servers[i] = (roost_report_server){.name = text(to, server->config->name),
                                       .transport = text(to, server->config->transport),
                                       .address = server->address,
                                       .tls = server->config->tls != NULL,
                                       .cert_expires = server->cert_expires,
                                       .listening = server->listening,
                                       .stats = server->stats};
    if (server->config->options != NULL)
      fill_broker(to, &servers[i], server->config->options);
  }
  to->report->servers = servers;
  to->report->server_count = worker->server_count;
}

static void fill_routes(filling *to, roost_report_routes *routes, const roost_list *from) {
  routes->count = length(from);
  routes->items = get(to, routes->count, sizeof *routes->items);
  roost_report_route *next = routes->items;
  for (const roost_list *at = from->next; at != from && to->status == 0; at = at->next, next++) {
    const roost_route_stats *stats = ROOST_LIST_ENTRY(at, const roost_route_stats, link);
    next->route = slice(to, &stats->route);
    memcpy(next->registered, stats->registered, sizeof next->registered);
    memcpy(next->ended, stats->ended, sizeof next->ended);
  }
}

static const char *state_of(const roost_generation *generation) {
  if (generation == NULL)
    return "failed";
  switch (generation->state) {
  case ROOST_GENERATION_FAILED:
    return "failed";
  case ROOST_GENERATION_STOPPING:
    return "stopping";
  case ROOST_GENERATION_LIVE:
    return "live";
  default:
    return "starting";
  }
}

static void fill_generation(filling *to, roost_report_service *service,
                            const roost_generation *generation) {
  const roost_list *handlers = &generation->handlers;
  service->generation = generation->number;
  service->loaded_us = generation->loaded_us;
  if (generation->vm != NULL) {
    service->memory_bytes = generation->vm->memory_bytes;
    service->instances = generation->state == ROOST_GENERATION_LIVE;
  }
  service->pattern_count = length(handlers);
  service->patterns = get(to, service->pattern_count, sizeof *service->patterns);
  roost_slice *next = service->patterns;
  for (const roost_list *at = handlers->next; at != handlers && to->status == 0; at = at->next)
    *next++ = slice(to, &ROOST_LIST_ENTRY(at, const roost_handler, link)->route);
}

static void fill_service(filling *to, roost_report_service *service, const roost_service *from) {
  service->name = text(to, from->name);
  service->state = state_of(from->current);
  service->draining = (uint32_t)from->draining;
  service->reloads = from->reload.swaps;
  service->refusals = from->reload.refusals;
  service->stats = from->stats;
  service->latency = from->usage.latency;
  service->cpu_us = from->usage.cpu_us;
  service->last_error = slice(to, &from->last_error);
  service->refused = slice(to, &from->reload.refused);
  fill_routes(to, &service->routes, &from->routes);
  if (from->current != NULL)
    fill_generation(to, service, from->current);
}

static void fill_services(filling *to, const roost_dispatch *dispatch) {
  const size_t count = dispatch->service_count;
  roost_report_service *services = get(to, count, sizeof *services);
  for (size_t i = 0; i < count && to->status == 0; i++)
    fill_service(to, &services[i], dispatch->services[i]);
  to->report->services = services;
  to->report->service_count = count;
}

static void fill_client(filling *to, roost_report_client *client, const roost_outbound *from) {
  const roost_client_config *config = from->config;
  const roost_endpoint at = roost_client_place(from->client);
  *client = (roost_report_client){.name = text(to, config->name),
                                  .transport = text(to, config->transport),
                                  .host = at.host != NULL ? text(to, at.host) : NULL,
                                  .port = at.port,
                                  .connected = from->state == ROOST_OUTBOUND_UP,
                                  .pending = from->slots.count,
                                  .stats = from->stats};
}

static bool has_client(const roost_report *report, const char *name) {
  for (size_t i = 0; i < report->client_count; i++)
    if (strcmp(report->clients[i].name, name) == 0)
      return true;
  return false;
}

/* Clients are made at their first use; until then they are as configured. */
static void fill_unused(filling *to, const roost_dispatch *dispatch) {
  roost_report *report = to->report;
  for (size_t i = 0; i < dispatch->client_count && to->status == 0; i++) {
    const roost_client_config *config = &dispatch->clients[i];
    if (!has_client(report, config->name))
      report->clients[report->client_count++] =
          (roost_report_client){.name = text(to, config->name),
                                .transport = text(to, config->transport),
                                .host = config->host != NULL ? text(to, config->host) : NULL,
                                .port = config->port};
  }
}

static void fill_clients(filling *to, const roost_dispatch *dispatch) {
  const roost_list *outbounds = &dispatch->outbounds;
  roost_report *report = to->report;
  report->clients = get(to, length(outbounds) + dispatch->client_count, sizeof *report->clients);
  for (const roost_list *at = outbounds->next; at != outbounds && to->status == 0; at = at->next) {
    const roost_outbound *outbound = ROOST_LIST_ENTRY(at, const roost_outbound, link);
    if (outbound->config->name != NULL)
      fill_client(to, &report->clients[report->client_count++], outbound);
  }
  fill_unused(to, dispatch);
}

static void fill_worker(filling *to, const roost_worker *worker) {
  const roost_meter *meter = &worker->dispatch->meter;
  roost_report_worker *own = get(to, 1, sizeof *own);
  roost_stats sum = {.struct_size = sizeof sum};
  if (own == NULL)
    return;
  roost_worker_stats(worker, &sum);
  *own = (roost_report_worker){.number = worker->config.number,
                               .connections = sum.connections,
                               .requests = sum.requests,
                               .events = sum.events,
                               .errors = sum.errors,
                               .timeouts = sum.timeouts,
                               .in_flight = sum.in_flight,
                               .memory_bytes = sum.memory_bytes};
  own->longest_turn_us =
      meter->longest_us[0] > meter->longest_us[1] ? meter->longest_us[0] : meter->longest_us[1];
  to->report->workers = own;
  to->report->worker_count = 1;
}

/* ------------------------------------------------------------------------- the whole --------- */

int roost_report_new(roost_report **out, roost_worker *worker) {
  roost_dispatch *dispatch = worker->dispatch;
  roost_report *report = roost_alloc_get(worker->config.alloc, sizeof *report);
  *out = report;
  if (report == NULL)
    return ROOST_ENOMEM;
  filling to = {.report = report};
  roost_arena_init(&report->arena, worker->config.alloc);
  report->state = worker->state;
  report->unhandled[1] = dispatch->stats.unhandled_events;
  report->unhandled[0] = dispatch->stats.unhandled - report->unhandled[1];
  roost_stats_refresh(dispatch);
  report->recent_us = roost_clock_now_us(dispatch->config.clock) - dispatch->meter.window_us[1];
  fill_servers(&to, worker);
  fill_services(&to, dispatch);
  fill_clients(&to, dispatch);
  fill_routes(&to, &report->routes, &dispatch->routes);
  fill_worker(&to, worker);
  roost_store_read_stats(worker->config.store, &report->store);
  if (to.status == 0)
    return 0;
  roost_report_free(report);
  *out = NULL;
  return to.status;
}

void roost_report_free(roost_report *report) {
  if (report == NULL)
    return;
  const roost_alloc *alloc = report->arena.alloc;
  roost_arena_deinit(&report->arena);
  roost_alloc_put(alloc, report, sizeof *report);
}

/* ------------------------------------------------------------------------- looking ----------- */

const roost_report_service *roost_report_find(const roost_report *report, roost_slice name) {
  for (size_t i = 0; i < report->service_count; i++)
    if (roost_slice_equal(roost_slice_text(report->services[i].name), name))
      return &report->services[i];
  return NULL;
}

static uint64_t recent_in(const roost_latency *latency, size_t bucket) {
  return (uint64_t)latency->recent[0][bucket] + latency->recent[1][bucket];
}

uint64_t roost_report_recent(const roost_latency *latency) {
  uint64_t count = 0;
  for (size_t i = 0; i < ROOST_LATENCY_BUCKETS; i++)
    count += recent_in(latency, i);
  return count;
}

double roost_report_quantile_ms(const roost_latency *latency, double share) {
  const double wanted = share * (double)roost_report_recent(latency) - 1e-6;
  uint64_t seen = 0;
  for (size_t i = 0; i < ROOST_LATENCY_BUCKETS; i++) {
    seen += recent_in(latency, i);
    if (seen > 0 && (double)seen >= wanted)
      return (double)(roost_latency_bound(i) + (i > 0 ? roost_latency_bound(i - 1) : 0)) / 2000;
  }
  return 0;
}

void roost_report_address(char shown[ROOST_REPORT_ADDRESS_BYTES], const char *host, uint16_t port) {
  const bool v6 = strchr(host, ':') != NULL;
  snprintf(shown, ROOST_REPORT_ADDRESS_BYTES, v6 ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
}
