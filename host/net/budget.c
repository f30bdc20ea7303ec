#include "net/conn_internal.h"

/*
 * The limit on the memory of all connections' buffers. Over it, those that hold more than their
 * share are not read (throttled): half of the limit is for them all together, so that small
 * messages are still served. One of them, the favoured one, is read all the same: its message
 * becomes whole, or its end is seen, and memory becomes free; else they could wait for each other.
 * Loops that share a limit tell each other at the end of each turn what they hold, by plain stores;
 * each has a favoured connection of its own.
 */

/* Whoever holds no more than this is never throttled. */
#define SMALL_BYTES 4096

static bool is_large(const roost_conn *conn) {
  const roost_loop *loop = conn->loop;
  const size_t share = loop->buffer_limit / 2 / (loop->conn_count + loop->other_conns);
  return conn->counted_bytes > (share > SMALL_BYTES ? share : SMALL_BYTES);
}

void roost_budget_count(roost_conn *conn) {
  roost_loop *loop = conn->loop;
  const roost_pipe *pipe = conn->pipe;
  const size_t below = pipe != NULL && pipe->ops->memory != NULL ? pipe->ops->memory(pipe) : 0;
  const roost_outbox *outbox = conn->outbox;
  const size_t unwritten = outbox != NULL ? outbox->out.cap + outbox->sending.cap : 0;
  const size_t bytes = unwritten + conn->accounted_bytes + below;
  loop->buffer_bytes += bytes - conn->counted_bytes;
  conn->counted_bytes = bytes;
  if (loop->favoured == conn && !is_large(conn))
    roost_budget_pass_on(conn);
}

bool roost_budget_is_over(const roost_conn *conn) {
  const roost_loop *loop = conn->loop;
  return loop->buffer_limit != 0 && loop->buffer_bytes + loop->other_bytes > loop->buffer_limit &&
         is_large(conn);
}

bool roost_budget_must_wait(roost_conn *conn) {
  roost_loop *loop = conn->loop;
  if (!roost_budget_is_over(conn))
    return false;
  if (loop->favoured == NULL)
    loop->favoured = conn;
  if (loop->favoured == conn)
    return false;
  conn->throttled = true;
  loop->throttling = true;
  return true;
}

void roost_budget_pass_on(roost_conn *conn) {
  roost_loop *loop = conn->loop;
  roost_conn *largest = NULL;
  if (loop->favoured != conn)
    return;
  loop->favoured = NULL;
  if (!loop->throttling)
    return;
  for (roost_list *link = loop->conns.next; link != &loop->conns; link = link->next) {
    roost_conn *other = ROOST_LIST_ENTRY(link, roost_conn, link);
    if (other->throttled && !other->paused && other->state == ROOST_CONN_OPEN &&
        (largest == NULL || other->counted_bytes > largest->counted_bytes))
      largest = other;
  }
  if (largest == NULL)
    return;
  loop->favoured = largest;
  largest->throttled = false;
  roost_conn_add_reading(largest);
}

void roost_budget_release(roost_loop *loop) {
  loop->throttling = false;
  loop->favoured = NULL;
  for (roost_list *link = loop->conns.next; link != &loop->conns; link = link->next) {
    roost_conn *conn = ROOST_LIST_ENTRY(link, roost_conn, link);
    conn->throttled = false;
    roost_conn_add_reading(conn);
  }
}

static void tell(roost_loop *loop) {
  atomic_store_explicit(&loop->said_bytes, loop->buffer_bytes, memory_order_relaxed);
  atomic_store_explicit(&loop->said_conns, loop->conn_count, memory_order_relaxed);
  atomic_store_explicit(&loop->said_throttling, loop->throttling, memory_order_relaxed);
}

/* Whoever is not read there may be, now that less is held here. */
static void wake_throttling(const roost_loop *loop) {
  if (loop->buffer_bytes + loop->other_bytes > loop->buffer_limit)
    return;
  for (size_t i = 0; i < loop->sharer_count; i++)
    if (loop->sharers[i] != loop &&
        atomic_load_explicit(&loop->sharers[i]->said_throttling, memory_order_relaxed))
      roost_loop_wake(loop->sharers[i]);
}

void roost_budget_exchange(roost_loop *loop) {
  tell(loop);
  loop->other_bytes = loop->other_conns = 0;
  for (size_t i = 0; i < loop->sharer_count; i++) {
    const roost_loop *other = loop->sharers[i];
    if (other == loop)
      continue;
    loop->other_bytes += atomic_load_explicit(&other->said_bytes, memory_order_relaxed);
    loop->other_conns += atomic_load_explicit(&other->said_conns, memory_order_relaxed);
  }
  wake_throttling(loop);
}
