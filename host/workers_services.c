/*
 * What the other workers of a host are told about services: which there are, and which are not any
 * more.
 */
#include "core/slice.h"
#include "workers.h"

typedef struct order {
  roost_errand errand;
  roost_found_list found;
  char *removed; /* NULL: found counts */
} order;

static void order_free(roost_errand *errand) {
  order *self = (order *)errand;
  const roost_alloc *alloc = self->found.alloc;
  roost_found_deinit(&self->found);
  roost_alloc_put_text(alloc, self->removed);
  roost_alloc_put(alloc, self, sizeof *self);
}

/* A service that memory is too short for is missed by its next reload, which says so. */
static void carry_out(roost_errand *errand, roost_worker *worker) {
  const order *self = (const order *)errand;
  if (worker->state != ROOST_WORKER_RUNNING)
    return;
  if (self->removed != NULL)
    roost_worker_remove(worker, self->removed);
  else
    (void)roost_worker_take_found(worker, &self->found);
}

/* One with a copy of what is not NULL; NULL: memory is short. */
static order *order_new(const roost_alloc *alloc, const roost_found_list *found,
                        const char *removed) {
  order *self = roost_alloc_get(alloc, sizeof *self);
  if (self == NULL)
    return NULL;
  self->errand = (roost_errand){.run = carry_out, .free = order_free};
  roost_list_init(&self->errand.link);
  roost_found_init(&self->found, alloc);
  if (removed != NULL)
    self->removed = roost_alloc_text(alloc, roost_slice_text(removed));
  if ((removed != NULL && self->removed == NULL) ||
      (found != NULL && roost_found_copy(&self->found, found) != 0)) {
    order_free(&self->errand);
    return NULL;
  }
  return self;
}

int roost_workers_take_found(roost_workers *workers, const roost_found_list *found) {
  const roost_alloc *alloc = roost_workers_get(workers, 0)->config.alloc;
  for (size_t i = 1; i < roost_workers_count(workers); i++) {
    order *one = order_new(alloc, found, NULL);
    if (one == NULL)
      return ROOST_ENOMEM;
    roost_workers_send(workers, i, &one->errand);
  }
  return 0;
}

static void send_all(roost_workers *workers, roost_list *orders) {
  for (size_t i = 1; !roost_list_empty(orders); i++) {
    roost_errand *errand = ROOST_LIST_ENTRY(orders->next, roost_errand, link);
    roost_list_remove(&errand->link);
    roost_workers_send(workers, i, errand);
  }
}

int roost_workers_remove(roost_workers *workers, const char *name) {
  const roost_alloc *alloc = roost_workers_get(workers, 0)->config.alloc;
  roost_list orders;
  roost_list_init(&orders);
  for (size_t i = 1; i < roost_workers_count(workers); i++) {
    order *one = order_new(alloc, NULL, name);
    if (one == NULL) {
      while (!roost_list_empty(&orders)) {
        roost_errand *errand = ROOST_LIST_ENTRY(orders.next, roost_errand, link);
        roost_list_remove(&errand->link);
        order_free(errand);
      }
      return ROOST_ENOMEM;
    }
    roost_list_append(&orders, &one->errand.link);
  }
  send_all(workers, &orders);
  roost_worker_remove(roost_workers_get(workers, 0), name);
  return 0;
}
