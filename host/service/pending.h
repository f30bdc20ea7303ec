/*
 * service/pending.h - calls to other services: one outbound per client, and what waits in it.
 *
 * Start reading at roost_outbound_begin. Outbound: one client of this worker, named in the
 * configuration or made by a service: its connection, made by the first use, and every request and
 * event that is under way in it. Pending: one of these; a struct of the caller's that is told by
 * its ops what becomes of it, once for all: after failed, or the last reply, it is out of the
 * outbound. What is begun while there is no connection, or while it has enough to send, is held
 * until it may go: only that may be tried again. When a connection dies, all that is under way
 * fails at once. Watcher: somebody who wants to know when the connection comes and goes. The
 * worker's thread.
 */
#ifndef ROOST_SERVICE_PENDING_H
#define ROOST_SERVICE_PENDING_H

#include "core/list.h"
#include "core/slots.h"
#include "core/wheel.h"
#include "transport/transport.h"

typedef struct roost_outbound roost_outbound;
typedef struct roost_pending roost_pending;

typedef enum roost_outbound_state {
  ROOST_OUTBOUND_DOWN,
  ROOST_OUTBOUND_CONNECTING, /* also between two attempts */
  ROOST_OUTBOUND_UP
} roost_outbound_state;

typedef struct roost_pending_ops {
  /* A reply; borrowed. last: it is out, and may be used for something else. */
  void (*reply)(roost_pending *pending, const roost_reply *reply);
  /* An event was handed to the transport, and has been confirmed where the client does that; it is
   * out. */
  void (*sent)(roost_pending *pending);
  /* It is out. status: ETIMEDOUT; EGONE: the connection has ended; ECONNECT: it could not be made;
   * EFULL, ENOMEM; ESCRIPT: its serializer raised; EUNSUPPORTED: the transport cannot send it. why
   * is as roost_client_sink.on_closed has it. */
  void (*failed)(roost_pending *pending, int status, const char *why);
  /* Its time is over: the ms it has all the same, since whoever waits has got more meanwhile; 0:
   * none. NULL: none. */
  uint64_t (*more_ms)(const roost_pending *pending);
} roost_pending_ops;

struct roost_pending {
  roost_list link;          /* in outbound->waiting or ->held */
  roost_outbound *outbound; /* NULL: it is out */
  const roost_pending_ops *ops;
  const void *owner;   /* the caller's, for roost_outbound_drop */
  uint64_t slot;       /* of its id; 0: an event that nobody confirms */
  uint64_t token;      /* the client's, where is_sent */
  uint64_t timeout_ms; /* wait for the next reply; 0: none */
  uint64_t waited_ms;  /* of the first wait, before it was begun */
  roost_timer deadline;
  roost_buffer held;   /* what is to be sent: pattern, metadata, options, data */
  size_t pattern_len;  /* of held */
  size_t metadata_len; /* of held */
  size_t options_len;  /* of held */
  bool has_metadata;
  bool has_options;
  bool is_event;
  bool is_sent;        /* the client has taken it */
  bool holds;          /* its sender is to wait: too many of its replies are unread */
  roost_format format; /* of the data */
};

typedef struct roost_outbound_watcher {
  roost_list link; /* in outbound->watchers */
  /* why as roost_client_sink.on_closed has it; where the connection is there NULL, or, when that
   * has changed, "blocked" or "unblocked". */
  void (*changed)(struct roost_outbound_watcher *watcher, roost_outbound_state state, int status,
                  const char *why);
  /* The outbound is being freed: the last call, it watches nothing any more. */
  void (*gone)(struct roost_outbound_watcher *watcher);
} roost_outbound_watcher;

typedef struct roost_outbound_stats {
  uint64_t requests;
  uint64_t answered; /* with a value, or the end of a stream */
  uint64_t errors;   /* answered with one, or failed */
  uint64_t timeouts;
  uint64_t reconnects; /* connections after the first */
  uint64_t late;       /* replies nobody waited for any more */
} roost_outbound_stats;

/* Makes the client of a transport; handed down at construction. ENOMEM, EUNSUPPORTED. */
typedef int roost_client_open_fn(void *ud, roost_client **out, const roost_client_config *config,
                                 const roost_client_sink *sink, void *sink_ud);

