/*
 * vm/resume.h - the one caller of lua_resume.
 *
 * Every resume and every lua_resetthread is a frame of its runner, so that whoever must stop what
 * is running finds all of it. Private to vm/.
 */
#ifndef ROOST_VM_RESUME_H
#define ROOST_VM_RESUME_H

#include "vm/vm.h"

/* lua_resume, as a frame. from: the coroutine that resumes it, NULL for the host. */
int roost_resume(struct lua_State *lua, struct lua_State *from, int arguments, int *results);

/* lua_resetthread, as a frame: runs the <close> variables left. Returns its status; the error, if
 * any, is on top of lua's stack. */
int roost_reset_thread(roost_vm *vm, struct lua_State *lua);

#endif
