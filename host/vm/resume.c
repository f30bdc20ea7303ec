#include "vm/resume.h"

#include <lua.h>

#include "vm/error.h"
#include "vm/watchdog.h"

/* ------------------------------------------------------------------------- frames ------------ */

/* The signal handler of this thread may look at the runner between any two stores; it needs them in
 * the order they stand here. */
static inline void in_order(void) {
  atomic_signal_fence(memory_order_seq_cst);
}

static inline uint64_t sequence_of(const roost_runner *runner) {
  return atomic_load_explicit(&runner->sequence, memory_order_relaxed);
}

static inline void set_sequence(roost_runner *runner, uint64_t sequence) {
  atomic_store_explicit(&runner->sequence, sequence, memory_order_release);
}

static inline void set_limit(roost_runner *runner, uint64_t limit_ms) {
  atomic_store_explicit(&runner->limit_ms, limit_ms, memory_order_relaxed);
}

static inline void set_top(roost_runner *runner, roost_frame *frame) {
  in_order();
  atomic_store_explicit(&runner->top, frame, memory_order_relaxed);
  in_order();
}

static inline void push(roost_frame *frame, roost_vm *vm, lua_State *lua) {
  roost_runner *runner = vm->runner;
  frame->lua = lua;
  frame->vm = vm;
  frame->outer = atomic_load_explicit(&runner->top, memory_order_relaxed);
  frame->first = frame->outer == NULL;
  if (frame->first) {
    set_limit(runner, vm->cpu_limit_ms);
    set_sequence(runner, sequence_of(runner) + 1);
    if (atomic_load_explicit(&runner->asleep, memory_order_relaxed))
      roost_runner_wake(runner);
  }
  set_top(runner, frame);
  if (roost_runner_fired(runner) && lua != NULL)
    roost_watchdog_hook(lua);
}

__attribute__((noinline)) static void pop_fired(const roost_frame *frame) {
  if (frame->lua != NULL)
    roost_watchdog_rest(frame->lua);
  if (frame->first)
    roost_watchdog_conclude(frame);
}

/* Returns whether the run is being ended, or has been ended as this was its first frame. */
static inline bool pop(const roost_frame *frame) {
  roost_runner *runner = frame->vm->runner;
  set_top(runner, frame->outer);
  if (frame->first)
    set_sequence(runner, sequence_of(runner) + 1);
  in_order();
  if (!roost_runner_fired(runner))
    return false;
  pop_fired(frame);
  return true;
}

/* A run within another: that one goes on afterwards, under a number of its own. */
typedef struct inner_run {
  roost_frame frame;
  uint64_t limit_ms; /* of the outer run */
  uint64_t wall_ms;
} inner_run;

static void begin_run(inner_run *run, roost_vm *vm, lua_State *lua, uint64_t wall_ms) {
  roost_runner *runner = vm->runner;
  const bool within = roost_runner_busy(runner);
  run->limit_ms = atomic_load_explicit(&runner->limit_ms, memory_order_relaxed);
  run->wall_ms = atomic_load_explicit(&runner->wall_ms, memory_order_relaxed);
  atomic_store_explicit(&runner->wall_ms, wall_ms, memory_order_relaxed);
  if (within) {
    set_limit(runner, vm->cpu_limit_ms);
    set_sequence(runner, sequence_of(runner) + 2);
    in_order();
  }
  push(&run->frame, vm, lua);
  run->frame.first = true;
  if (lua != NULL)
    roost_watchdog_rest(lua);
}

static bool end_run(inner_run *run) {
  roost_runner *runner = run->frame.vm->runner;
  atomic_store_explicit(&runner->wall_ms, run->wall_ms, memory_order_relaxed);
  const bool within = run->frame.outer != NULL;
  const bool fired = pop(&run->frame);
  if (run->frame.lua != NULL)
    roost_watchdog_rest(run->frame.lua);
  if (within) {
    set_limit(runner, run->limit_ms);
    set_sequence(runner, sequence_of(runner) + 1);
  }
  return fired;
}

/* ------------------------------------------------------------------------- running ----------- */

int roost_resume(lua_State *lua, lua_State *from, int arguments, int *results) {
  roost_frame frame;
  push(&frame, roost_vm_of(lua), lua);
  roost_vm_set_waits(lua, false);
  int status = lua_resume(lua, from, arguments, results);
  if (!pop(&frame) || status == LUA_OK)
    return status;
  roost_vm_set_dead(lua, true);
  return ROOST_RESUME_ENDED;
}

static void tell_overrun(roost_vm *vm, const char *what) {
  if (vm->on_overrun != NULL)
    vm->on_overrun(vm, what, &vm->runner->stop);
}

int roost_reset_thread(roost_vm *vm, lua_State *lua) {
  const int before = lua_status(lua);
  if ((roost_vm_dead(lua) && before != LUA_YIELD) || vm->cut_short)
    return before;
  roost_frame frame;
  push(&frame, vm, lua);
  int status = lua_resetthread(lua);
  if (pop(&frame) && frame.first) {
    vm->cut_short = vm->closing;
    tell_overrun(vm, "<close> variables");
  }
  return status;
}

static int push_limit_error(lua_State *lua) {
  roost_watchdog_push_error(lua, lua_touserdata(lua, 1));
  return 1;
}

/* Puts a LimitError in place of the error on top, where there is memory for one. */
static void name_limit(roost_vm *vm, int status, bool ended) {
  lua_State *lua = vm->lua;
  if (ended) {
    roost_stop stop = vm->runner->stop;
    lua_pushcfunction(lua, push_limit_error);
    lua_pushlightuserdata(lua, &stop);
    (void)lua_pcall(lua, 1, 1, 0);
    lua_remove(lua, -2);
  } else if (status == LUA_ERRMEM) {
    roost_buffer_clear(&vm->trace);
    lua_pop(lua, 1);
    roost_error_push_memory(lua);
  }
}

int roost_vm_call(roost_vm *vm, int arguments, int handler) {
  roost_frame frame;
  push(&frame, vm, vm->lua);
  const int status = lua_pcall(vm->lua, arguments, 0, handler);
  const bool ended = pop(&frame) && (frame.first || vm->runner->noted);
  if (status != LUA_OK)
    name_limit(vm, status, ended);
  if (status != LUA_OK && ended && !frame.first)
    roost_watchdog_absorb(vm->runner);
  if (vm->refused && frame.first)
    roost_vm_check_memory(vm);
  return status;
}

int roost_vm_load(roost_vm *vm, int arguments, int handler, uint64_t wall_ms) {
  inner_run run;
  begin_run(&run, vm, vm->lua, wall_ms);
  const int status = lua_pcall(vm->lua, arguments, 0, handler);
  const bool ended = end_run(&run);
  if (status != LUA_OK)
    name_limit(vm, status, ended);
  vm->refused = false; /* it goes if it failed, and shows soon if it did not */
  return status;
}

void roost_close_state(roost_vm *vm) {
  inner_run run;
  begin_run(&run, vm, NULL, 0);
  lua_close(vm->lua);
  if (end_run(&run))
    tell_overrun(vm, "finalizers");
}
