/*
 * A client of Nest services behind a NATS server.
 *
 * The answers to all its requests come by one subscription, to INBOX.ID.ROUTE: the id says whose
 * they are, where the answer itself does not, and the route what was asked, for an error's text.
 */
#include <stdio.h>

#include "core/slice.h"
#include "transport/codec.h"
#include "transport/nats_internal.h"
#include "wire/envelope.h"
#include "wire/json.h"
#include "wire/nats_headers.h"
#include "wire/pattern.h"
#include "wire/utf8.h"

#define ANSWERS        1   /* the subscription's number */
#define ROUTE_IN_INBOX 256 /* bytes of a route at most that stands in the subject of its answer */
#define ID_MAX         64

static const char not_json[] = "\"The reply is not JSON\"";

typedef struct nats_client {
  roost_client client; /* first: a nats_client is a roost_client */
  roost_loop *loop;
  roost_nats_conn conn;
  roost_nats_mark mark; /* of the message being written */
  roost_buffer route;   /* its subject */
  roost_buffer inbox;   /* where its answer is to come */
  roost_buffer body;    /* what the codec makes of a packet */
  const char *bad;      /* why the message being written cannot be sent; NULL: it can */
  char refusal[160];
} nats_client;

static nats_client *of(roost_client *client) {
  return (nats_client *)client;
}

static void tell(const nats_client *self, const roost_reply *reply) {
  self->client.sink->on_reply(self->client.sink_ud, reply);
}

/* ------------------------------------------------------------------------- replies ----------- */

/* What stands in the subject of a reply: an id, as JSON text, and a route, perhaps "". */
typedef struct address {
  char text[ID_MAX + 2];
  roost_slice id;
  roost_slice route;
} address;

/* False: the subject is none of our inbox's. */
static bool read_address(const nats_client *self, roost_slice subject, address *to) {
  const size_t before = self->conn.inbox_len + 1;
  if (subject.len <= before)
    return false;
  subject.ptr += before;
  subject.len -= before;
  const char *dot = memchr(subject.ptr, '.', subject.len);
  const size_t len = dot != NULL ? (size_t)(dot - subject.ptr) : subject.len;
  if (len > ID_MAX)
    return false;
  to->text[0] = to->text[len + 1] = '"';
  memcpy(to->text + 1, subject.ptr, len);
  to->id = (roost_slice){to->text, len + 2};
  to->route = (roost_slice){"", 0};
  if (dot != NULL)
    to->route = (roost_slice){dot + 1, subject.len - len - 1};
  return true;
}

static void tell_error(const nats_client *self, const address *from, roost_slice err) {
  const roost_reply reply = {.id = from->id, .err = err, .last = true};
  tell(self, &reply);
}

/* Nobody is subscribed, or somebody has sent nothing: both are the same to Nest. */
static void tell_empty(const nats_client *self, const address *from) {
  roost_buffer text;
  roost_buffer json;
  roost_buffer_init(&text, roost_loop_alloc(self->loop));
  roost_buffer_init(&json, roost_loop_alloc(self->loop));
  int status = roost_buffer_printf(
      &text, "Empty response. There are no subscribers listening to that message (\"%.*s\")",
      (int)from->route.len, from->route.ptr);
  if (status == 0)
    status = roost_json_write_string(&json, roost_buffer_slice(&text));
  tell_error(self, from,
             status == 0 ? roost_buffer_slice(&json) : ROOST_SLICE("\"Empty response.\""));
  roost_buffer_deinit(&text);
  roost_buffer_deinit(&json);
}

static void take_packet(const nats_client *self, const address *from, roost_slice packet) {
  roost_reply reply = {.last = true};
  const int status = roost_envelope_read_reply(&reply, packet);
  if (status < 0) {
    tell_error(self, from, ROOST_SLICE(not_json));
    return;
  }
  if (status == 0) /* of somebody who knows no envelopes */
    reply = (roost_reply){.response = packet, .last = true, .foreign = true};
  if (reply.foreign || reply.id.ptr == NULL)
    reply.id = from->id;
  if (roost_slice_equal(reply.id, from->id))
    tell(self, &reply);
}

/* Where the bytes are not UTF-8, or a codec has to read them first, in memory that is not the
 * client's while that is told of: it may be freed by that. */
static void take_other(nats_client *self, const address *from, roost_slice payload) {
  roost_codec *codec = self->client.codec;
  roost_buffer packet;
  roost_buffer_init(&packet, roost_loop_alloc(self->loop));
  const bool reads = codec != NULL && codec->read != NULL;
  const int status =
      reads ? codec->read(codec, payload, &packet) : roost_utf8_repair(&packet, payload);
  if (status == 0)
    take_packet(self, from, roost_buffer_slice(&packet));
  else
    tell_error(self, from, ROOST_SLICE(not_json));
  roost_buffer_deinit(&packet);
}

