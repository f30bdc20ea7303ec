/*
 * vm/keys.h - the object keys a state has decoded and encoded lately: from their bytes to the Lua
 * string, and from the string to its JSON text.
 *
 * Making a Lua string hashes and interns it; the keys of JSON are the same few again and again.
 * A slot remembers one short key, whose string it keeps in the registry. It also remembers how many
 * members the latest object had that began with this key, so that the next one is made at its size,
 * and what came after it, so that the next key need not be looked for: it is compared with the one
 * expected (roost_key_follows). A newer key takes the slot of an older one. The thread that has the
 * vm.
 */
#ifndef ROOST_VM_KEYS_H
#define ROOST_VM_KEYS_H

#include <stdbool.h>
#include <string.h>

#include "core/slice.h"

#define ROOST_KEYS_SLOTS       256
#define ROOST_KEYS_TEXT_MAX    16
#define ROOST_KEYS_MEMBERS_MAX 64 /* a hint that is wrong costs no more memory than this many */

typedef struct roost_key {
  uint64_t first;    /* the key's first eight bytes, or all that there are */
  uint64_t last;     /* its last eight, overlapping; with len this is the whole key */
  uint8_t len;       /* 0: a free slot, or a key that is not remembered */
  uint8_t members;   /* 0: not known */
  uint8_t next;      /* slot of the key that came after it in the latest object */
  uint8_t child;     /* slot of the first key in the latest object that was, or was in, its value */
  unsigned ref : 31; /* where the registry keeps a string; 0: the slot never had one */
  unsigned held : 1; /* that is the key's string, which was seen twice; else an older key's */
} roost_key;

/* The bytes of a text of 1 to 7, as a slot holds them: *last is 0 where there are up to three. */
static inline uint64_t roost_key_short(const char *text, size_t len, uint64_t *last) {
  *last = 0;
  if (len < 4)
    return (uint64_t)(uint8_t)text[0] | (uint64_t)(uint8_t)text[len / 2] << 8 |
           (uint64_t)(uint8_t)text[len - 1] << 16;
  uint32_t first;
  uint32_t end;
  memcpy(&first, text, 4);
  memcpy(&end, text + len - 4, 4);
  *last = end;
  return first;
}

/* A text as a slot holds it; len 0 where it is too long (or empty). */
static inline roost_key roost_key_of(roost_slice text) {
  roost_key key = {0};
  if (text.len - 1 >= ROOST_KEYS_TEXT_MAX)
    return key;
  key.len = (uint8_t)text.len;
  if (text.len >= 8) {
    memcpy(&key.first, text.ptr, 8);
    memcpy(&key.last, text.ptr + text.len - 8, 8);
  } else {
    key.first = roost_key_short(text.ptr, text.len, &key.last);
  }
  return key;
}

static inline bool roost_key_equal(const roost_key *a, const roost_key *b) {
  return a->first == b->first && a->last == b->last && a->len == b->len;
}

/* Whether the text at `at` is the remembered key, in quotes, and the colon right behind it. */
static inline bool roost_key_follows(const roost_key *known, const char *at, const char *end) {
  const size_t len = known->len;
  if (len == 0 || (size_t)(end - at) < len + 3 || *at != '"' || memcmp(at + 1 + len, "\":", 2) != 0)
    return false;
  if (len < 8) {
    uint64_t last;
    const uint64_t first = roost_key_short(at + 1, len, &last);
    return first == known->first && last == known->last;
  }
  return memcmp(at + 1, &known->first, 8) == 0 && memcmp(at + len - 7, &known->last, 8) == 0;
}

/* Which slot a key belongs to. */
static inline unsigned roost_key_slot(const roost_key *key) {
  const uint64_t mixed = (key->first ^ (key->last << 7 | key->last >> 57)) + key->len;
  return (unsigned)(mixed * 0x9E3779B97F4A7C15u >> 56);
}

/* The other way: the keys of tables encoded lately, from the Lua string to its JSON text. A slot
 * whose string the registry keeps knows it by its address, which is no other value's then. */
#define ROOST_NAMES_SLOTS    128
#define ROOST_NAMES_TEXT_MAX 27

typedef struct roost_name {
  const void *string;              /* what lua_topointer says; NULL: a free slot */
  unsigned ref : 31;               /* as roost_key.ref */
  unsigned held : 1;               /* text is that of string, which was seen twice and is kept */
  uint8_t len;                     /* of text */
  char text[ROOST_NAMES_TEXT_MAX]; /* in quotes, with its escapes and a colon */
} roost_name;

/* Which slot a string belongs to. */
static inline unsigned roost_name_slot(const void *string) {
  return (unsigned)((uint64_t)(uintptr_t)string * 0x9E3779B97F4A7C15u >> 57);
}

_Static_assert(ROOST_NAMES_SLOTS == 128, "roost_name_slot gives seven bits");
_Static_assert(ROOST_KEYS_SLOTS == 256, "roost_key_slot gives eight bits");

#endif
