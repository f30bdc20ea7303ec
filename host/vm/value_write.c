/*
 * The half of vm/value.h that turns Lua values into JSON text.
 */
#include <lua.h>

#include "core/slice.h"
#include "vm/path.h"
#include "vm/value.h"
#include "vm/vm.h"
#include "vm/watchdog.h"
#include "wire/json.h"

typedef struct encoder {
  lua_State *lua;
  roost_buffer *out;
  const roost_vm *vm; /* for its marks; NULL: a state without any */
  size_t max;         /* bytes in out */
  unsigned steps;     /* roost_vm_step's */
} encoder;

/* Every write_ function writes the value on top of the stack and leaves it there, or returns
 * ENOMEM, or EINVAL with the reason pushed; then the stack is anyhow below it. */
static int write_value(encoder *e, const roost_path *outer);

/* One text in a list a thousand times costs its state nothing, and out a thousand times its length:
 * what a state may not hold it may not write either. */
static bool has_room(const encoder *e, size_t bytes) {
  return e->out->len <= e->max && bytes <= e->max - e->out->len;
}

static int refuse_size(const encoder *e, const roost_path *at) {
  return roost_path_refuse(e->lua, at, ROOST_PATH_TOO_LARGE);
}

/* ------------------------------------------------------------------------- tables ------------ */

static int write_bytes(encoder *e, const roost_path *at) {
  size_t len;
  lua_rawgeti(e->lua, -1, 1);
  const char *bytes = lua_tolstring(e->lua, -1, &len);
  if (bytes == NULL)
    return roost_path_refuse(e->lua, at, "roost.bytes without text");
  if (!has_room(e, len))
    return refuse_size(e, at);
  int status = roost_buffer_append_slice(e->out, ROOST_SLICE("{\"type\":\"Buffer\",\"data\":["));
  for (size_t i = 0; i < len && status == 0; i++) {
    if ((i & 63) == 63)
      roost_vm_step(e->lua, &e->steps);
    if (i > 0)
      status = roost_buffer_append_byte(e->out, ',');
    if (status == 0)
      status = roost_json_write_integer(e->out, (unsigned char)bytes[i]);
  }
  lua_pop(e->lua, 1);
  return status != 0 ? status : roost_buffer_append_slice(e->out, ROOST_SLICE("]}"));
}

/* Appends a bracket or a comma, and the value on top of the stack as element i. */
static inline int write_element(encoder *e, roost_path *here, lua_Integer i) {
  if ((i & 63) == 0)
    roost_vm_step(e->lua, &e->steps);
  int status = roost_buffer_append_byte(e->out, i == 1 ? '[' : ',');
  here->index = i;
  return status != 0 ? status : write_value(e, here);
}

/* Counts the keys where all of them are whole numbers from 1; *reason says why not. Keys 1..n and
 * no others make an array of n. */
static bool count_elements(encoder *e, lua_Integer *count, const char **reason) {
  lua_State *lua = e->lua;
  lua_Integer keys = 0;
  lua_Integer highest = 0;
  lua_pushnil(lua);
  while (lua_next(lua, -2)) {
    lua_pop(lua, 1);
    lua_Integer key = lua_isinteger(lua, -1) ? lua_tointeger(lua, -1) : 0;
    if (key < 1) {
      *reason = lua_type(lua, -1) == LUA_TSTRING ? "text and other keys are mixed"
                                                 : "a key is neither text nor an index";
      lua_pop(lua, 1);
      return false;
    }
    if ((++keys & 63) == 0)
      roost_vm_step(lua, &e->steps);
    if (key > highest)
      highest = key;
  }
  *reason = "the list has holes";
  *count = highest;
  return keys == highest;
}

/* An array whose elements lua_next does not give in order, or a table that is none. */
static int write_scattered(encoder *e, roost_path *here) {
  lua_Integer count;
  const char *reason;
  int status = 0;
  if (!count_elements(e, &count, &reason))
    return roost_path_refuse(e->lua, here->outer, reason);
  for (lua_Integer i = 1; i <= count && status == 0; i++) {
    lua_rawgeti(e->lua, -1, i);
    status = write_element(e, here, i);
    if (status == 0)
      lua_pop(e->lua, 1);
  }
  return status != 0 ? status : roost_buffer_append_byte(e->out, ']');
}

/* Whether the table on top has keys beside 1..count, all of which it has. */
static bool has_others(lua_State *lua, lua_Integer count) {
  lua_pushinteger(lua, count);
  if (!lua_next(lua, -2))
    return false;
  lua_pop(lua, 2);
  return true;
}

/* A table on top of which its first key, no text, lies with its value: nearly always a list. What
 * is none is looked at again. */
