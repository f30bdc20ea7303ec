/*
 * The client of a Nest TCP server.
 *
 * Link: one connection of the client's, from dialling to its end. A client lets go of a link before
 * it connects again, so that what an old connection still has to say reaches nobody. A link is
 * owned by its client while that points at it, and in any case freed when its conn reports the end.
 * Linger: one that its client has closed still sends what it was given, then FIN, and waits for the
 * peer's, for a while.
 */
#include <stdio.h>
#include <string.h>

#include "transport/codec.h"
#include "wire/envelope.h"
#include "wire/frame.h"

#define LINGER_MS    2000  /* without progress, before it is dropped */
#define HANDSHAKE_MS 10000 /* of TLS, as a server's by default */
#define NEXT_MS      3000  /* without an answer, before another endpoint is tried */

typedef struct tcp_client tcp_client;

typedef struct tcp_link {
  tcp_client *client; /* NULL: it was let go */
  roost_conn *conn;
  roost_frame_reader reader;
  roost_timer timer;     /* of an unfinished frame, or lingering */
  size_t left_bytes;     /* unsent when the linger timer was last started */
  roost_frame_mark mark; /* of the packet being written */
  bool open;
  bool heard; /* something came, so that it serves */
} tcp_link;

struct tcp_client {
  roost_client client; /* first: a tcp_client is a roost_client */
  roost_loop *loop;
  tcp_link *link;      /* NULL: not connected */
  unsigned digits;     /* of the last packet's length: a guess for the next */
  roost_dial_fn *dial; /* in the place of roost_conn_dial; NULL: none */
  void *dial_ud;
  roost_loop_hook later; /* tells how dial went */
  roost_loop_hook next;  /* tries the next endpoint */
  size_t refused;        /* endpoints in a row that took no connection */
  bool leaves; /* the last one took it and said nothing before the end: TLS 1.3 refuses that way */
  roost_tls_context *tls; /* NULL: none, or not made yet */
  char why[192];          /* what is wrong with TLS, for the sink */
  roost_buffer packet;    /* what the codec made of a frame; elsewhere while that is told of */
  roost_buffer body;      /* what it makes of the packet being sent */
};

static tcp_client *of(roost_client *client) {
  return (tcp_client *)client;
}

/* ------------------------------------------------------------------------- ending ------------ */

static void stop_timer(tcp_link *link) {
  roost_timer_stop(roost_loop_wheel(roost_conn_loop(link->conn)), &link->timer);
}

static void let_go(tcp_client *self) {
  tcp_link *link = self->link;
  if (link == NULL)
    return;
  self->link = NULL;
  link->client = NULL;
  stop_timer(link);
  roost_conn_close(link->conn);
}

static void start_linger(tcp_link *link) {
  link->left_bytes = roost_conn_queued(link->conn);
  roost_timer_start(roost_loop_wheel(roost_conn_loop(link->conn)), &link->timer, LINGER_MS);
}

static void on_lingered(roost_timer *timer) {
  tcp_link *link = ROOST_LIST_ENTRY(timer, tcp_link, timer);
  if (roost_conn_queued(link->conn) < link->left_bytes)
    start_linger(link);
  else
    roost_conn_close(link->conn);
}

/* Lets go of it, but what was handed over is still sent. */
static void retire(tcp_client *self) {
  tcp_link *link = self->link;
  if (link == NULL || !link->open) {
    let_go(self);
    return;
  }
  self->link = NULL;
  link->client = NULL;
  roost_conn_shutdown(link->conn);
  roost_timer_stop(roost_loop_wheel(self->loop), &link->timer);
  roost_timer_init(&link->timer, on_lingered);
  start_linger(link);
}

/* Ends the connection and tells why; nothing of the client may be used after it. */
static void fail(tcp_client *self, int status, const char *why) {
  self->leaves = self->link != NULL && !self->link->heard;
  let_go(self);
  self->client.sink->on_closed(self->client.sink_ud, status, why);
}

/* A server may refuse a certificate after the handshake (TLS 1.3): that is no end like others. */
static bool is_tls_failure(const char *why) {
  return strncmp(why, "ETLS", 4) == 0;
}

/* The next connection begins with another endpoint. */
static void go_on(tcp_client *self) {
  self->client.place = (self->client.place + 1) % (self->client.config->other_count + 1);
}

/* Goes on to the endpoint after the one that took no connection; false where all were tried. */
static bool has_another(tcp_client *self) {
  if (++self->refused > self->client.config->other_count)
    return false;
  go_on(self);
  return true;
}

