/*
 * testing.h - the C half of roost.testing: what lua/roost/testing.lua and test.lua are made of.
 *
 * Start reading at roost_testing_open, which lists the functions. Hosts and callers lie in
 * testing_host.h; here they become Lua values.
 */
#ifndef ROOST_TESTING_H
#define ROOST_TESTING_H

struct lua_State;

/* A roost_program_ops.open whose ud is the roost_exec: adds the table core.testing. */
void roost_testing_open(struct lua_State *lua, void *ud);

#endif
