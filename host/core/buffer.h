/*
 * core/buffer.h - a growable run of bytes with one owner.
 *
 * The struct is plain: ptr[0..len) are the bytes, and code that has reserved room may write at
 * ptr + len and raise len itself. Pointers into it die when it grows. One thread at a time.
 */
#ifndef ROOST_CORE_BUFFER_H
#define ROOST_CORE_BUFFER_H

#include <string.h>

#include "core/alloc.h"

typedef struct roost_buffer {
  char *ptr;                /* NULL while cap is 0 */
  size_t len;               /* bytes in use */
  size_t cap;               /* bytes owned */
  const roost_alloc *alloc; /* borrowed, outlives the buffer */
} roost_buffer;

void roost_buffer_init(roost_buffer *buffer, const roost_alloc *alloc);

/* Frees the bytes; the buffer is empty and usable again. */
void roost_buffer_deinit(roost_buffer *buffer);

/* Makes room for extra more bytes; capacity doubles so that appending is linear. ENOMEM. */
int roost_buffer_grow(roost_buffer *buffer, size_t extra);

/* Drops the first n bytes (n <= len), moving the rest to the front. */
void roost_buffer_consume(roost_buffer *buffer, size_t n);

/* Frees capacity beyond keep_bytes if nothing beyond it is in use. */
void roost_buffer_trim(roost_buffer *buffer, size_t keep_bytes);

/* printf to the end, with the C library's formats. ENOMEM. */
int roost_buffer_printf(roost_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline int roost_buffer_reserve(roost_buffer *buffer, size_t extra) {
  return buffer->cap - buffer->len >= extra ? 0 : roost_buffer_grow(buffer, extra);
}

static inline int roost_buffer_append(roost_buffer *buffer, const void *bytes, size_t len) {
  int status = roost_buffer_reserve(buffer, len);
  if (status != 0)
    return status;
  if (len > 0)
    memcpy(buffer->ptr + buffer->len, bytes, len);
  buffer->len += len;
  return 0;
}

static inline int roost_buffer_append_slice(roost_buffer *buffer, roost_slice slice) {
  return roost_buffer_append(buffer, slice.ptr, slice.len);
}

static inline int roost_buffer_append_byte(roost_buffer *buffer, char byte) {
  int status = roost_buffer_reserve(buffer, 1);
  if (status != 0)
    return status;
  buffer->ptr[buffer->len++] = byte;
  return 0;
}

static inline roost_slice roost_buffer_slice(const roost_buffer *buffer) {
  return (roost_slice){buffer->ptr, buffer->len};
}

static inline void roost_buffer_clear(roost_buffer *buffer) {
  buffer->len = 0;
}

#endif
