/*
 * The keys of servers and clients with transport = "mqtt".
 */
#include "transport/mqtt.h"

#include <lua.h>

#include "config/brokers.h"
#include "config/keys_value.h"
#include "config/tls.h"

typedef struct entry {
  roost_broker_entry common;
  roost_mqtt_options options;
} entry;

#define PORT           1883
#define TLS_PORT       8883
#define OPTION(member) ROOST_KEY_AT(entry, options.member)

static const char *const schemes[] = {"mqtt", "tcp", "", "mqtts", "ssl", "tls", NULL};

/* What a name on top of the stack stands for: text, or what is as good as one. */
static void read_pair(roost_keys_reader *reader, const char *name, void *item) {
  static const roost_key text = {.kinds = ROOST_KEY_TEXT, .size = sizeof(const char *)};
  roost_mqtt_pair *pair = item;
  pair->name = name;
  roost_key_read(reader, &text, &pair->value);
}

static void read_user_properties(roost_keys_reader *reader, const roost_key *key, void *base) {
  roost_mqtt_options *options = &((entry *)base)->options;
  void *pairs;
  options->user_property_count =
      roost_keys_each_named(reader, key, sizeof *options->user_properties, &pairs, read_pair);
  options->user_properties = pairs;
}

static const roost_key subscribe_keys[] = {
    {.name = "qos", .kinds = ROOST_KEY_NUMBER, OPTION(qos), .max = 2}, {0}};

/* What is the same on both sides. */
#define KEYS                                                                                       \
  {.name = "url",                                                                                  \
   .kinds = ROOST_KEY_TEXT | ROOST_KEY_LIST,                                                       \
   OPTION(broker),                                                                                 \
   .choices = schemes,                                                                             \
   .number = PORT,                                                                                 \
   .max = TLS_PORT,                                                                                \
   .read = roost_broker_url_read},                                                                 \
      ROOST_BROKER_TLS_KEY(entry), {ROOST_KEY_WORD("username"), OPTION(username)},                 \
      {.name = "password", .kinds = ROOST_KEY_TEXT, OPTION(password)},                             \
      {ROOST_KEY_WORD("client_id"), OPTION(client_id)},                                            \
      {ROOST_KEY_FLAG("clean", 1), OPTION(clean)},                                                 \
      {.name = "keepalive",                                                                        \
       .kinds = ROOST_KEY_NUMBER,                                                                  \
       .unit = "seconds",                                                                          \
       OPTION(keepalive),                                                                          \
       .max = 65535,                                                                               \
       .number = 60},                                                                              \
      {.name = "subscribe_options",                                                                \
       .kinds = ROOST_KEY_RECORD,                                                                  \
       .size = 1, /* stored in the entry itself */                                                 \
       .keys = subscribe_keys},                                                                    \
      {.name = "user_properties", .kinds = ROOST_KEY_MAP, .read = read_user_properties}, {         \
    .name = "protocol_version", .kinds = ROOST_KEY_NUMBER, OPTION(protocol_version), .min = 4,     \
    .max = 5                                                                                       \
  }

static const roost_key server_keys[] = {ROOST_BROKER_SERVER_KEYS, KEYS, {0}};
static const roost_key client_keys[] = {ROOST_BROKER_CLIENT_KEYS, KEYS, {0}};

/* Who comes back must be known by a name of his own. */
static void finish(roost_keys_reader *reader, roost_broker_entry *common, bool is_server) {
  const roost_mqtt_options *options = &((const entry *)common)->options;
  (void)is_server;
  if (options->clean || options->client_id != NULL)
    return;
  const size_t mark = roost_keys_enter(reader, "clean");
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                     "false wants a client_id, by which the broker knows the session again");
  roost_keys_leave(reader, mark);
}

const roost_broker_schema roost_mqtt_schema = {.transport = "mqtt",
                                               .server = server_keys,
                                               .client = client_keys,
                                               .size = sizeof(entry),
                                               .options = offsetof(entry, options),
                                               .schemes = schemes,
                                               .port = PORT,
                                               .finish = finish};
