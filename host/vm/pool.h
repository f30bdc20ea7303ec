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

#endif
