/*
 * The store on its own, with a fake clock; then with several threads at once.
 */
#include "alloc_probe.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/slice.h"
#include "service/store.h"

#define KEY ROOST_SLICE("key")

typedef struct fixture {
  roost_alloc_probe probe;
  roost_clock clock;
  roost_store *store;
  roost_buffer out;
} fixture;

static int no_chance(void *out, size_t len) {
  memset(out, 7, len);
  return 0;
}

static void init(fixture *f) {
  memset(f, 0, sizeof *f);
  roost_alloc_probe_init(&f->probe);
  f->clock = (roost_clock){.fake = true, .now_us = 5000000};
  const roost_store_config config = {&f->probe.alloc, &f->clock, no_chance};
  assert_int_equal(roost_store_new(&f->store, &config), 0);
  roost_buffer_init(&f->out, roost_alloc_default());
}

static void deinit(fixture *f) {
  roost_store_free(f->store);
  roost_buffer_deinit(&f->out);
  assert_int_equal(f->probe.bytes, 0);
}

static size_t bytes_of(const fixture *f) {
  roost_store_stats stats;
  roost_store_read_stats(f->store, &stats);
  return stats.bytes;
}

static size_t keys_of(const fixture *f) {
  roost_store_stats stats;
  roost_store_read_stats(f->store, &stats);
  return stats.keys;
}

static void expect(fixture *f, roost_slice key, const char *value) {
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_store_get(f->store, key, &f->out), value != NULL);
  if (value == NULL)
    return;
  assert_int_equal(f->out.len, strlen(value));
  assert_memory_equal(f->out.ptr, value, f->out.len);
}

static int set_text(fixture *f, const char *key, const char *value, uint64_t ttl_ms) {
  return roost_store_set(f->store, roost_slice_text(key), roost_slice_text(value), ttl_ms);
}

/* The value of len bytes. */
static int set_sized(fixture *f, const char *key, size_t len) {
  char *value = calloc(1, len + 1);
  assert_non_null(value);
  int status = roost_store_set(f->store, roost_slice_text(key), roost_slice_of(value, len), 0);
  free(value);
  return status;
}

static int64_t incr_by(fixture *f, const char *key, int64_t by, uint64_t ttl_ms) {
  roost_pack_number number = {.is_integer = true, .integer = by};
  const char *why = NULL;
  int status = roost_store_incr(f->store, roost_slice_text(key), &number, ttl_ms, &why);
  assert_int_equal(status, 0);
  assert_true(number.is_integer);
  return number.integer;
}

/* ------------------------------------------------------------------------- one thread -------- */

static void set_get_delete(void **state) {
  (void)state;
  fixture f;
  init(&f);
  expect(&f, KEY, NULL);
  assert_false(roost_store_delete(f.store, KEY));
  assert_int_equal(set_text(&f, "key", "one", 0), 0);
  expect(&f, KEY, "one");
  assert_int_equal(set_text(&f, "key", "another", 0), 0);
  expect(&f, KEY, "another");
  assert_int_equal(keys_of(&f), 1);
  assert_int_equal(roost_store_set(f.store, ROOST_SLICE("key\0x"), ROOST_SLICE(""), 0), 0);
  assert_int_equal(roost_store_set(f.store, ROOST_SLICE(""), ROOST_SLICE("empty"), 0), 0);
  expect(&f, ROOST_SLICE("key\0x"), "");
  expect(&f, ROOST_SLICE(""), "empty");
  expect(&f, KEY, "another");
  assert_int_equal(keys_of(&f), 3);
  assert_true(roost_store_delete(f.store, KEY));
  assert_false(roost_store_delete(f.store, KEY));
  expect(&f, KEY, NULL);
  expect(&f, ROOST_SLICE("key\0x"), "");
  /* get appends */
  roost_buffer_clear(&f.out);
  assert_int_equal(roost_buffer_append(&f.out, "keep:", 5), 0);
  assert_int_equal(roost_store_get(f.store, ROOST_SLICE(""), &f.out), 1);
  assert_int_equal(f.out.len, 10);
  assert_memory_equal(f.out.ptr, "keep:empty", 10);
  deinit(&f);
}

