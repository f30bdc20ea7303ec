#include "admin/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/listen.h"
#include "core/clock.h"
#include "core/slice.h"

#define READ_BYTES      16384
#define MAX_REPLY_BYTES ((size_t)64 << 20)

/* ------------------------------------------------------------------------- the answer -------- */

/* Cuts the next line, without its end, off *rest; false where there is none. */
static bool take_line(roost_slice *rest, roost_slice *line) {
  const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
  if (end == NULL)
    return false;
  *line = roost_slice_of(rest->ptr, (size_t)(end - rest->ptr));
  *rest = roost_slice_of(end + 1, rest->len - line->len - 1);
  if (line->len > 0 && line->ptr[line->len - 1] == '\r')
    line->len--;
  return true;
}

/* "HTTP/1.1 200 OK" */
static bool read_code(roost_slice line, int *code) {
  static const char version[] = "HTTP/1.";
  const size_t at = sizeof version + 1;
  if (line.len < at + 3 || memcmp(line.ptr, version, sizeof version - 1) != 0 ||
      line.ptr[at - 1] != ' ')
    return false;
  *code = 0;
  for (size_t i = at; i < at + 3; i++) {
    if (line.ptr[i] < '0' || line.ptr[i] > '9')
      return false;
    *code = *code * 10 + (line.ptr[i] - '0');
  }
  return line.len == at + 3 || line.ptr[at + 3] == ' ';
}

/* A header's value where it says how long the body is: 1; 0 where it says something else; -1 where
 * that is no number. */
static int read_length(roost_slice line, size_t *length) {
  static const char name[] = "content-length:";
  const size_t name_len = sizeof name - 1;
  if (line.len < name_len || strncasecmp(line.ptr, name, name_len) != 0)
    return 0;
  size_t at = name_len;
  while (at < line.len && line.ptr[at] == ' ')
    at++;
  *length = 0;
  if (at == line.len || line.len - at > 18)
    return -1;
  for (; at < line.len; at++) {
    if (line.ptr[at] < '0' || line.ptr[at] > '9')
      return -1;
    *length = *length * 10 + (size_t)(line.ptr[at] - '0');
  }
  return 1;
}

int roost_admin_reply_read(roost_admin_reply *reply, roost_slice bytes) {
  roost_slice line;
  size_t length = 0;
  bool measured = false;
  if (!take_line(&bytes, &line) || !read_code(line, &reply->code))
    return ROOST_EPROTO;
  for (;;) {
    if (!take_line(&bytes, &line))
      return ROOST_EPROTO;
    if (line.len == 0)
      break;
    const int found = read_length(line, &length);
    if (found < 0)
      return ROOST_EPROTO;
    measured = measured || found == 1;
  }
  if (measured && bytes.len < length)
    return ROOST_EPROTO;
  reply->body = roost_slice_of(bytes.ptr, measured ? length : bytes.len);
  return 0;
}

/* ------------------------------------------------------------------------- the exchange ------ */

typedef struct exchange {
  int fd;
  roost_clock clock; /* real */
  uint64_t until_us;
  roost_buffer *bytes; /* first what is sent, then what was read */
} exchange;

/* Waits until the socket is ready; ETIMEDOUT. */
static int wait_for(const exchange *x, short events) {
  struct pollfd at = {.fd = x->fd, .events = events};
  for (;;) {
    const uint64_t now_us = roost_clock_now_us(&x->clock);
    const uint64_t left_ms = now_us < x->until_us ? (x->until_us - now_us + 999) / 1000 : 0;
    const int ready = poll(&at, 1, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX);
    if (ready > 0)
      return 0;
    if (ready == 0)
      return ROOST_ETIMEDOUT;
    if (errno != EINTR)
      return ROOST_ESYSTEM;
  }
}

static int send_all(const exchange *x) {
  roost_slice left = roost_buffer_slice(x->bytes);
  while (left.len > 0) {
    const ssize_t n = send(x->fd, left.ptr, left.len, MSG_NOSIGNAL);
    if (n >= 0) {
      left = roost_slice_of(left.ptr + n, left.len - (size_t)n);
      continue;
    }
    const int status = errno == EAGAIN ? wait_for(x, POLLOUT) : ROOST_EPROTO;
    if (status != 0)
      return status;
  }
  return 0;
}

static int read_all(const exchange *x) {
  roost_buffer_clear(x->bytes);
  for (;;) {
    if (x->bytes->len > MAX_REPLY_BYTES)
      return ROOST_EPROTO;
    int status = roost_buffer_reserve(x->bytes, READ_BYTES);
    if (status != 0)
      return status;
    const ssize_t n = recv(x->fd, x->bytes->ptr + x->bytes->len, READ_BYTES, 0);
    if (n == 0)
      return 0;
    if (n > 0) {
      x->bytes->len += (size_t)n;
      continue;
    }
    status = errno == EAGAIN ? wait_for(x, POLLIN) : errno == EINTR ? 0 : ROOST_EPROTO;
    if (status != 0)
      return status;
  }
}

/* Without keep-alive: the answer is over when the connection is. */
static int talk(exchange *x, const char *method, const char *target) {
  int status = roost_buffer_printf(
      x->bytes, "%s %s HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", method, target);
  if (status == 0)
    status = send_all(x);
  return status == 0 ? read_all(x) : status;
}

static const char *reason(int status) {
  switch (status) {
  case ROOST_ETIMEDOUT:
    return "no answer in time";
  case ROOST_ENOMEM:
    return "out of memory";
  default:
    return "what answers there is no Roost host, or has just ended";
  }
}

int roost_admin_request(roost_admin_reply *reply, roost_buffer *bytes, const char *working_dir,
                        const char *path, const char *method, const char *target,
                        uint32_t timeout_ms, const char **why) {
  exchange x = {.bytes = bytes};
  int status = roost_admin_connect_socket(&x.fd, working_dir, path, why);
  if (status != 0)
    return status;
  x.until_us = roost_clock_now_us(&x.clock) + (uint64_t)timeout_ms * 1000;
  status = talk(&x, method, target);
  close(x.fd);
  if (status == 0)
    status = roost_admin_reply_read(reply, roost_buffer_slice(bytes));
  if (status != 0)
    *why = reason(status);
  return status;
}
