#include "vm/watchdog.h"

#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "vm/error.h"
#include "vm/vm.h"

#define INSTRUCTIONS_PER_LOOK 10000 /* at the clock, where hooks count */
#define TRACE_BYTES_MAX       4096  /* of the coroutines inside; the next may exceed it */

/* What is raised where the code cannot yield: the address says what it is. */
static const char end_mark;

/* ------------------------------------------------------------------------- ending ------------ */

static void measure(roost_runner *runner) {
  const uint64_t base_us = atomic_load_explicit(&runner->end_base_us, memory_order_relaxed);
  const uint64_t now_us = roost_runner_cpu_us();
  runner->stop =
      (roost_stop){.by_wall = atomic_load_explicit(&runner->end_by_wall, memory_order_relaxed),
                   .spent_ms = now_us > base_us ? (now_us - base_us) / 1000 : 0,
                   .limit_ms = atomic_load_explicit(&runner->limit_ms, memory_order_relaxed)};
  runner->noted = true;
}

static const roost_frame *next_of_run(const roost_frame *frame) {
  return frame == NULL || frame->first ? NULL : frame->outer;
}

/* Remembers how the run is ended and where it was, while its stacks are still there. The traceback
 * is for the vm that the run began in: it is told. */
static void note(roost_runner *runner) {
  const roost_frame *top = atomic_load_explicit(&runner->top, memory_order_relaxed);
  roost_stop *stop = &runner->stop;
  roost_buffer *trace = NULL;
  if (runner->noted)
    return;
  measure(runner);
  for (const roost_frame *at = top; at != NULL; at = next_of_run(at))
    trace = &at->vm->trace;
  if (trace == NULL)
    return;
  roost_buffer_clear(trace);
  for (const roost_frame *at = top; at != NULL && at->lua != NULL; at = next_of_run(at)) {
    if (stop->where[0] == '\0')
      roost_error_where(at->lua, stop->where, sizeof stop->where);
    if (trace->len < TRACE_BYTES_MAX)
      roost_error_write_trace(at->lua, 0, trace);
  }
}

bool roost_vm_ending(lua_State *lua) {
  return roost_runner_fired(roost_vm_of(lua)->runner);
}

int roost_vm_end(lua_State *lua) {
  note(roost_vm_of(lua)->runner);
  if (lua_isyieldable(lua))
    return lua_yield(lua, 0);
  lua_pushlightuserdata(lua, (void *)(uintptr_t)&end_mark);
  return lua_error(lua);
}

/* On a call a hook cannot yield; what was called will, at its first instruction. */
static void on_event(lua_State *lua, lua_Debug *info) {
  if (!roost_vm_ending(lua)) /* a coroutine that was made in a run that ended */
    roost_watchdog_rest(lua);
  else if (info->event == LUA_HOOKCOUNT || !lua_isyieldable(lua))
    roost_vm_end(lua);
}

void roost_watchdog_hook(lua_State *lua) {
  lua_sethook(lua, on_event, LUA_MASKCALL | LUA_MASKCOUNT, 1);
}

void roost_watchdog_fire(roost_runner *runner) {
  atomic_store_explicit(&runner->fired, 1, memory_order_relaxed);
  const roost_frame *frame = atomic_load_explicit(&runner->top, memory_order_relaxed);
  for (; frame != NULL; frame = next_of_run(frame))
    if (frame->lua != NULL)
      roost_watchdog_hook(frame->lua);
}

void roost_watchdog_conclude(const roost_frame *frame) {
  roost_runner *runner = frame->vm->runner;
  if (!runner->noted) { /* it came to its end by itself just then */
    measure(runner);
    roost_buffer_clear(&frame->vm->trace);
  }
  runner->noted = false;
  atomic_store_explicit(&runner->fired, 0, memory_order_relaxed);
}

void roost_watchdog_absorb(roost_runner *runner) {
  runner->noted = false;
  atomic_store_explicit(&runner->fired, 0, memory_order_relaxed);
}

