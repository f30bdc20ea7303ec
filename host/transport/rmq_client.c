/*
 * The client of servers behind RabbitMQ.
 *
 * Replies come to a queue of this connection's own and are known by their correlation id, which is
 * the request's id without its quotes. Open: what is needed was declared, and replies are consumed.
 * Confirming: with persistent = true the broker says of each message, by its number in this
 * connection, when it is safe; of events that is told (rmq_confirm.c).
 */
#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "transport/rmq_confirm.h"
#include "transport/rmq_internal.h"
#include "wire/envelope.h"
#include "wire/json.h"
#include "wire/pattern.h"
#include "wire/utf8.h"

#define ID_MAX 64 /* bytes of an id, which are the service layer's */

static const char unroutable[] =
    "\"There is no matching message handler defined in the remote service.\"";

typedef struct rmq_client {
  roost_client client; /* first: an rmq_client is a roost_client */
  roost_loop *loop;
  const roost_rmq_options *options; /* borrowed */
  roost_rmq_connection connection;
  roost_buffer body;    /* the packet being written */
  roost_buffer coded;   /* what the codec makes of it */
  roost_buffer headers; /* of the message being sent */
  roost_buffer route;   /* its key */
  roost_rmq_confirms confirms;
  char refusal[128]; /* why it cannot be sent */
  bool is_open;
} rmq_client;

static rmq_client *of(roost_client *client) {
  return (rmq_client *)client;
}

/* ------------------------------------------------------------------------- the connection ---- */

/* A queue or an exchange as the server has it, and where the replies come to. */
static int setup(const rmq_client *self, roost_rmq_session *session) {
  const roost_rmq_options *options = self->options;
  roost_rmq_codec *codec = session->codec;
  roost_buffer *out = roost_rmq_out(session);
  const roost_slice queue = roost_slice_text(options->queue);
  int status = 0;
  if (roost_rmq_is_routed(options)) {
    const roost_rmq_declare exchange = roost_rmq_exchange_of(options);
    status = roost_rmq_write_exchange_declare(codec, out, ROOST_RMQ_CHANNEL, &exchange);
  } else {
    const roost_rmq_declare declared = roost_rmq_queue_of(options);
    if (!options->no_assert)
      status = roost_rmq_write_queue_declare(codec, out, ROOST_RMQ_CHANNEL, &declared);
    if (status == 0 && options->exchange != NULL && options->routing_key != NULL)
      status = roost_rmq_write_bind(codec, out, ROOST_RMQ_CHANNEL, queue,
                                    roost_slice_text(options->exchange),
                                    roost_slice_text(options->routing_key));
  }
  if (status == 0 && self->client.confirms)
    status = roost_rmq_write_confirm_select(codec, out, ROOST_RMQ_CHANNEL);
  if (status == 0)
    status = roost_rmq_write_consume(codec, out, ROOST_RMQ_CHANNEL,
                                     roost_slice_text(options->reply_queue), ROOST_SLICE(""), true,
                                     false);
  return status;
}

static void on_ready(void *ud, roost_rmq_session *session) {
  rmq_client *self = ud;
  if (roost_rmq_sent(session, setup(self, session)) == ROOST_EINVAL)
    roost_rmq_connection_fail(&self->connection, ROOST_ECONNECT,
                              "EINVAL: queue, exchange and their options cannot be sent");
}

static void on_closed(void *ud, int status, const char *why) {
  rmq_client *self = ud;
  const bool was_open = self->is_open;
  self->is_open = false;
  self->client.is_blocked = false;
  roost_rmq_confirms_clear(&self->confirms);
  if (was_open)
    status = status == ROOST_ECONNECT ? ROOST_EGONE : status;
  else if (status == ROOST_EGONE && strncmp(why, "E", 1) != 0) /* no errno's name says why */
    why = "ECONNRESET";
  self->client.sink->on_closed(self->client.sink_ud, was_open ? status : ROOST_ECONNECT, why);
}

/* ------------------------------------------------------------------------- replies ----------- */

