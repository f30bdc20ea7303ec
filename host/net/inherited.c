/*
 * Listening sockets that somebody else has bound, waiting for the listener that wants their
 * address.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn_internal.h"

/* False where it is no stream socket of TCP that listens. */
static bool find_address(int descriptor, roost_address *address) {
  struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
  socklen_t size = sizeof bound;
  int listens = 0;
  socklen_t int_size = sizeof listens;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &int_size) != 0 || !listens ||
      getsockname(descriptor, (struct sockaddr *)&bound, &size) != 0 ||
      (bound.ss_family != AF_INET && bound.ss_family != AF_INET6))
    return false;
  roost_socket_address(address, (struct sockaddr *)&bound);
  return true;
}

int roost_loop_inherit(roost_loop *loop, int descriptor) {
  roost_address address;
  if (!find_address(descriptor, &address) || fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0 ||
      fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) != 0)
    return ROOST_EINVAL;
  if (loop->inherited_count == ROOST_LOOP_INHERITED)
    return ROOST_EFULL;
  loop->inherited[loop->inherited_count++] = descriptor;
  return 0;
}

bool roost_loop_inherited(const roost_loop *loop, size_t i, roost_address *address) {
  return i < loop->inherited_count && find_address(loop->inherited[i], address);
}

int roost_inherited_take(roost_loop *loop, const roost_address *address) {
  for (size_t i = 0; i < loop->inherited_count; i++) {
    roost_address bound;
    const int descriptor = loop->inherited[i];
    if (!find_address(descriptor, &bound) || bound.port != address->port ||
        strcmp(bound.text, address->text) != 0)
      continue;
    loop->inherited[i] = loop->inherited[--loop->inherited_count];
    return descriptor;
  }
  return -1;
}

void roost_inherited_close_all(roost_loop *loop) {
  while (loop->inherited_count > 0)
    close(loop->inherited[--loop->inherited_count]);
}
