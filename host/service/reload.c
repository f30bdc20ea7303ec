#include "service/reload.h"

#include <stdio.h>

#include "service/dispatch.h"

#define LONGEST_RETRY_MS 60000
#define MEETING_MS       100   /* that all workers have, to come to the turn they swap in */
#define HOOKS_MS         60000 /* where hooks have no limit of their own */
#define MOST_CLOSING     8 /* old states that are not closed yet: else a busy machine gathers them */

static const roost_slice stopping = {"the host is stopping", sizeof "the host is stopping" - 1};

static void begin(roost_service *service);
static void follow(roost_service *service, void *part, const roost_list *handlers);

/* ------------------------------------------------------------------------- the end ----------- */

static void tell(roost_list *waiters, const roost_reload_result *result) {
  roost_list all;
  roost_list_init(&all);
  roost_list_move(&all, waiters);
  while (!roost_list_empty(&all)) {
    roost_reload_waiter *waiter = ROOST_LIST_ENTRY(all.next, roost_reload_waiter, link);
    roost_list_remove(&waiter->link);
    waiter->fn(waiter, result);
  }
}

static void leave_round(const roost_service *service, void *part) {
  const roost_dispatch_config *config = &service->dispatch->config;
  if (part != NULL)
    config->team->over(config->team_ud, part);
}

static void remove_unwanted(roost_service *service) {
  if (roost_dispatch_remove_service(service->dispatch, service) != 0)
    service->reload.unwanted = true; /* out of memory: the next end of a reload tries again */
}

/* Whoever came meanwhile waits for the next one. */
static void end(roost_service *service, const roost_reload_result *result) {
  roost_reloader *reload = &service->reload;
  void *part = reload->part;
  void *later = reload->part_later;
  reload->next = NULL;
  reload->part = reload->part_later = NULL;
  reload->meeting = NULL;
  reload->fresh = reload->follows = false;
  roost_list_remove(&reload->link);
  leave_round(service, part);
  tell(&reload->waiting, result);
  if (reload->abandoned) {
    leave_round(service, later);
    tell(&reload->later, result);
  } else if (later != NULL) {
    follow(service, later, reload->handlers_later);
  } else if (reload->unwanted) {
    remove_unwanted(service);
  } else if (reload->again && roost_reload_is_idle(reload)) {
    begin(service);
  }
}

static void tell_dispatch(const roost_service *service, roost_generation *generation) {
  const roost_dispatch_config *config = &service->dispatch->config;
  if (config->on_reloaded != NULL)
    config->on_reloaded(config->on_reloaded_ud, generation);
}

static uint32_t number_of(const roost_generation *generation) {
  return generation != NULL ? generation->number : 0;
}

/* ------------------------------------------------------------------------- refusing ---------- */

/* Whoever comes when the host is stopping already. */
static void tell_stopping(roost_service *service) {
  const roost_reload_result result = {service, number_of(service->current), 0, stopping};
  tell(&service->reload.later, &result);
}

static void log_refused(const roost_service *service, uint32_t number, roost_slice why) {
  roost_log_line line;
  const bool has_old = service->current != NULL;
  roost_log_begin(&line, service->dispatch->config.log, ROOST_LOG_ERROR,
                  has_old ? ROOST_SLICE("reload refused, the old generation goes on")
                          : ROOST_SLICE("service cannot be loaded"));
  roost_log_text(&line, "service", roost_slice_text(service->name));
  roost_log_integer(&line, "worker", service->dispatch->config.worker);
  roost_log_integer(&line, "gen", number);
  roost_log_text(&line, "err", why);
  roost_log_end(&line);
}

static void retry_later(roost_service *service) {
  const roost_dispatch_config *config = &service->dispatch->config;
  roost_reloader *reload = &service->reload;
  uint64_t ms = config->reload_retry_ms;
  if (ms == 0)
    return;
  for (unsigned i = 0; i < reload->failures && ms < LONGEST_RETRY_MS; i++)
    ms *= 2;
  reload->failures++;
  roost_timer_start(config->wheel, &reload->retry, ms < LONGEST_RETRY_MS ? ms : LONGEST_RETRY_MS);
}

