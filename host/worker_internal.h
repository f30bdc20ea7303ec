/*
 * worker_internal.h - what the two files of a worker share.
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

/* For roost_dispatch_config.on_reloaded, its ud the worker. */
void roost_worker_on_reloaded(void *ud, roost_generation *generation);

#endif
