#include "vm/task.h"

#include <lauxlib.h>
#include <lua.h>

#include "core/clock.h"
#include "vm/error.h"
#include "vm/protect.h"
#include "vm/resume.h"
#include "vm/watchdog.h"

/* Coroutines kept for reuse: a fresh one costs more than the rest of a small request. */
#define IDLE_MAX      256
#define REAP_AFTER_MS 1000
#define ENDED_AT_ONCE 100 /* waits of a cancelled task; each later one takes a millisecond */

/* ------------------------------------------------------------------------- trampoline -------- */

static int entry_after(lua_State *lua, int status, lua_KContext context);

static int body_after(lua_State *lua, int status, lua_KContext context);

/* What was called has returned: its results lie above the message handler at index 1. Calls what
 * finish makes of them; LUA_OK where that is nothing, else the error lies there. */
static int finish_body(lua_State *lua, roost_task *task) {
  for (;;) {
    int count = lua_gettop(lua) - 1;
    int arguments = task->ops->finish ? task->ops->finish(lua, task->ud, count) : -1;
    if (arguments < 0)
      return LUA_OK;
    while (lua_gettop(lua) > arguments + 2)
      lua_remove(lua, 2);
    int status = lua_pcallk(lua, arguments, LUA_MULTRET, 1, 0, body_after);
    if (status != LUA_OK)
      return status;
  }
}

/* What was called is over, after a wait. */
static int body_after(lua_State *lua, int status, lua_KContext context) {
  if (status == LUA_YIELD)
    status = finish_body(lua, roost_vm_of(lua)->current);
  return status == LUA_OK ? 0 : entry_after(lua, status, context);
}

/* Has the task, which is over without having waited, be another one, whose run begins here. */
static bool go_on(lua_State *lua, roost_task *task) {
  roost_vm *vm = task->vm;
  if (task->ops->next == NULL || task->cancelled || vm->refused)
    return false;
  roost_runner_next(vm->runner); /* first: from here on nobody ends this run for the last one */
  if (roost_vm_ending(lua))
    return false;
  int status = task->ops->next(&task->ud);
  task->told = status < 0;
  task->context = task->ud;
  lua_settop(lua, 1);
  return status > 0;
}

/* The coroutine's outermost function. begin and finish need no pcall of their own: what they raise
 * ends the coroutine, and resume below has it see to that (recover). */
static int entry(lua_State *lua) {
  roost_task *task = roost_vm_of(lua)->current;
  lua_pushcfunction(lua, roost_error_traceback);
  int status;
  do {
    int arguments = task->ops->begin(lua, task->ud);
    status = lua_pcallk(lua, arguments, LUA_MULTRET, 1, 0, body_after);
    if (status == LUA_OK)
      status = finish_body(lua, task);
  } while (status == LUA_OK && go_on(lua, task));
  return status == LUA_OK ? 0 : entry_after(lua, status, 0);
}

static int call_fail(lua_State *lua) {
  roost_task *task = roost_vm_of(lua)->current;
  return task->ops->fail(lua, task->ud) + 1;
}

/* The message handler is at index 1, on top of it the error. */
static int entry_after(lua_State *lua, int status, lua_KContext context) {
  roost_vm *vm = roost_vm_of(lua);
  while (status != LUA_OK && status != LUA_YIELD) {
    if (roost_vm_ending(lua))
      return roost_vm_end(lua);
    /* The message handler isn't called for a memory error. */
    if (status == LUA_ERRMEM) {
      roost_buffer_clear(&vm->trace);
      lua_pop(lua, 1);
      roost_error_push_memory(lua);
    }
    if (vm->current->ops->fail == NULL)
      return 0;
    lua_pushcfunction(lua, call_fail);
    lua_insert(lua, -2);
    if (lua_pcall(lua, 1, LUA_MULTRET, 0) != LUA_OK) {
      vm->current->reset = true;
      return 0;
    }
    int pushed = lua_gettop(lua) - 1;
    if (pushed == 0)
      return 0;
    status = lua_pcallk(lua, pushed - 1, 0, 1, context, entry_after);
  }
  return 0;
}

