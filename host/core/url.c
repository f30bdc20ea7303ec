#include "core/url.h"

#include <string.h>

#include "core/slice.h"

/* A port; 0 is one, too. */
static bool read_port(roost_slice digits, uint16_t *port) {
  unsigned value = 0;
  if (digits.len == 0 || digits.len > 5)
    return false;
  for (size_t i = 0; i < digits.len; i++) {
    if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
      return false;
    value = value * 10 + (unsigned)(digits.ptr[i] - '0');
  }
  *port = (uint16_t)value;
  return value <= UINT16_MAX;
}

/* HOST[:PORT], all of text. */
static bool read_place(roost_slice text, roost_url_parts *parts) {
  const char *end = text.ptr + text.len;
  const bool brackets = text.len > 0 && text.ptr[0] == '[';
  const char *host = text.ptr + brackets;
  const char *rest = host;
  while (rest < end && *rest != (brackets ? ']' : ':'))
    rest++;
  parts->host = roost_slice_of(host, (size_t)(rest - host));
  if (parts->host.len == 0 || (brackets && rest == end))
    return false;
  rest += brackets;
  if (rest == end)
    return true;
  parts->has_port = true;
  return *rest == ':' &&
         read_port(roost_slice_of(rest + 1, (size_t)(end - rest - 1)), &parts->port);
}

/* USER[:PASSWORD] up to at. */
static void read_user(const char *from, const char *at, roost_url_parts *parts) {
  const char *colon = memchr(from, ':', (size_t)(at - from));
  const char *end = colon != NULL ? colon : at;
  parts->user = roost_slice_of(from, (size_t)(end - from));
  if (colon != NULL)
    parts->password = roost_slice_of(colon + 1, (size_t)(at - colon - 1));
}

bool roost_url_read(const char *text, roost_url_parts *parts) {
  const char *colon = strstr(text, "://");
  *parts = (roost_url_parts){.has_port = false};
  if (colon == NULL || colon == text)
    return false;
  parts->scheme = roost_slice_of(text, (size_t)(colon - text));
  const char *from = colon + 3;
  const char *end = from + strcspn(from, "/");
  if (*end == '/')
    parts->path = roost_slice_text(end + 1);
  for (const char *at = end; at > from; at--) {
    if (at[-1] != '@')
      continue;
    read_user(from, at - 1, parts);
    from = at;
    break;
  }
  return read_place(roost_slice_of(from, (size_t)(end - from)), parts);
}

bool roost_url_split(const char *text, roost_url_parts *parts) {
  return roost_url_read(text, parts) && parts->user.ptr == NULL && parts->path.ptr == NULL;
}