static void add_only_where_nothing_is(void **state) {
  (void)state;
  fixture f;
  init(&f);
  assert_int_equal(roost_store_add(f.store, KEY, ROOST_SLICE("a"), 10), 1);
  assert_int_equal(roost_store_add(f.store, KEY, ROOST_SLICE("b"), 10), 0);
  expect(&f, KEY, "a");
  roost_clock_advance_ms(&f.clock, 10);
  assert_int_equal(roost_store_add(f.store, KEY, ROOST_SLICE("c"), 0), 1);
  expect(&f, KEY, "c");
  deinit(&f);
}

static void a_value_lives_its_time(void **state) {
  (void)state;
  fixture f;
  init(&f);
  assert_int_equal(set_text(&f, "key", "a", 10), 0);
  roost_clock_advance_ms(&f.clock, 9);
  expect(&f, KEY, "a");
  roost_clock_advance_ms(&f.clock, 1);
  expect(&f, KEY, NULL);
  assert_int_equal(bytes_of(&f), 0);
  assert_false(roost_store_delete(f.store, KEY));
  /* Begun within a millisecond, it ends with the first one that is not too early. */
  f.clock.now_us += 1;
  assert_int_equal(set_text(&f, "key", "b", 1), 0);
  f.clock.now_us += 999;
  expect(&f, KEY, "b");
  f.clock.now_us += 1000;
  expect(&f, KEY, NULL);
  /* Set again it has a new time to live, or none. */
  assert_int_equal(set_text(&f, "key", "c", 10), 0);
  assert_int_equal(set_text(&f, "key", "d", 50), 0);
  roost_clock_advance_ms(&f.clock, 20);
  expect(&f, KEY, "d");
  assert_int_equal(set_text(&f, "key", "e", 0), 0);
  roost_clock_advance_ms(&f.clock, 1000000);
  expect(&f, KEY, "e");
  assert_int_equal(set_text(&f, "key", "f", UINT64_MAX), 0);
  roost_clock_advance_ms(&f.clock, 1000000);
  expect(&f, KEY, "f");
  deinit(&f);
}

static void integers_stay_exact(void **state) {
  (void)state;
  fixture f;
  const char *why = NULL;
  init(&f);
  assert_int_equal(incr_by(&f, "n", 5, 0), 5);
  assert_int_equal(incr_by(&f, "n", -7, 0), -2);
  assert_int_equal(incr_by(&f, "big", INT64_MAX - 1, 0), INT64_MAX - 1);
  assert_true(incr_by(&f, "big", 1, 0) == INT64_MAX);
  roost_pack_number by = {.is_integer = true, .integer = 1};
  assert_int_equal(roost_store_incr(f.store, ROOST_SLICE("big"), &by, 0, &why), ROOST_EINVAL);
  assert_string_equal(why, "the sum does not fit an integer");
  assert_int_equal(by.integer, 1);
  assert_true(incr_by(&f, "big", 0, 0) == INT64_MAX);
  by = (roost_pack_number){.real = 0.5};
  assert_int_equal(roost_store_incr(f.store, ROOST_SLICE("n"), &by, 0, &why), 0);
  assert_true(!by.is_integer && by.real == -1.5);
  by = (roost_pack_number){.is_integer = true, .integer = 2};
  assert_int_equal(roost_store_incr(f.store, ROOST_SLICE("n"), &by, 0, &why), 0);
  assert_true(!by.is_integer && by.real == 0.5);
  assert_int_equal(set_text(&f, "text", "7", 0), 0);
  assert_int_equal(roost_store_incr(f.store, ROOST_SLICE("text"), &by, 0, &why), ROOST_EINVAL);
  assert_string_equal(why, "it is not a number");
  expect(&f, ROOST_SLICE("text"), "7");
  deinit(&f);
}

