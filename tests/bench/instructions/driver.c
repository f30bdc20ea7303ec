/*
 * Drives a host inside this process by one scenario of requests, so that what a request costs can
 * be counted: instructions by callgrind (see gate), allocations by itself. The peer's end is a
 * socket pair's, the same requests are sent again and again in batches that one read takes, and
 * every batch must be answered with the same bytes: nothing depends on time, on the network or on
 * other work.
 *
 *   roost_bench_driver DIR SCENARIO    some warm-up, then SCENARIO's requests inside count_turn;
 *                                      prints how many they were
 *   roost_bench_driver DIR             all scenarios: counts allocations per request and system
 *                                      calls per batch, and fails where there are too many
 *   roost_bench_driver DIR --list      the names of those whose instructions are counted
 *
 * DIR holds host.lua and service.lua.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lua.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/slice.h"
#include "host_internal.h"

#define MOST_BYTES 262144 /* of a batch, and of its replies */
#define TURN_MS    100

typedef struct scenario {
  const char *name;
  bool is_gated; /* its instructions are counted, too */
  unsigned server;
  const char *pattern;
  const char *data; /* JSON; NULL: a text of text_bytes, or the port where that is 0 */
  unsigned text_bytes;
  unsigned in_flight; /* requests in a batch */
  unsigned batches;   /* measured */
  unsigned rounds;    /* connections that a batch goes through, each of them once */
  double c_most;      /* allocations a request may make in C */
  double lua_most;    /* and in Lua */
} scenario;

static const scenario scenarios[] = {
    {"sum", true, 0, "{\"cmd\":\"sum\"}", "[1,2,3]", 0, 16, 1000, 1, 0, 2},
    {"echo 64 B", true, 0, "\"echo\"", NULL, 64, 16, 1000, 1, 0, 1},
    {"echo 1 KiB", true, 0, "\"echo\"", NULL, 1024, 16, 500, 1, 0, 1},
    {"echo 64 KiB", true, 0, "\"echo\"", NULL, 65536, 1, 1000, 1, 0, 1},
    {"stream of 100", true, 0, "\"count\"", "100", 0, 1, 500, 1, 0, 1},
    {"client call", true, 0, "\"ask\"", NULL, 0, 16, 500, 2, 0, 4.1},
    /* Two are lua-cjson's own; now and then the stack of a coroutine of its state grows. */
    {"sum by cjson", false, 1, "{\"cmd\":\"sum\"}", "[1,2,3]", 0, 16, 1000, 1, 2.1, 2.1},
};
#define SCENARIO_COUNT (sizeof scenarios / sizeof scenarios[0])

typedef struct driver {
  roost_host *host;
  int near;     /* our end of the connection to the host */
  int listener; /* the server that a client's scenario calls */
  int caller;   /* the client's connection to it; -1: none yet */
  size_t batch_len;
  size_t expected_len;
  char batch[MOST_BYTES];
  char expected[MOST_BYTES]; /* the replies to a batch */
  char got[MOST_BYTES];
} driver;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("driver: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

/* ------------------------------------------------------------------------- counting ---------- */

/* On the host's thread alone, while its turns run. */
static _Thread_local bool is_counting;

static struct {
  size_t in_c;   /* allocations */
  size_t in_lua; /* allocations */
  size_t reads;
  size_t writes;
  size_t waits;
  size_t others; /* system calls of the loop and its connections besides these */
} counted;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);

/* In the place of the C library's for every library of the process. */
#define FOR_ALL __attribute__((visibility("default"), used))

FOR_ALL void *malloc(size_t size) {
  counted.in_c += is_counting;
  return __libc_malloc(size);
}

FOR_ALL void *calloc(size_t count, size_t size) {
  counted.in_c += is_counting;
  return __libc_calloc(count, size);
}

FOR_ALL void *realloc(void *ptr, size_t size) {
  counted.in_c += is_counting && size > 0;
  return __libc_realloc(ptr, size);
}

FOR_ALL ssize_t recv(int descriptor, void *to, size_t room, int flags) {
  counted.reads += is_counting;
  return syscall(SYS_recvfrom, descriptor, to, room, flags, NULL, NULL);
}

FOR_ALL ssize_t send(int descriptor, const void *from, size_t len, int flags) {
  counted.writes += is_counting;
  return syscall(SYS_sendto, descriptor, from, len, flags, NULL, 0);
}

FOR_ALL int epoll_pwait(int descriptor, struct epoll_event *events, int most, int timeout,
                        const sigset_t *signals) {
  counted.waits += is_counting;
  return (int)syscall(SYS_epoll_pwait, descriptor, events, most, timeout, signals, _NSIG / 8);
}

FOR_ALL int epoll_wait(int descriptor, struct epoll_event *events, int most, int timeout) {
  return epoll_pwait(descriptor, events, most, timeout, NULL);
}

FOR_ALL int epoll_ctl(int descriptor, int operation, int of, struct epoll_event *event) {
  counted.others += is_counting;
  return (int)syscall(SYS_epoll_ctl, descriptor, operation, of, event);
}

