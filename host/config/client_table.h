/*
 * config/client_table.h - the table given to roost.client, checked as an entry of clients is.
 */
#ifndef ROOST_CONFIG_CLIENT_TABLE_H
#define ROOST_CONFIG_CLIENT_TABLE_H

#include "config/arena.h"
#include "core/buffer.h"
#include "transport/transport.h"

struct lua_State;

typedef struct roost_client_table {
  roost_client_config config;
  roost_arena arena; /* holds its texts */
} roost_client_table;

/* Reads the table at index; relative paths in it start at working_dir (borrowed; NULL: where the
 * process is). ECONFIG: error has all that is wrong, a line each; ENOMEM: the stack may have the
 * error on top. The state's thread. */
int roost_client_table_read(roost_client_table **out, const roost_alloc *alloc,
                            struct lua_State *lua, int index, const char *working_dir,
                            roost_buffer *error);

/* NULL is allowed. */
void roost_client_table_free(roost_client_table *table);

#endif
