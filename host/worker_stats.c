/*
 * What a worker counts: for its own thread, and published for others.
 */
#include <string.h>

#include "worker_internal.h"

void roost_worker_stats(const roost_worker *worker, roost_stats *out) {
  const roost_dispatch_stats *calls = &worker->dispatch->stats;
  out->requests += calls->requests;
  out->events += calls->events;
  out->unhandled += calls->unhandled;
  out->errors += calls->errors;
  out->timeouts += calls->timeouts;
  out->in_flight += calls->in_flight;
  if (worker->config.number == 0) /* the others have the same */
    out->services += worker->dispatch->service_count;
  for (size_t i = 0; i < worker->dispatch->service_count; i++) {
    const roost_service *service = worker->dispatch->services[i];
    out->reloads += service->reload.swaps;
    out->refused += service->reload.refusals;
    if (service->current != NULL && service->current->vm != NULL)
      out->memory_bytes += service->current->vm->memory_bytes;
  }
  for (size_t i = 0; i < worker->server_count; i++) {
    const roost_server_stats *server = &worker->servers[i]->stats;
    out->connections += server->connections;
    out->accepted += server->accepted;
    out->denied += server->denied;
    out->bytes_in += server->bytes.bytes_in;
    out->bytes_out += server->bytes.bytes_out;
  }
}

/* Only this thread writes them, so that a plain store is enough. */
void roost_worker_publish(roost_worker *worker) {
  roost_stats stats = {.struct_size = 0};
  uint64_t values[ROOST_WORKER_COUNTERS];
  roost_worker_stats(worker, &stats);
  memcpy(values, (const char *)&stats + sizeof stats.struct_size, sizeof values);
  for (size_t i = 0; i < ROOST_WORKER_COUNTERS; i++)
    atomic_store_explicit(&worker->published[i], values[i], memory_order_relaxed);
}

void roost_worker_published(const roost_worker *worker, roost_stats *out) {
  uint64_t values[ROOST_WORKER_COUNTERS];
  char *to = (char *)out + sizeof out->struct_size;
  memcpy(values, to, sizeof values);
  for (size_t i = 0; i < ROOST_WORKER_COUNTERS; i++)
    values[i] += atomic_load_explicit(&worker->published[i], memory_order_relaxed);
  memcpy(to, values, sizeof values);
}
