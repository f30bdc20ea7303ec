/*
 * service/stats.h - what a service is counted by: outcomes per route, latency, processor time.
 *
 * Start reading at roost_stats_count, which each call's end comes by, then roost_stats_settle.
 * Route: one registered pattern of a service, over all its generations.
 * Latency: from the turn of the loop in which a message came to the end of the one in which its
 * call ended, as it is then that replies are sent. Most calls end in the turn they came in; these
 * are counted, and their time is taken once for all of them, when the turn is settled.
 * Window: half a minute; the one before the current one counts as recent, too, older ones only in
 * the totals.
 * Processor time: between two samples, at least 10 ms apart, that of the worker's thread is shared
 * among services by how long their Lua ran, by the clock, which is read where the thread goes over
 * from one service to another, and at the end of the turn.
 * The worker's thread.
 */
#ifndef ROOST_SERVICE_STATS_H
#define ROOST_SERVICE_STATS_H

#include "core/buffer.h"
#include "core/clock.h"
#include "core/list.h"

typedef struct roost_dispatch roost_dispatch;
typedef struct roost_service roost_service;

typedef enum roost_outcome {
  ROOST_OUTCOME_OK,
  ROOST_OUTCOME_ERROR,   /* its handler raised, or answered with an error */
  ROOST_OUTCOME_TIMEOUT, /* out of time */
  ROOST_OUTCOME_CUT,     /* by a drain */
  ROOST_OUTCOMES
} roost_outcome;

typedef struct roost_route_stats {
  roost_list link;                   /* in its service's, or the dispatch's */
  roost_buffer route;                /* normalised pattern */
  bool registered[2];                /* as a message's, as an event's */
  uint64_t ended[2][ROOST_OUTCOMES]; /* calls: requests, events */
} roost_route_stats;

/* Microseconds by buckets: the first eight by one, then eight to each power of two. */
#define ROOST_LATENCY_PARTS   8
#define ROOST_LATENCY_MAX_US  ((UINT64_C(1) << 27) - 1) /* longer ones count as this */
#define ROOST_LATENCY_BUCKETS 200

typedef struct roost_latency {
  uint32_t recent[2][ROOST_LATENCY_BUCKETS]; /* of the current window, and the one before */
  uint64_t older[ROOST_LATENCY_BUCKETS];
  uint64_t sum_us; /* of all */
} roost_latency;

/* One service's. */
typedef struct roost_usage {
  roost_latency latency;
  uint32_t fresh;            /* calls that ended in this turn, in which they came */
  roost_service *next_fresh; /* of the services that have some */
  uint64_t run_us;           /* its Lua ran so long since the last sample */
  uint64_t cpu_us;           /* processor time until then */
} roost_usage;

/* One dispatch's. */
typedef struct roost_meter {
  roost_service *fresh;   /* the first that has fresh calls; NULL: none */
  uint64_t fresh_us;      /* when these came */
  roost_service *running; /* whose Lua ran last in this turn; NULL: nobody's */
  uint64_t since_us;      /* from when on */
  uint64_t sampled_us;    /* when processor time was shared last */
  uint64_t cpu_us;        /* the thread's, then */
  uint64_t window_us[2];  /* when the current window began, and the one before */
  uint64_t longest_us[2]; /* turn that ran Lua, of each */
} roost_meter;

/* The bucket of so many microseconds; the smallest number that is beyond a bucket. */
size_t roost_latency_bucket(uint64_t us);
uint64_t roost_latency_bound(size_t bucket);

void roost_meter_init(roost_meter *meter, const roost_clock *clock);

/* The counters of a route in a list, made where there are none yet. ENOMEM. */
int roost_route_stats_get(roost_route_stats **out, roost_list *routes, const roost_alloc *alloc,
                          roost_slice route);
void roost_route_stats_free_all(roost_list *routes);

/* A call has ended that came at started_us. service NULL: a C handler's. */
void roost_stats_count(roost_dispatch *dispatch, roost_service *service, uint64_t started_us);

/* For roost_runner.on_switch; ud is the dispatch. */
void roost_stats_switch(void *ud, void *owner);

/* The turn's work is done. */
void roost_stats_settle(roost_dispatch *dispatch);

/* Shares processor time and begins a new window where it is time, so that what is read next is of
 * now. */
void roost_stats_refresh(roost_dispatch *dispatch);

/* A service is going: nothing refers to it any more. */
void roost_stats_forget(roost_dispatch *dispatch, const roost_service *service);

#endif