static void a_window_begins_with_its_first_increment(void **state) {
  (void)state;
  fixture f;
  init(&f);
  assert_int_equal(incr_by(&f, "n", 1, 10), 1);
  roost_clock_advance_ms(&f.clock, 9);
  assert_int_equal(incr_by(&f, "n", 1, 10), 2);
  assert_int_equal(incr_by(&f, "n", 1, 0), 3);
  roost_clock_advance_ms(&f.clock, 1);
  assert_int_equal(incr_by(&f, "n", 1, 10), 1);
  deinit(&f);
}

static void expect_keys(fixture *f, const char *prefix, const char *const *keys, size_t count) {
  roost_buffer expected;
  roost_buffer_init(&expected, roost_alloc_default());
  assert_int_equal(roost_pack_begin_list(&expected, count), 0);
  for (size_t i = 0; i < count; i++)
    assert_int_equal(roost_pack_write_text(&expected, roost_slice_text(keys[i])), 0);
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_store_keys(f->store, roost_slice_text(prefix), &f->out), 0);
  assert_int_equal(f->out.len, expected.len);
  assert_memory_equal(f->out.ptr, expected.ptr, expected.len);
  roost_buffer_deinit(&expected);
}

static void keys_are_sorted_and_live(void **state) {
  (void)state;
  fixture f;
  init(&f);
  expect_keys(&f, "", NULL, 0);
  static const char *const names[] = {
      "", "\x01", "A", "a", "a:", "a:1", "a:10", "a:2", "b", "\xff"};
  for (size_t i = 10; i > 0; i--)
    assert_int_equal(set_text(&f, names[i - 1], "x", 0), 0);
  assert_int_equal(set_text(&f, "a:gone", "x", 5), 0);
  roost_clock_advance_ms(&f.clock, 5);
  expect_keys(&f, "", names, 10);
  expect_keys(&f, "a", names + 3, 5);
  expect_keys(&f, "a:", names + 4, 4);
  expect_keys(&f, "a:10", names + 6, 1);
  expect_keys(&f, "c", NULL, 0);
  deinit(&f);
}

static void any_number_of_keys(void **state) {
  (void)state;
  fixture f;
  char key[32];
  init(&f);
  roost_store_set_limit(f.store, 0);
  for (int i = 0; i < 20000; i++) {
    snprintf(key, sizeof key, "k%d", i);
    assert_int_equal(incr_by(&f, key, i, i % 2 ? 100 : 0), i);
  }
  assert_int_equal(keys_of(&f), 20000);
  for (int i = 0; i < 20000; i += 97) {
    snprintf(key, sizeof key, "k%d", i);
    assert_int_equal(incr_by(&f, key, 0, 0), i);
  }
  size_t bytes = bytes_of(&f);
  roost_clock_advance_ms(&f.clock, 100);
  assert_int_equal(keys_of(&f), 10000);
  assert_true(bytes_of(&f) < bytes / 2); /* what expires takes more */
  for (int i = 0; i < 20000; i += 2) {
    snprintf(key, sizeof key, "k%d", i);
    assert_true(roost_store_delete(f.store, roost_slice_text(key)));
  }
  assert_int_equal(bytes_of(&f), 0);
  deinit(&f);
}

/* Sets, removals and time against an array. */
static void agrees_with_a_model(void **state) {
  (void)state;
  fixture f;
  char key[16];
  char value[16];
  struct {
    int value; /* 0: none */
    uint64_t until_ms;
  } model[50] = {{0}};
  init(&f);
  srand(1);
  for (int step = 1; step < 50000; step++) {
    uint64_t now_ms = f.clock.now_us / 1000;
    int at = rand() % 50;
    uint64_t ttl_ms = (uint64_t)(rand() % 20);
    snprintf(key, sizeof key, "%d", at);
    snprintf(value, sizeof value, "%d", step);
    bool live = model[at].value != 0 && model[at].until_ms > now_ms;
    int kind = rand() % 4;
    if (kind == 0) {
      roost_clock_advance_ms(&f.clock, (uint64_t)(rand() % 3));
      continue;
    } else if (kind == 1) {
      assert_int_equal(roost_store_delete(f.store, roost_slice_text(key)), live);
      model[at].value = 0;
    } else if (kind == 2 || !live) {
      int status = kind == 2 ? set_text(&f, key, value, ttl_ms)
                             : roost_store_add(f.store, roost_slice_text(key),
                                               roost_slice_text(value), ttl_ms);
      assert_int_equal(status, kind == 2 ? 0 : 1);
      model[at].value = step;
      model[at].until_ms = ttl_ms > 0 ? now_ms + ttl_ms : UINT64_MAX;
    } else {
      snprintf(value, sizeof value, "%d", model[at].value);
      expect(&f, roost_slice_text(key), value);
    }
  }
  deinit(&f);
}

