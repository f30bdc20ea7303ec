/*
 * config/brokers.h - the entries of servers and clients whose transport is a broker's.
 *
 * Start reading at roost_broker_schema: what one broker's file (nats.c, redis.c and so on) says of
 * its keys; brokers.c lists them. Entry: the struct that all rows of such a table are read into,
 * server or client; it begins with a roost_broker_entry, and has the transport's options, which
 * begin with a roost_broker. Constant; any thread.
 */
#ifndef ROOST_CONFIG_BROKERS_H
#define ROOST_CONFIG_BROKERS_H

#include "config/keys.h"
#include "transport/transport.h"

typedef struct roost_broker_entry {
  roost_server_config server; /* filled where it is a server's */
  roost_client_config client; /* where it is a client's */
} roost_broker_entry;

typedef struct roost_broker_schema {
  const char *transport;
  const roost_key *server;    /* rows, with ROOST_BROKER_SERVER_KEYS among them */
  const roost_key *client;    /* rows, with ROOST_BROKER_CLIENT_KEYS among them */
  size_t size;                /* of the entry */
  size_t options;             /* where in it the options are */
  const char *const *schemes; /* of its URLs, as roost_broker_url_read has them */
  uint16_t port;              /* where a URL says none */
  /* Checks and fills in what no row can; entry is a server's or a client's. May be NULL. */
  void (*finish)(roost_keys_reader *reader, roost_broker_entry *entry, bool is_server);
} roost_broker_schema;

/* NULL: it is no broker's, or not in this build. */
const roost_broker_schema *roost_broker_schema_find(const char *transport);

/* The one whose URLs have that scheme; NULL: none in this build has. */
const roost_broker_schema *roost_broker_schema_of(roost_slice scheme);

/* That one of all in this build; NULL: there are no more. */
const roost_broker_schema *roost_broker_schema_at(size_t index);

/* The table on top of the stack. May raise. */
void roost_broker_server_read(roost_keys_reader *reader, const roost_broker_schema *schema,
                              roost_server_config *server);
void roost_broker_client_read(roost_keys_reader *reader, const roost_broker_schema *schema,
                              roost_client_config *client);

/* A roost_key.read: SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH], or a list of such; fills the
 * roost_broker at the row's offset. choices: the schemes; those after an empty one mean TLS.
 * number: the port where there is none; max: the one by TLS, 0: the same; min: 1 where the scheme
 * may be left out. Where the value is nil nothing is changed. */
void roost_broker_url_read(roost_keys_reader *reader, const roost_key *key, void *base);

/* ------------------------------------------------------------------------- rows -------------- */

#define ROOST_BROKER_SERVER_AT(member) ROOST_KEY_AT(roost_broker_entry, server.member)
#define ROOST_BROKER_CLIENT_AT(member) ROOST_KEY_AT(roost_broker_entry, client.member)
#define ROOST_KEY_WORD(name_)          .name = (name_), .kinds = ROOST_KEY_TEXT, .min = 1
#define ROOST_KEY_FLAG(name_, default_)                                                            \
  .name = (name_), .kinds = ROOST_KEY_BOOLEAN, .number = (default_)

extern const roost_key roost_any_text; /* an element */

/* What every broker's server has: reconnecting goes on for ever with retry_attempts 0. */
#define ROOST_BROKER_SERVER_KEYS                                                                   \
  {ROOST_KEY_WORD("transport")}, {ROOST_KEY_WORD("name"), ROOST_BROKER_SERVER_AT(name)},           \
      {.name = "services",                                                                         \
       .kinds = ROOST_KEY_LIST,                                                                    \
       ROOST_BROKER_SERVER_AT(services),                                                           \
       .element = &roost_any_text},                                                                \
      {ROOST_KEY_WORD("serializer"), ROOST_BROKER_SERVER_AT(serializer)},                          \
      {ROOST_KEY_WORD("deserializer"), ROOST_BROKER_SERVER_AT(deserializer)},                      \
      {ROOST_KEY_COUNT("max_in_flight", 1024), ROOST_BROKER_SERVER_AT(max_in_flight), .min = 1},   \
      {ROOST_KEY_BYTES("max_buffer_size", ROOST_BUFFER_BYTES_DEFAULT),                             \
       ROOST_BROKER_SERVER_AT(max_buffer_size), .min = 1},                                         \
      {ROOST_KEY_BYTES("max_send_buffer_size", ROOST_BUFFER_BYTES_DEFAULT),                        \
       ROOST_BROKER_SERVER_AT(max_send_buffer_size)},                                              \
      {ROOST_KEY_COUNT("retry_attempts", 0), ROOST_BROKER_SERVER_AT(retry_attempts)}, {            \
    ROOST_KEY_MS("retry_delay", 1000), ROOST_BROKER_SERVER_AT(retry_delay)                         \
  }

/* What every broker's client has. */
#define ROOST_BROKER_CLIENT_KEYS                                                                   \
  {ROOST_KEY_WORD("transport")}, {ROOST_KEY_MS("timeout", 0), ROOST_BROKER_CLIENT_AT(timeout)},    \
      {ROOST_KEY_COUNT("retry_attempts", 0), ROOST_BROKER_CLIENT_AT(retry_attempts)},              \
      {ROOST_KEY_MS("retry_delay", 0), ROOST_BROKER_CLIENT_AT(retry_delay)},                       \
      {ROOST_KEY_WORD("serializer"), ROOST_BROKER_CLIENT_AT(serializer)},                          \
      {ROOST_KEY_WORD("deserializer"), ROOST_BROKER_CLIENT_AT(deserializer)},                      \
      {ROOST_KEY_BYTES("max_buffer_size", ROOST_BUFFER_BYTES_DEFAULT),                             \
       ROOST_BROKER_CLIENT_AT(max_buffer_size), .min = 1},                                         \
  {                                                                                                \
    ROOST_KEY_BYTES("max_send_buffer_size", ROOST_BUFFER_BYTES_DEFAULT),                           \
        ROOST_BROKER_CLIENT_AT(max_send_buffer_size)                                               \
  }

/* Where the broker is: url, and the key that Nest has for it; in the options of type. */
#define ROOST_BROKER_URL_KEY(name_, type, schemes_, port_)                                         \
  {                                                                                                \
    .name = (name_), .kinds = ROOST_KEY_TEXT | ROOST_KEY_LIST, ROOST_KEY_AT(type, options.broker), \
    .choices = (schemes_), .number = (port_), .read = roost_broker_url_read                        \
  }

#define ROOST_BROKER_TLS_KEY(type)                                                                 \
  {                                                                                                \
    .name = "tls", .kinds = ROOST_KEY_RECORD | ROOST_KEY_BOOLEAN,                                  \
    ROOST_KEY_AT(type, options.broker.tls), .read = roost_tls_client_read                          \
  }

#endif
