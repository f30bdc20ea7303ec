/*
 * The client of services behind an MQTT broker.
 *
 * A packet is written into a buffer of the client's first, since only its end says whether it is a
 * request, which must not be sent before its reply topic is subscribed to.
 * Leaving: closed, while the broker takes events that it had no room for yet; its owner hears
 * nothing any more. One that is freed meanwhile, an orphan, frees itself.
 */
#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "transport/codec.h"
#include "transport/mqtt_properties.h"
#include "transport/mqtt_replies.h"
#include "wire/envelope.h"
#include "wire/json.h"
#include "wire/pattern.h"
#include "wire/utf8.h"

#define NOBODY_THERE 0x10 /* no matching subscribers */
#define KEEP_BYTES   65536
#define RECEIVE_MAX  1024
#define LEAVING_MS   2000 /* without progress, before what is left is dropped */

typedef struct mqtt_client {
  roost_client client; /* first: a mqtt_client is a roost_client */
  roost_loop *loop;
  const roost_mqtt_options *options;
  roost_mqtt_session session;
  roost_mqtt_flight flight;
  roost_mqtt_replies replies;
  roost_buffer topic;      /* of the packet being written */
  roost_buffer packet;     /* it */
  roost_buffer properties; /* its user properties */
  roost_buffer encoded;    /* what the codec makes of it */
  roost_buffer text;       /* a reply, as UTF-8 */
  roost_buffer decoded;    /* what the codec made of one; elsewhere while that is told of */
  const char *wrong;       /* with the topic of the packet being written; NULL: nothing */
  unsigned length_bytes;   /* of the last packet's length: a guess for the next */
  bool was_crowded;        /* whoever asked waits to be told when it is not so any more */
  bool leaving;
  bool orphan;
  uint64_t left;            /* of the flight, at the last look */
  roost_timer patience;     /* while it is leaving */
  roost_loop_hook loop_end; /* an orphan's */
} mqtt_client;

static mqtt_client *of(roost_client *client) {
  return (mqtt_client *)client;
}

static bool is_up(const mqtt_client *self) {
  return self->session.state == ROOST_MQTT_UP;
}

static void clear(roost_buffer *buffer) {
  roost_buffer_clear(buffer);
  roost_buffer_trim(buffer, KEEP_BYTES);
}

/* ------------------------------------------------------------------------- leaving ----------- */

static void destroy(mqtt_client *self) {
  roost_timer_stop(roost_loop_wheel(self->loop), &self->patience);
  roost_loop_remove_hook(&self->loop_end);
  roost_mqtt_replies_deinit(&self->replies);
  roost_mqtt_flight_deinit(&self->flight);
  roost_mqtt_session_deinit(&self->session);
  roost_buffer_deinit(&self->topic);
  roost_buffer_deinit(&self->packet);
  roost_buffer_deinit(&self->properties);
  roost_buffer_deinit(&self->encoded);
  roost_buffer_deinit(&self->text);
  roost_buffer_deinit(&self->decoded);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

/* The connection is gone, or about to be let go. An orphan is gone after it. */
static void end_leaving(mqtt_client *self) {
  self->leaving = false;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->patience);
  roost_mqtt_session_close(&self->session);
  if (self->orphan)
    destroy(self);
}

static void wait_for_progress(mqtt_client *self) {
  self->left = self->flight.bytes + self->flight.count;
  roost_timer_start(roost_loop_wheel(self->loop), &self->patience, LEAVING_MS);
}

static void on_patience(roost_timer *timer) {
  mqtt_client *self = ROOST_LIST_ENTRY(timer, mqtt_client, patience);
  if (self->flight.bytes + self->flight.count < self->left)
    wait_for_progress(self);
  else
    end_leaving(self);
}

static void on_loop_end(void *ud) {
  end_leaving(ud);
}

static void leave(mqtt_client *self) {
  roost_mqtt_flight_forget(&self->flight);
  if (!is_up(self) || roost_mqtt_flight_is_empty(&self->flight)) {
    roost_mqtt_session_close(&self->session);
    return;
  }
  self->leaving = true;
  wait_for_progress(self);
}

/* ------------------------------------------------------------------------- crowding ---------- */

static size_t kept_bytes(const mqtt_client *self) {
  return self->flight.bytes + self->replies.held_bytes;
}

static bool crowded(const roost_client *client) {
  mqtt_client *self = (mqtt_client *)(uintptr_t)client;
  const size_t limit = client->config->max_send_buffer_size;
  const bool is_full = limit > 0 && kept_bytes(self) > limit / 2;
  self->was_crowded = self->was_crowded || is_full;
  return is_full || roost_dialer_crowded(&self->session.dialer);
}

