#include "bind_test.h"

static void sleeping(void **state) {
  (void)state;
  bind_test_expect("local t = roost.now() roost.sleep(2.1) return roost.now() - t", "3");
  bind_test_expect("local t = roost.now() roost.sleep(-5) return roost.now() - t", "1");
  bind_test_expect_error("roost.sleep('x')", "number expected");
  bind_test_expect_error("roost.sleep(0/0)", "not a number of milliseconds");
  bind_test_expect_error("table.sort({ 1, 2 }, function() roost.sleep(1) end)", "cannot wait here");
}

static void spawned_tasks(void **state) {
  (void)state;
  bind_test_expect("local log = {} roost.spawn(function() log[#log + 1] = 'task' end)"
                   "log[#log + 1] = 'handler' roost.sleep(1) return log",
                   "[\"handler\",\"task\"]");
  bind_test_expect("local log = {} local t = roost.spawn(function()"
                   "  local ok, e = pcall(roost.sleep, 50) log[1] = e.name end)"
                   "roost.sleep(1) t:cancel() t:cancel() roost.sleep(1) t:cancel() return log",
                   "[\"CancelledError\"]");
  bind_test_expect("local n = 0 roost.spawn(function() n = n + 1 end):cancel() roost.sleep(2) "
                   "return n",
                   "0");
  bind_test_expect_error("roost.spawn(5)", "function expected, got number");
}

static void timers(void **state) {
  (void)state;
  bind_test_expect("local at = roost.now() local log = {}"
                   "roost.after(5, function() log[#log + 1] = roost.now() - at end)"
                   "local stopped = roost.after(3, function() log[#log + 1] = 'no' end)"
                   "roost.sleep(1) stopped:cancel() roost.sleep(20) return log",
                   "[5]");
  bind_test_expect("local log = {} local at = roost.now()"
                   "local every = roost.every(10, function() log[#log + 1] = roost.now() - at end)"
                   "roost.sleep(36) every:cancel() roost.sleep(30) return log",
                   "[10,20,30]");
  /* A slow one leaves beats out, and never overlaps itself. */
  bind_test_expect(
      "local log = {} local at, inside = roost.now(), 0 "
      "local every = roost.every(10, function() inside = inside + 1"
      "  log[#log + 1] = (roost.now() - at) * inside roost.sleep(15) inside = inside - 1"
      " end) roost.sleep(60) every:cancel() return #log <= 4 and log[1] == 10 and "
      "log[2] > 20",
      "true");
  bind_test_expect("local log = {} roost.after(1, function() log[1] = roost.context() == nil end) "
                   "roost.sleep(5) return log",
                   "[true]");
}

static void an_every_that_raises_goes_on(void **state) {
  (void)state;
  static service_test self;
  bind_test_answer(&self, 50,
                   "local n = 0 local e = roost.every(5, function() n = n + 1 if n == 2 then "
                   "error('second') end end) roost.sleep(22) e:cancel() return n",
                   "4");
  service_test_expect_line(&self, "task failed");
  service_test_expect_line(&self, "second");
  service_test_deinit(&self);
}

static void all_of_them(void **state) {
  (void)state;
  bind_test_expect(
      "local t = roost.now() local r = roost.all{ function() roost.sleep(5) return 'a' "
      "end, function() roost.sleep(3) return 'b' end, function() return 'c' end }"
      "return { r, roost.now() - t }",
      "[[\"a\",\"b\",\"c\"],5]");
  bind_test_expect("local r = roost.all{ x = function() return 1 end } return r.x", "1");
  bind_test_expect("return next(roost.all{}) == nil", "true");
  bind_test_expect("local seen local ok, e = pcall(roost.all, { function() roost.sleep(2) "
                   "error('first', 0) end, function() local _, c = pcall(roost.sleep, 50)"
                   "  seen = c.name end }) roost.sleep(1) return { ok, e, seen }",
                   "[false,\"first\",\"CancelledError\"]");
  bind_test_expect("return roost.all{ function() return roost.context() == ctx end }", "[true]");
  bind_test_expect_error("roost.all{ 5 }", "function expected at 1, got number");
  bind_test_expect_error("roost.all(5)", "table of functions expected");
}

static void the_first_of_them(void **state) {
  (void)state;
  bind_test_expect(
      "local log = {} local r = roost.race{ function() roost.sleep(5) return 'slow' end,"
      " function() roost.sleep(2) return 'fast' end, function()"
      "  local _, c = pcall(roost.sleep, 50) log[1] = c.name end }"
      "roost.sleep(1) return { r, log[1] }",
      "[\"fast\",\"CancelledError\"]");
  bind_test_expect("local ok, e = pcall(roost.race, { function() error('x', 0) end, function() "
                   "roost.sleep(5) end }) return { ok, e }",
                   "[false,\"x\"]");
  bind_test_expect("return roost.race{} == nil", "true");
}

static void a_cancel_reaches_those_that_are_waited_for(void **state) {
  (void)state;
  static service_test self;
  bind_test_answer(&self, 0, "return 1", "1");
  service_test_deinit(&self);
  service_test_init(&self);
  service_test_load(
      &self, "a",
      "service:message('m', { timeout = 10 }, function()"
      "  roost.all{ function() local ok, e = pcall(roost.sleep, 90) print(e.name) end }"
      " end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"m\"", NULL, "1");
  service_test_advance(&self, 12);
  service_test_expect_line(&self, "CancelledError");
  assert_int_equal(self.dispatch->services[0]->current->vm->task_count, 0);
  service_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sleeping),
      cmocka_unit_test(spawned_tasks),
      cmocka_unit_test(timers),
      cmocka_unit_test(an_every_that_raises_goes_on),
      cmocka_unit_test(all_of_them),
      cmocka_unit_test(the_first_of_them),
      cmocka_unit_test(a_cancel_reaches_those_that_are_waited_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
