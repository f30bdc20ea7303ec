#include "service/generation.h"

#include "service/dispatch.h"

#define LAST_ERROR_BYTES 500

/* ------------------------------------------------------------------------- services ---------- */

int roost_service_new(roost_service **out, roost_dispatch *dispatch, const char *name,
                      const char *root, const char *path) {
  const roost_alloc *alloc = dispatch->config.alloc;
  roost_service *service = roost_alloc_get(alloc, sizeof *service);
  *out = service;
  if (service == NULL)
    return ROOST_ENOMEM;
  service->dispatch = dispatch;
  service->name = roost_alloc_text(alloc, roost_slice_text(name));
  char *own_root = roost_alloc_text(alloc, roost_slice_text(root));
  char *own_path = roost_alloc_text(alloc, roost_slice_text(path));
  roost_buffer_init(&service->last_error, alloc);
  service->source = (roost_source){own_root, own_path, service->name};
  if (service->name != NULL && own_root != NULL && own_path != NULL)
    return 0;
  roost_service_free(service);
  *out = NULL;
  return ROOST_ENOMEM;
}

static void generation_free(roost_generation *generation);

void roost_service_free(roost_service *service) {
  if (service == NULL)
    return;
  const roost_alloc *alloc = service->dispatch->config.alloc;
  if (service->current != NULL)
    generation_free(service->current);
  roost_buffer_deinit(&service->last_error);
  roost_alloc_put_text(alloc, (char *)service->source.root);
  roost_alloc_put_text(alloc, (char *)service->source.path);
  roost_alloc_put_text(alloc, service->name);
  roost_alloc_put(alloc, service, sizeof *service);
}

void roost_service_set_error(roost_service *service, roost_slice error) {
  if (error.len > LAST_ERROR_BYTES)
    error.len = LAST_ERROR_BYTES;
  roost_buffer_clear(&service->last_error);
  (void)roost_buffer_append_slice(&service->last_error, error);
}

/* ------------------------------------------------------------------------- loading ----------- */

/* Calls fn for each task of the generation's; it may end them. */
static void each_task(const roost_generation *generation, void (*fn)(roost_task *task)) {
  roost_vm *vm = generation->vm;
  roost_list *at = vm->tasks.next;
  while (at != &vm->tasks) {
    roost_task *task = ROOST_LIST_ENTRY(at, roost_task, link);
    at = at->next;
    if (!generation->borrows_vm || task->group == generation)
      fn(task);
  }
}

static roost_task *first_task(const roost_generation *generation) {
  const roost_vm *vm = generation->vm;
  for (roost_list *at = vm->tasks.next; at != &vm->tasks; at = at->next) {
    roost_task *task = ROOST_LIST_ENTRY(at, roost_task, link);
    if (!generation->borrows_vm || task->group == generation)
      return task;
  }
  return NULL;
}

static void leave_vm(roost_generation *generation) {
  for (roost_task *task; (task = first_task(generation)) != NULL;)
    roost_task_reset(task);
  generation->dispatch->config.binding->unload(generation);
}

static void generation_free(roost_generation *generation) {
  const roost_alloc *alloc = generation->dispatch->config.alloc;
  generation->on_change = NULL;
  roost_timer_stop(generation->dispatch->config.wheel, &generation->start_timer);
  /* Ending its calls unpins it: hold it until that is over. */
  generation->pins++;
  if (generation->borrows_vm)
    leave_vm(generation);
  else
    roost_vm_close(generation->vm);
  while (!roost_list_empty(&generation->handlers))
    roost_handler_free(alloc, ROOST_LIST_ENTRY(generation->handlers.next, roost_handler, link));
  roost_buffer_deinit(&generation->error);
  roost_alloc_put(alloc, generation, sizeof *generation);
}

static void on_start_timeout(roost_timer *timer);

/* A vm that has become quiet may be what a stopping generation waits for. */
static void on_quiet(roost_vm *vm) {
  roost_generation *generation = vm->owner;
  if (generation->state == ROOST_GENERATION_STOPPING && generation->on_change != NULL)
    generation->on_change(generation->on_change_ud, generation);
}

static int open_vm(roost_generation *generation) {
  const roost_dispatch_config *config = &generation->dispatch->config;
  roost_vm_config vm = {.alloc = config->alloc,
                        .runner = config->runner,
                        .wheel = config->wheel,
                        .memory_limit = config->service_memory,
                        .owner = generation};
  int status = roost_vm_open(&generation->vm, &vm);
  if (status == 0)
    generation->vm->on_quiet = on_quiet;
  return status;
}

static roost_generation *generation_new(roost_service *service) {
  const roost_alloc *alloc = service->dispatch->config.alloc;
  roost_generation *generation = roost_alloc_get(alloc, sizeof *generation);
  if (generation == NULL)
    return NULL;
  generation->service = service;
  generation->dispatch = service->dispatch;
  generation->number = service->generations + 1;
  generation->loaded_us = roost_clock_wall_us(service->dispatch->config.clock);
  generation->pins = 1;
  roost_list_init(&generation->handlers);
  roost_buffer_init(&generation->error, alloc);
  roost_timer_init(&generation->start_timer, on_start_timeout);
  return generation;
}

int roost_generation_load(roost_generation **out, roost_service *service, roost_buffer *error) {
  roost_generation *generation = generation_new(service);
  *out = NULL;
  if (generation == NULL)
    return ROOST_ENOMEM;
  int status = open_vm(generation);
  if (status == 0)
    status = service->dispatch->config.binding->load(generation, error);
  if (status != 0) {
    generation_free(generation);
    return status;
  }
  service->generations++;
  *out = generation;
  return 0;
}

