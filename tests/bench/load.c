/*
 * A closed-loop load generator for Nest's TCP wire: so many connections with so many requests in
 * flight on each, for so many seconds; every reply's id and value is checked. Prints one line of
 * JSON: what was completed and how long it took. Pin it with taskset, away from the server.
 *
 *   load PORT CONNECTIONS IN_FLIGHT SECONDS PATTERN DATA RESPONSE [unordered]
 *
 * unordered: members of objects may come in any order (the bytes of a reply must be the same ones).
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ID_DIGITS   21
#define SLOT_DIGITS 4 /* an id ends with the number of its place in the connection's window */
#define BUFFER      (1 << 20)
#define BUCKETS     4096 /* of latency: 64 per power of two */

typedef struct peer {
  int descriptor;
  uint64_t *sent_ns; /* per place in the window */
  char *in;
  size_t in_len;
} peer;

typedef struct load {
  char request[BUFFER]; /* a whole frame; the id's digits are at id_at */
  size_t request_len;
  size_t id_at;
  char reply[BUFFER]; /* the frame expected; the id's digits are at reply_id_at */
  size_t reply_len;
  size_t reply_id_at;
  size_t value_at; /* in reply */
  uint64_t value_sum;
  bool unordered;
  char out[BUFFER];
  size_t in_flight;
  uint64_t sequence;
  uint64_t completed;
  uint64_t outstanding;
  bool stopping; /* no new requests */
  uint64_t latency[BUCKETS];
} load;

static load state;

