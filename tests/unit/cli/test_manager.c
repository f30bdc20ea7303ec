/*
 * What roost run and a service manager tell each other.
 */
#include "alloc_probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/manager.h"

/* A datagram socket, bound to path or, where that begins with @, to a name that is no file's. */
static int receiver(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const size_t len = strlen(path);
  memcpy(address.sun_path, path, len);
  if (path[0] == '@')
    address.sun_path[0] = '\0';
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM, 0);
  assert_int_equal(bind(descriptor, (struct sockaddr *)&address,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                   0);
  return descriptor;
}

static void it_is_told(void **state) {
  (void)state;
  char folder[] = "/tmp/roost-manager-XXXXXX";
  char path[64];
  char name[64];
  char got[64] = "";
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/notify", folder);
  snprintf(name, sizeof name, "@roost-manager-%d", (int)getpid());
  const char *const places[] = {path, name};
  for (size_t i = 0; i < 2; i++) {
    const int descriptor = receiver(places[i]);
    setenv("NOTIFY_SOCKET", places[i], 1);
    roost_manager_tell("READY=1\nSTATUS=running");
    const ssize_t n = recv(descriptor, got, sizeof got, MSG_DONTWAIT);
    assert_int_equal(n, strlen("READY=1\nSTATUS=running"));
    assert_memory_equal(got, "READY=1\nSTATUS=running", (size_t)n);
    close(descriptor);
  }
  unlink(path);
  rmdir(folder);
}

static void nobody_may_be_there(void **state) {
  (void)state;
  char longest[300];
  memset(longest, 'a', sizeof longest - 1);
  longest[0] = '/';
  longest[sizeof longest - 1] = '\0';
  const char *const places[] = {"", "/", "relative", "/tmp/roost-none/notify", "@", longest};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    setenv("NOTIFY_SOCKET", places[i], 1);
    roost_manager_tell("READY=1");
  }
  unsetenv("NOTIFY_SOCKET");
  roost_manager_tell("READY=1");
}

static void it_says_how_often_it_wants_to_hear(void **state) {
  (void)state;
  char own[16];
  snprintf(own, sizeof own, "%d", (int)getpid());
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
  assert_int_equal(roost_manager_watchdog_ms(), 0);
  setenv("WATCHDOG_USEC", "30000000", 1);
  assert_int_equal(roost_manager_watchdog_ms(), 15000);
  setenv("WATCHDOG_PID", "1", 1);
  assert_int_equal(roost_manager_watchdog_ms(), 0);
  setenv("WATCHDOG_PID", own, 1);
  assert_int_equal(roost_manager_watchdog_ms(), 15000);
  setenv("WATCHDOG_USEC", "-1", 1);
  assert_int_equal(roost_manager_watchdog_ms(), 0);
  setenv("WATCHDOG_USEC", "5x", 1);
  assert_int_equal(roost_manager_watchdog_ms(), 0);
}

/* What stderr is told by a host's log while it is a file, which is said to be the journal's. */
static void lines_have_their_level(void **state) {
  (void)state;
  FILE *file = tmpfile();
  const int before = dup(STDERR_FILENO);
  char stream[64];
  char got[64];
  struct stat info;
  assert_non_null(file);
  assert_int_equal(fstat(fileno(file), &info), 0);
  snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)info.st_dev, (uintmax_t)info.st_ino);
  unsetenv("JOURNAL_STREAM");
  dup2(fileno(file), STDERR_FILENO);
  roost_log_fn *without = roost_manager_log();
  setenv("JOURNAL_STREAM", stream, 1);
  roost_log_fn *fn = roost_manager_log();
  for (int level = ROOST_LOG_DEBUG; fn != NULL && level <= ROOST_LOG_ERROR; level++)
    fn(NULL, (roost_log_level)level, (roost_slice){"a line|", 6});
  dup2(before, STDERR_FILENO);
  roost_log_fn *elsewhere = roost_manager_log();
  close(before);
  unsetenv("JOURNAL_STREAM");
  rewind(file);
  assert_null(without);
  assert_non_null(fn);
  assert_null(elsewhere);
  assert_int_equal(fread(got, 1, sizeof got, file), 40);
  assert_memory_equal(got, "<7>a line\n<6>a line\n<4>a line\n<3>a line\n", 40);
  fclose(file);
}

static int listening(int *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(descriptor, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(descriptor, 1), 0);
  assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &size), 0);
  *port = ntohs(address.sin_port);
  return descriptor;
}

static void keep_warning(void *ud, roost_log_level level, roost_slice line) {
  if (level == ROOST_LOG_WARN)
    snprintf(ud, 256, "%.*s", (int)line.len, line.ptr);
}

/* Has sockets be taken by the host's listeners, and by nobody else. */
static void sockets_are_handed_over(void **state) {
  (void)state;
  roost_config cfg;
  roost_host *host;
  int port;
  int other_port;
  char url[64];
  char warning[256] = "";
  roost_config_init(&cfg);
  cfg.log = keep_warning;
  cfg.log_ud = warning;
  assert_int_equal(roost_host_new(&host, &cfg), 0);
  const int descriptor = listening(&port);
  const int other = listening(&other_port);
  const int plain = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(roost_host_inherit(host, plain), ROOST_EINVAL);
  assert_int_equal(roost_host_inherit(host, -1), ROOST_EINVAL);
  assert_int_equal(roost_host_inherit(host, 0), ROOST_EINVAL);
  close(plain);
  assert_int_equal(roost_host_inherit(host, other), 0); /* nobody's: closed with the host */
  assert_int_equal(roost_host_inherit(host, descriptor), 0);
  snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
  assert_int_equal(roost_host_listen(host, url), 0);
  assert_int_equal(roost_host_port(host, 0), port);
  assert_int_equal(roost_host_listen(host, url), ROOST_ESYSTEM);
  assert_int_equal(roost_host_state(host), ROOST_STATE_IDLE);
  while (roost_host_state(host) < ROOST_STATE_RUNNING)
    assert_int_equal(roost_host_poll(host, 5), 1);
  roost_host_stop(host);
  assert_int_equal(roost_host_state(host), ROOST_STATE_DRAINING);
  assert_int_equal(roost_host_run(host), 0);
  assert_int_equal(roost_host_state(host), ROOST_STATE_DRAINED);
  setenv("LISTEN_PID", "1", 1);
  setenv("LISTEN_FDS", "3", 1);
  assert_int_equal(roost_manager_listen(host), 0); /* somebody else's */
  assert_null(getenv("LISTEN_FDS"));
  roost_host_free(host);
  assert_int_equal(fcntl(other, F_GETFD), -1);
  snprintf(url, sizeof url, "address=127.0.0.1:%d", other_port);
  assert_non_null(strstr(warning, "handed over"));
  assert_non_null(strstr(warning, url));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_is_told),
      cmocka_unit_test(nobody_may_be_there),
      cmocka_unit_test(it_says_how_often_it_wants_to_hear),
      cmocka_unit_test(lines_have_their_level),
      cmocka_unit_test(sockets_are_handed_over),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
