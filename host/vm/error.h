/*
 * vm/error.h - the error tables that scripts catch: { name, code, message, ... }.
 *
 * All carry one metatable with __tostring ("name: message"). An exception is the kind a handler
 * raises to reach its caller (roost.rpc_error): it has a metatable of its own. The vm's thread,
 * protected mode.
 */
#ifndef ROOST_VM_ERROR_H
#define ROOST_VM_ERROR_H

#include "core/buffer.h"
#include "core/slice.h"

struct lua_State;

/* Makes the metatables; once per state. Raises. */
void roost_error_open(struct lua_State *lua);

/* Pushes { name = name, code = code, message = message }. */
void roost_error_push(struct lua_State *lua, const char *name, const char *code,
                      const char *message);

/* Pushes the table and raises it. */
int roost_error_raise(struct lua_State *lua, const char *name, const char *code,
                      const char *message);

/* Pushes the LimitError of a state that ran out of memory: it is there already, no memory is
 * needed. Does not raise. */
void roost_error_push_memory(struct lua_State *lua);

/* Raises a text, made as lua_pushfstring makes it, that begins with the line of the user's own
 * files from which this was called, however many functions of the Lua half lie in between. */
int roost_error_raise_text(struct lua_State *lua, const char *format, ...);

/* Turns the table on top into an exception. */
void roost_error_mark_exception(struct lua_State *lua);

/* Whether the value at index is an exception. */
bool roost_error_is_exception(struct lua_State *lua, int index);

/* Whether it is any error table with this name. */
bool roost_error_is(struct lua_State *lua, int index, const char *name);

/* Appends a readable form of the error value at index: __tostring's result or the plain text. What
 * __tostring raises is not passed on. */
int roost_error_describe(struct lua_State *lua, int index, roost_buffer *out);

/* A message handler for pcall: keeps the value and writes the traceback into vm->trace, beginning
 * at the topmost frame of the user's own files. */
int roost_error_traceback(struct lua_State *lua);

/* Appends a traceback of the stack from level on, as above. Needs no protection. */
void roost_error_write_trace(struct lua_State *lua, int level, roost_buffer *out);

/* Pops a function and appends where it is written, if in the user's own files: what is left to say
 * where it has no frame any more, as after "return client:call(…)". */
void roost_error_write_function(struct lua_State *lua, roost_buffer *out);

/* The topmost line of the user's own files, as "orders.lua:31"; "" where there is none. Needs no
 * protection. */
void roost_error_where(struct lua_State *lua, char *out, size_t size);

/* Raises the value on top once more; roost_error_traceback keeps trace, where it came from first.
 * An empty one is not kept. */
int roost_error_rethrow(struct lua_State *lua, roost_slice trace);

#endif
