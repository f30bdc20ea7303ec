#include "cli/bench_load.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/slice.h"
#include "wire/envelope.h"

#define SCRATCH_BYTES ((size_t)256 << 10) /* one read, one write */
#define EVENTS        256
#define LONGEST_NS    20000000u /* between two looks at signals and time-outs */
#define SECOND_NS     1000000000u

typedef struct peer {
  int fd; /* -1: none */
  bool wants_write;
  bool touched; /* in load->touched */
  roost_bench_input input;
  roost_bench_place *places; /* in_flight of them */
  uint32_t *free;            /* a stack of the places that are not busy */
  size_t free_count;
  uint32_t *queue; /* a ring of in_flight places whose requests are not sent yet */
  size_t queue_at;
  size_t queue_len;
  size_t sent; /* bytes of the first of them that are */
} peer;

typedef struct load {
  const roost_bench_load_config *config;
  roost_bench_result *result;
  roost_bench_check *check;
  roost_buffer frame; /* the request; the digits of its id are at id_at */
  size_t id_at;
  int poll;
  peer *peers;
  peer **touched; /* those with something new to send */
  size_t touched_count;
  roost_bench_place *places; /* of all peers */
  uint32_t *lists;           /* the free lists, then the queues */
  char *scratch;
  sigset_t signals;   /* that end it early */
  uint64_t number;    /* of the next request */
  uint64_t busy;      /* requests in flight */
  uint64_t due_count; /* paced: requests so far */
  uint64_t due_total; /* paced: requests altogether */
  size_t next_peer;   /* paced: whose turn it is */
  uint64_t start_ns;
  uint64_t measure_ns; /* when the warm-up is over */
  uint64_t end_ns;     /* when no more is sent */
  uint64_t sent_ns;    /* when a request was queued last */
  uint64_t heard_ns;   /* when something came last, or began to be waited for */
  uint64_t done_ns;    /* when a counted request was completed last */
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint64_t looked_ns; /* when signals and time-outs were looked for last */
  bool ready;         /* the peers are set up */
  bool measuring;
  bool over;
} load;

static uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void) {
  return clock_ns(CLOCK_MONOTONIC);
}

__attribute__((format(printf, 3, 4))) static void finish(load *l, roost_bench_end end,
                                                         const char *format, ...) {
  va_list args;
  if (l->over)
    return;
  l->over = true;
  l->result->end = end;
  va_start(args, format);
  vsnprintf(l->result->why, sizeof l->result->why, format, args);
  va_end(args);
}

/* ------------------------------------------------------------------------- sending ----------- */

/* Copies what a peer still has to send to scratch, as much as fits. */
static size_t render(const load *l, const peer *p) {
  const size_t len = l->frame.len;
  size_t out = 0;
  size_t skip = p->sent;
  for (size_t i = 0; i < p->queue_len && out < SCRATCH_BYTES; i++, skip = 0) {
    const size_t room = SCRATCH_BYTES - out;
    const size_t n = len - skip < room ? len - skip : room;
    const size_t index = p->queue[(p->queue_at + i) % l->config->in_flight];
    const char *id = p->places[index].id;
    memcpy(l->scratch + out, l->frame.ptr + skip, n);
    for (size_t k = 0; k < ROOST_BENCH_ID_DIGITS; k++) {
      const size_t at = l->id_at + k;
      if (at >= skip && at - skip < n)
        l->scratch[out + at - skip] = id[k];
    }
    out += n;
  }
  return out;
}

/* Forgets n bytes of what had to be sent. */
static void drop_sent(const load *l, peer *p, size_t n) {
  p->sent += n;
  while (p->queue_len > 0 && p->sent >= l->frame.len) {
    p->sent -= l->frame.len;
    p->queue_at = (p->queue_at + 1) % l->config->in_flight;
    p->queue_len--;
  }
}

static void lost(load *l, const char *why) {
  finish(l, ROOST_BENCH_LOST, "a connection was lost: %s", why);
}

/* Waits for room to write, or no longer. */
static void watch(load *l, peer *p, bool wants_write) {
  if (p->wants_write == wants_write)
    return;
  struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0u), .data.ptr = p};
  p->wants_write = wants_write;
  if (epoll_ctl(l->poll, EPOLL_CTL_MOD, p->fd, &event) != 0)
    finish(l, ROOST_BENCH_FAILED, "epoll_ctl: %s", strerror(errno));
}

