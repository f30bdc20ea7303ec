/*
 * ctx: what a handler is told about its message, and how it answers more than once.
 *
 * A ctx is a userdata with a nullable link to its call. Fields are made when they are first read
 * and remembered: user value 1 is the message's data, 2 the table of fields read so far.
 */
#include <lauxlib.h>
#include <lua.h>

#include "bind/bind.h"
#include "vm/value.h"
#include "wire/pattern.h"

#define CTX_NAME    "roost.ctx"
#define DATA_SLOT   1
#define FIELDS_SLOT 2

/* Registry key: the Lua function that closes what ctx:get made. */
static const char closing_key;

typedef struct ctx {
  roost_call *call; /* NULL: the request is over */
  bool closes;      /* ctx:get made something */
  bool closed;      /* that is closed, or being closed */
} ctx;

roost_call *roost_bind_current_call(lua_State *lua) {
  const roost_task *task = roost_task_current(lua);
  return task ? task->context : NULL;
}

void roost_bind_push_ctx(lua_State *lua, roost_call *call, int data) {
  if (call->script != NULL) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, call->script_ref);
    return;
  }
  if (data != 0)
    lua_pushvalue(lua, data);
  else if (call->data.ptr == NULL || !roost_bind_push_data(lua, call))
    lua_pushnil(lua);
  ctx *self = lua_newuserdatauv(lua, sizeof *self, 2);
  *self = (ctx){NULL, false, false};
  lua_insert(lua, -2);
  lua_setiuservalue(lua, -2, DATA_SLOT);
  luaL_setmetatable(lua, CTX_NAME);
  lua_pushvalue(lua, -1);
  call->script_ref = luaL_ref(lua, LUA_REGISTRYINDEX);
  call->script = self;
  self->call = call;
}

void roost_bind_end_call(roost_call *call) {
  if (call->script == NULL)
    return;
  ((ctx *)call->script)->call = NULL;
  luaL_unref(call->generation->vm->lua, LUA_REGISTRYINDEX, call->script_ref);
  call->script = NULL;
}

roost_call *roost_bind_check_ctx(lua_State *lua, int index) {
  return ((ctx *)luaL_checkudata(lua, index, CTX_NAME))->call;
}

int roost_bind_push_closing(lua_State *lua, roost_call *call) {
  ctx *self = call->script;
  if (self == NULL || self->closed || !self->closes)
    return -1;
  self->closed = true;
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &closing_key);
  roost_bind_push_ctx(lua, call, 0);
  return 1;
}

static int closing_begin(lua_State *lua, void *ud) {
  return roost_bind_push_closing(lua, ud);
}

static void closing_ended(void *ud, bool reset) {
  (void)reset;
  roost_call_unpin(ud);
}

static const roost_task_ops closing_ops = {.begin = closing_begin, .ended = closing_ended};

/* In a task of its own. A vm that is being closed starts none: there the collector does what it
 * can. */
void roost_bind_forced_call(roost_call *call) {
  const ctx *self = call->script;
  if (self == NULL || self->closed || !self->closes)
    return;
  roost_call_pin(call);
  if (roost_task_start(NULL, call->generation->vm, &closing_ops, call, call) != 0)
    roost_call_unpin(call);
}

/* ------------------------------------------------------------------------- fields ------------ */

static void push_json(lua_State *lua, roost_slice json) {
  if (json.ptr == NULL || roost_value_push_json(lua, json, NULL, NULL) != 0)
    lua_pushnil(lua);
}

static void push_pattern(lua_State *lua, roost_call *call) {
  push_json(lua, call->pattern);
}

static void push_id(lua_State *lua, roost_call *call) {
  push_json(lua, call->id);
}

static void push_route(lua_State *lua, roost_call *call) {
  lua_pushlstring(lua, call->handler->route.ptr, call->handler->route.len);
}

/* The concrete name: what came, normalised. */
static void push_subject(lua_State *lua, roost_call *call) {
  roost_buffer *route = roost_bind_push_buffer(lua);
  if (call->pattern.ptr == NULL || roost_pattern_resolve(route, call->pattern) != 1)
    roost_buffer_clear(route);
  lua_pushlstring(lua, route->ptr, route->len);
  roost_buffer_deinit(route);
}

static void push_kind(lua_State *lua, roost_call *call) {
  lua_pushstring(lua, call->id.ptr == NULL ? "event" : "message");
}

