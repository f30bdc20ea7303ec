#include "cli/bench_load_internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/slice.h"
#include "wire/envelope.h"

typedef roost_bench_load load;
typedef roost_bench_peer peer;

/* ------------------------------------------------------------------------- connecting -------- */

static bool begin_connect(load *l, peer *p, const struct addrinfo *address) {
  const int one = 1;
  struct epoll_event event = {.events = EPOLLOUT, .data.ptr = p};
  p->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (p->fd < 0)
    return false;
  setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(p->fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS)
    return false;
  p->wants_write = true;
  return epoll_ctl(l->poll, EPOLL_CTL_ADD, p->fd, &event) == 0;
}

/* Why the connection was not made; 0 where it was. */
static int connect_error(const peer *p) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ? errno : error;
}

/* Goes on where a connection has got to. 1: it is there, 0: not yet, or a negative errno. */
static int advance(load *l, peer *p) {
  if (p->tls == NULL) {
    const int error = connect_error(p);
    if (error != 0)
      return -error;
    roost_bench_load_watch(l, p, false);
    if (l->config->tls == NULL)
      return 1;
    const int status = roost_tls_stream_new(&p->tls, l->config->alloc, l->config->tls,
                                            l->config->url->host, p->fd);
    if (status != 0)
      return status == ROOST_EINVAL ? -EINVAL : -ENOMEM;
  }
  const int status = roost_tls_stream_handshake(p->tls);
  if (status == -EAGAIN)
    roost_bench_load_watch(l, p, roost_tls_stream_wants_write(p->tls));
  else if (status == 0)
    roost_bench_load_watch(l, p, false);
  return status == 0 ? 1 : status == -EAGAIN ? 0 : status;
}

/* Waits until the connections begun are there. False with l->refusal where one could not be made.
 */
static bool finish_connects(load *l, size_t missing) {
  const uint64_t deadline_ns = roost_bench_now_ns() + l->config->timeout_ns;
  struct epoll_event events[ROOST_BENCH_EVENTS];
  while (missing > 0) {
    const int count = epoll_wait(l->poll, events, ROOST_BENCH_EVENTS, ROOST_BENCH_LONGEST_MS);
    for (int i = 0; i < count; i++) {
      peer *p = events[i].data.ptr;
      const int status = p->ready ? 0 : advance(l, p);
      if (status < 0) {
        snprintf(l->refusal, sizeof l->refusal, "%s", roost_bench_peer_why(p, status));
        return false;
      }
      p->ready = p->ready || status > 0;
      missing -= (size_t)status;
    }
    if (count <= 0 && roost_bench_now_ns() > deadline_ns) {
      snprintf(l->refusal, sizeof l->refusal, "%s", strerror(ETIMEDOUT));
      return false;
    }
  }
  return true;
}

static void close_peers(load *l) {
  for (size_t i = 0; i < l->config->connections; i++) {
    peer *p = &l->peers[i];
    roost_tls_stream_free(p->tls);
    if (p->fd >= 0)
      close(p->fd);
    p->tls = NULL;
    p->fd = -1;
    p->ready = false;
  }
}

/* True, or false with the reason noted. */
static bool begin(load *l, peer *p, const struct addrinfo *address) {
  if (begin_connect(l, p, address))
    return true;
  l->is_full = errno == EMFILE || errno == ENFILE;
  snprintf(l->refusal, sizeof l->refusal, "%s", strerror(errno));
  return false;
}

/* All connections to one address; the first goes ahead to find out whether anybody is there. */
static bool connect_all(load *l, const struct addrinfo *address) {
  const size_t count = l->config->connections;
  bool fine = begin(l, &l->peers[0], address) && finish_connects(l, 1);
  for (size_t i = 1; i < count && fine; i++)
    fine = begin(l, &l->peers[i], address);
  fine = fine && finish_connects(l, count - 1);
  if (!fine)
    close_peers(l);
  return fine;
}

static void connect_peers(load *l) {
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *list;
  char port[8];
  snprintf(port, sizeof port, "%u", l->config->url->port);
  const int status = getaddrinfo(l->config->url->host, port, &hints, &list);
  if (status != 0) {
    roost_bench_load_finish(l, ROOST_BENCH_NO_CONNECTION, "%s", gai_strerror(status));
    return;
  }
  bool connected = false;
  for (const struct addrinfo *at = list; at != NULL && !connected; at = at->ai_next)
    connected = connect_all(l, at);
  if (!connected)
    roost_bench_load_finish(l, l->is_full ? ROOST_BENCH_FAILED : ROOST_BENCH_NO_CONNECTION, "%s",
                            l->refusal);
  freeaddrinfo(list);
}

