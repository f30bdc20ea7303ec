#include "vm/value.h"

#include <lauxlib.h>
#include <lua.h>

#include "vm/vm.h"
#include "vm/watchdog.h"
#include "wire/json_read.h"

/* Elements gathered on the stack before an array's table is made, so that a small one is made at
 * its exact size. */
#define BATCH 64

/* Size of the table for an object that begins with a key not seen before. */
#define MEMBERS_GUESS 4

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
  roost_vm *vm;
  int room;       /* stack slots that are reserved and not used */
  unsigned steps; /* roost_vm_step's */
  roost_json_reader reader;
} decoder;

/* Every push_ function pushes one value, for which its caller has taken a slot; false: reader says
 * why not, and the stack is anyhow. Containers are not inlined, so that scalars can be. */
__attribute__((noinline)) static bool push_array(decoder *d, const char *at);
__attribute__((noinline)) static bool push_object(decoder *d, const char *at);

/* Stack slots are reserved in bulk, with some to spare for what is pushed in passing. */
static inline void take_slots(decoder *d, int count) {
  if (d->room < count) {
    if (!lua_checkstack(d->lua, count + BATCH + 8))
      luaL_error(d->lua, "stack overflow (JSON is nested too deep)");
    d->room = count + BATCH;
  }
  d->room -= count;
}

__attribute__((noinline)) static void push_unescaped(lua_State *lua,
                                                     const roost_json_token *token) {
  luaL_Buffer plain;
  char *out = luaL_buffinitsize(lua, &plain, token->text.len);
  luaL_pushresultsize(&plain, roost_json_unescape(out, token->text));
}

static inline void push_text(lua_State *lua, const roost_json_token *token) {
  if (token->escaped)
    push_unescaped(lua, token);
  else
    lua_pushlstring(lua, token->text.ptr, token->text.len);
}

static inline bool push_scalar(decoder *d, const char *at) {
  roost_json_token token = {.text = {NULL, 0}};
  switch (roost_json_read_scalar(&d->reader, at, &token)) {
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
    lua_pushinteger(d->lua, token.integer);
    return true;
  case ROOST_JSON_DOUBLE:
    lua_pushnumber(d->lua, token.number);
    return true;
  case ROOST_JSON_STRING:
    push_text(d->lua, &token);
    return true;
  default:
    return false;
  }
}

/* The value at `at`, where no white space is left. */
static inline bool push_value(decoder *d, const char *at) {
  if (at < d->reader.end && *at == '{')
    return push_object(d, at);
  if (at < d->reader.end && *at == '[')
    return push_array(d, at);
  return push_scalar(d, at);
}

static inline bool enter(decoder *d, const char *at) {
  roost_vm_step(d->lua, &d->steps);
  if (d->reader.depth == ROOST_JSON_DEPTH_MAX)
    return roost_json_fail(&d->reader, at, roost_json_error_depth) != ROOST_JSON_ERROR;
  d->reader.depth++;
  return true;
}

/* After a value in a container: 1 where another one follows, 0 where the container is closed, -1
 * where neither. *at is where it goes on. */
static inline int pass_separator(decoder *d, const char **at, char close) {
  roost_json_reader *reader = &d->reader;
  const char *here = roost_json_space(reader->at, reader->end);
  if (here < reader->end && *here == ',') {
    *at = roost_json_space(here + 1, reader->end);
    return 1;
  }
  if (here < reader->end && *here == close) {
    reader->at = here + 1;
    reader->depth--;
    return 0;
  }
  roost_json_fail(reader, here, roost_json_error_more);
  return -1;
}

static void store_elements(decoder *d, int at, lua_Integer stored, int gathered) {
  for (int i = gathered; i > 0; i--)
    lua_rawseti(d->lua, at, stored + i);
  d->room += gathered;
}

/* The table of an array replaces the placeholder under its gathered elements. */
static void make_array(lua_State *lua, int at, int size) {
  lua_createtable(lua, size, 0);
  lua_replace(lua, at);
}

/* The elements from `at` on, where there is at least one. */
static bool push_elements(decoder *d, const char *at) {
  lua_State *lua = d->lua;
  int gathered = 0;
  lua_Integer stored = 0;
  int more;
  lua_pushnil(lua);
  int table = lua_gettop(lua);
  do {
    take_slots(d, 1);
    if (!push_value(d, at))
      return false;
    more = pass_separator(d, &at, ']');
    if (++gathered < BATCH)
      continue;
    if (stored == 0)
      make_array(lua, table, 4 * BATCH);
    store_elements(d, table, stored, gathered);
    roost_vm_step(lua, &d->steps);
    stored += gathered;
    gathered = 0;
  } while (more > 0);
  if (stored == 0)
    make_array(lua, table, gathered);
  store_elements(d, table, stored, gathered);
  return more == 0;
}

