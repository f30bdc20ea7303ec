/*
 * What an embedder has besides a host that answers: requests of its own, modules for Lua, a budget
 * for polls, limits. Through roost.h alone.
 */
#include <time.h>

#include "host_test.h"

static roost_slice text(const char *of) {
  return (roost_slice){of, strlen(of)};
}

/* --------------------------------------------------------------------- requests -------------- */

typedef struct heard {
  int count;
  int status;
  bool last;
  char lines[512]; /* status:data; of each reply */
} heard;

static void hear(void *ud, int status, roost_slice data, bool last) {
  heard *self = ud;
  const size_t len = strlen(self->lines);
  assert_false(self->last);
  self->count++;
  self->status = status;
  self->last = last;
  snprintf(self->lines + len, sizeof self->lines - len, "%d:%.*s;", status, (int)data.len,
           data.ptr != NULL ? data.ptr : "");
}

static void until_heard(roost_host *host, const heard *self) {
  for (int i = 0; i < 2000 && !self->last; i++)
    assert_true(roost_host_poll(host, 5) >= 0);
  assert_true(self->last);
}

static void ask(host_test *self, const char *client, const char *pattern, const char *data,
                const char *expected) {
  heard got = {0};
  assert_int_equal(roost_request(self->host, client, text(pattern), text(data), 2000, hear, &got),
                   0);
  assert_int_equal(got.count, 0); /* never inside the request */
  until_heard(self->host, &got);
  assert_string_equal(got.lines, expected);
}

static const char streaming[] =
    "local roost = require 'roost' local service = roost.service() "
    "service:message('echo', function(d) return d end) "
    "service:message('slow', function(d) roost.sleep(20) return d end) "
    "service:message('never', function(d) roost.sleep(100000) end) "
    "service:message('nothing', function() end) "
    "service:message('fail', function() error(roost.rpc_error 'no') end) "
    "service:message('count', function(d, ctx) for i = 1, 3 do ctx:emit(i) end end) "
    "service:event('note', function(d) print('noted ' .. d.x) end) return service";

static void requests_reach_its_own_handlers(void **state) {
  (void)state;
  host_test self;
  host_test_init(&self);
  host_test_put(&self, "a.lua", streaming);
  host_test_load(&self);
  assert_int_equal(roost_host_poll(self.host, 0), 1);
  ask(&self, "local", "echo", "{\"a\":[1,2.5,null,{}]}", "0:{\"a\":[1,2.5,null,{}]};");
  ask(&self, "local", "\"echo\"", "\"\xc3\xa9\"", "0:\"\xc3\xa9\";");
  ask(&self, "local", "slow", "1", "0:1;");
  ask(&self, "local", "nothing", "1", "0:;");
  ask(&self, "local", "fail", "1", "-13:{\"status\":\"error\",\"message\":\"no\"};");
  ask(&self, "local", "nobody", "1",
      "-13:\"There is no matching message handler defined in the remote service.\";");
  ask(&self, "local", "count", "1", "0:1;0:2;0:3;");
  assert_int_equal(roost_emit(self.host, "local", text("note"), text("{\"x\":5}")), 0);
  host_test_until_logged(&self, "noted 5");
  host_test_deinit(&self);
}

static void answer_with_pattern(void *ud, roost_call *call) {
  (void)ud;
  const roost_slice pattern = roost_call_pattern(call);
  (void)roost_call_reply(call, pattern);
}

/* As in Nest, where '' is a pattern as any other text. */
static void the_empty_text_is_a_pattern(void **state) {
  (void)state;
  host_test self;
  host_test_init(&self);
  host_test_load(&self);
  ask(&self, "local", "", "1",
      "-13:\"There is no matching message handler defined in the remote service.\";");
  assert_int_equal(roost_emit(self.host, "local", text(""), text("1")), 0);
  assert_int_equal(roost_host_handle(self.host, "", answer_with_pattern, NULL), 0);
  ask(&self, "local", "", "1", "0:\"\";");
  ask(&self, "local", "\"\"", "1", "0:\"\";");
  host_test_deinit(&self);
}

