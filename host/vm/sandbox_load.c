/*
 * How guests load code: as text, from three folders, and a few modules of the host's.
 */
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "vm/sandbox.h"

/* ------------------------------------------------------------------------- folders ----------- */

/* Where a service's code lies; upvalue 1 of every function below that reads files. */
typedef struct folders {
  const char *root;    /* of the services; chunks are named by their path below it */
  const char *main;    /* the service's main file, which is no module */
  const char *path[3]; /* its own folder, lib, lua */
} folders;

#define FOLDERS (sizeof((folders *)NULL)->path / sizeof(char *))

static const folders *folders_of(lua_State *lua) {
  return lua_touserdata(lua, lua_upvalueindex(1));
}

/* Pushes folders, whose texts it keeps as its user value. */
static void push_folders(lua_State *lua, const roost_source *source, const char *working_dir) {
  folders *self = lua_newuserdatauv(lua, sizeof *self, 1);
  lua_newtable(lua);
  const char **const places[] = {&self->root, &self->main, &self->path[0], &self->path[1],
                                 &self->path[2]};
  lua_pushstring(lua, source->root);
  lua_pushstring(lua, source->path);
  lua_pushfstring(lua, "%s/%s", source->root, source->name);
  lua_pushfstring(lua, "%s/lib", source->root);
  lua_pushfstring(lua, "%s/lua", working_dir);
  for (int i = 4; i >= 0; i--) {
    *places[i] = lua_tostring(lua, -1);
    lua_rawseti(lua, -2 - i, i + 1);
  }
  lua_setiuservalue(lua, -2, 1);
}

/* Where path really is, with every link followed; false where that is in none of the folders. Says
 * as little of a file that is elsewhere as of one that is not there. */
static bool resolve(const folders *self, const char *path, char real[PATH_MAX]) {
  char folder[PATH_MAX];
  if (realpath(path, real) == NULL)
    return false;
  for (size_t i = 0; i < FOLDERS; i++) {
    if (realpath(self->path[i], folder) == NULL)
      continue;
    const size_t len = strlen(folder);
    if (strncmp(real, folder, len) == 0 && real[len] == '/')
      return true;
  }
  return false;
}

/* ------------------------------------------------------------------------- load -------------- */

/* Guests load text; what they say of the mode can only forbid it. */
static bool forbids_text(lua_State *lua, int index) {
  return strchr(luaL_optstring(lua, index, "t"), 't') == NULL;
}

static int refuse_text(lua_State *lua, int mode) {
  luaL_pushfail(lua);
  lua_pushfstring(lua, "attempt to load a text chunk (mode is '%s')", lua_tostring(lua, mode));
  return 2;
}

static int loaded(lua_State *lua, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(lua);
}

/* load(chunk, name, mode, environment). Upvalue 1: the host's. */
static int guest_load(lua_State *lua) {
  luaL_checkany(lua, 1);
  if (forbids_text(lua, 3))
    return refuse_text(lua, 3);
  const int given = lua_gettop(lua);
  lua_settop(lua, given < 4 ? 3 : 4); /* without an environment is not the same as with nil */
  lua_pushliteral(lua, "t");
  lua_replace(lua, 3);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_callk(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0, loaded);
  return loaded(lua, LUA_OK, 0);
}

/* ------------------------------------------------------------------------- files ------------- */

/* Pushes the file at path, as the guest named it, compiled; raises. */
static void load_file(lua_State *lua, const folders *self, const char *path) {
  char real[PATH_MAX];
  if (!resolve(self, path, real))
    luaL_error(lua, "cannot open '%s': it is not in a folder of this service's", path);
  const char *chunk_name = lua_pushfstring(lua, "@%s", path);
  roost_source_load_file(lua, real, chunk_name, "t");
  lua_remove(lua, -2);
}

/* load_file_named(folders, path) -> function */
static int load_file_named(lua_State *lua) {
  load_file(lua, lua_touserdata(lua, 1), lua_tostring(lua, 2));
  return 1;
}

static const char *check_path(lua_State *lua) {
  size_t len;
  const char *path = luaL_checklstring(lua, 1, &len);
  luaL_argcheck(lua, strlen(path) == len, 1, "a path has no NUL byte");
  return path;
}

