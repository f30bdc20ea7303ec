/*
 * net/listener_internal.h - the listener's struct, for listener.c and guest.c alone. Start at
 * net/listener.h.
 *
 * Guest: a connection that one loop has accepted for another.
 */
#ifndef ROOST_NET_LISTENER_INTERNAL_H
#define ROOST_NET_LISTENER_INTERNAL_H

#include "core/map.h"
#include "net/conn_internal.h"
#include "net/listener.h"

/*
 * The socket is accepted from by ourselves: libuv's listening handle, out of descriptors, accepts
 * and drops whoever waits in the queue; here they stay queued until there is a descriptor.
 */
struct roost_listener {
  roost_list link; /* in loop->listeners */
  roost_loop *loop;
  const roost_listener_ops *ops;
  void *ud;
  char *host; /* owned copy; NULL: it has no socket, and takes what another one accepts */
  roost_listener_config config;
  roost_address address;
  int descriptor;    /* -1 while lost */
  uv_poll_t *poll;   /* on descriptor, while accepting; frees itself when closed */
  roost_list conns;  /* of this loop and still there, by their sibling */
  size_t count;      /* accepted and still there, on whatever loop */
  roost_map per_ip;  /* bytes of an address to how many of them, where that is limited */
  roost_timer timer; /* the pause, or the next attempt to listen again */
  roost_loop_hook end;
  unsigned attempts;       /* to listen again, made so far */
  roost_tls_context *tls;  /* held; NULL: plain */
  uint64_t tls_timeout_ms; /* of a handshake */
  roost_listener **others; /* that share what it accepts; owned array */
  size_t other_count;
  size_t turn;  /* the place to begin with at the next connection */
  size_t *held; /* connections of each loop, this one's first; borrowed; NULL: it shares nothing */
  bool inherited; /* whoever handed the socket over may have it still */
  bool started;
  bool starved; /* out of descriptors, and said so */
  bool closed;
};

/* Counts a connection that is to be the loop's at this place (0: the listener's own). ENOMEM. */
int roost_listener_count(roost_listener *listener, const roost_inet_address *from, size_t place);
void roost_listener_uncount(roost_listener *listener, const roost_inet_address *from, size_t place);

/* Makes a connection of a descriptor, on the listener's loop; guest may be NULL. On failure nobody
 * has taken the descriptor. ENOMEM, ESYSTEM. */
int roost_listener_adopt(roost_listener *listener, int descriptor, const roost_inet_address *from,
                         roost_guest *guest);

/* Tells the owner of one that could not be taken; from may be NULL. */
void roost_listener_refuse(roost_listener *listener, int status, const char *why,
                           const roost_inet_address *from);

/* A text for why a descriptor was not taken. */
const char *roost_guest_why(int status);

/* The place of the loop with the fewest connections. */
size_t roost_guest_place(roost_listener *listener);

/* Sends a descriptor, which was counted, to the loop at that place, which is another one's. ENOMEM:
 * nobody has taken it. */
int roost_guest_send(roost_listener *listener, size_t place, int descriptor,
                     const roost_inet_address *from);

/* Its connection has ended; that one's loop. */
void roost_guest_leave(roost_guest *guest);

/* The listener that sent them counts them no more: it goes. */
void roost_guest_forget_all(const roost_listener *listener);

#endif
