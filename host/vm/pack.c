#include "vm/pack.h"

#include <lauxlib.h>
#include <limits.h>
#include <lua.h>

#include "core/slice.h"
#include "vm/path.h"
#include "vm/value.h"
#include "vm/vm.h"
#include "vm/watchdog.h"
#include "wire/json.h"

/* The first byte of a value. After it: a number's eight bytes; a text's length and bytes; a table's
 * head, its elements 1..n, then its other members, each a key and a value. */
typedef enum tag {
  TAG_NIL,
  TAG_FALSE,
  TAG_TRUE,
  TAG_NULL,
  TAG_INTEGER,
  TAG_DOUBLE,
  TAG_TEXT,
  TAG_TABLE,
  TAG_ARRAY, /* a table with the mark of roost.array */
  TAG_BYTES  /* a table with the mark of roost.bytes */
} tag;

typedef struct head {
  uint32_t elements; /* keys 1..n, which come first */
  uint32_t members;  /* under other keys */
} head;

/* ------------------------------------------------------------------------- numbers, text ----- */

void roost_pack_put_number(char *out, const roost_pack_number *number) {
  _Static_assert(sizeof number->integer == 8 && sizeof number->real == 8, "eight bytes each");
  out[0] = number->is_integer ? TAG_INTEGER : TAG_DOUBLE;
  if (number->is_integer)
    memcpy(out + 1, &number->integer, 8);
  else
    memcpy(out + 1, &number->real, 8);
}

bool roost_pack_get_number(roost_slice bytes, roost_pack_number *number) {
  if (bytes.len != ROOST_PACK_NUMBER_BYTES ||
      (bytes.ptr[0] != TAG_INTEGER && bytes.ptr[0] != TAG_DOUBLE))
    return false;
  *number = (roost_pack_number){.is_integer = bytes.ptr[0] == TAG_INTEGER};
  if (number->is_integer)
    memcpy(&number->integer, bytes.ptr + 1, 8);
  else
    memcpy(&number->real, bytes.ptr + 1, 8);
  return true;
}

static int write_number(roost_buffer *out, const roost_pack_number *number) {
  int status = roost_buffer_reserve(out, ROOST_PACK_NUMBER_BYTES);
  if (status != 0)
    return status;
  roost_pack_put_number(out->ptr + out->len, number);
  out->len += ROOST_PACK_NUMBER_BYTES;
  return 0;
}

/* A length takes a byte for each seven bits, the lowest first; all but the last have bit 7 set. */
int roost_pack_write_text(roost_buffer *out, roost_slice text) {
  int status = roost_buffer_append_byte(out, TAG_TEXT);
  size_t left = text.len;
  for (; status == 0 && left > 0x7f; left >>= 7)
    status = roost_buffer_append_byte(out, (char)(left | 0x80));
  if (status == 0)
    status = roost_buffer_append_byte(out, (char)left);
  return status != 0 ? status : roost_buffer_append_slice(out, text);
}

int roost_pack_begin_list(roost_buffer *out, size_t count) {
  const head list = {.elements = (uint32_t)count};
  if (count > INT_MAX)
    return ROOST_ENOMEM;
  int status = roost_buffer_append_byte(out, TAG_ARRAY);
  return status != 0 ? status : roost_buffer_append(out, &list, sizeof list);
}

/* ------------------------------------------------------------------------- packing ----------- */

typedef struct packer {
  lua_State *lua;
  roost_buffer *out;
  const roost_vm *vm; /* for its marks */
  size_t max;         /* bytes in out, as for JSON text */
  unsigned steps;     /* roost_vm_step's */
} packer;

/* Every pack_ function returns 0, ENOMEM, or EINVAL with the reason pushed. */
static int pack_value(packer *p, const roost_path *outer, int index);

static int pack_number(packer *p, int index) {
  roost_pack_number number = {.is_integer = lua_isinteger(p->lua, index)};
  if (number.is_integer)
    number.integer = lua_tointeger(p->lua, index);
  else
    number.real = lua_tonumber(p->lua, index);
  return write_number(p->out, &number);
}

static bool has_room(const packer *p, size_t bytes) {
  return p->out->len <= p->max && bytes <= p->max - p->out->len;
}

static int pack_text(packer *p, const roost_path *outer, int index) {
  roost_slice text;
  text.ptr = lua_tolstring(p->lua, index, &text.len);
  if (!has_room(p, text.len))
    return roost_path_refuse(p->lua, outer, ROOST_PATH_TOO_LARGE);
  return roost_pack_write_text(p->out, text);
}

