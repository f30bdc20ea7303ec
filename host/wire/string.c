/* The strings of JSON: escapes taken out and put in. */
#include "wire/string.h"

#include "wire/json.h"
#include "wire/number.h"
#include "wire/simd.h"
#include "wire/utf8_step.h"

/* Longest text of one escape. */
#define ESCAPE_MAX 6

static unsigned hex_digit(char c) {
  return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

static uint32_t hex_unit(const char *at) {
  return hex_digit(at[0]) << 12 | hex_digit(at[1]) << 8 | hex_digit(at[2]) << 4 | hex_digit(at[3]);
}

static char *put_character(char *out, uint32_t code) {
  if (code < 0x80) {
    *out++ = (char)code;
  } else if (code < 0x800) {
    *out++ = (char)(0xC0 | code >> 6);
    *out++ = (char)(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *out++ = (char)(0xE0 | code >> 12);
    *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    *out++ = (char)(0x80 | (code & 0x3F));
  } else {
    *out++ = (char)(0xF0 | code >> 18);
    *out++ = (char)(0x80 | (code >> 12 & 0x3F));
    *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    *out++ = (char)(0x80 | (code & 0x3F));
  }
  return out;
}

static char short_escape(char letter) {
  switch (letter) {
  case 'b':
    return '\b';
  case 'f':
    return '\f';
  case 'n':
    return '\n';
  case 'r':
    return '\r';
  case 't':
    return '\t';
  default:
    return letter; /* a quote, a backslash or a slash */
  }
}

uint32_t roost_string_escape(const char **at, const char *end) {
  const char *digits = *at + 2;
  if (digits[-1] != 'u') {
    *at = digits;
    return (uint8_t)short_escape(digits[-1]);
  }
  uint32_t code = hex_unit(digits);
  const char *next = digits + 4;
  *at = next;
  bool is_high = code >= 0xD800 && code < 0xDC00;
  if (!is_high || end - next < 6 || next[0] != '\\' || next[1] != 'u')
    return code;
  uint32_t low = hex_unit(next + 2);
  if (low < 0xDC00 || low >= 0xE000)
    return code;
  *at = next + 6;
  return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

uint32_t roost_string_character(const char **at, const char *end) {
  uint8_t first = (uint8_t) * *at;
  int more = first < 0xC0 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
  uint32_t code = first < 0x80 ? first : first & (0x3Fu >> more);
  for (++*at; more > 0 && *at < end; more--, ++*at)
    code = code << 6 | ((uint8_t) * *at & 0x3F);
  return code;
}

size_t roost_json_unescape(char *out, roost_slice text) {
  if (text.len == 0)
    return 0;
  const char *at = text.ptr;
  const char *end = text.ptr + text.len;
  char *to = out;
  for (;;) {
    const char *stop = roost_scan_special(at, end);
    memcpy(to, at, (size_t)(stop - at));
    to += stop - at;
    if (stop == end)
      return (size_t)(to - out);
    at = stop;
    to = put_character(to, roost_string_escape(&at, end));
  }
}

/* --------------------------------------------------------------------- writing --------------- */

/* Writes \u and four hex digits. */
static size_t put_unit_escape(char *out, uint32_t unit) {
  static const char digits[] = "0123456789abcdef";
  out[0] = '\\';
  out[1] = 'u';
  out[2] = digits[unit >> 12 & 15];
  out[3] = digits[unit >> 8 & 15];
  out[4] = digits[unit >> 4 & 15];
  out[5] = digits[unit & 15];
  return 6;
}

static size_t put_escape(char *out, char byte) {
  static const char letters[0x20] = {
      ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
  char letter = (uint8_t)byte < 0x20 ? letters[(uint8_t)byte] : byte;
  if (letter == 0)
    return put_unit_escape(out, (uint8_t)byte);
  out[0] = '\\';
  out[1] = letter;
  return 2;
}

/* The surrogate that stands at the start of the bytes as its three-byte form, or 0. */
static uint32_t surrogate_at(const char *at, size_t len) {
  if (len < 3 || (uint8_t)at[0] != 0xED || ((uint8_t)at[1] & 0xE0) != 0xA0 ||
      ((uint8_t)at[2] & 0xC0) != 0x80)
    return 0;
  return 0xD000u | (uint32_t)((uint8_t)at[1] & 0x3F) << 6 | ((uint8_t)at[2] & 0x3F);
}

/* Passes over what can be copied as it is: stops at what needs an escape, at what is broken, or at
 * the end. */
static const char *scan_copied(const char *at, const char *end) {
  while ((at = roost_scan_plain(at, end)) < end && (uint8_t)*at >= 0x80) {
    do {
      size_t n = roost_utf8_character(at, (size_t)(end - at));
      if (n == 0)
        return at;
      at += n;
    } while (at < end && (uint8_t)*at >= 0x80);
  }
  return at;
}

/* Appends what stands between the quotes, and the closing quote. */
static int write_escaped(roost_buffer *out, const char *at, const char *end) {
  for (;;) {
    const char *stop = scan_copied(at, end);
    size_t run = (size_t)(stop - at);
    int status = roost_buffer_reserve(out, run + ESCAPE_MAX);
    if (status != 0)
      return status;
    memcpy(out->ptr + out->len, at, run);
    out->len += run;
    char *to = out->ptr + out->len;
    if (stop == end) {
      *to = '"';
      out->len++;
      return 0;
    }
    if ((uint8_t)*stop < 0x80) {
      out->len += put_escape(to, *stop);
      at = stop + 1;
      continue;
    }
    uint32_t surrogate = surrogate_at(stop, (size_t)(end - stop));
    if (surrogate == 0)
      return ROOST_EINVAL;
    out->len += put_unit_escape(to, surrogate);
    at = stop + 3;
  }
}

/* Appends a byte (where there is one), text in quotes, and another byte. */
static inline int write_quoted(roost_buffer *out, char before, roost_slice text, char after) {
  size_t begin = out->len;
  int status = roost_buffer_reserve(out, text.len + 4 + ESCAPE_MAX);
  if (status != 0)
    return status;
  char *to = out->ptr + out->len;
  if (before != 0)
    *to++ = before;
  *to++ = '"';
  size_t plain = roost_copy_plain(to, text.ptr, text.len);
  if (plain == text.len) {
    to += plain;
    *to++ = '"';
    if (after != 0)
      *to++ = after;
    out->len = (size_t)(to - out->ptr);
    return 0;
  }
  out->len = (size_t)(to - out->ptr) + plain;
  status = write_escaped(out, text.ptr + plain, text.ptr + text.len);
  if (status == 0 && after != 0)
    status = roost_buffer_append_byte(out, after);
  if (status != 0)
    out->len = begin;
  return status;
}

int roost_json_write_string(roost_buffer *out, roost_slice text) {
  return write_quoted(out, 0, text, 0);
}

int roost_json_write_key(roost_buffer *out, char before, roost_slice text) {
  return write_quoted(out, before, text, ':');
}

int roost_json_write_integer(roost_buffer *out, int64_t value) {
  int status = roost_buffer_reserve(out, ROOST_NUMBER_TEXT_MAX);
  if (status != 0)
    return status;
  out->len += roost_number_print_integer(out->ptr + out->len, value);
  return 0;
}

int roost_json_write_double(roost_buffer *out, double value) {
  if (value != value || value - value != 0)
    return roost_buffer_append(out, "null", 4);
  int status = roost_buffer_reserve(out, ROOST_NUMBER_TEXT_MAX);
  if (status != 0)
    return status;
  out->len += roost_number_print_double(out->ptr + out->len, value);
  return 0;
}