/* Tells once less than a quarter is left. The client may be gone after it. */
static void tell_eased(mqtt_client *self) {
  if (!is_up(self) || !self->was_crowded ||
      kept_bytes(self) > self->client.config->max_send_buffer_size / 4)
    return;
  self->was_crowded = false;
  self->client.sink->on_writable(self->client.sink_ud);
}

/* ------------------------------------------------------------------------- replies ----------- */

/* Hands on what came. The client may be gone after it. */
static void take_reply(mqtt_client *self, roost_slice text) {
  roost_reply reply;
  if (roost_envelope_read_reply(&reply, text) <= 0 || reply.foreign || reply.id.ptr == NULL)
    return; /* somebody else's message: Nest's client passes over it, too */
  self->client.sink->on_reply(self->client.sink_ud, &reply);
}

/* The memory of a packet that is done with is for the next, where there still is a client. */
static void keep(roost_buffer *place, const roost_link *link, roost_buffer *buffer) {
  clear(buffer);
  if (link->dialer != NULL && place->cap == 0)
    *place = *buffer;
  else
    roost_buffer_deinit(buffer);
}

static void decode_reply(mqtt_client *self, roost_slice text) {
  roost_codec *codec = self->client.codec;
  const roost_link *link = self->session.dialer.link;
  if (codec == NULL || codec->read == NULL) {
    take_reply(self, text);
    return;
  }
  roost_buffer packet = self->decoded;
  roost_buffer_init(&self->decoded, packet.alloc);
  if (codec->read(codec, text, &packet) == 0)
    take_reply(self, roost_buffer_slice(&packet));
  keep(&self->decoded, link, &packet);
}

static bool takes_bytes(const mqtt_client *self) {
  return self->client.codec != NULL && self->client.codec->takes_bytes;
}

static void read_reply(mqtt_client *self, roost_slice payload) {
  const roost_link *link = self->session.dialer.link;
  if (takes_bytes(self) || roost_utf8_valid_prefix(payload) == payload.len) {
    decode_reply(self, payload);
    return;
  }
  roost_buffer text = self->text;
  roost_buffer_init(&self->text, text.alloc);
  if (roost_utf8_repair(&text, payload) == 0)
    decode_reply(self, roost_buffer_slice(&text));
  keep(&self->text, link, &text);
}

/* We ask for QoS 0; a broker that sends another all the same wants to be answered. */
static void answer_publish(mqtt_client *self, const roost_mqtt_packet *packet) {
  roost_mqtt_session *session = &self->session;
  if (packet->qos == 0)
    return;
  const roost_mqtt_type type = packet->qos == 1 ? ROOST_MQTT_PUBACK : ROOST_MQTT_PUBREC;
  roost_mqtt_session_check(session, roost_mqtt_write_answer(roost_mqtt_session_out(session),
                                                            session->level, type, packet->id, 0));
}

static void on_publish(void *ud, const roost_mqtt_packet *packet) {
  mqtt_client *self = ud;
  answer_publish(self, packet);
  if (is_up(self) && !self->leaving && !packet->too_large)
    read_reply(self, packet->payload);
}

/* Appends what a request that the broker has refused is answered with. */
static int write_refusal(roost_buffer *out, uint8_t reason) {
  char text[128];
  if (reason == NOBODY_THERE)
    snprintf(text, sizeof text,
             "Empty response. There are no subscribers listening to that message");
  else
    snprintf(text, sizeof text, "The broker refused the message: %s",
             roost_mqtt_reason_text(5, false, reason));
  return roost_message_write_error(out, roost_slice_text(text));
}

/* Answers a request in the broker's place. The client may be gone after it. */
static bool on_refused(void *ud, roost_slice id, uint8_t reason) {
  mqtt_client *self = ud;
  const roost_link *link = self->session.dialer.link;
  roost_buffer err;
  roost_buffer_init(&err, roost_loop_alloc(self->loop));
  if (!self->leaving && write_refusal(&err, reason) == 0) {
    const roost_reply reply = {.id = id, .err = roost_buffer_slice(&err), .last = true};
    self->client.sink->on_reply(self->client.sink_ud, &reply);
  }
  roost_buffer_deinit(&err);
  return link != NULL && link->dialer != NULL;
}

static void on_answer(void *ud, const roost_mqtt_packet *packet) {
  mqtt_client *self = ud;
  const roost_link *link = self->session.dialer.link;
  roost_mqtt_session *session = &self->session;
  if (packet->type == ROOST_MQTT_PUBREL)
    roost_mqtt_session_check(session, roost_mqtt_write_answer(roost_mqtt_session_out(session),
                                                              session->level, ROOST_MQTT_PUBCOMP,
                                                              packet->id, 0));
  else if (packet->type == ROOST_MQTT_SUBACK || packet->type == ROOST_MQTT_UNSUBACK)
    roost_mqtt_replies_answer(&self->replies, packet);
  else
    roost_mqtt_flight_answer(&self->flight, packet);
  if (link->dialer == NULL)
    return;
  if (!self->leaving)
    tell_eased(self);
  else if (roost_mqtt_flight_is_empty(&self->flight))
    end_leaving(self);
}

