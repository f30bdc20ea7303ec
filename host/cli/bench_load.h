/*
 * cli/bench_load.h - the load generator: connections that send one request over and over.
 *
 * Start reading at roost_bench_load_run. Closed loop: each connection has so many requests in
 * flight and sends the next when one was answered. Paced: requests are due at a fixed rate, and
 * their latency counts from when they were due, so that a server that stalls does not hide it by
 * delaying what is sent (coordinated omission); late ones are caught up with.
 * Blocks until it is over. The structs are the caller's. Linux; one thread.
 */
#ifndef ROOST_CLI_BENCH_LOAD_H
#define ROOST_CLI_BENCH_LOAD_H

#include "cli/args.h"
#include "cli/bench_check.h"
#include "cli/histogram.h"
#include "net/tls.h"

typedef struct roost_bench_load_config {
  const roost_alloc *alloc;
  const roost_url *url;   /* borrowed, as the next */
  roost_tls_context *tls; /* NULL: none */
  size_t connections;
  size_t in_flight; /* at most, per connection */
  double rate;      /* requests per second; 0: closed loop */
  uint64_t warmup_ns;
  uint64_t measure_ns;
  uint64_t timeout_ns; /* to connect, and for answers */
  roost_slice pattern; /* JSON text */
  roost_slice data;    /* JSON text */
} roost_bench_load_config;

typedef enum roost_bench_end {
  ROOST_BENCH_DONE,
  ROOST_BENCH_INTERRUPTED,   /* by SIGINT or SIGTERM */
  ROOST_BENCH_NO_CONNECTION, /* could not connect */
  ROOST_BENCH_NO_ANSWER,     /* nothing came for the time-out */
  ROOST_BENCH_LOST,          /* a connection ended, or what came is no Nest wire */
  ROOST_BENCH_TOO_SLOW,      /* paced: requests were late by more than the time-out */
  ROOST_BENCH_FAILED         /* on this side: memory, descriptors */
} roost_bench_end;

/* All but the end counts what was due after the warm-up. */
typedef struct roost_bench_result {
  roost_bench_end end;
  char why[256];       /* where the end is not DONE or INTERRUPTED */
  uint64_t requests;   /* answered, in any way */
  uint64_t errors;     /* of them, with an error */
  uint64_t wrong;      /* of them, with wrong values */
  uint64_t unanswered; /* sent and not answered in time; 0 where it ended early */
  uint64_t bytes_in;
  uint64_t bytes_out;
  double seconds;     /* how long that took */
  double cpu_seconds; /* that this thread ran meanwhile */
  roost_histogram latency_ns;
} roost_bench_result;

/* Runs the load; every answer is checked, and what is wrong with some is noted in check. */
void roost_bench_load_run(roost_bench_result *result, const roost_bench_load_config *config,
                          roost_bench_check *check);

#endif
