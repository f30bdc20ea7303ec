/*
 * The client of a Nest TCP server: frames over a link (transport/link.h), each with the envelope of
 * a request or a reply.
 */
#include "transport/codec.h"
#include "transport/link.h"
#include "wire/envelope.h"
#include "wire/frame.h"

typedef struct tcp_link {
  roost_link link; /* first: a tcp_link is a roost_link */
  roost_frame_reader reader;
  roost_timer unfinished; /* a frame */
  roost_frame_mark mark;  /* of the packet being written */
} tcp_link;

typedef struct tcp_client {
  roost_client client; /* first: a tcp_client is a roost_client */
  roost_loop *loop;
  roost_dialer dialer;
  unsigned digits;     /* of the last packet's length: a guess for the next */
  roost_buffer packet; /* what the codec made of a frame; elsewhere while that is told of */
  roost_buffer body;   /* what it makes of the packet being sent */
} tcp_client;

static tcp_client *of(roost_client *client) {
  return (tcp_client *)client;
}

static tcp_link *link_of(const tcp_client *self) {
  return (tcp_link *)self->dialer.link;
}

static void fail(tcp_client *self, const char *why) {
  roost_dialer_fail(&self->dialer, ROOST_EPROTO, why);
}

/* ------------------------------------------------------------------------- reading ----------- */

static void take_packet(tcp_client *self, roost_slice packet) {
  roost_reply reply;
  const int status = roost_envelope_read_reply(&reply, packet);
  if (status > 0)
    self->client.sink->on_reply(self->client.sink_ud, &reply);
  else if (status < 0)
    fail(self, "a reply is not JSON");
}

/* The memory of a packet that is done with is for the next, where there still is a client. */
static void keep_packet(const tcp_link *link, tcp_client *self, roost_buffer *packet) {
  roost_buffer_clear(packet);
  roost_buffer_trim(packet, ROOST_CODEC_KEEP_BYTES);
  if (link->link.dialer != NULL && self->packet.cap == 0)
    self->packet = *packet;
  else
    roost_buffer_deinit(packet);
}

/* What it tells may close the client: the caller looks whether the link still has a dialer. */
static void take_frame(tcp_client *self, const tcp_link *link, roost_slice frame) {
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
    fail(self, codec->why);
  keep_packet(link, self, &packet);
}

static void on_incomplete(roost_timer *timer) {
  const tcp_link *link = ROOST_LIST_ENTRY(timer, tcp_link, unfinished);
  if (link->link.dialer == NULL || roost_conn_read_now(link->link.conn)) /* that was progress */
    return;
  fail(link->link.dialer->ud, "a reply was begun and not finished");
}

static void watch_unfinished(const tcp_client *self, tcp_link *link) {
  const uint64_t ms = self->client.config->incomplete_message_timeout;
  roost_wheel *wheel = roost_loop_wheel(self->loop);
  if (ms > 0 && roost_frame_reader_pending(&link->reader))
    roost_timer_start(wheel, &link->unfinished, ms);
  else
    roost_timer_stop(wheel, &link->unfinished);
}

static void after_frames(tcp_client *self, tcp_link *link, int status) {
  if (link->link.dialer == NULL)
    return;
  if (status < 0)
    fail(self, link->reader.error);
  else
    watch_unfinished(self, link);
}

static void on_bytes(void *ud, roost_link *at, roost_slice bytes) {
  tcp_link *link = (tcp_link *)at;
  roost_slice frame;
  int status = 1;
  while (at->dialer != NULL && status > 0) {
    status = roost_frame_read(&link->reader, &bytes, &frame);
    if (status > 0)
      take_frame(ud, link, frame);
  }
  after_frames(ud, link, status);
}

static size_t room(void *ud, roost_link *at, char **place) {
  (void)ud;
  return roost_frame_room(&((tcp_link *)at)->reader, place);
}

static void on_filled(void *ud, roost_link *at, size_t n) {
  tcp_link *link = (tcp_link *)at;
  roost_slice frame;
  const int status = roost_frame_filled(&link->reader, n, &frame);
  if (status > 0)
    take_frame(ud, link, frame);
  after_frames(ud, link, status);
}

/* ------------------------------------------------------------------------- the link ---------- */

static void init_link(roost_link *at, void *ud) {
  const tcp_client *self = ud;
  const roost_client_config *config = self->client.config;
  tcp_link *link = (tcp_link *)at;
  roost_timer_init(&link->unfinished, on_incomplete);
  roost_frame_reader_init(&link->reader, roost_loop_alloc(self->loop), config->framing,
                          config->max_buffer_size);
  link->reader.raw = self->client.codec != NULL && self->client.codec->takes_bytes;
}

