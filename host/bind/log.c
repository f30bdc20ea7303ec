/*
 * roost.log, ctx.log, print: log:info(message, fields).
 */
#include <lauxlib.h>
#include <lua.h>

#include "bind/bind.h"
#include "vm/error.h"
#include "vm/value.h"

#define LOG_NAME "roost.log"

/* User value 1 of a log object is its ctx, or nil. */
void roost_bind_push_log(lua_State *lua, int ctx) {
  lua_newuserdatauv(lua, 0, 1);
  if (ctx != 0) {
    lua_pushvalue(lua, ctx);
    lua_setiuservalue(lua, -2, 1);
  }
  luaL_setmetatable(lua, LOG_NAME);
}

static void add_origin(lua_State *lua, roost_log_line *line, roost_call *call) {
  const roost_generation *generation = roost_bind_generation(lua);
  if (call != NULL) {
    roost_call_log_fields(call, line);
    return;
  }
  roost_log_text(line, "service", roost_slice_text(generation->service->name));
  roost_log_integer(line, "worker", generation->dispatch->config.worker);
  roost_log_integer(line, "gen", generation->number);
}

/* One of the caller's fields: value on top, key below it; both are kept. */
static void add_field(lua_State *lua, roost_log_line *line, roost_buffer *scratch) {
  roost_slice key;
  lua_pushvalue(lua, -2);
  key.ptr = luaL_tolstring(lua, -1, &key.len);
  int value = lua_gettop(lua) - 2;
  roost_buffer_clear(scratch);
  if (lua_type(lua, value) == LUA_TSTRING) {
    roost_slice text;
    text.ptr = lua_tolstring(lua, value, &text.len);
    roost_log_user_text(line, key, text);
  } else if (roost_value_write_json(lua, value, scratch) == 0) {
    roost_log_user_literal(line, key, roost_buffer_slice(scratch));
  } else { /* a function, a userdata: as tostring shows it */
    roost_slice text;
    text.ptr = luaL_tolstring(lua, value, &text.len);
    roost_log_user_text(line, key, text);
  }
  lua_settop(lua, value);
}

/* add_fields(fields table, line): protected, so that the line is ended whatever a __tostring does.
 */
static int add_fields(lua_State *lua) {
  roost_log_line *line = lua_touserdata(lua, 2);
  roost_buffer *scratch = roost_bind_push_buffer(lua);
  roost_bind_guard_buffer(lua);
  lua_pushnil(lua);
  while (lua_next(lua, 1)) {
    add_field(lua, line, scratch);
    lua_pop(lua, 1);
  }
  roost_buffer_deinit(scratch);
  return 0;
}

/* Upvalue 1: the level. */
static int log_at(lua_State *lua) {
  luaL_checkudata(lua, 1, LOG_NAME);
  roost_log_level level = (roost_log_level)lua_tointeger(lua, lua_upvalueindex(1));
  roost_log *log = roost_bind_generation(lua)->dispatch->config.log;
  if (!roost_log_enabled(log, level))
    return 0;
  bool has_fields = !lua_isnoneornil(lua, 3);
  if (has_fields)
    luaL_checktype(lua, 3, LUA_TTABLE);
  roost_log_line line;
  roost_slice message;
  message.ptr = luaL_tolstring(lua, 2, &message.len);
  roost_call *call = NULL;
  if (lua_getiuservalue(lua, 1, 1) == LUA_TUSERDATA)
    call = roost_bind_check_ctx(lua, -1);
  lua_pushcfunction(lua, add_fields);
  lua_pushvalue(lua, 3);
  lua_pushlightuserdata(lua, &line);
  roost_log_begin(&line, log, level, message);
  add_origin(lua, &line, call);
  int status = has_fields ? lua_pcall(lua, 2, 0, 0) : LUA_OK;
  roost_log_end(&line);
  return status == LUA_OK ? 0 : lua_error(lua);
}

void roost_bind_log_error(lua_State *lua, const char *message, int index) {
  roost_log_line line;
  roost_vm *vm = roost_vm_of(lua);
  roost_log *log = roost_bind_generation(lua)->dispatch->config.log;
  if (!roost_log_limited(log, ROOST_LOG_KIND_HANDLER)) /* a peer can be behind it */
    return;
  roost_buffer *text = roost_bind_push_buffer(lua);
  roost_error_describe(lua, index, text);
  roost_log_begin(&line, log, ROOST_LOG_ERROR, roost_slice_text(message));
  add_origin(lua, &line, roost_bind_current_call(lua));
  roost_log_text(&line, "err", roost_buffer_slice(text));
  if (vm->trace.len > 0)
    roost_log_text(&line, "trace", roost_buffer_slice(&vm->trace));
  roost_log_end(&line);
  roost_buffer_deinit(text);
  lua_pop(lua, 1);
}

/* print(...): one line at info. */
static int print(lua_State *lua) {
  int count = lua_gettop(lua);
  luaL_Buffer text;
  luaL_buffinit(lua, &text);
  for (int i = 1; i <= count; i++) {
    if (i > 1)
      luaL_addchar(&text, '\t');
    luaL_tolstring(lua, i, NULL);
    luaL_addvalue(&text);
  }
  luaL_pushresult(&text);
  roost_slice message;
  roost_log_line line;
  message.ptr = lua_tolstring(lua, -1, &message.len);
  roost_log_begin(&line, roost_bind_generation(lua)->dispatch->config.log, ROOST_LOG_INFO, message);
  add_origin(lua, &line, roost_bind_current_call(lua));
  roost_log_end(&line);
  return 0;
}

void roost_bind_open_log(lua_State *lua) {
  static const char *const levels[] = {"debug", "info", "warn", "error"};
  luaL_newmetatable(lua, LOG_NAME);
  lua_createtable(lua, 0, 4);
  for (int level = ROOST_LOG_DEBUG; level <= ROOST_LOG_ERROR; level++) {
    lua_pushinteger(lua, level);
    lua_pushcclosure(lua, log_at, 1);
    lua_setfield(lua, -2, levels[level]);
  }
  lua_setfield(lua, -2, "__index");
  lua_pop(lua, 1);
  roost_bind_push_log(lua, 0);
  lua_setfield(lua, -2, "log");
  lua_pushcfunction(lua, print);
  lua_setglobal(lua, "print");
}
