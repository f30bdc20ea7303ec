/*
 * net/tls_internal.h - TLS for the files of net/ alone: a context's struct, and the pipe that
 * speaks TLS over another pipe. Start at net/tls.h and net/pipe.h.
 *
 * Only the files tls_*.c know OpenSSL's headers; its types are named here without them.
 */
#ifndef ROOST_NET_TLS_INTERNAL_H
#define ROOST_NET_TLS_INTERNAL_H

#include <stdatomic.h>

#include "net/pipe.h"
#include "net/tls.h"

struct ssl_ctx_st;
struct ssl_st;
struct bio_method_st;

/* How long a session may be resumed. */
#define ROOST_TLS_TICKET_SECONDS 7200

typedef struct roost_tls_tickets roost_tls_tickets;
typedef struct roost_tls_sessions roost_tls_sessions;

/* A further certificate, with all else as in the context it belongs to. */
typedef struct roost_tls_named {
  char *name;
  struct ssl_ctx_st *ssl;
} roost_tls_named;

struct roost_tls_context {
  const roost_alloc *alloc;
  atomic_size_t holders;
  struct ssl_ctx_st *ssl;
  struct bio_method_st *bio;    /* the pipe's, see tls_pipe.c */
  roost_tls_tickets *tickets;   /* of a server */
  roost_tls_sessions *sessions; /* of a client */
  bool is_server;
  bool insecure;
  char *servername; /* NULL: as roost_pipe_tls is told */
  roost_tls_named *named;
  size_t named_count;
  int64_t expires; /* see roost_tls_context_expires */
};

/* tls_error.c: OpenSSL's errors as one text for people, which takes them out of its queue. verify:
 * the result of SSL_get_verify_result. */
void roost_tls_explain(char *out, size_t size, bool is_server, long verify);

/* tls_ticket.c: the keys of session tickets, and an SSL_CTX that uses the context's. What new has
 * made is freed in any case. */
int roost_tls_tickets_new(roost_tls_tickets **out, const roost_alloc *alloc);
void roost_tls_tickets_use(roost_tls_context *context, struct ssl_ctx_st *ssl);
void roost_tls_tickets_free(const roost_alloc *alloc, roost_tls_tickets *tickets);

/* Changes the key now, for tests; it changes itself in time. */
bool roost_tls_tickets_renew(roost_tls_tickets *tickets);

/* tls_session.c: the session that a client takes up again, and an SSL_CTX that keeps it. resume has
 * a connection, whose expected name is set, begin with it where there is one for that name. */
int roost_tls_sessions_new(roost_tls_sessions **out, const roost_alloc *alloc);
void roost_tls_sessions_use(roost_tls_context *context, struct ssl_ctx_st *ssl);
void roost_tls_sessions_resume(const roost_tls_context *context, struct ssl_st *ssl);
void roost_tls_sessions_free(const roost_alloc *alloc, roost_tls_sessions *sessions);

/* tls_pipe.c: the methods by which OpenSSL reads and writes; NULL when memory is short. */
struct bio_method_st *roost_tls_bio_new(void);
void roost_tls_bio_free(struct bio_method_st *method);

/* One connection's, that reads and writes by the context's methods with ud. name: see
 * roost_pipe_tls. ENOMEM, EINVAL; what it has made so far is freed by the caller. */
int roost_tls_context_connect(struct ssl_st **out, const roost_tls_context *context,
                              const char *name, void *ud);

/* A pipe that speaks TLS over below, which it owns from success on. Until the handshake is done
 * roost_tls_handshake is called whenever it is ready, and nothing else but close. name: of a
 * server, where the context names none; NULL for clients. ENOMEM, EINVAL (no name). */
int roost_pipe_tls(roost_pipe **out, roost_loop *loop, roost_pipe *below,
                   roost_tls_context *context, const char *name);

/* Goes on with the handshake: 0 once it is done, -EAGAIN, or -EPROTO where it failed: then
 * roost_pipe_ops.why says why. A failure is told to the peer, who is given time to hear it:
 * roost_tls_failed is true from then on, -EPROTO follows when he has hung up. */
int roost_tls_handshake(roost_pipe *pipe);
bool roost_tls_failed(const roost_pipe *pipe);

/* A byte of the peer's was seen. */
bool roost_tls_heard(const roost_pipe *pipe);
bool roost_tls_is_server(const roost_pipe *pipe);

/* tls_info.c: made at the first call and owned by the pipe; NULL: no TLS, or memory is short. */
const roost_tls_info *roost_tls_pipe_info(roost_pipe *pipe);
roost_tls_info *roost_tls_info_new(const roost_alloc *alloc, const struct ssl_st *ssl);

/* Frees what a loop keeps for its TLS pipes; NULL is allowed. */
typedef struct roost_tls_buffers roost_tls_buffers;
void roost_tls_buffers_free(const roost_alloc *alloc, roost_tls_buffers *buffers);

#endif
