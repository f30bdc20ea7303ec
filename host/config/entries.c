#include "config/entries.h"

#include <arpa/inet.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "config/brokers.h"
#include "config/fingerprint.h"
#include "config/keys_value.h"
#include "config/schema.h"
#include "config/settings.h"
#include "core/slice.h"
#include "core/url.h"

bool roost_is_loopback(const char *host) {
  struct in_addr v4;
  struct in6_addr v6;
  if (strcmp(host, "localhost") == 0)
    return true;
  if (inet_pton(AF_INET, host, &v4) == 1)
    return ntohl(v4.s_addr) >> 24 == 127;
  return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Pushes a member of the table on top of the stack. */
static void push_member(lua_State *lua, const char *name) {
  lua_pushstring(lua, name);
  lua_rawget(lua, -2);
}

/* The transport that the table on top of the stack names; a constant. NULL: tcp, local, or
 * something else, which their rows know of. */
static const char *broker_named(lua_State *lua) {
  static const char *const names[] = {"nats", "redis", "mqtt", "rmq", "kafka", NULL};
  const char *found = NULL;
  push_member(lua, "transport");
  for (size_t i = 0; lua_type(lua, -1) == LUA_TSTRING && names[i] != NULL; i++)
    if (strcmp(lua_tostring(lua, -1), names[i]) == 0)
      found = names[i];
  lua_pop(lua, 1);
  return found;
}

static void say_of(roost_keys_reader *reader, const char *key, const char *problem) {
  const size_t mark = roost_keys_enter(reader, key);
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "%s", problem);
  roost_keys_leave(reader, mark);
}

/* The keys of a broker that the program was built without are not known: only that is said. */
static const roost_broker_schema *schema_for(roost_keys_reader *reader, const char *broker) {
  const roost_broker_schema *schema = roost_broker_schema_find(broker);
  if (schema == NULL)
    say_of(reader, "transport", "is not in this build");
  return schema;
}

static void check_insecure(roost_keys_reader *reader, const roost_server_config *server) {
  lua_State *lua = reader->lua;
  push_member(lua, "tls");
  const bool tls = !lua_isnil(lua, -1);
  lua_pop(lua, 1);
  push_member(lua, "allow_insecure");
  const bool allowed = lua_toboolean(lua, -1);
  lua_pop(lua, 1);
  if (tls || allowed || server->host == NULL || roost_is_loopback(server->host))
    return;
  const size_t mark = roost_keys_enter(reader, "host");
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                     "\"%.100s\" is not a loopback address and the listener has no TLS; say "
                     "allow_insecure = true to have it so",
                     server->host);
  roost_keys_leave(reader, mark);
}

/* A burst says little without a rate; without one, a second's worth may come at once. */
static void finish_rate(roost_keys_reader *reader, roost_rate *rate) {
  push_member(reader->lua, "rate");
  const bool is_set = lua_istable(reader->lua, -1);
  lua_pop(reader->lua, 1);
  if (rate->burst == 0)
    rate->burst = rate->per_second;
  if (!is_set || rate->per_second > 0)
    return;
  const size_t mark = roost_keys_enter(reader, "rate");
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "per_second is missing");
  roost_keys_leave(reader, mark);
}

/* Who is never asked for a certificate is never known by one. */
static void check_rules(roost_keys_reader *reader, const roost_server_config *server) {
  const bool asked = server->tls != NULL && server->tls->verify != ROOST_TLS_VERIFY_NONE;
  for (size_t i = 0; server->allow != NULL && i < server->allow->rule_count && !asked; i++) {
    const roost_allow_kind kind = server->allow->rules[i].peer.kind;
    if (kind == ROOST_ALLOW_ANY || kind == ROOST_ALLOW_NETWORK)
      continue;
    const size_t mark = roost_keys_enter(reader, "allow");
    roost_keys_enter_index(reader, i + 1);
    roost_keys_enter(reader, "peer");
    roost_keys_problem(reader, ROOST_PROBLEM_WARNING,
                       "nobody is known by a certificate here: tls.verify asks for none");
    roost_keys_leave(reader, mark);
  }
}

/* What a running listener takes. */
static const char *const changeable[] = {"tls", "allow", "rate", NULL};

