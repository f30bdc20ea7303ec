/* The C half of the oracle tests: reads lines "OPERATION HEX" and answers each with one line,
 * the result in hex or a word. oracle.mjs asks and compares. */
#include <stdio.h>
#include <stdlib.h>

#include "../../../support/json_echo.h"
#include "wire/frame.h"
#include "wire/pattern.h"
#include "wire/pattern_key.h"
#include "wire/utf8.h"

static int do_validate(roost_buffer *out, roost_slice text) {
  (void)out;
  return roost_json_validate(text);
}

/* The text as a frame. */
static int do_frame(roost_buffer *out, roost_slice text) {
  roost_frame_mark mark;
  int status = roost_frame_begin(out, &mark, ROOST_FRAMING_NEST, 3);
  if (status == 0)
    status = roost_buffer_append_slice(out, text);
  return status != 0 ? status : roost_frame_end(out, &mark);
}

/* The bodies of all frames in the bytes, each ended by a zero byte. */
static int do_unframe(roost_buffer *out, roost_slice bytes) {
  roost_frame_reader reader;
  roost_slice frame;
  int status;
  roost_frame_reader_init(&reader, out->alloc, ROOST_FRAMING_NEST, 1000000);
  while ((status = roost_frame_read(&reader, &bytes, &frame)) == 1) {
    if (roost_buffer_append_slice(out, frame) != 0 || roost_buffer_append_byte(out, 0) != 0)
      break;
  }
  roost_frame_reader_deinit(&reader);
  return status;
}

static int do_resolve(roost_buffer *out, roost_slice json) {
  return roost_pattern_resolve(out, json) == 1 ? 0 : ROOST_ENOENT;
}

static int do_normalise(roost_buffer *out, roost_slice json) {
  const char *why;
  return roost_pattern_normalise(out, json, &why) == 1 ? 0 : ROOST_EINVAL;
}

static int do_reachable(roost_buffer *out, roost_slice route) {
  return roost_buffer_append_byte(out, roost_pattern_reachable(route) ? '1' : '0');
}

/* Two keys with a zero byte between them: which is first. */
static int do_order(roost_buffer *out, roost_slice keys) {
  const char *zero = memchr(keys.ptr, 0, keys.len);
  size_t len = (size_t)(zero - keys.ptr);
  roost_pattern_key a = {{keys.ptr, len}, true};
  roost_pattern_key b = {{zero + 1, keys.len - len - 1}, true};
  int order = roost_pattern_key_compare(&a, &b);
  return roost_buffer_append_byte(out, order < 0 ? '<' : order > 0 ? '>' : '=');
}

typedef struct operation {
  const char *name;
  int (*run)(roost_buffer *out, roost_slice input);
} operation;

static const operation operations[] = {
    {"echo", json_echo},         {"validate", do_validate},     {"frame", do_frame},
    {"unframe", do_unframe},     {"repair", roost_utf8_repair}, {"resolve", do_resolve},
    {"normalise", do_normalise}, {"reachable", do_reachable},   {"order", do_order},
};

static unsigned hex_digit(char c) {
  return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10) & 15;
}

static void decode_hex(roost_buffer *out, const char *hex) {
  size_t digits = strspn(hex, "0123456789abcdef");
  roost_buffer_clear(out);
  for (size_t i = 0; i + 1 < digits; i += 2) {
    if (roost_buffer_append_byte(out, (char)(hex_digit(hex[i]) << 4 | hex_digit(hex[i + 1]))) != 0)
      abort();
  }
}

static void print_hex(roost_slice bytes) {
  static const char digits[] = "0123456789abcdef";
  for (size_t at = 0; at < bytes.len; at++) {
    putchar(digits[(unsigned char)bytes.ptr[at] >> 4]);
    putchar(digits[(unsigned char)bytes.ptr[at] & 15]);
  }
}

/* Runs one line; false where it is no operation of ours. */
static bool run_line(roost_buffer *input, roost_buffer *output, char *line) {
  char *space = strchr(line, ' ');
  if (space == NULL)
    return false;
  *space = '\0';
  decode_hex(input, space + 1);
  roost_buffer_clear(output);
  for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
    if (strcmp(operations[i].name, line) != 0)
      continue;
    int status = operations[i].run(output, roost_buffer_slice(input));
    if (status < 0)
      printf("error %d", status);
    else
      print_hex(roost_buffer_slice(output));
    putchar('\n');
    return true;
  }
  return false;
}

int main(void) {
  roost_buffer input;
  roost_buffer output;
  char *line = NULL;
  size_t cap = 0;
  int result = 0;
  roost_buffer_init(&input, roost_alloc_default());
  roost_buffer_init(&output, roost_alloc_default());
  while (result == 0 && getline(&line, &cap, stdin) > 0) {
    if (!run_line(&input, &output, line))
      result = 1;
  }
  free(line);
  roost_buffer_deinit(&input);
  roost_buffer_deinit(&output);
  return result;
}
