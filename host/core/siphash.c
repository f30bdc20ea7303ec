#include "core/siphash.h"

#include <string.h>

typedef struct state {
  uint64_t v0, v1, v2, v3;
} state;

static uint64_t rotate(uint64_t word, int bits) {
  return word << bits | word >> (64 - bits);
}

static void mix(state *s) {
  s->v0 += s->v1;
  s->v1 = rotate(s->v1, 13) ^ s->v0;
  s->v0 = rotate(s->v0, 32);
  s->v2 += s->v3;
  s->v3 = rotate(s->v3, 16) ^ s->v2;
  s->v0 += s->v3;
  s->v3 = rotate(s->v3, 21) ^ s->v0;
  s->v2 += s->v1;
  s->v1 = rotate(s->v1, 17) ^ s->v2;
  s->v2 = rotate(s->v2, 32);
}

static void add(state *s, uint64_t word) {
  s->v3 ^= word;
  mix(s);
  mix(s);
  s->v0 ^= word;
}

/* Words are read in the machine's byte order: hashes never leave the process. */
uint64_t roost_siphash(const roost_siphash_seed *seed, roost_slice bytes) {
  state s = {seed->words[0] ^ 0x736f6d6570736575u, seed->words[1] ^ 0x646f72616e646f6du,
             seed->words[0] ^ 0x6c7967656e657261u, seed->words[1] ^ 0x7465646279746573u};
  uint64_t word;
  const char *at = bytes.ptr;
  size_t left = bytes.len;
  for (; left >= sizeof word; left -= sizeof word, at += sizeof word) {
    memcpy(&word, at, sizeof word);
    add(&s, word);
  }
  word = 0;
  if (left > 0)
    memcpy(&word, at, left);
  add(&s, word | (uint64_t)bytes.len << 56);
  s.v2 ^= 0xff;
  for (int i = 0; i < 4; i++)
    mix(&s);
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
