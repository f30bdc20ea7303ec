/*
 * vm/bounded.h - those of Lua's functions that can run for seconds in one call, as services get
 * them: the same to whoever calls them, but the watchdog can stop them.
 *
 * vm/steps.h says how. Where a function here and Lua 5.4's own differ in a result or in the text of
 * an error, that is a mistake. Left as they are: loadfile and dofile, and string.format,
 * string.pack and its like, table.sort and os.date, which take a second or two at most, of what
 * memory allows.
 *
 * Private to vm/: called while the libraries are opened, after them. Raises.
 */
#ifndef ROOST_VM_BOUNDED_H
#define ROOST_VM_BOUNDED_H

struct lua_State;

/* Replaces find, gmatch, gsub, match and rep in the table string. */
void roost_bounded_open_string(struct lua_State *lua);

/* Replaces concat, insert, move, remove and unpack in the table table. */
void roost_bounded_open_table(struct lua_State *lua);

/* Sets the global load. */
void roost_bounded_open_load(struct lua_State *lua);

#endif
