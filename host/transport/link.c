#include "transport/link.h"

#include <stdio.h>
#include <string.h>

#define LINGER_MS    2000  /* without progress, before it is dropped */
#define HANDSHAKE_MS 10000 /* of TLS, as a server's by default */
#define NEXT_MS      3000  /* without an answer, before another place is tried */

/* ------------------------------------------------------------------------- ending ------------ */

static void free_link(roost_link *link, const roost_alloc *alloc) {
  link->ops->deinit(link);
  roost_alloc_put(alloc, link, link->ops->size);
}

/* Whoever counts its bytes may not live as long. */
static void part(roost_dialer *dialer, roost_link *link) {
  dialer->link = NULL;
  link->dialer = NULL;
  roost_conn_count(link->conn, NULL);
}

static void let_go(roost_dialer *dialer) {
  roost_link *link = dialer->link;
  if (link == NULL)
    return;
  part(dialer, link);
  roost_conn_close(link->conn);
}

static void start_linger(roost_link *link) {
  link->left_bytes = roost_conn_queued(link->conn);
  roost_timer_start(roost_loop_wheel(roost_conn_loop(link->conn)), &link->lingering, LINGER_MS);
}

static void on_lingered(roost_timer *timer) {
  roost_link *link = ROOST_LIST_ENTRY(timer, roost_link, lingering);
  if (roost_conn_queued(link->conn) < link->left_bytes)
    start_linger(link);
  else
    roost_conn_close(link->conn);
}

/* Lets go of it, but what was handed over is still sent. */
static void retire(roost_dialer *dialer) {
  roost_link *link = dialer->link;
  if (link == NULL || !link->open) {
    let_go(dialer);
    return;
  }
  part(dialer, link);
  roost_conn_shutdown(link->conn);
  start_linger(link);
}

static void tell_closed(roost_dialer *dialer, int status, const char *why) {
  if (why != dialer->why)
    snprintf(dialer->why, sizeof dialer->why, "%s", why);
  dialer->ops->on_closed(dialer->ud, status, dialer->why);
}

void roost_dialer_fail(roost_dialer *dialer, int status, const char *why) {
  dialer->leaves = dialer->link != NULL && !dialer->link->heard;
  let_go(dialer);
  tell_closed(dialer, status, why);
}

/* A server may refuse a certificate after the handshake (TLS 1.3): that is no end like others. */
static bool is_tls_failure(const char *why) {
  return strncmp(why, "ETLS", 4) == 0;
}

/* The next connection begins with another place. */
static void go_on(roost_dialer *dialer) {
  dialer->place = (dialer->place + 1) % (dialer->config.other_count + 1);
}

/* Goes on to the place after the one that took no connection; false where all were tried. */
static bool has_another(roost_dialer *dialer) {
  if (++dialer->refused > dialer->config.other_count)
    return false;
  go_on(dialer);
  return true;
}

/* ------------------------------------------------------------------------- the connection ---- */

static void on_open(void *ud) {
  roost_link *link = ud;
  link->open = true;
  if (link->dialer != NULL)
    link->ops->on_open(link->dialer->ud, link);
}

static void on_bytes(void *ud, roost_slice bytes) {
  roost_link *link = ud;
  link->heard = true;
  if (link->dialer != NULL)
    link->ops->on_bytes(link->dialer->ud, link, bytes);
}

static size_t room(void *ud, char **place) {
  roost_link *link = ud;
  return link->dialer != NULL && link->ops->room != NULL
             ? link->ops->room(link->dialer->ud, link, place)
             : 0;
}

static void on_filled(void *ud, size_t n) {
  roost_link *link = ud;
  link->heard = true;
  if (link->dialer != NULL)
    link->ops->on_filled(link->dialer->ud, link, n);
}

static void on_eof(void *ud) {
  const roost_link *link = ud;
  if (link->dialer != NULL)
    roost_dialer_fail(link->dialer, ROOST_EGONE, "Connection closed");
}

static void on_writable(void *ud) {
  roost_link *link = ud;
  if (link->dialer != NULL)
    link->ops->on_writable(link->dialer->ud, link);
}