struct roost_outbound {
  roost_list link; /* its owner's */
  const roost_alloc *alloc;
  roost_wheel *wheel;                /* borrowed */
  const roost_client_config *config; /* borrowed */
  roost_client *client;
  roost_outbound_state state;
  bool is_blocked;        /* its watchers were told so */
  bool is_paused;         /* the client reads nothing */
  uint32_t holding;       /* pendings with holds */
  roost_slots slots;      /* requests under way, by number */
  roost_list waiting;     /* roost_pending.link, sent and not answered */
  roost_list held;        /* begun and not sent yet, in order */
  size_t held_bytes;      /* of them */
  roost_pending *writing; /* between begin and end, straight to the client; NULL: none */
  roost_list writers;     /* tasks that wait until less is queued to be sent */
  roost_list watchers;
  roost_timer retry; /* the next attempt */
  unsigned attempts; /* made since it was last up or down */
  bool was_up;
  bool was_told;  /* watchers were: there is a last state to tell of */
  char prefix[5]; /* of ids: hex digits of this outbound's own */
  roost_outbound_stats stats;
};

typedef struct roost_outbound_config {
  const roost_alloc *alloc;
  roost_wheel *wheel;
  int (*random_bytes)(void *out, size_t len); /* 0 or an error */
  roost_client_open_fn *open;
  void *open_ud;
} roost_outbound_config;

/* Nothing is connected yet. client is borrowed for its life. ENOMEM, EUNSUPPORTED, ESYSTEM. */
int roost_outbound_new(roost_outbound **out, const roost_outbound_config *config,
                       const roost_client_config *client);

/* Fails what is pending with EGONE, lets go of its watchers and frees it. */
void roost_outbound_free(roost_outbound *outbound);

/* Begins to connect where that is not so yet. ENOMEM, EINVAL. */
int roost_outbound_connect(roost_outbound *outbound);

/* Ends the connection and fails what is pending; the next use connects again. */
void roost_outbound_close(roost_outbound *outbound);

/* Ends it like that, and has what open makes in the place of its client. ENOMEM, or as open. */
int roost_outbound_replace(roost_outbound *outbound, roost_client_open_fn *open, void *ud);

/* Begins a request, or an event where it wants no reply: append the data to the buffer in
 * pending->format, then end, or drop the pending, at once. said has the pattern and perhaps
 * metadata, JSON text, borrowed until then. pending->timeout_ms bounds the wait for each reply.
 * NULL where memory is short or too much is held already (*status says which: ENOMEM, EFULL). */
roost_buffer *roost_outbound_begin(roost_outbound *outbound, roost_pending *pending, bool reply,
                                   const roost_message *said, int *status);

/* Sends it, or holds it and connects. Returns 1 where an event was sent at once (its sent is not
 * called), 0 where ops will tell, ENOMEM, EINVAL, ESCRIPT or EUNSUPPORTED: it is out, and ops are
 * not called. */
int roost_outbound_end(roost_outbound *outbound, roost_pending *pending, const roost_message *said);

/* Says how many bytes of its replies are not read yet. From when that is over half of what a client
 * takes (max_buffer_size) until it is below a quarter the time for the next reply stands still, and
 * the sender waits: he is told to, or, where all that is under way has as much to read, the
 * connection is not read. */
void roost_pending_note_unread(roost_pending *pending, size_t bytes);

/* Lets go of one that may be pending: no op of it is called any more. */
void roost_pending_drop(roost_pending *pending);

/* The same for all of one owner's. */
void roost_outbound_drop(roost_outbound *outbound, const void *owner);

/* To be called before a pending is used for the first time. */
void roost_pending_init(roost_pending *pending, const roost_alloc *alloc,
                        const roost_pending_ops *ops);

/* Drops it and frees what it holds. */
void roost_pending_deinit(roost_pending *pending);

/* What was wrong where that has returned ESCRIPT or EUNSUPPORTED. */
const char *roost_outbound_why(const roost_outbound *outbound, int status);

/* True while the transport has enough to send. */
bool roost_outbound_crowded(const roost_outbound *outbound);

void roost_outbound_watch(roost_outbound *outbound, roost_outbound_watcher *watcher);

#endif
