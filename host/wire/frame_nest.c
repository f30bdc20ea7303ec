/*
 * Nest's own framing: the length in UTF-16 units, its text read as JavaScript's parseInt does.
 */
#include "wire/frame_internal.h"
#include "wire/simd.h"
#include "wire/utf8.h"
#include "wire/utf8_step.h"

static const char error_corrupted[] = "Corrupted length value supplied in a packet";
static const char error_cut[] = "Could not parse JSON: the packet ends inside a character";
static const char error_header[] = "The packet has no length within its first 64 bytes";

/* --------------------------------------------------------------------- the header ------------ */

/* Bytes of the JavaScript white space at the start of text, 0 where there is none. */
static size_t white_space(roost_slice text) {
  uint8_t first = (uint8_t)text.ptr[0];
  if (first == ' ' || (first >= '\t' && first <= '\r'))
    return 1;
  if (text.len >= 2 && first == 0xC2 && (uint8_t)text.ptr[1] == 0xA0)
    return 2;
  if (text.len < 3 || first < 0xE1)
    return 0;
  static const char three[][4] = {
      "\xE1\x9A\x80", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF",
      "\xE2\x81\x9F", "\xE3\x80\x80", "\xEF\xBB\xBF",
  };
  for (size_t i = 0; i < sizeof three / sizeof three[0]; i++) {
    if (memcmp(text.ptr, three[i], 3) == 0)
      return 3;
  }
  /* U+2000 to U+200A */
  bool is_quad = memcmp(text.ptr, "\xE2\x80", 2) == 0 && (uint8_t)text.ptr[2] >= 0x80 &&
                 (uint8_t)text.ptr[2] <= 0x8A;
  return is_quad ? 3 : 0;
}

/* Reads the length as parseInt(text, 10) does; everything below 1 fails, too. */
static int read_length(roost_frame_reader *reader, roost_slice text) {
  size_t skip;
  while (text.len > 0 && (skip = white_space(text)) > 0) {
    text.ptr += skip;
    text.len -= skip;
  }
  bool is_negative = text.len > 0 && text.ptr[0] == '-';
  size_t i = is_negative || (text.len > 0 && text.ptr[0] == '+') ? 1 : 0;
  size_t first_digit = i;
  uint64_t length = 0;
  for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
    if (length <= UINT64_MAX / 16)
      length = length * 10 + (uint64_t)(text.ptr[i] - '0');
  }
  if (i == first_digit)
    return roost_frame_fail(reader, ROOST_EPROTO, error_corrupted);
  if (is_negative || length == 0)
    return roost_frame_fail(reader, ROOST_EPROTO, roost_frame_error_empty);
  if (length > reader->max_bytes)
    return roost_frame_fail(reader, ROOST_EFULL, roost_frame_error_length);
  reader->want_units = length;
  reader->in_body = true;
  return 1;
}

/* Takes a header that lies whole in the input and is nothing but a few digits; false where it needs
 * a closer look. */
static bool read_plain_header(roost_frame_reader *reader, roost_slice *input) {
  const char *at = input->ptr;
  const char *end = at + (input->len < 10 ? input->len : 10);
  uint64_t length = 0;
  for (; at < end && *at >= '0' && *at <= '9'; at++)
    length = length * 10 + (uint64_t)(*at - '0');
  if (at == end || *at != '#' || length == 0 || length > reader->max_bytes)
    return false;
  reader->want_units = length;
  reader->in_body = true;
  input->len -= (size_t)(at + 1 - input->ptr);
  input->ptr = at + 1;
  return true;
}

/* Takes the length text and its '#' from the input. 1 once it is read, 0 where more is needed. */
static int read_header(roost_frame_reader *reader, roost_slice *input) {
  if (reader->held.len == 0 && read_plain_header(reader, input))
    return 1;
  size_t room = ROOST_FRAME_HEADER_MAX - reader->held.len;
  size_t look = input->len < room + 1 ? input->len : room + 1;
  const char *hash = memchr(input->ptr, '#', look);
  size_t n = hash != NULL ? (size_t)(hash - input->ptr) : look;
  if (n > room)
    return roost_frame_fail(reader, ROOST_EFULL, error_header);
  roost_slice text = {input->ptr, n};
  if (hash == NULL || reader->held.len > 0) {
    if (roost_buffer_append(&reader->held, input->ptr, n) != 0)
      return roost_frame_fail(reader, ROOST_ENOMEM, roost_frame_error_memory);
    text = roost_buffer_slice(&reader->held);
  }
  size_t taken = hash != NULL ? n + 1 : n;
  input->ptr += taken;
  input->len -= taken;
  if (hash == NULL)
    return 0;
  int status = read_length(reader, text);
  roost_buffer_clear(&reader->held);
  return status;
}

/* --------------------------------------------------------------------- the body -------------- */

/* Counts one character against the length; false where the frame would end inside it. */
static bool take_units(roost_frame_reader *reader, uint64_t units) {
  if (units > reader->want_units)
    return false;
  reader->want_units -= units;
  return true;
}

/* Feeds the decoder until it stands between characters or the bytes are over. False where the
 * frame ends inside a character. A byte that breaks a sequence isn't taken. */