static void push_transport(lua_State *lua, roost_call *call) {
  lua_pushstring(lua, call->server->transport);
}

static void push_server(lua_State *lua, roost_call *call) {
  lua_pushstring(lua, call->server->name);
}

static void push_metadata(lua_State *lua, roost_call *call) {
  push_json(lua, call->metadata);
  if (lua_istable(lua, -1))
    return;
  lua_pop(lua, 1);
  lua_newtable(lua);
}

void roost_bind_push_certificate(lua_State *lua, const roost_tls_info *tls) {
  lua_createtable(lua, 0, 6);
  if (tls->subject[0] != '\0') {
    lua_pushstring(lua, tls->subject);
    lua_setfield(lua, -2, "subject");
  }
  if (tls->fingerprint[0] != '\0') {
    lua_pushstring(lua, tls->fingerprint);
    lua_setfield(lua, -2, "fingerprint");
  }
  lua_newtable(lua);
  for (lua_Integer i = 0; tls->sans[i] != NULL; i++) {
    lua_pushstring(lua, tls->sans[i]);
    lua_rawseti(lua, -2, i + 1);
  }
  roost_value_mark_array(lua);
  lua_setfield(lua, -2, "sans");
  lua_pushboolean(lua, tls->verified);
  lua_setfield(lua, -2, "verified");
}

/* Sets field tls of the table on top. */
static void set_tls(lua_State *lua, const roost_tls_info *tls) {
  roost_bind_push_certificate(lua, tls);
  lua_pushstring(lua, tls->version);
  lua_setfield(lua, -2, "version");
  lua_pushstring(lua, tls->cipher);
  lua_setfield(lua, -2, "cipher");
  lua_setfield(lua, -2, "tls");
}

static void push_peer(lua_State *lua, roost_call *call) {
  const roost_address *peer = &call->peer;
  if (!call->is_kept && call->origin != NULL)
    peer = call->origin->ops->remote(call->origin);
  const roost_tls_info *tls = roost_call_tls(call);
  lua_createtable(lua, 0, 3);
  if (tls != NULL)
    set_tls(lua, tls);
  if (peer == NULL || peer->text[0] == '\0')
    return;
  lua_pushstring(lua, peer->text);
  lua_setfield(lua, -2, "address");
  lua_pushinteger(lua, peer->port);
  lua_setfield(lua, -2, "port");
}

static void push_state(lua_State *lua, roost_call *call) {
  (void)call;
  lua_newtable(lua);
}

typedef struct field {
  const char *name;
  void (*push)(lua_State *lua, roost_call *call);
} field;

static const field fields[] = {
    {"pattern", push_pattern},   {"route", push_route},         {"subject", push_subject},
    {"topic", push_subject},     {"channel", push_subject},     {"id", push_id},
    {"kind", push_kind},         {"transport", push_transport}, {"server", push_server},
    {"metadata", push_metadata}, {"peer", push_peer},           {"state", push_state},
};

/* Never remembered: it moves with each reply. */
static int push_deadline(lua_State *lua, const roost_call *call) {
  uint64_t due = call ? roost_call_due_ms(call) : UINT64_MAX;
  if (due == UINT64_MAX)
    lua_pushnil(lua);
  else
    lua_pushinteger(lua, (lua_Integer)due);
  return 1;
}

/* The table of remembered fields, made where there is none. */
static void push_fields(lua_State *lua) {
  if (lua_getiuservalue(lua, 1, FIELDS_SLOT) == LUA_TTABLE)
    return;
  lua_pop(lua, 1);
  lua_newtable(lua);
  lua_pushvalue(lua, -1);
  lua_setiuservalue(lua, 1, FIELDS_SLOT);
}

/* Pushes the field and remembers it in the table at index known; false where there is none. */
static bool make_field(lua_State *lua, const ctx *self, int known) {
  const char *key = lua_tostring(lua, 2);
  if (strcmp(key, "log") == 0) {
    roost_bind_push_log(lua, 1);
  } else {
    lua_pushvalue(lua, 2);
    if (lua_rawget(lua, lua_upvalueindex(2)) == LUA_TNIL || self->call == NULL)
      return false;
    fields[lua_tointeger(lua, -1) - 1].push(lua, self->call);
  }
  lua_pushvalue(lua, 2);
  lua_pushvalue(lua, -2);
  lua_rawset(lua, known);
  return true;
}

