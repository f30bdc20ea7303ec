/*
 * net/pipe.h - what lies below a conn: bytes in and out without waiting.
 *
 * A pipe is asked (read, write) and tells when asking is worth it (ready). Three exist: a
 * socket, one end of a pair in memory, and TLS, which uses another one (net/tls_internal.h).
 * User: who is told, normally the conn. A pipe is owned by its user until roost_pipe_ops.close,
 * then by the loop, which frees it after closed was called. Loop thread only.
 */
#ifndef ROOST_NET_PIPE_H
#define ROOST_NET_PIPE_H

#include <sys/types.h>

#include "net/loop.h"

typedef struct roost_pipe roost_pipe;

/* What a pipe can be ready for. */
#define ROOST_PIPE_READ  1u
#define ROOST_PIPE_WRITE 2u

typedef struct roost_pipe_ops {
  /* Bytes read, 0 at the peer's FIN, or a negative errno; -EAGAIN: nothing there now. */
  ssize_t (*read)(roost_pipe *pipe, char *to, size_t room);
  /* Bytes taken, maybe not all, or a negative errno; -EAGAIN: no room now. */
  ssize_t (*write)(roost_pipe *pipe, const char *from, size_t len);
  /* Sends FIN. */
  void (*shutdown)(roost_pipe *pipe);
  /* Says for which events ready is to be called, again and again while they last; 0: only a
   * broken pipe is told of. 0 or a negative errno. */
  int (*watch)(roost_pipe *pipe, unsigned events);
  /* No more calls but closed, in a later turn. */
  void (*close)(roost_pipe *pipe);
  /* -1 where there is none. */
  int (*descriptor)(const roost_pipe *pipe);
  /* Bytes below that write has taken but not yet passed on; NULL: it never holds any. */
  size_t (*unsent)(const roost_pipe *pipe);
  /* Memory it holds because of bytes under way; NULL: none. */
  size_t (*memory)(const roost_pipe *pipe);
  /* Has ready(ROOST_PIPE_READ) wait for so many bytes, or the end: 1, as at first, for any. NULL:
   * it can't. */
  void (*set_low_water)(roost_pipe *pipe, int bytes);
  /* A text for -EPROTO, borrowed for the life of the pipe; NULL: there is none. May be NULL. */
  const char *(*why)(const roost_pipe *pipe);
} roost_pipe_ops;

typedef struct roost_pipe_user {
  void (*ready)(void *ud, unsigned events);
  /* Broken while nobody reads. error: a positive errno, 0 where both sides have sent FIN. */
  void (*broken)(void *ud, int error);
  void (*closed)(void *ud); /* the last call */
} roost_pipe_user;

struct roost_pipe {
  const roost_pipe_ops *ops;
  const roost_pipe_user *user;
  void *ud; /* handed to user */
};

/* A pipe over a descriptor (a connected stream socket, or one that is connecting), which it makes
 * non-blocking and owns from success on. ENOMEM, ESYSTEM, EFULL (see roost_sockets). */
int roost_pipe_socket(roost_pipe **out, roost_loop *loop, int descriptor);

/* Two connected ends in memory. ENOMEM. */
int roost_pipe_memory(roost_pipe **a, roost_pipe **b, roost_loop *loop);

#endif