static void on_closed(void *ud, int status, const char *why) {
  tcp_link *link = ud;
  tcp_client *self = link->client;
  const roost_alloc *alloc = roost_loop_alloc(roost_conn_loop(link->conn));
  const bool was_open = link->open;
  const bool was_heard = link->heard;
  stop_timer(link);
  roost_frame_reader_deinit(&link->reader);
  roost_alloc_put(alloc, link, sizeof *link);
  if (self == NULL)
    return;
  self->link = NULL;
  if (!was_open && status != 0 && has_another(self)) {
    roost_loop_defer(self->loop, &self->next);
    return;
  }
  self->leaves = was_open && !was_heard;
  if (status != 0 && is_tls_failure(why)) {
    snprintf(self->why, sizeof self->why, "%s", why);
    self->client.sink->on_closed(self->client.sink_ud, ROOST_ECONNECT, self->why);
  } else {
    self->client.sink->on_closed(self->client.sink_ud, was_open ? ROOST_EGONE : status,
                                 was_open && status == 0 ? "Connection closed" : why);
  }
}

/* ------------------------------------------------------------------------- reading ----------- */

static void on_open(void *ud) {
  tcp_link *link = ud;
  link->open = true;
  if (link->client != NULL)
    link->client->client.sink->on_open(link->client->client.sink_ud);
}

static void take_packet(tcp_client *self, roost_slice packet) {
  roost_reply reply;
  const int status = roost_envelope_read_reply(&reply, packet);
  if (status > 0)
    self->client.sink->on_reply(self->client.sink_ud, &reply);
  else if (status < 0)
    fail(self, ROOST_EPROTO, "a reply is not JSON");
}

/* The memory of a packet that is done with is for the next, where there still is a client. */
static void keep_packet(const tcp_link *link, roost_buffer *packet) {
  roost_buffer_clear(packet);
  roost_buffer_trim(packet, ROOST_CODEC_KEEP_BYTES);
  if (link->client != NULL && link->client->packet.cap == 0)
    link->client->packet = *packet;
  else
    roost_buffer_deinit(packet);
}

/* What it tells may close the client: the caller looks whether the link still has one. */
static void take_frame(tcp_link *link, roost_slice frame) {
  tcp_client *self = link->client;
  roost_codec *codec = self->client.codec;
  if (codec == NULL || codec->read == NULL) {
    take_packet(self, frame);
    return;
  }
  roost_buffer packet = self->packet;
  roost_buffer_init(&self->packet, packet.alloc);
  if (codec->read(codec, frame, &packet) == 0)
    take_packet(self, roost_buffer_slice(&packet));
  else
    fail(self, ROOST_EPROTO, codec->why);
  keep_packet(link, &packet);
}

static void on_incomplete(roost_timer *timer) {
  const tcp_link *link = ROOST_LIST_ENTRY(timer, tcp_link, timer);
  if (roost_conn_read_now(link->conn)) /* that was progress, though not read yet */
    return;
  fail(link->client, ROOST_EPROTO, "a reply was begun and not finished");
}

static void watch_unfinished(tcp_link *link) {
  const uint64_t ms = link->client->client.config->incomplete_message_timeout;
  if (ms > 0 && roost_frame_reader_pending(&link->reader))
    roost_timer_start(roost_loop_wheel(link->client->loop), &link->timer, ms);
  else
    stop_timer(link);
}

static void after_frames(tcp_link *link, int status) {
  if (link->client == NULL)
    return;
  if (status < 0)
    fail(link->client, ROOST_EPROTO, link->reader.error);
  else
    watch_unfinished(link);
}

static void on_bytes(void *ud, roost_slice bytes) {
  tcp_link *link = ud;
  link->heard = true;
  roost_slice frame;
  int status = 1;
  while (link->client != NULL && status > 0) {
    status = roost_frame_read(&link->reader, &bytes, &frame);
    if (status > 0)
      take_frame(link, frame);
  }
  after_frames(link, status);
}

static size_t room(void *ud, char **place) {
  tcp_link *link = ud;
  return link->client != NULL ? roost_frame_room(&link->reader, place) : 0;
}

static void on_filled(void *ud, size_t n) {
  tcp_link *link = ud;
  link->heard = true;
  roost_slice frame;
  const int status = roost_frame_filled(&link->reader, n, &frame);
  if (status > 0)
    take_frame(link, frame);
  after_frames(link, status);
}

