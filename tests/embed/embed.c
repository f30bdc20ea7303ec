/* A C11 program that uses nothing but roost.h: one handler, one request over a socket of its own.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <roost.h>

static void on_hello(void *ud, roost_call *call) {
  const char *const name = ud;
  char reply[64];
  int len = snprintf(reply, sizeof reply, "\"hello %s\"", name);
  roost_call_reply(call, (roost_slice){reply, (size_t)len});
}

static int ask(const roost_host *host, const char *frame) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)roost_host_port(host, 0)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
      write(fd, frame, strlen(frame)) != (ssize_t)strlen(frame))
    return -1;
  return fd;
}

int main(void) {
  static const char expected[] =
      "53#{\"response\":\"hello world\",\"isDisposed\":true,\"id\":\"1\"}";
  char name[] = "world";
  char got[128] = "";
  roost_config cfg;
  roost_host *host;
  roost_config_init(&cfg);
  if (roost_host_new(&host, &cfg) != 0 ||
      roost_host_handle(host, "{\"cmd\":\"hello\"}", on_hello, name) != 0 ||
      roost_host_listen(host, "tcp://127.0.0.1:0") != 0) {
    fprintf(stderr, "%s\n", roost_host_error(host));
    return 1;
  }
  int fd = ask(host, "36#{\"pattern\":{\"cmd\":\"hello\"},\"id\":\"1\"}");
  for (int i = 0; i < 1000 && recv(fd, got, sizeof got - 1, MSG_DONTWAIT) <= 0; i++)
    roost_host_poll(host, 5);
  close(fd);
  roost_host_stop(host);
  bool drained = roost_host_run(host) == 0;
  roost_host_free(host);
  bool passed = drained && strcmp(got, expected) == 0;
  if (!passed)
    fprintf(stderr, "got: %s\n", got);
  printf("%d passed, %d failed\n", passed, !passed);
  return !passed;
}
