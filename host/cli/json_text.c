#include "cli/json_text.h"

#include "core/slice.h"
#include "wire/json.h"
#include "wire/utf8.h"

int roost_json_text_argument(roost_buffer *out, roost_slice text) {
  if (roost_utf8_valid_prefix(text) != text.len)
    return ROOST_EINVAL;
  if (roost_json_validate(text) == 0)
    return roost_buffer_append_slice(out, text);
  return roost_json_write_string(out, text);
}

int roost_json_text_compact(roost_buffer *out, roost_slice json) {
  bool in_string = false;
  int status = roost_buffer_reserve(out, json.len);
  for (size_t i = 0; status == 0 && i < json.len; i++) {
    const char byte = json.ptr[i];
    if (in_string && byte == '\\' && i + 1 < json.len) {
      status = roost_buffer_append(out, json.ptr + i++, 2);
      continue;
    }
    if (byte == '"')
      in_string = !in_string;
    if (in_string || (byte != ' ' && byte != '\t' && byte != '\n' && byte != '\r'))
      status = roost_buffer_append_byte(out, byte);
  }
  return status;
}

static int unescape(roost_buffer *out, roost_slice text) {
  const int status = roost_buffer_reserve(out, text.len);
  if (status == 0 && text.len > 0)
    out->len += roost_json_unescape(out->ptr + out->len, text);
  return status;
}

/* Finds the message of an object the reader is inside of, and whether it says anything else than
 * that and its status. False where there is no message that is a text. */
static bool find_message(roost_json_reader *reader, roost_slice *message, bool *more) {
  roost_json_token key;
  bool found = false;
  *more = false;
  while (roost_json_next(reader, &key) == ROOST_JSON_KEY) {
    roost_slice value;
    if (roost_json_take(reader, &value) != 0)
      return false;
    if (roost_slice_equal(key.text, ROOST_SLICE("message")) && value.ptr[0] == '"') {
      *message = roost_slice_of(value.ptr + 1, value.len - 2);
      found = true;
    } else if (!roost_slice_equal(key.text, ROOST_SLICE("status")) ||
               !roost_slice_equal(value, ROOST_SLICE("\"error\""))) {
      *more = true;
    }
  }
  return found;
}

int roost_json_text_error(roost_buffer *out, roost_slice json) {
  roost_json_reader reader;
  roost_json_token token;
  roost_slice message;
  bool more;
  roost_json_reader_init(&reader, json);
  switch (roost_json_next(&reader, &token)) {
  case ROOST_JSON_STRING:
    return unescape(out, token.text);
  case ROOST_JSON_OBJECT:
    if (!find_message(&reader, &message, &more))
      break;
    int status = unescape(out, message);
    if (status == 0 && more)
      status = roost_buffer_append_byte(out, '\n');
    if (status != 0 || !more)
      return status;
    break;
  default:
    break;
  }
  return roost_json_text_compact(out, json);
}
