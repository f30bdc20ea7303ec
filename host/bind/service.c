/*
 * What lua/roost/service.lua registers: handlers and hooks.
 */
#include <lauxlib.h>
#include <lua.h>

#include "bind/bind.h"
#include "vm/sandbox.h"
#include "vm/source.h"
#include "vm/value.h"

void roost_bind_unload(roost_generation *generation) {
  lua_State *lua = generation->vm->lua;
  for (const roost_list *at = generation->handlers.next; at != &generation->handlers; at = at->next)
    luaL_unref(lua, LUA_REGISTRYINDEX, ROOST_LIST_ENTRY(at, const roost_handler, link)->function);
  for (int hook = 0; hook < ROOST_HOOKS; hook++)
    if (generation->hooks[hook] != 0)
      luaL_unref(lua, LUA_REGISTRYINDEX, generation->hooks[hook]);
}

/* What is being registered to: the generation given by a test for its inline service, or the
 * state's own. A sandbox has no such services, and what its code says of a target is no pointer. */
static roost_generation *check_target(lua_State *lua, int index) {
  roost_generation *inline_one = roost_sandbox_on(lua) ? NULL : lua_touserdata(lua, index);
  roost_generation *generation = inline_one != NULL ? inline_one : roost_bind_generation(lua);
  bool loading = inline_one != NULL || generation->vm->current == NULL;
  if (!loading || generation->state != ROOST_GENERATION_LOADED)
    luaL_error(lua, "handlers and hooks are registered while the service loads, not later");
  return generation;
}

/* A function that takes one argument at most needs no ctx. */
static bool takes_ctx(lua_State *lua, int function) {
  lua_Debug info;
  lua_pushvalue(lua, function);
  lua_getinfo(lua, ">u", &info);
  return info.isvararg || info.nparams >= 2;
}

/* Adds a handler for the pattern at index 3. */
static int add_pattern(lua_State *lua, roost_generation *generation, roost_handler *handler,
                       const char **why) {
  roost_buffer *pattern = roost_bind_push_buffer(lua);
  roost_bind_guard_buffer(lua);
  int status = roost_value_write_json(lua, 3, pattern);
  if (status == ROOST_EINVAL)
    *why = lua_tostring(lua, -1);
  else if (status == 0)
    status = roost_generation_add(generation, handler, roost_buffer_slice(pattern), why);
  roost_buffer_deinit(pattern);
  return status;
}

/* core.add_handler(target or nil, kind, pattern, timeout, transport, queue, qos, function); those
 * between pattern and function may be nil. */
static int add_handler(lua_State *lua) {
  const char *why = "out of memory";
  roost_generation *generation = check_target(lua, 1);
  luaL_checktype(lua, 8, LUA_TFUNCTION);
  lua_settop(lua, 8);
  roost_handler handler = {.event = *luaL_checkstring(lua, 2) == 'e',
                           .timeout_ms = (uint64_t)luaL_optinteger(lua, 4, -1),
                           .transport = (char *)luaL_optstring(lua, 5, NULL),
                           .queue = (char *)luaL_optstring(lua, 6, NULL),
                           .qos = (int)luaL_optinteger(lua, 7, -1),
                           .wants_ctx = takes_ctx(lua, 8)};
  handler.function = luaL_ref(lua, LUA_REGISTRYINDEX);
  int status = add_pattern(lua, generation, &handler, &why);
  if (status != 0)
    return luaL_error(lua, "%s", why);
  return 0;
}

/* core.set_hook(target or nil, name, function) */
static int set_hook(lua_State *lua) {
  static const char *const names[] = {"start", "stop", "handoff", "adopt", NULL};
  roost_generation *generation = check_target(lua, 1);
  int hook = luaL_checkoption(lua, 2, NULL, names);
  luaL_checktype(lua, 3, LUA_TFUNCTION);
  if (generation->hooks[hook] != 0)
    return luaL_error(lua, "service:on_%s was called before; there is one such function",
                      names[hook]);
  lua_settop(lua, 3);
  generation->hooks[hook] = luaL_ref(lua, LUA_REGISTRYINDEX);
  return 0;
}

/* core.set_singleton(): one state for the whole host. */
static int set_singleton(lua_State *lua) {
  lua_settop(lua, 0);
  lua_pushnil(lua);
  check_target(lua, 1)->singleton = true;
  return 0;
}

void roost_bind_open_service(lua_State *lua) {
  static const luaL_Reg functions[] = {{"add_handler", add_handler},
                                       {"set_hook", set_hook},
                                       {"set_singleton", set_singleton},
                                       {NULL, NULL}};
  luaL_setfuncs(lua, functions, 0);
  lua_pushstring(lua, roost_bind_generation(lua)->service->name);
  lua_setfield(lua, -2, "service_name");
  lua_pushstring(lua, roost_source_chunk_name(&roost_bind_generation(lua)->service->source));
  lua_setfield(lua, -2, "service_file");
}