static void requests_go_to_other_hosts(void **state) {
  (void)state;
  host_test self;
  host_test other;
  char url[64];
  host_test_init(&other);
  host_test_put(&other, "a.lua", streaming);
  host_test_load(&other);
  snprintf(url, sizeof url, "tcp://127.0.0.1:%d", roost_host_port(other.host, 0));
  host_test_init(&self);
  assert_int_equal(roost_host_connect(self.host, "OTHER", url), 0);
  host_test_put(&self, "a.lua",
                "local roost = require 'roost' local service = roost.service() "
                "local other = roost.client('OTHER') service:message('through', function(d) "
                "return other:call('echo', d) end) return service");
  host_test_load(&self);
  const char *const asked[][3] = {{"OTHER", "echo", "0:[7];"}, {"local", "through", "0:[7];"}};
  for (size_t i = 0; i < 2; i++) {
    heard got = {0};
    assert_int_equal(
        roost_request(self.host, asked[i][0], text(asked[i][1]), text("[7]"), 0, hear, &got), 0);
    for (int n = 0; n < 2000 && !got.last; n++) {
      assert_true(roost_host_poll(self.host, 1) >= 0);
      assert_true(roost_host_poll(other.host, 1) >= 0);
    }
    assert_string_equal(got.lines, asked[i][2]);
  }
  assert_int_equal(roost_emit(self.host, "OTHER", text("note"), text("{\"x\":6}")), 0);
  for (int n = 0; n < 2000 && !host_test_has_logged(&other, "noted 6"); n++) {
    assert_true(roost_host_poll(self.host, 1) >= 0);
    assert_true(roost_host_poll(other.host, 1) >= 0);
  }
  assert_true(host_test_has_logged(&other, "noted 6"));
  heard late = {0}; /* a client that is named while the host runs */
  assert_int_equal(roost_host_connect(self.host, "LATER", url), 0);
  assert_int_equal(roost_request(self.host, "LATER", text("echo"), text("[8]"), 0, hear, &late), 0);
  for (int n = 0; n < 2000 && !late.last; n++) {
    assert_true(roost_host_poll(self.host, 1) >= 0);
    assert_true(roost_host_poll(other.host, 1) >= 0);
  }
  assert_string_equal(late.lines, "0:[8];");
  host_test_deinit(&other);
  host_test_deinit(&self);
}

static void requests_fail_as_they_say(void **state) {
  (void)state;
  host_test self;
  heard got = {0};
  heard cut = {0};
  host_test_init(&self);
  host_test_put(&self, "a.lua", streaming);
  assert_int_equal(roost_host_connect(self.host, "NONE", "tcp://127.0.0.1:1"), 0);
  assert_int_equal(roost_host_connect(self.host, "NONE", "tcp://127.0.0.1:1"), ROOST_ESTATE);
  assert_int_equal(roost_host_connect(self.host, "local", "tcp://127.0.0.1:1"), ROOST_EINVAL);
  assert_int_equal(roost_host_connect(self.host, "a b", "tcp://127.0.0.1:1"), ROOST_EINVAL);
  assert_int_equal(roost_host_connect(self.host, "B", "tcp://127.0.0.1:0"), ROOST_EINVAL);
  assert_non_null(strstr(roost_host_error(self.host), "clients.B.url: 0 is no port"));
  assert_int_equal(roost_host_connect(self.host, "B", "ftp://127.0.0.1:1"), ROOST_EINVAL);
  assert_int_equal(roost_host_connect(self.host, "B", "tcp://\"]}"), ROOST_EINVAL);
  assert_int_equal(roost_host_connect(self.host, "B", NULL), ROOST_EINVAL);
  host_test_load(&self);
  assert_int_equal(roost_host_connect(self.host, "NONE", "tcp://127.0.0.1:2"), ROOST_ESTATE);
  const roost_slice one = text("1");
  const roost_slice none = {NULL, 0};
  assert_int_equal(roost_request(self.host, "WHO", one, one, 0, hear, &got), ROOST_ENOENT);
  assert_int_equal(roost_request(self.host, NULL, one, one, 0, hear, &got), ROOST_EINVAL);
  assert_int_equal(roost_request(self.host, "local", none, one, 0, hear, &got), ROOST_EINVAL);
  assert_int_equal(roost_request(self.host, "local", text("true"), one, 0, hear, &got),
                   ROOST_EINVAL);
  assert_int_equal(roost_request(self.host, "local", one, text("{"), 0, hear, &got), ROOST_EINVAL);
  assert_int_equal(roost_request(self.host, "local", one, text("\"\xff\""), 0, hear, &got),
                   ROOST_EINVAL);
  assert_int_equal(roost_request(self.host, "local", one, one, 0, NULL, NULL), ROOST_EINVAL);
  assert_int_equal(roost_request(self.host, "NONE", one, one, 0, hear, &got), 0);
  until_heard(self.host, &got);
  assert_int_equal(got.status, ROOST_ECONNECT);
  assert_int_equal(roost_emit(self.host, "NONE", one, none), 0);
  host_test_until_logged(&self, "an event was not sent");
  got = (heard){0};
  assert_int_equal(roost_request(self.host, "local", text("never"), one, 20, hear, &got), 0);
  until_heard(self.host, &got);
  assert_int_equal(got.status, ROOST_ETIMEDOUT);
  assert_int_equal(roost_request(self.host, "local", text("never"), one, 0, hear, &cut), 0);
  assert_int_equal(roost_host_poll(self.host, 0), 1);
  host_test_deinit(&self);
  assert_string_equal(cut.lines, "-8:the host is being freed;");
}

