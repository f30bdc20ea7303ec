/*
 * config/admin.h - the keys of admin; see keys.h. Each is a roost_key.read function.
 */
#ifndef ROOST_CONFIG_ADMIN_H
#define ROOST_CONFIG_ADMIN_H

#include "config/keys.h"

/* The path of the socket, and where HTTP listens, which must be loopback; base is the
 * roost_settings. */
void roost_admin_socket_read(roost_keys_reader *reader, const roost_key *key, void *base);
void roost_admin_http_read(roost_keys_reader *reader, const roost_key *key, void *base);

#endif
