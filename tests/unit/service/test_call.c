#include "service_test.h"

#include <lua.h>

/* --------------------------------------------------------------------- replies --------------- */

static void streams_and_their_end_mark(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "service:message('now', function(d, ctx) for i = 1, d do ctx:emit(i) end end)"
                    "service:message('value', function(_, ctx) ctx:emit(1) return 2 end)"
                    "service:message('void', function(_, ctx) ctx:emit(nil) ctx:emit(1)"
                    "  ctx:emit(nil) roost.sleep(1) end)"
                    "service:message('later', function(_, ctx) ctx:emit(1) roost.sleep(2) end)"
                    "service:message('of', function() return roost.stream.of(1, 2) end)"
                    "service:message('none', function() return roost.stream.of() end)"
                    "service:message('from', function() return roost.stream.from{ 'x' } end)"
                    "service:message('create', function() return roost.stream.create(function(o)"
                    "  o:next(1) roost.sleep(2) o:next(2) o:complete() o:next(3) end) end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"now\"", "3", "1");
  service_test_expect(&self, "item 1 1\nitem 1 2\nlast 1 3\n");
  service_test_send(&self, &self.peer, "\"now\"", "0", "1");
  service_test_expect(&self, "end 1 \n");
  service_test_send(&self, &self.peer, "\"value\"", NULL, "2");
  service_test_expect(&self, "item 2 1\nlast 2 2\n");
  service_test_send(&self, &self.peer, "\"void\"", NULL, "3");
  service_test_advance(&self, 1);
  service_test_expect(&self, "void 3 \nitem 3 1\nvoid 3 \nend 3 \n");
  service_test_send(&self, &self.peer, "\"later\"", NULL, "4");
  service_test_expect(&self, "item 4 1\n");
  service_test_advance(&self, 2);
  service_test_expect(&self, "end 4 \n");
  service_test_send(&self, &self.peer, "\"of\"", NULL, "5");
  service_test_send(&self, &self.peer, "\"none\"", NULL, "6");
  service_test_send(&self, &self.peer, "\"from\"", NULL, "7");
  service_test_expect(&self, "item 5 1\nlast 5 2\nend 6 \nlast 7 \"x\"\n");
  service_test_send(&self, &self.peer, "\"create\"", NULL, "8");
  service_test_advance(&self, 2);
  service_test_expect(&self, "item 8 1\nlast 8 2\n");
  assert_int_equal(self.peer.origin.in_flight + self.peer.origin.streams, 0);
  service_test_deinit(&self);
}

static void errors_are_masked_but_for_rpc_errors(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "\nlocal function deep() error('boom') end "
                    "service:message('e', function()\n deep() end)"
                    "service:message('rpc', function(d) error(roost.rpc_error(d)) end)"
                    "service:message('pair', function() return nil, 'no' end)"
                    "service:message('bad', function() return { a = { print } } end)"
                    "service:message('item', function(_, ctx) ctx:emit(1)"
                    "  ctx:emit(print) end)"
                    "service:message('rpcbad', function()"
                    "  error(roost.rpc_error{ x = print }) end)"
                    "service:message('nothing', function() error() end)");
  service_test_go(&self);
  static const char masked[] =
      "error 1 {\"status\":\"error\",\"message\":\"Internal server error\"}\n";
  service_test_send(&self, &self.peer, "\"e\"", NULL, "1");
  service_test_expect(&self, masked);
  service_test_expect_line(&self, "msg=\"handler failed\" service=a worker=0 gen=1 server=public "
                                  "peer=10.0.0.5:4711 req=1 pattern=e ms=0 err=\"a.lua:2: boom\" "
                                  "trace=\"a.lua:2: in ");
  service_test_forget(&self);
  service_test_send(&self, &self.peer, "\"rpc\"", "\"boom\"", "1");
  service_test_send(&self, &self.peer, "\"rpc\"", "{\"code\":42}", "2");
  service_test_expect(&self, "error 1 {\"status\":\"error\",\"message\":\"boom\"}\n"
                             "error 2 {\"code\":42}\n");
  assert_string_equal(self.lines, "");
  const char *const wrong[] = {"pair", "bad", "rpcbad", "nothing"};
  for (size_t i = 0; i < 4; i++) {
    char pattern[16];
    snprintf(pattern, sizeof pattern, "\"%s\"", wrong[i]);
    service_test_send(&self, &self.peer, pattern, NULL, "1");
    service_test_expect(&self, masked);
    service_test_expect_line(&self, wrong[i]);
  }
  service_test_expect_line(&self, "the reply cannot be sent: a[1]: a function cannot be sent");
  service_test_expect_line(&self, "err=no");
  service_test_send(&self, &self.peer, "\"item\"", NULL, "1");
  service_test_expect(&self,
                      "item 1 1\n"
                      "error 1 {\"status\":\"error\",\"message\":\"Internal server error\"}\n");
  service_test_expect_line(&self, "the item cannot be sent: a function cannot be sent");
  assert_int_equal(self.dispatch->stats.errors, 8);
  service_test_deinit(&self);
}

