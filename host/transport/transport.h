/*
 * transport/transport.h - where messages come from and where their replies go.
 *
 * Server: one entry of the configuration's servers: a listener, or a session with a broker. Origin:
 * where a message comes from and its replies go (for tcp: one connection; for a broker: the one
 * message, see transport/delivery.h). Sink: who takes the messages, the service layer. Start
 * reading at roost_sink_ops, then roost_origin_ops: the first is called by transports, the second
 * by the sink. Everything on the worker's thread.
 *
 * Ownership: a server owns its origins. The sink may keep a pointer to an origin from on_message
 * until on_gone with reachable = false returns; calls in flight are linked into origin->calls.
 */
#ifndef ROOST_TRANSPORT_TRANSPORT_H
#define ROOST_TRANSPORT_TRANSPORT_H

#include "core/log.h"
#include "net/conn.h"
#include "net/tls.h"
#include "transport/allow.h"
#include "wire/frame.h"
#include "wire/message.h"

/* Unless configured otherwise: bytes of one message, and of what a peer has not read. */
#define ROOST_BUFFER_BYTES_DEFAULT 16777216

typedef struct roost_server roost_server;
typedef struct roost_origin roost_origin;
typedef struct roost_codec roost_codec;

/* What stands between packets and the bodies of frames, where these are not the packets' JSON text.
 * Owned by whoever made it; it outlives servers and clients. ESCRIPT (why says what was wrong),
 * ENOMEM; what was appended until then is to be ignored. */
struct roost_codec {
  /* Appends the packet, JSON text, that a frame's body stands for; NULL: the body itself. */
  int (*read)(roost_codec *codec, roost_slice body, roost_buffer *packet);
  /* Appends the body of the frame that a packet, JSON text, is sent in; NULL: the packet itself. */
  int (*write)(roost_codec *codec, roost_slice packet, roost_buffer *body);
  const char *why;  /* of the last failure; the text may change with the next */
  bool takes_bytes; /* read wants bodies as they came, UTF-8 or not */
};

/* How many messages a connection may send; both 0: as many as it likes. */
typedef struct roost_rate {
  uint32_t per_second; /* in the long run */
  uint32_t burst;      /* at once, after a pause */
} roost_rate;

/* One entry of servers, checked and with defaults filled; texts are owned by the configuration,
 * which outlives the server. Times in ms, sizes in bytes, 0 as stated. */
typedef struct roost_server_config {
  const char *name;      /* of the listener, for logs and status */
  const char *transport; /* "tcp", or a broker's */
  const void *options;   /* the transport's own, as its header has them; NULL: it has none */
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
  roost_rate rate;         /* per connection */
  uint32_t max_streams;    /* per connection; 0: no limit */
  uint64_t idle_timeout;   /* 0: none */
  unsigned retry_attempts; /* re-listen after the listener was lost */
  uint64_t retry_delay;
  roost_framing framing;
  const char *serializer; /* modules, as bind/serializer.h has them; NULL: JSON */
  const char *deserializer;
  const roost_allow *allow; /* NULL: everybody may do everything */
  uint64_t mark;            /* the same for all that has the same in it but for tls, allow, rate */
} roost_server_config;

/* Counters of one server; read by the same thread. */
typedef struct roost_server_stats {
  uint64_t connections; /* open now */
  uint64_t accepted;
  uint64_t denied; /* connections turned away by a limit, messages refused by allow */
  roost_conn_counters bytes;
} roost_server_stats;

typedef enum roost_server_event {
  ROOST_SERVER_LISTENING,  /* or connected to its broker */
  ROOST_SERVER_CONNECTION, /* of peer */
  ROOST_SERVER_LOST,       /* its listener or its broker, and why; it may be there again later */
  ROOST_SERVER_RETRYING,   /* after that: it tries to connect again */
  ROOST_SERVER_DRAINING,   /* it accepts nothing any more */
  ROOST_SERVER_BLOCKED,    /* its broker takes no messages for now, and why */
  ROOST_SERVER_UNBLOCKED   /* it does again */
} roost_server_event;

