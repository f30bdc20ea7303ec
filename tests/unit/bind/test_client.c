#include "bind_test.h"

#include <pthread.h>

#include "fake_client.h"
#include "wire/json.h"

/* Clients of scripts over a client that the test plays: it is connected at once, and answers each
 * request with the value it was sent, or not at all. */

typedef struct answering_client {
  fake_client fake; /* first */
  roost_alloc_probe *probe;
  bool up;
  char ids[8][32];     /* of what is not answered yet */
  char values[8][300]; /* it was sent */
  size_t waiting;
} answering_client;

static struct {
  answering_client *clients[16];
  size_t count;
  bool silent;
  bool refuses;
  unsigned messages;
  unsigned connects;
} fakes;

static answering_client *answering_of(const roost_client *client) {
  return (answering_client *)(uintptr_t)client;
}

static int dial(roost_client *client) {
  fakes.connects++;
  answering_of(client)->up = false;
  return fake_client_connect(client);
}

static int take(roost_client *client, const roost_message *head) {
  answering_client *self = answering_of(client);
  roost_buffer *out = &self->fake.out;
  const int status = fake_client_end(client, head);
  fakes.messages++;
  assert_int_equal(roost_json_validate(roost_buffer_slice(out)), 0);
  if (head->id.ptr != NULL && !fakes.silent) {
    assert_true(self->waiting < 8);
    snprintf(self->ids[self->waiting], sizeof self->ids[0], "%.*s", (int)head->id.len,
             head->id.ptr);
    snprintf(self->values[self->waiting++], sizeof self->values[0], "%.*s", (int)out->len,
             out->ptr);
  }
  roost_buffer_clear(out);
  return status;
}

static void free_client(roost_client *client) {
  answering_client *self = answering_of(client);
  for (size_t i = 0; i < fakes.count; i++)
    if (fakes.clients[i] == self)
      fakes.clients[i] = fakes.clients[--fakes.count];
  fake_client_deinit(&self->fake);
  roost_alloc_put(&self->probe->alloc, self, sizeof *self);
}

static const roost_client_ops *ops(void) {
  static roost_client_ops own = {FAKE_CLIENT_OPS};
  own.connect = dial;
  own.end = take;
  own.free = free_client;
  return &own;
}

static int open_client(void *ud, roost_client **out, const roost_client_config *config,
                       const roost_client_sink *sink, void *sink_ud) {
  roost_alloc_probe *probe = ud;
  answering_client *self = roost_alloc_get(&probe->alloc, sizeof *self);
  if (self == NULL)
    return ROOST_ENOMEM;
  assert_true(fakes.count < 16);
  fake_client_init(&self->fake, ops(), &probe->alloc, config, sink, sink_ud);
  self->probe = probe;
  fakes.clients[fakes.count++] = self;
  *out = &self->fake.client;
  return 0;
}

static void answer_all(answering_client *client) {
  while (client->waiting > 0) {
    client->waiting--;
    const roost_reply reply = {.id = roost_slice_text(client->ids[client->waiting]),
                               .response = roost_slice_text(client->values[client->waiting]),
                               .last = true};
    client->fake.client.sink->on_reply(client->fake.client.sink_ud, &reply);
  }
}

/* What dialling and asking come to, in a later turn. */
static void settle(service_test *self) {
  for (size_t i = 0; i < fakes.count; i++) {
    answering_client *client = fakes.clients[i];
    answer_all(client);
    if (client->up)
      continue;
    client->up = !fakes.refuses;
    if (fakes.refuses)
      client->fake.client.sink->on_closed(client->fake.client.sink_ud, ROOST_ECONNECT,
                                          "ECONNREFUSED");
    else if (fakes.connects > 0)
      client->fake.client.sink->on_open(client->fake.client.sink_ud);
  }
  service_test_turn(self);
}

static roost_client_config named = {
    .name = "A", .transport = "tcp", .host = "h", .port = 1, .max_buffer_size = 1000};