/* An error that passes by while a reply is half written must not leave the half behind: the stub
 * fails when the next one begins before that. */
static void a_reply_that_memory_is_too_short_for(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  roost_generation *generation = service_test_load(
      &self, "a",
      "local deep = 1 for i = 1, 900 do deep = { deep } end "
      "service:message('deep', function() return deep end)"
      "service:message('rpc', function() error(roost.rpc_error{ deep = deep }) end)");
  service_test_go(&self);
  generation->vm->exhausted = true; /* known already: it is not to be replaced */
  for (int i = 0; i < 2; i++) {
    roost_vm *vm = generation->vm;
    const char *pattern = i == 0 ? "\"deep\"" : "\"rpc\"";
    size_t most = 0;
    for (size_t room = 0; room < 200000; room += 500) {
      lua_gc(vm->lua, LUA_GCCOLLECT);
      vm->memory_limit = vm->memory_bytes + room;
      self.out[0] = self.lines[0] = '\0';
      service_test_send(&self, &self.peer, pattern, NULL, "1");
      assert_false(self.writing);
      most = strlen(self.out) > most ? strlen(self.out) : most;
    }
    vm->memory_limit = SIZE_MAX;
    assert_true(most > 1800); /* in the end there was room enough */
  }
  service_test_deinit(&self);
}

/* --------------------------------------------------------------------- ctx ------------------- */

