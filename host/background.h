/*
 * background.h - a thread that does jobs (service/job.h) for workers, at the lowest priority.
 *
 * A host has two: the builder loads new generations, the reaper closes old ones. Port: where the
 * jobs of one worker come back to, which is its loop.
 */
#ifndef ROOST_BACKGROUND_H
#define ROOST_BACKGROUND_H

#include <pthread.h>

#include "net/loop.h"
#include "service/job.h"
#include "watchdog.h"

typedef struct roost_background roost_background;

typedef struct roost_background_port {
  roost_background *background; /* borrowed */
  roost_loop *loop;             /* borrowed */
  pthread_mutex_t mutex;        /* of finished */
  roost_list finished;          /* roost_job.link, to be told that they are done */
  roost_loop_job wake;          /* tells them, on the loop's thread */
} roost_background_port;

/* Starts the thread, called name; all signals are blocked in it but the watchdog's, which is
 * borrowed (NULL: none, hooks count). ENOMEM, ESYSTEM. */
int roost_background_start(roost_background **out, const roost_alloc *alloc,
                           roost_watchdog *watchdog, const char *name);

/* Ends it once the job it is at is over; finish: and all that wait, too. Else those are not run,
 * and nobody is told. NULL is allowed. */
void roost_background_stop(roost_background *background, bool finish);

/* A port must outlive the loop, and the loop the background. */
void roost_background_port_init(roost_background_port *port, roost_background *background,
                                roost_loop *loop);
void roost_background_port_deinit(roost_background_port *port);

/* Tells of what is finished at once, where the loop runs no more. */
void roost_background_port_flush(roost_background_port *port);

/* Nobody is told of the jobs that have come back so far. The port's loop's thread, once the
 * background has stopped. */
void roost_background_port_drop(roost_background_port *port);

/* Jobs that come back by this port. The port's loop's thread. */
roost_jobs roost_background_jobs(roost_background_port *port);

#endif