static void start(service_test *self, const char *body) {
  char code[4096];
  memset(&fakes, 0, sizeof fakes);
  service_test_init(self);
  self->dispatch->config.open_client = open_client;
  self->dispatch->config.open_client_ud = &self->probe;
  roost_dispatch_set_clients(self->dispatch, &named, 1);
  snprintf(code, sizeof code,
           "local client = roost.client 'A' service:message('run', function(data, ctx) %s end)",
           body);
  service_test_load(self, "a", code);
  service_test_go(self);
}

static void run(service_test *self) {
  service_test_send(self, &self->peer, "\"run\"", "null", "1");
  for (int i = 0; i < 4; i++)
    settle(self);
}

static void a_call_is_answered(void **state) {
  static service_test self;
  (void)state;
  start(&self, "return client:call('p', {1, 'x'})");
  run(&self);
  service_test_expect(&self, "last 1 [1,\"x\"]\n");
  run(&self);
  service_test_expect(&self, "last 1 [1,\"x\"]\n");
  assert_int_equal(fakes.connects, 1);
  service_test_deinit(&self);
}

static void the_request_that_makes_it_bounds_it(void **state) {
  static service_test self;
  (void)state;
  start(&self, "return client:call('p', 1)");
  self.dispatch->config.request_timeout_ms = 100;
  fakes.silent = true;
  run(&self);
  service_test_advance(&self, 100);
  service_test_expect(&self,
                      "error 1 {\"status\":\"error\",\"message\":\"Timeout has occurred\"}\n");
  service_test_advance(&self, 2000);
  service_test_deinit(&self);
}

static void a_refusal_names_where(void **state) {
  static service_test self;
  (void)state;
  start(&self, "local ok, err = pcall(client.call, client, 'p', 1) "
               "return { err.name, err.code, err.message, err.detail }");
  fakes.refuses = true;
  run(&self);
  service_test_expect(&self, "last 1 [\"ConnectionError\",\"ECONNREFUSED\",\"connect ECONNREFUSED "
                             "h:1\",\"Connection refused\"]\n");
  service_test_deinit(&self);
}

static void replies_nobody_takes_end_the_request(void **state) {
  static service_test self;
  (void)state;
  start(&self, "local s = client:send('p', ('x'):rep(2000)) "
               "local ok, err = pcall(s.last, s) return { err.name, err.code }");
  fakes.silent = true;
  run(&self);
  answering_client *client = fakes.clients[0];
  const roost_outbound *outbound =
      ROOST_LIST_ENTRY(self.dispatch->outbounds.next, roost_outbound, link);
  assert_int_equal(outbound->slots.count, 1);
  roost_buffer value;
  roost_buffer_init(&value, roost_alloc_default());
  assert_int_equal(roost_buffer_printf(&value, "\"%0999d\"", 1), 0);
  char id[32];
  snprintf(id, sizeof id, "\"%.5s%016llx\"", outbound->prefix, 1ull << 32);
  for (int i = 0; i < 2; i++) { /* before the task has its turn */
    const roost_reply reply = {.id = roost_slice_text(id), .response = roost_buffer_slice(&value)};
    client->fake.client.sink->on_reply(client->fake.client.sink_ud, &reply);
  }
  assert_int_equal(outbound->slots.count, 0);
  service_test_turn(&self);
  service_test_expect(&self, "last 1 [\"LimitError\",\"EFULL\"]\n");
  roost_buffer_deinit(&value);
  service_test_deinit(&self);
}

/* With memory for so many allocations only: whatever fails, what was sent is whole, nothing is left
 * open, and with memory again all is as ever. True where all went through. */
