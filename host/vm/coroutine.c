/*
 * The coroutine table of services. It differs from Lua's own in one thing: a wait of the host
 * inside a user's coroutine passes through every resume on the way out, and through each of them
 * on the way back in, so that roost.sleep works in a generator. And in another: what ends a run
 * (vm/watchdog.h) passes through as well, and what it ended is dead.
 */
#include <lauxlib.h>
#include <lua.h>

#include "vm/error.h"
#include "vm/protect.h"
#include "vm/resume.h"
#include "vm/task.h"
#include "vm/watchdog.h"

#define RESUME_FAILED (-1)

static lua_State *check_coroutine(lua_State *lua, int index) {
  lua_State *co = lua_tothread(lua, index);
  luaL_argexpected(lua, co != NULL, index, "thread");
  return co;
}

/* Moves count values from the top of one stack to the other; false with a text where there is no
 * room. */
static bool move(lua_State *from, lua_State *to, int count) {
  if (!lua_checkstack(to, count))
    return false;
  lua_xmove(from, to, count);
  return true;
}

static bool host_waits(lua_State *lua) {
  const roost_task *task = roost_task_current(lua);
  return task != NULL && task->waiting;
}

/* The coroutine came back with status. Returns the number of results moved to lua, RESUME_FAILED
 * with the error on lua's stack, or yields with the host's wait. */
static int settle(lua_State *lua, lua_State *co, int status, int results) {
  if (status == LUA_ERRMEM) {
    roost_error_push_memory(lua);
    return RESUME_FAILED;
  }
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, lua, 1);
    return RESUME_FAILED;
  }
  if (!move(co, lua, results)) {
    lua_pop(co, results);
    lua_pushliteral(lua, "too many results to resume");
    return RESUME_FAILED;
  }
  return results;
}

typedef int (*deliver_fn)(lua_State *lua, lua_State *co, int results);

static int go_on(lua_State *lua, lua_State *co, int arguments, lua_KFunction k,
                 deliver_fn deliver) {
  int results;
  int status = roost_resume(co, lua, arguments, &results);
  if (status == ROOST_RESUME_ENDED)
    return roost_vm_end(lua);
  if (status == LUA_YIELD && host_waits(lua)) {
    lua_pop(co, results);
    roost_vm_set_waits(co, true);
    return lua_yieldk(lua, 0, (lua_KContext)co, k);
  }
  return deliver(lua, co, settle(lua, co, status, results));
}

static bool can_resume(lua_State *lua, lua_State *co, int arguments) {
  if (roost_vm_waits(co)) {
    lua_pushliteral(lua, "cannot resume a coroutine that is waiting for the host");
    return false;
  }
  if (roost_vm_dead(co)) {
    lua_pushliteral(lua, "cannot resume dead coroutine");
    return false;
  }
  lua_Debug info;
  if (lua_status(co) == LUA_OK && lua_getstack(co, 0, &info)) {
    lua_pushliteral(lua, "cannot resume non-suspended coroutine");
    return false;
  }
  if (lua_status(co) == LUA_OK && lua_gettop(co) == 0) {
    lua_pushliteral(lua, "cannot resume dead coroutine");
    return false;
  }
  if (lua_status(co) == LUA_OK || lua_status(co) == LUA_YIELD) {
    if (move(lua, co, arguments))
      return true;
    lua_pushliteral(lua, "too many arguments to resume");
    return false;
  }
  lua_pushliteral(lua, "cannot resume dead coroutine");
  return false;
}

/* ------------------------------------------------------------------------- resume ------------ */

/* A failure is caught here; index 2 is whether the resume was itself made while CancelledError was
 * being raised. */
static int deliver_resume(lua_State *lua, lua_State *co, int results) {
  (void)co;
  roost_task *task = roost_task_current(lua);
  if (results == RESUME_FAILED && task != NULL)
    task->unwinding = lua_toboolean(lua, 2);
  int count = results == RESUME_FAILED ? 1 : results;
  lua_pushboolean(lua, results != RESUME_FAILED);
  lua_insert(lua, -(count + 1));
  return count + 1;
}

static int resume_again(lua_State *lua, int status, lua_KContext context) {
  (void)status;
  return go_on(lua, (lua_State *)context, 0, resume_again, deliver_resume);
}

static int co_resume(lua_State *lua) {
  lua_State *co = check_coroutine(lua, 1);
  const roost_task *task = roost_task_current(lua);
  int arguments = lua_gettop(lua) - 1;
  lua_pushboolean(lua, task != NULL && task->unwinding);
  lua_insert(lua, 2);
  if (!can_resume(lua, co, arguments))
    return deliver_resume(lua, co, RESUME_FAILED);
  return go_on(lua, co, arguments, resume_again, deliver_resume);
}

/* ------------------------------------------------------------------------- wrap -------------- */