/* loadfile(path, mode, environment) -> function, or nil and why not */
static int guest_loadfile(lua_State *lua) {
  check_path(lua);
  if (forbids_text(lua, 2))
    return refuse_text(lua, 2);
  const bool has_environment = !lua_isnone(lua, 3);
  lua_settop(lua, 3);
  lua_pushcfunction(lua, load_file_named);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_pushvalue(lua, 1);
  if (lua_pcall(lua, 2, 1, 0) != LUA_OK) {
    luaL_pushfail(lua);
    lua_insert(lua, -2);
    return 2;
  }
  if (has_environment) {
    lua_pushvalue(lua, 3);
    if (lua_setupvalue(lua, -2, 1) == NULL)
      lua_pop(lua, 1);
  }
  return 1;
}

/* dofile(path) -> what the file returns */
static int guest_dofile(lua_State *lua) {
  const char *path = check_path(lua);
  lua_settop(lua, 1);
  load_file(lua, folders_of(lua), path);
  lua_remove(lua, 1);
  lua_callk(lua, 0, LUA_MULTRET, 0, loaded);
  return loaded(lua, LUA_OK, 0);
}

/* ------------------------------------------------------------------------- require ----------- */

#define COPIED_LEVELS 2 /* of a module's tables */

/* Replaces the table on top by a copy, and the plain tables in it: a guest may do with a module
 * what he likes, and the Lua half goes on with its own. */
static void copy_plain(lua_State *lua, int levels) {
  const int from = lua_gettop(lua);
  luaL_checkstack(lua, 6, NULL);
  lua_newtable(lua);
  lua_pushnil(lua);
  while (lua_next(lua, from)) {
    if (levels > 1 && lua_istable(lua, -1)) {
      if (lua_getmetatable(lua, -1))
        lua_pop(lua, 1);
      else
        copy_plain(lua, levels - 1);
    }
    lua_pushvalue(lua, -2);
    lua_insert(lua, -2);
    lua_rawset(lua, from + 1);
  }
  lua_remove(lua, from);
}

static int refuse_module(lua_State *lua, const char *name, const char *why) {
  return luaL_error(lua, "module '%s' not found:%s", name, why);
}

/* The offer of that name; NULL: there is none. Raises where it is a part of what is offered: those
 * are the host's own, also where their files lie in one of the folders. Upvalue 2 of require: the
 * offers. */
static const roost_sandbox_offer *find_offer(lua_State *lua, const char *name) {
  const roost_sandbox_offer *offer = lua_touserdata(lua, lua_upvalueindex(2));
  for (; offer->name != NULL; offer++) {
    const size_t len = strlen(offer->name);
    if (strcmp(offer->name, name) == 0)
      return offer;
    if (strncmp(offer->name, name, len) == 0 && name[len] == '.')
      refuse_module(lua, name, "\n\tit is not for sandboxed services");
  }
  return NULL;
}

static void push_offered(lua_State *lua, const roost_sandbox_offer *offer) {
  roost_sandbox_push_host(lua);
  lua_getfield(lua, -1, "require");
  lua_pushstring(lua, offer->module);
  lua_call(lua, 1, 1);
  if (luaL_callmeta(lua, -1, "__pairs")) /* which loads what would be loaded later */
    lua_pop(lua, 1);
  copy_plain(lua, COPIED_LEVELS);
  lua_remove(lua, -2);
}

/* Names are words with dots between them, so that no path can be made of one. */
static void check_name(lua_State *lua, const char *name, size_t len) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  if (len == 0 || strspn(name, letters) != len || name[0] == '.' || name[len - 1] == '.' ||
      strstr(name, "..") != NULL)
    refuse_module(lua, name, "\n\ta sandboxed service requires modules by names as a.b");
}

/* Pushes the module's file at path, compiled, and path; false, with why not pushed, where there is
 * none. */
static bool push_file(lua_State *lua, const folders *self, const char *path) {
  char real[PATH_MAX];
  const bool itself = strcmp(path, self->main) == 0;
  if (itself || !resolve(self, path, real)) {
    lua_pushfstring(lua, "\n\tno file '%s'%s", path, itself ? ": that is the service itself" : "");
    return false;
  }
  const char *chunk_name = lua_pushfstring(lua, "@%s", roost_source_below(path, self->root));
  roost_source_load_file(lua, real, chunk_name, "t");
  lua_pushstring(lua, path);
  return true;
}

/* Pushes the module as a function at index 2 and where it was found at 3; raises where it is in
 * none of the folders. Index 1 is its name. */