/* Somebody who wants to know what becomes of a server. */
typedef struct roost_server_watcher {
  roost_list link; /* in server->watchers */
  /* peer and why where the event says so, else NULL and "". */
  void (*told)(struct roost_server_watcher *watcher, roost_server_event event,
               const roost_address *peer, const char *why);
  /* The server is being closed: the last call, it watches nothing any more. */
  void (*gone)(struct roost_server_watcher *watcher);
} roost_server_watcher;

typedef struct roost_sink_ops {
  /* A message came. EPROTO: its pattern or its data is not JSON, so the frame was broken and
   * nothing ran (the transport ends the connection as for any framing error). Any other return is
   * 0. */
  int (*on_message)(void *ud, roost_origin *origin, const roost_message *message);
  /* The peer left. reachable: replies already owed can still be sent (it only sent FIN); a second
   * call with false follows when it is over. After false the origin is freed. */
  void (*on_gone)(void *ud, roost_origin *origin, bool reachable);
  /* The send buffer was crowded and is below a quarter again. */
  void (*on_writable)(void *ud, roost_origin *origin);
  /* How data for a pattern (JSON text) may come: packed where all that take it are Lua. */
  roost_format (*format)(void *ud, roost_slice pattern);
} roost_sink_ops;

/* What becomes of a message that a broker keeps until it is told. */
typedef enum roost_settlement {
  ROOST_SETTLE_ACK,       /* its handlers have returned */
  ROOST_SETTLE_NACK,      /* one of them has failed */
  ROOST_SETTLE_REQUEUE,   /* it is to come again: by hand, or cut off by a drain */
  ROOST_SETTLE_UNHANDLED, /* there is no handler for it, or nobody may send it */
  ROOST_SETTLE_BROKEN     /* its data is not JSON */
} roost_settlement;

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
  /* The message that came after the one being handed over, if it is there and may be dispatched
   * now; it is handed over by that, its bytes and the other one's valid until the next or until
   * on_message returns. May be NULL. */
  bool (*next)(roost_origin *origin, roost_message *message);
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
  /* A call of it has failed (NACK), or was cut off by a drain (REQUEUE); eased follows. May be
   * NULL.
   */
  void (*failed)(roost_origin *origin, roost_settlement how);
  /* Tells the broker by hand what becomes of the message, where origin->settles; false where it was
   * told already. */
  bool (*settle)(roost_origin *origin, roost_settlement how);
  /* Appends what the driver knows of the message, a JSON object. ENOMEM. May be NULL. */
  int (*facts)(const roost_origin *origin, roost_buffer *out);
} roost_origin_ops;

struct roost_origin {
  const roost_origin_ops *ops;
  roost_server *server;      /* it came in by */
  roost_list calls;          /* the sink's: calls of this origin that are running */
  uint32_t in_flight;        /* the sink's: calls that have not sent an item yet */
  uint32_t streams;          /* the sink's: calls that have */
  bool gone;                 /* the peer sent FIN or is lost */
  bool takes_packed;         /* values of replies may be packed */
  bool settles;              /* there is somebody to be told what becomes of the message */
  roost_format value_format; /* of the value being written; JSON after reply_begin */
};

/* A route that some handler of a server is registered for. Texts are borrowed. */
typedef struct roost_subscription {
  roost_slice route; /* the normalised pattern */
  const char *queue; /* of its first handler that says one; NULL: the server's */
  int qos;           /* likewise; -1: the server's */
  bool message;      /* it has a message handler */
  bool event;        /* it has event handlers */
} roost_subscription;

