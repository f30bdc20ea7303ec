#include "service/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "core/siphash.h"
#include "core/slice.h"
#include "core/wheel.h"

#define SHARD_BITS          4
#define SHARDS              (1 << SHARD_BITS)
#define FIRST_BUCKETS       16
#define LIMIT_DEFAULT_BYTES ((size_t)64 << 20)

/* One key. Its key and its value follow it; where it has a time to live, an expiry precedes it. */
typedef struct entry {
  struct entry *next; /* in its bucket, or among the dead of its shard */
  uint32_t hash;      /* the lower half: the upper one chose the shard */
  bool expires;       /* there is an expiry */
  size_t key_len;
  size_t value_len;
} entry;

typedef struct shard {
  pthread_mutex_t mutex;         /* guards all of it */
  entry **buckets;               /* a power of two of chains */
  size_t bucket_count;           /* it grows to have as many as keys */
  size_t count;                  /* keys */
  entry *dead;                   /* taken out: freed once the mutex is released */
  roost_wheel wheel;             /* of the expiries; moved on by each operation */
  entry *first[FIRST_BUCKETS];   /* the buckets to begin with */
  atomic_size_t *bytes_of_store; /* of all shards' entries */
} shard;

typedef struct expiry {
  roost_timer timer;
  shard *shard;
} expiry;

struct roost_store {
  const roost_alloc *alloc;
  const roost_clock *clock;
  roost_siphash_seed seed;
  atomic_size_t bytes; /* of all entries */
  atomic_size_t limit; /* 0: none */
  shard shards[SHARDS];
};

/* ------------------------------------------------------------------------- entries ----------- */

static expiry *expiry_of(entry *e) {
  return (expiry *)(void *)e - 1;
}

static roost_slice key_of(const entry *e) {
  return roost_slice_of((const char *)(e + 1), e->key_len);
}

static char *value_of(entry *e) {
  return (char *)(e + 1) + e->key_len;
}

static size_t size_of(const entry *e) {
  return (e->expires ? sizeof(expiry) : 0) + sizeof *e + e->key_len + e->value_len;
}

/* The first whole millisecond that is not earlier than the moment meant. */
static uint64_t due_ms(const roost_store *store, uint64_t ttl_ms) {
  uint64_t now_us = roost_clock_now_us(store->clock);
  uint64_t now_ms = (now_us + 999) / 1000;
  return ttl_ms < UINT64_MAX - now_ms ? now_ms + ttl_ms : UINT64_MAX;
}

static void on_expired(roost_timer *timer);

/* An entry with room for a value; NULL: no memory. */
static entry *make(const roost_store *store, uint64_t hash, roost_slice key, size_t value_len,
                   uint64_t ttl_ms) {
  entry shape = {
      .hash = (uint32_t)hash, .expires = ttl_ms > 0, .key_len = key.len, .value_len = value_len};
  if (key.len > SIZE_MAX / 4 || value_len > SIZE_MAX / 4)
    return NULL;
  char *block = roost_alloc_resize(store->alloc, NULL, 0, size_of(&shape));
  if (block == NULL)
    return NULL;
  entry *e = (entry *)(void *)(block + (shape.expires ? sizeof(expiry) : 0));
  *e = shape;
  if (e->expires) {
    roost_timer_init(&expiry_of(e)->timer, on_expired);
    expiry_of(e)->timer.due_ms = due_ms(store, ttl_ms);
  }
  if (key.len > 0)
    memcpy(e + 1, key.ptr, key.len);
  return e;
}

static void free_entry(const roost_store *store, entry *e) {
  if (e != NULL)
    roost_alloc_put(store->alloc, e->expires ? (void *)expiry_of(e) : (void *)e, size_of(e));
}

/* ------------------------------------------------------------------------- shards ------------ */