static void ctx_tells_of_the_message(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(
      &self, "a",
      "service:message({ a = 1, b = { 'x' } }, function(data, ctx)"
      "  local p = ctx.pattern local before = { p.a, p.b, ctx.subject } ctx.state.n = 1"
      "  roost.sleep(1)"
      "  return { before, ctx.route, ctx.id, ctx.kind, ctx.transport, ctx.server, ctx.metadata,"
      "    ctx.peer.address, ctx.peer.port, ctx.state, ctx.data == data, ctx.headers == "
      "ctx.metadata,"
      "    ctx.deadline - roost.now(), ctx:cancelled(), ctx == roost.context() } end)"
      "service:message('kept', function(d) roost.sleep(1) local c = roost.context()"
      "  return { c.data, c.pattern, c.id } end)"
      "service:message('spawn', function(d) roost.spawn(function() roost.sleep(3)"
      "  local c = roost.context() c.log:info('seen', { data = c.data, out = c:emit(1) }) end) "
      "  return 1 end)"
      "service:message('wrong', function(_, ctx) ctx.x = 1 end)"
      "service:message('old', function(_, ctx) if last then return { last.id, "
      "tostring(last.pattern), "
      "  last:cancelled(), last:emit(1) } end last = ctx local _ = ctx.id end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "{\"b\":[\"x\"],\"a\":1}", "{\"d\":1}", "\"i\"");
  service_test_advance(&self, 1);
  service_test_expect(&self,
                      "last \"i\" [[1,[\"x\"],\"{\\\"a\\\":1,\\\"b\\\":{\\\"0\\\":"
                      "\\\"x\\\"}}\"],\"{\\\"a\\\":1,\\\"b\\\":{\\\"0\\\":\\\"x\\\"}}\",\"i\","
                      "\"message\",\"tcp\",\"public\",{},\"10.0.0.5\",4711,"
                      "{\"n\":1},true,true,29999,false,true]\n");
  service_test_send(&self, &self.peer, "\"kept\"", "[7]", "2");
  service_test_advance(&self, 1);
  service_test_expect(&self, "last 2 [[7],\"kept\",2]\n");
  service_test_send(&self, &self.peer, "\"spawn\"", "[8]", "3");
  service_test_advance(&self, 3);
  service_test_expect(&self, "last 3 1\n");
  service_test_expect_line(&self, "msg=\"seen\" service=a worker=0 gen=1 server=public "
                                  "peer=10.0.0.5:4711 req=3 pattern=spawn ");
  service_test_expect_line(&self, "data=[8]");
  service_test_expect_line(&self, "out=false");
  service_test_send(&self, &self.peer, "\"wrong\"", NULL, "4");
  service_test_expect_line(&self, "ctx.x cannot be set");
  service_test_forget(&self);
  service_test_send(&self, &self.peer, "\"old\"", NULL, "5");
  service_test_send(&self, &self.peer, "\"old\"", NULL, "6");
  service_test_expect(&self, "end 5 \nlast 6 [5,\"nil\",true,false]\n");
  service_test_deinit(&self);
}

static void someone_else_may_wait_for_room_with_a_ctx(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "service:message('m', function(_, ctx) ctx:emit(1)"
                    "  roost.after(1, function() print('emitted', ctx:emit(2)) end)"
                    "  roost.sleep(5) end)");
  service_test_go(&self);
  self.peer.crowded = true;
  service_test_send(&self, &self.peer, "\"m\"", NULL, "1");
  self.peer.crowded = false;
  roost_dispatch_sink.on_writable(self.gate, &self.peer.origin);
  service_test_turn(&self);
  self.peer.crowded = true;
  service_test_advance(&self, 10); /* the call is over, and its memory used again */
  service_test_expect_line(&self, "emitted\\tfalse");
  service_test_deinit(&self);
}

/* --------------------------------------------------------------------- time ------------------ */

static void time_is_for_the_next_reply(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "service:message('t', { timeout = 10 }, function(_, ctx)"
                    "  roost.sleep(8) ctx:emit(1) roost.sleep(8) ctx:emit(2)"
                    "  local ok, err = pcall(roost.sleep, 20) print(err.name) return 'late' end)"
                    "service:event('t', { timeout = 10 }, function()"
                    "  local x <close> = setmetatable({}, { __close = function(_, e)"
                    "    print('event', e.code) end }) roost.sleep(50) end)"
                    "service:message('none', { timeout = 0 }, function() roost.sleep(100000) end)"
                    "service:message('default', function(_, ctx) roost.sleep(40000) end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"t\"", NULL, "1");
  service_test_advance(&self, 25);
  service_test_expect(&self, "item 1 1\nitem 1 2\n");
  service_test_advance(&self, 1);
  service_test_expect(&self,
                      "error 1 {\"status\":\"error\",\"message\":\"Timeout has occurred\"}\n");
  service_test_expect_line(&self, "msg=\"CancelledError\"");
  service_test_expect_line(&self, "handler ran out of time");
  service_test_send(&self, &self.peer, "\"t\"", NULL, NULL);
  service_test_advance(&self, 11);
  service_test_expect_line(&self, "event\\tECANCELED");
  service_test_send(&self, &self.peer, "\"none\"", NULL, "2");
  service_test_send(&self, &self.peer, "\"default\"", NULL, "3");
  service_test_advance(&self, 30000);
  service_test_expect(&self,
                      "error 3 {\"status\":\"error\",\"message\":\"Timeout has occurred\"}\n");
  assert_int_equal(self.dispatch->stats.timeouts, 3);
  assert_int_equal(self.dispatch->stats.in_flight, 1);
  service_test_deinit(&self);
}

