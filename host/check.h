/*
 * check.h - a configuration and its services looked at closely, with nothing started.
 *
 * Start reading at roost_check, which `roost check` calls. The calling thread.
 */
#ifndef ROOST_CHECK_H
#define ROOST_CHECK_H

#include "config/problems.h"
#include "config/settings.h"
#include "service/discover.h"

/* Reads the configuration, loads every service aside, sees whether each listener can be bound, and
 * looks for patterns with two handlers; start: runs each on_start, too. What is wrong goes into
 * problems. Returns 0 where it could look at all, whatever it found; ENOMEM, ESYSTEM. */
int roost_check(const roost_alloc *alloc, const roost_settings_source *source, bool start,
                roost_problems *problems);

/* Finds the services that settings name, those that listeners expose among them. ECONFIG where
 * problems has errors, ENOMEM. */
int roost_check_find_services(roost_found_list *found, const roost_settings *settings,
                              const char *working_dir, roost_problems *problems);

#endif
