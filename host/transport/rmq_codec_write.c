/*
 * Writing: methods and messages to frames.
 */
#include <string.h>

#include "core/slice.h"
#include "transport/rmq_codec_internal.h"

/* What a method or a header may take besides its texts and its table. */
#define FIXED_BYTES 128
/* A table's entry takes at most so many bytes for each of its JSON text: "0," is nine. */
#define TABLE_GROWTH     6

#define TEXT_OF(number)  #number
#define VERSION(a, b, c) TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)

int roost_rmq_write_protocol(roost_buffer *out) {
  static const char header[] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
  return roost_buffer_append(out, header, sizeof header);
}

static char *put_number(char *at, size_t number, unsigned bytes) {
  for (unsigned i = bytes; i-- > 0;)
    *at++ = (char)(uint8_t)(number >> (8 * i));
  return at;
}

/* Writes around the payload that stands behind out's end, in room that was reserved. */
static void put_frame(roost_buffer *out, uint8_t type, uint16_t channel, size_t payload) {
  char *at = out->ptr + out->len;
  *at++ = (char)type;
  at = put_number(at, channel, 2);
  at = put_number(at, payload, 4);
  at[payload] = (char)(uint8_t)AMQP_FRAME_END;
  out->len += payload + ROOST_RMQ_FRAME_AROUND;
}

int roost_rmq_write_heartbeat(roost_buffer *out) {
  const int status = roost_buffer_reserve(out, ROOST_RMQ_FRAME_AROUND);
  if (status == 0)
    put_frame(out, AMQP_FRAME_HEARTBEAT, 0, 0);
  return status;
}

/* Appends the frame of a method, texts being how many bytes its texts and its table may take. */
static int encode(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                  amqp_method_number_t method, void *fields, size_t texts) {
  const size_t around = ROOST_RMQ_FRAME_AROUND;
  size_t room = texts + FIXED_BYTES + around;
  if (room > codec->frame_max)
    room = codec->frame_max;
  if (roost_buffer_reserve(out, room) != 0)
    return ROOST_ENOMEM;
  char *payload = out->ptr + out->len + ROOST_RMQ_FRAME_HEADER;
  (void)put_number(payload, method, 4);
  const int size =
      amqp_encode_method(method, fields, (amqp_bytes_t){room - around - 4, payload + 4});
  if (size < 0)
    return ROOST_EINVAL;
  put_frame(out, AMQP_FRAME_METHOD, channel, (size_t)size + 4);
  return 0;
}

/* ------------------------------------------------------------------------- the connection ---- */

static amqp_bytes_t literal(const char *text) {
  return amqp_cstring_bytes(text);
}

static amqp_table_entry_t yes(const char *key) {
  return (amqp_table_entry_t){.key = literal(key),
                              .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

static amqp_table_entry_t says(const char *key, amqp_bytes_t text) {
  return (amqp_table_entry_t){.key = literal(key),
                              .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = text}};
}

int roost_rmq_write_start_ok(roost_rmq_codec *codec, roost_buffer *out, roost_slice user,
                             roost_slice password, roost_slice name) {
  amqp_table_entry_t can[] = {yes("publisher_confirms"), yes("basic.nack"),
                              yes("consumer_cancel_notify"), yes("connection.blocked"),
                              yes("authentication_failure_close")};
  amqp_table_entry_t us[] = {
      says("product", literal("Roost")),
      says("version",
           literal(VERSION(ROOST_VERSION_MAJOR, ROOST_VERSION_MINOR, ROOST_VERSION_PATCH))),
      says("connection_name", roost_rmq_bytes(name)),
      {.key = literal("capabilities"),
       .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {sizeof can / sizeof *can, can}}}};
  const size_t secret_size = user.len + password.len + 2;
  char *secret = roost_alloc_get(codec->alloc, secret_size);
  if (secret == NULL)
    return ROOST_ENOMEM;
  if (user.len > 0)
    memcpy(secret + 1, user.ptr, user.len);
  if (password.len > 0)
    memcpy(secret + 2 + user.len, password.ptr, password.len);
  amqp_connection_start_ok_t fields = {.client_properties = {sizeof us / sizeof *us, us},
                                       .mechanism = literal("PLAIN"),
                                       .response = {secret_size, secret},
                                       .locale = literal("en_US")};
  const int status = encode(codec, out, 0, AMQP_CONNECTION_START_OK_METHOD, &fields,
                            secret_size + name.len + 4 * FIXED_BYTES);
  memset(secret, 0, secret_size);
  roost_alloc_put(codec->alloc, secret, secret_size);
  return status;
}

