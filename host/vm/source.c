#include "vm/source.h"

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/open_file.h"
#include "vm/load.h"
#include "vm/vm.h"

const char *roost_source_below(const char *path, const char *root) {
  size_t len = strlen(root);
  if (strncmp(path, root, len) == 0 && path[len] == '/')
    return path + len + 1;
  return path;
}

/* A file that Lua closes should an error pass by; see luaL_Stream. */
static int close_file(lua_State *lua) {
  luaL_Stream *stream = lua_touserdata(lua, 1);
  return luaL_fileresult(lua, fclose(stream->f) == 0, NULL);
}

/* The state is made from this file, whether it can be read or not: there is one, or error says why
 * it was not opened. Where path is a link, what it leads to counts, too: it changes without a
 * change of the link's folder. */
static void note_file(lua_State *lua, const char *path, FILE *file, int error) {
  struct stat info;
  roost_files *files = &roost_vm_of(lua)->files;
  const bool known =
      file != NULL ? fstat(fileno(file), &info) == 0 : error != ENOENT && stat(path, &info) == 0;
  int status = roost_files_add(files, path, known ? &info : NULL);
  char *real = known && status == 0 ? realpath(path, NULL) : NULL;
  if (real != NULL)
    status = roost_files_add(files, real, &info);
  free(real);
  if (status != 0)
    luaL_error(lua, "out of memory");
}

typedef FILE *open_fn(const char *path);

static FILE *open_any(const char *path) {
  return fopen(path, "rb");
}

static FILE *open_noted(lua_State *lua, const char *path, open_fn *open) {
  luaL_Stream *stream = lua_newuserdatauv(lua, sizeof *stream, 0);
  stream->closef = NULL;
  luaL_setmetatable(lua, LUA_FILEHANDLE);
  stream->f = open(path);
  const int error = errno;
  if (stream->f != NULL)
    stream->closef = close_file;
  note_file(lua, path, stream->f, error);
  if (stream->f == NULL)
    luaL_error(lua, "%s: %s", path, roost_open_error(error));
  return stream->f;
}

/* Reads the whole file onto the stack as a string; raises what went wrong. */
static void push_file(lua_State *lua, const char *path, open_fn *open) {
  FILE *file = open_noted(lua, path, open);
  int handle = lua_gettop(lua);
  luaL_Buffer text;
  luaL_buffinit(lua, &text);
  size_t n;
  do {
    char *chunk = luaL_prepbuffer(&text);
    errno = 0;
    n = fread(chunk, 1, LUAL_BUFFERSIZE, file);
    luaL_addsize(&text, n);
  } while (n > 0);
  if (ferror(file))
    luaL_error(lua, "%s: %s", path, strerror(errno));
  luaL_pushresult(&text);
  lua_getfield(lua, handle, "close");
  lua_pushvalue(lua, handle);
  lua_call(lua, 1, 0);
  lua_remove(lua, handle);
}

/* The text of a Lua file without a first line that starts with #; the line itself stays, so that
 * line numbers do. */
static roost_slice code_of(const char *text, size_t len) {
  const char *at = text;
  const char *end = text + len;
  if (len >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
    at += 3;
  if (at < end && *at == '#')
    while (at < end && *at != '\n')
      at++;
  return (roost_slice){at, (size_t)(end - at)};
}

static void compile(lua_State *lua, roost_slice text, const char *chunk_name, const char *mode) {
  if (roost_load(lua, code_of(text.ptr, text.len), chunk_name, mode) != LUA_OK)
    lua_error(lua);
}

static void load_opened(lua_State *lua, const char *path, open_fn *open, const char *chunk_name,
                        const char *mode) {
  push_file(lua, path, open);
  roost_slice text;
  text.ptr = lua_tolstring(lua, -1, &text.len);
  compile(lua, text, chunk_name, mode);
  lua_remove(lua, -2);
}

void roost_source_load_file(lua_State *lua, const char *path, const char *chunk_name,
                            const char *mode) {
  load_opened(lua, path, roost_open_file, chunk_name, mode);
}

static void load_named(lua_State *lua, const char *path, open_fn *open, const char *name,
                       const char *mode) {
  const char *chunk_name = lua_pushfstring(lua, "@%s", name);
  load_opened(lua, path, open, chunk_name, mode);
  lua_remove(lua, -2);
}

const char *roost_source_chunk_name(const roost_source *source) {
  return roost_source_below(source->path, source->root);
}

void roost_source_load(lua_State *lua, const roost_source *source, const char *mode) {
  load_named(lua, source->path, roost_open_file, roost_source_chunk_name(source), mode);
}

void roost_source_load_script(lua_State *lua, const roost_source *source) {
  load_named(lua, source->path, open_any, roost_source_chunk_name(source), NULL);
}

void roost_source_load_text(lua_State *lua, const roost_source *source, roost_slice text,
                            const char *mode) {
  const char *chunk_name = lua_pushfstring(lua, "@%s", roost_source_chunk_name(source));
  compile(lua, text, chunk_name, mode);
  lua_remove(lua, -2);
}

/* ------------------------------------------------------------------------- require ----------- */

/* Lua's own searcher for Lua files, but the chunk is named by its path below the services folder
 * (upvalue 1), and the service's main file (upvalue 2) is not a module. */
static int search_lua(lua_State *lua) {
  const char *name = luaL_checkstring(lua, 1);
  lua_getglobal(lua, "package");
  lua_getfield(lua, -1, "searchpath");
  lua_pushstring(lua, name);
  lua_getfield(lua, -3, "path");
  lua_call(lua, 2, 2);
  if (lua_isnil(lua, -2))
    return 1; /* the text that says where it was looked for */
  lua_pop(lua, 1);
  const char *path = lua_tostring(lua, -1);
  if (strcmp(path, lua_tostring(lua, lua_upvalueindex(2))) == 0) {
    lua_pushfstring(lua, "no file '%s': that is the service itself", path);
    return 1;
  }
  load_named(lua, path, roost_open_file,
             roost_source_below(path, lua_tostring(lua, lua_upvalueindex(1))), NULL);
  lua_pushvalue(lua, -2);
  return 2;
}

void roost_source_set_path(lua_State *lua, const roost_source *source, const char *working_dir) {
  lua_getglobal(lua, "package");
  lua_getfield(lua, -1, "path");
  lua_pushfstring(lua, "%s/%s/?.lua;%s/lib/?.lua;%s/lua/?.lua;%s", source->root, source->name,
                  source->root, working_dir, lua_tostring(lua, -1));
  lua_setfield(lua, -3, "path");
  lua_pop(lua, 1);
  lua_getfield(lua, -1, "searchers");
  lua_pushstring(lua, source->root);
  lua_pushstring(lua, source->path);
  lua_pushcclosure(lua, search_lua, 2);
  lua_rawseti(lua, -2, 2);
  lua_pop(lua, 2);
}
