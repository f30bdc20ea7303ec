#include "core/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#define SMALLEST_BYTES 64

void roost_buffer_init(roost_buffer *buffer, const roost_alloc *alloc) {
  *buffer = (roost_buffer){.alloc = alloc};
}

void roost_buffer_deinit(roost_buffer *buffer) {
  roost_alloc_put(buffer->alloc, buffer->ptr, buffer->cap);
  roost_buffer_init(buffer, buffer->alloc);
}

static int resize(roost_buffer *buffer, size_t cap) {
  char *ptr = roost_alloc_resize(buffer->alloc, buffer->ptr, buffer->cap, cap);
  if (ptr == NULL)
    return ROOST_ENOMEM;
  buffer->ptr = ptr;
  buffer->cap = cap;
  return 0;
}

int roost_buffer_grow(roost_buffer *buffer, size_t extra) {
  if (extra > SIZE_MAX / 2 - buffer->len)
    return ROOST_ENOMEM;
  const size_t needed = buffer->len + extra;
  if (needed <= buffer->cap)
    return 0;
  size_t cap = buffer->cap * 2;
  if (cap < SMALLEST_BYTES)
    cap = SMALLEST_BYTES;
  if (cap < needed)
    cap = needed;
  return resize(buffer, cap);
}

void roost_buffer_consume(roost_buffer *buffer, size_t n) {
  buffer->len -= n;
  if (buffer->len > 0 && n > 0)
    memmove(buffer->ptr, buffer->ptr + n, buffer->len);
}

void roost_buffer_trim(roost_buffer *buffer, size_t keep_bytes) {
  if (buffer->cap <= keep_bytes || buffer->len > keep_bytes)
    return;
  if (keep_bytes == 0)
    roost_buffer_deinit(buffer);
  else
    (void)resize(buffer, keep_bytes); /* where even that is refused it stays as large as it is */
}

int roost_buffer_printf(roost_buffer *buffer, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const size_t room = buffer->cap - buffer->len;
  const int len = vsnprintf(room > 0 ? buffer->ptr + buffer->len : NULL, room, format, args);
  va_end(args);
  if (len < 0)
    return ROOST_EINVAL;
  if ((size_t)len >= room) { /* vsnprintf wants a byte more, for its NUL */
    int status = roost_buffer_grow(buffer, (size_t)len + 1);
    if (status != 0)
      return status;
    va_start(args, format);
    vsnprintf(buffer->ptr + buffer->len, (size_t)len + 1, format, args);
    va_end(args);
  }
  buffer->len += (size_t)len;
  return 0;
}
