#include "vm/pool.h"

#include <string.h>

/* The first chunk is small, for a state that stays small; each is twice the last, up to the
 * largest. */
#define FIRST_CHUNK_BYTES ((size_t)16 << 10)
#define LAST_CHUNK_BYTES  ((size_t)256 << 10)

void roost_pool_init(roost_pool *pool, const roost_alloc *alloc) {
  *pool = (roost_pool){.alloc = alloc};
}

void roost_pool_deinit(roost_pool *pool) {
  while (pool->chunks != NULL) {
    roost_pool_chunk *chunk = pool->chunks;
    pool->chunks = chunk->next;
    roost_alloc_put(pool->alloc, chunk, chunk->size_bytes);
  }
}

static size_t class_of(size_t size) {
  return (size - 1) / ROOST_POOL_STEP;
}

static size_t rounded(size_t size) {
  return (class_of(size) + 1) * ROOST_POOL_STEP;
}

/* What is left of the newest chunk becomes one free block, so that nothing is wasted. */
static bool grow(roost_pool *pool) {
  size_t size = pool->chunks ? 2 * pool->chunks->size_bytes : FIRST_CHUNK_BYTES;
  if (size > LAST_CHUNK_BYTES)
    size = LAST_CHUNK_BYTES;
  roost_pool_chunk *chunk = roost_alloc_resize(pool->alloc, NULL, 0, size);
  if (chunk == NULL)
    return false;
  if (pool->end > pool->at)
    roost_pool_push(pool, pool->at, (size_t)(pool->end - pool->at));
  *chunk = (roost_pool_chunk){pool->chunks, size};
  pool->chunks = chunk;
  pool->at = (char *)chunk + rounded(sizeof *chunk);
  pool->end = (char *)chunk + size;
  return true;
}

static void *take(roost_pool *pool, size_t size) {
  void *block = roost_pool_pop(pool, size);
  if (block != NULL)
    return block;
  size = rounded(size);
  if ((size_t)(pool->end - pool->at) < size && !grow(pool))
    return NULL;
  block = pool->at;
  pool->at += size;
  return block;
}

static void give(roost_pool *pool, void *ptr, size_t size) {
  if (roost_pool_holds(size))
    roost_pool_push(pool, ptr, size);
  else
    roost_alloc_put(pool->alloc, ptr, size);
}

/* From one home to the other, or from one size to another. */
static void *move(roost_pool *pool, void *ptr, size_t old_size, size_t new_size) {
  void *moved = roost_pool_holds(new_size) ? take(pool, new_size)
                                           : roost_alloc_resize(pool->alloc, NULL, 0, new_size);
  if (moved == NULL)
    return NULL;
  memcpy(moved, ptr, old_size < new_size ? old_size : new_size);
  give(pool, ptr, old_size);
  return moved;
}

void *roost_pool_resize(roost_pool *pool, void *ptr, size_t old_size, size_t new_size) {
  bool was_pooled = roost_pool_holds(old_size);
  if (ptr == NULL)
    return roost_pool_holds(new_size) ? take(pool, new_size)
                                      : roost_alloc_resize(pool->alloc, NULL, 0, new_size);
  if (new_size == 0) {
    give(pool, ptr, old_size);
    return NULL;
  }
  if (!was_pooled && !roost_pool_holds(new_size))
    return roost_alloc_resize(pool->alloc, ptr, old_size, new_size);
  if (was_pooled && roost_pool_holds(new_size) && class_of(old_size) == class_of(new_size))
    return ptr;
  return move(pool, ptr, old_size, new_size);
}