/* Has fail see to what begin or finish raised, which is the argument. No Lua was running, so that
 * there is no trace but one that a rethrown error brings along. */
static int recover(lua_State *lua) {
  roost_error_traceback(lua);
  lua_pushcfunction(lua, roost_error_traceback);
  lua_insert(lua, 1);
  return entry_after(lua, LUA_ERRRUN, 0);
}

/* Has fail see to the LimitError of a run that was ended; the argument is its roost_stop. The
 * traceback is written already. */
static int recover_ended(lua_State *lua) {
  const roost_stop *stop = lua_touserdata(lua, 1);
  lua_settop(lua, 0);
  lua_pushcfunction(lua, roost_error_traceback);
  roost_watchdog_push_error(lua, stop);
  return entry_after(lua, LUA_ERRRUN, 0);
}

/* ------------------------------------------------------------------------- pool -------------- */

/* Takes a task out of existence; its coroutine is the collector's. */
static void discard(roost_task *task) {
  luaL_unref(task->vm->lua, LUA_REGISTRYINDEX, task->anchor);
  roost_alloc_put(task->vm->alloc, task, sizeof *task);
}

static int make_coroutine(lua_State *lua) {
  roost_task *task = lua_touserdata(lua, 1);
  task->lua = lua_newthread(lua);
  task->anchor = luaL_ref(lua, LUA_REGISTRYINDEX);
  return 0;
}

static void on_wait_over(roost_timer *timer);
static void on_reap(roost_timer *timer);

static roost_task *task_new(roost_vm *vm) {
  roost_task *task = roost_alloc_get(vm->alloc, sizeof *task);
  if (task == NULL)
    return NULL;
  task->vm = vm;
  task->anchor = LUA_NOREF;
  roost_list_init(&task->link);
  roost_list_init(&task->queue);
  roost_timer_init(&task->timer, on_wait_over);
  roost_timer_init(&task->reaper, on_reap);
  bool made = false;
  if (lua_checkstack(vm->lua, 2)) {
    lua_pushcfunction(vm->lua, make_coroutine);
    lua_pushlightuserdata(vm->lua, task);
    made = lua_pcall(vm->lua, 1, 0, 0) == LUA_OK;
    if (!made)
      lua_pop(vm->lua, 1);
  }
  if (!made) {
    roost_alloc_put(vm->alloc, task, sizeof *task);
    return NULL;
  }
  return task;
}

static roost_task *task_take(roost_vm *vm) {
  if (roost_list_empty(&vm->idle))
    return task_new(vm);
  roost_task *task = ROOST_LIST_ENTRY(vm->idle.next, roost_task, link);
  roost_list_remove(&task->link);
  vm->idle_count--;
  return task;
}

/* The task is over. clean: its coroutine, whose stack is empty, may be used again. */
static void end(roost_task *task, bool clean) {
  roost_vm *vm = task->vm;
  if (roost_timer_running(&task->timer))
    roost_timer_stop(vm->wheel, &task->timer);
  if (roost_timer_running(&task->reaper))
    roost_timer_stop(vm->wheel, &task->reaper);
  roost_list_remove(&task->link);
  roost_list_remove(&task->queue);
  vm->task_count--;
  task->state = ROOST_TASK_IDLE;
  if (!task->told)
    task->ops->ended(task->ud, task->reset);
  if (clean && vm->idle_count < IDLE_MAX) {
    roost_list_prepend(&vm->idle, &task->link);
    vm->idle_count++;
  } else {
    discard(task);
  }
  if (vm->task_count == 0 && vm->on_quiet)
    vm->on_quiet(vm);
}

/* ------------------------------------------------------------------------- running ----------- */

static void reset_coroutines(roost_vm *vm, lua_State *lua);

/* The run of a task was ended: its <close> variables run, within a budget of their own, then fail
 * sees to it, within another. Not twice without a wait in between: returns an error where that was
 * ended, too, or where the coroutine cannot be used any more. */