/* The same error again is not said again. */
static void remember_refusal(roost_service *service, uint32_t number, roost_slice why) {
  roost_reloader *reload = &service->reload;
  const bool repeated =
      reload->failures > 0 && roost_slice_equal(why, roost_buffer_slice(&reload->refused));
  if (!repeated)
    log_refused(service, number, why);
  roost_buffer_clear(&reload->refused);
  (void)roost_buffer_append_slice(&reload->refused, why);
  reload->refusals++;
}

static roost_slice reason_of(const roost_generation *next) {
  return next != NULL && next->error.len > 0 ? roost_buffer_slice(&next->error)
                                             : ROOST_SLICE("out of memory");
}

static void refuse(roost_service *service) {
  roost_reloader *reload = &service->reload;
  roost_generation *next = reload->next;
  const uint32_t number = next != NULL ? next->number : service->generations + 1;
  if (reload->meeting != NULL) /* where it has not been there the others need not wait */
    roost_meeting_cancel(reload->meeting, service->dispatch->config.worker,
                         reload->abandoned ? stopping : reason_of(next));
  if (!reload->abandoned && !reload->follows) {
    remember_refusal(service, number, reason_of(next));
    retry_later(service);
    tell_dispatch(service, NULL);
  }
  const roost_reload_result result = {service, number_of(service->current), 0,
                                      reload->abandoned ? stopping
                                                        : roost_buffer_slice(&reload->refused)};
  end(service, &result);
  roost_generation_discard(next);
}

/* ------------------------------------------------------------------------- swapping ---------- */

/* A new text is added in front of an error that says only what was wrong. */
static int refuse_about(roost_generation *next, const char *what, roost_slice why) {
  roost_buffer text;
  roost_buffer_init(&text, next->dispatch->config.alloc);
  (void)roost_buffer_printf(&text, "%s: %.*s", what, (int)why.len, why.ptr != NULL ? why.ptr : "");
  roost_buffer_deinit(&next->error);
  next->error = text;
  return ROOST_ESCRIPT;
}

/* What the old one gives, copied, to the new one. One that takes nothing is given nothing, but the
 * old one's on_handoff may refuse all the same. */
static int hand_over(roost_generation *old, roost_generation *next) {
  if (old == NULL || old->hooks[ROOST_HOOK_HANDOFF] == 0)
    return 0;
  int status = roost_generation_run_hook(old, ROOST_HOOK_HANDOFF);
  if (status != 0)
    return refuse_about(next, "the running code's on_handoff", roost_buffer_slice(&old->error));
  if (next->hooks[ROOST_HOOK_ADOPT] == 0)
    return 0;
  roost_buffer given = old->handed;
  old->handed = next->handed;
  next->handed = given;
  status = roost_generation_run_hook(next, ROOST_HOOK_ADOPT);
  roost_buffer_deinit(&next->handed);
  if (status != 0)
    return refuse_about(next, "on_adopt", roost_buffer_slice(&next->error));
  return 0;
}

static void on_conflict(void *ud, const roost_server_config *server, const roost_handler *kept,
                        const roost_handler *replaced) {
  const roost_generation *next = ud;
  const roost_generation *other =
      kept->generation == next ? replaced->generation : kept->generation;
  if ((kept->generation != next && replaced->generation != next) ||
      strcmp(server->transport, "local") == 0)
    return;
  roost_log_line line;
  roost_log_begin(&line, next->dispatch->config.log, ROOST_LOG_WARN,
                  ROOST_SLICE("pattern has two message handlers, the later wins"));
  roost_log_text(&line, "service", roost_slice_text(next->service->name));
  roost_log_text(&line, "server", roost_slice_text(server->name));
  roost_log_text(&line, "pattern", roost_buffer_slice(&kept->route));
  if (other != NULL && other != next)
    roost_log_text(&line, "other", roost_slice_text(other->service->name));
  roost_log_end(&line);
}

