/*
 * What a service's state contains: Lua's libraries without what would hurt the host.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

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

void roost_vm_open_libraries(lua_State *lua) {
  luaL_openlibs(lua);
  remove_field(lua, "os", "exit");
  remove_field(lua, "debug", "sethook");
  remove_field(lua, "debug", "setmetatable");
  remove_field(lua, "debug", "getregistry");
  remove_field(lua, "debug", "debug"); /* reads standard input */
  close_input(lua);
  roost_protect_open(lua);
  roost_coroutine_open(lua);
}
