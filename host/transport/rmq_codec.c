/*
 * Reading: frames to events.
 */
#include <string.h>

#include "core/slice.h"
#include "transport/rmq_codec_internal.h"

static const char no_memory[] = "out of memory";

int roost_rmq_codec_new(roost_rmq_codec **out, const roost_alloc *alloc, size_t max_body_bytes) {
  roost_rmq_codec *codec = roost_alloc_get(alloc, sizeof *codec);
  *out = codec;
  if (codec == NULL)
    return ROOST_ENOMEM;
  codec->alloc = alloc;
  codec->max_body = max_body_bytes;
  codec->frame_max = ROOST_RMQ_FRAME_MIN;
  init_amqp_pool(&codec->pool, ROOST_RMQ_POOL_PAGE);
  init_amqp_pool(&codec->tables, ROOST_RMQ_POOL_PAGE);
  roost_buffer_init(&codec->frame, alloc);
  roost_buffer_init(&codec->headers, alloc);
  roost_buffer_init(&codec->body, alloc);
  return 0;
}

void roost_rmq_codec_free(roost_rmq_codec *codec) {
  if (codec == NULL)
    return;
  empty_amqp_pool(&codec->pool);
  empty_amqp_pool(&codec->tables);
  roost_buffer_deinit(&codec->frame);
  roost_buffer_deinit(&codec->headers);
  roost_buffer_deinit(&codec->body);
  roost_alloc_put(codec->alloc, codec, sizeof *codec);
}

void roost_rmq_set_frame_max(roost_rmq_codec *codec, size_t bytes) {
  codec->frame_max = bytes < ROOST_RMQ_FRAME_MIN   ? ROOST_RMQ_FRAME_MIN
                     : bytes > ROOST_RMQ_FRAME_MAX ? ROOST_RMQ_FRAME_MAX
                                                   : bytes;
}

size_t roost_rmq_codec_memory(const roost_rmq_codec *codec) {
  return codec->frame.cap + codec->headers.cap + codec->body.cap;
}

static int fail(roost_rmq_codec *codec, int status, const char *why) {
  codec->why = status == ROOST_ENOMEM ? no_memory : why;
  return status;
}

static int broken(roost_rmq_codec *codec, const char *why) {
  return fail(codec, ROOST_EPROTO, why);
}

/* ------------------------------------------------------------------------- frames ------------ */

static void forget(roost_buffer *buffer) {
  roost_buffer_clear(buffer);
  roost_buffer_trim(buffer, ROOST_RMQ_KEEP_BYTES);
}

/* Lets go of what the last event showed. */
static void let_go(roost_rmq_codec *codec) {
  if (codec->is_frame_done)
    forget(&codec->frame);
  codec->is_frame_done = false;
  if (codec->stage != ROOST_RMQ_NO_CONTENT)
    return;
  if (codec->is_body_done) {
    forget(&codec->body);
    forget(&codec->headers);
  }
  codec->is_body_done = false;
  if (codec->pool.pages.num_blocks > ROOST_RMQ_POOL_PAGES)
    empty_amqp_pool(&codec->pool);
  else
    recycle_amqp_pool(&codec->pool);
}

static size_t read_number(const char *at, unsigned bytes) {
  size_t number = 0;
  for (unsigned i = 0; i < bytes; i++)
    number = number << 8 | (uint8_t)at[i];
  return number;
}

/* The size of the frame that begins there, with at least its header; 0: there can be none. */
static size_t frame_size(const char *at) {
  const size_t size = read_number(at + 3, 4);
  return size > ROOST_RMQ_FRAME_MAX - ROOST_RMQ_FRAME_AROUND ? 0 : size + ROOST_RMQ_FRAME_AROUND;
}

/* Moves bytes from the input to the frame until that has as many. 1: it has; 0: there were not
 * enough; ENOMEM. */
static int fill(roost_rmq_codec *codec, roost_slice *input, size_t size) {
  roost_buffer *frame = &codec->frame;
  const size_t missing = size - frame->len;
  const size_t n = input->len < missing ? input->len : missing;
  if (roost_buffer_append(frame, input->ptr, n) != 0)
    return fail(codec, ROOST_ENOMEM, "");
  input->ptr += n;
  input->len -= n;
  return n == missing;
}

