/*
 * net/conn_internal.h - the conn's struct, for the files of net/ alone. Start at net/conn.h.
 *
 * A conn that waits is small: its outbox, what there is to write, is lent to it by the loop, and
 * given back once all is written. Blocked: the kernel took only a part of what was
 * written; the rest waits in sending until the pipe is ready again. Low water: while much of a
 * large frame is missing, the pipe is asked to wait for a good part of it, so that a peer who sends
 * it in small pieces costs no more. A conn is owned by its loop (the list conns) from the moment it
 * is made until on_closed has returned.
 */
#ifndef ROOST_NET_CONN_INTERNAL_H
#define ROOST_NET_CONN_INTERNAL_H

#include "net/conn.h"
#include "net/loop_internal.h"
#include "net/pipe.h"

struct addrinfo;
struct sockaddr;

typedef struct roost_dial roost_dial;
typedef struct roost_conn_tls roost_conn_tls;
typedef struct roost_guest roost_guest;

/* A numeric address, which takes less room than its text. */
typedef struct roost_inet_address {
  uint8_t ip[16];  /* in network order; of IPv4 the first four */
  uint16_t family; /* AF_LOCAL: one end of a pair in memory; 0: not known */
  uint16_t port;   /* in the host's order */
} roost_inet_address;

/* Owned by the loop, lent to one conn at a time. */
struct roost_outbox {
  roost_list link;      /* in loop->dirty while marked, in loop->spares while lent to nobody */
  roost_conn *conn;     /* NULL: nobody */
  roost_buffer out;     /* appended to by the owner; a spare one keeps its memory */
  roost_buffer sending; /* written in part */
  size_t sent;          /* bytes of sending that are gone */
};

/* What a test says of the peer of a connection in memory. */
typedef struct roost_played {
  roost_address remote;
  const roost_tls_info *tls; /* held; NULL: nothing */
} roost_played;

typedef enum roost_conn_state {
  ROOST_CONN_CONNECTING,
  ROOST_CONN_SECURING, /* the handshake of TLS goes on; the pipe is conn_tls.c's */
  ROOST_CONN_OPEN,
  ROOST_CONN_CLOSING /* on_closed is all that is left to happen */
} roost_conn_state;

struct roost_conn {
  roost_list link; /* in loop->conns */
  roost_loop *loop;
  roost_pipe *pipe;          /* owned; NULL while connecting */
  roost_outbox *outbox;      /* NULL: nothing is to be written */
  roost_dial *dial;          /* while connecting */
  roost_conn_tls *tls;       /* to begin once connected; NULL: nothing */
  roost_played *played;      /* owned; NULL: nothing */
  const roost_conn_ops *ops; /* NULL until the owner has said */
  void *ud;
  roost_conn_counters *counters; /* borrowed, or NULL */
  size_t send_limit;
  size_t accounted_bytes; /* what the owner says it holds */
  size_t counted_bytes;   /* what loop->buffer_bytes holds for this conn */
  void *owner;            /* see roost_conn_set_owner */
  union {
    struct {              /* before the end */
      roost_timer timer;  /* connect time-out, then idle time-out */
      uint64_t active_ms; /* when the last byte went either way */
      uint64_t idle_ms;   /* 0: no limit */
    };
    struct {               /* closing: what on_closed is told */
      roost_loop_hook end; /* finishes a conn that has no pipe */
      const char *why;
      int status;
    };
  };
  roost_list sibling;                                  /* in its listener's list */
  void (*released)(struct roost_conn *conn, void *ud); /* the listener's, or NULL */
  void *released_ud;
  roost_guest *guest; /* accepted by another loop; NULL: by this one, or dialled */
  uint32_t round;     /* the loop's in which it was read last */
  roost_inet_address remote;
  uint8_t state;   /* a roost_conn_state */
  uint8_t watched; /* events the pipe watches */
  bool low_water;  /* the pipe waits for LOW_WATER_BYTES */
  bool paused;     /* by the owner */
  bool throttled;  /* by the buffer limit */
  bool eof;        /* the peer's FIN is here */
  bool crowded;    /* see roost_conn_crowded */
  bool fin_wanted : 1;
  bool fin_sent : 1;
};

/* A conn in the state connecting, without a pipe. ENOMEM. */
int roost_conn_new(roost_conn **out, roost_loop *loop);

/* Frees one that nobody knows of yet, without a call. */
void roost_conn_discard(roost_conn *conn);

/* Gives it its pipe: it is open and owns it. */
void roost_conn_open(roost_conn *conn, roost_pipe *pipe);

/* Ends it for the reason given; the first one counts. */
void roost_conn_end(roost_conn *conn, int status, const char *why);

/* outbox.c: lends one to a conn that has none; NULL: memory is short. */
roost_outbox *roost_conn_outbox(roost_conn *conn);

/* Gives it back where it is empty and not marked dirty. */
void roost_outbox_rest(roost_conn *conn);

/* Gives it back whatever is in it. */
void roost_outbox_drop(roost_conn *conn);

/* The last call of every pipe: tells the owner and frees the conn. */
void roost_conn_finish(void *ud);

/* conn_tls.c: dialling is over: TLS begins, or the owner is told. */
void roost_conn_connected(roost_conn *conn);
void roost_conn_forget_tls(roost_conn *conn);
void roost_conn_forget_played(roost_conn *conn);

/* Has the pipe read where the conn may be read. */
void roost_conn_add_reading(roost_conn *conn);

/* budget.c: brings the loop's sum of buffer memory up to date with what this conn holds. */
void roost_budget_count(roost_conn *conn);

/* True while all buffers together are over the limit and this conn holds more than its share. */
bool roost_budget_is_over(const roost_conn *conn);

/* Asked before reading: true where the buffer limit forbids it for now. */
bool roost_budget_must_wait(roost_conn *conn);

/* The conn is not read any more, or holds little: another one may be favoured. */
void roost_budget_pass_on(roost_conn *conn);

/* Forgets the conn; whatever the dialling still waits for is cleaned up later. */
void roost_dial_cancel(roost_dial *dial);

/* socket.c: options of every TCP socket (a listening one hands them on to those it accepts). */
void roost_socket_tune(int descriptor);
void roost_socket_address(roost_address *out, const struct sockaddr *address);
/* An IPv4 peer of a dual-stack listener is shown, and counted, as what it is. */
void roost_inet_read(roost_inet_address *out, const struct sockaddr *address);
void roost_inet_print(const roost_inet_address *from, roost_address *out);
/* The errno's name, as "ECONNREFUSED"; a fixed text. */
const char *roost_socket_error(int error);

#endif