static void fail(const char *what) {
  fprintf(stderr, "load: %s\n", what);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static size_t bucket_of(uint64_t ns) {
  if (ns < 64)
    return ns;
  const unsigned power = 63u - (unsigned)__builtin_clzll(ns);
  const size_t bucket = (size_t)(power - 5) * 64 + (ns >> (power - 6)) - 64;
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double bucket_us(size_t bucket) {
  if (bucket < 64)
    return (double)bucket / 1000;
  const size_t power = bucket / 64 + 5;
  return (double)((bucket % 64 + 64) << (power - 6)) / 1000;
}

static double percentile(double share) {
  uint64_t left = (uint64_t)((double)state.completed * share);
  for (size_t i = 0; i < BUCKETS; i++) {
    if (state.latency[i] > left)
      return bucket_us(i);
    left -= state.latency[i];
  }
  return bucket_us(BUCKETS - 1);
}

/* The same for the same bytes in any order. */
static uint64_t sum_bytes(const char *at, const char *end) {
  uint64_t sum = 0;
  for (; at < end; at++)
    sum += (uint64_t)(unsigned char)*at * (unsigned char)*at;
  return sum;
}

/* The wire counts UTF-16 units; what the benchmarks send is ASCII. */
static void prepare(const char *pattern, const char *data, const char *response) {
  static char body[BUFFER];
  const char *zeros = "000000000000000000000";
  int len = snprintf(body, sizeof body, "{\"pattern\":%s,\"data\":%s,\"id\":\"%s\"}", pattern, data,
                     zeros);
  state.request_len = (size_t)snprintf(state.request, sizeof state.request, "%d#%s", len, body);
  state.id_at = state.request_len - 2 - ID_DIGITS;
  len = snprintf(body, sizeof body, "{\"response\":%s,\"isDisposed\":true,\"id\":\"%s\"}", response,
                 zeros);
  state.reply_len = (size_t)snprintf(state.reply, sizeof state.reply, "%d#%s", len, body);
  state.reply_id_at = state.reply_len - 2 - ID_DIGITS;
  state.value_at = (size_t)(strstr(state.reply, "\"response\":") - state.reply) + 11;
  state.value_sum = sum_bytes(state.reply + state.value_at, state.reply + state.reply_id_at);
}

static void put_hex(char *at, unsigned digits, uint64_t value) {
  for (unsigned i = digits; i > 0; i--, value >>= 4)
    at[i - 1] = "0123456789abcdef"[value & 15];
}

/* Puts a request for one place of the window at out. */
static void put_request(peer *to, char *out, size_t slot, uint64_t at_ns) {
  memcpy(out, state.request, state.request_len);
  put_hex(out + state.id_at, 16, state.sequence++ * 0x9e3779b97f4a7c15u);
  put_hex(out + state.id_at + ID_DIGITS - SLOT_DIGITS, SLOT_DIGITS, slot);
  to->sent_ns[slot] = at_ns;
  state.outstanding++;
}

static void send_all(const peer *to, const char *at, size_t len) {
  while (len > 0) {
    const ssize_t n = send(to->descriptor, at, len, MSG_NOSIGNAL);
    if (n <= 0)
      fail("the server does not take what is sent");
    at += n;
    len -= (size_t)n;
  }
}

static bool is_value_right(const char *reply) {
  if (!state.unordered)
    return memcmp(reply, state.reply, state.reply_id_at) == 0;
  return memcmp(reply, state.reply, state.value_at) == 0 &&
         sum_bytes(reply + state.value_at, reply + state.reply_id_at) == state.value_sum;
}

/* The place in the window that a reply is for; checks everything else about it. */
static size_t check_reply(const peer *from, const char *reply) {
  char digits[SLOT_DIGITS + 1] = {0};
  memcpy(digits, reply + state.reply_id_at + ID_DIGITS - SLOT_DIGITS, SLOT_DIGITS);
  const size_t slot = strtoul(digits, NULL, 16);
  if (!is_value_right(reply) || memcmp(reply + state.reply_len - 2, "\"}", 2) != 0 ||
      slot >= state.in_flight || from->sent_ns[slot] == 0) {
    fprintf(stderr, "load: got %.*s\n", (int)state.reply_len, reply);
    fail("a reply is wrong");
  }
  return slot;
}

static void take_replies(peer *from) {
  size_t at = 0;
  size_t out_len = 0;
  const uint64_t at_ns = now_ns();
  while (from->in_len - at >= state.reply_len) {
    const size_t slot = check_reply(from, from->in + at);
    state.latency[bucket_of(at_ns - from->sent_ns[slot])]++;
    state.completed++;
    state.outstanding--;
    from->sent_ns[slot] = 0;
    at += state.reply_len;
    if (state.stopping)
      continue;
    if (out_len + state.request_len > sizeof state.out) {
      send_all(from, state.out, out_len);
      out_len = 0;
    }
    put_request(from, state.out + out_len, slot, at_ns);
    out_len += state.request_len;
  }
  send_all(from, state.out, out_len);
  memmove(from->in, from->in + at, from->in_len - at);
  from->in_len -= at;
}

static void read_replies(peer *from) {
  const ssize_t n = recv(from->descriptor, from->in + from->in_len, BUFFER - from->in_len, 0);
  if (n <= 0)
    fail("the server closed a connection");
  from->in_len += (size_t)n;
  take_replies(from);
}

static void open_peer(peer *to, uint16_t port, int poll) {
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int one = 1;
  to->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(to->descriptor, (const struct sockaddr *)&address, sizeof address) != 0)
    fail("can't connect");
  setsockopt(to->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = to};
  epoll_ctl(poll, EPOLL_CTL_ADD, to->descriptor, &event);
  to->sent_ns = calloc(state.in_flight, sizeof *to->sent_ns);
  to->in = malloc(BUFFER);
  if (to->sent_ns == NULL || to->in == NULL)
    fail("out of memory");
}

static void start_window(peer *to) {
  for (size_t slot = 0; slot < state.in_flight; slot++) {
    put_request(to, state.out, slot, now_ns());
    send_all(to, state.out, state.request_len);
  }
}

int main(int argc, char **argv) {
  if (argc < 8)
    fail("usage: load PORT CONNECTIONS IN_FLIGHT SECONDS PATTERN DATA RESPONSE [unordered]");
  state.unordered = argc > 8;
  const size_t count = strtoul(argv[2], NULL, 10);
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  peer *peers = calloc(count, sizeof *peers);
  if (peers == NULL || poll < 0)
    fail("out of memory");
  state.in_flight = strtoul(argv[3], NULL, 10);
  prepare(argv[5], argv[6], argv[7]);
  for (size_t i = 0; i < count; i++)
    open_peer(&peers[i], (uint16_t)atoi(argv[1]), poll);
  const uint64_t start = now_ns();
  const uint64_t end = start + (uint64_t)(strtod(argv[4], NULL) * 1e9);
  for (size_t i = 0; i < count; i++)
    start_window(&peers[i]);
  while (state.outstanding > 0) {
    struct epoll_event events[256];
    const int ready = epoll_wait(poll, events, 256, 5000);
    if (ready <= 0)
      fail("no reply within 5 s");
    state.stopping = now_ns() >= end;
    for (int i = 0; i < ready; i++)
      read_replies(events[i].data.ptr);
  }
  const double seconds = (double)(now_ns() - start) / 1e9;
  printf("{\"requests\":%llu,\"per_second\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
         (unsigned long long)state.completed, (double)state.completed / seconds, percentile(0.5),
         percentile(0.99));
  return 0;
}
