/*
 * worker.h - one thread's share of a host: an event loop, a dispatch table, services, servers.
 *
 * States: idle -> starting (every on_start runs) -> running (servers accept) -> draining ->
 * drained; or starting -> failed. Start reading at roost_worker_start. Team: the workers of a host
 * that has several (workers.h), which become running together. Everything on the thread that drives
 * the loop.
 */
#ifndef ROOST_WORKER_H
#define ROOST_WORKER_H

#include <stdatomic.h>

#include "bind/module.h"
#include "bind/serializer.h"
#include "config/problems.h"
#include "config/settings.h"
#include "core/log.h"
#include "net/loop.h"
#include "service/discover.h"
#include "service/dispatch.h"
#include "transport/transport.h"
#include "watchdog.h"

typedef enum roost_worker_state {
  ROOST_WORKER_IDLE,
  ROOST_WORKER_STARTING,
  ROOST_WORKER_RUNNING,
  ROOST_WORKER_DRAINING,
  ROOST_WORKER_DRAINED,
  ROOST_WORKER_FAILED
} roost_worker_state;

typedef struct roost_worker roost_worker;
typedef struct roost_server_copy roost_server_copy;

/* What a worker of a team tells the others, and asks. */
typedef struct roost_worker_team {
  /* Every on_start is over; roost_worker_go_live is to follow. */
  void (*on_started)(void *ud, roost_worker *worker);
  void (*on_failed)(void *ud, roost_worker *worker); /* one has failed: worker->error */
  void (*on_drained)(void *ud, roost_worker *worker);
  /* Asked when nothing of its own runs any more; where it may not be drained yet,
   * roost_worker_check_drained is to follow. */
  bool (*may_end)(void *ud, const roost_worker *worker);
} roost_worker_team;

typedef struct roost_worker_config {
  unsigned number; /* of the worker, from 0 */
  const roost_alloc *alloc;
  roost_clock *clock;
  roost_log *log;
  const roost_modules *modules; /* that services may require; NULL: none */
  roost_sockets *sockets;  /* counts those of its loop, and of others; NULL: they are not counted */
  roost_store *store;      /* shared with the host's other workers */
  const char *working_dir; /* for lua/?.lua */
  const char *lua_dir;     /* the Lua half of the API; NULL: compiled in */
  roost_loop *loop;        /* borrowed; NULL: it has one of its own */
  roost_runner *runner;    /* of the borrowed loop's thread; NULL: its own */
  roost_watchdog *watchdog; /* of its own runner; NULL: none, hooks count instead */
  /* For tests, may be NULL: the client of a configuration, ENOENT: as always; and what a client's
   * name means that is not in the configuration. */
  roost_client_open_fn *open_client;
  const roost_client_config *(*other_client)(void *ud, const char *name);
  void *clients_ud;                  /* handed to both */
  void (*on_memory_freed)(void *ud); /* much of what connections held was freed; may be NULL */
  void (*on_running)(void *ud);      /* every on_start is over; may be NULL */
  void (*on_reloaded)(void *ud);     /* a service has been, or that was refused; may be NULL */
  void *ud;                          /* handed to them */
} roost_worker_config;

typedef struct roost_worker_limits {
  uint64_t request_timeout_ms; /* 0: none */
  uint64_t start_timeout_ms;   /* of on_start; 0: none */
  uint64_t drain_timeout_ms;
  uint64_t reload_retry_ms;     /* see roost_dispatch_config */
  roost_service_limits service; /* of those without options of their own */
  size_t buffer_memory_bytes;   /* of all connections; 0: no limit */
} roost_worker_limits;

/* As many as roost_stats has, in its order. */
#define ROOST_WORKER_COUNTERS ((sizeof(roost_stats) - sizeof(size_t)) / sizeof(uint64_t))

struct roost_worker {
  roost_worker_config config;
  roost_worker_limits limits;
  roost_loop *loop;     /* its own, or the one borrowed */
  roost_runner *runner; /* own_runner, or the one borrowed */
  roost_runner own_runner;
  roost_dispatch *dispatch;
  roost_gate *local_gate;           /* of messages that services of this worker send each other */
  roost_server_config local_config; /* of that gate */
  roost_serializers *serializers;   /* NULL: none was asked for yet */
  const char *services;             /* borrowed; where serializers look for lib/?.lua; or NULL */
  const roost_settings *settings;   /* borrowed: what was applied last; NULL: nothing yet */
  roost_server **servers;           /* in the order they were made */
  size_t server_count;
  size_t drained_count; /* of servers */
  roost_worker_state state;
  size_t starting;               /* services whose on_start is not over */
  roost_loop_hook flush;         /* each turn: ready tasks, then waiting items */
  roost_loop_hook again;         /* keeps the loop awake while tasks are ready */
  size_t buffers_peak;           /* of connections and their buffers, since on_memory_freed */
  roost_timer cutoff;            /* drain_timeout, then the second that cancelled tasks have */
  bool cut;                      /* drain_timeout is over, or roost_worker_cut was called */
  bool closed;                   /* by roost_worker_close */
  bool check_only;               /* starting ends in running without going live */
  roost_buffer error;            /* why it failed */
  const roost_worker_team *team; /* NULL: it is alone */
  void *team_ud;
  roost_server_copy *copies; /* of configurations of servers that another accepts for; owned */
  _Atomic uint64_t published[ROOST_WORKER_COUNTERS]; /* counters for other threads */
};

/* config is copied; the limits are the defaults. Where there is a watchdog: on the thread that
 * will drive the loop. ENOMEM, ESYSTEM. */
int roost_worker_new(roost_worker **out, const roost_worker_config *config);

