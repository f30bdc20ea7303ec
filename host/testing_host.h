/*
 * testing_host.h - the hosts that a test makes: a worker on the test's loop, callers in memory.
 *
 * Start reading at roost_test_host_new, then roost_test_hosts_turn: what has to happen between two
 * turns of the loop happens there. Inline service: a generation in the test's own state. Peer: the
 * caller's end of a connection in memory, whose other end a server of the host has adopted.
 * A host belongs to its exec until it is closed and gone; a peer to its host, until its connection
 * has ended. The thread of the loop.
 */
#ifndef ROOST_TESTING_HOST_H
#define ROOST_TESTING_HOST_H

#include "exec.h"
#include "wire/frame.h"
#include "worker.h"

typedef struct roost_test_host {
  roost_list link; /* in exec->hosts */
  roost_exec *exec;
  roost_log *log;
  roost_buffer lines; /* logged so far, JSON, a line each */
  roost_settings *settings;
  roost_found_list found;
  roost_problems problems; /* of what was done last */
  roost_store *store;
  roost_worker *worker;
  roost_list peers;   /* roost_test_peer.link */
  roost_list stubs;   /* roost_test_stub.link */
  roost_list waiters; /* tasks that wait for another state */
  uint64_t made_ms;   /* loop time when it was made */
  int state;          /* of the worker, when the waiters were last woken */
  bool closing;       /* to be freed once all of it is over */
  uint64_t cut_us;    /* real time: what still runs then, once closing, is cut off; 0: never */
  void *script;       /* testing.c's: told when it is gone */
} roost_test_host;

typedef struct roost_test_peer {
  roost_list link; /* in host->peers, until its connection has ended */
  roost_conn *conn;
  roost_frame_reader reader; /* for whole frames */
  roost_buffer received;     /* and not taken yet */
  roost_list waiters;        /* tasks that wait for more */
  bool ended;                /* the host's FIN is here, or the connection is gone */
  roost_exec *exec;
  void (*gone)(struct roost_test_peer *peer); /* the connection has ended */
  int ref;                                    /* testing.c's */
} roost_test_peer;

/* A host with the configuration of text, a Lua chunk that returns a table; problems says what is
 * wrong with it. ECONFIG, ENOMEM. */
int roost_test_host_new(roost_test_host **out, roost_exec *exec, const char *text);

/* Loads a service's file or folder, or all of a folder of services. As above, ESCRIPT. */
int roost_test_host_add(roost_test_host *host, const char *path);

/* A service whose handlers and hooks are registered next, in the test's own state. ECONFIG, ENOMEM.
 */
int roost_test_host_add_inline(roost_generation **out, roost_test_host *host, const char *name);

/* Starts it: its state tells when it runs. ENOMEM. */
int roost_test_host_start(roost_test_host *host);

/* To be called first; exec and gone are set. */
void roost_test_peer_init(roost_test_peer *peer);

/* Connects peer to the server with that name (NULL: the first one); address NULL leaves the
 * caller's as it is, tls NULL is a caller without TLS. ENOENT, ESTATE, ENOMEM. */
int roost_test_host_connect(roost_test_host *host, roost_test_peer *peer, const char *server,
                            const roost_address *address, const roost_tls_info *tls);

/* Closes the peer's connection; may be called again. */
void roost_test_peer_close(roost_test_peer *peer);

/* Milliseconds since it was made, by the test's clock. */
uint64_t roost_test_host_uptime_ms(const roost_test_host *host);

/* Has what was logged so far in host->lines. */
void roost_test_host_collect_log(roost_test_host *host);

/* Drains it; it is freed between later turns, and host->script then told. */
void roost_test_host_close(roost_test_host *host);

/* Closes those that are open, the program's main chunk being over. */
void roost_test_hosts_close(roost_exec *exec);

/* Between two turns: wakes who waits for a host, frees hosts that are over. */
void roost_test_hosts_turn(roost_exec *exec);

/* Ends all of them at once. Not from inside the loop. */
void roost_test_hosts_free(roost_exec *exec);

/* testing.c's: the host is being freed. */
void roost_testing_forget(roost_test_host *host);

#endif
