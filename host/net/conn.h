/*
 * net/conn.h - one duplex byte connection.
 *
 * Below it lies a byte pipe: a TCP stream, or one end of a pair in memory (tests, roost.testing).
 * States: connecting -> open -> (half: the peer sent FIN) -> closing -> closed;
 * before TLS, securing. A conn is owned by
 * its loop: it is freed after on_closed, the last call it makes; roost_conn_close may be called
 * any number of times before that, also from inside any callback.
 * Out buffer: what is to be written. Append to roost_conn_out, then roost_conn_dirty; it is written
 * once per turn. A conn that has nothing to write has none. Loop thread only.
 */
#ifndef ROOST_NET_CONN_H
#define ROOST_NET_CONN_H

#include "core/buffer.h"
#include "net/loop.h"
#include "net/tls.h"

typedef struct roost_conn roost_conn;

/* What the owner is told. ud is the owner's. All on the loop's thread, never from inside a call
 * the owner makes (except on_bytes from a deferred turn). */
typedef struct roost_conn_ops {
  void (*on_open)(void *ud); /* a dialled connection is there, or TLS; may be NULL */
  /* Bytes have come; borrowed for the call. */
  void (*on_bytes)(void *ud, roost_slice bytes);
  /* Asked before reading: where a large frame's bytes can go; 0: nowhere special. May be NULL. */
  size_t (*room)(void *ud, char **place);
  /* n bytes were read into that room. May be NULL when room is. */
  void (*on_filled)(void *ud, size_t n);
  void (*on_eof)(void *ud);      /* the peer's FIN: nothing more will come, writing still works;
                                    NULL: answered with ours */
  void (*on_writable)(void *ud); /* less than a quarter of the send limit is queued again, after
                                    it was over half */
  /* Asked when the idle time-out is over: true keeps the connection for another one (something is
   * still running for the peer). May be NULL. */
  bool (*busy)(void *ud);
  /* The end. status: 0 closed by us or after both FINs, EGONE the peer broke off, EFULL over the
   * send limit, ECONNECT could not connect, ETIMEDOUT idle, ENOMEM, ESYSTEM; why is borrowed for
   * the call, for EGONE and ECONNECT the error's name ("ECONNRESET"), or "ETLS: " and what is
   * wrong. */
  void (*on_closed)(void *ud, int status, const char *why);
} roost_conn_ops;

/* Numeric address of one end. */
typedef struct roost_address {
  char text[46]; /* "10.0.0.5" or "::1", NUL-terminated; "memory" for a pair in memory */
  uint16_t port;
} roost_address;

struct roost_log_line; /* core/log.h */

/* Adds an address to a line, as "127.0.0.1:3000" or "[::1]:3000"; nothing where it is NULL, or not
 * known. */
void roost_log_address(struct roost_log_line *line, const char *key, const roost_address *address);

/* Says who is told from now on; to be done in the accept callback or right after dialling. */
void roost_conn_set_ops(roost_conn *conn, const roost_conn_ops *ops, void *ud);

/* A pointer to be found again where all else that is known is the conn; borrowed. NULL at first. */
void roost_conn_set_owner(roost_conn *conn, void *owner);
void *roost_conn_owner(const roost_conn *conn);

/* Calls fn for each conn of the loop that has these ops; it may close it, or give it others. */
void roost_conn_each(roost_loop *loop, const roost_conn_ops *ops,
                     void (*fn)(roost_conn *conn, void *ud), void *ud);

/* Over max_bytes queued the connection is ended with EFULL; 0: no limit. */
void roost_conn_set_send_limit(roost_conn *conn, size_t max_bytes);

/* Ended with ETIMEDOUT after this long without a byte in either direction; 0: never. */
void roost_conn_set_idle_timeout(roost_conn *conn, uint64_t ms);

roost_loop *roost_conn_loop(const roost_conn *conn);
/* Borrowed until the same is asked of another conn of the loop. The text is empty where the address
 * is not known (any more, for local: the conn has ended). */
const roost_address *roost_conn_remote(const roost_conn *conn);
const roost_address *roost_conn_local(const roost_conn *conn);