static tag tag_of_table(const packer *p, int index) {
  if (!lua_getmetatable(p->lua, index))
    return TAG_TABLE;
  const void *metatable = lua_topointer(p->lua, -1);
  lua_pop(p->lua, 1);
  if (metatable == p->vm->array_mark)
    return TAG_ARRAY;
  return metatable == p->vm->bytes_mark ? TAG_BYTES : TAG_TABLE;
}

static int pack_key(packer *p, const roost_path *here, int key) {
  switch (lua_type(p->lua, key)) {
  case LUA_TSTRING:
  case LUA_TNUMBER:
  case LUA_TBOOLEAN:
    return pack_value(p, here->outer, key);
  default:
    return roost_path_refuse_type(p->lua, here->outer, key, "copied as a key");
  }
}

/* Lua walks the elements in order before anything else, except for what lies in the hash part:
 * those become members under their numbers, and the table is the same. */
static int pack_members(packer *p, roost_path *here, int index, head *counts) {
  lua_State *lua = p->lua;
  lua_pushnil(lua);
  while (lua_next(lua, index)) {
    int status = 0;
    here->key = lua_gettop(lua) - 1;
    bool element = counts->members == 0 && lua_isinteger(lua, here->key) &&
                   lua_tointeger(lua, here->key) == (lua_Integer)counts->elements + 1;
    if (!element)
      status = pack_key(p, here, here->key);
    if (status == 0)
      status = pack_value(p, here, here->key + 1);
    if (status != 0)
      return status;
    lua_pop(lua, 1);
    if (element)
      counts->elements++;
    else
      counts->members++;
    if (((counts->elements + counts->members) & 63) == 0)
      roost_vm_step(lua, &p->steps);
  }
  return 0;
}

static int pack_table(packer *p, const roost_path *outer, int index) {
  roost_path here;
  head counts = {0, 0};
  size_t at = p->out->len + 1; /* of the head, which is written again when all is counted */
  roost_vm_step(p->lua, &p->steps);
  int status = roost_path_enter(p->lua, &here, outer, index);
  if (status == 0 && !has_room(p, sizeof counts))
    status = roost_path_refuse(p->lua, outer, ROOST_PATH_TOO_LARGE);
  if (status == 0)
    status = roost_buffer_append_byte(p->out, (char)tag_of_table(p, index));
  if (status == 0)
    status = roost_buffer_append(p->out, &counts, sizeof counts);
  if (status == 0)
    status = pack_members(p, &here, index, &counts);
  if (status == 0)
    memcpy(p->out->ptr + at, &counts, sizeof counts);
  return status;
}

static int pack_value(packer *p, const roost_path *outer, int index) {
  switch (lua_type(p->lua, index)) {
  case LUA_TNIL: /* only the outermost value can be nil */
    return roost_buffer_append_byte(p->out, TAG_NIL);
  case LUA_TBOOLEAN:
    return roost_buffer_append_byte(p->out, lua_toboolean(p->lua, index) ? TAG_TRUE : TAG_FALSE);
  case LUA_TNUMBER:
    return pack_number(p, index);
  case LUA_TSTRING:
    return pack_text(p, outer, index);
  case LUA_TTABLE:
    return pack_table(p, outer, index);
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(p->lua, index) == NULL)
      return roost_buffer_append_byte(p->out, TAG_NULL);
    return roost_path_refuse_type(p->lua, outer, index, "copied");
  default:
    return roost_path_refuse_type(p->lua, outer, index, "copied");
  }
}

int roost_pack_write(lua_State *lua, int index, roost_buffer *out) {
  size_t before = out->len;
  packer p = {lua, out, roost_vm_of(lua), roost_path_room(lua, before), 0};
  int top = lua_gettop(lua);
  int status = pack_value(&p, NULL, lua_absindex(lua, index));
  if (status == 0)
    return 0;
  out->len = before;
  if (status == ROOST_EINVAL)
    lua_insert(lua, top + 1);
  lua_settop(lua, status == ROOST_EINVAL ? top + 1 : top);
  return status;
}

/* ------------------------------------------------------------------------- unpacking --------- */

/* Every byte is spent once: the tag of a value when its table's head has counted it, all others
 * when they are read. So nothing is read past the end, and a head cannot promise more members than
 * there are bytes for. */
typedef struct unpacker {
  lua_State *lua;
  const char *at;
  size_t left;    /* bytes not spent yet */
  unsigned steps; /* roost_vm_step's */
} unpacker;

