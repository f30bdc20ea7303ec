/*
 * service/call.h - one request or event in flight.
 *
 * Start reading at roost_call_start. A call pins its generation, owns its task, knows where its
 * replies go and when its time is over. What it was given is borrowed from the frame until it has
 * to outlive that (roost_call_keep).
 * Item: a reply of a stream. The latest one waits in the call until the next, the end, or the flush
 * of the turn, so that the end mark can ride on it.
 * Owed: a reply is still expected: not an event, not answered.
 * Ownership: the dispatch owns calls; a Lua call ends with its task, a C call with its last reply.
 */
#ifndef ROOST_SERVICE_CALL_H
#define ROOST_SERVICE_CALL_H

#include "core/log.h"
#include "service/generation.h"
#include "service/handler.h"
#include "transport/transport.h"

/* What becomes of the caller of a call that is forwarded. */
typedef enum roost_call_change {
  ROOST_CALL_LEAVING, /* he has, but can still be sent what is owed */
  ROOST_CALL_LEFT,    /* he has left, or nobody waits for what comes any more */
  ROOST_CALL_WRITABLE /* he can take more */
} roost_call_change;

struct roost_call {
  roost_list link; /* in origin->calls, or in dispatch->idle_calls; in none of them before */
  roost_list running_link; /* in dispatch->calls, from its first wait until it is released */
  roost_list flush;        /* in dispatch->items while an item waits */
  roost_dispatch *dispatch;
  roost_origin *origin;              /* NULL: the caller has left */
  const roost_server_config *server; /* it came in by */
  const roost_handler *handler;
  roost_generation *generation; /* pinned; NULL: a C handler's */
  roost_task *task;             /* of a Lua handler that waits */
  void *script;                 /* bind/'s: its ctx; NULL: none was made */
  int script_ref;               /* bind/'s: keeps it in the registry */
  roost_list waiters;           /* tasks to be woken when the caller can take more, or has left */
  roost_slice pattern;          /* JSON text as it came */
  roost_slice id;               /* JSON text */
  roost_slice metadata;         /* JSON text, or ptr NULL */
  roost_slice data;             /* as it came; borrowed until the handler returns */
  roost_format format;          /* of data */
  roost_format item_format;     /* of the item that waits */
  roost_buffer kept;            /* memory of the slices once they are kept */
  roost_buffer item;            /* the item that waits */
  roost_timer deadline;
  uint64_t started_ms; /* loop time when it came, or sent its last item */
  uint64_t started_us; /* when it came */
  uint64_t timeout_ms; /* wait for the next reply; 0: none */
  /* Told by a call whose handler has set it; NULL: nobody is. */
  void (*on_change)(roost_call *call, roost_call_change change);
  void *on_change_ud;
  roost_address peer;        /* of the caller, once it is kept */
  const roost_tls_info *tls; /* of the caller, held once it is kept; NULL: no TLS */
  uint32_t pins;             /* its own run, and tasks spawned in it */
  roost_outcome outcome;
  bool event;     /* no reply is wanted */
  bool forwarded; /* it runs on another worker, and counts there */
  bool counted;   /* in origin->in_flight or ->streams */
  bool streaming; /* an item was sent, or a stream is being sent */
  bool item_sent; /* counted in origin->streams, no longer in ->in_flight */
  bool answered;  /* the last reply has gone */
  bool item_waits;
  bool writing;   /* between reply_begin and its end or undo */
  bool finished;  /* a C handler has replied or failed it */
  bool abandoned; /* the caller has left, or the time is over */
  bool refused;   /* data is not JSON */
  bool running;   /* inside its C handler, or before the task's first wait */
  bool is_kept;
};

/* Runs handler for message. event: no reply whatever message->id is. Returns EPROTO where data is
 * not JSON (nothing ran then), else 0. */
int roost_call_start(roost_dispatch *dispatch, roost_origin *origin, const roost_message *message,
                     const roost_handler *handler, bool event);

/* What TLS knows of the caller; borrowed for the call's life. NULL: nothing. */
const roost_tls_info *roost_call_tls(const roost_call *call);

/* The last reply, in place: append the value's JSON text to the buffer, then end or undo. NULL
 * where no reply is owed or can be sent. A waiting item goes first. */
roost_buffer *roost_call_reply_begin(roost_call *call, roost_reply_kind kind);
void roost_call_reply_end(roost_call *call, roost_reply_kind kind);
void roost_call_reply_undo(roost_call *call);

/* The format in which the value of a reply or item may be written besides JSON; whoever uses it
 * says so to reply_end or item_end. */
roost_format roost_call_format(const roost_call *call);
void roost_call_set_format(roost_call *call, roost_format format);

/* Ends the replies without another value. */
void roost_call_reply_none(roost_call *call);

/* Ends the replies with {"status":"error","message":message}. */
void roost_call_reply_error(roost_call *call, roost_slice message);

/* Takes back one that was begun: an error has passed by. */
void roost_call_undo_open(roost_call *call);

/* The next item: append its JSON text to *buffer (nothing: undefined), then roost_call_item_end.
 * EGONE: nobody listens; EFULL: one stream too many (answered so); ENOMEM. */
int roost_call_item_begin(roost_call *call, roost_buffer **buffer);
void roost_call_item_end(roost_call *call);

/* True while items should wait: the caller's send buffer is over half full. */
bool roost_call_crowded(const roost_call *call);

/* True where a reply may still be sent. */
bool roost_call_owed(const roost_call *call);

/* The caller takes a stream from now on, though no item was sent yet: it ends when he leaves. */
void roost_call_set_streaming(roost_call *call);

/* Sends the item that waits. */
void roost_call_flush(roost_call *call);

/* No item waits any more, if one did. */
void roost_call_drop_item(roost_call *call);

/* The caller has left (see roost_sink_ops.on_gone). */
void roost_call_gone(roost_call *call, bool reachable);

/* The caller's send buffer has room again. */
void roost_call_writable(roost_call *call);

/* Ends the call of a C handler, now or when the handler returns. */
void roost_call_finish(roost_call *call);

/* The handler is done: nothing more will be sent, and the call goes when its pins do. */
void roost_call_end(roost_call *call);

/* Whether a task is that of a call's handler. */
bool roost_call_serves(const roost_task *task);

/* A task spawned in a call may outlive it: while it is pinned, what it was given stays. */
void roost_call_pin(roost_call *call);
void roost_call_unpin(roost_call *call);

/* Cut off by a drain: answers "Service is shutting down" and cancels. */
void roost_call_cut(roost_call *call);

/* Frees calls that are kept for reuse, and C calls nobody answered. */
void roost_call_free_all(roost_dispatch *dispatch);

/* Starts its deadline, from started_ms on. */
void roost_call_arm(roost_call *call);

/* Loop time at which its wait for the next reply is over; UINT64_MAX: never. */
uint64_t roost_call_due_ms(const roost_call *call);

/* What its handler raised, or answered, is an error: where nothing else ended it before. */
void roost_call_set_failed(roost_call *call);

/* Adds service, gen, server, peer, req and pattern to a line. */
void roost_call_log_fields(const roost_call *call, roost_log_line *line);

/* Logs and counts what its handler raised. */
void roost_call_log_failure(roost_call *call, roost_slice error, roost_slice trace);

#endif