static void one_that_ignores_its_cancel_is_reset(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "service:message('m', { timeout = 10 }, function()"
                    "  local x <close> = setmetatable({}, { __close = function()"
                    "    roost.sleep(5000) end }) roost.sleep(50) end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"m\"", NULL, "1");
  service_test_advance(&self, 1009);
  assert_int_equal(self.dispatch->stats.in_flight, 1);
  service_test_advance(&self, 1);
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  assert_int_equal(self.dispatch->stats.errors, 0); /* it was answered already */
  service_test_deinit(&self);
}

/* --------------------------------------------------------------------- the caller leaves ----- */

static const char leaving[] =
    "service:message('single', function(_, ctx) roost.sleep(10) print('single', ctx:cancelled())"
    "  return 'owed' end)"
    "service:message('emit', function(_, ctx) ctx:emit(1) roost.sleep(10)"
    "  print('emit', ctx:emit(2), ctx:cancelled()) end)"
    "service:message('stream', function() return roost.stream.create(function(o) o:next(1)"
    "  return function() print('torn down') end end) end)"
    "service:message('silent', function() return roost.stream.create(function()"
    "  return function() print('silent torn down') end end) end)";

static void with_a_fin_replies_owed_are_still_sent(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a", leaving);
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"single\"", NULL, "1");
  service_test_send(&self, &self.peer, "\"emit\"", NULL, "2");
  service_test_send(&self, &self.peer, "\"stream\"", NULL, "3");
  service_test_send(&self, &self.peer, "\"silent\"", NULL, "4");
  service_test_expect(&self, "item 2 1\nitem 3 1\n");
  assert_int_equal(self.peer.origin.in_flight, 2); /* a stream counts as one with its first item */
  assert_int_equal(self.peer.origin.streams, 2);
  service_test_gone(&self, &self.peer, true);
  service_test_expect_line(&self, "torn down");
  service_test_expect_line(&self, "silent torn down");
  assert_int_equal(self.peer.origin.in_flight, 1);
  assert_int_equal(self.peer.origin.streams, 0);
  service_test_advance(&self, 10);
  service_test_expect(&self, "last 1 \"owed\"\n");
  service_test_expect_line(&self, "single\\ttrue");
  service_test_expect_line(&self, "emit\\tfalse\\ttrue");
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  service_test_gone(&self, &self.peer, false);
  service_test_deinit(&self);
}

static void when_he_is_lost_nothing_is_sent(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a", leaving);
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"single\"", NULL, "1");
  service_test_send(&self, &self.other, "\"single\"", NULL, "2");
  service_test_send(&self, &self.peer, "\"stream\"", NULL, "3");
  self.out[0] = '\0';
  service_test_gone(&self, &self.peer, false);
  assert_true(roost_list_empty(&self.peer.origin.calls));
  assert_int_equal(self.peer.origin.in_flight + self.peer.origin.streams, 0);
  memset(&self.peer, 0x5a, sizeof self.peer); /* it is freed now */
  service_test_advance(&self, 10);
  service_test_expect(&self, "last 2 \"owed\"\n");
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  service_test_deinit(&self);
}

/* --------------------------------------------------------------------- limits ---------------- */

