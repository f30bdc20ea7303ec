#include "rounds.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "core/slice.h"

typedef struct round round;

typedef enum part_stage {
  PART_WORKING, /* until it reports */
  PART_REPORTED,
  PART_ENDING, /* it has been told how it ends */
  PART_OVER    /* nothing of it is left at its worker */
} part_stage;

/* One worker's. Between two ways of the job it is that worker's, then the first one's. */
typedef struct part {
  roost_loop_job job; /* there, and back */
  round *round;
  size_t number;          /* of the worker; 0 leads */
  part_stage stage;       /* its worker's */
  roost_service *service; /* there; NULL: none, or it is over */
  bool refused;           /* set before it reports */
  roost_buffer why;
  bool reported;       /* and the first worker knows it */
  roost_loop_job look; /* there only, before the other job returns */
  atomic_bool awake;   /* its worker has taken a turn since the last look */
} part;

struct round {
  roost_list link; /* in rounds->open */
  roost_rounds *rounds;
  char *name; /* of the service; owned, as the next two */
  char *root; /* of its files */
  char *path;
  roost_meeting meeting;
  roost_timer timer;    /* the next look; runs until it ends */
  uint64_t patience_ms; /* between looks */
  size_t unreported;    /* parts of which the first worker knows no report */
  size_t away;          /* followers' jobs that have not come back for the last time */
  bool ends;            /* the parts that have reported know how it ends; the others will */
  atomic_bool given_up; /* it ends before all have reported */
  bool singleton;
  roost_list handlers; /* copies of the leader's, where it is one */
  size_t count;
  part parts[]; /* the leader's first */
};

struct roost_rounds {
  const roost_alloc *alloc; /* borrowed */
  roost_workers *workers;   /* borrowed */
  roost_list open;          /* round.link */
};

static const roost_slice stopping = {"the host is stopping", sizeof "the host is stopping" - 1};

static roost_loop *loop_of(const part *self) {
  return roost_workers_get(self->round->rounds->workers, self->number)->loop;
}

static void send(part *self, void (*fn)(void *ud)) {
  self->job.fn = fn;
  roost_loop_post_job(loop_of(self), &self->job);
}

static void send_home(part *self, void (*fn)(void *ud)) {
  self->job.fn = fn;
  roost_loop_post_job(loop_of(&self->round->parts[0]), &self->job);
}

/* ------------------------------------------------------------------------- the end ----------- */

static size_t round_bytes(size_t count) {
  return sizeof(round) + count * sizeof(part);
}

static void round_free(round *self) {
  const roost_alloc *alloc = self->rounds->alloc;
  roost_list_remove(&self->link);
  while (!roost_list_empty(&self->handlers))
    roost_handler_free(alloc, ROOST_LIST_ENTRY(self->handlers.next, roost_handler, link));
  for (size_t i = 0; i < self->count; i++)
    roost_buffer_deinit(&self->parts[i].why);
  roost_meeting_deinit(&self->meeting);
  roost_alloc_put_text(alloc, self->name);
  roost_alloc_put_text(alloc, self->root);
  roost_alloc_put_text(alloc, self->path);
  roost_alloc_put(alloc, self, round_bytes(self->count));
}

static void free_if_over(round *self) {
  if (self->ends && self->away == 0 && self->parts[0].stage == PART_OVER)
    round_free(self);
}

static void on_over(void *ud) {
  round *self = ((const part *)ud)->round;
  self->away--;
  free_if_over(self);
}

/* ------------------------------------------------------------------------- how it ends ------- */

/* On a follower. */
static void on_refused(void *ud) {
  part *self = ud;
  self->stage = self->service != NULL ? PART_ENDING : PART_OVER;
  if (self->service != NULL)
    roost_reload_refuse(self->service, (roost_slice){NULL, 0});
  else
    send_home(self, on_over);
}

/* On a follower. */
static void on_meet(void *ud) {
  part *self = ud;
  self->stage = self->service != NULL ? PART_ENDING : PART_OVER;
  if (self->service != NULL) {
    roost_reload_meet(self->service, &self->round->meeting);
    return;
  }
  roost_meeting_cancel(&self->round->meeting, self->number, stopping);
  send_home(self, on_over);
}

static const part *first_refused(const round *self) {
  for (size_t i = 0; i < self->count; i++)
    if (self->parts[i].refused)
      return &self->parts[i];
  return NULL;
}

/* The leader says it, in its own name: whose reason it is must stand in it. Where memory is short
 * even for that the leader says so. */
static void say_refused(roost_buffer *to, const part *refused) {
  const roost_slice why =
      refused->why.len > 0 ? roost_buffer_slice(&refused->why) : ROOST_SLICE("out of memory");
  int status = 0;
  if (refused->number > 0)
    status = roost_buffer_printf(to, "worker %zu: ", refused->number);
  if (status == 0)
    status = roost_buffer_append_slice(to, why);
  if (status != 0)
    roost_buffer_clear(to);
}

