/*
 * core/meeting.h - several threads come to one point and agree on something.
 *
 * Each of them arrives once, which waits until all have, and then says whether it is willing, which
 * waits until all have said so. Whoever is late finds that it is over. Any thread; owned by its
 * maker, who frees it when nobody is in it or will come.
 */
#ifndef ROOST_CORE_MEETING_H
#define ROOST_CORE_MEETING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "roost.h"

#define ROOST_MEETING_WHY_BYTES 1024

typedef struct roost_meeting {
  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t changed;
  size_t size; /* threads that are to come */
  size_t arrived;
  size_t said;       /* how many have said whether they are willing */
  uint32_t greatest; /* of the numbers they came with */
  bool over;         /* decided, or not all came in time */
  bool agreed;
  char why[ROOST_MEETING_WHY_BYTES]; /* of the first that was not willing, cut short */
} roost_meeting;

/* ENOMEM. */
int roost_meeting_init(roost_meeting *meeting, size_t size);
void roost_meeting_deinit(roost_meeting *meeting);

/* Waits until all are there; then *number is the greatest of those that each came with. False: not
 * all came within so many milliseconds, and nobody may go on. */
bool roost_meeting_arrive(roost_meeting *meeting, uint32_t *number, uint64_t within_ms);

/* Waits until all have said whether they are willing; true where all are. why is the reason of one
 * that is not. False also where one has not said so within so many milliseconds; 0: no limit. Only
 * after an arrival that went well. */
bool roost_meeting_agree(roost_meeting *meeting, bool willing, roost_slice why, uint64_t within_ms);

/* In the place of an arrival: the others do not go on. */
void roost_meeting_cancel(roost_meeting *meeting);

#endif