static void log_swap(const roost_service *service, uint32_t from) {
  roost_log_line line;
  roost_log_begin(&line, service->dispatch->config.log, ROOST_LOG_INFO,
                  from != 0 ? ROOST_SLICE("service reloaded") : ROOST_SLICE("service loaded"));
  roost_log_text(&line, "service", roost_slice_text(service->name));
  roost_log_integer(&line, "worker", service->dispatch->config.worker);
  roost_log_integer(&line, "gen", service->current->number);
  if (from != 0)
    roost_log_integer(&line, "from", from);
  roost_log_end(&line);
}

/* What can fail: what the old one gives, and the tables, which wait to be swapped in. */
static int prepare(roost_service *service) {
  roost_generation *old = service->current;
  roost_generation *next = service->reload.next;
  int status = service->reload.fresh ? 0 : hand_over(old, next);
  if (status != 0)
    return status;
  service->current = next;
  status =
      roost_dispatch_build(service->dispatch, service->reload.follows ? NULL : on_conflict, next);
  service->current = old;
  return status;
}

static void commit(roost_service *service) {
  roost_generation *old = service->current;
  roost_dispatch_swap(service->dispatch);
  roost_generation_publish(service->reload.next);
  if (old != NULL)
    roost_generation_retire(old);
}

/* on_handoff and on_adopt may take their time of the processor; and a busy machine its own. */
static uint64_t patience_ms(const roost_service *service) {
  return service->limits.cpu_ms != 0 ? 4 * service->limits.cpu_ms + MEETING_MS : HOOKS_MS;
}

/* Another one is the culprit, or this one came too late. */
static int refuse_by_meeting(const roost_meeting *meeting, roost_generation *next, const char *late,
                             uint64_t within_ms) {
  char text[96];
  if (meeting->why[0] != '\0') {
    snprintf(text, sizeof text, "worker %zu", meeting->culprit);
    return refuse_about(next, text, roost_slice_text(meeting->why));
  }
  snprintf(text, sizeof text, "worker %zu %s within %llu ms", meeting->culprit, late,
           (unsigned long long)within_ms);
  return refuse_about(next, "not reloaded", roost_slice_text(text));
}

/* The same at the same time as all other workers: either all go on to commit or none. */
static int prepare_together(roost_service *service) {
  roost_meeting *meeting = service->reload.meeting;
  roost_generation *next = service->reload.next;
  const unsigned worker = service->dispatch->config.worker;
  const uint64_t agree_ms = patience_ms(service);
  uint32_t number = next->number;
  if (!roost_meeting_arrive(meeting, worker, &number, MEETING_MS))
    return refuse_by_meeting(meeting, next, "was not free", MEETING_MS);
  next->number = number;
  const int status = prepare(service);
  if (roost_meeting_agree(meeting, worker, status == 0,
                          status != 0 ? reason_of(next) : (roost_slice){NULL, 0}, agree_ms))
    return 0;
  if (status != 0)
    return status;
  roost_dispatch_unbuild(service->dispatch);
  return refuse_by_meeting(meeting, next, "has not said whether it can", agree_ms);
}

/* All in one turn; what fails leaves the old one as it was. */
static int swap(roost_service *service) {
  roost_generation *next = service->reload.next;
  if (next->state == ROOST_GENERATION_FAILED)
    return refuse_about(next, "on_start", reason_of(next));
  const int status = service->reload.meeting != NULL ? prepare_together(service) : prepare(service);
  if (status == 0)
    commit(service);
  return status;
}

/* What a follower does counts for nothing: the leader has done the same. */
static void note_swap(roost_service *service, uint32_t from) {
  roost_reloader *reload = &service->reload;
  reload->failures = 0;
  if (reload->follows)
    return;
  reload->swaps++;
  roost_buffer_clear(&reload->refused);
  log_swap(service, from);
}

static void take_turn(roost_service *service) {
  roost_reloader *reload = &service->reload;
  const uint32_t from = number_of(service->current);
  if (reload->abandoned || swap(service) != 0) {
    refuse(service);
    return;
  }
  note_swap(service, from);
  tell_dispatch(service, service->current);
  const roost_reload_result result = {service, from, service->current->number, {NULL, 0}};
  end(service, &result);
}

