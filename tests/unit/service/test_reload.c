#include "service_test.h"

typedef struct watcher {
  roost_reload_waiter waiter;
  unsigned told;
  uint32_t from;
  uint32_t to;
  char refused[1024];
} watcher;

static void on_result(roost_reload_waiter *waiter, const roost_reload_result *result) {
  watcher *self = ROOST_LIST_ENTRY(waiter, watcher, waiter);
  self->told++;
  self->from = result->from;
  self->to = result->to;
  snprintf(self->refused, sizeof self->refused, "%.*s", (int)result->refused.len,
           result->refused.len ? result->refused.ptr : "");
}

static void watcher_init(watcher *self) {
  *self = (watcher){.waiter = {.fn = on_result}};
  roost_list_init(&self->waiter.link);
}

static roost_service *start(service_test *self, const char *code) {
  service_test_init(self);
  self->dispatch->config.drain_timeout_ms = 1000;
  self->dispatch->config.start_timeout_ms = 100;
  roost_generation *generation = service_test_load(self, "a", code);
  service_test_go(self);
  service_test_turn(self);
  return generation->service;
}

static void write_code(const service_test *self, const char *code) {
  char text[4096];
  snprintf(text, sizeof text,
           "local roost = require 'roost' local service = roost.service() %s\nreturn service\n",
           code);
  service_test_write(self, "a", text);
}

/* Reloads with other code; the watcher has been told when the turn is over. */
static watcher reload(service_test *self, roost_service *service, const char *code) {
  watcher result;
  watcher_init(&result);
  write_code(self, code);
  roost_reload_start(service, &result.waiter);
  service_test_turn(self);
  return result;
}

static void expect_refused(service_test *self, roost_service *service, const char *code,
                           const char *why) {
  const roost_generation *old = service->current;
  const watcher result = reload(self, service, code);
  assert_int_equal(result.told, 1);
  assert_int_equal(result.to, 0);
  if (strstr(result.refused, why) == NULL)
    print_error("refused: %s\n", result.refused);
  assert_non_null(strstr(result.refused, why));
  assert_ptr_equal(service->current, old);
  assert_null(service->reload.next);
}

static const char one[] = "service:message('v', function() return 1 end)";
static const char two[] = "service:message('v', function() return 2 end)";

static void the_new_code_takes_over(void **state) {
  (void)state;
  service_test self;
  roost_service *service = start(&self, one);
  const watcher result = reload(&self, service, two);
  assert_int_equal(result.told, 1);
  assert_int_equal(result.from, 1);
  assert_int_equal(result.to, 2);
  assert_string_equal(result.refused, "");
  service_test_send(&self, &self.peer, "\"v\"", NULL, "1");
  service_test_expect(&self, "last 1 2\n");
  service_test_expect_line(&self, "msg=\"service reloaded\" service=a worker=0 gen=2 from=1");
  assert_true(roost_list_empty(&self.dispatch->draining));
  service_test_deinit(&self);
}

/* What the contract calls the order of a reload. */
static void all_happens_in_its_order(void **state) {
  (void)state;
  static const char code[] =
      "local name = '%s'"
      "roost.spawn(function() print(name, 'task') end)"
      "roost.every(10, function() print(name, 'tick') end)"
      "service:on_start(function() roost.sleep(5) print(name, 'start') end)"
      "service:on_handoff(function() print(name, 'handoff') return { by = name, '\\xff' } end)"
      "service:on_adopt(function(v) print(name, 'adopt', v.by, #v[1]) end)"
      "service:on_stop(function() print(name, 'stop') end)";
  service_test self;
  char text[1024];
  snprintf(text, sizeof text, code, "old");
  roost_service *service = start(&self, text);
  watcher result;
  watcher_init(&result);
  service_test_forget(&self);
  snprintf(text, sizeof text, code, "new");
  write_code(&self, text);
  roost_reload_start(service, &result.waiter);
  service_test_advance(&self, 6);
  assert_int_equal(result.told, 1);
  service_test_turn(&self);
  service_test_advance(&self, 25);
  static const char *const order[] = {"new\\tstart", "old\\thandoff", "new\\tadopt\\told\\t1",
                                      "old\\tstop",  "new\\ttask",    "new\\ttick"};
  const char *at = self.lines;
  for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
    at = strstr(at, order[i]);
    if (at == NULL)
      print_error("missing: %s in\n%s", order[i], self.lines);
    assert_non_null(at);
  }
  assert_null(strstr(self.lines, "old\\ttick"));
  service_test_deinit(&self);
}

