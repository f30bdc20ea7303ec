#include "workers.h"

#include <pthread.h>
#include <stdio.h>

#include "core/slice.h"
#include "core/thread.h"

typedef enum member_phase {
  PHASE_MAKING,
  PHASE_DRIVING, /* or it could not be made: member->status */
  PHASE_CLOSED,
  PHASE_RELEASED /* it may be freed */
} member_phase;

/* One of the others. Jobs to it are posted to its loop, those from it to the first one's. */
typedef struct member {
  roost_workers *owner;
  unsigned number;
  pthread_t thread;
  member_phase phase;   /* guarded by the owner's mutex */
  int status;           /* what came of making it; set before PHASE_DRIVING */
  roost_worker *worker; /* its thread's; NULL: not yet, or it could not be made */
  bool ending;          /* its thread's: the loop is to be left */
  roost_background_port build_port;
  roost_background_port reap_port;
  roost_loop_job start, go_live, drain, end;     /* to it */
  roost_loop_job started, live, failed, drained; /* from it */
} member;

struct roost_workers {
  roost_workers_config config;
  member **members;   /* number 1 and up; owned */
  size_t count;       /* of them */
  size_t places;      /* of members, held and loops; 0: none is there */
  size_t *held;       /* connections of each worker, the first one's first; owned */
  roost_loop **loops; /* of each worker; owned */
  size_t started;     /* workers whose on_starts are over */
  size_t live;        /* others that are live */
  size_t drained;     /* others that are */
  roost_list errands; /* roost_errand.link */
  pthread_mutex_t mutex;
  pthread_cond_t changed; /* some phase has */
};

static roost_loop *home(const roost_workers *workers) {
  return workers->config.first->loop;
}

/* ------------------------------------------------------------------------- phases ------------ */

static void enter_phase(member *self, member_phase phase) {
  roost_workers *owner = self->owner;
  pthread_mutex_lock(&owner->mutex);
  if (phase > self->phase) /* one that could not be made is released before it is closed */
    self->phase = phase;
  pthread_cond_broadcast(&owner->changed);
  pthread_mutex_unlock(&owner->mutex);
}

static void await_phase(member *self, member_phase phase) {
  roost_workers *owner = self->owner;
  pthread_mutex_lock(&owner->mutex);
  while (self->phase < phase)
    pthread_cond_wait(&owner->changed, &owner->mutex);
  pthread_mutex_unlock(&owner->mutex);
}

/* ------------------------------------------------------------------------- starting together - */

static void on_live(void *ud) {
  const member *self = ud;
  roost_workers *owner = self->owner;
  roost_worker *first = owner->config.first;
  if (++owner->live == owner->count && first->state == ROOST_WORKER_STARTING)
    roost_worker_go_live(first); /* last, as it is the one that accepts */
}

/* On the other's thread. */
static void go_live(void *ud) {
  member *self = ud;
  if (self->worker->state != ROOST_WORKER_STARTING)
    return;
  roost_worker_go_live(self->worker);
  roost_loop_post_job(home(self->owner), &self->live);
}

static void count_started(roost_workers *workers) {
  if (++workers->started <= workers->count)
    return;
  if (workers->count == 0 && workers->config.first->state == ROOST_WORKER_STARTING)
    roost_worker_go_live(workers->config.first);
  for (size_t i = 0; i < workers->count; i++)
    roost_loop_post_job(workers->members[i]->worker->loop, &workers->members[i]->go_live);
}

static void on_started(void *ud) {
  count_started(((const member *)ud)->owner);
}

static void on_failed(void *ud) {
  const member *self = ud;
  roost_worker *first = self->owner->config.first;
  if (first->state == ROOST_WORKER_STARTING)
    roost_worker_fail(first, roost_buffer_slice(&self->worker->error));
}

static void on_drained(void *ud) {
  const member *self = ud;
  self->owner->drained++;
  roost_worker_check_drained(self->owner->config.first);
}

/* ------------------------------------------------------------------------- teams ------------- */

static void first_started(void *ud, roost_worker *worker) {
  (void)worker;
  count_started(ud);
}

static void first_failed(void *ud, roost_worker *worker) {
  (void)ud;
  (void)worker;
}

static void first_drained(void *ud, roost_worker *worker) {
  (void)ud;
  (void)worker;
}

