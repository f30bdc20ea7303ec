/*
 * A new configuration on its way to the other workers, and what they still use of older ones.
 */
#include "configuration_internal.h"

typedef struct holding {
  roost_list link; /* in its worker's list */
  version *version;
} holding;

/* What one of the others is to take. */
typedef struct taking {
  roost_errand errand;
  roost_configuration *owner;
  holding *holding;             /* the worker's once it has it; else owned */
  const roost_settings *base;   /* whose servers are the listeners */
  roost_tls_context **contexts; /* of the version's servers; held */
  size_t context_count;
} taking;

static roost_list *holdings_of(const roost_configuration *self, const roost_worker *worker) {
  return &self->holdings[worker->config.number - 1];
}

static void let_go(const roost_configuration *self, holding *held) {
  atomic_fetch_sub(&held->version->holders, 1);
  roost_list_remove(&held->link);
  roost_alloc_put(self->config.alloc, held, sizeof *held);
}

/* ------------------------------------------------------------------------- on another worker - */

void roost_configuration_sweep_other(roost_configuration *self, roost_worker *worker) {
  if (self->holdings == NULL)
    return;
  roost_list *holdings = holdings_of(self, worker);
  roost_dispatch_sweep_clients(worker->dispatch);
  roost_list *at = holdings->next;
  while (at != holdings && at != holdings->prev) {
    holding *held = ROOST_LIST_ENTRY(at, holding, link);
    at = at->next;
    if (!roost_configuration_is_used(worker, held->version->settings))
      let_go(self, held);
  }
}

/* A module that cannot be loaded here though it could on the first worker is looked for again where
 * it is used. */
static void load_serializers(roost_worker *worker, const roost_settings *settings) {
  roost_problems problems;
  roost_problems_init(&problems, worker->config.alloc);
  (void)roost_worker_load_serializers(worker, settings, &problems);
  for (size_t i = 0; i < problems.count; i++)
    roost_log_say(worker->config.log, ROOST_LOG_ERROR, problems.items[i].text);
  roost_problems_deinit(&problems);
}

static void take(roost_errand *errand, roost_worker *worker) {
  taking *self = (taking *)errand;
  const roost_settings *wanted = self->holding->version->settings;
  const roost_settings *base = self->base;
  roost_list_append(holdings_of(self->owner, worker), &self->holding->link);
  self->holding = NULL;
  load_serializers(worker, wanted);
  for (size_t i = 0; i < base->server_count && i < wanted->server_count; i++)
    roost_worker_change_shared(worker, &base->servers[i], &wanted->servers[i], self->contexts[i]);
  roost_worker_apply(worker, wanted);
  roost_configuration_sweep_other(self->owner, worker);
}

/* ------------------------------------------------------------------------- telling them ------ */

static void taking_free(roost_errand *errand) {
  taking *self = (taking *)errand;
  const roost_alloc *alloc = self->owner->config.alloc;
  for (size_t i = 0; i < self->context_count; i++)
    roost_tls_context_release(self->contexts[i]);
  roost_alloc_put(alloc, self->contexts, self->context_count * sizeof(roost_tls_context *));
  if (self->holding != NULL)
    let_go(self->owner, self->holding);
  roost_alloc_put(alloc, self, sizeof *self);
}

/* NULL: memory is short. */
static taking *taking_new(roost_configuration *self, roost_tls_context **contexts) {
  const roost_alloc *alloc = self->config.alloc;
  version *current = ROOST_LIST_ENTRY(self->versions.prev, version, link);
  const size_t count = current->settings->server_count;
  taking *made = roost_alloc_get(alloc, sizeof *made);
  if (made == NULL)
    return NULL;
  made->errand = (roost_errand){.run = take, .free = taking_free};
  roost_list_init(&made->errand.link);
  made->owner = self;
  made->base = ROOST_LIST_ENTRY(self->versions.next, const version, link)->settings;
  made->holding = roost_alloc_get(alloc, sizeof *made->holding);
  if (count > 0)
    made->contexts = roost_alloc_get(alloc, count * sizeof(roost_tls_context *));
  if (made->contexts != NULL)
    made->context_count = count;
  for (size_t i = 0; i < made->context_count; i++)
    made->contexts[i] = roost_tls_context_hold(contexts[i]);
  if (made->holding != NULL) {
    roost_list_init(&made->holding->link);
    made->holding->version = current;
    atomic_fetch_add(&current->holders, 1);
  }
  if (made->holding != NULL && made->context_count == count)
    return made;
  taking_free(&made->errand);
  return NULL;
}

static roost_errand *take_first(roost_list *list) {
  roost_errand *errand = ROOST_LIST_ENTRY(list->next, roost_errand, link);
  roost_list_remove(&errand->link);
  return errand;
}

int roost_configuration_set_workers(roost_configuration *self, roost_workers *workers) {
  const size_t count = roost_workers_count(workers) - 1;
  self->workers = workers;
  if (count == 0)
    return 0;
  self->holdings = roost_alloc_get(self->config.alloc, count * sizeof *self->holdings);
  if (self->holdings == NULL)
    return ROOST_ENOMEM;
  self->holder_count = count;
  for (size_t i = 0; i < count; i++)
    roost_list_init(&self->holdings[i]);
  return 0;
}

int roost_configuration_tell_others(roost_configuration *self, roost_tls_context **contexts) {
  roost_workers *workers = self->workers;
  const size_t count = self->holder_count;
  roost_list made;
  int status = 0;
  roost_list_init(&made);
  for (size_t i = 0; i < count && status == 0; i++) {
    taking *one = taking_new(self, contexts);
    if (one != NULL)
      roost_list_append(&made, &one->errand.link);
    else
      status = ROOST_ENOMEM;
  }
  for (size_t i = 1; !roost_list_empty(&made); i++) {
    roost_errand *errand = take_first(&made);
    if (status == 0)
      roost_workers_send(workers, i, errand);
    else
      taking_free(errand);
  }
  return status;
}

void roost_configuration_free_others(roost_configuration *self) {
  for (size_t i = 0; i < self->holder_count; i++)
    while (!roost_list_empty(&self->holdings[i]))
      let_go(self, ROOST_LIST_ENTRY(self->holdings[i].next, holding, link));
  roost_alloc_put(self->config.alloc, self->holdings, self->holder_count * sizeof *self->holdings);
}