static roost_wheel *wheel_of(const round *self) {
  return roost_loop_wheel(loop_of(&self->parts[0]));
}

/* Tells those that have reported. The leader is told last: what it is told may free the round. */
static void finish(round *self, bool meets, roost_slice why) {
  part *leader = &self->parts[0];
  self->ends = true;
  roost_timer_stop(wheel_of(self), &self->timer);
  for (size_t i = 1; i < self->count; i++)
    if (self->parts[i].reported)
      send(&self->parts[i], meets ? on_meet : on_refused);
  if (leader->service == NULL)
    leader->stage = PART_OVER;
  else if (meets)
    roost_reload_meet(leader->service, &self->meeting);
  else
    roost_reload_refuse(leader->service, why);
}

/* All have reported. */
static void conclude(round *self) {
  const part *refused = first_refused(self);
  roost_buffer why;
  roost_buffer_init(&why, self->rounds->alloc);
  if (refused != NULL)
    say_refused(&why, refused);
  finish(self, refused == NULL && self->parts[0].service != NULL, roost_buffer_slice(&why));
  roost_buffer_deinit(&why);
}

static void on_reported(void *ud) {
  part *self = ud;
  round *of = self->round;
  self->reported = true;
  of->unreported--;
  if (of->ends) /* without it */
    send(self, on_refused);
  else if (of->unreported == 0)
    conclude(of);
}

/* ------------------------------------------------------------------------- looks ------------- */

static bool is_awake(const part *self) {
  return atomic_load_explicit(&self->awake, memory_order_relaxed);
}

/* On a follower. */
static void on_look(void *ud) {
  part *self = ud;
  atomic_store_explicit(&self->awake, true, memory_order_relaxed);
}

static const part *first_stuck(const round *self) {
  for (size_t i = 1; i < self->count; i++)
    if (!self->parts[i].reported && !is_awake(&self->parts[i]))
      return &self->parts[i];
  return NULL;
}

static void say_stuck(roost_buffer *to, const part *stuck) {
  (void)roost_buffer_printf(to, "worker %zu is stuck: it has done nothing for %" PRIu64 " ms",
                            stuck->number, stuck->round->patience_ms);
}

static void give_up(round *self, const part *stuck) {
  roost_buffer why;
  roost_buffer_init(&why, self->rounds->alloc);
  say_stuck(&why, stuck);
  atomic_store_explicit(&self->given_up, true, memory_order_relaxed);
  finish(self, false, roost_buffer_slice(&why));
  roost_buffer_deinit(&why);
}

/* The leader's own report comes by itself: on_start has a limit. */
static void on_timer(roost_timer *timer) {
  round *self = ROOST_LIST_ENTRY(timer, round, timer);
  const part *stuck = first_stuck(self);
  if (stuck != NULL && self->parts[0].reported) {
    give_up(self, stuck);
    return;
  }
  for (size_t i = 1; i < self->count; i++) {
    part *each = &self->parts[i];
    if (each->reported || !is_awake(each))
      continue;
    atomic_store_explicit(&each->awake, false, memory_order_relaxed);
    roost_loop_post_job(loop_of(each), &each->look);
  }
  roost_timer_start(wheel_of(self), timer, self->patience_ms);
}

/* ------------------------------------------------------------------------- reports ----------- */

static void note_report(part *self, roost_slice refused) {
  self->stage = PART_REPORTED;
  self->refused = refused.ptr != NULL;
  if (self->refused)
    (void)roost_buffer_append_slice(&self->why, refused);
  send_home(self, on_reported);
}

/* On any worker. */
static void report(void *ud, void *given, roost_slice refused) {
  (void)ud;
  note_report(given, refused);
}

/* On any worker. One that is abandoned before it has reported, or been told how it ends, has
 * nothing to do with that any more. */
static void over(void *ud, void *given) {
  part *self = given;
  (void)ud;
  self->service = NULL;
  if (self->stage == PART_WORKING) {
    note_report(self, stopping);
  } else if (self->number == 0 && self->round->ends) {
    self->stage = PART_OVER;
    free_if_over(self->round);
  } else if (self->stage == PART_ENDING) {
    self->stage = PART_OVER;
    send_home(self, on_over);
  }
}

/* ------------------------------------------------------------------------- the beginning ----- */

/* A follower builds what the leader has built, wherever that lies by now; not while it reads its
 * files for a restart, which the next round sees to. */
static int go_where(const round *of, roost_service *service) {
  if (service->reload.next != NULL || strcmp(service->source.path, of->path) == 0)
    return 0;
  return roost_service_move(service, of->root, of->path);
}

/* On a follower. */
static void on_begin(void *ud) {
  part *self = ud;
  const round *of = self->round;
  on_look(self);
  if (atomic_load_explicit(&of->given_up, memory_order_relaxed)) {
    note_report(self, ROOST_SLICE("it comes too late"));
    return;
  }
  self->service =
      roost_worker_find_service(roost_workers_get(of->rounds->workers, self->number), of->name);
  if (self->service != NULL && go_where(of, self->service) != 0)
    self->service = NULL;
  if (self->service != NULL)
    roost_reload_follow(self->service, self, of->singleton ? &of->handlers : NULL);
  else
    note_report(self, ROOST_SLICE("a worker does not know the service: out of memory"));
}

