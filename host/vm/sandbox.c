#include "vm/sandbox.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "vm/vm.h"

/* Registry key of the host globals. */
static const char host_key;

bool roost_sandbox_on(lua_State *lua) {
  const bool on = lua_rawgetp(lua, LUA_REGISTRYINDEX, &host_key) == LUA_TTABLE;
  lua_pop(lua, 1);
  return on;
}

void roost_sandbox_push_host(lua_State *lua) {
  if (lua_rawgetp(lua, LUA_REGISTRYINDEX, &host_key) == LUA_TTABLE)
    return;
  lua_pop(lua, 1);
  lua_pushglobaltable(lua);
}

/* ------------------------------------------------------------------------- functions --------- */

/* Whether the table at index has the mark of roost.array or roost.bytes, which may be replaced by a
 * metatable of the guest's: he was handed the table as his own. */
static bool is_marked(lua_State *lua, int index) {
  const roost_vm *vm = roost_vm_of(lua);
  if (!lua_getmetatable(lua, index))
    return false;
  const void *mark = lua_topointer(lua, -1);
  lua_pop(lua, 1);
  return mark == vm->array_mark || mark == vm->bytes_mark;
}

/* setmetatable(table, metatable) for guests. Any __gc is refused: true today may be a function when
 * the table dies. */
