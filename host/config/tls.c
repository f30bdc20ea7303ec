#include "config/tls.h"

#include <lua.h>
#include <string.h>

#include "config/keys_value.h"
#include "config/schema.h"
#include "core/slice.h"
#include "transport/transport.h"

static void store(const roost_key *key, void *base, const roost_tls_config *config) {
  if (base != NULL && key->size > 0)
    memcpy((char *)base + key->offset, &config, sizeof config);
}

static const char *keep_text(roost_keys_reader *reader, const char *text) {
  const char *kept = roost_arena_text(reader->arena, roost_slice_text(text));
  if (kept == NULL)
    reader->status = ROOST_ENOMEM;
  return kept;
}

/* A key that another one needs. */
static void need(roost_keys_reader *reader, const char *name, const char *value, const char *why) {
  if (value != NULL)
    return;
  const size_t mark = roost_keys_enter(reader, name);
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "is needed%s", why);
  roost_keys_leave(reader, mark);
}

/* The table on top of the stack, or nothing where the memory is short. */
static roost_tls_config *read_config(roost_keys_reader *reader, const roost_key *keys) {
  roost_tls_config *config = roost_arena_get(reader->arena, sizeof *config);
  if (config == NULL) {
    reader->status = ROOST_ENOMEM;
    return NULL;
  }
  if (reader->working_dir != NULL)
    config->dir = keep_text(reader, reader->working_dir);
  config->name = roost_arena_text(reader->arena, roost_buffer_slice(&reader->path));
  if (config->name == NULL)
    reader->status = ROOST_ENOMEM;
  roost_keys_read(reader, keys, config);
  return config;
}

void roost_tls_server_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  store(key, base, NULL);
  if (lua_isnil(reader->lua, -1))
    return;
  if (!lua_istable(reader->lua, -1)) {
    roost_key_problem_kind(reader, key);
    return;
  }
  const size_t errors = reader->problems->errors;
  const roost_tls_config *config = read_config(reader, roost_schema_tls_server);
  if (config == NULL)
    return;
  if (reader->problems->errors == errors) {
    need(reader, "key", config->key, "");
    need(reader, "cert", config->cert, "");
    if (config->verify != ROOST_TLS_VERIFY_NONE && config->ca == NULL)
      need(reader, "ca", NULL, " to verify clients");
  }
  store(key, base, config);
}

void roost_tls_client_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  lua_State *lua = reader->lua;
  store(key, base, NULL);
  if (lua_isnil(lua, -1) || (lua_isboolean(lua, -1) && !lua_toboolean(lua, -1)))
    return;
  if (!lua_istable(lua, -1) && !lua_isboolean(lua, -1)) {
    roost_key_problem_kind(reader, key);
    return;
  }
  if (lua_isboolean(lua, -1))
    lua_newtable(lua);
  else
    lua_pushvalue(lua, -1);
  const size_t errors = reader->problems->errors;
  const roost_tls_config *config = read_config(reader, roost_schema_tls_client);
  lua_pop(lua, 1);
  if (config == NULL)
    return;
  if (reader->problems->errors == errors && (config->key != NULL) != (config->cert != NULL))
    need(reader, config->key != NULL ? "cert" : "key", NULL, " beside the other half");
  store(key, base, config);
}

/* ------------------------------------------------------------------------- sni --------------- */

static void read_sni(roost_keys_reader *reader, const char *name, void *item) {
  roost_tls_sni *entry = item;
  const size_t errors = reader->problems->errors;
  entry->name = name;
  roost_keys_read(reader, roost_schema_tls_sni, entry);
  if (reader->problems->errors == errors) {
    need(reader, "key", entry->key, "");
    need(reader, "cert", entry->cert, "");
  }
}

void roost_tls_sni_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  roost_tls_config *config = base;
  void *entries;
  config->sni_count = roost_keys_each_named(reader, key, sizeof *config->sni, &entries, read_sni);
  config->sni = entries;
}
