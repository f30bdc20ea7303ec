#include "core/slots.h"

#define SMALLEST_CAP 16

void roost_slots_init(roost_slots *slots, const roost_alloc *alloc) {
  *slots = (roost_slots){.alloc = alloc};
}

void roost_slots_deinit(roost_slots *slots) {
  roost_alloc_put(slots->alloc, slots->slots, slots->cap * sizeof *slots->slots);
  roost_slots_init(slots, slots->alloc);
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
    grown[i - 1] = (roost_slot){.tag = 1, .next = slots->free};
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
  if (++slot->tag == 0)
    slot->tag = 1; /* 0 would make the id of the first slot 0 */
  slot->next = slots->free;
  slots->free = (uint32_t)(slot - slots->slots) + 1;
  slots->count--;
}
