/*
 * remote_reload.h - a reload that is asked for on the control thread, and done on a worker.
 *
 * Errand: one that is under way: to the worker, through its reloads, and back with the outcome.
 * Owned by the host.
 */
#ifndef ROOST_REMOTE_RELOAD_H
#define ROOST_REMOTE_RELOAD_H

#include "admin/admin.h"
#include "reloads.h"

typedef struct roost_remote_reload roost_remote_reload;

typedef struct roost_remote_reload_config {
  const roost_alloc *alloc;
  roost_control *control;
  roost_worker *worker;
  roost_reloads *reloads;
} roost_remote_reload_config;

/* config is copied, what it points at borrowed. ENOMEM. */
int roost_remote_reload_new(roost_remote_reload **out, const roost_remote_reload_config *config);

/* For roost_admin_ops, its ud the remote reload. The control thread. */
int roost_remote_reload_start(void *ud, const char *service,
                              void (*done)(void *done_ud, roost_slice json), void *done_ud);

/* No reload is begun any more; before the reloads are freed. The worker's thread. NULL is allowed.
 */
void roost_remote_reload_close(roost_remote_reload *remote);

/* Frees it, and errands that the end overtook: they are told nothing. After the end of the control
 * thread. NULL is allowed. */
void roost_remote_reload_free(roost_remote_reload *remote);

#endif
