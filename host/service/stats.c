#include "service/stats.h"

#include "core/slice.h"
#include "service/dispatch.h"

#define PART_BITS 3
#define SAMPLE_US 10000
#define WINDOW_US 30000000

/* ------------------------------------------------------------------------- latency ----------- */

size_t roost_latency_bucket(uint64_t us) {
  if (us < ROOST_LATENCY_PARTS)
    return us;
  if (us > ROOST_LATENCY_MAX_US)
    us = ROOST_LATENCY_MAX_US;
  const unsigned shift = 63u - PART_BITS - (unsigned)__builtin_clzll(us);
  return (size_t)shift * ROOST_LATENCY_PARTS + (us >> shift);
}

uint64_t roost_latency_bound(size_t bucket) {
  if (bucket < 2 * (size_t)ROOST_LATENCY_PARTS)
    return bucket + 1;
  const size_t shift = bucket / ROOST_LATENCY_PARTS - 1;
  return (bucket - shift * ROOST_LATENCY_PARTS + 1) << shift;
}

static void record(roost_latency *latency, uint64_t us, uint32_t count) {
  latency->recent[0][roost_latency_bucket(us)] += count;
  latency->sum_us += us * count;
}

/* The current window becomes the one before. */
static void begin_window(roost_latency *latency) {
  for (size_t i = 0; i < ROOST_LATENCY_BUCKETS; i++)
    latency->older[i] += latency->recent[1][i];
  memcpy(latency->recent[1], latency->recent[0], sizeof latency->recent[0]);
  memset(latency->recent[0], 0, sizeof latency->recent[0]);
}

static void begin_windows(roost_dispatch *dispatch, uint64_t now_us) {
  roost_meter *meter = &dispatch->meter;
  for (size_t i = 0; i < dispatch->service_count; i++)
    begin_window(&dispatch->services[i]->usage.latency);
  meter->window_us[1] = meter->window_us[0];
  meter->window_us[0] = now_us;
  meter->longest_us[1] = meter->longest_us[0];
  meter->longest_us[0] = 0;
}

static void turn_windows(roost_dispatch *dispatch, uint64_t now_us) {
  roost_meter *meter = &dispatch->meter;
  const uint64_t age_us = now_us - meter->window_us[0];
  if (age_us < WINDOW_US)
    return;
  if (age_us >= 2 * WINDOW_US) /* nothing is recent but what nobody was there for */
    begin_windows(dispatch, now_us);
  begin_windows(dispatch, now_us);
}

/* ------------------------------------------------------------------------- routes ------------ */

int roost_route_stats_get(roost_route_stats **out, roost_list *routes, const roost_alloc *alloc,
                          roost_slice route) {
  for (roost_list *at = routes->next; at != routes; at = at->next) {
    *out = ROOST_LIST_ENTRY(at, roost_route_stats, link);
    if (roost_slice_equal(roost_buffer_slice(&(*out)->route), route))
      return 0;
  }
  roost_route_stats *stats = roost_alloc_get(alloc, sizeof *stats);
  *out = stats;
  if (stats == NULL)
    return ROOST_ENOMEM;
  roost_buffer_init(&stats->route, alloc);
  const int status = roost_buffer_append_slice(&stats->route, route);
  if (status == 0) {
    roost_list_append(routes, &stats->link);
    return 0;
  }
  roost_alloc_put(alloc, stats, sizeof *stats);
  *out = NULL;
  return status;
}

void roost_route_stats_free_all(roost_list *routes) {
  while (!roost_list_empty(routes)) {
    roost_route_stats *stats = ROOST_LIST_ENTRY(routes->next, roost_route_stats, link);
    const roost_alloc *alloc = stats->route.alloc;
    roost_list_remove(&stats->link);
    roost_buffer_deinit(&stats->route);
    roost_alloc_put(alloc, stats, sizeof *stats);
  }
}

/* ------------------------------------------------------------------------- processor time ---- */

static uint64_t clock_us(const roost_dispatch *dispatch) {
  return roost_clock_now_us(dispatch->config.clock);
}

static void charge(roost_meter *meter, uint64_t now_us) {
  if (meter->running != NULL)
    meter->running->usage.run_us += now_us - meter->since_us;
}