/* ------------------------------------------------------------------------- the limit --------- */

static void over_the_limit_nothing_changes(void **state) {
  (void)state;
  fixture f;
  const char *why;
  roost_pack_number by = {.is_integer = true, .integer = 1};
  init(&f);
  assert_int_equal(set_sized(&f, "a", 100), 0);
  size_t each = bytes_of(&f);
  assert_true(each > 101 && each < 200);
  roost_store_set_limit(f.store, 3 * each);
  assert_int_equal(set_sized(&f, "b", 100), 0);
  assert_int_equal(set_sized(&f, "c", 100), 0);
  assert_int_equal(bytes_of(&f), 3 * each);
  assert_int_equal(set_sized(&f, "d", 0), ROOST_EFULL);
  assert_int_equal(roost_store_add(f.store, ROOST_SLICE("d"), ROOST_SLICE(""), 0), ROOST_EFULL);
  assert_int_equal(roost_store_incr(f.store, ROOST_SLICE("d"), &by, 0, &why), ROOST_EFULL);
  assert_int_equal(set_sized(&f, "b", 101), ROOST_EFULL);
  assert_int_equal(roost_store_add(f.store, ROOST_SLICE("b"), ROOST_SLICE(""), 0), 0);
  assert_int_equal(keys_of(&f), 3);
  assert_int_equal(bytes_of(&f), 3 * each);
  roost_buffer_clear(&f.out);
  assert_int_equal(roost_store_get(f.store, ROOST_SLICE("b"), &f.out), 1);
  assert_int_equal(f.out.len, 100);
  /* As large or smaller goes, and makes room for a larger one. */
  assert_int_equal(set_sized(&f, "b", 100), 0);
  assert_int_equal(set_sized(&f, "b", 60), 0);
  assert_int_equal(set_sized(&f, "c", 140), 0);
  assert_int_equal(bytes_of(&f), 3 * each);
  assert_int_equal(set_sized(&f, "c", 141), ROOST_EFULL);
  /* A lower limit takes nothing away. */
  roost_store_set_limit(f.store, each);
  assert_int_equal(set_sized(&f, "c", 142), ROOST_EFULL);
  assert_int_equal(set_sized(&f, "c", 139), 0);
  assert_int_equal(keys_of(&f), 3);
  roost_store_set_limit(f.store, 0);
  assert_int_equal(set_sized(&f, "c", 100000), 0);
  deinit(&f);
}

static void what_has_expired_makes_room(void **state) {
  (void)state;
  fixture f;
  char key[16];
  init(&f);
  int held = 0;
  roost_store_set_limit(f.store, 20000);
  for (; set_text(&f, (snprintf(key, sizeof key, "%d", held), key), "value", 10) == 0; held++)
    ;
  assert_true(held > 100);
  assert_int_equal(set_sized(&f, "x", 200), ROOST_EFULL);
  roost_clock_advance_ms(&f.clock, 9);
  assert_int_equal(set_sized(&f, "x", 200), ROOST_EFULL);
  roost_clock_advance_ms(&f.clock, 1);
  assert_int_equal(set_sized(&f, "x", 19000), 0); /* of which all shards have to give up theirs */
  assert_int_equal(keys_of(&f), 1);
  deinit(&f);
}

