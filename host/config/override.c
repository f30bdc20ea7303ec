#include "config/override.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys_value.h"
#include "core/slice.h"

/* The first part of a dotted key; returns what is left of the key after it, NULL where this is no
 * key. "a.1" and "a[1]" are the same. */
static const char *take_part(roost_slice *part, const char *key) {
  const bool bracket = key[0] == '[';
  part->ptr = bracket ? key + 1 : key;
  part->len = strcspn(part->ptr, bracket ? "]" : ".[");
  const bool digits = strspn(part->ptr, "0123456789") >= part->len;
  if (part->len == 0 || (bracket && (!digits || part->ptr[part->len] != ']')))
    return NULL;
  const char *rest = part->ptr + part->len + bracket;
  if (*rest == '.')
    return rest[1] != '\0' && rest[1] != '[' ? rest + 1 : NULL;
  return *rest == '\0' || *rest == '[' ? rest : NULL;
}

bool roost_override_is_key(const char *key) {
  roost_slice part;
  do
    key = take_part(&part, key);
  while (key != NULL && *key != '\0');
  return key != NULL;
}

/* As take_part; pushes the part, a number where it is digits. */
static const char *push_part(lua_State *lua, const char *key) {
  roost_slice part;
  const char *rest = take_part(&part, key);
  if (rest == NULL)
    return NULL;
  if (part.len < 10 && strspn(part.ptr, "0123456789") >= part.len)
    lua_pushinteger(lua, strtol(part.ptr, NULL, 10));
  else
    lua_pushlstring(lua, part.ptr, part.len);
  return rest;
}

void roost_override_apply(roost_script *script, const roost_override *override,
                          roost_problems *problems) {
  lua_State *lua = script->lua;
  const int top = lua_gettop(lua);
  const char *rest = override->key;
  luaL_checkstack(lua, 10, NULL);
  lua_pushvalue(lua, top); /* the table at hand */
  while ((rest = push_part(lua, rest)) != NULL && *rest != '\0') {
    lua_pushvalue(lua, -1);
    lua_rawget(lua, -3);
    if (lua_isnil(lua, -1)) {
      lua_pop(lua, 1);
      lua_newtable(lua);
      lua_pushvalue(lua, -2);
      lua_pushvalue(lua, -2);
      lua_rawset(lua, -5);
    } else if (!lua_istable(lua, -1)) {
      break;
    }
    lua_replace(lua, -3);
    lua_pop(lua, 1);
  }
  if (rest == NULL) {
    roost_problems_add(problems, ROOST_PROBLEM_ERROR,
                       "%s=%s: \"%s\" is not a key, as servers[1].port is", override->key,
                       override->value, override->key);
  } else if (*rest != '\0') {
    char shown[ROOST_KEY_SHOWN];
    roost_key_show(lua, -1, shown);
    roost_problems_add(problems, ROOST_PROBLEM_ERROR, "%s=%s: cannot be set in %s", override->key,
                       override->value, shown);
  } else {
    if (override->plain)
      lua_pushstring(lua, override->value);
    else
      roost_script_push_literal(script, override->value);
    lua_rawset(lua, -3);
  }
  lua_settop(lua, top);
}
