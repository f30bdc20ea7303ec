#include "core/clock.h"

#include <time.h>

static uint64_t read_us(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t roost_clock_now_us(const roost_clock *clock) {
  return clock->fake ? clock->now_us : read_us(CLOCK_MONOTONIC) + clock->ahead_us;
}

uint64_t roost_clock_wall_us(const roost_clock *clock) {
  return clock->fake ? clock->wall_us : read_us(CLOCK_REALTIME);
}

uint64_t roost_clock_real_us(void) {
  return read_us(CLOCK_MONOTONIC);
}

uint64_t roost_clock_thread_us(void) {
  return read_us(CLOCK_THREAD_CPUTIME_ID);
}

void roost_clock_advance_ms(roost_clock *clock, uint64_t ms) {
  clock->now_us += ms * 1000;
  clock->wall_us += ms * 1000;
}

static uint64_t whole_ms(uint64_t us) {
  return (us + 999) / 1000 * 1000;
}

/* A fake clock begins at a whole millisecond: time and timers, which count in these, agree. */
void roost_clock_set_fake(roost_clock *clock, bool fake) {
  if (clock->fake == fake)
    return;
  const uint64_t now_us = whole_ms(roost_clock_now_us(clock));
  clock->wall_us = whole_ms(read_us(CLOCK_REALTIME));
  clock->fake = fake;
  clock->now_us = now_us;
  if (!fake)
    clock->ahead_us = now_us - read_us(CLOCK_MONOTONIC);
}
