#include "watchdog.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/slice.h"
#include "watchdog_signal.h"

#define TICK_MIN_US    4000
#define TICK_MAX_US    10000
#define IDLE_TICK_US   250000 /* when nothing runs; a runner that begins wakes us */
#define QUIET_US       100000
#define STUCK_AFTER_MS 5000
#define RESEND_MAX_US  64000
#define MOVES_US       50000   /* a thread that was given so much since the last look goes on */
#define NAME_WITHIN_US 1000000 /* a thread that does not say by then what it runs will not */

/* One runner. But for the runner itself everything is the control thread's. */
typedef struct watched {
  roost_list link;
  roost_runner *runner;
  pthread_t thread;
  clockid_t clock;      /* of that thread */
  bool was_blocked;     /* the signal, in that thread; that thread's */
  uint64_t seen;        /* sequence at the last look */
  uint64_t seen_us;     /* when it was first seen */
  uint64_t base_us;     /* the thread's time then */
  uint64_t moved_us;    /* when its thread last was seen to get on */
  uint64_t moved_at_us; /* the thread's time then */
  uint64_t ended_us;    /* when the run was first told to end; 0: not yet */
  uint64_t sent_us;     /* when the last signal was sent */
  uint64_t pause_us;    /* until the next one */
  uint64_t asked_us;    /* when its name was asked for; 0: not yet */
  bool stuck;           /* and that is in the log */
} watched;

struct roost_watchdog {
  roost_watchdog_config config;
  pthread_mutex_t mutex; /* guards runners: a thread that is looked at must not end */
  roost_list runners;
  atomic_bool aborts;
};

