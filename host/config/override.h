/*
 * config/override.h - keys that are set from outside the file, as --set does.
 *
 * In protected mode: what Lua raises is passed on.
 */
#ifndef ROOST_CONFIG_OVERRIDE_H
#define ROOST_CONFIG_OVERRIDE_H

#include "config/script.h"
#include "config/settings.h"

/* Whether it is one, dotted, of parts that are not empty. */
bool roost_override_is_key(const char *key);

/* Sets one key in the table on top of the stack, making the tables on the way to it. */
void roost_override_apply(roost_script *script, const roost_override *override,
                          roost_problems *problems);

#endif
