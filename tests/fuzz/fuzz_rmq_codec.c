/* Frames of RabbitMQ: whole and in pieces they are the same events; texts in them are sound. And
 * input as a message's headers: what can be written reads back as JSON. The first byte is the size
 * of the pieces. */
#include "fuzz.h"
#include "transport/rmq_codec.h"
#include "wire/json.h"

#define MOST_BODY 1000

static void note_text(roost_buffer *events, roost_slice text) {
  PROMISE(roost_buffer_printf(events, "%d:%zu:", text.ptr != NULL, text.len) == 0);
  PROMISE(roost_buffer_append_slice(events, text) == 0);
}

static void note(roost_buffer *events, const roost_rmq_event *event) {
  const roost_rmq_content *content = &event->content;
  const roost_rmq_properties *properties = &content->properties;
  const roost_slice texts[] = {
      event->text,          content->consumer_tag,    content->exchange,
      content->routing_key, properties->content_type, properties->content_encoding,
      properties->headers,  properties->reply_to,     properties->correlation_id,
      properties->type,     properties->expiration,   properties->message_id,
      properties->user_id,  properties->app_id,       content->body,
  };
  PROMISE(roost_buffer_printf(events, "%d %u %u %u %u %u ", event->kind, event->channel,
                              event->code, event->channel_max, event->frame_max,
                              event->heartbeat_s) == 0);
  PROMISE(roost_buffer_printf(events, "%llu %d %d %d %d %llu ", (unsigned long long)event->tag,
                              event->multiple, event->redelivered, event->active,
                              content->is_too_large,
                              (unsigned long long)properties->timestamp) == 0);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    note_text(events, texts[i]);
  PROMISE(content->body.len <= MOST_BODY);
  PROMISE(properties->headers.ptr == NULL || roost_json_validate(properties->headers) == 0);
}

/* Notes the events of the input, which is fed in pieces of that size. */
static void read_in_pieces(roost_buffer *events, const uint8_t *data, size_t size, size_t piece) {
  roost_rmq_codec *codec;
  int status = 0;
  PROMISE(roost_rmq_codec_new(&codec, roost_alloc_default(), MOST_BODY) == 0);
  while (size > 0 && status >= 0) {
    const size_t n = piece < size ? piece : size;
    char *copy = malloc(n); /* so that what is kept too long is found */
    PROMISE(copy != NULL);
    memcpy(copy, data, n);
    roost_slice input = {copy, n};
    do {
      roost_rmq_event event;
      const char *why;
      status = roost_rmq_read(codec, &input, &event, &why);
      PROMISE(status == 1 || status == 0 || status == ROOST_EPROTO);
      if (status == 1)
        note(events, &event);
      else if (status == ROOST_EPROTO)
        PROMISE(roost_buffer_printf(events, "%s", why) == 0);
    } while (status == 1);
    PROMISE(status < 0 || input.len == 0);
    free(copy);
    data += n;
    size -= n;
  }
  roost_rmq_codec_free(codec);
}

static void check_reading(const uint8_t *data, size_t size) {
  roost_buffer whole;
  roost_buffer pieces;
  roost_buffer_init(&whole, roost_alloc_default());
  roost_buffer_init(&pieces, roost_alloc_default());
  read_in_pieces(&whole, data + 1, size - 1, size);
  read_in_pieces(&pieces, data + 1, size - 1, data[0] % 64U + 1);
  PROMISE(fuzz_same(&whole, &pieces));
  roost_buffer_deinit(&whole);
  roost_buffer_deinit(&pieces);
}

static void check_writing(const uint8_t *data, size_t size) {
  roost_buffer text;
  roost_buffer out;
  roost_rmq_codec *codec;
  fuzz_text(&text, data, size);
  roost_buffer_init(&out, roost_alloc_default());
  PROMISE(roost_rmq_codec_new(&codec, roost_alloc_default(), MOST_BODY) == 0);
  const roost_slice headers = {text.ptr != NULL ? text.ptr : "", text.len};
  const roost_rmq_properties properties = {.headers = headers, .priority = -1};
  const roost_rmq_target target = {ROOST_SLICE("e"), ROOST_SLICE("k"), false};
  const int status =
      roost_rmq_write_publish(codec, &out, 1, &target, &properties, ROOST_SLICE("body"));
  PROMISE(status == 0 || (status == ROOST_EINVAL && out.len == 0));
  PROMISE(status != 0 || roost_json_validate(headers) == 0);
  roost_rmq_codec_free(codec);
  roost_buffer_deinit(&out);
  roost_buffer_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  check_reading(data, size);
  check_writing(data + 1, size - 1);
  return 0;
}
