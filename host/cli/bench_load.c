#include "cli/bench_load.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "cli/bench_load_internal.h"
#include "core/slice.h"

#define LONGEST_NS (ROOST_BENCH_LONGEST_MS * 1000000u)
#define SECOND_NS  1000000000u

typedef roost_bench_load load;
typedef roost_bench_peer peer;

static uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t roost_bench_now_ns(void) {
  return clock_ns(CLOCK_MONOTONIC);
}

void roost_bench_load_finish(load *l, roost_bench_end end, const char *format, ...) {
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

/* The request i places behind the first that is not sent. */
static uint32_t queued(const load *l, const peer *p, size_t i) {
  const size_t at = p->queue_at + i;
  return p->queue[at < l->config->in_flight ? at : at - l->config->in_flight];
}

/* Copies n bytes of a request from skip on. */
static void render_request(const load *l, char *out, const char *id, size_t skip, size_t n) {
  const size_t id_end = l->id_at + ROOST_BENCH_ID_DIGITS;
  const size_t from = skip > l->id_at ? skip : l->id_at;
  const size_t to = skip + n < id_end ? skip + n : id_end;
  memcpy(out, l->frame.ptr + skip, n);
  if (from < to)
    memcpy(out + (from - skip), id + (from - l->id_at), to - from);
}

/* Copies what a peer still has to send to scratch, as much as fits. */
static size_t render(const load *l, const peer *p) {
  const size_t len = l->frame.len;
  size_t out = 0;
  size_t skip = p->sent;
  for (size_t i = 0; i < p->queue_len && out < ROOST_BENCH_SCRATCH_BYTES; i++, skip = 0) {
    const size_t room = ROOST_BENCH_SCRATCH_BYTES - out;
    const size_t n = len - skip < room ? len - skip : room;
    render_request(l, l->scratch + out, p->places[queued(l, p, i)].id, skip, n);
    out += n;
  }
  return out;
}

/* Forgets n bytes of what had to be sent. */
static void drop_sent(const load *l, peer *p, size_t n) {
  p->sent += n;
  while (p->queue_len > 0 && p->sent >= l->frame.len) {
    p->sent -= l->frame.len;
    p->queue_len--;
    if (++p->queue_at == l->config->in_flight)
      p->queue_at = 0;
  }
}

static void lost(load *l, const char *why) {
  roost_bench_load_finish(l, ROOST_BENCH_LOST, "a connection was lost: %s", why);
}

void roost_bench_load_watch(load *l, peer *p, bool wants_write) {
  if (p->wants_write == wants_write)
    return;
  struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0u), .data.ptr = p};
  p->wants_write = wants_write;
  if (epoll_ctl(l->poll, EPOLL_CTL_MOD, p->fd, &event) != 0)
    roost_bench_load_finish(l, ROOST_BENCH_FAILED, "epoll_ctl: %s", strerror(errno));
}

static void flush(load *l, peer *p) {
  while (p->queue_len > 0 && !l->over) {
    const size_t len = render(l, p);
    const ssize_t n = roost_bench_peer_write(p, l->scratch, len);
    if (n == -EAGAIN)
      break;
    if (n < 0) {
      lost(l, roost_bench_peer_why(p, n));
      return;
    }
    l->bytes_out += (uint64_t)n;
    drop_sent(l, p, (size_t)n);
    if ((size_t)n < len && p->tls == NULL) /* TLS takes a record at a time */
      break;
  }
  roost_bench_load_watch(l, p, p->queue_len > 0);
}

/* Puts one more request of a peer into its queue; it has a free place. */
static void enqueue(load *l, peer *p, uint64_t due_ns, uint64_t now_ns) {
  const uint32_t index = p->free[--p->free_count];
  if (p->queue_len == l->config->in_flight) {
    roost_bench_load_finish(l, ROOST_BENCH_LOST, "requests are answered before they are sent");
    return;
  }
  roost_bench_place_begin(&p->places[index], index, l->number++, due_ns);
  const size_t end = p->queue_at + p->queue_len++;
  p->queue[end < l->config->in_flight ? end : end - l->config->in_flight] = index;
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
    roost_bench_load_finish(l, ROOST_BENCH_FAILED, "out of memory");
  else if (status < 0)
    roost_bench_load_finish(l, ROOST_BENCH_LOST, "this is no Nest peer: %s", p->input.reader.error);
}

