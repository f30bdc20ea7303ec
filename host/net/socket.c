#include "net/conn_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/log.h"
#include "core/slice.h"

/* A peer that is silent this long is asked whether it is alive, then a few times more. */
#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES     6

static void set(int descriptor, int level, int option, int value) {
  /* A socket that refuses one of these still works. */
  (void)setsockopt(descriptor, level, option, &value, sizeof value);
}

void roost_socket_tune(int descriptor) {
  set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
  set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
  set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

void roost_inet_read(roost_inet_address *out, const struct sockaddr *address) {
  *out = (roost_inet_address){.family = address->sa_family};
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
    memcpy(out->ip, &four->sin_addr, sizeof four->sin_addr);
    out->port = ntohs(four->sin_port);
  } else if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    out->port = ntohs(six->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
      out->family = AF_INET;
      memcpy(out->ip, &six->sin6_addr.s6_addr[12], sizeof(struct in_addr));
    } else {
      memcpy(out->ip, &six->sin6_addr, sizeof six->sin6_addr);
    }
  }
}

/* Each call that waits has its peer's address printed: inet_ntop takes ten times as long. */
static void print_four(const uint8_t ip[4], char *to) {
  for (int i = 0; i < 4; i++) {
    const unsigned value = ip[i];
    if (value >= 100)
      *to++ = (char)('0' + value / 100);
    if (value >= 10)
      *to++ = (char)('0' + value / 10 % 10);
    *to++ = (char)('0' + value % 10);
    *to++ = i < 3 ? '.' : '\0';
  }
}

void roost_inet_print(const roost_inet_address *from, roost_address *out) {
  *out = (roost_address){.port = from->port};
  if (from->family == AF_INET)
    print_four(from->ip, out->text);
  else if (from->family == AF_LOCAL)
    memcpy(out->text, "memory", sizeof "memory");
  else /* of another family: the text stays empty */
    (void)inet_ntop(from->family, from->ip, out->text, sizeof out->text);
}

void roost_socket_address(roost_address *out, const struct sockaddr *address) {
  roost_inet_address from;
  roost_inet_read(&from, address);
  roost_inet_print(&from, out);
}

void roost_log_address(roost_log_line *line, const char *key, const roost_address *address) {
  char text[sizeof address->text + 8];
  if (address == NULL || address->text[0] == '\0')
    return;
  const bool is_six = strchr(address->text, ':') != NULL;
  const int len = snprintf(text, sizeof text, is_six ? "[%s]:%u" : "%s:%u", address->text,
                           (unsigned)address->port);
  roost_log_text(line, key, roost_slice_of(text, (size_t)len));
}

const char *roost_socket_error(int error) {
  const char *name = strerrorname_np(error);
  return name != NULL ? name : "EUNKNOWN";
}