/* The next frame, in the input where it is there whole. As roost_rmq_read. */
static int take_frame(roost_rmq_codec *codec, roost_slice *input, roost_slice *frame) {
  roost_buffer *held = &codec->frame;
  if (input->len == 0)
    return 0;
  if (held->len == 0 && input->ptr[0] == 'A')
    return broken(codec, "it does not speak AMQP 0-9-1");
  if (held->len < ROOST_RMQ_FRAME_HEADER &&
      (held->len > 0 || input->len < ROOST_RMQ_FRAME_HEADER)) {
    const int status = fill(codec, input, ROOST_RMQ_FRAME_HEADER);
    if (status <= 0)
      return status;
  }
  const size_t size = frame_size(held->len > 0 ? held->ptr : input->ptr);
  if (size == 0)
    return broken(codec, "a frame is larger than it may be");
  if (held->len == 0 && input->len >= size) {
    *frame = (roost_slice){input->ptr, size};
    input->ptr += size;
    input->len -= size;
    return 1;
  }
  const int status = fill(codec, input, size);
  if (status <= 0)
    return status;
  codec->is_frame_done = true;
  *frame = roost_buffer_slice(held);
  return 1;
}

/* ------------------------------------------------------------------------- methods ----------- */

static const struct {
  amqp_method_number_t method;
  roost_rmq_kind kind;
} kinds[] = {{AMQP_BASIC_DELIVER_METHOD, ROOST_RMQ_DELIVERY},
             {AMQP_BASIC_ACK_METHOD, ROOST_RMQ_ACK},
             {AMQP_BASIC_NACK_METHOD, ROOST_RMQ_NACK},
             {AMQP_BASIC_RETURN_METHOD, ROOST_RMQ_RETURNED},
             {AMQP_CONNECTION_START_METHOD, ROOST_RMQ_START},
             {AMQP_CONNECTION_SECURE_METHOD, ROOST_RMQ_SECURE},
             {AMQP_CONNECTION_TUNE_METHOD, ROOST_RMQ_TUNE},
             {AMQP_CONNECTION_OPEN_OK_METHOD, ROOST_RMQ_OPEN_OK},
             {AMQP_CONNECTION_CLOSE_METHOD, ROOST_RMQ_CLOSE},
             {AMQP_CONNECTION_CLOSE_OK_METHOD, ROOST_RMQ_CLOSE_OK},
             {AMQP_CONNECTION_BLOCKED_METHOD, ROOST_RMQ_BLOCKED},
             {AMQP_CONNECTION_UNBLOCKED_METHOD, ROOST_RMQ_UNBLOCKED},
             {AMQP_CHANNEL_OPEN_OK_METHOD, ROOST_RMQ_CHANNEL_OPEN_OK},
             {AMQP_CHANNEL_FLOW_METHOD, ROOST_RMQ_CHANNEL_FLOW},
             {AMQP_CHANNEL_CLOSE_METHOD, ROOST_RMQ_CHANNEL_CLOSE},
             {AMQP_CHANNEL_CLOSE_OK_METHOD, ROOST_RMQ_CHANNEL_CLOSE_OK},
             {AMQP_EXCHANGE_DECLARE_OK_METHOD, ROOST_RMQ_EXCHANGE_OK},
             {AMQP_QUEUE_DECLARE_OK_METHOD, ROOST_RMQ_QUEUE_OK},
             {AMQP_QUEUE_BIND_OK_METHOD, ROOST_RMQ_BIND_OK},
             {AMQP_QUEUE_UNBIND_OK_METHOD, ROOST_RMQ_UNBIND_OK},
             {AMQP_BASIC_QOS_OK_METHOD, ROOST_RMQ_QOS_OK},
             {AMQP_BASIC_CONSUME_OK_METHOD, ROOST_RMQ_CONSUME_OK},
             {AMQP_BASIC_CANCEL_METHOD, ROOST_RMQ_CANCEL},
             {AMQP_BASIC_CANCEL_OK_METHOD, ROOST_RMQ_CANCEL_OK},
             {AMQP_CONFIRM_SELECT_OK_METHOD, ROOST_RMQ_CONFIRM_OK}};

static roost_rmq_kind kind_of(amqp_method_number_t method) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kinds[i].method == method)
      return kinds[i].kind;
  return ROOST_RMQ_OTHER;
}

static void read_close(roost_rmq_event *event, uint16_t code, amqp_bytes_t text) {
  event->code = code;
  event->text = roost_rmq_slice(text);
}

static void read_confirm(roost_rmq_event *event, uint64_t tag, amqp_boolean_t multiple) {
  event->tag = tag;
  event->multiple = multiple != 0;
}

