/*
 * core/siphash.h - SipHash-2-4: a hash for keys that strangers may choose.
 *
 * Who does not know the seed cannot make keys that collide, so a hash table stays fast whatever is
 * put into it; roost_hash (core/map.h) is quicker and for keys of our own. Any thread.
 */
#ifndef ROOST_CORE_SIPHASH_H
#define ROOST_CORE_SIPHASH_H

#include "roost.h"

typedef struct roost_siphash_seed {
  uint64_t words[2]; /* random, and told to nobody */
} roost_siphash_seed;

uint64_t roost_siphash(const roost_siphash_seed *seed, roost_slice bytes);

#endif
