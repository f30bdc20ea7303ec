/*
 * net/listener.h - a listening socket: accepts connections within its limits.
 *
 * Shared: what it accepts is spread over several loops; those of the others have a listener each
 * without a socket, by which connections come to them. Limits count all of them together.
 * Out of descriptors: accepting pauses, is reported once, and goes on when there are some.
 * Loop thread only. Owned by its maker until roost_listener_close.
 */
#ifndef ROOST_NET_LISTENER_H
#define ROOST_NET_LISTENER_H

#include "net/conn.h"

typedef struct roost_listener roost_listener;

typedef struct roost_listener_config {
  const char *host; /* name or numeric address; "localhost" binds 127.0.0.1 where it
                       resolves to it; copied */
  uint16_t port;    /* 0: any free one */
  int backlog;
  size_t max_connections;        /* 0: no limit */
  size_t max_connections_per_ip; /* 0: no limit */
  unsigned retry_attempts;       /* re-listen this often after the socket was lost */
  uint64_t retry_delay_ms;
} roost_listener_config;

typedef struct roost_listener_ops {
  /* A connection; the owner sets its ops at once, or closes it. */
  void (*on_accept)(void *ud, roost_conn *conn);
  /* A connection was turned away: EFULL with which limit ("max_connections"), ENOMEM, ECONNECT with
   * why its TLS handshake failed (EGONE: it left without a word); or accepting
   * is paused until there are descriptors: ESYSTEM with the error's name. address may be NULL. */
  void (*on_refused)(void *ud, int status, const char *why, const roost_address *address);
  void (*on_lost)(void *ud, const char *why); /* the socket is gone, or an attempt to listen again
                                                 failed; retries follow, if any are left */
  void (*on_listening)(void *ud);             /* again, after it was lost */
  void (*on_closed)(void *ud);                /* the last call; the listener is freed after it */
} roost_listener_ops;

/* Binds and listens but does not accept yet. On failure *why has the error's name, as
 * "EADDRINUSE". Resolves a host name on the spot. ESYSTEM, ENOMEM, EINVAL. */
int roost_listener_open(roost_listener **out, roost_loop *loop, const roost_listener_config *config,
                        const roost_listener_ops *ops, void *ud, const char **why);

/* One without a socket, for connections that another loop's accepts; closed like any other, but
 * after that one. ENOMEM. */
int roost_listener_open_shared(roost_listener **out, roost_loop *loop,
                               const roost_listener_ops *ops, void *ud);

/* Has each connection that is accepted from now on go to the loop that has the fewest: the
 * listener's own, or that of one of others (copied), which may live on other threads but must
 * outlive what is under way to them. held, borrowed, is how many each of these loops has, the
 * listener's own first; several listeners of one loop may share it. count 0, held NULL: it keeps
 * all to itself again, and does not count what the others still have. ENOMEM: as it was. */
int roost_listener_share(roost_listener *listener, roost_listener *const *others, size_t count,
                         size_t *held);

/* Begins to accept. */
int roost_listener_start(roost_listener *listener);

/* Connections accepted from now on begin with TLS: on_accept is called once the handshake is done,
 * within timeout_ms (0: no limit). Holds context; NULL: plain ones again. */
void roost_listener_set_tls(roost_listener *listener, roost_tls_context *context,
                            uint64_t timeout_ms);

/* Accepts what is queued in the kernel already, then stops listening; on_closed follows. What is
 * queued at an inherited socket is left to whoever listens there next. */
void roost_listener_close(roost_listener *listener);

const roost_address *roost_listener_address(const roost_listener *listener);

/* The listening socket, -1 while it is lost. */
int roost_listener_descriptor(const roost_listener *listener);

#endif
