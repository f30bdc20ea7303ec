#include "config/keys.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/keys_value.h"
#include "config/suggest.h"
#include "core/slice.h"

void roost_keys_reader_init(roost_keys_reader *reader, const roost_alloc *alloc) {
  *reader = (roost_keys_reader){0};
  roost_buffer_init(&reader->path, alloc);
  roost_buffer_init(&reader->json, alloc);
  roost_buffer_init(&reader->route, alloc);
}

void roost_keys_reader_deinit(roost_keys_reader *reader) {
  roost_buffer_deinit(&reader->path);
  roost_buffer_deinit(&reader->json);
  roost_buffer_deinit(&reader->route);
}

static void note(roost_keys_reader *reader, int status) {
  if (reader->status == 0)
    reader->status = status;
}

static bool is_plain_name(const char *name) {
  const size_t len =
      strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
  return len > 0 && name[len] == '\0' && (name[0] < '0' || name[0] > '9');
}

size_t roost_keys_enter(roost_keys_reader *reader, const char *name) {
  const size_t mark = reader->path.len;
  const char *dot = mark > 0 ? "." : "";
  note(reader, is_plain_name(name) ? roost_buffer_printf(&reader->path, "%s%s", dot, name)
                                   : roost_buffer_printf(&reader->path, "[\"%.60s\"]", name));
  return mark;
}

size_t roost_keys_enter_index(roost_keys_reader *reader, size_t index) {
  const size_t mark = reader->path.len;
  note(reader, roost_buffer_printf(&reader->path, "[%zu]", index));
  return mark;
}

void roost_keys_leave(roost_keys_reader *reader, size_t mark) {
  reader->path.len = mark;
}

void roost_keys_problem(roost_keys_reader *reader, roost_severity severity, const char *format,
                        ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const int path_len = (int)reader->path.len;
  roost_problems_add(reader->problems, severity, "%s: %.*s%s%s", reader->file, path_len,
                     path_len > 0 ? reader->path.ptr : "", path_len > 0 ? ": " : "", text);
}

bool roost_keys_each(roost_keys_reader *reader,
                     void (*visit)(roost_keys_reader *reader, size_t index, void *ud), void *ud) {
  lua_State *lua = reader->lua;
  const size_t count = lua_rawlen(lua, -1);
  lua_pushnil(lua);
  while (lua_next(lua, -2)) {
    lua_pop(lua, 1);
    if (lua_isinteger(lua, -1) && lua_tointeger(lua, -1) >= 1 &&
        (lua_Unsigned)lua_tointeger(lua, -1) <= count)
      continue;
    char got[ROOST_KEY_SHOWN];
    roost_key_show(lua, -1, got);
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "expected a list, found the key %s", got);
    lua_pop(lua, 1);
    return false;
  }
  for (size_t i = 1; i <= count; i++) {
    const size_t mark = roost_keys_enter_index(reader, i);
    lua_rawgeti(lua, -1, (lua_Integer)i);
    visit(reader, i, ud);
    lua_pop(lua, 1);
    roost_keys_leave(reader, mark);
  }
  return true;
}

static void visit_element(roost_keys_reader *reader, size_t index, void *ud) {
  (void)index;
  const roost_key *const *element = ud;
  if (lua_isnil(reader->lua, -1))
    roost_key_problem_kind(reader, *element);
  else
    roost_key_read(reader, *element, NULL);
}

static void read_map(roost_keys_reader *reader, const roost_key *key) {
  lua_State *lua = reader->lua;
  lua_pushnil(lua);
  while (lua_next(lua, -2)) {
    if (lua_type(lua, -2) == LUA_TSTRING) {
      const size_t mark = roost_keys_enter(reader, lua_tostring(lua, -2));
      roost_key_read(reader, key->element, NULL);
      roost_keys_leave(reader, mark);
    } else {
      char got[ROOST_KEY_SHOWN];
      roost_key_show(lua, -2, got);
      roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "expected names as keys, found %s", got);
    }
    lua_pop(lua, 1);
  }
}

static void read_table(roost_keys_reader *reader, const roost_key *key, void *base) {
  const bool stored = base != NULL && key->size > 0;
  if (key->kinds & ROOST_KEY_RECORD) {
    roost_keys_read(reader, key->keys, stored ? (char *)base + key->offset : NULL);
  } else if (key->kinds & ROOST_KEY_MAP) {
    read_map(reader, key);
  } else {
    const roost_key *element = key->element;
    const size_t errors = reader->problems->errors;
    if (roost_keys_each(reader, visit_element, &element) && stored &&
        reader->problems->errors == errors)
      roost_key_store_texts(reader, key, base);
  }
}