static void read_server(roost_keys_reader *reader, size_t index, void *ud) {
  lua_State *lua = reader->lua;
  roost_settings *settings = ud;
  roost_server_config *server = &settings->servers[index - 1];
  if (!lua_istable(lua, -1)) {
    roost_key_problem_kind(reader, &(roost_key){.kinds = ROOST_KEY_RECORD});
    return;
  }
  const char *broker = broker_named(lua);
  if (broker != NULL) {
    const roost_broker_schema *schema = schema_for(reader, broker);
    if (schema != NULL)
      roost_broker_server_read(reader, schema, server);
    server->mark = roost_fingerprint(lua, -1, NULL);
    return;
  }
  const size_t errors = reader->problems->errors;
  roost_keys_read(reader, roost_schema_tcp_server, server);
  server->mark = roost_fingerprint(lua, -1, changeable);
  if (reader->problems->errors == errors) {
    finish_rate(reader, &server->rate);
    check_rules(reader, server);
  }
  check_insecure(reader, server);
}

/* Fills in what no row can: the transport, and the position as the name of who has none. */
static void finish_servers(roost_keys_reader *reader, roost_settings *settings) {
  char position[24];
  for (size_t i = 0; i < settings->server_count; i++) {
    roost_server_config *server = &settings->servers[i];
    if (server->transport == NULL)
      server->transport = "tcp";
    if (server->name == NULL) {
      const int len = snprintf(position, sizeof position, "%zu", i + 1);
      server->name = roost_arena_text(reader->arena, (roost_slice){position, (size_t)len});
    }
    if (server->name == NULL) {
      reader->status = ROOST_ENOMEM;
      return;
    }
    for (size_t j = 0; j < i; j++) {
      if (strcmp(server->name, settings->servers[j].name) != 0)
        continue;
      const size_t mark = roost_keys_enter_index(reader, i + 1);
      roost_keys_enter(reader, "name");
      roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "\"%.100s\" is the name of servers[%zu] too",
                         server->name, j + 1);
      roost_keys_leave(reader, mark);
      break;
    }
  }
}

void roost_servers_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  lua_State *lua = reader->lua;
  roost_settings *settings = base;
  const bool missing = lua_isnil(lua, -1);
  if (!missing && !lua_istable(lua, -1)) {
    roost_key_problem_kind(reader, key);
    return;
  }
  settings->server_count = missing ? 1 : lua_rawlen(lua, -1);
  settings->servers =
      roost_arena_get(reader->arena, (settings->server_count + 1) * sizeof *settings->servers);
  if (settings->servers == NULL) {
    settings->server_count = 0;
    reader->status = ROOST_ENOMEM;
    return;
  }
  if (missing)
    roost_keys_read(reader, roost_schema_tcp_server, settings->servers);
  else
    roost_keys_each(reader, read_server, settings);
  finish_servers(reader, settings);
}

/* ------------------------------------------------------------------------- clients ----------- */

/* Where a URL leads, and whether by TLS; false, with a problem for the key, where it is none. */
static bool read_url(roost_keys_reader *reader, const char *key, const char *url,
                     roost_endpoint *endpoint, bool *is_tls) {
  roost_url_parts parts;
  const size_t mark = roost_keys_enter(reader, key);
  const bool is_url = roost_url_split(url, &parts);
  bool taken = false;
  *is_tls = is_url && roost_slice_equal(parts.scheme, ROOST_SLICE("tls"));
  if (!is_url) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                       "expected tcp://HOST:PORT or tls://HOST:PORT, got \"%.100s\"", url);
  } else if (parts.has_port && parts.port == 0) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "0 is no port to connect to");
  } else if (!*is_tls && !roost_slice_equal(parts.scheme, ROOST_SLICE("tcp"))) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "the scheme %.*s is not supported",
                       (int)parts.scheme.len, parts.scheme.ptr);
  } else {
    endpoint->host = roost_arena_text(reader->arena, parts.host);
    if (endpoint->host == NULL)
      reader->status = ROOST_ENOMEM;
    if (parts.has_port)
      endpoint->port = parts.port;
    taken = endpoint->host != NULL;
  }
  roost_keys_leave(reader, mark);
  return taken;
}

/* The first URL stands in the place of host and port; the others are tried after it. One by TLS
 * and one without would send in clear what was to be kept secret. */
