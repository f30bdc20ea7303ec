/*
 * net/tls_stream.h - the client's side of TLS over a connected socket, for who has an event loop
 * of his own: roost bench. Whoever has a roost_loop uses roost_conn_start_tls instead.
 *
 * The socket is the caller's, non-blocking, and outlives the stream; SIGPIPE must be ignored or
 * blocked. One thread at a time.
 */
#ifndef ROOST_NET_TLS_STREAM_H
#define ROOST_NET_TLS_STREAM_H

#include <sys/types.h>

#include "net/tls.h"

typedef struct roost_tls_stream roost_tls_stream;

/* Holds context. name: whose certificate the server must have, where the context names none.
 * ENOMEM, EINVAL (no name is known). */
int roost_tls_stream_new(roost_tls_stream **out, const roost_alloc *alloc,
                         roost_tls_context *context, const char *name, int descriptor);

/* Nothing is sent; NULL is allowed. */
void roost_tls_stream_free(roost_tls_stream *stream);

/* Goes on with the handshake: 0 once it is done, -EAGAIN, -EPROTO where it failed. */
int roost_tls_stream_handshake(roost_tls_stream *stream);

/* As read and write: bytes, 0 at the peer's end, or a negative errno; -EAGAIN: to be called again
 * when the socket is ready, write with the same bytes (there may be more behind them). -EPROTO:
 * why says what happened. */
ssize_t roost_tls_stream_read(roost_tls_stream *stream, char *to, size_t room);
ssize_t roost_tls_stream_write(roost_tls_stream *stream, const char *from, size_t len);

/* Whether what was said to be -EAGAIN waits for room to write. */
bool roost_tls_stream_wants_write(const roost_tls_stream *stream);

/* The reason of a failure, borrowed; "" without one. */
const char *roost_tls_stream_why(const roost_tls_stream *stream);

#endif