static void on_closed(void *ud, int status, const char *why) {
  roost_link *link = ud;
  roost_dialer *dialer = link->dialer;
  roost_loop *loop = roost_conn_loop(link->conn);
  const bool was_open = link->open;
  const bool was_heard = link->heard;
  roost_timer_stop(roost_loop_wheel(loop), &link->lingering);
  free_link(link, roost_loop_alloc(loop));
  if (dialer == NULL)
    return;
  dialer->link = NULL;
  if (!was_open && status != 0 && has_another(dialer)) {
    roost_loop_defer(dialer->loop, &dialer->next);
    return;
  }
  dialer->leaves = was_open && !was_heard;
  if (status != 0 && is_tls_failure(why))
    tell_closed(dialer, ROOST_ECONNECT, why);
  else
    tell_closed(dialer, was_open ? ROOST_EGONE : status,
                was_open && status == 0 ? "Connection closed" : why);
}

static const roost_conn_ops conn_ops = {.on_open = on_open,
                                        .on_bytes = on_bytes,
                                        .room = room,
                                        .on_filled = on_filled,
                                        .on_eof = on_eof,
                                        .on_writable = on_writable,
                                        .on_closed = on_closed};

/* ------------------------------------------------------------------------- connecting -------- */

/* A connection that was there at once, or was refused at once. */
static void on_later(void *ud) {
  roost_dialer *dialer = ud;
  if (dialer->link != NULL)
    on_open(dialer->link);
  else
    tell_closed(dialer, ROOST_ECONNECT, dialer->why[0] != '\0' ? dialer->why : "ECONNREFUSED");
}

/* Makes the context at the first use. What is wrong with the files is told as a refusal: ECONNECT.
 */
static int prepare_tls(roost_dialer *dialer) {
  const roost_alloc *alloc = roost_loop_alloc(dialer->loop);
  roost_buffer text;
  dialer->why[0] = '\0';
  if (dialer->config.tls == NULL || dialer->tls != NULL)
    return 0;
  roost_buffer_init(&text, alloc);
  int status = roost_tls_client_context(&dialer->tls, alloc, dialer->config.tls, &text);
  if (status == ROOST_ECONFIG) {
    snprintf(dialer->why, sizeof dialer->why, "ETLS: %.*s", (int)text.len, text.ptr);
    roost_loop_defer(dialer->loop, &dialer->later);
    status = ROOST_ECONNECT;
  }
  roost_buffer_deinit(&text);
  return status;
}

static int start_tls(const roost_dialer *dialer, roost_link *link) {
  const uint64_t timeout_ms = dialer->config.other_count > 0 ? NEXT_MS : HANDSHAKE_MS;
  return roost_conn_start_tls(link->conn, dialer->tls, roost_dialer_place(dialer).host, timeout_ms);
}

/* Has the connection begin with TLS; on_open follows once it has it. False: it cannot. */
static bool begin_tls(roost_dialer *dialer, roost_link *link) {
  if (dialer->tls == NULL || dialer->config.tls_later)
    return true;
  const int status = start_tls(dialer, link);
  if (status == 0)
    return true;
  snprintf(dialer->why, sizeof dialer->why, "ETLS: %s",
           status == ROOST_EINVAL ? "no name is known that the certificate must have"
                                  : roost_status_name(status));
  link->dialer = NULL; /* it is freed when its end is told */
  roost_conn_close(link->conn);
  roost_loop_defer(dialer->loop, &dialer->later);
  return false;
}

/* 0; 1: it is open already, as one in memory is; ECONNECT: refused. */
static int dial(roost_dialer *dialer, roost_link *link) {
  const roost_endpoint to = roost_dialer_place(dialer);
  const uint64_t timeout_ms = dialer->config.other_count > 0 ? NEXT_MS : 0;
  if (dialer->dial == NULL)
    return roost_conn_dial(&link->conn, dialer->loop, to.host, to.port, timeout_ms, &conn_ops,
                           link);
  const int status = dialer->dial(dialer->dial_ud, &link->conn, &conn_ops, link);
  const bool is_open = status == 1 && (dialer->tls == NULL || dialer->config.tls_later);
  if (status == ROOST_ECONNECT || is_open)
    roost_loop_defer(dialer->loop, &dialer->later);
  return status;
}

static roost_link *new_link(roost_dialer *dialer) {
  roost_link *link = roost_alloc_get(roost_loop_alloc(dialer->loop), dialer->ops->size);
  if (link == NULL)
    return NULL;
  link->dialer = dialer;
  link->ops = dialer->ops;
  roost_timer_init(&link->lingering, on_lingered);
  dialer->ops->init(link, dialer->ud);
  return link;
}

