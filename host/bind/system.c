/*
 * roost.now, time, env, random, version.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#include "bind/bind.h"
#include "vm/sandbox.h"

#define RANDOM_MAX (1 << 20)

static const roost_clock *clock_of(lua_State *lua) {
  return roost_bind_generation(lua)->dispatch->config.clock;
}

/* now() -> monotonic milliseconds, with a fraction */
static int now(lua_State *lua) {
  lua_pushnumber(lua, (lua_Number)roost_clock_now_us(clock_of(lua)) / 1000.0);
  return 1;
}

/* time() -> milliseconds since 1970 */
static int wall_time(lua_State *lua) {
  lua_pushinteger(lua, (lua_Integer)(roost_clock_wall_us(clock_of(lua)) / 1000));
  return 1;
}

/* env(name, default) -> text, or default. A sandbox has an empty environment: in the real one are
 * passwords. */
static int env(lua_State *lua) {
  const char *name = luaL_checkstring(lua, 1);
  const char *value = roost_sandbox_on(lua) ? NULL : getenv(name);
  lua_settop(lua, 2);
  if (value != NULL)
    lua_pushstring(lua, value);
  return 1;
}

/* random(n) -> n bytes nobody can guess */
static int secure_random(lua_State *lua) {
  lua_Integer count = luaL_checkinteger(lua, 1);
  luaL_argcheck(lua, count >= 0 && count <= RANDOM_MAX, 1, "0 to 1048576 bytes");
  luaL_Buffer bytes;
  char *out = luaL_buffinitsize(lua, &bytes, (size_t)count);
  if (roost_bind_generation(lua)->dispatch->config.random_bytes(out, (size_t)count) != 0)
    return luaL_error(lua, "the system gives no random bytes");
  luaL_pushresultsize(&bytes, (size_t)count);
  return 1;
}

void roost_bind_open_system(lua_State *lua) {
  static const luaL_Reg functions[] = {
      {"now", now}, {"time", wall_time}, {"env", env}, {"random", secure_random}, {NULL, NULL}};
  char version[32];
  luaL_setfuncs(lua, functions, 0);
  snprintf(version, sizeof version, "%d.%d.%d", ROOST_VERSION_MAJOR, ROOST_VERSION_MINOR,
           ROOST_VERSION_PATCH);
  lua_pushstring(lua, version);
  lua_setfield(lua, -2, "version");
}
