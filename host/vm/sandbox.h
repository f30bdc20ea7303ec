/*
 * vm/sandbox.h - a state whose code is not trusted, and what that code sees instead of the host's.
 *
 * Start reading at roost_sandbox_enter.
 * Host globals: Lua's libraries as every other state has them. In a sandbox only the Lua half of
 * the API sees them, whose modules have them for _ENV: so nothing that a service puts in the place
 * of pcall or string.format is ever called with what is the host's.
 * Guest globals: what a service's chunks have for _ENV: copies of the harmless libraries, and
 * functions of their own for what loads code, sets metatables or collects garbage.
 * Offer: a module of the Lua half that guests may require.
 * What follows from Lua's rules and is relied on: a metatable whose __metatable is false can
 * neither be read nor replaced by a guest, and a table that had no __gc when its metatable was set
 * is never finalized. The vm's thread; all functions raise but roost_sandbox_on.
 */
#ifndef ROOST_VM_SANDBOX_H
#define ROOST_VM_SANDBOX_H

#include <stdbool.h>

#include "vm/source.h"

struct lua_State;

typedef struct roost_sandbox_offer {
  const char *name;   /* as a guest requires it; NULL ends a list */
  const char *module; /* of the Lua half */
} roost_sandbox_offer;

/* Closes off a state with its libraries, its core and the Lua half's modules open, before any of
 * the service's code runs: chunks loaded from here on are guests. Files are loaded only from
 * root/NAME, root/lib of source, and lua below working_dir. offers is constant. */
void roost_sandbox_enter(struct lua_State *lua, const roost_source *source, const char *working_dir,
                         const roost_sandbox_offer *offers);

/* Whether the state was closed off. */
bool roost_sandbox_on(struct lua_State *lua);

/* Pushes the host globals; in a state that is no sandbox everybody's. */
void roost_sandbox_push_host(struct lua_State *lua);

/* Adds to the table of guest globals on top of the stack what loads code: load, loadfile, dofile,
 * require and package. Private to the sandbox; host is the index of the host globals, and
 * package.loaded holds what the globals hold by then. */
void roost_sandbox_open_load(struct lua_State *lua, int host, const roost_source *source,
                             const char *working_dir, const roost_sandbox_offer *offers);

#endif
