/*
 * testing_internal.h - what the files of roost.testing's C half share.
 *
 * Each function that scripts call has the exec as its upvalue 1. Protected mode, the loop's thread.
 */
#ifndef ROOST_TESTING_INTERNAL_H
#define ROOST_TESTING_INTERNAL_H

#include "testing_host.h"

/* Upvalue 1 of the running function. */
roost_exec *roost_testing_exec(struct lua_State *lua);

/* The host at index 1, which is open; raises. */
roost_test_host *roost_testing_check_host(struct lua_State *lua);

/* Has what runs in a state stopped when the test's time is over. */
void roost_testing_watch(roost_vm *vm);

/* Adds host:reload's functions to the class of hosts. Raises. */
void roost_testing_open_reload(struct lua_State *lua, roost_exec *exec, const char *class_name);

#endif