/* Keys that are set once and never asked for again do not stay for ever, limit or not. */
static void memory_comes_back_without_a_limit(void **state) {
  (void)state;
  fixture f;
  char key[32];
  init(&f);
  roost_store_set_limit(f.store, 0);
  size_t most = 0;
  for (int i = 0; i < 50000; i++) {
    snprintf(key, sizeof key, "session:%d", i);
    assert_int_equal(set_text(&f, key, "value", 100), 0);
    if (i % 10 == 0)
      roost_clock_advance_ms(&f.clock, 1);
    if (f.probe.bytes > most)
      most = f.probe.bytes;
  }
  roost_clock_advance_ms(&f.clock, 100);
  assert_int_equal(keys_of(&f), 0);
  assert_true(most - f.probe.bytes < 1500 * 200); /* at most 1,000 live at a time */
  deinit(&f);
}

/* ------------------------------------------------------------------------- memory ------------ */

static void out_of_memory_at_every_allocation(void **state) {
  (void)state;
  int done = 0;
  for (size_t n = 0; done < 7; n++) {
    fixture f;
    const char *why;
    roost_pack_number by = {.is_integer = true, .integer = 1};
    init(&f);
    assert_int_equal(set_text(&f, "old", "value", 0), 0);
    roost_buffer out;
    roost_buffer_init(&out, &f.probe.alloc);
    f.probe.refuse_after = n;
    done = 0;
    done += set_text(&f, "old", "new", 0) == 0;
    done += set_text(&f, "key", "a", 10) == 0;
    done += roost_store_add(f.store, ROOST_SLICE("added"), ROOST_SLICE("b"), 0) == 1;
    done += roost_store_incr(f.store, ROOST_SLICE("n"), &by, 0, &why) == 0;
    done += roost_store_keys(f.store, ROOST_SLICE(""), &out) == 0;
    assert_true(done == 5 || out.len == 0);
    done += roost_store_get(f.store, ROOST_SLICE("old"), &out) == 1;
    for (int i = 0; i < 300; i++) { /* more than the buckets to begin with */
      char key[16];
      snprintf(key, sizeof key, "%d", i);
      if (set_text(&f, key, "", 0) == 0)
        done += i == 299;
    }
    f.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    if (n == 0) {
      assert_int_equal(done, 0);
      expect(&f, ROOST_SLICE("old"), "value");
      assert_int_equal(keys_of(&f), 1);
    }
    roost_buffer_deinit(&out);
    deinit(&f);
    assert_true(n < 2000);
  }
}

static int broken_chance(void *out, size_t len) {
  (void)out;
  (void)len;
  return ROOST_ESYSTEM;
}

static void making_one_can_fail(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_store *store;
  const roost_clock clock = {.fake = true};
  roost_alloc_probe_init(&probe);
  roost_store_config config = {&probe.alloc, &clock, broken_chance};
  assert_int_equal(roost_store_new(&store, &config), ROOST_ESYSTEM);
  assert_null(store);
  probe.refuse_after = 0;
  config.random_bytes = no_chance;
  assert_int_equal(roost_store_new(&store, &config), ROOST_ENOMEM);
  assert_null(store);
  assert_int_equal(probe.bytes, 0);
  roost_store_free(NULL);
}

/* ------------------------------------------------------------------------- threads ----------- */

#define THREADS 4
#define ROUNDS  40
#define TIMES   250 /* of everything, per round */
#define WINDOWS 8   /* keys that expire */

typedef struct crowd {
  roost_alloc alloc; /* counts, for any thread */
  atomic_size_t bytes;
  roost_clock clock;
  roost_store *store;
  pthread_barrier_t barrier;
  atomic_int added[ROUNDS][WINDOWS];
  atomic_int returned[THREADS * ROUNDS * TIMES + 1]; /* how often incr gave this */
  atomic_int stored;                                 /* keys that fit */
  atomic_int inside;                                 /* threads that have the last place */
} crowd;

typedef struct member {
  crowd *all;
  int number;
  pthread_t thread;
} member;

static void *counted_resize(void *ud, void *ptr, size_t old_size, size_t new_size) {
  atomic_fetch_add(&((crowd *)ud)->bytes, new_size - old_size);
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_size);
}

