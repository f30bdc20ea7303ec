/*
 * transport/link.h - a connection to one of several places that may serve, as clients and the
 * sessions of brokers make it.
 *
 * Start reading at roost_dialer_connect. Dialer: where to connect to, by TLS or without, and which
 * place is tried next; its owner's, for as long as that lives. Link: one connection of the
 * dialer's, from dialling to its end, with whatever else a connection has beginning with it (a
 * reader, say). A dialer lets go of a link before it connects again, so that what an old connection
 * still has to say reaches nobody: nothing of ops is called for a link whose dialer is NULL, but
 * deinit. A link is owned by its dialer while that points at it, and in any case freed when its
 * conn reports the end. Linger: a link that was retired still sends what it was given, then FIN,
 * and waits for the peer's, for a while. The loop's thread.
 */
#ifndef ROOST_TRANSPORT_LINK_H
#define ROOST_TRANSPORT_LINK_H

#include "transport/transport.h"

typedef struct roost_link_ops roost_link_ops;

typedef struct roost_link {
  roost_dialer *dialer; /* NULL: it was let go */
  const roost_link_ops *ops;
  roost_conn *conn;
  roost_timer lingering;
  size_t left_bytes; /* unsent when that was last started */
  bool open;         /* connected, and by TLS where that comes first */
  bool heard;        /* something came, so that it serves */
} roost_link;

struct roost_link_ops {
  size_t size; /* of the struct that begins with a roost_link */
  /* Fills what comes after the roost_link, all zero, and the link's conn still NULL. */
  void (*init)(roost_link *link, void *ud);
  /* The link is being freed; its conn ends, too, or was never made (NULL). */
  void (*deinit)(roost_link *link);
  void (*on_open)(void *ud, roost_link *link); /* also once more after roost_link_start_tls */
  void (*on_bytes)(void *ud, roost_link *link, roost_slice bytes);
  /* As in roost_conn_ops; room may be NULL, and on_filled then, too. */
  size_t (*room)(void *ud, roost_link *link, char **place);
  void (*on_filled)(void *ud, roost_link *link, size_t n);
  void (*on_writable)(void *ud, roost_link *link);
  /* The end, of which the dialer has no link any more: no place takes a connection (ECONNECT), or
   * it was there and has ended (EGONE, EPROTO, EFULL). why lives as long as the dialer: the error's
   * name where the system said it, "ETLS: " and what is wrong, or what roost_dialer_fail was given.
   */
  void (*on_closed)(void *ud, int status, const char *why);
};

/* All borrowed, for the dialer's life. */
typedef struct roost_dialer_config {
  roost_endpoint endpoint;      /* the first place */
  const roost_endpoint *others; /* tried after it; count of them */
  size_t other_count;
  const roost_tls_config *tls; /* NULL: none */
  bool tls_later;              /* it begins when roost_link_start_tls is called */
  size_t max_send_buffer_size; /* 0: no limit */
} roost_dialer_config;

struct roost_dialer {
  roost_dialer_config config;
  roost_loop *loop;
  const roost_link_ops *ops;
  void *ud;            /* handed to ops */
  roost_link *link;    /* NULL: not connected */
  size_t place;        /* where it is connected, or was last tried: 0 is the first one */
  roost_dial_fn *dial; /* in the place of roost_conn_dial; NULL: none */
  void *dial_ud;
  roost_loop_hook later; /* tells how dial went */
  roost_loop_hook next;  /* tries the next place */
  size_t refused;        /* places in a row that took no connection */
  bool leaves; /* the last one took it and said nothing before the end: TLS 1.3 refuses that way */
  roost_tls_context *tls; /* NULL: none, or not made yet */
  char why[192];          /* what is wrong, for ops */
};

/* Nothing is connected yet. */
void roost_dialer_init(roost_dialer *dialer, roost_loop *loop, const roost_dialer_config *config,
                       const roost_link_ops *ops, void *ud);

/* The same, to where a broker is. */
void roost_dialer_init_broker(roost_dialer *dialer, roost_loop *loop, const roost_broker *broker,
                              size_t max_send_buffer_size, const roost_link_ops *ops, void *ud);

/* Lets go of everything; nothing of ops is called any more. */
void roost_dialer_deinit(roost_dialer *dialer);

/* Begins to connect, to the place it was connected to last, then to each other one; on_open or
 * on_closed follows, in a later turn. ENOMEM, EINVAL: nothing follows. */
int roost_dialer_connect(roost_dialer *dialer);

/* Lets go of the link, or stops making one; what was handed over is still sent. No on_closed
 * follows. */
void roost_dialer_close(roost_dialer *dialer);

/* Ends the link at once and tells on_closed why (copied). The dialer's owner may be gone after it.
 */
void roost_dialer_fail(roost_dialer *dialer, int status, const char *why);

/* Where it is connected, or was last tried. */
roost_endpoint roost_dialer_place(const roost_dialer *dialer);

/* Begins TLS on an open link of a dialer with tls_later: all that came before is read and written.
 * on_open follows, or on_closed. ESTATE, EINVAL, ENOMEM. */
int roost_link_start_tls(roost_link *link);

/* Whether there is a connection whose send buffer is over half full. */
bool roost_dialer_crowded(const roost_dialer *dialer);

/* Both ends of the connection; NULL where there is none. */
const roost_address *roost_dialer_remote(const roost_dialer *dialer);
const roost_address *roost_dialer_local(const roost_dialer *dialer);

#endif
