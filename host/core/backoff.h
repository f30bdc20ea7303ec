/*
 * core/backoff.h - how long to wait before something is tried again.
 */
#ifndef ROOST_CORE_BACKOFF_H
#define ROOST_CORE_BACKOFF_H

#include <stdint.h>

/* No wait is longer, but for a first one that is. */
#define ROOST_BACKOFF_LONGEST_MS 30000

/* first_ms doubled by each attempt after the first, and between half of that and all of it, so that
 * not all who wait try at once: salt is what tells them and their attempts apart. Any thread. */
static inline uint64_t roost_backoff_ms(uint64_t first_ms, unsigned attempts, uint64_t salt) {
  uint64_t ms = first_ms;
  for (unsigned i = 1; i < attempts && ms < ROOST_BACKOFF_LONGEST_MS; i++)
    ms *= 2;
  if (ms > ROOST_BACKOFF_LONGEST_MS && ms > first_ms)
    ms = ROOST_BACKOFF_LONGEST_MS;
  return ms < 2 ? ms : ms - ((salt * 2654435761u) >> 7) % (ms / 2 + 1);
}

#endif
