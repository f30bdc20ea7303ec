#include "core/meeting.h"

#include <string.h>
#include <time.h>

#include "core/slice.h"

int roost_meeting_init(roost_meeting *meeting, size_t size) {
  pthread_condattr_t attributes;
  memset(meeting, 0, sizeof *meeting);
  meeting->size = size;
  if (pthread_mutex_init(&meeting->mutex, NULL) != 0)
    return ROOST_ENOMEM;
  bool made = pthread_condattr_init(&attributes) == 0;
  if (made) {
    made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
           pthread_cond_init(&meeting->changed, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
  }
  if (made)
    return 0;
  pthread_mutex_destroy(&meeting->mutex);
  return ROOST_ENOMEM;
}

void roost_meeting_deinit(roost_meeting *meeting) {
  pthread_cond_destroy(&meeting->changed);
  pthread_mutex_destroy(&meeting->mutex);
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
  if (meeting->over)
    return;
  meeting->over = true;
  meeting->agreed = agreed;
  pthread_cond_broadcast(&meeting->changed);
}

/* Waits until *count is the meeting's size, or it is over; NULL for until: without end. The mutex
 * is held. */
static void wait_for_all(roost_meeting *meeting, const size_t *count,
                         const struct timespec *until) {
  int failed = 0;
  while (!meeting->over && *count < meeting->size && failed == 0)
    failed = until != NULL ? pthread_cond_timedwait(&meeting->changed, &meeting->mutex, until)
                           : pthread_cond_wait(&meeting->changed, &meeting->mutex);
  if (failed != 0)
    decide(meeting, false);
}

bool roost_meeting_arrive(roost_meeting *meeting, uint32_t *number, uint64_t within_ms) {
  const struct timespec until = after(within_ms);
  pthread_mutex_lock(&meeting->mutex);
  if (*number > meeting->greatest)
    meeting->greatest = *number;
  if (++meeting->arrived == meeting->size)
    pthread_cond_broadcast(&meeting->changed);
  wait_for_all(meeting, &meeting->arrived, &until);
  const bool goes_on = meeting->arrived == meeting->size && !(meeting->over && meeting->said == 0);
  *number = meeting->greatest;
  pthread_mutex_unlock(&meeting->mutex);
  return goes_on;
}

static void keep_why(roost_meeting *meeting, roost_slice why) {
  if (meeting->why[0] != '\0')
    return;
  const size_t len = why.len < sizeof meeting->why ? why.len : sizeof meeting->why - 1;
  if (len > 0)
    memcpy(meeting->why, why.ptr, len);
  meeting->why[len] = '\0';
}

bool roost_meeting_agree(roost_meeting *meeting, bool willing, roost_slice why,
                         uint64_t within_ms) {
  const struct timespec until = after(within_ms);
  pthread_mutex_lock(&meeting->mutex);
  meeting->said++;
  if (!willing) {
    keep_why(meeting, why);
    decide(meeting, false);
  } else if (meeting->said == meeting->size) {
    decide(meeting, true);
  }
  wait_for_all(meeting, &meeting->said, within_ms != 0 ? &until : NULL);
  const bool agreed = meeting->agreed;
  if (!agreed) /* from here on it stays as it is: it is read without the mutex */
    keep_why(meeting, ROOST_SLICE("not all have said in time whether they can"));
  pthread_mutex_unlock(&meeting->mutex);
  return agreed;
}

void roost_meeting_cancel(roost_meeting *meeting) {
  pthread_mutex_lock(&meeting->mutex);
  decide(meeting, false);
  pthread_mutex_unlock(&meeting->mutex);
}
