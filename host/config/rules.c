#include "config/rules.h"

#include <lua.h>
#include <string.h>

#include "config/keys_value.h"
#include "transport/transport.h"
#include "vm/value.h"

static void *get(roost_keys_reader *reader, size_t count, size_t size) {
  void *place = roost_arena_get(reader->arena, (count + 1) * size);
  if (place == NULL)
    reader->status = ROOST_ENOMEM;
  return place;
}

/* ------------------------------------------------------------------------- patterns ---------- */

/* Has the pattern on top of the stack in reader->json; false where it is none, which is said. */
static bool write_pattern(roost_keys_reader *reader) {
  lua_State *lua = reader->lua;
  roost_buffer_clear(&reader->json);
  const int status = roost_value_write_json(lua, -1, &reader->json);
  if (status == ROOST_EINVAL) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "no pattern: %s", lua_tostring(lua, -1));
    lua_pop(lua, 1);
  } else if (status != 0) {
    reader->status = status;
  }
  return status == 0;
}

/* ud: the routes of the rule at hand. */
static void read_pattern(roost_keys_reader *reader, size_t index, void *ud) {
  roost_allow_route *route = (roost_allow_route *)ud + (index - 1);
  const char *why;
  if (!write_pattern(reader))
    return;
  roost_buffer_clear(&reader->route);
  const int status =
      roost_allow_route_read(&reader->route, roost_buffer_slice(&reader->json), &why);
  if (status == ROOST_EINVAL)
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "%s", why);
  else if (status < 0)
    reader->status = status;
  if (status < 0)
    return;
  route->wildcard = status == 1;
  route->route.ptr = roost_arena_text(reader->arena, roost_buffer_slice(&reader->route));
  route->route.len = reader->route.len;
  if (route->route.ptr == NULL)
    reader->status = ROOST_ENOMEM;
}

static void read_patterns(roost_keys_reader *reader, const roost_key *key, void *base) {
  roost_allow_rule *rule = base;
  lua_State *lua = reader->lua;
  rule->all = lua_isnil(lua, -1);
  if (rule->all)
    return;
  if (!lua_istable(lua, -1)) {
    roost_key_problem_kind(reader, key);
    return;
  }
  rule->route_count = lua_rawlen(lua, -1);
  roost_allow_route *routes = get(reader, rule->route_count, sizeof *routes);
  rule->routes = routes;
  if (routes != NULL && roost_keys_each(reader, read_pattern, routes) && rule->route_count == 0)
    roost_keys_problem(reader, ROOST_PROBLEM_WARNING,
                       "is empty, so the rule permits nothing (without it, everything)");
}

/* ------------------------------------------------------------------------- peers ------------- */

static void read_peer(roost_keys_reader *reader, const roost_key *key, void *base) {
  roost_allow_rule *rule = base;
  lua_State *lua = reader->lua;
  const char *why;
  if (lua_type(lua, -1) != LUA_TSTRING) {
    if (lua_isnil(lua, -1))
      roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "is missing; \"*\" means everybody");
    else
      roost_key_problem_kind(reader, key);
    return;
  }
  size_t len;
  const char *text = lua_tolstring(lua, -1, &len);
  const char *kept = roost_arena_text(reader->arena, (roost_slice){text, len});
  if (kept == NULL)
    reader->status = ROOST_ENOMEM;
  else if (strlen(kept) != len)
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "must not contain a NUL byte");
  else if (roost_allow_peer_read(&rule->peer, kept, &why) != 0)
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "%s, got \"%.100s\"", why, kept);
}

/* ------------------------------------------------------------------------- rules ------------- */

static const roost_key rule_keys[] = {
    {.name = "peer", .kinds = ROOST_KEY_TEXT, .read = read_peer},
    {.name = "patterns", .kinds = ROOST_KEY_LIST, .read = read_patterns},
    {0}};

/* ud: the rules of the server at hand. */
static void read_rule(roost_keys_reader *reader, size_t index, void *ud) {
  if (lua_istable(reader->lua, -1))
    roost_keys_read(reader, rule_keys, (roost_allow_rule *)ud + (index - 1));
  else
    roost_key_problem_kind(reader, &(roost_key){.kinds = ROOST_KEY_RECORD});
}

void roost_rules_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  lua_State *lua = reader->lua;
  if (lua_isnil(lua, -1))
    return;
  if (!lua_istable(lua, -1)) {
    roost_key_problem_kind(reader, key);
    return;
  }
  roost_allow *allow = get(reader, 1, sizeof *allow);
  if (allow == NULL)
    return;
  allow->rule_count = lua_rawlen(lua, -1);
  roost_allow_rule *rules = get(reader, allow->rule_count, sizeof *rules);
  allow->rules = rules;
  ((roost_server_config *)base)->allow = allow;
  if (rules != NULL && roost_keys_each(reader, read_rule, rules) && allow->rule_count == 0)
    roost_keys_problem(reader, ROOST_PROBLEM_WARNING,
                       "has no rule, so everything is refused (without it, nothing)");
}
