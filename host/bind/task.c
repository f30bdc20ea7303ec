/*
 * Waiting and tasks: what roost.sleep, spawn, after, every, all and race are made of.
 *
 * A spawned task is seen by scripts as a handle, a userdata whose user value 1 is its function, 2
 * what to call where that took too long; it stays in the registry while the task lives. A signal is
 * a list of tasks that wait for it.
 */
#include <lauxlib.h>
#include <lua.h>
#include <math.h>

#include "bind/bind.h"
#include "vm/error.h"

#define HANDLE_NAME "roost.task"
#define SIGNAL_NAME "roost.signal"
#define MS_MAX      9007199254740992.0 /* 2^53 */

typedef struct handle {
  roost_task *task; /* NULL: it has ended */
  roost_call *call; /* pinned; NULL: not started in a request */
  roost_vm *vm;
  int ref; /* keeps the handle in the registry */
} handle;

/* ------------------------------------------------------------------------- sleep ------------- */

/* Whole milliseconds, rounded up; what is over already is 0. */
static uint64_t check_ms(lua_State *lua, int index) {
  lua_Number ms = luaL_checknumber(lua, index);
  luaL_argcheck(lua, !isnan(ms), index, "not a number of milliseconds");
  if (ms <= 0)
    return 0;
  return ms >= MS_MAX ? (uint64_t)MS_MAX : (uint64_t)ceil(ms);
}

static int slept(lua_State *lua, int status, lua_KContext context) {
  (void)status;
  (void)context;
  roost_task_current(lua)->dormant = false;
  roost_task_resumed(lua);
  return 0;
}

/* What the loop's time, which stands during a turn, is behind by now. One that tests move is not.
 */
static uint64_t behind_ms(lua_State *lua) {
  const roost_clock *clock = roost_bind_generation(lua)->dispatch->config.clock;
  const uint64_t loop_ms = roost_vm_of(lua)->wheel->now_ms;
  const uint64_t now_ms = clock->fake ? 0 : roost_clock_now_us(clock) / 1000;
  return now_ms > loop_ms ? now_ms - loop_ms : 0;
}

/* core.sleep(ms): never shorter than that, however late in a long turn it begins. */
static int sleep_ms(lua_State *lua) {
  const uint64_t ms = check_ms(lua, 1);
  roost_task_check_may_wait(lua);
  return roost_task_wait(lua, ms > 0 ? ms + behind_ms(lua) : 0, 0, slept);
}

void roost_bind_make_dormant(lua_State *lua) {
  roost_task *task = roost_task_current(lua);
  if (task == NULL)
    return;
  if (roost_bind_generation(lua)->state == ROOST_GENERATION_STOPPING)
    roost_task_cancel(task);
  if (!task->cancelled)
    task->dormant = true;
}

/* core.doze(ms): as sleep, but the task ends when its service stops meanwhile. */
static int doze(lua_State *lua) {
  uint64_t ms = check_ms(lua, 1);
  roost_bind_make_dormant(lua);
  return roost_task_wait(lua, ms, 0, slept);
}

/* core.ticks() -> the loop's time in whole milliseconds, which timers go by */
static int ticks(lua_State *lua) {
  const roost_vm *vm = roost_vm_of(lua);
  lua_pushinteger(lua, vm->closing ? 0 : (lua_Integer)vm->wheel->now_ms);
  return 1;
}

/* ------------------------------------------------------------------------- spawn ------------- */

static int spawned_begin(lua_State *lua, void *ud) {
  const handle *self = ud;
  lua_rawgeti(lua, LUA_REGISTRYINDEX, self->ref);
  lua_getiuservalue(lua, -1, 1);
  lua_remove(lua, -2);
  return 0;
}

/* Pushes the function for a task that took too long, and its arguments: the error and where it was
 * stopped; false where there is none. */
static bool push_overrun(lua_State *lua, const handle *self, int error) {
  const roost_buffer *trace = &self->vm->trace;
  if (!self->task->overran || !roost_error_is(lua, error, "LimitError"))
    return false;
  lua_rawgeti(lua, LUA_REGISTRYINDEX, self->ref);
  if (lua_getiuservalue(lua, -1, 2) != LUA_TFUNCTION)
    return false;
  lua_pushvalue(lua, error);
  lua_pushlstring(lua, trace->ptr, trace->len);
  return true;
}

static int spawned_fail(lua_State *lua, void *ud) {
  const handle *self = ud;
  int error = lua_gettop(lua);
  if (push_overrun(lua, self, error))
    return 2;
  if (!self->task->cancelled || !roost_error_is(lua, error, "CancelledError"))
    roost_bind_log_error(lua, "task failed", error);
  return -1;
}

static void spawned_ended(void *ud, bool reset) {
  (void)reset;
  handle *self = ud;
  roost_call *call = self->call;
  self->task = NULL;
  self->call = NULL;
  luaL_unref(self->vm->lua, LUA_REGISTRYINDEX, self->ref);
  if (call != NULL)
    roost_call_unpin(call);
}