/* Tries the place it has come to. */
static int try_place(roost_dialer *dialer) {
  let_go(dialer);
  int status = prepare_tls(dialer);
  if (status != 0)
    return status == ROOST_ECONNECT ? 0 : status;
  roost_link *link = new_link(dialer);
  if (link == NULL)
    return ROOST_ENOMEM;
  status = dial(dialer, link);
  if (status < 0) {
    free_link(link, roost_loop_alloc(dialer->loop));
    return status == ROOST_ECONNECT ? 0 : status;
  }
  roost_conn_set_send_limit(link->conn, dialer->config.max_send_buffer_size);
  if (begin_tls(dialer, link))
    dialer->link = link;
  return 0;
}

static void on_next(void *ud) {
  roost_dialer *dialer = ud;
  const int status = try_place(dialer);
  if (status < 0)
    tell_closed(dialer, ROOST_ECONNECT, roost_status_name(status));
}

int roost_dialer_connect(roost_dialer *dialer) {
  dialer->refused = 0;
  if (dialer->leaves)
    go_on(dialer);
  dialer->leaves = false;
  roost_loop_remove_hook(&dialer->next);
  return try_place(dialer);
}

int roost_link_start_tls(roost_link *link) {
  return start_tls(link->dialer, link);
}

void roost_dialer_close(roost_dialer *dialer) {
  roost_loop_remove_hook(&dialer->later);
  roost_loop_remove_hook(&dialer->next);
  retire(dialer);
}

/* ------------------------------------------------------------------------- what is known ----- */

roost_endpoint roost_dialer_place(const roost_dialer *dialer) {
  return dialer->place == 0 ? dialer->config.endpoint : dialer->config.others[dialer->place - 1];
}

bool roost_dialer_crowded(const roost_dialer *dialer) {
  return dialer->link != NULL && roost_conn_crowded(dialer->link->conn);
}

const roost_address *roost_dialer_remote(const roost_dialer *dialer) {
  return dialer->link != NULL ? roost_conn_remote(dialer->link->conn) : NULL;
}

const roost_address *roost_dialer_local(const roost_dialer *dialer) {
  return dialer->link != NULL ? roost_conn_local(dialer->link->conn) : NULL;
}

/* ------------------------------------------------------------------------- of a client ------- */

void roost_client_set_dial(roost_client *client, roost_dial_fn *fn, void *ud) {
  client->dialer->dial = fn;
  client->dialer->dial_ud = ud;
}

roost_endpoint roost_client_place(const roost_client *client) {
  const roost_client_config *config = client->config;
  return client->dialer != NULL ? roost_dialer_place(client->dialer)
                                : (roost_endpoint){config->host, config->port};
}

const roost_address *roost_client_remote(const roost_client *client) {
  return client->dialer != NULL ? roost_dialer_remote(client->dialer) : NULL;
}

const roost_address *roost_client_local(const roost_client *client) {
  return client->dialer != NULL ? roost_dialer_local(client->dialer) : NULL;
}

static roost_conn *conn_of(const roost_client *client) {
  return client->dialer != NULL && client->dialer->link != NULL ? client->dialer->link->conn : NULL;
}

int roost_client_descriptor(const roost_client *client) {
  const roost_conn *conn = conn_of(client);
  return conn != NULL ? roost_conn_descriptor(conn) : -1;
}

const roost_tls_info *roost_client_tls(const roost_client *client) {
  roost_conn *conn = conn_of(client);
  return conn != NULL ? roost_conn_tls_info(conn) : NULL;
}

/* ------------------------------------------------------------------------- life -------------- */

void roost_dialer_init(roost_dialer *dialer, roost_loop *loop, const roost_dialer_config *config,
                       const roost_link_ops *ops, void *ud) {
  *dialer = (roost_dialer){.config = *config, .loop = loop, .ops = ops, .ud = ud};
  dialer->later = (roost_loop_hook){.fn = on_later, .ud = dialer};
  dialer->next = (roost_loop_hook){.fn = on_next, .ud = dialer};
  roost_list_init(&dialer->later.link);
  roost_list_init(&dialer->next.link);
}

void roost_dialer_init_broker(roost_dialer *dialer, roost_loop *loop, const roost_broker *broker,
                              size_t max_send_buffer_size, const roost_link_ops *ops, void *ud) {
  const roost_dialer_config config = {.endpoint = broker->endpoint,
                                      .others = broker->others,
                                      .other_count = broker->other_count,
                                      .tls = broker->tls,
                                      .max_send_buffer_size = max_send_buffer_size};
  roost_dialer_init(dialer, loop, &config, ops, ud);
}

void roost_dialer_deinit(roost_dialer *dialer) {
  roost_dialer_close(dialer);
  roost_tls_context_release(dialer->tls);
}
