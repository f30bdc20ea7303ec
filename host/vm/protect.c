#include "vm/protect.h"

#include <lauxlib.h>
#include <lua.h>

#include "vm/error.h"
#include "vm/task.h"
#include "vm/watchdog.h"

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
    if (status == LUA_ERRMEM) {
      lua_pop(lua, 1);
      roost_error_push_memory(lua);
    }
    lua_pushboolean(lua, false);
    lua_insert(lua, -2);
    return 2;
  }
  return lua_gettop(lua) - extra;
}

static int pcall_after(lua_State *lua, int status, lua_KContext context) {
  if (roost_vm_ending(lua))
    return roost_vm_end(lua);
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

/* The handler (upvalue 1) is not for what ends a run: it would be called with hooks off. */
static int handle(lua_State *lua) {
  if (roost_vm_ending(lua))
    return 1;
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_call(lua, lua_gettop(lua) - 1, 1);
  return 1;
}

/* Pushes the message handler for the function at index 2. debug.traceback (upvalue 1) goes as it
 * is, so that it shows no frame of ours. */
static void push_handler(lua_State *lua) {
  lua_pushvalue(lua, 2);
  if (!lua_rawequal(lua, 2, lua_upvalueindex(1)))
    lua_pushcclosure(lua, handle, 1);
}

static int xpcall_after(lua_State *lua, int status, lua_KContext context) {
  if (roost_vm_ending(lua))
    return roost_vm_end(lua);
  return finish(lua, status, 2, context != 0);
}

static int handled_call(lua_State *lua) {
  int arguments = lua_gettop(lua) - 2;
  luaL_checktype(lua, 2, LUA_TFUNCTION);
  push_handler(lua);
  lua_replace(lua, 2);
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
  lua_getglobal(lua, "debug");
  lua_getfield(lua, -1, "traceback");
  lua_pushcclosure(lua, handled_call, 1);
  lua_setglobal(lua, "xpcall");
  lua_pop(lua, 1);
}
