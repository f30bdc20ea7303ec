#include "wire/utf8.h"

#include "wire/simd.h"
#include "wire/utf8_step.h"

#define REPLACEMENT "\xEF\xBF\xBD"

size_t roost_utf8_valid_prefix(roost_slice text) {
  if (text.len == 0)
    return 0;
  const char *at = text.ptr;
  const char *end = text.ptr + text.len;
  while ((at = roost_scan_ascii(at, end)) < end) {
    /* Characters that aren't ASCII come in runs: no scan between them. */
    do {
      size_t n = roost_utf8_character(at, (size_t)(end - at));
      if (n == 0)
        return (size_t)(at - text.ptr);
      at += n;
    } while (at < end && (uint8_t)*at >= 0x80);
  }
  return text.len;
}

size_t roost_utf8_utf16_length(roost_slice text) {
  return text.len == 0 ? 0 : roost_count_utf16(text.ptr, text.ptr + text.len);
}

int roost_utf8_repair(roost_buffer *out, roost_slice text) {
  while (text.len > 0) {
    size_t valid = roost_utf8_valid_prefix(text);
    int status = roost_buffer_append(out, text.ptr, valid);
    if (status != 0)
      return status;
    text.ptr += valid;
    text.len -= valid;
    if (text.len == 0)
      break;
    roost_utf8_state state;
    size_t broken = roost_utf8_sequence(text.ptr, text.len, &state);
    status = roost_buffer_append(out, REPLACEMENT, sizeof REPLACEMENT - 1);
    if (status != 0)
      return status;
    text.ptr += broken;
    text.len -= broken;
  }
  return 0;
}
