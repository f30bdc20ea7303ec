/*
 * The half of vm/value.h that turns Lua values into JSON text.
 */
#include <lua.h>

#include "core/slice.h"
#include "vm/path.h"
#include "vm/value.h"
#include "vm/vm.h"
#include "wire/json.h"

typedef struct encoder {
  lua_State *lua;
  roost_buffer *out;
  const roost_vm *vm; /* for its marks */
} encoder;

/* Every write_ function returns 0, ENOMEM, or EINVAL with the reason pushed. */
static int write_value(encoder *e, const roost_path *outer, int index);

/* ------------------------------------------------------------------------- tables ------------ */

static int write_bytes(encoder *e, const roost_path *at, int index) {
  size_t len;
  lua_rawgeti(e->lua, index, 1);
  const char *bytes = lua_tolstring(e->lua, -1, &len);
  if (bytes == NULL)
    return roost_path_refuse(e->lua, at, "roost.bytes without text");
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

static int write_array(encoder *e, roost_path *here, int index, lua_Integer count) {
  int status = roost_buffer_append_byte(e->out, '[');
  here->key = 0;
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

static int write_member(encoder *e, roost_path *here) {
  int key = lua_gettop(e->lua) - 1;
  roost_slice name;
  here->key = key;
  name.ptr = lua_tolstring(e->lua, key, &name.len);
  int status = roost_json_write_string(e->out, name);
  if (status == ROOST_EINVAL)
    return roost_path_refuse(e->lua, here->outer, "a key is not UTF-8");
  if (status == 0)
    status = roost_buffer_append_byte(e->out, ':');
  return status != 0 ? status : write_value(e, here, key + 1);
}

static int write_object(encoder *e, roost_path *here, int index) {
  int status = roost_buffer_append_byte(e->out, '{');
  bool first = true;
  lua_pushnil(e->lua);
  while (status == 0 && lua_next(e->lua, index)) {
    if (lua_type(e->lua, -2) != LUA_TSTRING)
      return roost_path_refuse(e->lua, here->outer, "text and other keys are mixed");
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

static int write_table(encoder *e, const roost_path *outer, int index) {
  roost_path here;
  int status = roost_path_enter(e->lua, &here, outer, index);
  if (status != 0)
    return status;
  if (is_bytes(e, index))
    return write_bytes(e, outer, index);
  bool marked;
  if (!is_array(e, index, &marked))
    return write_object(e, &here, index);
  lua_Integer count;
  const char *reason;
  if (!count_elements(e->lua, index, &count, &reason))
    return roost_path_refuse(e->lua, outer, reason);
  return write_array(e, &here, index, count);
}

/* ------------------------------------------------------------------------- values ------------ */

static int write_text(encoder *e, const roost_path *outer, int index) {
  roost_slice text;
  text.ptr = lua_tolstring(e->lua, index, &text.len);
  int status = roost_json_write_string(e->out, text);
  return status == ROOST_EINVAL
             ? roost_path_refuse(e->lua, outer, "text is not UTF-8 (roost.bytes sends binary)")
             : status;
}

static int write_value(encoder *e, const roost_path *outer, int index) {
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
    return roost_path_refuse_type(e->lua, outer, index, "sent");
  default:
    return roost_path_refuse_type(e->lua, outer, index, "sent");
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
