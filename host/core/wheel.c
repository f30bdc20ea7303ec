#include "core/wheel.h"

#define SLOT_BITS 6
#define LAST_MS   (((uint64_t)1 << (SLOT_BITS * ROOST_WHEEL_LEVELS)) - 1)

/*
 * A timer's place follows from its due time and the wheel's now alone: the level is the highest
 * group of SLOT_BITS bits in which they differ, the slot is the due time's value of that group.
 * Hence all timers of a lower level are due before those of a higher one, a level's slots are due
 * in order, and at level 0 a slot is one millisecond. Time moves from one used slot to the next:
 * at level 0 its timers run, at the others they move down. Timers that became due while others
 * ran (delay 0) stand in the slot of now.
 * A slot's list is in order of sequence: whatever is started for a slot's time after time has
 * entered its parent slot comes after what moved down from there.
 */
typedef struct place {
  unsigned level;
  unsigned slot;
} place;

static place find_place(const roost_wheel *wheel, uint64_t due_ms) {
  if (due_ms <= wheel->now_ms)
    return (place){0, wheel->now_ms % ROOST_WHEEL_SLOTS};
  const unsigned bit = 63u - (unsigned)__builtin_clzll(due_ms ^ wheel->now_ms);
  const unsigned level = bit / SLOT_BITS;
  return (place){level, (due_ms >> (level * SLOT_BITS)) % ROOST_WHEEL_SLOTS};
}

static void insert(roost_wheel *wheel, roost_timer *timer) {
  const place at = find_place(wheel, timer->due_ms);
  roost_list_append(&wheel->slots[at.level][at.slot], &timer->link);
  wheel->used[at.level] |= (uint64_t)1 << at.slot;
}

/* Moves a slot's timers to the end of list. */
static void take(roost_wheel *wheel, place at, roost_list *list) {
  roost_list_move(list, &wheel->slots[at.level][at.slot]);
  wheel->used[at.level] &= ~((uint64_t)1 << at.slot);
}

/* The used slot that is due first, false when there is none. */
static bool find_first(const roost_wheel *wheel, place *at, uint64_t *start_ms) {
  for (unsigned level = 0; level < ROOST_WHEEL_LEVELS; level++) {
    if (wheel->used[level] == 0)
      continue;
    const unsigned shift = level * SLOT_BITS;
    const uint64_t above = wheel->now_ms >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
    at->level = level;
    at->slot = (unsigned)__builtin_ctzll(wheel->used[level]);
    *start_ms = above | (uint64_t)at->slot << shift;
    return true;
  }
  return false;
}

void roost_wheel_init(roost_wheel *wheel, uint64_t now_ms) {
  *wheel = (roost_wheel){.now_ms = now_ms};
  for (size_t level = 0; level < ROOST_WHEEL_LEVELS; level++)
    for (size_t slot = 0; slot < ROOST_WHEEL_SLOTS; slot++)
      roost_list_init(&wheel->slots[level][slot]);
}

void roost_timer_init(roost_timer *timer, void (*fn)(roost_timer *timer)) {
  *timer = (roost_timer){.fn = fn};
  roost_list_init(&timer->link);
}

void roost_timer_start(roost_wheel *wheel, roost_timer *timer, uint64_t delay_ms) {
  roost_timer_stop(wheel, timer);
  timer->due_ms = delay_ms < LAST_MS - wheel->now_ms ? wheel->now_ms + delay_ms : LAST_MS;
  timer->sequence = wheel->sequence++;
  wheel->count++;
  insert(wheel, timer);
}

void roost_timer_stop(roost_wheel *wheel, roost_timer *timer) {
  if (!roost_timer_running(timer))
    return;
  const place at = find_place(wheel, timer->due_ms);
  roost_list_remove(&timer->link);
  if (roost_list_empty(&wheel->slots[at.level][at.slot]))
    wheel->used[at.level] &= ~((uint64_t)1 << at.slot);
  wheel->count--;
}

static void run(roost_wheel *wheel, roost_list *due) {
  while (!roost_list_empty(due)) {
    roost_timer *timer = ROOST_LIST_ENTRY(due->next, roost_timer, link);
    roost_list_remove(&timer->link);
    wheel->count--;
    timer->fn(timer);
  }
}

void roost_wheel_advance(roost_wheel *wheel, uint64_t now_ms) {
  roost_list list;  /* of the slot at hand */
  roost_list later; /* started with no delay while others ran */
  place at;
  uint64_t start_ms;
  roost_list_init(&list);
  roost_list_init(&later);
  if (now_ms < wheel->now_ms)
    now_ms = wheel->now_ms;
  while (find_first(wheel, &at, &start_ms) && start_ms <= now_ms) {
    wheel->now_ms = start_ms;
    take(wheel, at, &list);
    if (at.level == 0) {
      run(wheel, &list);
      take(wheel, at, &later);
      continue;
    }
    while (!roost_list_empty(&list)) {
      roost_timer *timer = ROOST_LIST_ENTRY(list.next, roost_timer, link);
      roost_list_remove(&timer->link);
      insert(wheel, timer);
    }
  }
  wheel->now_ms = now_ms;
  if (roost_list_empty(&later))
    return;
  at = find_place(wheel, now_ms);
  roost_list_move(&wheel->slots[at.level][at.slot], &later);
  wheel->used[at.level] |= (uint64_t)1 << at.slot;
}

uint64_t roost_wheel_wake_ms(const roost_wheel *wheel) {
  place at;
  uint64_t start_ms;
  return find_first(wheel, &at, &start_ms) ? start_ms : UINT64_MAX;
}

uint64_t roost_wheel_next_ms(const roost_wheel *wheel) {
  place at;
  uint64_t next_ms;
  if (!find_first(wheel, &at, &next_ms))
    return UINT64_MAX;
  next_ms = UINT64_MAX;
  const roost_list *list = &wheel->slots[at.level][at.slot];
  for (const roost_list *link = list->next; link != list; link = link->next) {
    const roost_timer *timer = ROOST_LIST_ENTRY(link, const roost_timer, link);
    if (timer->due_ms < next_ms)
      next_ms = timer->due_ms;
  }
  return next_ms;
}