static const roost_task_ops spawned_ops = {
    .begin = spawned_begin, .fail = spawned_fail, .ended = spawned_ended};
static const roost_task_ops part_ops = {
    .begin = spawned_begin, .fail = spawned_fail, .ended = spawned_ended, .early = true};

/* core.spawn(function, detached, part, overrun) -> handle; detached: without the context of this
 * request; part: the running task will wait for it, so that it runs wherever that one does
 * (on_start); overrun(error, traceback): goes on in the task where it was stopped for the time it
 * took, which else is logged */
static int spawn(lua_State *lua) {
  luaL_checktype(lua, 1, LUA_TFUNCTION);
  roost_call *call = lua_toboolean(lua, 2) ? NULL : roost_bind_current_call(lua);
  lua_settop(lua, 4);
  handle *self = lua_newuserdatauv(lua, sizeof *self, 2);
  *self = (handle){NULL, NULL, roost_vm_of(lua), LUA_NOREF};
  luaL_setmetatable(lua, HANDLE_NAME);
  lua_pushvalue(lua, 1);
  lua_setiuservalue(lua, -2, 1);
  lua_pushvalue(lua, 4);
  lua_setiuservalue(lua, -2, 2);
  lua_pushvalue(lua, -1);
  self->ref = luaL_ref(lua, LUA_REGISTRYINDEX);
  bool part = lua_toboolean(lua, 3) && roost_task_current(lua) != NULL;
  const roost_task_ops *ops = part ? &part_ops : &spawned_ops;
  int status = roost_task_start(&self->task, self->vm, ops, self, call);
  if (status != 0) {
    luaL_unref(lua, LUA_REGISTRYINDEX, self->ref);
    return luaL_error(lua, status == ROOST_ENOMEM ? "out of memory" : "the service has ended");
  }
  if (call != NULL && self->task != NULL) {
    self->call = call;
    roost_call_pin(call);
  }
  return 1;
}

/* handle:cancel() */
static int cancel(lua_State *lua) {
  const handle *self = luaL_checkudata(lua, 1, HANDLE_NAME);
  if (self->task != NULL)
    roost_task_cancel(self->task);
  return 0;
}

/* handle:alive() -> whether its task is not over yet */
static int alive(lua_State *lua) {
  const handle *self = luaL_checkudata(lua, 1, HANDLE_NAME);
  lua_pushboolean(lua, self->task != NULL);
  return 1;
}

/* handle:running() -> whether it is the task that calls this */
static int running(lua_State *lua) {
  const handle *self = luaL_checkudata(lua, 1, HANDLE_NAME);
  lua_pushboolean(lua, self->task != NULL && self->task == roost_task_current(lua));
  return 1;
}

/* core.task() -> what is the same in one task, and no other that lives; userdata NULL outside */
static int task_identity(lua_State *lua) {
  lua_pushlightuserdata(lua, roost_task_current(lua));
  return 1;
}

/* ------------------------------------------------------------------------- signals ----------- */

/* core.signal() */
static int signal_new(lua_State *lua) {
  roost_list *waiters = lua_newuserdatauv(lua, sizeof *waiters, 0);
  roost_list_init(waiters);
  luaL_setmetatable(lua, SIGNAL_NAME);
  return 1;
}

/* signal:wait(dormant): as doze where dormant is true */
static int signal_wait(lua_State *lua) {
  roost_list *waiters = luaL_checkudata(lua, 1, SIGNAL_NAME);
  if (lua_toboolean(lua, 2))
    roost_bind_make_dormant(lua);
  return roost_task_wait_in(lua, waiters, 0, slept);
}

/* signal:notify(): wakes all who wait now */
static int signal_notify(lua_State *lua) {
  roost_task_wake_all(luaL_checkudata(lua, 1, SIGNAL_NAME));
  return 0;
}

/* ------------------------------------------------------------------------- core -------------- */

static void make_class(lua_State *lua, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(lua, name);
  lua_newtable(lua);
  luaL_setfuncs(lua, methods, 0);
  lua_setfield(lua, -2, "__index");
  lua_pop(lua, 1);
}

void roost_bind_open_task(lua_State *lua) {
  static const luaL_Reg handle_methods[] = {
      {"alive", alive}, {"cancel", cancel}, {"running", running}, {NULL, NULL}};
  static const luaL_Reg signal_methods[] = {
      {"wait", signal_wait}, {"notify", signal_notify}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"sleep", sleep_ms},     {"doze", doze},         {"ticks", ticks}, {"spawn", spawn},
      {"task", task_identity}, {"signal", signal_new}, {NULL, NULL}};
  make_class(lua, HANDLE_NAME, handle_methods);
  make_class(lua, SIGNAL_NAME, signal_methods);
  luaL_setfuncs(lua, functions, 0);
}
