/*
 * roost.json, roost.array, roost.bytes, roost.null.
 */
#include <lauxlib.h>
#include <lua.h>

#include "bind/bind.h"
#include "vm/value.h"
#include "wire/utf8.h"

/* json.encode(value) -> text */
static int encode(lua_State *lua) {
  luaL_checkany(lua, 1);
  roost_buffer *out = roost_bind_push_buffer(lua);
  roost_bind_guard_buffer(lua);
  int status = roost_value_write_json(lua, 1, out);
  if (status == ROOST_EINVAL)
    return luaL_error(lua, "%s", lua_tostring(lua, -1));
  if (status != 0)
    return luaL_error(lua, "out of memory");
  lua_pushlstring(lua, out->ptr, out->len);
  roost_buffer_deinit(out);
  return 1;
}

/* json.decode(text) -> value */
static int decode(lua_State *lua) {
  roost_slice text;
  const char *why;
  size_t at;
  text.ptr = luaL_checklstring(lua, 1, &text.len);
  size_t valid = roost_utf8_valid_prefix(text);
  if (valid < text.len)
    return luaL_error(lua, "not JSON: not UTF-8 at byte %d", (int)valid + 1);
  if (roost_value_push_json(lua, text, &why, &at) != 0)
    return luaL_error(lua, "not JSON: %s at byte %d", why, (int)at + 1);
  return 1;
}

/* array(t) -> t, which is written as [] also when it is empty */
static int array(lua_State *lua) {
  if (lua_isnoneornil(lua, 1)) {
    lua_settop(lua, 0);
    lua_newtable(lua);
  }
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_settop(lua, 1);
  roost_value_mark_array(lua);
  return 1;
}

/* bytes(text) -> a value that is written as Node writes a Buffer */
static int bytes(lua_State *lua) {
  luaL_checkstring(lua, 1);
  lua_settop(lua, 1);
  roost_value_mark_bytes(lua);
  return 1;
}

void roost_bind_open_json(lua_State *lua) {
  static const luaL_Reg functions[] = {{"json_encode", encode},
                                       {"json_decode", decode},
                                       {"array", array},
                                       {"bytes", bytes},
                                       {NULL, NULL}};
  luaL_setfuncs(lua, functions, 0);
  roost_value_push_null(lua);
  lua_setfield(lua, -2, "null");
}
