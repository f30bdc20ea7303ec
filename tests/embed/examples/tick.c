/*
 * A game server: 60 frames a second, 1,000 entities whose behaviour is scripted and reloaded every
 * second while it runs, players asking where they are.
 *
 *     tick FOLDER [FRAMES [REQUESTS]]    of FOLDER/npc.lua; so many requests come each frame
 *
 * The world is this program's: scripts see it through the module "game". Each frame tells the
 * scripts (an event), then gives the host half a millisecond for all that came in; what is left
 * waits for the next frame. At the end it prints how long that took: by the clock, and in time of
 * the processor. Then the control: a loop of this program's own after each poll, as long as half of
 * the polls are. By how much its slowest frames are slower is the machine's doing, and polls have
 * that in them too.
 */
#define _GNU_SOURCE /* where -std=c11 is said */
#include <arpa/inet.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <roost.h>

#define ENTITIES  1000
#define FRAME_NS  16666667L
#define BUDGET_US 500
#define PEERS     20

/* ------------------------------------------------------------------------- the world --------- */

typedef struct world {
  double x[ENTITIES];
  double y[ENTITIES];
  uint64_t moves;
} world;

/* game.move(id, dx, dy) */
static int move(void *ud, roost_params *params) {
  world *w = ud;
  const int64_t id = roost_params_integer(params, 0);
  if (id < 1 || id > ENTITIES)
    return roost_raise(params, "no such entity");
  w->x[id - 1] += roost_params_number(params, 1);
  w->y[id - 1] += roost_params_number(params, 2);
  w->moves++;
  return 0;
}

/* game.where(id) -> x, y */
static int where(void *ud, roost_params *params) {
  const world *w = ud;
  const int64_t id = roost_params_integer(params, 0);
  if (id < 1 || id > ENTITIES)
    return roost_raise(params, "no such entity");
  const int status = roost_return_number(params, w->x[id - 1]);
  return status == 0 ? roost_return_number(params, w->y[id - 1]) : status;
}

/* ------------------------------------------------------------------------- time -------------- */

static int64_t now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

typedef struct samples {
  const char *name;
  double *us;
  size_t count;
} samples;

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a;
  const double y = *(const double *)b;
  return (x > y) - (x < y);
}

static double percentile(const samples *of, double p) {
  const size_t at = (size_t)ceil((double)of->count * p / 100);
  return of->us[at > 0 ? at - 1 : 0];
}

static void report(samples *of) {
  static const char bar[] = "##################################################";
  size_t most = 1;
  size_t buckets[12] = {0};
  qsort(of->us, of->count, sizeof *of->us, compare);
  printf("%s, us: p50 %.0f, p99 %.0f, p99.9 %.0f, max %.0f\n", of->name, percentile(of, 50),
         percentile(of, 99), percentile(of, 99.9), of->us[of->count - 1]);
  for (size_t i = 0; i < of->count; i++) {
    const size_t at = (size_t)(of->us[i] / 100);
    buckets[at < 11 ? at : 11]++;
  }
  for (int i = 0; i < 12; i++)
    most = buckets[i] > most ? buckets[i] : most;
  for (int i = 0; i < 12; i++)
    if (buckets[i] > 0)
      printf("  %5d us %6zu %.*s\n", i * 100, buckets[i],
             (int)(buckets[i] * (sizeof bar - 1) / most), bar);
}

/* ------------------------------------------------------------------------- the control ------- */

typedef struct control {
  double us; /* how long it is: follows the median of the polls */
  double turns_per_us;
} control;

static double spin_us(double turns) {
  const int64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
  for (volatile int64_t left = (int64_t)turns; left > 0; left--)
    ;
  return (double)(now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1000;
}

/* ------------------------------------------------------------------------- players ----------- */

typedef struct players {
  int port;
  int per_frame;
  pthread_t thread;
  atomic_bool over; /* no more requests are sent */
  uint64_t sent;
  uint64_t answered;
} players;

typedef struct peer {
  int fd;
  char in[65536];
  size_t len;
} peer;

static int dial(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    perror("tick: connect");
    exit(1);
  }
  return fd;
}

