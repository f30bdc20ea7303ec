/*
 * The end of a connection that is closed by us.
 *
 * RabbitMQ forgets what it has read but not looked at when it is told that the connection ends, or
 * sees its end: messages, and acknowledgements. A channel's end it takes in order. So a farewell
 * takes the link of a connection whose owner wants no more of it, with what was not read yet,
 * closes the channel, and the rest when that is answered. It is owned by the loop's turn of events:
 * it frees itself when the link ends, is answered, or has waited long enough.
 */
#include "core/slice.h"
#include "transport/rmq_internal.h"

#define ANSWER_MS 5000

typedef struct farewell {
  roost_rmq_connection connection;
  roost_timer timer; /* for the broker's answer */
} farewell;

static void free_farewell(farewell *self) {
  roost_loop *loop = self->connection.dialer.loop;
  roost_timer_stop(roost_loop_wheel(loop), &self->timer);
  roost_rmq_connection_deinit(&self->connection);
  roost_alloc_put(roost_loop_alloc(loop), self, sizeof *self);
}

static void finish(farewell *self) {
  const roost_rmq_session *session = roost_rmq_session_of(&self->connection);
  if (session != NULL && roost_rmq_write_close(session->codec, roost_rmq_out(session),
                                               ROOST_RMQ_GOODBYE_CODE, ROOST_SLICE("")) == 0)
    roost_conn_dirty(session->link.conn);
  free_farewell(self); /* which still has that sent */
}

static void on_timer(roost_timer *timer) {
  finish(ROOST_LIST_ENTRY(timer, farewell, timer));
}

static void on_ready(void *ud, roost_rmq_session *session) {
  (void)ud;
  (void)session;
}

static bool on_event(void *ud, roost_rmq_session *session, const roost_rmq_event *event) {
  (void)session;
  if (event->kind == ROOST_RMQ_CHANNEL_CLOSE_OK)
    finish(ud);
  return true;
}

static void on_writable(void *ud) {
  (void)ud;
}

static void on_closed(void *ud, int status, const char *why) {
  (void)status;
  (void)why;
  free_farewell(ud);
}

static const roost_rmq_connection_ops farewell_ops = {
    .on_ready = on_ready, .on_event = on_event, .on_writable = on_writable, .on_closed = on_closed};

bool roost_rmq_farewell(roost_rmq_connection *connection) {
  roost_rmq_session *session = roost_rmq_ready(connection);
  roost_loop *loop = connection->dialer.loop;
  if (session == NULL)
    return false;
  farewell *self = roost_alloc_get(roost_loop_alloc(loop), sizeof *self);
  if (self == NULL)
    return false;
  roost_rmq_connection_init(&self->connection, loop, connection->options, 0, &farewell_ops, self);
  roost_timer_init(&self->timer, on_timer);
  connection->dialer.link = NULL;
  roost_conn_count(session->link.conn, NULL); /* whoever counts may not live as long */
  self->connection.dialer.link = &session->link;
  session->link.dialer = &self->connection.dialer;
  session->owner = &self->connection;
  roost_buffer_deinit(&self->connection.carry);
  self->connection.carry = connection->carry;
  self->connection.carried = connection->carried;
  self->connection.is_paused = connection->is_paused;
  roost_buffer_init(&connection->carry, roost_loop_alloc(loop));
  roost_rmq_connection_resume(&self->connection);
  roost_timer_start(roost_loop_wheel(loop), &self->timer, ANSWER_MS);
  (void)roost_rmq_sent(session, roost_rmq_write_channel_close(
                                    session->codec, roost_rmq_out(session), ROOST_RMQ_CHANNEL));
  return true;
}
