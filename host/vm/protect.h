/*
 * vm/protect.h - basic functions as Lua's own, but they know of a cancel that is being raised, and
 * let nothing keep a run from being ended.
 *
 * Private to vm/: called while the libraries are opened. Raises.
 */
#ifndef ROOST_VM_PROTECT_H
#define ROOST_VM_PROTECT_H

struct lua_State;

/* Sets the globals pcall and xpcall. */
void roost_protect_open(struct lua_State *lua);

/* Sets the global setmetatable, by which a finalizer runs in a coroutine of its own: Lua disables
 * hooks in finalizers. One that is put into a metatable later, in place of another, escapes that.
 */
void roost_finalizer_open(struct lua_State *lua);

/* Sets the global coroutine and package.loaded.coroutine. */
void roost_coroutine_open(struct lua_State *lua);

/* The user's coroutine that lua, suspended in a wait of the host's, has resumed and waits in; NULL
 * where the wait is its own. Does not raise. */
struct lua_State *roost_coroutine_inner(struct lua_State *lua);

#endif