/* Has services that are reloaded built, and old states closed, by other threads; without that the
 * worker's own does both. */
void roost_worker_set_jobs(roost_worker *worker, const roost_jobs *builder,
                           const roost_jobs *reaper);

/* Has it be one of a team; before it is started. team is borrowed. */
void roost_worker_set_team(roost_worker *worker, const roost_worker_team *team, void *ud);

/* Takes other limits; that of a service's memory is for generations made later. */
void roost_worker_set_limits(roost_worker *worker, const roost_worker_limits *limits);

/* Ends servers, connections and reloads at once; whoever waits for a reload is told so. What is
 * called afterwards begins nothing any more. Not from inside the loop, a borrowed one neither. */
void roost_worker_close(roost_worker *worker);

/* Closes it, and ends everything else at once. NULL is allowed. */
void roost_worker_free(roost_worker *worker);

/* Loads every service found, each to its end: what is wrong goes into problems. ESCRIPT where one
 * could not be loaded, ENOMEM. */
int roost_worker_load(roost_worker *worker, const roost_found_list *found,
                      roost_problems *problems);

/* The same on another worker than the first, which has loaded them and waits: of a singleton only
 * handlers that forward. */
int roost_worker_load_as(roost_worker *worker, const roost_found_list *found,
                         const roost_worker *first, roost_problems *problems);

/* Adds a service whose handlers are registered next, in a state that is somebody else's and
 * outlives the worker: see roost_generation_borrow. ENOMEM. */
int roost_worker_add_inline(roost_generation **out, roost_worker *worker, const char *name,
                            roost_vm *vm);

/* Builds the dispatch tables of what is loaded; two message handlers on one pattern are problems of
 * this severity. ENOMEM. */
int roost_worker_check_conflicts(roost_worker *worker, roost_severity severity,
                                 roost_problems *problems);

/* Takes the limits of a configuration, which is borrowed. */
void roost_worker_apply(roost_worker *worker, const roost_settings *settings);

/* Loads the modules that servers and named clients have for serializers: what is wrong goes into
 * problems. ECONFIG where one could not be loaded, ENOMEM. */
int roost_worker_load_serializers(roost_worker *worker, const roost_settings *settings,
                                  roost_problems *problems);

/* The codec of these modules; NULL in *out where neither is named. What is wrong with them is
 * logged: those of servers and named clients have been loaded before. ESCRIPT, ENOMEM. */
int roost_worker_find_codec(roost_codec **out, roost_worker *worker, const char *serializer,
                            const char *deserializer);

/* Adds a server without a listener, whose connections are adopted; config is borrowed for the
 * worker's life. ENOMEM. */
int roost_worker_add_server(roost_worker *worker, const roost_server_config *config);

/* Binds a server; config is borrowed for the worker's life, tls held: what config->tls became, or
 * NULL. *why as roost_tcp_server_open. ESYSTEM, EUNSUPPORTED, ENOMEM. */
int roost_worker_listen(roost_worker *worker, const roost_server_config *config,
                        roost_tls_context *tls, const char **why);

/* Adds a server for connections that another worker accepts, with a copy of its configuration; tls
 * as above. ENOMEM. */
int roost_worker_listen_shared(roost_worker *worker, const roost_server_config *config,
                               const roost_address *address, roost_tls_context *tls);

/* Has such a server, made with config of, go by wanted's allow and rate and, where it has TLS and
 * tls is not NULL, by other certificates. */
void roost_worker_change_shared(roost_worker *worker, const roost_server_config *of,
                                const roost_server_config *wanted, roost_tls_context *tls);

/* The first worker's configuration of the server that one of a worker's is of. */
const roost_server_config *roost_worker_first_config(const roost_worker *worker,
                                                     const roost_worker *first,
                                                     const roost_server_config *config);

/* Runs every on_start, then has the servers accept; the state tells when. */
void roost_worker_start(roost_worker *worker);

/* The whole team has started: its services become live and its servers accept. */
void roost_worker_go_live(roost_worker *worker);

/* It cannot start, since another of its team could not. */
void roost_worker_fail(roost_worker *worker, roost_slice why);

/* Stops accepting and reading, runs every on_stop, lets calls finish; drained at the latest a
 * little after drain_timeout. */
void roost_worker_drain(roost_worker *worker);

/* Ends the wait of a drain: what still runs is cancelled, and drained soon. Nothing to do for one
 * that does not drain. */
void roost_worker_cut(roost_worker *worker);

/* NULL: there is none of that name. */
roost_service *roost_worker_find_service(const roost_worker *worker, const char *name);

/* Begins a reload of the service of that name; waiter may be NULL. ENOENT, ESTATE: the worker is
 * not running. */
int roost_worker_reload(roost_worker *worker, const char *name, roost_reload_waiter *waiter);

/* Brings the services into the order of found, behind those that were not found: of two handlers of
 * a pattern the later wins. Those that are new have no generation yet. ENOMEM. */
int roost_worker_take_found(roost_worker *worker, const roost_found_list *found);

/* Takes a service out: its generation retires. While a reload of it is under way nothing happens on
 * the first worker, and on another one it is taken out afterwards; nothing happens where there is
 * none of that name. */
void roost_worker_remove(roost_worker *worker, const char *name);

/* Looks whether nothing runs any more, for whoever drives a loop with tasks of several owners. */
void roost_worker_check_drained(roost_worker *worker);

/* Adds this worker's counters to out. */
void roost_worker_stats(const roost_worker *worker, roost_stats *out);

/* The same as they were at the end of its last turn. Any thread. */
void roost_worker_published(const roost_worker *worker, roost_stats *out);

#endif
