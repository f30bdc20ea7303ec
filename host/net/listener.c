#include "net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/slice.h"
#include "net/listener_internal.h"

#define ACCEPTS_PER_TURN 64  /* so that connecting peers don't hold up the connected ones */
#define PAUSE_MS         100 /* until descriptors are looked for again */

/* --------------------------------------------------------------------- the socket ------------ */

/* The address to bind: for localhost that is 127.0.0.1 where the name has it, else the first. */
static const struct addrinfo *choose(const struct addrinfo *found, const char *host) {
  for (const struct addrinfo *at = found; strcmp(host, "localhost") == 0 && at != NULL;
       at = at->ai_next) {
    roost_address address;
    roost_socket_address(&address, at->ai_addr);
    if (strcmp(address.text, "127.0.0.1") == 0)
      return at;
  }
  return found;
}

/* 0 or an errno. */
static int bind_socket(roost_listener *listener, const struct addrinfo *to) {
  const int one = 1;
  roost_socket_address(&listener->address, to->ai_addr);
  listener->descriptor = roost_inherited_take(listener->loop, &listener->address);
  listener->inherited = listener->descriptor >= 0;
  if (listener->inherited) {
    roost_socket_tune(listener->descriptor);
    return 0;
  }
  const int descriptor = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0)
    return errno;
  struct sockaddr_storage bound;
  socklen_t size = sizeof bound;
  roost_socket_tune(descriptor);
  if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
      bind(descriptor, to->ai_addr, to->ai_addrlen) != 0 ||
      listen(descriptor, listener->config.backlog) != 0 ||
      getsockname(descriptor, (struct sockaddr *)&bound, &size) != 0) {
    const int error = errno;
    close(descriptor);
    return error;
  }
  roost_socket_address(&listener->address, (struct sockaddr *)&bound);
  listener->config.port = listener->address.port;
  listener->descriptor = descriptor;
  return 0;
}

/* 0, or ESYSTEM with the error's name in *why. */
static int open_socket(roost_listener *listener, const char **why) {
  char port[8];
  struct addrinfo *found = NULL;
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  snprintf(port, sizeof port, "%u", listener->config.port);
  const int status = getaddrinfo(listener->host, port, &hints, &found);
  if (status != 0) {
    *why = status == EAI_SYSTEM ? roost_socket_error(errno) : "ENOTFOUND";
    return ROOST_ESYSTEM;
  }
  const int error = bind_socket(listener, choose(found, listener->host));
  freeaddrinfo(found);
  if (error == 0)
    return 0;
  *why = roost_socket_error(error);
  return ROOST_ESYSTEM;
}

static void on_poll_closed(uv_handle_t *handle) {
  roost_loop *loop = handle->data;
  roost_alloc_put(loop->alloc, handle, sizeof(uv_poll_t));
  loop->pending--;
}

static void close_poll(roost_listener *listener) {
  if (listener->poll == NULL)
    return;
  listener->poll->data = listener->loop;
  uv_close((uv_handle_t *)listener->poll, on_poll_closed);
  listener->poll = NULL;
}

static void close_socket(roost_listener *listener) {
  close_poll(listener);
  if (listener->descriptor >= 0)
    close(listener->descriptor);
  listener->descriptor = -1;
}

/* --------------------------------------------------------------------- limits ---------------- */

static roost_slice key_of(const roost_inet_address *from) {
  return (roost_slice){(const char *)from, offsetof(roost_inet_address, port)};
}

static size_t count_ip(const roost_listener *listener, const roost_inet_address *from) {
  return (size_t)(uintptr_t)roost_map_get(&listener->per_ip, key_of(from));
}

static int set_ip(roost_listener *listener, const roost_inet_address *from, size_t count) {
  const roost_slice key = key_of(from);
  if (count > 0)
    return roost_map_set(&listener->per_ip, key, (void *)(uintptr_t)count);
  roost_map_remove(&listener->per_ip, key);
  return 0;
}

/* The limit that keeps this address out, or NULL. */
static const char *find_limit(const roost_listener *listener, const roost_inet_address *from) {
  const roost_listener_config *config = &listener->config;
  if (config->max_connections > 0 && listener->count >= config->max_connections)
    return "max_connections";
  if (config->max_connections_per_ip > 0 &&
      count_ip(listener, from) >= config->max_connections_per_ip)
    return "max_connections_per_ip";
  return NULL;
}