void roost_key_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  const unsigned tables = ROOST_KEY_RECORD | ROOST_KEY_LIST | ROOST_KEY_MAP;
  lua_State *lua = reader->lua;
  luaL_checkstack(lua, 10, NULL);
  if (key->read != NULL)
    key->read(reader, key, base);
  else if (lua_istable(lua, -1) ? key->kinds & tables
                                : lua_isnil(lua, -1) && (key->kinds & ROOST_KEY_RECORD))
    read_table(reader, key, base);
  else if (lua_isnil(lua, -1))
    roost_key_store_default(reader, key, base);
  else
    roost_key_read_plain(reader, key, base);
}

static const roost_key *find(const roost_key *keys, const char *name) {
  for (; keys->name != NULL; keys++)
    if (strcmp(keys->name, name) == 0)
      return keys;
  return NULL;
}

static void check_unknown(roost_keys_reader *reader, const roost_key *keys) {
  lua_State *lua = reader->lua;
  lua_pushnil(lua);
  while (lua_next(lua, -2)) {
    lua_pop(lua, 1);
    char got[ROOST_KEY_SHOWN];
    if (lua_type(lua, -1) != LUA_TSTRING) {
      roost_key_show(lua, -1, got);
      roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "expected named keys, found %s", got);
      continue;
    }
    const char *name = lua_tostring(lua, -1);
    if (find(keys, name) != NULL)
      continue;
    roost_suggestion near = {.word = name};
    for (const roost_key *key = keys; key->name != NULL; key++)
      roost_suggest(&near, key->name);
    const size_t mark = roost_keys_enter(reader, name);
    if (near.best != NULL)
      roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "unknown key (did you mean \"%s\"?)",
                         near.best);
    else
      roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "unknown key");
    roost_keys_leave(reader, mark);
  }
}

void roost_keys_read(roost_keys_reader *reader, const roost_key *keys, void *base) {
  lua_State *lua = reader->lua;
  const bool table = lua_istable(lua, -1);
  if (table)
    check_unknown(reader, keys);
  else if (!lua_isnil(lua, -1))
    roost_key_problem_kind(reader, &(roost_key){.kinds = ROOST_KEY_RECORD});
  for (const roost_key *key = keys; key->name != NULL; key++) {
    const size_t mark = roost_keys_enter(reader, key->name);
    if (table) {
      lua_pushstring(lua, key->name);
      lua_rawget(lua, -2);
    } else {
      lua_pushnil(lua);
    }
    roost_key_read(reader, key, base);
    lua_pop(lua, 1);
    roost_keys_leave(reader, mark);
  }
}

/* ------------------------------------------------------------------------- entries by name --- */

static size_t count_members(lua_State *lua) {
  size_t count = 0;
  lua_pushnil(lua);
  while (lua_next(lua, -2)) {
    lua_pop(lua, 1);
    count++;
  }
  return count;
}

/* The name of the entry on top of the stack, which stands below it; NULL: it has none. */
static const char *own_name(roost_keys_reader *reader) {
  lua_State *lua = reader->lua;
  char got[ROOST_KEY_SHOWN];
  if (lua_type(lua, -2) != LUA_TSTRING) {
    roost_key_show(lua, -2, got);
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "expected names as keys, found %s", got);
    return NULL;
  }
  const char *name = roost_arena_text(reader->arena, roost_slice_text(lua_tostring(lua, -2)));
  if (name == NULL)
    reader->status = ROOST_ENOMEM;
  return name;
}

size_t
roost_keys_each_named(roost_keys_reader *reader, const roost_key *key, size_t size, void **entries,
                      void (*visit)(roost_keys_reader *reader, const char *name, void *entry)) {
  lua_State *lua = reader->lua;
  size_t count = 0;
  *entries = NULL;
  if (lua_isnil(lua, -1))
    return 0;
  if (!lua_istable(lua, -1)) {
    roost_key_problem_kind(reader, key);
    return 0;
  }
  *entries = roost_arena_get(reader->arena, (count_members(lua) + 1) * size);
  if (*entries == NULL) {
    reader->status = ROOST_ENOMEM;
    return 0;
  }
  lua_pushnil(lua);
  while (lua_next(lua, -2)) {
    const char *name = own_name(reader);
    if (name != NULL) {
      const size_t mark = roost_keys_enter(reader, name);
      visit(reader, name, (char *)*entries + count++ * size);
      roost_keys_leave(reader, mark);
    }
    lua_pop(lua, 1);
  }
  return count;
}
