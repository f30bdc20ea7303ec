#include "config/fingerprint.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "core/map.h"
#include "core/slice.h"

#define DEEPEST 100 /* a configuration that is deeper, or has a cycle, is refused by its schema */

static uint64_t mix(uint64_t value) {
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u;
  value = (value ^ value >> 27) * 0x94D049BB133111EBu;
  return value ^ value >> 31;
}

static uint64_t of_text(lua_State *lua, int index) {
  roost_slice text;
  lua_pushvalue(lua, index);
  text.ptr = lua_tolstring(lua, -1, &text.len);
  const uint64_t value = roost_hash(text);
  lua_pop(lua, 1);
  return mix(value + 1);
}

static bool is_excepted(lua_State *lua, int key, const char *const *except) {
  if (except == NULL || lua_type(lua, key) != LUA_TSTRING)
    return false;
  const char *name = lua_tostring(lua, key);
  for (; *except != NULL; except++)
    if (strcmp(*except, name) == 0)
      return true;
  return false;
}

static uint64_t of(lua_State *lua, int index, const char *const *except, int depth) {
  uint64_t sum = 7;
  switch (lua_type(lua, index)) {
  case LUA_TSTRING:
  case LUA_TNUMBER: /* digit text passes for a number */
    return of_text(lua, index);
  case LUA_TBOOLEAN:
    return mix(lua_toboolean(lua, index) ? 3 : 2);
  case LUA_TTABLE:
    break;
  default:
    return mix((uint64_t)lua_type(lua, index) + 16);
  }
  if (depth > DEEPEST)
    return sum;
  luaL_checkstack(lua, 4, NULL);
  lua_pushnil(lua);
  while (lua_next(lua, index)) { /* a sum: the order of keys is nobody's */
    const int value = lua_gettop(lua);
    if (!is_excepted(lua, value - 1, except))
      sum += mix(of(lua, value - 1, NULL, depth + 1) * 3 + of(lua, value, NULL, depth + 1));
    lua_pop(lua, 1);
  }
  return mix(sum);
}

uint64_t roost_fingerprint(lua_State *lua, int index, const char *const *except) {
  return of(lua, lua_absindex(lua, index), except, 0);
}
