#include "service/generation.h"

#include "service/dispatch.h"
#include "vm/watchdog.h"

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
  roost_list_init(&service->link);
  service->limits = dispatch->config.service_limits;
  service->name = roost_alloc_text(alloc, roost_slice_text(name));
  char *own_root = roost_alloc_text(alloc, roost_slice_text(root));
  char *own_path = roost_alloc_text(alloc, roost_slice_text(path));
  roost_list_init(&service->routes);
  roost_buffer_init(&service->last_error, alloc);
  roost_files_init(&service->files, alloc);
  roost_reload_init(service);
  service->source = (roost_source){own_root, own_path, service->name};
  if (service->name != NULL && own_root != NULL && own_path != NULL)
    return 0;
  roost_service_free(service);
  *out = NULL;
  return ROOST_ENOMEM;
}

int roost_service_move(roost_service *service, const char *root, const char *path) {
  const roost_alloc *alloc = service->dispatch->config.alloc;
  char *own_root = roost_alloc_text(alloc, roost_slice_text(root));
  char *own_path = roost_alloc_text(alloc, roost_slice_text(path));
  if (own_root == NULL || own_path == NULL) {
    roost_alloc_put_text(alloc, own_root);
    roost_alloc_put_text(alloc, own_path);
    return ROOST_ENOMEM;
  }
  roost_alloc_put_text(alloc, (char *)service->source.root);
  roost_alloc_put_text(alloc, (char *)service->source.path);
  service->source.root = own_root;
  service->source.path = own_path;
  return 0;
}

void roost_service_free(roost_service *service) {
  if (service == NULL)
    return;
  const roost_alloc *alloc = service->dispatch->config.alloc;
  roost_list_remove(&service->link);
  roost_reload_deinit(service);
  roost_generation_free(service->current);
  roost_files_deinit(&service->files);
  roost_stats_forget(service->dispatch, service);
  roost_route_stats_free_all(&service->routes);
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
  if (vm == NULL)
    return;
  roost_list *at = vm->tasks.next;
  while (at != &vm->tasks) {
    roost_task *task = ROOST_LIST_ENTRY(at, roost_task, link);
    at = at->next;
    if (!generation->borrows_vm || task->group == generation)
      fn(task);
  }
}

/* Whether it serves no request, and does not run. */
static bool is_own(const roost_task *task) {
  return task->state != ROOST_TASK_RUNNING && !roost_call_serves(task);
}

static roost_task *first_task(const roost_generation *generation, bool own) {
  const roost_vm *vm = generation->vm;
  if (vm == NULL)
    return NULL;
  for (roost_list *at = vm->tasks.next; at != &vm->tasks; at = at->next) {
    roost_task *task = ROOST_LIST_ENTRY(at, roost_task, link);
    if ((!generation->borrows_vm || task->group == generation) && (!own || is_own(task)))
      return task;
  }
  return NULL;
}

static void leave_vm(roost_generation *generation) {
  for (roost_task *task; (task = first_task(generation, false)) != NULL;)
    roost_task_reset(task);
  generation->dispatch->config.binding->unload(generation);
}

/* The worker's timers and lists. */
static void leave_worker(roost_generation *generation) {
  generation->on_change = NULL;
  roost_list_remove(&generation->link);
  roost_timer_stop(generation->dispatch->config.wheel, &generation->timer);
}

/* All of it but its state. */
static void free_rest(roost_generation *generation) {
  const roost_alloc *alloc = generation->dispatch->config.alloc;
  if (generation->is_retired)
    generation->service->draining--;
  while (!roost_list_empty(&generation->handlers))
    roost_handler_free(alloc, ROOST_LIST_ENTRY(generation->handlers.next, roost_handler, link));
  roost_buffer_deinit(&generation->error);
  roost_buffer_deinit(&generation->handed);
  roost_buffer_deinit(&generation->text);
  roost_alloc_put(alloc, generation, sizeof *generation);
}

void roost_generation_free(roost_generation *generation) {
  if (generation == NULL)
    return;
  leave_worker(generation);
  if (generation->borrows_vm) {
    leave_vm(generation);
  } else if (generation->vm != NULL) {
    generation->vm->runner = generation->dispatch->config.runner; /* it may be just built */
    roost_vm_close(generation->vm);
  }
  free_rest(generation);
}

/* Finalizers may log something of the service, so that it stays until they have run. */
static void close_aside(roost_job *job, roost_runner *runner) {
  roost_generation *generation = ROOST_LIST_ENTRY(job, roost_generation, job);
  generation->vm->runner = runner;
  roost_vm_close(generation->vm);
  generation->vm = NULL;
}

