#include "net/conn_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

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

void roost_inet_print(const roost_inet_address *endpoint, roost_address *out) {
  *out = (roost_address){.port = endpoint->port};
  if (endpoint->family == AF_LOCAL)
    memcpy(out->text, "memory", sizeof "memory");
  else /* of another family: the text stays empty */
    (void)inet_ntop(endpoint->family, endpoint->ip, out->text, sizeof out->text);
}

void roost_socket_address(roost_address *out, const struct sockaddr *address) {
  roost_inet_address endpoint;
  roost_inet_read(&endpoint, address);
  roost_inet_print(&endpoint, out);
}

const char *roost_socket_error(int error) {
  const char *name = strerrorname_np(error);
  return name != NULL ? name : "EUNKNOWN";
}