static void on_eof(void *ud) {
  const tcp_link *link = ud;
  if (link->client != NULL)
    fail(link->client, ROOST_EGONE, "Connection closed");
}

static void on_writable(void *ud) {
  const tcp_link *link = ud;
  if (link->client != NULL)
    link->client->client.sink->on_writable(link->client->client.sink_ud);
}

static const roost_conn_ops conn_ops = {.on_open = on_open,
                                        .on_bytes = on_bytes,
                                        .room = room,
                                        .on_filled = on_filled,
                                        .on_eof = on_eof,
                                        .on_writable = on_writable,
                                        .on_closed = on_closed};

/* ------------------------------------------------------------------------- the owner's calls - */

/* A connection that was there at once, or was refused at once. */
static void on_later(void *ud) {
  tcp_client *self = ud;
  if (self->link != NULL)
    on_open(self->link);
  else
    self->client.sink->on_closed(self->client.sink_ud, ROOST_ECONNECT,
                                 self->why[0] != '\0' ? self->why : "ECONNREFUSED");
}

/* Makes the context at the first use. What is wrong with the files is told as a refusal: ECONNECT.
 */
static int prepare_tls(tcp_client *self) {
  const roost_tls_config *config = self->client.config->tls;
  roost_buffer text;
  self->why[0] = '\0';
  if (config == NULL || self->tls != NULL)
    return 0;
  roost_buffer_init(&text, roost_loop_alloc(self->loop));
  int status = roost_tls_client_context(&self->tls, roost_loop_alloc(self->loop), config, &text);
  if (status == ROOST_ECONFIG) {
    snprintf(self->why, sizeof self->why, "ETLS: %.*s", (int)text.len, text.ptr);
    roost_loop_defer(self->loop, &self->later);
    status = ROOST_ECONNECT;
  }
  roost_buffer_deinit(&text);
  return status;
}

/* Tells with which connection it begins; on_open follows once it has TLS. */
static int start_tls(tcp_client *self, tcp_link *link) {
  const char *host = roost_client_endpoint(&self->client).host;
  const uint64_t timeout_ms = self->client.config->other_count > 0 ? NEXT_MS : HANDSHAKE_MS;
  const int status = roost_conn_start_tls(link->conn, self->tls, host, timeout_ms);
  if (status == 0)
    return 0;
  snprintf(self->why, sizeof self->why, "ETLS: %s",
           status == ROOST_EINVAL ? "no name is known that the certificate must have"
                                  : roost_status_name(status));
  link->client = NULL; /* it is freed when its end is told */
  roost_conn_close(link->conn);
  roost_loop_defer(self->loop, &self->later);
  return 1;
}

/* 0; 1: it is open already, as one in memory is; ECONNECT: refused. */
static int dial(tcp_client *self, tcp_link *link) {
  const roost_endpoint to = roost_client_endpoint(&self->client);
  const uint64_t timeout_ms = self->client.config->other_count > 0 ? NEXT_MS : 0;
  if (self->dial == NULL)
    return roost_conn_dial(&link->conn, self->loop, to.host, to.port, timeout_ms, &conn_ops, link);
  const int status = self->dial(self->dial_ud, &link->conn, &conn_ops, link);
  if (status == ROOST_ECONNECT || (status == 1 && self->tls == NULL))
    roost_loop_defer(self->loop, &self->later);
  return status;
}

/* Tries the endpoint it has come to. */
static int try_endpoint(tcp_client *self) {
  roost_client *client = &self->client;
  const roost_client_config *config = client->config;
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  let_go(self);
  int status = prepare_tls(self);
  if (status != 0)
    return status == ROOST_ECONNECT ? 0 : status;
  tcp_link *link = roost_alloc_get(alloc, sizeof *link);
  if (link == NULL)
    return ROOST_ENOMEM;
  link->client = self;
  roost_timer_init(&link->timer, on_incomplete);
  roost_frame_reader_init(&link->reader, alloc, config->framing, config->max_buffer_size);
  link->reader.raw = client->codec != NULL && client->codec->takes_bytes;
  status = dial(self, link);
  if (status < 0) {
    roost_alloc_put(alloc, link, sizeof *link);
    return status == ROOST_ECONNECT ? 0 : status;
  }
  roost_conn_set_send_limit(link->conn, config->max_send_buffer_size);
  if (self->tls == NULL || start_tls(self, link) == 0)
    self->link = link;
  return 0;
}