int roost_rmq_write_tune_ok(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel_max,
                            uint32_t frame_max, uint16_t heartbeat_s) {
  amqp_connection_tune_ok_t fields = {channel_max, frame_max, heartbeat_s};
  return encode(codec, out, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &fields, 0);
}

int roost_rmq_write_open(roost_rmq_codec *codec, roost_buffer *out, roost_slice vhost) {
  amqp_connection_open_t fields = {.virtual_host = roost_rmq_bytes(vhost)};
  return encode(codec, out, 0, AMQP_CONNECTION_OPEN_METHOD, &fields, vhost.len);
}

int roost_rmq_write_close(roost_rmq_codec *codec, roost_buffer *out, uint16_t code,
                          roost_slice text) {
  amqp_connection_close_t fields = {.reply_code = code, .reply_text = roost_rmq_bytes(text)};
  return encode(codec, out, 0, AMQP_CONNECTION_CLOSE_METHOD, &fields, text.len);
}

int roost_rmq_write_close_ok(roost_rmq_codec *codec, roost_buffer *out) {
  amqp_connection_close_ok_t fields = {0};
  return encode(codec, out, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &fields, 0);
}

/* ------------------------------------------------------------------------- channels ---------- */

int roost_rmq_write_channel_open(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel) {
  amqp_channel_open_t fields = {.out_of_band = {0, NULL}};
  return encode(codec, out, channel, AMQP_CHANNEL_OPEN_METHOD, &fields, 0);
}

int roost_rmq_write_channel_close(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel) {
  amqp_channel_close_t fields = {.reply_code = AMQP_REPLY_SUCCESS};
  return encode(codec, out, channel, AMQP_CHANNEL_CLOSE_METHOD, &fields, 0);
}

int roost_rmq_write_channel_close_ok(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel) {
  amqp_channel_close_ok_t fields = {0};
  return encode(codec, out, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &fields, 0);
}

int roost_rmq_write_flow_ok(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                            bool active) {
  amqp_channel_flow_ok_t fields = {active};
  return encode(codec, out, channel, AMQP_CHANNEL_FLOW_OK_METHOD, &fields, 0);
}

int roost_rmq_write_confirm_select(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel) {
  amqp_confirm_select_t fields = {.nowait = 0};
  return encode(codec, out, channel, AMQP_CONFIRM_SELECT_METHOD, &fields, 0);
}

/* Encodes a method whose table, at *table, is that text. */
static int encode_with_table(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                             amqp_method_number_t method, void *fields, amqp_table_t *table,
                             roost_slice json, size_t texts) {
  int status = roost_rmq_table_make(table, &codec->tables, json);
  if (status == 0)
    status = encode(codec, out, channel, method, fields, texts + json.len * TABLE_GROWTH);
  empty_amqp_pool(&codec->tables);
  return status;
}

int roost_rmq_write_exchange_declare(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                                     const roost_rmq_declare *exchange) {
  amqp_exchange_declare_t fields = {.exchange = roost_rmq_bytes(exchange->name),
                                    .type = roost_rmq_bytes(exchange->type),
                                    .passive = exchange->passive,
                                    .durable = exchange->durable,
                                    .auto_delete = exchange->auto_delete};
  return encode_with_table(codec, out, channel, AMQP_EXCHANGE_DECLARE_METHOD, &fields,
                           &fields.arguments, exchange->arguments,
                           exchange->name.len + exchange->type.len);
}

