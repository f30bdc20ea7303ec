/*
 * service/reload.h - a service's next generation, from its files to its place in the tables.
 *
 * Start reading at roost_reload_start. The steps: built (by a job, aside), attached, on_start (a
 * task, which may wait); then, in one turn, the old one's on_handoff, the new one's on_adopt, the
 * tables, the swap; then the old one retires. What goes wrong up to the swap refuses the reload:
 * the old generation goes on as if nothing had been, and it is tried again by and by.
 * Round: a reload on all workers of a host that has several, led by worker 0. Once the leader's
 * next generation is built each of the others, a follower, is told to build its own; each reports
 * when its on_start is over; where all are ready they meet (core/meeting.h), do the one turn at the
 * same time, and all swap or none. A round that a stuck follower holds up is given up: refused on
 * the others at once, and on that one when it goes on. Part: what the team, outside, knows a
 * service's share of a round by. A restart is one worker's own.
 * Waiter: somebody who wants to know how it ends. One who comes while a reload is under way waits
 * for another one after it, since that one may have read the files already.
 * The worker's thread.
 */
#ifndef ROOST_SERVICE_RELOAD_H
#define ROOST_SERVICE_RELOAD_H

#include "core/buffer.h"
#include "core/list.h"
#include "core/meeting.h"
#include "core/wheel.h"

typedef struct roost_dispatch roost_dispatch;
typedef struct roost_generation roost_generation;
typedef struct roost_service roost_service;

typedef struct roost_reload_result {
  const roost_service *service;
  uint32_t from;       /* the generation that was live; 0: none */
  uint32_t to;         /* the one that is now; 0: refused */
  roost_slice refused; /* why, in one line, its traceback in it */
} roost_reload_result;

typedef struct roost_reload_waiter {
  roost_list link; /* in reloader->waiting or ->later */
  /* The last that is heard of it; the waiter is its owner's again. */
  void (*fn)(struct roost_reload_waiter *waiter, const roost_reload_result *result);
} roost_reload_waiter;

/* What is asked of the other workers and told them; see host/rounds.h. Never calls back at once. */
typedef struct roost_reload_team {
  /* The leader's: has the followers begin; *part is the leader's own. ENOMEM, ESTATE: none does;
   * the error of its next generation says why, where there is memory for that. */
  int (*begin)(void *ud, roost_service *service, void **part);
  /* Its next generation is ready, or (refused.ptr is not NULL) why there is none: roost_reload_meet
   * or roost_reload_refuse follows, unless roost_reload_abandon does. */
  void (*report)(void *ud, void *part, roost_slice refused);
  /* It is over for this worker, whatever way; without a report where it was abandoned. */
  void (*over)(void *ud, void *part);
} roost_reload_team;

/* A service's part of it. */
typedef struct roost_reloader {
  roost_list link;        /* in dispatch->swaps while next is ready to be swapped in */
  roost_generation *next; /* NULL: no reload is under way */
  bool building;          /* next is another thread's */
  bool fresh;             /* nothing is handed over */
  bool again;             /* once more after this one */
  bool abandoned;         /* the host stops: next is thrown away */
  roost_list waiting;     /* for the one under way */
  roost_list later;       /* for the one after it */
  roost_timer retry;      /* after a refusal */
  unsigned failures;      /* in a row */
  roost_buffer refused;   /* why the last one was; empty: it was not */
  uint64_t swaps;         /* this and the next: of rounds, the leader's alone count */
  uint64_t refusals;
  void *part;                       /* in a round; NULL: in none */
  void *part_later;                 /* a follower's: in one that begins once this one is over */
  const roost_list *handlers_later; /* and what it was told of them */
  bool follows;                     /* the part is a follower's */
  bool unwanted;                    /* a follower's: the service is taken out once this is over */
  roost_meeting *meeting;           /* borrowed from the round; NULL: not met yet */
} roost_reloader;

/* Whether it is not being reloaded: by itself, or with other workers. */
static inline bool roost_reload_is_idle(const roost_reloader *reload) {
  return reload->next == NULL && reload->part == NULL;
}

void roost_reload_init(roost_service *service);

/* Its next generation is freed, its waiters are told nothing. The jobs' thread must have ended. */
void roost_reload_deinit(roost_service *service);

/* Begins a reload, or another one after the one under way. waiter may be NULL: then the log does
 * not say again why it was refused where it has said so. */
void roost_reload_start(roost_service *service, roost_reload_waiter *waiter);

/* Somebody wants to know: why the next one is refused is said in any case. */
void roost_reload_say_again(roost_service *service);

/* The same without on_handoff and on_adopt: what the old state holds is what is wrong with it. */
void roost_reload_restart(roost_service *service);

/* Goes on with a generation that is loaded already, at once (for tests). ESTATE: a reload is under
 * way. */
int roost_reload_offer(roost_service *service, roost_generation *next, roost_reload_waiter *waiter);

/* A follower's: begins its part of a round. handlers: those of the leader's next generation, where
 * that is a singleton; they stay until the round is over. Else NULL. */
void roost_reload_follow(roost_service *service, void *part, const roost_list *handlers);

/* All of the round have reported: all are ready, and meet at the end of the turn. */
void roost_reload_meet(roost_service *service, roost_meeting *meeting);

/* ... or some are not: nothing is swapped. why is the leader's. */
void roost_reload_refuse(roost_service *service, roost_slice why);

/* Swaps in what is ready; at the end of a turn, with no Lua running. */
void roost_reload_flush(roost_dispatch *dispatch);

/* Goes on with reloads that wait until fewer old states are to be closed. */
void roost_reload_resume(roost_dispatch *dispatch);

/* The host stops: what is under way is thrown away, its waiters are told so. */
void roost_reload_abandon(roost_service *service);

#endif
