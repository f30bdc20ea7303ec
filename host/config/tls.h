/*
 * config/tls.h - the key tls of servers and clients; see keys.h.
 *
 * Each is a roost_key.read function. What is in the files that are named is checked when a
 * roost_tls_context is made of it.
 */
#ifndef ROOST_CONFIG_TLS_H
#define ROOST_CONFIG_TLS_H

#include "config/keys.h"

/* Stores a roost_tls_config of the reader's arena, or NULL where there is none, in the row's
 * member. A client's may also be true, which is all defaults, or false. */
void roost_tls_server_read(roost_keys_reader *reader, const roost_key *key, void *base);
void roost_tls_client_read(roost_keys_reader *reader, const roost_key *key, void *base);

/* The entries of sni; base is a roost_tls_config. */
void roost_tls_sni_read(roost_keys_reader *reader, const roost_key *key, void *base);

#endif
