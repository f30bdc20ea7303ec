#include "transport/rmq_confirm.h"

#include <string.h>

#define KEEP_BYTES 4096

static roost_rmq_confirm *list_of(const roost_rmq_confirms *confirms) {
  return (roost_rmq_confirm *)(void *)confirms->all.ptr;
}

static size_t count_of(const roost_rmq_confirms *confirms) {
  return confirms->all.len / sizeof(roost_rmq_confirm);
}

void roost_rmq_confirms_init(roost_rmq_confirms *confirms, const roost_alloc *alloc) {
  *confirms = (roost_rmq_confirms){.last = 0};
  roost_buffer_init(&confirms->all, alloc);
}

void roost_rmq_confirms_deinit(roost_rmq_confirms *confirms) {
  roost_buffer_deinit(&confirms->all);
}

void roost_rmq_confirms_clear(roost_rmq_confirms *confirms) {
  confirms->last = 0;
  confirms->first = 0;
  roost_buffer_clear(&confirms->all);
  roost_buffer_trim(&confirms->all, KEEP_BYTES);
}

/* Lets go of those at the front that were told of; moving the rest costs each no more than once. */
static void forget_told(roost_rmq_confirms *confirms) {
  const roost_rmq_confirm *list = list_of(confirms);
  const size_t count = count_of(confirms);
  while (confirms->first < count && list[confirms->first].len == 0)
    confirms->first++;
  if (confirms->first == count || confirms->first >= count / 2 + 64) {
    roost_buffer_consume(&confirms->all, confirms->first * sizeof *list);
    confirms->first = 0;
    roost_buffer_trim(&confirms->all, KEEP_BYTES);
  }
}

int roost_rmq_confirms_reserve(roost_rmq_confirms *confirms) {
  return roost_buffer_reserve(&confirms->all, sizeof(roost_rmq_confirm));
}

void roost_rmq_confirms_add(roost_rmq_confirms *confirms, roost_slice id) {
  roost_rmq_confirm one = {.tag = ++confirms->last};
  if (id.ptr == NULL || id.len > sizeof one.id)
    return;
  one.len = (uint8_t)id.len;
  memcpy(one.id, id.ptr, id.len);
  (void)roost_buffer_append(&confirms->all, &one, sizeof one); /* there is room */
}

/* The first from where all begin whose tag is not below that one. */
static size_t find(const roost_rmq_confirms *confirms, uint64_t tag) {
  size_t low = confirms->first;
  size_t high = count_of(confirms);
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (list_of(confirms)[middle].tag < tag)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

bool roost_rmq_confirms_take(roost_rmq_confirms *confirms, uint64_t tag, bool multiple,
                             char id[ROOST_RMQ_CONFIRM_ID], roost_slice *out) {
  const size_t at = multiple ? confirms->first : find(confirms, tag);
  if (at >= count_of(confirms))
    return false;
  roost_rmq_confirm *one = &list_of(confirms)[at];
  if (one->len == 0 || (multiple ? one->tag > tag : one->tag != tag))
    return false;
  memcpy(id, one->id, one->len);
  *out = (roost_slice){id, one->len};
  one->len = 0;
  forget_told(confirms);
  return true;
}
