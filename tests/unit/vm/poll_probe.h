/*
 * poll_probe.h - roost_vm_poll as a test wants it, for programs linked with --wrap=roost_vm_poll.
 *
 *     poll_probe_arm(3);   // the third poll from now ends what runs, as each one after it does
 *     ... assert_true(poll_probe.fired);
 *
 * poll_probe_expect_end does all that with a chunk. One thread.
 */
#ifndef ROOST_TESTS_POLL_PROBE_H
#define ROOST_TESTS_POLL_PROBE_H

#include "vm_test.h"

#include "vm/watchdog.h"

#define POLL_PROBE_TEXT "ended by the watchdog"

static struct {
  size_t polls; /* since it was armed */
  size_t left;  /* until one fires; 0: none does */
  bool fired;
} poll_probe;

void __wrap_roost_vm_poll(struct lua_State *lua);

void __wrap_roost_vm_poll(struct lua_State *lua) {
  poll_probe.polls++;
  if (poll_probe.left > 0 && --poll_probe.left == 0)
    poll_probe.fired = true;
  if (!poll_probe.fired)
    return;
  if (lua_isyieldable(lua)) {
    lua_yield(lua, 0);
    return;
  }
  lua_pushliteral(lua, POLL_PROBE_TEXT);
  lua_error(lua);
}

static inline void poll_probe_arm(size_t polls) {
  poll_probe.polls = 0;
  poll_probe.left = polls;
  poll_probe.fired = false;
}

static inline void poll_probe_load(lua_State *lua, const char *code) {
  if (luaL_loadbuffer(lua, code, strlen(code), "@test.lua") != LUA_OK)
    fail_msg("%s", lua_tostring(lua, -1));
}

/* The chunk goes on until a poll ends it: once raised where it cannot yield, once yielded. */
static inline void poll_probe_expect_end(vm_test *self, const char *code) {
  lua_State *lua = self->vm->lua;
  int results;
  poll_probe_load(lua, code);
  poll_probe_arm(3);
  int status = lua_pcall(lua, 0, 0, 0);
  poll_probe.fired = false;
  if (status != LUA_ERRRUN || strcmp(lua_tostring(lua, -1), POLL_PROBE_TEXT) != 0)
    fail_msg("%s: %s", code, status == LUA_OK ? "it ended by itself" : lua_tostring(lua, -1));
  lua_settop(lua, 0);

  lua_State *co = lua_newthread(lua);
  poll_probe_load(co, code);
  poll_probe_arm(2);
  status = lua_resume(co, lua, 0, &results);
  poll_probe.fired = false;
  if (status != LUA_YIELD && lua_type(co, -1) == LUA_TSTRING) /* from where it cannot yield */
    assert_string_equal(lua_tostring(co, -1), POLL_PROBE_TEXT);
  else
    assert_int_equal(status, LUA_YIELD);
  lua_resetthread(co);
  lua_settop(lua, 0);
  poll_probe_arm(0);
}

/* The number of polls that a chunk of code takes. */
static inline size_t poll_probe_count(vm_test *self, const char *code) {
  poll_probe_load(self->vm->lua, code);
  poll_probe_arm(0);
  if (lua_pcall(self->vm->lua, 0, 0, 0) != LUA_OK)
    fail_msg("%s: %s", code, lua_tostring(self->vm->lua, -1));
  return poll_probe.polls;
}

#endif
