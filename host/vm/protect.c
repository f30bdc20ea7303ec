#include "vm/protect.h"

#include <lauxlib.h>
#include <lua.h>

#include "vm/task.h"

/* While CancelledError unwinds a task, <close> variables may wait. The unwinding ends where
 * something catches the error; the next wait then raises it again. context is whether this call
 * was itself made during such an unwinding. */
static bool unwinding(lua_State *lua) {
  const roost_task *task = roost_task_current(lua);
  return task != NULL && task->unwinding;
}

static void caught(lua_State *lua, bool unwinding_before) {
  roost_task *task = roost_task_current(lua);
  if (task != NULL)
    task->unwinding = unwinding_before;
}

/* extra: stack slots below the results that are not for the caller. */
static int finish(lua_State *lua, int status, int extra, bool unwinding_before) {
  if (status != LUA_OK && status != LUA_YIELD) {
    caught(lua, unwinding_before);
    lua_pushboolean(lua, false);
    lua_insert(lua, -2);
    return 2;
  }
  return lua_gettop(lua) - extra;
}

static int pcall_after(lua_State *lua, int status, lua_KContext context) {
  if (status != LUA_OK && status != LUA_YIELD && roost_vm_of(lua)->no_catch)
    return lua_error(lua);
  return finish(lua, status, 0, context != 0);
}

static int protected_call(lua_State *lua) {
  luaL_checkany(lua, 1);
  lua_pushboolean(lua, true);
  lua_insert(lua, 1);
  lua_KContext context = unwinding(lua);
  int status = lua_pcallk(lua, lua_gettop(lua) - 2, LUA_MULTRET, 0, context, pcall_after);
  return pcall_after(lua, status, context);
}

static int xpcall_after(lua_State *lua, int status, lua_KContext context) {
  return finish(lua, status, 2, context != 0);
}

static int handled_call(lua_State *lua) {
  int arguments = lua_gettop(lua) - 2;
  luaL_checktype(lua, 2, LUA_TFUNCTION);
  lua_pushboolean(lua, true);
  lua_pushvalue(lua, 1);
  lua_rotate(lua, 3, 2); /* function, handler, true, function, arguments */
  lua_KContext context = unwinding(lua);
  int status = lua_pcallk(lua, arguments, LUA_MULTRET, 2, context, xpcall_after);
  return xpcall_after(lua, status, context);
}

void roost_protect_open(lua_State *lua) {
  lua_pushcfunction(lua, protected_call);
  lua_setglobal(lua, "pcall");
  lua_pushcfunction(lua, handled_call);
  lua_setglobal(lua, "xpcall");
}