typedef struct roost_server_ops {
  /* Begins to accept messages. */
  int (*start)(roost_server *server);
  /* Stops accepting and reading; whole frames already received are still dispatched; each
   * connection gets its FIN when nothing of it is running; on_drained follows when all are gone. */
  void (*drain)(roost_server *server);
  /* Ends everything at once and frees the server in a later turn. */
  void (*close)(roost_server *server);
  /* Has connections accepted from now on begin with TLS. Holds context. NULL where none are. */
  void (*secure)(roost_server *server, roost_tls_context *context);
  /* Says what its routes are now, in order of registration: before start, and whenever that has
   * changed. Borrowed for the call. ENOMEM: those it has not subscribed to are tried again with the
   * next call, or when it connects. NULL: it takes whatever comes. */
  int (*subscribe)(roost_server *server, const roost_subscription *routes, size_t count);
  /* The socket that listens; -1: it has none now. NULL: never. */
  int (*descriptor)(const roost_server *server);
} roost_server_ops;

struct roost_server {
  const roost_server_ops *ops;
  const roost_server_config *config; /* borrowed */
  roost_log *log;                    /* borrowed */
  const roost_sink_ops *sink;        /* borrowed */
  void *sink_ud;                     /* the sink's, one per server */
  roost_codec *codec;                /* borrowed, set before start; NULL: JSON */
  roost_server_stats stats;
  roost_address address; /* bound to */
  int64_t cert_expires;  /* its certificate, in seconds since 1970; 0: it has none */
  roost_list watchers;
  bool listening; /* accepts messages */
  bool draining;
  void (*on_drained)(void *ud, roost_server *server); /* may be NULL */
  void *on_drained_ud;
};

/* For transports: notes the event and tells the server's watchers; the second: it is being closed.
 */
void roost_server_tell(roost_server *server, roost_server_event event, const roost_address *peer,
                       const char *why);
void roost_server_let_go(roost_server *server);

/* Binds the listener of a tcp server; it accepts nothing before ops->start, and where config->tls
 * is given nothing before ops->secure. *why is the error's name, as "EADDRINUSE", on failure.
 * ESYSTEM, ENOMEM, EINVAL. */
int roost_tcp_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                          roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                          const char **why);

/* A tcp server for connections that another loop's accepts, which is bound to address. ENOMEM. */
int roost_tcp_server_open_shared(roost_server **out, roost_loop *loop,
                                 const roost_server_config *config, const roost_address *address,
                                 roost_log *log, const roost_sink_ops *sink, void *sink_ud);

/* Has the server, made by roost_tcp_server_open, spread its connections over its own loop and those
 * of others; see roost_listener_share, also for count 0. ENOMEM. */
int roost_tcp_server_share(roost_server *server, roost_server *const *others, size_t count,
                           size_t *held);

/* A tcp server without a listener, for connections that are adopted. ENOMEM. */
int roost_tcp_server_new(roost_server **out, roost_loop *loop, const roost_server_config *config,
                         roost_log *log, const roost_sink_ops *sink, void *sink_ud);

/* Makes an origin of server from a connection nobody has set ops of (one end of a memory pair);
 * takes conn, also when it fails. ESTATE (draining or closed). */
int roost_tcp_server_adopt(roost_server *server, roost_conn *conn);

/* ------------------------------------------------------------------------- clients ----------- */

typedef struct roost_client roost_client;
typedef struct roost_dialer roost_dialer;

/* Where a client may find its server. */
typedef struct roost_endpoint {
  const char *host;
  uint16_t port;
} roost_endpoint;

/* One entry of clients, or a table given to roost.client, checked and with defaults filled; texts
 * outlive the client. Times in ms, sizes in bytes, 0 as stated. */
