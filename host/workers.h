/*
 * workers.h - the workers of a host: the first, which its own thread drives, and others, each with
 * a thread of its own.
 *
 * Start reading at roost_workers_start. One is no special case: then there are no others. The first
 * worker binds the listeners, accepts, and leads: the others start, drain and reload when it says
 * so, by jobs in their loops. Phases of another worker's thread: it makes its worker, drives the
 * loop until it is told to close, closes the worker, and frees it once all are closed and the jobs'
 * threads have ended.
 * Owned by the host; everything on its thread, but for what is said otherwise.
 */
#ifndef ROOST_WORKERS_H
#define ROOST_WORKERS_H

#include "background.h"
#include "worker.h"

typedef struct roost_workers roost_workers;

/* Something that one of the others is to do: there by a job, and back to be freed. Whoever makes it
 * sets run and free; from then on it is the workers'. */
typedef struct roost_errand {
  roost_list link;
  roost_loop_job job;
  roost_workers *workers;
  roost_worker *worker;
  void (*run)(struct roost_errand *errand, roost_worker *worker); /* that worker's thread */
  void (*free)(struct roost_errand *errand);                      /* also where it was not run */
} roost_errand;

typedef struct roost_workers_config {
  const roost_alloc *alloc;
  roost_worker *first; /* borrowed; its team is this */
  /* A service of one of the others has been reloaded, or that was refused; its thread. */
  void (*on_other_reloaded)(void *ud, roost_worker *worker);
  void *ud;                   /* handed to it */
  roost_worker_config others; /* of each of the others, but for what is its own */
  roost_background *builder;  /* borrowed; of the others' jobs */
  roost_background *reaper;
} roost_workers_config;

/* With the first one alone. config is copied, what it points at borrowed. ENOMEM. */
int roost_workers_new(roost_workers **out, const roost_workers_config *config);

/* Starts the threads of the others, so that there are count workers in all; once, before any is
 * started. What was started stays where one cannot be. ENOMEM, ESYSTEM. */
int roost_workers_add(roost_workers *workers, size_t count);

size_t roost_workers_count(const roost_workers *workers);

/* The worker of that number: anything of it but the loop's posts is its own thread's. */
roost_worker *roost_workers_get(const roost_workers *workers, size_t number);

/* Calls fn for each of the others, one after the other, on its thread, and waits for it; the first
 * error ends it. Not from inside the first one's loop but for what is quick. */
int roost_workers_each(const roost_workers *workers, int (*fn)(roost_worker *worker, void *ud),
                       void *ud);

/* Sends an errand to the worker of that number, which is one of the others. Errands to one worker
 * are run in order. */
void roost_workers_send(roost_workers *workers, size_t number, roost_errand *errand);

/* Has the others take part in the first one's server at that place, which has just been made; tls
 * may be NULL. ENOMEM. */
int roost_workers_share(roost_workers *workers, size_t server, roost_tls_context *tls);

/* Starts all; they become running together, or fail together. */
void roost_workers_start(roost_workers *workers);

/* Drains all: the first worker is drained when it is and all others are. */
void roost_workers_drain(roost_workers *workers);

/* Has the others bring their services into the order of found, after the first has; see
 * roost_worker_take_found. ENOMEM: some do not. */
int roost_workers_take_found(roost_workers *workers, const roost_found_list *found);

/* Takes a service out of all of them. ENOMEM: out of none. */
int roost_workers_remove(roost_workers *workers, const char *name);

/* Adds the counters of all to out. */
void roost_workers_stats(const roost_workers *workers, roost_stats *out);

/* Ends the others' loops and closes their workers: nothing is begun any more. The control thread
 * must ask none of them any more. NULL is allowed. */
void roost_workers_close(roost_workers *workers);

/* Frees the others' workers, which are closed, and ends their threads; the builder and the reaper
 * must have ended. NULL is allowed. */
void roost_workers_join(roost_workers *workers);

/* Once the first one is freed, whose loop may hold jobs of this, and the others are joined. NULL is
 * allowed. */
void roost_workers_free(roost_workers *workers);

#endif
