#include "config/client_table.h"

#include <lua.h>

#include "config/entries.h"
#include "config/keys.h"

typedef struct reading {
  roost_keys_reader reader;
  roost_client_table *table;
} reading;

/* read(reading, table): everything that may raise. */
static int read(lua_State *lua) {
  reading *self = lua_touserdata(lua, 1);
  self->reader.lua = lua;
  roost_client_read_table(&self->reader, &self->table->config);
  return 0;
}

static int say_all(const roost_problems *problems, roost_buffer *error) {
  int status = 0;
  for (size_t i = 0; i < problems->count && status == 0; i++)
    if (problems->items[i].severity == ROOST_PROBLEM_ERROR)
      status =
          roost_buffer_printf(error, "%s%s", error->len > 0 ? "\n" : "", problems->items[i].text);
  return status != 0 ? status : ROOST_ECONFIG;
}

int roost_client_table_read(roost_client_table **out, const roost_alloc *alloc, lua_State *lua,
                            int index, const char *working_dir, roost_buffer *error) {
  reading self = {.table = roost_alloc_get(alloc, sizeof *self.table)};
  roost_problems problems;
  *out = NULL;
  if (self.table == NULL)
    return ROOST_ENOMEM;
  roost_arena_init(&self.table->arena, alloc);
  roost_problems_init(&problems, alloc);
  roost_keys_reader_init(&self.reader, alloc);
  self.reader.arena = &self.table->arena;
  self.reader.problems = &problems;
  self.reader.file = "roost.client";
  self.reader.working_dir = working_dir;
  lua_pushvalue(lua, index);
  lua_pushcfunction(lua, read);
  lua_insert(lua, -2);
  lua_pushlightuserdata(lua, &self);
  lua_insert(lua, -2);
  int status = lua_pcall(lua, 2, 0, 0) == LUA_OK ? self.reader.status : ROOST_ENOMEM;
  if (status == 0 && problems.errors > 0)
    status = say_all(&problems, error);
  roost_keys_reader_deinit(&self.reader);
  roost_problems_deinit(&problems);
  if (status == 0)
    *out = self.table;
  else
    roost_client_table_free(self.table);
  return status;
}

void roost_client_table_free(roost_client_table *table) {
  if (table == NULL)
    return;
  const roost_alloc *alloc = table->arena.alloc;
  roost_arena_deinit(&table->arena);
  roost_alloc_put(alloc, table, sizeof *table);
}
