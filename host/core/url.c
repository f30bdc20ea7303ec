#include "core/url.h"

#include <string.h>

#include "core/slice.h"

/* The digits up to the end of text as a port; 0 is one, too. */
static bool read_port(const char *text, uint16_t *port) {
  unsigned value = 0;
  if (*text == '\0' || strlen(text) > 5)
    return false;
  for (; *text != '\0'; text++) {
    if (*text < '0' || *text > '9')
      return false;
    value = value * 10 + (unsigned)(*text - '0');
  }
  *port = (uint16_t)value;
  return value <= UINT16_MAX;
}

bool roost_url_split(const char *text, roost_url_parts *parts) {
  const char *colon = strstr(text, "://");
  *parts = (roost_url_parts){.has_port = false};
  if (colon == NULL || colon == text)
    return false;
  parts->scheme = roost_slice_of(text, (size_t)(colon - text));
  const bool brackets = colon[3] == '[';
  const char *host = colon + 3 + brackets;
  const size_t len = strcspn(host, brackets ? "]" : ":/");
  const char *rest = host + len;
  if (len == 0 || (brackets && *rest++ != ']'))
    return false;
  parts->host = roost_slice_of(host, len);
  if (*rest == '\0')
    return true;
  parts->has_port = true;
  return *rest == ':' && read_port(rest + 1, &parts->port);
}