static void deinit_link(roost_link *at) {
  tcp_link *link = (tcp_link *)at;
  if (at->conn != NULL)
    roost_timer_stop(roost_loop_wheel(roost_conn_loop(at->conn)), &link->unfinished);
  roost_frame_reader_deinit(&link->reader);
}

static void on_open(void *ud, roost_link *link) {
  const tcp_client *self = ud;
  (void)link;
  self->client.sink->on_open(self->client.sink_ud);
}

static void on_writable(void *ud, roost_link *link) {
  const tcp_client *self = ud;
  (void)link;
  self->client.sink->on_writable(self->client.sink_ud);
}

static void on_closed(void *ud, int status, const char *why) {
  const tcp_client *self = ud;
  self->client.sink->on_closed(self->client.sink_ud, status, why);
}

static const roost_link_ops link_ops = {.size = sizeof(tcp_link),
                                        .init = init_link,
                                        .deinit = deinit_link,
                                        .on_open = on_open,
                                        .on_bytes = on_bytes,
                                        .room = room,
                                        .on_filled = on_filled,
                                        .on_writable = on_writable,
                                        .on_closed = on_closed};

/* ------------------------------------------------------------------------- the owner's calls - */

static int connect_client(roost_client *client) {
  return roost_dialer_connect(&of(client)->dialer);
}

static roost_buffer *begin(roost_client *client, const roost_message *head) {
  tcp_client *self = of(client);
  tcp_link *link = link_of(self);
  roost_buffer *out = roost_conn_out(link->link.conn);
  if (roost_frame_begin(out, &link->mark, client->config->framing, self->digits) != 0)
    return NULL;
  if (roost_envelope_request_begin(out, head) == 0)
    return out;
  roost_frame_undo(out, &link->mark);
  return NULL;
}

static void undo(roost_client *client) {
  tcp_link *link = link_of(of(client));
  roost_frame_undo(roost_conn_out(link->link.conn), &link->mark);
}

static int end(roost_client *client, const roost_message *head) {
  tcp_client *self = of(client);
  tcp_link *link = link_of(self);
  roost_buffer *out = roost_conn_out(link->link.conn);
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
  roost_conn_dirty(link->link.conn);
  return 0;
}

static const roost_dialer *dialer_of(const roost_client *client) {
  return &((const tcp_client *)client)->dialer;
}

static bool crowded(const roost_client *client) {
  return roost_dialer_crowded(dialer_of(client));
}

static void pause(roost_client *client, bool on) {
  const roost_link *link = of(client)->dialer.link;
  if (link != NULL)
    (on ? roost_conn_pause : roost_conn_resume)(link->conn);
}

/* What is left of the connection reads on, to see the peer's end. */
static void close_client(roost_client *client) {
  pause(client, false);
  roost_dialer_close(&of(client)->dialer);
}

static void free_client(roost_client *client) {
  tcp_client *self = of(client);
  roost_dialer_deinit(&self->dialer);
  roost_buffer_deinit(&self->packet);
  roost_buffer_deinit(&self->body);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static const roost_client_ops client_ops = {.routes_events = true,
                                            .connect = connect_client,
                                            .begin = begin,
                                            .end = end,
                                            .undo = undo,
                                            .crowded = crowded,
                                            .pause = pause,
                                            .close = close_client,
                                            .free = free_client};

int roost_tcp_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                         const roost_client_sink *sink, void *sink_ud) {
  tcp_client *self = roost_alloc_get(roost_loop_alloc(loop), sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->client = (roost_client){.ops = &client_ops,
                                .config = config,
                                .sink = sink,
                                .sink_ud = sink_ud,
                                .dialer = &self->dialer};
  self->loop = loop;
  const roost_dialer_config dialer = {.endpoint = {config->host, config->port},
                                      .others = config->others,
                                      .other_count = config->other_count,
                                      .tls = config->tls,
                                      .max_send_buffer_size = config->max_send_buffer_size};
  roost_dialer_init(&self->dialer, loop, &dialer, &link_ops, self);
  roost_buffer_init(&self->packet, roost_loop_alloc(loop));
  roost_buffer_init(&self->body, roost_loop_alloc(loop));
  self->digits = 2;
  *out = &self->client;
  return 0;
}