/* What the others still have to do may need the first. */
static bool first_may_end(void *ud, const roost_worker *worker) {
  const roost_workers *workers = ud;
  (void)worker;
  return workers->drained == workers->count;
}

static const roost_worker_team first_team = {first_started, first_failed, first_drained,
                                             first_may_end};

static void other_started(void *ud, roost_worker *worker) {
  member *self = ud;
  (void)worker;
  roost_loop_post_job(home(self->owner), &self->started);
}

static void other_failed(void *ud, roost_worker *worker) {
  member *self = ud;
  (void)worker;
  roost_loop_post_job(home(self->owner), &self->failed);
}

static void other_drained(void *ud, roost_worker *worker) {
  member *self = ud;
  (void)worker;
  roost_loop_post_job(home(self->owner), &self->drained);
}

static bool other_may_end(void *ud, const roost_worker *worker) {
  (void)ud;
  (void)worker;
  return true;
}

static const roost_worker_team other_team = {other_started, other_failed, other_drained,
                                             other_may_end};

/* ------------------------------------------------------------------------- the thread -------- */

static void start(void *ud) {
  roost_worker_start(((const member *)ud)->worker);
}

static void drain(void *ud) {
  roost_worker_drain(((const member *)ud)->worker);
}

static void end_loop(void *ud) {
  member *self = ud;
  self->ending = true;
  roost_loop_stop(self->worker->loop);
}

static void init_jobs(member *self) {
  self->start = (roost_loop_job){.fn = start, .ud = self};
  self->go_live = (roost_loop_job){.fn = go_live, .ud = self};
  self->drain = (roost_loop_job){.fn = drain, .ud = self};
  self->end = (roost_loop_job){.fn = end_loop, .ud = self};
  self->started = (roost_loop_job){.fn = on_started, .ud = self};
  self->live = (roost_loop_job){.fn = on_live, .ud = self};
  self->failed = (roost_loop_job){.fn = on_failed, .ud = self};
  self->drained = (roost_loop_job){.fn = on_drained, .ud = self};
}

static void on_reloaded(void *ud) {
  const member *self = ud;
  const roost_workers_config *config = &self->owner->config;
  if (config->on_other_reloaded != NULL)
    config->on_other_reloaded(config->ud, self->worker);
}

static void on_memory_freed(void *ud) {
  const roost_worker_config *others = &((const member *)ud)->owner->config.others;
  if (others->on_memory_freed != NULL)
    others->on_memory_freed(others->ud);
}

static int make_worker(member *self) {
  const roost_workers_config *config = &self->owner->config;
  roost_worker_config own = config->others;
  own.number = self->number;
  own.on_memory_freed = on_memory_freed;
  own.on_running = NULL;
  own.on_reloaded = on_reloaded;
  own.ud = self;
  int status = roost_worker_new(&self->worker, &own);
  if (status != 0)
    return status;
  roost_worker_set_team(self->worker, &other_team, self);
  roost_background_port_init(&self->build_port, config->builder, self->worker->loop);
  roost_background_port_init(&self->reap_port, config->reaper, self->worker->loop);
  const roost_jobs builder = roost_background_jobs(&self->build_port);
  const roost_jobs reaper = roost_background_jobs(&self->reap_port);
  roost_worker_set_jobs(self->worker, &builder, &reaper);
  return 0;
}

/* What comes back from the jobs' threads, which have ended, is over here. */
static void free_worker(member *self) {
  const roost_jobs none = {NULL, NULL};
  roost_background_port_drop(&self->build_port);
  roost_background_port_flush(&self->reap_port);
  if (self->worker != NULL)
    roost_worker_set_jobs(self->worker, &none, &none);
  roost_worker_free(self->worker);
  roost_background_port_deinit(&self->build_port);
  roost_background_port_deinit(&self->reap_port);
}

static void *run(void *ud) {
  member *self = ud;
  char name[16];
  snprintf(name, sizeof name, "roost-work-%u", self->number);
  pthread_setname_np(pthread_self(), name);
  self->status = make_worker(self);
  enter_phase(self, PHASE_DRIVING);
  while (self->worker != NULL && !self->ending)
    (void)roost_loop_run(self->worker->loop);
  roost_worker_close(self->worker);
  if (self->worker != NULL)
    roost_loop_share_limit(self->worker->loop, NULL, 0); /* the others' loops may go first */
  enter_phase(self, PHASE_CLOSED);
  await_phase(self, PHASE_RELEASED);
  free_worker(self);
  return NULL;
}

