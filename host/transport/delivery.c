#include "transport/delivery.h"

#define IDLE_MAX 1024

static roost_delivery *of(roost_origin *origin) {
  return (roost_delivery *)origin;
}

/* ------------------------------------------------------------------------- the end ----------- */

static bool settle(roost_delivery *delivery, roost_settlement how) {
  const roost_delivery_ops *ops = delivery->pool->ops;
  if (delivery->settled || ops->settled == NULL)
    return false;
  delivery->settled = true;
  ops->settled(delivery, how);
  return true;
}

static void free_delivery(roost_delivery *delivery) {
  const roost_delivery_pool *pool = delivery->pool;
  pool->ops->deinit(delivery);
  roost_list_remove(&delivery->link);
  roost_alloc_put(pool->alloc, delivery, pool->ops->size);
}

void roost_delivery_give(roost_delivery *delivery) {
  roost_delivery_pool *pool = delivery->pool;
  pool->count--;
  if (pool->idle_count >= IDLE_MAX) {
    free_delivery(delivery);
  } else {
    pool->ops->clear(delivery);
    roost_list_remove(&delivery->link);
    roost_list_prepend(&pool->idle, &delivery->link);
    pool->idle_count++;
  }
  if (pool->ops->eased != NULL)
    pool->ops->eased(pool->ud);
}

/* No call of it is left, and none will start. */
static void end(roost_delivery *delivery, roost_settlement how) {
  (void)settle(delivery, how);
  roost_delivery_give(delivery);
}

static bool runs(const roost_delivery *delivery) {
  return delivery->origin.in_flight + delivery->origin.streams > 0;
}

/* ------------------------------------------------------------------------- the sink's calls -- */

static void eased(roost_origin *origin) {
  roost_delivery *delivery = of(origin);
  if (runs(delivery))
    return;
  delivery->handled = true;
  if (!delivery->dispatching)
    end(delivery, delivery->how);
}

static void failed(roost_origin *origin, roost_settlement how) {
  roost_delivery *delivery = of(origin);
  if (delivery->how != ROOST_SETTLE_REQUEUE)
    delivery->how = how;
}

static bool settle_by_hand(roost_origin *origin, roost_settlement how) {
  return settle(of(origin), how);
}

static bool never_crowded(const roost_origin *origin) {
  (void)origin;
  return false;
}

static const roost_address *no_address(const roost_origin *origin) {
  (void)origin;
  return NULL;
}

static void keep_open(roost_origin *origin) {
  (void)origin; /* the session is everybody's */
}

/* ------------------------------------------------------------------------- dispatching ------- */

static roost_delivery *new_delivery(roost_delivery_pool *pool) {
  roost_delivery *delivery = roost_alloc_get(pool->alloc, pool->ops->size);
  if (delivery == NULL)
    return NULL;
  delivery->pool = pool;
  roost_list_init(&delivery->link);
  roost_list_init(&delivery->origin.calls);
  delivery->origin.ops = &pool->origin_ops;
  delivery->origin.server = pool->server;
  pool->ops->init(delivery);
  return delivery;
}

roost_delivery *roost_delivery_take(roost_delivery_pool *pool) {
  roost_delivery *delivery;
  if (roost_list_empty(&pool->idle)) {
    delivery = new_delivery(pool);
    if (delivery == NULL)
      return NULL;
  } else {
    delivery = ROOST_LIST_ENTRY(pool->idle.next, roost_delivery, link);
    roost_list_remove(&delivery->link);
    pool->idle_count--;
  }
  roost_list_append(&pool->live, &delivery->link);
  pool->count++;
  delivery->dispatching = delivery->handled = delivery->settled = false;
  delivery->origin.settles = pool->settles;
  delivery->how = ROOST_SETTLE_ACK;
  delivery->origin.gone = false;
  return delivery;
}

int roost_delivery_dispatch(roost_delivery *delivery, const roost_message *message) {
  const roost_server *server = delivery->pool->server;
  delivery->dispatching = true;
  const int status = server->sink->on_message(server->sink_ud, &delivery->origin, message);
  delivery->dispatching = false;
  if (runs(delivery))
    return status;
  if (status != 0)
    end(delivery, ROOST_SETTLE_BROKEN);
  else if (!delivery->handled)
    end(delivery, ROOST_SETTLE_UNHANDLED);
  else
    end(delivery, delivery->how);
  return status;
}

void roost_delivery_abandon(roost_delivery *delivery) {
  const roost_server *server = delivery->pool->server;
  const bool was_dispatching = delivery->dispatching;
  delivery->settled = true;
  delivery->origin.gone = true;
  delivery->dispatching = true; /* not given back by the last of its calls, but here */
  server->sink->on_gone(server->sink_ud, &delivery->origin, false);
  delivery->dispatching = was_dispatching;
  if (!was_dispatching)
    roost_delivery_give(delivery);
}

/* ------------------------------------------------------------------------- pools ------------- */

void roost_delivery_pool_init(roost_delivery_pool *pool, const roost_delivery_ops *ops,
                              const roost_alloc *alloc, roost_server *server, void *ud) {
  *pool = (roost_delivery_pool){
      .ops = ops, .origin_ops = ops->origin, .alloc = alloc, .server = server, .ud = ud};
  pool->origin_ops.eased = eased;
  pool->origin_ops.failed = failed;
  pool->origin_ops.crowded = ops->origin.crowded != NULL ? ops->origin.crowded : never_crowded;
  pool->origin_ops.remote = no_address;
  pool->origin_ops.local = no_address;
  pool->origin_ops.close = keep_open;
  pool->origin_ops.settle = settle_by_hand;
  pool->settles = ops->settled != NULL;
  roost_list_init(&pool->live);
  roost_list_init(&pool->idle);
}

/* Once for each that is there now, whatever becomes of them meanwhile. */
static void visit_live(roost_delivery_pool *pool, void (*visit)(roost_delivery *delivery)) {
  roost_list all;
  roost_list_init(&all);
  roost_list_move(&all, &pool->live);
  while (!roost_list_empty(&all)) {
    roost_delivery *delivery = ROOST_LIST_ENTRY(all.next, roost_delivery, link);
    roost_list_remove(&delivery->link);
    roost_list_append(&pool->live, &delivery->link);
    visit(delivery);
  }
}

static void tell_writable(roost_delivery *delivery) {
  const roost_server *server = delivery->pool->server;
  server->sink->on_writable(server->sink_ud, &delivery->origin);
}

void roost_delivery_pool_writable(roost_delivery_pool *pool) {
  visit_live(pool, tell_writable);
}

void roost_delivery_pool_abandon(roost_delivery_pool *pool) {
  visit_live(pool, roost_delivery_abandon);
}

void roost_delivery_pool_deinit(roost_delivery_pool *pool) {
  roost_delivery_pool_abandon(pool);
  while (!roost_list_empty(&pool->idle))
    free_delivery(ROOST_LIST_ENTRY(pool->idle.next, roost_delivery, link));
}
