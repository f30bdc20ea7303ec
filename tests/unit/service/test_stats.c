#include "service_test.h"

/* The counters of "SERVICE ROUTE", a request's or an event's. */
static uint64_t ended(const roost_list *routes, const char *route, bool event,
                      roost_outcome outcome) {
  for (const roost_list *at = routes->next; at != routes; at = at->next) {
    const roost_route_stats *stats = ROOST_LIST_ENTRY(at, const roost_route_stats, link);
    if (roost_slice_equal(roost_buffer_slice(&stats->route), roost_slice_text(route)))
      return stats->ended[event][outcome];
  }
  fail();
  return 0;
}

static uint64_t recorded(const roost_latency *latency, uint64_t us) {
  const size_t bucket = roost_latency_bucket(us);
  return latency->recent[0][bucket] + latency->recent[1][bucket] + latency->older[bucket];
}

static void each_number_is_in_the_bucket_that_bounds_it(void **state) {
  (void)state;
  size_t before = 0;
  for (uint64_t us = 0; us <= ROOST_LATENCY_MAX_US + 5; us += 1 + us / 50) {
    const size_t bucket = roost_latency_bucket(us);
    assert_true(bucket < ROOST_LATENCY_BUCKETS);
    assert_true(bucket == before || bucket == before + 1 || us > 300);
    assert_true(bucket >= before);
    before = bucket;
    if (us > ROOST_LATENCY_MAX_US)
      continue;
    assert_true(us < roost_latency_bound(bucket));
    assert_true(bucket == 0 || us >= roost_latency_bound(bucket - 1));
    assert_true(roost_latency_bound(bucket) - us <= 1 + us / ROOST_LATENCY_PARTS);
  }
  assert_int_equal(roost_latency_bucket(ROOST_LATENCY_MAX_US), ROOST_LATENCY_BUCKETS - 1);
  assert_int_equal(roost_latency_bucket(UINT64_MAX), ROOST_LATENCY_BUCKETS - 1);
}

static void every_power_of_two_is_a_bound(void **state) {
  (void)state;
  for (unsigned power = 0; power <= 27; power++) {
    size_t bucket = 0;
    while (bucket < ROOST_LATENCY_BUCKETS && roost_latency_bound(bucket) < UINT64_C(1) << power)
      bucket++;
    assert_int_equal(roost_latency_bound(bucket), UINT64_C(1) << power);
  }
}

static void outcomes_are_counted_by_route(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "s",
                    "service:message('ok', function() return 1 end)"
                    "service:message('bad', function() error('boom') end)"
                    "service:message('told', function() error(roost.rpc_error('no')) end)"
                    "service:message('slow', { timeout = 5 }, function() roost.sleep(100) end)"
                    "service:event('seen', function() end)");
  service_test_go(&self);
  const roost_list *routes = &self.dispatch->services[0]->routes;
  for (int i = 0; i < 2; i++) {
    service_test_send(&self, &self.peer, "\"ok\"", "null", "\"1\"");
    service_test_send(&self, &self.peer, "\"bad\"", "null", "\"1\"");
  }
  service_test_send(&self, &self.peer, "\"told\"", "null", "\"1\"");
  service_test_send(&self, &self.peer, "\"seen\"", "null", NULL);
  service_test_send(&self, &self.peer, "\"ok\"", "null", NULL);
  service_test_send(&self, &self.peer, "\"none\"", "null", NULL);
  service_test_send(&self, &self.peer, "\"none\"", "null", "\"1\"");
  service_test_send(&self, &self.peer, "\"slow\"", "null", "\"1\"");
  assert_int_equal(ended(routes, "slow", false, ROOST_OUTCOME_TIMEOUT), 0);
  service_test_advance(&self, 10);
  assert_int_equal(ended(routes, "ok", false, ROOST_OUTCOME_OK), 2);
  assert_int_equal(ended(routes, "ok", true, ROOST_OUTCOME_OK), 1);
  assert_int_equal(ended(routes, "bad", false, ROOST_OUTCOME_ERROR), 2);
  assert_int_equal(ended(routes, "told", false, ROOST_OUTCOME_ERROR), 1);
  assert_int_equal(ended(routes, "seen", true, ROOST_OUTCOME_OK), 1);
  assert_int_equal(ended(routes, "slow", false, ROOST_OUTCOME_TIMEOUT), 1);
  assert_int_equal(ended(routes, "slow", false, ROOST_OUTCOME_ERROR), 0);
  assert_int_equal(self.dispatch->stats.unhandled, 2);
  assert_int_equal(self.dispatch->stats.unhandled_events, 1);
  service_test_deinit(&self);
}

