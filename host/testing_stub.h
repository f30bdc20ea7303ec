/*
 * testing_stub.h - what a test puts in the place of another service, behind a client's name.
 *
 * Start reading at roost_test_stub_begin. A stub is a server in memory whose one service's handlers
 * are functions of the test, or that never answers, or that nobody can connect to. What is sent to
 * it is written down. In a test's host every named client of transport tcp has one, so that it can
 * be set later; a name that the configuration does not know is down till then. Owned by its host.
 */
#ifndef ROOST_TESTING_STUB_H
#define ROOST_TESTING_STUB_H

#include "testing_host.h"

typedef enum roost_test_stub_kind {
  ROOST_TEST_STUB_NONE,    /* none yet: the configuration says where the client connects to */
  ROOST_TEST_STUB_DOWN,    /* connections are refused */
  ROOST_TEST_STUB_SILENT,  /* nothing is answered */
  ROOST_TEST_STUB_HANDLERS /* those registered answer */
} roost_test_stub_kind;

typedef struct roost_test_stub {
  roost_list link; /* in host->stubs */
  roost_test_host *host;
  roost_test_stub_kind kind;
  roost_client_config client;        /* as configured, or for a name that is not */
  roost_server_config server_config; /* of server and gate */
  const char *services[2];           /* of server_config */
  char *name;                        /* owned */
  roost_gate *gate;                  /* NULL: not made yet; the dispatch owns it */
  roost_server *server;              /* NULL: not made yet */
  roost_buffer sent;                 /* JSON objects, a line each */
} roost_test_stub;

/* Has the stub behind a client's name be of another kind; of HANDLERS *out is the generation that
 * takes them, then roost_test_stub_end. Connections there are end. ENOMEM. */
int roost_test_stub_begin(roost_test_host *host, const char *name, roost_test_stub_kind kind,
                          roost_generation **out);
int roost_test_stub_end(roost_test_host *host, roost_generation *generation);

/* What was sent to the one behind a name, "" where there is none; borrowed. */
roost_slice roost_test_stub_sent(const roost_test_host *host, const char *name);

/* For the host's worker: see roost_worker_config. */
const roost_client_config *roost_test_stub_config(void *ud, const char *name);
int roost_test_stub_open(void *ud, roost_client **out, const roost_client_config *config,
                         const roost_client_sink *sink, void *sink_ud);

/* Closes their connections. */
void roost_test_stubs_close(roost_test_host *host);

/* True while a connection of theirs is still open. */
bool roost_test_stubs_are_open(const roost_test_host *host);

/* After the worker was freed. */
void roost_test_stubs_free(roost_test_host *host);

#endif
