#include "service_test.h"

/* --------------------------------------------------------------------- requests -------------- */

static void a_request_runs_its_handler(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "service:message({ cmd = 'sum' }, function(d) return d[1] + d[2] end)"
                    "service:message('nil', function() end)"
                    "service:message('nul', function() return roost.null end)"
                    "service:message({ 'x', 'y' }, function(_, ctx) return ctx.route end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "{\"cmd\":\"sum\"}", "[1,2]", "\"1\"");
  service_test_expect(&self, "last \"1\" 3\n");
  service_test_send(&self, &self.peer, "\"nil\"", NULL, "{\"any\":1}");
  service_test_expect(&self, "end {\"any\":1} \n");
  service_test_send(&self, &self.peer, "\"nul\"", NULL, "null");
  service_test_expect(&self, "last null null\n");
  service_test_send(&self, &self.peer, "\"x\"", NULL, "1");
  service_test_send(&self, &self.peer, "\"y\"", NULL, "2");
  service_test_expect(&self, "last 1 \"x\"\nlast 2 \"y\"\n");
  assert_int_equal(self.dispatch->stats.requests, 5);
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  assert_int_equal(self.peer.origin.in_flight, 0);
  service_test_deinit(&self);
}

static void what_nobody_handles_is_said(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_send(&self, &self.peer, "\"none\"", "1", "\"7\"");
  service_test_expect(&self, "unhandled \"7\" \n");
  service_test_expect_line(&self, "There is no matching message handler defined in the remote "
                                  "service.\" server=public peer=10.0.0.5:4711");
  service_test_send(&self, &self.peer, "\"none\"", "1", NULL);
  service_test_send(&self, &self.peer, NULL, "1", NULL);
  service_test_expect(&self, "");
  service_test_expect_line(&self, "There is no matching event handler");
  assert_int_equal(self.dispatch->stats.unhandled, 3);
  service_test_deinit(&self);
}

/* 10.0.0.5 is who asks. */
static void what_no_rule_permits_is_refused(void **state) {
  (void)state;
  service_test self;
  const roost_allow_route routes[] = {{ROOST_SLICE("m"), false}, {ROOST_SLICE("a.*"), true}};
  const roost_allow_route secret = {ROOST_SLICE("secret"), false};
  roost_allow_rule rules[] = {{.routes = routes, .route_count = 2},
                              {.routes = &secret, .route_count = 1}};
  const roost_allow allow = {rules, 2};
  const roost_tls_info tls = {.common_name = "billing", .verified = true};
  const char *why;
  assert_int_equal(roost_allow_peer_read(&rules[0].peer, "10.0.0.5", &why), 0);
  assert_int_equal(roost_allow_peer_read(&rules[1].peer, "CN=billing", &why), 0);
  service_test_init(&self);
  self.server_config.allow = &allow;
  service_test_load(&self, "a",
                    "service:message('m', function() return 'm' end)"
                    "service:message('secret', function() ran = true return 's' end)"
                    "service:event('secret', function() ran = true end)"
                    "service:message('a.ran', function() return ran or false end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"m\"", "1", "1");
  service_test_send(&self, &self.peer, "\"a.none\"", "1", "2");
  service_test_expect(&self, "last 1 \"m\"\nunhandled 2 \n");
  for (int i = 0; i < 2; i++) /* the second time from the table's cache */
    service_test_send(&self, &self.peer, "\"secret\"", "1", "3");
  service_test_expect_line(&self, "request refused: no rule of allow permits it\" server=public "
                                  "peer=10.0.0.5:4711 pattern=\"\\\"secret\\\"\"");
  service_test_send(&self, &self.peer, "\"none\"", "1", "4");
  service_test_send(&self, &self.peer, NULL, "1", "5");
  service_test_send(&self, &self.peer, "true", "1", "6");
  service_test_expect(&self, "error 3 {\"status\":\"error\",\"message\":\"Forbidden resource\"}\n"
                             "error 3 {\"status\":\"error\",\"message\":\"Forbidden resource\"}\n"
                             "error 4 {\"status\":\"error\",\"message\":\"Forbidden resource\"}\n"
                             "error 5 {\"status\":\"error\",\"message\":\"Forbidden resource\"}\n"
                             "error 6 {\"status\":\"error\",\"message\":\"Forbidden resource\"}\n");
  service_test_send(&self, &self.peer, "\"secret\"", "1", NULL);
  service_test_expect_line(&self, "event refused: no rule of allow permits it");
  service_test_send(&self, &self.peer, "\"a.ran\"", "1", "7");
  service_test_expect(&self, "last 7 false\n");
  assert_int_equal(service_test_try(&self, &self.peer, "\"secret\"", "[1,}", "8"), ROOST_EPROTO);
  assert_int_equal(service_test_try(&self, &self.peer, "[", "1", "8"), ROOST_EPROTO);
  assert_int_equal(self.server.stats.denied, 6);
  assert_int_equal(self.dispatch->stats.unhandled, 1);
  self.peer.tls = &tls;
  service_test_send(&self, &self.peer, "\"secret\"", "1", "9");
  service_test_expect(&self, "last 9 \"s\"\n");
  service_test_deinit(&self);
}