/* A handler that answers when another one has. */
static void pass_on(void *ud, int status, roost_slice data, bool last) {
  assert_int_equal(status, 0);
  assert_true(last);
  assert_int_equal(roost_call_reply(ud, data), 0);
}

static void on_proxy(void *ud, roost_call *call) {
  host_test *self = ud;
  assert_int_equal(
      roost_request(self->host, "local", text("slow"), roost_call_data(call), 0, pass_on, call), 0);
}

static void a_handler_may_wait_for_a_request(void **state) {
  (void)state;
  host_test self;
  host_test_init(&self);
  host_test_put(&self, "a.lua", streaming);
  assert_int_equal(roost_host_handle(self.host, "proxy", on_proxy, &self), 0);
  host_test_load(&self);
  int fd = host_test_connect(self.host, 0);
  host_test_send(fd, "proxy", "[1]", "1");
  host_test_expect(&self, fd, "{\"response\":[1],\"isDisposed\":true,\"id\":\"1\"}");
  close(fd);
  host_test_deinit(&self);
}

/* --------------------------------------------------------------------- modules --------------- */

static int on_move(void *ud, roost_params *params) {
  int *moves = ud;
  const int64_t id = roost_params_integer(params, 0);
  const double by = roost_params_number(params, 1);
  const roost_slice name = roost_params_text(params, 2);
  ++*moves;
  assert_false(roost_params_boolean(params, 0)); /* of another kind */
  assert_null(roost_params_text(params, 9).ptr);
  if (id < 0)
    return roost_raise(params, "no such entity");
  if (id == 0)
    return ROOST_EFULL;
  int status = roost_return_integer(params, id + 1);
  if (status == 0)
    status = roost_return_number(params, by * 2);
  if (status == 0)
    status =
        roost_params_given(params, 2) ? roost_return_text(params, name) : roost_return_nil(params);
  return status == 0 ? roost_return_boolean(params, roost_params_boolean(params, 3)) : status;
}

static int on_json(void *ud, roost_params *params) {
  (void)ud;
  return roost_return_json(params, roost_params_json(params, 0));
}

static int on_bad(void *ud, roost_params *params) {
  (void)ud;
  return roost_return_json(params, text("[1,"));
}

static int on_many(void *ud, roost_params *params) {
  (void)ud;
  for (int i = 0; i < 8; i++)
    assert_int_equal(roost_return_integer(params, i), 0);
  return roost_return_integer(params, 8);
}

static const char asking[] =
    "local roost = require 'roost' local service = roost.service() local game = require 'game' "
    "local early, why = pcall(game.json, 1) "
    "service:message('run', function(code) "
    "local chunk = assert(load('local game, roost, why = ... ' .. code, '=c')) "
    "local ok, a, b, c, d = pcall(chunk, game, roost, why) "
    "return { ok, tostring(a), tostring(b), tostring(c), tostring(d) } end) return service";

