#include "service/table.h"

#include "wire/pattern.h"

int roost_table_new(roost_table **out, const roost_alloc *alloc) {
  roost_table *table = roost_alloc_get(alloc, sizeof *table);
  *out = table;
  if (table == NULL)
    return ROOST_ENOMEM;
  table->alloc = alloc;
  roost_map_init(&table->routes, alloc);
  roost_buffer_init(&table->route, alloc);
  return 0;
}

static void entry_free(const roost_alloc *alloc, roost_entry *entry) {
  roost_alloc_put(alloc, entry->events, entry->event_cap * sizeof *entry->events);
  roost_alloc_put(alloc, entry, sizeof *entry);
}

void roost_table_free(roost_table *table) {
  if (table == NULL)
    return;
  size_t at = 0;
  const roost_map_entry *each;
  while ((each = roost_map_next(&table->routes, &at)) != NULL)
    entry_free(table->alloc, each->value);
  roost_map_deinit(&table->routes);
  roost_buffer_deinit(&table->route);
  roost_alloc_put(table->alloc, table, sizeof *table);
}

/* ------------------------------------------------------------------------- building ---------- */

static int entry_for(roost_entry **out, roost_table *table, const roost_handler *handler,
                     bool wildcard) {
  roost_slice route = roost_buffer_slice(&handler->route);
  *out = roost_map_get(&table->routes, route);
  if (*out != NULL)
    return 0;
  roost_entry *entry = roost_alloc_get(table->alloc, sizeof *entry);
  if (entry == NULL)
    return ROOST_ENOMEM;
  entry->route = route;
  int status = roost_map_set(&table->routes, route, entry);
  if (status != 0) {
    entry_free(table->alloc, entry);
    return status;
  }
  if (table->last != NULL)
    table->last->next = entry;
  else
    table->first = entry;
  table->last = entry;
  if (wildcard) {
    if (table->last_wildcard != NULL)
      table->last_wildcard->next_wildcard = entry;
    else
      table->wildcards = entry;
    table->last_wildcard = entry;
  }
  *out = entry;
  return 0;
}

static int add_event(roost_table *table, roost_entry *entry, const roost_handler *handler) {
  if (entry->event_count == entry->event_cap) {
    size_t cap = entry->event_cap ? 2 * entry->event_cap : 2;
    const roost_handler **grown = roost_alloc_resize(
        table->alloc, entry->events, entry->event_cap * sizeof *grown, cap * sizeof *grown);
    if (grown == NULL)
      return ROOST_ENOMEM;
    entry->events = grown;
    entry->event_cap = cap;
  }
  entry->events[entry->event_count++] = handler;
  return 0;
}

int roost_table_add(roost_table *table, const roost_handler *handler, bool wildcards,
                    const roost_handler **replaced) {
  roost_entry *entry;
  *replaced = NULL;
  int status = entry_for(&entry, table, handler, wildcards && handler->wildcard);
  if (status != 0)
    return status;
  if (handler->event)
    return add_event(table, entry, handler);
  *replaced = entry->message;
  entry->message = handler;
  return 0;
}

/* ------------------------------------------------------------------------- looking up -------- */

static inline uint64_t load(const char *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

/* By its length, its middle and its end. Whoever sends patterns that share a slot has them looked
 * up in the map instead, which knows no such trick. */
static size_t slot_of(roost_slice pattern) {
  uint64_t key = 0;
  if (pattern.len >= sizeof key)
    key = load(pattern.ptr + (pattern.len - sizeof key) / 2) * 31 +
          load(pattern.ptr + pattern.len - sizeof key);
  else
    memcpy(&key, pattern.ptr, pattern.len);
  return (size_t)((key + pattern.len) * UINT64_C(0x9E3779B97F4A7C15) >> 56);
}

static void remember(roost_cache_slot *slot, roost_slice pattern, const roost_entry *entry) {
  if (pattern.len > ROOST_CACHE_PATTERN_MAX)
    return;
  memcpy(slot->pattern, pattern.ptr, pattern.len);
  slot->len = (uint32_t)pattern.len;
  slot->entry = entry;
}

static bool holds(const roost_cache_slot *slot, roost_slice pattern) {
  return slot->entry != NULL && slot->len == pattern.len &&
         memcmp(slot->pattern, pattern.ptr, pattern.len) == 0;
}

const roost_entry *roost_table_recall(const roost_table *table, roost_slice pattern) {
  if (pattern.ptr == NULL)
    return NULL;
  const roost_cache_slot *slot = &table->cache[slot_of(pattern)];
  return holds(slot, pattern) ? slot->entry : NULL;
}

int roost_table_find(roost_table *table, roost_slice pattern, roost_match *match) {
  *match = (roost_match){NULL, NULL, NULL};
  if (pattern.ptr == NULL)
    return 0;
  roost_cache_slot *slot = &table->cache[slot_of(pattern)];
  if (holds(slot, pattern)) {
    match->entry = match->exact = slot->entry;
    return 0;
  }
  roost_buffer_clear(&table->route);
  int found = roost_pattern_resolve(&table->route, pattern);
  if (found <= 0)
    return found;
  match->exact = roost_map_get(&table->routes, roost_buffer_slice(&table->route));
  match->wildcard = table->wildcards;
  match->entry = match->exact;
  if (match->entry == NULL)
    roost_table_next(table, match);
  else if (table->wildcards == NULL)
    remember(slot, pattern, match->entry);
  return 0;
}

void roost_table_find_route(roost_table *table, roost_slice route, roost_match *match) {
  *match = (roost_match){NULL, NULL, NULL};
  match->entry = match->exact = roost_map_get(&table->routes, route);
}

roost_slice roost_table_route(const roost_table *table, const roost_match *match) {
  return match->exact != NULL ? match->exact->route : roost_buffer_slice(&table->route);
}

void roost_table_next(roost_table *table, roost_match *match) {
  const roost_entry *entry = match->wildcard;
  roost_slice route = roost_buffer_slice(&table->route);
  while (entry != NULL && (entry == match->exact || !roost_pattern_matches(entry->route, route)))
    entry = entry->next_wildcard;
  match->entry = entry;
  match->wildcard = entry ? entry->next_wildcard : NULL;
}