static void data_that_is_not_json_is_a_broken_frame(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "service:message('m', function(d) ran = true return d end)"
                    "service:message('ran', function() return ran or false end)"
                    "service:event('e', function() ran = true end)");
  service_test_go(&self);
  assert_int_equal(service_test_try(&self, &self.peer, "\"m\"", "[1,}", "1"), ROOST_EPROTO);
  assert_int_equal(service_test_try(&self, &self.peer, "\"e\"", "[1,}", NULL), ROOST_EPROTO);
  assert_int_equal(service_test_try(&self, &self.peer, "\"none\"", "[1,}", "1"), ROOST_EPROTO);
  service_test_expect(&self, "");
  service_test_send(&self, &self.peer, "\"ran\"", NULL, "2");
  service_test_expect(&self, "last 2 false\n");
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  assert_string_equal(self.lines, "");
  service_test_deinit(&self);
}

/* --------------------------------------------------------------------- one after another ----- */

#define MESSAGE(pattern_, data_, id_)                                                              \
  { .pattern = ROOST_SLICE(pattern_), .data = ROOST_SLICE(data_), .id = ROOST_SLICE(id_) }

/* Hands over the first of them; the others are there to be asked for. Returns what comes of it. */
static int hand_over(service_test *self, const roost_message *messages, size_t count) {
  self->peer.waiting = messages + 1;
  self->peer.waiting_count = count - 1;
  int status = 0;
  roost_message message = messages[0];
  do {
    status = roost_dispatch_sink.on_message(self->gate, &self->peer.origin, &message);
  } while (status == 0 && service_test_next(&self->peer.origin, &message));
  service_test_turn(self);
  return status;
}

static void load_two_services(service_test *self) {
  service_test_load(self, "a",
                    "local seen = {}"
                    "service:message('co', function(d) local co = coroutine.running()"
                    "  seen[co] = (seen[co] or 0) + 1 return seen[co] end)"
                    "service:message('wait', function(d) roost.sleep(d) return 'waited' end)"
                    "service:message('fail', function(d) error(roost.rpc_error(d)) end)"
                    "service:event('e', function(d, ctx) seen.event = d end)"
                    "service:message('event', function() return seen.event end)");
  service_test_load(self, "b", "service:message('b', function(d) return d end)");
  service_test_go(self);
  const roost_message known[] = {MESSAGE("\"co\"", "1", "0"), MESSAGE("\"wait\"", "0", "0"),
                                 MESSAGE("\"fail\"", "1", "0"), MESSAGE("\"event\"", "1", "0"),
                                 MESSAGE("\"b\"", "1", "0")};
  for (size_t i = 0; i < 5; i++)
    assert_int_equal(hand_over(self, &known[i], 1), 0);
  service_test_advance(self, 1);
  self->out[0] = '\0';
}