static void on_closed(roost_job *job) {
  roost_generation *generation = ROOST_LIST_ENTRY(job, roost_generation, job);
  roost_dispatch *dispatch = generation->dispatch;
  dispatch->closing--;
  free_rest(generation);
  roost_reload_resume(dispatch);
}

/* Closing a large state takes long: another thread does it, once nothing in it is tied to this one.
 */
void roost_generation_discard(roost_generation *generation) {
  if (generation == NULL || generation->vm == NULL || generation->borrows_vm) {
    roost_generation_free(generation);
    return;
  }
  roost_dispatch *dispatch = generation->dispatch;
  leave_worker(generation);
  roost_vm_detach(generation->vm);
  roost_dispatch_drop_pending(dispatch, generation->vm);
  generation->job.run = close_aside;
  generation->job.done = on_closed;
  dispatch->closing++;
  roost_job_start(&dispatch->config.reaper, &generation->job, dispatch->config.runner);
}

static void on_timer(roost_timer *timer);

/* A vm that has become quiet may be what a stopping generation waits for. */
static void on_quiet(roost_vm *vm) {
  roost_generation *generation = vm->owner;
  if (generation->state == ROOST_GENERATION_STOPPING && generation->on_change != NULL)
    generation->on_change(generation->on_change_ud, generation);
}

/* Nobody waits for what ran there, so only the log tells of it. The reaper's thread, too: the
 * service may be gone by then. */
static void on_overrun(roost_vm *vm, const char *what, const roost_stop *stop) {
  const roost_generation *generation = vm->owner;
  roost_log *log = generation->dispatch->config.log;
  char text[ROOST_STOP_TEXT_BYTES];
  roost_log_line line;
  if (!roost_log_limited(log, ROOST_LOG_KIND_HANDLER))
    return;
  roost_watchdog_describe(stop, text);
  roost_log_begin(&line, log, ROOST_LOG_ERROR, ROOST_SLICE("stopped"));
  roost_log_text(&line, "service", roost_slice_text(vm->name));
  roost_log_integer(&line, "worker", generation->dispatch->config.worker);
  roost_log_integer(&line, "gen", generation->number);
  roost_log_text(&line, "what", roost_slice_text(what));
  roost_log_text(&line, "err", roost_slice_text(text));
  roost_log_end(&line);
}

/* Its timers, and what it has spawned, however many: to cancel each would take a full collection
 * each. What their <close> variables start is left. */
static void end_own_tasks(const roost_generation *generation) {
  size_t most = generation->vm->task_count;
  for (roost_task *task; most > 0 && (task = first_task(generation, true)) != NULL; most--)
    roost_task_reset(task);
}

/* Every further call would pay a full collection: a new state takes its place, with nothing of what
 * this one holds. */
static void on_exhausted(roost_vm *vm) {
  const roost_generation *generation = vm->owner;
  roost_service *service = generation->service;
  roost_log_line line;
  if (generation != service->current || generation->state != ROOST_GENERATION_LIVE)
    return;
  roost_log_begin(&line, generation->dispatch->config.log, ROOST_LOG_WARN,
                  ROOST_SLICE("memory is exhausted, the service is restarted"));
  roost_log_text(&line, "service", roost_slice_text(service->name));
  roost_log_integer(&line, "worker", generation->dispatch->config.worker);
  roost_log_integer(&line, "gen", generation->number);
  roost_log_integer(&line, "bytes", (int64_t)vm->memory_bytes);
  roost_log_end(&line);
  end_own_tasks(generation);
  roost_reload_restart(service);
}

static int open_vm(roost_generation *generation, roost_runner *runner) {
  const roost_dispatch_config *config = &generation->dispatch->config;
  roost_vm_config vm = {.alloc = config->alloc,
                        .runner = runner,
                        .wheel = config->wheel,
                        .memory_limit = generation->limits.memory_bytes,
                        .cpu_limit_ms = generation->limits.cpu_ms,
                        .name = generation->service->name,
                        .owner = generation};
  int status = roost_vm_open(&generation->vm, &vm);
  if (status == ROOST_EFULL) {
    (void)roost_buffer_printf(&generation->error,
                              "LimitError: EMEMORY: not enough memory: the limit is %zu bytes",
                              vm.memory_limit);
    return ROOST_ENOMEM;
  }
  if (status != 0)
    return status;
  generation->vm->on_quiet = on_quiet;
  generation->vm->on_overrun = on_overrun;
  generation->vm->on_exhausted = on_exhausted;
  return 0;
}

