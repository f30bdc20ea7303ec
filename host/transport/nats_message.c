/*
 * The way of a message from the session to the sink.
 */
#include "core/slice.h"
#include "transport/codec.h"
#include "transport/nats_durable.h"
#include "wire/envelope.h"
#include "wire/json.h"
#include "wire/nats_headers.h"
#include "wire/utf8.h"

static const char full_text[] = "Too many requests";
static const char not_json[] = "Could not parse JSON";

/* ------------------------------------------------------------------------- reading ----------- */

static int refuse(roost_nats_server *self, const roost_nats_input *input, const char *err) {
  self->server.stats.denied++;
  roost_nats_server_log(self, ROOST_LOG_WARN, ROOST_LOG_KIND_FRAME, "a message is refused",
                        input->subject, err);
  if (input->sub->durable == NULL)
    roost_nats_server_refuse(self, input->reply, err);
  return 0;
}

/* Has in *text the packet that the payload is, or stands for; NULL, or why there is none. */
static const char *read_text(roost_nats_server *self, const roost_nats_input *input,
                             roost_slice *text) {
  roost_codec *codec = self->server.codec;
  *text = input->payload;
  if ((codec == NULL || codec->read == NULL) && roost_utf8_valid_prefix(*text) == text->len)
    return NULL;
  roost_buffer_clear(&self->packet);
  roost_buffer_trim(&self->packet, ROOST_CODEC_KEEP_BYTES);
  if (codec != NULL && codec->read != NULL) {
    if (codec->read(codec, *text, &self->packet) != 0)
      return codec->why;
  } else if (roost_utf8_repair(&self->packet, *text) != 0) {
    return "out of memory";
  }
  *text = roost_buffer_slice(&self->packet);
  return NULL;
}

/* The subject as JSON text: what looks like an object or a number is one. */
static int write_pattern(roost_buffer *out, roost_slice subject) {
  const char first = subject.ptr[0];
  const bool may_be = first == '{' || first == '-' || (first >= '0' && first <= '9');
  roost_buffer_clear(out);
  if (roost_utf8_valid_prefix(subject) == subject.len)
    return may_be && roost_json_validate(subject) == 0 ? roost_buffer_append_slice(out, subject)
                                                       : roost_json_write_string(out, subject);
  roost_buffer fixed;
  roost_buffer_init(&fixed, out->alloc);
  int status = roost_utf8_repair(&fixed, subject);
  if (status == 0)
    status = roost_json_write_string(out, roost_buffer_slice(&fixed));
  roost_buffer_deinit(&fixed);
  return status;
}

/* What came besides the packet. */
static int add_rest(roost_nats_server *self, const roost_nats_input *input,
                    roost_message *message) {
  int status = write_pattern(&self->pattern, input->subject);
  message->pattern = roost_buffer_slice(&self->pattern);
  message->route = roost_slice_text(input->sub->route);
  if (status != 0 || input->block.ptr == NULL)
    return status;
  roost_buffer_clear(&self->metadata);
  status = roost_nats_headers_to_json(&self->metadata, input->block);
  message->metadata = roost_buffer_slice(&self->metadata);
  return status;
}

void roost_nats_server_broken(roost_nats_server *self, const roost_nats_delivery *delivery) {
  roost_nats_server_log(self, ROOST_LOG_WARN, ROOST_LOG_KIND_FRAME, "a message is refused",
                        (roost_slice){NULL, 0}, not_json);
  if (delivery->reply.len > 0)
    roost_nats_server_refuse(self, roost_buffer_slice(&delivery->reply), not_json);
}

int roost_nats_server_read(roost_nats_server *self, const roost_nats_input *input,
                           roost_message *message) {
  roost_slice text;
  const char *why = read_text(self, input, &text);
  if (why != NULL)
    return refuse(self, input, why);
  *message = (roost_message){.format = ROOST_FORMAT_JSON};
  const int status = text.len > 0 ? roost_envelope_read(message, text) : ROOST_EPROTO;
  if (status < 0)
    return refuse(self, input, not_json);
  if (status == 0) /* of somebody who knows no envelopes: all of it is an event's data */
    *message = (roost_message){.format = ROOST_FORMAT_JSON, .data = text};
  switch (add_rest(self, input, message)) {
  case 0:
    return 1;
  case ROOST_EPROTO:
    return refuse(self, input, "its headers are broken, or too many");
  default:
    return refuse(self, input, "out of memory");
  }
}

/* ------------------------------------------------------------------------- dispatching ------- */

/* Of one that is published and not kept: nobody is told what becomes of it. */
static void dispatch(roost_nats_server *self, const roost_nats_input *input) {
  roost_message message;
  if (roost_nats_server_read(self, input, &message) == 0)
    return;
  if (input->sub->durable != NULL && message.id.ptr == NULL)
    return; /* it comes from its stream as well */
  roost_delivery *delivery = roost_delivery_take(&self->pool);
  if (delivery == NULL ||
      roost_buffer_append_slice(&((roost_nats_delivery *)delivery)->reply, input->reply) != 0) {
    if (delivery != NULL)
      roost_delivery_give(delivery);
    (void)refuse(self, input, "out of memory");
    return;
  }
  delivery->origin.settles = false;
  ((roost_nats_delivery *)delivery)->life = self->life;
  roost_delivery_dispatch(delivery, &message);
}