/* Upvalue 1: methods. Upvalue 2: field name -> index in fields, from 1. */
static int ctx_index(lua_State *lua) {
  const ctx *self = luaL_checkudata(lua, 1, CTX_NAME);
  const char *key = luaL_checkstring(lua, 2);
  lua_pushvalue(lua, 2);
  if (lua_rawget(lua, lua_upvalueindex(1)) != LUA_TNIL)
    return 1;
  if (strcmp(key, "deadline") == 0)
    return push_deadline(lua, self->call);
  if (strcmp(key, "data") == 0) {
    lua_getiuservalue(lua, 1, DATA_SLOT);
    return 1;
  }
  if (strcmp(key, "headers") == 0) { /* another name for the same table */
    lua_pushliteral(lua, "metadata");
    lua_replace(lua, 2);
  }
  push_fields(lua);
  int known = lua_gettop(lua);
  lua_pushvalue(lua, 2);
  if (lua_rawget(lua, known) != LUA_TNIL)
    return 1;
  return make_field(lua, self, known) ? 1 : 0;
}

static int ctx_newindex(lua_State *lua) {
  return luaL_error(lua, "ctx.%s cannot be set; ctx.state is the place for a request's own values",
                    luaL_tolstring(lua, 2, NULL));
}

/* ------------------------------------------------------------------------- methods ----------- */

static int emit_again(lua_State *lua, int status, lua_KContext context);

static int emit(lua_State *lua) {
  roost_call *call = roost_bind_check_ctx(lua, 1);
  roost_buffer *item;
  luaL_checkany(lua, 2);
  if (call == NULL || !roost_call_owed(call) || call->abandoned) {
    lua_pushboolean(lua, false);
    return 1;
  }
  if (roost_call_crowded(call))
    return roost_task_wait_in(lua, &call->waiters, 0, emit_again);
  if (roost_call_item_begin(call, &item) != 0) {
    lua_pushboolean(lua, false);
    return 1;
  }
  int status = lua_isnil(lua, 2) ? 0 : roost_bind_write_value(lua, call, 2, item);
  if (status == ROOST_EINVAL)
    return luaL_error(lua, "the item cannot be sent: %s", lua_tostring(lua, -1));
  if (status != 0)
    return luaL_error(lua, "out of memory");
  roost_call_item_end(call);
  lua_pushboolean(lua, true);
  return 1;
}

static int emit_again(lua_State *lua, int status, lua_KContext context) {
  (void)status;
  (void)context;
  roost_task_resumed(lua);
  return emit(lua);
}

static int cancelled(lua_State *lua) {
  const roost_call *call = roost_bind_check_ctx(lua, 1);
  lua_pushboolean(lua, call == NULL || call->abandoned);
  return 1;
}

static void set_address(lua_State *lua, const char *name, const roost_address *address) {
  if (address == NULL)
    return;
  lua_createtable(lua, 0, 2);
  lua_pushstring(lua, address->text);
  lua_setfield(lua, -2, "address");
  lua_pushinteger(lua, address->port);
  lua_setfield(lua, -2, "port");
  lua_setfield(lua, -2, name);
}

/* close(): drops the caller. Upvalue 1: the ctx. */
static int close_peer(lua_State *lua) {
  const roost_call *call = roost_bind_check_ctx(lua, lua_upvalueindex(1));
  if (call != NULL && call->origin != NULL)
    call->origin->ops->close(call->origin);
  return 0;
}

/* Pushes a table with what the driver knows of the message. */
static void push_facts(lua_State *lua, const roost_origin *origin) {
  if (origin->ops->facts == NULL) {
    lua_createtable(lua, 0, 4);
    return;
  }
  roost_buffer *facts = roost_bind_push_buffer(lua);
  roost_bind_guard_buffer(lua);
  if (origin->ops->facts(origin, facts) != 0)
    luaL_error(lua, "out of memory");
  push_json(lua, roost_buffer_slice(facts));
  roost_buffer_deinit(facts);
}

/* ctx:unwrap() -> { transport, local, remote, close, and what else the driver knows }, nil when the
 * caller has left */
static int unwrap(lua_State *lua) {
  const roost_call *call = roost_bind_check_ctx(lua, 1);
  if (call == NULL || call->origin == NULL)
    return 0;
  push_facts(lua, call->origin);
  lua_pushstring(lua, call->server->transport);
  lua_setfield(lua, -2, "transport");
  set_address(lua, "remote", call->origin->ops->remote(call->origin));
  set_address(lua, "local", call->origin->ops->local(call->origin));
  lua_pushvalue(lua, 1);
  lua_pushcclosure(lua, close_peer, 1);
  lua_setfield(lua, -2, "close");
  return 1;
}

