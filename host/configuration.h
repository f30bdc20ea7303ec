/*
 * configuration.h - the configuration a running host goes by, and how it takes a new one.
 *
 * Base: the one it was started with, whose servers are the listeners for the host's life; of a
 * later one their allow, rate and certificates are taken, all services, clients, limits, log and
 * reload. What else has changed needs a restart, and the log says so. Files are read by a job on
 * another thread, and the other workers take it over each on its own; everything else is on the
 * first worker's. Owned by the host.
 */
#ifndef ROOST_CONFIGURATION_H
#define ROOST_CONFIGURATION_H

#include "config/settings.h"
#include "reloads.h"

typedef struct roost_configuration roost_configuration;

typedef struct roost_configuration_config {
  const roost_alloc *alloc;
  roost_log *log;
  roost_store *store;
  roost_worker *worker; /* the first */
  roost_reloads *reloads;
  roost_jobs builder;
} roost_configuration_config;

/* base is taken over; source, with its texts, is what it was read from, and borrowed. config is
 * copied, what it points at borrowed. ENOMEM: base is the caller's still. */
int roost_configuration_new(roost_configuration **out, const roost_configuration_config *config,
                            roost_settings *base, const roost_settings_source *source);

/* All workers of the host, before they are started. ENOMEM. */
int roost_configuration_set_workers(roost_configuration *self, roost_workers *workers);

/* Reads it again, as SIGHUP does; the outcome is in the log. A bad one changes nothing. ENOMEM. */
int roost_configuration_reload(roost_configuration *self);

/* Frees what is no longer in use: a reload of services is over. */
void roost_configuration_sweep(roost_configuration *self);

/* The same for what one of the other workers uses; that one's thread. */
void roost_configuration_sweep_other(roost_configuration *self, roost_worker *worker);

/* The builder must have ended, and the workers be gone. NULL is allowed. */
void roost_configuration_free(roost_configuration *self);

#endif
