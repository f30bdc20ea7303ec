/*
 * core/url.h - addresses as users write them: SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH], an
 * IPv6 host in brackets.
 */
#ifndef ROOST_CORE_URL_H
#define ROOST_CORE_URL_H

#include "roost.h"

typedef struct roost_url_parts {
  roost_slice scheme; /* borrowed from the text, as is host */
  roost_slice host;   /* without brackets */
  uint16_t port;      /* where has_port */
  bool has_port;
  roost_slice user;     /* as written, %XX and all; ptr NULL: there is none */
  roost_slice password; /* likewise */
  roost_slice path;     /* without its slash; likewise */
} roost_url_parts;

/* False where text is none; the scheme is set all the same where it has one. Any thread. */
bool roost_url_read(const char *text, roost_url_parts *parts);

/* The same for those that have neither user nor path. */
bool roost_url_split(const char *text, roost_url_parts *parts);

#endif