/* Lua makes its hash seed of it: with another one, other keys collide. */
FOR_ALL time_t time(time_t *out) {
  const time_t fixed = 1700000000;
  if (out != NULL)
    *out = fixed;
  return fixed;
}

static lua_Alloc lua_allocate;

static void *count_lua(void *ud, void *ptr, size_t old_size, size_t new_size) {
  const bool counts = is_counting;
  counted.in_lua += counts && new_size > (ptr != NULL ? old_size : 0);
  is_counting = false; /* what Lua needs from the heap is Lua's */
  void *moved = lua_allocate(ud, ptr, old_size, new_size);
  is_counting = counts;
  return moved;
}

/* What is measured: the instructions of everything inside it. */
__attribute__((noinline, noclone, used)) int count_turn(roost_host *host) {
  is_counting = true;
  const int status = roost_host_poll(host, TURN_MS);
  is_counting = false;
  return status;
}

/* ------------------------------------------------------------------------- the host ---------- */

static void take_line(void *ud, roost_log_level level, roost_slice line) {
  (void)ud;
  if (level >= ROOST_LOG_WARN)
    fprintf(stderr, "%.*s\n", (int)line.len, line.ptr);
}

static void start_host(driver *self, const char *dir) {
  roost_config config;
  char path[512];
  roost_config_init(&config);
  config.log = take_line;
  config.watchdog_signal = SIGRTMIN + 3;
  if (roost_host_new(&self->host, &config) != 0)
    die("no host");
  snprintf(path, sizeof path, "%s/service.lua", dir);
  int status = roost_host_set(self->host, "services", path);
  snprintf(path, sizeof path, "%s/host.lua", dir);
  if (status == 0)
    status = roost_host_load_config(self->host, path);
  while (status >= 0 && self->host->worker->state != ROOST_WORKER_RUNNING)
    status = roost_host_poll(self->host, TURN_MS);
  if (status < 0)
    die("%s", roost_host_error(self->host));
  lua_State *lua = self->host->worker->dispatch->services[0]->current->vm->lua;
  void *ud;
  lua_allocate = lua_getallocf(lua, &ud);
  lua_setallocf(lua, count_lua, ud);
}

/* A connection as if it had been accepted. */
static void connect_host(driver *self, const scenario *it) {
  const roost_worker *worker = self->host->worker;
  roost_conn *conn;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0 ||
      roost_conn_adopt(&conn, worker->loop, pair[1]) != 0 ||
      roost_tcp_server_adopt(worker->servers[it->server], conn) != 0)
    die("no connection");
  self->near = pair[0];
}

/* ------------------------------------------------------------------------- the called -------- */

static unsigned listen_for_calls(driver *self) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  self->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(self->listener, (struct sockaddr *)&address, size) != 0 ||
      listen(self->listener, 1) != 0 ||
      getsockname(self->listener, (struct sockaddr *)&address, &size) != 0)
    die("cannot listen");
  return ntohs(address.sin_port);
}