static int write_elements(encoder *e, roost_path *here) {
  lua_State *lua = e->lua;
  const size_t before = e->out->len;
  lua_pop(lua, 2);
  const lua_Integer count = (lua_Integer)lua_rawlen(lua, -1);
  bool is_list = count > 0;
  for (lua_Integer i = 1; i <= count && is_list; i++) {
    is_list = lua_rawgeti(lua, -1, i) != LUA_TNIL;
    const int status = is_list ? write_element(e, here, i) : 0;
    if (status != 0)
      return status;
    lua_pop(lua, 1);
  }
  if (is_list && !has_others(lua, count))
    return roost_buffer_append_byte(e->out, ']');
  e->out->len = before;
  return write_scattered(e, here);
}

/* A table whose first key, on the stack with its value, is text. */
static int write_members(encoder *e, roost_path *here) {
  lua_State *lua = e->lua;
  char before = '{';
  unsigned members = 0;
  here->key = lua_gettop(lua) - 1;
  do {
    if ((++members & 63) == 0)
      roost_vm_step(lua, &e->steps);
    if (lua_type(lua, -2) != LUA_TSTRING)
      return roost_path_refuse(e->lua, here->outer, "text and other keys are mixed");
    roost_slice name;
    name.ptr = lua_tolstring(lua, -2, &name.len);
    int status = roost_json_write_key(e->out, before, name);
    if (status == ROOST_EINVAL)
      return roost_path_refuse(e->lua, here->outer, "a key is not UTF-8");
    if (status == 0)
      status = write_value(e, here);
    if (status != 0)
      return status;
    before = ',';
    lua_pop(lua, 1);
  } while (lua_next(lua, -2));
  return roost_buffer_append_byte(e->out, '}');
}

/* The metatable of the table on top, which is its mark; NULL where there is none. */
static inline const void *mark_of(lua_State *lua) {
  if (!lua_getmetatable(lua, -1))
    return NULL;
  const void *mark = lua_topointer(lua, -1);
  lua_pop(lua, 1);
  return mark;
}

static int write_table(encoder *e, const roost_path *outer) {
  lua_State *lua = e->lua;
  roost_vm_step(lua, &e->steps);
  roost_path here;
  int status = roost_path_enter(lua, &here, outer, -1);
  if (status != 0)
    return status;
  if (!has_room(e, 2))
    return refuse_size(e, outer);
  const void *mark = e->vm != NULL ? mark_of(lua) : NULL;
  if (mark != NULL && mark == e->vm->bytes_mark)
    return write_bytes(e, outer);
  bool is_marked = mark != NULL && mark == e->vm->array_mark;
  lua_pushnil(lua);
  if (!lua_next(lua, -2))
    return roost_buffer_append(e->out, is_marked ? "[]" : "{}", 2);
  if (lua_type(lua, -2) != LUA_TSTRING)
    return write_elements(e, &here);
  return is_marked ? roost_path_refuse(e->lua, outer, "text and other keys are mixed")
                   : write_members(e, &here);
}

/* ------------------------------------------------------------------------- values ------------ */

static int write_text(encoder *e, const roost_path *outer) {
  roost_slice text;
  text.ptr = lua_tolstring(e->lua, -1, &text.len);
  if (!has_room(e, text.len))
    return refuse_size(e, outer);
  int status = roost_json_write_string(e->out, text);
  return status == ROOST_EINVAL
             ? roost_path_refuse(e->lua, outer, "text is not UTF-8 (roost.bytes sends binary)")
             : status;
}

static int write_value(encoder *e, const roost_path *outer) {
  lua_State *lua = e->lua;
  switch (lua_type(lua, -1)) {
  case LUA_TNIL:
    return roost_buffer_append_slice(e->out, ROOST_SLICE("null"));
  case LUA_TBOOLEAN:
    return lua_toboolean(lua, -1) ? roost_buffer_append_slice(e->out, ROOST_SLICE("true"))
                                  : roost_buffer_append_slice(e->out, ROOST_SLICE("false"));
  case LUA_TNUMBER:
    return lua_isinteger(lua, -1) ? roost_json_write_integer(e->out, lua_tointeger(lua, -1))
                                  : roost_json_write_double(e->out, lua_tonumber(lua, -1));
  case LUA_TSTRING:
    return write_text(e, outer);
  case LUA_TTABLE:
    return write_table(e, outer);
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(lua, -1) == NULL)
      return roost_buffer_append_slice(e->out, ROOST_SLICE("null"));
    return roost_path_refuse_type(e->lua, outer, -1, "sent");
  default:
    return roost_path_refuse_type(e->lua, outer, -1, "sent");
  }
}

int roost_value_write_json(lua_State *lua, int index, roost_buffer *out) {
  size_t before = out->len;
  encoder e = {lua, out, roost_vm_of(lua), roost_path_room(lua, before), 0};
  int top = lua_gettop(lua);
  bool on_top = index == -1 || index == top;
  if (!on_top) {
    if (!lua_checkstack(lua, 1))
      return ROOST_ENOMEM;
    lua_pushvalue(lua, index);
  }
  int status = write_value(&e, NULL);
  if (status == 0 && on_top)
    return 0;
  if (status != 0)
    out->len = before;
  if (status == ROOST_EINVAL) {
    lua_insert(lua, top + 1);
    top++;
  }
  lua_settop(lua, top);
  return status;
}
