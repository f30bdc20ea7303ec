#include "net/loop_internal.h"

#include <errno.h>

#include "net/pipe.h"

#define INBOX_BYTES 65536 /* what one end holds for its reader, as a socket's buffer would */

typedef struct memory_pipe {
  roost_pipe pipe; /* first: a memory_pipe is a roost_pipe */
  roost_loop *loop;
  struct memory_pipe *other; /* NULL once it is closed */
  roost_buffer inbox;        /* written by the other end */
  size_t taken;              /* bytes of it already read */
  roost_loop_hook wake;      /* tells the user what is ready, in the next turn */
  unsigned events;           /* what is watched */
  bool ended;                /* the other end has sent FIN */
  bool reset;                /* the other end was closed with unread bytes */
  bool closing;
} memory_pipe;

static size_t unread(const memory_pipe *self) {
  return self->inbox.len - self->taken;
}

static unsigned find_ready(const memory_pipe *self) {
  unsigned ready = 0;
  if (unread(self) > 0 || self->ended || self->reset)
    ready |= ROOST_PIPE_READ;
  if (self->other == NULL || unread(self->other) < INBOX_BYTES)
    ready |= ROOST_PIPE_WRITE;
  return ready & self->events;
}

static void wake(memory_pipe *self) {
  if (!self->closing && (find_ready(self) != 0 || (self->events == 0 && self->reset)))
    roost_loop_defer(self->loop, &self->wake);
}

static ssize_t read_memory(roost_pipe *pipe, char *to, size_t room) {
  memory_pipe *self = (memory_pipe *)pipe;
  const size_t n = unread(self) < room ? unread(self) : room;
  if (n == 0)
    return self->reset ? -ECONNRESET : self->ended ? 0 : -EAGAIN;
  memcpy(to, self->inbox.ptr + self->taken, n);
  self->taken += n;
  if (unread(self) == 0) {
    roost_buffer_deinit(&self->inbox);
    self->taken = 0;
  }
  if (self->other != NULL)
    wake(self->other);
  return (ssize_t)n;
}

static ssize_t write_memory(roost_pipe *pipe, const char *from, size_t len) {
  const memory_pipe *self = (memory_pipe *)pipe;
  memory_pipe *other = self->other;
  if (other == NULL)
    return -EPIPE;
  const size_t room = unread(other) < INBOX_BYTES ? INBOX_BYTES - unread(other) : 0;
  const size_t n = len < room ? len : room;
  if (n == 0)
    return -EAGAIN;
  if (other->taken > 0) {
    roost_buffer_consume(&other->inbox, other->taken);
    other->taken = 0;
  }
  if (roost_buffer_append(&other->inbox, from, n) != 0)
    return -ENOMEM;
  wake(other);
  return (ssize_t)n;
}

static void shutdown_memory(roost_pipe *pipe) {
  memory_pipe *other = ((memory_pipe *)pipe)->other;
  if (other == NULL)
    return;
  other->ended = true;
  wake(other);
}

static int watch_memory(roost_pipe *pipe, unsigned events) {
  memory_pipe *self = (memory_pipe *)pipe;
  self->events = events;
  wake(self);
  return 0;
}

static void finish_close(memory_pipe *self) {
  roost_loop *loop = self->loop;
  self->pipe.user->closed(self->pipe.ud);
  roost_buffer_deinit(&self->inbox);
  roost_alloc_put(loop->alloc, self, sizeof *self);
  loop->pending--;
}

static void on_wake(void *ud) {
  memory_pipe *self = ud;
  if (self->closing) {
    finish_close(self);
    return;
  }
  if (self->events == 0) {
    if (self->reset)
      self->pipe.user->broken(self->pipe.ud, ECONNRESET);
    return;
  }
  const unsigned ready = find_ready(self);
  if (ready != 0)
    self->pipe.user->ready(self->pipe.ud, ready);
  wake(self);
}

static void close_memory(roost_pipe *pipe) {
  memory_pipe *self = (memory_pipe *)pipe;
  if (self->closing)
    return;
  if (self->other != NULL) {
    self->other->other = NULL;
    self->other->ended = true;
    self->other->reset = unread(self) > 0;
    wake(self->other);
  }
  self->closing = true;
  roost_loop_remove_hook(&self->wake);
  roost_loop_defer(self->loop, &self->wake);
}

static int descriptor_of_memory(const roost_pipe *pipe) {
  (void)pipe;
  return -1;
}

static const roost_pipe_ops memory_ops = {
    .read = read_memory,
    .write = write_memory,
    .shutdown = shutdown_memory,
    .watch = watch_memory,
    .close = close_memory,
    .descriptor = descriptor_of_memory,
};

static void init_end(memory_pipe *self, memory_pipe *other, roost_loop *loop) {
  self->pipe.ops = &memory_ops;
  self->loop = loop;
  self->other = other;
  roost_buffer_init(&self->inbox, loop->alloc);
  self->wake.fn = on_wake;
  self->wake.ud = self;
  loop->pending++;
}

int roost_pipe_memory(roost_pipe **a, roost_pipe **b, roost_loop *loop) {
  memory_pipe *first = roost_alloc_get(loop->alloc, sizeof *first);
  memory_pipe *second = roost_alloc_get(loop->alloc, sizeof *second);
  *a = *b = NULL;
  if (first == NULL || second == NULL) {
    roost_alloc_put(loop->alloc, first, sizeof *first);
    roost_alloc_put(loop->alloc, second, sizeof *second);
    return ROOST_ENOMEM;
  }
  init_end(first, second, loop);
  init_end(second, first, loop);
  *a = &first->pipe;
  *b = &second->pipe;
  return 0;
}