/* The chain link that holds the key, or the one at the end. */
static entry **find(shard *s, uint64_t hash, roost_slice key) {
  entry **at = &s->buckets[hash & (s->bucket_count - 1)];
  while (*at != NULL && ((*at)->hash != (uint32_t)hash || !roost_slice_equal(key_of(*at), key)))
    at = &(*at)->next;
  return at;
}

static void take_out(shard *s, entry **at) {
  entry *e = *at;
  *at = e->next;
  e->next = s->dead;
  s->dead = e;
  s->count--;
  if (e->expires)
    roost_timer_stop(&s->wheel, &expiry_of(e)->timer);
}

static void discard(shard *s, entry **at) {
  atomic_fetch_sub(s->bytes_of_store, size_of(*at));
  take_out(s, at);
}

static void on_expired(roost_timer *timer) {
  expiry *x = ROOST_LIST_ENTRY(timer, expiry, timer);
  entry *e = (entry *)(x + 1);
  discard(x->shard, find(x->shard, e->hash, key_of(e)));
}

static void insert(shard *s, uint64_t hash, entry *e) {
  entry **bucket = &s->buckets[hash & (s->bucket_count - 1)];
  e->next = *bucket;
  *bucket = e;
  s->count++;
  if (!e->expires)
    return;
  expiry *x = expiry_of(e);
  uint64_t due = x->timer.due_ms;
  x->shard = s;
  roost_timer_start(&s->wheel, &x->timer, due > s->wheel.now_ms ? due - s->wheel.now_ms : 0);
}

/* Between enter and leave the shard's mutex is held. */
static void enter(const roost_store *store, shard *s) {
  uint64_t now_ms = roost_clock_now_us(store->clock) / 1000;
  pthread_mutex_lock(&s->mutex);
  roost_wheel_advance(&s->wheel, now_ms);
}

static void leave(const roost_store *store, shard *s) {
  entry *dead = s->dead;
  s->dead = NULL;
  pthread_mutex_unlock(&s->mutex);
  while (dead != NULL) {
    entry *e = dead;
    dead = e->next;
    free_entry(store, e);
  }
}

static shard *enter_by_hash(roost_store *store, uint64_t hash) {
  shard *s = &store->shards[hash >> (64 - SHARD_BITS)];
  enter(store, s);
  return s;
}

static void move_all(shard *s, entry **buckets, size_t count) {
  for (size_t i = 0; i < s->bucket_count; i++) {
    for (entry *e = s->buckets[i], *next; e != NULL; e = next) {
      next = e->next;
      e->next = buckets[e->hash & (count - 1)];
      buckets[e->hash & (count - 1)] = e;
    }
  }
}

static void free_buckets(const roost_store *store, const shard *s, entry **buckets, size_t count) {
  if (buckets != s->first)
    roost_alloc_put(store->alloc, buckets, count * sizeof *buckets);
}

/* Doubles the buckets, unless another thread has: have is how many there were. Without memory for
 * it the chains are longer, and nothing else. */
static void grow(const roost_store *store, shard *s, size_t have) {
  size_t count = 2 * have;
  entry **buckets = roost_alloc_get(store->alloc, count * sizeof *buckets);
  if (buckets == NULL)
    return;
  enter(store, s);
  if (s->bucket_count == have) {
    entry **old = s->buckets;
    move_all(s, buckets, count);
    s->buckets = buckets;
    s->bucket_count = count;
    buckets = old;
    count = have;
  }
  leave(store, s);
  free_buckets(store, s, buckets, count);
}

/* ------------------------------------------------------------------------- the limit --------- */

/* Counts an entry of one size that takes the place of one of another; false: over the limit. */
static bool reserve(roost_store *store, size_t old_size, size_t new_size) {
  if (new_size <= old_size) {
    atomic_fetch_sub(&store->bytes, old_size - new_size);
    return true;
  }
  size_t extra = new_size - old_size;
  size_t limit = atomic_load(&store->limit);
  size_t held = atomic_load(&store->bytes);
  do {
    if (limit != 0 && (held > limit || extra > limit - held))
      return false;
  } while (!atomic_compare_exchange_weak(&store->bytes, &held, held + extra));
  return true;
}

