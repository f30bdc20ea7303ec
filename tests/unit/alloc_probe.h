/*
 * alloc_probe.h - a roost_alloc for tests: it can refuse, and it checks every size it is told.
 *
 *     roost_alloc_probe probe;
 *     roost_alloc_probe_init(&probe);
 *     probe.refuse_after = 3;      // the fourth allocation from now is refused, and all after it
 *     ... use &probe.alloc ...
 *     assert_int_equal(probe.bytes, 0);
 *
 * Owned by the test; outlives what was made with it. One thread at a time.
 */
#ifndef ROOST_TESTS_ALLOC_PROBE_H
#define ROOST_TESTS_ALLOC_PROBE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"

#define ROOST_ALLOC_PROBE_NEVER SIZE_MAX

typedef struct roost_alloc_probe {
  roost_alloc alloc;   /* to be handed to what is tested */
  size_t bytes;        /* held now */
  size_t asked;        /* allocations and growths so far */
  size_t refuse_after; /* how many more succeed */
} roost_alloc_probe;

/* Every block starts with its size, so that a wrong old_size is found. */
static inline void *roost_alloc_probe_resize(void *ud, void *ptr, size_t old_size,
                                             size_t new_size) {
  roost_alloc_probe *probe = ud;
  size_t *block = ptr != NULL ? (size_t *)ptr - 2 : NULL;
  assert_int_equal(block != NULL ? *block : 0, old_size);
  if (new_size == 0) {
    probe->bytes -= old_size;
    free(block);
    return NULL;
  }
  if (new_size > old_size) {
    probe->asked++;
    if (probe->refuse_after == 0)
      return NULL;
    if (probe->refuse_after != ROOST_ALLOC_PROBE_NEVER)
      probe->refuse_after--;
  }
  size_t *moved = realloc(block, new_size + 2 * sizeof *moved);
  assert_non_null(moved);
  if (new_size > old_size)
    memset((char *)(moved + 2) + old_size, 0xa5, new_size - old_size);
  probe->bytes += new_size - old_size;
  *moved = new_size;
  return moved + 2;
}

static inline void roost_alloc_probe_init(roost_alloc_probe *probe) {
  *probe = (roost_alloc_probe){.alloc = {roost_alloc_probe_resize, probe},
                               .refuse_after = ROOST_ALLOC_PROBE_NEVER};
}

#endif
