/*
 * A host among other things that one epoll waits for: its descriptor, a timer of the program's own
 * which answers calls later, and the program's own client.
 *
 *     epoll     serves, asks itself, says what it got
 */
#define _GNU_SOURCE /* where -std=c11 is said */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <roost.h>

#define LATER_MS 20
#define MOST_MS  10000

/* A call that is answered when the timer fires. */
typedef struct later {
  int timer;
  roost_call *call;
} later;

static void on_later(void *ud, roost_call *call) {
  later *self = ud;
  const struct itimerspec in = {.it_value = {.tv_nsec = LATER_MS * 1000000L}};
  if (self->call != NULL) {
    roost_call_fail(call, "busy");
    return;
  }
  self->call = call;
  timerfd_settime(self->timer, 0, &in, NULL);
}

static void on_timer(later *self) {
  uint64_t count;
  if (read(self->timer, &count, sizeof count) != sizeof count || self->call == NULL)
    return;
  roost_call_reply(self->call, (roost_slice){"\"later\"", 7});
  self->call = NULL;
}

/* Three replies, then the end: a stream. */
static void on_count(void *ud, roost_call *call) {
  static const char *const numbers[] = {"1", "2", "3"};
  (void)ud;
  for (int i = 0; i < 3; i++)
    roost_call_push(call, (roost_slice){numbers[i], 1});
  roost_call_reply(call, (roost_slice){NULL, 0});
}

static int ask(const roost_host *host) {
  static const char frames[] =
      "28#{\"pattern\":\"later\",\"id\":\"a\"}28#{\"pattern\":\"count\",\"id\":\"b\"}";
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)roost_host_port(host, 0)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
      send(fd, frames, sizeof frames - 1, MSG_NOSIGNAL) != (ssize_t)sizeof frames - 1)
    return -1;
  return fd;
}

static void watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Turns until both calls are answered: "got" ends with the last of them. */
static int serve(roost_host *host, int epoll, later *self, int client, char *got, size_t size) {
  size_t len = 0;
  for (int turns = 0; turns < MOST_MS && strstr(got, "later") == NULL; turns++) {
    struct epoll_event events[4];
    const int wait = roost_host_timeout(host);
    const int count = epoll_wait(epoll, events, 4, wait >= 0 && wait < MOST_MS ? wait : MOST_MS);
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd == self->timer)
        on_timer(self);
      if (events[i].data.fd != client)
        continue;
      const ssize_t n = recv(client, got + len, size - 1 - len, MSG_DONTWAIT);
      len += n > 0 ? (size_t)n : 0;
      got[len] = '\0';
    }
    if (roost_host_poll(host, 0) <
        0) /* its descriptor, its timers, and what on_timer has written */
      return -1;
  }
  return 0;
}

int main(void) {
  roost_config cfg;
  roost_host *host;
  char got[512] = "";
  later self = {.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
  roost_config_init(&cfg);
  if (roost_host_new(&host, &cfg) != 0 || roost_host_handle(host, "later", on_later, &self) != 0 ||
      roost_host_handle(host, "count", on_count, NULL) != 0 ||
      roost_host_listen(host, "tcp://127.0.0.1:0") != 0) {
    fprintf(stderr, "epoll: %s\n", roost_host_error(host));
    return 1;
  }
  const int client = ask(host);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, roost_host_fd(host));
  watch(epoll, self.timer);
  watch(epoll, client);
  const int status = serve(host, epoll, &self, client, got, sizeof got);
  close(client);
  close(epoll);
  close(self.timer);
  roost_host_stop(host);
  const int drained = roost_host_run(host);
  roost_host_free(host);
  printf("%s\n", got);
  return status != 0 || drained != 0 || strstr(got, "\"response\":2") == NULL ||
         strstr(got, "{\"response\":\"later\",\"isDisposed\":true,\"id\":\"a\"}") == NULL;
}
