/*
 * service/table.h - which handlers a server has for a route.
 *
 * One table per server, built from all handlers that server exposes, thrown away and built anew
 * whenever these change. Entry: one route with its message handler and its event handlers.
 * In front of it a cache from a pattern's bytes, as they came, to its entry: hits only, none for
 * servers with wildcards. The worker's thread.
 */
#ifndef ROOST_SERVICE_TABLE_H
#define ROOST_SERVICE_TABLE_H

#include "core/map.h"
#include "service/handler.h"

#define ROOST_CACHE_SLOTS       256
#define ROOST_CACHE_PATTERN_MAX 96

typedef struct roost_entry {
  const roost_handler *message; /* the latest registered; NULL: none */
  const roost_handler **events; /* in order of registration */
  size_t event_count;
  size_t event_cap;
  roost_slice route;                 /* borrowed from a handler */
  struct roost_entry *next;          /* in order of registration */
  struct roost_entry *next_wildcard; /* likewise */
} roost_entry;

typedef struct roost_cache_slot {
  const roost_entry *entry; /* NULL: free */
  uint32_t len;
  char pattern[ROOST_CACHE_PATTERN_MAX];
} roost_cache_slot;

typedef struct roost_table {
  roost_map routes;   /* route -> roost_entry */
  roost_entry *first; /* of all; NULL: there is none */
  roost_entry *last;
  roost_entry *wildcards; /* the first that is one; NULL: none */
  roost_entry *last_wildcard;
  roost_buffer route;       /* of the pattern being looked up */
  const roost_alloc *alloc; /* borrowed */
  struct roost_table *next; /* in its gate's list of replaced ones */
  roost_cache_slot cache[ROOST_CACHE_SLOTS];
} roost_table;

/* ENOMEM. */
int roost_table_new(roost_table **out, const roost_alloc *alloc);
void roost_table_free(roost_table *table);

/* Adds a handler. wildcards: its wildcards count as such. *replaced is the message handler it takes
 * the place of, or NULL. ENOMEM. */
int roost_table_add(roost_table *table, const roost_handler *handler, bool wildcards,
                    const roost_handler **replaced);

/* What matches a pattern, one entry after the other: the exact one, then wildcards in order of
 * registration. */
typedef struct roost_match {
  const roost_entry *entry;    /* NULL: no more */
  const roost_entry *exact;    /* not to be given twice */
  const roost_entry *wildcard; /* the next to try */
} roost_match;

/* The only entry that matches a pattern, where it was found before; NULL: find it. */
const roost_entry *roost_table_recall(const roost_table *table, roost_slice pattern);

/* pattern is JSON text. Returns 0 with the first entry (or NULL) in match, EPROTO, ENOMEM. */
int roost_table_find(roost_table *table, roost_slice pattern, roost_match *match);

/* Finds the entry of a registered route; match->entry is NULL where there is none. */
void roost_table_find_route(roost_table *table, roost_slice route, roost_match *match);

/* The route of the pattern that was found last; empty where it has none (it was no text, number or
 * object). */
roost_slice roost_table_route(const roost_table *table, const roost_match *match);

/* The next entry; only until the next find. */
void roost_table_next(roost_table *table, roost_match *match);

#endif