static void calls_in_flight_finish_on_the_old_code(void **state) {
  (void)state;
  service_test self;
  roost_service *service =
      start(&self, "service:message('v', function() roost.sleep(50) return 'old' end)");
  service_test_send(&self, &self.peer, "\"v\"", NULL, "1");
  reload(&self, service, two);
  service_test_send(&self, &self.peer, "\"v\"", NULL, "2");
  service_test_expect(&self, "last 2 2\n");
  assert_false(roost_list_empty(&self.dispatch->draining));
  service_test_advance(&self, 50);
  service_test_expect(&self, "last 1 \"old\"\n");
  assert_true(roost_list_empty(&self.dispatch->draining));
  service_test_deinit(&self);
}

static void what_outlives_drain_timeout_is_cut_off(void **state) {
  (void)state;
  service_test self;
  roost_service *service = start(
      &self,
      "service:message('s', function(_, ctx) for i = 1, 100 do"
      "  local closing <close> = setmetatable({}, { __close = function() print('closed') end })"
      "  ctx:emit(i) roost.sleep(700) end end)"
      "roost.spawn(function() while true do pcall(roost.sleep, 1000) end end)");
  service_test_send(&self, &self.peer, "\"s\"", NULL, "1");
  reload(&self, service, two);
  service_test_advance(&self, 999);
  service_test_expect(&self, "item 1 1\nitem 1 2\n");
  service_test_forget(&self);
  service_test_advance(&self, 2);
  service_test_expect(&self,
                      "error 1 {\"status\":\"error\",\"message\":\"Service is shutting down\"}\n");
  service_test_expect_line(&self, "reload.drain_timeout is over");
  service_test_expect_line(&self, "msg=\"closed\"");
  service_test_advance(&self, 1300); /* the task that catches everything is ended by force */
  assert_true(roost_list_empty(&self.dispatch->draining));
  service_test_deinit(&self);
}

static void each_kind_of_failure_refuses_it(void **state) {
  (void)state;
  service_test self;
  roost_service *service = start(&self, "service:message('v', function() return 1 end)"
                                        "service:on_handoff(function() return { n = 5 } end)");
  expect_refused(&self, service, "local x = = 1", "a.lua:1: unexpected symbol near '='");
  expect_refused(&self, service, "\nerror('at load')", "a.lua:2: at load");
  expect_refused(&self, service, "service:message(true, print)", "a.lua:1: ");
  expect_refused(&self, service, "service:on_start(function() error('no luck') end)",
                 "on_start: a.lua:1: no luck");
  expect_refused(&self, service, "service:on_adopt(function() error('not mine') end)",
                 "on_adopt: a.lua:1: not mine");
  expect_refused(&self, service, "service:on_adopt(function() roost.sleep(1) end)",
                 "on_adopt may not wait");
  expect_refused(&self, service, "require 'missing'", "module 'missing' not found");
  assert_int_equal(service->reload.refusals, 7);
  service_test_send(&self, &self.peer, "\"v\"", NULL, "1");
  service_test_expect(&self, "last 1 1\n");
  const watcher healed = reload(&self, service, two);
  assert_int_equal(healed.to, 2);
  service_test_send(&self, &self.peer, "\"v\"", NULL, "1");
  service_test_expect(&self, "last 1 2\n");
  service_test_deinit(&self);
}

