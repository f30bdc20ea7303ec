/*
 * core/cap.h - a roost_alloc with a limit, over another one.
 *
 * The struct is the owner's and outlives all that was allocated by it. Any thread.
 */
#ifndef ROOST_CORE_CAP_H
#define ROOST_CORE_CAP_H

#include <stdatomic.h>

#include "core/alloc.h"

typedef struct roost_cap {
  roost_alloc alloc; /* to be used */
  roost_alloc below;
  size_t limit;
  atomic_size_t held; /* bytes, allocated by alloc and not yet freed */
} roost_cap;

/* limit: bytes, not 0. below is copied. */
void roost_cap_init(roost_cap *cap, const roost_alloc *below, size_t limit);

/* Bytes that are held now. */
size_t roost_cap_held(const roost_cap *cap);

#endif