/* The first to run is charged from the turn's begin on: reading its message was for it, too. */
void roost_stats_switch(void *ud, void *owner) {
  roost_dispatch *dispatch = ud;
  roost_meter *meter = &dispatch->meter;
  const roost_generation *generation = owner;
  const uint64_t now_us = meter->running != NULL ? clock_us(dispatch) : *dispatch->config.now_us;
  charge(meter, now_us);
  meter->running = generation != NULL ? generation->service : NULL;
  meter->since_us = now_us;
}

/* An embedder may poll by another thread than before: what that used is bounded by the clock. */
static uint64_t take_cpu(roost_meter *meter, uint64_t now_us) {
  const uint64_t cpu_us = roost_clock_thread_us();
  const uint64_t wall_us = now_us - meter->sampled_us;
  const uint64_t used_us = cpu_us > meter->cpu_us ? cpu_us - meter->cpu_us : 0;
  meter->sampled_us = now_us;
  meter->cpu_us = cpu_us;
  return used_us < wall_us ? used_us : wall_us;
}

static void share_cpu(roost_dispatch *dispatch, uint64_t now_us) {
  const uint64_t used_us = take_cpu(&dispatch->meter, now_us);
  uint64_t total_us = 0;
  for (size_t i = 0; i < dispatch->service_count; i++)
    total_us += dispatch->services[i]->usage.run_us;
  for (size_t i = 0; i < dispatch->service_count && total_us > 0; i++) {
    roost_usage *usage = &dispatch->services[i]->usage;
    usage->cpu_us += (uint64_t)((double)used_us * (double)usage->run_us / (double)total_us);
    usage->run_us = 0;
  }
}

void roost_meter_init(roost_meter *meter, const roost_clock *clock) {
  const uint64_t now_us = roost_clock_now_us(clock);
  *meter = (roost_meter){
      .sampled_us = now_us, .cpu_us = roost_clock_thread_us(), .window_us = {now_us, now_us}};
}

/* ------------------------------------------------------------------------- calls ------------- */

static void settle_fresh(roost_meter *meter, uint64_t now_us) {
  while (meter->fresh != NULL) {
    roost_usage *usage = &meter->fresh->usage;
    record(&usage->latency, now_us - meter->fresh_us, usage->fresh);
    usage->fresh = 0;
    meter->fresh = usage->next_fresh;
  }
}

void roost_stats_count(roost_dispatch *dispatch, roost_service *service, uint64_t started_us) {
  if (service == NULL)
    return;
  roost_usage *usage = &service->usage;
  const uint64_t now_us = *dispatch->config.now_us;
  if (started_us != now_us) {
    record(&usage->latency, now_us - started_us, 1);
    return;
  }
  if (usage->fresh++ > 0)
    return;
  dispatch->meter.fresh_us = now_us;
  usage->next_fresh = dispatch->meter.fresh;
  dispatch->meter.fresh = service;
}

void roost_stats_settle(roost_dispatch *dispatch) {
  roost_meter *meter = &dispatch->meter;
  if (meter->running == NULL && meter->fresh == NULL)
    return;
  const uint64_t now_us = clock_us(dispatch);
  const uint64_t turn_us = now_us - *dispatch->config.now_us;
  charge(meter, now_us);
  meter->running = NULL;
  dispatch->config.runner->last = NULL;
  settle_fresh(meter, now_us);
  if (turn_us > meter->longest_us[0])
    meter->longest_us[0] = turn_us;
  if (now_us - meter->sampled_us >= SAMPLE_US)
    share_cpu(dispatch, now_us);
  turn_windows(dispatch, now_us);
}

void roost_stats_refresh(roost_dispatch *dispatch) {
  const uint64_t now_us = clock_us(dispatch);
  roost_stats_settle(dispatch);
  share_cpu(dispatch, now_us);
  turn_windows(dispatch, now_us);
}

void roost_stats_forget(roost_dispatch *dispatch, const roost_service *service) {
  roost_meter *meter = &dispatch->meter;
  roost_service **at = &meter->fresh;
  while (*at != NULL && *at != service)
    at = &(*at)->usage.next_fresh;
  if (*at != NULL)
    *at = service->usage.next_fresh;
  if (meter->running == service) {
    meter->running = NULL;
    dispatch->config.runner->last = NULL;
  }
}
