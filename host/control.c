#include "control.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/thread.h"

#define TRIM_AFTER_MS 1000 /* and so at most this often */

typedef uint32_t tick_fn(void *ud);

struct roost_control {
  pthread_t thread;
  roost_clock clock; /* real */
  roost_loop *loop;
  roost_loop_hook flush; /* each turn: writes the log */
  roost_loop_job end;    /* posted by stop */
  atomic_bool wants_trim;
  roost_timer trim;
  roost_timer tick;
  atomic_bool tick_now; /* roost_control_tick_now was called */
  tick_fn *on_tick;     /* NULL: none; the control thread's */
  void *tick_ud;
  roost_log *log;           /* borrowed */
  const roost_alloc *alloc; /* borrowed */
};

/* ------------------------------------------------------------------------- the turn ---------- */

static void on_log_filled(void *ud) {
  const roost_control *control = ud;
  roost_loop_wake(control->loop);
}

static void tick(roost_control *control) {
  const uint32_t after_ms = control->on_tick(control->tick_ud);
  roost_timer_start(roost_loop_wheel(control->loop), &control->tick, after_ms > 0 ? after_ms : 1);
}

static void on_flush(void *ud) {
  roost_control *control = ud;
  roost_log_drain(control->log);
  if (atomic_load_explicit(&control->wants_trim, memory_order_relaxed) &&
      !roost_timer_running(&control->trim))
    roost_timer_start(roost_loop_wheel(control->loop), &control->trim, TRIM_AFTER_MS);
  if (atomic_exchange(&control->tick_now, false) && control->on_tick != NULL)
    tick(control);
}

/* What was freed in one burst is given back together, once it has been quiet for a moment. */
static void on_trim(roost_timer *timer) {
  roost_control *control = ROOST_LIST_ENTRY(timer, roost_control, trim);
  atomic_store(&control->wants_trim, false);
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

void roost_control_trim(roost_control *control) {
  if (!atomic_exchange(&control->wants_trim, true))
    roost_loop_wake(control->loop);
}

static void on_tick(roost_timer *timer) {
  tick(ROOST_LIST_ENTRY(timer, roost_control, tick));
}

void roost_control_tick_now(void *ud) {
  roost_control *control = ud;
  if (!atomic_exchange(&control->tick_now, true))
    roost_loop_wake(control->loop);
}

static void on_end(void *ud) {
  const roost_control *control = ud;
  roost_loop_stop(control->loop);
}

static void *run(void *ud) {
  roost_control *control = ud;
  roost_loop_run(control->loop);
  return NULL;
}

/* ------------------------------------------------------------------------- from elsewhere ---- */

roost_loop *roost_control_loop(roost_control *control) {
  return control->loop;
}

int roost_control_post(roost_control *control, void (*fn)(void *ud), void *ud) {
  return roost_loop_post(control->loop, fn, ud);
}

void roost_control_call(roost_control *control, void (*fn)(void *ud), void *ud) {
  roost_loop_call(control->loop, fn, ud);
}

typedef struct new_tick {
  roost_control *control;
  tick_fn *fn;
  void *ud;
} new_tick;

static void set_tick(void *ud) {
  const new_tick *given = ud;
  roost_control *control = given->control;
  roost_wheel *wheel = roost_loop_wheel(control->loop);
  control->on_tick = given->fn;
  control->tick_ud = given->ud;
  roost_timer_stop(wheel, &control->tick);
  if (given->fn != NULL)
    roost_timer_start(wheel, &control->tick, 0);
}

void roost_control_set_tick(roost_control *control, uint32_t (*fn)(void *ud), void *ud) {
  new_tick given = {control, fn, ud};
  roost_control_call(control, set_tick, &given);
}

/* ------------------------------------------------------------------------- life -------------- */

int roost_control_start(roost_control **out, const roost_alloc *alloc, roost_log *log) {
  roost_control *control = roost_alloc_get(alloc, sizeof *control);
  *out = NULL;
  if (control == NULL)
    return ROOST_ENOMEM;
  control->log = log;
  control->alloc = alloc;
  control->flush = (roost_loop_hook){.fn = on_flush, .ud = control};
  control->end = (roost_loop_job){.fn = on_end, .ud = control};
  roost_timer_init(&control->trim, on_trim);
  roost_timer_init(&control->tick, on_tick);
  int status = roost_loop_new(&control->loop, alloc, &control->clock);
  if (status == 0) {
    roost_loop_add_flush(control->loop, &control->flush);
    roost_log_on_filled(log, on_log_filled, control);
    status = roost_thread_start(&control->thread, run, control);
  }
  if (status == 0) {
    *out = control;
    return 0;
  }
  roost_log_on_filled(log, NULL, NULL);
  roost_loop_free(control->loop);
  roost_alloc_put(alloc, control, sizeof *control);
  return status;
}

void roost_control_stop(roost_control *control) {
  if (control == NULL)
    return;
  roost_log_on_filled(control->log, NULL, NULL);
  roost_loop_post_job(control->loop, &control->end);
  pthread_join(control->thread, NULL);
  roost_log_drain(control->log);
  roost_loop_free(control->loop);
  roost_alloc_put(control->alloc, control, sizeof *control);
}
