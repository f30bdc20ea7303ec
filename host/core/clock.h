/*
 * core/clock.h - what time it is, for real or as a test says.
 *
 * Monotonic time starts anywhere and never goes back; wall time is the calendar's (UTC). The
 * struct is the caller's and must outlive those who borrow it. Any thread; a fake clock is moved
 * by one thread only.
 */
#ifndef ROOST_CORE_CLOCK_H
#define ROOST_CORE_CLOCK_H

#include "roost.h"

typedef struct roost_clock {
  bool fake;         /* now_us and wall_us below are the time */
  uint64_t now_us;   /* monotonic, microseconds */
  uint64_t wall_us;  /* since 1970, microseconds */
  uint64_t ahead_us; /* of a real clock: what it is ahead of the system's, having been fake */
} roost_clock;

uint64_t roost_clock_now_us(const roost_clock *clock);
uint64_t roost_clock_wall_us(const roost_clock *clock);

/* Monotonic time, whatever any clock says. */
uint64_t roost_clock_real_us(void);

/* Processor time that the calling thread has used; real whatever the clock is, and dear: about a
 * microsecond. */
uint64_t roost_clock_thread_us(void);

/* Moves a fake clock on. */
void roost_clock_advance_ms(roost_clock *clock, uint64_t ms);

/* Makes it a fake clock, or a real one again; its monotonic time goes on from where it is. */
void roost_clock_set_fake(roost_clock *clock, bool fake);

#endif
