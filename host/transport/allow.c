#include "transport/allow.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/slice.h"
#include "wire/pattern.h"

#define V4_BITS       32
#define V6_BITS       128
#define MAPPED_BITS   (V6_BITS - V4_BITS)
#define ADDRESS_BYTES 16

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* ------------------------------------------------------------------------- peers ------------- */

/* Reads a v4 or v6 address as 16 bytes. */
static bool read_address(uint8_t bytes[ADDRESS_BYTES], const char *text) {
  memcpy(bytes, mapped, sizeof mapped);
  return inet_pton(AF_INET, text, bytes + sizeof mapped) == 1 ||
         inet_pton(AF_INET6, text, bytes) == 1;
}

static bool is_mapped(const uint8_t bytes[ADDRESS_BYTES]) {
  return memcmp(bytes, mapped, sizeof mapped) == 0;
}

static int refuse(const char **why, const char *reason) {
  *why = reason;
  return ROOST_EINVAL;
}

/* An address with or without /bits. */
static int read_network(roost_allow_peer *out, const char *text, const char **why) {
  char address[INET6_ADDRSTRLEN];
  const char *slash = strchr(text, '/');
  const size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
  if (len >= sizeof address)
    return refuse(why, "expected CN=, DNS:, sha256:, an address, a CIDR or *");
  memcpy(address, text, len);
  address[len] = '\0';
  if (!read_address(out->address, address))
    return refuse(why, "expected CN=, DNS:, sha256:, an address, a CIDR or *");
  const bool written_v4 = strchr(address, ':') == NULL;
  const unsigned most = written_v4 ? V4_BITS : V6_BITS;
  unsigned bits = most;
  if (slash != NULL) {
    const size_t digits = strspn(slash + 1, "0123456789");
    if (digits == 0 || digits > 3 || slash[1 + digits] != '\0')
      return refuse(why, "expected a number of bits after the /");
    bits = (unsigned)strtoul(slash + 1, NULL, 10);
  }
  if (bits > most)
    return refuse(why, written_v4 ? "an IPv4 address has 32 bits" : "an IPv6 address has 128 bits");
  out->kind = ROOST_ALLOW_NETWORK;
  out->bits = written_v4 ? MAPPED_BITS + bits : bits;
  out->is_v4 = is_mapped(out->address) && out->bits >= MAPPED_BITS;
  return 0;
}

/* Two digits per byte, whatever their case; a colon may stand between two bytes. */
static int read_fingerprint(roost_allow_peer *out, const char *hex, const char **why) {
  size_t len = 0;
  out->kind = ROOST_ALLOW_FINGERPRINT;
  for (; isxdigit((unsigned char)*hex) && len < sizeof out->fingerprint - 1; hex++) {
    out->fingerprint[len++] = (char)tolower((unsigned char)*hex);
    if (hex[1] == ':' && len % 2 == 0 && isxdigit((unsigned char)hex[2]))
      hex++;
  }
  return *hex == '\0' && len == sizeof out->fingerprint - 1
             ? 0
             : refuse(why, "expected the 64 hexadecimal digits of a SHA-256 after sha256:");
}

static int read_dns(roost_allow_peer *out, const char *name, const char **why) {
  const char *plain = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
  out->kind = ROOST_ALLOW_DNS;
  out->name = name;
  if (*plain == '\0')
    return refuse(why, "expected a name after DNS:");
  return strchr(plain, '*') == NULL ? 0 : refuse(why, "* may only be the first label of a name");
}

int roost_allow_peer_read(roost_allow_peer *out, const char *text, const char **why) {
  *out = (roost_allow_peer){.kind = ROOST_ALLOW_ANY};
  if (strcmp(text, "*") == 0)
    return 0;
  if (strncasecmp(text, "DNS:", 4) == 0)
    return read_dns(out, text + 4, why);
  if (strncasecmp(text, "sha256:", 7) == 0)
    return read_fingerprint(out, text + 7, why);
  if (strncasecmp(text, "CN=", 3) != 0)
    return read_network(out, text, why);
  out->kind = ROOST_ALLOW_NAME;
  out->name = text + 3;
  return text[3] != '\0' ? 0 : refuse(why, "expected a name after CN=");
}

