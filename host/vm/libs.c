/*
 * What a service's state contains: Lua's libraries without what would hurt the host.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "vm/bounded.h"
#include "vm/protect.h"
#include "vm/vm.h"

static void remove_field(lua_State *lua, const char *table, const char *field) {
  lua_getglobal(lua, table);
  lua_pushnil(lua);
  lua_setfield(lua, -2, field);
  lua_pop(lua, 1);
}

/* Standard input is the host's: io.read and io.lines without a file name find it closed. A
 * luaL_Stream whose closef is NULL is a closed file. */
static void close_input(lua_State *lua) {
  luaL_Stream *input = lua_newuserdatauv(lua, sizeof *input, 0);
  input->f = NULL;
  input->closef = NULL;
  luaL_setmetatable(lua, LUA_FILEHANDLE);
  lua_setfield(lua, LUA_REGISTRYINDEX, "_IO_input");
  remove_field(lua, "io", "stdin");
}

static int call_over(lua_State *lua, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(lua);
}

/* Upvalue 1: loadfile or dofile, which without a name would read standard input. */
static int call_with_name(lua_State *lua) {
  luaL_checkstring(lua, 1);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_callk(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0, call_over);
  return call_over(lua, LUA_OK, 0);
}

static void demand_name(lua_State *lua, const char *function) {
  lua_getglobal(lua, function);
  lua_pushcclosure(lua, call_with_name, 1);
  lua_setglobal(lua, function);
}

void roost_vm_open_libraries(lua_State *lua) {
  luaL_openlibs(lua);
  remove_field(lua, "os", "exit");
  remove_field(lua, "debug", "sethook");
  remove_field(lua, "debug", "setmetatable");
  remove_field(lua, "debug", "getregistry");
  remove_field(lua, "debug", "debug"); /* reads standard input */
  close_input(lua);
  demand_name(lua, "loadfile");
  demand_name(lua, "dofile");
  roost_bounded_open_string(lua);
  roost_bounded_open_table(lua);
  roost_bounded_open_load(lua);
  roost_protect_open(lua);
  roost_finalizer_open(lua);
  roost_coroutine_open(lua);
}
