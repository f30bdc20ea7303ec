/*
 * transport/nats_server.h - the session of a server with a NATS server, for the nats files alone.
 * Start reading at nats_message.c, on_message.
 *
 * Session: one connection that all messages of the server come by, and all replies go by. Sub: one
 * route that is subscribed to. Delivery: one message (transport/delivery.h). Durable: the way of
 * the events of a route that are kept in a stream (nats_durable.c); other messages come as they are
 * published, or are lost. Away: no connection is ready; what is to be sent is held until one is.
 * Late: the reply to a message of an earlier connection; it is held for some time more, until who
 * waits for it should have connected again, too. Crowd: messages that came while enough of them
 * run, held in order up to a limit. The worker's thread.
 */
#ifndef ROOST_TRANSPORT_NATS_SERVER_H
#define ROOST_TRANSPORT_NATS_SERVER_H

#include "transport/delivery.h"
#include "transport/nats_internal.h"

#define ROOST_NATS_CROWD_MAX 65536 /* messages in a crowd */

typedef struct roost_nats_durable roost_nats_durable;

typedef struct roost_nats_sub {
  char *route;  /* owned */
  char *queue;  /* owned; NULL: none */
  uint64_t sid; /* 0: nothing but its durable brings messages */
  bool message; /* a handler of this kind is there */
  bool event;
  bool wanted;                 /* while routes are compared: it is still there */
  roost_nats_durable *durable; /* owned; NULL: none */
} roost_nats_sub;

typedef struct roost_nats_server {
  roost_server server; /* first: a roost_nats_server is a roost_server */
  roost_loop *loop;
  const roost_nats_options *options; /* borrowed */
  roost_nats_conn conn;
  roost_delivery_pool pool;
  roost_nats_sub **subs; /* owned */
  size_t sub_count;
  size_t sub_cap;
  uint64_t last_sid;
  roost_list crowd; /* held messages */
  size_t crowd_count;
  size_t crowd_bytes;
  roost_loop_hook resume; /* goes on with the crowd */
  roost_loop_hook end;    /* tells that all is over, in a later turn */
  roost_timer retry;      /* connects again */
  roost_timer grace;      /* of a drain */
  unsigned attempts;      /* to connect, since the last connection */
  uint64_t drain_ping;    /* conn.pongs must have come to this */
  bool flushing;          /* a drain waits for the last of what was sent */
  bool drained;
  bool closing;
  bool masking;         /* the reply being written stands in the place of another one */
  uint64_t life;        /* number of the connection */
  roost_timer late;     /* until late replies are sent */
  roost_timer look;     /* at streams that were not there, and at events that take long */
  roost_nats_mark mark; /* of the message being written */
  roost_buffer *out;    /* where to */
  roost_buffer away;    /* what is to be sent once there is a connection */
  roost_buffer replies; /* that are late */
  roost_buffer pattern; /* of the message being dispatched, JSON text, as the next */
  roost_buffer metadata;
  roost_buffer packet;
  roost_buffer body; /* what the codec makes of a packet */
} roost_nats_server;

typedef struct roost_nats_delivery {
  roost_delivery delivery;     /* first: a roost_nats_delivery is a roost_delivery */
  roost_buffer reply;          /* subject of its replies, or of a durable's acknowledgements */
  roost_buffer subject;        /* it came by; a durable's only */
  roost_buffer content;        /* block and payload of one that may become a dead letter */
  size_t block_bytes;          /* of content */
  uint64_t life;               /* of the connection that it came by */
  bool kept;                   /* it is in a stream: what becomes of it is told */
  roost_nats_durable *durable; /* it came from; NULL: none, or that is gone */
  uint64_t tries;              /* times it was delivered; 1: this is the first */
  uint64_t sequence;           /* in its stream */
} roost_nats_delivery;

/* What a message is made of; all borrowed. */
typedef struct roost_nats_input {
  const roost_nats_sub *sub;
  roost_slice subject;
  roost_slice reply; /* ptr NULL: no answer is wanted */
  roost_slice block; /* ptr NULL: it has none */
  roost_slice payload;
} roost_nats_input;

/* nats_message.c: of the conn's ops. */
void roost_nats_server_on_message(void *ud, const roost_nats_op *op);

/* Dispatches what is held, as far as there is room. */
void roost_nats_server_resume(void *ud);

/* Enough runs, or is queued to be sent. */
bool roost_nats_server_full(const roost_nats_server *self);

/* Forgets what is held. */
void roost_nats_server_drop_crowd(roost_nats_server *self);

/* Reads input into message, with its texts in the session's buffers. 1; 0 where it is no message
 * for a handler: it was said, and answered where there is somebody to answer. */
int roost_nats_server_read(roost_nats_server *self, const roost_nats_input *input,
                           roost_message *message);

/* The data of a message that was dispatched is no JSON. */
void roost_nats_server_broken(roost_nats_server *self, const roost_nats_delivery *delivery);

/* nats_reply.c: of the deliveries' ops. */
extern const roost_delivery_ops roost_nats_delivery_ops;

/* Where operations are appended to be sent now, or once there is a connection; NULL: too much is
 * waiting for one already. */
roost_buffer *roost_nats_server_out(roost_nats_server *self);

/* Sends the replies that are late; it is ready. ENOMEM. */
int roost_nats_server_send_late(roost_nats_server *self);

/* Has what was appended to that be sent. */
void roost_nats_server_sent(roost_nats_server *self);

/* Answers with an error, a text, somebody whose message has no id that could be read. */
void roost_nats_server_refuse(roost_nats_server *self, roost_slice inbox, const char *text);

/* Publishes bytes. ENOMEM, EFULL. */
int roost_nats_server_publish(roost_nats_server *self, roost_slice subject, roost_slice reply,
                              roost_slice payload);

/* nats_subscribe.c: of the server's ops. */
int roost_nats_server_subscribe(roost_server *server, const roost_subscription *routes,
                                size_t count);

/* Subscribes to all routes on a connection that is new. ENOMEM. */
int roost_nats_server_subscribe_all(roost_nats_server *self);
void roost_nats_server_unsubscribe_all(roost_nats_server *self);
void roost_nats_server_free_subs(roost_nats_server *self);
roost_nats_sub *roost_nats_server_find(const roost_nats_server *self, uint64_t sid);

/* nats.c: one line, at most so many of a kind: server, subject (where len > 0), err. */
void roost_nats_server_log(roost_nats_server *self, roost_log_level level, roost_log_kind kind,
                           const char *msg, roost_slice subject, const char *err);

/* Something is over: a drain may go on. */
void roost_nats_server_eased(void *ud);

#endif