void roost_reload_flush(roost_dispatch *dispatch) {
  roost_list ready;
  roost_list_init(&ready);
  roost_list_move(&ready, &dispatch->swaps);
  while (!roost_list_empty(&ready)) {
    roost_service *service = ROOST_LIST_ENTRY(ready.next, roost_service, reload.link);
    roost_list_remove(&service->reload.link);
    take_turn(service);
  }
}

/* ------------------------------------------------------------------------- the way there ----- */

static void report(const roost_service *service, roost_slice refused) {
  const roost_dispatch_config *config = &service->dispatch->config;
  config->team->report(config->team_ud, service->reload.part, refused);
}

/* Its on_start is over, whatever way. The rest is for the end of the turn, when no Lua is running.
 */
static void on_started(void *ud, roost_generation *generation) {
  roost_service *service = ud;
  generation->on_change = NULL;
  if (service->reload.part == NULL)
    roost_list_append(&service->dispatch->swaps, &service->reload.link);
  else if (generation->state == ROOST_GENERATION_FAILED) {
    (void)refuse_about(generation, "on_start", reason_of(generation));
    report(service, reason_of(generation));
  } else {
    report(service, (roost_slice){NULL, 0});
  }
}

static void start_next(roost_service *service) {
  roost_generation *next = service->reload.next;
  next->on_change = on_started;
  next->on_change_ud = service;
  roost_generation_start(next, service->dispatch->config.start_timeout_ms);
}

static void on_build(roost_job *job, roost_runner *runner) {
  (void)roost_generation_build(ROOST_LIST_ENTRY(job, roost_generation, job), runner);
}

/* The leader's is built: the others may begin, or the error of what is built says why not. */
static int lead(roost_service *service) {
  const roost_dispatch_config *config = &service->dispatch->config;
  roost_reloader *reload = &service->reload;
  if (config->team == NULL || config->worker != 0 || reload->fresh)
    return 0;
  return config->team->begin(config->team_ud, service, &reload->part);
}

/* Its file may have changed since the leader, or the state it has, was loaded. */
static int check_kind(roost_generation *next) {
  if (next->dispatch->config.worker == 0 || !next->singleton)
    return 0;
  return refuse_about(next, "not reloaded", ROOST_SLICE("it has become a singleton meanwhile"));
}

static void on_built(roost_job *job) {
  roost_generation *next = ROOST_LIST_ENTRY(job, roost_generation, job);
  roost_service *service = next->service;
  service->reload.building = false;
  const bool failed = roost_generation_attach(next) != 0 || check_kind(next) != 0;
  const bool abandoned = service->reload.abandoned;
  if (failed && !abandoned && service->reload.follows)
    report(service, reason_of(next));
  else if (failed || abandoned || lead(service) != 0)
    refuse(service);
  else
    start_next(service);
}

static void on_retry(roost_timer *timer) {
  roost_service *service = ROOST_LIST_ENTRY(timer, roost_service, reload.retry);
  if (roost_reload_is_idle(&service->reload))
    begin(service);
}

static void build(roost_service *service) {
  roost_dispatch_config *config = &service->dispatch->config;
  roost_reloader *reload = &service->reload;
  reload->building = true;
  reload->next->job = (roost_job){.run = on_build, .done = on_built};
  roost_job_start(&config->builder, &reload->next->job, config->runner);
}

static void begin(roost_service *service) {
  roost_reloader *reload = &service->reload;
  reload->again = service->dispatch->closing >= MOST_CLOSING;
  if (reload->again)
    return;
  roost_list_move(&reload->waiting, &reload->later);
  roost_timer_stop(service->dispatch->config.wheel, &reload->retry);
  if (roost_generation_new(&reload->next, service) != 0)
    refuse(service);
  else
    build(service);
}

