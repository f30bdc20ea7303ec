/*
 * The way into a handler and out of it again: what runs inside a call's task.
 */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "bind/bind.h"
#include "vm/error.h"
#include "vm/pack.h"
#include "vm/value.h"

/* Registry keys: the metatable of streams, and the Lua function that sends one. */
static const char stream_key;
static const char drain_key;

/* ------------------------------------------------------------------------- in ---------------- */

bool roost_bind_push_data(lua_State *lua, const roost_call *call) {
  if (call->format == ROOST_FORMAT_PACKED)
    return roost_pack_push(lua, call->data) == 0;
  return roost_value_push_json(lua, call->data, NULL, NULL) == 0;
}

static void push_data(lua_State *lua, roost_call *call) {
  if (call->data.ptr == NULL) {
    lua_pushnil(lua);
  } else if (!roost_bind_push_data(lua, call)) {
    call->refused = true;
    lua_error(lua);
  }
}

int roost_bind_begin_call(lua_State *lua, roost_call *call) {
  const roost_handler *handler = call->handler;
  lua_rawgeti(lua, LUA_REGISTRYINDEX, handler->function);
  push_data(lua, call);
  if (!handler->wants_ctx)
    return 1;
  roost_bind_push_ctx(lua, call, lua_gettop(lua));
  return 2;
}

/* ------------------------------------------------------------------------- out --------------- */

static bool is_stream(lua_State *lua, int index) {
  if (!lua_getmetatable(lua, index))
    return false;
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &stream_key);
  bool same = lua_rawequal(lua, -1, -2);
  lua_pop(lua, 2);
  return same;
}

/* Has the stream at index consumed by its drain, which sends the items: another function for the
 * call's task to run. */
static int push_drain(lua_State *lua, roost_call *call, int index) {
  roost_call_set_streaming(call);
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &drain_key);
  lua_pushvalue(lua, index);
  roost_bind_push_ctx(lua, call, 0);
  return 2;
}

int roost_bind_write_value(lua_State *lua, roost_call *call, int index, roost_buffer *out) {
  if (roost_call_format(call) != ROOST_FORMAT_PACKED)
    return roost_value_write_json(lua, index, out);
  roost_call_set_format(call, ROOST_FORMAT_PACKED);
  return roost_pack_write(lua, index, out);
}

static void send_value(lua_State *lua, roost_call *call, int index) {
  roost_buffer *out = roost_call_reply_begin(call, ROOST_REPLY_LAST);
  if (out == NULL)
    return;
  int status = roost_bind_write_value(lua, call, index, out);
  if (status == 0) {
    roost_call_reply_end(call, ROOST_REPLY_LAST);
    return;
  }
  roost_call_reply_undo(call);
  if (status == ROOST_EINVAL)
    luaL_error(lua, "the reply cannot be sent: %s", lua_tostring(lua, -1));
  else
    luaL_error(lua, "out of memory");
}

int roost_bind_finish_call(lua_State *lua, roost_call *call, int count) {
  int first = lua_gettop(lua) - count + 1;
  if (count >= 2 && lua_isnil(lua, first) && !lua_isnil(lua, first + 1)) {
    lua_settop(lua, first + 1);
    return lua_error(lua);
  }
  int type = count == 0 ? LUA_TNIL : lua_type(lua, first);
  if (type == LUA_TNIL)
    roost_call_reply_none(call);
  else if (type == LUA_TTABLE && is_stream(lua, first))
    return push_drain(lua, call, first);
  else
    send_value(lua, call, first);
  return roost_bind_push_closing(lua, call);
}

/* ------------------------------------------------------------------------- errors ------------ */

/* Whether the table at index holds status and message and nothing else. */
static bool is_plain_error(lua_State *lua, int index) {
  if (!lua_istable(lua, index))
    return false;
  int others = 0;
  int known = 0;
  lua_pushnil(lua);
  while (lua_next(lua, index)) {
    lua_pop(lua, 1);
    const char *key = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "";
    if (strcmp(key, "status") == 0 || strcmp(key, "message") == 0)
      known++;
    else
      others++;
  }
  return known == 2 && others == 0;
}

