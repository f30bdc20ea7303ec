/*
 * core/meeting.h - several threads come to one point and agree on something.
 *
 * Each of them, a guest with a number from 0, arrives once, which waits until all have, and then
 * says whether it is willing, which waits until all have said so. Whoever is late finds that it is
 * over. Culprit: the guest because of whom the others do not go on: one that is not willing, or the
 * first that all waited for in vain. Any thread; owned by its maker, who frees it when nobody is in
 * it or will come.
 */
#ifndef ROOST_CORE_MEETING_H
#define ROOST_CORE_MEETING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/alloc.h"

#define ROOST_MEETING_WHY_BYTES 1024

/* How far a guest has come. */
typedef enum roost_meeting_guest {
  ROOST_MEETING_AWAY,
  ROOST_MEETING_ARRIVED,
  ROOST_MEETING_SAID /* whether it is willing */
} roost_meeting_guest;

typedef struct roost_meeting {
  const roost_alloc *alloc; /* borrowed */
  size_t size;              /* guests that are to come */
  pthread_mutex_t mutex; /* guards what follows; once it is over without agreement, culprit and why
                            stay as they are, and whoever has been told so reads them without it */
  pthread_cond_t changed;
  roost_meeting_guest *guests; /* owned */
  size_t arrived;
  size_t said;
  uint32_t greatest; /* of the numbers they came with */
  bool over;         /* decided, or not all came in time */
  bool agreed;
  size_t culprit;
  char why[ROOST_MEETING_WHY_BYTES]; /* what the culprit says, cut short; empty: it is late */
} roost_meeting;

/* alloc is borrowed. ENOMEM. */
int roost_meeting_init(roost_meeting *meeting, const roost_alloc *alloc, size_t size);
void roost_meeting_deinit(roost_meeting *meeting);

/* Waits until all are there; then *number is the greatest of those that each came with. False: not
 * all came within so many milliseconds, or one cancelled, and nobody may go on. */
bool roost_meeting_arrive(roost_meeting *meeting, size_t guest, uint32_t *number,
                          uint64_t within_ms);

/* Waits until all have said whether they are willing; true where all are. why is the reason of one
 * that is not. False also where one has not said so within so many milliseconds. Only after an
 * arrival that went well. */
bool roost_meeting_agree(roost_meeting *meeting, size_t guest, bool willing, roost_slice why,
                         uint64_t within_ms);

/* In the place of an arrival: the others do not go on, for that reason. Nothing happens where it is
 * over. */
void roost_meeting_cancel(roost_meeting *meeting, size_t guest, roost_slice why);

#endif
