#include "net/loop_internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/pipe.h"

/*
 * We read and write the descriptor ourselves and let libuv only tell when that is worth it: a
 * write can then be refused without a queue below ours, never raises SIGPIPE, and the rest of what
 * a socket holds can be read at any time.
 */
typedef struct socket_pipe {
  roost_pipe pipe; /* first: a socket_pipe is a roost_pipe */
  uv_poll_t poll;
  int descriptor;
  uint8_t events; /* what is watched */
  bool closing;
} socket_pipe;

static roost_loop *loop_of(const socket_pipe *self) {
  return self->poll.loop->data;
}

static ssize_t read_socket(roost_pipe *pipe, char *to, size_t room) {
  const socket_pipe *self = (socket_pipe *)pipe;
  for (;;) {
    const ssize_t n = recv(self->descriptor, to, room, 0);
    if (n >= 0)
      return n;
    if (errno != EINTR)
      return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  }
}

static ssize_t write_socket(roost_pipe *pipe, const char *from, size_t len) {
  const socket_pipe *self = (socket_pipe *)pipe;
  for (;;) {
    const ssize_t n = send(self->descriptor, from, len, MSG_NOSIGNAL);
    if (n >= 0)
      return n;
    if (errno != EINTR)
      return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
  }
}

static void shutdown_socket(roost_pipe *pipe) {
  shutdown(((socket_pipe *)pipe)->descriptor, SHUT_WR);
}

static int take_error(const socket_pipe *self) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(self->descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
    return errno;
  return error;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static int start_poll(socket_pipe *self) {
  int wanted = 0;
  if ((self->events & ROOST_PIPE_READ) != 0)
    wanted |= UV_READABLE;
  if ((self->events & ROOST_PIPE_WRITE) != 0)
    wanted |= UV_WRITABLE;
  /* Something must be watched to hear of a reset: urgent data, which nobody sends. */
  return uv_poll_start(&self->poll, wanted != 0 ? wanted : UV_PRIORITIZED, on_poll);
}

/* Woken while nothing is watched: a reset, both sides' FIN, or urgent data after all. */
static void on_unwatched(socket_pipe *self) {
  const int error = take_error(self);
  struct pollfd now = {.fd = self->descriptor};
  const bool is_over = poll(&now, 1, 0) == 1 && (now.revents & (POLLHUP | POLLERR)) != 0;
  uv_poll_stop(&self->poll); /* urgent data would wake us for ever */
  if (error != 0 || is_over)
    self->pipe.user->broken(self->pipe.ud, error);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  socket_pipe *self = poll->data;
  roost_loop_touch(loop_of(self));
  if (self->closing)
    return;
  if (self->events == 0) {
    on_unwatched(self);
    return;
  }
  unsigned ready = 0;
  if ((events & UV_READABLE) != 0)
    ready |= ROOST_PIPE_READ;
  if ((events & UV_WRITABLE) != 0)
    ready |= ROOST_PIPE_WRITE;
  if (status < 0) /* libuv has stopped watching; reading or writing tells what is wrong */
    ready = self->events;
  self->pipe.user->ready(self->pipe.ud, ready);
  if (status < 0 && !self->closing)
    start_poll(self);
}

static int watch_socket(roost_pipe *pipe, unsigned events) {
  socket_pipe *self = (socket_pipe *)pipe;
  self->events = (uint8_t)events;
  return start_poll(self);
}

static void set_low_water_of_socket(roost_pipe *pipe, int bytes) {
  const socket_pipe *self = (socket_pipe *)pipe;
  /* A socket that refuses it tells of less, which is fine, too. */
  (void)setsockopt(self->descriptor, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

static void on_handle_closed(uv_handle_t *handle) {
  socket_pipe *self = handle->data;
  roost_loop *loop = loop_of(self);
  self->pipe.user->closed(self->pipe.ud);
  roost_alloc_put(loop->alloc, self, sizeof *self);
  loop->pending--;
}

/* False where there are as many as there may be. */
static bool count_socket(const roost_loop *loop) {
  roost_sockets *sockets = loop->sockets;
  if (sockets == NULL)
    return true;
  if (atomic_fetch_add(&sockets->open, 1) < sockets->limit || sockets->limit == 0)
    return true;
  atomic_fetch_sub(&sockets->open, 1);
  return false;
}

static void uncount_socket(const roost_loop *loop) {
  if (loop->sockets != NULL)
    atomic_fetch_sub(&loop->sockets->open, 1);
}

static void close_socket(roost_pipe *pipe) {
  socket_pipe *self = (socket_pipe *)pipe;
  if (self->closing)
    return;
  self->closing = true;
  uv_close((uv_handle_t *)&self->poll, on_handle_closed);
  close(self->descriptor);
  uncount_socket(loop_of(self));
}

static int descriptor_of_socket(const roost_pipe *pipe) {
  return ((const socket_pipe *)pipe)->descriptor;
}

static const roost_pipe_ops socket_ops = {
    .read = read_socket,
    .write = write_socket,
    .shutdown = shutdown_socket,
    .watch = watch_socket,
    .close = close_socket,
    .descriptor = descriptor_of_socket,
    .set_low_water = set_low_water_of_socket,
};

int roost_pipe_socket(roost_pipe **out, roost_loop *loop, int descriptor) {
  *out = NULL;
  if (!count_socket(loop))
    return ROOST_EFULL;
  socket_pipe *self = roost_alloc_get(loop->alloc, sizeof *self);
  if (self == NULL || uv_poll_init(&loop->uv, &self->poll, descriptor) != 0) {
    const int status = self == NULL ? ROOST_ENOMEM : ROOST_ESYSTEM;
    roost_alloc_put(loop->alloc, self, sizeof *self);
    uncount_socket(loop);
    return status;
  }
  self->pipe.ops = &socket_ops;
  self->poll.data = self;
  self->descriptor = descriptor;
  loop->pending++;
  *out = &self->pipe;
  return 0;
}
