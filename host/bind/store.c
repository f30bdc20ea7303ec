/*
 * roost.store: what services share. See service/store.h.
 *
 * User value 1 of the store object is an idle buffer for the bytes of a value. Whoever needs it
 * takes it out, since making Lua values may run a finalizer that uses the store, too.
 */
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <string.h>

#include "bind/bind.h"
#include "vm/error.h"

#define STORE_NAME      "roost.store"
#define KEPT_BYTES      4096 /* of an idle buffer */
#define SHOWN_KEY_BYTES 100
#define TTL_MAX_MS      9007199254740992.0 /* 2^53 */

static roost_store *store_of(lua_State *lua) {
  luaL_checkudata(lua, 1, STORE_NAME);
  return roost_bind_generation(lua)->dispatch->config.store;
}

/* Pushes a buffer; an error that passes by leaves it to the collector. */
static roost_buffer *take_buffer(lua_State *lua) {
  const int top = lua_gettop(lua);
  const bool may_be_kept = !roost_vm_of(lua)->closing; /* else its finalizer may have freed it */
  if (may_be_kept && lua_getiuservalue(lua, 1, 1) == LUA_TUSERDATA) {
    lua_pushnil(lua);
    lua_setiuservalue(lua, 1, 1);
  } else {
    lua_settop(lua, top);
    roost_bind_push_buffer(lua);
  }
  roost_bind_guard_buffer(lua);
  return lua_touserdata(lua, -1);
}

/* The buffer lies at index. */
static void give_back(lua_State *lua, int index) {
  if (roost_vm_of(lua)->closing)
    return;
  roost_buffer *buffer = lua_touserdata(lua, index);
  roost_buffer_clear(buffer);
  if (buffer->cap > KEPT_BYTES)
    roost_buffer_deinit(buffer);
  lua_pushvalue(lua, index);
  lua_setiuservalue(lua, 1, 1);
}

/* ------------------------------------------------------------------------- arguments --------- */

/* No number is taken for its text: 1 and 1.0 would be two keys. */
static roost_slice check_key(lua_State *lua) {
  roost_slice key;
  luaL_checktype(lua, 2, LUA_TSTRING);
  key.ptr = lua_tolstring(lua, 2, &key.len);
  return key;
}

/* The ttl in the options at index, in whole milliseconds, rounded up; 0: none. */
static uint64_t check_ttl(lua_State *lua, int index) {
  if (lua_isnoneornil(lua, index))
    return 0;
  luaL_checktype(lua, index, LUA_TTABLE);
  uint64_t ttl_ms = 0;
  lua_pushnil(lua);
  while (lua_next(lua, index)) {
    const char *name = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : NULL;
    if (name == NULL || strcmp(name, "ttl") != 0) {
      name = luaL_tolstring(lua, -2, NULL);
      luaL_argerror(lua, index, lua_pushfstring(lua, "unknown option '%s'; there is ttl", name));
    }
    lua_Number ms = lua_type(lua, -1) == LUA_TNUMBER ? lua_tonumber(lua, -1) : NAN;
    if (!(ms > 0))
      luaL_argerror(lua, index, "ttl is a number of milliseconds above 0");
    ttl_ms = ms >= TTL_MAX_MS ? (uint64_t)TTL_MAX_MS : (uint64_t)ceil(ms);
    lua_pop(lua, 1);
  }
  return ttl_ms;
}

/* Pushes the key as errors show it. */
static const char *push_shown(lua_State *lua, roost_slice key) {
  lua_pushlstring(lua, key.ptr, key.len < SHOWN_KEY_BYTES ? key.len : SHOWN_KEY_BYTES);
  return lua_tostring(lua, -1);
}

/* Pushes the buffer with the bytes of the value at index 3. */
static roost_slice push_value_bytes(lua_State *lua, roost_slice key) {
  roost_buffer *out = take_buffer(lua);
  int status = roost_pack_write(lua, 3, out);
  if (status == ROOST_EINVAL) {
    const char *reason = lua_tostring(lua, -1);
    luaL_error(lua, "the value of \"%s\" cannot be stored: %s", push_shown(lua, key), reason);
  }
  if (status != 0)
    luaL_error(lua, "out of memory");
  return roost_buffer_slice(out);
}

/* ------------------------------------------------------------------------- results ----------- */

static int raise(lua_State *lua, int status, roost_slice key) {
  if (status != ROOST_EFULL)
    return luaL_error(lua, "out of memory");
  const char *message =
      lua_pushfstring(lua, "roost.store is full: \"%s\" would take it over limits.store_memory",
                      push_shown(lua, key));
  return roost_error_raise(lua, "LimitError", "EFULL", message);
}

