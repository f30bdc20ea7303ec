/*
 * string.find, match, gmatch, gsub and rep: what vm/match.h and vm/search.h find, in Lua's words.
 */
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <string.h>

#include "vm/bounded.h"
#include "vm/match.h"
#include "vm/search.h"
#include "vm/steps.h"

static roost_slice check_text(lua_State *lua, int index) {
  roost_slice text;
  text.ptr = luaL_checklstring(lua, index, &text.len);
  return text;
}

/* The argument init, as a number of bytes to skip: negative values count from the end. It may be
 * more than len. */
static size_t check_init(lua_State *lua, int index, size_t len) {
  lua_Integer init = luaL_optinteger(lua, index, 1);
  if (init > 0)
    return (size_t)init - 1;
  if (init == 0 || init < -(lua_Integer)len)
    return 0;
  return len - (size_t)-init;
}

/* ------------------------------------------------------------------------- captures ---------- */

/* What capture number i (from 0) of the match that was found holds; without captures number 0 is
 * the whole match. A position is pushed, and the slice is then nothing. */
static roost_slice get_capture(const roost_match *match, int i) {
  if (i >= match->capture_count) {
    if (i != 0)
      luaL_error(match->lua, "invalid capture index %%%d", i + 1);
    return (roost_slice){match->start, (size_t)(match->end - match->start)};
  }
  const roost_capture *capture = &match->captures[i];
  if (capture->len == ROOST_CAPTURE_OPEN)
    luaL_error(match->lua, "unfinished capture");
  if (capture->len != ROOST_CAPTURE_POSITION)
    return (roost_slice){capture->start, (size_t)capture->len};
  lua_pushinteger(match->lua, capture->start - match->subject + 1);
  return (roost_slice){NULL, 0};
}

static void push_capture(const roost_match *match, int i) {
  roost_slice text = get_capture(match, i);
  if (text.ptr != NULL)
    lua_pushlstring(match->lua, text.ptr, text.len);
}

/* Pushes all captures, or without any the least that is wanted of the whole match: 1 or 0. */
static int push_captures(const roost_match *match, int least) {
  int count = match->capture_count > 0 ? match->capture_count : least;
  if (count > LUA_MINSTACK / 2) /* else there is room */
    luaL_checkstack(match->lua, count, "too many captures");
  for (int i = 0; i < count; i++)
    push_capture(match, i);
  return count;
}

/* ------------------------------------------------------------------------- find, match ------- */

static bool is_special(char c) {
  switch (c) {
  case '^':
  case '$':
  case '*':
  case '+':
  case '?':
  case '.':
  case '(':
  case '[':
  case '%':
  case '-':
    return true;
  default:
    return false;
  }
}

static bool is_plain(roost_slice pattern) {
  for (size_t i = 0; i < pattern.len; i++)
    if (is_special(pattern.ptr[i]))
      return false;
  return true;
}

static int push_range(lua_State *lua, size_t start, size_t end) {
  lua_pushinteger(lua, (lua_Integer)start + 1);
  lua_pushinteger(lua, (lua_Integer)end);
  return 2;
}

static int find_plain(lua_State *lua, roost_slice text, roost_slice needle, size_t init) {
  roost_slice rest = {text.ptr + init, text.len - init};
  const char *found = roost_search(lua, rest, needle);
  if (found != NULL)
    return push_range(lua, (size_t)(found - text.ptr), (size_t)(found - text.ptr) + needle.len);
  luaL_pushfail(lua);
  return 1;
}

static int string_find(lua_State *lua) {
  roost_slice text = check_text(lua, 1);
  roost_slice pattern = check_text(lua, 2);
  size_t init = check_init(lua, 3, text.len);
  if (init > text.len) {
    luaL_pushfail(lua);
    return 1;
  }
  if (lua_toboolean(lua, 4) || is_plain(pattern))
    return find_plain(lua, text, pattern, init);
  roost_match match;
  roost_match_init(&match, lua, text, pattern, init, true);
  if (!roost_match_next(&match)) {
    luaL_pushfail(lua);
    return 1;
  }
  push_range(lua, (size_t)(match.start - text.ptr), (size_t)(match.end - text.ptr));
  return 2 + push_captures(&match, 0);
}

static int string_match(lua_State *lua) {
  roost_slice text = check_text(lua, 1);
  roost_slice pattern = check_text(lua, 2);
  size_t init = check_init(lua, 3, text.len);
  roost_match match;
  roost_match_init(&match, lua, text, pattern, init, true);
  if (roost_match_next(&match))
    return push_captures(&match, 1);
  luaL_pushfail(lua);
  return 1;
}

/* ------------------------------------------------------------------------- gmatch ------------ */

/* Upvalues: the subject and the pattern, which the third one borrows: the search. */
static int next_match(lua_State *lua) {
  roost_match *match = lua_touserdata(lua, lua_upvalueindex(3));
  match->lua = lua;
  return roost_match_next(match) ? push_captures(match, 1) : 0;
}

static int string_gmatch(lua_State *lua) {
  roost_slice text = check_text(lua, 1);
  roost_slice pattern = check_text(lua, 2);
  size_t init = check_init(lua, 3, text.len);
  lua_settop(lua, 2);
  roost_match *match = lua_newuserdatauv(lua, sizeof *match, 0);
  roost_match_init(match, lua, text, pattern, init, false);
  lua_pushcclosure(lua, next_match, 3);
  return 1;
}

/* ------------------------------------------------------------------------- gsub -------------- */

enum { SUBJECT = 1, PATTERN, REPLACEMENT, LIMIT };

static inline void add_text(luaL_Buffer *out, roost_match *match, const char *text, size_t len) {
  if (len == 0)
    return;
  luaL_addlstring(out, text, len);
  roost_steps_spend_bytes(match->vm, match->lua, len);
}