int roost_generation_new(roost_generation **out, roost_service *service) {
  const roost_alloc *alloc = service->dispatch->config.alloc;
  roost_generation *generation = roost_alloc_get(alloc, sizeof *generation);
  *out = generation;
  if (generation == NULL)
    return ROOST_ENOMEM;
  generation->service = service;
  generation->dispatch = service->dispatch;
  generation->number = service->generations + 1;
  generation->loaded_us = roost_clock_wall_us(service->dispatch->config.clock);
  generation->limits = service->limits;
  generation->sandbox = service->sandbox;
  generation->load_timeout_ms = service->dispatch->config.start_timeout_ms;
  roost_list_init(&generation->link);
  roost_list_init(&generation->handlers);
  roost_buffer_init(&generation->error, alloc);
  roost_buffer_init(&generation->handed, alloc);
  roost_buffer_init(&generation->text, alloc);
  roost_timer_init(&generation->timer, on_timer);
  return 0;
}

int roost_generation_build(roost_generation *generation, roost_runner *runner) {
  generation->built = open_vm(generation, runner);
  if (generation->built == 0)
    generation->built = generation->dispatch->config.binding->load(generation, &generation->error);
  return generation->built;
}

/* What was read counts for the next look at the files, also where it was of no use. */
static void note_files(roost_generation *generation) {
  if (generation->vm == NULL)
    return;
  roost_files_deinit(&generation->service->files);
  (void)roost_files_copy(&generation->service->files, &generation->vm->files);
}

int roost_generation_attach(roost_generation *generation) {
  note_files(generation);
  int status = generation->built;
  if (status == 0)
    status =
        roost_vm_attach(generation->vm, generation->dispatch->config.runner, &generation->error);
  return status;
}

int roost_generation_load(roost_generation **out, roost_service *service, roost_buffer *error) {
  roost_generation *generation;
  *out = NULL;
  int status = roost_generation_new(&generation, service);
  if (status != 0)
    return status;
  (void)roost_generation_build(generation, service->dispatch->config.runner);
  status = roost_generation_attach(generation);
  if (status != 0) {
    (void)roost_buffer_append_slice(error, roost_buffer_slice(&generation->error));
    roost_generation_free(generation);
    return status;
  }
  *out = generation;
  return 0;
}

int roost_generation_borrow(roost_generation **out, roost_service *service, roost_vm *vm) {
  roost_generation *generation;
  int status = roost_generation_new(&generation, service);
  *out = generation;
  if (status != 0)
    return status;
  generation->vm = vm;
  generation->borrows_vm = true;
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
  const size_t bytes = sizeof *own + 2 * pattern.len; /* of its JSON text, and its route */
  if (bytes > generation->vm->memory_limit - generation->handler_bytes) {
    *why = "the service's handlers take more memory than it may have";
    return ROOST_EINVAL;
  }
  int status = roost_handler_new(&own, generation->dispatch->config.alloc, handler, pattern, why);
  if (status != 0)
    return status;
  own->generation = generation;
  own->ordinal = roost_handler_ordinal(&generation->handlers, own);
  generation->handler_bytes += bytes;
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
  roost_log_integer(&line, "worker", generation->dispatch->config.worker);
  roost_log_integer(&line, "gen", generation->number);
  roost_log_text(&line, "err", roost_buffer_slice(&generation->error));
  roost_log_end(&line);
}

static void hook_over(roost_generation *generation) {
  if (generation->state == ROOST_GENERATION_STARTING) {
    roost_timer_stop(generation->dispatch->config.wheel, &generation->timer);
    generation->state = generation->hook_failed ? ROOST_GENERATION_FAILED : ROOST_GENERATION_LOADED;
  }
  if (generation->hook == ROOST_HOOK_STOP && generation->hook_failed)
    log_stop_failure(generation);
  if (generation->on_change != NULL)
    generation->on_change(generation->on_change_ud, generation);
}

static int hook_begin(struct lua_State *lua, void *ud) {
  roost_generation *generation = ud;
  return generation->dispatch->config.binding->begin_hook(lua, generation, generation->hook);
}

static int hook_finish(struct lua_State *lua, void *ud, int count) {
  roost_generation *generation = ud;
  generation->dispatch->config.binding->finish_hook(lua, generation, generation->hook, count);
  return -1;
}

static int hook_fail(struct lua_State *lua, void *ud) {
  roost_generation *generation = ud;
  if (generation->hook_failed)
    return -1; /* it took too long, and that is said already */
  generation->hook_failed = true;
  generation->dispatch->config.binding->describe(lua, generation, &generation->error);
  return -1;
}

static void note_end(roost_generation *generation, bool reset) {
  generation->hook_task = NULL;
  if (reset && generation->error.len == 0)
    roost_buffer_append_slice(&generation->error, ROOST_SLICE("ended by force"));
  if (reset)
    generation->hook_failed = true;
}

static void hook_ended(void *ud, bool reset) {
  note_end(ud, reset);
  hook_over(ud);
}

static const roost_task_ops hook_ops = {
    .begin = hook_begin, .fail = hook_fail, .ended = hook_ended, .early = true};

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

