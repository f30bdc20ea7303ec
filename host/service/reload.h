/*
 * service/reload.h - a service's next generation, from its files to its place in the tables.
 *
 * Start reading at roost_reload_start. The steps: built (by a job, aside), attached, on_start (a
 * task, which may wait); then, in one turn, the old one's on_handoff, the new one's on_adopt, the
 * tables, the swap; then the old one retires. What goes wrong up to the swap refuses the reload:
 * the old generation goes on as if nothing had been, and it is tried again by and by.
 * Waiter: somebody who wants to know how it ends. One who comes while a reload is under way waits
 * for another one after it, since that one may have read the files already.
 * The worker's thread.
 */
#ifndef ROOST_SERVICE_RELOAD_H
#define ROOST_SERVICE_RELOAD_H

#include "core/buffer.h"
#include "core/list.h"
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
  uint64_t swaps;
  uint64_t refusals;
} roost_reloader;

void roost_reload_init(roost_service *service);

/* Its next generation is freed, its waiters are told nothing. The jobs' thread must have ended. */
void roost_reload_deinit(roost_service *service);

/* Begins a reload, or another one after the one under way. waiter may be NULL. */
void roost_reload_start(roost_service *service, roost_reload_waiter *waiter);

/* The same without on_handoff and on_adopt: what the old state holds is what is wrong with it. */
void roost_reload_restart(roost_service *service);

/* Goes on with a generation that is loaded already, at once (for tests). ESTATE: a reload is under
 * way. */
int roost_reload_offer(roost_service *service, roost_generation *next, roost_reload_waiter *waiter);

/* Swaps in what is ready; at the end of a turn, with no Lua running. */
void roost_reload_flush(roost_dispatch *dispatch);

/* Goes on with reloads that wait until fewer old states are to be closed. */
void roost_reload_resume(roost_dispatch *dispatch);

/* The host stops: what is under way is thrown away, its waiters are told so. */
void roost_reload_abandon(roost_service *service);

#endif
