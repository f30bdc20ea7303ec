#include "vm/value.h"

#include <lauxlib.h>
#include <limits.h>
#include <lua.h>

#include "vm/vm.h"
#include "vm/watchdog.h"
#include "wire/json_read.h"

/* Elements gathered on the stack before an array's table is made, so that a small one is made at
 * its exact size. */
#define BATCH 64

/* Size of the table for an object that begins with a key not seen before. */
#define MEMBERS_GUESS 4

/* Stack slots that are free when decoding begins, besides those for what is pushed in passing. */
#define SLOTS_FREE 4

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
  uint8_t *child; /* slot of the key that the next object probably begins with */
  roost_json_reader reader;
} decoder;

/* Every push_ function pushes the value at `at`, where no white space is left and its caller has
 * taken a slot, and returns where it ends; NULL: reader says why not, and the stack is anyhow.
 * Containers are not inlined, so that scalars can be. */
__attribute__((noinline)) static const char *push_array(decoder *d, const char *at);
__attribute__((noinline)) static const char *push_object(decoder *d, const char *at);

/* Stack slots are reserved in bulk, with some to spare for what is pushed in passing. */
__attribute__((noinline)) static void reserve_slots(decoder *d, int count) {
  if (!lua_checkstack(d->lua, count + BATCH + 8))
    luaL_error(d->lua, "stack overflow (JSON is nested too deep)");
  d->room = count + BATCH;
}

static inline void take_slots(decoder *d, int count) {
  if (d->room < count)
    reserve_slots(d, count);
  d->room -= count;
}

