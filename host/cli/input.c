#include "cli/input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/json_text.h"
#include "core/slice.h"

int roost_input_out_of_memory(const roost_command *command) {
  fprintf(stderr, "roost %s: out of memory\n", command->name);
  return ROOST_EXIT_FAILED;
}

int roost_input_pattern(roost_buffer *out, const roost_command *command, const char *text) {
  const int status = roost_json_text_argument(out, roost_slice_text(text));
  if (status == ROOST_EINVAL)
    return roost_usage_error(command, "PATTERN is not UTF-8");
  if (status == 0 && roost_slice_equal(roost_buffer_slice(out), ROOST_SLICE("null")))
    return roost_usage_error(command, "PATTERN is null");
  return status == 0 ? ROOST_EXIT_OK : roost_input_out_of_memory(command);
}

/* Everything on stdin, without the newline it ends with. */
static int read_stdin(roost_buffer *text) {
  ssize_t n = 1;
  while (n != 0) {
    if (roost_buffer_reserve(text, 65536) != 0)
      return ROOST_ENOMEM;
    n = read(STDIN_FILENO, text->ptr + text->len, text->cap - text->len);
    if (n > 0)
      text->len += (size_t)n;
    else if (n < 0 && errno != EINTR)
      return ROOST_ESYSTEM;
  }
  if (text->len > 0 && text->ptr[text->len - 1] == '\n')
    text->len--;
  return 0;
}

int roost_input_data(roost_buffer *out, const roost_command *command, const char *text) {
  roost_buffer bytes;
  roost_buffer_init(&bytes, out->alloc);
  int status = 0;
  if (text == NULL)
    status = roost_buffer_append(&bytes, "{}", 2);
  else if (strcmp(text, "-") == 0)
    status = read_stdin(&bytes);
  else
    status = roost_buffer_append_slice(&bytes, roost_slice_text(text));
  if (status == 0)
    status = roost_json_text_argument(out, roost_buffer_slice(&bytes));
  roost_buffer_deinit(&bytes);
  if (status == ROOST_EINVAL)
    return roost_usage_error(command, "DATA is not UTF-8");
  if (status == ROOST_ESYSTEM)
    return roost_usage_error(command, "reading stdin: %s", strerror(errno));
  return status == 0 ? ROOST_EXIT_OK : roost_input_out_of_memory(command);
}