static void flush(load *l, peer *p) {
  while (p->queue_len > 0 && !l->over) {
    const size_t len = render(l, p);
    const ssize_t n = send(p->fd, l->scratch, len, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      break;
    if (n < 0) {
      lost(l, strerror(errno));
      return;
    }
    l->bytes_out += (uint64_t)n;
    drop_sent(l, p, (size_t)n);
    if ((size_t)n < len)
      break;
  }
  watch(l, p, p->queue_len > 0);
}

/* Puts one more request of a peer into its queue; it has a free place. */
static void enqueue(load *l, peer *p, uint64_t due_ns, uint64_t now_ns) {
  const uint32_t index = p->free[--p->free_count];
  roost_bench_place_begin(&p->places[index], index, l->number++, due_ns);
  p->queue[(p->queue_at + p->queue_len++) % l->config->in_flight] = index;
  l->sent_ns = now_ns;
  if (l->busy++ == 0)
    l->heard_ns = now_ns;
  if (!p->touched) {
    p->touched = true;
    l->touched[l->touched_count++] = p;
  }
}

static void flush_touched(load *l) {
  for (size_t i = 0; i < l->touched_count; i++) {
    l->touched[i]->touched = false;
    flush(l, l->touched[i]);
  }
  l->touched_count = 0;
}

/* ------------------------------------------------------------------------- receiving --------- */

static void complete(load *l, peer *p, const roost_bench_answer *answer, uint64_t at_ns) {
  roost_bench_place *place = answer->place;
  p->free[p->free_count++] = (uint32_t)(place - p->places);
  place->busy = false;
  l->busy--;
  if (place->due_ns < l->measure_ns)
    return;
  l->result->requests++;
  if (answer->error)
    l->result->errors++;
  else if (place->wrong)
    l->result->wrong++;
  roost_histogram_record(&l->result->latency_ns, at_ns - place->due_ns);
  l->done_ns = at_ns;
}

static void take(load *l, peer *p, roost_slice bytes, uint64_t at_ns) {
  roost_bench_answer answer;
  int status;
  while ((status = roost_bench_check_next(l->check, &p->input, p->places, l->config->in_flight,
                                          &bytes, &answer)) == 1)
    if (answer.place != NULL && answer.last)
      complete(l, p, &answer, at_ns);
  if (status == ROOST_ENOMEM)
    finish(l, ROOST_BENCH_FAILED, "out of memory");
  else if (status < 0)
    finish(l, ROOST_BENCH_LOST, "this is no Nest peer: %s", p->input.reader.error);
}

static void receive(load *l, peer *p) {
  const ssize_t n = recv(p->fd, l->scratch, SCRATCH_BYTES, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0) {
    lost(l, n == 0 ? "Connection closed" : strerror(errno));
    return;
  }
  const uint64_t at_ns = now_ns();
  l->heard_ns = at_ns;
  l->bytes_in += (uint64_t)n;
  take(l, p, roost_slice_of(l->scratch, (size_t)n), at_ns);
  if (l->config->rate == 0 && at_ns < l->end_ns)
    while (p->free_count > 0)
      enqueue(l, p, at_ns, at_ns);
  flush_touched(l);
}

/* ------------------------------------------------------------------------- pacing ------------ */

static uint64_t due_ns(const load *l, uint64_t count) {
  return l->start_ns + (uint64_t)((double)count / l->config->rate * SECOND_NS);
}

/* The next peer in turn that has a free place; NULL: none has. */
static peer *pick(load *l) {
  for (size_t i = 0; i < l->config->connections; i++) {
    peer *p = &l->peers[l->next_peer];
    l->next_peer = (l->next_peer + 1) % l->config->connections;
    if (p->free_count > 0)
      return p;
  }
  return NULL;
}

/* Queues what is due. */
static void start_due(load *l, uint64_t now) {
  for (; l->due_count < l->due_total; l->due_count++) {
    const uint64_t due = due_ns(l, l->due_count);
    if (due > now)
      return;
    peer *p = pick(l);
    if (p == NULL) {
      if (now - due > l->config->timeout_ns)
        finish(l, ROOST_BENCH_TOO_SLOW,
               "the server does not keep up: with %zu requests in flight the next one is %.1f s "
               "late",
               l->config->connections * l->config->in_flight, (double)(now - due) / SECOND_NS);
      return;
    }
    enqueue(l, p, due, now);
  }
}

/* ------------------------------------------------------------------------- the loop ---------- */

static bool all_is_sent(const load *l, uint64_t now) {
  return l->config->rate == 0 ? now >= l->end_ns : l->due_count == l->due_total;
}

static void begin_measuring(load *l) {
  l->measuring = true;
  l->result->bytes_in = l->bytes_in;
  l->result->bytes_out = l->bytes_out;
  l->result->cpu_seconds = (double)clock_ns(CLOCK_THREAD_CPUTIME_ID) / SECOND_NS;
}

/* Nothing comes, or not all that should. */
static void look_for_stall(load *l, uint64_t now) {
  const uint64_t timeout_ns = l->config->timeout_ns;
  const uint64_t last_ns = l->sent_ns > l->end_ns ? l->sent_ns : l->end_ns;
  if (l->busy > 0 && now > l->heard_ns + timeout_ns)
    finish(l, ROOST_BENCH_NO_ANSWER, "nothing came for %.1f s; unanswered requests: %llu",
           (double)(now - l->heard_ns) / SECOND_NS, (unsigned long long)l->busy);
  else if (all_is_sent(l, now) && now > last_ns + timeout_ns)
    finish(l, ROOST_BENCH_NO_ANSWER, "unanswered requests %.1f s after the last was sent: %llu",
           (double)(now - last_ns) / SECOND_NS, (unsigned long long)l->busy);
}

static void look_for_signals(load *l) {
  sigset_t pending;
  if (sigpending(&pending) == 0 &&
      (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1))
    finish(l, ROOST_BENCH_INTERRUPTED, "%s", "");
}

static void look_around(load *l, uint64_t now) {
  if (!l->measuring && now >= l->measure_ns)
    begin_measuring(l);
  if (l->busy == 0 && all_is_sent(l, now))
    finish(l, ROOST_BENCH_DONE, "%s", "");
  if (now - l->looked_ns < LONGEST_NS / 2)
    return;
  l->looked_ns = now;
  look_for_stall(l, now);
  look_for_signals(l);
}

/* Waits for events, but not past the next request that is due. */
static int wait(load *l, struct epoll_event *events, uint64_t now) {
  uint64_t wait_ns = LONGEST_NS;
  if (l->config->rate > 0 && l->due_count < l->due_total) {
    const uint64_t due = due_ns(l, l->due_count);
    if (due > now && due - now < wait_ns)
      wait_ns = due - now;
  }
  const struct timespec timeout = {.tv_nsec = (long)wait_ns};
  int count = epoll_pwait2(l->poll, events, EVENTS, &timeout, NULL);
  if (count < 0 && (errno == ENOSYS || errno == EPERM)) /* before Linux 5.11: spins below 1 ms */
    count = epoll_wait(l->poll, events, EVENTS, (int)(wait_ns / 1000000));
  return count;
}

static void start(load *l) {
  l->start_ns = now_ns();
  l->heard_ns = l->start_ns;
  l->measure_ns = l->start_ns + l->config->warmup_ns;
  l->end_ns = l->measure_ns + l->config->measure_ns;
  l->done_ns = l->measure_ns;
  l->due_total = (uint64_t)(l->config->rate * (double)(l->end_ns - l->start_ns) / SECOND_NS + 0.5);
  if (l->config->rate == 0)
    for (size_t i = 0; i < l->config->connections; i++)
      while (l->peers[i].free_count > 0)
        enqueue(l, &l->peers[i], l->start_ns, l->start_ns);
}

static void run(load *l) {
  struct epoll_event events[EVENTS];
  start(l);
  while (!l->over) {
    const uint64_t now = now_ns();
    look_around(l, now);
    if (l->config->rate > 0)
      start_due(l, now);
    flush_touched(l);
    if (l->over)
      break;
    const int count = wait(l, events, now);
    if (count < 0 && errno != EINTR)
      finish(l, ROOST_BENCH_FAILED, "epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count && !l->over; i++) {
      peer *p = events[i].data.ptr;
      if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
        receive(l, p);
      if ((events[i].events & EPOLLOUT) != 0 && !l->over)
        flush(l, p);
    }
  }
}

static void sum_up(load *l) {
  roost_bench_result *result = l->result;
  if (!l->measuring)
    begin_measuring(l);
  const uint64_t now = now_ns();
  const bool early = result->end != ROOST_BENCH_DONE && now < l->end_ns;
  uint64_t until = early ? now : l->end_ns;
  if (l->done_ns > until)
    until = l->done_ns;
  result->seconds = until > l->measure_ns ? (double)(until - l->measure_ns) / SECOND_NS : 0;
  result->bytes_in = l->bytes_in - result->bytes_in;
  result->bytes_out = l->bytes_out - result->bytes_out;
  result->cpu_seconds = (double)clock_ns(CLOCK_THREAD_CPUTIME_ID) / SECOND_NS - result->cpu_seconds;
  if (result->end != ROOST_BENCH_NO_ANSWER)
    return;
  for (size_t i = 0; i < l->config->connections * l->config->in_flight; i++)
    if (l->places[i].busy && l->places[i].due_ns >= l->measure_ns)
      result->unanswered++;
}

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

static void end_connect(load *l, peer *p, size_t *missing) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
    error = errno;
  if (error != 0) {
    errno = error;
    *missing = SIZE_MAX;
    return;
  }
  watch(l, p, false);
  --*missing;
}

