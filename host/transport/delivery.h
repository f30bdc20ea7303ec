/*
 * transport/delivery.h - one message of a broker, from its arrival until all calls it has started
 * are over.
 *
 * Start reading at roost_delivery_dispatch. Delivery: the origin of the calls that a message
 * starts; its transport keeps in it where the replies go, and what the broker is to be told
 * (settled) when they are over. Pool: the deliveries of one session, of one size; those that are
 * over are used again. Owned by the pool from roost_delivery_take until settled has been called, or
 * until it is given back undispatched; the pool outlives them all. The worker's thread.
 */
#ifndef ROOST_TRANSPORT_DELIVERY_H
#define ROOST_TRANSPORT_DELIVERY_H

#include "transport/transport.h"

typedef struct roost_delivery roost_delivery;

typedef struct roost_delivery_ops {
  size_t size; /* of the struct that begins with a roost_delivery */
  /* Of reply_begin, reply_end, reply_undo, reply_unhandled, facts and crowded (NULL: never); the
   * rest is filled in. */
  roost_origin_ops origin;
  void (*init)(roost_delivery *delivery);   /* a new one, all zero behind its roost_delivery */
  void (*clear)(roost_delivery *delivery);  /* it is over: to be used again */
  void (*deinit)(roost_delivery *delivery); /* it is freed */
  /* Its calls are over, or a handler says so before (then not again). May be NULL. */
  void (*settled)(roost_delivery *delivery, roost_settlement how);
  /* One is over, and no longer counted in pool->count. May be NULL. */
  void (*eased)(void *ud);
} roost_delivery_ops;

typedef struct roost_delivery_pool {
  const roost_delivery_ops *ops;
  roost_origin_ops origin_ops; /* ops->origin with what is the pool's own */
  const roost_alloc *alloc;
  roost_server *server; /* whose messages they are */
  void *ud;             /* handed to ops->eased */
  bool settles;         /* by hand, too: so where there is ops->settled, unless its owner says no */
  roost_list live;      /* roost_delivery.link */
  roost_list idle;      /* likewise */
  size_t count;         /* of those that are live */
  size_t idle_count;
} roost_delivery_pool;

struct roost_delivery {
  roost_origin origin; /* first: what the sink knows */
  roost_list link;
  roost_delivery_pool *pool;
  bool dispatching; /* inside roost_delivery_dispatch: more calls may start */
  bool handled;     /* a call was started, and has ended */
  bool settled;
  roost_settlement how; /* as its calls have ended until now */
};

/* server has sink, config and stats; borrowed, as ops is. */
void roost_delivery_pool_init(roost_delivery_pool *pool, const roost_delivery_ops *ops,
                              const roost_alloc *alloc, roost_server *server, void *ud);

/* Tells the sink that those still alive are gone, without settling them, and frees all. */
void roost_delivery_pool_deinit(roost_delivery_pool *pool);

/* One to be filled and dispatched at once, or given back; NULL where memory is short. */
roost_delivery *roost_delivery_take(roost_delivery_pool *pool);
void roost_delivery_give(roost_delivery *delivery);

/* Hands message to the sink, and returns what that does. The delivery may be over, and settled,
 * when it returns. */
int roost_delivery_dispatch(roost_delivery *delivery, const roost_message *message);

/* Nobody waits for its replies any more, nor is told anything of it: its calls go on without a
 * caller, its streams end, and it is over. */
void roost_delivery_abandon(roost_delivery *delivery);

/* The session can send more: whoever waits for that is told, delivery by delivery, some of which
 * may be over by it, and others begun. */
void roost_delivery_pool_writable(roost_delivery_pool *pool);

/* The session has ended: all that came in it are abandoned. */
void roost_delivery_pool_abandon(roost_delivery_pool *pool);

#endif