static void read_cancel(roost_rmq_event *event, const amqp_basic_cancel_t *cancel) {
  event->text = roost_rmq_slice(cancel->consumer_tag);
  event->wants_answer = cancel->nowait == 0;
}

static void read_tune(roost_rmq_event *event, const amqp_connection_tune_t *tune) {
  event->channel_max = tune->channel_max;
  event->frame_max = tune->frame_max;
  event->heartbeat_s = tune->heartbeat;
}

static void read_deliver(roost_rmq_event *event, const amqp_basic_deliver_t *deliver) {
  event->tag = deliver->delivery_tag;
  event->redelivered = deliver->redelivered != 0;
  event->content.consumer_tag = roost_rmq_slice(deliver->consumer_tag);
  event->content.exchange = roost_rmq_slice(deliver->exchange);
  event->content.routing_key = roost_rmq_slice(deliver->routing_key);
}

static void read_return(roost_rmq_event *event, const amqp_basic_return_t *returned) {
  event->code = returned->reply_code;
  event->text = roost_rmq_slice(returned->reply_text);
  event->content.exchange = roost_rmq_slice(returned->exchange);
  event->content.routing_key = roost_rmq_slice(returned->routing_key);
}

/* Fills in what a decoded method of connections and channels says. */
static void read_connection_method(roost_rmq_event *event, const void *decoded) {
  const amqp_connection_close_t *connection = decoded;
  const amqp_channel_close_t *channel = decoded;
  switch (event->kind) {
  case ROOST_RMQ_START:
    event->text = roost_rmq_slice(((const amqp_connection_start_t *)decoded)->mechanisms);
    break;
  case ROOST_RMQ_TUNE:
    read_tune(event, decoded);
    break;
  case ROOST_RMQ_CLOSE:
    read_close(event, connection->reply_code, connection->reply_text);
    break;
  case ROOST_RMQ_CHANNEL_CLOSE:
    read_close(event, channel->reply_code, channel->reply_text);
    break;
  case ROOST_RMQ_BLOCKED:
    event->text = roost_rmq_slice(((const amqp_connection_blocked_t *)decoded)->reason);
    break;
  case ROOST_RMQ_CHANNEL_FLOW:
    event->active = ((const amqp_channel_flow_t *)decoded)->active != 0;
    break;
  default:
    break;
  }
}

/* The same for queues and messages. */
static void read_message_method(roost_rmq_event *event, const void *decoded) {
  const amqp_basic_ack_t *ack = decoded;
  const amqp_basic_nack_t *nack = decoded;
  switch (event->kind) {
  case ROOST_RMQ_QUEUE_OK:
    event->text = roost_rmq_slice(((const amqp_queue_declare_ok_t *)decoded)->queue);
    break;
  case ROOST_RMQ_CONSUME_OK:
    event->text = roost_rmq_slice(((const amqp_basic_consume_ok_t *)decoded)->consumer_tag);
    break;
  case ROOST_RMQ_CANCEL_OK:
    event->text = roost_rmq_slice(((const amqp_basic_cancel_ok_t *)decoded)->consumer_tag);
    break;
  case ROOST_RMQ_CANCEL:
    read_cancel(event, decoded);
    break;
  case ROOST_RMQ_ACK:
    read_confirm(event, ack->delivery_tag, ack->multiple);
    break;
  case ROOST_RMQ_NACK:
    read_confirm(event, nack->delivery_tag, nack->multiple);
    break;
  case ROOST_RMQ_DELIVERY:
    read_deliver(event, decoded);
    break;
  case ROOST_RMQ_RETURNED:
    read_return(event, decoded);
    break;
  default:
    break;
  }
}

static bool has_content(roost_rmq_kind kind) {
  return kind == ROOST_RMQ_DELIVERY || kind == ROOST_RMQ_RETURNED;
}

/* ------------------------------------------------------------------------- content ----------- */

/* Copies a text into the pool, where it stays until the content is told of. */
static int keep(roost_rmq_codec *codec, roost_slice *text) {
  if (text->len == 0)
    return 0;
  char *copy = amqp_pool_alloc(&codec->pool, text->len);
  if (copy == NULL)
    return fail(codec, ROOST_ENOMEM, "");
  memcpy(copy, text->ptr, text->len);
  text->ptr = copy;
  return 0;
}

