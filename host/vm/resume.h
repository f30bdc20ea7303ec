/*
 * vm/resume.h - the one caller of lua_resume, and of all else that runs Lua code.
 *
 * Everything here is a frame of the runner (vm/runner.h), so that whoever must stop what is running
 * finds all of it. The vm's thread.
 */
#ifndef ROOST_VM_RESUME_H
#define ROOST_VM_RESUME_H

#include "vm/vm.h"

/* What roost_resume returns where the run is being ended and the coroutine did not come to its end:
 * it is marked (roost_vm_dead) and must not be resumed again. */
#define ROOST_RESUME_ENDED 100

/* lua_resume. from: the coroutine that resumes it, NULL for the host. */
int roost_resume(struct lua_State *lua, struct lua_State *from, int arguments, int *results);

/* lua_resetthread: runs the <close> variables left. Returns its status; the error, if any, is on
 * top of lua's stack. Nothing is run in a coroutine out of which an end was raised: its hooks are
 * off for good. */
int roost_reset_thread(roost_vm *vm, struct lua_State *lua);

/* lua_close: runs the finalizers left, with one budget for all. */
void roost_close_state(roost_vm *vm);

#endif
