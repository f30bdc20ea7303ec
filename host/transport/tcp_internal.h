/*
 * transport/tcp_internal.h - the Nest TCP server, for the tcp files alone. Start reading at
 * tcp_session.c, roost_tcp_session_take.
 *
 * Server: a listener (none in tests) and its sessions. Session: one connection while it has
 * something to do, the origin of what it sends; a connection at rest, which waits for its peer and
 * owes it nothing, has none, so that it takes little memory. Carry: bytes that were read but whose
 * turn has not come: a session dispatches at most ROOST_TCP_FRAMES frames a turn, and none while
 * too much of it is in flight, its send buffer is crowded, or its rate is used up. Linger: after
 * our FIN the rest of what the peer sends is thrown away, for a while, since closing on unread
 * bytes would destroy replies that are still under way. A session is owned by its server: kept for
 * the next connection that wakes when its own goes to rest, freed when that reports the end.
 */
#ifndef ROOST_TRANSPORT_TCP_INTERNAL_H
#define ROOST_TRANSPORT_TCP_INTERNAL_H

#include "net/listener.h"
#include "transport/transport.h"
#include "wire/frame.h"

#define ROOST_TCP_FRAMES         64    /* dispatched per session and turn */
#define ROOST_TCP_LINGER_MS      2000  /* without progress, before a peer is dropped */
#define ROOST_TCP_STREAMS_END_MS 30000 /* streams that go on after a framing error */
#define ROOST_TCP_FULL_LOG_MS    1000  /* reading paused this long is worth a line */
#define ROOST_TCP_TOKEN          1000  /* what a message costs of a session's rate */
#define ROOST_TCP_RATE_GAP_MS    100 /* without having to wait: the peer keeps to its rate again */
#define ROOST_TCP_DISCARD_BYTES  262144 /* thrown away while lingering, at most */

typedef struct roost_tcp_server {
  roost_server server; /* first: a roost_tcp_server is a roost_server */
  roost_loop *loop;
  roost_listener *listener; /* NULL: none, or closed */
  roost_list sessions;      /* that are awake */
  roost_list spares;        /* sessions of no connection */
  roost_list tiring;        /* sessions, by their rest_link, that may be put to rest */
  size_t spare_count;
  roost_loop_hook flush; /* puts them to rest */
  roost_buffer packet;   /* what the codec made of the frame being dispatched */
  roost_buffer body;     /* what it makes of the packet being sent */
  roost_loop_hook end;   /* tells that all is over, in a later turn */
  uint8_t digits;        /* of the last reply's length: a guess for the next */
  bool is_secured;       /* it has been told how TLS is to be done */
  bool closing;          /* to be freed when the last session is gone */
} roost_tcp_server;

typedef enum roost_tcp_state {
  ROOST_TCP_OPEN,
  ROOST_TCP_LAST,     /* draining: what was received already is still dispatched */
  ROOST_TCP_ENDING,   /* nothing is dispatched any more; FIN once no reply is owed */
  ROOST_TCP_LINGERING /* FIN is sent, or follows what is queued */
} roost_tcp_state;

typedef struct roost_tcp_session {
  roost_origin origin;  /* first: a roost_tcp_session is a roost_origin */
  roost_list link;      /* in server->sessions, or its spares */
  roost_list rest_link; /* in server->tiring, or in none */
  roost_tcp_server *server;
  roost_conn *conn; /* owned by the loop; NULL: a spare one */
  roost_frame_reader reader;
  roost_slice *input;   /* what is being dispatched; NULL: nothing */
  unsigned frames_left; /* that may be dispatched from it in this turn */
  roost_buffer carry;
  size_t carried;         /* bytes of carry already taken */
  roost_loop_hook resume; /* goes on with what was carried over */
  roost_timer timer;      /* what for: its function says */
  roost_frame_mark mark;  /* of the reply being written */
  uint64_t tokens;        /* left of its rate: ROOST_TCP_TOKEN per message */
  uint64_t tokens_ms;     /* when they were last counted */
  uint64_t over_ms;       /* since when messages have had to wait for tokens */
  uint64_t over_last_ms;  /* when they last had to */
  size_t discarded;       /* bytes thrown away */
  size_t lingering_bytes; /* queued when the linger timer was last started */
  roost_tcp_state state;
  bool waiting;   /* until less is in flight, or queued to the peer, or its rate allows more */
  bool last_read; /* draining: what the kernel held was read */
  bool said_full; /* the line about max_in_flight was written */
  bool said_rate; /* the line about rate was written */
  bool masking;   /* the reply being written stands in the place of another one */
  bool is_closed; /* we have closed conn */
} roost_tcp_session;

/* tcp_rest.c: prepares what a server has for connections at rest, and frees it. */
void roost_tcp_rest_init(roost_tcp_server *server);
void roost_tcp_rest_deinit(roost_tcp_server *server);

/* Takes a connection: it is at rest until the first byte. */
void roost_tcp_rest_begin(roost_tcp_server *server, roost_conn *conn);

/* Has the session put to rest before this turn's replies are written, if it has nothing to do then.
 */
void roost_tcp_rest_soon(roost_tcp_session *session);

/* Drains, or closes, the server's connections that are at rest. */
void roost_tcp_rest_drain(roost_tcp_server *server);
void roost_tcp_rest_close(roost_tcp_server *server);

/* One without a connection, which roost_tcp_session_attach gives it. NULL: memory is short. */
roost_tcp_session *roost_tcp_session_new(roost_tcp_server *server);
void roost_tcp_session_attach(roost_tcp_session *session, roost_conn *conn);
void roost_tcp_session_free(roost_tcp_session *session);

/* True where nothing of it is running, waiting or half received, and nothing but its connection
 * makes it another one than a new session. */
bool roost_tcp_session_is_idle(const roost_tcp_session *session);

/* What has come from the peer: bytes, its FIN. */
void roost_tcp_session_take(roost_tcp_session *session, roost_slice bytes);
void roost_tcp_session_take_eof(roost_tcp_session *session);

/* Writes a line about why the connection has ended, where it is worth one. */
void roost_tcp_log_closed(roost_tcp_server *server, const roost_conn *conn, int status);

/* Stops reading, dispatches what was received already, and ends when nothing is owed. */
void roost_tcp_session_drain(roost_tcp_session *session);

/* Ends it at once. */
void roost_tcp_session_close(roost_tcp_session *session);

/* tcp_reply.c: the part of a session's roost_origin_ops that writes. */
roost_buffer *roost_tcp_reply_begin(roost_origin *origin, roost_reply_kind kind);
int roost_tcp_reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id);
void roost_tcp_reply_undo(roost_origin *origin);
void roost_tcp_reply_unhandled(roost_origin *origin, roost_slice id);

/* A connection has ended. */
void roost_tcp_server_released(roost_tcp_server *self);

/* One line, at most so many of a kind: server, peer (where address is given), err. */
void roost_tcp_log(roost_tcp_server *server, roost_log_level level, roost_log_kind kind,
                   const char *msg, const roost_address *peer, const char *err);

#endif
