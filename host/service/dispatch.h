/*
 * service/dispatch.h - one worker's services and the way of a message to its handler.
 *
 * Start reading at on_message in dispatch.c. The dispatch is the sink of every server of the
 * worker; for each it keeps a gate: the server's table and which services it exposes.
 * The worker's thread.
 */
#ifndef ROOST_SERVICE_DISPATCH_H
#define ROOST_SERVICE_DISPATCH_H

#include <pthread.h>

#include "service/call.h"
#include "service/generation.h"
#include "service/pending.h"
#include "service/store.h"
#include "service/table.h"

/* What a cancelled task is given before it is reset, and a little more. */
#define ROOST_CUT_GRACE_MS 1200

typedef struct roost_dispatch_config {
  unsigned worker; /* its number, for the log */
  const roost_alloc *alloc;
  const roost_clock *clock;
  roost_runner *runner;
  roost_wheel *wheel;
  const uint64_t *now_us; /* where the time of the turn is kept, as the loop has it */
  roost_log *log;
  const roost_binding *binding;
  int (*random_bytes)(void *out, size_t len); /* cryptographically secure; 0 or an error */
  void *program;                              /* bind/program's; NULL: services are loaded */
  const struct roost_modules *modules;        /* bind/module's; NULL: none */
  roost_store *store;                         /* the host's, of roost.store */
  roost_client_open_fn *open_client;          /* makes the client of a transport */
  void *open_client_ud;                       /* handed to it */
  /* What a client's name means that is not in the configuration; NULL: that is an error. */
  const roost_client_config *(*other_client)(void *ud, const char *name);
  void *other_client_ud;
  roost_jobs builder; /* loads generations; may be none */
  roost_jobs reaper;  /* closes them; may be none */
  /* Told of each reload that is over: of the generation that is now its service's, or NULL where it
   * was refused. May be NULL. */
  void (*on_reloaded)(void *ud, roost_generation *generation);
  void *on_reloaded_ud;
  const roost_reload_team *team; /* NULL: there are no other workers */
  void *team_ud;
  roost_handler_fn *forward; /* runs a call on another worker */
  /* Whether the next message of a broker's is for another worker, which forward then knows. NULL:
   * none is. */
  bool (*spread)(void *forward_ud);
  void *forward_ud;            /* handed to both */
  const char *working_dir;     /* for lua/?.lua, and for relative paths of roost.client{...} */
  const char *lua_dir;         /* the Lua half of the API; NULL: compiled in */
  uint64_t start_timeout_ms;   /* of a main chunk, and of on_start; 0: no limit */
  uint64_t drain_timeout_ms;   /* of a generation that is retired */
  uint64_t reload_retry_ms;    /* until a refused reload is tried again, at first; 0: it is not */
  uint64_t request_timeout_ms; /* of handlers that say none; 0: no limit */
  roost_service_limits service_limits; /* of services that say nothing else */
} roost_dispatch_config;

typedef struct roost_dispatch_stats {
  uint64_t requests;
  uint64_t events;
  uint64_t unhandled;        /* requests and events that no handler is there for */
  uint64_t unhandled_events; /* of them */
  uint64_t errors;
  uint64_t timeouts;
  uint64_t in_flight;
} roost_dispatch_stats;

/* One server as the dispatch sees it; what the server's sink_ud is. */
typedef struct roost_gate {
  roost_list link; /* in dispatch->gates */
  roost_dispatch *dispatch;
  const roost_server_config *config; /* borrowed */
  roost_server *server;              /* the configured one behind it; NULL: none, or closed */
  roost_table *table;                /* NULL before the first build */
  roost_table *built;                /* to take its place once all gates have one; else NULL */
  roost_table *replaced;             /* freed at the next flush: a message may be in them yet */
  bool subscribed;                   /* the server was told of the table's routes */
} roost_gate;

struct roost_dispatch {
  roost_dispatch_config config;
  roost_service **services; /* in the order of the configuration, then by name; owned */
  size_t service_count;
  roost_list removed;  /* roost_service.link, whose generations are draining; owned */
  roost_list handlers; /* C handlers, owned */
  roost_list routes;   /* roost_route_stats.link, of theirs */
  roost_list gates;
  roost_call *running; /* whose handler runs, and has not waited; NULL: none */
  roost_gate *gate;    /* by which what is being dispatched came */
  roost_message next;  /* came after it, and is to be dispatched in its turn */
  bool has_next;
  roost_list calls;      /* all that run or are pinned */
  roost_list idle_calls; /* for reuse */
  size_t idle_call_count;
  roost_list items;                   /* calls with an item that waits */
  roost_list swaps;                   /* reloads that are ready */
  roost_list draining;                /* generations that are retired */
  size_t closing;                     /* those that the reaper has not closed yet */
  pthread_mutex_t lock;               /* of clients, for main chunks on other threads */
  const roost_client_config *clients; /* those that are named; borrowed */
  size_t client_count;
  roost_list outbounds; /* those of named clients, made at their first use, are owned */
  roost_dispatch_stats stats;
  roost_meter meter;
};