/* ------------------------------------------------------------------------- the connection ---- */

static void on_up(void *ud, bool present) {
  mqtt_client *self = ud;
  const roost_link *link = self->session.dialer.link;
  roost_mqtt_flight_up(&self->flight, present);
  if (link->dialer != NULL)
    self->client.sink->on_open(self->client.sink_ud);
}

static void on_writable(void *ud) {
  const mqtt_client *self = ud;
  if (!self->leaving)
    self->client.sink->on_writable(self->client.sink_ud);
}

static void on_down(void *ud, int status, const char *why) {
  mqtt_client *self = ud;
  if (self->leaving) {
    end_leaving(self);
    return;
  }
  roost_mqtt_replies_clear(&self->replies);
  self->was_crowded = false;
  self->client.sink->on_closed(self->client.sink_ud, status, why);
}

static const roost_mqtt_session_ops session_ops = {.on_up = on_up,
                                                   .on_publish = on_publish,
                                                   .on_answer = on_answer,
                                                   .on_writable = on_writable,
                                                   .on_down = on_down};

/* ------------------------------------------------------------------------- sending ----------- */

/* The topic of a pattern; what is wrong with it is said by end. ENOMEM. */
static int make_topic(mqtt_client *self, roost_slice pattern) {
  clear(&self->topic);
  self->wrong = NULL;
  const int status = roost_pattern_normalise(&self->topic, pattern, &self->wrong);
  if (status == ROOST_ENOMEM)
    return status;
  if (status <= 0 && self->wrong == NULL)
    self->wrong = "the pattern has no topic";
  else if (status > 0 && !roost_mqtt_topic_is_valid(roost_buffer_slice(&self->topic)))
    self->wrong = "the topic is empty, longer than 65535 bytes, or has a wildcard in it";
  return 0;
}

/* Metadata is in user properties, where the protocol has those. */
static roost_message body_of(const mqtt_client *self, const roost_message *head) {
  roost_message body = *head;
  if (self->session.level >= 5)
    body.metadata = (roost_slice){NULL, 0};
  return body;
}

static roost_buffer *begin(roost_client *client, const roost_message *head) {
  mqtt_client *self = of(client);
  const roost_message body = body_of(self, head);
  clear(&self->packet);
  if (make_topic(self, head->pattern) != 0)
    return NULL;
  return roost_envelope_request_begin(&self->packet, &body) == 0 ? &self->packet : NULL;
}

static void undo(roost_client *client) {
  clear(&of(client)->packet);
}

/* Writes it straight to the connection. */
static int send_now(mqtt_client *self, const roost_mqtt_publish *publish) {
  roost_mqtt_session *session = &self->session;
  roost_buffer *out = roost_mqtt_session_out(session);
  roost_mqtt_mark mark;
  int status = roost_mqtt_publish_begin(out, &mark, session->level, publish, self->length_bytes);
  if (status != 0)
    return status;
  if (roost_buffer_append_slice(out, roost_buffer_slice(&self->packet)) != 0) {
    roost_mqtt_publish_undo(out, &mark);
    return ROOST_ENOMEM;
  }
  status = roost_mqtt_publish_end(out, &mark, session->limits.maximum_packet_size);
  if (status < 0)
    return status;
  self->length_bytes = (unsigned)status;
  roost_mqtt_session_sent(session);
  return 0;
}

static int send_event(mqtt_client *self, const roost_mqtt_publish *publish) {
  roost_mqtt_outgoing *outgoing;
  if (publish->qos == 0)
    return send_now(self, publish);
  const int status =
      roost_mqtt_outgoing_new(&outgoing, &self->session, publish, roost_buffer_slice(&self->packet),
                              (roost_slice){NULL, 0});
  if (status == 0)
    roost_mqtt_flight_send(&self->flight, outgoing);
  return status;
}

static int send_request(mqtt_client *self, const roost_mqtt_publish *publish, roost_slice id) {
  roost_mqtt_reply_topic *topic;
  roost_mqtt_outgoing *outgoing;
  int status = roost_mqtt_replies_want(&topic, &self->replies, publish->topic);
  if (status != 0)
    return status;
  const uint64_t token = topic->token;
  if (topic->ask == 0 && publish->qos == 0) {
    status = send_now(self, publish);
  } else {
    status = roost_mqtt_outgoing_new(&outgoing, &self->session, publish,
                                     roost_buffer_slice(&self->packet), id);
    if (status == 0)
      roost_mqtt_replies_send(&self->replies, topic, outgoing);
  }
  if (status != 0)
    roost_mqtt_replies_done(&self->replies, token);
  self->client.token = token;
  return status;
}

