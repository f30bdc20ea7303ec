#include "metrics.h"

#include <stdio.h>

#include "core/slice.h"
#include "wire/json.h"
#include "wire/utf8.h"

/* Bounds of the histogram that is shown: these powers of two, in microseconds. */
#define FIRST_POWER 6
#define LAST_POWER  25

/* A text being written; the first failure is kept. */
typedef struct writer {
  roost_buffer *out;
  const char *name; /* of the family at hand */
  int status;
  bool labelled; /* the sample has a label already */
} writer;

static void put_slice(writer *w, roost_slice text) {
  if (w->status == 0)
    w->status = roost_buffer_append_slice(w->out, text);
}

static void put(writer *w, const char *text) {
  put_slice(w, roost_slice_text(text));
}

static void put_number(writer *w, double value) {
  if (w->status == 0)
    w->status = roost_json_write_double(w->out, value);
}

/* ------------------------------------------------------------------------- the format -------- */

static void family(writer *w, const char *name, const char *type, const char *help) {
  w->name = name;
  put(w, "# HELP ");
  put(w, name);
  put(w, " ");
  put(w, help);
  put(w, "\n# TYPE ");
  put(w, name);
  put(w, " ");
  put(w, type);
  put(w, "\n");
}

static void begin(writer *w, const char *suffix) {
  put(w, w->name);
  put(w, suffix);
  w->labelled = false;
}

static void put_escaped(writer *w, roost_slice text) {
  for (size_t i = 0; i < text.len; i++) {
    const char byte = text.ptr[i];
    if (byte == '\n')
      put(w, "\\n");
    else if (byte == '"' || byte == '\\')
      put_slice(w, roost_slice_of(byte == '"' ? "\\\"" : "\\\\", 2));
    else
      put_slice(w, roost_slice_of(&byte, 1));
  }
}

/* Names may hold any bytes; what is not UTF-8 becomes U+FFFD. */
static void label(writer *w, const char *name, roost_slice value) {
  put(w, w->labelled ? "," : "{");
  w->labelled = true;
  put(w, name);
  put(w, "=\"");
  while (value.len > 0) {
    const size_t valid = roost_utf8_valid_prefix(value);
    put_escaped(w, roost_slice_of(value.ptr, valid));
    if (valid == value.len)
      break;
    put(w, "\xef\xbf\xbd");
    value = roost_slice_of(value.ptr + valid + 1, value.len - valid - 1);
  }
  put(w, "\"");
}

static void label_text(writer *w, const char *name, const char *value) {
  label(w, name, roost_slice_text(value));
}

static void end(writer *w, double value) {
  put(w, w->labelled ? "} " : " ");
  put_number(w, value);
  put(w, "\n");
}

/* A sample with one label. */
static void sample(writer *w, const char *name, const char *value, double number) {
  begin(w, "");
  label_text(w, name, value);
  end(w, number);
}

/* ------------------------------------------------------------------------- requests ---------- */

static void write_ended(writer *w, const char *service, roost_slice pattern, bool event,
                        const char *outcome, uint64_t count) {
  begin(w, "");
  label_text(w, "service", service);
  label(w, "pattern", pattern);
  label_text(w, "kind", event ? "event" : "message");
  label_text(w, "outcome", outcome);
  end(w, (double)count);
}

static void write_routes(writer *w, const char *service, const roost_report_routes *routes) {
  static const char *const outcomes[ROOST_OUTCOMES] = {[ROOST_OUTCOME_OK] = "ok",
                                                       [ROOST_OUTCOME_ERROR] = "error",
                                                       [ROOST_OUTCOME_TIMEOUT] = "timeout",
                                                       [ROOST_OUTCOME_CUT] = "cut"};
  for (size_t i = 0; i < routes->count; i++)
    for (int event = 0; event < 2; event++)
      for (int outcome = 0; outcome < ROOST_OUTCOMES; outcome++) {
        const roost_report_route *route = &routes->items[i];
        const uint64_t count = route->ended[event][outcome];
        if (count > 0 || (outcome == ROOST_OUTCOME_OK && route->registered[event]))
          write_ended(w, service, route->route, event, outcomes[outcome], count);
      }
}