static void requests_of_one_service_follow_each_other_in_a_coroutine(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  load_two_services(&self);
  const uint64_t before = self.dispatch->stats.requests;
  const roost_message messages[] = {MESSAGE("\"co\"", "1", "1"), MESSAGE("\"co\"", "1", "2"),
                                    MESSAGE("\"co\"", "1", "3")};
  assert_int_equal(hand_over(&self, messages, 3), 0);
  service_test_expect(&self, "last 1 2\nlast 2 3\nlast 3 4\n");
  assert_int_equal(self.dispatch->stats.requests, before + 3);
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  assert_int_equal(self.peer.origin.in_flight, 0);
  assert_int_equal(self.dispatch->services[0]->current->pins, 0);
  service_test_deinit(&self);
}

static void whatever_follows_is_dispatched_in_its_turn(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  load_two_services(&self);
  const roost_message event = {.pattern = ROOST_SLICE("\"e\""), .data = ROOST_SLICE("7")};
  const roost_message messages[] = {MESSAGE("\"co\"", "1", "1"),
                                    MESSAGE("\"b\"", "[2]", "2"),
                                    MESSAGE("\"none\"", "1", "3"),
                                    MESSAGE("\"wait\"", "5", "4"),
                                    MESSAGE("\"fail\"", "6", "5"),
                                    MESSAGE("\"b\"", "[7]", "6"),
                                    event,
                                    MESSAGE("\"event\"", "1", "7"),
                                    MESSAGE("\"co\"", "1", "8")};
  assert_int_equal(hand_over(&self, messages, 9), 0);
  service_test_expect(&self, "last 1 2\nlast 2 [2]\nunhandled 3 \n"
                             "error 5 {\"status\":\"error\",\"message\":6}\nlast 6 [7]\n"
                             "last 7 7\nlast 8 1\n");
  assert_int_equal(self.peer.origin.in_flight, 1);
  service_test_advance(&self, 5);
  service_test_expect(&self, "last 4 \"waited\"\n");
  assert_int_equal(self.peer.origin.in_flight, 0);
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  service_test_deinit(&self);
}

static void nothing_follows_data_that_is_not_json(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  load_two_services(&self);
  const roost_message messages[] = {MESSAGE("\"co\"", "1", "1"), MESSAGE("\"co\"", "[1,}", "2"),
                                    MESSAGE("\"co\"", "1", "3")};
  assert_int_equal(hand_over(&self, messages, 3), ROOST_EPROTO);
  service_test_expect(&self, "last 1 2\n");
  assert_int_equal(self.peer.waiting_count, 1);
  assert_int_equal(self.peer.origin.in_flight, 0);
  service_test_deinit(&self);
}

/* --------------------------------------------------------------------- events ---------------- */

static void every_handler_of_an_event_has_its_own_data(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "local log = {} "
                    "service:event('e', function(d, ctx) d.n = d.n + 1 ctx.state.x = 1 "
                    "  log[#log + 1] = d.n roost.sleep(5) log[#log + 1] = 'late' return 'no' end)"
                    "service:event('e', function(d, ctx) d.n = d.n + 10 log[#log + 1] = d.n"
                    "  log[#log + 1] = tostring(ctx.state.x) .. ctx.kind end)"
                    "service:message('log', function() return log end)");
  service_test_load(&self, "b", "service:event('e', function() end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"e\"", "{\"n\":1}", NULL);
  service_test_advance(&self, 5);
  service_test_send(&self, &self.peer, "\"log\"", NULL, "1");
  service_test_expect(&self, "last 1 [2,11,\"nilevent\",\"late\"]\n");
  assert_int_equal(self.dispatch->stats.events, 3);
  service_test_deinit(&self);
}

