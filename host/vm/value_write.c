/*
 * The half of vm/value.h that turns Lua values into JSON text.
 */
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <string.h>

#include "core/slice.h"
#include "vm/path.h"
#include "vm/value.h"
#include "vm/vm.h"
#include "vm/watchdog.h"
#include "wire/json.h"

/* Room that is made at once for what is small: a name, or a number. */
#define SMALL_BYTES 64

/* After so many names in a row that were sought in vain, what is written has no known ones. */
#define MISSES_MAX 16

/* Elements that are on the stack until they are taken off together. */
#define BATCH 4

typedef struct encoder {
  lua_State *lua;
  roost_buffer *out;
  roost_vm *vm;   /* for its marks and names; NULL: a state without any */
  size_t max;     /* bytes in out */
  unsigned steps; /* roost_vm_step's */
  int misses;     /* names in a row that were not known */
} encoder;

/* Every write_ function writes the value on top of the stack and leaves it there, or returns
 * ENOMEM, or EINVAL with the reason pushed; then the stack is anyhow below it. type is the value's.
 */
static inline int write_value(encoder *e, int type, const roost_path *outer);

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
static inline int write_element(encoder *e, roost_path *here, lua_Integer i, int type) {
  if ((i & 63) == 0)
    roost_vm_step(e->lua, &e->steps);
  const int status = roost_buffer_reserve(e->out, SMALL_BYTES);
  if (status != 0)
    return status;
  e->out->ptr[e->out->len++] = i == 1 ? '[' : ',';
  here->index = i;
  return write_value(e, type, here);
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
    status = write_element(e, here, i, lua_rawgeti(e->lua, -1, i));
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

/* A table of count elements, as far as lua_rawlen knows: nearly always a list. What is none is
 * looked at again. */
static int write_elements(encoder *e, roost_path *here, lua_Integer count) {
  lua_State *lua = e->lua;
  const size_t before = e->out->len;
  const int table = lua_gettop(lua);
  bool is_list = count > 0;
  for (lua_Integer i = 1; i <= count && is_list; i++) {
    const int type = lua_rawgeti(lua, table, i);
    is_list = type != LUA_TNIL;
    const int status = is_list ? write_element(e, here, i, type) : 0;
    if (status != 0)
      return status;
    if (i % BATCH == 0)
      lua_settop(lua, table);
  }
  lua_settop(lua, table);
  if (is_list && !has_others(lua, count))
    return roost_buffer_append_byte(e->out, ']');
  e->out->len = before;
  return write_scattered(e, here);
}

/* Has the registry keep the key below the value on top, with the text it was written as. */
static void hold_name(encoder *e, roost_name *name, const char *text, size_t len) {
  lua_pushvalue(e->lua, -2);
  if (name->ref == 0)
    name->ref = (unsigned)luaL_ref(e->lua, LUA_REGISTRYINDEX) & INT_MAX;
  else
    lua_rawseti(e->lua, LUA_REGISTRYINDEX, (lua_Integer)name->ref);
  memcpy(name->text, text, len);
  name->len = (uint8_t)len;
  name->held = 1;
}

static int write_any_name(encoder *e, const roost_path *here, char before) {
  lua_State *lua = e->lua;
  if (lua_type(lua, -2) != LUA_TSTRING)
    return roost_path_refuse(lua, here->outer, "text and other keys are mixed");
  roost_slice text;
  text.ptr = lua_tolstring(lua, -2, &text.len);
  const int status = roost_json_write_key(e->out, before, text);
  return status == ROOST_EINVAL ? roost_path_refuse(lua, here->outer, "a key is not UTF-8")
                                : status;
}

__attribute__((noinline)) static int write_new_name(encoder *e, const roost_path *here, char before,
                                                    const void *string, roost_name *name) {
  const size_t begin = e->out->len;
  const int status = write_any_name(e, here, before);
  const size_t len = e->out->len - begin - 1;
  e->misses++;
  if (status != 0 || len > ROOST_NAMES_TEXT_MAX)
    return status;
  if (name->string == string) {
    hold_name(e, name, e->out->ptr + begin + 1, len);
  } else {
    name->string = string;
    name->held = 0;
  }
  return 0;
}

/* Appends a byte, the key below the value on top of the stack, and a colon. */
static inline int write_name(encoder *e, const roost_path *here, char before) {
  if (e->misses >= MISSES_MAX)
    return write_any_name(e, here, before);
  const void *string = lua_topointer(e->lua, -2);
  roost_name *name = &e->vm->names[roost_name_slot(string)];
  if (name->string != string || !name->held)
    return write_new_name(e, here, before, string, name);
  const int status = roost_buffer_reserve(e->out, SMALL_BYTES);
  if (status != 0)
    return status;
  char *to = e->out->ptr + e->out->len;
  *to = before;
  memcpy(to + 1, name->text, ROOST_NAMES_TEXT_MAX); /* a fixed length is quick */
  e->out->len += name->len + 1u;
  e->misses = 0;
  return 0;
}

/* A table whose first key, on the stack with its value, is text. */
static int write_members(encoder *e, roost_path *here) {
  lua_State *lua = e->lua;
  const int key = lua_gettop(lua) - 1;
  char before = '{';
  unsigned members = 0;
  here->key = key;
  do {
    if ((++members & 63) == 0)
      roost_vm_step(lua, &e->steps);
    int status = write_name(e, here, before);
    if (status == 0)
      status = write_value(e, lua_type(lua, -1), here);
    if (status != 0)
      return status;
    before = ',';
    lua_settop(lua, key);
  } while (lua_next(lua, key - 1));
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

__attribute__((noinline)) static int write_table(encoder *e, const roost_path *outer) {
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
  const bool is_marked = mark != NULL && mark == e->vm->array_mark;
  lua_Integer count = is_marked ? (lua_Integer)lua_rawlen(lua, -1) : 0;
  if (count > 0)
    return write_elements(e, &here, count);
  lua_pushnil(lua);
  if (!lua_next(lua, -2))
    return roost_buffer_append(e->out, is_marked ? "[]" : "{}", 2);
  if (lua_type(lua, -2) == LUA_TSTRING)
    return is_marked ? roost_path_refuse(e->lua, outer, "text and other keys are mixed")
                     : write_members(e, &here);
  lua_pop(lua, 2);
  return write_elements(e, &here, (lua_Integer)lua_rawlen(lua, -1));
}

/* ------------------------------------------------------------------------- values ------------ */

static inline int write_text(encoder *e, const roost_path *outer) {
  roost_slice text;
  text.ptr = lua_tolstring(e->lua, -1, &text.len);
  if (!has_room(e, text.len))
    return refuse_size(e, outer);
  int status = roost_json_write_string(e->out, text);
  return status == ROOST_EINVAL
             ? roost_path_refuse(e->lua, outer, "text is not UTF-8 (roost.bytes sends binary)")
             : status;
}

static inline int write_number(lua_State *lua, int index, roost_buffer *out) {
  return lua_isinteger(lua, index) ? roost_json_write_integer(out, lua_tointeger(lua, index))
                                   : roost_json_write_double(out, lua_tonumber(lua, index));
}

static int write_boolean(lua_State *lua, int index, roost_buffer *out) {
  return lua_toboolean(lua, index) ? roost_buffer_append_slice(out, ROOST_SLICE("true"))
                                   : roost_buffer_append_slice(out, ROOST_SLICE("false"));
}

static int write_other(encoder *e, int type, const roost_path *outer) {
  if (type == LUA_TNIL || (type == LUA_TLIGHTUSERDATA && lua_touserdata(e->lua, -1) == NULL))
    return roost_buffer_append_slice(e->out, ROOST_SLICE("null"));
  return roost_path_refuse_type(e->lua, outer, -1, "sent");
}

__attribute__((always_inline)) static inline int write_value(encoder *e, int type,
                                                             const roost_path *outer) {
  if (type == LUA_TSTRING)
    return write_text(e, outer);
  if (type == LUA_TNUMBER)
    return write_number(e->lua, -1, e->out);
  if (type == LUA_TTABLE)
    return write_table(e, outer);
  if (type == LUA_TBOOLEAN)
    return write_boolean(e->lua, -1, e->out);
  return write_other(e, type, outer);
}

/* What is no number. */
static int write_any(lua_State *lua, int index, int type, roost_buffer *out) {
  size_t before = out->len;
  roost_vm *vm = roost_vm_of(lua);
  encoder e = {lua, out, vm, roost_path_room(lua, before), 0, vm != NULL ? 0 : MISSES_MAX};
  int top = lua_gettop(lua);
  bool on_top = index == -1 || index == top;
  if (!on_top) {
    if (!lua_checkstack(lua, 1))
      return ROOST_ENOMEM;
    lua_pushvalue(lua, index);
  }
  int status = write_value(&e, type, NULL);
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

int roost_value_write_json(lua_State *lua, int index, roost_buffer *out) {
  const int type = lua_type(lua, index);
  return type == LUA_TNUMBER ? write_number(lua, index, out) : write_any(lua, index, type, out);
}
