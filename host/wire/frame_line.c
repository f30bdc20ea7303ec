/*
 * ndjson: a JSON text per line. A line ends with \n; a \r before it is white space to JSON, and so
 * is an empty line between two frames.
 */
#include "wire/frame_internal.h"

static bool is_blank(roost_slice line) {
  for (size_t i = 0; i < line.len; i++)
    if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r')
      return false;
  return true;
}

static roost_slice without_returns(roost_slice line) {
  while (line.len > 0 && line.ptr[line.len - 1] == '\r')
    line.len--;
  return line;
}

/* Takes the rest of a line, which ends at newline. 1, 0 where the line is blank, or an error. */
static int take_line(roost_frame_reader *reader, roost_slice rest, roost_slice *frame) {
  if (rest.len > reader->max_bytes - reader->held.len)
    return roost_frame_fail(reader, ROOST_EFULL, roost_frame_error_length);
  roost_slice line = rest;
  if (reader->held.len > 0) {
    int status = roost_frame_hold(reader, rest);
    if (status != 0)
      return status;
    line = roost_buffer_slice(&reader->held);
  }
  if (!is_blank(line))
    return roost_frame_deliver_bytes(reader, without_returns(line), frame);
  roost_buffer_clear(&reader->held);
  return 0;
}

int roost_frame_line_read(roost_frame_reader *reader, roost_slice *input, roost_slice *frame) {
  const char *newline;
  while (input->len > 0 && (newline = memchr(input->ptr, '\n', input->len)) != NULL) {
    const roost_slice rest = {input->ptr, (size_t)(newline - input->ptr)};
    input->ptr += rest.len + 1;
    input->len -= rest.len + 1;
    const int status = take_line(reader, rest, frame);
    if (status != 0)
      return status;
  }
  const int status = roost_frame_hold(reader, *input);
  input->ptr += input->len;
  input->len = 0;
  return status;
}

/* Newlines in a JSON text stand between its tokens, where a blank does as well. */
int roost_frame_line_end(roost_buffer *out, const roost_frame_mark *mark) {
  if (roost_buffer_append_byte(out, '\n') != 0) {
    roost_frame_undo(out, mark);
    return ROOST_ENOMEM;
  }
  char *at = out->ptr + mark->at;
  const char *last = out->ptr + out->len - 1;
  while ((at = memchr(at, '\n', (size_t)(last - at))) != NULL)
    *at = ' ';
  return 0;
}
