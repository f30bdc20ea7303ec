/*
 * reloads.h - which services of a host are reloaded, and when: those somebody asks for, those whose
 * files have changed, those that are new.
 *
 * Start reading at roost_reloads_request and roost_reloads_look. How one service is reloaded is
 * service/reload.h's. Owned by the host; everything on the worker's thread unless it says so.
 */
#ifndef ROOST_RELOADS_H
#define ROOST_RELOADS_H

#include "control.h"
#include "workers.h"

typedef struct roost_reloads roost_reloads;

typedef struct roost_reloads_config {
  const roost_alloc *alloc;
  roost_control *control;
  roost_log *log;
  roost_worker *worker;    /* the first */
  roost_workers *workers;  /* all of them; NULL: it is the only one */
  roost_jobs builder;      /* reads the file system */
  const char *working_dir; /* relative paths start here */
} roost_reloads_config;

/* json: an array of { "service", "from", "to", "refused" }, in the services' order; refused is
 * null, or why, and to is 0 then. */
typedef void roost_reloads_done(void *ud, roost_slice json);

/* config is copied, what it points at borrowed. ENOMEM. */
int roost_reloads_new(roost_reloads **out, const roost_reloads_config *config);

/* Takes the services and the reload section of a configuration; borrowed until the next call. */
void roost_reloads_apply(roost_reloads *reloads, const roost_settings *settings);

/* These have been said already: a look at the files that finds them again is silent. */
void roost_reloads_told(roost_reloads *reloads, const roost_problems *problems);

/* Begins to reload a service and no other, or all (NULL), those that are new among them; fn (may be
 * NULL) is told once, when all is over. ENOMEM, ESTATE: the worker is not running. */
int roost_reloads_request(roost_reloads *reloads, const char *service, roost_reloads_done *fn,
                          void *ud);

/* Reloads services of which a file has changed, and loads those that are new. What is refused is
 * said, also where it has been said before. */
void roost_reloads_look(roost_reloads *reloads);

/* The worker is running: begins to watch, where the configuration says so. */
void roost_reloads_start(roost_reloads *reloads);

/* The set of files of some service may be another one now. */
void roost_reloads_note(roost_reloads *reloads);

/* Stops watching; whoever waits for a request is told what there is. The builder must have ended.
 * NULL is allowed. */
void roost_reloads_free(roost_reloads *reloads);

#endif
