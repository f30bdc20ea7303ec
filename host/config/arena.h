/*
 * config/arena.h - memory that is given back all at once: everything a configuration owns.
 *
 * The arena owns every piece; pieces live until roost_arena_deinit. One thread at a time.
 */
#ifndef ROOST_CONFIG_ARENA_H
#define ROOST_CONFIG_ARENA_H

#include "core/alloc.h"

typedef struct roost_arena {
  struct roost_arena_piece *pieces; /* the newest first */
  const roost_alloc *alloc;         /* borrowed */
} roost_arena;

void roost_arena_init(roost_arena *arena, const roost_alloc *alloc);
void roost_arena_deinit(roost_arena *arena);

/* size bytes set to zero, or NULL. */
void *roost_arena_get(roost_arena *arena, size_t size);

/* A NUL-terminated copy, or NULL. */
char *roost_arena_text(roost_arena *arena, roost_slice text);

#endif
