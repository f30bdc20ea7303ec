/*
 * core/slice.h - small helpers for roost_slice, the borrowed bytes of roost.h. Any thread.
 */
#ifndef ROOST_CORE_SLICE_H
#define ROOST_CORE_SLICE_H

#include <string.h>

#include "roost.h"

/* A slice of a string literal, without its NUL. */
#define ROOST_SLICE(literal) ((roost_slice){(literal), sizeof(literal) - 1})

static inline roost_slice roost_slice_of(const char *ptr, size_t len) {
  return (roost_slice){ptr, len};
}

/* Borrows a NUL-terminated text; NULL gives the empty slice with ptr NULL. */
static inline roost_slice roost_slice_text(const char *text) {
  return (roost_slice){text, text ? strlen(text) : 0};
}

static inline bool roost_slice_equal(roost_slice a, roost_slice b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

#endif