static bool run_short(size_t allowed) {
  static service_test self;
  start(&self, "local bad = setmetatable({}, {}) "
               "pcall(client.call, client, 'p', { a = { b = print } }) "
               "pcall(client.emit, client, { e = 1 }, { [print] = 1 }) "
               "client:emit('e', { x = ('y'):rep(100) }, { metadata = { m = 1 } }) "
               "local first = client:send('p', { 2 }):first()[1] "
               "return client:call({ p = 1 }, first + 1)");
  self.probe.refuse_after = allowed;
  service_test_try(&self, &self.peer, "\"run\"", "null", "1");
  service_test_turn(&self);
  for (int i = 0; i < 4; i++)
    settle(&self);
  self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  const bool all = strcmp(self.out, "last 1 3\n") == 0;
  for (size_t i = 0; i < fakes.count; i++)
    assert_false(fakes.clients[i]->fake.open);
  self.out[0] = '\0';
  run(&self);
  service_test_expect(&self, "last 1 3\n");
  for (roost_list *at = self.dispatch->outbounds.next; at != &self.dispatch->outbounds;
       at = at->next)
    assert_int_equal(ROOST_LIST_ENTRY(at, roost_outbound, link)->slots.count, 0);
  service_test_deinit(&self);
  return all;
}

static void each_allocation_may_fail(void **state) {
  size_t allowed = 0;
  (void)state;
  while (!run_short(allowed))
    allowed++;
  assert_in_range(allowed, 10, 2000);
}

/* ------------------------------------------------------- clients of a state that has ended ------
 */

/* Jobs wait here until the test runs them, on a thread of their own. */
static roost_list held;

static void hold(void *ud, roost_job *job) {
  (void)ud;
  roost_list_append(&held, &job->link);
}

static void *run_held(void *ud) {
  roost_runner runner;
  (void)ud;
  roost_runner_init(&runner);
  for (roost_list *at = held.next; at != &held; at = at->next) {
    roost_job *job = ROOST_LIST_ENTRY(at, roost_job, link);
    job->run(job, &runner);
  }
  return NULL;
}

static void close_elsewhere(void) {
  pthread_t thread;
  assert_false(roost_list_empty(&held));
  assert_int_equal(pthread_create(&thread, NULL, run_held, NULL), 0);
  pthread_join(thread, NULL);
  while (!roost_list_empty(&held)) {
    roost_job *job = ROOST_LIST_ENTRY(held.next, roost_job, link);
    roost_list_remove(&job->link);
    job->done(job);
  }
}

static void reload(service_test *self, const char *code) {
  char text[2048];
  snprintf(text, sizeof text,
           "local roost = require 'roost' local service = roost.service() %s\nreturn service\n",
           code);
  service_test_write(self, "a", text);
  roost_reload_start(self->dispatch->services[0], NULL);
  service_test_turn(self);
}

static size_t watchers_of(const roost_outbound *outbound) {
  size_t count = 0;
  for (const roost_list *at = outbound->watchers.next; at != &outbound->watchers; at = at->next)
    count++;
  return count;
}

/* What its finalizers try is refused, wherever they run. */
static const char finalizer[] =
    "local own = roost.client { transport = 'tcp', host = 'x', port = 1 }"
    "local server = roost.server('public') "
    "local subject = roost.stream.subject() "
    "subject:subscribe { next = function() end } "
    "client.status:subscribe(function() end) own:on('disconnect', function() end) "
    "last = setmetatable({}, { __gc = function() "
    "  local tries = { function() client:call('p', 1) end, function() own:emit('p', 1) end,"
    "    function() own:close() end, function() own:connect() end,"
    "    function() own:unwrap() end, function() server:unwrap() end,"
    "    function() server:close() end, function() roost.client('A') end,"
    "    function() roost.client { transport = 'tcp', host = 'x', port = 1 } end,"
    "    function() roost.spawn(print) end, function() roost.every(1, print) end,"
    "    function() roost.sleep(1) end, function() unread:first() end,"
    "    function() roost.all { print } end }"
    "  for i, try in ipairs(tries) do if pcall(try) then print('allowed', i) end end "
    "  subject:next(1) roost.store:incr('closed', 1) coroutine.wrap(print)('finalized')"
    "end }) "
    "roost.spawn(function() for _ in own:send('p', 1):each() do end end) "
    "roost.spawn(function() client:call('p', 1) end) "
    "unread = client:send('p', 1) told = own:emit('e', 1) return 1";

