#include "status.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/slice.h"
#include "wire/json.h"
#include "wire/utf8.h"

/* ------------------------------------------------------------------------- JSON -------------- */

/* A JSON text being written; the first failure is kept. */
typedef struct writer {
  roost_buffer *out;
  int status;
  bool follows; /* the next member or element needs a comma */
} writer;

static void put(writer *w, const char *text) {
  if (w->status == 0)
    w->status = roost_buffer_append_slice(w->out, roost_slice_text(text));
}

static void separate(writer *w) {
  if (w->follows)
    put(w, ",");
  w->follows = true;
}

static void put_text(writer *w, roost_slice text) {
  if (w->status == 0)
    w->status = roost_json_write_string(w->out, text);
}

static void key(writer *w, const char *name) {
  separate(w);
  put_text(w, roost_slice_text(name));
  put(w, ":");
}

static void open(writer *w, const char *bracket) {
  put(w, bracket);
  w->follows = false;
}

static void close(writer *w, const char *bracket) {
  put(w, bracket);
  w->follows = true;
}

static void text(writer *w, const char *name, const char *value) {
  key(w, name);
  put_text(w, roost_slice_text(value));
}

static void number(writer *w, const char *name, uint64_t value) {
  key(w, name);
  if (w->status == 0)
    w->status = roost_json_write_integer(w->out, (int64_t)value);
}

/* What a script raised may hold any bytes, and be cut in the middle of a character. */
static void any_text(writer *w, const char *name, roost_slice value) {
  key(w, name);
  if (value.len == 0) {
    put(w, "null");
    return;
  }
  value.len = roost_utf8_valid_prefix(value);
  put_text(w, value);
}

static void moment(writer *w, const char *name, uint64_t wall_us) {
  char shown[32];
  const time_t seconds = (time_t)(wall_us / 1000000);
  struct tm utc;
  gmtime_r(&seconds, &utc);
  strftime(shown, sizeof shown, "%Y-%m-%dT%H:%M:%SZ", &utc);
  text(w, name, shown);
}

/* ------------------------------------------------------------------------- servers ----------- */

static void server_address(writer *w, const roost_server *server) {
  char shown[sizeof server->address.text + 8];
  const bool v6 = strchr(server->address.text, ':') != NULL;
  snprintf(shown, sizeof shown, v6 ? "[%s]:%u" : "%s:%u",
           server->address.text[0] ? server->address.text : "memory",
           (unsigned)server->address.port);
  text(w, "address", shown);
}

static void write_server(writer *w, const roost_server *server) {
  key(w, server->config->name);
  open(w, "{");
  text(w, "transport", server->config->transport);
  server_address(w, server);
  text(w, "status", server->listening ? "connected" : "disconnected");
  number(w, "connections", server->stats.connections);
  number(w, "accepted", server->stats.accepted);
  number(w, "denied", server->stats.denied);
  number(w, "bytes_in", server->stats.bytes.bytes_in);
  number(w, "bytes_out", server->stats.bytes.bytes_out);
  close(w, "}");
}

/* ------------------------------------------------------------------------- services ---------- */

static void write_patterns(writer *w, const roost_generation *generation) {
  key(w, "patterns");
  open(w, "[");
  const roost_list *handlers = &generation->handlers;
  for (const roost_list *at = handlers->next; at != handlers; at = at->next) {
    separate(w);
    put_text(w, roost_buffer_slice(&ROOST_LIST_ENTRY(at, const roost_handler, link)->route));
  }
  close(w, "]");
}

static const char *state_of(const roost_generation *generation) {
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

static void write_service(writer *w, const roost_service *service) {
  const roost_generation *generation = service->current;
  key(w, service->name);
  open(w, "{");
  text(w, "state", generation ? state_of(generation) : "failed");
  if (generation != NULL) {
    number(w, "generation", generation->number);
    moment(w, "loaded", generation->loaded_us);
    write_patterns(w, generation);
    number(w, "memory_bytes", generation->vm->memory_bytes);
  }
  number(w, "in_flight", service->stats.in_flight);
  number(w, "requests", service->stats.requests);
  number(w, "events", service->stats.events);
  number(w, "errors", service->stats.errors);
  number(w, "timeouts", service->stats.timeouts);
  any_text(w, "last_error", roost_buffer_slice(&service->last_error));
  close(w, "}");
}

/* ------------------------------------------------------------------------- clients ----------- */

static void write_client(writer *w, const roost_outbound *outbound) {
  const roost_client_config *config = outbound->config;
  key(w, config->name);
  open(w, "{");
  text(w, "transport", config->transport);
  if (strcmp(config->transport, "local") != 0) {
    char shown[320];
    const bool v6 = strchr(config->host, ':') != NULL;
    snprintf(shown, sizeof shown, v6 ? "[%s]:%u" : "%s:%u", config->host, (unsigned)config->port);
    text(w, "address", shown);
  }
  text(w, "status", outbound->state == ROOST_OUTBOUND_UP ? "connected" : "disconnected");
  number(w, "pending", outbound->slots.count);
  number(w, "requests", outbound->stats.requests);
  number(w, "errors", outbound->stats.errors);
  number(w, "timeouts", outbound->stats.timeouts);
  number(w, "reconnects", outbound->stats.reconnects);
  close(w, "}");
}

/* Those that were used; the ones made from a table have no name to be shown by. */
static void write_clients(writer *w, const roost_dispatch *dispatch) {
  key(w, "clients");
  open(w, "{");
  for (const roost_list *at = dispatch->outbounds.next; at != &dispatch->outbounds; at = at->next) {
    const roost_outbound *outbound = ROOST_LIST_ENTRY(at, const roost_outbound, link);
    if (outbound->config->name != NULL)
      write_client(w, outbound);
  }
  close(w, "}");
}

/* ------------------------------------------------------------------------- all of it --------- */

static const char *state_of_worker(const roost_worker *worker) {
  switch (worker->state) {
  case ROOST_WORKER_RUNNING:
    return "running";
  case ROOST_WORKER_DRAINING:
  case ROOST_WORKER_DRAINED:
    return "draining";
  default:
    return "starting";
  }
}

static void write_store(writer *w, roost_store *store) {
  roost_store_stats stats;
  roost_store_read_stats(store, &stats);
  key(w, "store");
  open(w, "{");
  number(w, "keys", stats.keys);
  number(w, "bytes", stats.bytes);
  number(w, "limit", stats.limit_bytes);
  close(w, "}");
}

int roost_status_write(const roost_worker *worker, roost_buffer *out) {
  writer w = {.out = out};
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", ROOST_VERSION_MAJOR, ROOST_VERSION_MINOR,
           ROOST_VERSION_PATCH);
  open(&w, "{");
  text(&w, "version", version);
  text(&w, "state", state_of_worker(worker));
  key(&w, "servers");
  open(&w, "{");
  for (size_t i = 0; i < worker->server_count; i++)
    write_server(&w, worker->servers[i]);
  close(&w, "}");
  key(&w, "services");
  open(&w, "{");
  for (size_t i = 0; i < worker->dispatch->service_count; i++)
    write_service(&w, worker->dispatch->services[i]);
  close(&w, "}");
  write_clients(&w, worker->dispatch);
  write_store(&w, worker->config.store);
  close(&w, "}");
  return w.status;
}