int roost_listener_count(roost_listener *listener, const roost_inet_address *from, size_t place) {
  if (listener->config.max_connections_per_ip > 0 &&
      set_ip(listener, from, count_ip(listener, from) + 1) != 0)
    return ROOST_ENOMEM;
  listener->count++;
  if (listener->held != NULL)
    listener->held[place]++;
  return 0;
}

void roost_listener_uncount(roost_listener *listener, const roost_inet_address *from,
                            size_t place) {
  if (listener->config.max_connections_per_ip > 0)
    (void)set_ip(listener, from, count_ip(listener, from) - 1);
  listener->count--;
  if (listener->held != NULL)
    listener->held[place]--;
}

static void on_released(roost_conn *conn, void *ud) {
  roost_list_remove(&conn->sibling);
  if (conn->guest != NULL)
    roost_guest_leave(conn->guest);
  else
    roost_listener_uncount(ud, &conn->remote, 0);
}

/* --------------------------------------------------------------------- accepting ------------- */

void roost_listener_refuse(roost_listener *listener, int status, const char *why,
                           const roost_inet_address *from) {
  roost_address address;
  if (listener->ops->on_refused == NULL)
    return;
  if (from != NULL)
    roost_inet_print(from, &address);
  listener->ops->on_refused(listener->ud, status, why, from != NULL ? &address : NULL);
}

static void hand_over(roost_listener *listener, roost_conn *conn) {
  conn->ops = NULL;
  listener->ops->on_accept(listener->ud, conn);
  if (conn->ops == NULL)
    roost_conn_close(conn);
}

/* Who owns a connection until its handshake is done; ud is the connection. */
static void on_secured(void *ud) {
  roost_conn *conn = ud;
  hand_over(conn->released_ud, conn);
}

static void on_insecure(void *ud, int status, const char *why) {
  const roost_conn *conn = ud;
  if (status != 0)
    roost_listener_refuse(conn->released_ud, status, why, &conn->remote);
}

static const roost_conn_ops securing_ops = {.on_open = on_secured, .on_closed = on_insecure};

static void secure(roost_listener *listener, roost_conn *conn) {
  conn->ops = &securing_ops;
  conn->ud = conn;
  const int status = roost_conn_start_tls(conn, listener->tls, NULL, listener->tls_timeout_ms);
  if (status != 0)
    roost_conn_end(conn, status, "out of memory");
}

/* The listener goes before they are done. */
static void drop_unsecured(roost_listener *listener) {
  for (roost_list *link = listener->conns.next; link != &listener->conns; link = link->next) {
    roost_conn *conn = ROOST_LIST_ENTRY(link, roost_conn, sibling);
    if (conn->ops != &securing_ops)
      continue;
    conn->ops = NULL;
    roost_conn_close(conn);
  }
}

int roost_listener_adopt(roost_listener *listener, int descriptor, const roost_inet_address *from,
                         roost_guest *guest) {
  roost_conn *conn;
  const int status = roost_conn_adopt(&conn, listener->loop, descriptor);
  if (status != 0)
    return status;
  conn->remote = *from; /* what it was counted under, should the peer be gone already */
  conn->released = on_released;
  conn->released_ud = listener;
  conn->guest = guest;
  roost_list_append(&listener->conns, &conn->sibling);
  if (listener->tls != NULL)
    secure(listener, conn);
  else
    hand_over(listener, conn);
  return 0;
}

/* Takes the descriptor, for this loop or another; on failure nobody does. */
static int admit(roost_listener *listener, int descriptor, const roost_inet_address *from) {
  const size_t place = roost_guest_place(listener);
  int status = roost_listener_count(listener, from, place);
  if (status != 0)
    return status;
  status = place == 0 ? roost_listener_adopt(listener, descriptor, from, NULL)
                      : roost_guest_send(listener, place, descriptor, from);
  if (status != 0)
    roost_listener_uncount(listener, from, place);
  return status;
}