static void on_message(void *ud, const roost_nats_op *op) {
  nats_client *self = ud;
  const roost_codec *codec = self->client.codec;
  address from;
  if (!read_address(self, op->subject, &from))
    return;
  if (op->oversize)
    tell_error(self, &from, ROOST_SLICE("\"The reply is larger than max_buffer_size\""));
  else if (op->payload.len == 0)
    tell_empty(self, &from);
  else if ((codec == NULL || codec->read == NULL) &&
           roost_utf8_valid_prefix(op->payload) == op->payload.len)
    take_packet(self, &from, op->payload);
  else
    take_other(self, &from, op->payload);
}

/* ------------------------------------------------------------------------- the connection ---- */

/* Before anything is sent the answers are subscribed to: no request waits for that. */
static void on_ready(void *ud) {
  nats_client *self = ud;
  char subject[ROOST_NATS_INBOX_MAX + 8];
  const int len = snprintf(subject, sizeof subject, "%s.>", self->conn.inbox);
  if (roost_nats_write_sub(roost_nats_conn_out(&self->conn), (roost_slice){subject, (size_t)len},
                           (roost_slice){NULL, 0}, ANSWERS) != 0) {
    roost_nats_conn_fail(&self->conn, ROOST_ENOMEM, "out of memory");
    return;
  }
  roost_nats_conn_dirty(&self->conn);
  self->client.sink->on_open(self->client.sink_ud);
}

static void on_writable(void *ud) {
  const nats_client *self = ud;
  self->client.sink->on_writable(self->client.sink_ud);
}

/* Where one may not publish, the server only says so: what waits for an answer runs out of time. */
static void on_refused(void *ud, roost_slice text) {
  (void)ud;
  (void)text;
}

static void on_closed(void *ud, int status, const char *why) {
  const nats_client *self = ud;
  self->client.sink->on_closed(self->client.sink_ud, status, why);
}

static const roost_nats_conn_ops conn_ops = {.on_ready = on_ready,
                                             .on_message = on_message,
                                             .on_writable = on_writable,
                                             .on_refused = on_refused,
                                             .on_closed = on_closed};

/* ------------------------------------------------------------------------- sending ----------- */

static roost_slice text_of_id(roost_slice id) {
  return id.len >= 2 && id.ptr[0] == '"' ? (roost_slice){id.ptr + 1, id.len - 2} : id;
}

/* A subject without empty words, and without those that mean others. */
static bool is_plain(roost_slice route) {
  char before = '.';
  for (size_t i = 0; i < route.len; i++) {
    if (route.ptr[i] == '*' || route.ptr[i] == '>' || (route.ptr[i] == '.' && before == '.'))
      return false;
    before = route.ptr[i];
  }
  return route.len > 0 && before != '.';
}

/* Has the route in self->route; what is wrong with it is said by end. ENOMEM. */
static int find_route(nats_client *self, roost_slice pattern) {
  const char *why = "this pattern cannot be a subject";
  roost_buffer_clear(&self->route);
  const int status = roost_pattern_normalise(&self->route, pattern, &why);
  if (status == ROOST_ENOMEM)
    return status;
  if (status <= 0)
    self->bad = why;
  else if (!roost_nats_subject_good(roost_buffer_slice(&self->route)))
    self->bad = "a subject of NATS has neither blanks nor control characters, and 1 to 2,048 bytes";
  return 0;
}

static int write_inbox(nats_client *self, roost_slice id) {
  const roost_slice route = roost_buffer_slice(&self->route);
  id = text_of_id(id);
  roost_buffer_clear(&self->inbox);
  int status = roost_buffer_append(&self->inbox, self->conn.inbox, self->conn.inbox_len);
  if (status == 0)
    status = roost_buffer_append_byte(&self->inbox, '.');
  if (status == 0)
    status = roost_buffer_append_slice(&self->inbox, id);
  if (status != 0 || route.len > ROUTE_IN_INBOX || !is_plain(route))
    return status;
  status = roost_buffer_append_byte(&self->inbox, '.');
  return status == 0 ? roost_buffer_append_slice(&self->inbox, route) : status;
}

static bool has_members(roost_slice object) {
  return object.len > 2;
}

/* The configuration's headers below those of the message. */
static int write_headers(nats_client *self, roost_buffer *out, roost_slice metadata) {
  const roost_nats_options *options = self->conn.options;
  const char *why = NULL;
  int status = 0;
  if (options->headers != NULL)
    status = roost_nats_headers_from_json(out, roost_slice_text(options->headers), metadata, &why);
  if (status == 0 && metadata.ptr != NULL)
    status = roost_nats_headers_from_json(out, metadata, (roost_slice){NULL, 0}, &why);
  if (status == ROOST_EINVAL || status == ROOST_EPROTO)
    self->bad = why != NULL ? why : "metadata is no object";
  return status == ROOST_ENOMEM ? status : roost_nats_pub_body(out, &self->mark);
}

