/*
 * watchdog.h - looks, from the control thread, whether some run of Lua code takes too long.
 *
 * Start reading at roost_watchdog_tick. It watches runners (vm/runner.h), each of another thread.
 * While the number of a run stays the same it reads the clock of that thread, and once the run has
 * taken its limit since the first look at it, it says which run is to end and sends the thread a
 * signal, whose handler does the rest (vm/watchdog.h). A runner that does nothing is not looked at
 * until it runs again.
 * Stuck: a run that goes on long after it should have ended, or that blocks its thread: it is in
 * some C code that looks at nothing (os.execute, a C module).
 * The signal handler is the process's: installed with the first watchdog that wants that signal,
 * taken out with the last; what is not ours goes to the handler that was there before.
 * Functions without a comment on threads: the host's thread.
 */
#ifndef ROOST_WATCHDOG_H
#define ROOST_WATCHDOG_H

#include "core/log.h"
#include "vm/runner.h"

typedef struct roost_watchdog roost_watchdog;

typedef struct roost_watchdog_config {
  const roost_alloc *alloc;
  roost_log *log;          /* told of a stuck worker */
  int signal;              /* 0: none is sent, hooks count instead */
  uint32_t stuck_after_ms; /* past the limit; 0: 5,000 */
  void (*wake)(void *ud);  /* has the control thread tick at once; any thread */
  void *ud;                /* handed to it */
} roost_watchdog_config;

/* config is copied. ENOMEM, EINVAL (no such signal). */
int roost_watchdog_new(roost_watchdog **out, const roost_watchdog_config *config);

/* It must watch nothing, and nobody may tick. NULL is allowed. */
void roost_watchdog_free(roost_watchdog *watchdog);

/* Begins to watch a runner; to be called on the runner's own thread, in which the signal is not
 * blocked from now on, and before a state is opened for it. It must not move until it is removed.
 * ENOMEM, ESYSTEM. */
int roost_watchdog_add(roost_watchdog *watchdog, roost_runner *runner);

/* On the same thread, while the runner runs nothing; nothing happens where it is not watched. */
void roost_watchdog_remove(roost_watchdog *watchdog, roost_runner *runner);

/* What a stuck worker does to the process: a line in the log, or that and abort(). Any thread. */
void roost_watchdog_set_abort(roost_watchdog *watchdog, bool aborts);

/* Looks at every runner; returns in how many milliseconds it wants to be called again, at the
 * latest. More often does no harm. The control thread. */
uint32_t roost_watchdog_tick(roost_watchdog *watchdog);

#endif
