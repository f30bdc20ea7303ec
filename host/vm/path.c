#include "vm/path.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdio.h>

#include "vm/vm.h"
#include "wire/json.h"

#define LEVELS_RESERVED 8 /* stack slots are reserved for so many at once */

size_t roost_path_room(lua_State *lua, size_t len) {
  const roost_vm *vm = roost_vm_of(lua);
  if (vm == NULL || vm->memory_limit > SIZE_MAX - len)
    return SIZE_MAX;
  return len + vm->memory_limit;
}

int roost_path_enter(lua_State *lua, roost_path *here, const roost_path *outer, int index) {
  *here = (roost_path){.outer = outer,
                       .table = lua_topointer(lua, index),
                       .depth = outer != NULL ? outer->depth + 1 : 1};
  if (here->depth > ROOST_JSON_DEPTH_MAX)
    return roost_path_refuse(lua, outer, "nested more than 1,000 levels deep");
  for (const roost_path *at = outer; at != NULL; at = at->outer)
    if (at->table == here->table)
      return roost_path_refuse(lua, outer, "a table contains itself");
  if (here->depth % LEVELS_RESERVED == 1)
    luaL_checkstack(lua, LEVELS_RESERVED * ROOST_PATH_SLOTS, "value is nested too deep");
  return 0;
}

static void add_step(luaL_Buffer *text, const roost_path *at) {
  bool named = at->key != 0 && lua_type(text->L, at->key) == LUA_TSTRING;
  if (!named)
    luaL_addchar(text, '[');
  else if (at->outer != NULL)
    luaL_addchar(text, '.');
  if (at->key == 0)
    lua_pushinteger(text->L, at->index);
  else if (named)
    lua_pushvalue(text->L, at->key);
  else
    luaL_tolstring(text->L, at->key, NULL);
  luaL_addvalue(text);
  if (!named)
    luaL_addchar(text, ']');
}

static void add_path(luaL_Buffer *text, const roost_path *at) {
  if (at == NULL)
    return;
  add_path(text, at->outer);
  add_step(text, at);
}

int roost_path_refuse(lua_State *lua, const roost_path *at, const char *reason) {
  luaL_Buffer text;
  luaL_checkstack(lua, LUA_MINSTACK, NULL);
  luaL_buffinit(lua, &text);
  if (at != NULL) {
    add_path(&text, at);
    luaL_addstring(&text, ": ");
  }
  luaL_addstring(&text, reason);
  luaL_pushresult(&text);
  return ROOST_EINVAL;
}

int roost_path_refuse_type(lua_State *lua, const roost_path *at, int index, const char *what) {
  char reason[96];
  snprintf(reason, sizeof reason, "a %s cannot be %s", luaL_typename(lua, index), what);
  return roost_path_refuse(lua, at, reason);
}
