/* How a connection begins TLS: the state securing, between open as a plain one and open; and what
 * is known of a peer by it, or said of him by a test. */
#include <errno.h>

#include "core/slice.h"
#include "net/conn_internal.h"
#include "net/tls_internal.h"

/* A peer that was told what is wrong has this long to hang up. */
#define GOODBYE_MS 1000

/* What a connection that is still being made will begin with; owned by it. */
struct roost_conn_tls {
  roost_tls_context *context; /* held */
  char *name;                 /* owned; may be NULL */
  uint64_t timeout_ms;
};

void roost_conn_forget_tls(roost_conn *conn) {
  if (conn->tls == NULL)
    return;
  roost_tls_context_release(conn->tls->context);
  roost_alloc_put_text(conn->loop->alloc, conn->tls->name);
  roost_alloc_put(conn->loop->alloc, conn->tls, sizeof *conn->tls);
  conn->tls = NULL;
}

static int remember_tls(roost_conn *conn, roost_tls_context *context, const char *name,
                        uint64_t timeout_ms) {
  roost_conn_tls *tls = roost_alloc_get(conn->loop->alloc, sizeof *tls);
  if (tls == NULL)
    return ROOST_ENOMEM;
  tls->name = name != NULL ? roost_alloc_text(conn->loop->alloc, roost_slice_text(name)) : NULL;
  if (name != NULL && tls->name == NULL) {
    roost_alloc_put(conn->loop->alloc, tls, sizeof *tls);
    return ROOST_ENOMEM;
  }
  tls->context = roost_tls_context_hold(context);
  tls->timeout_ms = timeout_ms;
  conn->tls = tls;
  return 0;
}

/* --------------------------------------------------------------------- the handshake --------- */

/* A client that leaves without a word was no client of TLS. */
static void fail(roost_conn *conn) {
  const bool is_silent = roost_tls_is_server(conn->pipe) && !roost_tls_heard(conn->pipe);
  roost_conn_end(conn, is_silent ? ROOST_EGONE : ROOST_ECONNECT, conn->pipe->ops->why(conn->pipe));
}

static void step(roost_conn *conn) {
  const bool had_failed = roost_tls_failed(conn->pipe);
  const int status = roost_tls_handshake(conn->pipe);
  if (status == 0) {
    roost_conn_open(conn, conn->pipe);
    if (conn->state == ROOST_CONN_OPEN && conn->ops != NULL && conn->ops->on_open != NULL)
      conn->ops->on_open(conn->ud);
  } else if (status != -EAGAIN) {
    fail(conn);
  } else if (!had_failed && roost_tls_failed(conn->pipe)) {
    roost_timer_start(&conn->loop->wheel, &conn->timer, GOODBYE_MS);
  }
}

static void on_ready(void *ud, unsigned events) {
  roost_conn *conn = ud;
  (void)events;
  if (conn->state == ROOST_CONN_SECURING)
    step(conn);
}

static void on_broken(void *ud, int error) {
  roost_conn_end(ud, ROOST_ECONNECT, roost_socket_error(error != 0 ? error : ECONNRESET));
}

static const roost_pipe_user securing_user = {
    .ready = on_ready, .broken = on_broken, .closed = roost_conn_finish};

static void on_timeout(roost_timer *timer) {
  roost_conn *conn = ROOST_LIST_ENTRY(timer, roost_conn, timer);
  if (roost_tls_failed(conn->pipe))
    fail(conn);
  else
    roost_conn_end(conn, ROOST_ECONNECT, "ETLS: the handshake took too long");
}

static int begin(roost_conn *conn, roost_tls_context *context, const char *name,
                 uint64_t timeout_ms) {
  roost_pipe *pipe;
  const int status = roost_pipe_tls(&pipe, conn->loop, conn->pipe, context, name);
  if (status != 0)
    return status;
  pipe->user = &securing_user;
  pipe->ud = conn;
  conn->pipe = pipe;
  conn->watched = 0;
  conn->state = ROOST_CONN_SECURING;
  conn->timer.fn = on_timeout;
  if (timeout_ms > 0)
    roost_timer_start(&conn->loop->wheel, &conn->timer, timeout_ms);
  else
    roost_timer_stop(&conn->loop->wheel, &conn->timer);
  step(conn);
  return 0;
}

/* --------------------------------------------------------------------- what owners call ------ */

int roost_conn_start_tls(roost_conn *conn, roost_tls_context *context, const char *name,
                         uint64_t timeout_ms) {
  if (conn->state == ROOST_CONN_CLOSING)
    return 0; /* on_closed follows */
  if (conn->state == ROOST_CONN_CONNECTING && conn->tls == NULL)
    return remember_tls(conn, context, name, timeout_ms);
  if (conn->state != ROOST_CONN_OPEN || conn->pipe->ops->why != NULL || conn->eof ||
      conn->fin_wanted || roost_conn_queued(conn) > 0)
    return ROOST_ESTATE;
  return begin(conn, context, name, timeout_ms);
}

void roost_conn_connected(roost_conn *conn) {
  if (conn->state != ROOST_CONN_OPEN)
    return;
  if (conn->tls != NULL) {
    const roost_conn_tls *tls = conn->tls;
    const int status = begin(conn, tls->context, tls->name, tls->timeout_ms);
    roost_conn_forget_tls(conn);
    if (status != 0)
      roost_conn_end(conn, ROOST_ECONNECT,
                     status == ROOST_EINVAL
                         ? "ETLS: no name is known that the certificate must have"
                         : "ENOMEM");
  } else if (conn->ops->on_open != NULL) {
    conn->ops->on_open(conn->ud);
  }
}

int roost_conn_play(roost_conn *conn, const roost_address *remote, const roost_tls_info *info) {
  roost_played *played = roost_alloc_get(conn->loop->alloc, sizeof *played);
  if (played == NULL)
    return ROOST_ENOMEM;
  played->remote = *(remote != NULL ? remote : roost_conn_remote(conn));
  played->tls = roost_tls_info_hold(info);
  roost_conn_forget_played(conn);
  conn->played = played;
  return 0;
}

void roost_conn_forget_played(roost_conn *conn) {
  if (conn->played == NULL)
    return;
  roost_tls_info_release(conn->played->tls);
  roost_alloc_put(conn->loop->alloc, conn->played, sizeof *conn->played);
  conn->played = NULL;
}

const roost_tls_info *roost_conn_tls_info(roost_conn *conn) {
  if (conn->played != NULL && conn->played->tls != NULL)
    return conn->played->tls;
  const bool has_pipe = conn->pipe != NULL && conn->state != ROOST_CONN_SECURING;
  return has_pipe ? roost_tls_pipe_info(conn->pipe) : NULL;
}