static bool spend(unpacker *u, size_t n) {
  if (n > u->left)
    return false;
  u->left -= n;
  return true;
}

static bool take(unpacker *u, void *out, size_t n) {
  if (!spend(u, n))
    return false;
  memcpy(out, u->at, n);
  u->at += n;
  return true;
}

/* Every push_ function returns whether it could; if not, the stack holds anything. */
static bool push_value(unpacker *u, int depth);

static bool push_integer(unpacker *u) {
  int64_t number;
  if (!take(u, &number, sizeof number))
    return false;
  lua_pushinteger(u->lua, number);
  return true;
}

static bool push_double(unpacker *u) {
  double number;
  if (!take(u, &number, sizeof number))
    return false;
  lua_pushnumber(u->lua, number);
  return true;
}

static bool push_text(unpacker *u) {
  size_t len = 0;
  unsigned char byte = 0x80;
  for (unsigned shift = 0; byte & 0x80; shift += 7) {
    if (shift > 56 || !take(u, &byte, 1))
      return false;
    len |= (size_t)(byte & 0x7f) << shift;
  }
  if (!spend(u, len))
    return false;
  lua_pushlstring(u->lua, u->at, len);
  u->at += len;
  return true;
}

static bool is_key(lua_State *lua, int index) {
  switch (lua_type(lua, index)) {
  case LUA_TNUMBER:
    return lua_tonumber(lua, index) == lua_tonumber(lua, index); /* NaN is none */
  case LUA_TSTRING:
  case LUA_TBOOLEAN:
    return true;
  default:
    return false;
  }
}

static bool push_member(unpacker *u, int depth) {
  return push_value(u, depth) && is_key(u->lua, -1) && push_value(u, depth) &&
         !lua_isnil(u->lua, -1);
}

static void set_mark(lua_State *lua, tag kind) {
  const roost_vm *vm = roost_vm_of(lua);
  if (kind == TAG_TABLE)
    return;
  lua_rawgeti(lua, LUA_REGISTRYINDEX, kind == TAG_ARRAY ? vm->array_ref : vm->bytes_ref);
  lua_setmetatable(lua, -2);
}

static bool push_table(unpacker *u, tag kind, int depth) {
  head counts;
  if (depth > ROOST_JSON_DEPTH_MAX || !take(u, &counts, sizeof counts) ||
      counts.elements > INT_MAX || counts.members > INT_MAX || !spend(u, counts.elements) ||
      !spend(u, 2 * (size_t)counts.members))
    return false;
  luaL_checkstack(u->lua, 8, "value is nested too deep");
  roost_vm_step(u->lua, &u->steps);
  lua_createtable(u->lua, (int)counts.elements, (int)counts.members);
  for (uint32_t i = 1; i <= counts.elements; i++) {
    if (!push_value(u, depth) || lua_isnil(u->lua, -1))
      return false;
    lua_rawseti(u->lua, -2, i);
    if ((i & 63) == 0)
      roost_vm_step(u->lua, &u->steps);
  }
  for (uint32_t i = 0; i < counts.members; i++) {
    if (!push_member(u, depth))
      return false;
    lua_rawset(u->lua, -3);
    if ((i & 63) == 63)
      roost_vm_step(u->lua, &u->steps);
  }
  set_mark(u->lua, kind);
  return true;
}

/* Its tag is spent already; depth: of the table it is in. */
static bool push_value(unpacker *u, int depth) {
  tag kind = (tag)*u->at++;
  switch (kind) {
  case TAG_NIL:
    lua_pushnil(u->lua);
    return true;
  case TAG_FALSE:
  case TAG_TRUE:
    lua_pushboolean(u->lua, kind == TAG_TRUE);
    return true;
  case TAG_NULL:
    roost_value_push_null(u->lua);
    return true;
  case TAG_INTEGER:
    return push_integer(u);
  case TAG_DOUBLE:
    return push_double(u);
  case TAG_TEXT:
    return push_text(u);
  case TAG_TABLE:
  case TAG_ARRAY:
  case TAG_BYTES:
    return push_table(u, kind, depth + 1);
  default:
    return false;
  }
}

int roost_pack_push(lua_State *lua, roost_slice bytes) {
  unpacker u = {lua, bytes.ptr, bytes.len, 0};
  int top = lua_gettop(lua);
  luaL_checkstack(lua, 4, NULL);
  if (spend(&u, 1) && push_value(&u, 0) && u.left == 0)
    return 0;
  lua_settop(lua, top);
  return ROOST_EPROTO;
}
