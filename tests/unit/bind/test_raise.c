#include "bind_test.h"

/* A service whose handler "m" has every stage, and a value to close. */
static const char piped[] =
    "service:provide('value', function(ctx) roost.sleep(1)"
    "  return { close = function() roost.sleep(1) closed = (closed or 0) + 1 end } end)"
    "local through = function(ctx, next) local v = next() return v end "
    "service:message('m', { guards = function(ctx) return ctx:get('value') ~= nil end,"
    "  interceptors = { through, through }, payload = 'k',"
    "  pipes = roost.pipes.validate { 'integer' }, filters = function(e) return e.path end },"
    "  function(d) roost.sleep(1) if d[1] == 2 then error('secret') end"
    "  return roost.stream.from(d):map(function(v) return v + 1 end) end)"
    "service:message('closed', function() return closed or 0 end)";

static void ask(service_test *self, const char *data, const char *expected) {
  self->out[0] = '\0';
  service_test_send(self, &self->peer, "\"m\"", data, "1");
  service_test_advance(self, 10);
  service_test_expect(self, expected);
}

static void expect_closed(service_test *self, const char *count) {
  char reply[32];
  snprintf(reply, sizeof reply, "last 1 %s\n", count);
  self->out[0] = '\0';
  service_test_send(self, &self->peer, "\"closed\"", "0", "1");
  service_test_expect(self, reply);
}

static void a_handler_with_every_stage(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a", piped);
  service_test_go(&self);
  ask(&self, "{\"k\":[1,5]}", "item 1 2\nlast 1 6\n");
  ask(&self, "{\"k\":[1,\"x\"]}", "error 1 \"[2]\"\n");
  ask(&self, "{\"k\":[2]}",
      "error 1 {\"status\":\"error\",\"message\":\"Internal server error\"}\n");
  service_test_expect_line(&self, "a.lua");
  expect_closed(&self, "3");
  service_test_deinit(&self);
}

static void its_values_are_closed_although_the_caller_has_left(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a", piped);
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"m\"", "{\"k\":[1]}", "1");
  service_test_gone(&self, &self.peer, false);
  service_test_advance(&self, 10);
  service_test_expect(&self, "");
  expect_closed(&self, "1");
  service_test_deinit(&self);
}

static void it_may_fail_at_every_allocation(void **state) {
  (void)state;
  service_test self;
  bool answered = false;
  for (size_t n = 0; !answered; n++) {
    service_test_init(&self);
    service_test_load(&self, "a", piped);
    service_test_go(&self);
    self.dispatch->config.request_timeout_ms = 20;
    self.probe.refuse_after = n;
    assert_int_equal(service_test_try(&self, &self.peer, "\"m\"", "{\"k\":[1,5]}", "1"), 0);
    service_test_advance(&self, 30);
    answered = strcmp(self.out, "item 1 2\nlast 1 6\n") == 0;
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    service_test_advance(&self, 2000);
    assert_int_equal(self.dispatch->stats.in_flight, 0);
    ask(&self, "{\"k\":[1,5]}", "item 1 2\nlast 1 6\n"); /* the service goes on */
    service_test_deinit(&self);
    assert_true(n < 5000);
  }
}

/* What a subject calls may be out of memory: afterwards others wait as they did before. */
static void a_subject_may_fail_at_every_allocation(void **state) {
  (void)state;
  static const char subject[] =
      "local s = roost.stream.subject() local seen "
      "service:message('m', function() seen = {} s:subscribe { next = function(v)"
      "  seen[#seen + 1] = v end } roost.spawn(function() local v = s:first()"
      "  seen[#seen + 1] = v end)"
      "  roost.sleep(1) s:next('value') roost.sleep(2) return #seen end)"
      "service:message('each', function() local n = 0"
      "  for v in roost.stream.from { 1, 2, 3 }:each() do n = n + v end return n end)";
  service_test self;
  bool answered = false;
  for (size_t n = 0; !answered; n++) {
    service_test_init(&self);
    service_test_load(&self, "a", subject);
    service_test_go(&self);
    self.probe.refuse_after = n;
    assert_int_equal(service_test_try(&self, &self.peer, "\"m\"", "1", "1"), 0);
    service_test_advance(&self, 10);
    answered = strcmp(self.out, "last 1 2\n") == 0;
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    self.out[0] = '\0';
    service_test_send(&self, &self.peer, "\"each\"", "1", "2");
    service_test_advance(&self, 10);
    service_test_expect(&self, "last 2 6\n");
    service_test_deinit(&self);
    assert_true(n < 5000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_handler_with_every_stage),
      cmocka_unit_test(its_values_are_closed_although_the_caller_has_left),
      cmocka_unit_test(it_may_fail_at_every_allocation),
      cmocka_unit_test(a_subject_may_fail_at_every_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
