/*
 * The half of vm/value.h that turns Lua values into JSON text.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

#include "core/slice.h"
#include "vm/value.h"
#include "vm/vm.h"
#include "wire/json.h"

/* One step of the path to the value being written; nodes live on the C stack. */
typedef struct step {
  const struct step *outer;
  const void *table; /* its identity, to find cycles */
  roost_slice key;   /* of a member; ptr NULL: an element */
  lua_Integer index; /* of an element */
  int depth;
} step;

typedef struct encoder {
  lua_State *lua;
  roost_buffer *out;
  const roost_vm *vm; /* for its marks */
} encoder;

/* Every write_ function returns 0, ENOMEM, or EINVAL with the reason pushed. */
static int write_value(encoder *e, const step *outer, int index);

/* ------------------------------------------------------------------------- errors ------------ */

static void add_path(luaL_Buffer *text, const step *at) {
  if (at == NULL || at->depth == 0)
    return;
  add_path(text, at->outer);
  if (at->key.ptr == NULL) {
    luaL_addchar(text, '[');
    lua_pushinteger(text->L, at->index);
    luaL_addvalue(text);
    luaL_addchar(text, ']');
  } else {
    if (at->outer != NULL && at->outer->depth > 0)
      luaL_addchar(text, '.');
    luaL_addlstring(text, at->key.ptr, at->key.len);
  }
}

static int refuse(encoder *e, const step *at, const char *reason) {
  luaL_Buffer text;
  luaL_checkstack(e->lua, LUA_MINSTACK, NULL);
  luaL_buffinit(e->lua, &text);
  if (at != NULL && at->depth > 0) {
    add_path(&text, at);
    luaL_addstring(&text, ": ");
  }
  luaL_addstring(&text, reason);
  luaL_pushresult(&text);
  return ROOST_EINVAL;
}

static int refuse_type(encoder *e, const step *at, int index) {
  char reason[64];
  snprintf(reason, sizeof reason, "a %s cannot be sent", luaL_typename(e->lua, index));
  return refuse(e, at, reason);
}

/* ------------------------------------------------------------------------- tables ------------ */

static int write_bytes(encoder *e, const step *at, int index) {
  size_t len;
  lua_rawgeti(e->lua, index, 1);
  const char *bytes = lua_tolstring(e->lua, -1, &len);
  if (bytes == NULL)
    return refuse(e, at, "roost.bytes without text");
  int status = roost_buffer_append_slice(e->out, ROOST_SLICE("{\"type\":\"Buffer\",\"data\":["));
  for (size_t i = 0; i < len && status == 0; i++) {
    if (i > 0)
      status = roost_buffer_append_byte(e->out, ',');
    if (status == 0)
      status = roost_json_write_integer(e->out, (unsigned char)bytes[i]);
  }
  lua_pop(e->lua, 1);
  return status != 0 ? status : roost_buffer_append_slice(e->out, ROOST_SLICE("]}"));
}

static int write_array(encoder *e, step *here, int index, lua_Integer count) {
  int status = roost_buffer_append_byte(e->out, '[');
  here->key.ptr = NULL;
  for (lua_Integer i = 1; i <= count && status == 0; i++) {
    if (i > 1)
      status = roost_buffer_append_byte(e->out, ',');
    if (status != 0)
      break;
    here->index = i;
    lua_rawgeti(e->lua, index, i);
    status = write_value(e, here, lua_gettop(e->lua));
    if (status != ROOST_EINVAL)
      lua_pop(e->lua, 1);
  }
  return status != 0 ? status : roost_buffer_append_byte(e->out, ']');
}

static int write_member(encoder *e, step *here) {
  int key = lua_gettop(e->lua) - 1;
  here->key.ptr = lua_tolstring(e->lua, key, &here->key.len);
  int status = roost_json_write_string(e->out, here->key);
  if (status == ROOST_EINVAL)
    return refuse(e, here->outer, "a key is not UTF-8");
  if (status == 0)
    status = roost_buffer_append_byte(e->out, ':');
  return status != 0 ? status : write_value(e, here, key + 1);
}

static int write_object(encoder *e, step *here, int index) {
  int status = roost_buffer_append_byte(e->out, '{');
  bool first = true;
  lua_pushnil(e->lua);
  while (status == 0 && lua_next(e->lua, index)) {
    if (lua_type(e->lua, -2) != LUA_TSTRING)
      return refuse(e, here->outer, "text and other keys are mixed");
    if (!first)
      status = roost_buffer_append_byte(e->out, ',');
    first = false;
    if (status == 0)
      status = write_member(e, here);
    if (status == 0)
      lua_pop(e->lua, 1);
  }
  return status != 0 ? status : roost_buffer_append_byte(e->out, '}');
}

