/*
 * What a session sends: replies, each in the message it goes out in.
 */
#include <stdio.h>

#include "core/slice.h"
#include "transport/codec.h"
#include "transport/nats_durable.h"
#include "wire/envelope.h"
#include "wire/json.h"

static const roost_slice none = {NULL, 0};

static roost_nats_delivery *of_origin(roost_origin *origin) {
  return (roost_nats_delivery *)origin;
}

static roost_nats_server *server_of(const roost_nats_delivery *delivery) {
  return (roost_nats_server *)delivery->delivery.pool->server;
}

/* ------------------------------------------------------------------------- sending ----------- */

roost_buffer *roost_nats_server_out(roost_nats_server *self) {
  const size_t most = self->server.config->max_send_buffer_size;
  if (self->closing || self->drained)
    return NULL;
  if (roost_nats_conn_ready(&self->conn))
    return roost_nats_conn_out(&self->conn);
  return most == 0 || self->away.len < most ? &self->away : NULL;
}

int roost_nats_server_send_late(roost_nats_server *self) {
  const int status = roost_buffer_append_slice(roost_nats_conn_out(&self->conn),
                                               roost_buffer_slice(&self->replies));
  roost_timer_stop(roost_loop_wheel(self->loop), &self->late);
  roost_buffer_deinit(&self->replies);
  roost_nats_conn_dirty(&self->conn);
  return status;
}

/* Where a reply goes. Who asked over an earlier connection is not there at once where that was
 * lost on his side as well, and what is published meanwhile is lost. */
static roost_buffer *out_for(roost_nats_server *self, const roost_nats_delivery *delivery) {
  const size_t most = self->server.config->max_send_buffer_size;
  const bool is_ready = roost_nats_conn_ready(&self->conn);
  const bool is_late = delivery->life != self->life || !is_ready;
  if (!is_late || self->closing || self->drained || (is_ready && !roost_timer_running(&self->late)))
    return roost_nats_server_out(self);
  return most == 0 || self->replies.len < most ? &self->replies : NULL;
}

void roost_nats_server_sent(roost_nats_server *self) {
  if (roost_nats_conn_ready(&self->conn))
    roost_nats_conn_dirty(&self->conn);
}

int roost_nats_server_publish(roost_nats_server *self, roost_slice subject, roost_slice reply,
                              roost_slice payload) {
  roost_buffer *out = roost_nats_server_out(self);
  roost_nats_mark mark;
  if (out == NULL)
    return ROOST_EFULL;
  int status = roost_nats_pub_begin(out, &mark, subject, reply, false);
  if (status != 0)
    return status;
  status = roost_buffer_append_slice(out, payload);
  if (status != 0) {
    roost_nats_pub_undo(out, &mark);
    return status;
  }
  status = roost_nats_pub_end(out, &mark);
  roost_nats_server_sent(self);
  return status;
}

/* Without an id: that of the answer's subject is enough. */
void roost_nats_server_refuse(roost_nats_server *self, roost_slice inbox, const char *text) {
  roost_buffer packet;
  if (inbox.ptr == NULL)
    return;
  roost_buffer_init(&packet, roost_loop_alloc(self->loop));
  int status = roost_buffer_printf(&packet, "{\"err\":");
  if (status == 0)
    status = roost_json_write_string(&packet, roost_slice_text(text));
  if (status == 0)
    status = roost_buffer_printf(&packet, ",\"isDisposed\":true}");
  if (status == 0)
    (void)roost_nats_server_publish(self, inbox, none, roost_buffer_slice(&packet));
  roost_buffer_deinit(&packet);
}

/* ------------------------------------------------------------------------- replies ----------- */

static roost_buffer *begin(roost_nats_delivery *delivery) {
  roost_nats_server *self = server_of(delivery);
  if (delivery->reply.len == 0 || delivery->kept)
    return NULL;
  self->out = out_for(self, delivery);
  if (self->out == NULL ||
      roost_nats_pub_begin(self->out, &self->mark, roost_buffer_slice(&delivery->reply), none,
                           false) != 0)
    return NULL;
  return self->out;
}

static roost_buffer *reply_begin(roost_origin *origin, roost_reply_kind kind) {
  roost_nats_delivery *delivery = of_origin(origin);
  roost_buffer *out = begin(delivery);
  if (out == NULL || roost_envelope_reply_begin(out, kind) == 0)
    return out;
  roost_nats_pub_undo(out, &server_of(delivery)->mark);
  return NULL;
}

static void reply_undo(roost_origin *origin) {
  roost_nats_server *self = server_of(of_origin(origin));
  roost_nats_pub_undo(self->out, &self->mark);
}

/* What is sent is what the codec makes of the packet. */
static int encode(roost_nats_server *self) {
  roost_codec *codec = self->server.codec;
  roost_buffer *out = self->out;
  if (codec == NULL || codec->write == NULL)
    return 0;
  const size_t at = self->mark.payload;
  roost_buffer_clear(&self->body);
  int status = codec->write(codec, roost_slice_of(out->ptr + at, out->len - at), &self->body);
  if (status == ROOST_ESCRIPT)
    roost_nats_server_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_HANDLER, "a reply cannot be sent",
                          none, codec->why);
  if (status != 0)
    return status;
  out->len = at;
  status = roost_buffer_append_slice(out, roost_buffer_slice(&self->body));
  roost_buffer_trim(&self->body, ROOST_CODEC_KEEP_BYTES);
  return status;
}

