/*
 * config/services.h - service_options: what single services are given instead of the common limits.
 *
 * Owned by the settings that were read. One thread at a time; constant once read.
 */
#ifndef ROOST_CONFIG_SERVICES_H
#define ROOST_CONFIG_SERVICES_H

#include "config/keys.h"
#include "config/settings.h"

/* Reads the map on top of the stack into roost_settings: for roost_key.read. */
void roost_service_options_read(roost_keys_reader *reader, const roost_key *key, void *base);

#endif
