/*
 * cli/bench_load_internal.h - what the load generator's files share: the loop in bench_load.c, the
 * connections and the memory in bench_peers.c.
 *
 * A load lives on the stack of roost_bench_load_run; bench_peers.c makes and frees what it holds.
 */
#ifndef ROOST_CLI_BENCH_LOAD_INTERNAL_H
#define ROOST_CLI_BENCH_LOAD_INTERNAL_H

#include "cli/bench_load.h"
#include "net/tls_stream.h"

#define ROOST_BENCH_SCRATCH_BYTES ((size_t)256 << 10) /* one read, one write */
#define ROOST_BENCH_EVENTS        256
#define ROOST_BENCH_LONGEST_MS    20 /* of a wait: signals and time-outs are looked for */

/* One connection. */
typedef struct roost_bench_peer {
  int fd;                    /* -1: none */
  roost_tls_stream *tls;     /* NULL: none, or not connected yet */
  bool ready;                /* connected, and TLS is there if wanted */
  bool wants_write;          /* it is watched for room to write */
  bool touched;              /* it is in load->touched */
  roost_bench_input input;   /* what has come */
  roost_bench_place *places; /* in_flight of them */
  uint32_t *free;            /* a stack of the places that are not busy */
  size_t free_count;         /* in it */
  uint32_t *queue;           /* a ring of places, room for all, whose requests are not sent yet */
  size_t queue_at;           /* the first of them */
  size_t queue_len;          /* how many they are */
  size_t sent;               /* bytes of the first one's request that are sent */
} roost_bench_peer;

typedef struct roost_bench_load {
  const roost_bench_load_config *config; /* borrowed, as the next two */
  roost_bench_result *result;
  roost_bench_check *check;
  roost_buffer frame; /* the request, as it is sent but for the digits of its id */
  size_t id_at;       /* where those stand in it */
  int poll;           /* epoll's descriptor, or -1 */
  roost_bench_peer *peers;
  roost_bench_peer **touched; /* those with something new to send */
  size_t touched_count;
  roost_bench_place *places; /* of all peers */
  uint32_t *lists;           /* of all peers: what is free, then the queues */
  char *scratch;             /* ROOST_BENCH_SCRATCH_BYTES */
  uint64_t number;           /* of the next request */
  uint64_t busy;             /* requests in flight */
  uint64_t due_count;        /* paced: requests so far */
  uint64_t due_total;        /* paced: requests altogether */
  size_t next_peer;          /* paced: whose turn it is */
  bool starved;              /* paced: something is due, but no place is free */
  uint64_t start_ns;
  uint64_t measure_ns; /* when the warm-up is over */
  uint64_t end_ns;     /* when no more is sent */
  uint64_t sent_ns;    /* when a request was queued last */
  uint64_t heard_ns;   /* when something came last, or began to be waited for */
  uint64_t done_ns;    /* when a counted request was completed last */
  uint64_t looked_ns;  /* when signals and time-outs were looked for last */
  uint64_t bytes_in;   /* since the start, as the next one */
  uint64_t bytes_out;
  char refusal[256]; /* why a connection could not be made */
  bool is_full;      /* because there are no more descriptors */
  bool ready;        /* the peers are set up */
  bool measuring;    /* the warm-up is over */
  bool over;         /* result->end says why */
} roost_bench_load;

/* Monotonic. */
uint64_t roost_bench_now_ns(void);

/* Ends the load, if it goes on, with a text. */
void roost_bench_load_finish(roost_bench_load *load, roost_bench_end end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Has the peer watched for what it receives, and for room to write. */
void roost_bench_load_watch(roost_bench_load *load, roost_bench_peer *peer, bool wants_write);

/* As recv and send on the peer's connection: bytes, 0 at its end, or a negative errno, -EAGAIN: not
 * now. */
ssize_t roost_bench_peer_read(const roost_bench_peer *peer, char *to, size_t room);
ssize_t roost_bench_peer_write(const roost_bench_peer *peer, const char *from, size_t len);

/* What a negative errno of theirs means. */
const char *roost_bench_peer_why(const roost_bench_peer *peer, ssize_t status);

/* Makes everything the load needs and all its connections; what fails finishes the load. */
void roost_bench_peers_open(roost_bench_load *load);
void roost_bench_peers_close(roost_bench_load *load);

#endif