int roost_rmq_write_queue_declare(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                                  const roost_rmq_declare *queue) {
  amqp_queue_declare_t fields = {.queue = roost_rmq_bytes(queue->name),
                                 .passive = queue->passive,
                                 .durable = queue->durable,
                                 .exclusive = queue->exclusive,
                                 .auto_delete = queue->auto_delete};
  return encode_with_table(codec, out, channel, AMQP_QUEUE_DECLARE_METHOD, &fields,
                           &fields.arguments, queue->arguments, queue->name.len);
}

int roost_rmq_write_bind(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                         roost_slice queue, roost_slice exchange, roost_slice key) {
  amqp_queue_bind_t fields = {.queue = roost_rmq_bytes(queue),
                              .exchange = roost_rmq_bytes(exchange),
                              .routing_key = roost_rmq_bytes(key)};
  return encode(codec, out, channel, AMQP_QUEUE_BIND_METHOD, &fields,
                queue.len + exchange.len + key.len);
}

int roost_rmq_write_unbind(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                           roost_slice queue, roost_slice exchange, roost_slice key) {
  amqp_queue_unbind_t fields = {.queue = roost_rmq_bytes(queue),
                                .exchange = roost_rmq_bytes(exchange),
                                .routing_key = roost_rmq_bytes(key)};
  return encode(codec, out, channel, AMQP_QUEUE_UNBIND_METHOD, &fields,
                queue.len + exchange.len + key.len);
}

/* ------------------------------------------------------------------------- consuming --------- */

int roost_rmq_write_qos(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel, uint16_t count,
                        bool all) {
  amqp_basic_qos_t fields = {.prefetch_count = count, .global = all};
  return encode(codec, out, channel, AMQP_BASIC_QOS_METHOD, &fields, 0);
}

int roost_rmq_write_consume(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                            roost_slice queue, roost_slice tag, bool no_ack, bool exclusive) {
  amqp_basic_consume_t fields = {.queue = roost_rmq_bytes(queue),
                                 .consumer_tag = roost_rmq_bytes(tag),
                                 .no_ack = no_ack,
                                 .exclusive = exclusive};
  return encode(codec, out, channel, AMQP_BASIC_CONSUME_METHOD, &fields, queue.len + tag.len);
}

int roost_rmq_write_cancel(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                           roost_slice tag) {
  amqp_basic_cancel_t fields = {.consumer_tag = roost_rmq_bytes(tag)};
  return encode(codec, out, channel, AMQP_BASIC_CANCEL_METHOD, &fields, tag.len);
}

int roost_rmq_write_cancel_ok(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                              roost_slice tag) {
  amqp_basic_cancel_ok_t fields = {.consumer_tag = roost_rmq_bytes(tag)};
  return encode(codec, out, channel, AMQP_BASIC_CANCEL_OK_METHOD, &fields, tag.len);
}

int roost_rmq_write_ack(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel, uint64_t tag,
                        bool multiple) {
  amqp_basic_ack_t fields = {.delivery_tag = tag, .multiple = multiple};
  return encode(codec, out, channel, AMQP_BASIC_ACK_METHOD, &fields, 0);
}

int roost_rmq_write_nack(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel, uint64_t tag,
                         bool requeue) {
  amqp_basic_nack_t fields = {.delivery_tag = tag, .requeue = requeue};
  return encode(codec, out, channel, AMQP_BASIC_NACK_METHOD, &fields, 0);
}

/* ------------------------------------------------------------------------- publishing -------- */

/* Fills in those properties that are there, and their table; returns how many bytes their texts
 * have, or what was wrong. */