static void follow(roost_service *service, void *part, const roost_list *handlers) {
  roost_reloader *reload = &service->reload;
  reload->part = part;
  reload->follows = true;
  roost_timer_stop(service->dispatch->config.wheel, &reload->retry);
  const int status = handlers != NULL ? roost_generation_remote(&reload->next, service, handlers)
                                      : roost_generation_new(&reload->next, service);
  if (status != 0)
    report(service, ROOST_SLICE("out of memory"));
  else if (handlers != NULL)
    start_next(service);
  else
    build(service);
}

/* One that waits already is of a round that has been given up. */
static void wait_to_follow(roost_service *service, void *part, const roost_list *handlers) {
  roost_reloader *reload = &service->reload;
  leave_round(service, reload->part_later);
  reload->part_later = part;
  reload->handlers_later = handlers;
}

void roost_reload_follow(roost_service *service, void *part, const roost_list *handlers) {
  roost_reloader *reload = &service->reload;
  if (reload->abandoned)
    leave_round(service, part);
  else if (!roost_reload_is_idle(reload))
    wait_to_follow(service, part, handlers);
  else
    follow(service, part, handlers);
}

void roost_reload_meet(roost_service *service, roost_meeting *meeting) {
  service->reload.meeting = meeting;
  roost_list_append(&service->dispatch->swaps, &service->reload.link);
}

void roost_reload_refuse(roost_service *service, roost_slice why) {
  roost_generation *next = service->reload.next;
  if (next != NULL && why.len > 0) {
    roost_buffer_clear(&next->error);
    (void)roost_buffer_append_slice(&next->error, why);
  }
  refuse(service);
}

void roost_reload_say_again(roost_service *service) {
  service->reload.failures = 0;
}

void roost_reload_start(roost_service *service, roost_reload_waiter *waiter) {
  roost_reloader *reload = &service->reload;
  if (waiter != NULL) {
    roost_list_append(&reload->later, &waiter->link);
    roost_reload_say_again(service);
  }
  if (reload->abandoned) {
    tell_stopping(service);
    return;
  }
  reload->again = true;
  if (roost_reload_is_idle(reload))
    begin(service);
}

void roost_reload_restart(roost_service *service) {
  if (!roost_reload_is_idle(&service->reload) || service->reload.abandoned)
    return; /* it will have a new state anyway, or none */
  service->reload.fresh = true;
  begin(service);
}

int roost_reload_offer(roost_service *service, roost_generation *next,
                       roost_reload_waiter *waiter) {
  roost_reloader *reload = &service->reload;
  if (reload->next != NULL)
    return ROOST_ESTATE;
  reload->next = next;
  if (waiter != NULL)
    roost_list_append(&reload->waiting, &waiter->link);
  start_next(service);
  return 0;
}

void roost_reload_resume(roost_dispatch *dispatch) {
  for (size_t i = 0; i < dispatch->service_count; i++)
    if (dispatch->services[i]->reload.again && roost_reload_is_idle(&dispatch->services[i]->reload))
      begin(dispatch->services[i]);
}

/* ------------------------------------------------------------------------- life -------------- */

void roost_reload_init(roost_service *service) {
  roost_reloader *reload = &service->reload;
  roost_list_init(&reload->link);
  roost_list_init(&reload->waiting);
  roost_list_init(&reload->later);
  roost_timer_init(&reload->retry, on_retry);
  roost_buffer_init(&reload->refused, service->dispatch->config.alloc);
}

void roost_reload_deinit(roost_service *service) {
  roost_reloader *reload = &service->reload;
  roost_timer_stop(service->dispatch->config.wheel, &reload->retry);
  roost_list_remove(&reload->link);
  roost_generation_free(reload->next);
  roost_buffer_deinit(&reload->refused);
}

void roost_reload_abandon(roost_service *service) {
  roost_reloader *reload = &service->reload;
  roost_timer_stop(service->dispatch->config.wheel, &reload->retry);
  reload->abandoned = true;
  reload->again = false;
  if (roost_reload_is_idle(reload))
    tell_stopping(service);
  else if (!reload->building)
    refuse(service);
}