/* ------------------------------------------------------------------------- counting ---------- */

static bool has_limit(const roost_runner *runner) {
  return atomic_load_explicit(&runner->limit_ms, memory_order_relaxed) != 0 ||
         atomic_load_explicit(&runner->wall_ms, memory_order_relaxed) != 0;
}

/* Whether the run is over a limit; it is measured from its first look on. */
static bool is_over(roost_runner *runner) {
  const uint64_t limit_us = atomic_load_explicit(&runner->limit_ms, memory_order_relaxed) * 1000;
  const uint64_t limit_wall_us =
      atomic_load_explicit(&runner->wall_ms, memory_order_relaxed) * 1000;
  const uint64_t sequence = atomic_load_explicit(&runner->sequence, memory_order_relaxed);
  const uint64_t cpu_us = roost_runner_cpu_us();
  const uint64_t now_us = roost_clock_real_us();
  if (runner->counted != sequence) {
    runner->counted = sequence;
    runner->counted_cpu_us = cpu_us;
    runner->counted_wall_us = now_us;
  }
  const bool by_wall = limit_wall_us != 0 && now_us - runner->counted_wall_us >= limit_wall_us;
  if (!by_wall && (limit_us == 0 || cpu_us - runner->counted_cpu_us < limit_us))
    return false;
  atomic_store_explicit(&runner->end_by_wall, by_wall, memory_order_relaxed);
  atomic_store_explicit(&runner->end_base_us, runner->counted_cpu_us, memory_order_relaxed);
  return true;
}

/* Fires where hooks count and the limit is passed. */
static void look(roost_runner *runner) {
  if (!roost_runner_fired(runner) && roost_runner_busy(runner) && has_limit(runner) &&
      is_over(runner))
    roost_watchdog_fire(runner);
}

static void on_count(lua_State *lua, lua_Debug *info) {
  roost_runner *runner = roost_vm_of(lua)->runner;
  (void)info;
  if (!has_limit(runner))
    roost_watchdog_rest(lua);
  look(runner);
  if (roost_runner_fired(runner))
    roost_vm_end(lua);
}

void roost_watchdog_rest(lua_State *lua) {
  const roost_vm *vm = roost_vm_of(lua);
  const roost_runner *runner = vm->runner;
  const bool limited =
      vm->cpu_limit_ms != 0 || atomic_load_explicit(&runner->wall_ms, memory_order_relaxed) != 0;
  if (runner->counts && limited)
    lua_sethook(lua, on_count, LUA_MASKCOUNT, INSTRUCTIONS_PER_LOOK);
  else
    lua_sethook(lua, NULL, 0, 0);
}

void roost_vm_poll(lua_State *lua) {
  const roost_vm *vm = roost_vm_of(lua);
  if (vm == NULL) /* a state that is none of ours */
    return;
  if (vm->runner->counts)
    look(vm->runner);
  if (roost_runner_fired(vm->runner))
    roost_vm_end(lua);
}

/* ------------------------------------------------------------------------- telling ----------- */

void roost_watchdog_describe(const roost_stop *stop, char out[ROOST_STOP_TEXT_BYTES]) {
  const char *colon = stop->where[0] != '\0' ? ": " : "";
  if (stop->by_wall)
    snprintf(out, ROOST_STOP_TEXT_BYTES, "%s%sloading took longer than reload.start_timeout",
             stop->where, colon);
  else
    snprintf(out, ROOST_STOP_TEXT_BYTES,
             "%s%sECPU: stopped after %llu ms of CPU time, the limit is %llu ms", stop->where,
             colon, (unsigned long long)stop->spent_ms, (unsigned long long)stop->limit_ms);
}

void roost_watchdog_push_error(lua_State *lua, const roost_stop *stop) {
  char text[ROOST_STOP_TEXT_BYTES];
  roost_watchdog_describe(stop, text);
  roost_error_push(lua, "LimitError", "ECPU", text);
}