bool roost_nats_server_full(const roost_nats_server *self) {
  const uint32_t most = self->server.config->max_in_flight;
  return (most > 0 && self->pool.count >= most) || roost_dialer_crowded(&self->conn.dialer);
}

/* ------------------------------------------------------------------------- the crowd --------- */

typedef struct held {
  roost_list link;
  uint64_t sid;
  size_t subject_len;
  size_t reply_len;
  size_t block_len;
  size_t payload_len;
  char bytes[];
} held;

static size_t size_of(const held *message) {
  return sizeof *message + message->subject_len + message->reply_len + message->block_len +
         message->payload_len;
}

static void forget(roost_nats_server *self, held *message) {
  const size_t size = size_of(message);
  roost_list_remove(&message->link);
  self->crowd_count--;
  self->crowd_bytes -= size;
  roost_alloc_put(roost_loop_alloc(self->loop), message, size);
}

void roost_nats_server_drop_crowd(roost_nats_server *self) {
  while (!roost_list_empty(&self->crowd))
    forget(self, ROOST_LIST_ENTRY(self->crowd.next, held, link));
}

static char *put(char *to, roost_slice bytes) {
  if (bytes.len > 0)
    memcpy(to, bytes.ptr, bytes.len);
  return to + bytes.len;
}

static bool hold(roost_nats_server *self, const roost_nats_op *op) {
  const held lens = {.sid = op->sid,
                     .subject_len = op->subject.len,
                     .reply_len = op->reply.len,
                     .block_len = op->block.len,
                     .payload_len = op->payload.len};
  const size_t size = size_of(&lens);
  if (self->crowd_count >= ROOST_NATS_CROWD_MAX ||
      self->crowd_bytes + size > self->server.config->max_buffer_size)
    return false;
  held *message = roost_alloc_get(roost_loop_alloc(self->loop), size);
  if (message == NULL)
    return false;
  *message = lens;
  roost_list_init(&message->link);
  char *to = put(put(message->bytes, op->subject), op->reply);
  (void)put(put(to, op->block), op->payload);
  roost_list_append(&self->crowd, &message->link);
  self->crowd_count++;
  self->crowd_bytes += size;
  return true;
}

static roost_slice part(const char **at, size_t len) {
  const roost_slice slice = {len > 0 ? *at : NULL, len};
  *at += len;
  return slice;
}

static void dispatch_held(roost_nats_server *self, held *message) {
  const char *at = message->bytes;
  roost_nats_input input = {.sub = roost_nats_server_find(self, message->sid)};
  input.subject = part(&at, message->subject_len);
  input.reply = part(&at, message->reply_len);
  input.block = part(&at, message->block_len);
  input.payload = part(&at, message->payload_len);
  if (input.sub != NULL)
    dispatch(self, &input);
  forget(self, message);
}

void roost_nats_server_resume(void *ud) {
  roost_nats_server *self = ud;
  while (!self->closing && self->crowd_count > 0 && !roost_nats_server_full(self))
    dispatch_held(self, ROOST_LIST_ENTRY(self->crowd.next, held, link));
  if (!self->closing)
    roost_nats_server_eased(self);
}

/* ------------------------------------------------------------------------- arriving ---------- */

static void drop(roost_nats_server *self, const roost_nats_op *op) {
  self->server.stats.denied++;
  roost_nats_server_log(self, ROOST_LOG_WARN, ROOST_LOG_KIND_LIMIT,
                        "too many messages, one dropped", op->subject, "max_in_flight");
  roost_nats_server_refuse(self, op->reply, full_text);
}

static roost_nats_durable *durable_of(const roost_nats_server *self, uint64_t sid) {
  for (size_t i = 0; i < self->sub_count; i++)
    if (self->subs[i]->durable != NULL && self->subs[i]->durable->sid == sid)
      return self->subs[i]->durable;
  return NULL;
}

void roost_nats_server_on_message(void *ud, const roost_nats_op *op) {
  roost_nats_server *self = ud;
  const roost_nats_sub *sub = roost_nats_server_find(self, op->sid);
  if (sub == NULL) {
    roost_nats_durable *durable = durable_of(self, op->sid);
    if (durable != NULL)
      roost_nats_durable_take(durable, op);
    return; /* else of a subscription that has just ended */
  }
  const roost_nats_input input = {sub, op->subject, op->reply, op->block, op->payload};
  if (op->oversize)
    (void)refuse(self, &input, "it is larger than max_buffer_size");
  else if (self->crowd_count == 0 && !roost_nats_server_full(self))
    dispatch(self, &input);
  else if (!hold(self, op))
    drop(self, op);
}
