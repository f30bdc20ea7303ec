#include <lauxlib.h>
#include <lua.h>

#include "vm/protect.h"
#include "vm/resume.h"
#include "vm/watchdog.h"

/* Upvalue 1: what the metatable had for __gc. Where time is up already it does not run at all. */
static int finalize(lua_State *lua) {
  roost_vm *vm = roost_vm_of(lua);
  int results;
  if (roost_vm_ending(lua))
    return 0;
  lua_State *co = lua_newthread(lua);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_pushvalue(lua, 1);
  lua_xmove(lua, co, 2);
  const int status = roost_resume(co, lua, 1, &results);
  if (status == ROOST_RESUME_ENDED) {
    if (!roost_runner_busy(vm->runner) && vm->on_overrun != NULL)
      vm->on_overrun(vm, "a finalizer", &vm->runner->stop);
    return 0;
  }
  if (status == LUA_OK)
    return 0;
  (void)roost_reset_thread(vm, co); /* what it has still to close, nobody else would */
  if (status == LUA_YIELD)
    return 0;
  lua_xmove(co, lua, 1);
  return lua_error(lua);
}

/* Whether Lua would call the value at index as a finalizer, and it is none of ours yet. */
static bool needs_wrapping(lua_State *lua, int index) {
  switch (lua_type(lua, index)) {
  case LUA_TFUNCTION:
    return lua_tocfunction(lua, index) != finalize;
  case LUA_TTABLE:
  case LUA_TUSERDATA:
    return true;
  default:
    return false; /* a placeholder */
  }
}

static void wrap_finalizer(lua_State *lua, int metatable) {
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_rawget(lua, metatable);
  if (needs_wrapping(lua, -1)) {
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, -2);
    lua_pushcclosure(lua, finalize, 1);
    lua_rawset(lua, metatable);
  } else {
    lua_pop(lua, 1);
  }
}

/* setmetatable(table, metatable or nil); upvalue 1: "__gc", made once. */
static int set_metatable(lua_State *lua) {
  const int type = lua_type(lua, 2);
  luaL_checktype(lua, 1, LUA_TTABLE);
  luaL_argexpected(lua, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(lua, 1, "__metatable") != LUA_TNIL)
    return luaL_error(lua, "cannot change a protected metatable");
  lua_settop(lua, 2);
  if (type == LUA_TTABLE)
    wrap_finalizer(lua, 2);
  lua_setmetatable(lua, 1);
  return 1;
}

void roost_finalizer_open(lua_State *lua) {
  lua_pushliteral(lua, "__gc");
  lua_pushcclosure(lua, set_metatable, 1);
  lua_setglobal(lua, "setmetatable");
}
