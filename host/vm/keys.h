/*
 * vm/keys.h - the object keys a state has decoded lately: from their bytes to the Lua string.
 *
 * Making a Lua string hashes and interns it; the keys of JSON are the same few again and again.
 * A slot remembers one short key, whose string it keeps in the registry. It also remembers how many
 * members the latest object had that began with this key, so that the next one is made at its size.
 * A newer key takes the slot of an older one. The thread that has the vm.
 */
#ifndef ROOST_VM_KEYS_H
#define ROOST_VM_KEYS_H

#include <string.h>

#include "core/slice.h"

#define ROOST_KEYS_SLOTS       256
#define ROOST_KEYS_TEXT_MAX    16
#define ROOST_KEYS_MEMBERS_MAX 64 /* a hint that is wrong costs no more memory than this many */

typedef struct roost_key {
  uint64_t first;  /* the key's first eight bytes, or all that there are */
  uint64_t last;   /* its last eight, overlapping; with len this is the whole key */
  uint8_t len;     /* 0: a free slot, or a key that is not remembered */
  uint8_t members; /* 0: not known */
  int ref;         /* of its string; 0: the slot was never used */
} roost_key;

/* The bytes of text as a slot holds them; len 0 where it is too long (or empty). */
static inline roost_key roost_key_of(roost_slice text) {
  roost_key key = {0};
  if (text.len - 1 >= ROOST_KEYS_TEXT_MAX)
    return key;
  key.len = (uint8_t)text.len;
  if (text.len >= 8) {
    memcpy(&key.first, text.ptr, 8);
    memcpy(&key.last, text.ptr + text.len - 8, 8);
  } else if (text.len >= 4) {
    memcpy(&key.first, text.ptr, 4);
    memcpy(&key.last, text.ptr + text.len - 4, 4);
  } else {
    key.first = (uint64_t)(uint8_t)text.ptr[0] | (uint64_t)(uint8_t)text.ptr[text.len / 2] << 8 |
                (uint64_t)(uint8_t)text.ptr[text.len - 1] << 16;
  }
  return key;
}

static inline bool roost_key_equal(const roost_key *a, const roost_key *b) {
  return a->first == b->first && a->last == b->last && a->len == b->len;
}

/* Which slot a key belongs to. */
static inline unsigned roost_key_slot(const roost_key *key) {
  const uint64_t mixed = (key->first ^ (key->last << 7 | key->last >> 57)) + key->len;
  return (unsigned)(mixed * 0x9E3779B97F4A7C15u >> 56);
}

_Static_assert(ROOST_KEYS_SLOTS == 256, "roost_key_slot gives eight bits");

#endif