/* The server would end the connection for one that is too large. */
static int check_size(roost_nats_server *self) {
  const size_t size = roost_nats_pub_size(self->out, &self->mark);
  char err[96];
  if (self->conn.max_payload == 0 || size <= self->conn.max_payload)
    return 0;
  snprintf(err, sizeof err, "%zu bytes, and max_payload of the server of NATS is %zu", size,
           self->conn.max_payload);
  roost_nats_server_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_HANDLER, "a reply is too large", none,
                        err);
  return ROOST_ESCRIPT;
}

static int send_reply(roost_nats_server *self, int status) {
  if (status == 0)
    status = encode(self);
  if (status == 0)
    status = check_size(self);
  if (status != 0) {
    roost_nats_pub_undo(self->out, &self->mark);
    return status;
  }
  status = roost_nats_pub_end(self->out, &self->mark);
  if (status != 0)
    return status;
  roost_nats_server_sent(self);
  return roost_dialer_crowded(&self->conn.dialer) ? ROOST_EFULL : 0;
}

static int reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id);

/* In the place of a last reply that could not be sent, so that nobody waits for it. */
static int reply_masked(roost_origin *origin, roost_slice id) {
  roost_nats_server *self = server_of(of_origin(origin));
  if (self->masking)
    return ROOST_ESCRIPT;
  roost_buffer *out = reply_begin(origin, ROOST_REPLY_ERROR);
  if (out == NULL)
    return ROOST_ENOMEM;
  if (roost_message_write_error(out, ROOST_SLICE(ROOST_INTERNAL_ERROR)) != 0) {
    reply_undo(origin);
    return ROOST_ENOMEM;
  }
  self->masking = true;
  const int status = reply_end(origin, ROOST_REPLY_ERROR, id);
  self->masking = false;
  return status;
}

static int reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id) {
  roost_nats_server *self = server_of(of_origin(origin));
  const int status = send_reply(self, roost_envelope_reply_end(self->out, kind, id));
  const bool is_last = kind != ROOST_REPLY_ITEM && kind != ROOST_REPLY_VOID;
  return status == ROOST_ESCRIPT && is_last ? reply_masked(origin, id) : status;
}

static void reply_unhandled(roost_origin *origin, roost_slice id) {
  roost_nats_delivery *delivery = of_origin(origin);
  if (begin(delivery) == NULL)
    return;
  roost_nats_server *self = server_of(delivery);
  if (send_reply(self, roost_envelope_write_unhandled(self->out, id)) == ROOST_ESCRIPT)
    (void)reply_masked(origin, id);
}

static bool crowded(const roost_origin *origin) {
  const roost_nats_server *self =
      (const roost_nats_server *)((const roost_nats_delivery *)origin)->delivery.pool->server;
  return roost_dialer_crowded(&self->conn.dialer);
}

/* ------------------------------------------------------------------------- life -------------- */

static int write_member(roost_buffer *out, const char *key, const roost_buffer *text) {
  int status = roost_json_write_key(out, ',', roost_slice_text(key));
  return status == 0 ? roost_json_write_string(out, roost_buffer_slice(text)) : status;
}

static int facts(const roost_origin *origin, roost_buffer *out) {
  const roost_nats_delivery *delivery = (const roost_nats_delivery *)origin;
  int status = roost_buffer_printf(out, "{\"durable\":%s", delivery->kept ? "true" : "false");
  if (status == 0 && delivery->reply.len > 0)
    status = write_member(out, "reply", &delivery->reply);
  if (status == 0 && delivery->kept)
    status = roost_buffer_printf(out, ",\"deliveries\":%llu,\"sequence\":%llu",
                                 (unsigned long long)delivery->tries,
                                 (unsigned long long)delivery->sequence);
  return status == 0 ? roost_buffer_append_byte(out, '}') : status;
}

static void init(roost_delivery *at) {
  roost_nats_delivery *delivery = (roost_nats_delivery *)at;
  roost_buffer_init(&delivery->reply, at->pool->alloc);
  roost_buffer_init(&delivery->subject, at->pool->alloc);
  roost_buffer_init(&delivery->content, at->pool->alloc);
}

static void clear(roost_delivery *at) {
  roost_nats_delivery *delivery = (roost_nats_delivery *)at;
  roost_buffer_clear(&delivery->reply);
  roost_buffer_clear(&delivery->subject);
  roost_buffer_deinit(&delivery->content);
  delivery->durable = NULL;
  delivery->kept = false;
}

static void deinit(roost_delivery *at) {
  roost_nats_delivery *delivery = (roost_nats_delivery *)at;
  roost_buffer_deinit(&delivery->reply);
  roost_buffer_deinit(&delivery->subject);
  roost_buffer_deinit(&delivery->content);
}

const roost_delivery_ops roost_nats_delivery_ops = {.size = sizeof(roost_nats_delivery),
                                                    .origin = {.reply_begin = reply_begin,
                                                               .reply_end = reply_end,
                                                               .reply_undo = reply_undo,
                                                               .reply_unhandled = reply_unhandled,
                                                               .crowded = crowded,
                                                               .facts = facts},
                                                    .init = init,
                                                    .clear = clear,
                                                    .deinit = deinit,
                                                    .settled = roost_nats_event_settled,
                                                    .eased = roost_nats_server_eased};