/* Has every shard give up what has expired. */
static void reclaim(roost_store *store) {
  for (size_t i = 0; i < SHARDS; i++) {
    enter(store, &store->shards[i]);
    leave(store, &store->shards[i]);
  }
}

/* Puts e in the place of what is there; 1, or EFULL. */
static int replace(roost_store *store, shard *s, uint64_t hash, entry **at, entry *e) {
  if (!reserve(store, *at != NULL ? size_of(*at) : 0, size_of(e)))
    return ROOST_EFULL;
  if (*at != NULL)
    take_out(s, at);
  insert(s, hash, e);
  return 1;
}

/* Puts e where nothing is, or else is in its way; 1, 0 where something is, EFULL. If it is not 1, e
 * is still the caller's. */
static int put(roost_store *store, uint64_t hash, entry *e, bool only_new) {
  int status = ROOST_EFULL;
  for (int round = 0; round < 2 && status == ROOST_EFULL; round++) {
    if (round > 0)
      reclaim(store);
    shard *s = enter_by_hash(store, hash);
    entry **at = find(s, hash, key_of(e));
    status = only_new && *at != NULL ? 0 : replace(store, s, hash, at, e);
    size_t buckets = s->bucket_count;
    bool crowded = s->count > buckets;
    leave(store, s);
    if (crowded)
      grow(store, s, buckets);
  }
  return status;
}

/* ------------------------------------------------------------------------- values ------------ */

int roost_store_get(roost_store *store, roost_slice key, roost_buffer *out) {
  uint64_t hash = roost_siphash(&store->seed, key);
  for (;;) {
    shard *s = enter_by_hash(store, hash);
    entry *e = *find(s, hash, key);
    size_t len = e != NULL ? e->value_len : 0;
    bool fits = out->cap - out->len >= len;
    if (fits && len > 0) {
      memcpy(out->ptr + out->len, value_of(e), len);
      out->len += len;
    }
    leave(store, s);
    if (fits)
      return e != NULL;
    int status = roost_buffer_reserve(out, len);
    if (status != 0)
      return status;
  }
}

static int set(roost_store *store, roost_slice key, roost_slice value, uint64_t ttl_ms,
               bool only_new) {
  uint64_t hash = roost_siphash(&store->seed, key);
  entry *e = make(store, hash, key, value.len, ttl_ms);
  if (e == NULL)
    return ROOST_ENOMEM;
  if (value.len > 0)
    memcpy(value_of(e), value.ptr, value.len);
  int status = put(store, hash, e, only_new);
  if (status != 1)
    free_entry(store, e);
  return status;
}

int roost_store_set(roost_store *store, roost_slice key, roost_slice value, uint64_t ttl_ms) {
  int status = set(store, key, value, ttl_ms, false);
  return status == 1 ? 0 : status;
}

int roost_store_add(roost_store *store, roost_slice key, roost_slice value, uint64_t ttl_ms) {
  return set(store, key, value, ttl_ms, true);
}

bool roost_store_delete(roost_store *store, roost_slice key) {
  uint64_t hash = roost_siphash(&store->seed, key);
  shard *s = enter_by_hash(store, hash);
  entry **at = find(s, hash, key);
  bool found = *at != NULL;
  if (found)
    discard(s, at);
  leave(store, s);
  return found;
}

/* ------------------------------------------------------------------------- numbers ----------- */

static double real_of(const roost_pack_number *number) {
  return number->is_integer ? (double)number->integer : number->real;
}

/* As Lua adds them, but integers do not wrap. */
static bool add_up(roost_pack_number *sum, const roost_pack_number *a, const roost_pack_number *b) {
  *sum = (roost_pack_number){.is_integer = a->is_integer && b->is_integer};
  if (sum->is_integer)
    return !__builtin_add_overflow(a->integer, b->integer, &sum->integer);
  sum->real = real_of(a) + real_of(b);
  return true;
}