/* Pushes the value whose bytes are in the buffer on top. */
static int push_packed(lua_State *lua, const roost_buffer *bytes) {
  int index = lua_gettop(lua);
  if (roost_pack_push(lua, roost_buffer_slice(bytes)) != 0)
    return luaL_error(lua, "roost.store: what is stored is no value");
  give_back(lua, index);
  return 1;
}

/* ------------------------------------------------------------------------- methods ----------- */

/* store:get(key) -> value, or nil */
static int get(lua_State *lua) {
  roost_store *store = store_of(lua);
  roost_slice key = check_key(lua);
  roost_buffer *out = take_buffer(lua);
  int status = roost_store_get(store, key, out);
  if (status < 0)
    return raise(lua, status, key);
  if (status > 0)
    return push_packed(lua, out);
  give_back(lua, -1);
  return 0;
}

/* store:set(key, value, { ttl = ms }); nil deletes */
static int set(lua_State *lua) {
  roost_store *store = store_of(lua);
  roost_slice key = check_key(lua);
  luaL_checkany(lua, 3);
  uint64_t ttl_ms = check_ttl(lua, 4);
  if (lua_isnil(lua, 3)) {
    roost_store_delete(store, key);
    return 0;
  }
  int status = roost_store_set(store, key, push_value_bytes(lua, key), ttl_ms);
  if (status < 0)
    return raise(lua, status, key);
  give_back(lua, -1);
  return 0;
}

/* store:add(key, value, { ttl = ms }) -> whether there was none */
static int add(lua_State *lua) {
  roost_store *store = store_of(lua);
  roost_slice key = check_key(lua);
  luaL_checkany(lua, 3);
  luaL_argcheck(lua, !lua_isnil(lua, 3), 3, "a value is expected, not nil");
  uint64_t ttl_ms = check_ttl(lua, 4);
  int status = roost_store_add(store, key, push_value_bytes(lua, key), ttl_ms);
  if (status < 0)
    return raise(lua, status, key);
  give_back(lua, -1);
  lua_pushboolean(lua, status);
  return 1;
}

static roost_pack_number check_number(lua_State *lua, int index) {
  roost_pack_number number = {.is_integer = true, .integer = 1};
  if (lua_isnoneornil(lua, index))
    return number;
  luaL_checktype(lua, index, LUA_TNUMBER);
  number.is_integer = lua_isinteger(lua, index);
  if (number.is_integer)
    number.integer = lua_tointeger(lua, index);
  else
    number.real = lua_tonumber(lua, index);
  return number;
}

/* store:incr(key, by, { ttl = ms }) -> the sum */
static int incr(lua_State *lua) {
  const char *why = NULL;
  roost_store *store = store_of(lua);
  roost_slice key = check_key(lua);
  roost_pack_number number = check_number(lua, 3);
  uint64_t ttl_ms = check_ttl(lua, 4);
  int status = roost_store_incr(store, key, &number, ttl_ms, &why);
  if (status == ROOST_EINVAL)
    return luaL_error(lua, "\"%s\" cannot be incremented: %s", push_shown(lua, key), why);
  if (status != 0)
    return raise(lua, status, key);
  if (number.is_integer)
    lua_pushinteger(lua, number.integer);
  else
    lua_pushnumber(lua, number.real);
  return 1;
}

/* store:delete(key) -> whether there was one */
static int delete (lua_State *lua) {
  roost_store *store = store_of(lua);
  lua_pushboolean(lua, roost_store_delete(store, check_key(lua)));
  return 1;
}

/* store:keys(prefix) -> list, sorted */
static int keys(lua_State *lua) {
  roost_store *store = store_of(lua);
  roost_slice prefix = {NULL, 0};
  if (!lua_isnoneornil(lua, 2))
    prefix = check_key(lua);
  roost_buffer *out = take_buffer(lua);
  int status = roost_store_keys(store, prefix, out);
  return status == 0 ? push_packed(lua, out) : raise(lua, status, prefix);
}

void roost_bind_open_store(lua_State *lua) {
  static const luaL_Reg methods[] = {{"get", get},   {"set", set},       {"add", add},
                                     {"incr", incr}, {"delete", delete}, {"keys", keys},
                                     {NULL, NULL}};
  luaL_newmetatable(lua, STORE_NAME);
  lua_newtable(lua);
  luaL_setfuncs(lua, methods, 0);
  lua_setfield(lua, -2, "__index");
  lua_pop(lua, 1);
  lua_newuserdatauv(lua, 0, 1);
  luaL_setmetatable(lua, STORE_NAME);
  lua_setfield(lua, -2, "store");
}
