#include "wire/frame.h"

#include "wire/frame_internal.h"
#include "wire/utf8.h"

/* Memory an idle reader may keep, and the smallest body worth a read into its own place. */
#define KEEP_BYTES 512
#define ROOM_BYTES (16 * 1024)

const char roost_frame_error_empty[] = "Could not parse JSON: the packet is empty";
const char roost_frame_error_length[] =
    "The packet length exceeds the maximum allowed length (max_buffer_size)";
const char roost_frame_error_memory[] = "Out of memory while gathering a packet";

void roost_frame_reader_init(roost_frame_reader *reader, const roost_alloc *alloc,
                             roost_framing framing, size_t max_bytes) {
  *reader = (roost_frame_reader){.framing = framing, .max_bytes = max_bytes};
  roost_buffer_init(&reader->held, alloc);
  roost_buffer_init(&reader->fixed, alloc);
}

void roost_frame_reader_deinit(roost_frame_reader *reader) {
  roost_buffer_deinit(&reader->held);
  roost_buffer_deinit(&reader->fixed);
}

/* --------------------------------------------------------------------- what they share ------- */

int roost_frame_fail(roost_frame_reader *reader, int status, const char *error) {
  reader->error = error;
  reader->failure = status;
  return status;
}

int roost_frame_repair(roost_frame_reader *reader, roost_slice bytes, roost_slice *frame) {
  reader->broken_utf8 = false;
  if (reader->raw)
    return 1;
  if (roost_utf8_repair(&reader->fixed, bytes) != 0)
    return roost_frame_fail(reader, ROOST_ENOMEM, roost_frame_error_memory);
  if (reader->fixed.len > reader->max_bytes)
    return roost_frame_fail(reader, ROOST_EFULL, roost_frame_error_length);
  *frame = roost_buffer_slice(&reader->fixed);
  return 1;
}

int roost_frame_deliver_bytes(roost_frame_reader *reader, roost_slice bytes, roost_slice *frame) {
  reader->broken_utf8 = !reader->raw && roost_utf8_valid_prefix(bytes) < bytes.len;
  return roost_frame_deliver(reader, bytes, frame);
}

int roost_frame_hold(roost_frame_reader *reader, roost_slice bytes) {
  if (bytes.len > reader->max_bytes - reader->held.len)
    return roost_frame_fail(reader, ROOST_EFULL, roost_frame_error_length);
  if (roost_buffer_append_slice(&reader->held, bytes) != 0)
    return roost_frame_fail(reader, ROOST_ENOMEM, roost_frame_error_memory);
  return 0;
}

/* --------------------------------------------------------------------- reading --------------- */

/* Lets go of the frame last returned, and of memory that nothing unfinished needs. */
static void forget(roost_frame_reader *reader) {
  reader->delivered = false;
  roost_buffer_clear(&reader->held);
  roost_buffer_clear(&reader->fixed);
  if (reader->held.cap > KEEP_BYTES)
    roost_buffer_deinit(&reader->held);
  if (reader->fixed.cap > KEEP_BYTES)
    roost_buffer_deinit(&reader->fixed);
}

int roost_frame_read(roost_frame_reader *reader, roost_slice *input, roost_slice *frame) {
  if (reader->error != NULL)
    return reader->failure;
  if (reader->delivered)
    forget(reader);
  if (input->len == 0)
    return 0;
  if (reader->framing == ROOST_FRAMING_NEST)
    return roost_frame_nest_read(reader, input, frame);
  if (reader->framing == ROOST_FRAMING_NDJSON)
    return roost_frame_line_read(reader, input, frame);
  return roost_frame_length_read(reader, input, frame);
}

bool roost_frame_reader_pending(const roost_frame_reader *reader) {
  return reader->in_body || (reader->held.len > 0 && !reader->delivered);
}

size_t roost_frame_reader_memory(const roost_frame_reader *reader) {
  return reader->held.cap + reader->fixed.cap;
}

/* --------------------------------------------------------------------- reading in place ------ */

size_t roost_frame_room(roost_frame_reader *reader, char **place) {
  if (!reader->in_body || reader->error != NULL || reader->want_units < ROOM_BYTES)
    return 0;
  const uint64_t missing =
      reader->framing == ROOST_FRAMING_NEST ? roost_frame_nest_missing(reader) : reader->want_units;
  size_t room = reader->held.len > ROOM_BYTES ? reader->held.len : ROOM_BYTES;
  size_t allowed = reader->max_bytes - reader->held.len;
  if (room > missing)
    room = (size_t)missing;
  if (room > allowed)
    room = allowed;
  if (room == 0 || roost_buffer_reserve(&reader->held, room) != 0)
    return 0;
  *place = reader->held.ptr + reader->held.len;
  return room;
}

int roost_frame_filled(roost_frame_reader *reader, size_t n, roost_slice *frame) {
  if (reader->framing == ROOST_FRAMING_NEST)
    return roost_frame_nest_filled(reader, n, frame);
  return roost_frame_length_filled(reader, n, frame);
}

/* --------------------------------------------------------------------- writing --------------- */

int roost_frame_other_begin(roost_buffer *out, roost_frame_mark *mark) {
  mark->head = mark->framing == ROOST_FRAMING_LENGTH32 ? ROOST_FRAME_LENGTH_BYTES : 0;
  int status = roost_buffer_reserve(out, mark->head);
  if (status != 0)
    return status;
  out->len += mark->head;
  return 0;
}

int roost_frame_other_end(roost_buffer *out, const roost_frame_mark *mark) {
  return mark->framing == ROOST_FRAMING_NDJSON ? roost_frame_line_end(out, mark)
                                               : roost_frame_length_end(out, mark);
}

void roost_frame_undo(roost_buffer *out, const roost_frame_mark *mark) {
  out->len = mark->at;
}
