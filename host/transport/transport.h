/*
 * transport/transport.h - where messages come from and where their replies go.
 *
 * Server: one entry of the configuration's servers. Origin: one peer of a server that messages
 * come from (for tcp: one connection; for a broker: its session). Sink: who takes the messages,
 * the service layer. Start reading at roost_sink_ops, then roost_origin_ops: the first is called by
 * transports, the second by the sink. Everything on the worker's thread.
 *
 * Ownership: a server owns its origins. The sink may keep a pointer to an origin from on_message
 * until on_gone with reachable = false returns; calls in flight are linked into origin->calls.
 */
#ifndef ROOST_TRANSPORT_TRANSPORT_H
#define ROOST_TRANSPORT_TRANSPORT_H

#include "core/log.h"
#include "net/conn.h"
#include "net/tls.h"
#include "wire/message.h"

typedef struct roost_server roost_server;
typedef struct roost_origin roost_origin;

/* One entry of servers, checked and with defaults filled; texts are owned by the configuration,
 * which outlives the server. Times in ms, sizes in bytes, 0 as stated. */
typedef struct roost_server_config {
  const char *name;      /* of the listener, for logs and status */
  const char *transport; /* "tcp" */
  const char *host;
  uint16_t port;                       /* 0: any free one */
  const roost_tls_config *tls;         /* NULL: none */
  uint64_t handshake_timeout;          /* of TLS; 0: none */
  const char *const *services;         /* names it exposes, NULL-terminated; NULL: all */
  bool wildcards;                      /* NATS rules on this server */
  size_t max_buffer_size;              /* one frame */
  uint64_t incomplete_message_timeout; /* 0: none */
  size_t max_send_buffer_size;         /* 0: no limit */
  size_t max_connections;              /* 0: no limit */
  size_t max_connections_per_ip;       /* 0: no limit */
  int backlog;
  uint32_t max_in_flight;  /* per connection; 0: no limit */
  uint32_t max_streams;    /* per connection; 0: no limit */
  uint64_t idle_timeout;   /* 0: none */
  unsigned retry_attempts; /* re-listen after the listener was lost */
  uint64_t retry_delay;
} roost_server_config;

/* Counters of one server; read by the same thread. */
typedef struct roost_server_stats {
  uint64_t connections; /* open now */
  uint64_t accepted;
  uint64_t denied; /* turned away by a limit */
  roost_conn_counters bytes;
} roost_server_stats;

typedef struct roost_sink_ops {
  /* A message came. EPROTO: its data is not JSON, so the frame was broken and nothing ran (the
   * transport ends the connection as for any framing error). Any other return is 0. */
  int (*on_message)(void *ud, roost_origin *origin, const roost_message *message);
  /* The peer left. reachable: replies already owed can still be sent (it only sent FIN); a second
   * call with false follows when it is over. After false the origin is freed. */
  void (*on_gone)(void *ud, roost_origin *origin, bool reachable);
  /* The send buffer was crowded and is below a quarter again. */
  void (*on_writable)(void *ud, roost_origin *origin);
} roost_sink_ops;

/* What the sink does with an origin. reply_begin, the value's JSON text appended to the buffer,
 * then reply_end or reply_undo; nothing else in between. id is the message's, JSON text. */
typedef struct roost_origin_ops {
  /* The buffer to append to; NULL where nobody listens any more or memory is short. */
  roost_buffer *(*reply_begin)(roost_origin *origin, roost_reply_kind kind);
  /* 0, EFULL (taken, but the send buffer is over half full), ENOMEM (nothing was sent). */
  int (*reply_end)(roost_origin *origin, roost_reply_kind kind, roost_slice id);
  void (*reply_undo)(roost_origin *origin);
  /* Nest's answer where no handler is registered. */
  void (*reply_unhandled)(roost_origin *origin, roost_slice id);
  /* in_flight or streams went down: reading may go on, a drained connection may close. */
  void (*eased)(roost_origin *origin);
  /* True while the send buffer is over half full. */
  bool (*crowded)(const roost_origin *origin);
  /* Addresses of both ends; NULL where the transport has none. */
  const roost_address *(*remote)(const roost_origin *origin);
  const roost_address *(*local)(const roost_origin *origin);
  /* What is known of the peer by TLS; borrowed for the origin's life. NULL where there is no TLS,
   * or memory is short. May be NULL. */
  const roost_tls_info *(*tls)(const roost_origin *origin);
  /* Drops the peer. */
  void (*close)(roost_origin *origin);
} roost_origin_ops;

struct roost_origin {
  const roost_origin_ops *ops;
  roost_server *server; /* it came in by */
  roost_list calls;     /* the sink's: calls of this origin that are running */
  uint32_t in_flight;   /* the sink's: calls that have not sent an item yet */
  uint32_t streams;     /* the sink's: calls that have */
  bool gone;            /* the peer sent FIN or is lost */
};

typedef struct roost_server_ops {
  /* Begins to accept messages. */
  int (*start)(roost_server *server);
  /* Stops accepting and reading; whole frames already received are still dispatched; each
   * connection gets its FIN when nothing of it is running; on_drained follows when all are gone. */
  void (*drain)(roost_server *server);
  /* Ends everything at once and frees the server in a later turn. */
  void (*close)(roost_server *server);
  /* Has connections accepted from now on begin with TLS. Holds context. */
  void (*secure)(roost_server *server, roost_tls_context *context);
} roost_server_ops;

struct roost_server {
  const roost_server_ops *ops;
  const roost_server_config *config; /* borrowed */
  roost_log *log;                    /* borrowed */
  const roost_sink_ops *sink;        /* borrowed */
  void *sink_ud;                     /* the sink's, one per server */
  roost_server_stats stats;
  roost_address address; /* bound to */
  bool draining;
  void (*on_drained)(void *ud, roost_server *server); /* may be NULL */
  void *on_drained_ud;
};

/* Binds the listener of a tcp server; it accepts nothing before ops->start, and where config->tls
 * is given nothing before ops->secure. *why is the error's name, as "EADDRINUSE", on failure.
 * ESYSTEM, ENOMEM, EINVAL. */
int roost_tcp_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                          roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                          const char **why);

/* A tcp server without a listener, for connections that are adopted. ENOMEM. */
int roost_tcp_server_new(roost_server **out, roost_loop *loop, const roost_server_config *config,
                         roost_log *log, const roost_sink_ops *sink, void *sink_ud);

/* Makes an origin of server from a connection nobody has set ops of (one end of a memory pair);
 * takes conn, also when it fails. ENOMEM, ESTATE (draining or closed). */
int roost_tcp_server_adopt(roost_server *server, roost_conn *conn);

/* Fills the defaults: tcp on localhost:3000, max_buffer_size 16 MiB and so on. */
void roost_server_config_init(roost_server_config *config);

#endif