typedef struct roost_client_config {
  const char *name;      /* of a named one; NULL: made from a table */
  const char *transport; /* "tcp", "local", or a broker's */
  const void *options;   /* the transport's own, as its header has them; NULL: it has none */
  const char *host;
  uint16_t port;
  const roost_endpoint *others; /* tried in turn where that one takes no connection */
  size_t other_count;
  const roost_tls_config *tls; /* NULL: none */
  uint64_t timeout;            /* wait for the next reply, where a call says none; 0: none */
  unsigned retry_attempts;     /* to connect again, for what was never sent */
  uint64_t retry_delay;        /* before the first of them; doubled by each */
  size_t max_buffer_size;      /* one frame */
  uint64_t incomplete_message_timeout; /* 0: none */
  size_t max_send_buffer_size;         /* 0: no limit */
  roost_framing framing;
  const char *serializer; /* modules, as bind/serializer.h has them; NULL: JSON */
  const char *deserializer;
  uint64_t mark; /* of a named one: the same for all that has the same in it */
  bool json;     /* local: values are JSON text both ways, for a caller in C */
} roost_client_config;

/* What a client tells. All on the loop's thread, never from inside a call of the sink's. */
typedef struct roost_client_sink {
  void (*on_open)(void *ud);
  /* Borrowed for the call. */
  void (*on_reply)(void *ud, const roost_reply *reply);
  /* The connection could not be made (ECONNECT), or has ended (EGONE, EPROTO); why lives as
   * long as the client: where the system said it the error's name, or "ETLS: " and what is wrong.
   */
  void (*on_closed)(void *ud, int status, const char *why);
  /* The send buffer was crowded and is below a quarter again; or the client's is_blocked is another
   * one. */
  void (*on_writable)(void *ud);
} roost_client_sink;

/* What its owner does with a client. */
typedef struct roost_client_ops {
  bool routes_events; /* an event goes out with its route, as text, in the place of its pattern */
  /* Begins to connect; on_open or on_closed follows in a later turn. ENOMEM, EINVAL. */
  int (*connect)(roost_client *client);
  /* How data for a pattern (JSON text) is to be written. NULL: as JSON. */
  roost_format (*format)(const roost_client *client, roost_slice pattern);
  /* While it is open: begin, the data appended to the buffer in head's format, then end or
   * undo, nothing in between. head has pattern, metadata, options and the id (ptr NULL: an event),
   * and for end the format. NULL where memory is short; end: ENOMEM, ESCRIPT (the codec's
   * why says what was wrong; nothing was sent), EUNSUPPORTED (the client's refusal says what cannot
   * be sent so). */
  roost_buffer *(*begin)(roost_client *client, const roost_message *head);
  int (*end)(roost_client *client, const roost_message *head);
  void (*undo)(roost_client *client);
  /* A request that end has taken is over: it was answered, or nobody waits any more, also because
   * the connection has ended. token: what end left in client->token. May be NULL. */
  void (*forget)(roost_client *client, uint64_t token);
  /* on: whoever reads the replies to a request has enough of them, so that no more are to be made;
   * else he can take more again. token: as for forget. NULL: its sender cannot be told. */
  void (*hold)(roost_client *client, uint64_t token, bool on);
  /* on: nothing is read any more, until it is off again. NULL: that cannot be done without. */
  void (*pause)(roost_client *client, bool on);
  /* True while the send buffer is over half full. */
  bool (*crowded)(const roost_client *client);
  /* Ends the connection once what was handed over is sent, or stops making it; no on_closed
   * follows. */
  void (*close)(roost_client *client);
  /* Says that requests with this pattern (JSON text) will be sent, where replies need a
   * subscription made beforehand. 1: it is being made, call again to see whether it is; 0: it is,
   * or will be with the connection; EUNSUPPORTED (the client's refusal says why), ENOMEM, EINVAL.
   * NULL: nothing need be said. */
  int (*expect)(roost_client *client, roost_slice pattern);
  /* Closes and frees it; the loop goes on with what is still to be sent. */
  void (*free)(roost_client *client);
} roost_client_ops;

struct roost_client {
  const roost_client_ops *ops;
  const roost_client_config *config; /* borrowed */
  const roost_client_sink *sink;     /* borrowed */
  void *sink_ud;
  roost_codec *codec;   /* borrowed, set before connect; NULL: JSON */
  const char *refusal;  /* why the last end has returned EUNSUPPORTED; the client's */
  bool confirms;        /* an event is not over when it was handed over: head.confirm is its id,
                           and a last reply with it says it is safe, or with an error, not */
  bool is_blocked;      /* the broker takes no messages for now */
  uint64_t token;       /* the client's, of the request that the last end took, for forget */
  roost_dialer *dialer; /* of its connection (transport/link.h); NULL: it has none of ours */
};