/* The JSON text of the id of the request that a message belongs to; false: of none of ours. */
static bool find_id(const roost_rmq_content *content, char id[ID_MAX], roost_slice *out) {
  const roost_slice text = content->properties.correlation_id;
  if (text.len == 0 || text.len > ID_MAX - 2)
    return false;
  id[0] = '"';
  memcpy(id + 1, text.ptr, text.len);
  id[text.len + 1] = '"';
  *out = (roost_slice){id, text.len + 2};
  return roost_json_validate(*out) == 0;
}

/* What Nest's client takes for a value, and the last one: text, or JSON that is no envelope.
 * ENOMEM.
 */
static int read_foreign(roost_reply *reply, roost_slice body, roost_buffer *text) {
  reply->foreign = true;
  reply->last = true;
  reply->err = (roost_slice){NULL, 0};
  if (roost_json_validate(body) == 0) {
    reply->response = body;
    return 0;
  }
  const int status = roost_json_write_string(text, body);
  reply->response = roost_buffer_slice(text);
  return status;
}

/* Tells of a reply whose packet is valid UTF-8; nothing of the client may be used after it. */
static int tell_reply(const rmq_client *self, roost_slice packet, roost_slice id) {
  roost_reply reply;
  roost_buffer text;
  roost_buffer_init(&text, roost_loop_alloc(self->loop));
  int status = roost_envelope_read_reply(&reply, packet);
  status = status == 1 ? 0 : read_foreign(&reply, packet, &text);
  reply.format = ROOST_FORMAT_JSON;
  reply.id = id;
  if (status == 0)
    self->client.sink->on_reply(self->client.sink_ud, &reply);
  roost_buffer_deinit(&text);
  return status;
}

/* Has the request fail that the message belongs to. */
static void tell_error(const rmq_client *self, roost_slice id, const char *err) {
  const roost_reply reply = {
      .format = ROOST_FORMAT_JSON, .id = id, .err = roost_slice_text(err), .last = true};
  self->client.sink->on_reply(self->client.sink_ud, &reply);
}

/* The packet of a reply, in buffer where it is not the body itself. ENOMEM, ESCRIPT. */
static int decoded(const rmq_client *self, roost_slice *body, roost_buffer *buffer) {
  roost_codec *codec = self->client.codec;
  const bool has_codec = codec != NULL && codec->read != NULL;
  int status = 0;
  if (has_codec)
    status = codec->read(codec, *body, buffer);
  else if (roost_utf8_valid_prefix(*body) != body->len)
    status = roost_utf8_repair(buffer, *body);
  else
    return 0;
  *body = roost_buffer_slice(buffer);
  return status;
}

static void on_reply(const rmq_client *self, const roost_rmq_content *content) {
  char digits[ID_MAX];
  roost_slice id;
  roost_slice body = content->body;
  roost_buffer buffer;
  if (!find_id(content, digits, &id))
    return;
  if (content->is_too_large) {
    tell_error(self, id, "\"The reply is larger than max_buffer_size\"");
    return;
  }
  roost_buffer_init(&buffer, roost_loop_alloc(self->loop));
  if (decoded(self, &body, &buffer) != 0)
    tell_error(self, id, "\"The reply cannot be read\"");
  else if (tell_reply(self, body, id) != 0)
    tell_error(self, id, "\"out of memory\"");
  roost_buffer_deinit(&buffer);
}

static void on_returned(const rmq_client *self, const roost_rmq_content *content) {
  char digits[ID_MAX];
  roost_slice id;
  if (find_id(content, digits, &id))
    tell_error(self, id, unroutable);
}

/* What it tells may close and free the client: the numbers of those that are told of are taken out
 * first. */
static void on_confirm(rmq_client *self, const roost_rmq_session *session,
                       const roost_rmq_event *event) {
  char id[ROOST_RMQ_CONFIRM_ID];
  const bool is_safe = event->kind == ROOST_RMQ_ACK;
  roost_slice text;
  while (session->link.dialer == &self->connection.dialer &&
         roost_rmq_confirms_take(&self->confirms, event->tag, event->multiple, id, &text)) {
    if (!is_safe) {
      tell_error(self, text, "\"it was not taken\"");
      continue;
    }
    const roost_reply reply = {.format = ROOST_FORMAT_JSON, .id = text, .last = true};
    self->client.sink->on_reply(self->client.sink_ud, &reply);
  }
}