/* Answers all requests that a client has sent, in one write. */
static void answer_calls(driver *self) {
  static char from[MOST_BYTES];
  static char to[MOST_BYTES];
  if (self->caller < 0)
    self->caller = accept4(self->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  const ssize_t n = self->caller >= 0 ? recv(self->caller, from, sizeof from - 1, 0) : 0;
  if (n <= 0)
    return;
  from[n] = '\0';
  size_t len = 0;
  for (const char *at = strstr(from, "\"id\":\""); at != NULL; at = strstr(at, "\"id\":\"")) {
    char body[128];
    at += strlen("\"id\":\"");
    const int body_len =
        snprintf(body, sizeof body, "{\"response\":6,\"isDisposed\":true,\"id\":\"%.*s\"}",
                 (int)strcspn(at, "\""), at);
    len += (size_t)snprintf(to + len, sizeof to - len, "%d#%s", body_len, body);
  }
  if (send(self->caller, to, len, 0) != (ssize_t)len)
    die("the client's connection is full");
}

/* ------------------------------------------------------------------------- requests ---------- */

static void add_request(driver *self, const scenario *it, unsigned port, unsigned id) {
  static char body[MOST_BYTES];
  static char text[MOST_BYTES];
  int len;
  if (it->data != NULL)
    len = snprintf(text, sizeof text, "%s", it->data);
  else if (it->text_bytes == 0)
    len = snprintf(text, sizeof text, "%u", port);
  else
    len = snprintf(text, sizeof text, "\"%0*d\"", (int)it->text_bytes, 0);
  len = snprintf(body, sizeof body, "{\"pattern\":%s,\"data\":%.*s,\"id\":\"%u\"}", it->pattern,
                 len, text, id);
  self->batch_len += (size_t)snprintf(self->batch + self->batch_len,
                                      sizeof self->batch - self->batch_len, "%d#%s", len, body);
}

/* Replies that have come, after those that are there already. */
static size_t take_replies(driver *self, size_t len) {
  const ssize_t n = recv(self->near, self->got + len, sizeof self->got - len, 0);
  if (n < 0 && errno != EAGAIN)
    die("recv: %s", strerror(errno));
  if (n == 0)
    die("the host has closed the connection");
  return len + (size_t)(n > 0 ? n : 0);
}

static void send_batch(const driver *self) {
  if (send(self->near, self->batch, self->batch_len, 0) != (ssize_t)self->batch_len)
    die("a batch is larger than the socket's buffer");
}

/* The first batch: what is answered until nothing more comes is what every other must be. */
static void learn(driver *self, const scenario *it) {
  size_t len = 0;
  send_batch(self);
  for (unsigned silent = 0; silent < 5; silent++) {
    if (roost_host_poll(self->host, TURN_MS) < 0)
      die("%s", roost_host_error(self->host));
    answer_calls(self);
    const size_t before = len;
    len = take_replies(self, len);
    if (len > before)
      silent = 0;
  }
  self->got[len] = '\0';
  if (len == 0 || strstr(self->got, "\"err\"") != NULL)
    die("%s: answered with %.200s", it->name, self->got);
  memcpy(self->expected, self->got, len);
  self->expected_len = len;
}

static void exchange(driver *self, const scenario *it, int (*turn)(roost_host *host)) {
  size_t len = 0;
  send_batch(self);
  while (len < self->expected_len) {
    if (turn(self->host) < 0)
      die("%s", roost_host_error(self->host));
    answer_calls(self);
    len = take_replies(self, len);
  }
  if (len != self->expected_len || memcmp(self->got, self->expected, len) != 0)
    die("%s: answered with %.*s", it->name, (int)(len < 200 ? len : 200), self->got);
}

static int plain_turn(roost_host *host) {
  return roost_host_poll(host, TURN_MS);
}

/* Its requests, once what is pooled and grown has its size; returns how many. */
static unsigned run(driver *self, const scenario *it, unsigned port) {
  self->batch_len = 0;
  connect_host(self, it);
  for (unsigned i = 1; i <= it->in_flight; i++)
    add_request(self, it, port, i);
  learn(self, it);
  for (unsigned i = 0; i < it->batches / 4; i++)
    exchange(self, it, plain_turn);
  memset(&counted, 0, sizeof counted);
  for (unsigned i = 0; i < it->batches; i++)
    exchange(self, it, count_turn);
  close(self->near);
  return it->batches * it->in_flight;
}

/* ------------------------------------------------------------------------- the program ------- */

/* A timer may end a wait for a client's server now and then. */
static bool is_fine(const scenario *it) {
  const size_t requests = (size_t)it->batches * it->in_flight;
  const size_t most = (size_t)it->batches * it->rounds;
  return (double)counted.in_c <= it->c_most * (double)requests &&
         (double)counted.in_lua <= it->lua_most * (double)requests && counted.reads <= most &&
         counted.writes <= most && counted.waits <= most + most / 100 && counted.others == 0;
}

/* All scenarios, with a verdict on what they allocate and on their system calls. */
static int check_counts(driver *self, unsigned port) {
  int failed = 0;
  printf("%-19s %12s %12s  %s\n", "", "allocations", "of Lua", "reads, writes, waits, others");
  for (size_t i = 0; i < SCENARIO_COUNT; i++) {
    const scenario *it = &scenarios[i];
    const double requests = run(self, it, port);
    const double batches = it->batches;
    const bool fine = is_fine(it);
    printf("%-4s %-14s %12.4f %12.4f  %.2f %.2f %.2f %.2f for %u\n", fine ? "ok" : "FAIL", it->name,
           (double)counted.in_c / requests, (double)counted.in_lua / requests,
           (double)counted.reads / batches, (double)counted.writes / batches,
           (double)counted.waits / batches, (double)counted.others / batches, it->in_flight);
    if (!fine)
      printf("     at most %.1f and %.1f a request; %u, %u, %u, 0 a batch\n", it->c_most,
             it->lua_most, it->rounds, it->rounds, it->rounds);
    failed += !fine;
  }
  printf("%d passed, %d failed\n", (int)SCENARIO_COUNT - failed, failed);
  return failed > 0;
}

static const scenario *find_scenario(const char *name) {
  for (size_t i = 0; i < SCENARIO_COUNT; i++)
    if (strcmp(scenarios[i].name, name) == 0)
      return &scenarios[i];
  die("there is no scenario %s", name);
}

static int list(void) {
  for (size_t i = 0; i < SCENARIO_COUNT; i++)
    if (scenarios[i].is_gated)
      puts(scenarios[i].name);
  return 0;
}

int main(int argc, char **argv) {
  static driver self = {.caller = -1};
  int code = 0;
  if (argc < 2)
    die("usage: roost_bench_driver DIR [SCENARIO | --list]");
  if (argc > 2 && strcmp(argv[2], "--list") == 0)
    return list();
  start_host(&self, argv[1]);
  const unsigned port = listen_for_calls(&self);
  if (argc > 2)
    printf("%u\n", run(&self, find_scenario(argv[2]), port));
  else
    code = check_counts(&self, port);
  roost_host_free(self.host);
  close(self.listener);
  if (self.caller >= 0)
    close(self.caller);
  return code;
}
