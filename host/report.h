/*
 * report.h - what a worker is doing, copied, so that other threads can read it at leisure.
 *
 * Start reading at roost_report_new. A report owns all it points at, and is constant once made: it
 * may be handed to another thread. Those of a host's workers are merged into one, from which status
 * and metrics are written.
 */
#ifndef ROOST_REPORT_H
#define ROOST_REPORT_H

#include "config/arena.h"
#include "worker.h"

typedef struct roost_report_server {
  const char *name;
  const char *transport;
  roost_address address; /* text empty: it has no listener, and has met no broker */
  const char *place;     /* of the broker it is to meet: a host's name or address; NULL: none */
  uint16_t place_port;
  bool tls;
  int64_t cert_expires; /* in seconds since 1970; 0: it has none */
  bool listening;
  roost_server_stats stats;
} roost_report_server;

typedef struct roost_report_route {
  roost_slice route;
  bool registered[2]; /* this and the next as roost_route_stats has them */
  uint64_t ended[2][ROOST_OUTCOMES];
} roost_report_route;

typedef struct roost_report_routes {
  roost_report_route *items;
  size_t count;
} roost_report_routes;

typedef struct roost_report_service {
  const char *name;
  const char *state;     /* "live", "failed", "starting", "stopping" */
  uint32_t generation;   /* 0: none could be loaded; then what is below about one is 0, too */
  uint64_t loaded_us;    /* since 1970 */
  size_t memory_bytes;   /* of its state */
  roost_slice *patterns; /* of its handlers, in order of registration */
  size_t pattern_count;
  uint32_t instances; /* live states */
  uint32_t draining;  /* retired generations that are still there */
  uint64_t reloads;
  uint64_t refusals;
  roost_service_stats stats;
  roost_latency latency;
  uint64_t cpu_us;
  roost_report_routes routes; /* of all its generations */
  roost_slice last_error;     /* empty: none */
  roost_slice refused;        /* empty: its last reload was not */
} roost_report_service;

typedef struct roost_report_client {
  const char *name;
  const char *transport;
  const char *host; /* NULL: it needs none */
  uint16_t port;
  bool connected;
  size_t pending;
  roost_outbound_stats stats;
} roost_report_client;

/* What one worker has of the sums. */
typedef struct roost_report_worker {
  unsigned number;
  bool stuck; /* it does not answer: the rest is what it said last */
  uint64_t connections;
  uint64_t requests;
  uint64_t events;
  uint64_t errors;
  uint64_t timeouts;
  uint64_t in_flight;
  uint64_t memory_bytes;    /* of its states */
  uint64_t longest_turn_us; /* of the recent ones that ran Lua */
} roost_report_worker;

typedef struct roost_report {
  roost_arena arena; /* holds all but this struct */
  roost_worker_state state;
  roost_report_server *servers;
  size_t server_count;
  roost_report_service *services;
  size_t service_count;
  /* Those that have a name: used ones first, then the others configured. */
  roost_report_client *clients;
  size_t client_count;
  roost_report_routes routes; /* of C handlers */
  uint64_t unhandled[2];      /* requests, events that nobody handles */
  uint64_t recent_us;         /* how long what latencies call recent has lasted */
  roost_store_stats store;
  roost_report_worker *workers; /* in order of their numbers */
  size_t worker_count;
} roost_report;

/* The worker's thread. ENOMEM. */
int roost_report_new(roost_report **out, roost_worker *worker);

/* The sum of the reports of all workers, the first one's first, which must be there; of the others
 * NULL is one that has not said anything yet. stuck: which of them do not answer. Its texts are
 * borrowed from them. Any thread. ENOMEM. */
int roost_report_merge(roost_report **out, const roost_alloc *alloc, roost_report *const *parts,
                       const bool *stuck, size_t count);

/* Any thread; NULL is allowed. */
void roost_report_free(roost_report *report);

/* NULL: there is none of that name. */
const roost_report_service *roost_report_find(const roost_report *report, roost_slice name);

/* Of the recent latencies: the milliseconds that this share (0 to 1) of them does not exceed, to a
 * sixteenth, 0 where there are none; and how many there were. */
double roost_report_quantile_ms(const roost_latency *latency, double share);
uint64_t roost_report_recent(const roost_latency *latency);

/* "127.0.0.1:3000", "[::1]:3000". */
#define ROOST_REPORT_ADDRESS_BYTES 320
void roost_report_address(char shown[ROOST_REPORT_ADDRESS_BYTES], const char *host, uint16_t port);

#endif
