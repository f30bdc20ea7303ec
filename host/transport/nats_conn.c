#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "core/url.h"
#include "net/crypto.h"
#include "transport/nats_internal.h"

#define GREETING_MS      10000 /* until the server has taken us */
#define GREETING_NEXT_MS 3000  /* likewise, where there is another */
#define BEAT_MS          15000
#define BEATS_MAX        2  /* without an answer, before the server counts as lost */
#define PLACES_MAX       64 /* that servers have named */
#define INBOX_RANDOM     22 /* letters that tell our inbox from those of others */

static const char default_prefix[] = "_INBOX";

typedef struct nats_link {
  roost_link link; /* first */
  roost_nats_reader reader;
} nats_link;

static roost_wheel *wheel_of(const roost_nats_conn *conn) {
  return roost_loop_wheel(conn->dialer.loop);
}

roost_buffer *roost_nats_conn_out(roost_nats_conn *conn) {
  return roost_conn_out(conn->dialer.link->conn);
}

void roost_nats_conn_dirty(roost_nats_conn *conn) {
  roost_conn_dirty(conn->dialer.link->conn);
}

void roost_nats_conn_ping(roost_nats_conn *conn) {
  conn->pings++;
  if (roost_nats_write_ping(roost_nats_conn_out(conn)) == 0)
    roost_nats_conn_dirty(conn);
  else
    conn->pongs++; /* nothing will come of it */
}

/* ------------------------------------------------------------------------- the end ----------- */

static void go_down(roost_nats_conn *conn) {
  conn->state = ROOST_NATS_DOWN;
  roost_timer_stop(wheel_of(conn), &conn->timer);
}

void roost_nats_conn_fail(roost_nats_conn *conn, int status, const char *why) {
  roost_dialer_fail(&conn->dialer, status, why);
}

/* Whoever has not taken us may do so no more: the next attempt is another's. */
static void refuse(roost_nats_conn *conn, const char *why) {
  if (conn->dialer.link != NULL)
    conn->dialer.link->heard = false;
  roost_nats_conn_fail(conn, ROOST_ECONNECT, why);
}

static void on_closed(void *ud, int status, const char *why) {
  roost_nats_conn *conn = ud;
  char text[sizeof conn->last_error];
  const bool was_ready = conn->state == ROOST_NATS_READY;
  go_down(conn);
  snprintf(text, sizeof text, "%s", conn->last_error);
  conn->last_error[0] = '\0';
  if (!was_ready && status == ROOST_EGONE)
    status = ROOST_ECONNECT;
  conn->ops->on_closed(conn->ud, status, text[0] != '\0' ? text : why);
}

void roost_nats_conn_close(roost_nats_conn *conn) {
  go_down(conn);
  conn->last_error[0] = '\0';
  roost_dialer_close(&conn->dialer);
}

/* ------------------------------------------------------------------------- places ------------ */

static bool is_known(const roost_nats_conn *conn, roost_slice host, uint16_t port) {
  const roost_endpoint *first = &conn->dialer.config.endpoint;
  if (first->port == port && roost_slice_equal(roost_slice_text(first->host), host))
    return true;
  for (size_t i = 0; i < conn->place_count; i++)
    if (conn->places[i].port == port &&
        roost_slice_equal(roost_slice_text(conn->places[i].host), host))
      return true;
  return false;
}

static int grow_places(roost_nats_conn *conn) {
  const roost_alloc *alloc = roost_loop_alloc(conn->dialer.loop);
  const size_t cap = conn->place_cap > 0 ? conn->place_cap * 2 : 8;
  roost_endpoint *places = roost_alloc_resize(
      alloc, conn->places, conn->place_cap * sizeof *conn->places, cap * sizeof *conn->places);
  if (places == NULL)
    return ROOST_ENOMEM;
  conn->places = places;
  conn->place_cap = cap;
  conn->dialer.config.others = places;
  return 0;
}

static void add_place(roost_nats_conn *conn, const char *host, uint16_t port) {
  if (conn->place_count == conn->place_cap && grow_places(conn) != 0)
    return;
  conn->places[conn->place_count++] = (roost_endpoint){host, port};
  conn->dialer.config.other_count = conn->place_count;
}

