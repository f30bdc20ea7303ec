/*
 * transport/nats_internal.h - one connection to a NATS server, as both sides have it; for the nats
 * files alone. Start reading at roost_nats_conn_connect.
 *
 * Conn: a dialer, what the server behind it has said of itself, and the way of messages to and
 * fro. Ready: the server has taken our CONNECT. A conn connects to the places of its configuration
 * and, after them, to those that servers name. Inbox: a subject of our own, followed by words that
 * say what an answer belongs to. The worker's thread.
 */
#ifndef ROOST_TRANSPORT_NATS_INTERNAL_H
#define ROOST_TRANSPORT_NATS_INTERNAL_H

#include "transport/link.h"
#include "transport/nats.h"
#include "wire/nats.h"

#define ROOST_NATS_INBOX_MAX 160 /* bytes of an inbox, without the words after it */

typedef struct roost_nats_conn roost_nats_conn;

typedef struct roost_nats_conn_ops {
  void (*on_ready)(void *ud);
  /* Borrowed for the call, which may close or fail the conn. */
  void (*on_message)(void *ud, const roost_nats_op *op);
  void (*on_writable)(void *ud);
  /* The server has dealt with all that was sent before a ping: conn->pongs went up. May be NULL. */
  void (*on_pong)(void *ud);
  /* The server has refused something, and goes on; borrowed. */
  void (*on_refused)(void *ud, roost_slice text);
  /* As in roost_link_ops; the conn is as before it has connected. */
  void (*on_closed)(void *ud, int status, const char *why);
} roost_nats_conn_ops;

typedef enum roost_nats_state {
  ROOST_NATS_DOWN,
  ROOST_NATS_GREETING, /* INFO is waited for */
  ROOST_NATS_SECURING, /* TLS is */
  ROOST_NATS_LOGIN,    /* the answer to CONNECT is */
  ROOST_NATS_READY
} roost_nats_state;

struct roost_nats_conn {
  roost_dialer dialer;
  const roost_nats_options *options; /* borrowed */
  const roost_nats_conn_ops *ops;    /* borrowed */
  void *ud;
  const char *name; /* that we give ourselves; NULL: none */
  size_t max_bytes; /* of one message; larger ones come without their content */
  roost_nats_state state;
  size_t max_payload; /* the server's */
  bool has_headers;   /* the server knows them */
  size_t nonce_len;
  char nonce[64];         /* to be signed */
  bool heard;             /* something came since the last beat */
  unsigned beats;         /* since then */
  uint64_t pings;         /* sent, of this connection */
  uint64_t pongs;         /* come back */
  roost_timer timer;      /* of the greeting, then of the beats */
  roost_endpoint *places; /* the others of the dialer; the first of them are the configuration's */
  size_t place_count;
  size_t place_cap;
  char inbox[ROOST_NATS_INBOX_MAX + 1];
  size_t inbox_len;
  char last_error[128]; /* what the server has said before it closed; "" nothing */
};

/* config.ud and the like as roost_dialer_init. ESYSTEM: there are no random bytes. */
int roost_nats_conn_init(roost_nats_conn *conn, roost_loop *loop, const roost_nats_options *options,
                         const roost_nats_conn_ops *ops, void *ud, size_t max_send_buffer_size);
void roost_nats_conn_deinit(roost_nats_conn *conn);

/* Begins to connect; on_ready or on_closed follows, in a later turn. ENOMEM, EINVAL. */
int roost_nats_conn_connect(roost_nats_conn *conn);

/* Ends it once all is sent; no on_closed follows. */
void roost_nats_conn_close(roost_nats_conn *conn);

/* Ends it and tells on_closed. */
void roost_nats_conn_fail(roost_nats_conn *conn, int status, const char *why);

static inline bool roost_nats_conn_ready(const roost_nats_conn *conn) {
  return conn->state == ROOST_NATS_READY;
}

/* Where operations are appended while it is ready; then dirty. */
roost_buffer *roost_nats_conn_out(roost_nats_conn *conn);
void roost_nats_conn_dirty(roost_nats_conn *conn);

/* Has on_pong called once the server has dealt with all that was sent until now; it is ready. */
void roost_nats_conn_ping(roost_nats_conn *conn);

/* nats_client.c: of the transport. */
int roost_nats_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                          const roost_client_sink *sink, void *sink_ud);

/* Its conn, for tests. */
roost_nats_conn *roost_nats_client_conn(roost_client *client);

/* nats_auth.c: appends CONNECT, with what the configuration says. 0; ENOMEM; ECONFIG: why has what
 * is wrong with the credentials. */
int roost_nats_write_login(const roost_nats_conn *conn, roost_buffer *out, char *why,
                           size_t why_size);

/* nats_auth.c: the transport's check_files, of the credentials. */
int roost_nats_check_files(const void *options, const roost_alloc *alloc, char *why,
                           size_t why_size);

#endif