static void those_of_an_old_state_end_before_it_is_closed(void **state) {
  static service_test self;
  (void)state;
  start(&self, finalizer);
  self.gate->server = &self.server;
  roost_list_init(&self.server.watchers);
  roost_list_init(&held);
  self.dispatch->config.reaper = (roost_jobs){hold, NULL};
  self.dispatch->config.drain_timeout_ms = 1000;
  fakes.silent = true;
  run(&self);
  service_test_expect(&self, "last 1 1\n");
  assert_int_equal(fakes.count, 2);
  reload(&self, "service:message('run', function() return 2 end)");
  assert_true(roost_list_empty(&held));
  service_test_advance(&self, 1002);
  assert_int_equal(fakes.count, 1); /* the one made from a table has gone with the state */
  const roost_outbound *outbound =
      ROOST_LIST_ENTRY(self.dispatch->outbounds.next, roost_outbound, link);
  assert_int_equal(outbound->slots.count, 0);
  assert_int_equal(watchers_of(outbound), 0);
  service_test_forget(&self);
  close_elsewhere();
  service_test_expect_line(&self, "msg=\"finalized\"");
  assert_null(strstr(self.lines, "allowed"));
  run(&self);
  service_test_expect(&self, "last 1 2\n");
  service_test_deinit(&self);
}

/* A reply that comes meanwhile finds nobody. */
static void a_late_reply_finds_nobody(void **state) {
  static service_test self;
  (void)state;
  start(&self, "roost.spawn(function() client:call('p', 1) end) return 1");
  roost_list_init(&held);
  self.dispatch->config.reaper = (roost_jobs){hold, NULL};
  self.dispatch->config.drain_timeout_ms = 10;
  service_test_send(&self, &self.peer, "\"run\"", "null", "1");
  for (size_t i = 0; i < fakes.count; i++) { /* connected, and what is asked is out */
    fakes.clients[i]->up = true;
    fakes.clients[i]->fake.client.sink->on_open(fakes.clients[i]->fake.client.sink_ud);
  }
  service_test_turn(&self);
  assert_int_equal(fakes.clients[0]->waiting, 1);
  reload(&self, "local client = roost.client 'A' "
                "service:message('run', function() return client:call('p', 2) end)");
  service_test_advance(&self, 12);
  assert_false(roost_list_empty(&held));
  answer_all(fakes.clients[0]);
  service_test_forget(&self);
  run(&self);
  service_test_expect(&self, "last 1 2\n");
  close_elsewhere();
  service_test_deinit(&self);
}

/* What a main chunk says is recorded only, and where the reload is refused nothing has been made.
 */
static void a_state_that_is_refused_makes_none(void **state) {
  static service_test self;
  (void)state;
  start(&self, "return client:call('p', 1)");
  roost_list_init(&held);
  self.dispatch->config.reaper = (roost_jobs){hold, NULL};
  run(&self);
  service_test_expect(&self, "last 1 1\n");
  reload(&self, "local own = roost.client { transport = 'tcp', host = 'x', port = 1 } "
                "local client = roost.client 'A' client.status:subscribe(print) "
                "assert(not pcall(client.call, client, 'p', 1)) error('no luck')");
  service_test_expect_line(&self, "no luck");
  assert_int_equal(fakes.count, 1);
  reload(&self, "local own = roost.client { transport = 'tcp', host = 'x', port = 1 } "
                "service:on_start(function() own:connect() error('not today') end)");
  assert_int_equal(fakes.count, 2);
  settle(&self);
  service_test_expect_line(&self, "not today");
  assert_int_equal(fakes.count, 1);
  close_elsewhere();
  run(&self);
  service_test_expect(&self, "last 1 1\n");
  service_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_call_is_answered),
      cmocka_unit_test(the_request_that_makes_it_bounds_it),
      cmocka_unit_test(a_refusal_names_where),
      cmocka_unit_test(replies_nobody_takes_end_the_request),
      cmocka_unit_test(each_allocation_may_fail),
      cmocka_unit_test(those_of_an_old_state_end_before_it_is_closed),
      cmocka_unit_test(a_late_reply_finds_nobody),
      cmocka_unit_test(a_state_that_is_refused_makes_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
