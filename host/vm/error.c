#include "vm/error.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "vm/value.h"
#include "vm/vm.h"
#include "vm/watchdog.h"

/* Registry keys are the addresses of these. */
static const char error_mark;
static const char exception_mark;
static const char memory_key;   /* the LimitError of a state that ran out of memory */
static const char rethrown_key; /* the value whose trace is kept */

#define TRACE_FRAMES_MAX 40
#define TRACE_LEVELS_MAX 1000 /* looked at: the way to each begins at the top */

/* "NAME: MESSAGE", or the one that is there. */
static int error_tostring(lua_State *lua) {
  const int at = lua_gettop(lua);
  lua_getfield(lua, 1, "name");
  lua_getfield(lua, 1, "message");
  const char *name = lua_isnil(lua, at + 1) ? "" : luaL_tolstring(lua, at + 1, NULL);
  const char *message = lua_isnil(lua, at + 2) ? "" : luaL_tolstring(lua, at + 2, NULL);
  lua_pushfstring(lua, *name && *message ? "%s: %s" : "%s%s", name, message);
  return 1;
}

static void make_metatable(lua_State *lua, const char *mark) {
  lua_createtable(lua, 0, 2);
  lua_pushcfunction(lua, error_tostring);
  lua_setfield(lua, -2, "__tostring");
  lua_pushliteral(lua, "roost.error");
  lua_setfield(lua, -2, "__name");
  lua_rawsetp(lua, LUA_REGISTRYINDEX, mark);
}

static void make_memory_error(lua_State *lua) {
  const roost_vm *vm = roost_vm_of(lua);
  char text[96] = "EMEMORY: not enough memory";
  if (vm->memory_limit != SIZE_MAX)
    snprintf(text, sizeof text, "EMEMORY: not enough memory: the limit is %zu bytes",
             vm->memory_limit);
  roost_error_push(lua, "LimitError", "EMEMORY", text);
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &memory_key);
}

void roost_error_open(lua_State *lua) {
  make_metatable(lua, &error_mark);
  make_metatable(lua, &exception_mark);
  make_memory_error(lua);
}

void roost_error_push(lua_State *lua, const char *name, const char *code, const char *message) {
  lua_createtable(lua, 0, 3);
  lua_pushstring(lua, name);
  lua_setfield(lua, -2, "name");
  lua_pushstring(lua, code);
  lua_setfield(lua, -2, "code");
  lua_pushstring(lua, message);
  lua_setfield(lua, -2, "message");
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &error_mark);
  lua_setmetatable(lua, -2);
}

void roost_error_push_memory(lua_State *lua) {
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &memory_key);
}

int roost_error_raise(lua_State *lua, const char *name, const char *code, const char *message) {
  roost_error_push(lua, name, code, message);
  return lua_error(lua);
}

void roost_error_mark_exception(lua_State *lua) {
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &exception_mark);
  lua_setmetatable(lua, -2);
}

static bool has_metatable(lua_State *lua, int index, const char *mark) {
  if (!lua_istable(lua, index) || !lua_getmetatable(lua, index))
    return false;
  lua_rawgetp(lua, LUA_REGISTRYINDEX, mark);
  bool same = lua_rawequal(lua, -1, -2);
  lua_pop(lua, 2);
  return same;
}

bool roost_error_is_exception(lua_State *lua, int index) {
  return has_metatable(lua, index, &exception_mark);
}

bool roost_error_is(lua_State *lua, int index, const char *name) {
  if (!has_metatable(lua, index, &error_mark))
    return false;
  index = lua_absindex(lua, index);
  lua_pushliteral(lua, "name");
  lua_rawget(lua, index);
  const char *own = lua_tostring(lua, -1);
  bool same = own != NULL && strcmp(own, name) == 0;
  lua_pop(lua, 1);
  return same;
}

/* describe(value, buffer) -> text, or nothing where it is in the buffer. A table that has a message
 * is shown as ours are, another as JSON: its address would say nothing. */
static int describe(lua_State *lua) {
  if (lua_istable(lua, 1) && luaL_getmetafield(lua, 1, "__tostring") == LUA_TNIL) {
    lua_pushliteral(lua, "message");
    if (lua_rawget(lua, 1) == LUA_TSTRING)
      return error_tostring(lua);
    if (roost_value_write_json(lua, 1, lua_touserdata(lua, 2)) == 0)
      return 0;
  }
  luaL_tolstring(lua, 1, NULL);
  return 1;
}