/* config is copied; what it points at must outlive the dispatch. ENOMEM. */
int roost_dispatch_new(roost_dispatch **out, const roost_dispatch_config *config);

/* The handler of a message that is one of the usual: a request that anybody may make, with a
 * pattern that was found before. NULL: it is to be looked for. */
const roost_handler *roost_gate_recall(const roost_gate *gate, const roost_message *message);

/* Ends every call and service at once. Its servers must be gone. */
void roost_dispatch_free(roost_dispatch *dispatch);

/* The sink for a server with this configuration; the gate is its sink_ud. ENOMEM. */
int roost_dispatch_add_gate(roost_gate **out, roost_dispatch *dispatch,
                            const roost_server_config *config);
extern const roost_sink_ops roost_dispatch_sink;

/* Takes out a gate whose server could not be opened, so that its config may go. */
void roost_dispatch_remove_gate(roost_gate *gate);

/* Tells its server what the routes are, where it wants to know and was not told yet. ENOMEM: it is
 * tried again at the next flush. */
int roost_gate_subscribe(roost_gate *gate);

/* Frees its tables that were replaced, and tells of the new one; no message is being dispatched. */
void roost_gate_flush(roost_gate *gate);

/* The server of that name, or the one at that place, from 1; NULL: there is none. */
roost_server *roost_dispatch_find_server(const roost_dispatch *dispatch, const char *name);
roost_server *roost_dispatch_nth_server(const roost_dispatch *dispatch, size_t place);

/* Adds a service without a generation. ENOMEM. */
int roost_dispatch_add_service(roost_service **out, roost_dispatch *dispatch, const char *name,
                               const char *root, const char *path);

/* Takes out a service that is not being reloaded: no message reaches it any more, its generation
 * retires, and it is freed with that. ENOMEM: nothing has changed. */
int roost_dispatch_remove_service(roost_dispatch *dispatch, roost_service *service);

/* Adds a C handler and rebuilds. EINVAL with a fixed text in *why, ENOMEM. */
int roost_dispatch_add_handler(roost_dispatch *dispatch, roost_slice pattern, roost_handler_fn *fn,
                               void *ud, const char **why);

/* Adds one that forwards to a C handler of the first worker, which waits, and rebuilds. ENOMEM. */
int roost_dispatch_add_forward(roost_dispatch *dispatch, const roost_handler *of,
                               const roost_list *owners);

/* Told of each two message handlers that share a route on a server: the later wins. */
typedef void roost_conflict_fn(void *ud, const roost_server_config *server,
                               const roost_handler *kept, const roost_handler *replaced);

/* Builds every gate's table anew from the C handlers and each service's current generation, and
 * swaps them in; on failure the old ones stay. conflict may be NULL. ENOMEM. */
int roost_dispatch_rebuild(roost_dispatch *dispatch, roost_conflict_fn *conflict, void *ud);

/* The two steps of that: what was built waits until it is swapped in, or thrown away. */
int roost_dispatch_build(roost_dispatch *dispatch, roost_conflict_fn *conflict, void *ud);
void roost_dispatch_swap(roost_dispatch *dispatch);
void roost_dispatch_unbuild(roost_dispatch *dispatch);

/* Says which clients there are; borrowed, as long as an outbound of theirs lives. */
void roost_dispatch_set_clients(roost_dispatch *dispatch, const roost_client_config *clients,
                                size_t count);

/* Whether there is a client of that name. Any thread. */
bool roost_dispatch_knows_client(roost_dispatch *dispatch, const char *name);

/* The outbound of a named client, which the dispatch owns. ENOENT, ENOMEM, EUNSUPPORTED. */
int roost_dispatch_find_client(roost_outbound **out, roost_dispatch *dispatch, const char *name);

/* Frees outbounds of named clients that are no longer there, or others now, and that nobody uses.
 */
void roost_dispatch_sweep_clients(roost_dispatch *dispatch);

/* One for the caller, who owns it, but no longer than the dispatch lives. As roost_outbound_new. */
int roost_dispatch_new_client(roost_outbound **out, roost_dispatch *dispatch,
                              const roost_client_config *client);

/* Sends the items that wait, swaps in what was reloaded, closes what is retired and over; once per
 * turn, before connections are flushed, with no Lua running. */
void roost_dispatch_flush(roost_dispatch *dispatch);

/* Cuts off every call in flight, as a drain does whose time is over: those of one generation, or of
 * all (NULL). */
void roost_dispatch_cut(roost_dispatch *dispatch, const roost_generation *generation);

/* Takes what owner has pending out of every client. */
void roost_dispatch_drop_pending(roost_dispatch *dispatch, const void *owner);

#endif
