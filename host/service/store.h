/*
 * service/store.h - roost.store: what the services of a host share, on all workers.
 *
 * Keys are bytes, values the bytes of vm/pack.h; nothing here knows Lua. Start reading at put in
 * store.c.
 * Shard: a sixteenth of the keys, with a mutex of its own. An operation holds one at a time, and
 * while it does, it neither allocates nor frees.
 * Live: not expired. What has expired is never seen, and is freed by the next operation on its
 * shard, or at the latest before a write is refused for the limit.
 * Every function may be called by any thread, new and free aside; each operation is atomic. A key
 * or value that is handed in is copied. A ttl is in milliseconds, 0: none.
 */
#ifndef ROOST_SERVICE_STORE_H
#define ROOST_SERVICE_STORE_H

#include "core/buffer.h"
#include "core/clock.h"
#include "vm/pack.h"

typedef struct roost_store roost_store;

typedef struct roost_store_config {
  const roost_alloc *alloc;
  const roost_clock *clock;                   /* what time to live goes by */
  int (*random_bytes)(void *out, size_t len); /* cryptographically secure; 0 or an error */
} roost_store_config;

typedef struct roost_store_stats {
  size_t keys;        /* live ones */
  size_t bytes;       /* of keys and values, and what each entry needs besides */
  size_t limit_bytes; /* 0: none */
} roost_store_stats;

/* config is copied, what it points at borrowed. Its limit is 64 MiB. ENOMEM, ESYSTEM. */
int roost_store_new(roost_store **out, const roost_store_config *config);

/* NULL is allowed. */
void roost_store_free(roost_store *store);

/* Takes another limit, 0 for none. What is held already stays, even where it is more. */
void roost_store_set_limit(roost_store *store, size_t limit_bytes);

/* Appends the value. Returns 1, 0 where there is none, ENOMEM. */
int roost_store_get(roost_store *store, roost_slice key, roost_buffer *out);

/* Sets the value and its time to live, whatever was there. EFULL: over the limit, nothing has
 * changed; ENOMEM. */
int roost_store_set(roost_store *store, roost_slice key, roost_slice value, uint64_t ttl_ms);

/* As set where there is no live value; returns 1 then, 0 where there is one. */
int roost_store_add(roost_store *store, roost_slice key, roost_slice value, uint64_t ttl_ms);

/* Adds by to a number; what is not there is 0 and made with that ttl, which an increment of what is
 * there leaves alone: a window of fixed length. by becomes the sum. EINVAL with a fixed text in
 * *why: the value is no number, or the sum of two integers is none; EFULL, ENOMEM. */
int roost_store_incr(roost_store *store, roost_slice key, roost_pack_number *by, uint64_t ttl_ms,
                     const char **why);

/* Returns whether there was a live value. */
bool roost_store_delete(roost_store *store, roost_slice key);

/* Appends the list (vm/pack.h) of the live keys that begin with prefix, in the order of their
 * bytes. It looks at every key, shard after shard: keys set or deleted meanwhile may be in it or
 * not. ENOMEM. */
int roost_store_keys(roost_store *store, roost_slice prefix, roost_buffer *out);

void roost_store_read_stats(roost_store *store, roost_store_stats *out);

#endif