static void lua_calls_functions_in_c(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"return game.move(1, 2, 'x', true)", "[true,\"2\",\"4.0\",\"x\",\"true\"]"},
      {"return game.move(3.0, 1.5, nil)", "[true,\"4\",\"3.0\",\"nil\",\"false\"]"},
      {"return game.move(1.5, 1)", "[false,\"c:1: bad argument #1 to 'move' (number has no integer "
                                   "representation)\",\"nil\",\"nil\","
                                   "\"nil\"]"},
      {"return game.move('1', 1)", "[false,\"c:1: bad argument #1 to 'move' (number expected, got "
                                   "string)\",\"nil\",\"nil\",\"nil\"]"},
      {"return game.move(1, 1, 5)", "[false,\"c:1: bad argument #3 to 'move' (string expected, got "
                                    "number)\",\"nil\",\"nil\",\"nil\"]"},
      {"return game.move(1, 1, 's', 1)",
       "[false,\"c:1: bad argument #4 to 'move' (boolean expected, "
       "got number)\",\"nil\",\"nil\",\"nil\"]"},
      {"return roost.json.encode(game.json({ 1, { a = 'b' } }))",
       "[true,\"[1,{\\\"a\\\":\\\"b\\\"}]\",\"nil\",\"nil\",\"nil\"]"},
      {"return game.json(roost.null) == roost.null", "[true,\"true\",\"nil\",\"nil\",\"nil\"]"},
      {"return game.json(print)", "[false,\"c:1: bad argument #1 to 'json' (a function cannot be "
                                  "sent)\",\"nil\",\"nil\",\"nil\"]"},
      {"return why", "[true,\"a.lua:1: not before on_start: a main chunk may not "
                     "wait\",\"nil\",\"nil\",\"nil\"]"},
  };
  host_test self;
  int moves = 0;
  const roost_function functions[] = {{"move", "ins?b?", on_move, &moves},
                                      {"json", "j", on_json, NULL},
                                      {"bad", NULL, on_bad, NULL},
                                      {"many", "", on_many, NULL},
                                      {NULL, NULL, NULL, NULL}};
  host_test_init(&self);
  host_test_put(&self, "a.lua", asking);
  assert_int_equal(roost_host_module(self.host, "game", functions), 0);
  host_test_load(&self);
  assert_int_equal(roost_host_poll(self.host, 0), 1);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char data[256];
    heard got = {0};
    snprintf(data, sizeof data, "\"%s\"", rows[i][0]);
    assert_int_equal(roost_request(self.host, "local", text("run"), text(data), 0, hear, &got), 0);
    until_heard(self.host, &got);
    if (strncmp(got.lines + 2, rows[i][1], strlen(rows[i][1])) != 0)
      print_error("%s\n  got  %s\n  not  %s\n", rows[i][0], got.lines, rows[i][1]);
    assert_true(strncmp(got.lines + 2, rows[i][1], strlen(rows[i][1])) == 0);
  }
  assert_int_equal(moves, 2);
  host_test_deinit(&self);
}

static void what_such_a_function_raises(void **state) {
  (void)state;
  static const char *const rows[][2] = {{"game.move(-1, 1)", "no such entity"},
                                        {"game.move(0, 1)", "ROOST_EFULL"},
                                        {"game.bad()", "bad has returned what is not JSON"},
                                        {"game.many()", "ROOST_EFULL"}};
  host_test self;
  int moves = 0;
  const roost_function functions[] = {{"move", "in", on_move, &moves},
                                      {"json", "j", on_json, NULL},
                                      {"bad", NULL, on_bad, NULL},
                                      {"many", "", on_many, NULL},
                                      {NULL, NULL, NULL, NULL}};
  host_test_init(&self);
  host_test_put(&self, "a.lua", asking);
  host_test_put(&self, "host.lua",
                "return { services = 'a.lua', servers = {}, service_options = { a = { sandbox = "
                "true } } }");
  assert_int_equal(roost_host_module(self.host, "game", functions), 0);
  host_test_load(&self);
  assert_int_equal(roost_host_poll(self.host, 0), 1);
  for (size_t i = 0; i < 4; i++) {
    char data[256];
    heard got = {0};
    snprintf(data, sizeof data, "\"%s\"", rows[i][0]);
    assert_int_equal(roost_request(self.host, "local", text("run"), text(data), 0, hear, &got), 0);
    until_heard(self.host, &got);
    assert_non_null(strstr(got.lines, "[false,"));
    assert_non_null(strstr(got.lines, rows[i][1]));
  }
  host_test_deinit(&self);
}

