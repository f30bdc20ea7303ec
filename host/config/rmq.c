/*
 * The keys of RabbitMQ's entries.
 */
#include <lua.h>
#include <string.h>

#include "config/brokers.h"
#include "config/keys_value.h"
#include "config/tls.h"
#include "core/slice.h"
#include "transport/rmq.h"
#include "vm/value.h"

/* queue_options, before they are the queue's arguments. Numbers that are -1 were not said. */
typedef struct queue_row {
  bool is_durable;
  bool is_exclusive;
  bool is_auto_delete;
  bool no_assert;
  int64_t message_ttl;
  int64_t expires;
  int64_t max_length;
  int64_t max_priority;
  const char *dead_letter_exchange;
  const char *dead_letter_routing_key;
  const char *overflow;
  const char *arguments; /* text of a JSON object; NULL: none */
} queue_row;

typedef struct rmq_entry {
  roost_broker_entry entry; /* first */
  roost_rmq_options options;
  queue_row queue;
} rmq_entry;

/* Stores the text of the JSON object that the table on top of the stack is. */
static void read_object(roost_keys_reader *reader, const roost_key *key, void *base) {
  lua_State *lua = reader->lua;
  const char **out = (const char **)(void *)((char *)base + key->offset);
  if (lua_isnil(lua, -1))
    return;
  if (!lua_istable(lua, -1)) {
    roost_key_problem_kind(reader, key);
    return;
  }
  if (lua_rawlen(lua, -1) > 0) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "expected values by name, got a list");
    return;
  }
  roost_buffer_clear(&reader->json);
  const int status = roost_value_write_json(lua, -1, &reader->json);
  if (status == ROOST_EINVAL) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "%s", lua_tostring(lua, -1));
    lua_pop(lua, 1);
    return;
  }
  *out = status == 0 ? roost_arena_text(reader->arena, roost_buffer_slice(&reader->json)) : NULL;
  if (*out == NULL)
    reader->status = ROOST_ENOMEM;
}

/* ------------------------------------------------------------------------- rows -------------- */

#define OPTION(member)        ROOST_KEY_AT(rmq_entry, options.member)
#define QUEUE(member)         ROOST_KEY_AT(queue_row, member)
#define OPTIONAL_COUNT(name_) ROOST_KEY_COUNT(name_, -1)
#define SHORT(name_)          ROOST_KEY_WORD(name_)
#define OBJECT(name_)         .name = (name_), .kinds = ROOST_KEY_MAP, .read = read_object

static const roost_key queue_keys[] = {
    {ROOST_KEY_FLAG("durable", true), QUEUE(is_durable)},
    {ROOST_KEY_FLAG("exclusive", false), QUEUE(is_exclusive)},
    {ROOST_KEY_FLAG("auto_delete", false), QUEUE(is_auto_delete)},
    {ROOST_KEY_FLAG("no_assert", false), QUEUE(no_assert)},
    {ROOST_KEY_MS("message_ttl", -1), QUEUE(message_ttl)},
    {ROOST_KEY_MS("expires", -1), QUEUE(expires), .min = 1},
    {OPTIONAL_COUNT("max_length"), QUEUE(max_length)},
    {.name = "max_priority",
     .kinds = ROOST_KEY_NUMBER,
     QUEUE(max_priority),
     .max = 255,
     .number = -1},
    {SHORT("dead_letter_exchange"), QUEUE(dead_letter_exchange)},
    {SHORT("dead_letter_routing_key"), QUEUE(dead_letter_routing_key)},
    {SHORT("overflow"), QUEUE(overflow)},
    {OBJECT("arguments"), QUEUE(arguments)},
    {0}};

/* Those before the empty one are without TLS. */
static const char *const schemes[] = {"amqp", "", "amqps", NULL};

#define URL_KEY(name_)                                                                             \
  {                                                                                                \
    .name = (name_), .kinds = ROOST_KEY_TEXT | ROOST_KEY_LIST, OPTION(broker), .choices = schemes, \
    .number = ROOST_RMQ_PORT, .max = ROOST_RMQ_TLS_PORT, .read = roost_broker_url_read             \
  }