static int begin_message(nats_client *self, roost_buffer *out, const roost_message *head) {
  static const roost_slice nothing = {NULL, 0};
  const bool has_headers = self->conn.options->headers != NULL || has_members(head->metadata);
  const bool takes_headers = has_headers && self->conn.has_headers;
  self->bad = has_headers && !takes_headers ? "this server of NATS takes no headers" : NULL;
  int status = find_route(self, head->pattern);
  if (status == 0 && head->id.ptr != NULL)
    status = write_inbox(self, head->id);
  if (status == 0)
    status = roost_nats_pub_begin(out, &self->mark, roost_buffer_slice(&self->route),
                                  head->id.ptr != NULL ? roost_buffer_slice(&self->inbox) : nothing,
                                  takes_headers);
  if (status == 0 && takes_headers) {
    status = write_headers(self, out, head->metadata);
    if (status != 0)
      roost_nats_pub_undo(out, &self->mark);
  }
  return status;
}

static roost_buffer *begin(roost_client *client, const roost_message *head) {
  nats_client *self = of(client);
  roost_buffer *out = roost_nats_conn_out(&self->conn);
  if (begin_message(self, out, head) != 0)
    return NULL;
  const roost_message plain = {.pattern = head->pattern}; /* metadata has gone as headers */
  if (roost_envelope_request_begin(out, &plain) == 0)
    return out;
  roost_nats_pub_undo(out, &self->mark);
  return NULL;
}

static void undo(roost_client *client) {
  nats_client *self = of(client);
  roost_nats_pub_undo(roost_nats_conn_out(&self->conn), &self->mark);
}

/* The packet behind the headers is what the codec makes of it. */
static int encode(nats_client *self, roost_buffer *out) {
  roost_codec *codec = self->client.codec;
  if (codec == NULL || codec->write == NULL)
    return 0;
  const size_t at = self->mark.payload;
  roost_buffer_clear(&self->body);
  int status = codec->write(codec, roost_slice_of(out->ptr + at, out->len - at), &self->body);
  if (status != 0)
    return status;
  out->len = at;
  status = roost_buffer_append_slice(out, roost_buffer_slice(&self->body));
  roost_buffer_trim(&self->body, ROOST_CODEC_KEEP_BYTES);
  return status;
}

static const char *refusal_of(nats_client *self, const roost_buffer *out) {
  const size_t size = roost_nats_pub_size(out, &self->mark);
  if (self->bad != NULL)
    return self->bad;
  if (size <= self->conn.max_payload)
    return NULL;
  snprintf(self->refusal, sizeof self->refusal,
           "the message has %zu bytes, and the server of NATS takes %zu (max_payload)", size,
           self->conn.max_payload);
  return self->refusal;
}

static int end(roost_client *client, const roost_message *head) {
  nats_client *self = of(client);
  roost_buffer *out = roost_nats_conn_out(&self->conn);
  const roost_message plain = {.id = head->id};
  int status = roost_envelope_request_end(out, &plain);
  if (status == 0)
    status = encode(self, out);
  if (status == 0 && (client->refusal = refusal_of(self, out)) != NULL)
    status = ROOST_EUNSUPPORTED;
  if (status != 0) {
    undo(client);
    return status;
  }
  status = roost_nats_pub_end(out, &self->mark);
  roost_nats_conn_dirty(&self->conn);
  return status;
}

/* ------------------------------------------------------------------------- the owner's calls - */

static int connect_client(roost_client *client) {
  return roost_nats_conn_connect(&of(client)->conn);
}

static const roost_dialer *dialer_of(const roost_client *client) {
  return &((const nats_client *)client)->conn.dialer;
}

static bool crowded(const roost_client *client) {
  return roost_dialer_crowded(dialer_of(client));
}

static void close_client(roost_client *client) {
  roost_nats_conn_close(&of(client)->conn);
}

static void free_client(roost_client *client) {
  nats_client *self = of(client);
  roost_nats_conn_deinit(&self->conn);
  roost_buffer_deinit(&self->route);
  roost_buffer_deinit(&self->inbox);
  roost_buffer_deinit(&self->body);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static const roost_client_ops client_ops = {.connect = connect_client,
                                            .begin = begin,
                                            .end = end,
                                            .undo = undo,
                                            .crowded = crowded,
                                            .close = close_client,
                                            .free = free_client};

int roost_nats_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                          const roost_client_sink *sink, void *sink_ud) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  nats_client *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->client = (roost_client){.ops = &client_ops,
                                .config = config,
                                .sink = sink,
                                .sink_ud = sink_ud,
                                .dialer = &self->conn.dialer};
  self->loop = loop;
  roost_buffer_init(&self->route, alloc);
  roost_buffer_init(&self->inbox, alloc);
  roost_buffer_init(&self->body, alloc);
  const int status = roost_nats_conn_init(&self->conn, loop, config->options, &conn_ops, self,
                                          config->max_send_buffer_size);
  self->conn.name = config->name;
  self->conn.max_bytes = config->max_buffer_size;
  if (status != 0) {
    free_client(&self->client);
    return status;
  }
  *out = &self->client;
  return 0;
}

roost_nats_conn *roost_nats_client_conn(roost_client *client) {
  return &of(client)->conn;
}
