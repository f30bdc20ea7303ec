#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

static void open_with(writer *w, const char *bracket) {
  put(w, bracket);
  w->follows = false;
}

static void close_with(writer *w, const char *bracket) {
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

/* Milliseconds, or a rate: to three digits behind the point. */
static void decimal(writer *w, const char *name, double value) {
  key(w, name);
  if (w->status == 0)
    w->status = roost_json_write_double(w->out, (double)(uint64_t)(value * 1000 + 0.5) / 1000);
}

static void boolean(writer *w, const char *name, bool value) {
  key(w, name);
  put(w, value ? "true" : "false");
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

/* 0: it is not known. */
static void moment(writer *w, const char *name, int64_t wall_s) {
  char shown[32];
  const time_t seconds = (time_t)wall_s;
  struct tm utc;
  if (wall_s == 0) {
    any_text(w, name, (roost_slice){NULL, 0});
    return;
  }
  gmtime_r(&seconds, &utc);
  strftime(shown, sizeof shown, "%Y-%m-%dT%H:%M:%SZ", &utc);
  text(w, name, shown);
}

/* ------------------------------------------------------------------------- servers ----------- */

static void write_server(writer *w, const roost_report_server *server) {
  char address[ROOST_REPORT_ADDRESS_BYTES];
  if (server->address.text[0] == '\0' && server->place != NULL)
    roost_report_address(address, server->place, server->place_port);
  else
    roost_report_address(address, server->address.text[0] ? server->address.text : "memory",
                         server->address.port);
  key(w, server->name);
  open_with(w, "{");
  text(w, "transport", server->transport);
  text(w, "address", address);
  boolean(w, "tls", server->tls);
  moment(w, "cert_expires", server->cert_expires);
  text(w, "status", server->listening ? "connected" : "disconnected");
  number(w, "connections", server->stats.connections);
  number(w, "accepted", server->stats.accepted);
  number(w, "denied", server->stats.denied);
  number(w, "bytes_in", server->stats.bytes.bytes_in);
  number(w, "bytes_out", server->stats.bytes.bytes_out);
  close_with(w, "}");
}

/* ------------------------------------------------------------------------- services ---------- */

static void write_patterns(writer *w, const roost_report_service *service) {
  key(w, "patterns");
  open_with(w, "[");
  for (size_t i = 0; i < service->pattern_count; i++) {
    separate(w);
    put_text(w, service->patterns[i]);
  }
  close_with(w, "]");
}

static void write_rates(writer *w, const roost_report *report, const roost_latency *latency) {
  const double seconds = (double)report->recent_us / 1e6;
  const double count = (double)roost_report_recent(latency);
  decimal(w, "per_second", seconds > 0 ? count / seconds : 0);
  decimal(w, "p50_ms", roost_report_quantile_ms(latency, 0.5));
  decimal(w, "p99_ms", roost_report_quantile_ms(latency, 0.99));
}

static void write_members(writer *w, const roost_report *report,
                          const roost_report_service *service) {
  text(w, "state", service->state);
  number(w, "generation", service->generation);
  number(w, "draining", service->draining);
  number(w, "instances", service->instances);
  moment(w, "loaded", (int64_t)(service->loaded_us / 1000000));
  write_patterns(w, service);
  number(w, "memory_bytes", service->memory_bytes);
  number(w, "in_flight", service->stats.in_flight);
  number(w, "requests", service->stats.requests);
  number(w, "events", service->stats.events);
  number(w, "errors", service->stats.errors);
  number(w, "timeouts", service->stats.timeouts);
  write_rates(w, report, &service->latency);
  number(w, "cpu_ms", service->cpu_us / 1000);
  any_text(w, "last_error", service->last_error);
  any_text(w, "refused", service->refused);
}

int roost_status_write_service(roost_buffer *out, const roost_report *report,
                               const roost_report_service *service) {
  writer w = {.out = out};
  open_with(&w, "{");
  text(&w, "name", service->name);
  write_members(&w, report, service);
  close_with(&w, "}");
  return w.status;
}

/* ------------------------------------------------------------------------- clients ----------- */

static void write_client(writer *w, const roost_report_client *client) {
  key(w, client->name);
  open_with(w, "{");
  text(w, "transport", client->transport);
  if (client->host != NULL) {
    char address[ROOST_REPORT_ADDRESS_BYTES];
    roost_report_address(address, client->host, client->port);
    text(w, "address", address);
  }
  text(w, "status", client->connected ? "connected" : "disconnected");
  number(w, "pending", client->pending);
  number(w, "requests", client->stats.requests);
  number(w, "errors", client->stats.errors);
  number(w, "timeouts", client->stats.timeouts);
  number(w, "reconnects", client->stats.reconnects);
  number(w, "late", client->stats.late);
  close_with(w, "}");
}

/* ------------------------------------------------------------------------- all of it --------- */

const char *roost_status_state(const roost_report *report) {
  if (report == NULL)
    return "starting";
  switch (report->state) {
  case ROOST_WORKER_RUNNING:
    return "running";
  case ROOST_WORKER_DRAINING:
  case ROOST_WORKER_DRAINED:
    return "draining";
  default:
    return "starting";
  }
}

uint64_t roost_status_memory_bytes(void) {
  char line[256]; /* all pages, then the resident ones */
  FILE *file = fopen("/proc/self/statm", "re");
  if (file == NULL)
    return 0;
  const char *resident = fgets(line, sizeof line, file) != NULL ? strchr(line, ' ') : NULL;
  fclose(file);
  const uint64_t pages = resident != NULL ? strtoull(resident, NULL, 10) : 0;
  return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_host(writer *w, const roost_report *report, const roost_status_facts *facts) {
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", ROOST_VERSION_MAJOR, ROOST_VERSION_MINOR,
           ROOST_VERSION_PATCH);
  text(w, "version", version);
  number(w, "pid", (uint64_t)getpid());
  text(w, "state", roost_status_state(report));
  boolean(w, "stuck", facts->stuck);
  number(w, "uptime_ms", facts->uptime_ms);
  number(w, "workers", facts->workers);
  number(w, "memory_bytes", roost_status_memory_bytes());
  any_text(w, "config", roost_slice_text(facts->config));
}

static void write_workers(writer *w, const roost_report *report) {
  char name[16];
  key(w, "per_worker");
  open_with(w, "{");
  for (size_t i = 0; i < report->worker_count; i++) {
    const roost_report_worker *worker = &report->workers[i];
    snprintf(name, sizeof name, "%u", worker->number);
    key(w, name);
    open_with(w, "{");
    boolean(w, "stuck", worker->stuck);
    number(w, "connections", worker->connections);
    number(w, "in_flight", worker->in_flight);
    number(w, "requests", worker->requests);
    number(w, "events", worker->events);
    number(w, "errors", worker->errors);
    number(w, "timeouts", worker->timeouts);
    number(w, "memory_bytes", worker->memory_bytes);
    decimal(w, "longest_turn_ms", (double)worker->longest_turn_us / 1000);
    close_with(w, "}");
  }
  close_with(w, "}");
}

static void write_store(writer *w, const roost_store_stats *stats) {
  key(w, "store");
  open_with(w, "{");
  number(w, "keys", stats->keys);
  number(w, "bytes", stats->bytes);
  number(w, "limit", stats->limit_bytes);
  close_with(w, "}");
}

int roost_status_write(roost_buffer *out, const roost_report *report,
                       const roost_status_facts *facts) {
  static const roost_report none = {.state = ROOST_WORKER_STARTING};
  writer w = {.out = out};
  if (report == NULL)
    report = &none;
  open_with(&w, "{");
  write_host(&w, report, facts);
  write_workers(&w, report);
  key(&w, "servers");
  open_with(&w, "{");
  for (size_t i = 0; i < report->server_count; i++)
    write_server(&w, &report->servers[i]);
  close_with(&w, "}");
  key(&w, "services");
  open_with(&w, "{");
  for (size_t i = 0; i < report->service_count; i++) {
    key(&w, report->services[i].name);
    open_with(&w, "{");
    write_members(&w, report, &report->services[i]);
    close_with(&w, "}");
  }
  close_with(&w, "}");
  key(&w, "clients");
  open_with(&w, "{");
  for (size_t i = 0; i < report->client_count; i++)
    write_client(&w, &report->clients[i]);
  close_with(&w, "}");
  write_store(&w, &report->store);
  close_with(&w, "}");
  return w.status;
}