/* A number is as long as any other, so it is changed where it stands. */
static int add_in_place(entry *e, roost_pack_number *by, const char **why) {
  roost_pack_number old;
  roost_pack_number sum;
  if (!roost_pack_get_number(roost_slice_of(value_of(e), e->value_len), &old)) {
    *why = "it is not a number";
    return ROOST_EINVAL;
  }
  if (!add_up(&sum, &old, by)) {
    *why = "the sum does not fit an integer";
    return ROOST_EINVAL;
  }
  roost_pack_put_number(value_of(e), &sum);
  *by = sum;
  return 1;
}

/* 1 where there is a number and it was changed, 0 where there is nothing, EINVAL. */
static int add_to_live(roost_store *store, uint64_t hash, roost_slice key, roost_pack_number *by,
                       const char **why) {
  shard *s = enter_by_hash(store, hash);
  entry *e = *find(s, hash, key);
  int status = e != NULL ? add_in_place(e, by, why) : 0;
  leave(store, s);
  return status;
}

int roost_store_incr(roost_store *store, roost_slice key, roost_pack_number *by, uint64_t ttl_ms,
                     const char **why) {
  uint64_t hash = roost_siphash(&store->seed, key);
  entry *fresh = NULL;
  int status;
  /* Between the look and the put another thread may have made the key, or the key may be gone. */
  while ((status = add_to_live(store, hash, key, by, why)) == 0) {
    if (fresh == NULL)
      fresh = make(store, hash, key, ROOST_PACK_NUMBER_BYTES, ttl_ms);
    if (fresh == NULL)
      return ROOST_ENOMEM;
    roost_pack_put_number(value_of(fresh), by);
    status = put(store, hash, fresh, true);
    if (status == 1)
      return 0;
    if (status != 0)
      break;
  }
  free_entry(store, fresh);
  return status == 1 ? 0 : status;
}

/* ------------------------------------------------------------------------- keys -------------- */

/* Keys that were found: a size_t of its length before each. */
typedef struct names {
  roost_buffer bytes;
  size_t count;
} names;

static bool begins_with(const entry *e, roost_slice prefix) {
  return e->key_len >= prefix.len &&
         (prefix.len == 0 || memcmp(key_of(e).ptr, prefix.ptr, prefix.len) == 0);
}

static size_t bytes_of_names(const shard *s, roost_slice prefix) {
  size_t bytes = 0;
  for (size_t i = 0; i < s->bucket_count; i++)
    for (const entry *e = s->buckets[i]; e != NULL; e = e->next)
      if (begins_with(e, prefix))
        bytes += sizeof e->key_len + e->key_len;
  return bytes;
}

/* There is room for them. */
static void copy_names(const shard *s, roost_slice prefix, names *to) {
  for (size_t i = 0; i < s->bucket_count; i++) {
    for (const entry *e = s->buckets[i]; e != NULL; e = e->next) {
      if (!begins_with(e, prefix))
        continue;
      roost_buffer_append(&to->bytes, &e->key_len, sizeof e->key_len);
      roost_buffer_append_slice(&to->bytes, key_of(e));
      to->count++;
    }
  }
}

static int gather(const roost_store *store, shard *s, roost_slice prefix, names *to) {
  for (;;) {
    enter(store, s);
    size_t bytes = bytes_of_names(s, prefix);
    bool fits = to->bytes.cap - to->bytes.len >= bytes;
    if (fits)
      copy_names(s, prefix, to);
    leave(store, s);
    if (fits)
      return 0;
    int status = roost_buffer_reserve(&to->bytes, bytes);
    if (status != 0)
      return status;
  }
}

