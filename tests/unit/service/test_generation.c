#include "service_test.h"

static roost_generation *start(service_test *self, const char *code, uint64_t timeout_ms) {
  roost_generation *generation = service_test_load(self, "a", code);
  assert_int_equal(generation->state, ROOST_GENERATION_LOADED);
  roost_generation_start(generation, timeout_ms);
  return generation;
}

static void expect_error(const roost_generation *generation, const char *text) {
  char error[512];
  snprintf(error, sizeof error, "%.*s", (int)generation->error.len,
           generation->error.len ? generation->error.ptr : "");
  if (strstr(error, text) == NULL)
    print_error("error: %s\n", error);
  assert_non_null(strstr(error, text));
}

static void memory_is_what_its_service_may_have(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  self.dispatch->config.service_limits.memory_bytes = 5000000;
  const roost_generation *first = service_test_load(&self, "first", "");
  self.dispatch->config.service_limits.memory_bytes = 1000000;
  const roost_generation *second = service_test_load(&self, "second", "");
  assert_int_equal(first->vm->memory_limit, 5000000);
  assert_int_equal(second->vm->memory_limit, 1000000);
  service_test_deinit(&self);
}

static void on_start_may_wait(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  roost_generation *generation = start(
      &self,
      "roost.after(1, function() print('main timer') end)"
      "service:on_start(function()"
      "  roost.spawn(function() print('task') end)"
      "  roost.sleep(5)"
      "  local r = roost.all{ function() roost.sleep(2) return 1 end, function() return 2 end }"
      "  print('started', r[1], r[2]) end)",
      100);
  assert_int_equal(generation->state, ROOST_GENERATION_STARTING);
  service_test_advance(&self, 7);
  assert_int_equal(self.changes, 1);
  assert_int_equal(generation->state, ROOST_GENERATION_LOADED);
  service_test_expect_line(&self, "started\\t1\\t2");
  assert_null(strstr(self.lines, "main timer"));
  assert_null(strstr(self.lines, "msg=\"task\""));
  service_test_go(&self); /* timers and tasks start once it is live */
  service_test_advance(&self, 2);
  service_test_expect_line(&self, "main timer");
  service_test_expect_line(&self, "msg=\"task\"");
  assert_int_equal(generation->state, ROOST_GENERATION_LIVE);
  service_test_deinit(&self);
}

static void without_on_start_it_is_over_at_once(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  roost_generation *generation = start(&self, "", 100);
  assert_int_equal(self.changes, 1);
  assert_int_equal(generation->state, ROOST_GENERATION_LOADED);
  assert_int_equal(self.wheel.count, 0);
  service_test_deinit(&self);
}

static void on_start_that_raises_fails(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  roost_generation *generation =
      start(&self, "service:on_start(function() roost.sleep(1)\nerror('no luck') end)", 100);
  service_test_advance(&self, 1);
  assert_int_equal(generation->state, ROOST_GENERATION_FAILED);
  expect_error(generation, "a.lua:2: no luck");
  assert_int_equal(self.changes, 1);
  service_test_deinit(&self);
}

static void on_start_that_takes_too_long_fails(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  roost_generation *generation = start(
      &self, "service:on_start(function() pcall(roost.sleep, 500) print('catches') end)", 100);
  service_test_advance(&self, 99);
  assert_int_equal(self.changes, 0);
  service_test_advance(&self, 1);
  assert_int_equal(generation->state, ROOST_GENERATION_FAILED);
  expect_error(generation, "on_start took longer than reload.start_timeout");
  service_test_deinit(&self);
}

/* Even where there is no memory to say why. */
static void on_start_fails_at_every_allocation(void **state) {
  (void)state;
  service_test self;
  bool succeeded = false;
  for (size_t n = 0; !succeeded; n++) {
    service_test_init(&self);
    roost_generation *generation = service_test_load(
        &self, "a",
        "service:on_start(function() local t = {} for i = 1, 50 do t[i] = { tostring(i) } end"
        "  roost.sleep(1) done = true end)"
        "service:message('done', function() return done or false end)");
    self.probe.refuse_after = n;
    roost_generation_start(generation, 100);
    service_test_advance(&self, 5);
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    succeeded = generation->state == ROOST_GENERATION_LOADED;
    assert_true(succeeded || generation->state == ROOST_GENERATION_FAILED);
    service_test_go(&self);
    service_test_send(&self, &self.peer, "\"done\"", NULL, "1");
    service_test_expect(&self, succeeded ? "last 1 true\n" : "last 1 false\n");
    service_test_deinit(&self);
    assert_true(n < 5000);
  }
}

static void stopping_ends_timers_and_waits_for_the_rest(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  roost_generation *generation =
      start(&self,
            "roost.every(3, function() print('tick') end)"
            "roost.after(9, function() print('after') end)"
            "service:message('m', function() roost.sleep(20) return 'finished' end)"
            "service:on_stop(function() roost.sleep(5) print('stopping') end)",
            100);
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"m\"", NULL, "1");
  service_test_advance(&self, 4);
  service_test_expect_line(&self, "tick");
  self.changes = 0;
  service_test_forget(&self);
  roost_generation_stop(generation);
  service_test_advance(&self, 5);
  service_test_expect_line(&self, "stopping");
  assert_int_equal(self.changes, 1);
  assert_false(roost_generation_quiet(generation));
  service_test_advance(&self, 11);
  service_test_expect(&self, "last 1 \"finished\"\n");
  assert_true(roost_generation_quiet(generation));
  assert_int_equal(self.changes, 2);
  assert_null(strstr(self.lines, "tick"));
  assert_null(strstr(self.lines, "after"));
  service_test_deinit(&self);
}