static void a_wrong_module_is_refused(void **state) {
  (void)state;
  host_test self;
  const roost_function good[] = {{"json", "j", on_json, NULL}, {NULL, NULL, NULL, NULL}};
  const roost_function letter[] = {{"json", "x", on_json, NULL}, {NULL, NULL, NULL, NULL}};
  const roost_function mark[] = {{"json", "?", on_json, NULL}, {NULL, NULL, NULL, NULL}};
  const roost_function no_fn[] = {{"json", "j", NULL, NULL}, {NULL, NULL, NULL, NULL}};
  const roost_function name[] = {{"a-b", "j", on_json, NULL}, {NULL, NULL, NULL, NULL}};
  host_test_init(&self);
  assert_int_equal(roost_host_module(self.host, "roost", good), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, "cjson", good), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, "a.b", good), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, NULL, good), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, "a", NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, "a", good + 1), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, "a", letter), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, "a", mark), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, "a", no_fn), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, "a", name), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, "a", good), 0);
  assert_int_equal(roost_host_module(self.host, "a", good), ROOST_EINVAL);
  assert_int_equal(roost_host_module(self.host, "b", good), 0);
  host_test_load(&self);
  assert_int_equal(roost_host_module(self.host, "c", good), ROOST_ESTATE);
  host_test_deinit(&self);
}

/* --------------------------------------------------------------------- the budget ------------ */

#define PEERS 20
#define EACH  30

/* Longer than the budget. */
static void spend(void) {
  struct timespec begun;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &begun);
  do
    clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - begun.tv_sec) * 1000000000L + now.tv_nsec - begun.tv_nsec < 20000);
}

static void on_work(void *ud, roost_call *call) {
  int *counts = ud;
  const roost_slice data = roost_call_data(call);
  counts[atoi(data.ptr)]++;
  spend();
  assert_int_equal(roost_call_reply(call, data), 0);
}

static int sum_of(const int counts[PEERS]) {
  int sum = 0;
  for (int i = 0; i < PEERS; i++)
    sum += counts[i];
  return sum;
}

/* A poll with a tiny budget handles a message, or two; the others are the next polls', in turns. */
static void a_budget_bounds_what_a_poll_does(void **state) {
  (void)state;
  host_test self;
  int fds[PEERS];
  int counts[PEERS] = {0};
  host_test_init(&self);
  assert_int_equal(roost_host_handle(self.host, "work", on_work, counts), 0);
  host_test_load(&self);
  assert_int_equal(roost_host_poll(self.host, 0), 1);
  for (int i = 0; i < PEERS; i++)
    fds[i] = host_test_connect(self.host, 0);
  for (int i = 0; i < 20; i++)
    assert_int_equal(roost_host_poll(self.host, 1), 1);
  assert_int_equal(roost_host_poll_budget(self.host, 5), 0);
  for (int i = 0; i < PEERS; i++) {
    char data[8];
    snprintf(data, sizeof data, "%d", i);
    for (int n = 0; n < EACH; n++)
      host_test_send(fds[i], "work", data, "1");
  }
  int polls = 0;
  int least = 0;
  for (; polls < 4 * PEERS * EACH && sum_of(counts) < PEERS * EACH; polls++) {
    const int before = sum_of(counts);
    assert_int_equal(roost_host_poll(self.host, 0), 1);
    assert_true(sum_of(counts) - before <= 2);
    if (polls == 3 * PEERS)
      for (int i = 0; i < PEERS; i++)
        least += counts[i] > 0;
  }
  assert_int_equal(sum_of(counts), PEERS * EACH);
  assert_int_equal(least, PEERS); /* all have had a turn by then */
  for (int i = 0; i < PEERS; i++) {
    char got[8192];
    size_t len = 0;
    const size_t each = strlen("44#{\"response\":1,\"isDisposed\":true,\"id\":\"1\"}") + (i > 9);
    for (int n = 0; n < 2000 && len < each * EACH; n++) {
      const ssize_t more = recv(fds[i], got + len, sizeof got - len, MSG_DONTWAIT);
      len += more > 0 ? (size_t)more : 0;
      assert_int_equal(roost_host_poll(self.host, 0), 1);
    }
    assert_int_equal(len, each * EACH);
    close(fds[i]);
  }
  host_test_deinit(&self);
}

