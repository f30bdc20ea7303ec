#include "config/arena.h"

#include <string.h>

typedef struct roost_arena_piece {
  struct roost_arena_piece *next;
  size_t size; /* with this header */
  max_align_t bytes[];
} roost_arena_piece;

void roost_arena_init(roost_arena *arena, const roost_alloc *alloc) {
  *arena = (roost_arena){.alloc = alloc};
}

void roost_arena_deinit(roost_arena *arena) {
  for (roost_arena_piece *piece = arena->pieces, *next; piece != NULL; piece = next) {
    next = piece->next;
    roost_alloc_put(arena->alloc, piece, piece->size);
  }
  arena->pieces = NULL;
}

void *roost_arena_get(roost_arena *arena, size_t size) {
  if (size > SIZE_MAX / 2)
    return NULL;
  roost_arena_piece *piece = roost_alloc_get(arena->alloc, sizeof *piece + size);
  if (piece == NULL)
    return NULL;
  piece->size = sizeof *piece + size;
  piece->next = arena->pieces;
  arena->pieces = piece;
  return piece->bytes;
}

char *roost_arena_text(roost_arena *arena, roost_slice text) {
  char *copy = roost_arena_get(arena, text.len + 1);
  if (copy != NULL && text.len > 0)
    memcpy(copy, text.ptr, text.len);
  return copy;
}
