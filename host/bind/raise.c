/*
 * Errors in the Lua half of the API: raising, catching, passing on with the place they came from.
 */
#include <lauxlib.h>
#include <lua.h>

#include "bind/bind.h"
#include "vm/error.h"
#include "vm/watchdog.h"

/* core.exception(table) -> the same table, as what a handler raises to reach its caller. */
static int exception(lua_State *lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_settop(lua, 1);
  roost_error_mark_exception(lua);
  return 1;
}

/* core.error(name, code, message) -> an error table */
static int error_table(lua_State *lua) {
  roost_error_push(lua, luaL_checkstring(lua, 1), luaL_optstring(lua, 2, NULL),
                   luaL_checkstring(lua, 3));
  return 1;
}

/* Whether the error on top ends the running task. */
static bool ends_task(lua_State *lua) {
  const roost_task *task = roost_task_current(lua);
  return task != NULL && task->cancelled && roost_error_is(lua, -1, "CancelledError");
}

static void push_trace(lua_State *lua) {
  const roost_buffer *trace = &roost_vm_of(lua)->trace;
  lua_pushlstring(lua, trace->ptr, trace->len);
}

/* Index 1 is the message handler, 2 is true; before: whether the task was unwinding already. */
static int catch_after(lua_State *lua, int status, lua_KContext before) {
  if (status == LUA_OK || status == LUA_YIELD)
    return lua_gettop(lua) - 1;
  if (roost_vm_ending(lua))
    return roost_vm_end(lua);
  if (ends_task(lua))
    return lua_error(lua);
  roost_task *task = roost_task_current(lua);
  if (task != NULL)
    task->unwinding = before != 0;
  if (status == LUA_ERRMEM) { /* the message handler was not called */
    roost_buffer_clear(&roost_vm_of(lua)->trace);
    lua_pop(lua, 1);
    roost_error_push_memory(lua);
  }
  lua_pushboolean(lua, false);
  lua_insert(lua, -2);
  push_trace(lua);
  return 3;
}

/* core.catch(function, ...) -> true and its results, or false, the error and its traceback. What
 * ends the running task is not caught. */
static int catch (lua_State *lua) {
  const roost_task *task = roost_task_current(lua);
  luaL_checkany(lua, 1);
  lua_pushcfunction(lua, roost_error_traceback);
  lua_pushboolean(lua, true);
  lua_rotate(lua, 1, 2);
  lua_KContext before = task != NULL && task->unwinding;
  int status = lua_pcallk(lua, lua_gettop(lua) - 3, LUA_MULTRET, 1, before, catch_after);
  return catch_after(lua, status, before);
}

/* core.rethrow(error, traceback or nil): raises it again, as from where it came from first. */
static int rethrow(lua_State *lua) {
  roost_slice trace = {NULL, 0};
  lua_settop(lua, 2);
  if (lua_isstring(lua, 2))
    trace.ptr = lua_tolstring(lua, 2, &trace.len);
  lua_pushvalue(lua, 1);
  return roost_error_rethrow(lua, trace);
}

/* core.trace(error) -> the traceback of where this is called from; "" where error needs none. */
static int trace_here(lua_State *lua) {
  luaL_checkany(lua, 1);
  roost_error_traceback(lua);
  push_trace(lua);
  return 1;
}

/* core.report(error, traceback): logs what nobody takes. Without traceback: the one that
 * core.traceback has just written. A cancel of this task is raised again. */
static int report(lua_State *lua) {
  lua_settop(lua, 2);
  roost_buffer *trace = &roost_vm_of(lua)->trace;
  if (!lua_isnil(lua, 2)) {
    size_t len;
    const char *text = luaL_checklstring(lua, 2, &len);
    roost_buffer_clear(trace);
    roost_buffer_append_slice(trace, roost_slice_of(text, len)); /* without it in the worst case */
  }
  lua_settop(lua, 1);
  if (ends_task(lua))
    return lua_error(lua);
  roost_bind_log_error(lua, "task failed", 1);
  return 0;
}

void roost_bind_open_raise(lua_State *lua) {
  static const luaL_Reg functions[] = {
      {"exception", exception}, {"error", error_table},
      {"catch", catch},         {"rethrow", rethrow},
      {"trace", trace_here},    {"traceback", roost_error_traceback},
      {"report", report},       {NULL, NULL}};
  luaL_setfuncs(lua, functions, 0);
}
