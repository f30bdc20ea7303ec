/*
 * config/entries.h - the entries of servers and clients, whose rows depend on their transport.
 *
 * Both are roost_key.read functions; see keys.h.
 */
#ifndef ROOST_CONFIG_ENTRIES_H
#define ROOST_CONFIG_ENTRIES_H

#include "config/keys.h"

/* The list of servers; base is a roost_settings. Without a list there is one server, as it is by
 * default. */
void roost_servers_read(roost_keys_reader *reader, const roost_key *key, void *base);

/* One entry of clients: a table, or a function that returns one. Checked only. */
void roost_client_read(roost_keys_reader *reader, const roost_key *key, void *base);

#endif