/* Appends text, then the field's JSON text. As roost_value_write_json. */
static int write_field(lua_State *lua, int index, const char *text, const char *field,
                       roost_buffer *out) {
  int status = roost_buffer_append_slice(out, roost_slice_text(text));
  if (status != 0)
    return status;
  lua_getfield(lua, index, field);
  return roost_value_write_json(lua, -1, out);
}

/* The usual payload has Nest's key order; a Lua table has none of its own. */
static int write_payload(lua_State *lua, int index, roost_buffer *out) {
  if (!is_plain_error(lua, index))
    return roost_value_write_json(lua, index, out);
  int status = write_field(lua, index, "{\"status\":", "status", out);
  if (status == 0)
    status = write_field(lua, index, ",\"message\":", "message", out);
  return status != 0 ? status : roost_buffer_append_byte(out, '}');
}

/* Sends what an exception carries; false where it cannot be written, with the reason pushed. */
static bool send_payload(lua_State *lua, roost_call *call, int index) {
  if (lua_getfield(lua, index, "response") == LUA_TNIL) {
    lua_pushliteral(lua, "the error's response is nil");
    return false;
  }
  roost_buffer *out = roost_call_reply_begin(call, ROOST_REPLY_ERROR);
  if (out == NULL)
    return true;
  int status = write_payload(lua, lua_gettop(lua), out);
  if (status == 0) {
    roost_call_reply_end(call, ROOST_REPLY_ERROR);
    return true;
  }
  roost_call_reply_undo(call);
  if (status != ROOST_EINVAL)
    lua_pushliteral(lua, "out of memory");
  return false;
}

static void log_failure(lua_State *lua, roost_call *call, int index) {
  roost_buffer *text = roost_bind_push_buffer(lua);
  roost_buffer *trace = &call->generation->vm->trace;
  roost_error_describe(lua, index, text);
  if (trace->len == 0) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, call->handler->function);
    roost_error_write_function(lua, trace);
  }
  roost_call_log_failure(call, roost_buffer_slice(text), roost_buffer_slice(trace));
  roost_buffer_deinit(text);
}

/* A filter has taken this error of an event: nobody else is to be told. */
static bool is_handled(lua_State *lua, int error) {
  lua_getfield(lua, error, "handled");
  bool handled = lua_toboolean(lua, -1);
  lua_pop(lua, 1);
  return handled;
}

static void answer_failure(lua_State *lua, roost_call *call) {
  int error = lua_gettop(lua);
  if (call->abandoned && roost_error_is(lua, error, "CancelledError"))
    return;
  bool exception = roost_error_is_exception(lua, error);
  if (exception && call->event && is_handled(lua, error))
    return;
  if (exception && !call->event) {
    roost_call_set_failed(call);
    call->dispatch->stats.errors++;
    call->generation->service->stats.errors++;
    if (send_payload(lua, call, error))
      return;
    lua_replace(lua, error);
    lua_settop(lua, error);
  }
  log_failure(lua, call, error);
  roost_call_reply_error(call, ROOST_SLICE("Internal server error"));
}

int roost_bind_fail_call(lua_State *lua, roost_call *call) {
  answer_failure(lua, call);
  return roost_bind_push_closing(lua, call);
}

/* ------------------------------------------------------------------------- core -------------- */

/* core.set_stream(metatable, drain) */
static int set_stream(lua_State *lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  luaL_checktype(lua, 2, LUA_TFUNCTION);
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &drain_key);
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &stream_key);
  return 0;
}

void roost_bind_open_call(lua_State *lua) {
  static const luaL_Reg functions[] = {{"set_stream", set_stream}, {NULL, NULL}};
  luaL_setfuncs(lua, functions, 0);
}