static void emit_waits_while_the_peer_is_crowded(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "service:message('m', function(_, ctx) for i = 1, 3 do"
                    "  print(i, ctx:emit(i)) end end)"
                    "service:event('e', function(_, ctx) print('event', ctx:emit(1)) end)");
  service_test_go(&self);
  self.peer.crowded = true;
  service_test_send(&self, &self.peer, "\"e\"", NULL, NULL);
  service_test_expect_line(&self, "event\\tfalse");
  service_test_send(&self, &self.peer, "\"m\"", NULL, "1");
  service_test_expect(&self, "");
  service_test_writable(&self, &self.peer);
  service_test_expect(&self, "item 1 1\nitem 1 2\nlast 1 3\n");
  self.peer.crowded = true;
  service_test_send(&self, &self.peer, "\"m\"", NULL, "2");
  service_test_gone(&self, &self.peer, true);
  service_test_expect_line(&self, "1\\tfalse");
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  service_test_deinit(&self);
}

static void streams_beyond_the_limit_are_refused(void **state) {
  (void)state;
  service_test self;
  service_test_prepare(&self);
  self.server_config.max_streams = 2;
  assert_int_equal(service_test_dispatch(&self), 0);
  service_test_load(&self, "a",
                    "service:message('emit', function(_, ctx) print(ctx:emit(1)) roost.sleep(9) "
                    "end)"
                    "service:message('make', function() return roost.stream.create(function(o)"
                    "  o:next(1) end) end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"emit\"", NULL, "1");
  service_test_send(&self, &self.peer, "\"make\"", NULL, "2");
  service_test_expect(&self, "item 1 1\nitem 2 1\n");
  assert_int_equal(self.peer.origin.streams, 2);
  service_test_send(&self, &self.peer, "\"emit\"", NULL, "3");
  service_test_send(&self, &self.peer, "\"make\"", NULL, "4");
  service_test_expect(&self, "error 3 {\"status\":\"error\",\"message\":\"Too many streams\"}\n"
                             "error 4 {\"status\":\"error\",\"message\":\"Too many streams\"}\n");
  assert_int_equal(self.peer.origin.streams, 2);
  service_test_send(&self, &self.other, "\"emit\"", NULL, "5"); /* it is for each connection */
  service_test_expect(&self, "item 5 1\n");
  service_test_deinit(&self);
}

static void a_drain_cuts_off_what_still_runs(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "service:message('m', function() local ok, e = pcall(roost.sleep, 500)"
                    "  print(e.name) end)"
                    "service:event('m', function() roost.sleep(500) end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"m\"", NULL, "1");
  service_test_send(&self, &self.peer, "\"m\"", NULL, NULL);
  roost_dispatch_cut(self.dispatch, NULL);
  service_test_turn(&self);
  service_test_expect(&self,
                      "error 1 {\"status\":\"error\",\"message\":\"Service is shutting down\"}\n");
  service_test_expect_line(&self, "CancelledError");
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  service_test_deinit(&self);
}

static void calls_still_running_are_freed_with_the_dispatch(void **state) {
  (void)state;
  service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "service:message('m', function(_, ctx) ctx:emit(1)"
                    "  roost.spawn(function() roost.sleep(50) end) roost.sleep(50) end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"m\"", "[1]", "1");
  service_test_send(&self, &self.peer, "\"m\"", "[1]", "2");
  service_test_gone(&self, &self.peer, false);
  service_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(streams_and_their_end_mark),
      cmocka_unit_test(errors_are_masked_but_for_rpc_errors),
      cmocka_unit_test(a_reply_that_memory_is_too_short_for),
      cmocka_unit_test(ctx_tells_of_the_message),
      cmocka_unit_test(someone_else_may_wait_for_room_with_a_ctx),
      cmocka_unit_test(time_is_for_the_next_reply),
      cmocka_unit_test(one_that_ignores_its_cancel_is_reset),
      cmocka_unit_test(with_a_fin_replies_owed_are_still_sent),
      cmocka_unit_test(when_he_is_lost_nothing_is_sent),
      cmocka_unit_test(emit_waits_while_the_peer_is_crowded),
      cmocka_unit_test(streams_beyond_the_limit_are_refused),
      cmocka_unit_test(a_drain_cuts_off_what_still_runs),
      cmocka_unit_test(calls_still_running_are_freed_with_the_dispatch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
