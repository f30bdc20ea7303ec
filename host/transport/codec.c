#include "transport/codec.h"

#include "core/slice.h"
#include "wire/utf8.h"

/* Whether a frame can hold the body; what is not JSON may be anything. */
static bool fits(roost_codec *codec, roost_framing framing, roost_slice body) {
  codec->why = "serializer: an empty text is no packet";
  if (body.len == 0)
    return false;
  if (framing == ROOST_FRAMING_LENGTH32)
    return true;
  if (framing == ROOST_FRAMING_NDJSON && memchr(body.ptr, '\n', body.len) == NULL)
    return true;
  if (framing == ROOST_FRAMING_NEST && roost_utf8_valid_prefix(body) == body.len)
    return true;
  codec->why = framing == ROOST_FRAMING_NEST
                   ? "serializer: text that is not UTF-8 wants framing = \"length32\""
                   : "serializer: text of several lines is no frame of ndjson";
  return false;
}

static int replace(roost_codec *codec, roost_buffer *out, const roost_frame_mark *mark,
                   roost_buffer *body) {
  const size_t at = mark->at + mark->head;
  int status = codec->write(codec, roost_slice_of(out->ptr + at, out->len - at), body);
  if (status != 0)
    return status;
  if (!fits(codec, mark->framing, roost_buffer_slice(body)))
    return ROOST_ESCRIPT;
  status = roost_buffer_reserve(out, body->len);
  if (status != 0)
    return status;
  out->len = at;
  return roost_buffer_append_slice(out, roost_buffer_slice(body));
}

int roost_codec_write(roost_codec *codec, roost_buffer *out, const roost_frame_mark *mark,
                      roost_buffer *body) {
  if (codec == NULL || codec->write == NULL)
    return 0;
  roost_buffer_clear(body);
  const int status = replace(codec, out, mark, body);
  roost_buffer_clear(body);
  roost_buffer_trim(body, ROOST_CODEC_KEEP_BYTES);
  return status;
}
