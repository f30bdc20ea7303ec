/*
 * core/wheel.h - the timer wheel: starting and stopping a timer costs the same however many run.
 *
 * Timers are intrusive; the wheel owns none of them. Due timers run in order of their due time,
 * equal ones in the order they were started. A timer's function may start and stop any timer,
 * also itself, and may free its own; for it the wheel's now is the time it was due, also where the
 * wheel is advanced further. Times are milliseconds of the clock the wheel is advanced with, below
 * 2^48: a longer delay ends there. One thread at a time.
 */
#ifndef ROOST_CORE_WHEEL_H
#define ROOST_CORE_WHEEL_H

#include "core/alloc.h"
#include "core/list.h"

#define ROOST_WHEEL_LEVELS 8 /* of 64 slots each: 8,900 years */
#define ROOST_WHEEL_SLOTS  64

typedef struct roost_timer {
  roost_list link;   /* in the wheel's slot; to itself when stopped */
  uint64_t due_ms;   /* when it fires */
  uint64_t sequence; /* order among equals */
  void (*fn)(struct roost_timer *timer);
} roost_timer;

typedef struct roost_wheel {
  uint64_t now_ms;                   /* time it was advanced to */
  uint64_t sequence;                 /* of the next timer started */
  size_t count;                      /* timers running */
  uint64_t used[ROOST_WHEEL_LEVELS]; /* bit per slot that holds timers */
  roost_list slots[ROOST_WHEEL_LEVELS][ROOST_WHEEL_SLOTS];
} roost_wheel;

void roost_wheel_init(roost_wheel *wheel, uint64_t now_ms);

/* Prepares a timer; to be done once before start, stop or running. */
void roost_timer_init(roost_timer *timer, void (*fn)(roost_timer *timer));

/* (Re)starts it to fire delay_ms after the wheel's now; 0 fires at the next advance. */
void roost_timer_start(roost_wheel *wheel, roost_timer *timer, uint64_t delay_ms);

/* Stops it; nothing happens where it is not running. */
void roost_timer_stop(roost_wheel *wheel, roost_timer *timer);

static inline bool roost_timer_running(const roost_timer *timer) {
  return timer->link.next != &timer->link;
}

/* Moves time on (never back) and runs what is due. */
void roost_wheel_advance(roost_wheel *wheel, uint64_t now_ms);

/* Due time of the earliest timer, UINT64_MAX when there is none; exact, and for that it looks at
 * every timer of the first slot. */
uint64_t roost_wheel_next_ms(const roost_wheel *wheel);

/* When to advance next: never after roost_wheel_next_ms, earlier at most once per level and slot;
 * UINT64_MAX when there is no timer. Costs the same however many run: what an event loop sleeps
 * by. */
uint64_t roost_wheel_wake_ms(const roost_wheel *wheel);

#endif
