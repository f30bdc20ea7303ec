/*
 * A host at work: run, poll, stop, what other threads post, counters.
 */
#include <string.h>

#include "core/slice.h"
#include "host_internal.h"

/* A function that another thread wants called. */
typedef struct posted {
  roost_list link;
  roost_post_fn *fn;
  void *ud;
} posted;

/* ------------------------------------------------------------------------- running ----------- */

static int enter(roost_host *host) {
  if (host->inside)
    return roost_host_fail(host, ROOST_ESTATE, "the host is running already");
  if (host->broken)
    return roost_host_fail(host, ROOST_ESTATE, "the configuration could not be loaded");
  if (host->worker->state == ROOST_WORKER_IDLE)
    roost_workers_start(host->workers);
  host->inside = true;
  return 0;
}

/* What run and poll return for the worker's state. */
static int leave(roost_host *host, int status) {
  host->inside = false;
  if (host->worker->state == ROOST_WORKER_FAILED) {
    roost_buffer_clear(&host->error);
    roost_buffer_append_slice(&host->error, roost_buffer_slice(&host->worker->error));
    roost_host_end_error(host);
    return ROOST_ESCRIPT;
  }
  if (status != 0)
    return roost_host_fail(host, status, "the event loop failed");
  return host->worker->state != ROOST_WORKER_DRAINED;
}

int roost_host_run(roost_host *host) {
  if (host == NULL)
    return ROOST_EINVAL;
  int status = enter(host);
  if (status != 0)
    return status;
  if (host->worker->state < ROOST_WORKER_DRAINED)
    status = roost_loop_run(host->worker->loop);
  status = leave(host, status);
  return status > 0 ? 0 : status;
}

int roost_host_poll(roost_host *host, uint32_t timeout_ms) {
  if (host == NULL)
    return ROOST_EINVAL;
  int status = enter(host);
  if (status != 0)
    return status;
  if (host->worker->state < ROOST_WORKER_DRAINED)
    status = roost_loop_poll(host->worker->loop, timeout_ms);
  return leave(host, status);
}

int roost_host_poll_budget(roost_host *host, uint32_t us) {
  if (host == NULL)
    return ROOST_EINVAL;
  roost_loop_set_quota(host->worker->loop, us);
  return 0;
}

int roost_host_fd(const roost_host *host) {
  if (host == NULL)
    return ROOST_EINVAL;
  return roost_loop_fd(host->worker->loop);
}

int roost_host_timeout(const roost_host *host) {
  if (host == NULL)
    return ROOST_EINVAL;
  if (host->worker->state == ROOST_WORKER_IDLE)
    return 0;
  return roost_loop_timeout(host->worker->loop);
}

roost_state roost_host_state(const roost_host *host) {
  if (host == NULL)
    return ROOST_STATE_FAILED;
  static const roost_state states[] = {
      [ROOST_WORKER_IDLE] = ROOST_STATE_IDLE,       [ROOST_WORKER_STARTING] = ROOST_STATE_STARTING,
      [ROOST_WORKER_RUNNING] = ROOST_STATE_RUNNING, [ROOST_WORKER_DRAINING] = ROOST_STATE_DRAINING,
      [ROOST_WORKER_DRAINED] = ROOST_STATE_DRAINED, [ROOST_WORKER_FAILED] = ROOST_STATE_FAILED};
  return states[host->worker->state];
}

int roost_host_stop(roost_host *host) {
  if (host == NULL)
    return ROOST_EINVAL;
  roost_workers_drain(host->workers);
  return 0;
}

/* ------------------------------------------------------------------------- posting ----------- */

static posted *take_posted(roost_host *host) {
  posted *job = NULL;
  pthread_mutex_lock(&host->mutex);
  if (!roost_list_empty(&host->posted)) {
    job = ROOST_LIST_ENTRY(host->posted.next, posted, link);
    roost_list_remove(&job->link);
  }
  pthread_mutex_unlock(&host->mutex);
  return job;
}

static void run_posted(void *ud) {
  roost_host *host = ud;
  posted *own = take_posted(host);
  if (own == NULL)
    return;
  posted job = *own;
  roost_alloc_put(&host->alloc, own, sizeof *own);
  job.fn(job.ud, host);
}

void roost_host_drop_posted(roost_host *host) {
  posted *job;
  while ((job = take_posted(host)) != NULL)
    roost_alloc_put(&host->alloc, job, sizeof *job);
}

/* The queue is the host's own, so that what is never run can be freed. */
int roost_host_post(roost_host *host, roost_post_fn *fn, void *ud) {
  if (host == NULL || fn == NULL)
    return ROOST_EINVAL;
  posted *job = roost_alloc_get(&host->alloc, sizeof *job);
  if (job == NULL)
    return ROOST_ENOMEM;
  job->fn = fn;
  job->ud = ud;
  pthread_mutex_lock(&host->mutex);
  roost_list_append(&host->posted, &job->link);
  int status = roost_loop_post(host->worker->loop, run_posted, host);
  if (status != 0)
    roost_list_remove(&job->link);
  pthread_mutex_unlock(&host->mutex);
  if (status != 0)
    roost_alloc_put(&host->alloc, job, sizeof *job);
  return status;
}

/* ------------------------------------------------------------------------- counters ---------- */

void roost_host_stats(const roost_host *host, roost_stats *out) {
  if (host == NULL || out == NULL)
    return;
  size_t size = out->struct_size;
  roost_stats stats = {.struct_size = size};
  stats.log_dropped = roost_log_dropped(host->log);
  if (host->config.memory_limit > 0)
    stats.held_bytes = roost_cap_held(&host->cap);
  roost_workers_stats(host->workers, &stats);
  memcpy(out, &stats, size < sizeof stats ? size : sizeof stats);
}
