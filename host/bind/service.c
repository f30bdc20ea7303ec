/*
 * What lua/roost/service.lua registers: handlers and hooks.
 */
#include <lauxlib.h>
#include <lua.h>

#include "bind/bind.h"
#include "vm/source.h"
#include "vm/value.h"

static const char hook_keys[ROOST_HOOKS];

void roost_bind_push_hook(lua_State *lua, roost_hook hook) {
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &hook_keys[hook]);
}

/* A function that takes one argument at most needs no ctx. */
static bool takes_ctx(lua_State *lua, int function) {
  lua_Debug info;
  lua_pushvalue(lua, function);
  lua_getinfo(lua, ">u", &info);
  return info.isvararg || info.nparams >= 2;
}

/* Adds a handler for the pattern at index 2. */
static int add_pattern(lua_State *lua, roost_handler *handler, const char **why) {
  roost_buffer *pattern = roost_bind_push_buffer(lua);
  int status = roost_value_write_json(lua, 2, pattern);
  if (status == 0)
    return roost_generation_add(roost_bind_generation(lua), handler, roost_buffer_slice(pattern),
                                why);
  if (status == ROOST_EINVAL)
    *why = lua_tostring(lua, -1);
  return status;
}

/* core.add_handler(kind, pattern, timeout or nil, transport or nil, function) */
static int add_handler(lua_State *lua) {
  const char *why = "out of memory";
  roost_generation *generation = roost_bind_generation(lua);
  if (generation->state != ROOST_GENERATION_LOADED || generation->vm->current != NULL)
    return luaL_error(lua, "handlers are registered while the service loads, not later");
  luaL_checktype(lua, 5, LUA_TFUNCTION);
  lua_settop(lua, 5);
  roost_handler handler = {.event = *luaL_checkstring(lua, 1) == 'e',
                           .timeout_ms = (uint64_t)luaL_optinteger(lua, 3, -1),
                           .transport = (char *)luaL_optstring(lua, 4, NULL),
                           .wants_ctx = takes_ctx(lua, 5)};
  handler.function = luaL_ref(lua, LUA_REGISTRYINDEX);
  int status = add_pattern(lua, &handler, &why);
  if (status != 0)
    return luaL_error(lua, "%s", why);
  return 0;
}

/* core.set_hook(name, function) */
static int set_hook(lua_State *lua) {
  static const char *const names[] = {"start", "stop", NULL};
  int hook = luaL_checkoption(lua, 1, NULL, names);
  luaL_checktype(lua, 2, LUA_TFUNCTION);
  lua_settop(lua, 2);
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &hook_keys[hook]);
  roost_bind_generation(lua)->hooks[hook] = true;
  return 0;
}

void roost_bind_open_service(lua_State *lua) {
  static const luaL_Reg functions[] = {
      {"add_handler", add_handler}, {"set_hook", set_hook}, {NULL, NULL}};
  luaL_setfuncs(lua, functions, 0);
  lua_pushstring(lua, roost_bind_generation(lua)->service->name);
  lua_setfield(lua, -2, "service_name");
  lua_pushstring(lua, roost_source_chunk_name(&roost_bind_generation(lua)->service->source));
  lua_setfield(lua, -2, "service_file");
}