static bool begins_alike(const uint8_t *a, const uint8_t *b, unsigned bits) {
  const unsigned whole = bits / 8;
  const unsigned rest = bits % 8;
  if (memcmp(a, b, whole) != 0)
    return false;
  return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

/* A certificate's own wildcard stands for itself alone. */
static bool dns_matches(const char *rule, const char *name) {
  if (strncmp(rule, "*.", 2) != 0)
    return strcasecmp(rule, name) == 0;
  const char *dot = strchr(name, '.');
  return dot != NULL && dot > name && strcasecmp(rule + 1, dot) == 0;
}

static bool any_dns_matches(const char *rule, const char *const *sans) {
  for (; *sans != NULL; sans++)
    if (strncmp(*sans, "DNS:", 4) == 0 && dns_matches(rule, *sans + 4))
      return true;
  return false;
}

/* Who asks; the address is read when a rule wants it. */
typedef struct asking {
  const roost_address *address;
  const roost_tls_info *tls;
  uint8_t bytes[ADDRESS_BYTES];
  bool was_read;
  bool has_address; /* once it was read */
} asking;

static bool in_network(const roost_allow_peer *peer, asking *who) {
  if (!who->was_read) {
    who->was_read = true;
    who->has_address = who->address != NULL && read_address(who->bytes, who->address->text);
  }
  return who->has_address && is_mapped(who->bytes) == peer->is_v4 &&
         begins_alike(who->bytes, peer->address, peer->bits);
}

static bool peer_matches(const roost_allow_peer *peer, asking *who) {
  const roost_tls_info *tls = who->tls;
  const bool verified = tls != NULL && tls->verified;
  switch (peer->kind) {
  case ROOST_ALLOW_NAME:
    return verified && strcmp(peer->name, tls->common_name) == 0;
  case ROOST_ALLOW_DNS:
    return verified && any_dns_matches(peer->name, tls->sans);
  case ROOST_ALLOW_FINGERPRINT:
    return tls != NULL && strcmp(peer->fingerprint, tls->fingerprint) == 0;
  case ROOST_ALLOW_NETWORK:
    return in_network(peer, who);
  default:
    return true;
  }
}

/* ------------------------------------------------------------------------- patterns ---------- */

int roost_allow_route_read(roost_buffer *route, roost_slice pattern, const char **why) {
  const size_t before = route->len;
  const int status = roost_pattern_normalise(route, pattern, why);
  if (status == 0)
    return refuse(why, "a pattern is text, a number or a table");
  if (status == ROOST_EPROTO)
    return refuse(why, "not a pattern");
  if (status < 0)
    return status;
  const roost_slice text = {route->ptr + before, route->len - before};
  return pattern.ptr[0] == '"' && roost_pattern_is_wildcard(text);
}

static bool route_matches(const roost_allow_rule *rule, roost_slice route) {
  if (rule->all)
    return true;
  for (size_t i = 0; i < rule->route_count && route.ptr != NULL; i++) {
    const roost_allow_route *each = &rule->routes[i];
    if (each->wildcard ? roost_pattern_matches(each->route, route)
                       : roost_slice_equal(each->route, route))
      return true;
  }
  return false;
}

bool roost_allow_permits(const roost_allow *allow, const roost_address *address,
                         const roost_tls_info *tls, roost_slice route) {
  asking who = {.address = address, .tls = tls};
  for (size_t i = 0; i < allow->rule_count; i++) {
    const roost_allow_rule *rule = &allow->rules[i];
    if (peer_matches(&rule->peer, &who) && route_matches(rule, route))
      return true;
  }
  return false;
}
