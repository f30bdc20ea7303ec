#include "testing.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <lua.h>

#include "bind/bind.h"
#include "core/slice.h"
#include "status.h"
#include "testing_host.h"
#include "testing_internal.h"
#include "testing_stub.h"
#include "vm/task.h"
#include "vm/watchdog.h"

#define HOST_NAME             "roost.testing.host"
#define PEER_NAME             "roost.testing.peer"

#define MAX_SANS              64      /* of a caller's certificate */
#define INSTRUCTIONS_PER_LOOK 1000000 /* at the clock */
#define GIVE_UP_US            5000000 /* after a test should have ended */

/* A host as a Lua value; it stays in the registry until the host is gone. */
typedef struct host_box {
  roost_test_host *host; /* NULL: gone */
  int ref;
} host_box;

roost_exec *roost_testing_exec(lua_State *lua) {
  return lua_touserdata(lua, lua_upvalueindex(1));
}

roost_test_host *roost_testing_check_host(lua_State *lua) {
  const host_box *box = luaL_checkudata(lua, 1, HOST_NAME);
  if (box->host == NULL || box->host->closing)
    luaL_error(lua, "the host is closed");
  return box->host;
}

void roost_testing_forget(roost_test_host *host) {
  host_box *box = host->script;
  if (box == NULL)
    return;
  box->host = NULL;
  luaL_unref(host->exec->program.generation->vm->lua, LUA_REGISTRYINDEX, box->ref);
}

/* ------------------------------------------------------------------------- the guard --------- */

/* All of a program and its hosts goes by one clock, which is the exec's. */
static const roost_exec *exec_of_state(lua_State *lua) {
  const roost_generation *owner = roost_vm_of(lua)->owner;
  return ROOST_LIST_ENTRY(owner->dispatch->config.clock, const roost_exec, clock);
}

/* A count hook: what never waits is stopped, too; no pcall catches that until the guard is set
 * anew, and what goes on all the same ends the program. It stands where that of the watchdog would,
 * and does its work for services, whose runs have a limit. */
static void check_time(lua_State *lua, lua_Debug *info) {
  roost_vm_poll(lua);
  if (roost_runner_fired(roost_vm_of(lua)->runner))
    return;
  const roost_exec *exec = exec_of_state(lua);
  const roost_program *program = &exec->program;
  uint64_t late_us = roost_exec_late_us(exec);
  (void)info;
  if (late_us == 0)
    return;
  luaL_where(lua, 0);
  if (late_us > GIVE_UP_US) {
    lua_pushfstring(lua, "FAIL %sa test that can't be stopped\n", lua_tostring(lua, -1));
    program->ops->print(program->ud, roost_slice_text(lua_tostring(lua, -1)));
    program->ops->exit(program->ud, 1);
  }
  roost_vm_of(lua)->no_catch = true;
  lua_pushliteral(lua, "the test took longer than 5 s");
  lua_concat(lua, 2);
  lua_error(lua);
}

/* Coroutines made from now on have the hook, too. */
void roost_testing_watch(roost_vm *vm) {
  vm->no_catch = false;
  lua_sethook(vm->lua, check_time, LUA_MASKCOUNT, INSTRUCTIONS_PER_LOOK);
}

static void watch_services(const roost_test_host *host) {
  const roost_dispatch *dispatch = host->worker ? host->worker->dispatch : NULL;
  for (size_t i = 0; dispatch != NULL && i < dispatch->service_count; i++)
    if (dispatch->services[i]->current != NULL)
      roost_testing_watch(dispatch->services[i]->current->vm);
}

/* guard(ms): after so much real time the main chunk's waits fail, and Lua that does not wait; until
 * it is set anew. */
static int set_guard(lua_State *lua) {
  roost_exec *exec = roost_testing_exec(lua);
  exec->guard_until_us = roost_clock_real_us() + (uint64_t)luaL_checkinteger(lua, 1) * 1000;
  roost_task_interrupt(exec->program.main, NULL);
  lua_sethook(lua, check_time, LUA_MASKCOUNT, INSTRUCTIONS_PER_LOOK);
  roost_testing_watch(roost_vm_of(lua));
  for (roost_list *at = exec->hosts.next; at != &exec->hosts; at = at->next)
    watch_services(ROOST_LIST_ENTRY(at, roost_test_host, link));
  return 0;
}

/* ------------------------------------------------------------------------- problems ---------- */

