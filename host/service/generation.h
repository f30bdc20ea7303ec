/*
 * service/generation.h - a service, and the versions of it that were loaded.
 *
 * Service: one named unit of user code, a file or folder.
 * Generation: one loaded version of it: one Lua state, the handlers it registered, the hooks.
 * Pin: something that still needs a generation: the service (its current one), each call, each
 * task. A retired generation is closed when the last pin goes.
 * The worker's thread.
 */
#ifndef ROOST_SERVICE_GENERATION_H
#define ROOST_SERVICE_GENERATION_H

#include "core/list.h"
#include "core/log.h"
#include "service/binding.h"
#include "service/handler.h"
#include "vm/source.h"
#include "vm/task.h"
#include "vm/vm.h"

typedef struct roost_dispatch roost_dispatch;

typedef enum roost_generation_state {
  ROOST_GENERATION_LOADED,   /* its main chunk has run */
  ROOST_GENERATION_STARTING, /* on_start is running */
  ROOST_GENERATION_LIVE,     /* its handlers are in the tables */
  ROOST_GENERATION_FAILED,   /* on_start raised or took too long */
  ROOST_GENERATION_STOPPING  /* on_stop is running, or calls are finishing */
} roost_generation_state;

/* Counters of a service, over all its generations. */
typedef struct roost_service_stats {
  uint64_t requests;
  uint64_t events;
  uint64_t errors;
  uint64_t timeouts;
  uint64_t in_flight;
} roost_service_stats;

typedef struct roost_service {
  char *name;                /* owned */
  roost_source source;       /* texts owned */
  roost_generation *current; /* NULL: nothing could be loaded */
  uint32_t generations;      /* loaded so far */
  roost_service_stats stats;
  roost_buffer last_error;  /* what a handler raised last, cut short; empty: nothing yet */
  roost_dispatch *dispatch; /* borrowed */
} roost_service;

struct roost_generation {
  roost_service *service;   /* borrowed */
  roost_dispatch *dispatch; /* borrowed */
  uint32_t number;          /* from 1 */
  uint64_t loaded_us;       /* since 1970 */
  roost_generation_state state;
  roost_vm *vm;
  bool borrows_vm;         /* a test's inline service: the state is the test's */
  roost_list handlers;     /* roost_handler.link */
  int hooks[ROOST_HOOKS];  /* bind/'s: places in the registry; 0: the service gave none */
  roost_task *hook_task;   /* the hook that is running; NULL: none */
  roost_hook hook;         /* which it is, or was the last */
  bool hook_failed;        /* it raised, was ended by force or took too long */
  roost_buffer error;      /* why it failed */
  roost_timer start_timer; /* start_timeout of on_start */
  uint64_t load_until_us;  /* start_timeout of the main chunk while it runs, else 0 */
  /* Told when on_start (status 0 or ESCRIPT) or on_stop is over, and when no task is left. */
  void (*on_change)(void *ud, roost_generation *generation);
  void *on_change_ud;
  size_t pins;
};

/* path and root are absolute. ENOMEM. */
int roost_service_new(roost_service **out, roost_dispatch *dispatch, const char *name,
                      const char *root, const char *path);

/* Closes its generation at once. */
void roost_service_free(roost_service *service);

/* Remembers what a handler raised. */
void roost_service_set_error(roost_service *service, roost_slice error);

/* Loads a new generation aside; the service's current one is not touched. On failure error has the
 * text and *out is NULL. ESCRIPT, ENOMEM. */
int roost_generation_load(roost_generation **out, roost_service *service, roost_buffer *error);

/* A new generation in a state that is somebody else's, which outlives it and is live; it adds
 * handlers and hooks, then is started like any other. ENOMEM. */
int roost_generation_borrow(roost_generation **out, roost_service *service, roost_vm *vm);

/* Starts a task of this generation's; as roost_task_start. */
int roost_generation_start_task(roost_generation *generation, roost_task **out,
                                const roost_task_ops *ops, void *ud, void *context);

/* For the main chunk: adds a handler, whose texts are copied. pattern is JSON text. EINVAL with a
 * fixed text in *why, ENOMEM. */
int roost_generation_add(roost_generation *generation, const roost_handler *handler,
                         roost_slice pattern, const char **why);

/* Runs on_start, if there is one; on_change follows, perhaps at once. */
void roost_generation_start(roost_generation *generation, uint64_t timeout_ms);

/* Makes it its service's current one: its timers and tasks begin. The dispatch's tables must be
 * built anew after it. */
void roost_generation_publish(roost_generation *generation);

/* Stops its timers and runs on_stop; calls and tasks go on. on_change tells when it is quiet. */
void roost_generation_stop(roost_generation *generation);

/* True when nothing of it is running any more. */
bool roost_generation_quiet(const roost_generation *generation);

/* Ends what still runs, by cancelling it: tasks end within the second that takes. */
void roost_generation_cut(roost_generation *generation);

void roost_generation_pin(roost_generation *generation);

/* The last unpin frees it. */
void roost_generation_unpin(roost_generation *generation);

#endif
