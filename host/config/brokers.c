#include "config/brokers.h"

#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "config/keys_value.h"
#include "config/tls.h"
#include "core/slice.h"
#include "core/url.h"

const roost_key roost_any_text = {.kinds = ROOST_KEY_TEXT, .min = 1};

extern const roost_broker_schema roost_nats_schema, roost_redis_schema, roost_mqtt_schema,
    roost_rmq_schema, roost_kafka_schema;

static const roost_broker_schema *const schemas[] = {
#ifdef ROOST_HAVE_NATS
    &roost_nats_schema,
#endif
#ifdef ROOST_HAVE_REDIS
    &roost_redis_schema,
#endif
#ifdef ROOST_HAVE_MQTT
    &roost_mqtt_schema,
#endif
#ifdef ROOST_HAVE_RMQ
    &roost_rmq_schema,
#endif
#ifdef ROOST_HAVE_KAFKA
    &roost_kafka_schema,
#endif
    NULL};

const roost_broker_schema *roost_broker_schema_find(const char *transport) {
  for (size_t i = 0; schemas[i] != NULL; i++)
    if (strcmp(schemas[i]->transport, transport) == 0)
      return schemas[i];
  return NULL;
}

const roost_broker_schema *roost_broker_schema_at(size_t index) {
  return schemas[index];
}

/* Index of the scheme, an empty one between those without TLS and those with it; -1: it has none.
 */
static int scheme_index(const char *const *schemes, roost_slice scheme) {
  for (int i = 0; schemes[i] != NULL; i++)
    if (scheme.len > 0 && roost_slice_equal(roost_slice_text(schemes[i]), scheme))
      return i;
  return -1;
}

const roost_broker_schema *roost_broker_schema_of(roost_slice scheme) {
  /* Nobody's but the tcp transport's own, though some brokers take them where the transport is
   * said.
   */
  if (roost_slice_equal(scheme, ROOST_SLICE("tcp")) ||
      roost_slice_equal(scheme, ROOST_SLICE("tls")))
    return NULL;
  for (size_t i = 0; schemas[i] != NULL; i++)
    if (scheme_index(schemas[i]->schemes, scheme) >= 0)
      return schemas[i];
  return NULL;
}

/* ------------------------------------------------------------------------- URLs -------------- */

typedef struct url_list {
  roost_broker *broker;
  roost_endpoint *endpoints; /* room for all */
  const roost_key *key;
  size_t count;
  bool first_tls;
} url_list;

static bool is_tls_scheme(const char *const *schemes, int index) {
  for (int i = 0; i < index; i++)
    if (schemes[i][0] == '\0')
      return true;
  return false;
}

static void say_expected(roost_keys_reader *reader, const char *const *schemes, const char *got) {
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                     "expected %s://[USER:PASSWORD@]HOST[:PORT], got \"%.100s\"", schemes[0], got);
}

static int hex_value(char digit) {
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  digit |= 0x20;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* A part of a URL with %XX replaced; NULL where it has none. */
static const char *decode(roost_keys_reader *reader, roost_slice part) {
  if (part.ptr == NULL)
    return NULL;
  char *text = roost_arena_get(reader->arena, part.len + 1);
  if (text == NULL) {
    reader->status = ROOST_ENOMEM;
    return NULL;
  }
  char *to = text;
  for (size_t i = 0; i < part.len; i++) {
    const bool coded = part.ptr[i] == '%' && i + 2 < part.len && hex_value(part.ptr[i + 1]) >= 0 &&
                       hex_value(part.ptr[i + 2]) >= 0;
    if (coded)
      *to++ = (char)(hex_value(part.ptr[i + 1]) << 4 | hex_value(part.ptr[i + 2]));
    else
      *to++ = part.ptr[i];
    i += coded ? 2 : 0;
  }
  *to = '\0';
  return text;
}

/* Who logs in, and where to: the first URL's, which are meant for the others, too. */
static void take_parts(roost_keys_reader *reader, roost_broker *broker,
                       const roost_url_parts *parts) {
  if (parts->user.ptr != NULL)
    broker->user = decode(reader, parts->user);
  if (parts->password.ptr != NULL)
    broker->password = decode(reader, parts->password);
  if (parts->path.ptr != NULL)
    broker->path = decode(reader, parts->path);
}

/* The URL on top of the stack, with the first scheme where it may be left out and is; NULL: memory
 * is short. */
static const char *url_text(roost_keys_reader *reader, const roost_key *key) {
  const char *text = lua_tostring(reader->lua, -1);
  if (key->min == 0 || strstr(text, "://") != NULL)
    return text;
  const size_t size = strlen(key->choices[0]) + sizeof "://" + strlen(text);
  char *whole = roost_arena_get(reader->arena, size);
  if (whole == NULL)
    reader->status = ROOST_ENOMEM;
  else
    snprintf(whole, size, "%s://%s", key->choices[0], text);
  return whole;
}

/* The URL on top of the stack. */
static void read_url(roost_keys_reader *reader, size_t index, void *ud) {
  url_list *list = ud;
  roost_url_parts parts;
  (void)index;
  if (lua_type(reader->lua, -1) != LUA_TSTRING) {
    roost_key_problem_kind(reader, &roost_any_text);
    return;
  }
  const char *text = url_text(reader, list->key);
  const char *const *schemes = list->key->choices;
  if (text == NULL)
    return;
  const int scheme = roost_url_read(text, &parts) ? scheme_index(schemes, parts.scheme) : -1;
  if (scheme < 0) {
    say_expected(reader, schemes, parts.user.ptr != NULL ? "(something else)" : text);
    return;
  }
  if (parts.has_port && parts.port == 0) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "0 is no port to connect to");
    return;
  }
  const bool is_tls = is_tls_scheme(schemes, scheme);
  if (list->count > 0 && is_tls != list->first_tls) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "either all are by TLS or none is");
    return;
  }
  if (list->count == 0)
    take_parts(reader, list->broker, &parts);
  list->first_tls = is_tls;
  const char *host = roost_arena_text(reader->arena, parts.host);
  if (host == NULL)
    reader->status = ROOST_ENOMEM;
  const bool has_tls_port = is_tls && list->key->max > 0;
  const int64_t usual = has_tls_port ? list->key->max : list->key->number;
  list->endpoints[list->count++] =
      (roost_endpoint){host, parts.has_port ? parts.port : (uint16_t)usual};
}

