/*
 * transport/rmq_internal.h - a connection to RabbitMQ, for the files of rmq alone.
 *
 * Start reading at roost_rmq_connection. Connection: what a server and a client share, owned by
 * either: the dialer, and what is said until one channel is open, heartbeats. Session: one link of
 * the dialer's, from the first byte to its end, with its codec. Ready: its channel is open. The
 * loop's thread.
 */
#ifndef ROOST_TRANSPORT_RMQ_INTERNAL_H
#define ROOST_TRANSPORT_RMQ_INTERNAL_H

#include "transport/link.h"
#include "transport/rmq.h"
#include "transport/rmq_codec.h"

#define ROOST_RMQ_CHANNEL      1     /* the one that is used */
#define ROOST_RMQ_READY_MS     15000 /* for all that is said until a channel is open */
#define ROOST_RMQ_KEEP_BYTES   65536 /* of a buffer for what comes next */
#define ROOST_RMQ_GOODBYE_CODE 200

typedef struct roost_rmq_connection roost_rmq_connection;

typedef struct roost_rmq_session {
  roost_link link; /* first: a roost_rmq_session is a roost_link */
  roost_rmq_connection *owner;
  roost_rmq_codec *codec; /* NULL: no memory for one */
  roost_timer beat;       /* half a heartbeat, or the time to get ready */
  uint64_t beat_ms;       /* 0: no heartbeats */
  unsigned silent;        /* beats since something came */
  bool is_ready;
  bool is_blocked; /* the broker takes no messages for now */
} roost_rmq_session;

typedef struct roost_rmq_connection_ops {
  void (*on_ready)(void *ud, roost_rmq_session *session);
  /* What comes after that, but for what concerns the connection alone; BLOCKED and UNBLOCKED, too.
   * Returns false where no more may be read for now: the rest is kept until
   * roost_rmq_connection_resume. */
  bool (*on_event)(void *ud, roost_rmq_session *session, const roost_rmq_event *event);
  void (*on_writable)(void *ud);
  /* As roost_link_ops.on_closed. */
  void (*on_closed)(void *ud, int status, const char *why);
} roost_rmq_connection_ops;

struct roost_rmq_connection {
  roost_dialer dialer;
  const roost_rmq_options *options;
  const roost_rmq_connection_ops *ops;
  void *ud;
  const char *name;       /* as the broker's pages show it */
  size_t max_body;        /* bytes */
  roost_buffer carry;     /* bytes of the session that were not read yet */
  size_t carried;         /* of them taken */
  roost_loop_hook resume; /* goes on with them */
  bool is_paused;         /* on_event said so */
  char why[256];          /* of an end, for ops */
};

/* name, options and ops are borrowed. */
void roost_rmq_connection_init(roost_rmq_connection *connection, roost_loop *loop,
                               const roost_rmq_options *options, size_t max_send_buffer_size,
                               const roost_rmq_connection_ops *ops, void *ud);
void roost_rmq_connection_deinit(roost_rmq_connection *connection);

/* As roost_dialer_connect. */
int roost_rmq_connection_open(roost_rmq_connection *connection);

/* Lets go of it: what was handed over is still sent, and the broker heard out that it has that; no
 * on_closed follows. */
void roost_rmq_connection_close(roost_rmq_connection *connection);

/* rmq_farewell.c: takes the session that is ready, and sees to its end; false: there is none, or no
 * memory. */
bool roost_rmq_farewell(roost_rmq_connection *connection);

/* Ends it; on_closed follows at once. */
void roost_rmq_connection_fail(roost_rmq_connection *connection, int status, const char *why);

/* Goes on with reading, in a later turn. */
void roost_rmq_connection_resume(roost_rmq_connection *connection);

/* The session that is there, ready or not; NULL: none. */
static inline roost_rmq_session *roost_rmq_session_of(const roost_rmq_connection *connection) {
  return (roost_rmq_session *)connection->dialer.link;
}

/* The one that is ready; NULL: none. */
static inline roost_rmq_session *roost_rmq_ready(const roost_rmq_connection *connection) {
  roost_rmq_session *session = roost_rmq_session_of(connection);
  return session != NULL && session->is_ready ? session : NULL;
}

static inline roost_buffer *roost_rmq_out(const roost_rmq_session *session) {
  return roost_conn_out(session->link.conn);
}

/* After frames were appended, status says how that went: has them sent, or ends the connection
 * where memory was short. EINVAL, which ends nothing, and 0 are returned. */
int roost_rmq_sent(roost_rmq_session *session, int status);

/* More is queued than is good, or the broker takes nothing. */
bool roost_rmq_crowded(const roost_rmq_connection *connection);

/* What a queue or an exchange of the options' is declared as. */
roost_rmq_declare roost_rmq_queue_of(const roost_rmq_options *options);
roost_rmq_declare roost_rmq_exchange_of(const roost_rmq_options *options);

#endif
