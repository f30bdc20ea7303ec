/*
 * The keys of Kafka's entries: the tables are Nest's, which has most of them from kafkajs.
 */
#include "transport/kafka.h"

#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "config/brokers.h"
#include "config/tls.h"
#include "core/slice.h"

#define KAFKA_PORT 9092

typedef struct kafka_entry {
  roost_broker_entry entry; /* first */
  roost_kafka_options options;
} kafka_entry;

/* ------------------------------------------------------------------------- rows -------------- */

#define OPTION(member) ROOST_KEY_AT(kafka_entry, options.member)
#define IN(member)     ROOST_KEY_AT(roost_kafka_options, member)

/* A table whose keys are members of the options. */
#define TABLE(name_, offset_, keys_)                                                               \
  {                                                                                                \
    .name = (name_), .kinds = ROOST_KEY_RECORD, .offset = (offset_),                               \
    .size = sizeof(roost_kafka_options), .keys = (keys_)                                           \
  }

static const roost_key sasl_keys[] = {
    {.name = "mechanism",
     .kinds = ROOST_KEY_TEXT,
     IN(sasl_mechanism),
     .choices = roost_kafka_mechanisms},
    {ROOST_KEY_WORD("username"), IN(sasl_username)},
    {.name = "password", .kinds = ROOST_KEY_TEXT, IN(sasl_password)},
    {0}};

static const roost_key client_keys[] = {
    {ROOST_KEY_WORD("client_id"), IN(client_id)},
    {.name = "brokers", .kinds = ROOST_KEY_LIST, IN(brokers), .element = &roost_any_text},
    {.name = "ssl",
     .kinds = ROOST_KEY_RECORD | ROOST_KEY_BOOLEAN,
     IN(ssl),
     .read = roost_tls_client_read},
    TABLE("sasl", 0, sasl_keys),
    {0}};

static const roost_key consumer_keys[] = {
    {ROOST_KEY_WORD("group_id"), IN(group_id)},
    {ROOST_KEY_MS("session_timeout", 30000), IN(session_timeout), .min = 1},
    {ROOST_KEY_MS("heartbeat_interval", 3000), IN(heartbeat_interval), .min = 1},
    {ROOST_KEY_MS("max_wait_time", 100), IN(max_wait_time), .min = 1},
    {ROOST_KEY_BYTES("max_bytes", 10485760), IN(max_bytes), .min = 1},
    {ROOST_KEY_BYTES("max_bytes_per_partition", 1048576), IN(max_bytes_per_partition), .min = 1},
    {ROOST_KEY_MS("auto_commit_interval", 250), IN(commit_interval), .min = 1},
    {0}};

static const roost_key producer_keys[] = {
    {.name = "acks", .kinds = ROOST_KEY_NUMBER, IN(acks), .min = -1, .max = 1, .number = -1},
    {ROOST_KEY_FLAG("idempotent", false), IN(idempotent)},
    {.name = "compression",
     .kinds = ROOST_KEY_TEXT,
     IN(compression),
     .choices = roost_kafka_compressions},
    {ROOST_KEY_MS("message_timeout", 30000), IN(message_timeout), .min = 1},
    {0}};

static const roost_key subscribe_keys[] = {
    {ROOST_KEY_FLAG("from_beginning", false), IN(from_beginning)}, {0}};

/* Those before the empty one are without TLS. */
static const char *const schemes[] = {"kafka", "", "kafkas", NULL};

#define OPTIONS_AT offsetof(kafka_entry, options)

#define COMMON_KEYS                                                                                \
  ROOST_BROKER_URL_KEY("url", kafka_entry, schemes, KAFKA_PORT),                                   \
      ROOST_BROKER_TLS_KEY(kafka_entry), TABLE("client", OPTIONS_AT, client_keys),                 \
      TABLE("consumer", OPTIONS_AT, consumer_keys), TABLE("producer", OPTIONS_AT, producer_keys),  \
      TABLE("subscribe", OPTIONS_AT, subscribe_keys),                                              \
      {.name = "postfix_id", .kinds = ROOST_KEY_TEXT, OPTION(postfix_id)},                         \
      {ROOST_KEY_FLAG("allow_auto_topic_creation", true), OPTION(topic_creation)},                 \
      {ROOST_KEY_FLAG("producer_only_mode", false), OPTION(producer_only_mode)}, {                 \
    ROOST_KEY_WORD("dead_letter"), OPTION(dead_letter)                                             \
  }

