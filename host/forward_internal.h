/*
 * forward_internal.h - what the files of forwarding share. Start at forward.h.
 *
 * Note: something that one side tells the other; in a lane, in order. Ease: near can take more
 * again, after home was told that it could not.
 */
#ifndef ROOST_FORWARD_INTERNAL_H
#define ROOST_FORWARD_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "forward.h"

typedef struct roost_trip roost_trip;

typedef struct roost_note {
  roost_list link;
  roost_trip *trip;
  void (*run)(struct roost_note *note); /* on the lane's other end */
} roost_note;

typedef struct roost_lane {
  pthread_mutex_t mutex; /* guards notes */
  roost_list notes;
  roost_loop *to;
  roost_loop_job wake; /* under way while notes is not empty */
} roost_lane;

typedef struct roost_way {
  roost_worker *near;
  roost_worker *home;
  roost_lane there;      /* to home */
  roost_lane back;       /* to near */
  roost_list near_trips; /* roost_trip.near_link; near's */
  roost_list home_trips; /* roost_trip.home_link; home's */
} roost_way;

struct roost_forwards {
  const roost_alloc *alloc; /* borrowed */
  roost_workers *workers;   /* borrowed */
  roost_way *inward;        /* from worker 1 and up to the first; count of them; owned */
  roost_way *outward;       /* back; likewise */
  size_t count;
  size_t turn;        /* of the workers, by number: whose the next message of a broker is */
  atomic_bool closed; /* nothing is sent any more */
};

/* A reply; owned by the lane until it is run, which frees it. */
typedef struct roost_parcel {
  roost_note note; /* first */
  roost_reply_kind kind;
  roost_format format;
  size_t len;
  char bytes[];
} roost_parcel;

struct roost_trip {
  roost_list near_link; /* in way->near_trips until near has no more to say */
  roost_list home_link; /* in way->home_trips since it came */
  roost_forwards *forwards;
  roost_way *way;

  /* Near. */
  roost_call *call; /* NULL: it is over */
  roost_note go, leaving, left, ease, end;
  bool said_leaving;
  bool said_left;

  /* Home. */
  roost_server server; /* as the call sees it */
  roost_origin origin;
  roost_buffer value;    /* of the reply being written */
  bool is_over;          /* and near is told so */
  bool is_dropped;       /* near is told to drop the caller */
  bool is_settled;       /* near is told what the broker is to be told */
  roost_settlement how;  /* as the call has ended, for over */
  roost_settlement hand; /* as a handler has said, for settle */
  roost_note over, unhandled, drop, settle;

  /* Both. */
  atomic_size_t unread; /* bytes of replies that near has not taken yet */
  atomic_bool crowded;  /* the caller's send buffer is over half full */
  atomic_bool waits;    /* home wants to be told when it may go on */
  atomic_bool easing;   /* ease is under way */

  /* The message; constant. */
  roost_buffer bytes; /* holds its texts */
  roost_message message;
  roost_slice service; /* ptr NULL: a C handler */
  roost_slice route;
  size_t ordinal;
  bool event;    /* the handler is an event's */
  bool is_event; /* no reply is wanted */
  bool has_peer;
  bool has_local;
  roost_slice facts; /* ptr NULL: there are none */
  roost_address peer;
  roost_address local;
  const roost_tls_info *tls; /* its own copy; NULL: none */
};

/* Puts a note that is in no lane into one. Its sender's thread. */
void roost_lane_send(roost_lane *lane, roost_note *note);

/* A trip that was never sent, or that both sides are through with. */
void roost_trip_free(roost_trip *trip);

/* Sends it, unless the host is being closed. Either side. */
void roost_trip_send(roost_trip *trip, roost_lane *lane, roost_note *note);

/* forward_home.c: has arrived: begins the call. */
void roost_trip_go(roost_note *note);
void roost_trip_leaving(roost_note *note);
void roost_trip_left(roost_note *note);
void roost_trip_ease(roost_note *note);
void roost_trip_end(roost_note *note);

/* forward.c, near: a reply, and other news. */
void roost_trip_reply(roost_note *note);
void roost_trip_unhandled(roost_note *note);
void roost_trip_drop(roost_note *note);
void roost_trip_settle(roost_note *note);
void roost_trip_over(roost_note *note);

/* Replies beyond this are not made before near has taken some. */
#define ROOST_TRIP_UNREAD_BYTES ((size_t)65536)

#endif