static bool push_array(decoder *d, const char *at) {
  if (!enter(d, at))
    return false;
  at = roost_json_space(at + 1, d->reader.end);
  if (at < d->reader.end && *at == ']') {
    d->reader.at = at + 1;
    d->reader.depth--;
    lua_newtable(d->lua);
  } else if (!push_elements(d, at)) {
    return false;
  }
  lua_rawgeti(d->lua, LUA_REGISTRYINDEX, d->vm->array_ref);
  lua_setmetatable(d->lua, -2);
  return true;
}

/* Remembers the key on top of the stack. */
static void remember_key(lua_State *lua, roost_key *known, const roost_key *key) {
  int ref = known->ref;
  lua_pushvalue(lua, -1);
  if (ref == 0)
    ref = luaL_ref(lua, LUA_REGISTRYINDEX);
  else
    lua_rawseti(lua, LUA_REGISTRYINDEX, ref);
  *known = *key;
  known->ref = ref;
}

/* Pushes the string of a key, which belongs into the slot known. */
static inline void push_key(lua_State *lua, roost_key *known, const roost_key *key,
                            const roost_json_token *token) {
  bool fits = key->len != 0 && !token->escaped;
  if (fits && roost_key_equal(known, key)) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, known->ref);
    return;
  }
  push_text(lua, token);
  if (fits)
    remember_key(lua, known, key);
}

/* The members from `at` on, where there is at least one, each stored as soon as it is read: the
 * last of equal keys wins. */
static bool push_members(decoder *d, const char *at) {
  lua_State *lua = d->lua;
  roost_json_token token = {.text = {NULL, 0}};
  roost_key *first = NULL; /* slot of the first key */
  unsigned members = 0;
  int more;
  take_slots(d, 2);
  do {
    if (!roost_json_read_key(&d->reader, at, &token))
      return false;
    roost_key key = roost_key_of(token.text);
    roost_key *known = &d->vm->keys[roost_key_slot(&key)];
    if ((members & 63) == 63)
      roost_vm_step(lua, &d->steps);
    if (members++ == 0) {
      bool is_known = roost_key_equal(known, &key) && known->members != 0;
      lua_createtable(lua, 0, is_known ? known->members : MEMBERS_GUESS);
      first = known;
    }
    push_key(lua, known, &key, &token);
    if (!push_value(d, roost_json_space(d->reader.at, d->reader.end)))
      return false;
    lua_rawset(lua, -3);
    more = pass_separator(d, &at, '}');
  } while (more > 0);
  first->members = (uint8_t)(members < ROOST_KEYS_MEMBERS_MAX ? members : ROOST_KEYS_MEMBERS_MAX);
  d->room += 2;
  return more == 0;
}

static bool push_object(decoder *d, const char *at) {
  if (!enter(d, at))
    return false;
  at = roost_json_space(at + 1, d->reader.end);
  if (at == d->reader.end || *at != '}')
    return push_members(d, at);
  d->reader.at = at + 1;
  d->reader.depth--;
  lua_newtable(d->lua);
  return true;
}

/* The whole text: one value and nothing behind it. */
static bool push_whole(decoder *d) {
  if (!push_value(d, roost_json_space(d->reader.at, d->reader.end)))
    return false;
  const char *at = roost_json_space(d->reader.at, d->reader.end);
  return at == d->reader.end ||
         roost_json_fail(&d->reader, at, roost_json_error_extra) != ROOST_JSON_ERROR;
}

int roost_value_push_json(lua_State *lua, roost_slice text, const char **why, size_t *at) {
  decoder d;
  int top = lua_gettop(lua);
  d.lua = lua;
  d.vm = roost_vm_of(lua);
  d.room = 0;
  d.steps = 0;
  roost_json_reader_init(&d.reader, text);
  take_slots(&d, 1);
  if (push_whole(&d))
    return 0;
  lua_settop(lua, top);
  if (why)
    *why = d.reader.error;
  if (at)
    *at = (size_t)(d.reader.at - d.reader.start);
  return ROOST_EPROTO;
}
