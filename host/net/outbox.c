/*
 * There are as many outboxes as connections have something to write at once, and a few more: those
 * that wait, by the thousand, have none.
 */
#include "net/conn_internal.h"

/* What an out buffer starts with; most turns' replies fit. */
#define FIRST_BYTES 4096

static roost_outbox *take_spare(roost_loop *loop) {
  roost_outbox *outbox = ROOST_LIST_ENTRY(loop->spares.next, roost_outbox, link);
  roost_list_remove(&outbox->link);
  loop->spare_count--;
  loop->spare_bytes -= outbox->out.cap;
  return outbox;
}

static roost_outbox *make(roost_loop *loop) {
  roost_outbox *outbox = roost_alloc_get(loop->alloc, sizeof *outbox);
  if (outbox == NULL)
    return NULL;
  roost_list_init(&outbox->link);
  roost_buffer_init(&outbox->out, loop->alloc);
  roost_buffer_init(&outbox->sending, loop->alloc);
  return outbox;
}

roost_outbox *roost_conn_outbox(roost_conn *conn) {
  roost_loop *loop = conn->loop;
  roost_outbox *outbox = loop->spare_count > 0 ? take_spare(loop) : make(loop);
  if (outbox != NULL)
    outbox->conn = conn;
  conn->outbox = outbox;
  return outbox;
}

static void drop(roost_loop *loop, roost_outbox *outbox) {
  roost_buffer_deinit(&outbox->out);
  roost_buffer_deinit(&outbox->sending);
  roost_list_remove(&outbox->link);
  roost_alloc_put(loop->alloc, outbox, sizeof *outbox);
}

/* As a spare, or to be freed. */
static void give_back(roost_conn *conn) {
  roost_loop *loop = conn->loop;
  roost_outbox *outbox = conn->outbox;
  conn->outbox = NULL;
  outbox->conn = NULL;
  if (loop->spare_count == ROOST_LOOP_SPARES) {
    drop(loop, outbox);
    return;
  }
  if (outbox->out.cap > ROOST_LOOP_SPARE_BYTES ||
      outbox->out.cap > ROOST_LOOP_SPARES_BYTES - loop->spare_bytes)
    roost_buffer_deinit(&outbox->out);
  loop->spare_count++;
  loop->spare_bytes += outbox->out.cap;
  roost_list_prepend(&loop->spares, &outbox->link);
}

void roost_outbox_rest(roost_conn *conn) {
  const roost_outbox *outbox = conn->outbox;
  if (outbox != NULL && outbox->out.len == 0 && outbox->sending.len == 0 &&
      roost_list_empty(&outbox->link))
    give_back(conn);
}

void roost_outbox_drop(roost_conn *conn) {
  if (conn->outbox == NULL)
    return;
  drop(conn->loop, conn->outbox);
  conn->outbox = NULL;
}

void roost_outbox_free_spares(roost_loop *loop) {
  while (loop->spare_count > 0)
    drop(loop, take_spare(loop));
}

roost_buffer *roost_conn_out(roost_conn *conn) {
  roost_outbox *outbox = conn->outbox != NULL ? conn->outbox : roost_conn_outbox(conn);
  if (outbox == NULL)
    return &conn->loop->no_room;
  if (outbox->out.cap == 0) /* where this is refused, appending finds out */
    (void)roost_buffer_reserve(&outbox->out, FIRST_BYTES);
  return &outbox->out;
}
