#include "service/reload.h"

#include "service/dispatch.h"

#define LONGEST_RETRY_MS 60000
#define MOST_CLOSING     8 /* old states that are not closed yet: else a busy machine gathers them */

static const roost_slice stopping = {"the host is stopping", sizeof "the host is stopping" - 1};

static void begin(roost_service *service);

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

/* Whoever came meanwhile waits for the next one. */
static void end(roost_service *service, const roost_reload_result *result) {
  roost_reloader *reload = &service->reload;
  reload->next = NULL;
  reload->fresh = false;
  roost_list_remove(&reload->link);
  tell(&reload->waiting, result);
  if (reload->abandoned)
    tell(&reload->later, result);
  else if (reload->again && reload->next == NULL)
    begin(service);
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
  roost_log_integer(&line, "worker", 0);
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
  if (!reload->abandoned) {
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
    return refuse_about(next, "on_handoff", roost_buffer_slice(&old->error));
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
  roost_log_integer(&line, "worker", 0);
  roost_log_integer(&line, "gen", service->current->number);
  if (from != 0)
    roost_log_integer(&line, "from", from);
  roost_log_end(&line);
}

/* All in one turn; what fails leaves the old one as it was. */
static int swap(roost_service *service) {
  roost_generation *old = service->current;
  roost_generation *next = service->reload.next;
  if (next->state == ROOST_GENERATION_FAILED)
    return refuse_about(next, "on_start", reason_of(next));
  int status = service->reload.fresh ? 0 : hand_over(old, next);
  if (status != 0)
    return status;
  service->current = next;
  status = roost_dispatch_rebuild(service->dispatch, on_conflict, next);
  if (status != 0) {
    service->current = old;
    return status;
  }
  roost_generation_publish(next);
  if (old != NULL)
    roost_generation_retire(old);
  return 0;
}

static void take_turn(roost_service *service) {
  roost_reloader *reload = &service->reload;
  const uint32_t from = number_of(service->current);
  if (reload->abandoned || swap(service) != 0) {
    refuse(service);
    return;
  }
  reload->failures = 0;
  reload->swaps++;
  roost_buffer_clear(&reload->refused);
  log_swap(service, from);
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

/* Its on_start is over, whatever way. The rest is for the end of the turn, when no Lua is running.
 */
static void on_started(void *ud, roost_generation *generation) {
  roost_service *service = ud;
  generation->on_change = NULL;
  roost_list_append(&service->dispatch->swaps, &service->reload.link);
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

static void on_built(roost_job *job) {
  roost_generation *next = ROOST_LIST_ENTRY(job, roost_generation, job);
  roost_service *service = next->service;
  service->reload.building = false;
  if (roost_generation_attach(next) != 0 || service->reload.abandoned)
    refuse(service);
  else
    start_next(service);
}

static void on_retry(roost_timer *timer) {
  roost_service *service = ROOST_LIST_ENTRY(timer, roost_service, reload.retry);
  if (service->reload.next == NULL)
    begin(service);
}

static void begin(roost_service *service) {
  roost_dispatch_config *config = &service->dispatch->config;
  roost_reloader *reload = &service->reload;
  reload->again = service->dispatch->closing >= MOST_CLOSING;
  if (reload->again)
    return;
  roost_list_move(&reload->waiting, &reload->later);
  roost_timer_stop(config->wheel, &reload->retry);
  if (roost_generation_new(&reload->next, service) != 0) {
    refuse(service);
    return;
  }
  reload->building = true;
  reload->next->job = (roost_job){.run = on_build, .done = on_built};
  roost_job_start(&config->builder, &reload->next->job, config->runner);
}

void roost_reload_start(roost_service *service, roost_reload_waiter *waiter) {
  roost_reloader *reload = &service->reload;
  if (waiter != NULL)
    roost_list_append(&reload->later, &waiter->link);
  if (reload->abandoned) {
    tell_stopping(service);
    return;
  }
  reload->again = true;
  if (reload->next == NULL)
    begin(service);
}

void roost_reload_restart(roost_service *service) {
  if (service->reload.next != NULL || service->reload.abandoned)
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
    if (dispatch->services[i]->reload.again && dispatch->services[i]->reload.next == NULL)
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
  if (reload->next == NULL)
    tell_stopping(service);
  else if (!reload->building)
    refuse(service);
}
