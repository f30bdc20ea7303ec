#include "net/conn_internal.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Resolves the host, then tries its addresses one after the other. The struct belongs to its conn
 * until it is cancelled; a lookup that cannot be called off any more frees it when it is over.
 */
struct roost_dial {
  roost_loop *loop;
  roost_conn *conn; /* NULL once cancelled */
  roost_pipe *pipe; /* connecting, or NULL */
  uv_getaddrinfo_t lookup;
  bool looking;             /* the lookup is under way */
  struct addrinfo *results; /* owned */
  struct addrinfo *next;    /* to be tried */
  char port[8];
};

static void free_dial(roost_dial *dial) {
  uv_freeaddrinfo(dial->results);
  roost_alloc_put(dial->loop->alloc, dial, sizeof *dial);
}

static void ignore_closed(void *ud) {
  (void)ud;
}

static void drop_pipe(roost_dial *dial) {
  static const roost_pipe_user nobody = {.closed = ignore_closed};
  if (dial->pipe == NULL)
    return;
  dial->pipe->user = &nobody;
  dial->pipe->ops->close(dial->pipe);
  dial->pipe = NULL;
}

void roost_dial_cancel(roost_dial *dial) {
  drop_pipe(dial);
  dial->conn = NULL;
  if (dial->looking)
    uv_cancel((uv_req_t *)&dial->lookup);
  else
    free_dial(dial);
}

static void fail(roost_dial *dial, const char *why) {
  roost_conn_end(dial->conn, ROOST_ECONNECT, why); /* cancels and so frees dial */
}

/* --------------------------------------------------------------------- connecting ------------ */

static void on_ready(void *ud, unsigned events);

static const roost_pipe_user connecting_user = {.ready = on_ready, .closed = ignore_closed};

/* 0 where the connection is under way, else an errno. */
static int start_connecting(roost_dial *dial, const struct addrinfo *to) {
  const int descriptor = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0)
    return errno;
  roost_socket_tune(descriptor);
  if (connect(descriptor, to->ai_addr, to->ai_addrlen) != 0 && errno != EINPROGRESS) {
    const int error = errno;
    close(descriptor);
    return error;
  }
  const int status = roost_pipe_socket(&dial->pipe, dial->loop, descriptor);
  if (status != 0) {
    close(descriptor);
    return status == ROOST_EFULL ? EMFILE : ENOMEM;
  }
  dial->pipe->user = &connecting_user;
  dial->pipe->ud = dial;
  const int error = -dial->pipe->ops->watch(dial->pipe, ROOST_PIPE_WRITE);
  if (error != 0)
    drop_pipe(dial);
  return error;
}

static void try_next(roost_dial *dial, int error) {
  while (dial->next != NULL) {
    const struct addrinfo *to = dial->next;
    dial->next = to->ai_next;
    error = start_connecting(dial, to);
    if (error == 0)
      return;
  }
  fail(dial, roost_socket_error(error));
}

static void on_ready(void *ud, unsigned events) {
  roost_dial *dial = ud;
  roost_conn *conn = dial->conn;
  roost_pipe *pipe = dial->pipe;
  int error = 0;
  socklen_t size = sizeof error;
  (void)events;
  if (getsockopt(pipe->ops->descriptor(pipe), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
    error = errno;
  if (error != 0) {
    drop_pipe(dial);
    try_next(dial, error);
    return;
  }
  roost_timer_stop(&dial->loop->wheel, &conn->timer);
  conn->dial = NULL;
  free_dial(dial);
  conn->watched = ROOST_PIPE_WRITE;
  roost_conn_open(conn, pipe);
  roost_conn_connected(conn);
}

/* --------------------------------------------------------------------- resolving ------------- */

static const char *lookup_error(int status) {
  return status == UV_EAI_NONAME || status == UV_EAI_NODATA ? "ENOTFOUND" : uv_err_name(status);
}

static void on_resolved(uv_getaddrinfo_t *lookup, int status, struct addrinfo *results) {
  roost_dial *dial = lookup->data;
  roost_loop *loop = dial->loop;
  roost_loop_touch(loop); /* may cancel it */
  loop->pending--;
  dial->looking = false;
  dial->results = results;
  dial->next = results;
  if (dial->conn == NULL)
    free_dial(dial);
  else if (status != 0)
    fail(dial, lookup_error(status));
  else
    try_next(dial, ENOENT);
}

static int resolve(roost_dial *dial, const char *host) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  if (getaddrinfo(host, dial->port, &hints, &dial->results) == 0) {
    dial->next = dial->results;
    try_next(dial, ENOENT);
    return 0;
  }
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  dial->lookup.data = dial;
  const int status =
      uv_getaddrinfo(&dial->loop->uv, &dial->lookup, on_resolved, host, dial->port, &hints);
  if (status != 0)
    return status == UV_ENOMEM ? ROOST_ENOMEM : ROOST_EINVAL;
  dial->looking = true;
  dial->loop->pending++;
  return 0;
}

static void on_timeout(roost_timer *timer) {
  roost_conn_end(ROOST_LIST_ENTRY(timer, roost_conn, timer), ROOST_ECONNECT, "ETIMEDOUT");
}

int roost_conn_dial(roost_conn **out, roost_loop *loop, const char *host, uint16_t port,
                    uint64_t timeout_ms, const roost_conn_ops *ops, void *ud) {
  *out = NULL;
  if (host == NULL || host[0] == '\0')
    return ROOST_EINVAL;
  roost_dial *dial = roost_alloc_get(loop->alloc, sizeof *dial);
  roost_conn *conn = NULL;
  int status = dial != NULL ? roost_conn_new(&conn, loop) : ROOST_ENOMEM;
  if (status == 0) {
    dial->loop = loop;
    dial->conn = conn;
    snprintf(dial->port, sizeof dial->port, "%u", port);
    conn->dial = dial;
    roost_conn_set_ops(conn, ops, ud);
    conn->timer.fn = on_timeout;
    if (timeout_ms > 0)
      roost_timer_start(&loop->wheel, &conn->timer, timeout_ms);
    status = resolve(dial, host);
    if (status != 0)
      roost_conn_discard(conn);
  }
  if (status != 0) {
    roost_alloc_put(loop->alloc, dial, sizeof *dial);
    return status;
  }
  *out = conn;
  return 0;
}
