/*
 * vm/steps.h - work done in C that Lua's hooks do not see, counted so that it can be stopped.
 *
 * Step: one character looked at, one element moved, or sixteen bytes copied or compared; whatever
 * takes a few nanoseconds. After every ROOST_STEPS_PER_POLL of them the watchdog is asked. The
 * count lives as long as the vm, so that many short calls made from C are stopped as one long one
 * is. The thread that has the vm, protected mode.
 */
#ifndef ROOST_VM_STEPS_H
#define ROOST_VM_STEPS_H

#include "vm/vm.h"

#define ROOST_STEPS_PER_POLL 65536

/* One step stands for so many bytes that are copied or compared at once. */
#define ROOST_STEPS_BYTES 16

/* What an access to a value with a metatable counts for: it may call a C function or follow two
 * thousand tables. */
#define ROOST_STEPS_META 256

/* For roost_steps_spend: begins to count anew and polls. */
void roost_steps_over(roost_vm *vm, struct lua_State *lua);

/* Counts steps that lua has done or is about to do. May not return (see roost_vm_poll): only Lua
 * may own memory held by the caller. */
static inline void roost_steps_spend(roost_vm *vm, struct lua_State *lua, size_t steps) {
  if (steps < vm->steps_left)
    vm->steps_left -= steps;
  else
    roost_steps_over(vm, lua);
}

/* The same for bytes that are copied or compared. */
static inline void roost_steps_spend_bytes(roost_vm *vm, struct lua_State *lua, size_t bytes) {
  roost_steps_spend(vm, lua, bytes / ROOST_STEPS_BYTES + 1);
}

#endif
