#include "admin/admin_internal.h"

#define BEAT_MS     1000
#define PATIENCE_MS 250 /* an idle worker answers within one */

/* ------------------------------------------------------------------------- there and back ---- */

static void put_question(roost_asked *to) {
  to->waiting = true;
  to->since_ms = roost_loop_now_ms(to->admin->loop);
  to->question = to->admin->asks;
  roost_loop_post_job(to->worker->loop, &to->ask);
}

/* Whoever has not answered the last one is asked again when he has. */
static void ask_all(roost_admin *admin) {
  admin->asks++;
  for (size_t i = 0; i < admin->asked_count; i++)
    if (!admin->asked[i].waiting)
      put_question(&admin->asked[i]);
}

/* On the worker. Where memory is short the last report stays. */
static void on_ask(void *ud) {
  roost_asked *self = ud;
  if (atomic_load(&self->admin->closing))
    return;
  (void)roost_report_new(&self->fresh, self->worker);
  roost_loop_post_job(self->admin->loop, &self->reply);
}

/* The number of the question that all have answered. */
static uint64_t answered_by_all(const roost_admin *admin) {
  uint64_t least = UINT64_MAX;
  for (size_t i = 0; i < admin->asked_count; i++)
    if (admin->asked[i].answered < least)
      least = admin->asked[i].answered;
  return least;
}

static void tell_waiting(roost_admin *admin) {
  const uint64_t answered = answered_by_all(admin);
  roost_list *at = admin->exchanges.next;
  while (at != &admin->exchanges) {
    roost_exchange *exchange = ROOST_LIST_ENTRY(at, roost_exchange, link);
    at = at->next;
    if (exchange->state == ROOST_EXCHANGE_WAITING && exchange->wants <= answered)
      roost_exchange_resume(exchange);
  }
}

static void on_reply(void *ud) {
  roost_asked *self = ud;
  roost_admin *admin = self->admin;
  self->waiting = false;
  self->answered = self->question;
  if (self->fresh != NULL) {
    roost_report_free(self->report);
    self->report = self->fresh;
    self->fresh = NULL;
  }
  if (atomic_load(&admin->closing))
    return;
  if (self->answered < admin->asks) /* those who came meanwhile want the answer to that */
    put_question(self);
  tell_waiting(admin);
}

static void on_beat(roost_timer *timer) {
  roost_admin *admin = ROOST_LIST_ENTRY(timer, roost_admin, beat);
  roost_timer_start(roost_loop_wheel(admin->loop), &admin->beat, BEAT_MS);
  ask_all(admin);
}

/* ------------------------------------------------------------------------- from elsewhere ---- */

static void init_asked(roost_admin *admin, size_t number) {
  roost_asked *self = &admin->asked[number];
  const roost_admin_config *config = &admin->config;
  self->admin = admin;
  self->worker =
      config->workers != NULL ? roost_workers_get(config->workers, number) : config->worker;
  self->ask = (roost_loop_job){.fn = on_ask, .ud = self};
  self->reply = (roost_loop_job){.fn = on_reply, .ud = self};
}

int roost_asking_init(roost_admin *admin) {
  const roost_workers *workers = admin->config.workers;
  const size_t count = workers != NULL ? roost_workers_count(workers) : 1;
  roost_timer_init(&admin->beat, on_beat);
  admin->asked = roost_alloc_get(admin->config.alloc, count * sizeof *admin->asked);
  if (admin->asked == NULL)
    return ROOST_ENOMEM;
  admin->asked_count = count;
  for (size_t i = 0; i < count; i++)
    init_asked(admin, i);
  return 0;
}

void roost_asking_deinit(roost_admin *admin) {
  for (size_t i = 0; i < admin->asked_count; i++) {
    roost_report_free(admin->asked[i].report);
    roost_report_free(admin->asked[i].fresh);
  }
  roost_alloc_put(admin->config.alloc, admin->asked, admin->asked_count * sizeof *admin->asked);
}

void roost_asking_start(roost_admin *admin) {
  roost_timer_start(roost_loop_wheel(admin->loop), &admin->beat, 0);
}

void roost_asking_stop(roost_admin *admin) {
  roost_timer_stop(roost_loop_wheel(admin->loop), &admin->beat);
}

static uint64_t stuck_ms(const roost_asked *self) {
  return self->waiting ? roost_loop_now_ms(self->admin->loop) - self->since_ms : 0;
}

uint64_t roost_asking_stuck_ms(const roost_admin *admin) {
  uint64_t longest = 0;
  for (size_t i = 0; i < admin->asked_count; i++)
    if (stuck_ms(&admin->asked[i]) > longest)
      longest = stuck_ms(&admin->asked[i]);
  return longest;
}

bool roost_asking_is_stuck(const roost_admin *admin) {
  return roost_asking_stuck_ms(admin) >= PATIENCE_MS;
}

static void on_patience_over(roost_timer *timer) {
  roost_exchange_resume(ROOST_LIST_ENTRY(timer, roost_exchange, patience));
}

bool roost_asking_wait(roost_exchange *exchange) {
  roost_admin *admin = exchange->admin;
  if (roost_asking_is_stuck(admin))
    return false;
  ask_all(admin);
  exchange->wants = admin->asks;
  exchange->state = ROOST_EXCHANGE_WAITING;
  roost_timer_init(&exchange->patience, on_patience_over);
  roost_timer_start(roost_loop_wheel(admin->loop), &exchange->patience, PATIENCE_MS);
  return true;
}

static int merge(roost_report **out, const roost_admin *admin, roost_report **parts, bool *stuck) {
  for (size_t i = 0; i < admin->asked_count; i++) {
    parts[i] = admin->asked[i].report;
    stuck[i] = stuck_ms(&admin->asked[i]) >= PATIENCE_MS;
  }
  return roost_report_merge(out, admin->config.alloc, parts, stuck, admin->asked_count);
}

int roost_asking_report(roost_report **out, const roost_admin *admin) {
  const roost_alloc *alloc = admin->config.alloc;
  const size_t count = admin->asked_count;
  *out = NULL;
  if (admin->asked[0].report == NULL)
    return 0;
  roost_report **parts = roost_alloc_get(alloc, count * sizeof(roost_report *));
  bool *stuck = roost_alloc_get(alloc, count * sizeof *stuck);
  const int status =
      parts != NULL && stuck != NULL ? merge(out, admin, parts, stuck) : ROOST_ENOMEM;
  roost_alloc_put(alloc, parts, count * sizeof(roost_report *));
  roost_alloc_put(alloc, stuck, count * sizeof *stuck);
  return status;
}
