#include "core/slots.h"

#define SMALLEST_CAP 16
#define KEEP_CAP     1024 /* fewer are not given back */

void roost_slots_init(roost_slots *slots, const roost_alloc *alloc) {
  *slots = (roost_slots){.alloc = alloc};
}

void roost_slots_deinit(roost_slots *slots) {
  roost_alloc_put(slots->alloc, slots->slots, slots->cap * sizeof *slots->slots);
  roost_slots_init(slots, slots->alloc);
}

/* 0 would make the id of the first slot 0. */
static uint32_t after(uint32_t tag) {
  return tag + 1 != 0 ? tag + 1 : 1;
}

static int grow(roost_slots *slots) {
  if (slots->cap > UINT32_MAX / 2)
    return ROOST_ENOMEM;
  const uint32_t cap = slots->cap > 0 ? slots->cap * 2 : SMALLEST_CAP;
  roost_slot *grown = roost_alloc_resize(slots->alloc, slots->slots, slots->cap * sizeof *grown,
                                         cap * sizeof *grown);
  if (grown == NULL)
    return ROOST_ENOMEM;
  for (uint32_t i = cap; i > slots->cap; i--) {
    grown[i - 1] = (roost_slot){.tag = after(slots->last_tag), .next = slots->free};
    slots->free = i;
  }
  slots->slots = grown;
  slots->cap = cap;
  return 0;
}

uint64_t roost_slots_add(roost_slots *slots, void *object) {
  if (slots->free == 0 && grow(slots) != 0)
    return 0;
  const uint32_t index = slots->free - 1;
  roost_slot *slot = &slots->slots[index];
  slots->free = slot->next;
  slots->count++;
  slot->object = object;
  return (uint64_t)slot->tag << 32 | index;
}

/* How many slots must stay: half as many again and again while all above are free. */
static uint32_t needed_cap(const roost_slots *slots) {
  uint32_t used = slots->cap;
  while (used > 0 && slots->slots[used - 1].object == NULL)
    used--;
  uint32_t cap = slots->cap;
  while (cap / 2 >= KEEP_CAP && cap / 2 >= used)
    cap /= 2;
  return cap;
}

/* Stale ids of slots that are gone stay stale, since those that come in their place begin with
 * later tags. Where memory is refused nothing changes. */
static void shrink(roost_slots *slots) {
  const uint32_t cap = needed_cap(slots);
  uint32_t last_tag = slots->last_tag;
  if (cap == slots->cap)
    return;
  for (uint32_t i = cap; i < slots->cap; i++)
    if (slots->slots[i].tag > last_tag)
      last_tag = slots->slots[i].tag;
  roost_slot *shrunk = roost_alloc_resize(slots->alloc, slots->slots, slots->cap * sizeof *shrunk,
                                          cap * sizeof *shrunk);
  if (shrunk == NULL)
    return;
  slots->slots = shrunk;
  slots->cap = cap;
  slots->last_tag = last_tag;
  slots->free = 0;
  for (uint32_t i = cap; i > 0; i--) {
    if (shrunk[i - 1].object != NULL)
      continue;
    shrunk[i - 1].next = slots->free;
    slots->free = i;
  }
}

/* Looked at each time the count has halved, so that it costs little. */
static bool may_shrink(const roost_slots *slots) {
  return slots->cap > KEEP_CAP && slots->count <= slots->cap / 8 &&
         (slots->count & (slots->count - 1)) == 0;
}

static roost_slot *find(const roost_slots *slots, uint64_t id) {
  const uint32_t index = (uint32_t)id;
  if (index >= slots->cap)
    return NULL;
  roost_slot *slot = &slots->slots[index];
  return slot->object != NULL && slot->tag == (uint32_t)(id >> 32) ? slot : NULL;
}

void *roost_slots_get(const roost_slots *slots, uint64_t id) {
  const roost_slot *slot = find(slots, id);
  return slot != NULL ? slot->object : NULL;
}

void roost_slots_remove(roost_slots *slots, uint64_t id) {
  roost_slot *slot = find(slots, id);
  if (slot == NULL)
    return;
  slot->object = NULL;
  slot->tag = after(slot->tag);
  slot->next = slots->free;
  slots->free = (uint32_t)(slot - slots->slots) + 1;
  slots->count--;
  if (may_shrink(slots))
    shrink(slots);
}