/* What servers and clients have alike. */
#define COMMON_KEYS                                                                                \
  URL_KEY("url"), URL_KEY("urls"), ROOST_BROKER_TLS_KEY(rmq_entry),                                \
      {.name = "queue", .kinds = ROOST_KEY_TEXT, OPTION(queue), .text = ""},                       \
      {.name = "queue_options",                                                                    \
       .kinds = ROOST_KEY_RECORD,                                                                  \
       ROOST_KEY_AT(rmq_entry, queue),                                                             \
       .keys = queue_keys},                                                                        \
      {.name = "prefetch_count", .kinds = ROOST_KEY_NUMBER, OPTION(prefetch_count), .max = 65535}, \
      {ROOST_KEY_FLAG("is_global_prefetch_count", false), OPTION(is_global_prefetch)},             \
      {ROOST_KEY_FLAG("no_ack", true), OPTION(no_ack)},                                            \
      {ROOST_KEY_FLAG("no_assert", false), OPTION(no_assert)},                                     \
      {ROOST_KEY_FLAG("persistent", false), OPTION(persistent)},                                   \
      {ROOST_KEY_FLAG("wildcards", false), OPTION(wildcards)},                                     \
      {SHORT("exchange"), OPTION(exchange)}, {SHORT("exchange_type"), OPTION(exchange_type)},      \
      {.name = "routing_key", .kinds = ROOST_KEY_TEXT, OPTION(routing_key)},                       \
      {OBJECT("headers"), OPTION(headers)},                                                        \
      {SHORT("reply_queue"), OPTION(reply_queue), .text = ROOST_RMQ_REPLY_TO},                     \
      {SHORT("dead_letter"), OPTION(dead_letter)}, {SHORT("consumer_tag"), OPTION(consumer_tag)},  \
  {                                                                                                \
    ROOST_KEY_MS("heartbeat", 60000), OPTION(heartbeat)                                            \
  }

static const roost_key server_keys[] = {ROOST_BROKER_SERVER_KEYS, COMMON_KEYS, {0}};
static const roost_key client_keys[] = {ROOST_BROKER_CLIENT_KEYS, COMMON_KEYS, {0}};

/* ------------------------------------------------------------------------- arguments --------- */

/* Sets a member of the table on top of the stack, where there is something to set. */
static void set_number(lua_State *lua, const char *name, int64_t value) {
  if (value < 0)
    return;
  lua_pushinteger(lua, value);
  lua_setfield(lua, -2, name);
}

static void set_text(lua_State *lua, const char *name, const char *value) {
  if (value == NULL)
    return;
  lua_pushstring(lua, value);
  lua_setfield(lua, -2, name);
}

/* Pushes those that have keys of their own here, under the names that RabbitMQ has for them. */
static void push_arguments(lua_State *lua, const rmq_entry *entry) {
  const queue_row *queue = &entry->queue;
  const char *dead_letter = queue->dead_letter_exchange != NULL ? queue->dead_letter_exchange
                                                                : entry->options.dead_letter;
  lua_createtable(lua, 0, 8);
  set_number(lua, "x-message-ttl", queue->message_ttl);
  set_number(lua, "x-expires", queue->expires);
  set_number(lua, "x-max-length", queue->max_length);
  set_number(lua, "x-max-priority", queue->max_priority);
  set_text(lua, "x-dead-letter-exchange", dead_letter);
  set_text(lua, "x-dead-letter-routing-key", queue->dead_letter_routing_key);
  set_text(lua, "x-overflow", queue->overflow);
}

/* Appends the members of the text of an object to that of another one. */
static int append_members(roost_buffer *out, const char *object) {
  if (object == NULL || strcmp(object, "{}") == 0)
    return 0;
  const bool is_first = out->len == 2;
  out->len--; /* its brace */
  const int status = is_first ? 0 : roost_buffer_append_byte(out, ',');
  return status == 0 ? roost_buffer_append_slice(out, roost_slice_text(object + 1)) : status;
}

/* Has the arguments of the queue in reader->json. Text that is not UTF-8: EINVAL. */
static int write_arguments(roost_keys_reader *reader, const rmq_entry *entry) {
  lua_State *lua = reader->lua;
  roost_buffer_clear(&reader->json);
  push_arguments(lua, entry);
  int status = roost_value_write_json(lua, -1, &reader->json);
  if (status == ROOST_EINVAL)
    lua_pop(lua, 1); /* why */
  lua_pop(lua, 1);
  return status == 0 ? append_members(&reader->json, entry->queue.arguments) : status;
}

/* ------------------------------------------------------------------------- checks ------------ */

static void say(roost_keys_reader *reader, const char *key, const char *problem) {
  const size_t mark = roost_keys_enter(reader, key);
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "%s", problem);
  roost_keys_leave(reader, mark);
}

