#include "config/override.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys_value.h"

/* Pushes the first part of a dotted key, a number where it is digits, and returns what is left
 * of the key after it; NULL where this is no key. "a.1" and "a[1]" are the same. */
static const char *push_part(lua_State *lua, const char *key) {
  const bool bracket = key[0] == '[';
  const char *part = bracket ? key + 1 : key;
  const size_t len = strcspn(part, bracket ? "]" : ".[");
  const bool digits = strspn(part, "0123456789") >= len;
  if (len == 0 || (bracket && (!digits || part[len] != ']')))
    return NULL;
  if (digits && len < 10)
    lua_pushinteger(lua, strtol(part, NULL, 10));
  else
    lua_pushlstring(lua, part, len);
  const char *rest = part + len + bracket;
  if (*rest == '.')
    return rest[1] != '\0' && rest[1] != '[' ? rest + 1 : NULL;
  return *rest == '\0' || *rest == '[' ? rest : NULL;
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
