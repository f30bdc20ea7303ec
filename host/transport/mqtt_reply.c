/*
 * Replies to messages that came by an MQTT broker: each is a PUBLISH of QoS 0, as Nest's are,
 * written in place.
 */
#include "core/slice.h"
#include "transport/codec.h"
#include "transport/mqtt_internal.h"
#include "wire/envelope.h"

static roost_mqtt_server *server_of(const roost_origin *origin) {
  return (roost_mqtt_server *)origin->server;
}

/* Writes the head of a PUBLISH to where the replies go. NULL: nobody can be reached. */
static roost_buffer *begin(const roost_origin *origin) {
  roost_mqtt_server *self = server_of(origin);
  const roost_mqtt_delivery *delivery = (const roost_mqtt_delivery *)origin;
  if (self->session.state != ROOST_MQTT_UP)
    return NULL;
  roost_buffer *out = roost_mqtt_session_out(&self->session);
  const size_t before = out->len;
  const roost_mqtt_publish publish = {.topic = roost_buffer_slice(&delivery->topic)};
  if (roost_mqtt_publish_begin(out, &self->mark, self->session.level, &publish,
                               self->length_bytes) != 0)
    return NULL;
  self->head = out->len - before;
  return out;
}

roost_buffer *roost_mqtt_reply_begin(roost_origin *origin, roost_reply_kind kind) {
  roost_buffer *out = begin(origin);
  if (out == NULL || roost_envelope_reply_begin(out, kind) == 0)
    return out;
  roost_mqtt_publish_undo(out, &server_of(origin)->mark);
  return NULL;
}

static int encode(roost_mqtt_server *self) {
  roost_codec *codec = self->server.codec;
  const roost_frame_mark mark = {
      .at = self->mark.at, .head = (unsigned)self->head, .framing = ROOST_FRAMING_LENGTH32};
  return roost_codec_write(codec, roost_mqtt_session_out(&self->session), &mark, &self->body);
}

static void log_unsent(const roost_mqtt_server *self, const roost_origin *origin, const char *err) {
  roost_mqtt_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_HANDLER, "a reply cannot be sent",
                 roost_buffer_slice(&((const roost_mqtt_delivery *)origin)->topic), err);
}

/* Ends the packet and has it sent; where status is one it is taken back. ESCRIPT: it cannot be
 * sent, which was said. */
static int send_packet(const roost_origin *origin, int status) {
  roost_mqtt_server *self = server_of(origin);
  roost_buffer *out = roost_mqtt_session_out(&self->session);
  if (status == 0 && self->server.codec != NULL)
    status = encode(self);
  if (status != 0) {
    roost_mqtt_publish_undo(out, &self->mark);
    if (status == ROOST_ESCRIPT)
      log_unsent(self, origin, self->server.codec->why);
    return status;
  }
  status = roost_mqtt_publish_end(out, &self->mark, self->session.limits.maximum_packet_size);
  if (status == ROOST_EFULL) {
    log_unsent(self, origin, "it is larger than the broker takes");
    return ROOST_ESCRIPT;
  }
  if (status < 0)
    return status;
  self->length_bytes = (unsigned)status;
  roost_mqtt_session_sent(&self->session);
  return roost_dialer_crowded(&self->session.dialer) ? ROOST_EFULL : 0;
}

/* In the place of a last reply that could not be sent, so that nobody waits for it. */
static int reply_masked(roost_origin *origin, roost_slice id) {
  roost_mqtt_server *self = server_of(origin);
  if (self->is_masking)
    return ROOST_ESCRIPT;
  roost_buffer *out = roost_mqtt_reply_begin(origin, ROOST_REPLY_ERROR);
  if (out == NULL)
    return ROOST_ENOMEM;
  if (roost_message_write_error(out, ROOST_SLICE(ROOST_INTERNAL_ERROR)) != 0) {
    roost_mqtt_publish_undo(out, &self->mark);
    return ROOST_ENOMEM;
  }
  self->is_masking = true;
  const int status = roost_mqtt_reply_end(origin, ROOST_REPLY_ERROR, id);
  self->is_masking = false;
  return status;
}

int roost_mqtt_reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id) {
  roost_buffer *out = roost_mqtt_session_out(&server_of(origin)->session);
  const int status = send_packet(origin, roost_envelope_reply_end(out, kind, id));
  const bool is_last = kind != ROOST_REPLY_ITEM && kind != ROOST_REPLY_VOID;
  return status == ROOST_ESCRIPT && is_last ? reply_masked(origin, id) : status;
}

void roost_mqtt_reply_undo(roost_origin *origin) {
  roost_mqtt_server *self = server_of(origin);
  roost_mqtt_publish_undo(roost_mqtt_session_out(&self->session), &self->mark);
}

void roost_mqtt_reply_unhandled(roost_origin *origin, roost_slice id) {
  roost_buffer *out = begin(origin);
  if (out != NULL && send_packet(origin, roost_envelope_write_unhandled(out, id)) == ROOST_ESCRIPT)
    (void)reply_masked(origin, id);
}

bool roost_mqtt_reply_crowded(const roost_origin *origin) {
  return roost_dialer_crowded(&server_of(origin)->session.dialer);
}
