/*
 * config/entries.h - the entries of servers and clients, whose rows depend on their transport.
 *
 * Both are roost_key.read functions; see keys.h.
 */
#ifndef ROOST_CONFIG_ENTRIES_H
#define ROOST_CONFIG_ENTRIES_H

#include "config/keys.h"
#include "transport/transport.h"

/* The list of servers; base is a roost_settings. Without a list there is one server, as it is by
 * default. */
void roost_servers_read(roost_keys_reader *reader, const roost_key *key, void *base);

/* The map of clients, each a table or a function that returns one; base is a roost_settings. */
void roost_clients_read(roost_keys_reader *reader, const roost_key *key, void *base);

/* The client's table on top of the stack. May raise. */
void roost_client_read_table(roost_keys_reader *reader, roost_client_config *client);

#endif
