/*
 * transport/allow.h - which peers of a server may send what: the rules, compiled.
 *
 * Start reading at roost_allow_permits. Rule: the peers it is about, and the patterns they may
 * send. Once a server has rules, what none of them permits is refused. Route: a pattern, normalised
 * as wire/pattern.h does; in a rule * and > always stand for tokens, as with NATS. Rules are
 * constant once made, for any thread; texts and arrays are owned by whoever made them (the
 * configuration).
 */
#ifndef ROOST_TRANSPORT_ALLOW_H
#define ROOST_TRANSPORT_ALLOW_H

#include "core/buffer.h"
#include "net/conn.h"
#include "net/tls.h"

typedef enum roost_allow_kind {
  ROOST_ALLOW_ANY,
  ROOST_ALLOW_NAME,        /* the common name of a verified certificate */
  ROOST_ALLOW_DNS,         /* a DNS name among its alternative names */
  ROOST_ALLOW_FINGERPRINT, /* the certificate itself, verified or not */
  ROOST_ALLOW_NETWORK      /* an address, or all that begin alike */
} roost_allow_kind;

/* Which peers a rule is about. */
typedef struct roost_allow_peer {
  roost_allow_kind kind;
  const char *name;     /* of NAME and DNS; borrowed from the text it was read from */
  char fingerprint[65]; /* as roost_tls_info has it */
  uint8_t address[16];  /* v4 as ::ffff:a.b.c.d */
  unsigned bits;        /* of the address that count */
  bool is_v4;           /* the address is */
} roost_allow_peer;

typedef struct roost_allow_route {
  roost_slice route;
  bool wildcard; /* it has * or > */
} roost_allow_route;

typedef struct roost_allow_rule {
  roost_allow_peer peer;
  const roost_allow_route *routes;
  size_t route_count;
  bool all; /* every pattern, and none; routes are not looked at */
} roost_allow_rule;

typedef struct roost_allow {
  const roost_allow_rule *rules;
  size_t rule_count;
} roost_allow;

/* Reads "*", "CN=name", "DNS:name" (or "DNS:*.name": one more label), "sha256:hex", an address or
 * a CIDR. EINVAL: *why is a fixed text. */
int roost_allow_peer_read(roost_allow_peer *out, const char *text, const char **why);

/* Appends the route of a rule's pattern, which is JSON text. Returns 1 where it is a wildcard, 0,
 * EINVAL with a fixed text in *why, ENOMEM. */
int roost_allow_route_read(roost_buffer *route, roost_slice pattern, const char **why);

/* Whether a peer may send a pattern with this route (ptr NULL: one that has none). address may be
 * NULL, and so tls where nothing is known by it. */
bool roost_allow_permits(const roost_allow *allow, const roost_address *address,
                         const roost_tls_info *tls, roost_slice route);

#endif