/* Raises the errors among the host's problems, one a line; without any, a name for status. */
static int raise_problems(lua_State *lua, const roost_problems *problems, int status) {
  luaL_Buffer text;
  bool any = false;
  luaL_buffinit(lua, &text);
  for (size_t i = 0; i < problems->count; i++) {
    if (problems->items[i].severity != ROOST_PROBLEM_ERROR)
      continue;
    luaL_addstring(&text, any ? "\n" : "");
    luaL_addstring(&text, problems->items[i].text);
    any = true;
  }
  if (!any)
    luaL_addstring(&text, roost_status_name(status));
  luaL_pushresult(&text);
  return lua_error(lua);
}

static void check(lua_State *lua, const roost_test_host *host, int status) {
  if (status == ROOST_ENOMEM)
    luaL_error(lua, "out of memory");
  if (status != 0)
    raise_problems(lua, &host->problems, status);
}

/* ------------------------------------------------------------------------- hosts ------------- */

/* host(text of a configuration) -> host */
static int new_host(lua_State *lua) {
  const char *text = luaL_checkstring(lua, 1);
  host_box *box = lua_newuserdatauv(lua, sizeof *box, 0);
  *box = (host_box){NULL, LUA_NOREF};
  luaL_setmetatable(lua, HOST_NAME);
  lua_pushvalue(lua, -1);
  box->ref = luaL_ref(lua, LUA_REGISTRYINDEX);
  int status = roost_test_host_new(&box->host, roost_testing_exec(lua), text);
  if (box->host == NULL) {
    luaL_unref(lua, LUA_REGISTRYINDEX, box->ref);
    return luaL_error(lua, "out of memory");
  }
  box->host->script = box;
  if (status != 0)
    roost_test_host_close(box->host);
  check(lua, box->host, status);
  return 1;
}

/* host:add(path) */
static int add_service(lua_State *lua) {
  roost_test_host *host = roost_testing_check_host(lua);
  check(lua, host, roost_test_host_add(host, luaL_checkstring(lua, 2)));
  if (host->exec->guard_until_us != 0)
    watch_services(host);
  return 0;
}

/* host:add_inline(name) -> target for core.add_handler and core.set_hook */
static int add_inline(lua_State *lua) {
  roost_test_host *host = roost_testing_check_host(lua);
  roost_generation *generation;
  check(lua, host, roost_test_host_add_inline(&generation, host, luaL_checkstring(lua, 2)));
  lua_pushlightuserdata(lua, generation);
  return 1;
}

static int started(lua_State *lua, int status, lua_KContext context) {
  (void)status;
  (void)context;
  roost_task_resumed(lua);
  const roost_test_host *host = roost_testing_check_host(lua);
  const roost_worker *worker = host->worker;
  if (worker->state == ROOST_WORKER_STARTING)
    return roost_task_wait_in(lua, &roost_testing_check_host(lua)->waiters, 0, started);
  if (worker->state != ROOST_WORKER_FAILED)
    return 0;
  lua_pushlstring(lua, worker->error.ptr, worker->error.len);
  return lua_error(lua);
}

/* host:start(): waits until every on_start is over */
static int start(lua_State *lua) {
  roost_test_host *host = roost_testing_check_host(lua);
  lua_settop(lua, 1);
  check(lua, host, roost_test_host_start(host));
  return roost_task_wait_in(lua, &host->waiters, 0, started);
}

static bool is_main_chunk(lua_State *lua, const roost_exec *exec) {
  return exec->program.main != NULL && roost_task_current(lua) == exec->program.main;
}

static int closed(lua_State *lua, int status, lua_KContext context) {
  const host_box *box = luaL_checkudata(lua, 1, HOST_NAME);
  roost_exec *exec = roost_testing_exec(lua);
  const bool is_main = is_main_chunk(lua, exec);
  (void)status;
  (void)context;
  if (is_main)
    exec->closes_host = false;
  if (box->host == NULL)
    return 0;
  roost_task_check_may_wait(lua);
  roost_task_resumed(lua);
  if (is_main)
    exec->closes_host = true;
  return roost_task_wait_in(lua, &box->host->waiters, 0, closed);
}

/* host:close(ms): drains it and waits until it is gone; what still runs after ms of real time, or
 * without them when the guard's time is over, is cut off. An interruption ends the wait before this
 * one: here it would only keep the clock from going on. */
static int close_host(lua_State *lua) {
  const host_box *box = luaL_checkudata(lua, 1, HOST_NAME);
  roost_exec *exec = roost_testing_exec(lua);
  const lua_Integer ms = luaL_optinteger(lua, 2, -1);
  lua_settop(lua, 1);
  if (box->host == NULL)
    return 0;
  box->host->cut_us = ms >= 0 ? roost_clock_real_us() + (uint64_t)ms * 1000 : exec->guard_until_us;
  if (!box->host->closing)
    roost_test_host_close(box->host);
  if (is_main_chunk(lua, exec))
    roost_task_interrupt(exec->program.main, NULL);
  return closed(lua, LUA_OK, 0);
}