/* ------------------------------------------------------------------------- adding ------------ */

/* Its worker is closed, or was never made. */
static void join_member(member *self) {
  enter_phase(self, PHASE_RELEASED);
  pthread_join(self->thread, NULL);
}

static void member_free(member *self) {
  roost_alloc_put(self->owner->config.alloc, self, sizeof *self);
}

static int add_member(roost_workers *workers) {
  const roost_alloc *alloc = workers->config.alloc;
  member *self = roost_alloc_get(alloc, sizeof *self);
  if (self == NULL)
    return ROOST_ENOMEM;
  *self = (member){.owner = workers, .number = (unsigned)workers->count + 1};
  init_jobs(self);
  const int status = roost_thread_start(&self->thread, run, self);
  if (status != 0) {
    roost_alloc_put(alloc, self, sizeof *self);
    return status;
  }
  await_phase(self, PHASE_DRIVING);
  if (self->status == 0) {
    workers->members[workers->count++] = self;
    return 0;
  }
  const int failed = self->status;
  join_member(self);
  member_free(self);
  return failed;
}

static int share_limit_there(roost_worker *worker, void *ud) {
  const roost_workers *workers = ud;
  roost_loop_share_limit(worker->loop, workers->loops, workers->count + 1);
  return 0;
}

/* The memory of buffers is limited for all of them together. */
static void share_limit(roost_workers *workers) {
  for (size_t i = 0; i <= workers->count; i++)
    workers->loops[i] = roost_workers_get(workers, i)->loop;
  (void)share_limit_there(workers->config.first, workers);
  (void)roost_workers_each(workers, share_limit_there, workers);
}

int roost_workers_add(roost_workers *workers, size_t count) {
  const roost_alloc *alloc = workers->config.alloc;
  if (count < 2)
    return 0;
  workers->held = roost_alloc_get(alloc, count * sizeof *workers->held);
  workers->members = roost_alloc_get(alloc, count * sizeof *workers->members);
  workers->loops = roost_alloc_get(alloc, count * sizeof(roost_loop *));
  workers->places = count;
  const bool made = workers->held != NULL && workers->members != NULL && workers->loops != NULL;
  int status = made ? 0 : ROOST_ENOMEM;
  while (status == 0 && workers->count + 1 < count)
    status = add_member(workers);
  if (status == 0)
    share_limit(workers);
  return status;
}

int roost_workers_new(roost_workers **out, const roost_workers_config *config) {
  roost_workers *workers = roost_alloc_get(config->alloc, sizeof *workers);
  *out = workers;
  if (workers == NULL)
    return ROOST_ENOMEM;
  workers->config = *config;
  roost_list_init(&workers->errands);
  pthread_mutex_init(&workers->mutex, NULL);
  pthread_cond_init(&workers->changed, NULL);
  roost_worker_set_team(config->first, &first_team, workers);
  return 0;
}

/* ------------------------------------------------------------------------- all of them ------- */

size_t roost_workers_count(const roost_workers *workers) {
  return workers->count + 1;
}

roost_worker *roost_workers_get(const roost_workers *workers, size_t number) {
  return number == 0 ? workers->config.first : workers->members[number - 1]->worker;
}

typedef struct visit {
  roost_worker *worker;
  int (*fn)(roost_worker *worker, void *ud);
  void *ud;
  int status;
} visit;

static void run_visit(void *ud) {
  visit *to = ud;
  to->status = to->fn(to->worker, to->ud);
}

int roost_workers_each(const roost_workers *workers, int (*fn)(roost_worker *worker, void *ud),
                       void *ud) {
  visit to = {.fn = fn, .ud = ud};
  for (size_t i = 0; i < workers->count && to.status == 0; i++) {
    to.worker = workers->members[i]->worker;
    roost_loop_call(to.worker->loop, run_visit, &to);
  }
  return to.status;
}

typedef struct sharing {
  const roost_server *server;
  roost_tls_context *tls;
  roost_server **others;
  size_t count; /* of others that take part */
} sharing;

static int take_part(roost_worker *worker, void *ud) {
  sharing *with = ud;
  const int status =
      roost_worker_listen_shared(worker, with->server->config, &with->server->address, with->tls);
  if (status == 0)
    with->others[with->count++] = worker->servers[worker->server_count - 1];
  return status;
}