/* As with the other brokers one table may serve both: a key of the other side says nothing. */
static const roost_key server_rows[] = {ROOST_BROKER_SERVER_KEYS, COMMON_KEYS, {0}};
static const roost_key client_rows[] = {ROOST_BROKER_CLIENT_KEYS, COMMON_KEYS, {0}};

/* ------------------------------------------------------------------------- checks ------------ */

static void say(roost_keys_reader *reader, const char *key, const char *problem) {
  const size_t mark = roost_keys_enter(reader, key);
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "%s", problem);
  roost_keys_leave(reader, mark);
}

static void check_tls(roost_keys_reader *reader, const char *key, const roost_tls_config *tls) {
  if (tls == NULL)
    return;
  if (tls->servername != NULL)
    say(reader, key, "servername: a broker must have the name it is reached by");
  if (tls->ca != NULL && tls->ca[0] != NULL && tls->ca[1] != NULL)
    say(reader, key, "ca: one file or one text, which may have several certificates");
}

/* Of the table client. */
static void say_client(roost_keys_reader *reader, const char *key, const char *problem) {
  const size_t mark = roost_keys_enter(reader, "client");
  say(reader, key, problem);
  roost_keys_leave(reader, mark);
}

/* Whether the entry on top of the stack has client.sasl: the options do not tell an empty table. */
static bool has_sasl(lua_State *lua) {
  const int top = lua_gettop(lua);
  bool found = lua_getfield(lua, -1, "client") == LUA_TTABLE;
  found = found && lua_getfield(lua, -1, "sasl") == LUA_TTABLE;
  lua_settop(lua, top);
  return found;
}

/* Who logs in may be said by the URL, too. */
static void check_client(roost_keys_reader *reader, const roost_kafka_options *options) {
  if (options->brokers != NULL && options->brokers[0] == NULL)
    say_client(reader, "brokers", "an empty list leads nowhere");
  if (!has_sasl(reader->lua))
    return;
  if (options->sasl_username == NULL && options->broker.user == NULL)
    say_client(reader, "sasl", "username is needed");
  else if (options->sasl_password == NULL && options->broker.password == NULL)
    say_client(reader, "sasl", "password is needed");
}

/* The first of the brokers is what status and errors name. */
static void name_place(roost_keys_reader *reader, roost_kafka_options *options) {
  if (options->brokers == NULL || options->brokers[0] == NULL)
    return;
  const char *place = options->brokers[0];
  const char *colon = strrchr(place, ':');
  const long port = colon != NULL ? strtol(colon + 1, NULL, 10) : 0;
  const bool has_port = port > 0 && port <= UINT16_MAX;
  const size_t len = has_port ? (size_t)(colon - place) : strlen(place);
  const char *host = roost_arena_text(reader->arena, roost_slice_of(place, len));
  if (host == NULL)
    reader->status = ROOST_ENOMEM;
  else
    options->broker.endpoint =
        (roost_endpoint){host, has_port ? (uint16_t)port : (uint16_t)KAFKA_PORT};
}

static void finish(roost_keys_reader *reader, roost_broker_entry *base, bool is_server) {
  kafka_entry *entry = (kafka_entry *)base;
  roost_kafka_options *options = &entry->options;
  name_place(reader, options);
  check_client(reader, options);
  check_tls(reader, "tls", options->broker.tls);
  check_tls(reader, "client", options->ssl);
  if (options->ssl != NULL)
    options->broker.tls = options->ssl; /* that is the one that counts */
  if ((is_server ? base->server.serializer : base->client.serializer) != NULL)
    say(reader, "serializer", "a Kafka record has no packet");
  if ((is_server ? base->server.deserializer : base->client.deserializer) != NULL)
    say(reader, "deserializer", "a Kafka record has no packet");
}

extern const roost_broker_schema roost_kafka_schema;
const roost_broker_schema roost_kafka_schema = {.transport = "kafka",
                                                .server = server_rows,
                                                .client = client_rows,
                                                .size = sizeof(kafka_entry),
                                                .options = offsetof(kafka_entry, options),
                                                .schemes = schemes,
                                                .port = KAFKA_PORT,
                                                .finish = finish};
