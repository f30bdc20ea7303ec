/*
 * bind/client.h - what lua/roost/client.lua is made of: client.c has handles, request.c requests,
 * failure.c what they end with.
 *
 * Handle: a userdata for one outbound, named or its own. Request: one call or event through it.
 * Everything on the vm's thread, in protected mode.
 */
#ifndef ROOST_BIND_CLIENT_H
#define ROOST_BIND_CLIENT_H

#include "bind/bind.h"
#include "service/pending.h"

/* The outbound of the handle at index; raises where it is none, or closed for good. */
roost_outbound *roost_bind_check_client(struct lua_State *lua, int index);

/* Pushes the error table for a failure of an outbound's. */
void roost_bind_push_failure(struct lua_State *lua, const roost_outbound *outbound, int status,
                             const char *why);

/* Raises what a peer answered with, JSON text: its code and message, and all of it as response. */
int roost_bind_raise_remote(struct lua_State *lua, roost_slice answer);

/* Replaces a pattern's JSON text by that of its route, which is a text. As
 * roost_pattern_normalise. */
int roost_bind_write_route(roost_buffer *pattern, const char **why);

/* That of the handle at index, which is one for sure. Raises as the first. */
roost_outbound *roost_bind_client_of(struct lua_State *lua, int index);

/* With core and the class of handles on top: adds to core what makes requests, and pops the class.
 *   call_client(handle, pattern, data, timeout in ms or nil, metadata or nil) -> last value or nil
 *   request_client(...) -> request, whose next gives the values
 *   emit_client(...) -> true where the event was sent at once, else a request */
void roost_bind_open_request(struct lua_State *lua);

#endif