/* host:log() -> JSON lines so far */
static int get_log(lua_State *lua) {
  roost_test_host *host = roost_testing_check_host(lua);
  roost_test_host_collect_log(host);
  lua_pushlstring(lua, host->lines.ptr, host->lines.len);
  return 1;
}

/* host:status() -> JSON */
static int get_status(lua_State *lua) {
  const roost_test_host *host = roost_testing_check_host(lua);
  roost_buffer *text = roost_bind_push_buffer(lua);
  roost_report *report;
  int status = roost_report_new(&report, host->worker);
  if (status == 0) {
    const roost_status_facts facts = {
        .config = host->settings->file, .uptime_ms = roost_test_host_uptime_ms(host), .workers = 1};
    status = roost_status_write(text, report, &facts);
    roost_report_free(report);
  }
  if (status != 0)
    return luaL_error(lua, "out of memory");
  lua_pushlstring(lua, text->ptr, text->len);
  roost_buffer_deinit(text);
  return 1;
}

/* host:stub(name, kind) -> target for core.add_handler where kind is "handlers" */
static int begin_stub(lua_State *lua) {
  static const char *const kinds[] = {"down", "silent", "handlers", NULL};
  roost_test_host *host = roost_testing_check_host(lua);
  const char *name = luaL_checkstring(lua, 2);
  int kind = ROOST_TEST_STUB_DOWN + luaL_checkoption(lua, 3, NULL, kinds);
  roost_generation *generation;
  check(lua, host, roost_test_stub_begin(host, name, (roost_test_stub_kind)kind, &generation));
  if (generation == NULL)
    return 0;
  lua_pushlightuserdata(lua, generation);
  return 1;
}

/* host:end_stub(target) */
static int end_stub(lua_State *lua) {
  roost_test_host *host = roost_testing_check_host(lua);
  luaL_checktype(lua, 2, LUA_TLIGHTUSERDATA);
  check(lua, host, roost_test_stub_end(host, lua_touserdata(lua, 2)));
  return 0;
}

/* host:sent(name) -> JSON objects, a line each */
static int get_sent(lua_State *lua) {
  const roost_slice sent =
      roost_test_stub_sent(roost_testing_check_host(lua), luaL_checkstring(lua, 2));
  lua_pushlstring(lua, sent.ptr, sent.len);
  return 1;
}

/* ------------------------------------------------------------------------- peers ------------- */

static roost_test_peer *check_peer(lua_State *lua) {
  return luaL_checkudata(lua, 1, PEER_NAME);
}

static int free_peer(lua_State *lua) {
  roost_test_peer *peer = lua_touserdata(lua, 1);
  roost_frame_reader_deinit(&peer->reader);
  roost_buffer_deinit(&peer->received);
  return 0;
}

static void peer_gone(roost_test_peer *peer) {
  const roost_exec *exec = peer->exec;
  luaL_unref(exec->program.generation->vm->lua, LUA_REGISTRYINDEX, peer->ref);
}