static void count_post(void *ud, roost_host *host) {
  int *count = ud;
  (void)host;
  ++*count;
  spend();
}

static void answer_at_once(void *ud, roost_call *call) {
  (void)ud;
  roost_call_reply(call, roost_call_data(call));
}

/* The replies come in their order: each is one more than the last. */
static void count_reply(void *ud, int status, roost_slice data, bool last) {
  int *count = ud;
  char expected[16];
  snprintf(expected, sizeof expected, "%d", *count);
  assert_int_equal(status, 0);
  assert_true(last);
  assert_int_equal(data.len, strlen(expected));
  assert_memory_equal(data.ptr, expected, data.len);
  ++*count;
  spend();
}

static void so_are_local_replies(void **state) {
  (void)state;
  host_test self;
  int count = 0;
  host_test_init(&self);
  assert_int_equal(roost_host_handle(self.host, "now", answer_at_once, NULL), 0);
  host_test_load(&self);
  assert_int_equal(roost_host_poll_budget(self.host, 5), 0);
  for (int i = 0; i < 30; i++) {
    char data[16];
    snprintf(data, sizeof data, "%d", i);
    assert_int_equal(
        roost_request(self.host, "local", text("now"), text(data), 0, count_reply, &count), 0);
  }
  for (int polls = 0; polls < 100 && count < 30; polls++) {
    const int before = count;
    assert_int_equal(roost_host_poll(self.host, 0), 1);
    assert_true(count - before <= 2);
  }
  assert_int_equal(count, 30);
  host_test_deinit(&self);
}

static void posts_and_tasks_are_carried_over_too(void **state) {
  (void)state;
  host_test self;
  int count = 0;
  host_test_init(&self);
  host_test_put(&self, "a.lua",
                "local roost = require 'roost' local service = roost.service() local ran = 0 "
                "service:message('ran', function() return ran end) "
                "service:on_start(function() for i = 1, 50 do roost.spawn(function() for k = 1, "
                "3 do for _ = 1, 20000 do end ran = ran + 1 roost.sleep(0) end end) end end) "
                "return service");
  host_test_load(&self);
  assert_int_equal(roost_host_poll_budget(self.host, 5), 0);
  for (int i = 0; i < 30; i++)
    assert_int_equal(roost_host_post(self.host, count_post, &count), 0);
  for (int polls = 0; polls < 100 && count < 30; polls++) {
    const int before = count;
    assert_int_equal(roost_host_poll(self.host, 0), 1);
    assert_true(count - before <= 1);
  }
  assert_int_equal(count, 30);
  for (int i = 0; i < 2000; i++) {
    heard got = {0};
    assert_int_equal(roost_request(self.host, "local", text("ran"), text("1"), 0, hear, &got), 0);
    until_heard(self.host, &got);
    if (strcmp(got.lines, "0:150;") == 0)
      break;
    assert_true(i < 1999);
  }
  assert_int_equal(roost_host_stop(self.host), 0);
  host_test_run(&self);
  host_test_deinit(&self);
}

/* --------------------------------------------------------------------- limits ---------------- */

