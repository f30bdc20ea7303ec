/*
 * core/slots.h - tagged slots: numbers for objects, so that a stale number finds nothing.
 *
 * An id is the slot's index and a tag that changes each time the slot is used again; 0 is never
 * an id. A table that a crowd has left gives its memory back. One thread at a time.
 */
#ifndef ROOST_CORE_SLOTS_H
#define ROOST_CORE_SLOTS_H

#include "core/alloc.h"

typedef struct roost_slot {
  void *object;  /* NULL: free */
  uint32_t tag;  /* of the id that is valid now */
  uint32_t next; /* free list: index + 1 of the next free slot, 0 at its end */
} roost_slot;

typedef struct roost_slots {
  roost_slot *slots;
  uint32_t cap;
  uint32_t count;           /* in use */
  uint32_t free;            /* index + 1 of the first free slot, 0: none */
  uint32_t last_tag;        /* of slots that were given back, at most: new ones begin after it */
  const roost_alloc *alloc; /* borrowed */
} roost_slots;

void roost_slots_init(roost_slots *slots, const roost_alloc *alloc);
void roost_slots_deinit(roost_slots *slots);

/* The id for object (not NULL), or 0 when out of memory. */
uint64_t roost_slots_add(roost_slots *slots, void *object);

/* The object, or NULL where id is stale or never was. */
void *roost_slots_get(const roost_slots *slots, uint64_t id);

/* Ends id; a stale one is ignored. */
void roost_slots_remove(roost_slots *slots, uint64_t id);

#endif
