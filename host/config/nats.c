/*
 * The keys of NATS entries.
 */
#include "transport/nats.h"

#include <lua.h>
#include <string.h>

#include "config/brokers.h"
#include "config/keys_value.h"
#include "config/tls.h"
#include "vm/value.h"

#define PORT 4222

typedef struct entry {
  roost_broker_entry common; /* first: an entry is a roost_broker_entry */
  roost_nats_options options;
} entry;

/* ------------------------------------------------------------------------- headers ----------- */

/* A table, kept as JSON text. */
static void read_headers(roost_keys_reader *reader, const roost_key *key, void *base) {
  lua_State *lua = reader->lua;
  if (lua_isnil(lua, -1))
    return;
  if (!lua_istable(lua, -1)) {
    roost_key_problem_kind(reader, key);
    return;
  }
  roost_buffer_clear(&reader->json);
  const int status = roost_value_write_json(lua, -1, &reader->json);
  if (status == ROOST_EINVAL) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "%s", lua_tostring(lua, -1));
    lua_pop(lua, 1);
  } else if (status != 0) {
    reader->status = status;
  } else {
    const char *text = roost_arena_text(reader->arena, roost_buffer_slice(&reader->json));
    const char *why = text != NULL ? roost_nats_headers_problem(text, reader->json.alloc) : NULL;
    if (text == NULL)
      reader->status = ROOST_ENOMEM;
    if (why != NULL)
      roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "%s", why);
    memcpy((char *)base + key->offset, &text, sizeof text);
  }
}

/* ------------------------------------------------------------------------- rows -------------- */

#define AT(member) ROOST_KEY_AT(entry, options.member)
#define WORD(key, field)                                                                           \
  { ROOST_KEY_WORD(key), AT(field) }

/* Of URLs: one that begins with nats:// may have TLS, too, where tls says so. */
static const char *const url_schemes[] = {"nats", "", "tls", NULL};
static const char *const schemes[] = {"nats", NULL};

/* What servers and clients have; servers may be without a scheme, as for nats.js. */
#define COMMON_KEYS                                                                                \
  ROOST_BROKER_URL_KEY("url", entry, url_schemes, PORT),                                           \
      {.name = "servers",                                                                          \
       .kinds = ROOST_KEY_TEXT | ROOST_KEY_LIST,                                                   \
       AT(broker),                                                                                 \
       .choices = url_schemes,                                                                     \
       .number = PORT,                                                                             \
       .min = 1,                                                                                   \
       .read = roost_broker_url_read},                                                             \
      ROOST_BROKER_TLS_KEY(entry), WORD("user", user), WORD("pass", pass), WORD("token", token),   \
      WORD("creds", creds), WORD("inbox_prefix", inbox_prefix), WORD("queue", queue),              \
      {.name = "headers", .kinds = ROOST_KEY_MAP, AT(headers), .read = read_headers},              \
      {ROOST_KEY_FLAG("graceful_shutdown", 0), AT(graceful_shutdown)},                             \
      {ROOST_KEY_MS("grace_period", 10000), AT(grace_period_ms)}, WORD("durable", durable),        \
      {ROOST_KEY_COUNT("max_deliver", 5), AT(max_deliver)}, WORD("dead_letter", dead_letter), {    \
    ROOST_KEY_MS("ack_wait", 30000), AT(ack_wait_ms), .min = 100                                   \
  }

static const roost_key server_keys[] = {ROOST_BROKER_SERVER_KEYS, COMMON_KEYS, {.name = NULL}};
static const roost_key client_keys[] = {ROOST_BROKER_CLIENT_KEYS, COMMON_KEYS, {.name = NULL}};

/* ------------------------------------------------------------------------- checks ------------ */

static void check_subject(roost_keys_reader *reader, const char *key, const char *text) {
  if (text == NULL || roost_nats_text_good(text))
    return;
  const size_t mark = roost_keys_enter(reader, key);
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                     "expected text without blanks and control characters, at most 2048 bytes");
  roost_keys_leave(reader, mark);
}

static void check_inbox(roost_keys_reader *reader, const char *prefix) {
  if (prefix == NULL || (strlen(prefix) <= 100 && strpbrk(prefix, "*>") == NULL))
    return;
  const size_t mark = roost_keys_enter(reader, "inbox_prefix");
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                     "expected at most 100 bytes, and neither * nor > among them");
  roost_keys_leave(reader, mark);
}

static void finish(roost_keys_reader *reader, roost_broker_entry *common, bool is_server) {
  roost_nats_options *options = &((entry *)common)->options;
  (void)is_server;
  check_subject(reader, "queue", options->queue);
  check_subject(reader, "dead_letter", options->dead_letter);
  check_subject(reader, "inbox_prefix", options->inbox_prefix);
  check_inbox(reader, options->inbox_prefix);
  options->dir = reader->working_dir;
}

const roost_broker_schema roost_nats_schema = {.transport = "nats",
                                               .server = server_keys,
                                               .client = client_keys,
                                               .size = sizeof(entry),
                                               .options = offsetof(entry, options),
                                               .schemes = schemes,
                                               .port = PORT,
                                               .finish = finish};
