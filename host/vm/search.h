/*
 * vm/search.h - finding one text in another, in steps that the watchdog counts.
 */
#ifndef ROOST_VM_SEARCH_H
#define ROOST_VM_SEARCH_H

#include "core/slice.h"

struct lua_State;

/* Where needle first occurs in text; NULL: nowhere. An empty one occurs at once. May not return
 * (see roost_steps_spend). */
const char *roost_search(struct lua_State *lua, roost_slice text, roost_slice needle);

/* Whether len bytes are the same. May not return. */
bool roost_search_same(struct lua_State *lua, const char *a, const char *b, size_t len);

#endif
