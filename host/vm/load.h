/*
 * vm/load.h - compiling Lua source so that the watchdog can stop it.
 */
#ifndef ROOST_VM_LOAD_H
#define ROOST_VM_LOAD_H

#include "core/slice.h"

struct lua_State;

/* The longest chunk that the global load compiles, in bytes. What it compiles is also limited in
 * its jumps, see vm/jumps.h. Files are not limited. */
#define ROOST_LOAD_BYTES_MAX (16 << 20)

/* As luaL_loadbufferx: pushes the function or an error, and returns LUA_OK or a status. Bytecode is
 * allowed if mode allows it. The vm's thread, protected mode; may not return (see roost_vm_poll).
 */
int roost_load(struct lua_State *lua, roost_slice text, const char *name, const char *mode);

#endif