static void push_found(lua_State *lua, const folders *self, const char *name) {
  const char *file = luaL_gsub(lua, name, ".", "/"); /* 2 */
  lua_pushliteral(lua, "");                          /* 3: why not, so far */
  for (size_t i = 0; i < FOLDERS; i++) {
    const char *path = lua_pushfstring(lua, "%s/%s.lua", self->path[i], file);
    if (push_file(lua, self, path)) {
      lua_replace(lua, 3);
      lua_replace(lua, 2);
      lua_settop(lua, 3);
      return;
    }
    lua_remove(lua, -2);
    lua_concat(lua, 2);
  }
  refuse_module(lua, name, lua_tostring(lua, -1));
}

/* Pushes what package.loaded has for the name at index 1; upvalue 3 of require. */
static int push_known(lua_State *lua) {
  lua_pushvalue(lua, 1);
  return lua_rawget(lua, lua_upvalueindex(3));
}

/* Puts the value on top, which it pops, into package.loaded. */
static void set_known(lua_State *lua) {
  lua_pushvalue(lua, 1);
  lua_insert(lua, -2);
  lua_rawset(lua, lua_upvalueindex(3));
}

/* Runs the module at index 2, found at the path at index 3. One that returns nothing may have put
 * itself into package.loaded; else it is true there. */
static void run_module(lua_State *lua) {
  lua_pushvalue(lua, 2);
  lua_pushvalue(lua, 1);
  lua_pushvalue(lua, 3);
  lua_call(lua, 2, 1);
  if (!lua_isnil(lua, -1))
    set_known(lua);
  if (push_known(lua) == LUA_TNIL) {
    lua_pushboolean(lua, true);
    set_known(lua);
  }
}

/* require(name) -> the module, and where it was found. Upvalues: 1 the folders, 2 the offers, 3
 * package.loaded. */
static int guest_require(lua_State *lua) {
  size_t len;
  const char *name = luaL_checklstring(lua, 1, &len);
  lua_settop(lua, 1);
  push_known(lua);
  if (lua_toboolean(lua, -1))
    return 1;
  lua_settop(lua, 1);
  check_name(lua, name, len);
  const roost_sandbox_offer *offer = find_offer(lua, name);
  if (offer != NULL) {
    push_offered(lua, offer);
    set_known(lua);
    push_known(lua);
    return 1;
  }
  push_found(lua, folders_of(lua), name);
  run_module(lua);
  push_known(lua);
  lua_pushvalue(lua, 3);
  return 2;
}

/* ------------------------------------------------------------------------- opening ----------- */

/* Pushes a table of what the globals at index hold: libraries by their names, and _G. */
static void push_loaded(lua_State *lua, int globals) {
  lua_newtable(lua);
  lua_pushnil(lua);
  while (lua_next(lua, globals)) {
    lua_pushvalue(lua, -2);
    lua_insert(lua, -2);
    if (lua_istable(lua, -1))
      lua_rawset(lua, -4);
    else
      lua_pop(lua, 2);
  }
}

/* Adds package to the globals at index, without what would lead out; the table at loaded becomes
 * its loaded. */
static void add_package(lua_State *lua, int globals, int loaded_table, const folders *self) {
  lua_newtable(lua);
  lua_pushvalue(lua, loaded_table);
  lua_setfield(lua, -2, "loaded");
  lua_pushliteral(lua, "/\n;\n?\n!\n-\n");
  lua_setfield(lua, -2, "config");
  lua_pushfstring(lua, "%s/?.lua;%s/?.lua;%s/?.lua", self->path[0], self->path[1], self->path[2]);
  lua_setfield(lua, -2, "path");
  lua_pushvalue(lua, -1);
  lua_setfield(lua, loaded_table, "package");
  lua_setfield(lua, globals, "package");
}

void roost_sandbox_open_load(lua_State *lua, int host, const roost_source *source,
                             const char *working_dir, const roost_sandbox_offer *offers) {
  const int globals = lua_gettop(lua);
  lua_getfield(lua, host, "load");
  lua_pushcclosure(lua, guest_load, 1);
  lua_setfield(lua, globals, "load");
  push_folders(lua, source, working_dir);
  const int where = globals + 1;
  lua_pushvalue(lua, where);
  lua_pushcclosure(lua, guest_loadfile, 1);
  lua_setfield(lua, globals, "loadfile");
  lua_pushvalue(lua, where);
  lua_pushcclosure(lua, guest_dofile, 1);
  lua_setfield(lua, globals, "dofile");
  push_loaded(lua, globals);
  add_package(lua, globals, lua_gettop(lua), lua_touserdata(lua, where));
  lua_pushlightuserdata(lua, (void *)(uintptr_t)offers);
  lua_insert(lua, -2);
  lua_pushcclosure(lua, guest_require, 3);
  lua_setfield(lua, globals, "require");
}