/* Waits until the connections begun are there. False with errno where one could not be made. */
static bool finish_connects(load *l, size_t missing) {
  const uint64_t deadline_ns = now_ns() + l->config->timeout_ns;
  struct epoll_event events[EVENTS];
  while (missing > 0) {
    const int count = epoll_wait(l->poll, events, EVENTS, LONGEST_NS / 1000000);
    for (int i = 0; i < count; i++) {
      end_connect(l, events[i].data.ptr, &missing);
      if (missing == SIZE_MAX)
        return false;
    }
    if (count <= 0 && now_ns() > deadline_ns) {
      errno = ETIMEDOUT;
      return false;
    }
  }
  return true;
}

static void close_peers(load *l) {
  for (size_t i = 0; i < l->config->connections; i++) {
    if (l->peers[i].fd >= 0)
      close(l->peers[i].fd);
    l->peers[i].fd = -1;
  }
}

/* All connections to one address; the first goes ahead to find out whether anybody is there. */
static bool connect_all(load *l, const struct addrinfo *address) {
  const size_t count = l->config->connections;
  bool fine = begin_connect(l, &l->peers[0], address) && finish_connects(l, 1);
  for (size_t i = 1; i < count && fine; i++)
    fine = begin_connect(l, &l->peers[i], address);
  fine = fine && finish_connects(l, count - 1);
  if (!fine) {
    const int error = errno;
    close_peers(l);
    errno = error;
  }
  return fine;
}

