/*
 * configuration_internal.h - what the two files of a configuration share. Start at configuration.h.
 *
 * Version: settings that are or were in use. Holding: a version that one of the other workers may
 * use; that worker's thread.
 */
#ifndef ROOST_CONFIGURATION_INTERNAL_H
#define ROOST_CONFIGURATION_INTERNAL_H

#include <stdatomic.h>

#include "configuration.h"

typedef struct version {
  roost_list link;
  roost_settings *settings; /* owned */
  atomic_size_t holders;    /* other workers that may use it */
} version;

typedef struct reading reading;

struct roost_configuration {
  roost_configuration_config config;
  roost_settings_source source;
  roost_list versions;    /* version.link: the base first, the current one last */
  reading *reading;       /* NULL: none is under way */
  bool again;             /* another one after it */
  roost_workers *workers; /* NULL: the first is the only one */
  roost_list *holdings;   /* of each of the other workers, the latest last; owned; NULL: none */
  size_t holder_count;
};

/* Whether one of its clients is used on this worker; its thread. */
bool roost_configuration_is_used(const roost_worker *worker, const roost_settings *settings);

/* Has the other workers take the current version; contexts are its servers'. ENOMEM: none does. */
int roost_configuration_tell_others(roost_configuration *self, roost_tls_context **contexts);

/* The other workers are gone. */
void roost_configuration_free_others(roost_configuration *self);

#endif
