/*
 * transport/tcp_internal.h - the Nest TCP server, for the tcp files alone. Start reading at
 * tcp_session.c, take_bytes.
 *
 * Server: a listener (none in tests) and its sessions. Session: one connection, the origin of what
 * it sends. Carry: bytes that were read but whose turn has not come: a session dispatches at most
 * ROOST_TCP_FRAMES frames a turn, and none while too much of it is in flight, its send buffer is
 * crowded, or its rate is used up. Linger: after our FIN the rest of what the peer sends is thrown
 * away, for a while, since closing on unread bytes would destroy replies that are still under way.
 * A session is owned by its server and freed when its conn reports the end.
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
  roost_list sessions;
  roost_buffer packet; /* what the codec made of the frame being dispatched */
  roost_buffer body;   /* what it makes of the packet being sent */
  roost_loop_hook end; /* tells that all is over, in a later turn */
  bool is_secured;     /* it has been told how TLS is to be done */
  bool closing;        /* to be freed when the last session is gone */
} roost_tcp_server;

typedef enum roost_tcp_state {
  ROOST_TCP_OPEN,
  ROOST_TCP_LAST,     /* draining: what was received already is still dispatched */
  ROOST_TCP_ENDING,   /* nothing is dispatched any more; FIN once no reply is owed */
  ROOST_TCP_LINGERING /* FIN is sent, or follows what is queued */
} roost_tcp_state;

typedef struct roost_tcp_session {
  roost_origin origin; /* first: a roost_tcp_session is a roost_origin */
  roost_list link;     /* in server->sessions */
  roost_tcp_server *server;
  roost_conn *conn; /* owned by the loop, there as long as the session */
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
  uint8_t digits; /* of the last reply's length: a guess for the next */
  bool waiting;   /* until less is in flight, or queued to the peer, or its rate allows more */
  bool last_read; /* draining: what the kernel held was read */
  bool said_full; /* the line about max_in_flight was written */
  bool said_rate; /* the line about rate was written */
  bool masking;   /* the reply being written stands in the place of another one */
  bool is_closed; /* we have closed conn */
} roost_tcp_session;

/* Makes a session of a connection, or closes it. ENOMEM. */
int roost_tcp_session_new(roost_tcp_server *server, roost_conn *conn);

/* Stops reading, dispatches what was received already, and ends when nothing is owed. */
void roost_tcp_session_drain(roost_tcp_session *session);

/* Ends it at once. */
void roost_tcp_session_close(roost_tcp_session *session);

/* tcp_reply.c: the part of a session's roost_origin_ops that writes. */
roost_buffer *roost_tcp_reply_begin(roost_origin *origin, roost_reply_kind kind);
int roost_tcp_reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id);
void roost_tcp_reply_undo(roost_origin *origin);
void roost_tcp_reply_unhandled(roost_origin *origin, roost_slice id);

/* A session has freed itself. */
void roost_tcp_server_released(roost_tcp_server *self);

/* One line, at most so many of a kind: server, peer (where address is given), err. */
void roost_tcp_log(roost_tcp_server *server, roost_log_level level, roost_log_kind kind,
                   const char *msg, const roost_address *peer, const char *err);

#endif
