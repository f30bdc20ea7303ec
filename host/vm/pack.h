/*
 * vm/pack.h - the one copier between Lua states: a Lua value to flat bytes and back.
 *
 * What is copied is plain data: booleans, integers, doubles, text of any bytes, roost.null, and
 * tables of these without cycles; nil by itself. Keys are text, numbers or booleans. The marks of
 * roost.array and roost.bytes survive; of a table with any other metatable the contents are copied,
 * raw, and the metatable is not. A table that stands in two places becomes two.
 * The bytes are for this process: numbers are in its own byte order. Each value is a tag and what
 * follows from it; the members of a table are counted in front, so that it is made at its exact
 * size. Start reading at pack_value and push_value.
 * Functions with a lua_State raise only for memory, so they run in protected mode on the vm's
 * thread; the others may be called by any thread.
 */
#ifndef ROOST_VM_PACK_H
#define ROOST_VM_PACK_H

#include "core/buffer.h"

struct lua_State;

/* Appends the bytes of the value at index. EINVAL: it is not plain data; the reason, with the path
 * to what is wrong ("items[2].sku: a function cannot be copied"), is pushed, and out is as it was.
 * ENOMEM: the buffer could not grow. */
int roost_pack_write(struct lua_State *lua, int index, roost_buffer *out);

/* Pushes the value of bytes. EPROTO, and nothing is pushed, where they are not one whole value. */
int roost_pack_push(struct lua_State *lua, roost_slice bytes);

/* ------------------------------------------------------------------------- without Lua ------- */

typedef struct roost_pack_number {
  bool is_integer;
  int64_t integer; /* where it is one */
  double real;     /* where it is none */
} roost_pack_number;

#define ROOST_PACK_NUMBER_BYTES 9 /* of every number */

/* Writes ROOST_PACK_NUMBER_BYTES at out. */
void roost_pack_put_number(char *out, const roost_pack_number *number);

/* False where bytes are not those of a number. */
bool roost_pack_get_number(roost_slice bytes, roost_pack_number *number);

/* Appends the beginning of a list, marked as roost.array does, whose count elements follow. ENOMEM,
 * also for more than a list can hold. */
int roost_pack_begin_list(roost_buffer *out, size_t count);

/* Appends a text. ENOMEM. */
int roost_pack_write_text(roost_buffer *out, roost_slice text);

#endif
