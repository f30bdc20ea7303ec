/*
 * core/map.h - a hash map from bytes to one pointer.
 *
 * Keys are copied; values are the caller's. A NULL value cannot be stored. One thread at a time.
 */
#ifndef ROOST_CORE_MAP_H
#define ROOST_CORE_MAP_H

#include "core/alloc.h"

typedef struct roost_map_entry {
  roost_slice key; /* owned by the map */
  void *value;     /* NULL: this place is free */
  uint64_t hash;   /* of the key */
} roost_map_entry;

typedef struct roost_map {
  roost_map_entry *entries; /* open addressing; cap is a power of two or 0 */
  size_t cap;
  size_t count;             /* keys held */
  const roost_alloc *alloc; /* borrowed */
} roost_map;

void roost_map_init(roost_map *map, const roost_alloc *alloc);
void roost_map_deinit(roost_map *map);

/* The value under key, or NULL. */
void *roost_map_get(const roost_map *map, roost_slice key);

/* Stores value, in place of what was there. ENOMEM leaves the map as it was. */
int roost_map_set(roost_map *map, roost_slice key, void *value);

/* Takes key out and returns its value, or NULL. */
void *roost_map_remove(roost_map *map, roost_slice key);

/* Walks all entries in no order: start with *at = 0; NULL at the end. Not while changing it. */
const roost_map_entry *roost_map_next(const roost_map *map, size_t *at);

/* The hash it uses, for caches that compare it first. */
uint64_t roost_hash(roost_slice bytes);

#endif