static void crowd_init(crowd *all, bool fake) {
  memset(all, 0, sizeof *all);
  all->alloc = (roost_alloc){counted_resize, all};
  all->clock = (roost_clock){.fake = fake, .now_us = 1000000};
  const roost_store_config config = {&all->alloc, &all->clock, no_chance};
  assert_int_equal(roost_store_new(&all->store, &config), 0);
  assert_int_equal(pthread_barrier_init(&all->barrier, NULL, THREADS), 0);
}

static void crowd_run(crowd *all, void *(*fn)(void *)) {
  member members[THREADS];
  for (int i = 0; i < THREADS; i++) {
    members[i].all = all;
    members[i].number = i;
    assert_int_equal(pthread_create(&members[i].thread, NULL, fn, &members[i]), 0);
  }
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_join(members[i].thread, NULL), 0);
}

static void crowd_deinit(crowd *all) {
  roost_store_free(all->store);
  pthread_barrier_destroy(&all->barrier);
  assert_int_equal(all->bytes, 0);
}

static int64_t crowd_incr(crowd *all, const char *key, int64_t by, uint64_t ttl_ms) {
  roost_pack_number number = {.is_integer = true, .integer = by};
  const char *why;
  if (roost_store_incr(all->store, roost_slice_text(key), &number, ttl_ms, &why) != 0)
    abort(); /* cmocka's asserts are for the main thread */
  return number.integer;
}

/* One round of one thread: counters that stay, counters and locks that live for the round. */
static void mix(const member *self, int round) {
  crowd *all = self->all;
  char key[32];
  roost_buffer out;
  roost_buffer_init(&out, &all->alloc);
  for (int i = 0; i < TIMES; i++) {
    crowd_incr(all, "total", 1, 0);
    crowd_incr(all, "zero", i % 2 ? -self->number : self->number, 0);
    snprintf(key, sizeof key, "window:%d", i % WINDOWS);
    crowd_incr(all, key, 1, 10);
    snprintf(key, sizeof key, "lock:%d", i % WINDOWS);
    if (roost_store_add(all->store, roost_slice_text(key), ROOST_SLICE("x"), 10) == 1)
      atomic_fetch_add(&all->added[round][i % WINDOWS], 1);
    snprintf(key, sizeof key, "own:%d:%d", self->number, i);
    if (roost_store_set(all->store, roost_slice_text(key), ROOST_SLICE("y"), i % 3 ? 10 : 0) != 0)
      abort();
    roost_buffer_clear(&out);
    if (roost_store_get(all->store, roost_slice_text(key), &out) != 1 || out.len != 1)
      abort();
    if (i % 5 == 0 && !roost_store_delete(all->store, roost_slice_text(key)))
      abort();
    roost_buffer_clear(&out);
    if (i % 50 == 0 && roost_store_keys(all->store, ROOST_SLICE("own:"), &out) != 0)
      abort();
  }
  roost_buffer_deinit(&out);
}

/* Time moves between rounds, when nobody looks at it. */
static void *run_rounds(void *ud) {
  const member *self = ud;
  crowd *all = self->all;
  char key[32];
  for (int round = 0; round < ROUNDS; round++) {
    mix(self, round);
    pthread_barrier_wait(&all->barrier);
    if (self->number == 0) {
      int64_t sum = 0;
      for (int i = 0; i < WINDOWS; i++) {
        snprintf(key, sizeof key, "window:%d", i);
        sum += crowd_incr(all, key, 0, 10);
      }
      if (sum != THREADS * TIMES)
        abort();
      roost_clock_advance_ms(&all->clock, 10);
    }
    pthread_barrier_wait(&all->barrier);
  }
  return NULL;
}

static void four_threads_are_exact(void **state) {
  (void)state;
  static crowd all;
  roost_store_stats stats;
  crowd_init(&all, true);
  crowd_run(&all, run_rounds);
  assert_int_equal(crowd_incr(&all, "total", 0, 0), THREADS * ROUNDS * TIMES);
  assert_int_equal(crowd_incr(&all, "zero", 0, 0), 0);
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < WINDOWS; i++)
      assert_int_equal(all.added[round][i], 1);
  roost_store_read_stats(all.store, &stats);
  /* total, zero, and of each thread's own keys every third, less every fifteenth */
  assert_int_equal(stats.keys, 2 + THREADS * ((TIMES + 2) / 3 - (TIMES + 14) / 15));
  crowd_deinit(&all);
}