static bool finish_character(roost_frame_reader *reader, const char **at, const char *end) {
  roost_utf8_state state = (roost_utf8_state)reader->utf8_state;
  while (state != ROOST_UTF8_READY && *at < end) {
    bool is_long = roost_utf8_is_long(state);
    state = roost_utf8_step(state, (uint8_t) * *at);
    if (state == ROOST_UTF8_BROKEN) {
      reader->broken_utf8 = true;
      state = ROOST_UTF8_READY;
      is_long = false;
    } else {
      ++*at;
    }
    if (state == ROOST_UTF8_READY && !take_units(reader, is_long ? 2 : 1))
      return false;
  }
  reader->utf8_state = (uint8_t)state;
  return true;
}

/* Takes the character at the start of the bytes, which isn't ASCII, or what there is of it. */
static bool take_character(roost_frame_reader *reader, const char **at, const char *end) {
  roost_utf8_state state;
  size_t n = roost_utf8_sequence(*at, (size_t)(end - *at), &state);
  *at += n;
  if (state != ROOST_UTF8_READY && state != ROOST_UTF8_BROKEN) {
    reader->utf8_state = (uint8_t)state;
    return true;
  }
  if (state == ROOST_UTF8_BROKEN)
    reader->broken_utf8 = true;
  return take_units(reader, state == ROOST_UTF8_READY && n == 4 ? 2 : 1);
}

/* Finds how many of the bytes belong to the body, as far as they go: *taken. False where the
 * frame ends inside a character. */
static bool scan_body(roost_frame_reader *reader, const char *bytes, size_t len, size_t *taken) {
  const char *at = bytes;
  const char *end = bytes + len;
  if (!finish_character(reader, &at, end))
    return false;
  while (at < end && reader->want_units > 0) {
    const char *limit = (uint64_t)(end - at) > reader->want_units ? at + reader->want_units : end;
    const char *stop = roost_scan_ascii(at, limit);
    reader->want_units -= (uint64_t)(stop - at);
    at = stop;
    while (at < end && reader->want_units > 0 && (uint8_t)*at >= 0x80) {
      if (!take_character(reader, &at, end))
        return false;
    }
  }
  *taken = (size_t)(at - bytes);
  return true;
}

static bool body_is_whole(const roost_frame_reader *reader) {
  return reader->want_units == 0 && reader->utf8_state == ROOST_UTF8_READY;
}

static int read_body(roost_frame_reader *reader, roost_slice *input, roost_slice *frame) {
  size_t taken = 0;
  if (!scan_body(reader, input->ptr, input->len, &taken))
    return roost_frame_fail(reader, ROOST_EPROTO, error_cut);
  if (taken > reader->max_bytes - reader->held.len)
    return roost_frame_fail(reader, ROOST_EFULL, roost_frame_error_length);
  roost_slice bytes = {input->ptr, taken};
  bool is_whole = body_is_whole(reader);
  if (!is_whole || reader->held.len > 0) {
    if (roost_buffer_append_slice(&reader->held, bytes) != 0)
      return roost_frame_fail(reader, ROOST_ENOMEM, roost_frame_error_memory);
    bytes = roost_buffer_slice(&reader->held);
  }
  input->ptr += taken;
  input->len -= taken;
  return is_whole ? roost_frame_deliver(reader, bytes, frame) : 0;
}

int roost_frame_nest_read(roost_frame_reader *reader, roost_slice *input, roost_slice *frame) {
  if (!reader->in_body) {
    int status = read_header(reader, input);
    if (status <= 0 || input->len == 0)
      return status < 0 ? status : 0;
  }
  return read_body(reader, input, frame);
}

/* --------------------------------------------------------------------- reading in place ------ */

uint64_t roost_frame_nest_missing(const roost_frame_reader *reader) {
  /* Each missing unit takes a byte at least; but a begun character may turn out to be broken and
   * then counts without one. */
  return reader->want_units - (reader->utf8_state != ROOST_UTF8_READY ? 1 : 0);
}

int roost_frame_nest_filled(roost_frame_reader *reader, size_t n, roost_slice *frame) {
  size_t taken = 0;
  if (!scan_body(reader, reader->held.ptr + reader->held.len, n, &taken))
    return roost_frame_fail(reader, ROOST_EPROTO, error_cut);
  reader->held.len += taken;
  return body_is_whole(reader)
             ? roost_frame_deliver(reader, roost_buffer_slice(&reader->held), frame)
             : 0;
}

/* --------------------------------------------------------------------- writing --------------- */

static unsigned count_digits(size_t value) {
  unsigned digits = 1;
  for (; value >= 10; value /= 10)
    digits++;
  return digits;
}

int roost_frame_nest_end(roost_buffer *out, const roost_frame_mark *mark) {
  size_t body_at = mark->at + mark->head;
  roost_slice body = {out->ptr + body_at, out->len - body_at};
  size_t units = roost_utf8_utf16_length(body);
  unsigned digits = count_digits(units);
  if (digits + 1 != mark->head) {
    if (digits + 1 > mark->head && roost_buffer_reserve(out, digits + 1 - mark->head) != 0) {
      roost_frame_undo(out, mark);
      return ROOST_ENOMEM;
    }
    memmove(out->ptr + mark->at + digits + 1, out->ptr + body_at, body.len);
    out->len = mark->at + digits + 1 + body.len;
  }
  char *at = out->ptr + mark->at + digits;
  *at = '#';
  for (unsigned i = 0; i < digits; i++, units /= 10)
    *--at = (char)('0' + units % 10);
  return (int)digits;
}
