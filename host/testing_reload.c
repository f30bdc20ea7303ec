/*
 * host:reload of roost.testing: a next generation made at once, in the test's thread, whose taking
 * over the test waits for.
 */
#include <lauxlib.h>
#include <lua.h>

#include "core/slice.h"
#include "testing_internal.h"
#include "vm/task.h"

#define RELOADING_NAME "roost.testing.reloading"

/* A reload that a test waits for: a userdata, in the registry until it is over. */
typedef struct reloading {
  roost_reload_waiter waiter;
  roost_list tasks; /* the one that waits */
  roost_exec *exec;
  roost_buffer refused;
  int ref;
  bool is_over;
  bool is_refused;
} reloading;

static void on_reloaded(roost_reload_waiter *waiter, const roost_reload_result *result) {
  reloading *self = ROOST_LIST_ENTRY(waiter, reloading, waiter);
  self->is_over = true;
  self->is_refused = result->to == 0;
  (void)roost_buffer_append_slice(&self->refused, result->refused);
  luaL_unref(self->exec->program.generation->vm->lua, LUA_REGISTRYINDEX, self->ref);
  roost_task_wake_all(&self->tasks);
}

static int free_reloading(lua_State *lua) {
  reloading *self = luaL_checkudata(lua, 1, RELOADING_NAME);
  roost_list_remove(&self->waiter.link);
  roost_buffer_deinit(&self->refused);
  return 0;
}

static roost_service *check_service(lua_State *lua, const roost_test_host *host) {
  const char *name = luaL_checkstring(lua, 2);
  const roost_dispatch *dispatch = host->worker->dispatch;
  for (size_t i = 0; i < dispatch->service_count; i++)
    if (strcmp(dispatch->services[i]->name, name) == 0)
      return dispatch->services[i];
  luaL_error(lua, "there is no service \"%s\"", name);
  return NULL;
}

static int reloaded(lua_State *lua, int status, lua_KContext context) {
  reloading *self = (reloading *)context;
  (void)status;
  roost_task_resumed(lua);
  if (!self->is_over)
    return roost_task_wait_in(lua, &self->tasks, context, reloaded);
  if (!self->is_refused)
    return 0;
  lua_pushlstring(lua, self->refused.ptr, self->refused.len);
  return lua_error(lua);
}

/* Has next, which is loaded, take its service's place, and waits for that. */
static int offer(lua_State *lua, roost_generation *next) {
  roost_task_check_may_wait(lua);
  reloading *self = lua_newuserdatauv(lua, sizeof *self, 0);
  *self = (reloading){.waiter = {.fn = on_reloaded}, .exec = roost_testing_exec(lua)};
  roost_list_init(&self->waiter.link);
  roost_list_init(&self->tasks);
  roost_buffer_init(&self->refused, self->exec->alloc);
  luaL_setmetatable(lua, RELOADING_NAME);
  lua_pushvalue(lua, -1);
  self->ref = luaL_ref(lua, LUA_REGISTRYINDEX);
  if (roost_reload_offer(next->service, next, &self->waiter) != 0) {
    luaL_unref(lua, LUA_REGISTRYINDEX, self->ref);
    roost_generation_free(next);
    return luaL_error(lua, "a reload of it is under way");
  }
  return reloaded(lua, LUA_OK, (lua_KContext)self);
}

static int raise_unbuilt(lua_State *lua, roost_generation *next, int status) {
  if (next->error.len > 0)
    lua_pushlstring(lua, next->error.ptr, next->error.len);
  else
    lua_pushstring(lua, roost_status_name(status));
  roost_generation_free(next);
  return lua_error(lua);
}

/* host:reload(name, text): from its file, or from text where that is not nil */
static int reload(lua_State *lua) {
  const roost_test_host *host = roost_testing_check_host(lua);
  roost_service *service = check_service(lua, host);
  roost_generation *next;
  roost_slice text;
  text.ptr = luaL_optlstring(lua, 3, "", &text.len);
  int status = roost_generation_new(&next, service);
  if (status != 0)
    return luaL_error(lua, "out of memory");
  status = roost_buffer_append_slice(&next->text, text);
  if (status == 0)
    status = roost_generation_build(next, &host->exec->runner);
  if (status == 0)
    status = roost_generation_attach(next);
  if (status != 0)
    return raise_unbuilt(lua, next, status);
  if (host->exec->guard_until_us != 0)
    roost_testing_watch(next->vm);
  return offer(lua, next);
}

/* host:begin_inline(name) -> target, for the handlers and hooks of its next generation */
static int begin_inline(lua_State *lua) {
  roost_test_host *host = roost_testing_check_host(lua);
  roost_service *service = check_service(lua, host);
  roost_generation *next;
  if (roost_generation_borrow(&next, service, roost_vm_of(lua)) != 0)
    return luaL_error(lua, "out of memory");
  lua_pushlightuserdata(lua, next);
  return 1;
}

/* host:end_inline(target, keep): has it take its service's place; or, where that is false, drops it
 */
static int end_inline(lua_State *lua) {
  roost_generation *next = lua_touserdata(lua, 2);
  if (lua_toboolean(lua, 3))
    return offer(lua, next);
  roost_generation_free(next);
  return 0;
}

void roost_testing_open_reload(lua_State *lua, roost_exec *exec, const char *class_name) {
  static const luaL_Reg methods[] = {
      {"reload", reload}, {"begin_inline", begin_inline}, {"end_inline", end_inline}, {NULL, NULL}};
  luaL_newmetatable(lua, RELOADING_NAME);
  lua_pushcfunction(lua, free_reloading);
  lua_setfield(lua, -2, "__gc");
  luaL_getmetatable(lua, class_name);
  lua_getfield(lua, -1, "__index");
  lua_pushlightuserdata(lua, exec);
  luaL_setfuncs(lua, methods, 1);
  lua_pop(lua, 3);
}
