/*
 * config/rules.h - the allow rules of a server: checked and compiled (see transport/allow.h).
 *
 * A roost_key.read function; see keys.h. The arena owns the rules.
 */
#ifndef ROOST_CONFIG_RULES_H
#define ROOST_CONFIG_RULES_H

#include "config/keys.h"

/* The list of rules; base is a roost_server_config. nil: there are none, so nothing is refused. */
void roost_rules_read(roost_keys_reader *reader, const roost_key *key, void *base);

#endif