static round *round_new(roost_rounds *rounds, const roost_service *service) {
  const size_t count = roost_workers_count(rounds->workers);
  round *self = roost_alloc_get(rounds->alloc, round_bytes(count));
  if (self == NULL)
    return NULL;
  self->rounds = rounds;
  self->count = count;
  roost_list_init(&self->handlers);
  roost_timer_init(&self->timer, on_timer);
  self->name = roost_alloc_text(rounds->alloc, roost_slice_text(service->name));
  self->root = roost_alloc_text(rounds->alloc, roost_slice_text(service->source.root));
  self->path = roost_alloc_text(rounds->alloc, roost_slice_text(service->source.path));
  if (self->name == NULL || self->root == NULL || self->path == NULL ||
      roost_meeting_init(&self->meeting, rounds->alloc, count) != 0) {
    roost_alloc_put_text(rounds->alloc, self->name);
    roost_alloc_put_text(rounds->alloc, self->root);
    roost_alloc_put_text(rounds->alloc, self->path);
    roost_alloc_put(rounds->alloc, self, round_bytes(count));
    return NULL;
  }
  for (size_t i = 0; i < count; i++) {
    self->parts[i] = (part){.round = self, .number = i};
    self->parts[i].job.ud = &self->parts[i];
    self->parts[i].look = (roost_loop_job){.fn = on_look, .ud = &self->parts[i]};
    roost_buffer_init(&self->parts[i].why, rounds->alloc);
  }
  roost_list_append(&rounds->open, &self->link);
  return self;
}

/* In the leader's order, so that each is a copy of one at the same place. */
static int copy_handlers(round *self, const roost_generation *of) {
  const roost_list *handlers = &of->handlers;
  int status = 0;
  self->singleton = of->singleton;
  for (const roost_list *at = handlers->next; at != handlers && status == 0 && of->singleton;
       at = at->next) {
    roost_handler *own;
    status = roost_handler_copy(&own, self->rounds->alloc,
                                ROOST_LIST_ENTRY(at, const roost_handler, link), handlers);
    if (status == 0)
      roost_list_append(&self->handlers, &own->link);
  }
  return status;
}

/* What an earlier round still waits for. */
static const part *find_stuck(const roost_rounds *rounds) {
  const part *stuck = NULL;
  for (const roost_list *at = rounds->open.next; at != &rounds->open && stuck == NULL;
       at = at->next) {
    const round *each = ROOST_LIST_ENTRY(at, const round, link);
    if (each->ends)
      stuck = first_stuck(each);
  }
  return stuck;
}

static int begin(void *ud, roost_service *service, void **given) {
  const part *stuck = find_stuck(ud);
  if (stuck != NULL) {
    say_stuck(&service->reload.next->error, stuck);
    return ROOST_ESTATE;
  }
  round *self = round_new(ud, service);
  if (self == NULL)
    return ROOST_ENOMEM;
  if (copy_handlers(self, service->reload.next) != 0) {
    round_free(self);
    return ROOST_ENOMEM;
  }
  self->parts[0].service = service;
  *given = &self->parts[0];
  self->unreported = self->count;
  self->away = self->count - 1;
  for (size_t i = 1; i < self->count; i++)
    send(&self->parts[i], on_begin);
  self->patience_ms = service->dispatch->config.start_timeout_ms;
  if (self->patience_ms != 0)
    roost_timer_start(wheel_of(self), &self->timer, self->patience_ms);
  return 0;
}

/* ------------------------------------------------------------------------- life -------------- */

static const roost_reload_team team = {.begin = begin, .report = report, .over = over};

static int join(roost_worker *worker, void *ud) {
  worker->dispatch->config.team = &team;
  worker->dispatch->config.team_ud = ud;
  return 0;
}

int roost_rounds_new(roost_rounds **out, roost_workers *workers, const roost_alloc *alloc) {
  *out = NULL;
  if (roost_workers_count(workers) == 1)
    return 0;
  roost_rounds *rounds = roost_alloc_get(alloc, sizeof *rounds);
  if (rounds == NULL)
    return ROOST_ENOMEM;
  *rounds = (roost_rounds){.alloc = alloc, .workers = workers};
  roost_list_init(&rounds->open);
  (void)join(roost_workers_get(workers, 0), rounds);
  (void)roost_workers_each(workers, join, rounds);
  *out = rounds;
  return 0;
}

void roost_rounds_free(roost_rounds *rounds) {
  if (rounds == NULL)
    return;
  while (!roost_list_empty(&rounds->open))
    round_free(ROOST_LIST_ENTRY(rounds->open.next, round, link));
  roost_alloc_put(rounds->alloc, rounds, sizeof *rounds);
}