static void memory_has_a_limit(void **state) {
  (void)state;
  host_test self;
  roost_stats stats = {.struct_size = sizeof stats};
  host_test_prepare(&self);
  self.cfg.memory_limit = (size_t)8 << 20;
  assert_int_equal(roost_host_new(&self.host, &self.cfg), 0);
  host_test_put(&self, "a.lua",
                "local roost = require 'roost' local service = roost.service() local all = {} "
                "service:message('eat', function() for i = 1, 100 do all[#all + 1] = "
                "('x'):rep(1000000) .. i end end) "
                "service:message('free', function() all = {} collectgarbage() return #all end) "
                "service:message('waste', function() local own = {} for i = 1, 100 do "
                "own[i] = ('x'):rep(1000000) .. i end end) "
                "return service");
  host_test_load(&self);
  int fd = host_test_connect(self.host, 0);
  host_test_send(fd, "eat", "1", "1");
  host_test_expect(&self, fd,
                   "{\"err\":{\"status\":\"error\",\"message\":\"Internal server error\"},"
                   "\"isDisposed\":true,\"id\":\"1\"}");
  roost_host_stats(self.host, &stats);
  assert_true(stats.held_bytes > 0 && stats.held_bytes <= self.cfg.memory_limit);
  host_test_send(fd, "free", "1", "2");
  host_test_expect(&self, fd, "{\"response\":0,\"isDisposed\":true,\"id\":\"2\"}");
  host_test_send(fd, "waste", "1", "3");
  host_test_expect(&self, fd,
                   "{\"err\":{\"status\":\"error\",\"message\":\"Internal server error\"},"
                   "\"isDisposed\":true,\"id\":\"3\"}");
  roost_host_stats(self.host, &stats);
  assert_true(stats.held_bytes < self.cfg.memory_limit / 2); /* others need it, too */
  close(fd);
  roost_host_free(self.host);
  self.cfg.memory_limit = 10000;
  assert_int_equal(roost_host_new(&self.host, &self.cfg), ROOST_ENOMEM);
  assert_null(self.host);
  host_test_deinit(&self);
}

static void so_have_connections(void **state) {
  (void)state;
  host_test self;
  char byte;
  roost_stats stats = {.struct_size = sizeof stats};
  host_test_prepare(&self);
  self.cfg.connection_limit = 2;
  assert_int_equal(roost_host_new(&self.host, &self.cfg), 0);
  host_test_load(&self);
  int first = host_test_connect(self.host, 0);
  int second = host_test_connect(self.host, 0);
  host_test_send(second, "echo", "1", "1");
  host_test_expect(&self, second, "{\"response\":1,\"isDisposed\":true,\"id\":\"1\"}");
  int third = host_test_connect(self.host, 0);
  host_test_until_logged(&self, "err=connection_limit");
  assert_int_equal(recv(third, &byte, 1, 0), 0);
  roost_host_stats(self.host, &stats);
  assert_int_equal(stats.denied, 1);
  close(third);
  close(first);
  for (int i = 0; i < 2000 && stats.connections > 1; i++) {
    assert_int_equal(roost_host_poll(self.host, 5), 1);
    roost_host_stats(self.host, &stats);
  }
  third = host_test_connect(self.host, 0);
  host_test_send(third, "echo", "1", "1");
  host_test_expect(&self, third, "{\"response\":1,\"isDisposed\":true,\"id\":\"1\"}");
  close(third);
  close(second);
  host_test_deinit(&self);
}

/* In every state they are loaded before a module could be. */
static void lua_keeps_the_names_of_its_libraries(void **state) {
  (void)state;
  static const char *const taken[] = {"string",    "table", "math",  "io",      "os",
                                      "coroutine", "utf8",  "debug", "package", "_G"};
  host_test self;
  const roost_function good[] = {{"json", "j", on_json, NULL}, {NULL, NULL, NULL, NULL}};
  host_test_init(&self);
  for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
    assert_int_equal(roost_host_module(self.host, taken[i], good), ROOST_EINVAL);
    assert_string_equal(roost_host_error(self.host), "Lua has a library of that name");
  }
  host_test_deinit(&self);
}

static void a_module_has_each_function_once(void **state) {
  (void)state;
  host_test self;
  const roost_function twice[] = {{"a", "j", on_json, NULL},
                                  {"b", NULL, on_bad, NULL},
                                  {"a", NULL, on_many, NULL},
                                  {NULL, NULL, NULL, NULL}};
  host_test_init(&self);
  assert_int_equal(roost_host_module(self.host, "m", twice), ROOST_EINVAL);
  assert_string_equal(roost_host_error(self.host), "a module has two functions of one name");
  assert_int_equal(roost_host_module(self.host, "m", twice + 1), 0);
  host_test_deinit(&self);
}

