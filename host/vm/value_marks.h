/*
 * vm/value_marks.h - the metatables that tell vm/value.c's two halves what a table stands for.
 *
 * Private to vm/value.c and vm/value_write.c.
 */
#ifndef ROOST_VM_VALUE_MARKS_H
#define ROOST_VM_VALUE_MARKS_H

struct lua_State;

typedef struct roost_value_marks {
  const void *array; /* address of the metatable of arrays */
  const void *bytes; /* of roost.bytes */
} roost_value_marks;

roost_value_marks roost_value_read_marks(struct lua_State *lua);

#endif
