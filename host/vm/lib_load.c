/*
 * load: Lua's compiler is fed in small pieces, with a look at the watchdog before each.
 *
 * Errors that the watchdog raises in the middle of it are caught by lua_load as any other; so it is
 * asked again after each that failed.
 */
#include <lauxlib.h>
#include <lua.h>

#include "vm/bounded.h"
#include "vm/jumps.h"
#include "vm/load.h"
#include "vm/watchdog.h"

/* What such a piece takes to compile is some microseconds, of the worst source ten milliseconds. */
#define PIECE_BYTES ((size_t)256)

enum { CHUNK = 1, CHUNK_NAME, MODE, ENVIRONMENT, TEXT };

typedef struct reading {
  roost_slice rest; /* of the text that is being read */
  size_t bytes;     /* read so far */
  bool has_reader;  /* argument CHUNK is a function that gives more */
  bool is_limited;  /* the chunk was made up by a script */
  bool is_short;    /* and has no room for too many jumps */
  roost_jumps jumps;
} reading;

/* Asks the reader for more text, which stays at index TEXT; false: that was all. */
static bool read_more(lua_State *lua, reading *self) {
  luaL_checkstack(lua, 2, "too many nested functions");
  lua_pushvalue(lua, CHUNK);
  lua_call(lua, 0, 1);
  if (lua_isnil(lua, -1)) {
    lua_pop(lua, 1);
    return false;
  }
  if (!lua_isstring(lua, -1))
    luaL_error(lua, "reader function must return a string");
  lua_replace(lua, TEXT);
  self->rest.ptr = lua_tolstring(lua, TEXT, &self->rest.len);
  return self->rest.len > 0;
}

static void check_limits(lua_State *lua, reading *self, roost_slice piece) {
  self->bytes += piece.len;
  if (self->bytes > ROOST_LOAD_BYTES_MAX)
    luaL_error(lua, "chunk is too large (at most %d bytes)", ROOST_LOAD_BYTES_MAX);
  if (self->is_short)
    return;
  roost_jumps_scan(&self->jumps, piece);
  if (self->jumps.count > ROOST_JUMPS_MAX)
    luaL_error(lua, "chunk has too many jumps (at most %d goto and break)", ROOST_JUMPS_MAX);
}

/* A lua_Reader. */
static const char *read_piece(lua_State *lua, void *ud, size_t *size) {
  reading *self = ud;
  *size = 0;
  roost_vm_poll(lua);
  if (self->rest.len == 0 && !(self->has_reader && read_more(lua, self)))
    return NULL;
  roost_slice piece = {self->rest.ptr, self->rest.len < PIECE_BYTES ? self->rest.len : PIECE_BYTES};
  self->rest.ptr += piece.len;
  self->rest.len -= piece.len;
  if (self->is_limited)
    check_limits(lua, self, piece);
  *size = piece.len;
  return piece.ptr;
}

static int compile(lua_State *lua, reading *self, const char *name, const char *mode) {
  roost_jumps_init(&self->jumps);
  int status = lua_load(lua, read_piece, self, name, mode);
  if (status != LUA_OK)
    roost_vm_poll(lua);
  return status;
}

int roost_load(lua_State *lua, roost_slice text, const char *name, const char *mode) {
  reading self = {.rest = text};
  return compile(lua, &self, name, mode);
}

static int load(lua_State *lua) {
  reading self = {.is_limited = true};
  bool has_environment = !lua_isnone(lua, ENVIRONMENT);
  self.rest.ptr = lua_tolstring(lua, CHUNK, &self.rest.len);
  self.has_reader = self.rest.ptr == NULL;
  self.is_short = !self.has_reader && self.rest.len < ROOST_JUMPS_MAX * sizeof "goto";
  const char *mode = luaL_optstring(lua, MODE, "bt");
  const char *name = luaL_optstring(lua, CHUNK_NAME, self.has_reader ? "=(load)" : self.rest.ptr);
  if (self.has_reader) {
    luaL_checktype(lua, CHUNK, LUA_TFUNCTION);
    lua_settop(lua, TEXT);
  }
  if (compile(lua, &self, name, mode) != LUA_OK) {
    luaL_pushfail(lua);
    lua_insert(lua, -2);
    return 2;
  }
  if (has_environment) {
    lua_pushvalue(lua, ENVIRONMENT);
    if (lua_setupvalue(lua, -2, 1) == NULL)
      lua_pop(lua, 1);
  }
  return 1;
}

void roost_bounded_open_load(lua_State *lua) {
  lua_pushcfunction(lua, load);
  lua_setglobal(lua, "load");
}
