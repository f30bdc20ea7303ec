#include "background.h"

#include <sys/resource.h>
#include <unistd.h>

#include "core/thread.h"
#include "vm/vm.h"

#define LOWEST_PRIORITY 19

struct roost_background {
  const roost_alloc *alloc; /* borrowed */
  roost_watchdog *watchdog; /* borrowed */
  const char *name;         /* fixed text, of at most 15 characters */
  pthread_t thread;
  pthread_mutex_t mutex;  /* guards what follows */
  pthread_cond_t changed; /* a job was added, or stopping set */
  roost_list jobs;        /* of all ports, in order */
  bool stopping;
  bool finishing; /* what waits is run all the same */
};

/* ------------------------------------------------------------------------- the thread -------- */

/* The next job; NULL: the thread is to end. */
static roost_job *take_job(roost_background *self) {
  roost_job *job = NULL;
  pthread_mutex_lock(&self->mutex);
  while (roost_list_empty(&self->jobs) && !self->stopping)
    pthread_cond_wait(&self->changed, &self->mutex);
  if (!roost_list_empty(&self->jobs) && (!self->stopping || self->finishing)) {
    job = ROOST_LIST_ENTRY(self->jobs.next, roost_job, link);
    roost_list_remove(&job->link);
  }
  pthread_mutex_unlock(&self->mutex);
  return job;
}

static void bring_back(roost_background_port *port, roost_job *job) {
  pthread_mutex_lock(&port->mutex);
  const bool first = roost_list_empty(&port->finished);
  roost_list_append(&port->finished, &job->link);
  pthread_mutex_unlock(&port->mutex);
  if (first)
    roost_loop_post_job(port->loop, &port->wake);
}

static void *run(void *ud) {
  roost_background *self = ud;
  roost_runner runner;
  roost_job *job;
  roost_runner_init(&runner);
  if (self->watchdog != NULL)
    (void)roost_watchdog_add(self->watchdog, &runner); /* without it hooks count */
  pthread_setname_np(pthread_self(), self->name);
  (void)setpriority(PRIO_PROCESS, (id_t)gettid(), LOWEST_PRIORITY);
  while ((job = take_job(self)) != NULL) {
    roost_background_port *port = job->port; /* the job may be gone after run */
    const bool comes_back = job->done != NULL;
    job->run(job, &runner);
    if (comes_back)
      bring_back(port, job);
  }
  if (self->watchdog != NULL)
    roost_watchdog_remove(self->watchdog, &runner);
  roost_runner_deinit(&runner);
  return NULL;
}

/* ------------------------------------------------------------------------- ports ------------- */

static void tell_finished(void *ud) {
  roost_background_port *port = ud;
  roost_list finished;
  roost_list_init(&finished);
  pthread_mutex_lock(&port->mutex);
  roost_list_move(&finished, &port->finished);
  pthread_mutex_unlock(&port->mutex);
  while (!roost_list_empty(&finished)) {
    roost_job *job = ROOST_LIST_ENTRY(finished.next, roost_job, link);
    roost_list_remove(&job->link);
    job->done(job);
  }
}

void roost_background_port_init(roost_background_port *port, roost_background *background,
                                roost_loop *loop) {
  *port = (roost_background_port){.background = background, .loop = loop};
  port->wake = (roost_loop_job){.fn = tell_finished, .ud = port};
  roost_list_init(&port->finished);
  pthread_mutex_init(&port->mutex, NULL);
}

void roost_background_port_flush(roost_background_port *port) {
  if (port->background != NULL)
    tell_finished(port);
}

void roost_background_port_drop(roost_background_port *port) {
  while (port->background != NULL && !roost_list_empty(&port->finished))
    roost_list_remove(port->finished.next);
}

void roost_background_port_deinit(roost_background_port *port) {
  if (port->background != NULL)
    pthread_mutex_destroy(&port->mutex);
}

static void start_job(void *ud, roost_job *job) {
  roost_background_port *port = ud;
  roost_background *self = port->background;
  job->port = port;
  pthread_mutex_lock(&self->mutex);
  roost_list_append(&self->jobs, &job->link);
  pthread_cond_signal(&self->changed);
  pthread_mutex_unlock(&self->mutex);
}

roost_jobs roost_background_jobs(roost_background_port *port) {
  return (roost_jobs){start_job, port};
}

/* ------------------------------------------------------------------------- life -------------- */

int roost_background_start(roost_background **out, const roost_alloc *alloc,
                           roost_watchdog *watchdog, const char *name) {
  roost_background *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->alloc = alloc;
  self->watchdog = watchdog;
  self->name = name;
  roost_list_init(&self->jobs);
  pthread_mutex_init(&self->mutex, NULL);
  pthread_cond_init(&self->changed, NULL);
  const int status = roost_thread_start(&self->thread, run, self);
  if (status != 0) {
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    roost_alloc_put(alloc, self, sizeof *self);
    return status;
  }
  *out = self;
  return 0;
}

void roost_background_stop(roost_background *background, bool finish) {
  if (background == NULL)
    return;
  pthread_mutex_lock(&background->mutex);
  background->stopping = true;
  background->finishing = finish;
  pthread_cond_signal(&background->changed);
  pthread_mutex_unlock(&background->mutex);
  pthread_join(background->thread, NULL);
  pthread_cond_destroy(&background->changed);
  pthread_mutex_destroy(&background->mutex);
  roost_alloc_put(background->alloc, background, sizeof *background);
}
