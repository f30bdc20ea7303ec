#include "config/script.h"

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/open_file.h"

#define MAX_BYTES        ((size_t)64 * 1024 * 1024)
#define MAX_INSTRUCTIONS 50000000

static void *resize(void *ud, void *ptr, size_t old_size, size_t new_size) {
  roost_script *script = ud;
  if (ptr == NULL)
    old_size = 0; /* Lua passes the kind of object here */
  if (new_size > old_size && new_size - old_size > MAX_BYTES - script->bytes) {
    script->too_large = true;
    return NULL;
  }
  void *moved = NULL;
  if (new_size > 0) {
    moved = roost_alloc_resize(script->alloc, ptr, old_size, new_size);
    if (moved == NULL)
      return NULL;
  } else {
    roost_alloc_put(script->alloc, ptr, old_size);
  }
  script->bytes += new_size - old_size;
  return moved;
}

int roost_script_open(roost_script *script, const roost_alloc *alloc, const char *working_dir) {
  *script = (roost_script){.alloc = alloc, .working_dir = working_dir};
  script->lua = lua_newstate(resize, script);
  if (script->lua == NULL)
    return ROOST_ENOMEM;
  *(void **)lua_getextraspace(script->lua) = NULL; /* where others have their vm */
  return 0;
}

void roost_script_close(roost_script *script) {
  if (script->lua != NULL)
    lua_close(script->lua);
  script->lua = NULL;
}

const char *roost_script_lua_version(void) {
  return LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE;
}

int roost_script_read_file(roost_buffer *out, const char *working_dir, const char *path) {
  roost_buffer full;
  roost_buffer_init(&full, out->alloc);
  const bool relative = working_dir != NULL && path[0] != '/';
  int status =
      roost_buffer_printf(&full, "%s%s%s", relative ? working_dir : "", relative ? "/" : "", path);
  if (status == 0)
    status = roost_buffer_append_byte(&full, '\0');
  FILE *file = status == 0 ? roost_open_file(full.ptr) : NULL;
  roost_buffer_deinit(&full);
  if (status != 0)
    return status;
  if (file == NULL)
    return ROOST_ESYSTEM;
  size_t n = 1;
  while (status == 0 && n > 0) {
    status = roost_buffer_reserve(out, 4096);
    if (status == 0) {
      n = fread(out->ptr + out->len, 1, out->cap - out->len, file);
      out->len += n;
    }
  }
  const int error = ferror(file) ? errno : 0;
  fclose(file);
  if (error != 0) {
    errno = error;
    return ROOST_ESYSTEM;
  }
  return status;
}

/* env(name, default) */
static int lua_env(lua_State *lua) {
  const char *name = luaL_checkstring(lua, 1);
  const char *value = getenv(name);
  if (value != NULL)
    lua_pushstring(lua, value);
  else if (!lua_isnoneornil(lua, 2))
    lua_pushvalue(lua, 2);
  else
    return luaL_error(lua, "the environment variable %s is not set and env was given no default",
                      name);
  return 1;
}

static int push_bytes(lua_State *lua) {
  const roost_buffer *bytes = lua_touserdata(lua, 1);
  lua_pushlstring(lua, bytes->len > 0 ? bytes->ptr : "", bytes->len);
  return 1;
}

/* file(path): a file's contents, without the newline that editors end it with */
static int lua_file(lua_State *lua) {
  const roost_script *script = lua_touserdata(lua, lua_upvalueindex(1));
  const char *path = luaL_checkstring(lua, 1);
  roost_buffer text;
  roost_buffer_init(&text, script->alloc);
  const int status = roost_script_read_file(&text, script->working_dir, path);
  if (status != 0) {
    const int error = errno;
    roost_buffer_deinit(&text);
    return luaL_error(lua, "%s: %s", path,
                      status == ROOST_ENOMEM ? "not enough memory" : roost_open_error(error));
  }
  if (text.len > 0 && text.ptr[text.len - 1] == '\n') {
    text.len--;
    if (text.len > 0 && text.ptr[text.len - 1] == '\r')
      text.len--;
  }
  /* In a call of its own: a memory error must not pass by the buffer. */
  lua_pushcfunction(lua, push_bytes);
  lua_pushlightuserdata(lua, &text);
  const int failed = lua_pcall(lua, 1, 1, 0);
  roost_buffer_deinit(&text);
  return failed ? lua_error(lua) : 1;
}

static void push_env(roost_script *script) {
  static const char *const functions[] = {"tonumber", "tostring", "type",  "ipairs",
                                          "pairs",    "select",   "error", "assert"};
  static const luaL_Reg libraries[] = {
      {"string", luaopen_string}, {"table", luaopen_table}, {"math", luaopen_math}};
  lua_State *lua = script->lua;
  lua_newtable(lua);
  luaL_requiref(lua, "_G", luaopen_base, 0);
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    lua_getfield(lua, -1, functions[i]);
    lua_setfield(lua, -3, functions[i]);
  }
  lua_pop(lua, 1);
  for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
    luaL_requiref(lua, libraries[i].name, libraries[i].func, 0);
    lua_setfield(lua, -2, libraries[i].name);
  }
  lua_pushcfunction(lua, lua_env);
  lua_setfield(lua, -2, "env");
  lua_pushlightuserdata(lua, script);
  lua_pushcclosure(lua, lua_file, 1);
  lua_setfield(lua, -2, "file");
}

static void on_count(lua_State *lua, lua_Debug *where) {
  lua_getinfo(lua, "Sl", where);
  lua_pushfstring(lua, "%s:%d: still running after %d million instructions", where->short_src,
                  where->currentline, MAX_INSTRUCTIONS / 1000000);
  lua_error(lua);
}

/* What runs for so long from now on is ended. */
static void guard(lua_State *lua) {
  lua_sethook(lua, on_count, LUA_MASKCOUNT, MAX_INSTRUCTIONS);
}

void roost_script_run(roost_script *script, roost_slice text, const char *name) {
  lua_State *lua = script->lua;
  lua_pushfstring(lua, "@%s", name);
  if (luaL_loadbufferx(lua, text.ptr, text.len, lua_tostring(lua, -1), "t") != LUA_OK)
    lua_error(lua);
  push_env(script);
  lua_setupvalue(lua, -2, 1);
  lua_remove(lua, -2);
  guard(lua);
  lua_call(lua, 0, 1); /* guarded from then on, since functions in the table are called later */
}

static int refuse_name(lua_State *lua) {
  return luaL_error(lua, "not a literal");
}

void roost_script_push_literal(roost_script *script, const char *text) {
  lua_State *lua = script->lua;
  const int top = lua_gettop(lua);
  lua_pushfstring(lua, "return %s", text);
  if (luaL_loadbufferx(lua, lua_tostring(lua, -1), lua_rawlen(lua, -1), "=value", "t") == LUA_OK) {
    lua_newtable(lua); /* where every name is an error, so that a word is a text */
    lua_newtable(lua);
    lua_pushcfunction(lua, refuse_name);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, -2);
    lua_setupvalue(lua, -2, 1);
    guard(lua);
    const int status = lua_pcall(lua, 0, LUA_MULTRET, 0);
    if (status == LUA_OK && lua_gettop(lua) == top + 2) {
      lua_remove(lua, top + 1);
      return;
    }
  }
  lua_settop(lua, top);
  lua_pushstring(lua, text);
}