static void an_older_struct_is_taken(void **state) {
  (void)state;
  host_test self;
  host_test_prepare(&self);
  self.cfg.struct_size = offsetof(roost_config, memory_limit);
  self.cfg.memory_limit = 1; /* not looked at */
  assert_int_equal(roost_host_new(&self.host, &self.cfg), 0);
  host_test_load(&self);
  host_test_deinit(&self);
  host_test_prepare(&self);
  self.cfg.struct_size = sizeof self.cfg + 8;
  assert_int_equal(roost_host_new(&self.host, &self.cfg), ROOST_EINVAL);
  host_test_deinit(&self);
}

static void a_host_that_has_stopped_takes_no_requests(void **state) {
  (void)state;
  host_test self;
  heard got = {0};
  host_test_init(&self);
  host_test_put(&self, "a.lua", "return require('roost').service():message('x', function() end)");
  host_test_load(&self);
  assert_int_equal(roost_host_post(self.host, NULL, NULL), ROOST_EINVAL);
  assert_int_equal(roost_host_stop(self.host), 0);
  host_test_run(&self);
  assert_int_equal(roost_request(self.host, "local", text("x"), text("1"), 0, hear, &got),
                   ROOST_ESTATE);
  assert_string_equal(roost_host_error(self.host), "the host has stopped");
  assert_string_equal(got.lines, "");
  host_test_deinit(&self);
}

static void keep_call(void *ud, roost_call *call) {
  *(roost_call **)ud = call;
}

/* As the header says: whoever sent it is the embedder, who knows what he waits for. */
static void a_drain_does_not_wait_for_requests_of_the_embedder(void **state) {
  (void)state;
  host_test self;
  heard first = {0};
  heard got = {0};
  roost_call *kept = NULL;
  host_test_init(&self);
  assert_int_equal(roost_host_handle(self.host, "later", keep_call, &kept), 0);
  host_test_load(&self);
  assert_int_equal(roost_host_poll(self.host, 0), 1);
  assert_int_equal(roost_request(self.host, "local", text("later"), text("1"), 0, hear, &first), 0);
  for (int i = 0; i < 2000 && kept == NULL; i++)
    assert_int_equal(roost_host_poll(self.host, 1), 1);
  assert_int_equal(roost_call_reply(kept, text("2")), 0);
  until_heard(self.host, &first);
  kept = NULL;
  assert_int_equal(roost_request(self.host, "local", text("later"), text("1"), 0, hear, &got), 0);
  assert_non_null(kept); /* the handler has run inside the request */
  assert_int_equal(roost_host_stop(self.host), 0);
  host_test_run(&self);
  assert_int_equal(got.count, 0);
  host_test_deinit(&self);
  assert_string_equal(got.lines, "-8:the host is being freed;");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_reach_its_own_handlers),
      cmocka_unit_test(the_empty_text_is_a_pattern),
      cmocka_unit_test(requests_go_to_other_hosts),
      cmocka_unit_test(requests_fail_as_they_say),
      cmocka_unit_test(a_handler_may_wait_for_a_request),
      cmocka_unit_test(lua_calls_functions_in_c),
      cmocka_unit_test(what_such_a_function_raises),
      cmocka_unit_test(a_wrong_module_is_refused),
      cmocka_unit_test(lua_keeps_the_names_of_its_libraries),
      cmocka_unit_test(a_module_has_each_function_once),
      cmocka_unit_test(a_budget_bounds_what_a_poll_does),
      cmocka_unit_test(posts_and_tasks_are_carried_over_too),
      cmocka_unit_test(so_are_local_replies),
      cmocka_unit_test(memory_has_a_limit),
      cmocka_unit_test(so_have_connections),
      cmocka_unit_test(an_older_struct_is_taken),
      cmocka_unit_test(a_host_that_has_stopped_takes_no_requests),
      cmocka_unit_test(a_drain_does_not_wait_for_requests_of_the_embedder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
