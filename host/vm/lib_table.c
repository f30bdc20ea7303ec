/*
 * table.concat, insert, move, remove and unpack. All but unpack take whatever has the metamethods
 * they need for a table.
 */
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>

#include "vm/bounded.h"
#include "vm/steps.h"

/* What is done with a list: the metamethods that something which is no table needs for it. */
enum { READ = 1, WRITE = 2, LENGTH = 4 };

/* One access after another to lists, counted in rounds. */
typedef struct walk {
  lua_State *lua;
  roost_vm *vm;
  unsigned round; /* so many accesses are ROOST_STEPS_META steps */
  unsigned left;  /* of the round */
} walk;

static bool has_field(lua_State *lua, int metatable, const char *name) {
  lua_pushstring(lua, name);
  bool has = lua_rawget(lua, metatable) != LUA_TNIL;
  lua_pop(lua, 1);
  return has;
}

static void check_list(lua_State *lua, int index, unsigned uses) {
  if (lua_istable(lua, index))
    return;
  bool serves = lua_getmetatable(lua, index);
  if (serves) {
    int metatable = lua_gettop(lua);
    serves = ((uses & READ) == 0 || has_field(lua, metatable, "__index")) &&
             ((uses & WRITE) == 0 || has_field(lua, metatable, "__newindex")) &&
             ((uses & LENGTH) == 0 || has_field(lua, metatable, "__len"));
    lua_pop(lua, 1);
  }
  if (!serves)
    luaL_checktype(lua, index, LUA_TTABLE); /* says what is wrong */
}

static lua_Integer check_length(lua_State *lua, int index, unsigned uses) {
  check_list(lua, index, uses | LENGTH);
  return luaL_len(lua, index);
}

/* An access to a plain table is a step. That is not so cheap where index is something that has a
 * metatable. A round that is not over at the end of a call counts for little. */
static void begin(walk *self, lua_State *lua, int index) {
  bool is_plain = !lua_getmetatable(lua, index);
  if (!is_plain)
    lua_pop(lua, 1);
  self->lua = lua;
  self->vm = roost_vm_of(lua);
  self->round = self->left = is_plain ? ROOST_STEPS_META : 1;
  roost_steps_spend(self->vm, lua, 16);
}

static inline void count_access(walk *self) {
  if (--self->left > 0)
    return;
  self->left = self->round;
  roost_steps_spend(self->vm, self->lua, ROOST_STEPS_META);
}

/* to[there] = from[here] */
static inline void copy(walk *self, int from, lua_Integer here, int to, lua_Integer there) {
  lua_geti(self->lua, from, here);
  lua_seti(self->lua, to, there);
  count_access(self);
}

static lua_Integer add(lua_Integer a, lua_Integer b) {
  return (lua_Integer)((lua_Unsigned)a + (lua_Unsigned)b); /* wraps around, as in Lua */
}

static int table_insert(lua_State *lua) {
  lua_Integer end = add(check_length(lua, 1, READ | WRITE), 1); /* the first place that is free */
  lua_Integer position = end;
  int count = lua_gettop(lua);
  if (count != 2 && count != 3)
    return luaL_error(lua, "wrong number of arguments to 'insert'");
  if (count == 3) {
    walk list;
    position = luaL_checkinteger(lua, 2);
    luaL_argcheck(lua, (lua_Unsigned)position - 1 < (lua_Unsigned)end, 2, "position out of bounds");
    begin(&list, lua, 1);
    for (lua_Integer i = end; i > position; i--)
      copy(&list, 1, i - 1, 1, i);
  }
  lua_seti(lua, 1, position);
  return 0;
}

static int table_remove(lua_State *lua) {
  lua_Integer length = check_length(lua, 1, READ | WRITE);
  lua_Integer position = luaL_optinteger(lua, 2, length);
  if (position != length)
    luaL_argcheck(lua, (lua_Unsigned)position - 1 <= (lua_Unsigned)length, 1,
                  "position out of bounds"); /* Lua, too, says it of argument 1 */
  lua_geti(lua, 1, position);                /* is returned */
  if (position < length) {
    walk list;
    begin(&list, lua, 1);
    for (; position < length; position++)
      copy(&list, 1, position + 1, 1, position);
  }
  lua_pushnil(lua);
  lua_seti(lua, 1, position);
  return 1;
}

