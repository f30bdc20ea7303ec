/*
 * host_internal.h - the host itself, for the files that are its functions.
 *
 * The host's thread, but for posted.
 */
#ifndef ROOST_HOST_INTERNAL_H
#define ROOST_HOST_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "admin/admin.h"
#include "background.h"
#include "bind/module.h"
#include "config/settings.h"
#include "configuration.h"
#include "control.h"
#include "core/cap.h"
#include "forward.h"
#include "reloads.h"
#include "remote_reload.h"
#include "roost.h"
#include "rounds.h"
#include "watchdog.h"
#include "worker.h"
#include "workers.h"

struct roost_host {
  roost_alloc alloc;
  roost_clock clock;
  roost_config config; /* its texts are owned */
  roost_log *log;
  roost_control *control;
  roost_watchdog *watchdog;
  roost_background *builder; /* loads what is reloaded */
  roost_background *reaper;  /* closes what it took the place of */
  roost_background_port build_port;
  roost_background_port reap_port;
  roost_store *store;
  roost_worker *worker;     /* the first, this thread's */
  roost_workers *workers;   /* all of them */
  roost_rounds *rounds;     /* NULL: there is one worker, or no configuration yet */
  roost_forwards *forwards; /* as rounds */
  roost_reloads *reloads;
  roost_remote_reload *remote;    /* of the admin pages */
  roost_admin *admin;             /* NULL: no settings, or they ask for none */
  const roost_settings *settings; /* the configuration's base; NULL before load_config */
  roost_configuration *configuration;
  char *path; /* of its file; NULL: compiled in */
  roost_override *overrides;
  size_t override_count;
  struct own_server *own_servers; /* host.c's: of roost_host_listen */
  size_t server_count;            /* listeners made so far, for their names */
  roost_cap cap;                  /* of alloc, where there is a limit */
  roost_sockets sockets;          /* open ones, and how many there may be */
  roost_modules *modules;         /* of roost_host_module */
  /* host_client.c's: of roost_host_connect; grows at its head, which threads that load code read.
   */
  _Atomic(struct own_client *) own_clients;
  roost_list sent;       /* host_client.c's: requests and events under way */
  roost_outbound *local; /* that they use; the dispatch's; NULL: not yet */
  bool freeing;          /* roost_host_free was called */
  roost_buffer error;    /* text of the last failure, NUL-terminated */
  bool loaded;           /* load_config was called */
  bool broken;           /* and failed: there is nothing to run */
  bool inside;           /* run or poll is on the stack */
  pthread_mutex_t mutex; /* guards posted */
  roost_list posted;     /* host_run.c's, in the order they came */
};

/* Has the text as the one of the last failure, and returns status. */
int roost_host_fail(roost_host *host, int status, const char *text);

/* Ends host->error, which was written to; one that memory was too short for is none. */
void roost_host_end_error(roost_host *host);

/* host_load.c: reads the configuration at path (NULL: the one compiled in), adds workers, loads the
 * services, binds the listeners. What is wrong goes into problems. */
int roost_host_load(roost_host *host, const char *path, roost_problems *problems);

/* host_client.c: the client of roost_host_connect with that name, or NULL; ud is the host. */
const roost_client_config *roost_host_find_client(void *ud, const char *name);
void roost_host_free_clients(roost_host *host);

/* Fails what is under way, since the host is being freed; nothing is sent from then on. */
void roost_host_fail_sent(roost_host *host);

/* What was posted and has not run is dropped. */
void roost_host_drop_posted(roost_host *host);

#endif