static void each_kind_serves_the_other_where_it_is_alone(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "local log = {} local function note(t) log[#log + 1] = t return t end "
                    "service:event('e', function() return note('first') end)"
                    "service:event('e', function() note('second') error('ignored') end)"
                    "service:message('m', function(_, ctx) return note('m' .. ctx.kind) end)"
                    "service:event('both', function() return note('event') end)"
                    "service:message('both', function() return note('message') end)"
                    "service:message('log', function() return log end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"e\"", NULL, "1");
  service_test_send(&self, &self.peer, "\"m\"", NULL, NULL);
  service_test_send(&self, &self.peer, "\"both\"", NULL, "2");
  service_test_send(&self, &self.peer, "\"both\"", NULL, NULL);
  service_test_expect(&self, "last 1 \"first\"\nlast 2 \"message\"\n");
  service_test_send(&self, &self.peer, "\"log\"", NULL, "3");
  service_test_expect(&self, "last 3 [\"first\",\"second\",\"mevent\",\"message\",\"event\"]\n");
  service_test_deinit(&self);
}

/* --------------------------------------------------------------------- tables ---------------- */

static void wildcards_where_the_server_has_them(void **state) {
  (void)state;
  service_test self;
  service_test_prepare(&self);
  self.server_config.wildcards = true;
  assert_int_equal(service_test_dispatch(&self), 0);
  service_test_load(&self, "a",
                    "log = {}"
                    "service:event('a.>', function() log[#log + 1] = 'rest' end)"
                    "service:event('a.*', function(_, ctx)"
                    "  log[#log + 1] = ctx.route .. ctx.subject .. ctx.topic end)"
                    "service:event('a.b', function() log[#log + 1] = 'exact' end)"
                    "service:message('m.*', function(_, ctx) return ctx.subject end)"
                    "service:message('log', function() return log end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"a.b\"", NULL, NULL);
  service_test_send(&self, &self.peer, "\"log\"", NULL, "1");
  service_test_expect(&self, "last 1 [\"exact\",\"rest\",\"a.*a.ba.b\"]\n");
  service_test_send(&self, &self.peer, "\"m.x\"", NULL, "2");
  service_test_send(&self, &self.peer, "\"m.x.y\"", NULL, "3");
  service_test_expect(&self, "last 2 \"m.x\"\nunhandled 3 \n");
  service_test_deinit(&self);
}

static void conflict(void *ud, const roost_server_config *server, const roost_handler *kept,
                     const roost_handler *replaced) {
  char *text = ud;
  strcat(text, server->name);
  strcat(text, kept->generation->service->name);
  strcat(text, replaced->generation->service->name);
}

static void a_server_exposes_what_it_names(void **state) {
  (void)state;
  service_test self;
  static const char *const names[] = {"b", "c", NULL};
  char conflicts[32] = "";
  service_test_prepare(&self);
  self.server_config.services = names;
  assert_int_equal(service_test_dispatch(&self), 0);
  service_test_load(&self, "a",
                    "service:message('x', function() return 'a' end)"
                    "service:message('only', function() return 'a' end)");
  service_test_load(&self, "b", "service:message('x', function() return 'b' end)");
  service_test_load(&self, "c",
                    "service:message('x', function() return 'c' end)"
                    "service:message('n', { transport = 'nats' }, function() return 'n' end)"
                    "service:message('t', { transport = 'tcp' }, function() return 't' end)");
  service_test_go(&self);
  assert_int_equal(roost_dispatch_rebuild(self.dispatch, conflict, conflicts), 0);
  assert_string_equal(conflicts, "publiccb");
  service_test_send(&self, &self.peer, "\"x\"", NULL, "1");
  service_test_send(&self, &self.peer, "\"only\"", NULL, "2");
  service_test_send(&self, &self.peer, "\"n\"", NULL, "3");
  service_test_send(&self, &self.peer, "\"t\"", NULL, "4");
  service_test_expect(&self, "last 1 \"c\"\nunhandled 2 \nunhandled 3 \nlast 4 \"t\"\n");
  service_test_deinit(&self);
}

static void c_handler(void *ud, roost_call *call) {
  (void)ud;
  roost_call_reply(call, ROOST_SLICE("1"));
}