static int deliver_wrap(lua_State *lua, lua_State *co, int results) {
  if (results != RESUME_FAILED)
    return results;
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) { /* what <close> variables raise takes its place */
    status = roost_reset_thread(roost_vm_of(lua), co);
    if (roost_vm_ending(lua))
      return roost_vm_end(lua);
    lua_pop(lua, 1);
    lua_xmove(co, lua, 1);
  }
  if (status != LUA_ERRMEM &&
      lua_type(lua, -1) == LUA_TSTRING) { /* tell where it came through, as Lua does */
    luaL_where(lua, 1);
    lua_insert(lua, -2);
    lua_concat(lua, 2);
  }
  return lua_error(lua);
}

static int wrap_again(lua_State *lua, int status, lua_KContext context) {
  (void)status;
  return go_on(lua, (lua_State *)context, 0, wrap_again, deliver_wrap);
}

static int wrapped(lua_State *lua) {
  lua_State *co = lua_tothread(lua, lua_upvalueindex(1));
  int arguments = lua_gettop(lua);
  if (!can_resume(lua, co, arguments))
    return deliver_wrap(lua, co, RESUME_FAILED);
  return go_on(lua, co, arguments, wrap_again, deliver_wrap);
}

static int co_create(lua_State *lua) {
  luaL_checktype(lua, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(lua);
  lua_pushvalue(lua, 1);
  lua_xmove(lua, co, 1);
  return 1;
}

static int co_wrap(lua_State *lua) {
  co_create(lua);
  lua_pushcclosure(lua, wrapped, 1);
  return 1;
}

/* ------------------------------------------------------------------------- the rest ---------- */

static int co_yield(lua_State *lua) {
  const roost_task *task = roost_task_current(lua);
  if (task != NULL && task->lua == lua)
    return luaL_error(lua, "attempt to yield from outside a coroutine");
  return lua_yield(lua, lua_gettop(lua));
}

static const char *status_of(lua_State *lua, lua_State *co) {
  if (lua == co)
    return "running";
  if (roost_vm_waits(co))
    return "normal"; /* as is one that has resumed another */
  if (roost_vm_dead(co))
    return "dead";
  lua_Debug info;
  switch (lua_status(co)) {
  case LUA_YIELD:
    return "suspended";
  case LUA_OK:
    if (lua_getstack(co, 0, &info))
      return "normal";
    return lua_gettop(co) == 0 ? "dead" : "suspended";
  default:
    return "dead";
  }
}

static int co_status(lua_State *lua) {
  lua_pushstring(lua, status_of(lua, check_coroutine(lua, 1)));
  return 1;
}

static int co_isyieldable(lua_State *lua) {
  lua_State *co = lua_isnone(lua, 1) ? lua : check_coroutine(lua, 1);
  const roost_task *task = roost_task_current(lua);
  lua_pushboolean(lua, lua_isyieldable(co) && !(task != NULL && task->lua == co));
  return 1;
}

/* A task's own coroutine counts as the main one: nobody but the host resumes it. */
static int co_running(lua_State *lua) {
  const roost_task *task = roost_task_current(lua);
  bool is_main = lua_pushthread(lua) || (task != NULL && task->lua == lua);
  lua_pushboolean(lua, is_main);
  return 2;
}

static int co_close(lua_State *lua) {
  lua_State *co = check_coroutine(lua, 1);
  const char *status = status_of(lua, co);
  if (*status != 's' && *status != 'd')
    return luaL_error(lua, "cannot close a %s coroutine", status);
  roost_task *task = roost_task_current(lua);
  bool unwinding = task != NULL && task->unwinding;
  bool closed = roost_reset_thread(roost_vm_of(lua), co) == LUA_OK;
  if (roost_vm_ending(lua))
    return roost_vm_end(lua);
  if (task != NULL)
    task->unwinding = unwinding; /* what was raised inside is caught here */
  lua_pushboolean(lua, closed);
  if (closed)
    return 1;
  lua_xmove(co, lua, 1);
  return 2;
}

lua_State *roost_coroutine_inner(lua_State *lua) {
  lua_Debug info;
  lua_State *inner = NULL;
  if (!lua_checkstack(lua, 2) || !lua_getstack(lua, 0, &info))
    return NULL;
  int top = lua_gettop(lua);
  lua_getinfo(lua, "f", &info);
  lua_CFunction function = lua_tocfunction(lua, -1);
  if (function == co_resume ? lua_getlocal(lua, &info, 1) != NULL
                            : function == wrapped && lua_getupvalue(lua, -1, 1) != NULL)
    inner = lua_tothread(lua, -1);
  lua_settop(lua, top);
  return inner;
}

void roost_coroutine_open(lua_State *lua) {
  static const luaL_Reg functions[] = {
      {"create", co_create},   {"resume", co_resume}, {"wrap", co_wrap},
      {"yield", co_yield},     {"status", co_status}, {"isyieldable", co_isyieldable},
      {"running", co_running}, {"close", co_close},   {NULL, NULL}};
  luaL_newlib(lua, functions);
  luaL_getsubtable(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(lua, -2);
  lua_setfield(lua, -2, "coroutine");
  lua_pop(lua, 1);
  lua_setglobal(lua, "coroutine");
}