static int table_move(lua_State *lua) {
  lua_Integer first = luaL_checkinteger(lua, 2);
  lua_Integer last = luaL_checkinteger(lua, 3);
  lua_Integer there = luaL_checkinteger(lua, 4);
  int to = lua_isnoneornil(lua, 5) ? 1 : 5;
  check_list(lua, 1, READ);
  check_list(lua, to, WRITE);
  if (first <= last) {
    luaL_argcheck(lua, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
    lua_Integer count = last - first + 1;
    luaL_argcheck(lua, there <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
    walk lists;
    begin(&lists, lua, to);
    if (lists.round > 1) /* else each access counts already */
      begin(&lists, lua, 1);
    if (there <= first || there > last || (to != 1 && !lua_compare(lua, 1, to, LUA_OPEQ))) {
      for (lua_Integer i = 0; i < count; i++)
        copy(&lists, 1, first + i, to, there + i);
    } else { /* what moves up within a table must move from its end on */
      for (lua_Integer i = count - 1; i >= 0; i--)
        copy(&lists, 1, first + i, to, there + i);
    }
  }
  lua_pushvalue(lua, to);
  return 1;
}

/* What writing a number counts for. */
#define NUMBER_STEPS 32

/* Bytes of a concatenation that are counted at once. */
#define PART_BYTES ((size_t)65536)

static inline void add_element(luaL_Buffer *out, walk *list, lua_Integer i) {
  lua_State *lua = list->lua;
  int type = lua_geti(lua, 1, i);
  if (type == LUA_TNUMBER)
    roost_steps_spend(list->vm, lua, NUMBER_STEPS);
  else if (type != LUA_TSTRING)
    luaL_error(lua, "invalid value (%s) at index %I in table for 'concat'", luaL_typename(lua, -1),
               (LUAI_UACINT)i);
  luaL_addvalue(out);
  count_access(list);
}

static inline void add_separator(luaL_Buffer *out, const char *separator, size_t len) {
  if (len == 1)
    luaL_addchar(out, *separator);
  else if (len > 0)
    luaL_addlstring(out, separator, len);
}

static int table_concat(lua_State *lua) {
  lua_Integer last = check_length(lua, 1, READ);
  size_t separator_len;
  const char *separator = luaL_optlstring(lua, 2, "", &separator_len);
  lua_Integer i = luaL_optinteger(lua, 3, 1);
  last = luaL_optinteger(lua, 4, last);
  luaL_Buffer out;
  walk list;
  begin(&list, lua, 1);
  luaL_buffinit(lua, &out);
  for (size_t counted = 0; i < last; i++) {
    add_element(&out, &list, i);
    add_separator(&out, separator, separator_len);
    if (luaL_bufflen(&out) - counted >= PART_BYTES) {
      roost_steps_spend_bytes(list.vm, lua, luaL_bufflen(&out) - counted);
      counted = luaL_bufflen(&out);
    }
  }
  if (i == last)
    add_element(&out, &list, i);
  luaL_pushresult(&out);
  return 1;
}

static int table_unpack(lua_State *lua) {
  lua_Integer first = luaL_optinteger(lua, 2, 1);
  lua_Integer last = luaL_opt(lua, luaL_checkinteger, 3, luaL_len(lua, 1));
  if (first > last)
    return 0;
  lua_Unsigned more = (lua_Unsigned)last - (lua_Unsigned)first;
  walk list;
  begin(&list, lua, 1);
  if (more >= INT_MAX || !lua_checkstack(lua, (int)more + 1))
    return luaL_error(lua, "too many results to unpack");
  for (lua_Unsigned i = 0; i <= more; i++) {
    lua_geti(lua, 1, add(first, (lua_Integer)i));
    count_access(&list);
  }
  return (int)more + 1;
}

void roost_bounded_open_table(lua_State *lua) {
  static const luaL_Reg functions[] = {{"concat", table_concat}, {"insert", table_insert},
                                       {"move", table_move},     {"remove", table_remove},
                                       {"unpack", table_unpack}, {NULL, NULL}};
  lua_getglobal(lua, "table");
  luaL_setfuncs(lua, functions, 0);
  lua_pop(lua, 1);
}
