/*
 * worker_internal.h - what the files of a worker share.
 *
 * The worker's thread.
 */
#ifndef ROOST_WORKER_INTERNAL_H
#define ROOST_WORKER_INTERNAL_H

#include "worker.h"

/* The generation is its service's current one, and the worker is told what becomes of it. */
void roost_worker_take(roost_worker *worker, roost_generation *generation);

/* Sets what the service's states may take, as the configuration has it now. */
void roost_worker_limit_service(const roost_worker *worker, roost_service *service);

/* Opens a server of some kind; how is what the function of that kind wants to know besides. */
typedef int roost_open_server_fn(roost_server **out, roost_worker *worker,
                                 const roost_server_config *config, roost_gate *gate,
                                 const void *how, const char **why);

/* Adds a server with its gate; *why as roost_worker_listen. */
int roost_worker_place_server(roost_worker *worker, const roost_server_config *config,
                              roost_open_server_fn *open, const void *how, const char **why);

/* Has the server that was added last begin, where the worker runs already; tls may be NULL. */
void roost_worker_begin_server(const roost_worker *worker, roost_tls_context *tls);

/* The worker's servers must be gone. */
void roost_worker_free_copies(roost_worker *worker);

/* Has other threads see the counters as they are now. */
void roost_worker_publish(roost_worker *worker);

/* For roost_dispatch_config.on_reloaded, its ud the worker. */
void roost_worker_on_reloaded(void *ud, roost_generation *generation);

#endif
