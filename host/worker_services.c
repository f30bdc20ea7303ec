/*
 * The services of a worker: loaded at the start, found later, reloaded, taken out.
 */
#include <stdio.h>
#include <string.h>

#include "worker_internal.h"

/* ------------------------------------------------------------------------- loading ----------- */

/* The key that says how much memory a service may have; "" where that is not what it lacks. */
static void name_limit(char *out, size_t size, const roost_worker *worker,
                       const roost_service *service, int status) {
  const roost_service_options *options =
      worker->settings != NULL ? roost_settings_service(worker->settings, service->name) : NULL;
  if (status != ROOST_ENOMEM || worker->settings == NULL)
    *out = '\0';
  else if (options != NULL && options->memory != ROOST_SERVICE_UNSET)
    snprintf(out, size, " (service_options.%.100s.memory)", service->name);
  else
    snprintf(out, size, " (limits.service_memory)");
}

/* Most errors begin with the file they are in; the others are told it. */
static void say_broken(const roost_worker *worker, const roost_service *service, int status,
                       const roost_buffer *error, roost_problems *problems) {
  char limit[160];
  const roost_slice what =
      error->len > 0 ? roost_buffer_slice(error) : ROOST_SLICE("out of memory");
  name_limit(limit, sizeof limit, worker, service, error->len > 0 ? status : 0);
  const char *file = roost_source_chunk_name(&service->source);
  size_t len = strlen(file);
  bool named = what.len > len && memcmp(what.ptr, file, len) == 0;
  roost_problems_add(problems, ROOST_PROBLEM_ERROR, "service %s: %s%s%.*s%s", service->name,
                     named ? "" : file, named ? "" : ": ", (int)what.len, what.ptr, limit);
}

int roost_worker_add_inline(roost_generation **out, roost_worker *worker, const char *name,
                            roost_vm *vm) {
  roost_service *service;
  *out = NULL;
  int status = roost_dispatch_add_service(&service, worker->dispatch, name, "", name);
  if (status == 0)
    status = roost_generation_borrow(out, service, vm);
  if (status == 0)
    roost_worker_take(worker, *out);
  return status;
}

void roost_worker_on_reloaded(void *ud, roost_generation *generation) {
  roost_worker *worker = ud;
  if (generation != NULL)
    roost_worker_take(worker, generation);
  if (worker->config.on_reloaded != NULL)
    worker->config.on_reloaded(worker->config.ud);
}

/* Every service of a file is added here: one that is to be a sandbox never runs without. */
static int add_service(roost_service **out, const roost_worker *worker, const roost_found *found) {
  int status =
      roost_dispatch_add_service(out, worker->dispatch, found->name, found->root, found->path);
  if (status == 0)
    roost_worker_limit_service(worker, *out);
  return status;
}

static int load_one(roost_worker *worker, const roost_found *found, roost_problems *problems) {
  roost_service *service;
  roost_generation *generation;
  roost_buffer error;
  int status = add_service(&service, worker, found);
  if (status != 0)
    return status;
  roost_buffer_init(&error, worker->config.alloc);
  status = roost_generation_load(&generation, service, &error);
  if (status == 0)
    roost_worker_take(worker, generation);
  else
    say_broken(worker, service, status, &error, problems);
  roost_buffer_deinit(&error);
  return status;
}

int roost_worker_load(roost_worker *worker, const roost_found_list *found,
                      roost_problems *problems) {
  int first = 0;
  for (size_t i = 0; i < found->count; i++) {
    int status = load_one(worker, &found->items[i], problems);
    if (first == 0)
      first = status;
  }
  return first;
}

static int load_remote(roost_worker *worker, const roost_found *found, const roost_generation *of) {
  roost_service *service;
  roost_generation *generation;
  int status = add_service(&service, worker, found);
  if (status == 0)
    status = roost_generation_remote(&generation, service, &of->handlers);
  if (status == 0)
    roost_worker_take(worker, generation);
  return status;
}

int roost_worker_load_as(roost_worker *worker, const roost_found_list *found,
                         const roost_worker *first, roost_problems *problems) {
  int status = 0;
  for (size_t i = 0; i < found->count && status == 0; i++) {
    const roost_found *item = &found->items[i];
    const roost_service *there = roost_worker_find_service(first, item->name);
    const roost_generation *of = there != NULL ? there->current : NULL;
    status = of != NULL && of->singleton ? load_remote(worker, item, of)
                                         : load_one(worker, item, problems);
  }
  return status;
}

static const char *owner_of(const roost_handler *handler) {
  return handler->generation ? roost_source_chunk_name(&handler->generation->service->source)
                             : "the embedding program";
}

typedef struct conflicts {
  const roost_worker *worker;
  roost_severity severity;
  roost_problems *problems;
} conflicts;

static void on_conflict(void *ud, const roost_server_config *server, const roost_handler *kept,
                        const roost_handler *replaced) {
  const conflicts *to = ud;
  if (server == &to->worker->local_config) /* what conflicts there does so on a listener, too */
    return;
  roost_problems_add(to->problems, to->severity,
                     "server %s: pattern %.*s has two message handlers, the later wins: %s, "
                     "not %s",
                     server->name, (int)kept->route.len, kept->route.ptr, owner_of(kept),
                     owner_of(replaced));
}

int roost_worker_check_conflicts(roost_worker *worker, roost_severity severity,
                                 roost_problems *problems) {
  conflicts to = {worker, severity, problems};
  return roost_dispatch_rebuild(worker->dispatch, on_conflict, &to);
}

/* ------------------------------------------------------------------------- reloading --------- */

roost_service *roost_worker_find_service(const roost_worker *worker, const char *name) {
  for (size_t i = 0; i < worker->dispatch->service_count; i++)
    if (strcmp(worker->dispatch->services[i]->name, name) == 0)
      return worker->dispatch->services[i];
  return NULL;
}

int roost_worker_reload(roost_worker *worker, const char *name, roost_reload_waiter *waiter) {
  roost_service *service = roost_worker_find_service(worker, name);
  if (service == NULL)
    return ROOST_ENOENT;
  if (worker->state != ROOST_WORKER_RUNNING)
    return ROOST_ESTATE;
  roost_reload_start(service, waiter);
  return 0;
}

/* Those behind it move up. */
static void move_to_the_end(roost_dispatch *dispatch, const roost_service *service) {
  size_t at = 0;
  while (dispatch->services[at] != service)
    at++;
  for (; at + 1 < dispatch->service_count; at++) {
    roost_service *next = dispatch->services[at + 1];
    dispatch->services[at + 1] = dispatch->services[at];
    dispatch->services[at] = next;
  }
}

int roost_worker_take_found(roost_worker *worker, const roost_found_list *found) {
  for (size_t i = 0; i < found->count; i++) {
    roost_service *service = roost_worker_find_service(worker, found->items[i].name);
    const int status = service == NULL ? add_service(&service, worker, &found->items[i]) : 0;
    if (status != 0)
      return status;
    move_to_the_end(worker->dispatch, service);
  }
  return 0;
}

void roost_worker_remove(roost_worker *worker, const char *name) {
  roost_service *service = roost_worker_find_service(worker, name);
  if (service == NULL)
    return;
  if (roost_reload_is_idle(&service->reload))
    roost_dispatch_remove_service(worker->dispatch, service);
  else if (worker->config.number > 0)
    service->reload.unwanted = true;
}
