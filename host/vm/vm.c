#include "vm/vm.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

#include "vm/error.h"
#include "vm/resume.h"
#include "vm/steps.h"
#include "vm/task.h"
#include "vm/value.h"
#include "vm/watchdog.h"

/* From here on pauses matter more than throughput. */
#define LARGE_BYTES ((size_t)4 << 20)

/* In percent of what lives: when the next cycle begins, unless the limit is near. */
#define LARGE_PAUSE 150

/* The bits of a coroutine's extra space that are not its vm's address. */
#define WAITS ((uintptr_t)1)
#define DEAD  ((uintptr_t)2)
#define MARKS (WAITS | DEAD)

__attribute__((noinline)) static void *resize(roost_vm *vm, void *ptr, size_t old_size,
                                              size_t new_size) {
  size_t total = vm->memory_bytes - old_size + new_size;
  if (new_size > old_size && total > vm->memory_limit) {
    vm->refused = true;
    return NULL;
  }
  void *moved = roost_pool_resize(&vm->pool, ptr, old_size, new_size);
  if (moved != NULL || new_size == 0)
    vm->memory_bytes = total;
  else if (new_size > old_size)
    vm->refused = vm->starved = true;
  return moved;
}

/* Small blocks come and go here, everything else by resize. */
static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  roost_vm *vm = ud;
  if (ptr == NULL) {
    if (roost_pool_holds(new_size) && new_size <= vm->memory_limit - vm->memory_bytes) {
      void *block = roost_pool_pop(&vm->pool, new_size);
      if (__builtin_expect(block != NULL, 1)) {
        vm->memory_bytes += new_size;
        return block;
      }
    }
    /* old_size is a type tag. An empty array is asked for with every table. */
    return new_size == 0 ? NULL : resize(vm, NULL, 0, new_size);
  }
  if (new_size != 0 || !roost_pool_holds(old_size))
    return resize(vm, ptr, old_size, new_size);
  roost_pool_push(&vm->pool, ptr, old_size);
  vm->memory_bytes -= old_size;
  return NULL;
}

/* A small state is collected seldom: a cycle costs little, but one every few requests would be most
 * of what a request costs. At four times what lives, garbage still lies in the processor's caches
 * when its memory is used again. A step of Lua's default, 8 KiB allocated, is all of a cycle; one
 * of 512 bytes costs no more in all and holds nobody up. */
static void tune_small(roost_vm *vm) {
  vm->tune_below = 0;
  vm->tune_above = LARGE_BYTES;
  lua_gc(vm->lua, LUA_GCINC, 400, 100, 9);
}

/* A large one is collected in many small steps: while a cycle goes on, a twentieth of what lives
 * may be allocated. It must begin well before the limit is reached, where Lua collects all at once.
 * What lives is known best when a cycle ends, and then memory has just become less: so near the
 * limit the parameters follow it closely. */
static void tune_large(roost_vm *vm) {
  const size_t size = vm->memory_bytes;
  const size_t room = vm->memory_limit - vm->memory_limit / 16;
  const size_t far = room / LARGE_PAUSE * 100;
  size_t pause = LARGE_PAUSE;
  vm->tune_below = LARGE_BYTES / 2;
  vm->tune_above = far;
  if (size > far) {
    pause = size < room ? room / (size / 100) : 100;
    vm->tune_below = size - size / 16;
    vm->tune_above = size + size / 16;
  }
  lua_gc(vm->lua, LUA_GCINC, (int)pause, 24, 9);
}

void roost_vm_tune(roost_vm *vm) {
  const bool was_large = vm->tune_below > 0;
  if (vm->memory_bytes <= (was_large ? LARGE_BYTES / 2 : LARGE_BYTES)) {
    tune_small(vm);
    return;
  }
  tune_large(vm);
  if (!was_large)
    lua_gc(vm->lua, LUA_GCSTEP, 0); /* begins a cycle: what Lua waits for is four times as much */
}

/* A luaL_Buffer makes the class of its boxes when it needs the first one; where memory ends in the
 * middle of that, the class stays half made, and no buffer could ever grow again. */
static void make_box_class(lua_State *lua) {
  luaL_Buffer buffer;
  (void)luaL_buffinitsize(lua, &buffer, 2 * (size_t)LUAL_BUFFERSIZE);
  luaL_pushresultsize(&buffer, 0);
  lua_pop(lua, 1);
}

static int open_marks(lua_State *lua) {
  make_box_class(lua);
  roost_error_open(lua);
  roost_value_open(lua);
  return 0;
}

/* Whether it was the limit, or there was no memory. */
static int why_refused(const roost_vm *vm) {
  return vm->refused && !vm->starved ? ROOST_EFULL : ROOST_ENOMEM;
}

