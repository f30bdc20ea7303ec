/*
 * The keys of Redis' entries.
 */
#include <stdlib.h>
#include <string.h>

#include "config/brokers.h"
#include "config/tls.h"
#include "transport/redis.h"

typedef struct redis_entry {
  roost_broker_entry common; /* first */
  roost_redis_options options;
  const char *host; /* NULL: the URL's, or this machine */
  uint16_t port;    /* 0: the URL's, or Redis' */
} redis_entry;

#define OPTION(member) ROOST_KEY_AT(redis_entry, options.member)
#define DB_MAX         65535

/* Those before the empty one are without TLS. */
static const char *const schemes[] = {"redis", "", "rediss", NULL};

/* What servers and clients have alike. */
#define COMMON_KEYS                                                                                \
  ROOST_BROKER_URL_KEY("url", redis_entry, schemes, ROOST_REDIS_PORT),                             \
      ROOST_BROKER_TLS_KEY(redis_entry),                                                           \
      {ROOST_KEY_WORD("host"), ROOST_KEY_AT(redis_entry, host)},                                   \
      {.name = "port",                                                                             \
       .kinds = ROOST_KEY_NUMBER,                                                                  \
       ROOST_KEY_AT(redis_entry, port),                                                            \
       .min = 1,                                                                                   \
       .max = 65535},                                                                              \
      {.name = "db", .kinds = ROOST_KEY_NUMBER, OPTION(db), .max = DB_MAX, .number = -1},          \
      {ROOST_KEY_WORD("username"), OPTION(username)},                                              \
      {ROOST_KEY_WORD("password"), OPTION(password)}, {                                            \
    ROOST_KEY_FLAG("wildcards", false), OPTION(wildcards)                                          \
  }

static const roost_key server_keys[] = {ROOST_BROKER_SERVER_KEYS, COMMON_KEYS, {0}};
static const roost_key client_keys[] = {ROOST_BROKER_CLIENT_KEYS, COMMON_KEYS, {0}};

/* The number that is the path of a URL: redis://host/3. */
static void take_db(roost_keys_reader *reader, roost_redis_options *options) {
  const char *path = options->broker.path;
  char *end;
  if (options->db >= 0)
    return;
  options->db = 0;
  if (path == NULL || *path == '\0')
    return;
  const long number = strtol(path, &end, 10);
  if (*end != '\0' || number < 0 || number > DB_MAX)
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                       "url: expected the number of a database behind the host, got \"%.100s\"",
                       path);
  else
    options->db = (int)number;
}

static void finish(roost_keys_reader *reader, roost_broker_entry *entry, bool is_server) {
  redis_entry *self = (redis_entry *)entry;
  roost_redis_options *options = &self->options;
  (void)is_server;
  if (self->host != NULL)
    options->broker.endpoint.host = self->host;
  if (self->port != 0)
    options->broker.endpoint.port = self->port;
  if (options->username == NULL)
    options->username = options->broker.user;
  if (options->username != NULL && options->username[0] == '\0')
    options->username = NULL; /* redis://:password@host */
  if (options->password == NULL)
    options->password = options->broker.password;
  take_db(reader, options);
}

const roost_broker_schema roost_redis_schema = {.transport = "redis",
                                                .server = server_keys,
                                                .client = client_keys,
                                                .size = sizeof(redis_entry),
                                                .options = offsetof(redis_entry, options),
                                                .schemes = schemes,
                                                .port = ROOST_REDIS_PORT,
                                                .finish = finish};
