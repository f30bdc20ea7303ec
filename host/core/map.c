#include "core/map.h"

#include "core/slice.h"

#define SMALLEST_CAP 8

uint64_t roost_hash(roost_slice bytes) {
  const uint64_t odd = 0x9e3779b97f4a7c15u; /* 2^64 divided by the golden ratio */
  uint64_t hash = bytes.len * odd;
  const char *at = bytes.ptr;
  size_t left = bytes.len;
  while (left > 0) {
    uint64_t word = 0;
    const size_t n = left < sizeof word ? left : sizeof word;
    if (bytes.len >= sizeof word) /* the last word of several overlaps the one before */
      memcpy(&word, at + n - sizeof word, sizeof word);
    else
      memcpy(&word, at, n);
    hash = (hash ^ word) * odd;
    hash ^= hash >> 32;
    at += n;
    left -= n;
  }
  hash *= odd;
  return hash ^ hash >> 29;
}

void roost_map_init(roost_map *map, const roost_alloc *alloc) {
  *map = (roost_map){.alloc = alloc};
}

static void free_key(const roost_map *map, roost_slice key) {
  if (key.len > 0)
    roost_alloc_put(map->alloc, (void *)(uintptr_t)key.ptr, key.len);
}

void roost_map_deinit(roost_map *map) {
  for (size_t i = 0; i < map->cap; i++)
    if (map->entries[i].value != NULL)
      free_key(map, map->entries[i].key);
  roost_alloc_put(map->alloc, map->entries, map->cap * sizeof *map->entries);
  roost_map_init(map, map->alloc);
}

/* The place of key, or the free place where it would go. There is one: the map is never full. */
static roost_map_entry *find(const roost_map *map, roost_slice key, uint64_t hash) {
  const size_t mask = map->cap - 1;
  size_t i = (size_t)hash & mask;
  for (;;) {
    roost_map_entry *entry = &map->entries[i];
    if (entry->value == NULL)
      return entry;
    if (entry->hash == hash && roost_slice_equal(entry->key, key))
      return entry;
    i = (i + 1) & mask;
  }
}

void *roost_map_get(const roost_map *map, roost_slice key) {
  if (map->count == 0)
    return NULL;
  return find(map, key, roost_hash(key))->value;
}

/* Keeps at least a quarter of the places free. */
static int make_room(roost_map *map) {
  if ((map->count + 1) * 4 <= map->cap * 3)
    return 0;
  roost_map larger = {
      .cap = map->cap > 0 ? map->cap * 2 : SMALLEST_CAP, .count = map->count, .alloc = map->alloc};
  larger.entries = roost_alloc_get(map->alloc, larger.cap * sizeof *larger.entries);
  if (larger.entries == NULL)
    return ROOST_ENOMEM;
  for (size_t i = 0; i < map->cap; i++) {
    const roost_map_entry *entry = &map->entries[i];
    if (entry->value != NULL)
      *find(&larger, entry->key, entry->hash) = *entry;
  }
  roost_alloc_put(map->alloc, map->entries, map->cap * sizeof *map->entries);
  *map = larger;
  return 0;
}

int roost_map_set(roost_map *map, roost_slice key, void *value) {
  int status = make_room(map);
  if (status != 0)
    return status;
  const uint64_t hash = roost_hash(key);
  roost_map_entry *entry = find(map, key, hash);
  if (entry->value == NULL) {
    char *copy = NULL;
    if (key.len > 0) {
      copy = roost_alloc_resize(map->alloc, NULL, 0, key.len);
      if (copy == NULL)
        return ROOST_ENOMEM;
      memcpy(copy, key.ptr, key.len);
    }
    entry->key = roost_slice_of(copy, key.len);
    entry->hash = hash;
    map->count++;
  }
  entry->value = value;
  return 0;
}

void *roost_map_remove(roost_map *map, roost_slice key) {
  if (map->count == 0)
    return NULL;
  roost_map_entry *entry = find(map, key, roost_hash(key));
  void *value = entry->value;
  if (value == NULL)
    return NULL;
  free_key(map, entry->key);
  map->count--;

  /* Close the gap: whoever was pushed past it by a collision moves back, so that a search may
   * stop at the first free place. */
  const size_t mask = map->cap - 1;
  size_t gap = (size_t)(entry - map->entries);
  for (size_t i = (gap + 1) & mask; map->entries[i].value != NULL; i = (i + 1) & mask) {
    const size_t home = (size_t)map->entries[i].hash & mask;
    if (((i - home) & mask) < ((i - gap) & mask))
      continue;
    map->entries[gap] = map->entries[i];
    gap = i;
  }
  map->entries[gap] = (roost_map_entry){0};
  return value;
}

const roost_map_entry *roost_map_next(const roost_map *map, size_t *at) {
  while (*at < map->cap) {
    const roost_map_entry *entry = &map->entries[(*at)++];
    if (entry->value != NULL)
      return entry;
  }
  return NULL;
}
