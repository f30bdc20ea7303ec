#include "config/services.h"

#include <lua.h>

#include "config/keys_value.h"
#include "config/schema.h"
#include "core/slice.h"

static size_t count_entries(lua_State *lua) {
  size_t count = 0;
  lua_pushnil(lua);
  while (lua_next(lua, -2)) {
    lua_pop(lua, 1);
    count++;
  }
  return count;
}

static void read_entry(roost_keys_reader *reader, roost_service_options *options) {
  const char *name = lua_tostring(reader->lua, -2);
  const size_t mark = roost_keys_enter(reader, name);
  options->name = roost_arena_text(reader->arena, roost_slice_text(name));
  if (options->name == NULL)
    reader->status = ROOST_ENOMEM;
  if (lua_istable(reader->lua, -1))
    roost_keys_read(reader, roost_schema_service_options, options);
  else
    roost_key_problem_kind(reader, &(roost_key){.kinds = ROOST_KEY_RECORD});
  roost_keys_leave(reader, mark);
}

void roost_service_options_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  lua_State *lua = reader->lua;
  roost_settings *settings = base;
  if (lua_isnil(lua, -1))
    return;
  if (!lua_istable(lua, -1)) {
    roost_key_problem_kind(reader, key);
    return;
  }
  roost_service_options *items =
      roost_arena_get(reader->arena, (count_entries(lua) + 1) * sizeof *items);
  if (items == NULL) {
    reader->status = ROOST_ENOMEM;
    return;
  }
  settings->service_options = items;
  lua_pushnil(lua);
  while (lua_next(lua, -2)) {
    if (lua_type(lua, -2) == LUA_TSTRING) {
      read_entry(reader, &items[settings->service_option_count++]);
    } else {
      char got[ROOST_KEY_SHOWN];
      roost_key_show(lua, -2, got);
      roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "expected names as keys, found %s", got);
    }
    lua_pop(lua, 1);
  }
}