/* Makes a connection in the place of roost_conn_dial, as that does; 1: it is open already, as one
 * in memory is; ECONNECT: refused. For tests, before it connects; of a client with a dialer. */
typedef int roost_dial_fn(void *ud, roost_conn **out, const roost_conn_ops *ops, void *ops_ud);
void roost_client_set_dial(roost_client *client, roost_dial_fn *fn, void *ud);

/* Where it is connected, or was last tried; host NULL: nowhere in particular. */
roost_endpoint roost_client_place(const roost_client *client);

/* Addresses of both ends and the descriptor of an open connection, and what is known of the server
 * by TLS; borrowed until that ends. NULL and -1 where there are none. */
const roost_address *roost_client_remote(const roost_client *client);
const roost_address *roost_client_local(const roost_client *client);
int roost_client_descriptor(const roost_client *client);
const roost_tls_info *roost_client_tls(const roost_client *client);

/* A client of a Nest TCP server; it connects when told. ENOMEM. */
int roost_tcp_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                         const roost_client_sink *sink, void *sink_ud);

/* A client of the services behind sink, on this worker; server says what they see of where it comes
 * from. ENOMEM. */
int roost_local_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                           const roost_server_config *server, const roost_sink_ops *sink,
                           void *sink_ud, const roost_client_sink *client_sink,
                           void *client_sink_ud);

/* ------------------------------------------------------------------------- brokers ----------- */

/* Where a broker is, and who one is there: what a broker's options begin with. Texts are never
 * logged but for host and port. */
typedef struct roost_broker {
  roost_endpoint endpoint;
  const roost_endpoint *others; /* tried in turn where that one takes no connection */
  size_t other_count;
  bool by_tls;                 /* the URL's scheme said so */
  const char *user;            /* of the URL; NULL: none */
  const char *password;        /* likewise */
  const char *path;            /* likewise, without its slash: a virtual host, or a database */
  const roost_tls_config *tls; /* NULL: none */
} roost_broker;

/* ------------------------------------------------------------------------- registry ---------- */

/* A kind of transport that configurations name. */
typedef struct roost_transport {
  const char *name;
  /* Opens a server: binds a listener (as roost_tcp_server_open), or makes a session that connects
   * when it is started. *why is what is wrong, on failure. ESYSTEM, EINVAL, ENOMEM. */
  int (*open_server)(roost_server **out, roost_loop *loop, const roost_server_config *config,
                     roost_log *log, const roost_sink_ops *sink, void *sink_ud, const char **why);
  /* Makes a client that connects when told. ENOMEM, EINVAL. */
  int (*new_client)(roost_client **out, roost_loop *loop, const roost_client_config *config,
                    const roost_client_sink *sink, void *sink_ud);
  /* Looks at the files that an entry's options name, besides certificates; NULL: they name none.
   * ECONFIG, and why is the key and what is wrong; ENOMEM. */
  int (*check_files)(const void *options, const roost_alloc *alloc, char *why, size_t why_size);
  bool listens; /* its server binds an address, and takes connections; else it is a broker's */
} roost_transport;

/* NULL: it is not in this build. Any thread. */
const roost_transport *roost_transport_find(const char *name);

/* Those in this build, the last one NULL. Any thread. */
extern const roost_transport *const roost_transports[];

/* Fills the defaults: tcp to 127.0.0.1:3000, no time-out, no retry and so on. */
void roost_client_config_init(roost_client_config *config);

/* Fills the defaults: tcp on localhost:3000, max_buffer_size 16 MiB and so on. */
void roost_server_config_init(roost_server_config *config);

#endif