static int encode(mqtt_client *self) {
  const roost_frame_mark mark = {.framing = ROOST_FRAMING_LENGTH32};
  return roost_codec_write(self->client.codec, &self->packet, &mark, &self->encoded);
}

static int refuse(mqtt_client *self, const char *why) {
  self->client.refusal = why;
  return ROOST_EUNSUPPORTED;
}

static int publish_packet(mqtt_client *self, const roost_message *head) {
  roost_mqtt_publish publish = {.topic = roost_buffer_slice(&self->topic)};
  const char *wrong = roost_mqtt_read_options(&publish, &self->session.limits, head->options);
  if (self->wrong != NULL || wrong != NULL)
    return refuse(self, self->wrong != NULL ? self->wrong : wrong);
  clear(&self->properties);
  int status = 0;
  if (self->session.level >= 5)
    status = roost_mqtt_write_metadata(&self->properties, self->options, head->metadata);
  if (status == 0) {
    publish.properties = roost_buffer_slice(&self->properties);
    status =
        head->id.ptr != NULL ? send_request(self, &publish, head->id) : send_event(self, &publish);
  }
  if (status == ROOST_EFULL)
    return refuse(self, "the message is larger than the broker takes");
  if (status == ROOST_EINVAL)
    return refuse(self, "the topic or the metadata is too long for MQTT");
  return status;
}

static int end(roost_client *client, const roost_message *head) {
  mqtt_client *self = of(client);
  const roost_message body = body_of(self, head);
  int status = roost_envelope_request_end(&self->packet, &body);
  if (status == 0)
    status = encode(self);
  if (status == 0)
    status = publish_packet(self, head);
  clear(&self->packet);
  return status;
}

/* ------------------------------------------------------------------------- the owner's calls - */

static int connect_client(roost_client *client) {
  mqtt_client *self = of(client);
  if (self->leaving) /* what is left goes on with the new connection */
    end_leaving(self);
  return roost_mqtt_session_connect(&self->session);
}

static void close_client(roost_client *client) {
  mqtt_client *self = of(client);
  roost_mqtt_replies_clear(&self->replies);
  self->was_crowded = false;
  if (!self->leaving)
    leave(self);
}

static void forget(roost_client *client, uint64_t token) {
  roost_mqtt_replies_done(&of(client)->replies, token);
}

static void free_client(roost_client *client) {
  mqtt_client *self = of(client);
  close_client(client);
  if (!self->leaving) {
    destroy(self);
    return;
  }
  self->orphan = true;
  roost_loop_add_closing(self->loop, &self->loop_end);
}

static const roost_client_ops client_ops = {.connect = connect_client,
                                            .begin = begin,
                                            .end = end,
                                            .undo = undo,
                                            .forget = forget,
                                            .crowded = crowded,
                                            .close = close_client,
                                            .free = free_client};

int roost_mqtt_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                          const roost_client_sink *sink, void *sink_ud) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  mqtt_client *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->client = (roost_client){.ops = &client_ops,
                                .config = config,
                                .sink = sink,
                                .sink_ud = sink_ud,
                                .dialer = &self->session.dialer};
  self->loop = loop;
  self->options = config->options;
  self->length_bytes = 1;
  roost_timer_init(&self->patience, on_patience);
  self->loop_end = (roost_loop_hook){.fn = on_loop_end, .ud = self};
  const roost_mqtt_session_config session = {.options = self->options,
                                             .max_buffer_size = config->max_buffer_size,
                                             .max_send_buffer_size = config->max_send_buffer_size,
                                             .receive_maximum = RECEIVE_MAX};
  const int status = roost_mqtt_session_init(&self->session, loop, &session, &session_ops, self);
  if (status != 0) {
    roost_alloc_put(alloc, self, sizeof *self);
    return status;
  }
  roost_mqtt_flight_init(&self->flight, &self->session, on_refused, self);
  roost_mqtt_replies_init(&self->replies, &self->session, &self->flight, on_refused, self);
  roost_buffer_init(&self->topic, alloc);
  roost_buffer_init(&self->packet, alloc);
  roost_buffer_init(&self->properties, alloc);
  roost_buffer_init(&self->encoded, alloc);
  roost_buffer_init(&self->text, alloc);
  roost_buffer_init(&self->decoded, alloc);
  *out = &self->client;
  return 0;
}