static void connect_peers(load *l) {
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *list;
  char port[8];
  snprintf(port, sizeof port, "%u", l->config->url->port);
  const int status = getaddrinfo(l->config->url->host, port, &hints, &list);
  if (status != 0) {
    finish(l, ROOST_BENCH_NO_CONNECTION, "%s", gai_strerror(status));
    return;
  }
  bool connected = false;
  for (const struct addrinfo *at = list; at != NULL && !connected; at = at->ai_next)
    connected = connect_all(l, at);
  if (!connected)
    finish(l, errno == EMFILE || errno == ENFILE ? ROOST_BENCH_FAILED : ROOST_BENCH_NO_CONNECTION,
           "%s", strerror(errno));
  freeaddrinfo(list);
}

/* ------------------------------------------------------------------------- setting up -------- */

/* The request's frame, with zeros for its id. */
static int make_frame(load *l) {
  roost_frame_mark mark;
  const roost_message message = {.pattern = l->config->pattern,
                                 .data = l->config->data,
                                 .id = ROOST_SLICE("\"000000000000000000000\"")};
  int status = roost_frame_begin(&l->frame, &mark, 3);
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
  l->scratch = roost_alloc_get(alloc, SCRATCH_BYTES);
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

static void release(load *l) {
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
  roost_alloc_put(alloc, l->scratch, SCRATCH_BYTES);
  if (l->poll >= 0)
    close(l->poll);
}

/* As many descriptors as we may have. */
static void raise_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/* The signals that end it early stay pending until it looks; what came is then taken back. */
static void run_interruptible(load *l) {
  const struct timespec at_once = {.tv_sec = 0};
  sigset_t before;
  sigemptyset(&l->signals);
  sigaddset(&l->signals, SIGINT);
  sigaddset(&l->signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &l->signals, &before);
  run(l);
  sum_up(l);
  while (sigtimedwait(&l->signals, NULL, &at_once) > 0)
    ;
  sigprocmask(SIG_SETMASK, &before, NULL);
}

void roost_bench_load_run(roost_bench_result *result, const roost_bench_load_config *config,
                          roost_bench_check *check) {
  load l = {.config = config, .result = result, .check = check};
  memset(result, 0, sizeof *result);
  roost_histogram_init(&result->latency_ns);
  roost_buffer_init(&l.frame, config->alloc);
  raise_limit();
  prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* else a sleep may last 50 us longer */
  l.poll = epoll_create1(EPOLL_CLOEXEC);
  if (!allocate(&l)) {
    finish(&l, ROOST_BENCH_FAILED, "out of memory");
  } else if (l.poll < 0) {
    finish(&l, ROOST_BENCH_FAILED, "epoll_create1: %s", strerror(errno));
  } else {
    init_peers(&l);
    connect_peers(&l);
  }
  if (!l.over)
    run_interruptible(&l);
  release(&l);
}
