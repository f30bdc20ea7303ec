/*
 * vm/watchdog.h - ends Lua code that takes more of its thread's time than it may.
 *
 * Start reading at roost_watchdog_fire. The watchdog's thread has a signal sent to the thread whose
 * run is over its limit; its handler fires the runner, and every coroutine that is being resumed
 * gets a hook. Where no signal may be used, a hook that counts instructions looks at the clock
 * instead, and fires.
 * Ending: the hook yields, at its first instruction, where the coroutine can yield: so no pcall
 * sees it, and the stack stays for the traceback. Where it can't, it raises, at each instruction
 * anew, so that no pcall keeps it going. Functions of ours that catch errors or resume coroutines
 * hand it on (roost_vm_ending). The task that ran is then told of a LimitError. A coroutine that
 * was ended never runs again.
 * C functions that can run long see to it themselves: they call roost_vm_poll now and then.
 * The vm's thread, protected mode, but for what says otherwise.
 */
#ifndef ROOST_VM_WATCHDOG_H
#define ROOST_VM_WATCHDOG_H

#include <stddef.h>

#include "vm/runner.h"

/* To be called by a C function that may run long, every 65,536 steps or so. Returns at once while
 * the running code is within its budget, else ends it (yields or raises) and does not return: what
 * the function holds must be the collector's by then. lua: the coroutine that called the function.
 */
void roost_vm_poll(struct lua_State *lua);

/* Counts towards the next poll: steps is the caller's, 0 at first; a step is up to 64 of whatever
 * is counted. */
static inline void roost_vm_step(struct lua_State *lua, unsigned *steps) {
  if ((++*steps & 0x3ff) == 0)
    roost_vm_poll(lua);
}

/* Whether the code that is running is being ended, so that nothing may be caught. */
bool roost_vm_ending(struct lua_State *lua);

/* Ends it: `return roost_vm_end(lua)` where roost_vm_ending. */
int roost_vm_end(struct lua_State *lua);

/* Has the run that goes on end. In the signal handler, on the runner's thread, or in a hook. */
void roost_watchdog_fire(roost_runner *runner);

/* Hooks a coroutine as roost_watchdog_fire does: its frame was pushed after that. Not protected. */
void roost_watchdog_hook(struct lua_State *lua);

/* Gives a coroutine the hook that it has while nothing is being ended: none, or one that counts.
 * Not protected. */
void roost_watchdog_rest(struct lua_State *lua);

/* The first frame of a run that was ended is popped: runner->stop says how, and the next run begins
 * afresh. Not protected. */
void roost_watchdog_conclude(const roost_frame *frame);

/* The part of the run that took too long is over, and has failed. The rest of it goes on for as
 * long as it takes until the runner is fired again: time to see to that failure. Not protected. */
void roost_watchdog_absorb(roost_runner *runner);

/* Pushes the LimitError of a run that was ended. */
void roost_watchdog_push_error(struct lua_State *lua, const roost_stop *stop);

#define ROOST_STOP_TEXT_BYTES 256

/* What it says. Not protected. */
void roost_watchdog_describe(const roost_stop *stop, char out[ROOST_STOP_TEXT_BYTES]);

#endif