/* Takes what has come: what TLS has decrypted, to its end, for nothing would tell of it again. */
static void receive(load *l, peer *p) {
  do {
    const ssize_t n = roost_bench_peer_read(p, l->scratch, ROOST_BENCH_SCRATCH_BYTES);
    if (n == -EAGAIN)
      break;
    if (n <= 0) {
      lost(l, n == 0 ? "Connection closed" : roost_bench_peer_why(p, n));
      return;
    }
    l->heard_ns = roost_bench_now_ns();
    l->bytes_in += (uint64_t)n;
    take(l, p, roost_slice_of(l->scratch, (size_t)n), l->heard_ns);
  } while (p->tls != NULL && !l->over);
  if (l->config->rate == 0 && l->heard_ns < l->end_ns)
    while (p->free_count > 0)
      enqueue(l, p, l->heard_ns, l->heard_ns);
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

/* Queues what is due. What finds no free place waits, and counts from when it was due. */
static void start_due(load *l, uint64_t now) {
  l->starved = false;
  for (; l->due_count < l->due_total && !l->over; l->due_count++) {
    const uint64_t due = due_ns(l, l->due_count);
    if (due > now)
      return;
    if (now - due > l->config->timeout_ns) {
      roost_bench_load_finish(
          l, ROOST_BENCH_TOO_SLOW,
          "the server does not keep up: a request could not be sent for %.1f s, "
          "with %llu in flight",
          (double)(now - due) / SECOND_NS, (unsigned long long)l->busy);
      return;
    }
    peer *p = pick(l);
    l->starved = p == NULL;
    if (l->starved)
      return;
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
    roost_bench_load_finish(l, ROOST_BENCH_NO_ANSWER,
                            "nothing came for %.1f s; unanswered requests: %llu",
                            (double)(now - l->heard_ns) / SECOND_NS, (unsigned long long)l->busy);
  else if (all_is_sent(l, now) && now > last_ns + timeout_ns)
    roost_bench_load_finish(l, ROOST_BENCH_NO_ANSWER,
                            "unanswered requests %.1f s after the last was sent: %llu",
                            (double)(now - last_ns) / SECOND_NS, (unsigned long long)l->busy);
}

static void look_for_signals(load *l) {
  sigset_t pending;
  if (sigpending(&pending) == 0 &&
      (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1))
    roost_bench_load_finish(l, ROOST_BENCH_INTERRUPTED, "%s", "");
}

static void look_around(load *l, uint64_t now) {
  if (!l->measuring && now >= l->measure_ns)
    begin_measuring(l);
  if (l->busy == 0 && all_is_sent(l, now))
    roost_bench_load_finish(l, ROOST_BENCH_DONE, "%s", "");
  if (now - l->looked_ns < LONGEST_NS / 2)
    return;
  l->looked_ns = now;
  look_for_stall(l, now);
  look_for_signals(l);
}

/* How long to wait for events: until the next request is due that can be sent. */
static uint64_t longest_wait_ns(const load *l) {
  if (l->config->rate == 0 || l->due_count == l->due_total || l->starved)
    return LONGEST_NS;
  const uint64_t due = due_ns(l, l->due_count);
  const uint64_t now = roost_bench_now_ns();
  if (due <= now)
    return 0;
  return due - now < LONGEST_NS ? due - now : LONGEST_NS;
}

static int wait(const load *l, struct epoll_event *events) {
  const uint64_t wait_ns = longest_wait_ns(l);
  const struct timespec timeout = {.tv_nsec = (long)wait_ns};
  const int count = epoll_pwait2(l->poll, events, ROOST_BENCH_EVENTS, &timeout, NULL);
  if (count >= 0 || (errno != ENOSYS && errno != EPERM))
    return count;
  /* before Linux 5.11, or not allowed: less than a millisecond is not slept */
  return epoll_wait(l->poll, events, ROOST_BENCH_EVENTS, (int)(wait_ns / 1000000));
}

static void start(load *l) {
  l->start_ns = roost_bench_now_ns();
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
  struct epoll_event events[ROOST_BENCH_EVENTS];
  start(l);
  while (!l->over) {
    const uint64_t now = roost_bench_now_ns();
    look_around(l, now);
    if (l->config->rate > 0)
      start_due(l, now);
    flush_touched(l);
    if (l->over)
      break;
    const int count = wait(l, events);
    if (count < 0 && errno != EINTR)
      roost_bench_load_finish(l, ROOST_BENCH_FAILED, "epoll_wait: %s", strerror(errno));
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
  const uint64_t now = roost_bench_now_ns();
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

/* ------------------------------------------------------------------------- a run ------------- */

/* The signals that end it early stay pending until it looks; what came is then taken back. */
static void run_interruptible(load *l) {
  const struct timespec at_once = {.tv_sec = 0};
  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, &before);
  run(l);
  sum_up(l);
  while (sigtimedwait(&signals, NULL, &at_once) > 0)
    ;
  sigprocmask(SIG_SETMASK, &before, NULL);
}

void roost_bench_load_run(roost_bench_result *result, const roost_bench_load_config *config,
                          roost_bench_check *check) {
  load l = {.config = config, .result = result, .check = check};
  memset(result, 0, sizeof *result);
  roost_histogram_init(&result->latency_ns);
  prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* else a sleep may last 50 us longer */
  roost_bench_peers_open(&l);
  if (!l.over)
    run_interruptible(&l);
  roost_bench_peers_close(&l);
}