static int compare(const void *left, const void *right) {
  const roost_slice *a = left;
  const roost_slice *b = right;
  size_t shorter = a->len < b->len ? a->len : b->len;
  int order = shorter > 0 ? memcmp(a->ptr, b->ptr, shorter) : 0;
  return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static int write_sorted(const roost_store *store, const names *from, roost_buffer *out) {
  size_t before = out->len;
  const char *at = from->bytes.ptr;
  roost_slice *keys = roost_alloc_get(store->alloc, (from->count + 1) * sizeof *keys);
  if (keys == NULL)
    return ROOST_ENOMEM;
  for (size_t i = 0; i < from->count; i++) {
    memcpy(&keys[i].len, at, sizeof keys[i].len);
    keys[i].ptr = at + sizeof keys[i].len;
    at = keys[i].ptr + keys[i].len;
  }
  qsort(keys, from->count, sizeof *keys, compare);
  int status = roost_pack_begin_list(out, from->count);
  for (size_t i = 0; i < from->count && status == 0; i++)
    status = roost_pack_write_text(out, keys[i]);
  roost_alloc_put(store->alloc, keys, (from->count + 1) * sizeof *keys);
  if (status != 0)
    out->len = before;
  return status;
}

int roost_store_keys(roost_store *store, roost_slice prefix, roost_buffer *out) {
  names found = {.count = 0};
  int status = 0;
  roost_buffer_init(&found.bytes, store->alloc);
  for (size_t i = 0; i < SHARDS && status == 0; i++)
    status = gather(store, &store->shards[i], prefix, &found);
  if (status == 0)
    status = write_sorted(store, &found, out);
  roost_buffer_deinit(&found.bytes);
  return status;
}

/* ------------------------------------------------------------------------- the store --------- */

static void init_shard(roost_store *store, shard *s) {
  pthread_mutex_init(&s->mutex, NULL);
  s->buckets = s->first;
  s->bucket_count = FIRST_BUCKETS;
  s->bytes_of_store = &store->bytes;
  roost_wheel_init(&s->wheel, roost_clock_now_us(store->clock) / 1000);
}

int roost_store_new(roost_store **out, const roost_store_config *config) {
  *out = NULL;
  roost_store *store = roost_alloc_get(config->alloc, sizeof *store);
  if (store == NULL)
    return ROOST_ENOMEM;
  store->alloc = config->alloc;
  store->clock = config->clock;
  atomic_init(&store->bytes, 0);
  atomic_init(&store->limit, LIMIT_DEFAULT_BYTES);
  if (config->random_bytes(&store->seed, sizeof store->seed) != 0) {
    roost_alloc_put(config->alloc, store, sizeof *store);
    return ROOST_ESYSTEM;
  }
  for (size_t i = 0; i < SHARDS; i++)
    init_shard(store, &store->shards[i]);
  *out = store;
  return 0;
}

static void deinit_shard(const roost_store *store, shard *s) {
  for (size_t i = 0; i < s->bucket_count; i++)
    while (s->buckets[i] != NULL)
      take_out(s, &s->buckets[i]);
  pthread_mutex_lock(&s->mutex);
  leave(store, s);
  free_buckets(store, s, s->buckets, s->bucket_count);
  pthread_mutex_destroy(&s->mutex);
}

void roost_store_free(roost_store *store) {
  if (store == NULL)
    return;
  for (size_t i = 0; i < SHARDS; i++)
    deinit_shard(store, &store->shards[i]);
  roost_alloc_put(store->alloc, store, sizeof *store);
}

void roost_store_set_limit(roost_store *store, size_t limit_bytes) {
  atomic_store(&store->limit, limit_bytes);
}

void roost_store_read_stats(roost_store *store, roost_store_stats *out) {
  *out = (roost_store_stats){.limit_bytes = atomic_load(&store->limit)};
  for (size_t i = 0; i < SHARDS; i++) {
    enter(store, &store->shards[i]);
    out->keys += store->shards[i].count;
    leave(store, &store->shards[i]);
  }
  out->bytes = atomic_load(&store->bytes);
}