static void a_drain_that_cuts_is_an_outcome_of_its_own(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "s", "service:message('slow', function() roost.sleep(100) end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"slow\"", "null", "\"1\"");
  roost_dispatch_cut(self.dispatch, NULL);
  service_test_turn(&self);
  service_test_advance(&self, 5);
  assert_int_equal(ended(&self.dispatch->services[0]->routes, "slow", false, ROOST_OUTCOME_CUT), 1);
  service_test_deinit(&self);
}

static void answer(void *ud, roost_call *call) {
  (void)ud;
  roost_call_reply(call, ROOST_SLICE("1"));
}

static void c_handlers_are_counted_too(void **state) {
  (void)state;
  service_test self;
  const char *why;
  service_test_init(&self);
  assert_int_equal(
      roost_dispatch_add_handler(self.dispatch, ROOST_SLICE("\"c\""), answer, NULL, &why), 0);
  service_test_send(&self, &self.peer, "\"c\"", "null", "\"1\"");
  assert_int_equal(ended(&self.dispatch->routes, "c", false, ROOST_OUTCOME_OK), 1);
  service_test_deinit(&self);
}

/* The turn began when the fake clock stood; what the handler waits passes by the same clock. */
static void latency_is_from_the_turn_to_the_end(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "s",
                    "service:message('ok', function() return 1 end)"
                    "service:message('slow', function() roost.sleep(50) end)");
  service_test_go(&self);
  const roost_usage *usage = &self.dispatch->services[0]->usage;
  service_test_send(&self, &self.peer, "\"ok\"", "null", "\"1\"");
  service_test_send(&self, &self.peer, "\"ok\"", "null", "\"1\"");
  assert_int_equal(usage->fresh, 2);
  roost_stats_settle(self.dispatch);
  assert_int_equal(usage->fresh, 0);
  assert_int_equal(recorded(&usage->latency, 0), 2);
  service_test_send(&self, &self.peer, "\"slow\"", "null", "\"1\"");
  service_test_advance(&self, 60);
  assert_int_equal(recorded(&usage->latency, 50000), 1);
  assert_int_equal(usage->latency.sum_us, 50000);
  service_test_deinit(&self);
}

static void the_recent_past_is_a_minute_at_most(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "s", "service:message('ok', function() return 1 end)");
  service_test_go(&self);
  const roost_latency *latency = &self.dispatch->services[0]->usage.latency;
  service_test_send(&self, &self.peer, "\"ok\"", "null", "\"1\"");
  roost_stats_settle(self.dispatch);
  roost_clock_advance_ms(&self.clock, 29000);
  roost_stats_refresh(self.dispatch);
  assert_int_equal(latency->recent[0][0], 1);
  roost_clock_advance_ms(&self.clock, 2000);
  roost_stats_refresh(self.dispatch);
  assert_int_equal(latency->recent[0][0], 0);
  assert_int_equal(latency->recent[1][0], 1);
  assert_int_equal(self.dispatch->meter.window_us[0], self.clock.now_us);
  roost_clock_advance_ms(&self.clock, 90000);
  roost_stats_refresh(self.dispatch);
  assert_int_equal(latency->recent[1][0], 0);
  assert_int_equal(latency->older[0], 1);
  service_test_deinit(&self);
}

/* Each service's Lua moves the clock: what the thread used is shared by that. */
static void processor_time_is_shared_by_how_long_lua_ran(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a", "service:message('a', function() return 1 end)");
  service_test_load(&self, "b", "service:message('b', function() return 1 end)");
  service_test_go(&self);
  roost_service *const *services = self.dispatch->services;
  roost_stats_switch(self.dispatch, services[0]->current);
  self.clock.now_us += 3000;
  roost_stats_switch(self.dispatch, services[1]->current);
  self.clock.now_us += 1000;
  roost_stats_switch(self.dispatch, NULL);
  assert_int_equal(services[0]->usage.run_us, 3000);
  assert_int_equal(services[1]->usage.run_us, 1000);
  self.dispatch->meter.cpu_us = 0; /* since then the test has used more than 8 us */
  self.dispatch->meter.sampled_us = self.clock.now_us - 8;
  roost_stats_refresh(self.dispatch);
  assert_int_equal(services[0]->usage.cpu_us, 6);
  assert_int_equal(services[1]->usage.cpu_us, 2);
  assert_int_equal(services[1]->usage.run_us, 0);
  service_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_number_is_in_the_bucket_that_bounds_it),
      cmocka_unit_test(every_power_of_two_is_a_bound),
      cmocka_unit_test(outcomes_are_counted_by_route),
      cmocka_unit_test(a_drain_that_cuts_is_an_outcome_of_its_own),
      cmocka_unit_test(c_handlers_are_counted_too),
      cmocka_unit_test(latency_is_from_the_turn_to_the_end),
      cmocka_unit_test(the_recent_past_is_a_minute_at_most),
      cmocka_unit_test(processor_time_is_shared_by_how_long_lua_ran),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
