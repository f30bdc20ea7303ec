/*
 * config/schema.h - the rows of config/host.lua and of client tables (see keys.h).
 *
 * Constant; any thread.
 */
#ifndef ROOST_CONFIG_SCHEMA_H
#define ROOST_CONFIG_SCHEMA_H

#include "config/keys.h"

/* The whole file; read into a roost_settings, whose arena the reader uses. */
extern const roost_key roost_schema_host[];

/* One server of transport tcp; read into a roost_server_config. The row of transport is the first.
 */
extern const roost_key roost_schema_tcp_server[];

/* tls of a server and of a client; read into a roost_tls_config. One entry of its sni; read into a
 * roost_tls_sni. */
extern const roost_key roost_schema_tls_server[];
extern const roost_key roost_schema_tls_client[];
extern const roost_key roost_schema_tls_sni[];

/* One client of transport tcp: an entry of clients, or the table given to roost.client. Checked
 * only. */
extern const roost_key roost_schema_tcp_client[];

#endif
