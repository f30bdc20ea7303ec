/*
 * bind/program.h - a Lua program in the place of a service: what roost exec and roost test run.
 *
 * Start reading at roost_program_start. The program is the one service of a dispatch whose binding
 * is roost_bind_program and whose config.program points at it: it has the whole API, os.exit, a
 * print that writes to its owner, and a main chunk that is a task and so may wait. The struct is
 * the owner's and outlives the dispatch; what it points at is borrowed. The vm's thread.
 */
#ifndef ROOST_BIND_PROGRAM_H
#define ROOST_BIND_PROGRAM_H

#include "service/dispatch.h"

struct lua_State;

typedef struct roost_program_ops {
  /* Takes a line of print's, with its newline. */
  void (*print)(void *ud, roost_slice text);
  /* os.exit was called; does not return. */
  void (*exit)(void *ud, int code);
  /* Adds the owner's functions to the core table on top of the stack; may be NULL. Raises. */
  void (*open)(struct lua_State *lua, void *ud);
} roost_program_ops;

typedef struct roost_program {
  const char *path;   /* of its file; NULL: it is a module */
  const char *module; /* of the Lua half, as "roost.test" */
  char *const *args;  /* arg[1] and so on, and the main chunk's arguments */
  size_t arg_count;
  size_t words_before; /* arg[-1] and so on, which lie before args[-1], the program; 0: none */
  const roost_program_ops *ops;
  void *ud;                     /* handed to ops */
  roost_generation *generation; /* set by start; the dispatch owns it */
  roost_task *main;             /* the main chunk's; NULL: it is over */
  int function;                 /* of the main chunk, in the registry */
  bool over;                    /* the main chunk has returned or raised */
  bool failed;                  /* it raised, and error says what */
  roost_buffer error;           /* as a person should read it, with its traceback */
} roost_program;

extern const roost_binding roost_bind_program;

/* Loads the program as a service of dispatch and starts its main chunk, which runs in the loop's
 * turns. ESCRIPT with the text in program->error, ENOMEM. */
int roost_program_start(roost_program *program, roost_dispatch *dispatch, const char *root);

#endif