/* Brokers know four, and those of their plugins. */
static void check_exchange_type(roost_keys_reader *reader, const char *type) {
  static const char *const known[] = {"topic", "direct", "fanout", "headers"};
  bool found = type == NULL || strncmp(type, "x-", 2) == 0;
  for (size_t i = 0; i < sizeof known / sizeof known[0] && !found; i++)
    found = strcmp(type, known[i]) == 0;
  if (found)
    return;
  const size_t mark = roost_keys_enter(reader, "exchange_type");
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                     "expected \"topic\", \"direct\", \"fanout\", \"headers\" or a plugin's as "
                     "\"x-...\", got \"%.40s\"",
                     type);
  roost_keys_leave(reader, mark);
}

#define IN_A_URL " (in a URL: amqp://HOST/?queue=NAME)"

static void check(roost_keys_reader *reader, const rmq_entry *entry, bool is_server) {
  const roost_rmq_options *options = &entry->options;
  check_exchange_type(reader, options->exchange_type);
  const bool is_routed = roost_rmq_is_routed(options);
  if ((is_routed || (!is_server && options->exchange == NULL)) && options->exchange == NULL &&
      options->queue[0] == '\0')
    say(reader, "queue", is_routed ? "this or exchange is needed" IN_A_URL : "is needed" IN_A_URL);
  if (options->dead_letter == NULL)
    return;
  if (is_server && options->no_ack)
    say(reader, "dead_letter",
        "needs no_ack = false: the broker forgets a message that it need not hear of");
  if (entry->queue.dead_letter_exchange != NULL)
    say(reader, "dead_letter", "is the same as queue_options.dead_letter_exchange");
}

/* Takes one NAME=VALUE of a URL's query, where no key has said it. */
static void take_query(roost_keys_reader *reader, roost_rmq_options *options, const char *name,
                       const char *value) {
  if (strcmp(name, "queue") == 0)
    options->queue = options->queue[0] == '\0' ? value : options->queue;
  else if (strcmp(name, "exchange") == 0)
    options->exchange = options->exchange == NULL ? value : options->exchange;
  else if (strcmp(name, "wildcards") == 0)
    options->wildcards = options->wildcards || strcmp(value, "true") == 0;
  else
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                       "url: expected queue, exchange or wildcards behind its ?, got \"%.40s\"",
                       name);
}

/* The virtual host of the URL may be followed by ?queue=NAME&...: a command has no other place to
 * say so. */
static void read_query(roost_keys_reader *reader, roost_rmq_options *options) {
  const char *path = options->broker.path;
  const char *mark = path != NULL ? strchr(path, '?') : NULL;
  if (mark == NULL)
    return;
  char *copy = roost_arena_text(reader->arena, roost_slice_text(path));
  if (copy == NULL) {
    reader->status = ROOST_ENOMEM;
    return;
  }
  options->broker.path = copy;
  copy[mark - path] = '\0';
  char *next = copy + (mark - path) + 1;
  while (next != NULL && *next != '\0') {
    char *name = next;
    next = strchr(name, '&');
    if (next != NULL)
      *next++ = '\0';
    char *equals = strchr(name, '=');
    if (equals != NULL)
      *equals++ = '\0';
    take_query(reader, options, name, equals != NULL ? equals : "");
  }
}

static void finish(roost_keys_reader *reader, roost_broker_entry *base, bool is_server) {
  rmq_entry *entry = (rmq_entry *)base;
  roost_rmq_options *options = &entry->options;
  read_query(reader, options);
  options->is_durable = entry->queue.is_durable;
  options->is_exclusive = entry->queue.is_exclusive;
  options->is_auto_delete = entry->queue.is_auto_delete;
  options->no_assert = options->no_assert || entry->queue.no_assert;
  check(reader, entry, is_server);
  const int status = write_arguments(reader, entry);
  if (status == ROOST_EINVAL)
    say(reader, "queue_options", "has text that is not UTF-8");
  else if (status == 0)
    options->arguments = roost_arena_text(reader->arena, roost_buffer_slice(&reader->json));
  if (status != ROOST_EINVAL && options->arguments == NULL)
    reader->status = ROOST_ENOMEM;
}

extern const roost_broker_schema roost_rmq_schema;
const roost_broker_schema roost_rmq_schema = {.transport = "rmq",
                                              .server = server_keys,
                                              .client = client_keys,
                                              .size = sizeof(rmq_entry),
                                              .options = offsetof(rmq_entry, options),
                                              .schemes = schemes,
                                              .port = ROOST_RMQ_PORT,
                                              .finish = finish};
