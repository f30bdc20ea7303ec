/* Patterns match as with Lua's own library, and their mistakes are told alike. The input is a
 * pattern, a newline, a subject; a replacement may follow after one more. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "fuzz.h"
#include "vm/vm.h"
#include "vm/watchdog.h"

#define BYTES_MAX 64 /* what is longer takes for ever too often */
#define POLLS_MAX 1  /* so do searches of more steps than these */

static const char driver[] =
    "local subject, pattern, replacement = ...\n"
    "local parts = {}\n"
    "local function note(...)\n"
    "  for i = 1, select('#', ...) do parts[#parts + 1] = tostring((select(i, ...))) end\n"
    "  parts[#parts + 1] = '\\n'\n"
    "end\n"
    "local function all(init)\n"
    "  for a, b in string.gmatch(subject, pattern, init) do note(a, b) end\n"
    "end\n"
    "for init = 1, 3 do\n"
    "  note(pcall(string.find, subject, pattern, init))\n"
    "  note(pcall(string.match, subject, pattern, init))\n"
    "  note(pcall(all, init))\n"
    "end\n"
    "note(pcall(string.find, subject, pattern, 1, true))\n"
    "note(pcall(string.gsub, subject, pattern, replacement))\n"
    "note(pcall(string.gsub, subject, pattern, function(...) note(...) return ... end))\n"
    "note(pcall(string.gsub, subject, pattern, '%0%1', 2))\n"
    "return table.concat(parts, '\\0')\n";

static size_t polls;

void __wrap_roost_vm_poll(struct lua_State *lua);

void __wrap_roost_vm_poll(struct lua_State *lua) {
  if (++polls > POLLS_MAX)
    luaL_error(lua, "it takes too long");
}

static int open_stock(lua_State *lua) {
  luaL_openlibs(lua);
  return 0;
}

static int open_ours(lua_State *lua) {
  roost_vm_open_libraries(lua);
  return 0;
}

/* Opens the libraries and leaves the driver on the stack. */
static void prepare(lua_State *lua, lua_CFunction open) {
  lua_pushcfunction(lua, open);
  PROMISE(lua_pcall(lua, 0, 0, 0) == LUA_OK);
  PROMISE(luaL_loadstring(lua, driver) == LUA_OK);
}

/* Leaves what happened on the stack, above the driver. */
static roost_slice run(lua_State *lua, const roost_slice *parts) {
  roost_slice transcript;
  lua_settop(lua, 1);
  lua_pushvalue(lua, 1);
  for (int i = 0; i < 3; i++)
    lua_pushlstring(lua, parts[i].ptr, parts[i].len);
  PROMISE(lua_pcall(lua, 3, 1, 0) == LUA_OK);
  transcript.ptr = lua_tolstring(lua, -1, &transcript.len);
  return transcript;
}

/* Cuts the input at its newlines. */
static void split(roost_slice input, roost_slice *parts) {
  static const int order[] = {1, 0, 2}; /* the subject comes second */
  for (int i = 0; i < 3; i++) {
    const char *end = i < 2 ? memchr(input.ptr, '\n', input.len) : NULL;
    size_t len = end != NULL ? (size_t)(end - input.ptr) : input.len;
    size_t skipped = end != NULL ? len + 1 : len;
    parts[order[i]] = (roost_slice){input.ptr, len};
    input = (roost_slice){input.ptr + skipped, input.len - skipped};
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lua_State *stock;
  static roost_runner runner;
  static roost_vm *ours;
  roost_slice parts[3];
  if (stock == NULL) {
    const roost_vm_config config = {.alloc = roost_alloc_default(), .runner = &runner};
    stock = luaL_newstate();
    PROMISE(stock != NULL);
    roost_runner_init(&runner);
    PROMISE(roost_vm_open(&ours, &config) == 0);
    prepare(stock, open_stock);
    prepare(ours->lua, open_ours);
  }
  if (size == 0 || size > BYTES_MAX)
    return 0;
  polls = 0;
  split((roost_slice){(const char *)data, size}, parts);
  roost_slice got = run(ours->lua, parts);
  if (polls <= POLLS_MAX) {
    roost_slice expected = run(stock, parts);
    PROMISE(roost_slice_equal(got, expected));
  }
  return 0;
}