static void what_cannot_be_handed_over_refuses_it(void **state) {
  (void)state;
  static const char *const wrong[][2] = {
      {"{ jobs = { {}, { run = print } } }", "jobs[2].run: a function cannot be copied"},
      {"error('busy')", "the running code's on_handoff: a.lua:1: busy"},
      {"roost.sleep(1)", "on_handoff may not wait"},
      {"coroutine.wrap(function() roost.sleep(1) end)()", "on_handoff may not wait"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    service_test self;
    char code[256];
    snprintf(code, sizeof code, "service:on_handoff(function() return %s end)", wrong[i][0]);
    roost_service *service = start(&self, code);
    expect_refused(&self, service, two, wrong[i][1]);
    service_test_deinit(&self);
  }
}

static void on_start_that_takes_too_long_refuses_it(void **state) {
  (void)state;
  service_test self;
  roost_service *service = start(&self, one);
  watcher result;
  watcher_init(&result);
  write_code(&self, "service:on_start(function() roost.sleep(5000) end)");
  roost_reload_start(service, &result.waiter);
  service_test_advance(&self, 99);
  assert_int_equal(result.told, 0);
  service_test_send(&self, &self.peer, "\"v\"", NULL, "1");
  service_test_expect(&self, "last 1 1\n");
  service_test_advance(&self, 2);
  assert_int_equal(result.told, 1);
  assert_non_null(strstr(result.refused, "on_start took longer than reload.start_timeout"));
  service_test_deinit(&self);
}

/* The one under way may have read the files before whoever comes now has changed them. */
static void who_comes_meanwhile_waits_for_the_next(void **state) {
  (void)state;
  service_test self;
  roost_service *service = start(&self, one);
  watcher first;
  watcher second;
  watcher_init(&first);
  watcher_init(&second);
  write_code(&self, "service:on_start(function() roost.sleep(10) end)");
  roost_reload_start(service, &first.waiter);
  service_test_advance(&self, 5);
  write_code(&self, two);
  roost_reload_start(service, &second.waiter);
  service_test_advance(&self, 5);
  assert_int_equal(first.told, 1);
  service_test_turn(&self);
  assert_int_equal(second.told, 1);
  assert_int_equal(first.to, 2);
  assert_int_equal(second.to, 3);
  service_test_send(&self, &self.peer, "\"v\"", NULL, "1");
  service_test_expect(&self, "last 1 2\n");
  service_test_deinit(&self);
}

static size_t count(const char *text, const char *what) {
  size_t found = 0;
  for (; (text = strstr(text, what)) != NULL; text++)
    found++;
  return found;
}

static void a_refused_one_is_tried_again(void **state) {
  (void)state;
  service_test self;
  roost_service *service = start(&self, one);
  self.dispatch->config.reload_retry_ms = 100;
  expect_refused(&self, service, "error('not yet')", "not yet");
  service_test_advance(&self, 100 + 200 + 10);
  assert_int_equal(service->reload.refusals, 3);
  assert_int_equal(count(self.lines, "reload refused"), 1); /* the same is not said again */
  expect_refused(&self, service, "error('not yet')", "not yet");
  assert_int_equal(count(self.lines, "reload refused"), 2); /* but to who asks */
  write_code(&self, two);
  service_test_advance(&self, 400);
  service_test_send(&self, &self.peer, "\"v\"", NULL, "1");
  service_test_expect(&self, "last 1 2\n");
  assert_false(roost_timer_running(&service->reload.retry));
  service_test_deinit(&self);
}

/* Jobs wait here until the test runs them. */
static roost_list held;

static void hold(void *ud, roost_job *job) {
  (void)ud;
  roost_list_append(&held, &job->link);
}

static void run_one(service_test *self) {
  roost_job *job = ROOST_LIST_ENTRY(held.next, roost_job, link);
  roost_list_remove(&job->link);
  job->run(job, &self->runner);
  job->done(job);
  service_test_turn(self);
}

/* A machine that has no time to close old states makes no new ones. */
static void old_states_do_not_gather(void **state) {
  (void)state;
  service_test self;
  watcher last;
  watcher never;
  roost_service *service = start(&self, one);
  roost_list_init(&held);
  self.dispatch->config.reaper = (roost_jobs){hold, NULL};
  while (self.dispatch->closing < 8)
    assert_int_equal(reload(&self, service, two).told, 1);
  watcher_init(&last);
  roost_reload_start(service, &last.waiter);
  service_test_turn(&self);
  assert_int_equal(last.told, 0);
  service_test_send(&self, &self.peer, "\"v\"", NULL, "1");
  service_test_expect(&self, "last 1 2\n");
  while (last.told == 0)
    run_one(&self);
  assert_int_equal(last.to, service->current->number);
  assert_false(roost_list_empty(&held));
  while (self.dispatch->closing < 8)
    assert_int_equal(reload(&self, service, two).told, 1);
  watcher_init(&never);
  roost_reload_start(service, &never.waiter);
  roost_reload_abandon(service);
  assert_int_equal(never.told, 1);
  assert_string_equal(never.refused, "the host is stopping");
  while (!roost_list_empty(&held))
    run_one(&self);
  assert_int_equal(self.dispatch->closing, 0);
  service_test_deinit(&self);
}

static void a_restart_hands_nothing_over(void **state) {
  (void)state;
  service_test self;
  static const char code[] = "local n = 1 service:message('v', function() n = n + 1 return n end)"
                             "service:on_handoff(function() return n end)"
                             "service:on_adopt(function(v) n = v end)";
  roost_service *service = start(&self, code);
  service_test_send(&self, &self.peer, "\"v\"", NULL, "1");
  reload(&self, service, code);
  service_test_send(&self, &self.peer, "\"v\"", NULL, "2");
  service_test_expect(&self, "last 1 2\nlast 2 3\n");
  roost_reload_restart(service);
  service_test_turn(&self);
  service_test_send(&self, &self.peer, "\"v\"", NULL, "3");
  service_test_expect(&self, "last 3 2\n");
  service_test_deinit(&self);
}

static void a_stopping_host_abandons_it(void **state) {
  (void)state;
  service_test self;
  roost_service *service = start(&self, one);
  watcher result;
  watcher_init(&result);
  write_code(&self, "service:on_start(function() roost.sleep(50) end)");
  roost_reload_start(service, &result.waiter);
  roost_reload_abandon(service);
  assert_int_equal(result.told, 1);
  assert_string_equal(result.refused, "the host is stopping");
  service_test_deinit(&self);
}

static void clients_of_the_old_state_end_with_it(void **state) {
  (void)state;
  static const roost_client_config config = {.name = "X", .transport = "none"};
  service_test self;
  roost_service *service = start(&self, one);
  roost_dispatch_set_clients(self.dispatch, &config, 1);
  expect_refused(&self, service, "local c = roost.client('Y')",
                 "a.lua:1: there is no client named \"Y\" in the configuration");
  service_test_deinit(&self);
}

static void memory_may_end_at_every_point(void **state) {
  (void)state;
  bool swapped = false;
  for (size_t n = 0; !swapped; n += n < 30 ? 1 : 11) {
    service_test self;
    watcher result;
    roost_service *service =
        start(&self, "local n = 1 service:message('v', function() n = n + 1 return n end)"
                     "service:on_handoff(function() return { n = n, { 'x' } } end)");
    write_code(&self, "local n = 1 service:message('v', function() return 'new' end)"
                      "service:on_start(function() roost.sleep(1) end)"
                      "service:on_adopt(function(v) n = v.n end)");
    watcher_init(&result);
    self.probe.refuse_after = n;
    roost_reload_start(service, &result.waiter);
    service_test_advance(&self, 3);
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    assert_int_equal(result.told, 1);
    swapped = result.to != 0;
    service_test_send(&self, &self.peer, "\"v\"", NULL, "1");
    service_test_expect(&self, swapped ? "last 1 \"new\"\n" : "last 1 2\n");
    service_test_deinit(&self);
    assert_true(n < 20000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_new_code_takes_over),
      cmocka_unit_test(all_happens_in_its_order),
      cmocka_unit_test(calls_in_flight_finish_on_the_old_code),
      cmocka_unit_test(what_outlives_drain_timeout_is_cut_off),
      cmocka_unit_test(each_kind_of_failure_refuses_it),
      cmocka_unit_test(what_cannot_be_handed_over_refuses_it),
      cmocka_unit_test(on_start_that_takes_too_long_refuses_it),
      cmocka_unit_test(who_comes_meanwhile_waits_for_the_next),
      cmocka_unit_test(a_refused_one_is_tried_again),
      cmocka_unit_test(old_states_do_not_gather),
      cmocka_unit_test(a_restart_hands_nothing_over),
      cmocka_unit_test(a_stopping_host_abandons_it),
      cmocka_unit_test(clients_of_the_old_state_end_with_it),
      cmocka_unit_test(memory_may_end_at_every_point),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