/* Notes a place that a server has named; where memory is short it is named again. */
static void learn_place(roost_nats_conn *conn, roost_slice url) {
  char text[300];
  roost_url_parts parts;
  snprintf(text, sizeof text, "nats://%.*s", (int)(url.len < 256 ? url.len : 256), url.ptr);
  if (!roost_url_read(text, &parts) || !parts.has_port || parts.port == 0 ||
      is_known(conn, parts.host, parts.port) ||
      conn->place_count >= conn->options->broker.other_count + PLACES_MAX)
    return;
  char *host = roost_alloc_text(roost_loop_alloc(conn->dialer.loop), parts.host);
  const size_t count = conn->place_count;
  if (host != NULL)
    add_place(conn, host, parts.port);
  if (conn->place_count == count)
    roost_alloc_put_text(roost_loop_alloc(conn->dialer.loop), host);
}

/* ------------------------------------------------------------------------- the greeting ------ */

static void on_greeting_late(roost_timer *timer) {
  roost_nats_conn *conn = ROOST_LIST_ENTRY(timer, roost_nats_conn, timer);
  refuse(conn, "ETIMEDOUT: the server does not answer");
}

static void on_beat(roost_timer *timer) {
  roost_nats_conn *conn = ROOST_LIST_ENTRY(timer, roost_nats_conn, timer);
  conn->beats = conn->heard ? 0 : conn->beats + 1;
  conn->heard = false;
  if (conn->beats > BEATS_MAX) {
    roost_nats_conn_fail(conn, ROOST_EGONE, "ETIMEDOUT: the server does not answer");
    return;
  }
  roost_timer_start(wheel_of(conn), &conn->timer, BEAT_MS);
  roost_nats_conn_ping(conn);
}

static void start_timer(roost_nats_conn *conn, void (*fn)(roost_timer *timer), uint64_t ms) {
  roost_timer_stop(wheel_of(conn), &conn->timer);
  conn->timer.fn = fn;
  roost_timer_start(wheel_of(conn), &conn->timer, ms);
}

/* Sends who we are, and asks for a sign that it was taken. */
static void log_in(roost_nats_conn *conn) {
  roost_buffer *out = roost_nats_conn_out(conn);
  char why[160] = "out of memory";
  char text[176];
  int status = roost_nats_write_login(conn, out, why, sizeof why);
  if (status == 0)
    status = roost_nats_write_ping(out);
  if (status != 0) {
    snprintf(text, sizeof text, "EACCES: %s", why);
    refuse(conn, text);
    return;
  }
  conn->state = ROOST_NATS_LOGIN;
  roost_nats_conn_dirty(conn);
}

static void note_info(roost_nats_conn *conn, const roost_nats_info *info) {
  roost_slice urls = info->urls;
  roost_slice url;
  conn->has_headers = info->headers;
  conn->max_payload = info->max_payload > 0 && info->max_payload < ROOST_NATS_PAYLOAD_MAX
                          ? (size_t)info->max_payload
                          : ROOST_NATS_PAYLOAD_MAX;
  conn->nonce_len = info->nonce.len <= sizeof conn->nonce ? info->nonce.len : 0;
  if (conn->nonce_len > 0)
    memcpy(conn->nonce, info->nonce.ptr, conn->nonce_len);
  while (roost_nats_info_url(&urls, &url))
    learn_place(conn, url);
}

/* TLS begins after the server has said what it is. */
static void greet(roost_nats_conn *conn, const roost_nats_info *info) {
  const bool wants_tls = conn->options->broker.tls != NULL;
  if (!wants_tls && info->tls_required) {
    refuse(conn, "ETLS: the server wants TLS, and tls is not set");
  } else if (wants_tls && !info->tls_required && !info->tls_available) {
    refuse(conn, "ETLS: the server has no TLS");
  } else if (!wants_tls) {
    log_in(conn);
  } else if (roost_link_start_tls(conn->dialer.link) == 0) {
    conn->state = ROOST_NATS_SECURING;
  } else {
    refuse(conn, "ETLS: it cannot begin");
  }
}

