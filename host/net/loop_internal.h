/*
 * net/loop_internal.h - the loop's struct, for the files of net/ alone. Start at net/loop.h.
 *
 * Fresh: the wheel has been advanced to this turn's time. Spare: an outbox (net/conn_internal.h)
 * that no connection has now, kept with its buffer for the next one that writes.
 * Round: of polls with a quota, until each connection that had something to read has been read.
 * The loop owns every conn in conns, every listener in listeners and every poll in polls.
 */
#ifndef ROOST_NET_LOOP_INTERNAL_H
#define ROOST_NET_LOOP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "core/buffer.h"
#include "net/conn.h"
#include "net/loop.h"

#define ROOST_LOOP_READ_BYTES   262144 /* one read takes at most this */
#define ROOST_LOOP_INHERITED    16
#define ROOST_LOOP_SPARES       64      /* kept */
#define ROOST_LOOP_SPARE_BYTES  262144  /* larger buffers are freed */
#define ROOST_LOOP_SPARES_BYTES 1048576 /* kept in all */

struct roost_tls_buffers;

typedef struct roost_outbox roost_outbox;

struct roost_loop {
  const roost_alloc *alloc; /* borrowed */
  roost_clock *clock;       /* borrowed */
  uv_loop_t uv;
  uv_prepare_t prepare; /* flush before sleeping */
  uv_check_t check;     /* flush after I/O */
  uv_idle_t idle;       /* runs only while something is deferred: keeps the loop from sleeping */
  uv_timer_t timer;     /* wakes the loop for the wheel */
  uv_timer_t guard;     /* bounds the sleep of one poll */
  uv_async_t async;     /* wakes the loop for posted work */
  uint64_t armed_ms;    /* what timer is set to, UINT64_MAX: not running */
  roost_wheel wheel;
  uint64_t now_us; /* time of this turn */
  bool fresh;      /* see above */
  bool inside;     /* run or poll is on the stack */
  bool polling;    /* inside poll, which ends with the first thing done */
  bool stopping;   /* roost_loop_stop was called */
  bool freeing;    /* posted work is not run any more */
  size_t inherited_count;
  int inherited[ROOST_LOOP_INHERITED]; /* sockets that listen and nobody has taken yet */
  roost_sockets *sockets;              /* borrowed; NULL: they are not counted */
  uint32_t quota_us;                   /* 0: none */
  uint64_t spent_us;          /* real time at which this poll's is used up; 0: it has none */
  uint32_t round;             /* grows */
  uint32_t reads;             /* connections that were read in this turn */
  bool passed_over;           /* some were not, for the quota */
  bool catches_up;            /* some were not in the turn before: they go first */
  roost_list flush_hooks;     /* run at every flush */
  roost_list deferred;        /* run in the next turn */
  roost_list closing_hooks;   /* run when the loop is freed */
  roost_list dirty;           /* outbox of conns to be written */
  roost_list conns;           /* all of them */
  size_t conn_count;          /* of conns */
  roost_list listeners;       /* all of them */
  roost_list polls;           /* all of them */
  size_t pending;             /* conns, listeners, polls, pipes and lookups not yet freed */
  char *read_buffer;          /* of ROOST_LOOP_READ_BYTES, shared by all conns */
  size_t buffer_bytes;        /* memory of all conns' buffers */
  size_t buffer_limit;        /* 0: none */
  bool throttling;            /* some conns are not read because of it */
  roost_loop *const *sharers; /* of the limit, this one among them; borrowed; NULL: it is alone */
  size_t sharer_count;
  size_t other_bytes;        /* memory that the others' conns had when they last said so */
  size_t other_conns;        /* how many these were */
  _Atomic size_t said_bytes; /* this and the next two: what this loop tells the others */
  _Atomic size_t said_conns;
  atomic_bool said_throttling;
  roost_conn *favoured; /* large, but read all the same; NULL: none; see budget.c */
  roost_list spares;
  size_t spare_count;
  size_t spare_bytes;        /* of them all */
  roost_buffer no_room;      /* an out buffer that takes nothing: memory is short */
  roost_address said_remote; /* what roost_conn_remote said last */
  roost_address said_local;  /* what roost_conn_local said last */
  pthread_mutex_t post_lock; /* for posts */
  roost_list posts;          /* roost_loop_job.link, in order */
  roost_list guests;         /* guest.c's: accepted for other loops */

  struct roost_tls_buffers *tls; /* shared by all TLS pipes; NULL until there is one */
};

/* To be called first in every callback that libuv makes: brings time up to date once per turn,
 * which runs due timers. */
void roost_loop_touch(roost_loop *loop);

/* inherited.c: the one bound to that address, which it gives away; -1: there is none. */
int roost_inherited_take(roost_loop *loop, const roost_address *address);
void roost_inherited_close_all(roost_loop *loop);

/* quota.c: begin and end of what a poll's quota is for. */
void roost_quota_begin(roost_loop *loop);
void roost_quota_end(roost_loop *loop);

/* Runs the list's hooks, each out of the list first, until the quota is used up; at least one.
 * Those that are left stay. */
void roost_quota_run_hooks(roost_loop *loop, roost_list *hooks);

/* Ends what is still open when the loop is freed. */
void roost_conn_close_all(roost_loop *loop);
void roost_listener_close_all(roost_loop *loop);
void roost_poll_close_all(roost_loop *loop);

/* Frees those that have not come back, once the other loops run no more. */
void roost_guest_free_all(roost_loop *loop);

/* conn.c: writes the dirty conn whose outbox has this link. */
void roost_conn_flush(roost_list *link);

/* outbox.c: frees those that are lent to nobody. */
void roost_outbox_free_spares(roost_loop *loop);

/* budget.c: tells the loops that share the limit what there is, and sees what they have; each turn.
 */
void roost_budget_exchange(roost_loop *loop);

/* budget.c: the buffers are below the limit again: all conns are read. */
void roost_budget_release(roost_loop *loop);

#endif
