#include "vm/value.h"

#include <lauxlib.h>
#include <lua.h>

#include "vm/vm.h"
#include "wire/json.h"

/* Elements gathered on the stack before a table is made, so that a small one is made at its exact
 * size. */
#define BATCH 64

/* Makes a metatable that stands for a kind of table; returns its place in the registry. */
static int make_mark(lua_State *lua, const char *name, const void **mark) {
  lua_createtable(lua, 0, 1);
  lua_pushstring(lua, name);
  lua_setfield(lua, -2, "__name");
  *mark = lua_topointer(lua, -1);
  return luaL_ref(lua, LUA_REGISTRYINDEX);
}

void roost_value_open(lua_State *lua) {
  roost_vm *vm = roost_vm_of(lua);
  vm->array_ref = make_mark(lua, "roost.array", &vm->array_mark);
  vm->bytes_ref = make_mark(lua, "roost.bytes", &vm->bytes_mark);
}

void roost_value_push_null(lua_State *lua) {
  lua_pushlightuserdata(lua, NULL);
}

void roost_value_mark_array(lua_State *lua) {
  lua_rawgeti(lua, LUA_REGISTRYINDEX, roost_vm_of(lua)->array_ref);
  lua_setmetatable(lua, -2);
}

void roost_value_mark_bytes(lua_State *lua) {
  lua_createtable(lua, 1, 0);
  lua_insert(lua, -2);
  lua_rawseti(lua, -2, 1);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, roost_vm_of(lua)->bytes_ref);
  lua_setmetatable(lua, -2);
}

/* ------------------------------------------------------------------------- decoding ---------- */

typedef struct decoder {
  lua_State *lua;
  roost_json_reader reader;
  int mark; /* stack index of the array mark */
} decoder;

static bool push_value(decoder *d, roost_json_type type, const roost_json_token *token);

static void push_text(lua_State *lua, const roost_json_token *token) {
  if (!token->escaped) {
    lua_pushlstring(lua, token->text.ptr, token->text.len);
    return;
  }
  luaL_Buffer plain;
  char *out = luaL_buffinitsize(lua, &plain, token->text.len);
  luaL_pushresultsize(&plain, roost_json_unescape(out, token->text));
}

/* The table of a container replaces the placeholder under its gathered elements. */
static void make_table(lua_State *lua, int at, int array_size, int object_size) {
  lua_createtable(lua, array_size, object_size);
  lua_replace(lua, at);
}

static void store_elements(lua_State *lua, int at, lua_Integer stored, int gathered) {
  for (int i = gathered; i > 0; i--)
    lua_rawseti(lua, at, stored + i);
}

static bool push_array(decoder *d) {
  lua_State *lua = d->lua;
  luaL_checkstack(lua, BATCH + 8, "JSON is nested too deep");
  lua_pushnil(lua);
  int at = lua_gettop(lua);
  int gathered = 0;
  lua_Integer stored = 0;
  roost_json_token token;
  for (;;) {
    roost_json_type type = roost_json_next(&d->reader, &token);
    if (type == ROOST_JSON_ARRAY_END)
      break;
    if (!push_value(d, type, &token))
      return false;
    if (++gathered < BATCH)
      continue;
    if (stored == 0)
      make_table(lua, at, 4 * BATCH, 0);
    store_elements(lua, at, stored, gathered);
    stored += gathered;
    gathered = 0;
  }
  if (stored == 0)
    make_table(lua, at, gathered, 0);
  store_elements(lua, at, stored, gathered);
  lua_pushvalue(lua, d->mark);
  lua_setmetatable(lua, at);
  return true;
}

/* In the order they came, so that the last of equal keys wins. */
static void store_members(lua_State *lua, int at, int gathered) {
  for (int i = 1; i <= gathered; i++) {
    lua_pushvalue(lua, at + 2 * i - 1);
    lua_pushvalue(lua, at + 2 * i);
    lua_rawset(lua, at);
  }
  lua_settop(lua, at);
}

static bool push_object(decoder *d) {
  lua_State *lua = d->lua;
  luaL_checkstack(lua, 2 * BATCH + 8, "JSON is nested too deep");
  lua_pushnil(lua);
  int at = lua_gettop(lua);
  int gathered = 0;
  bool made = false;
  roost_json_token token;
  for (;;) {
    roost_json_type type = roost_json_next(&d->reader, &token);
    if (type == ROOST_JSON_OBJECT_END)
      break;
    if (type != ROOST_JSON_KEY)
      return false;
    push_text(lua, &token);
    type = roost_json_next(&d->reader, &token);
    if (!push_value(d, type, &token))
      return false;
    if (++gathered < BATCH)
      continue;
    if (!made)
      make_table(lua, at, 0, 2 * BATCH);
    made = true;
    store_members(lua, at, gathered);
    gathered = 0;
  }
  if (!made)
    make_table(lua, at, 0, gathered);
  store_members(lua, at, gathered);
  return true;
}

static bool push_value(decoder *d, roost_json_type type, const roost_json_token *token) {
  switch (type) {
  case ROOST_JSON_NULL:
    roost_value_push_null(d->lua);
    return true;
  case ROOST_JSON_FALSE:
    lua_pushboolean(d->lua, false);
    return true;
  case ROOST_JSON_TRUE:
    lua_pushboolean(d->lua, true);
    return true;
  case ROOST_JSON_INTEGER:
    lua_pushinteger(d->lua, token->integer);
    return true;
  case ROOST_JSON_DOUBLE:
    lua_pushnumber(d->lua, token->number);
    return true;
  case ROOST_JSON_STRING:
    push_text(d->lua, token);
    return true;
  case ROOST_JSON_ARRAY:
    return push_array(d);
  case ROOST_JSON_OBJECT:
    return push_object(d);
  default:
    return false;
  }
}

int roost_value_push_json(lua_State *lua, roost_slice text, const char **why, size_t *at) {
  decoder d = {.lua = lua};
  roost_json_token token;
  luaL_checkstack(lua, 4, NULL);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, roost_vm_of(lua)->array_ref);
  d.mark = lua_gettop(lua);
  roost_json_reader_init(&d.reader, text);
  roost_json_type type = roost_json_next(&d.reader, &token);
  if (push_value(&d, type, &token) && roost_json_next(&d.reader, &token) == ROOST_JSON_END) {
    lua_replace(lua, d.mark);
    return 0;
  }
  lua_settop(lua, d.mark - 1);
  if (why)
    *why = d.reader.error;
  if (at)
    *at = (size_t)(d.reader.at - d.reader.start);
  return ROOST_EPROTO;
}