/* By a real clock, windows end while others count in them. */
static void *run_windows(void *ud) {
  const member *self = ud;
  crowd *all = self->all;
  for (int i = 0; i < ROUNDS * TIMES; i++)
    atomic_fetch_add(&all->returned[crowd_incr(all, "window", 1, 1)], 1);
  return NULL;
}

static void windows_end_while_others_count(void **state) {
  (void)state;
  static crowd all;
  crowd_init(&all, false);
  crowd_run(&all, run_windows);
  /* Each window gave 1, 2, ... up to some number, each once: none gave more often what comes
   * later, and nothing is missing. */
  int sum = all.returned[1];
  for (int n = 2; n <= THREADS * ROUNDS * TIMES; n++) {
    assert_true(all.returned[n] <= all.returned[n - 1]);
    sum += all.returned[n];
  }
  assert_int_equal(sum, THREADS * ROUNDS * TIMES);
  assert_int_equal(all.returned[0], 0);
  crowd_deinit(&all);
}

static void *run_filling(void *ud) {
  const member *self = ud;
  crowd *all = self->all;
  char key[32];
  for (int i = 0; i < ROUNDS * TIMES; i++) {
    snprintf(key, sizeof key, "%d:%06d", self->number, i);
    int status = roost_store_set(all->store, roost_slice_text(key), ROOST_SLICE("value"), 0);
    if (status == 0)
      atomic_fetch_add(&all->stored, 1);
    else if (status != ROOST_EFULL)
      abort();
  }
  return NULL;
}

/* There is room for one more key, and all want it. */
static void *run_pushing(void *ud) {
  const member *self = ud;
  crowd *all = self->all;
  char key[32];
  snprintf(key, sizeof key, "%d:%06d", self->number, ROUNDS * TIMES);
  for (int i = 0; i < ROUNDS * TIMES; i++) {
    if (roost_store_set(all->store, roost_slice_text(key), ROOST_SLICE("value"), 0) != 0)
      continue;
    if (atomic_fetch_add(&all->inside, 1) != 0)
      abort();
    atomic_fetch_sub(&all->inside, 1);
    if (!roost_store_delete(all->store, roost_slice_text(key)))
      abort();
  }
  return NULL;
}

static void the_limit_holds_for_all_together(void **state) {
  (void)state;
  static crowd all;
  roost_store_stats stats;
  const size_t limit = 100000;
  crowd_init(&all, true);
  roost_store_set_limit(all.store, limit);
  crowd_run(&all, run_filling);
  roost_store_read_stats(all.store, &stats);
  assert_int_equal(stats.keys, all.stored);
  assert_true(stats.bytes <= limit);
  assert_true(stats.bytes + stats.bytes / stats.keys > limit); /* not one more would fit */
  roost_store_set_limit(all.store, stats.bytes + stats.bytes / stats.keys);
  crowd_run(&all, run_pushing);
  crowd_deinit(&all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(set_get_delete),
      cmocka_unit_test(add_only_where_nothing_is),
      cmocka_unit_test(a_value_lives_its_time),
      cmocka_unit_test(integers_stay_exact),
      cmocka_unit_test(a_window_begins_with_its_first_increment),
      cmocka_unit_test(keys_are_sorted_and_live),
      cmocka_unit_test(any_number_of_keys),
      cmocka_unit_test(agrees_with_a_model),
      cmocka_unit_test(over_the_limit_nothing_changes),
      cmocka_unit_test(what_has_expired_makes_room),
      cmocka_unit_test(memory_comes_back_without_a_limit),
      cmocka_unit_test(out_of_memory_at_every_allocation),
      cmocka_unit_test(making_one_can_fail),
      cmocka_unit_test(four_threads_are_exact),
      cmocka_unit_test(windows_end_while_others_count),
      cmocka_unit_test(the_limit_holds_for_all_together),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