static void on_writable(void *ud) {
  const rmq_client *self = ud;
  if (self->is_open)
    self->client.sink->on_writable(self->client.sink_ud);
}

/* What it tells may close and free the client. */
static bool on_event(void *ud, roost_rmq_session *session, const roost_rmq_event *event) {
  rmq_client *self = ud;
  switch (event->kind) {
  case ROOST_RMQ_DELIVERY:
    on_reply(self, &event->content);
    break;
  case ROOST_RMQ_ACK:
  case ROOST_RMQ_NACK:
    on_confirm(self, session, event);
    break;
  case ROOST_RMQ_RETURNED:
    on_returned(self, &event->content);
    break;
  case ROOST_RMQ_CONSUME_OK:
    self->is_open = true;
    self->client.sink->on_open(self->client.sink_ud);
    break;
  case ROOST_RMQ_CANCEL:
    roost_rmq_connection_fail(&self->connection, ROOST_EGONE, "the queue for replies is gone");
    break;
  case ROOST_RMQ_BLOCKED:
  case ROOST_RMQ_UNBLOCKED:
    self->client.is_blocked = event->kind == ROOST_RMQ_BLOCKED;
    on_writable(self);
    break;
  default:
    break;
  }
  return true;
}

static const roost_rmq_connection_ops connection_ops = {
    .on_ready = on_ready, .on_event = on_event, .on_writable = on_writable, .on_closed = on_closed};

/* ------------------------------------------------------------------------- sending ----------- */

static roost_buffer *begin(roost_client *client, const roost_message *head) {
  rmq_client *self = of(client);
  roost_buffer_clear(&self->body);
  return roost_envelope_request_begin(&self->body, head) == 0 ? &self->body : NULL;
}

static void forget(roost_buffer *buffer) {
  roost_buffer_clear(buffer);
  roost_buffer_trim(buffer, ROOST_RMQ_KEEP_BYTES);
}

static void undo(roost_client *client) {
  rmq_client *self = of(client);
  forget(&self->body);
  forget(&self->coded);
}

/* Whether the text of a JSON object has a member of that name, as it is written. */
static bool has_member(roost_slice object, roost_slice name) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, object);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return false;
  while (roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    if (roost_slice_equal(token.text, name))
      return true;
    if (roost_json_skip(&reader) != 0)
      return false;
  }
  return false;
}

/* Appends the members of an object, but those that another one has; *before is what stands before
 * the next member. */
static int append_members(roost_buffer *out, roost_slice object, roost_slice but, char *before) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, object);
  int status = roost_json_next(&reader, &token) == ROOST_JSON_OBJECT ? 0 : ROOST_EINVAL;
  while (status == 0 && roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    const roost_slice name = token.text;
    roost_slice value;
    status = roost_json_take(&reader, &value);
    if (status != 0 || (but.ptr != NULL && has_member(but, name)))
      continue;
    status = roost_buffer_append_byte(out, *before);
    const roost_slice parts[] = {ROOST_SLICE("\""), name, ROOST_SLICE("\":"), value};
    for (size_t i = 0; i < 4 && status == 0; i++)
      status = roost_buffer_append_slice(out, parts[i]);
    *before = ',';
  }
  return status;
}

/* The message's own headers, over those of the options. */
static int make_headers(rmq_client *self, const roost_message *head, roost_slice *headers) {
  const roost_slice all = roost_slice_text(self->options->headers);
  if (all.ptr == NULL || head->metadata.ptr == NULL) {
    *headers = all.ptr != NULL              ? all
               : head->metadata.ptr != NULL ? head->metadata
                                            : ROOST_SLICE("{}");
    return 0;
  }
  char before = '{';
  roost_buffer_clear(&self->headers);
  int status = append_members(&self->headers, all, head->metadata, &before);
  if (status == 0)
    status = append_members(&self->headers, head->metadata, (roost_slice){NULL, 0}, &before);
  if (status == 0)
    status = roost_buffer_append_slice(&self->headers,
                                       before == '{' ? ROOST_SLICE("{}") : ROOST_SLICE("}"));
  *headers = roost_buffer_slice(&self->headers);
  return status;
}