/* ------------------------------------------------------------------------- bytes ------------- */

ssize_t roost_bench_peer_read(const peer *p, char *to, size_t room) {
  if (p->tls != NULL)
    return roost_tls_stream_read(p->tls, to, room);
  const ssize_t n = recv(p->fd, to, room, 0);
  return n >= 0 ? n : errno == EINTR ? -EAGAIN : -errno;
}

ssize_t roost_bench_peer_write(const peer *p, const char *from, size_t len) {
  if (p->tls != NULL)
    return roost_tls_stream_write(p->tls, from, len);
  const ssize_t n = send(p->fd, from, len, MSG_NOSIGNAL);
  return n >= 0 ? n : errno == EINTR ? -EAGAIN : -errno;
}

const char *roost_bench_peer_why(const peer *p, ssize_t status) {
  const char *why = p->tls != NULL ? roost_tls_stream_why(p->tls) : "";
  return *why != '\0' ? why : strerror((int)-status);
}

/* ------------------------------------------------------------------------- setting up -------- */

/* The request's frame, with zeros for its id. */
static int make_frame(load *l) {
  roost_frame_mark mark;
  const roost_message message = {.pattern = l->config->pattern,
                                 .data = l->config->data,
                                 .id = ROOST_SLICE("\"000000000000000000000\"")};
  int status = roost_frame_begin(&l->frame, &mark, ROOST_FRAMING_NEST, 3);
  if (status == 0)
    status = roost_envelope_write_request(&l->frame, &message);
  if (status == 0)
    status = roost_frame_end(&l->frame, &mark) < 0 ? ROOST_ENOMEM : 0;
  if (status == 0)
    l->id_at = l->frame.len - 2 - ROOST_BENCH_ID_DIGITS;
  return status;
}

static size_t place_count(const load *l) {
  return l->config->connections * l->config->in_flight;
}

static bool allocate(load *l) {
  const roost_alloc *alloc = l->config->alloc;
  l->peers = roost_alloc_get(alloc, l->config->connections * sizeof *l->peers);
  l->touched = roost_alloc_get(alloc, l->config->connections * sizeof(peer *));
  l->places = roost_alloc_get(alloc, place_count(l) * sizeof *l->places);
  l->lists = roost_alloc_get(alloc, 2 * place_count(l) * sizeof *l->lists);
  l->scratch = roost_alloc_get(alloc, ROOST_BENCH_SCRATCH_BYTES);
  return make_frame(l) == 0 && l->peers != NULL && l->touched != NULL && l->places != NULL &&
         l->lists != NULL && l->scratch != NULL;
}

static void init_peers(load *l) {
  const size_t in_flight = l->config->in_flight;
  for (size_t i = 0; i < l->config->connections; i++) {
    peer *p = &l->peers[i];
    p->fd = -1;
    roost_bench_input_init(&p->input, l->config->alloc);
    p->places = l->places + i * in_flight;
    p->free = l->lists + i * in_flight;
    p->queue = l->lists + place_count(l) + i * in_flight;
    for (size_t k = 0; k < in_flight; k++)
      p->free[k] = (uint32_t)(in_flight - 1 - k);
    p->free_count = in_flight;
  }
  l->ready = true;
}

/* As many descriptors as we may have. */
static void raise_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void roost_bench_peers_open(load *l) {
  roost_buffer_init(&l->frame, l->config->alloc);
  raise_limit();
  l->poll = epoll_create1(EPOLL_CLOEXEC);
  if (!allocate(l)) {
    roost_bench_load_finish(l, ROOST_BENCH_FAILED, "out of memory");
  } else if (l->poll < 0) {
    roost_bench_load_finish(l, ROOST_BENCH_FAILED, "epoll_create1: %s", strerror(errno));
  } else {
    init_peers(l);
    connect_peers(l);
  }
}

void roost_bench_peers_close(load *l) {
  const roost_alloc *alloc = l->config->alloc;
  if (l->ready) {
    close_peers(l);
    for (size_t i = 0; i < l->config->connections; i++)
      roost_bench_input_deinit(&l->peers[i].input);
  }
  roost_buffer_deinit(&l->frame);
  roost_alloc_put(alloc, l->peers, l->config->connections * sizeof *l->peers);
  roost_alloc_put(alloc, l->touched, l->config->connections * sizeof(peer *));
  roost_alloc_put(alloc, l->places, place_count(l) * sizeof *l->places);
  roost_alloc_put(alloc, l->lists, 2 * place_count(l) * sizeof *l->lists);
  roost_alloc_put(alloc, l->scratch, ROOST_BENCH_SCRATCH_BYTES);
  if (l->poll >= 0)
    close(l->poll);
}