/* Counts the keys where all of them are whole numbers from 1; *reason says why not. Keys 1..n and
 * no others make an array of n. */
static bool count_elements(lua_State *lua, int index, lua_Integer *count, const char **reason) {
  lua_Integer keys = 0;
  lua_Integer highest = 0;
  lua_pushnil(lua);
  while (lua_next(lua, index)) {
    lua_pop(lua, 1);
    lua_Integer key = lua_isinteger(lua, -1) ? lua_tointeger(lua, -1) : 0;
    if (key < 1) {
      *reason = lua_type(lua, -1) == LUA_TSTRING ? "text and other keys are mixed"
                                                 : "a key is neither text nor an index";
      lua_pop(lua, 1);
      return false;
    }
    keys++;
    if (key > highest)
      highest = key;
  }
  *reason = "the list has holes";
  *count = highest;
  return keys == highest;
}

static bool is_array(encoder *e, int index, bool *marked) {
  *marked = false;
  if (lua_getmetatable(e->lua, index)) {
    *marked = lua_topointer(e->lua, -1) == e->vm->array_mark;
    lua_pop(e->lua, 1);
    if (*marked)
      return true;
  }
  lua_pushnil(e->lua);
  if (!lua_next(e->lua, index))
    return false;
  bool text = lua_type(e->lua, -2) == LUA_TSTRING;
  lua_pop(e->lua, 2);
  return !text;
}

static bool is_bytes(encoder *e, int index) {
  if (!lua_getmetatable(e->lua, index))
    return false;
  bool same = lua_topointer(e->lua, -1) == e->vm->bytes_mark;
  lua_pop(e->lua, 1);
  return same;
}

static int write_table(encoder *e, const step *outer, int index) {
  step here = {outer, lua_topointer(e->lua, index), {NULL, 0}, 0, outer ? outer->depth + 1 : 1};
  if (here.depth > ROOST_JSON_DEPTH_MAX)
    return refuse(e, outer, "nested more than 1,000 levels deep");
  for (const step *at = outer; at != NULL; at = at->outer)
    if (at->table == here.table)
      return refuse(e, outer, "a table contains itself");
  luaL_checkstack(e->lua, 8, "value is nested too deep");
  if (is_bytes(e, index))
    return write_bytes(e, outer, index);
  bool marked;
  if (!is_array(e, index, &marked))
    return write_object(e, &here, index);
  lua_Integer count;
  const char *reason;
  if (!count_elements(e->lua, index, &count, &reason))
    return refuse(e, outer, reason);
  return write_array(e, &here, index, count);
}

/* ------------------------------------------------------------------------- values ------------ */

static int write_text(encoder *e, const step *outer, int index) {
  roost_slice text;
  text.ptr = lua_tolstring(e->lua, index, &text.len);
  int status = roost_json_write_string(e->out, text);
  return status == ROOST_EINVAL ? refuse(e, outer, "text is not UTF-8 (roost.bytes sends binary)")
                                : status;
}

static int write_value(encoder *e, const step *outer, int index) {
  lua_State *lua = e->lua;
  switch (lua_type(lua, index)) {
  case LUA_TNIL:
    return roost_buffer_append_slice(e->out, ROOST_SLICE("null"));
  case LUA_TBOOLEAN:
    return lua_toboolean(lua, index) ? roost_buffer_append_slice(e->out, ROOST_SLICE("true"))
                                     : roost_buffer_append_slice(e->out, ROOST_SLICE("false"));
  case LUA_TNUMBER:
    return lua_isinteger(lua, index) ? roost_json_write_integer(e->out, lua_tointeger(lua, index))
                                     : roost_json_write_double(e->out, lua_tonumber(lua, index));
  case LUA_TSTRING:
    return write_text(e, outer, index);
  case LUA_TTABLE:
    return write_table(e, outer, index);
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(lua, index) == NULL)
      return roost_buffer_append_slice(e->out, ROOST_SLICE("null"));
    return refuse_type(e, outer, index);
  default:
    return refuse_type(e, outer, index);
  }
}

int roost_value_write_json(lua_State *lua, int index, roost_buffer *out) {
  encoder e = {lua, out, roost_vm_of(lua)};
  size_t before = out->len;
  int top = lua_gettop(lua);
  int status = write_value(&e, NULL, lua_absindex(lua, index));
  if (status == 0)
    return 0;
  out->len = before;
  if (status == ROOST_EINVAL)
    lua_insert(lua, top + 1);
  lua_settop(lua, status == ROOST_EINVAL ? top + 1 : top);
  return status;
}
