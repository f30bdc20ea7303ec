/*
 * The errors that calls to other services end with, as the tables that scripts see.
 */
#include <lauxlib.h>
#include <lua.h>

#include "bind/client.h"
#include "core/error_text.h"
#include "vm/error.h"
#include "vm/value.h"

/* Pushes an error table with a detail, where there is one. */
static void push_failure(lua_State *lua, const char *name, const char *code, const char *message,
                         const char *detail) {
  roost_error_push(lua, name, code, message);
  if (detail != NULL && *detail != '\0' && strcmp(detail, message) != 0) {
    lua_pushstring(lua, detail);
    lua_setfield(lua, -2, "detail");
  }
}

/* why: an error's name, perhaps with a colon and what is wrong after it. */
static void push_unconnected(lua_State *lua, const roost_outbound *outbound, const char *why) {
  const roost_endpoint at = roost_client_place(outbound->client);
  const char *colon = strchr(why, ':');
  const char *code = lua_pushlstring(lua, why, colon != NULL ? (size_t)(colon - why) : strlen(why));
  const char *message = lua_pushfstring(lua, "connect %s %s:%d", code, at.host, (int)at.port);
  push_failure(lua, "ConnectionError", code, message,
               colon != NULL ? colon + strspn(colon, ": ") : roost_error_text(why));
  lua_replace(lua, -3);
  lua_pop(lua, 1);
}

void roost_bind_push_failure(lua_State *lua, const roost_outbound *outbound, int status,
                             const char *why) {
  switch (status) {
  case ROOST_ETIMEDOUT:
    push_failure(lua, "TimeoutError", "ETIMEDOUT", "Timeout has occurred", NULL);
    break;
  case ROOST_ECONNECT:
    push_unconnected(lua, outbound, why);
    break;
  case ROOST_ESCRIPT:
    push_failure(lua, "InvalidMessageError", "EINVAL", "the packet cannot be serialized", why);
    break;
  case ROOST_EUNSUPPORTED:
    push_failure(lua, "InvalidMessageError", "EINVAL", why, NULL);
    break;
  case ROOST_EFULL:
    push_failure(lua, "LimitError", "EFULL", "too much waits for this client", NULL);
    break;
  case ROOST_ENOMEM:
    push_failure(lua, "LimitError", "EMEMORY", "out of memory", NULL);
    break;
  default:
    push_failure(lua, "ConnectionError", "ECLOSED", "Connection closed", why);
  }
}

int roost_bind_raise_remote(lua_State *lua, roost_slice answer) {
  const char *why;
  size_t at;
  roost_error_push(lua, "RpcError", NULL, "");
  int err = lua_gettop(lua);
  if (roost_value_push_json(lua, answer, &why, &at) != 0)
    lua_pushlstring(lua, answer.ptr, answer.len);
  bool is_table = lua_istable(lua, -1);
  if (is_table) {
    lua_getfield(lua, -1, "code");
    lua_setfield(lua, err, "code");
    lua_getfield(lua, -1, "message");
  } else {
    lua_pushvalue(lua, -1);
  }
  if (lua_type(lua, -1) != LUA_TSTRING) {
    lua_pop(lua, 1);
    lua_pushlstring(lua, answer.ptr, answer.len);
  }
  lua_setfield(lua, err, "message");
  lua_setfield(lua, err, "response");
  return lua_error(lua);
}