static int take_over(roost_task *task, int *results) {
  roost_vm *vm = task->vm;
  roost_stop stop = vm->runner->stop;
  roost_buffer trace = vm->trace;
  roost_buffer_init(&vm->trace, vm->alloc);
  if (roost_timer_running(&task->timer)) /* it had begun to wait */
    roost_timer_stop(vm->wheel, &task->timer);
  roost_list_remove(&task->queue);
  task->waiting = false;
  vm->current = NULL;
  reset_coroutines(vm, task->lua);
  vm->current = task;
  roost_buffer_deinit(&vm->trace);
  vm->trace = trace;
  const bool again = task->overran;
  task->overran = task->spoilt = true;
  if (again || lua_status(task->lua) != LUA_OK)
    return LUA_ERRRUN;
  roost_vm_set_dead(task->lua, false);
  task->state = ROOST_TASK_RUNNING;
  lua_settop(task->lua, 0);
  lua_pushcfunction(task->lua, recover_ended);
  lua_pushlightuserdata(task->lua, &stop);
  return roost_resume(task->lua, NULL, 1, results);
}

/* Whoever shares out the thread's time is told whose it is from now on. */
static void switch_to(roost_vm *vm) {
  roost_runner *runner = vm->runner;
  runner->last = vm;
  if (runner->on_switch != NULL)
    runner->on_switch(runner->on_switch_ud, vm->owner);
}

/* Returns whether the task lives on. */
static bool resume(roost_task *task) {
  roost_vm *vm = task->vm;
  roost_task *outer = vm->current;
  int results;
  if (!task->begun) {
    task->begun = true;
    lua_pushcfunction(task->lua, entry);
  }
  if (vm->runner->last != vm)
    switch_to(vm);
  vm->current = task;
  task->state = ROOST_TASK_RUNNING;
  task->waiting = false;
  int status = roost_resume(task->lua, NULL, 0, &results);
  if (status == ROOST_RESUME_ENDED) {
    status = take_over(task, &results);
  } else if (status != LUA_OK && status != LUA_YIELD) {
    roost_reset_thread(vm, task->lua);
    lua_pushcfunction(task->lua, recover);
    lua_insert(task->lua, 1);
    status = roost_resume(task->lua, NULL, 1, &results);
  }
  vm->current = outer;
  if (vm->refused)
    roost_vm_check_memory(vm);
  if (vm->memory_bytes > vm->tune_above || vm->memory_bytes < vm->tune_below)
    roost_vm_tune(vm);
  if (status == LUA_YIELD && task->waiting) {
    lua_pop(task->lua, results);
    roost_vm_set_waits(task->lua, true);
    task->overran = false;
    if (task->state == ROOST_TASK_RUNNING) /* else it is ready again already */
      task->state = ROOST_TASK_WAITING;
    return true;
  }
  if (status != LUA_OK) {
    task->reset = true;
    reset_coroutines(vm, task->lua);
  }
  end(task, status == LUA_OK && !task->spoilt);
  return false;
}

static void make_ready(roost_task *task) {
  task->state = ROOST_TASK_READY;
  roost_list_remove(&task->queue);
  roost_list_append(&task->vm->runner->ready, &task->queue);
}

int roost_task_start(roost_task **out, roost_vm *vm, const roost_task_ops *ops, void *ud,
                     void *context) {
  if (out)
    *out = NULL;
  if (vm->closing)
    return ROOST_ESTATE;
  roost_task *task = task_take(vm);
  if (out)
    *out = task;
  if (task == NULL)
    return ROOST_ENOMEM;
  task->ops = ops;
  task->ud = ud;
  task->context = context;
  task->group = vm->group != NULL || vm->current == NULL ? vm->group : vm->current->group;
  task->interrupt = NULL;
  task->begun = task->cancelled = task->unwinding = task->reset = false;
  task->told = false;
  task->waits_ended = 0;
  task->dormant = task->background = task->overran = task->spoilt = false;
  roost_list_append(&vm->tasks, &task->link);
  vm->task_count++;
  if (!vm->live && !ops->early) {
    task->state = ROOST_TASK_HELD;
    roost_list_append(&vm->held, &task->queue);
  } else if (roost_runner_busy(vm->runner)) {
    make_ready(task);
  } else if (!resume(task) && out) {
    *out = NULL;
  }
  return 0;
}