/* A frame is LENGTH#JSON; whole ones are counted. */
static void read_replies(players *self, peer *from) {
  const ssize_t n = recv(from->fd, from->in + from->len, sizeof from->in - from->len, MSG_DONTWAIT);
  size_t at = 0;
  from->len += n > 0 ? (size_t)n : 0;
  for (;;) {
    const char *hash = memchr(from->in + at, '#', from->len - at);
    if (hash == NULL)
      break;
    const size_t end = (size_t)(hash + 1 - from->in) + strtoul(from->in + at, NULL, 10);
    if (end > from->len)
      break;
    const char *body = hash + 1;
    self->answered += memmem(body, end - (size_t)(body - from->in), "response", 8) != NULL;
    at = end;
  }
  memmove(from->in, from->in + at, from->len - at);
  from->len -= at;
}

static void send_requests(players *self, const peer *peers) {
  for (int i = 0; i < PEERS; i++) {
    char out[8192];
    size_t len = 0;
    for (int n = 0; n < self->per_frame / PEERS; n++) {
      char body[96];
      const int size =
          snprintf(body, sizeof body, "{\"pattern\":\"where\",\"data\":%d,\"id\":\"%d\"}",
                   (int)(self->sent % ENTITIES) + 1, n);
      len += (size_t)snprintf(out + len, sizeof out - len, "%d#%s", size, body);
      self->sent++;
    }
    if (send(peers[i].fd, out, len, MSG_NOSIGNAL) != (ssize_t)len)
      perror("tick: send");
  }
}

static void *play(void *ud) {
  players *self = ud;
  peer *peers = calloc(PEERS, sizeof *peers);
  struct pollfd polls[PEERS];
  int64_t next = now_ns(CLOCK_MONOTONIC);
  for (int i = 0; i < PEERS; i++)
    polls[i] = (struct pollfd){.fd = peers[i].fd = dial(self->port), .events = POLLIN};
  for (int late = 0; late < 3000 && (!atomic_load(&self->over) || self->answered < self->sent);) {
    const int64_t now = now_ns(CLOCK_MONOTONIC);
    if (!atomic_load(&self->over) && now >= next) {
      send_requests(self, peers);
      next += FRAME_NS;
    }
    const int ready = poll(polls, PEERS, 1);
    for (int i = 0; i < PEERS && ready > 0; i++)
      if (polls[i].revents != 0)
        read_replies(self, &peers[i]);
    late += atomic_load(&self->over) && ready == 0;
  }
  for (int i = 0; i < PEERS; i++)
    close(peers[i].fd);
  free(peers);
  return NULL;
}

/* ------------------------------------------------------------------------- the game ---------- */

static int fail(roost_host *host, const char *what) {
  fprintf(stderr, "tick: %s: %s\n", what, roost_host_error(host));
  roost_host_free(host);
  return 1;
}

static roost_host *start(const char *folder, world *w) {
  const roost_function functions[] = {
      {"move", "inn", move, w}, {"where", "i", where, w}, {NULL, NULL, NULL, NULL}};
  roost_config cfg;
  roost_host *host;
  roost_config_init(&cfg);
  cfg.services = folder;
  cfg.watchdog_signal = SIGRTMIN + 3; /* else a hook counts, and Lua is half as fast */
  if (roost_host_new(&host, &cfg) != 0)
    return NULL;
  if (roost_host_module(host, "game", functions) != 0 ||
      roost_host_set(host, "servers.1.port", "0") != 0 ||
      roost_host_set(host, "admin.socket", "false") != 0 ||
      roost_host_set(host, "admin.http", "false") != 0 || roost_host_load_config(host, NULL) != 0 ||
      roost_host_poll_budget(host, BUDGET_US) != 0) {
    fail(host, "start");
    return NULL;
  }
  return host;
}