/* False where the message is settled already, or never is. */
static int settle(lua_State *lua, roost_settlement how) {
  const roost_call *call = roost_bind_check_ctx(lua, 1);
  roost_origin *origin = call != NULL ? call->origin : NULL;
  lua_pushboolean(lua, origin != NULL && origin->settles && origin->ops->settle(origin, how));
  return 1;
}

static int ack(lua_State *lua) {
  return settle(lua, ROOST_SETTLE_ACK);
}

/* ctx:nack(requeue) */
static int nack(lua_State *lua) {
  return settle(lua, lua_toboolean(lua, 2) ? ROOST_SETTLE_REQUEUE : ROOST_SETTLE_NACK);
}

/* ------------------------------------------------------------------------- core -------------- */

/* core.context() -> the current ctx or nil */
static int context(lua_State *lua) {
  roost_call *call = roost_bind_current_call(lua);
  if (call == NULL)
    lua_pushnil(lua);
  else
    roost_bind_push_ctx(lua, call, 0);
  return 1;
}

static int wait_again(lua_State *lua, int status, lua_KContext context_) {
  (void)status;
  (void)context_;
  roost_task_resumed(lua);
  return 0;
}

/* core.ctx_wait(ctx): until core.ctx_wake, the caller has left, or his buffer has room again. */
static int ctx_wait(lua_State *lua) {
  roost_call *call = roost_bind_check_ctx(lua, 1);
  if (call == NULL)
    return 0;
  return roost_task_wait_in(lua, &call->waiters, 0, wait_again);
}

/* core.ctx_wake(ctx) */
static int ctx_wake(lua_State *lua) {
  roost_call *call = roost_bind_check_ctx(lua, 1);
  if (call != NULL)
    roost_task_wake_all(&call->waiters);
  return 0;
}

/* core.ctx_closing(ctx) -> whether ctx:get may make something, which then will be closed */
static int ctx_closing(lua_State *lua) {
  ctx *self = luaL_checkudata(lua, 1, CTX_NAME);
  bool open = self->call != NULL && !self->call->answered && !self->closed;
  if (open)
    self->closes = true;
  lua_pushboolean(lua, open);
  return 1;
}

/* core.ctx_target(ctx) -> the target of the inline service whose call it is; nil: of no such one */
static int ctx_target(lua_State *lua) {
  const roost_call *call = roost_bind_check_ctx(lua, 1);
  if (call == NULL || !call->generation->borrows_vm)
    return 0;
  lua_pushlightuserdata(lua, call->generation);
  return 1;
}

/* core.set_providers(get, close): get is ctx:get, close(ctx) ends with the request what it made */
static int set_providers(lua_State *lua) {
  luaL_checktype(lua, 1, LUA_TFUNCTION);
  luaL_checktype(lua, 2, LUA_TFUNCTION);
  lua_settop(lua, 2);
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &closing_key);
  lua_setfield(lua, lua_upvalueindex(1), "get");
  return 0;
}

void roost_bind_open_ctx(lua_State *lua) {
  static const luaL_Reg methods[] = {{"emit", emit}, {"cancelled", cancelled}, {"unwrap", unwrap},
                                     {"ack", ack},   {"nack", nack},           {NULL, NULL}};
  static const luaL_Reg functions[] = {{"context", context},         {"ctx_target", ctx_target},
                                       {"ctx_wait", ctx_wait},       {"ctx_wake", ctx_wake},
                                       {"ctx_closing", ctx_closing}, {NULL, NULL}};
  luaL_newmetatable(lua, CTX_NAME);
  luaL_newlib(lua, methods);
  lua_pushvalue(lua, -1);
  lua_pushcclosure(lua, set_providers, 1);
  lua_setfield(lua, -4, "set_providers");
  lua_newtable(lua);
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    lua_pushinteger(lua, (lua_Integer)i + 1);
    lua_setfield(lua, -2, fields[i].name);
  }
  lua_pushcclosure(lua, ctx_index, 2);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, ctx_newindex);
  lua_setfield(lua, -2, "__newindex");
  lua_pop(lua, 1);
  luaL_setfuncs(lua, functions, 0);
}