static uint64_t read_us(clockid_t clock) {
  struct timespec now;
  if (clock_gettime(clock, &now) != 0)
    return 0;
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ------------------------------------------------------------------------- making ------------ */

int roost_watchdog_new(roost_watchdog **out, const roost_watchdog_config *config) {
  roost_watchdog *watchdog = roost_alloc_get(config->alloc, sizeof *watchdog);
  *out = NULL;
  if (watchdog == NULL)
    return ROOST_ENOMEM;
  watchdog->config = *config;
  if (watchdog->config.stuck_after_ms == 0)
    watchdog->config.stuck_after_ms = STUCK_AFTER_MS;
  roost_list_init(&watchdog->runners);
  int status = config->signal != 0 ? roost_watchdog_signal_install(config->signal) : 0;
  if (status == 0 && pthread_mutex_init(&watchdog->mutex, NULL) != 0) {
    if (config->signal != 0)
      roost_watchdog_signal_uninstall(config->signal);
    status = ROOST_ENOMEM;
  }
  if (status != 0) {
    roost_alloc_put(config->alloc, watchdog, sizeof *watchdog);
    return status;
  }
  *out = watchdog;
  return 0;
}

void roost_watchdog_free(roost_watchdog *watchdog) {
  if (watchdog == NULL)
    return;
  if (watchdog->config.signal != 0)
    roost_watchdog_signal_uninstall(watchdog->config.signal);
  pthread_mutex_destroy(&watchdog->mutex);
  roost_alloc_put(watchdog->config.alloc, watchdog, sizeof *watchdog);
}

int roost_watchdog_add(roost_watchdog *watchdog, roost_runner *runner) {
  const roost_watchdog_config *config = &watchdog->config;
  watched *at = roost_alloc_get(config->alloc, sizeof *at);
  if (at == NULL)
    return ROOST_ENOMEM;
  at->runner = runner;
  at->thread = pthread_self();
  if (pthread_getcpuclockid(at->thread, &at->clock) != 0) {
    roost_alloc_put(config->alloc, at, sizeof *at);
    return ROOST_ESYSTEM;
  }
  runner->counts = config->signal == 0;
  runner->wake = config->wake;
  runner->wake_ud = config->ud;
  if (config->signal != 0)
    at->was_blocked = roost_watchdog_signal_enter(config->signal, runner);
  atomic_store_explicit(&runner->asleep, true,
                        memory_order_relaxed); /* nothing had to be watched */
  pthread_mutex_lock(&watchdog->mutex);
  roost_list_append(&watchdog->runners, &at->link);
  pthread_mutex_unlock(&watchdog->mutex);
  return 0;
}

static watched *take_out(roost_watchdog *watchdog, const roost_runner *runner) {
  watched *found = NULL;
  pthread_mutex_lock(&watchdog->mutex);
  for (roost_list *link = watchdog->runners.next; link != &watchdog->runners && found == NULL;
       link = link->next)
    if (ROOST_LIST_ENTRY(link, watched, link)->runner == runner)
      found = ROOST_LIST_ENTRY(link, watched, link);
  if (found != NULL)
    roost_list_remove(&found->link);
  pthread_mutex_unlock(&watchdog->mutex);
  return found;
}

void roost_watchdog_remove(roost_watchdog *watchdog, roost_runner *runner) {
  watched *at = take_out(watchdog, runner);
  if (at == NULL)
    return;
  if (watchdog->config.signal != 0)
    roost_watchdog_signal_leave(watchdog->config.signal, runner, at->was_blocked);
  runner->counts = true;
  runner->wake = NULL;
  roost_alloc_put(watchdog->config.alloc, at, sizeof *at);
}

void roost_watchdog_set_abort(roost_watchdog *watchdog, bool aborts) {
  atomic_store_explicit(&watchdog->aborts, aborts, memory_order_relaxed);
}

/* ------------------------------------------------------------------------- stuck ------------- */

static void say(const roost_watchdog *watchdog, const watched *at, roost_log_level level,
                const char *msg, uint64_t now_us) {
  const roost_runner *runner = at->runner;
  roost_log_line line;
  roost_log_begin(&line, watchdog->config.log, level, roost_slice_text(msg));
  if (atomic_load_explicit(&runner->told, memory_order_acquire) == at->seen)
    roost_log_text(&line, "service", roost_slice_text(runner->name));
  roost_log_integer(&line, "worker", runner->worker);
  roost_log_integer(&line, "ms", (int64_t)((now_us - at->seen_us) / 1000));
  roost_log_end(&line);
}

/* Asks the thread for the name of what it runs; false while the answer may still come. */
static bool knows_name(const roost_watchdog *watchdog, watched *at, uint64_t now_us) {
  roost_runner *runner = at->runner;
  if (watchdog->config.signal == 0 ||
      atomic_load_explicit(&runner->told, memory_order_acquire) == at->seen)
    return true;
  if (at->asked_us == 0) {
    at->asked_us = now_us;
    atomic_store_explicit(&runner->ask, at->seen, memory_order_release);
    roost_watchdog_signal_send(watchdog->config.signal, at->thread, runner);
  }
  return now_us - at->asked_us > NAME_WITHIN_US;
}

static void look_whether_stuck(const roost_watchdog *watchdog, watched *at, uint64_t limit_us,
                               uint64_t now_us) {
  const uint64_t patience_us = (uint64_t)watchdog->config.stuck_after_ms * 1000;
  const bool resists = at->ended_us != 0 && now_us - at->ended_us >= patience_us;
  const bool blocks = now_us - at->moved_us >= limit_us + patience_us;
  if (at->stuck || (!resists && !blocks) || !knows_name(watchdog, at, now_us))
    return;
  at->stuck = true;
  say(watchdog, at, ROOST_LOG_ERROR, "worker is stuck", now_us);
  if (atomic_load_explicit(&watchdog->aborts, memory_order_relaxed)) {
    roost_log_drain(watchdog->config.log);
    abort();
  }
}

/* ------------------------------------------------------------------------- looking ----------- */

static uint64_t limit_us_of(_Atomic uint64_t *limit_ms) {
  return atomic_load_explicit(limit_ms, memory_order_relaxed) * 1000;
}

/* Says that the run must end, and says it again after a while; returns when. */
static uint64_t end_run(const roost_watchdog *watchdog, watched *at, bool by_wall,
                        uint64_t now_us) {
  roost_runner *runner = at->runner;
  if (at->ended_us == 0) {
    at->ended_us = now_us;
    at->pause_us = 1000;
    atomic_store_explicit(&runner->end_base_us, at->base_us, memory_order_relaxed);
    atomic_store_explicit(&runner->end_by_wall, by_wall, memory_order_relaxed);
    atomic_store_explicit(&runner->end, at->seen, memory_order_release);
  } else if (now_us - at->sent_us < at->pause_us) {
    return at->pause_us - (now_us - at->sent_us);
  } else if (at->pause_us < RESEND_MAX_US) {
    at->pause_us *= 2;
  }
  at->sent_us = now_us;
  roost_watchdog_signal_send(watchdog->config.signal, at->thread, runner);
  return at->pause_us;
}

static void note_progress(watched *at, uint64_t cpu_us, uint64_t now_us) {
  if (cpu_us - at->moved_at_us < MOVES_US)
    return;
  at->moved_us = now_us;
  at->moved_at_us = cpu_us;
}

/* In how many microseconds to look again while something runs now and then. A run may have begun
 * right after a look, so it ends up to that much too late: a hundredth of its budget. Each look
 * takes the processor from the worker. */
static uint64_t tick_us(const watched *at) {
  const uint64_t wanted_us = limit_us_of(&at->runner->limit_ms) / 100;
  if (wanted_us < TICK_MIN_US)
    return TICK_MIN_US;
  return wanted_us < TICK_MAX_US ? wanted_us : TICK_MAX_US;
}

/* The run that was seen before goes on; returns in how many microseconds to look again. */
static uint64_t look_at_run(const roost_watchdog *watchdog, watched *at, uint64_t now_us) {
  const uint64_t limit_us = limit_us_of(&at->runner->limit_ms);
  const uint64_t wall_us = limit_us_of(&at->runner->wall_ms);
  const uint64_t cpu_us = read_us(at->clock);
  uint64_t left_us = tick_us(at);
  if (limit_us == 0 && wall_us == 0)
    return left_us;
  note_progress(at, cpu_us, now_us);
  const uint64_t spent_us = cpu_us - at->base_us;
  const bool by_wall = wall_us != 0 && now_us - at->seen_us >= wall_us;
  const bool over = limit_us != 0 && spent_us >= limit_us;
  if (watchdog->config.signal != 0 && (over || by_wall))
    left_us = end_run(watchdog, at, !over, now_us);
  else if (limit_us != 0 && !over && limit_us - spent_us < left_us)
    left_us = limit_us - spent_us;
  look_whether_stuck(watchdog, at, limit_us > wall_us ? limit_us : wall_us, now_us);
  return left_us;
}

/* Another run than at the last look, or none any more. */
static void begin_anew(const roost_watchdog *watchdog, watched *at, uint64_t sequence,
                       uint64_t now_us) {
  if (at->stuck)
    say(watchdog, at, ROOST_LOG_WARN, "worker goes on", now_us);
  at->seen = sequence;
  at->seen_us = at->moved_us = now_us;
  at->base_us = at->moved_at_us = read_us(at->clock);
  at->stuck = false;
  at->ended_us = at->asked_us = 0;
}

/* Nothing has run for a while: the next run is to wake us. It may not see that it should, as we may
 * not see that it has begun; then it is found by a tick. */
static bool falls_asleep(watched *at, uint64_t now_us) {
  roost_runner *runner = at->runner;
  if (now_us - at->seen_us < QUIET_US)
    return false;
  atomic_store_explicit(&runner->asleep, true, memory_order_seq_cst);
  if (atomic_load_explicit(&runner->sequence, memory_order_seq_cst) == at->seen)
    return true;
  atomic_store_explicit(&runner->asleep, false, memory_order_relaxed);
  return false;
}

static uint64_t look(const roost_watchdog *watchdog, watched *at, uint64_t now_us) {
  const uint64_t sequence = atomic_load_explicit(&at->runner->sequence, memory_order_acquire);
  if (sequence != at->seen)
    begin_anew(watchdog, at, sequence, now_us);
  else if ((sequence & 1) != 0)
    return look_at_run(watchdog, at, now_us);
  else if (falls_asleep(at, now_us))
    return IDLE_TICK_US;
  return tick_us(at);
}

uint32_t roost_watchdog_tick(roost_watchdog *watchdog) {
  const uint64_t now_us = read_us(CLOCK_MONOTONIC);
  uint64_t left_us = IDLE_TICK_US;
  pthread_mutex_lock(&watchdog->mutex);
  for (roost_list *link = watchdog->runners.next; link != &watchdog->runners; link = link->next) {
    watched *at = ROOST_LIST_ENTRY(link, watched, link);
    const uint64_t wanted_us = look(watchdog, at, now_us);
    if (wanted_us < left_us)
      left_us = wanted_us;
  }
  pthread_mutex_unlock(&watchdog->mutex);
  return (uint32_t)((left_us + 999) / 1000);
}