/* Accepts one. 0, or the errno of accept. */
static int accept_one(roost_listener *listener) {
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  const int descriptor = accept4(listener->descriptor, (struct sockaddr *)&address, &size,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor < 0)
    return errno;
  roost_inet_address from;
  roost_inet_read(&from, (struct sockaddr *)&address);
  const char *limit = find_limit(listener, &from);
  int status = ROOST_EFULL;
  if (limit == NULL) {
    status = admit(listener, descriptor, &from);
    limit = roost_guest_why(status);
  }
  if (status != 0) {
    close(descriptor);
    roost_listener_refuse(listener, status, limit, &from);
  }
  return 0;
}

static void pause_accepting(roost_listener *listener, int error) {
  uv_poll_stop(listener->poll);
  roost_timer_start(&listener->loop->wheel, &listener->timer, PAUSE_MS);
  if (!listener->starved)
    roost_listener_refuse(listener, ROOST_ESYSTEM, roost_socket_error(error), NULL);
  listener->starved = true;
}

static void lose(roost_listener *listener, const char *why) {
  close_socket(listener);
  if (listener->attempts < listener->config.retry_attempts)
    roost_timer_start(&listener->loop->wheel, &listener->timer, listener->config.retry_delay_ms);
  if (listener->ops->on_lost != NULL)
    listener->ops->on_lost(listener->ud, why);
}

/* Accepts up to most connections, as long as there are any. */
static void accept_some(roost_listener *listener, size_t most) {
  for (size_t i = 0; i < most && listener->descriptor >= 0; i++) {
    if (i > 0 && most != SIZE_MAX && roost_loop_is_spent(listener->loop))
      return; /* the poll tells again */
    const int error = accept_one(listener);
    switch (error) {
    case 0:
      listener->starved = false;
      break;
    case EAGAIN:
      return;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      if (!listener->closed)
        pause_accepting(listener, error);
      return;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
      if (!listener->closed)
        lose(listener, roost_socket_error(error));
      return;
    default: /* that one connection failed before it was accepted */
      break;
    }
  }
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  roost_listener *listener = poll->data;
  (void)events;
  roost_loop_touch(listener->loop);
  if (listener->poll != poll)
    return; /* closed by a timer just now */
  accept_some(listener, ACCEPTS_PER_TURN);
  /* libuv stops after an error; accept has said what it is, if it is one at all. */
  if (status < 0 && listener->poll == poll && !roost_timer_running(&listener->timer))
    lose(listener, "EIO");
}

int roost_listener_start(roost_listener *listener) {
  roost_loop *loop = listener->loop;
  if (listener->started)
    return 0;
  listener->started = true;
  if (listener->descriptor < 0)
    return 0; /* lost already; it starts when it is there again */
  uv_poll_t *poll = roost_alloc_get(loop->alloc, sizeof *poll);
  if (poll == NULL)
    return ROOST_ENOMEM;
  if (uv_poll_init(&loop->uv, poll, listener->descriptor) != 0) {
    roost_alloc_put(loop->alloc, poll, sizeof *poll);
    return ROOST_ESYSTEM;
  }
  poll->data = listener;
  loop->pending++;
  listener->poll = poll;
  return uv_poll_start(poll, UV_READABLE, on_poll) == 0 ? 0 : ROOST_ESYSTEM;
}

/* --------------------------------------------------------------------- listening again ------- */

static void listen_again(roost_listener *listener) {
  const char *why = "out of memory";
  listener->attempts++;
  int status = open_socket(listener, &why);
  if (status == 0 && listener->started) {
    listener->started = false;
    status = roost_listener_start(listener);
  }
  if (status != 0) {
    listener->started = true;
    lose(listener, why);
  } else if (listener->ops->on_listening != NULL) {
    listener->ops->on_listening(listener->ud);
  }
}

static void on_timer(roost_timer *timer) {
  roost_listener *listener = ROOST_LIST_ENTRY(timer, roost_listener, timer);
  if (listener->descriptor < 0)
    listen_again(listener);
  else
    uv_poll_start(listener->poll, UV_READABLE, on_poll);
}

/* --------------------------------------------------------------------- open and close -------- */