static void write_requests(writer *w, const roost_report *report) {
  family(w, "roost_requests_total", "counter", "Messages and events whose handler has ended.");
  for (size_t i = 0; i < report->service_count; i++)
    write_routes(w, report->services[i].name, &report->services[i].routes);
  write_routes(w, "", &report->routes);
  for (int event = 0; event < 2; event++)
    write_ended(w, "", ROOST_SLICE("none"), event, "unhandled", report->unhandled[event]);
}

/* Up to each bound, then all. */
static void write_histogram(writer *w, const char *service, const roost_latency *latency) {
  char bound[32];
  size_t bucket = 0;
  uint64_t count = 0;
  for (unsigned power = FIRST_POWER; power <= LAST_POWER + 1; power++) {
    const bool is_last = power > LAST_POWER;
    const uint64_t below_us = is_last ? UINT64_MAX : UINT64_C(1) << power;
    while (bucket < ROOST_LATENCY_BUCKETS && roost_latency_bound(bucket) <= below_us) {
      count += (uint64_t)latency->recent[0][bucket] + latency->recent[1][bucket];
      count += latency->older[bucket++];
    }
    begin(w, "_bucket");
    label_text(w, "service", service);
    snprintf(bound, sizeof bound, "%.6f", (double)below_us / 1e6);
    label_text(w, "le", is_last ? "+Inf" : bound);
    end(w, (double)count);
  }
  begin(w, "_sum");
  label_text(w, "service", service);
  end(w, (double)latency->sum_us / 1e6);
  begin(w, "_count");
  label_text(w, "service", service);
  end(w, (double)count);
}

static void write_latencies(writer *w, const roost_report *report) {
  family(w, "roost_request_seconds", "histogram",
         "From the arrival of a message to the end of its handler.");
  for (size_t i = 0; i < report->service_count; i++)
    write_histogram(w, report->services[i].name, &report->services[i].latency);
}

/* ------------------------------------------------------------------------- services ---------- */

typedef double service_value(const roost_report_service *service);

static double in_flight_of(const roost_report_service *service) {
  return (double)service->stats.in_flight;
}

static double generation_of(const roost_report_service *service) {
  return service->generation;
}

static double draining_of(const roost_report_service *service) {
  return service->draining;
}

static double memory_of(const roost_report_service *service) {
  return (double)service->memory_bytes;
}

static double cpu_of(const roost_report_service *service) {
  return (double)service->cpu_us / 1e6;
}

static void write_services(writer *w, const roost_report *report) {
  static const struct {
    const char *name;
    const char *type;
    const char *help;
    service_value *of;
  } families[] = {
      {"roost_in_flight", "gauge", "Calls that have begun and not ended.", in_flight_of},
      {"roost_generation", "gauge", "Version of the service that is loaded; 0: none.",
       generation_of},
      {"roost_generations_draining", "gauge", "Retired versions with work left.", draining_of},
      {"roost_service_memory_bytes", "gauge", "Memory of the service's Lua state.", memory_of},
      {"roost_service_cpu_seconds_total", "counter",
       "Processor time of the worker, shared by how long each service's Lua ran.", cpu_of}};
  for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
    family(w, families[i].name, families[i].type, families[i].help);
    for (size_t j = 0; j < report->service_count; j++)
      sample(w, "service", report->services[j].name, families[i].of(&report->services[j]));
  }
}

static void write_reloads(writer *w, const roost_report *report) {
  family(w, "roost_reloads_total", "counter", "Reloads of a service.");
  for (size_t i = 0; i < report->service_count; i++)
    for (int refused = 0; refused < 2; refused++) {
      const roost_report_service *service = &report->services[i];
      begin(w, "");
      label_text(w, "service", service->name);
      label_text(w, "outcome", refused ? "refused" : "ok");
      end(w, (double)(refused ? service->refusals : service->reloads));
    }
}

/* ------------------------------------------------------------------------- servers ----------- */

static void write_bytes(writer *w, const roost_report_server *server) {
  for (int out = 0; out < 2; out++) {
    begin(w, "");
    label_text(w, "server", server->name);
    label_text(w, "direction", out ? "out" : "in");
    end(w, (double)(out ? server->stats.bytes.bytes_out : server->stats.bytes.bytes_in));
  }
}