static void short_hook_ended(void *ud, bool reset) {
  note_end(ud, reset);
}

static const roost_task_ops handoff_ops = {.begin = hook_begin,
                                           .finish = hook_finish,
                                           .fail = hook_fail,
                                           .ended = short_hook_ended,
                                           .early = true,
                                           .no_wait = "on_handoff may not wait"};
static const roost_task_ops adopt_ops = {.begin = hook_begin,
                                         .finish = hook_finish,
                                         .fail = hook_fail,
                                         .ended = short_hook_ended,
                                         .early = true,
                                         .no_wait = "on_adopt may not wait"};

int roost_generation_run_hook(roost_generation *generation, roost_hook hook) {
  const roost_task_ops *ops = hook == ROOST_HOOK_HANDOFF ? &handoff_ops : &adopt_ops;
  generation->hook = hook;
  generation->hook_failed = false;
  roost_buffer_clear(&generation->error);
  if (roost_generation_start_task(generation, NULL, ops, generation, NULL) != 0) {
    (void)roost_buffer_append_slice(&generation->error, ROOST_SLICE("out of memory"));
    return ROOST_ENOMEM;
  }
  return generation->hook_failed ? ROOST_ESCRIPT : 0;
}

static void start_took_too_long(roost_generation *generation) {
  generation->hook_failed = true;
  roost_buffer_append_slice(&generation->error,
                            ROOST_SLICE("on_start took longer than reload.start_timeout"));
  if (generation->hook_task != NULL)
    roost_task_cancel(generation->hook_task);
}

void roost_generation_start(roost_generation *generation, uint64_t timeout_ms) {
  generation->state = ROOST_GENERATION_STARTING;
  if (timeout_ms != 0 && generation->hooks[ROOST_HOOK_START] != 0)
    roost_timer_start(generation->dispatch->config.wheel, &generation->timer, timeout_ms);
  run_hook(generation, ROOST_HOOK_START);
}

void roost_generation_publish(roost_generation *generation) {
  generation->state = ROOST_GENERATION_LIVE;
  generation->service->current = generation;
  generation->service->generations = generation->number;
  if (generation->vm != NULL)
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
  return first_task(generation, false) == NULL;
}

void roost_generation_cut(roost_generation *generation) {
  generation->state = ROOST_GENERATION_STOPPING;
  each_task(generation, roost_task_cancel);
}

static void log_cut(const roost_generation *generation) {
  roost_log_line line;
  roost_log_begin(&line, generation->dispatch->config.log, ROOST_LOG_WARN,
                  ROOST_SLICE("reload.drain_timeout is over: what the old generation still runs "
                              "is cut off"));
  roost_log_text(&line, "service", roost_slice_text(generation->service->name));
  roost_log_integer(&line, "worker", generation->dispatch->config.worker);
  roost_log_integer(&line, "gen", generation->number);
  roost_log_end(&line);
}

/* First all is asked to end, then it is ended. */
static void cut_off(roost_generation *generation) {
  roost_dispatch *dispatch = generation->dispatch;
  if (generation->cut) {
    each_task(generation, roost_task_reset);
    return;
  }
  generation->cut = true;
  log_cut(generation);
  roost_timer_start(dispatch->config.wheel, &generation->timer, ROOST_CUT_GRACE_MS);
  roost_dispatch_cut(dispatch, generation);
  each_task(generation, roost_task_cancel);
}

static void on_timer(roost_timer *timer) {
  roost_generation *generation = ROOST_LIST_ENTRY(timer, roost_generation, timer);
  if (generation->state == ROOST_GENERATION_STARTING)
    start_took_too_long(generation);
  else
    cut_off(generation);
}

void roost_generation_retire(roost_generation *generation) {
  roost_dispatch *dispatch = generation->dispatch;
  roost_list_append(&dispatch->draining, &generation->link);
  generation->is_retired = true;
  generation->service->draining++;
  roost_timer_start(dispatch->config.wheel, &generation->timer, dispatch->config.drain_timeout_ms);
  roost_generation_stop(generation);
}

static bool is_over(const roost_generation *generation) {
  return generation->pins == 0 && generation->hook_task == NULL &&
         roost_generation_quiet(generation);
}

void roost_generation_flush(roost_dispatch *dispatch) {
  roost_list *at = dispatch->draining.next;
  while (at != &dispatch->draining) {
    roost_generation *generation = ROOST_LIST_ENTRY(at, roost_generation, link);
    at = at->next;
    if (is_over(generation))
      roost_generation_discard(generation);
  }
}

void roost_generation_pin(roost_generation *generation) {
  generation->pins++;
}

void roost_generation_unpin(roost_generation *generation) {
  generation->pins--;
}