__attribute__((noinline, cold)) static const char *fail(decoder *d, const char *at,
                                                        const char *error) {
  (void)roost_json_fail(&d->reader, at, error);
  return NULL;
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

static inline const char *push_string(decoder *d, const char *at) {
  roost_json_token token = {.text = {NULL, 0}};
  if (!roost_json_read_string(&d->reader, at, &token))
    return NULL;
  push_text(d->lua, &token);
  return token.text.ptr + token.text.len + 1;
}

static inline const char *push_number(decoder *d, const char *at) {
  roost_json_token token = {.integer = 0};
  const roost_json_type type = roost_json_read_number(&d->reader, at, &token);
  if (type == ROOST_JSON_INTEGER)
    lua_pushinteger(d->lua, token.integer);
  else if (type == ROOST_JSON_DOUBLE)
    lua_pushnumber(d->lua, token.number);
  else
    return NULL;
  return d->reader.at;
}

static inline bool is_word(const decoder *d, const char *at, const char *word, size_t len) {
  return (size_t)(d->reader.end - at) >= len && memcmp(at, word, len) == 0;
}

static inline const char *push_word(decoder *d, const char *at) {
  if (is_word(d, at, "true", 4)) {
    lua_pushboolean(d->lua, true);
    return at + 4;
  }
  if (is_word(d, at, "false", 5)) {
    lua_pushboolean(d->lua, false);
    return at + 5;
  }
  if (is_word(d, at, "null", 4)) {
    roost_value_push_null(d->lua);
    return at + 4;
  }
  return fail(d, at, roost_json_error_value);
}

__attribute__((always_inline)) static inline const char *push_value(decoder *d, const char *at) {
  if (at == d->reader.end)
    return fail(d, at, roost_json_error_value);
  if (*at == '"')
    return push_string(d, at);
  if (*at == '-' || (unsigned)(*at - '0') <= 9)
    return push_number(d, at);
  if (*at == '{')
    return push_object(d, at);
  if (*at == '[')
    return push_array(d, at);
  return push_word(d, at);
}

static inline const char *skip_space(const decoder *d, const char *at) {
  return roost_json_space(at, d->reader.end);
}

static inline bool enter(decoder *d, const char *at) {
  roost_vm_step(d->lua, &d->steps);
  if (d->reader.depth == ROOST_JSON_DEPTH_MAX)
    return fail(d, at, roost_json_error_depth) != NULL;
  d->reader.depth++;
  return true;
}

/* After a value in a container: where it goes on, NULL where neither a comma nor the end is.
 * *more: another value follows. */
static inline const char *pass_separator(decoder *d, const char *at, char close, bool *more) {
  at = skip_space(d, at);
  *more = at < d->reader.end && *at == ',';
  if (*more)
    return skip_space(d, at + 1);
  if (at < d->reader.end && *at == close) {
    d->reader.depth--;
    return at + 1;
  }
  return fail(d, at, roost_json_error_more);
}

static inline void mark_array(const decoder *d) {
  lua_rawgeti(d->lua, LUA_REGISTRYINDEX, d->vm->array_ref);
  lua_setmetatable(d->lua, -2);
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
static const char *push_elements(decoder *d, const char *at) {
  lua_State *lua = d->lua;
  int gathered = 0;
  lua_Integer stored = 0;
  bool more;
  lua_pushnil(lua);
  const int table = lua_gettop(lua);
  do {
    take_slots(d, 1);
    at = push_value(d, at);
    if (at == NULL)
      return NULL;
    at = pass_separator(d, at, ']', &more);
    if (at == NULL)
      return NULL;
    if (++gathered < BATCH)
      continue;
    if (stored == 0)
      make_array(lua, table, 4 * BATCH);
    store_elements(d, table, stored, gathered);
    roost_vm_step(lua, &d->steps);
    stored += gathered;
    gathered = 0;
  } while (more);
  if (stored == 0)
    make_array(lua, table, gathered);
  store_elements(d, table, stored, gathered);
  return at;
}

/* The elements from `at` on of an array that has so many. */
static const char *push_few(decoder *d, const char *at, unsigned count) {
  bool more = true;
  lua_Integer stored = 0;
  take_slots(d, 1);
  lua_createtable(d->lua, (int)count, 0);
  while (more) {
    at = push_value(d, at);
    if (at == NULL)
      return NULL;
    lua_rawseti(d->lua, -2, ++stored);
    at = pass_separator(d, at, ']', &more);
    if (at == NULL)
      return NULL;
  }
  d->room++;
  return at;
}

static const char *push_array(decoder *d, const char *at) {
  if (!enter(d, at))
    return NULL;
  at = skip_space(d, at + 1);
  if (at < d->reader.end && *at == ']') {
    at++;
    d->reader.depth--;
    lua_newtable(d->lua);
  } else {
    const unsigned count = roost_count_elements(d->reader.start, at, d->reader.end);
    at = count > 0 ? push_few(d, at, count) : push_elements(d, at);
    if (at == NULL)
      return NULL;
  }
  mark_array(d);
  return at;
}

/* A member's name. */
typedef struct name {
  roost_key *known; /* its slot */
  bool is_known;    /* the slot says what it is */
  roost_key key;    /* what the slot would hold; len 0: it is not remembered */
  roost_json_token token;
} name;

/* Finds the slot of the name at `at`, which is not the expected one. Returns what comes after the
 * colon; NULL: as the push_ functions. */
__attribute__((noinline)) static const char *find_name(decoder *d, const char *at, name *found) {
  if (!roost_json_read_key(&d->reader, at, &found->token))
    return NULL;
  found->key = roost_key_of(found->token.text);
  if (found->token.escaped)
    found->key.len = 0;
  found->known = &d->vm->keys[roost_key_slot(&found->key)];
  found->is_known = found->key.len != 0 && roost_key_equal(found->known, &found->key);
  return d->reader.at;
}

/* Has the registry keep the string on top of the stack, which is the key's. */
static void hold_key(lua_State *lua, roost_key *known) {
  lua_pushvalue(lua, -1);
  if (known->ref == 0)
    known->ref = (unsigned)luaL_ref(lua, LUA_REGISTRYINDEX) & INT_MAX;
  else
    lua_rawseti(lua, LUA_REGISTRYINDEX, (lua_Integer)known->ref);
  known->held = 1;
}

/* Pushes a name whose string is not at hand. One that was not seen lately takes the slot, but it is
 * worth a place in the registry only when it is seen again. */
__attribute__((noinline)) static void push_new_name(lua_State *lua, const name *found) {
  push_text(lua, &found->token);
  if (found->is_known) {
    hold_key(lua, found->known);
  } else if (found->key.len != 0) {
    const unsigned ref = found->known->ref;
    *found->known = found->key;
    found->known->ref = ref & INT_MAX;
  }
}

/* The members from `at` on, where there is at least one, each stored as soon as it is read: the
 * last of equal keys wins. */
static const char *push_members(decoder *d, const char *at) {
  lua_State *lua = d->lua;
  roost_key *const keys = d->vm->keys;
  roost_key *first = NULL;
  uint8_t *const holder = d->child;
  uint8_t *expected = holder;
  unsigned members = 0;
  bool more;
  take_slots(d, 2);
  do {
    name found;
    roost_key *known = &keys[*expected];
    bool is_known = roost_key_follows(known, at, d->reader.end);
    if (is_known && known->held) {
      at += known->len + 3;
    } else {
      at = find_name(d, at, &found);
      if (at == NULL)
        return NULL;
      known = found.known;
      is_known = found.is_known;
      *expected = (uint8_t)(known - keys);
    }
    if ((members & 63) == 63)
      roost_vm_step(lua, &d->steps);
    if (members++ == 0) {
      lua_createtable(lua, 0, is_known && known->members != 0 ? known->members : MEMBERS_GUESS);
      first = known;
    }
    if (is_known && known->held)
      lua_rawgeti(lua, LUA_REGISTRYINDEX, (lua_Integer)known->ref);
    else
      push_new_name(lua, &found);
    expected = &known->next;
    d->child = &known->child;
    at = push_value(d, skip_space(d, at));
    if (at == NULL)
      return NULL;
    lua_rawset(lua, -3);
    at = pass_separator(d, at, '}', &more);
    if (at == NULL)
      return NULL;
  } while (more);
  first->members = (uint8_t)(members < ROOST_KEYS_MEMBERS_MAX ? members : ROOST_KEYS_MEMBERS_MAX);
  d->child = holder;
  d->room += 2;
  return at;
}

static const char *push_object(decoder *d, const char *at) {
  if (!enter(d, at))
    return NULL;
  at = skip_space(d, at + 1);
  if (at == d->reader.end || *at != '}')
    return push_members(d, at);
  d->reader.depth--;
  lua_newtable(d->lua);
  return at + 1;
}

/* The whole text: one value and nothing behind it. */
static bool push_whole(decoder *d) {
  const char *at = push_value(d, skip_space(d, d->reader.at));
  if (at == NULL)
    return false;
  at = skip_space(d, at);
  return at == d->reader.end || fail(d, at, roost_json_error_extra) != NULL;
}

int roost_value_push_json(lua_State *lua, roost_slice text, const char **why, size_t *at) {
  decoder d;
  const int top = lua_gettop(lua);
  d.lua = lua;
  d.vm = roost_vm_of(lua);
  d.room = SLOTS_FREE - 1;
  d.steps = 0;
  d.child = &d.vm->first_key;
  roost_json_reader_init(&d.reader, text);
  if (push_whole(&d))
    return 0;
  lua_settop(lua, top);
  if (why)
    *why = d.reader.error;
  if (at)
    *at = (size_t)(d.reader.at - d.reader.start);
  return ROOST_EPROTO;
}