static void on_next(void *ud) {
  tcp_client *self = ud;
  const int status = try_endpoint(self);
  if (status < 0)
    self->client.sink->on_closed(self->client.sink_ud, ROOST_ECONNECT, roost_status_name(status));
}

static int connect_client(roost_client *client) {
  tcp_client *self = of(client);
  self->refused = 0;
  if (self->leaves)
    go_on(self);
  self->leaves = false;
  roost_loop_remove_hook(&self->next);
  return try_endpoint(self);
}

static roost_buffer *begin(roost_client *client, const roost_message *head) {
  tcp_client *self = of(client);
  tcp_link *link = self->link;
  roost_buffer *out = roost_conn_out(link->conn);
  if (roost_frame_begin(out, &link->mark, client->config->framing, self->digits) != 0)
    return NULL;
  if (roost_envelope_request_begin(out, head) == 0)
    return out;
  roost_frame_undo(out, &link->mark);
  return NULL;
}

static void undo(roost_client *client) {
  tcp_link *link = of(client)->link;
  roost_frame_undo(roost_conn_out(link->conn), &link->mark);
}

static int end(roost_client *client, const roost_message *head) {
  tcp_client *self = of(client);
  tcp_link *link = self->link;
  roost_buffer *out = roost_conn_out(link->conn);
  int status = roost_envelope_request_end(out, head);
  if (status == 0)
    status = roost_codec_write(client->codec, out, &link->mark, &self->body);
  if (status != 0) {
    undo(client);
    return status;
  }
  const int digits = roost_frame_end(out, &link->mark);
  if (digits < 0)
    return digits;
  self->digits = (unsigned)digits;
  roost_conn_dirty(link->conn);
  return 0;
}

static roost_format format(const roost_client *client, roost_slice pattern) {
  (void)client;
  (void)pattern;
  return ROOST_FORMAT_JSON;
}

static bool crowded(const roost_client *client) {
  const tcp_client *self = (const tcp_client *)client;
  return self->link != NULL && roost_conn_crowded(self->link->conn);
}

static void close_client(roost_client *client) {
  tcp_client *self = of(client);
  roost_loop_remove_hook(&self->later);
  roost_loop_remove_hook(&self->next);
  retire(self);
}

static const roost_address *remote(const roost_client *client) {
  const tcp_client *self = (const tcp_client *)client;
  return self->link != NULL ? roost_conn_remote(self->link->conn) : NULL;
}

static const roost_address *local(const roost_client *client) {
  const tcp_client *self = (const tcp_client *)client;
  return self->link != NULL ? roost_conn_local(self->link->conn) : NULL;
}

static int descriptor(const roost_client *client) {
  const tcp_client *self = (const tcp_client *)client;
  return self->link != NULL ? roost_conn_descriptor(self->link->conn) : -1;
}

static const roost_tls_info *tls(const roost_client *client) {
  const tcp_client *self = (const tcp_client *)client;
  return self->link != NULL ? roost_conn_tls_info(self->link->conn) : NULL;
}

static void free_client(roost_client *client) {
  tcp_client *self = of(client);
  close_client(client);
  roost_tls_context_release(self->tls);
  roost_buffer_deinit(&self->packet);
  roost_buffer_deinit(&self->body);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static const roost_client_ops client_ops = {.connect = connect_client,
                                            .format = format,
                                            .begin = begin,
                                            .end = end,
                                            .undo = undo,
                                            .crowded = crowded,
                                            .close = close_client,
                                            .remote = remote,
                                            .local = local,
                                            .descriptor = descriptor,
                                            .tls = tls,
                                            .free = free_client};

int roost_tcp_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                         const roost_client_sink *sink, void *sink_ud) {
  tcp_client *self = roost_alloc_get(roost_loop_alloc(loop), sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->client =
      (roost_client){.ops = &client_ops, .config = config, .sink = sink, .sink_ud = sink_ud};
  self->loop = loop;
  self->later = (roost_loop_hook){.fn = on_later, .ud = self};
  roost_list_init(&self->later.link);
  self->next = (roost_loop_hook){.fn = on_next, .ud = self};
  roost_list_init(&self->next.link);
  roost_buffer_init(&self->packet, roost_loop_alloc(loop));
  roost_buffer_init(&self->body, roost_loop_alloc(loop));
  self->digits = 2;
  *out = &self->client;
  return 0;
}

void roost_tcp_client_set_dial(roost_client *client, roost_dial_fn *fn, void *ud) {
  tcp_client *self = of(client);
  self->dial = fn;
  self->dial_ud = ud;
}
