#include "bind/program.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "vm/error.h"
#include "vm/source.h"

static roost_program *program_of(lua_State *lua) {
  const roost_generation *owner = roost_vm_of(lua)->owner;
  return owner->dispatch->config.program;
}

/* ------------------------------------------------------------------------- its globals ------- */

/* print(...): to the owner, as Lua's own would write it. */
static int print(lua_State *lua) {
  const roost_program *program = program_of(lua);
  int count = lua_gettop(lua);
  luaL_Buffer text;
  luaL_buffinit(lua, &text);
  for (int i = 1; i <= count; i++) {
    if (i > 1)
      luaL_addchar(&text, '\t');
    luaL_tolstring(lua, i, NULL);
    luaL_addvalue(&text);
  }
  luaL_addchar(&text, '\n');
  luaL_pushresult(&text);
  roost_slice line;
  line.ptr = lua_tolstring(lua, -1, &line.len);
  program->ops->print(program->ud, line);
  return 0;
}

/* os.exit([code]); true and nothing mean success, as in Lua */
static int os_exit(lua_State *lua) {
  const roost_program *program = program_of(lua);
  int code = lua_isnoneornil(lua, 1) ? EXIT_SUCCESS
             : lua_isboolean(lua, 1) ? (lua_toboolean(lua, 1) ? EXIT_SUCCESS : EXIT_FAILURE)
                                     : (int)luaL_checkinteger(lua, 1);
  program->ops->exit(program->ud, code);
  return 0;
}

/* What lies beside the program is found first. */
static void add_path(lua_State *lua, const char *path) {
  const char *slash = strrchr(path, '/');
  lua_getglobal(lua, "package");
  lua_getfield(lua, -1, "path");
  lua_pushlstring(lua, path, slash ? (size_t)(slash - path) : 0);
  lua_pushfstring(lua, "%s%s?.lua;%s", lua_tostring(lua, -1), slash ? "/" : "./",
                  lua_tostring(lua, -2));
  lua_setfield(lua, -4, "path");
  lua_pop(lua, 3);
}

/* The global arg: the program at 0, its arguments from 1, what is before it from -1 down. */
static void set_arg(lua_State *lua, const roost_program *program) {
  lua_createtable(lua, (int)program->arg_count, 1);
  lua_pushstring(lua, program->path ? program->path : program->module);
  lua_rawseti(lua, -2, 0);
  for (size_t i = 0; i < program->arg_count; i++) {
    lua_pushstring(lua, program->args[i]);
    lua_rawseti(lua, -2, (lua_Integer)i + 1);
  }
  for (size_t i = 1; i <= program->words_before; i++) {
    lua_pushstring(lua, program->args[-1 - (ptrdiff_t)i]);
    lua_rawseti(lua, -2, -(lua_Integer)i);
  }
  lua_setglobal(lua, "arg");
}

static void set_globals(lua_State *lua, const roost_program *program) {
  lua_pushcfunction(lua, print);
  lua_setglobal(lua, "print");
  lua_getglobal(lua, "os");
  lua_pushcfunction(lua, os_exit);
  lua_setfield(lua, -2, "exit");
  lua_pop(lua, 1);
  set_arg(lua, program);
  if (program->path != NULL)
    add_path(lua, program->path);
}

/* ------------------------------------------------------------------------- loading ----------- */

static int load_program(lua_State *lua) {
  const roost_generation *generation = roost_bind_generation(lua);
  roost_program *program = program_of(lua);
  roost_bind_open(lua, generation);
  set_globals(lua, program);
  if (program->ops->open != NULL) {
    roost_bind_push_core(lua);
    program->ops->open(lua, program->ud);
    lua_pop(lua, 1);
  }
  if (program->path != NULL)
    roost_source_load_script(lua, &generation->service->source);
  else
    roost_bind_push_module(lua, program->module);
  program->function = luaL_ref(lua, LUA_REGISTRYINDEX);
  return 0;
}

static int load(roost_generation *generation, roost_buffer *error) {
  return roost_bind_load(generation, load_program, error);
}

/* ------------------------------------------------------------------------- the main chunk ---- */

static int main_begin(lua_State *lua, void *ud) {
  const roost_program *program = ud;
  lua_rawgeti(lua, LUA_REGISTRYINDEX, program->function);
  if (program->path == NULL) {
    roost_bind_push_core(lua);
    return 1;
  }
  luaL_checkstack(lua, (int)program->arg_count, "too many arguments");
  for (size_t i = 0; i < program->arg_count; i++)
    lua_pushstring(lua, program->args[i]);
  return (int)program->arg_count;
}

static int main_fail(lua_State *lua, void *ud) {
  roost_program *program = ud;
  program->failed = true;
  roost_error_describe(lua, -1, &program->error);
  roost_buffer *trace = &roost_vm_of(lua)->trace;
  if (trace->len > 0)
    roost_buffer_printf(&program->error, "\n%.*s", (int)trace->len, trace->ptr);
  return -1;
}

static void main_ended(void *ud, bool reset) {
  roost_program *program = ud;
  program->main = NULL;
  program->over = true;
  program->failed = program->failed || reset;
}

static const roost_task_ops main_ops = {
    .begin = main_begin, .fail = main_fail, .ended = main_ended};

int roost_program_start(roost_program *program, roost_dispatch *dispatch, const char *root) {
  roost_service *service;
  const char *name = program->path ? program->path : program->module;
  int status = roost_dispatch_add_service(&service, dispatch, name, root, name);
  if (status != 0)
    return status;
  status = roost_generation_load(&program->generation, service, &program->error);
  if (status != 0)
    return status;
  roost_generation_publish(program->generation);
  return roost_task_start(&program->main, program->generation->vm, &main_ops, program, NULL);
}

const roost_binding roost_bind_program = {
    .load = load,
    .unload = roost_bind_unload,
    .begin_call = roost_bind_begin_call,
    .finish_call = roost_bind_finish_call,
    .fail_call = roost_bind_fail_call,
    .end_call = roost_bind_end_call,
    .forced_call = roost_bind_forced_call,
    .begin_hook = roost_bind_begin_hook,
    .finish_hook = roost_bind_finish_hook,
    .describe = roost_bind_describe,
};
