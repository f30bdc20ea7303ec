/*
 * vm/watchdog.h - ends Lua code that takes more processor time than it may.
 *
 * C functions that can run long see to it themselves: they call roost_vm_poll now and then.
 */
#ifndef ROOST_VM_WATCHDOG_H
#define ROOST_VM_WATCHDOG_H

struct lua_State;

/* To be called by a C function that may run long, every 65,536 steps or so. Returns at once while
 * the running code is within its budget, else ends it (yields or raises) and does not return: what
 * the function holds must be the collector's by then. lua: the coroutine that called the function.
 * The vm's thread, protected mode. */
void roost_vm_poll(struct lua_State *lua);

#endif