int roost_error_describe(lua_State *lua, int index, roost_buffer *out) {
  lua_pushcfunction(lua, describe);
  lua_pushvalue(lua, index < 0 ? index - 1 : index);
  lua_pushlightuserdata(lua, out);
  roost_slice text = ROOST_SLICE("an error object whose __tostring fails");
  const size_t before = out->len;
  if (lua_pcall(lua, 2, 1, 0) == LUA_OK)
    text.ptr = lua_tolstring(lua, -1, &text.len);
  else
    out->len = before;
  int status = roost_buffer_append_slice(out, text);
  lua_pop(lua, 1);
  return status;
}

/* ------------------------------------------------------------------------- traceback --------- */

/* Frames of C functions and of the Lua half of the API ("=roost...") say nothing about the user's
 * mistake when they are on top, and are noise at the bottom. */
static bool is_users(const lua_Debug *info) {
  return info->source[0] == '@';
}

static void write_frame(roost_buffer *out, const lua_Debug *info) {
  roost_buffer_printf(out, "%s%s:", out->len ? "\n" : "", info->short_src);
  if (info->currentline > 0)
    roost_buffer_printf(out, "%d:", info->currentline);
  if (*info->namewhat != '\0')
    roost_buffer_printf(out, " in %s '%s'", info->namewhat, info->name);
  else if (*info->what == 'm')
    roost_buffer_printf(out, " in main chunk");
  else if (*info->what != 'C')
    roost_buffer_printf(out, " in function <%s:%d>", info->short_src, info->linedefined);
}

void roost_error_where(lua_State *lua, char *out, size_t size) {
  lua_Debug info;
  *out = '\0';
  for (int level = 0; level < TRACE_LEVELS_MAX && lua_getstack(lua, level, &info); level++) {
    lua_getinfo(lua, "Sl", &info);
    if (is_users(&info) && info.currentline > 0) {
      snprintf(out, size, "%s:%d", info.short_src, info.currentline);
      return;
    }
  }
}

static void push_users_line(lua_State *lua) {
  char where[LUA_IDSIZE + 16];
  roost_error_where(lua, where, sizeof where);
  lua_pushfstring(lua, *where != '\0' ? "%s: " : "%s", where);
}

int roost_error_raise_text(lua_State *lua, const char *format, ...) {
  va_list args;
  push_users_line(lua);
  va_start(args, format);
  lua_pushvfstring(lua, format, args);
  va_end(args);
  lua_concat(lua, 2);
  return lua_error(lua);
}

/* The trace runs from the topmost to the lowest frame of the user's own; frames in between stay.
 * A trace cut short for want of memory is still a trace, so append errors are ignored. */
void roost_error_write_trace(lua_State *lua, int level, roost_buffer *out) {
  lua_Debug info;
  size_t end_of_users = out->len;
  int written = 0;
  for (const int end = level + TRACE_LEVELS_MAX;
       level < end && written < TRACE_FRAMES_MAX && lua_getstack(lua, level, &info); level++) {
    lua_getinfo(lua, "Slnt", &info);
    bool users = is_users(&info);
    if (!users && out->len == 0)
      continue;
    write_frame(out, &info);
    written++;
    if (users)
      end_of_users = out->len;
  }
  if (written < TRACE_FRAMES_MAX)
    out->len = end_of_users;
}

void roost_error_write_function(lua_State *lua, roost_buffer *out) {
  lua_Debug info;
  lua_getinfo(lua, ">Sln", &info);
  if (is_users(&info))
    write_frame(out, &info);
}

int roost_error_rethrow(lua_State *lua, roost_slice trace) {
  roost_vm *vm = roost_vm_of(lua);
  roost_buffer_clear(&vm->trace);
  vm->rethrown = trace.len > 0 && roost_buffer_append_slice(&vm->trace, trace) == 0;
  if (vm->rethrown) {
    lua_pushvalue(lua, -1);
    lua_rawsetp(lua, LUA_REGISTRYINDEX, &rethrown_key);
  }
  return lua_error(lua);
}

/* Whether the error at index 1 is the one that roost_error_rethrow raised last: something else may
 * have caught that. */
static bool is_rethrown(lua_State *lua, roost_vm *vm) {
  if (!vm->rethrown)
    return false;
  vm->rethrown = false;
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &rethrown_key);
  bool same = lua_rawequal(lua, 1, -1);
  lua_pop(lua, 1);
  lua_pushnil(lua);
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &rethrown_key);
  return same;
}

int roost_error_traceback(lua_State *lua) {
  roost_vm *vm = roost_vm_of(lua);
  if (roost_vm_ending(lua)) /* its own is written */
    return 1;
  if (is_rethrown(lua, vm))
    return 1;
  roost_buffer_clear(&vm->trace);
  if (!roost_error_is_exception(lua, 1))
    roost_error_write_trace(lua, 1, &vm->trace);
  return 1;
}