static void write_servers(writer *w, const roost_report *report) {
  family(w, "roost_connections", "gauge", "Open connections.");
  for (size_t i = 0; i < report->server_count; i++)
    sample(w, "server", report->servers[i].name, (double)report->servers[i].stats.connections);
  family(w, "roost_bytes_total", "counter", "Bytes read and written.");
  for (size_t i = 0; i < report->server_count; i++)
    write_bytes(w, &report->servers[i]);
  family(w, "roost_tls_expiry_timestamp_seconds", "gauge", "When the certificate expires.");
  for (size_t i = 0; i < report->server_count; i++) {
    const int64_t expires = report->servers[i].cert_expires;
    if (expires > 0)
      sample(w, "server", report->servers[i].name, (double)expires);
  }
}

/* ------------------------------------------------------------------------- clients ----------- */

static void write_client(writer *w, const roost_report_client *client) {
  const roost_outbound_stats *stats = &client->stats;
  const uint64_t errors = stats->errors > stats->timeouts ? stats->errors - stats->timeouts : 0;
  const struct {
    const char *outcome;
    uint64_t count;
  } outcomes[] = {{"ok", stats->answered}, {"error", errors}, {"timeout", stats->timeouts}};
  for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
    begin(w, "");
    label_text(w, "client", client->name);
    label_text(w, "outcome", outcomes[i].outcome);
    end(w, (double)outcomes[i].count);
  }
}

static void write_clients(writer *w, const roost_report *report) {
  family(w, "roost_client_requests_total", "counter", "Calls to other services that are over.");
  for (size_t i = 0; i < report->client_count; i++)
    write_client(w, &report->clients[i]);
  family(w, "roost_client_late_replies_total", "counter", "Replies nobody waited for any more.");
  for (size_t i = 0; i < report->client_count; i++)
    sample(w, "client", report->clients[i].name, (double)report->clients[i].stats.late);
  family(w, "roost_client_up", "gauge", "Whether the client is connected.");
  for (size_t i = 0; i < report->client_count; i++)
    sample(w, "client", report->clients[i].name, report->clients[i].connected);
}

/* ------------------------------------------------------------------------- the host ---------- */

static void worker_sample(writer *w, const roost_report_worker *worker, double value) {
  char number[16];
  snprintf(number, sizeof number, "%u", worker->number);
  sample(w, "worker", number, value);
}

static void write_each_worker(writer *w, const roost_report_worker *workers, size_t count) {
  family(w, "roost_loop_lag_seconds", "gauge", "Longest turn of the loop in the last minute.");
  for (size_t i = 0; i < count; i++)
    worker_sample(w, &workers[i], (double)workers[i].longest_turn_us / 1e6);
  family(w, "roost_worker_stuck", "gauge",
         "Whether the worker does not answer; what else is said of it is then of an earlier time.");
  for (size_t i = 0; i < count; i++)
    worker_sample(w, &workers[i], workers[i].stuck);
  family(w, "roost_worker_connections", "gauge", "Open connections of the worker.");
  for (size_t i = 0; i < count; i++)
    worker_sample(w, &workers[i], (double)workers[i].connections);
  family(w, "roost_worker_requests_total", "counter", "Messages and events that came to it.");
  for (size_t i = 0; i < count; i++)
    worker_sample(w, &workers[i], (double)(workers[i].requests + workers[i].events));
}

/* Where none has said anything yet, the first one may be stuck all the same. */
static void write_workers(writer *w, const roost_report *report, const roost_status_facts *facts) {
  const roost_report_worker first = {.stuck = facts->stuck};
  if (report->worker_count == 0)
    write_each_worker(w, &first, 1);
  else
    write_each_worker(w, report->workers, report->worker_count);
}

static void write_host(writer *w, const roost_report *report) {
  char version[32];
  family(w, "roost_store_bytes", "gauge", "What roost.store holds.");
  begin(w, "");
  end(w, (double)report->store.bytes);
  snprintf(version, sizeof version, "%d.%d.%d", ROOST_VERSION_MAJOR, ROOST_VERSION_MINOR,
           ROOST_VERSION_PATCH);
  family(w, "roost_build_info", "gauge", "The version, as a label.");
  sample(w, "version", version, 1);
}

int roost_metrics_write(roost_buffer *out, const roost_report *report,
                        const roost_status_facts *facts) {
  static const roost_report none = {.state = ROOST_WORKER_STARTING};
  writer w = {.out = out};
  if (report == NULL)
    report = &none;
  write_requests(&w, report);
  write_latencies(&w, report);
  write_services(&w, report);
  write_reloads(&w, report);
  write_servers(&w, report);
  write_clients(&w, report);
  write_workers(&w, report, facts);
  write_host(&w, report);
  return w.status;
}
