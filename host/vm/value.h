/*
 * vm/value.h - Lua values to JSON text and back, without a tree between.
 *
 * null is roost.null, a light userdata NULL (cjson.null is the same). A decoded array carries a
 * metatable as its mark, so that it stays an array when it is empty; roost.array sets the same
 * mark; roost.bytes makes a value that is written as Node writes a Buffer. Every function here
 * raises only for memory, so it runs in protected mode. The vm's thread.
 */
#ifndef ROOST_VM_VALUE_H
#define ROOST_VM_VALUE_H

#include "core/buffer.h"

struct lua_State;

/* Makes the marks; once per state. Raises. */
void roost_value_open(struct lua_State *lua);

/* Pushes the value of text, which is valid UTF-8; 8 stack slots must be free, more are made. EPROTO
 * pushes nothing and *why is a fixed text, *at the offset. */
int roost_value_push_json(struct lua_State *lua, roost_slice text, const char **why, size_t *at);

/* Appends the JSON text of the value at index. EINVAL: it cannot be written; the reason, with the
 * path to what is wrong ("items[2].sku: text is not UTF-8"), is pushed as a string, and out is as
 * it was. ENOMEM: the buffer could not grow. */
int roost_value_write_json(struct lua_State *lua, int index, roost_buffer *out);

/* Sets the array mark on the table at the top of the stack. */
void roost_value_mark_array(struct lua_State *lua);

/* Replaces the text at the top by a value that is written as a Buffer. */
void roost_value_mark_bytes(struct lua_State *lua);

/* Pushes roost.null. */
void roost_value_push_null(struct lua_State *lua);

#endif