int roost_generation_borrow(roost_generation **out, roost_service *service, roost_vm *vm) {
  roost_generation *generation = generation_new(service);
  *out = generation;
  if (generation == NULL)
    return ROOST_ENOMEM;
  generation->vm = vm;
  generation->borrows_vm = true;
  service->generations++;
  return 0;
}

int roost_generation_start_task(roost_generation *generation, roost_task **out,
                                const roost_task_ops *ops, void *ud, void *context) {
  roost_vm *vm = generation->vm;
  vm->group = generation;
  int status = roost_task_start(out, vm, ops, ud, context);
  vm->group = NULL;
  return status;
}

int roost_generation_add(roost_generation *generation, const roost_handler *handler,
                         roost_slice pattern, const char **why) {
  roost_handler *own;
  int status = roost_handler_new(&own, generation->dispatch->config.alloc, handler, pattern, why);
  if (status != 0)
    return status;
  own->generation = generation;
  roost_list_append(&generation->handlers, &own->link);
  return 0;
}

/* ------------------------------------------------------------------------- hooks ------------- */

/* Nobody is there to be told but the reader of the log. */
static void log_stop_failure(const roost_generation *generation) {
  roost_log_line line;
  roost_log_begin(&line, generation->dispatch->config.log, ROOST_LOG_ERROR,
                  ROOST_SLICE("on_stop failed"));
  roost_log_text(&line, "service", roost_slice_text(generation->service->name));
  roost_log_integer(&line, "worker", 0);
  roost_log_integer(&line, "gen", generation->number);
  roost_log_text(&line, "err", roost_buffer_slice(&generation->error));
  roost_log_end(&line);
}

static void hook_over(roost_generation *generation) {
  roost_timer_stop(generation->dispatch->config.wheel, &generation->start_timer);
  if (generation->state == ROOST_GENERATION_STARTING)
    generation->state = generation->hook_failed ? ROOST_GENERATION_FAILED : ROOST_GENERATION_LOADED;
  if (generation->hook == ROOST_HOOK_STOP && generation->hook_failed)
    log_stop_failure(generation);
  if (generation->on_change != NULL)
    generation->on_change(generation->on_change_ud, generation);
}

static int hook_begin(struct lua_State *lua, void *ud) {
  roost_generation *generation = ud;
  return generation->dispatch->config.binding->begin_hook(lua, generation, generation->hook);
}

static int hook_fail(struct lua_State *lua, void *ud) {
  roost_generation *generation = ud;
  if (generation->hook_failed)
    return -1; /* it took too long, and that is said already */
  generation->hook_failed = true;
  generation->dispatch->config.binding->describe(lua, generation, &generation->error);
  return -1;
}

static void hook_ended(void *ud, bool reset) {
  roost_generation *generation = ud;
  generation->hook_task = NULL;
  if (reset && generation->error.len == 0)
    roost_buffer_append_slice(&generation->error, ROOST_SLICE("ended by force"));
  if (reset)
    generation->hook_failed = true;
  hook_over(generation);
}

static const roost_task_ops hook_ops = {hook_begin, NULL, hook_fail, hook_ended, true};

static void run_hook(roost_generation *generation, roost_hook hook) {
  roost_task *task;
  generation->hook = hook;
  generation->hook_failed = false;
  roost_buffer_clear(&generation->error);
  if (generation->hooks[hook] == 0) {
    hook_over(generation);
    return;
  }
  if (roost_generation_start_task(generation, &task, &hook_ops, generation, NULL) != 0) {
    roost_buffer_append_slice(&generation->error, ROOST_SLICE("out of memory"));
    generation->hook_failed = true;
    hook_over(generation);
  } else if (task != NULL) {
    generation->hook_task = task;
  }
}

static void on_start_timeout(roost_timer *timer) {
  roost_generation *generation = ROOST_LIST_ENTRY(timer, roost_generation, start_timer);
  generation->hook_failed = true;
  roost_buffer_append_slice(&generation->error,
                            ROOST_SLICE("on_start took longer than reload.start_timeout"));
  if (generation->hook_task != NULL)
    roost_task_cancel(generation->hook_task);
}

void roost_generation_start(roost_generation *generation, uint64_t timeout_ms) {
  generation->state = ROOST_GENERATION_STARTING;
  if (timeout_ms != 0 && generation->hooks[ROOST_HOOK_START] != 0)
    roost_timer_start(generation->dispatch->config.wheel, &generation->start_timer, timeout_ms);
  run_hook(generation, ROOST_HOOK_START);
}

void roost_generation_publish(roost_generation *generation) {
  generation->state = ROOST_GENERATION_LIVE;
  generation->service->current = generation;
  roost_vm_go_live(generation->vm);
}

/* ------------------------------------------------------------------------- stopping ---------- */

/* One that was just woken by what it listens to still hears of that. */
static void end_dormant(roost_task *task) {
  if (task->dormant && !(task->background && task->state == ROOST_TASK_READY))
    roost_task_cancel(task);
}

void roost_generation_stop(roost_generation *generation) {
  generation->state = ROOST_GENERATION_STOPPING;
  each_task(generation, end_dormant);
  run_hook(generation, ROOST_HOOK_STOP);
}

bool roost_generation_quiet(const roost_generation *generation) {
  return first_task(generation) == NULL;
}

void roost_generation_cut(roost_generation *generation) {
  generation->state = ROOST_GENERATION_STOPPING;
  each_task(generation, roost_task_cancel);
}

void roost_generation_pin(roost_generation *generation) {
  generation->pins++;
}

void roost_generation_unpin(roost_generation *generation) {
  if (--generation->pins == 0)
    generation_free(generation);
}