static void take_info(roost_nats_conn *conn, roost_slice json) {
  roost_nats_info info;
  if (roost_nats_info_read(&info, json) != 0) {
    refuse(conn, "EPROTO: the server's INFO is not JSON");
    return;
  }
  note_info(conn, &info);
  if (conn->state == ROOST_NATS_GREETING)
    greet(conn, &info);
}

/* ------------------------------------------------------------------------- operations -------- */

static void take_pong(roost_nats_conn *conn) {
  if (conn->state == ROOST_NATS_READY) {
    conn->pongs++;
    if (conn->ops->on_pong != NULL)
      conn->ops->on_pong(conn->ud);
    return;
  }
  if (conn->state != ROOST_NATS_LOGIN)
    return;
  conn->state = ROOST_NATS_READY;
  conn->beats = 0;
  conn->pings = conn->pongs = 0;
  start_timer(conn, on_beat, BEAT_MS);
  conn->ops->on_ready(conn->ud);
}

static void answer_ping(roost_nats_conn *conn) {
  if (roost_nats_write_pong(roost_nats_conn_out(conn)) == 0)
    roost_nats_conn_dirty(conn);
}

/* After these the server goes on; after all others it closes. */
static bool is_passing(roost_slice text) {
  static const char *const starts[] = {"Permissions Violation", "Invalid Subject",
                                       "Invalid Publish Subject"};
  for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
    const size_t len = strlen(starts[i]);
    if (text.len >= len && memcmp(text.ptr, starts[i], len) == 0)
      return true;
  }
  return false;
}

static void take_error(roost_nats_conn *conn, roost_slice text) {
  char why[sizeof conn->last_error];
  snprintf(why, sizeof why, "%s%.*s", conn->state != ROOST_NATS_READY ? "EACCES: " : "",
           (int)(text.len < sizeof why ? text.len : sizeof why), text.ptr);
  if (conn->state != ROOST_NATS_READY)
    refuse(conn, why);
  else if (is_passing(text))
    conn->ops->on_refused(conn->ud, text);
  else
    memcpy(conn->last_error, why, sizeof why);
}

static void take_op(roost_nats_conn *conn, const roost_nats_op *op) {
  switch (op->kind) {
  case ROOST_NATS_INFO:
    take_info(conn, op->payload);
    break;
  case ROOST_NATS_MESSAGE:
    if (conn->state == ROOST_NATS_READY)
      conn->ops->on_message(conn->ud, op);
    break;
  case ROOST_NATS_PING:
    answer_ping(conn);
    break;
  case ROOST_NATS_PONG:
    take_pong(conn);
    break;
  case ROOST_NATS_ERROR:
    take_error(conn, op->payload);
    break;
  case ROOST_NATS_OK:
    break;
  }
}

/* ------------------------------------------------------------------------- the link ---------- */

static void init_link(roost_link *link, void *ud) {
  const roost_nats_conn *conn = ud;
  roost_nats_reader_init(&((nats_link *)link)->reader, roost_loop_alloc(conn->dialer.loop),
                         conn->max_bytes);
}

static void deinit_link(roost_link *link) {
  roost_nats_reader_deinit(&((nats_link *)link)->reader);
}

static void on_open(void *ud, roost_link *link) {
  roost_nats_conn *conn = ud;
  (void)link;
  if (conn->state == ROOST_NATS_SECURING) {
    log_in(conn);
    return;
  }
  conn->state = ROOST_NATS_GREETING;
  start_timer(conn, on_greeting_late, conn->place_count > 0 ? GREETING_NEXT_MS : GREETING_MS);
}

