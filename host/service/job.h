/*
 * service/job.h - work that is not done on a worker, since it would stop everything else there.
 *
 * Job: a struct of the caller's; run is called on another thread, done afterwards on the worker's.
 * Whoever makes one keeps it until then. Where nobody offers such a thread (roost_jobs.start is
 * NULL), both are called at once.
 */
#ifndef ROOST_SERVICE_JOB_H
#define ROOST_SERVICE_JOB_H

#include "core/list.h"

typedef struct roost_runner roost_runner;

typedef struct roost_job {
  roost_list link; /* in a queue of the other thread's */
  void *port;      /* that thread's: how it comes back */
  /* runner is that thread's, for the Lua it runs. */
  void (*run)(struct roost_job *job, roost_runner *runner);
  void (*done)(struct roost_job *job); /* NULL: run may free the job, nobody waits for it */
} roost_job;

/* The thread that builds, or the one that reaps; in the order they were started. */
typedef struct roost_jobs {
  void (*start)(void *ud, roost_job *job);
  void *ud;
} roost_jobs;

static inline void roost_job_start(const roost_jobs *jobs, roost_job *job, roost_runner *runner) {
  if (jobs->start != NULL) {
    jobs->start(jobs->ud, job);
    return;
  }
  void (*done)(roost_job *) = job->done;
  job->run(job, runner);
  if (done != NULL)
    done(job);
}

#endif
