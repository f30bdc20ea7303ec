/*
 * config/keys.h - tables of keys as data: what a Lua table may hold, and where it goes in C.
 *
 * Start reading at roost_key: one row says name, kinds, range, default and member of one key; a
 * NULL name ends a table of rows. roost_keys_read checks the Lua table on top of the stack against
 * such rows, fills a struct, and reports everything that is wrong with the key's full path.
 * Adding a key is adding a row.
 * Kind: what a value may be. Element: the row that all values of a list or map follow.
 * Rows are constant; texts that are read are owned by the reader's arena. One thread at a time.
 */
#ifndef ROOST_CONFIG_KEYS_H
#define ROOST_CONFIG_KEYS_H

#include "config/arena.h"
#include "config/problems.h"
#include "core/buffer.h"

struct lua_State;
struct roost_keys_reader;

enum {
  ROOST_KEY_FALSE = 1 << 0,
  ROOST_KEY_TRUE = 1 << 1,
  ROOST_KEY_BOOLEAN = ROOST_KEY_FALSE | ROOST_KEY_TRUE,
  ROOST_KEY_NUMBER = 1 << 2, /* whole; digits as text count */
  ROOST_KEY_TEXT = 1 << 3,
  ROOST_KEY_RECORD = 1 << 4, /* a table with keys of its own */
  ROOST_KEY_LIST = 1 << 5,   /* 1..n */
  ROOST_KEY_MAP = 1 << 6,    /* text keys of the user's choice */
  ROOST_KEY_FUNCTION = 1 << 7,
  ROOST_KEY_ANY = 1 << 8
};

typedef struct roost_key {
  const char *name;             /* NULL ends a table; elements have none */
  unsigned kinds;               /* what its value may be */
  size_t offset;                /* of the member it is stored in */
  size_t size;                  /* of that member; 0: checked but not stored */
  const char *unit;             /* "milliseconds" or "bytes", for messages; may be NULL */
  int64_t min;                  /* of a number; of a text's length */
  int64_t max;                  /* of a number */
  int64_t number;               /* default of a number, boolean or choice; ROOST_KEY_UNSET: none */
  const char *text;             /* default of a text; NULL: none */
  const char *const *choices;   /* texts allowed, NULL-terminated; stored as their index */
  const struct roost_key *keys; /* of a record */
  const struct roost_key *element; /* of a list or map */
  /* Takes the value on top of the stack instead of what is said above, also where it is nil. */
  void (*read)(struct roost_keys_reader *reader, const struct roost_key *key, void *base);
} roost_key;

/* A default that no value equals. */
#define ROOST_KEY_UNSET INT64_MIN

/* The largest values of a number of milliseconds (31 years) and of bytes. */
#define ROOST_KEY_MS_MAX    INT64_C(1000000000000)
#define ROOST_KEY_BYTES_MAX ((int64_t)(SIZE_MAX / 4))

#define ROOST_KEY_AT(type, member)                                                                 \
  .offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)
#define ROOST_KEY_MS(name_, default_)                                                              \
  .name = (name_), .kinds = ROOST_KEY_NUMBER, .unit = "milliseconds", .max = ROOST_KEY_MS_MAX,     \
  .number = (default_)
#define ROOST_KEY_BYTES(name_, default_)                                                           \
  .name = (name_), .kinds = ROOST_KEY_NUMBER, .unit = "bytes", .max = ROOST_KEY_BYTES_MAX,         \
  .number = (default_)
#define ROOST_KEY_COUNT(name_, default_)                                                           \
  .name = (name_), .kinds = ROOST_KEY_NUMBER, .max = INT32_MAX, .number = (default_)

typedef struct roost_keys_reader {
  struct lua_State *lua;    /* borrowed */
  roost_arena *arena;       /* borrowed; owns the texts that are read */
  roost_problems *problems; /* borrowed */
  const char *file;         /* stands before every problem */
  const char *working_dir;  /* relative paths start here; NULL: where the process is */
  roost_buffer path;        /* of the key at hand: "servers[1].port" */
  roost_buffer json;        /* a pattern at hand, as rules.c reads it */
  roost_buffer route;       /* and its route */
  int status;               /* first ENOMEM */
} roost_keys_reader;

void roost_keys_reader_init(roost_keys_reader *reader, const roost_alloc *alloc);
void roost_keys_reader_deinit(roost_keys_reader *reader);

/* Reads the table on top of the stack (a value that is no table is a problem; nil is an empty
 * one) into base, whose members the rows name. Runs in protected mode: may raise. */
void roost_keys_read(roost_keys_reader *reader, const roost_key *keys, void *base);

/* Checks the value on top of the stack against one row and stores it: for roost_key.read. */
void roost_key_read(roost_keys_reader *reader, const roost_key *key, void *base);

/* Calls visit with each element of the list on top of the stack on top of the stack, the path
 * saying which; false where it is no list, which is a problem. */
bool roost_keys_each(roost_keys_reader *reader,
                     void (*visit)(roost_keys_reader *reader, size_t index, void *ud), void *ud);

/* The same for a table of entries by name: the value is on top of the stack, entry is zeroed memory
 * of size bytes in the arena, as name is. Has the entries in *entries and returns how many there
 * are; nil is none, what is no such table is a problem with key. */
size_t
roost_keys_each_named(roost_keys_reader *reader, const roost_key *key, size_t size, void **entries,
                      void (*visit)(roost_keys_reader *reader, const char *name, void *entry));

/* Lengthens the path by a key or an index; returns what roost_keys_leave wants. */
size_t roost_keys_enter(roost_keys_reader *reader, const char *name);
size_t roost_keys_enter_index(roost_keys_reader *reader, size_t index);
void roost_keys_leave(roost_keys_reader *reader, size_t mark);

/* A problem with the key at hand. */
void roost_keys_problem(roost_keys_reader *reader, roost_severity severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