/* What the caller says of the message besides. */
typedef struct extras {
  char expiration[24]; /* digits */
  int16_t priority;
  uint8_t delivery_mode;
} extras;

static int refuse(rmq_client *self, const char *format, roost_slice name) {
  snprintf(self->refusal, sizeof self->refusal, format, (int)(name.len < 40 ? name.len : 40),
           name.ptr);
  self->client.refusal = self->refusal;
  return ROOST_EUNSUPPORTED;
}

static int read_option(rmq_client *self, extras *to, roost_slice name, roost_json_type type,
                       const roost_json_token *value) {
  if (roost_slice_equal(name, ROOST_SLICE("persistent")) &&
      (type == ROOST_JSON_TRUE || type == ROOST_JSON_FALSE)) {
    to->delivery_mode = type == ROOST_JSON_TRUE ? 2 : 1;
    return 0;
  }
  const bool is_count = type == ROOST_JSON_INTEGER && value->integer >= 0;
  if (roost_slice_equal(name, ROOST_SLICE("priority"))) {
    if (!is_count || value->integer > 255)
      return refuse(self, "%.*s must be a whole number from 0 to 255", name);
    to->priority = (int16_t)value->integer;
    return 0;
  }
  if (roost_slice_equal(name, ROOST_SLICE("expiration"))) {
    if (!is_count)
      return refuse(self, "%.*s must be a number of milliseconds", name);
    snprintf(to->expiration, sizeof to->expiration, "%lld", (long long)value->integer);
    return 0;
  }
  return refuse(self, "rmq has no option %.*s", name);
}

static int read_options(rmq_client *self, extras *to, roost_slice options) {
  roost_json_reader reader;
  roost_json_token token;
  *to = (extras){.priority = -1, .delivery_mode = self->options->persistent ? 2 : 1};
  if (options.ptr == NULL)
    return 0;
  roost_json_reader_init(&reader, options);
  int status = roost_json_next(&reader, &token) == ROOST_JSON_OBJECT ? 0 : ROOST_EINVAL;
  while (status == 0 && roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    const roost_slice name = token.text;
    const roost_json_type type = roost_json_next(&reader, &token);
    status = read_option(self, to, name, type, &token);
  }
  return status;
}

/* Where it goes: to the queue, or to the exchange with the pattern as its key, an object's sorted
 * as the server's binding is. */
static int find_target(rmq_client *self, const roost_message *head, roost_rmq_target *target) {
  const char *why = "";
  *target = (roost_rmq_target){.exchange = ROOST_SLICE(""),
                               .routing_key = roost_slice_text(self->options->queue)};
  if (!roost_rmq_is_routed(self->options))
    return 0;
  roost_buffer_clear(&self->route);
  const int status = roost_pattern_normalise(&self->route, head->pattern, &why);
  if (status == ROOST_ENOMEM)
    return status;
  target->exchange = roost_rmq_exchange(self->options);
  target->routing_key = roost_buffer_slice(&self->route);
  target->mandatory = head->id.ptr != NULL;
  if (status != 1)
    return refuse(self, "%.*s", roost_slice_text(why[0] != '\0' ? why : "no such pattern"));
  if (target->routing_key.len > ROOST_RMQ_SHORT_MAX)
    return refuse(self, "the pattern is longer than RabbitMQ's keys may be%.*s", ROOST_SLICE(""));
  return 0;
}

/* The packet in self->body, or what the codec makes of it. */
static int encoded(rmq_client *self, roost_slice *packet) {
  roost_codec *codec = self->client.codec;
  *packet = roost_buffer_slice(&self->body);
  if (codec == NULL || codec->write == NULL)
    return 0;
  roost_buffer_clear(&self->coded);
  const int status = codec->write(codec, *packet, &self->coded);
  *packet = roost_buffer_slice(&self->coded);
  return status;
}

