#include "core/cap.h"

/* What is to come is counted before it is asked for, so that two threads cannot both take the last
 * of it. */
static void *resize(void *ud, void *ptr, size_t old_size, size_t new_size) {
  roost_cap *cap = ud;
  const size_t more = new_size > old_size ? new_size - old_size : 0;
  if (more > 0) {
    const size_t before = atomic_fetch_add_explicit(&cap->held, more, memory_order_relaxed);
    if (more > cap->limit || before > cap->limit - more) {
      atomic_fetch_sub_explicit(&cap->held, more, memory_order_relaxed);
      return NULL;
    }
  }
  void *moved = cap->below.resize(cap->below.ud, ptr, old_size, new_size);
  if (moved == NULL && new_size > 0)
    atomic_fetch_sub_explicit(&cap->held, more, memory_order_relaxed);
  else if (new_size < old_size)
    atomic_fetch_sub_explicit(&cap->held, old_size - new_size, memory_order_relaxed);
  return moved;
}

void roost_cap_init(roost_cap *cap, const roost_alloc *below, size_t limit) {
  cap->alloc = (roost_alloc){resize, cap};
  cap->below = *below;
  cap->limit = limit;
  atomic_init(&cap->held, 0);
}

size_t roost_cap_held(const roost_cap *cap) {
  return atomic_load_explicit(&cap->held, memory_order_relaxed);
}
