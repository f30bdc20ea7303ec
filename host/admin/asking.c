#include "admin/admin_internal.h"

#define BEAT_MS     1000
#define PATIENCE_MS 250 /* an idle worker answers within one */

/* ------------------------------------------------------------------------- there and back ---- */

static void ask(roost_admin *admin) {
  admin->asked = true;
  admin->asked_ms = roost_loop_now_ms(admin->loop);
  admin->asks++;
  roost_loop_post_job(admin->config.worker->loop, &admin->ask);
}

/* On the worker. Where memory is short the last report stays. */
static void on_ask(void *ud) {
  roost_admin *admin = ud;
  if (atomic_load(&admin->closing))
    return;
  (void)roost_report_new(&admin->fresh, admin->config.worker);
  roost_loop_post_job(admin->loop, &admin->reply);
}

/* Those who came after the question was put want the answer to the next. */
static void tell_waiting(roost_admin *admin) {
  bool more = false;
  roost_list *at = admin->exchanges.next;
  while (at != &admin->exchanges) {
    roost_exchange *exchange = ROOST_LIST_ENTRY(at, roost_exchange, link);
    at = at->next;
    if (exchange->state != ROOST_EXCHANGE_WAITING)
      continue;
    if (exchange->wants <= admin->asks)
      roost_exchange_resume(exchange);
    else
      more = true;
  }
  if (more && !admin->asked)
    ask(admin);
}

static void on_reply(void *ud) {
  roost_admin *admin = ud;
  admin->asked = false;
  if (admin->fresh != NULL) {
    roost_report_free(admin->report);
    admin->report = admin->fresh;
    admin->fresh = NULL;
  }
  if (!atomic_load(&admin->closing))
    tell_waiting(admin);
}

static void on_beat(roost_timer *timer) {
  roost_admin *admin = ROOST_LIST_ENTRY(timer, roost_admin, beat);
  roost_timer_start(roost_loop_wheel(admin->loop), &admin->beat, BEAT_MS);
  if (!admin->asked)
    ask(admin);
}

/* ------------------------------------------------------------------------- from elsewhere ---- */

void roost_asking_init(roost_admin *admin) {
  roost_timer_init(&admin->beat, on_beat);
  admin->ask = (roost_loop_job){.fn = on_ask, .ud = admin};
  admin->reply = (roost_loop_job){.fn = on_reply, .ud = admin};
}

void roost_asking_start(roost_admin *admin) {
  roost_timer_start(roost_loop_wheel(admin->loop), &admin->beat, 0);
}

void roost_asking_stop(roost_admin *admin) {
  roost_timer_stop(roost_loop_wheel(admin->loop), &admin->beat);
}

uint64_t roost_asking_stuck_ms(const roost_admin *admin) {
  return admin->asked ? roost_loop_now_ms(admin->loop) - admin->asked_ms : 0;
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
  if (!admin->asked)
    ask(admin);
  else
    exchange->wants++; /* that answer may be of before */
  exchange->wants += admin->asks;
  exchange->state = ROOST_EXCHANGE_WAITING;
  roost_timer_init(&exchange->patience, on_patience_over);
  roost_timer_start(roost_loop_wheel(admin->loop), &exchange->patience, PATIENCE_MS);
  return true;
}