/* One frame; the times of its parts go into the samples. */
static int frame(roost_host *host, int number, samples of[4], control *c) {
  char text[16];
  const int len = snprintf(text, sizeof text, "%d", number);
  const int64_t begun = now_ns(CLOCK_MONOTONIC);
  int status =
      roost_emit(host, "local", (roost_slice){"tick", 4}, (roost_slice){text, (size_t)len});
  const int64_t told = now_ns(CLOCK_MONOTONIC);
  const int64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
  if (status == 0)
    status = roost_host_poll(host, 0);
  of[2].us[of[2].count++] = (double)(now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1000;
  of[1].us[of[1].count++] = (double)(now_ns(CLOCK_MONOTONIC) - told) / 1000;
  of[0].us[of[0].count++] = (double)(told - begun) / 1000;
  c->us += of[2].us[of[2].count - 1] > c->us ? 5 : -5;
  of[3].us[of[3].count++] = spin_us(c->us * c->turns_per_us);
  return status;
}

static void sleep_until(int64_t ns) {
  const struct timespec at = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

int main(int argc, char **argv) {
  static world w;
  const int frames = argc > 2 ? atoi(argv[2]) : 600;
  players load = {.per_frame = argc > 3 ? atoi(argv[3]) : 200};
  roost_host *host = argc > 1 ? start(argv[1], &w) : NULL;
  if (host == NULL || frames <= 0)
    return 1;
  samples of[4] = {{.name = "scripts"},
                   {.name = "poll"},
                   {.name = "poll, processor"},
                   {.name = "control, processor"}};
  for (int i = 0; i < 4; i++)
    of[i].us = calloc((size_t)frames, sizeof(double));
  control c = {.us = BUDGET_US};
  for (int i = 0; i < 20; i++)
    c.turns_per_us = fmax(c.turns_per_us, 1e5 / spin_us(1e5));
  roost_stats stats = {.struct_size = sizeof stats};
  while (stats.services == 0 ||
         roost_emit(host, "local", (roost_slice){"tick", 4}, (roost_slice){"0", 1}) != 0) {
    if (roost_host_poll(host, 10) < 0)
      return fail(host, "start");
    roost_host_stats(host, &stats);
  }
  load.port = roost_host_port(host, 0);
  pthread_create(&load.thread, NULL, play, &load);
  int64_t next = now_ns(CLOCK_MONOTONIC);
  int status = 1;
  for (int i = 1; i <= frames && status == 1; i++) {
    if (i % 60 == 0)
      roost_host_reload(host, "npc");
    status = frame(host, i, of, &c);
    sleep_until(next += FRAME_NS);
  }
  atomic_store(&load.over, true);
  for (int i = 0; i < 60 && status == 1; i++) { /* what was carried over */
    status = roost_host_poll(host, 0);
    sleep_until(next += FRAME_NS);
  }
  roost_host_stats(host, &stats);
  roost_host_stop(host);
  while (status == 1)
    status = roost_host_poll(host, 10);
  pthread_join(load.thread, NULL);
  for (int i = 0; i < 4; i++)
    report(&of[i]);
  printf("%d frames, %llu moves, %llu reloads, %llu refused; %llu requests, %llu answered\n",
         frames, (unsigned long long)w.moves, (unsigned long long)stats.reloads,
         (unsigned long long)stats.refused, (unsigned long long)load.sent,
         (unsigned long long)load.answered);
  for (int i = 0; i < 4; i++)
    free(of[i].us);
  const bool passed = status == 0 && load.sent > 0 && load.answered == load.sent &&
                      w.moves >= (uint64_t)frames * ENTITIES && stats.refused == 0 &&
                      (frames < 120 || stats.reloads > 0);
  roost_host_free(host);
  return !passed;
}
