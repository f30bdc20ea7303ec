/*
 * A byte buffer as a Lua value: C code that may be left by an error keeps its bytes in one. Who is
 * not left by one frees them: a finalizer that has no memory to be called with is not called.
 */
#include <lauxlib.h>
#include <lua.h>

#include "bind/bind.h"
#include "vm/sandbox.h"

static int free_buffer(lua_State *lua) {
  roost_buffer_deinit(lua_touserdata(lua, 1));
  return 0;
}

roost_buffer *roost_bind_push_buffer(lua_State *lua) {
  roost_buffer *buffer = lua_newuserdatauv(lua, sizeof *buffer, 0);
  roost_buffer_init(buffer, roost_vm_of(lua)->alloc);
  if (luaL_newmetatable(lua, "roost.buffer")) {
    lua_pushcfunction(lua, free_buffer);
    lua_setfield(lua, -2, "__gc");
    lua_pushcfunction(lua, free_buffer);
    lua_setfield(lua, -2, "__close");
  }
  lua_setmetatable(lua, -2);
  return buffer;
}

void roost_bind_guard_buffer(lua_State *lua) {
  if (roost_sandbox_on(lua) || roost_vm_of(lua)->closing)
    lua_toclose(lua, -1);
}
