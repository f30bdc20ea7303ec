/*
 * service/binding.h - what the service layer asks of the Lua API.
 *
 * service/ knows when something runs, bind/ knows what Lua values it takes; this table is all that
 * lies between. Everything on the thread that has the generation's vm.
 */
#ifndef ROOST_SERVICE_BINDING_H
#define ROOST_SERVICE_BINDING_H

#include "core/buffer.h"
#include "core/slice.h"

struct lua_State;

typedef struct roost_generation roost_generation;

/* The functions a service may give, besides its handlers. */
typedef enum roost_hook {
  ROOST_HOOK_START,
  ROOST_HOOK_STOP,
  ROOST_HOOK_HANDOFF, /* gives what the next generation shall have; may not wait */
  ROOST_HOOK_ADOPT,   /* takes what the one before has given; may not wait */
  ROOST_HOOKS
} roost_hook;

typedef struct roost_binding {
  /* Opens generation->vm's libraries and API and runs the service's main chunk, which adds handlers
   * by roost_generation_add. Appends what went wrong, as a person should read it, with the
   * traceback. ESCRIPT, ENOMEM. */
  int (*load)(roost_generation *generation, roost_buffer *error);

  /* The three parts of a call's task; see roost_task_ops. begin raises with call->refused set
   * where data is not JSON. */
  int (*begin_call)(struct lua_State *lua, roost_call *call);
  int (*finish_call)(struct lua_State *lua, roost_call *call, int count);
  int (*fail_call)(struct lua_State *lua, roost_call *call);

  /* The call's task was ended by force: what was made for the request is still to be closed. */
  void (*forced_call)(roost_call *call);

  /* The call is over and its memory will be used again: no script may reach it any more. */
  void (*end_call)(roost_call *call);

  /* The generation is to be freed, but its state lives on: lets go of what it holds there. */
  void (*unload)(roost_generation *generation);

  /* Pushes a hook's function (a hook that was not given is never run), and for ROOST_HOOK_ADOPT the
   * value of generation->handed; returns how many arguments. */
  int (*begin_hook)(struct lua_State *lua, roost_generation *generation, roost_hook hook);

  /* A hook returned count values, on top of the stack: what ROOST_HOOK_HANDOFF gave is copied to
   * generation->handed. Raises where it is not plain data. */
  void (*finish_hook)(struct lua_State *lua, roost_generation *generation, roost_hook hook,
                      int count);

  /* Appends the error on top of the stack and its traceback, as a person should read them.
   * Protected. */
  void (*describe)(struct lua_State *lua, roost_generation *generation, roost_buffer *out);
} roost_binding;

#endif
