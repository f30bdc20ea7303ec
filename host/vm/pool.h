/*
 * vm/pool.h - small blocks for one Lua state, from free lists: a table or a short string costs a
 * few instructions to make and to free.
 *
 * Sizes up to ROOST_POOL_MAX are rounded up to the next multiple of 16 and cut from chunks, which
 * go back to the roost_alloc all together, at deinit; larger ones are not the pool's. The thread
 * that has the vm. Under AddressSanitizer every block is the allocator's own, so that it sees them.
 */
#ifndef ROOST_VM_POOL_H
#define ROOST_VM_POOL_H

#include "core/alloc.h"

#define ROOST_POOL_MAX  256
#define ROOST_POOL_STEP 16

/* What really comes from the free lists: nothing under AddressSanitizer. */
#if defined(__SANITIZE_ADDRESS__)
#define ROOST_POOL_POOLED_MAX 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ROOST_POOL_POOLED_MAX 0
#endif
#endif
#ifndef ROOST_POOL_POOLED_MAX
#define ROOST_POOL_POOLED_MAX ROOST_POOL_MAX
#endif

typedef struct roost_pool_block {
  struct roost_pool_block *next; /* free, of the same size */
} roost_pool_block;

typedef struct roost_pool_chunk {
  struct roost_pool_chunk *next;
  size_t size_bytes; /* this header included */
} roost_pool_chunk;

typedef struct roost_pool {
  roost_pool_block *free[ROOST_POOL_MAX / ROOST_POOL_STEP]; /* by size */
  char *at;                 /* next byte of the newest chunk that was never used */
  char *end;                /* of that chunk */
  roost_pool_chunk *chunks; /* owned */
  const roost_alloc *alloc; /* borrowed */
} roost_pool;

void roost_pool_init(roost_pool *pool, const roost_alloc *alloc);

/* Frees every chunk; no block may be used after it. */
void roost_pool_deinit(roost_pool *pool);

/* As roost_alloc_resize. */
void *roost_pool_resize(roost_pool *pool, void *ptr, size_t old_size, size_t new_size);

/* Whether blocks of that size come from the free lists. */
static inline bool roost_pool_holds(size_t size) {
  return size - 1 < ROOST_POOL_POOLED_MAX; /* 0 - 1 is the largest size */
}

/* The two that make up nearly all of a small request's: a free block of a size that the pool holds,
 * NULL where there is none at hand (then roost_pool_resize finds one), and back. */
static inline void *roost_pool_pop(roost_pool *pool, size_t size) {
  roost_pool_block **list = &pool->free[(size - 1) / ROOST_POOL_STEP];
  roost_pool_block *block = *list;
  if (block != NULL) {
    *list = block->next;
    __builtin_prefetch(block->next); /* freed long ago: its link would be waited for */
  }
  return block;
}

static inline void roost_pool_push(roost_pool *pool, void *ptr, size_t size) {
  roost_pool_block *block = ptr;
  roost_pool_block **list = &pool->free[(size - 1) / ROOST_POOL_STEP];
  block->next = *list;
  *list = block;
}

#endif