static int guest_setmetatable(lua_State *lua) {
  const int type = lua_type(lua, 2);
  luaL_checktype(lua, 1, LUA_TTABLE);
  luaL_argexpected(lua, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  lua_settop(lua, 2);
  if (type == LUA_TTABLE) {
    lua_pushliteral(lua, "__gc");
    if (lua_rawget(lua, 2) != LUA_TNIL)
      return luaL_error(lua, "a sandboxed service has no finalizers (__gc)");
  }
  if (luaL_getmetafield(lua, 1, "__metatable") != LUA_TNIL && !is_marked(lua, 1))
    return luaL_error(lua, "cannot change a protected metatable");
  lua_settop(lua, 2);
  lua_setmetatable(lua, 1);
  return 1;
}

/* The Lua half's setmetatable: what guests get an object of, they cannot get the class of. */
static int host_setmetatable(lua_State *lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  luaL_checktype(lua, 2, LUA_TTABLE);
  lua_settop(lua, 2);
  lua_pushliteral(lua, "__metatable");
  lua_pushvalue(lua, -1);
  if (lua_rawget(lua, 2) == LUA_TNIL) {
    lua_pop(lua, 1);
    lua_pushboolean(lua, false);
    lua_rawset(lua, 2);
  }
  lua_settop(lua, 2);
  lua_setmetatable(lua, 1);
  return 1;
}

/* And its getmetatable, which sees them all the same. */
static int host_getmetatable(lua_State *lua) {
  luaL_checkany(lua, 1);
  if (!lua_getmetatable(lua, 1))
    lua_pushnil(lua);
  return 1;
}

/* collectgarbage("count"): the collector is the host's to tune. */
static int guest_collectgarbage(lua_State *lua) {
  const char *option = luaL_optstring(lua, 1, "collect");
  if (strcmp(option, "count") != 0)
    return luaL_error(lua, "collectgarbage: a sandboxed service may ask for \"count\" only");
  const int kilobytes = lua_gc(lua, LUA_GCCOUNT);
  const int bytes = lua_gc(lua, LUA_GCCOUNTB);
  lua_pushnumber(lua, (lua_Number)kilobytes + (lua_Number)bytes / 1024);
  return 1;
}

/* ------------------------------------------------------------------------- globals ----------- */

/* What of a library guests have; without a list all of it, but what excluded names. */
typedef struct library {
  const char *name;
  const char *const *functions;
  const char *excluded;
} library;

static const char *const base_functions[] = {
    "assert", "error",    "getmetatable", "ipairs", "next",     "pairs",  "pcall",
    "print",  "rawequal", "rawget",       "rawlen", "rawset",   "select", "tonumber",
    "type",   "tostring", "warn",         "xpcall", "_VERSION", NULL};
static const char *const os_functions[] = {"clock", "date", "difftime", "time", NULL};

static const library libraries[] = {
    {.name = "coroutine"}, {.name = "math"}, {.name = "string", .excluded = "dump"},
    {.name = "table"},     {.name = "utf8"}, {.name = "os", .functions = os_functions},
};

/* Copies fields of the table at from into the one on top. */
static void copy_fields(lua_State *lua, int from, const char *const *names) {
  for (; *names != NULL; names++) {
    lua_getfield(lua, from, *names);
    lua_setfield(lua, -2, *names);
  }
}

/* Copies every field of the table at from into the one on top, but one. */
static void copy_all(lua_State *lua, int from, const char *excluded) {
  const int to = lua_gettop(lua);
  lua_pushnil(lua);
  while (lua_next(lua, from)) {
    lua_pushvalue(lua, -2);
    lua_insert(lua, -2);
    if (excluded != NULL && lua_type(lua, -2) == LUA_TSTRING &&
        strcmp(lua_tostring(lua, -2), excluded) == 0)
      lua_pop(lua, 2);
    else
      lua_rawset(lua, to);
  }
}

/* Adds a copy of the library to the guest globals on top. */
static void add_library(lua_State *lua, int host, const library *which) {
  lua_getfield(lua, host, which->name);
  lua_newtable(lua);
  if (which->functions != NULL)
    copy_fields(lua, lua_gettop(lua) - 1, which->functions);
  else
    copy_all(lua, lua_gettop(lua) - 1, which->excluded);
  lua_remove(lua, -2);
  lua_setfield(lua, -2, which->name);
}

/* Pushes the guest globals. */
static void push_guest(lua_State *lua, int host) {
  lua_newtable(lua);
  copy_fields(lua, host, base_functions);
  for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
    add_library(lua, host, &libraries[i]);
  lua_pushcfunction(lua, guest_setmetatable);
  lua_setfield(lua, -2, "setmetatable");
  lua_pushcfunction(lua, guest_collectgarbage);
  lua_setfield(lua, -2, "collectgarbage");
  lua_pushvalue(lua, -1);
  lua_setfield(lua, -2, "_G");
}

/* ------------------------------------------------------------------------- metatables -------- */

/* Hides the metatable on top. */
static void protect(lua_State *lua) {
  lua_pushliteral(lua, "__metatable");
  lua_pushboolean(lua, false);
  lua_rawset(lua, -3);
}

/* Every metatable that C code has made bears its type's name, and is in the registry. */
static void protect_types(lua_State *lua) {
  lua_pushnil(lua);
  while (lua_next(lua, LUA_REGISTRYINDEX)) {
    if (lua_istable(lua, -1)) {
      lua_pushliteral(lua, "__name");
      const bool is_type = lua_rawget(lua, -2) == LUA_TSTRING;
      lua_pop(lua, 1);
      if (is_type)
        protect(lua);
    }
    lua_pop(lua, 1);
  }
}

/* Methods of strings are those of the host, for guests too. */
static void protect_strings(lua_State *lua, int host) {
  lua_getfield(lua, host, "string");
  lua_pushnil(lua);
  lua_setfield(lua, -2, "dump");
  lua_pop(lua, 1);
  lua_pushliteral(lua, "");
  lua_getmetatable(lua, -1);
  protect(lua);
  lua_pop(lua, 2);
}

void roost_sandbox_enter(lua_State *lua, const roost_source *source, const char *working_dir,
                         const roost_sandbox_offer *offers) {
  luaL_checkstack(lua, LUA_MINSTACK, NULL);
  lua_pushglobaltable(lua);
  const int host = lua_gettop(lua);
  lua_pushvalue(lua, host);
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &host_key);
  push_guest(lua, host);
  roost_sandbox_open_load(lua, host, source, working_dir, offers);
  lua_rawseti(lua, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pushcfunction(lua, host_setmetatable);
  lua_setfield(lua, host, "setmetatable");
  lua_pushcfunction(lua, host_getmetatable);
  lua_setfield(lua, host, "getmetatable");
  protect_types(lua);
  protect_strings(lua, host);
  lua_settop(lua, host - 1);
}
