/*
 * vm/task.h - a task: one coroutine of the host's, pooled, that may wait.
 *
 * Start reading at roost_task_start. A task runs what its ops push, inside a protected C
 * trampoline: begin pushes a function and its arguments, finish takes the results, fail takes the
 * error; all three may raise. Nothing else in the host calls lua_resume, but for coroutine.resume
 * and wrap (vm/coroutine.c), which hand a wait inside them on to the task.
 * Wait: a C function that gives the thread back until roost_task_wake; it may be called at any
 * depth of user coroutines, but not below a C function that cannot yield.
 * Cancel: CancelledError is raised out of the wait the task is in and out of each later one; a
 * task that is still alive a second later is reset.
 * Ownership: the vm owns tasks; a pointer is valid until ops->ended returns.
 */
#ifndef ROOST_VM_TASK_H
#define ROOST_VM_TASK_H

#include "vm/vm.h"

typedef enum roost_task_state {
  ROOST_TASK_IDLE,    /* in the pool */
  ROOST_TASK_HELD,    /* waits for its vm to go live */
  ROOST_TASK_READY,   /* to be resumed by the runner */
  ROOST_TASK_RUNNING, /* inside lua_resume */
  ROOST_TASK_WAITING  /* until roost_task_wake */
} roost_task_state;

typedef struct roost_task_ops {
  /* Pushes a function and its arguments; returns how many arguments. Protected. */
  int (*begin)(struct lua_State *lua, void *ud);
  /* The function returned count values, on top of the stack. Returns -1 when the task is over, or
   * pushes another function with its arguments and returns how many: it is called, may wait, and
   * finish is called again. Protected; NULL: results are dropped. */
  int (*finish)(struct lua_State *lua, void *ud, int count);
  /* The error value is on top of the stack, its traceback in vm->trace. Returns -1, or pushes a
   * function as finish does: fail is called again should it raise. Protected; NULL: the error is
   * dropped. */
  int (*fail)(struct lua_State *lua, void *ud);
  /* The last call: the task is over, whatever way. reset: it was ended by force, or ran out of
   * memory or of time even in fail, so neither finish nor fail saw it through. Not protected, no
   * Lua. */
  void (*ended)(void *ud, bool reset);
  /* The task is over and has not waited: may tell what is to begin in its place, in the same
   * coroutine. 0: nothing, and ended follows. Else it has ended already: 1: *ud is another one's,
   * with the same ops, and its context, too; -1: nothing follows. Not protected, no Lua. NULL: 0.
   */
  int (*next)(void **ud);
  bool early; /* runs although the vm is not live yet */
  /* Who may not wait in it: what its waits raise, so that it is over when roost_task_start returns.
   * NULL: it may wait. */
  const char *no_wait;
} roost_task_ops;

struct roost_task {
  roost_list link;  /* in vm->tasks, or vm->idle */
  roost_list queue; /* in runner->ready, vm->held, or a list of waiters */
  roost_vm *vm;
  struct lua_State *lua; /* its coroutine */
  int anchor;            /* keeps the coroutine in the registry */
  roost_task_state state;
  bool dormant;          /* a timer between two runs: ended when its service stops */
  bool background;       /* waits for what need not come: a program may end without it */
  bool waiting;          /* the yield under way is a wait of ours, not a user's */
  bool begun;            /* begin has been called */
  bool cancelled;        /* raise CancelledError from waits */
  bool unwinding;        /* it is being raised: <close> variables may wait meanwhile */
  bool reset;            /* what ops->ended will be told */
  bool told;             /* ops->next has ended it */
  bool overran;          /* a run was ended for the time it took, since it last waited */
  bool spoilt;           /* one was at any time: its coroutine is not used again */
  uint16_t waits_ended;  /* since it was cancelled: how many have raised */
  const char *interrupt; /* what waits raise instead; NULL: they wait */
  const roost_task_ops *ops;
  void *ud;           /* handed to ops */
  void *context;      /* the roost_call it works for, inherited by what it spawns */
  const void *group;  /* whose it is in a vm that several share; inherited by what it starts */
  roost_timer timer;  /* of a timed wait */
  roost_timer reaper; /* after a cancel: reset it then */
};

/* Starts a task: at once where no Lua is running and the vm is live, else as soon as that is so.
 * *out (may be NULL) is set before it runs, and is NULL again when it has ended within the call.
 * ENOMEM, ESTATE (the vm is closing): nothing was started, ops->ended is not called. */
int roost_task_start(roost_task **out, roost_vm *vm, const roost_task_ops *ops, void *ud,
                     void *context);

/* Has a waiting task go on; nothing happens where it is not waiting. Any code of its thread. */
void roost_task_wake(roost_task *task);

/* Ends it by CancelledError. A task that is held and has not begun ends without running. */
void roost_task_cancel(roost_task *task);

/* Has each wait of it raise TimeoutError with this text, from the one it is in on; NULL: no more of
 * that. why is borrowed. For tests. */
void roost_task_interrupt(roost_task *task, const char *why);

/* Ends it now, without asking. Not the running one. */
void roost_task_reset(roost_task *task);

/* In a C function: `return roost_task_wait(L, ms, context, k)` yields until a wake or until ms are
 * over (UINT64_MAX: no time-out), then k runs; k begins with roost_task_resumed. Raises where
 * waiting is not possible here. */
int roost_task_wait(struct lua_State *lua, uint64_t ms, intptr_t context,
                    int (*k)(struct lua_State *lua, int status, intptr_t context));

/* As roost_task_wait, but the task is in the list waiters meanwhile, with others that wait for the
 * same thing. The list must outlive the wait. */
int roost_task_wait_in(struct lua_State *lua, roost_list *waiters, intptr_t context,
                       int (*k)(struct lua_State *lua, int status, intptr_t context));

/* The same, for ms at most (UINT64_MAX: no time-out). */
int roost_task_wait_in_for(struct lua_State *lua, roost_list *waiters, uint64_t ms,
                           intptr_t context,
                           int (*k)(struct lua_State *lua, int status, intptr_t context));

/* Raises where one of them would, for what must not be begun then. */
void roost_task_check_may_wait(struct lua_State *lua);

/* Raises in a main chunk. */
void roost_task_check_begun(struct lua_State *lua);

/* Wakes every task in waiters. */
void roost_task_wake_all(roost_list *waiters);

/* First thing in every k: raises CancelledError where the task was cancelled meanwhile. */
void roost_task_resumed(struct lua_State *lua);

/* The task that is running in this state, or NULL (main chunk). */
roost_task *roost_task_current(struct lua_State *lua);

#endif