int roost_workers_share(roost_workers *workers, size_t server, roost_tls_context *tls) {
  const roost_alloc *alloc = workers->config.alloc;
  const size_t bytes = workers->count * sizeof(roost_server *);
  roost_server *own = workers->config.first->servers[server];
  if (workers->count == 0)
    return 0;
  sharing with = {.server = own, .tls = tls, .others = roost_alloc_get(alloc, bytes)};
  int status = with.others != NULL ? roost_workers_each(workers, take_part, &with) : ROOST_ENOMEM;
  if (status == 0)
    status = roost_tcp_server_share(own, with.others, with.count, workers->held);
  roost_alloc_put(alloc, with.others, bytes);
  return status;
}

void roost_workers_start(roost_workers *workers) {
  for (size_t i = 0; i < workers->count; i++)
    roost_loop_post_job(workers->members[i]->worker->loop, &workers->members[i]->start);
  roost_worker_start(workers->config.first);
}

/* The first accepts who is waiting; whoever of them is another's is on his way before that one is
 * told to drain. */
void roost_workers_drain(roost_workers *workers) {
  roost_worker *first = workers->config.first;
  if (first->state >= ROOST_WORKER_DRAINING)
    return;
  roost_worker_drain(first);
  for (size_t i = 0; i < workers->count; i++)
    roost_loop_post_job(workers->members[i]->worker->loop, &workers->members[i]->drain);
}

/* ------------------------------------------------------------------------- errands ----------- */

static void free_errand(void *ud) {
  roost_errand *errand = ud;
  roost_list_remove(&errand->link);
  errand->free(errand);
}

/* On the other's thread. */
static void run_errand(void *ud) {
  roost_errand *errand = ud;
  errand->run(errand, errand->worker);
  errand->job.fn = free_errand;
  roost_loop_post_job(home(errand->workers), &errand->job);
}

void roost_workers_send(roost_workers *workers, size_t number, roost_errand *errand) {
  errand->workers = workers;
  errand->worker = roost_workers_get(workers, number);
  errand->job = (roost_loop_job){.fn = run_errand, .ud = errand};
  roost_list_append(&workers->errands, &errand->link);
  roost_loop_post_job(errand->worker->loop, &errand->job);
}

void roost_workers_stats(const roost_workers *workers, roost_stats *out) {
  roost_worker_stats(workers->config.first, out);
  for (size_t i = 0; i < workers->count; i++)
    roost_worker_published(workers->members[i]->worker, out);
}

/* ------------------------------------------------------------------------- the end ----------- */

/* Who waits to be accepted when the first one's listeners close is not sent to the others. */
static void stop_sharing(const roost_worker *first) {
  for (size_t i = 0; i < first->server_count; i++)
    if (first->servers[i]->config->options == NULL) /* sessions with brokers are not shared */
      (void)roost_tcp_server_share(first->servers[i], NULL, 0, NULL);
}

void roost_workers_close(roost_workers *workers) {
  if (workers == NULL)
    return;
  roost_loop_share_limit(home(workers), NULL, 0);
  stop_sharing(workers->config.first);
  for (size_t i = 0; i < workers->count; i++)
    roost_loop_post_job(workers->members[i]->worker->loop, &workers->members[i]->end);
  for (size_t i = 0; i < workers->count; i++)
    await_phase(workers->members[i], PHASE_CLOSED);
}

void roost_workers_join(roost_workers *workers) {
  for (size_t i = 0; workers != NULL && i < workers->count; i++)
    join_member(workers->members[i]);
}

void roost_workers_free(roost_workers *workers) {
  if (workers == NULL)
    return;
  const roost_alloc *alloc = workers->config.alloc;
  for (size_t i = 0; i < workers->count; i++)
    member_free(workers->members[i]);
  while (!roost_list_empty(&workers->errands))
    free_errand(ROOST_LIST_ENTRY(workers->errands.next, roost_errand, link));
  roost_alloc_put(alloc, workers->members, workers->places * sizeof *workers->members);
  roost_alloc_put(alloc, workers->held, workers->places * sizeof *workers->held);
  roost_alloc_put(alloc, workers->loops, workers->places * sizeof(roost_loop *));
  pthread_mutex_destroy(&workers->mutex);
  pthread_cond_destroy(&workers->changed);
  roost_alloc_put(alloc, workers, sizeof *workers);
}