/* A method that has content came: its header is next. */
static int begin_content(roost_rmq_codec *codec, const roost_rmq_event *event) {
  if (codec->stage != ROOST_RMQ_NO_CONTENT)
    return broken(codec, "a message was begun within another one");
  codec->event = *event;
  codec->stage = ROOST_RMQ_HEADER_NEXT;
  roost_rmq_content *content = &codec->event.content;
  int status = keep(codec, &codec->event.text);
  if (status == 0)
    status = keep(codec, &content->consumer_tag);
  if (status == 0)
    status = keep(codec, &content->exchange);
  return status == 0 ? keep(codec, &content->routing_key) : status;
}

static int read_text(roost_rmq_codec *codec, roost_slice *out, const amqp_basic_properties_t *from,
                     amqp_flags_t flag, amqp_bytes_t text) {
  *out = (roost_slice){NULL, 0};
  if ((from->_flags & flag) == 0)
    return 0;
  *out = roost_rmq_slice(text);
  if (out->len == 0)
    out->ptr = ""; /* which is there */
  return keep(codec, out);
}

static int read_headers(roost_rmq_codec *codec, const amqp_basic_properties_t *from) {
  roost_buffer_clear(&codec->headers);
  if ((from->_flags & AMQP_BASIC_HEADERS_FLAG) == 0)
    return 0;
  if (roost_rmq_table_read(&codec->headers, &from->headers) != 0)
    return fail(codec, ROOST_ENOMEM, "");
  codec->event.content.properties.headers = roost_buffer_slice(&codec->headers);
  return 0;
}

