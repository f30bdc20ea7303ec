/*
 * vm/protect.h - pcall and xpcall as Lua's own, but they know of a cancel that is being raised.
 *
 * Private to vm/: called while the libraries are opened. Raises.
 */
#ifndef ROOST_VM_PROTECT_H
#define ROOST_VM_PROTECT_H

struct lua_State;

/* Sets the globals pcall and xpcall. */
void roost_protect_open(struct lua_State *lua);

/* Sets the global coroutine and package.loaded.coroutine. */
void roost_coroutine_open(struct lua_State *lua);

/* The user's coroutine that lua, suspended in a wait of the host's, has resumed and waits in; NULL
 * where the wait is its own. Does not raise. */
struct lua_State *roost_coroutine_inner(struct lua_State *lua);

#endif
