#include "core/meeting.h"

#include <string.h>
#include <time.h>

#include "core/slice.h"

static bool init_changed(pthread_cond_t *changed) {
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes) != 0)
    return false;
  const bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                    pthread_cond_init(changed, &attributes) == 0;
  pthread_condattr_destroy(&attributes);
  return made;
}

int roost_meeting_init(roost_meeting *meeting, const roost_alloc *alloc, size_t size) {
  const size_t bytes = size * sizeof *meeting->guests;
  memset(meeting, 0, sizeof *meeting);
  meeting->alloc = alloc;
  meeting->size = size;
  meeting->guests = roost_alloc_get(alloc, bytes);
  if (meeting->guests == NULL)
    return ROOST_ENOMEM;
  if (pthread_mutex_init(&meeting->mutex, NULL) == 0) {
    if (init_changed(&meeting->changed))
      return 0;
    pthread_mutex_destroy(&meeting->mutex);
  }
  roost_alloc_put(alloc, meeting->guests, bytes);
  return ROOST_ENOMEM;
}

void roost_meeting_deinit(roost_meeting *meeting) {
  pthread_cond_destroy(&meeting->changed);
  pthread_mutex_destroy(&meeting->mutex);
  roost_alloc_put(meeting->alloc, meeting->guests, meeting->size * sizeof *meeting->guests);
}

static struct timespec after(uint64_t ms) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += (time_t)(ms / 1000);
  at.tv_nsec += (long)(ms % 1000) * 1000000;
  if (at.tv_nsec >= 1000000000) {
    at.tv_sec++;
    at.tv_nsec -= 1000000000;
  }
  return at;
}

static void decide(roost_meeting *meeting, bool agreed) {
  meeting->over = true;
  meeting->agreed = agreed;
  pthread_cond_broadcast(&meeting->changed);
}

/* It is over because of this one, unless it is over already. */
static void blame(roost_meeting *meeting, size_t guest, roost_slice why) {
  const size_t len = why.len < sizeof meeting->why ? why.len : sizeof meeting->why - 1;
  if (meeting->over)
    return;
  meeting->culprit = guest;
  if (len > 0)
    memcpy(meeting->why, why.ptr, len);
  meeting->why[len] = '\0';
  decide(meeting, false);
}

/* There is one that has not come so far. */
static size_t first_before(const roost_meeting *meeting, roost_meeting_guest stage) {
  size_t guest = 0;
  while (meeting->guests[guest] >= stage)
    guest++;
  return guest;
}

/* Waits until all have come so far, *count of them by now, or it is over. The mutex is held. */
static void wait_for_all(roost_meeting *meeting, roost_meeting_guest stage, const size_t *count,
                         const struct timespec *until) {
  int failed = 0;
  while (!meeting->over && *count < meeting->size && failed == 0)
    failed = pthread_cond_timedwait(&meeting->changed, &meeting->mutex, until);
  if (!meeting->over && *count < meeting->size)
    blame(meeting, first_before(meeting, stage), (roost_slice){NULL, 0});
}

bool roost_meeting_arrive(roost_meeting *meeting, size_t guest, uint32_t *number,
                          uint64_t within_ms) {
  const struct timespec until = after(within_ms);
  pthread_mutex_lock(&meeting->mutex);
  if (*number > meeting->greatest)
    meeting->greatest = *number;
  meeting->guests[guest] = ROOST_MEETING_ARRIVED;
  if (++meeting->arrived == meeting->size)
    pthread_cond_broadcast(&meeting->changed);
  wait_for_all(meeting, ROOST_MEETING_ARRIVED, &meeting->arrived, &until);
  const bool goes_on = meeting->arrived == meeting->size && !(meeting->over && meeting->said == 0);
  *number = meeting->greatest;
  pthread_mutex_unlock(&meeting->mutex);
  return goes_on;
}

bool roost_meeting_agree(roost_meeting *meeting, size_t guest, bool willing, roost_slice why,
                         uint64_t within_ms) {
  const struct timespec until = after(within_ms);
  pthread_mutex_lock(&meeting->mutex);
  meeting->guests[guest] = ROOST_MEETING_SAID;
  meeting->said++;
  if (!willing)
    blame(meeting, guest, why);
  else if (meeting->said == meeting->size && !meeting->over)
    decide(meeting, true);
  wait_for_all(meeting, ROOST_MEETING_SAID, &meeting->said, &until);
  const bool agreed = meeting->agreed;
  pthread_mutex_unlock(&meeting->mutex);
  return agreed;
}

void roost_meeting_cancel(roost_meeting *meeting, size_t guest, roost_slice why) {
  pthread_mutex_lock(&meeting->mutex);
  blame(meeting, guest, why);
  pthread_mutex_unlock(&meeting->mutex);
}