static void take_list(const url_list *list) {
  static const roost_tls_config tls_defaults = {0};
  roost_broker *broker = list->broker;
  if (list->count == 0)
    return;
  broker->endpoint = list->endpoints[0];
  broker->others = list->endpoints + 1;
  broker->other_count = list->count - 1;
  broker->by_tls = list->first_tls;
  if (list->first_tls && broker->tls == NULL)
    broker->tls = &tls_defaults;
}

void roost_broker_url_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  lua_State *lua = reader->lua;
  if (lua_isnil(lua, -1))
    return;
  const bool is_list = lua_istable(lua, -1);
  if (!is_list && lua_type(lua, -1) != LUA_TSTRING) {
    roost_key_problem_kind(reader, key);
    return;
  }
  const size_t count = is_list ? lua_rawlen(lua, -1) : 1;
  url_list list = {.broker = (roost_broker *)((char *)base + key->offset), .key = key};
  list.endpoints = roost_arena_get(reader->arena, (count + 1) * sizeof *list.endpoints);
  if (list.endpoints == NULL) {
    reader->status = ROOST_ENOMEM;
    return;
  }
  if (!is_list)
    read_url(reader, 1, &list);
  else if (count == 0)
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "an empty list leads nowhere");
  else
    roost_keys_each(reader, read_url, &list);
  take_list(&list);
}

/* ------------------------------------------------------------------------- entries ----------- */

/* The entry with its options, as the rows say; NULL where memory is short. */
static roost_broker_entry *read_entry(roost_keys_reader *reader, const roost_broker_schema *schema,
                                      const roost_key *rows, bool is_server) {
  roost_broker_entry *entry = roost_arena_get(reader->arena, schema->size);
  if (entry == NULL) {
    reader->status = ROOST_ENOMEM;
    return NULL;
  }
  roost_broker *broker = (roost_broker *)((char *)entry + schema->options);
  broker->endpoint = (roost_endpoint){"127.0.0.1", schema->port};
  const size_t errors = reader->problems->errors;
  roost_keys_read(reader, rows, entry);
  if (broker->by_tls && broker->tls == NULL) {
    static const roost_tls_config tls_defaults = {0};
    broker->tls = &tls_defaults; /* the URL said so, and tls nothing else */
  }
  if (schema->finish != NULL && reader->problems->errors == errors)
    schema->finish(reader, entry, is_server);
  return entry;
}

void roost_broker_server_read(roost_keys_reader *reader, const roost_broker_schema *schema,
                              roost_server_config *server) {
  const roost_broker_entry *entry = read_entry(reader, schema, schema->server, true);
  if (entry == NULL)
    return;
  const roost_broker *broker = (const roost_broker *)((const char *)entry + schema->options);
  *server = entry->server;
  server->transport = schema->transport;
  server->options = broker;
  server->host = broker->endpoint.host;
  server->port = broker->endpoint.port;
  server->max_streams = 0;
}

void roost_broker_client_read(roost_keys_reader *reader, const roost_broker_schema *schema,
                              roost_client_config *client) {
  const roost_broker_entry *entry = read_entry(reader, schema, schema->client, false);
  if (entry == NULL)
    return;
  const roost_broker *broker = (const roost_broker *)((const char *)entry + schema->options);
  *client = entry->client;
  client->transport = schema->transport;
  client->options = broker;
  client->tls = broker->tls;
  client->host = broker->endpoint.host;
  client->port = broker->endpoint.port;
  client->others = broker->others;
  client->other_count = broker->other_count;
}
