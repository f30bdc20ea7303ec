/*
 * Connections at rest: the peer has sent nothing that is not answered, and most of thousands are
 * like that most of the time. Such a one is a conn whose owner is the server; the first byte, or
 * the peer's FIN, wakes it: it gets a session, and gives it back when that has nothing to do any
 * more.
 */
#include "transport/tcp_internal.h"

#define SPARES 64 /* sessions kept for those that wake */

static void on_bytes(void *ud, roost_slice bytes);
static void on_eof(void *ud);
static void on_closed(void *ud, int status, const char *why);

/* ud is the conn. */
static const roost_conn_ops rest_ops = {
    .on_bytes = on_bytes, .on_eof = on_eof, .on_closed = on_closed};

/* --------------------------------------------------------------------- waking ---------------- */

static roost_tcp_session *take_spare(roost_tcp_server *server) {
  roost_tcp_session *session = ROOST_LIST_ENTRY(server->spares.next, roost_tcp_session, link);
  roost_list_remove(&session->link);
  server->spare_count--;
  return session;
}

/* NULL: memory is short, and the connection is closed. */
static roost_tcp_session *wake(roost_conn *conn) {
  roost_tcp_server *server = roost_conn_owner(conn);
  roost_tcp_session *session =
      server->spare_count > 0 ? take_spare(server) : roost_tcp_session_new(server);
  if (session != NULL) {
    roost_tcp_session_attach(session, conn);
    return session;
  }
  roost_tcp_log(server, ROOST_LOG_WARN, ROOST_LOG_KIND_LIMIT, "connection closed",
                roost_conn_remote(conn), "out of memory");
  roost_conn_close(conn);
  return NULL;
}

static void on_bytes(void *ud, roost_slice bytes) {
  roost_tcp_session *session = wake(ud);
  if (session != NULL)
    roost_tcp_session_take(session, bytes);
}

static void on_eof(void *ud) {
  roost_tcp_session *session = wake(ud);
  if (session != NULL)
    roost_tcp_session_take_eof(session);
}

static void on_closed(void *ud, int status, const char *why) {
  const roost_conn *conn = ud;
  roost_tcp_server *server = roost_conn_owner(conn);
  (void)why;
  roost_tcp_log_closed(server, conn, status);
  roost_tcp_server_released(server);
}

/* --------------------------------------------------------------------- going to rest --------- */

void roost_tcp_rest_begin(roost_tcp_server *server, roost_conn *conn) {
  const roost_server_config *config = server->server.config;
  server->server.stats.accepted++;
  server->server.stats.connections++;
  roost_conn_count(conn, &server->server.stats.bytes);
  roost_conn_set_send_limit(conn, config->max_send_buffer_size);
  roost_conn_set_idle_timeout(conn, config->idle_timeout);
  roost_conn_set_owner(conn, server);
  roost_conn_set_ops(conn, &rest_ops, conn);
  roost_server_tell(&server->server, ROOST_SERVER_CONNECTION, roost_conn_remote(conn), "");
}

void roost_tcp_rest_soon(roost_tcp_session *session) {
  if (roost_list_empty(&session->rest_link))
    roost_list_append(&session->server->tiring, &session->rest_link);
}

static void rest(roost_tcp_session *session) {
  roost_tcp_server *server = session->server;
  roost_conn_account(session->conn, 0);
  roost_conn_set_ops(session->conn, &rest_ops, session->conn);
  session->conn = NULL;
  if (server->spare_count == SPARES) {
    roost_tcp_session_free(session);
    return;
  }
  roost_list_remove(&session->link);
  roost_list_prepend(&server->spares, &session->link);
  server->spare_count++;
}

static void on_flush(void *ud) {
  roost_tcp_server *server = ud;
  while (!roost_list_empty(&server->tiring)) {
    roost_tcp_session *session =
        ROOST_LIST_ENTRY(server->tiring.next, roost_tcp_session, rest_link);
    roost_list_remove(&session->rest_link);
    if (roost_tcp_session_is_idle(session))
      rest(session);
  }
}

/* --------------------------------------------------------------------- the server's ---------- */

void roost_tcp_rest_init(roost_tcp_server *server) {
  roost_list_init(&server->spares);
  roost_list_init(&server->tiring);
  server->flush.fn = on_flush;
  server->flush.ud = server;
  roost_loop_add_flush(server->loop, &server->flush);
}

void roost_tcp_rest_deinit(roost_tcp_server *server) {
  roost_loop_remove_hook(&server->flush);
  while (server->spare_count > 0)
    roost_tcp_session_free(take_spare(server));
}

/* Of the server's, of all that rest on the loop. */
static bool is_of(const roost_conn *conn, const roost_tcp_server *server) {
  return roost_conn_owner(conn) == server;
}

static void drain(roost_conn *conn, void *ud) {
  if (!is_of(conn, ud))
    return;
  roost_tcp_session *session = wake(conn);
  if (session != NULL)
    roost_tcp_session_drain(session);
}

static void close_it(roost_conn *conn, void *ud) {
  if (is_of(conn, ud))
    roost_conn_close(conn);
}

void roost_tcp_rest_drain(roost_tcp_server *server) {
  roost_conn_each(server->loop, &rest_ops, drain, server);
}

void roost_tcp_rest_close(roost_tcp_server *server) {
  roost_conn_each(server->loop, &rest_ops, close_it, server);
}
