/*
 * admin/admin.h - the admin pages: health, status, metrics and reload, over HTTP.
 *
 * On a unix socket, and without reload on a loopback port. Start reading at on_request in server.c,
 * for what the pages say in pages.c, for how a worker is asked in asking.c.
 * Everything is served on the control thread, so that it is while a worker is stuck. Each worker is
 * asked for a report once a second and whenever a page wants one; one that has not answered in a
 * quarter of a second is stuck, and its last report is shown, marked as such.
 * The host owns it; its workers must outlive roost_admin_close, and the control thread's end must
 * come before roost_admin_free.
 */
#ifndef ROOST_ADMIN_ADMIN_H
#define ROOST_ADMIN_ADMIN_H

#include "config/problems.h"
#include "config/settings.h"
#include "control.h"
#include "workers.h"

typedef struct roost_admin roost_admin;

typedef struct roost_admin_ops {
  /* Reloads a service, or all of them (NULL). done is called once, on the control thread, perhaps
   * at once: json, borrowed for the call, is an array of {"service","from","to","refused"}, the
   * generations as numbers, refused null or the reason with its traceback. After an error it is not
   * called. ENOENT: there is no such service; ENOMEM. NULL: reloading is not possible. */
  int (*reload)(void *ud, const char *service, void (*done)(void *done_ud, roost_slice json),
                void *done_ud);
} roost_admin_ops;

typedef struct roost_admin_config {
  const roost_alloc *alloc;
  roost_log *log;
  roost_control *control;
  roost_worker *worker;         /* the first */
  const roost_workers *workers; /* all of them, which are there already; NULL: it is the only one */
  const roost_settings *settings; /* where to listen */
  const char *working_dir;        /* where a relative path starts */
  const roost_admin_ops *ops;
  void *ud; /* handed to them */
} roost_admin_config;

/* Listens and serves from now on; config is copied, what it points at borrowed. Where settings ask
 * for neither, *out is NULL. What was asked for and cannot be had is an error in problems, what is
 * so by default a warning. Any thread but the control thread. ESYSTEM, ENOMEM. */
int roost_admin_open(roost_admin **out, const roost_admin_config *config, roost_problems *problems);

/* Ends the listeners and all connections; workers are not asked any more. NULL is allowed. Not
 * the control thread. */
void roost_admin_close(roost_admin *admin);

/* Frees it; NULL is allowed. */
void roost_admin_free(roost_admin *admin);

/* The port of the HTTP listener, 0 where there is none. Any thread. */
uint16_t roost_admin_port(const roost_admin *admin);

#endif