static void a_rebuild_swaps_all_tables_or_none(void **state) {
  (void)state;
  service_test self;
  roost_server_config second;
  roost_gate *gate;
  const char *why;
  service_test_init(&self);
  roost_server_config_init(&second);
  assert_int_equal(roost_dispatch_add_gate(&gate, self.dispatch, &second), 0);
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status != 0; n++) {
    const roost_table *before[2] = {self.gate->table, gate->table};
    self.probe.refuse_after = n;
    status = roost_dispatch_add_handler(self.dispatch, ROOST_SLICE("\"c\""), c_handler, NULL, &why);
    if (status != 0) {
      assert_int_equal(status, ROOST_ENOMEM);
      assert_ptr_equal(self.gate->table, before[0]);
      assert_ptr_equal(gate->table, before[1]);
      assert_true(roost_list_empty(&self.dispatch->handlers));
    }
  }
  self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  service_test_send(&self, &self.peer, "\"c\"", NULL, "1");
  service_test_expect(&self, "last 1 1\n");
  service_test_deinit(&self);
}

static void a_gate_that_is_taken_out_is_not_looked_at_again(void **state) {
  (void)state;
  service_test self;
  roost_server_config *gone = malloc(sizeof *gone);
  roost_gate *gate;
  service_test_init(&self);
  roost_server_config_init(gone);
  assert_int_equal(roost_dispatch_add_gate(&gate, self.dispatch, gone), 0);
  roost_dispatch_remove_gate(gate);
  free(gone);
  service_test_load(&self, "a", "service:message('m', function() return 1 end)");
  service_test_go(&self);
  service_test_deinit(&self);
}

/* --------------------------------------------------------------------- memory ---------------- */

static void a_request_may_fail_at_every_allocation(void **state) {
  (void)state;
  service_test self;
  bool answered = false;
  for (size_t n = 0; !answered; n++) {
    service_test_init(&self);
    service_test_load(&self, "a",
                      "service:message('m', function(d, ctx) ctx.log:info('x', { a = d })"
                      "  ctx:emit(d) roost.sleep(1) roost.all{ function() roost.sleep(1) end }"
                      "  return { d, ctx.pattern, ctx.metadata, ctx.peer, ctx.id } end)");
    service_test_go(&self);
    self.dispatch->config.request_timeout_ms = 20;
    self.probe.refuse_after = n;
    assert_int_equal(service_test_try(&self, &self.peer, "\"m\"", "{\"k\":[1,2,3]}", "1"), 0);
    service_test_advance(&self, 30);
    answered = strcmp(self.out, "item 1 {\"k\":[1,2,3]}\nlast 1 [{\"k\":[1,2,3]},\"m\",{},"
                                "{\"address\":\"10.0.0.5\",\"port\":4711},1]\n") == 0 ||
               strstr(self.out, "last 1 [") != NULL;
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    assert_int_equal(self.dispatch->stats.in_flight, 0);
    assert_int_equal(self.peer.origin.in_flight + self.peer.origin.streams, 0);
    self.out[0] = '\0';
    service_test_send(&self, &self.peer, "\"m\"", "5", "2"); /* the service goes on */
    service_test_advance(&self, 5);
    assert_non_null(strstr(self.out, "last 2 [5,"));
    service_test_deinit(&self);
    assert_true(n < 5000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_runs_its_handler),
      cmocka_unit_test(what_nobody_handles_is_said),
      cmocka_unit_test(what_no_rule_permits_is_refused),
      cmocka_unit_test(data_that_is_not_json_is_a_broken_frame),
      cmocka_unit_test(requests_of_one_service_follow_each_other_in_a_coroutine),
      cmocka_unit_test(whatever_follows_is_dispatched_in_its_turn),
      cmocka_unit_test(nothing_follows_data_that_is_not_json),
      cmocka_unit_test(every_handler_of_an_event_has_its_own_data),
      cmocka_unit_test(each_kind_serves_the_other_where_it_is_alone),
      cmocka_unit_test(wildcards_where_the_server_has_them),
      cmocka_unit_test(a_server_exposes_what_it_names),
      cmocka_unit_test(a_rebuild_swaps_all_tables_or_none),
      cmocka_unit_test(a_gate_that_is_taken_out_is_not_looked_at_again),
      cmocka_unit_test(a_request_may_fail_at_every_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