bool roost_runner_turn(roost_runner *runner, uint64_t most_us) {
  if (roost_list_empty(&runner->ready)) /* as in most turns, each of which asks twice */
    return false;
  const uint64_t begun_us = roost_clock_real_us();
  roost_list batch;
  roost_list_init(&batch);
  roost_list_move(&batch, &runner->ready);
  while (!roost_list_empty(&batch)) {
    roost_task *task = ROOST_LIST_ENTRY(batch.next, roost_task, queue);
    roost_list_remove(&task->queue);
    resume(task);
    if (!roost_list_empty(&batch) && roost_clock_real_us() - begun_us > most_us)
      break;
  }
  roost_list_move(&batch, &runner->ready); /* in their order: those that are left first */
  roost_list_move(&runner->ready, &batch);
  return !roost_list_empty(&runner->ready);
}

void roost_vm_go_live(roost_vm *vm) {
  vm->live = true;
  while (!roost_list_empty(&vm->held)) {
    roost_task *task = ROOST_LIST_ENTRY(vm->held.next, roost_task, queue);
    roost_list_remove(&task->queue);
    make_ready(task);
  }
}

/* ------------------------------------------------------------------------- waiting ----------- */

void roost_task_wake(roost_task *task) {
  if (task->state != ROOST_TASK_WAITING)
    return;
  roost_timer_stop(task->vm->wheel, &task->timer);
  make_ready(task);
}

static void on_wait_over(roost_timer *timer) {
  roost_task_wake(ROOST_LIST_ENTRY(timer, roost_task, timer));
}

roost_task *roost_task_current(lua_State *lua) {
  return roost_vm_of(lua)->current;
}

static int raise_cancelled(lua_State *lua, roost_task *task) {
  task->unwinding = true;
  return roost_error_raise(lua, "CancelledError", "ECANCELED", "The task was cancelled");
}

static bool is_ending(const roost_task *task) {
  return (task->cancelled && !task->unwinding) || task->interrupt != NULL;
}

/* Out of a wait of a task that is_ending. */
static int raise_end(lua_State *lua, roost_task *task) {
  if (task->cancelled && !task->unwinding)
    return raise_cancelled(lua, task);
  return roost_error_raise(lua, "TimeoutError", "ETIMEDOUT", task->interrupt);
}

/* A wait has to unwind every resume between here and the runner's turn. */
static bool may_yield(const roost_runner *runner) {
  const roost_frame *frame = atomic_load_explicit(&runner->top, memory_order_relaxed);
  for (; frame != NULL; frame = frame->outer)
    if (frame->lua == NULL || !lua_isyieldable(frame->lua))
      return false;
  return true;
}

void roost_task_check_begun(lua_State *lua) {
  const roost_vm *vm = roost_vm_of(lua);
  if (vm->current == NULL)
    roost_error_raise_text(lua, vm->live ? "cannot wait here: the task is being ended"
                                         : "not before on_start: a main chunk may not wait");
}

/* The running task; raises where it may not wait. */
static roost_task *check_may_wait(lua_State *lua) {
  roost_vm *vm = roost_vm_of(lua);
  roost_task *task = vm->current;
  roost_task_check_begun(lua);
  if (task->ops->no_wait != NULL)
    roost_error_raise_text(lua, "%s", task->ops->no_wait);
  else if (lua_isyieldable(lua) && may_yield(vm->runner))
    return task;
  else if (is_ending(task))
    raise_end(lua, task);
  else
    roost_error_raise_text(
        lua, "cannot wait here: a C function that calls back (table.sort, string.gsub, "
             "...) is in between");
  return task;
}

