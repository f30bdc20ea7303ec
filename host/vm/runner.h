/*
 * vm/runner.h - who runs Lua right now: one runner per thread that does (worker, builder, reaper).
 *
 * Start reading at roost_runner. A runner's memory is shared by three: its own thread, the signal
 * handler on that thread, and the watchdog's thread, which only reads and writes the atomic
 * members. Frame: one lua_resume, lua_resetthread or lua_pcall in progress, a node on the C stack;
 * pushed and popped by vm/resume.c. Run: from the first frame until no frame is left, that is
 * between two waits; what a budget is for. A state that is loaded or closed by code that is itself
 * running has a run of its own within. Sequence: grows with each beginning and end of a run, and is
 * odd while one goes on. Whoever wants a run ended says which: its sequence number. One that is
 * over by then is left alone. Fired: the run is being ended; see vm/watchdog.h.
 */
#ifndef ROOST_VM_RUNNER_H
#define ROOST_VM_RUNNER_H

#include <stdatomic.h>

#include "core/list.h"
#include "roost.h"

struct lua_State;

typedef struct roost_vm roost_vm;

#define ROOST_RUNNER_NAME_BYTES 64

typedef struct roost_frame {
  struct roost_frame *outer; /* the one that this is inside of */
  struct lua_State *lua;     /* the coroutine that runs; NULL: its state is being closed */
  roost_vm *vm;              /* that it belongs to */
  bool first;                /* of its run */
} roost_frame;

/* Why a run was ended, and where. */
typedef struct roost_stop {
  bool by_wall;      /* it took too long by the clock on the wall, not by its thread's */
  uint64_t spent_ms; /* of its thread's time */
  uint64_t limit_ms; /* what it had */
  char where[128];   /* the user's line, as "orders.lua:31"; "": none */
} roost_stop;

typedef struct roost_runner {
  _Atomic(roost_frame *) top; /* innermost frame; NULL: no Lua is running */
  roost_list ready;           /* tasks to resume when none is running */
  roost_vm *last; /* whose task was resumed last; whoever is told of it may set it to NULL */
  /* Told, before a task of another vm than that is resumed, who owns it; may be NULL. */
  void (*on_switch)(void *ud, void *owner);
  void *on_switch_ud;
  _Atomic uint64_t sequence;
  _Atomic uint64_t limit_ms; /* of this run's time; 0: none */
  _Atomic uint64_t wall_ms;  /* the same by the clock on the wall */
  atomic_int fired;          /* set by the handler, or a hook */
  int worker;                /* its number, for the log */
  bool counts;               /* nobody sends signals: hooks that count look at the clock */
  bool noted;                /* stop.where and the traceback are those of the run that fired */
  roost_stop stop;           /* of the run that was ended last */

  /* What a hook that counts saw of the run at its first look. */
  uint64_t counted;
  uint64_t counted_cpu_us;
  uint64_t counted_wall_us;

  /* Between the watchdog and the signal handler. */
  _Atomic uint64_t end;               /* sequence of the run to be ended */
  _Atomic uint64_t end_base_us;       /* its thread's time when it began; set before end */
  atomic_bool end_by_wall;            /* set before end */
  _Atomic uint64_t ask;               /* sequence of the run whose name is asked for */
  _Atomic uint64_t told;              /* sequence of the run that name is of; set after name */
  char name[ROOST_RUNNER_NAME_BYTES]; /* of its vm */
  struct roost_runner *neighbour;     /* another of this thread's; the watchdog's */

  /* The watchdog sleeps while nothing runs. */
  atomic_bool asleep;
  void (*wake)(void *ud);
  void *wake_ud;
} roost_runner;

/* Nobody watches it yet: it counts. */
void roost_runner_init(roost_runner *runner);

/* Its lists must be empty, and the watchdog must not know it any more. */
void roost_runner_deinit(roost_runner *runner);

/* Has the watchdog look again; the runner's thread. */
void roost_runner_wake(roost_runner *runner);

/* The time this thread has been given by a processor so far, in microseconds. */
uint64_t roost_runner_cpu_us(void);

/* Whether Lua is running. Its own thread. */
static inline bool roost_runner_busy(const roost_runner *runner) {
  return atomic_load_explicit(&runner->top, memory_order_relaxed) != NULL;
}

/* The run that goes on is over, and another one begins in its place, of the same vm and with a
 * budget of its own. Its own thread. */
static inline void roost_runner_next(roost_runner *runner) {
  const uint64_t sequence = atomic_load_explicit(&runner->sequence, memory_order_relaxed);
  atomic_store_explicit(&runner->sequence, sequence + 2, memory_order_release);
}

/* Whether what runs is being ended. Its own thread. */
static inline bool roost_runner_fired(const roost_runner *runner) {
  return atomic_load_explicit(&runner->fired, memory_order_relaxed) != 0;
}

#endif