static bool is_address(const char *text) {
  struct in6_addr any;
  return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

static const roost_address *opt_address(lua_State *lua, int index, roost_address *address) {
  const char *text = luaL_optstring(lua, index, NULL);
  if (text == NULL)
    return NULL;
  lua_Integer port = luaL_optinteger(lua, index + 1, 40000);
  if (!is_address(text) || strlen(text) >= sizeof address->text)
    luaL_error(lua, "\"%s\" is no address", text);
  if (port < 0 || port > UINT16_MAX)
    luaL_error(lua, "%I is no port", (LUAI_UACINT)port);
  *address = (roost_address){.port = (uint16_t)port};
  memcpy(address->text, text, strlen(text) + 1);
  return address;
}

/* Text of a member of the table at index; "" where it is missing. It stays in the table. */
static const char *opt_text(lua_State *lua, int index, const char *name) {
  const char *text = lua_getfield(lua, index, name) == LUA_TSTRING ? lua_tostring(lua, -1) : "";
  lua_pop(lua, 1);
  return text;
}

/* What the table { subject, sans, fingerprint, verified } at index says of the caller; NULL where
 * there is none. To be released. */
static const roost_tls_info *opt_tls(lua_State *lua, int index, const roost_alloc *alloc) {
  const char *sans[MAX_SANS];
  const roost_tls_info *info;
  const int top = lua_gettop(lua);
  if (lua_isnoneornil(lua, index))
    return NULL;
  roost_tls_claim claim = {.subject = opt_text(lua, index, "subject"),
                           .fingerprint = opt_text(lua, index, "fingerprint"),
                           .sans = sans,
                           .verified = true};
  if (lua_getfield(lua, index, "verified") == LUA_TBOOLEAN)
    claim.verified = lua_toboolean(lua, -1);
  lua_getfield(lua, index, "sans");
  while (lua_istable(lua, -1) && claim.san_count < MAX_SANS &&
         lua_rawgeti(lua, -1, (lua_Integer)claim.san_count + 1) == LUA_TSTRING) {
    sans[claim.san_count++] = lua_tostring(lua, -1);
    lua_pop(lua, 1);
  }
  lua_settop(lua, top);
  if (roost_tls_info_claim(&info, alloc, &claim) != 0)
    luaL_error(lua, "out of memory");
  return info;
}

/* host:connect(server or nil, address or nil, port or nil, tls or nil) -> peer */
static int connect_peer(lua_State *lua) {
  roost_test_host *host = roost_testing_check_host(lua);
  const char *server = luaL_optstring(lua, 2, NULL);
  roost_address own;
  const roost_address *address = opt_address(lua, 3, &own);
  roost_test_peer *peer = lua_newuserdatauv(lua, sizeof *peer, 0);
  *peer = (roost_test_peer){.ref = LUA_NOREF, .exec = roost_testing_exec(lua), .gone = peer_gone};
  roost_test_peer_init(peer);
  luaL_setmetatable(lua, PEER_NAME);
  lua_pushvalue(lua, -1);
  peer->ref = luaL_ref(lua, LUA_REGISTRYINDEX);
  const roost_tls_info *tls = opt_tls(lua, 5, host->exec->alloc);
  int status = roost_test_host_connect(host, peer, server, address, tls);
  roost_tls_info_release(tls);
  if (status == 0)
    return 1;
  if (peer->conn == NULL)
    peer_gone(peer);
  return status == ROOST_ENOENT ? luaL_error(lua, "there is no server named \"%s\"", server)
                                : luaL_error(lua, "the host takes no connection any more");
}

/* peer:write(bytes) -> false where the connection has ended */
static int write_peer(lua_State *lua) {
  const roost_test_peer *peer = check_peer(lua);
  roost_slice bytes;
  bytes.ptr = luaL_checklstring(lua, 2, &bytes.len);
  bool open = peer->conn != NULL;
  if (open && roost_buffer_append_slice(roost_conn_out(peer->conn), bytes) != 0)
    return luaL_error(lua, "out of memory");
  if (open)
    roost_conn_dirty(peer->conn);
  lua_pushboolean(lua, open);
  return 1;
}

/* peer:send(text): the same of a frame, in the framing of the server */
static int send_peer(lua_State *lua) {
  const roost_test_peer *peer = check_peer(lua);
  roost_frame_mark mark;
  roost_slice text;
  text.ptr = luaL_checklstring(lua, 2, &text.len);
  bool open = peer->conn != NULL;
  if (open) {
    roost_buffer *out = roost_conn_out(peer->conn);
    int status = roost_frame_begin(out, &mark, peer->reader.framing, 3);
    if (status == 0)
      status = roost_buffer_append_slice(out, text);
    if (status != 0 || roost_frame_end(out, &mark) < 0)
      return luaL_error(lua, "out of memory");
    roost_conn_dirty(peer->conn);
  }
  lua_pushboolean(lua, open);
  return 1;
}

static int read_again(lua_State *lua, int status, lua_KContext context) {
  roost_test_peer *peer = check_peer(lua);
  (void)status;
  (void)context;
  roost_task_resumed(lua);
  if (peer->received.len == 0 && !peer->ended)
    return roost_task_wait_in(lua, &peer->waiters, 0, read_again);
  if (peer->received.len == 0)
    return 0;
  lua_pushlstring(lua, peer->received.ptr, peer->received.len);
  roost_buffer_clear(&peer->received);
  return 1;
}

/* peer:read() -> bytes, nil at the end */
static int read_peer(lua_State *lua) {
  const roost_test_peer *peer = check_peer(lua);
  lua_settop(lua, 1);
  if (peer->received.len > 0 || peer->ended)
    return read_again(lua, LUA_OK, 0);
  return roost_task_wait_in(lua, &check_peer(lua)->waiters, 0, read_again);
}

/* 1 with the next whole frame's text pushed; 0: more must come; an error is raised. */
static int push_frame(lua_State *lua, roost_test_peer *peer) {
  roost_slice input = roost_buffer_slice(&peer->received);
  roost_slice frame;
  int status = roost_frame_read(&peer->reader, &input, &frame);
  if (status < 0)
    return luaL_error(lua, "not a frame: %s", peer->reader.error);
  if (status == 1)
    lua_pushlstring(lua, frame.ptr, frame.len);
  roost_buffer_consume(&peer->received, peer->received.len - input.len);
  return status;
}

static int frame_again(lua_State *lua, int status, lua_KContext context) {
  roost_test_peer *peer = check_peer(lua);
  (void)status;
  (void)context;
  roost_task_resumed(lua);
  if (push_frame(lua, peer) == 1)
    return 1;
  return peer->ended ? 0 : roost_task_wait_in(lua, &peer->waiters, 0, frame_again);
}

/* peer:frame() -> JSON text of the next frame, nil at the end */
static int read_frame(lua_State *lua) {
  roost_test_peer *peer = check_peer(lua);
  lua_settop(lua, 1);
  if (push_frame(lua, peer) == 1)
    return 1;
  return peer->ended ? 0 : roost_task_wait_in(lua, &peer->waiters, 0, frame_again);
}

/* peer:close() */
static int close_peer(lua_State *lua) {
  roost_test_peer_close(check_peer(lua));
  return 0;
}

/* ------------------------------------------------------------------------- the test ---------- */

static int settled(lua_State *lua, int status, lua_KContext context) {
  (void)status;
  (void)context;
  roost_task_resumed(lua);
  return 0;
}

/* settle(): waits until only timers are left */
static int settle(lua_State *lua) {
  roost_exec *exec = roost_testing_exec(lua);
  exec->quiet = false;
  return roost_task_wait_in(lua, &exec->settlers, 0, settled);
}

/* set_fake(boolean): the clock of this loop; waits until its timers go by it */
static int set_fake(lua_State *lua) {
  roost_exec *exec = roost_testing_exec(lua);
  const bool fake = lua_toboolean(lua, 1);
  if (exec->clock.fake == fake)
    return 0;
  roost_clock_set_fake(&exec->clock, fake);
  return settle(lua);
}

/* in_service() -> whether an inline service's code is running */
static int in_service(lua_State *lua) {
  const roost_task *task = roost_task_current(lua);
  lua_pushboolean(lua, task != NULL && task->group != NULL);
  return 1;
}

/* as_service(target, fn, ...): calls fn as if it ran in the inline service */
static int as_service(lua_State *lua) {
  roost_task *task = roost_task_current(lua);
  const void *before = task->group;
  task->group = lua_touserdata(lua, 1);
  int status = lua_pcall(lua, lua_gettop(lua) - 2, 0, 0);
  task->group = before;
  return status == LUA_OK ? 0 : lua_error(lua);
}

/* ------------------------------------------------------------------------- opening ----------- */

static void make_class(lua_State *lua, roost_exec *exec, const char *name,
                       const luaL_Reg *methods) {
  luaL_newmetatable(lua, name);
  lua_newtable(lua);
  lua_pushlightuserdata(lua, exec);
  luaL_setfuncs(lua, methods, 1);
  lua_setfield(lua, -2, "__index");
  lua_pop(lua, 1);
}

void roost_testing_open(lua_State *lua, void *ud) {
  static const luaL_Reg host_methods[] = {{"add", add_service}, {"add_inline", add_inline},
                                          {"start", start},     {"close", close_host},
                                          {"log", get_log},     {"status", get_status},
                                          {"stub", begin_stub}, {"end_stub", end_stub},
                                          {"sent", get_sent},   {"connect", connect_peer},
                                          {NULL, NULL}};
  static const luaL_Reg peer_methods[] = {{"write", write_peer}, {"send", send_peer},
                                          {"read", read_peer},   {"frame", read_frame},
                                          {"close", close_peer}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"host", new_host},   {"set_fake", set_fake},     {"settle", settle},
      {"guard", set_guard}, {"in_service", in_service}, {"as_service", as_service},
      {NULL, NULL}};
  make_class(lua, ud, HOST_NAME, host_methods);
  roost_testing_open_reload(lua, ud, HOST_NAME);
  make_class(lua, ud, PEER_NAME, peer_methods);
  luaL_getmetatable(lua, PEER_NAME);
  lua_pushcfunction(lua, free_peer);
  lua_setfield(lua, -2, "__gc");
  lua_pop(lua, 1);
  lua_newtable(lua);
  lua_pushlightuserdata(lua, ud);
  luaL_setfuncs(lua, functions, 1);
  lua_setfield(lua, -2, "testing");
}