static void on_bytes(void *ud, roost_link *link, roost_slice bytes) {
  roost_nats_conn *conn = ud;
  nats_link *self = (nats_link *)link;
  roost_nats_op op;
  int status = 1;
  conn->heard = true;
  while (status > 0 && link->dialer != NULL) {
    if (conn->state == ROOST_NATS_SECURING && bytes.len > 0) {
      refuse(conn, "ETLS: the server goes on without it");
      return;
    }
    status = roost_nats_read(&self->reader, &bytes, &op);
    if (status > 0)
      take_op(conn, &op);
  }
  if (link->dialer == NULL)
    return;
  if (status < 0)
    roost_nats_conn_fail(conn, status == ROOST_ENOMEM ? ROOST_ENOMEM : ROOST_EPROTO,
                         self->reader.error);
  else
    roost_conn_account(link->conn, roost_nats_reader_memory(&self->reader));
}

static void on_writable(void *ud, roost_link *link) {
  roost_nats_conn *conn = ud;
  (void)link;
  if (conn->state == ROOST_NATS_READY)
    conn->ops->on_writable(conn->ud);
}

static const roost_link_ops link_ops = {.size = sizeof(nats_link),
                                        .init = init_link,
                                        .deinit = deinit_link,
                                        .on_open = on_open,
                                        .on_bytes = on_bytes,
                                        .on_writable = on_writable,
                                        .on_closed = on_closed};

/* ------------------------------------------------------------------------- life -------------- */

static int choose_inbox(roost_nats_conn *conn) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz012345678901";
  uint8_t random[INBOX_RANDOM];
  const char *prefix = conn->options->inbox_prefix;
  if (prefix == NULL)
    prefix = default_prefix;
  const int len = snprintf(conn->inbox, sizeof conn->inbox - INBOX_RANDOM, "%s.", prefix);
  if (len < 0 || (size_t)len >= sizeof conn->inbox - INBOX_RANDOM)
    return ROOST_EINVAL;
  if (roost_random_bytes(random, sizeof random) != 0)
    return ROOST_ESYSTEM;
  conn->inbox_len = (size_t)len;
  for (size_t i = 0; i < sizeof random; i++)
    conn->inbox[conn->inbox_len++] = letters[random[i] & 63];
  conn->inbox[conn->inbox_len] = '\0';
  return 0;
}

/* The places of the configuration, in a list of our own that grows. */
static int copy_places(roost_nats_conn *conn) {
  const roost_broker *broker = &conn->options->broker;
  const roost_alloc *alloc = roost_loop_alloc(conn->dialer.loop);
  if (broker->other_count == 0)
    return 0;
  conn->places = roost_alloc_get(alloc, broker->other_count * sizeof *conn->places);
  if (conn->places == NULL)
    return ROOST_ENOMEM;
  memcpy(conn->places, broker->others, broker->other_count * sizeof *conn->places);
  conn->place_count = conn->place_cap = broker->other_count;
  conn->dialer.config.others = conn->places;
  conn->dialer.config.other_count = conn->place_count;
  return 0;
}

int roost_nats_conn_init(roost_nats_conn *conn, roost_loop *loop, const roost_nats_options *options,
                         const roost_nats_conn_ops *ops, void *ud, size_t max_send_buffer_size) {
  *conn = (roost_nats_conn){.options = options, .ops = ops, .ud = ud};
  roost_timer_init(&conn->timer, on_beat);
  roost_dialer_init_broker(&conn->dialer, loop, &options->broker, max_send_buffer_size, &link_ops,
                           conn);
  conn->dialer.config.tls_later = true;
  const int status = copy_places(conn);
  return status != 0 ? status : choose_inbox(conn);
}

void roost_nats_conn_deinit(roost_nats_conn *conn) {
  const roost_alloc *alloc = roost_loop_alloc(conn->dialer.loop);
  go_down(conn);
  roost_dialer_deinit(&conn->dialer);
  for (size_t i = conn->options->broker.other_count; i < conn->place_count; i++)
    roost_alloc_put_text(alloc, (char *)(uintptr_t)conn->places[i].host);
  roost_alloc_put(alloc, conn->places, conn->place_cap * sizeof *conn->places);
}

int roost_nats_conn_connect(roost_nats_conn *conn) {
  go_down(conn);
  return roost_dialer_connect(&conn->dialer);
}
