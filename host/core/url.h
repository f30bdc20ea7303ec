/*
 * core/url.h - addresses as users write them: SCHEME://HOST[:PORT], an IPv6 host in brackets.
 */
#ifndef ROOST_CORE_URL_H
#define ROOST_CORE_URL_H

#include "roost.h"

typedef struct roost_url_parts {
  roost_slice scheme; /* borrowed from the text, as is host */
  roost_slice host;   /* without brackets */
  uint16_t port;      /* where has_port */
  bool has_port;
} roost_url_parts;

/* False where text is none; the scheme is set all the same where it has one. Any thread. */
bool roost_url_split(const char *text, roost_url_parts *parts);

#endif