static int publish(rmq_client *self, const roost_message *head, roost_slice packet) {
  roost_rmq_session *session = roost_rmq_ready(&self->connection);
  roost_rmq_properties properties = {.priority = -1};
  roost_rmq_target target;
  extras said;
  int status = session != NULL ? find_target(self, head, &target) : ROOST_ENOMEM;
  if (status == 0)
    status = read_options(self, &said, head->options);
  if (status == 0)
    status = make_headers(self, head, &properties.headers);
  if (status != 0)
    return status;
  properties.priority = said.priority;
  properties.delivery_mode = said.delivery_mode;
  if (said.expiration[0] != '\0')
    properties.expiration = roost_slice_text(said.expiration);
  if (head->id.ptr != NULL) {
    properties.reply_to = roost_slice_text(self->options->reply_queue);
    properties.correlation_id = (roost_slice){head->id.ptr + 1, head->id.len - 2};
  }
  if (head->confirm.ptr != NULL && roost_rmq_confirms_reserve(&self->confirms) != 0)
    return ROOST_ENOMEM;
  status = roost_rmq_write_publish(session->codec, roost_rmq_out(session), ROOST_RMQ_CHANNEL,
                                   &target, &properties, packet);
  if (status == 0) {
    roost_rmq_confirms_add(&self->confirms, head->confirm);
    roost_conn_dirty(session->link.conn);
  }
  return status == ROOST_EINVAL
             ? refuse(self, "metadata cannot be sent as headers%.*s", ROOST_SLICE(""))
             : status;
}

static int end(roost_client *client, const roost_message *head) {
  rmq_client *self = of(client);
  roost_message bare = *head;
  roost_slice packet;
  bare.metadata = (roost_slice){NULL, 0}; /* they are the message's headers */
  int status = roost_envelope_request_end(&self->body, &bare);
  if (status == 0)
    status = encoded(self, &packet);
  if (status == 0)
    status = publish(self, head, packet);
  undo(client);
  return status;
}

/* ------------------------------------------------------------------------- the owner's calls - */

static int connect_client(roost_client *client) {
  return roost_rmq_connection_open(&of(client)->connection);
}

static bool crowded(const roost_client *client) {
  return roost_rmq_crowded(&((const rmq_client *)client)->connection);
}

static void close_client(roost_client *client) {
  rmq_client *self = of(client);
  self->is_open = false;
  self->client.is_blocked = false;
  roost_rmq_confirms_clear(&self->confirms);
  roost_rmq_connection_close(&self->connection);
}

static void free_client(roost_client *client) {
  rmq_client *self = of(client);
  close_client(client);
  roost_rmq_connection_deinit(&self->connection);
  roost_buffer_deinit(&self->body);
  roost_buffer_deinit(&self->coded);
  roost_buffer_deinit(&self->headers);
  roost_buffer_deinit(&self->route);
  roost_rmq_confirms_deinit(&self->confirms);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static const roost_client_ops client_ops = {.connect = connect_client,
                                            .begin = begin,
                                            .end = end,
                                            .undo = undo,
                                            .crowded = crowded,
                                            .close = close_client,
                                            .free = free_client};

int roost_rmq_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                         const roost_client_sink *sink, void *sink_ud) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  rmq_client *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->client = (roost_client){.ops = &client_ops,
                                .config = config,
                                .sink = sink,
                                .sink_ud = sink_ud,
                                .dialer = &self->connection.dialer};
  self->loop = loop;
  self->options = config->options;
  self->client.confirms = self->options->persistent;
  roost_rmq_connection_init(&self->connection, loop, self->options, config->max_send_buffer_size,
                            &connection_ops, self);
  self->connection.name = config->name;
  self->connection.max_body = config->max_buffer_size;
  roost_rmq_confirms_init(&self->confirms, alloc);
  roost_buffer_init(&self->body, alloc);
  roost_buffer_init(&self->coded, alloc);
  roost_buffer_init(&self->headers, alloc);
  roost_buffer_init(&self->route, alloc);
  *out = &self->client;
  return 0;
}