int roost_vm_open(roost_vm **out, const roost_vm_config *config) {
  *out = NULL;
  roost_vm *vm = roost_alloc_get(config->alloc, sizeof *vm);
  if (vm == NULL)
    return ROOST_ENOMEM;
  vm->alloc = config->alloc;
  vm->runner = config->runner;
  vm->wheel = config->wheel;
  vm->owner = config->owner;
  vm->memory_limit = config->memory_limit != 0 ? config->memory_limit : SIZE_MAX;
  vm->steps_left = ROOST_STEPS_PER_POLL;
  vm->cpu_limit_ms = config->cpu_limit_ms;
  if (config->name != NULL)
    snprintf(vm->name, sizeof vm->name, "%s", config->name);
  roost_list_init(&vm->tasks);
  roost_list_init(&vm->idle);
  roost_list_init(&vm->held);
  roost_list_init(&vm->links);
  roost_files_init(&vm->files, vm->alloc);
  roost_buffer_init(&vm->trace, vm->alloc);
  roost_pool_init(&vm->pool, vm->alloc);
  vm->lua = lua_newstate(allocate, vm);
  if (vm->lua == NULL) {
    const int status = why_refused(vm);
    roost_pool_deinit(&vm->pool);
    roost_alloc_put(config->alloc, vm, sizeof *vm);
    return status;
  }
  *(uintptr_t *)lua_getextraspace(vm->lua) = (uintptr_t)vm;
  roost_vm_tune(vm);
  roost_watchdog_rest(vm->lua);
  lua_pushcfunction(vm->lua, open_marks);
  if (lua_pcall(vm->lua, 0, 0, 0) != LUA_OK) {
    const int status = why_refused(vm);
    roost_vm_close(vm);
    return status;
  }
  *out = vm;
  return 0;
}

int roost_vm_attach(roost_vm *vm, roost_runner *runner, roost_buffer *why) {
  int status = 0;
  vm->runner = runner;
  for (roost_list *at = vm->links.next; at != &vm->links && status == 0; at = at->next) {
    roost_vm_link *link = ROOST_LIST_ENTRY(at, roost_vm_link, link);
    status = link->attach(link, why);
  }
  return status;
}

void roost_vm_detach(roost_vm *vm) {
  vm->on_quiet = NULL;
  vm->closing = true;
  while (!roost_list_empty(&vm->tasks))
    roost_task_reset(ROOST_LIST_ENTRY(vm->tasks.next, roost_task, link));
  while (!roost_list_empty(&vm->links)) {
    roost_vm_link *link = ROOST_LIST_ENTRY(vm->links.next, roost_vm_link, link);
    roost_list_remove(&link->link);
    link->detach(link);
  }
}

void roost_vm_close(roost_vm *vm) {
  if (vm == NULL)
    return;
  roost_vm_detach(vm);
  while (!roost_list_empty(&vm->idle)) {
    roost_task *task = ROOST_LIST_ENTRY(vm->idle.next, roost_task, link);
    roost_list_remove(&task->link);
    roost_alloc_put(vm->alloc, task, sizeof *task);
  }
  roost_close_state(vm);
  roost_files_deinit(&vm->files);
  roost_pool_deinit(&vm->pool);
  roost_buffer_deinit(&vm->trace);
  roost_alloc_put(vm->alloc, vm, sizeof *vm);
}

/* The extra space of a coroutine holds the address of its vm; its lowest bits are marks. */
static uintptr_t *extra(lua_State *lua) {
  return (uintptr_t *)lua_getextraspace(lua);
}

static void set_mark(lua_State *lua, uintptr_t mark, bool on) {
  *extra(lua) = (*extra(lua) & ~mark) | (on ? mark : 0);
}

roost_vm *roost_vm_of(lua_State *lua) {
  return (roost_vm *)(*extra(lua) & ~MARKS);
}

bool roost_vm_waits(lua_State *lua) {
  return (*extra(lua) & WAITS) != 0;
}

void roost_vm_set_waits(lua_State *lua, bool waits) {
  set_mark(lua, WAITS, waits);
}

bool roost_vm_dead(lua_State *lua) {
  return (*extra(lua) & DEAD) != 0;
}

void roost_vm_set_dead(lua_State *lua, bool dead) {
  set_mark(lua, DEAD, dead);
}

/* What the failed code held may be garbage by now, which only a collection tells; where the host
 * had no more memory, others wait for it. */
void roost_vm_check_memory(roost_vm *vm) {
  const size_t much = vm->memory_limit / 10 * 9;
  const bool worth_it = vm->memory_bytes > much || vm->starved;
  vm->refused = vm->starved = false;
  if (vm->exhausted || !worth_it)
    return;
  lua_gc(vm->lua, LUA_GCCOLLECT);
  vm->refused = vm->starved = false; /* by finalizers */
  vm->exhausted = vm->memory_bytes > much;
  if (vm->exhausted && vm->on_exhausted != NULL)
    vm->on_exhausted(vm);
}