static void free_listener(roost_listener *listener) {
  roost_loop *loop = listener->loop;
  roost_list_remove(&listener->link);
  roost_alloc_put(loop->alloc, listener->others, listener->other_count * sizeof(roost_listener *));
  roost_map_deinit(&listener->per_ip);
  roost_tls_context_release(listener->tls);
  roost_alloc_put_text(loop->alloc, listener->host);
  roost_alloc_put(loop->alloc, listener, sizeof *listener);
  loop->pending--;
}

static void finish(void *ud) {
  roost_listener *listener = ud;
  while (!roost_list_empty(&listener->conns)) {
    roost_conn *conn = ROOST_LIST_ENTRY(listener->conns.next, roost_conn, sibling);
    roost_list_remove(&conn->sibling);
    conn->released = NULL;
  }
  roost_guest_forget_all(listener);
  if (listener->ops->on_closed != NULL)
    listener->ops->on_closed(listener->ud);
  free_listener(listener);
}

static roost_listener *make(roost_loop *loop, const roost_listener_config *config,
                            const roost_listener_ops *ops, void *ud) {
  roost_listener *listener = roost_alloc_get(loop->alloc, sizeof *listener);
  if (listener == NULL)
    return NULL;
  listener->loop = loop;
  listener->ops = ops;
  listener->ud = ud;
  listener->config = *config;
  listener->descriptor = -1;
  listener->end.fn = finish;
  listener->end.ud = listener;
  roost_list_init(&listener->conns);
  roost_map_init(&listener->per_ip, loop->alloc);
  roost_timer_init(&listener->timer, on_timer);
  roost_list_append(&loop->listeners, &listener->link);
  loop->pending++;
  return listener;
}

int roost_listener_open(roost_listener **out, roost_loop *loop, const roost_listener_config *config,
                        const roost_listener_ops *ops, void *ud, const char **why) {
  *out = NULL;
  *why = "out of memory";
  roost_listener *listener = make(loop, config, ops, ud);
  if (listener == NULL)
    return ROOST_ENOMEM;
  listener->host = roost_alloc_text(loop->alloc, roost_slice_text(config->host));
  const int status = listener->host != NULL ? open_socket(listener, why) : ROOST_ENOMEM;
  if (status != 0) {
    free_listener(listener);
    return status;
  }
  *out = listener;
  return 0;
}

int roost_listener_open_shared(roost_listener **out, roost_loop *loop,
                               const roost_listener_ops *ops, void *ud) {
  const roost_listener_config none = {.host = NULL};
  *out = make(loop, &none, ops, ud);
  return *out != NULL ? 0 : ROOST_ENOMEM;
}

int roost_listener_share(roost_listener *listener, roost_listener *const *others, size_t count,
                         size_t *held) {
  const roost_alloc *alloc = listener->loop->alloc;
  roost_listener **own = NULL;
  if (count > 0) {
    own = roost_alloc_get(alloc, count * sizeof(roost_listener *));
    if (own == NULL)
      return ROOST_ENOMEM;
    memcpy(own, others, count * sizeof(roost_listener *));
  }
  roost_alloc_put(alloc, listener->others, listener->other_count * sizeof(roost_listener *));
  listener->turn = 0;
  listener->others = own;
  listener->other_count = count;
  listener->held = held;
  return 0;
}

void roost_listener_close(roost_listener *listener) {
  if (listener->closed)
    return;
  listener->closed = true;
  roost_timer_stop(&listener->loop->wheel, &listener->timer);
  if (listener->started && !listener->inherited && !listener->loop->freeing)
    accept_some(listener, SIZE_MAX);
  close_socket(listener);
  drop_unsecured(listener);
  roost_loop_defer(listener->loop, &listener->end);
}

void roost_listener_set_tls(roost_listener *listener, roost_tls_context *context,
                            uint64_t timeout_ms) {
  roost_tls_context *before = listener->tls;
  listener->tls = roost_tls_context_hold(context);
  listener->tls_timeout_ms = timeout_ms;
  roost_tls_context_release(before);
}

void roost_listener_close_all(roost_loop *loop) {
  for (roost_list *link = loop->listeners.next; link != &loop->listeners; link = link->next)
    roost_listener_close(ROOST_LIST_ENTRY(link, roost_listener, link));
}

const roost_address *roost_listener_address(const roost_listener *listener) {
  return &listener->address;
}

int roost_listener_descriptor(const roost_listener *listener) {
  return listener->descriptor;
}
