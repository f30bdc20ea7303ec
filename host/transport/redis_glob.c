/*
 * Glob patterns as Redis matches channels with them: * any text, ? one byte, [a-c] and [^a-c] one
 * byte of a class, \ takes the meaning of the next.
 */
#include "transport/redis_internal.h"

bool roost_redis_is_glob(roost_slice pattern) {
  for (size_t i = 0; i < pattern.len; i++)
    if (pattern.ptr[i] == '*' || pattern.ptr[i] == '?' || pattern.ptr[i] == '[')
      return true;
  return false;
}

/* A byte of a class at *at, which moves on; escaped ones lose their backslash. */
static unsigned char class_byte(roost_slice pattern, size_t *at) {
  if (pattern.ptr[*at] == '\\' && *at + 1 < pattern.len)
    ++*at;
  return (unsigned char)pattern.ptr[(*at)++];
}

/* The class that begins behind the bracket at *at, which moves behind its end (or the pattern's).
 */
static bool in_class(roost_slice pattern, size_t *at, unsigned char byte) {
  size_t i = *at + 1;
  const bool is_not = i < pattern.len && pattern.ptr[i] == '^';
  bool found = false;
  i += is_not;
  while (i < pattern.len && pattern.ptr[i] != ']') {
    const bool is_range =
        pattern.ptr[i] != '\\' && i + 2 < pattern.len && pattern.ptr[i + 1] == '-';
    unsigned char low = class_byte(pattern, &i);
    unsigned char high = low;
    if (is_range) {
      high = (unsigned char)pattern.ptr[i + 1];
      i += 2;
    }
    found = found || (low <= high ? byte >= low && byte <= high : byte >= high && byte <= low);
  }
  *at = i < pattern.len ? i + 1 : i;
  return found != is_not;
}

/* Whether the one element of the pattern at *at, no star, takes the byte; *at moves behind it. */
static bool takes_byte(roost_slice pattern, size_t *at, char byte) {
  if (pattern.ptr[*at] == '[')
    return in_class(pattern, at, (unsigned char)byte);
  if (pattern.ptr[*at] == '?') {
    ++*at;
    return true;
  }
  if (pattern.ptr[*at] == '\\' && *at + 1 < pattern.len)
    ++*at;
  return pattern.ptr[(*at)++] == byte;
}

bool roost_redis_glob_matches(roost_slice pattern, roost_slice text) {
  size_t at = 0, in = 0;
  size_t star = SIZE_MAX, retry = 0; /* behind the last star, and what it does not take yet */
  while (in < text.len) {
    size_t next = at;
    if (at < pattern.len && pattern.ptr[at] == '*') {
      star = ++at;
      retry = in;
    } else if (at < pattern.len && takes_byte(pattern, &next, text.ptr[in])) {
      at = next;
      in++;
    } else if (star != SIZE_MAX) {
      at = star;
      in = ++retry;
    } else {
      return false;
    }
  }
  while (at < pattern.len && pattern.ptr[at] == '*')
    at++;
  return at == pattern.len;
}