static void read_urls(roost_keys_reader *reader, const char *key, const char *const *urls,
                      roost_client_config *client) {
  static const roost_tls_config tls_defaults = {0};
  size_t count = 0;
  bool first_tls = false;
  while (urls[count] != NULL)
    count++;
  roost_endpoint *endpoints = roost_arena_get(reader->arena, count * sizeof *endpoints);
  if (endpoints == NULL) {
    reader->status = ROOST_ENOMEM;
    return;
  }
  for (size_t i = 0; i < count; i++) {
    bool is_tls;
    endpoints[i].port = client->port;
    if (!read_url(reader, key, urls[i], &endpoints[i], &is_tls))
      return;
    if (i > 0 && is_tls != first_tls) {
      say_of(reader, key, "either all are tls:// or none is");
      return;
    }
    first_tls = is_tls;
  }
  client->host = endpoints[0].host;
  client->port = endpoints[0].port;
  client->others = endpoints + 1;
  client->other_count = count - 1;
  if (first_tls && client->tls == NULL)
    client->tls = &tls_defaults;
}

/* Schemes of our own, though brokers may have them, too, where their transport is named. */
static bool is_own_scheme(roost_slice scheme) {
  return roost_slice_equal(scheme, ROOST_SLICE("tcp")) ||
         roost_slice_equal(scheme, ROOST_SLICE("tls"));
}

/* That of a client whose URL says it all; NULL: it does not. */
static const roost_broker_schema *schema_of_url(lua_State *lua) {
  const roost_broker_schema *schema = NULL;
  roost_url_parts parts;
  push_member(lua, "transport");
  const bool is_named = !lua_isnil(lua, -1);
  lua_pop(lua, 1);
  push_member(lua, "url");
  if (!is_named && lua_type(lua, -1) == LUA_TSTRING &&
      roost_url_read(lua_tostring(lua, -1), &parts) && !is_own_scheme(parts.scheme))
    schema = roost_broker_schema_of(parts.scheme);
  lua_pop(lua, 1);
  return schema;
}

void roost_client_read_table(roost_keys_reader *reader, roost_client_config *client) {
  roost_client_row row = {.transport = ROOST_CLIENT_TCP};
  const char *broker = broker_named(reader->lua);
  const roost_broker_schema *schema =
      broker != NULL ? schema_for(reader, broker) : schema_of_url(reader->lua);
  if (schema != NULL)
    roost_broker_client_read(reader, schema, client);
  if (broker != NULL || schema != NULL)
    return;
  roost_keys_read(reader, roost_schema_client, &row);
  *client = row.config;
  client->transport = row.transport == ROOST_CLIENT_LOCAL ? "local" : "tcp";
  if (row.transport == ROOST_CLIENT_LOCAL)
    client->host = NULL; /* there is no place to connect to */
  if (row.url != NULL && row.urls != NULL) {
    say_of(reader, "urls", "there is url, too: one of them says it all");
  } else if (row.urls != NULL && row.urls[0] == NULL) {
    say_of(reader, "urls", "an empty list leads nowhere");
  } else if (row.url != NULL) {
    read_urls(reader, "url", (const char *const[]){row.url, NULL}, client);
  } else if (row.urls != NULL) {
    read_urls(reader, "urls", row.urls, client);
  }
}

/* What stands for a client may be a function that returns it. */
static void read_client(roost_keys_reader *reader, roost_client_config *client) {
  lua_State *lua = reader->lua;
  lua_pushvalue(lua, -1);
  if (lua_isfunction(lua, -1))
    lua_call(lua, 0, 1);
  if (lua_istable(lua, -1)) {
    roost_client_read_table(reader, client);
    client->mark = roost_fingerprint(lua, -1, NULL);
  } else {
    roost_key_problem_kind(reader, &(roost_key){.kinds = ROOST_KEY_RECORD | ROOST_KEY_FUNCTION});
  }
  lua_pop(lua, 1);
}

static void read_named(roost_keys_reader *reader, const char *name, void *entry) {
  roost_client_config *client = entry;
  read_client(reader, client);
  client->name = name;
}

void roost_clients_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  roost_settings *settings = base;
  void *clients;
  settings->client_count =
      roost_keys_each_named(reader, key, sizeof *settings->clients, &clients, read_named);
  settings->clients = clients;
}