static int make_properties(roost_rmq_codec *codec, amqp_basic_properties_t *to,
                           const roost_rmq_properties *from, size_t *texts) {
  const struct {
    amqp_bytes_t *out;
    amqp_flags_t flag;
    roost_slice text;
  } fields[] = {
      {&to->content_type, AMQP_BASIC_CONTENT_TYPE_FLAG, from->content_type},
      {&to->content_encoding, AMQP_BASIC_CONTENT_ENCODING_FLAG, from->content_encoding},
      {&to->correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG, from->correlation_id},
      {&to->reply_to, AMQP_BASIC_REPLY_TO_FLAG, from->reply_to},
      {&to->expiration, AMQP_BASIC_EXPIRATION_FLAG, from->expiration},
      {&to->message_id, AMQP_BASIC_MESSAGE_ID_FLAG, from->message_id},
      {&to->type, AMQP_BASIC_TYPE_FLAG, from->type},
      {&to->user_id, AMQP_BASIC_USER_ID_FLAG, from->user_id},
      {&to->app_id, AMQP_BASIC_APP_ID_FLAG, from->app_id},
  };
  *to =
      (amqp_basic_properties_t){.delivery_mode = from->delivery_mode, .timestamp = from->timestamp};
  *texts = from->headers.len * TABLE_GROWTH;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    if (fields[i].text.ptr == NULL)
      continue;
    if (fields[i].text.len > ROOST_RMQ_SHORT_MAX)
      return ROOST_EINVAL;
    *fields[i].out = roost_rmq_bytes(fields[i].text);
    to->_flags |= fields[i].flag;
    *texts += fields[i].text.len;
  }
  if (from->delivery_mode != 0)
    to->_flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
  if (from->timestamp != 0)
    to->_flags |= AMQP_BASIC_TIMESTAMP_FLAG;
  if (from->priority >= 0) {
    to->priority = (uint8_t)from->priority;
    to->_flags |= AMQP_BASIC_PRIORITY_FLAG;
  }
  if (from->headers.ptr == NULL)
    return 0;
  to->_flags |= AMQP_BASIC_HEADERS_FLAG;
  return roost_rmq_table_make(&to->headers, &codec->tables, from->headers);
}

static int write_header(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                        const roost_rmq_properties *properties, size_t body_bytes) {
  const size_t around = ROOST_RMQ_FRAME_AROUND;
  amqp_basic_properties_t fields;
  size_t texts = 0;
  int status = make_properties(codec, &fields, properties, &texts);
  size_t room = texts + FIXED_BYTES + around;
  if (room > codec->frame_max)
    room = codec->frame_max;
  if (status == 0)
    status = roost_buffer_reserve(out, room);
  if (status == 0) {
    char *at = out->ptr + out->len + ROOST_RMQ_FRAME_HEADER;
    at = put_number(at, ROOST_RMQ_CLASS_CONTENT, 2);
    at = put_number(at, 0, 2);
    at = put_number(at, body_bytes, 8);
    const int size = amqp_encode_properties(ROOST_RMQ_CLASS_CONTENT, &fields,
                                            (amqp_bytes_t){room - around - 12, at});
    if (size < 0)
      status = ROOST_EINVAL;
    else
      put_frame(out, AMQP_FRAME_HEADER, channel, (size_t)size + 12);
  }
  if (properties->headers.ptr != NULL)
    empty_amqp_pool(&codec->tables);
  return status;
}

static int write_body(const roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                      roost_slice body) {
  const size_t most = codec->frame_max - ROOST_RMQ_FRAME_AROUND;
  const size_t frames = (body.len + most - 1) / most;
  if (roost_buffer_reserve(out, body.len + frames * ROOST_RMQ_FRAME_AROUND) != 0)
    return ROOST_ENOMEM;
  while (body.len > 0) {
    const size_t size = body.len < most ? body.len : most;
    memcpy(out->ptr + out->len + ROOST_RMQ_FRAME_HEADER, body.ptr, size);
    put_frame(out, AMQP_FRAME_BODY, channel, size);
    body.ptr += size;
    body.len -= size;
  }
  return 0;
}

int roost_rmq_write_publish(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                            const roost_rmq_target *target, const roost_rmq_properties *properties,
                            roost_slice body) {
  const size_t before = out->len;
  amqp_basic_publish_t fields = {.exchange = roost_rmq_bytes(target->exchange),
                                 .routing_key = roost_rmq_bytes(target->routing_key),
                                 .mandatory = target->mandatory};
  int status = encode(codec, out, channel, AMQP_BASIC_PUBLISH_METHOD, &fields,
                      target->exchange.len + target->routing_key.len);
  if (status == 0)
    status = write_header(codec, out, channel, properties, body.len);
  if (status == 0)
    status = write_body(codec, out, channel, body);
  if (status != 0)
    out->len = before;
  return status;
}