static void what_on_stop_raises_is_logged(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  roost_generation *generation =
      start(&self, "service:on_stop(function() error('cannot stop') end)", 100);
  service_test_go(&self);
  roost_generation_stop(generation);
  assert_int_equal(generation->state, ROOST_GENERATION_STOPPING);
  service_test_expect_line(&self, "level=error msg=\"on_stop failed\" service=a worker=0 gen=1 "
                                  "err=\"a.lua:1: cannot stop");
  service_test_deinit(&self);
}

static void cutting_ends_what_still_runs(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  roost_generation *generation = start(
      &self, "service:on_start(function() roost.sleep(1000) end) roost.spawn(function() end)", 0);
  roost_generation_cut(generation);
  service_test_turn(&self);
  assert_true(roost_generation_quiet(generation));
  assert_int_equal(generation->state, ROOST_GENERATION_STOPPING);
  service_test_deinit(&self);
}

static void what_cannot_be_loaded_says_why(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  static const char *const wrong[][2] = {
      {"local x = = 1", "s.lua:1: unexpected symbol near '='"},
      {"\nerror('at load')", "s.lua:2: at load"},
      {"error{ code = 42 }", "{\"code\":42}"},
      {"", "s.lua: must return what roost.service() made, got nil"},
      {"return {}", "s.lua: must return what roost.service() made, got another table"},
      {"local r = require 'roost' r.service() return 5",
       "s.lua: must return what roost.service() made, got number"},
      {"local r = require 'roost' r.sleep(1)", "not before on_start"},
      {"require 'roost'.service():message(nil, print)",
       "s.lua:1: a pattern is text, a number or a table, not nil"},
      {"require 'roost'.service():message(print, print)",
       "s.lua:1: a pattern is text, a number or a table, not a function"},
      {"local r = require 'roost' r.service():event({ 'a', r.null }, print)",
       "s.lua:1: a pattern is text, a number or a table, not null"},
      {"require 'roost'.service():message('x', 5)", "s.lua:1: the handler must be a function"},
      {"require 'roost'.service():on_stop(print):on_stop(print)",
       "s.lua:1: service:on_stop was called before; there is one such function"},
      {"require 'roost'.service():message('x', { timeout = 'a' }, print)",
       "s.lua:1: option 'timeout': expected a number, got string"},
      {"require 'roost'.service():message('x', { wrong = 1 }, print)",
       "s.lua:1: unknown option 'wrong'"},
      {"require 'roost'.service():message(true, print)", "s.lua:1: "},
      {"require 'missing'", "module 'missing' not found"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    service_test_write(&self, "s", wrong[i][0]);
    assert_null(service_test_load_file(&self, "s"));
    if (strstr(self.error, wrong[i][1]) == NULL)
      print_error("error: %s\n", self.error);
    assert_non_null(strstr(self.error, wrong[i][1]));
  }
  service_test_deinit(&self);
}

static void handlers_are_registered_while_it_loads(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  roost_generation *generation =
      start(&self, "service:on_start(function() service:message('late', print) end)", 100);
  assert_int_equal(generation->state, ROOST_GENERATION_FAILED);
  expect_error(generation, "not later");
  service_test_deinit(&self);
}

static void loading_may_fail_at_every_allocation(void **state) {
  (void)state;
  service_test self;
  roost_generation *generation = NULL;
  for (size_t n = 0; generation == NULL; n += n < 50 ? 1 : 7) {
    service_test_init(&self);
    service_test_write(&self, "a",
                       "local roost = require 'roost' local service = roost.service() "
                       "roost.spawn(function() end) roost.after(5, function() end)"
                       "service:message('m', function() end) service:on_stop(function() end) "
                       "return service");
    self.probe.refuse_after = n;
    generation = service_test_load_file(&self, "a");
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    service_test_deinit(&self);
    assert_true(n < 20000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_is_what_its_service_may_have),
      cmocka_unit_test(on_start_may_wait),
      cmocka_unit_test(without_on_start_it_is_over_at_once),
      cmocka_unit_test(on_start_that_raises_fails),
      cmocka_unit_test(on_start_that_takes_too_long_fails),
      cmocka_unit_test(on_start_fails_at_every_allocation),
      cmocka_unit_test(stopping_ends_timers_and_waits_for_the_rest),
      cmocka_unit_test(what_on_stop_raises_is_logged),
      cmocka_unit_test(cutting_ends_what_still_runs),
      cmocka_unit_test(what_cannot_be_loaded_says_why),
      cmocka_unit_test(handlers_are_registered_while_it_loads),
      cmocka_unit_test(loading_may_fail_at_every_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
