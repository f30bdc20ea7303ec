/*
 * length32: the length of the JSON text in bytes, 4 bytes with the highest first, then the text.
 */
#include "wire/frame_internal.h"

/* Takes the header from the input, in pieces through held. 1 once it is whole, 0 where more is
 * needed, or an error. */
static int take_header(roost_frame_reader *reader, roost_slice *input, uint8_t *header) {
  const size_t missing = ROOST_FRAME_LENGTH_BYTES - reader->held.len;
  const size_t n = input->len < missing ? input->len : missing;
  if (reader->held.len > 0)
    memcpy(header, reader->held.ptr, reader->held.len);
  memcpy(header + reader->held.len, input->ptr, n);
  if (n < missing && roost_buffer_append(&reader->held, input->ptr, n) != 0)
    return roost_frame_fail(reader, ROOST_ENOMEM, roost_frame_error_memory);
  input->ptr += n;
  input->len -= n;
  return n == missing;
}

static int read_header(roost_frame_reader *reader, roost_slice *input) {
  uint8_t header[ROOST_FRAME_LENGTH_BYTES];
  const int status = take_header(reader, input, header);
  if (status <= 0)
    return status;
  uint32_t length = 0;
  for (size_t i = 0; i < ROOST_FRAME_LENGTH_BYTES; i++)
    length = length << 8 | header[i];
  roost_buffer_clear(&reader->held);
  if (length == 0)
    return roost_frame_fail(reader, ROOST_EPROTO, roost_frame_error_empty);
  if (length > reader->max_bytes)
    return roost_frame_fail(reader, ROOST_EFULL, roost_frame_error_length);
  reader->want_units = length;
  reader->in_body = true;
  return 1;
}

int roost_frame_length_read(roost_frame_reader *reader, roost_slice *input, roost_slice *frame) {
  if (!reader->in_body) {
    const int status = read_header(reader, input);
    if (status <= 0)
      return status;
  }
  const size_t n = input->len < reader->want_units ? input->len : (size_t)reader->want_units;
  roost_slice body = {input->ptr, n};
  reader->want_units -= n;
  input->ptr += n;
  input->len -= n;
  if (reader->want_units > 0 || reader->held.len > 0) {
    const int status = roost_frame_hold(reader, body);
    if (status != 0)
      return status;
    body = roost_buffer_slice(&reader->held);
  }
  return reader->want_units == 0 ? roost_frame_deliver_bytes(reader, body, frame) : 0;
}

int roost_frame_length_filled(roost_frame_reader *reader, size_t n, roost_slice *frame) {
  reader->held.len += n;
  reader->want_units -= n;
  return reader->want_units == 0
             ? roost_frame_deliver_bytes(reader, roost_buffer_slice(&reader->held), frame)
             : 0;
}

int roost_frame_length_end(roost_buffer *out, const roost_frame_mark *mark) {
  const size_t length = out->len - mark->at - mark->head;
  if (length > UINT32_MAX) {
    roost_frame_undo(out, mark);
    return ROOST_EFULL;
  }
  for (size_t i = 0; i < ROOST_FRAME_LENGTH_BYTES; i++)
    out->ptr[mark->at + i] = (char)(uint8_t)(length >> (24 - 8 * i));
  return 0;
}
