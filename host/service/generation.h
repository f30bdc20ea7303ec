/*
 * service/generation.h - a service, and the versions of it that were loaded.
 *
 * Service: one named unit of user code, a file or folder.
 * Generation: one loaded version of it: one Lua state, the handlers it registered, the hooks.
 * Singleton: a service that says instances = 1: one state, on the host's first worker. On the
 * others its generations are remote: they have no state, and handlers that forward. Pin: a call
 * that still needs a generation. Retired: no longer its service's; it is closed when it has neither
 * pins nor tasks any more, or drain_timeout is over. The worker's thread, but for
 * roost_generation_build.
 */
#ifndef ROOST_SERVICE_GENERATION_H
#define ROOST_SERVICE_GENERATION_H

#include "core/files.h"
#include "core/list.h"
#include "core/log.h"
#include "service/binding.h"
#include "service/handler.h"
#include "service/job.h"
#include "service/reload.h"
#include "vm/source.h"
#include "vm/task.h"
#include "vm/vm.h"

typedef enum roost_generation_state {
  ROOST_GENERATION_LOADED,   /* its main chunk runs or has run */
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

/* What each of its states may take. */
typedef struct roost_service_limits {
  size_t memory_bytes; /* 0: no limit */
  uint64_t cpu_ms;     /* of its thread's time, between two waits; 0: no limit */
} roost_service_limits;

struct roost_service {
  roost_list link;             /* in dispatch->removed once it is taken out */
  size_t draining;             /* generations that are retired and not closed yet */
  char *name;                  /* owned */
  roost_source source;         /* texts owned */
  roost_service_limits limits; /* of generations loaded later; at first the dispatch's */
  bool sandbox;                /* and whether their code is not trusted: see vm/sandbox.h */
  roost_generation *current;   /* NULL: nothing could be loaded */
  uint32_t generations;        /* loaded so far */
  roost_service_stats stats;
  roost_usage usage;
  roost_list routes;        /* roost_route_stats.link */
  roost_buffer last_error;  /* what a handler raised last, cut short; empty: nothing yet */
  roost_dispatch *dispatch; /* borrowed */
  roost_files files;        /* that the latest attempt to load it has read */
  roost_reloader reload;
};

struct roost_generation {
  roost_list link;          /* in dispatch->draining once it is retired */
  roost_service *service;   /* borrowed */
  roost_dispatch *dispatch; /* borrowed */
  uint64_t loaded_us;       /* since 1970 */
  uint32_t number;          /* from 1 */
  roost_generation_state state;
  roost_service_limits limits; /* as they were when it was made: it is built on another thread */
  roost_vm *vm;                /* NULL: not built yet, or remote */
  roost_list handlers;         /* roost_handler.link */
  size_t handler_bytes;        /* that they take, about */
  roost_task *hook_task;       /* the hook that is running; NULL: none */
  roost_hook hook;             /* which it is, or was the last */
  int hooks[ROOST_HOOKS];      /* bind/'s: places in the registry; 0: the service gave none */
  int built;                   /* what came of building it */
  bool sandbox;                /* as limits */
  bool singleton;              /* its main chunk says so */
  bool remote;                 /* see above */
  bool borrows_vm;             /* a test's inline service: the state is the test's */
  bool hook_failed;            /* it raised, was ended by force or took too long */
  bool is_retired;             /* counted in service->draining until it is freed */
  bool cut;                    /* drain_timeout is over */
  roost_buffer error;          /* why it failed */
  roost_buffer handed;         /* vm/pack.h's bytes of what it hands over or is handed */
  roost_buffer text;           /* loaded in the place of its main file; empty: the file is */
  roost_job job;               /* builds or closes it */
  roost_timer timer;           /* start_timeout of on_start; drain_timeout */
  uint64_t load_timeout_ms;    /* start_timeout of the main chunk */
  /* Told when on_start (status 0 or ESCRIPT) or on_stop is over, and when no task is left. */
  void (*on_change)(void *ud, roost_generation *generation);
  void *on_change_ud;
  size_t pins;
};

/* path and root are absolute. ENOMEM. */
int roost_service_new(roost_service **out, roost_dispatch *dispatch, const char *name,
                      const char *root, const char *path);

/* Its main file is another one from its next generation on. ENOMEM: it is not. */
int roost_service_move(roost_service *service, const char *root, const char *path);

/* Closes its generation at once. */
void roost_service_free(roost_service *service);

/* Remembers what a handler raised. */
void roost_service_set_error(roost_service *service, roost_slice error);

/* A new generation, to be built. ENOMEM. */
int roost_generation_new(roost_generation **out, roost_service *service);

/* Reads and runs its main chunk in a state of its own. Any thread, whose runner it is; nothing of
 * the worker's is touched. On failure generation->error has the text. ESCRIPT, ENOMEM. */
int roost_generation_build(roost_generation *generation, roost_runner *runner);

/* Has the worker take over what was built. As roost_generation_build. */
int roost_generation_attach(roost_generation *generation);

/* The three in one. On failure error has the text and *out is NULL. ESCRIPT, ENOMEM. */
int roost_generation_load(roost_generation **out, roost_service *service, roost_buffer *error);

/* A new generation in a state that is somebody else's, which outlives it and is live; it adds
 * handlers and hooks, then is started like any other. ENOMEM. */
int roost_generation_borrow(roost_generation **out, roost_service *service, roost_vm *vm);

/* A remote one of a singleton, whose handlers forward to these: another thread's perhaps, which
 * waits. ENOMEM. */
int roost_generation_remote(roost_generation **out, roost_service *service,
                            const roost_list *handlers);

/* Starts a task of this generation's; as roost_task_start. */
int roost_generation_start_task(roost_generation *generation, roost_task **out,
                                const roost_task_ops *ops, void *ud, void *context);

/* For the main chunk: adds a handler, whose texts are copied. pattern is JSON text. Handlers may
 * take as much memory as the state. EINVAL with a fixed text in *why, ENOMEM. */
int roost_generation_add(roost_generation *generation, const roost_handler *handler,
                         roost_slice pattern, const char **why);

/* Runs on_start, if there is one; on_change follows, perhaps at once. */
void roost_generation_start(roost_generation *generation, uint64_t timeout_ms);

/* Makes it its service's current one: its timers and tasks begin. The dispatch's tables must be
 * built anew after it. */
void roost_generation_publish(roost_generation *generation);

/* Has a hook that may not wait run to its end. ESCRIPT, with the text in generation->error. */
int roost_generation_run_hook(roost_generation *generation, roost_hook hook);

/* Stops its timers and runs on_stop; calls and tasks go on. on_change tells when it is quiet. */
void roost_generation_stop(roost_generation *generation);

/* The same for one that is no longer its service's; what still runs after the dispatch's
 * drain_timeout is cut off. It is closed and freed by roost_generation_flush. */
void roost_generation_retire(roost_generation *generation);

/* Closes those retired ones that are over; once per turn, with no Lua running. */
void roost_generation_flush(roost_dispatch *dispatch);

/* Closes and frees one that is not its service's, aside. NULL is allowed. */
void roost_generation_discard(roost_generation *generation);

/* Closes and frees one at once. NULL is allowed. */
void roost_generation_free(roost_generation *generation);

/* True when nothing of it is running any more. */
bool roost_generation_quiet(const roost_generation *generation);

/* Ends what still runs, by cancelling it: tasks end within the second that takes. */
void roost_generation_cut(roost_generation *generation);

void roost_generation_pin(roost_generation *generation);
void roost_generation_unpin(roost_generation *generation);

#endif