/* A wait of a cancelled task raises in the loop's next turn: one that catches the error and waits
 * again does not keep the loop from going on, nor from resetting it in the end. One that does so
 * for ever is slowed down: it would keep the loop busy, and a clock that moves only where nothing
 * is left to run would never come to the time of the reset. */
static int yield(lua_State *lua, roost_task *task, intptr_t context,
                 int (*k)(lua_State *lua, int status, intptr_t context)) {
  if (is_ending(task)) {
    if (task->cancelled && task->waits_ended++ >= ENDED_AT_ONCE)
      roost_timer_start(task->vm->wheel, &task->timer, 1);
    else
      make_ready(task);
  }
  task->waiting = true;
  return lua_yieldk(lua, 0, context, k);
}

int roost_task_wait(lua_State *lua, uint64_t ms, intptr_t context,
                    int (*k)(lua_State *lua, int status, intptr_t context)) {
  roost_task *task = check_may_wait(lua);
  if (ms != UINT64_MAX && !is_ending(task))
    roost_timer_start(task->vm->wheel, &task->timer, ms);
  return yield(lua, task, context, k);
}

int roost_task_wait_in_for(lua_State *lua, roost_list *waiters, uint64_t ms, intptr_t context,
                           int (*k)(lua_State *lua, int status, intptr_t context)) {
  roost_task *task = check_may_wait(lua);
  if (!is_ending(task)) {
    roost_list_append(waiters, &task->queue);
    if (ms != UINT64_MAX)
      roost_timer_start(task->vm->wheel, &task->timer, ms);
  }
  return yield(lua, task, context, k);
}

int roost_task_wait_in(lua_State *lua, roost_list *waiters, intptr_t context,
                       int (*k)(lua_State *lua, int status, intptr_t context)) {
  return roost_task_wait_in_for(lua, waiters, UINT64_MAX, context, k);
}

void roost_task_check_may_wait(lua_State *lua) {
  (void)check_may_wait(lua);
}

void roost_task_wake_all(roost_list *waiters) {
  roost_list batch;
  roost_list_init(&batch);
  roost_list_move(&batch, waiters);
  while (!roost_list_empty(&batch)) {
    roost_task *task = ROOST_LIST_ENTRY(batch.next, roost_task, queue);
    roost_list_remove(&task->queue);
    roost_task_wake(task);
  }
}

void roost_task_resumed(lua_State *lua) {
  roost_task *task = roost_vm_of(lua)->current;
  if (is_ending(task))
    raise_end(lua, task);
}

/* ------------------------------------------------------------------------- ending ------------ */

void roost_task_cancel(roost_task *task) {
  if (task->cancelled || task->state == ROOST_TASK_IDLE)
    return;
  task->cancelled = true;
  if (!task->begun) {
    task->reset = true;
    end(task, true);
    return;
  }
  roost_timer_start(task->vm->wheel, &task->reaper, REAP_AFTER_MS);
  roost_task_wake(task);
}

void roost_task_interrupt(roost_task *task, const char *why) {
  task->interrupt = why;
  if (why != NULL)
    roost_task_wake(task);
}

static void on_reap(roost_timer *timer) {
  roost_task_reset(ROOST_LIST_ENTRY(timer, roost_task, reaper));
}

/* The user's coroutines it waits in first, so that their <close> variables run as well. */
static void reset_coroutines(roost_vm *vm, lua_State *lua) {
  lua_State *inner = roost_coroutine_inner(lua);
  if (inner != NULL) {
    reset_coroutines(vm, inner);
    roost_vm_set_waits(inner, false);
  }
  roost_reset_thread(vm, lua);
}

void roost_task_reset(roost_task *task) {
  bool begun = task->begun;
  task->reset = true;
  if (begun) {
    roost_task *outer = task->vm->current;
    task->vm->current = NULL; /* <close> handlers run, but may not wait */
    reset_coroutines(task->vm, task->lua);
    task->vm->current = outer;
  }
  end(task, !begun);
}