static int read_properties(roost_rmq_codec *codec, const amqp_basic_properties_t *from) {
  roost_rmq_properties *to = &codec->event.content.properties;
  const struct {
    roost_slice *out;
    amqp_flags_t flag;
    amqp_bytes_t text;
  } texts[] = {
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
  int status = 0;
  for (size_t i = 0; i < sizeof texts / sizeof *texts && status == 0; i++)
    status = read_text(codec, texts[i].out, from, texts[i].flag, texts[i].text);
  if ((from->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG) != 0)
    to->delivery_mode = from->delivery_mode;
  to->priority = (from->_flags & AMQP_BASIC_PRIORITY_FLAG) != 0 ? from->priority : -1;
  if ((from->_flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0)
    to->timestamp = from->timestamp;
  return status == 0 ? read_headers(codec, from) : status;
}

/* Where in encoded properties the table of headers begins: behind two flagged texts. ptr NULL:
 * there is none, or less than librabbitmq will find out by itself. */
static roost_slice find_headers(roost_slice encoded) {
  const roost_slice none = {NULL, 0};
  size_t at = 0;
  unsigned flags = 1;
  unsigned first = 0;
  for (unsigned words = 0; (flags & 1) != 0; words++, at += 2) {
    if (encoded.len - at < 2)
      return none;
    flags = (unsigned)read_number(encoded.ptr + at, 2);
    if (words == 0)
      first = flags;
  }
  if ((first & AMQP_BASIC_HEADERS_FLAG) == 0)
    return none;
  for (unsigned flag = AMQP_BASIC_CONTENT_TYPE_FLAG; flag >= AMQP_BASIC_CONTENT_ENCODING_FLAG;
       flag >>= 1) {
    if ((first & flag) == 0)
      continue;
    if (at == encoded.len)
      return none;
    const size_t size = (uint8_t)encoded.ptr[at] + (size_t)1;
    if (encoded.len - at < size)
      return none;
    at += size;
  }
  return (roost_slice){encoded.ptr + at, encoded.len - at};
}

/* The whole content is there. */
static int finish_content(roost_rmq_codec *codec, roost_slice body) {
  roost_rmq_content *content = &codec->event.content;
  content->body = content->is_too_large ? (roost_slice){NULL, 0} : body;
  codec->stage = ROOST_RMQ_NO_CONTENT;
  codec->is_body_done = true;
  *codec->told = codec->event;
  return 1;
}

static int take_header(roost_rmq_codec *codec, roost_slice payload) {
  void *decoded = NULL;
  if (codec->stage != ROOST_RMQ_HEADER_NEXT || payload.len < 12 ||
      read_number(payload.ptr, 2) != ROOST_RMQ_CLASS_CONTENT)
    return broken(codec, "a header stands where none can be");
  codec->body_left =
      (uint64_t)read_number(payload.ptr + 4, 4) << 32 | read_number(payload.ptr + 8, 4);
  const roost_slice encoded = {payload.ptr + 12, payload.len - 12};
  const roost_slice table = find_headers(encoded);
  if (table.ptr != NULL && !roost_rmq_table_is_sound(table))
    return broken(codec, "a message's headers are broken");
  const int status = amqp_decode_properties(ROOST_RMQ_CLASS_CONTENT, &codec->pool,
                                            roost_rmq_bytes(encoded), &decoded);
  if (status < 0)
    return fail(codec, roost_rmq_status(status, ROOST_EPROTO), "a message's header is broken");
  const int kept = read_properties(codec, decoded);
  if (kept != 0)
    return kept;
  codec->event.content.is_too_large = codec->body_left > codec->max_body;
  codec->stage = ROOST_RMQ_BODY_NEXT;
  return codec->body_left == 0 ? finish_content(codec, ROOST_SLICE("")) : 0;
}

static int take_body(roost_rmq_codec *codec, roost_slice payload) {
  if (codec->stage != ROOST_RMQ_BODY_NEXT || payload.len > codec->body_left)
    return broken(codec, "a body stands where none can be");
  codec->body_left -= payload.len;
  if (codec->event.content.is_too_large)
    return codec->body_left == 0 ? finish_content(codec, payload) : 0;
  if (codec->body_left == 0 && codec->body.len == 0)
    return finish_content(codec, payload);
  if (roost_buffer_append_slice(&codec->body, payload) != 0)
    return fail(codec, ROOST_ENOMEM, "");
  return codec->body_left == 0 ? finish_content(codec, roost_buffer_slice(&codec->body)) : 0;
}

/* ------------------------------------------------------------------------- events ------------ */

static int take_method(roost_rmq_codec *codec, uint16_t channel, roost_slice payload) {
  void *decoded = NULL;
  if (payload.len < 4)
    return broken(codec, "a method is cut short");
  const amqp_method_number_t method = (amqp_method_number_t)read_number(payload.ptr, 4);
  const roost_slice encoded = {payload.ptr + 4, payload.len - 4};
  roost_rmq_event *event = codec->told;
  *event = (roost_rmq_event){.kind = kind_of(method), .channel = channel};
  if (event->kind == ROOST_RMQ_OTHER)
    return 1;
  if (codec->stage != ROOST_RMQ_NO_CONTENT && channel == codec->event.channel)
    return broken(codec, "a method stands within a message");
  /* The one with a table, behind two bytes of a version. */
  if (event->kind == ROOST_RMQ_START && (encoded.len < 2 || !roost_rmq_table_is_sound((roost_slice){
                                                                encoded.ptr + 2, encoded.len - 2})))
    return broken(codec, "a method is broken");
  const int status = amqp_decode_method(method, &codec->pool, roost_rmq_bytes(encoded), &decoded);
  if (status < 0)
    return fail(codec, roost_rmq_status(status, ROOST_EPROTO), "a method is broken");
  read_connection_method(event, decoded);
  read_message_method(event, decoded);
  return has_content(event->kind) ? begin_content(codec, event) : 1;
}

static int take_payload(roost_rmq_codec *codec, roost_slice frame) {
  const uint16_t channel = (uint16_t)read_number(frame.ptr + 1, 2);
  const roost_slice payload = {frame.ptr + ROOST_RMQ_FRAME_HEADER,
                               frame.len - ROOST_RMQ_FRAME_AROUND};
  if ((uint8_t)frame.ptr[frame.len - 1] != AMQP_FRAME_END)
    return broken(codec, "a frame has no end mark");
  switch (frame.ptr[0]) {
  case AMQP_FRAME_METHOD:
    return take_method(codec, channel, payload);
  case AMQP_FRAME_HEARTBEAT:
    *codec->told = (roost_rmq_event){.kind = ROOST_RMQ_HEARTBEAT, .channel = channel};
    return 1;
  case AMQP_FRAME_HEADER:
  case AMQP_FRAME_BODY:
    break;
  default:
    return broken(codec, "a frame of no known type");
  }
  if (codec->stage != ROOST_RMQ_NO_CONTENT && channel != codec->event.channel)
    return broken(codec, "a message is mixed with another channel's");
  return frame.ptr[0] == AMQP_FRAME_HEADER ? take_header(codec, payload)
                                           : take_body(codec, payload);
}

int roost_rmq_read(roost_rmq_codec *codec, roost_slice *input, roost_rmq_event *event,
                   const char **why) {
  int status;
  codec->told = event;
  codec->why = "";
  do {
    roost_slice frame;
    let_go(codec);
    status = take_frame(codec, input, &frame);
    if (status <= 0)
      break;
    status = take_payload(codec, frame);
  } while (status == 0);
  *why = codec->why;
  return status;
}
