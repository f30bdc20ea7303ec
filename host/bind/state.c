#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/module.h"
#include "core/embedded.h"
#include "vm/error.h"
#include "vm/pack.h"
#include "vm/sandbox.h"
#include "vm/source.h"

static const char core_key;

roost_generation *roost_bind_generation(lua_State *lua) {
  const roost_task *task = roost_task_current(lua);
  if (task != NULL && task->group != NULL)
    return (roost_generation *)(uintptr_t)task->group;
  return roost_vm_of(lua)->owner;
}

/* ------------------------------------------------------------------------- opening ----------- */

/* Where a module of the Lua half lies in a folder: roost -> roost/init.lua, roost.x -> roost/x.lua
 */
static void push_module_path(lua_State *lua, const char *folder, const char *name) {
  if (strchr(name, '.') == NULL) {
    lua_pushfstring(lua, "%s/%s/init.lua", folder, name);
  } else {
    luaL_gsub(lua, name, ".", "/");
    lua_pushfstring(lua, "%s/%s.lua", folder, lua_tostring(lua, -1));
  }
}

/* Pushes a module of the Lua half as a function. Its chunk name begins with =, which is how a
 * traceback tells it from the user's files. */
static void push_module(lua_State *lua, const roost_embedded_file *file) {
  const char *folder = roost_bind_generation(lua)->dispatch->config.lua_dir;
  const char *chunk_name = lua_pushfstring(lua, "=%s", file->name);
  if (folder != NULL) {
    push_module_path(lua, folder, file->name);
    roost_source_load_file(lua, lua_tostring(lua, -1), chunk_name, NULL);
  } else if (luaL_loadbufferx(lua, file->ptr, file->len, chunk_name, "t") != LUA_OK) {
    lua_error(lua);
  }
  roost_sandbox_push_host(lua);
  lua_setupvalue(lua, -2, 1); /* its _ENV; every main chunk has one */
}

void roost_bind_push_module(lua_State *lua, const char *name) {
  for (const roost_embedded_file *file = roost_embedded_files; file->name != NULL; file++)
    if (strcmp(file->name, name) == 0)
      push_module(lua, file);
}

/* Runs a module with core as its argument; upvalue 1 is which. */
static int load_module(lua_State *lua) {
  push_module(lua, lua_touserdata(lua, lua_upvalueindex(1)));
  roost_bind_push_core(lua);
  lua_call(lua, 1, 1);
  return 1;
}

static void preload_lua_half(lua_State *lua) {
  luaL_getsubtable(lua, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (const roost_embedded_file *file = roost_embedded_files; file->name != NULL; file++) {
    if (strchr(file->name, '/') != NULL)
      continue; /* not a module */
    lua_pushlightuserdata(lua, (void *)(uintptr_t)file);
    lua_pushcclosure(lua, load_module, 1);
    lua_setfield(lua, -2, file->name);
  }
  lua_pop(lua, 1);
}

void roost_bind_push_core(lua_State *lua) {
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &core_key);
}

static void open_core(lua_State *lua) {
  lua_newtable(lua);
  lua_pushvalue(lua, -1);
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &core_key);
  roost_bind_open_call(lua);
  roost_bind_open_client(lua);
  roost_bind_open_ctx(lua);
  roost_bind_open_json(lua);
  roost_bind_open_log(lua);
  roost_bind_open_raise(lua);
  roost_bind_open_server(lua);
  roost_bind_open_service(lua);
  roost_bind_open_store(lua);
  roost_bind_open_system(lua);
  roost_bind_open_task(lua);
  lua_pop(lua, 1);
}

/* ------------------------------------------------------------------------- loading ----------- */

void roost_bind_open(lua_State *lua, const roost_generation *generation) {
  roost_vm_open_libraries(lua);
  roost_source_set_path(lua, &generation->service->source,
                        generation->dispatch->config.working_dir);
  open_core(lua);
  preload_lua_half(lua);
  roost_modules_open(lua, generation->dispatch->config.modules);
}

static void close_off(lua_State *lua, const roost_generation *generation) {
  const roost_dispatch_config *config = &generation->dispatch->config;
  roost_sandbox_enter(lua, &generation->service->source, config->working_dir,
                      roost_modules_offers(config->modules));
}