/* Adds what %0 to %9 or %% in a replacement stands for. */
static void add_escape(luaL_Buffer *out, roost_match *match, char kind) {
  if (kind == '%') {
    luaL_addchar(out, kind);
  } else if (kind == '0') {
    add_text(out, match, match->start, (size_t)(match->end - match->start));
  } else if (kind >= '1' && kind <= '9') {
    roost_slice text = get_capture(match, kind - '1');
    if (text.ptr == NULL)
      luaL_addvalue(out); /* a position */
    else
      add_text(out, match, text.ptr, text.len);
  } else {
    luaL_error(match->lua, "invalid use of '%c' in replacement string", '%');
  }
}

static void add_template(luaL_Buffer *out, roost_match *match) {
  size_t len;
  const char *at = lua_tolstring(match->lua, REPLACEMENT, &len);
  const char *end = at + len;
  const char *escape;
  while ((escape = memchr(at, '%', (size_t)(end - at))) != NULL) {
    add_text(out, match, at, (size_t)(escape - at));
    add_escape(out, match, escape[1]);
    at = escape + 2;
  }
  add_text(out, match, at, (size_t)(end - at));
}

/* Adds the value on top of the stack, or the match where that is nil or false. Whether it changed
 * something. */
static bool add_value(luaL_Buffer *out, roost_match *match) {
  lua_State *lua = match->lua;
  int type = lua_type(lua, -1);
  if (type == LUA_TNIL || (type == LUA_TBOOLEAN && !lua_toboolean(lua, -1))) {
    lua_pop(lua, 1);
    add_text(out, match, match->start, (size_t)(match->end - match->start));
    return false;
  }
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
  size_t before = luaL_bufflen(out);
  luaL_addvalue(out);
  roost_steps_spend_bytes(match->vm, lua, luaL_bufflen(out) - before);
  return true;
}

/* Adds what takes the place of the match that was found; whether that is something else. */
static bool add_replacement(luaL_Buffer *out, roost_match *match, int type) {
  lua_State *lua = match->lua;
  if (type == LUA_TFUNCTION) {
    lua_pushvalue(lua, REPLACEMENT);
    lua_call(lua, push_captures(match, 1), 1);
  } else if (type == LUA_TTABLE) {
    push_capture(match, 0);
    lua_gettable(lua, REPLACEMENT);
  } else {
    add_template(out, match);
    return true;
  }
  roost_steps_spend(match->vm, lua, ROOST_STEPS_META);
  return add_value(out, match);
}

static int string_gsub(lua_State *lua) {
  roost_slice text = check_text(lua, SUBJECT);
  roost_slice pattern = check_text(lua, PATTERN);
  int type = lua_type(lua, REPLACEMENT);
  lua_Integer limit = luaL_optinteger(lua, LIMIT, (lua_Integer)text.len + 1);
  luaL_argexpected(lua,
                   type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
                       type == LUA_TTABLE,
                   REPLACEMENT, "string/function/table");
  luaL_Buffer out;
  roost_match match;
  const char *rest = text.ptr;
  bool changed = false;
  lua_Integer count = 0;
  luaL_buffinit(lua, &out);
  roost_match_init(&match, lua, text, pattern, 0, true);
  while (count < limit && roost_match_next(&match)) {
    count++;
    add_text(&out, &match, rest, (size_t)(match.start - rest));
    rest = match.end;
    changed |= add_replacement(&out, &match, type);
  }
  if (changed) {
    add_text(&out, &match, rest, (size_t)(text.ptr + text.len - rest));
    luaL_pushresult(&out);
  } else {
    lua_pushvalue(lua, SUBJECT);
  }
  lua_pushinteger(lua, count);
  return 2;
}

/* ------------------------------------------------------------------------- rep --------------- */

/* A block is doubled until it has so many bytes; larger ones do not copy faster. */
#define BLOCK_BYTES ((size_t)65536)

/* Fills out, whose first filled bytes are there and are repeated, up to len. */
static void fill(lua_State *lua, char *out, size_t filled, size_t len) {
  roost_vm *vm = roost_vm_of(lua);
  size_t block = filled;
  while (filled < len) {
    size_t part = block < len - filled ? block : len - filled;
    memcpy(out + filled, out, part);
    filled += part;
    if (block < BLOCK_BYTES)
      block = filled;
    roost_steps_spend_bytes(vm, lua, part);
  }
}

static int string_rep(lua_State *lua) {
  roost_slice text = check_text(lua, 1);
  lua_Integer count = luaL_checkinteger(lua, 2);
  roost_slice separator;
  separator.ptr = luaL_optlstring(lua, 3, "", &separator.len);
  size_t unit = text.len + separator.len;
  if (count <= 0 || unit == 0) {
    lua_pushliteral(lua, "");
    return 1;
  }
  if (unit < text.len || unit > INT_MAX / (size_t)count)
    return luaL_error(lua, "resulting string too large");
  size_t len = (size_t)count * unit - separator.len;
  luaL_Buffer buffer;
  char *out = luaL_buffinitsize(lua, &buffer, len);
  memcpy(out, text.ptr, text.len);
  if (count > 1) {
    memcpy(out + text.len, separator.ptr, separator.len);
    fill(lua, out, unit, len);
  }
  luaL_pushresultsize(&buffer, len);
  return 1;
}

void roost_bounded_open_string(lua_State *lua) {
  static const luaL_Reg functions[] = {{"find", string_find},     {"match", string_match},
                                       {"gmatch", string_gmatch}, {"gsub", string_gsub},
                                       {"rep", string_rep},       {NULL, NULL}};
  lua_getglobal(lua, "string");
  luaL_setfuncs(lua, functions, 0);
  lua_pop(lua, 1);
}