/* Says whom a connection in memory stands for (NULL: nobody else), copied, and what is known of him
 * by TLS; held. ENOMEM. */
int roost_conn_play(roost_conn *conn, const roost_address *remote, const roost_tls_info *info);

int roost_conn_descriptor(const roost_conn *conn); /* -1 for a pair in memory */

/* Where to append, which fails where memory is short; borrowed until this turn's end. */
roost_buffer *roost_conn_out(roost_conn *conn);

/* Has the out buffer written at the end of this turn. */
void roost_conn_dirty(roost_conn *conn);

/* Bytes not yet taken by the kernel (or the other end). */
size_t roost_conn_queued(const roost_conn *conn);

/* True from when over half the send limit is queued, or all buffers together are over the loop's
 * limit and this conn holds more than its share of it, until on_writable: when no more than a
 * quarter of the one is left, and the other is over. Judged where the conn is marked dirty. */
bool roost_conn_crowded(const roost_conn *conn);

/* Stops and starts reading; starts out reading. */
void roost_conn_pause(roost_conn *conn);
void roost_conn_resume(roost_conn *conn);

/* Asked before messages of it are taken that were read in an earlier turn: false where the quota of
 * a poll is used up, or others go first; then it is to be asked again in the next turn. */
bool roost_conn_has_turn(roost_conn *conn);

/* Reads once what is there already, paused or not, and hands it over as on_bytes would: also what
 * would not be read yet because the rest of a large frame is waited for. False: nothing was there.
 */
bool roost_conn_read_now(roost_conn *conn);

/* Memory that the owner holds for this conn besides its own buffers (the frame reader's), counted
 * for the loop's buffer limit. */
void roost_conn_account(roost_conn *conn, size_t bytes);

/* FIN once all that is queued is written; reading goes on. Closes when the peer's FIN is there. */
void roost_conn_shutdown(roost_conn *conn);

/* Ends it; what is queued is lost. on_closed follows, in a later turn. */
void roost_conn_close(roost_conn *conn);

/* Begins to connect to a numeric address or a host name; on_open or on_closed follows. timeout_ms
 * 0: the system's. ENOMEM, EINVAL. */
int roost_conn_dial(roost_conn **out, roost_loop *loop, const char *host, uint16_t port,
                    uint64_t timeout_ms, const roost_conn_ops *ops, void *ud);

/* Begins TLS, as a server or a client as the context says; on_open follows, or on_closed with
 * ECONNECT (EGONE: a server's peer left without a word). A conn that is being dialled begins as
 * soon as it is connected. name: whose certificate a server must have, where the context names
 * none; copied. timeout_ms bounds the handshake; 0: none. What is appended to the out buffer from
 * now on is sent in TLS; what came before must have been written and read. ESTATE (it was not, or
 * TLS has begun), EINVAL (a client has no name), ENOMEM: the conn is as it was. */
int roost_conn_start_tls(roost_conn *conn, roost_tls_context *context, const char *name,
                         uint64_t timeout_ms);

/* What is known of the peer by TLS; borrowed for the conn's life, to be held for longer. NULL: a
 * plain connection, TLS is not there yet, or memory is short. */
const roost_tls_info *roost_conn_tls_info(roost_conn *conn);

/* Makes a conn of a connected socket, which it then owns (on failure the caller still does). The
 * owner sets its ops, or closes it. ENOMEM, ESYSTEM. */
int roost_conn_adopt(roost_conn **out, roost_loop *loop, int descriptor);

/* Two connected ends in memory, both open. ENOMEM. */
int roost_conn_pair(roost_conn **a, roost_conn **b, roost_loop *loop);

/* Counters a loop keeps for its conns. */
typedef struct roost_conn_counters {
  uint64_t bytes_in;
  uint64_t bytes_out;
} roost_conn_counters;

/* Has reads and writes of this conn added to counters, borrowed for the conn's life, or until
 * others are given: NULL is none. */
void roost_conn_count(roost_conn *conn, roost_conn_counters *counters);

#endif
