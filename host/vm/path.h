/*
 * vm/path.h - where in a value the one that walks it is, for errors such as "items[2].sku: ...".
 *
 * A step is a table that is being walked and the key it has come to; steps are chained from the
 * innermost outwards and live on the C stack of the walker (value_write.c, pack.c). Functions that
 * refuse push the text, path first, and return EINVAL. Everything raises, for memory only; the vm's
 * thread, protected mode.
 */
#ifndef ROOST_VM_PATH_H
#define ROOST_VM_PATH_H

#include <stddef.h>
#include <stdint.h>

struct lua_State;

typedef struct roost_path {
  const struct roost_path *outer; /* the table around this one; NULL: none */
  const void *table;              /* its identity, to find cycles */
  int64_t index;                  /* of the element it has come to, where key is 0 */
  int key;                        /* stack index of the key it has come to */
  int depth;                      /* 1: the outermost table */
} roost_path;

/* Stack slots that a walker may use at each level. */
#define ROOST_PATH_SLOTS     8

#define ROOST_PATH_TOO_LARGE "larger than the memory that the service may have"

/* How long a buffer of len bytes may become by writing one value of this state. */
size_t roost_path_room(struct lua_State *lua, size_t len);

/* Begins a step for the table at index, and sees to the stack slots of its level. Refuses one that
 * is inside of itself and too many levels.
 */
int roost_path_enter(struct lua_State *lua, roost_path *here, const roost_path *outer, int index);

/* Refuses the value that at has come to (NULL: the outermost value). */
int roost_path_refuse(struct lua_State *lua, const roost_path *at, const char *reason);

/* As "a function cannot be sent", with the type of the value at index and what is tried. */
int roost_path_refuse_type(struct lua_State *lua, const roost_path *at, int index,
                           const char *what);

#endif
