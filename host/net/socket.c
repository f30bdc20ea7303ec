#include "net/conn_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

void roost_socket_address(roost_address *out, const struct sockaddr *address) {
  *out = (roost_address){.port = 0};
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
    inet_ntop(AF_INET, &four->sin_addr, out->text, sizeof out->text);
    out->port = ntohs(four->sin_port);
  } else if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    /* An IPv4 peer of a dual-stack listener is shown, and counted, as what it is. */
    if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
      inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], out->text, sizeof out->text);
    else
      inet_ntop(AF_INET6, &six->sin6_addr, out->text, sizeof out->text);
    out->port = ntohs(six->sin6_port);
  }
}

const char *roost_socket_error(int error) {
  const char *name = strerrorname_np(error);
  return name != NULL ? name : "EUNKNOWN";
}
