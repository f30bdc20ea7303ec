/*
 * bind/module.h - modules that the embedder offers to services: C functions of roost.h's kind.
 *
 * Start reading at roost_modules_open. The host owns the set, fills it before any state is opened
 * and frees it after the last one; in between it is constant, and any thread reads it.
 */
#ifndef ROOST_BIND_MODULE_H
#define ROOST_BIND_MODULE_H

#include "core/alloc.h"
#include "vm/sandbox.h"

typedef struct roost_modules roost_modules;

/* Without a module. ENOMEM. */
int roost_modules_new(roost_modules **out, const roost_alloc *alloc);

/* Adds one; everything is copied. EINVAL with a fixed text in *why, ENOMEM. */
int roost_modules_add(roost_modules *modules, const char *name, const roost_function *functions,
                      const char **why);

/* NULL is allowed, for all of these. */
void roost_modules_free(roost_modules *modules);

/* Has require find them. Raises. */
void roost_modules_open(struct lua_State *lua, const roost_modules *modules);

/* What a sandboxed service may require: the Lua half's public modules, and these; for the set's
 * life. */
const roost_sandbox_offer *roost_modules_offers(const roost_modules *modules);

#endif
