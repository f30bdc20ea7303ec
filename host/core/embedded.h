/*
 * The Lua files compiled into the library, so that an installed binary needs no source tree.
 * Start at roost_embedded_files; the build generates it from lua/ and config/host.lua.
 * Everything here is constant and lives as long as the process.
 */
#ifndef ROOST_CORE_EMBEDDED_H
#define ROOST_CORE_EMBEDDED_H

#include <stddef.h>

typedef struct roost_embedded_file {
  const char *name; /* module name ("roost.stream", "roost" for its init.lua), or the path
                       "config/host.lua"; NULL ends the table */
  const char *ptr;  /* the file's bytes */
  size_t len;       /* how many bytes */
} roost_embedded_file;

/* Every embedded file, in the order of the build's list. Any thread. */
extern const roost_embedded_file roost_embedded_files[];

#endif
