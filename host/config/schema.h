/*
 * config/schema.h - the rows of config/host.lua and of client tables (see keys.h).
 *
 * Constant; any thread.
 */
#ifndef ROOST_CONFIG_SCHEMA_H
#define ROOST_CONFIG_SCHEMA_H

#include "config/keys.h"
#include "transport/transport.h"

/* The whole file; read into a roost_settings, whose arena the reader uses. */
extern const roost_key roost_schema_host[];

/* One entry of service_options; read into a roost_service_options. */
extern const roost_key roost_schema_service_options[];

/* One server of transport tcp; read into a roost_server_config. */
extern const roost_key roost_schema_tcp_server[];

/* tls of a server and of a client; read into a roost_tls_config. One entry of its sni; read into a
 * roost_tls_sni. */
extern const roost_key roost_schema_tls_server[];
extern const roost_key roost_schema_tls_client[];
extern const roost_key roost_schema_tls_sni[];

/* One client: an entry of clients, or the table given to roost.client; read into a
 * roost_client_row. */
extern const roost_key roost_schema_client[];

/* The first transports a client may name, as their index. */
enum { ROOST_CLIENT_TCP, ROOST_CLIENT_LOCAL };

typedef struct roost_client_row {
  roost_client_config config; /* but for its name and transport */
  uint32_t transport;
  const char *url;         /* NULL: urls, or host and port, say where it is */
  const char *const *urls; /* NULL: one place only */
} roost_client_row;

#endif
