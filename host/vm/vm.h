/*
 * vm/vm.h - one Lua state under control: its memory counted, its coroutines ours.
 *
 * A vm is what a generation runs in. Start reading at roost_vm_open, then vm/task.h for how code
 * is run in it, then vm/value.h for what goes in and out.
 * Runner, frame, run: see vm/runner.h.
 * Dead: of a coroutine that was ended because its run took too long; it never runs again.
 * Exhausted: a state that still holds nearly all it may after it ran out of memory: every further
 * call would pay a full collection, so it should be replaced.
 * A vm belongs to one thread at a time, the one whose runner it was given. Every function whose
 * comment says "raises" must be called in protected mode (inside a task, or lua_pcall).
 */
#ifndef ROOST_VM_VM_H
#define ROOST_VM_VM_H

#include "core/alloc.h"
#include "core/buffer.h"
#include "core/files.h"
#include "core/list.h"
#include "core/wheel.h"
#include "vm/keys.h"
#include "vm/pool.h"
#include "vm/runner.h"

struct lua_State;

typedef struct roost_task roost_task;

/* What a value of a state's has to do with the worker besides Lua: a connection, a watcher. A state
 * may be made on one thread, run on another and be closed on a third: attach is called on the
 * worker's once it is made, detach there before it is closed, after which the value's __gc finds
 * nothing left to do. */
typedef struct roost_vm_link {
  roost_list link; /* in vm->links */
  /* 0, or an error with its reason appended to why. */
  int (*attach)(struct roost_vm_link *link, roost_buffer *why);
  void (*detach)(struct roost_vm_link *link);
} roost_vm_link;

typedef struct roost_vm_config {
  const roost_alloc *alloc;
  roost_runner *runner;  /* of the thread that opens it */
  roost_wheel *wheel;    /* for sleeps */
  size_t memory_limit;   /* bytes the state may hold; 0: no limit */
  uint64_t cpu_limit_ms; /* of its thread's time, for each run; 0: no limit */
  const char *name;      /* of its service, for the log; copied; NULL: none */
  void *owner;           /* for roost_vm_owner */
} roost_vm_config;

struct roost_vm {
  struct lua_State *lua;    /* the main state */
  const roost_alloc *alloc; /* borrowed */
  roost_runner *runner;     /* of the thread that has the vm now */
  roost_wheel *wheel;       /* borrowed */
  void *owner;              /* the generation */
  roost_pool pool;          /* the state's small blocks */
  size_t memory_bytes;      /* held by the state now */
  size_t memory_limit;      /* SIZE_MAX: none */
  size_t steps_left;        /* of work in C until the next poll (vm/steps.h) */
  uint64_t cpu_limit_ms;    /* 0: none */
  size_t tune_below;        /* outside these two the collector wants other parameters */
  size_t tune_above;
  roost_task *current; /* the task that is running; NULL in a main chunk */
  const void *group;   /* of the tasks started now; NULL: that of the running one */
  roost_list tasks;    /* all that have started and not ended */
  roost_list idle;     /* ended ones, kept with their coroutine */
  size_t task_count;   /* in tasks */
  size_t idle_count;   /* in idle */
  bool live;           /* waits are allowed and held tasks run */
  bool no_catch;       /* pcall hands errors on: what runs must end */
  bool closing;        /* no task may start any more: finalizers run last of all */
  bool cut_short;      /* while closing, <close> variables took too long: no more of them run */
  bool refused;        /* an allocation was, since that was last looked at */
  bool starved;        /* likewise, for there was no memory outside its limit */
  bool exhausted;      /* stays so */
  roost_list held;     /* tasks made before it was live */
  roost_buffer trace;  /* traceback of the error being handled */
  bool rethrown;       /* trace belongs to an error that is raised again (vm/error.h) */
  int array_ref;       /* vm/value.h's marks, in the registry */
  int bytes_ref;
  const void *array_mark; /* and their addresses, to be compared with */
  const void *bytes_mark;
  roost_key keys[ROOST_KEYS_SLOTS];    /* keys of objects decoded lately */
  uint8_t first_key;                   /* slot of the latest outermost object's first one */
  roost_name names[ROOST_NAMES_SLOTS]; /* keys of tables encoded lately */
  void (*on_quiet)(roost_vm *vm);      /* told when the last task has ended; may be NULL */
  /* Told once, when it becomes exhausted; not inside Lua; may be NULL. */
  void (*on_exhausted)(roost_vm *vm);
  /* Told when code that no task runs was ended: what it was, as "finalizers". May be NULL; no Lua.
   */
  void (*on_overrun)(roost_vm *vm, const char *what, const roost_stop *stop);
  roost_list links;                   /* roost_vm_link.link */
  roost_files files;                  /* that were read to make it */
  char name[ROOST_RUNNER_NAME_BYTES]; /* of its service, cut short; "": none */
};

/* Makes an empty state without libraries. ENOMEM; EFULL: its own limit is too small for one. */
int roost_vm_open(roost_vm **out, const roost_vm_config *config);

/* Ends every task at once and closes the state. Not from inside it. */
void roost_vm_close(roost_vm *vm);

/* Has runner's thread, which is the caller's, take over a state made on another, and attaches its
 * links. An error of theirs, with its reason in why. */
int roost_vm_attach(roost_vm *vm, roost_runner *runner, roost_buffer *why);

/* Ends every task at once and detaches its links, so that another thread may close the state. */
void roost_vm_detach(roost_vm *vm);

/* The vm a coroutine belongs to. */
roost_vm *roost_vm_of(struct lua_State *lua);

/* Whether a coroutine is suspended in a wait of the host's: only the host may resume it. Kept in
 * the coroutine itself, beside the pointer to its vm. */
bool roost_vm_waits(struct lua_State *lua);
void roost_vm_set_waits(struct lua_State *lua, bool waits);

/* Whether it is dead. Kept there, too. */
bool roost_vm_dead(struct lua_State *lua);
void roost_vm_set_dead(struct lua_State *lua, bool dead);

/* lua_pcall without results of what lies on the main state's stack, as a frame of its runner.
 * handler: as lua_pcall's msgh. Returns its status; the error on top is the LimitError where the
 * code was ended, or ran out of memory. Within a run of others, that run goes on for a moment. */
int roost_vm_call(roost_vm *vm, int arguments, int handler);

/* The same as a run of its own even where Lua is running, which is also over after wall_ms by the
 * clock on the wall; 0: no such limit. For main chunks. */
int roost_vm_load(roost_vm *vm, int arguments, int handler, uint64_t wall_ms);

/* Sets the collector's parameters for the memory held now. */
void roost_vm_tune(roost_vm *vm);

/* To be called after a run where vm->refused: finds out whether the vm is exhausted. Not from
 * inside it. */
void roost_vm_check_memory(roost_vm *vm);

/* Lets tasks and timers that were made so far start. */
void roost_vm_go_live(roost_vm *vm);

/* Resumes every task that is ready now, or as many as can be begun within most_us; those that
 * become ready meanwhile are for the next call. Returns whether there are some. To be called in
 * each turn of the loop; not from inside Lua. */
bool roost_runner_turn(roost_runner *runner, uint64_t most_us);

/* Opens Lua's own libraries but for what a service must not have (os.exit, debug.sethook,
 * debug.setmetatable, debug.getregistry, reading stdin), with our coroutine table, pcall, xpcall
 * and setmetatable. Raises. */
void roost_vm_open_libraries(struct lua_State *lua);

#endif