static int load_service(lua_State *lua) {
  const roost_generation *generation = roost_bind_generation(lua);
  const roost_service *service = generation->service;
  roost_bind_open(lua, generation);
  const char *mode = generation->sandbox ? "t" : NULL;
  if (generation->sandbox)
    close_off(lua, generation);
  if (generation->text.len > 0)
    roost_source_load_text(lua, &service->source, roost_buffer_slice(&generation->text), mode);
  else
    roost_source_load(lua, &service->source, mode);
  lua_call(lua, 0, 1);
  roost_sandbox_push_host(lua);
  lua_getfield(lua, -1, "require");
  lua_remove(lua, -2);
  lua_pushliteral(lua, "roost.service");
  lua_call(lua, 1, 1);
  lua_getfield(lua, -1, "check_returned");
  lua_pushvalue(lua, -3);
  lua_pushstring(lua, service->source.path + strlen(service->source.root) + 1);
  lua_call(lua, 2, 0);
  return 0;
}

int roost_bind_load(roost_generation *generation, lua_CFunction function, roost_buffer *error) {
  lua_State *lua = generation->vm->lua;
  lua_pushcfunction(lua, roost_error_traceback);
  lua_pushcfunction(lua, function);
  const int status = roost_vm_load(generation->vm, 0, 1, generation->load_timeout_ms);
  if (status != LUA_OK)
    roost_bind_describe(lua, generation, error);
  lua_settop(lua, 0);
  return status == LUA_OK ? 0 : status == LUA_ERRMEM ? ROOST_ENOMEM : ROOST_ESCRIPT;
}

static int load(roost_generation *generation, roost_buffer *error) {
  return roost_bind_load(generation, load_service, error);
}

static int describe_value(lua_State *lua) {
  roost_error_describe(lua, 1, lua_touserdata(lua, 2));
  return 0;
}

/* On one line, in brackets; a single frame is where the error says it is. */
static void append_trace(roost_buffer *out, roost_slice trace) {
  if (trace.len == 0 || memchr(trace.ptr, '\n', trace.len) == NULL)
    return;
  roost_buffer_append_slice(out, ROOST_SLICE(" ["));
  for (size_t i = 0; i < trace.len; i++) {
    if (trace.ptr[i] == '\n')
      roost_buffer_append_slice(out, ROOST_SLICE("; "));
    else
      roost_buffer_append_byte(out, trace.ptr[i]);
  }
  roost_buffer_append_byte(out, ']');
}

void roost_bind_describe(lua_State *lua, roost_generation *generation, roost_buffer *out) {
  size_t before = out->len;
  lua_pushcfunction(lua, describe_value);
  lua_pushvalue(lua, -2);
  lua_pushlightuserdata(lua, out);
  if (lua_pcall(lua, 2, 0, 0) != LUA_OK) {
    lua_pop(lua, 1);
    out->len = before;
    roost_buffer_append_slice(out, ROOST_SLICE("error object that cannot be shown"));
  }
  append_trace(out, roost_buffer_slice(&generation->vm->trace));
}

int roost_bind_begin_hook(lua_State *lua, roost_generation *generation, roost_hook hook) {
  lua_rawgeti(lua, LUA_REGISTRYINDEX, generation->hooks[hook]);
  if (hook != ROOST_HOOK_ADOPT)
    return 0;
  if (roost_pack_push(lua, roost_buffer_slice(&generation->handed)) != 0)
    luaL_error(lua, "what was handed over cannot be read");
  return 1;
}

void roost_bind_finish_hook(lua_State *lua, roost_generation *generation, roost_hook hook,
                            int count) {
  if (hook != ROOST_HOOK_HANDOFF)
    return;
  if (count == 0)
    lua_pushnil(lua);
  else
    lua_pop(lua, count - 1);
  roost_buffer_clear(&generation->handed);
  const int status = roost_pack_write(lua, lua_gettop(lua), &generation->handed);
  if (status == ROOST_EINVAL)
    luaL_error(lua, "what is handed over must be plain data: %s", lua_tostring(lua, -1));
  else if (status != 0)
    luaL_error(lua, "out of memory");
}

const roost_binding roost_bind = {
    .load = load,
    .unload = roost_bind_unload,
    .begin_call = roost_bind_begin_call,
    .finish_call = roost_bind_finish_call,
    .fail_call = roost_bind_fail_call,
    .forced_call = roost_bind_forced_call,
    .end_call = roost_bind_end_call,
    .begin_hook = roost_bind_begin_hook,
    .finish_hook = roost_bind_finish_hook,
    .describe = roost_bind_describe,
};
