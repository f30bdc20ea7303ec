#include "cli/manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_DESCRIPTOR 3

/* The number in an environment variable; 0 where there is none. */
static unsigned long long number_of(const char *name) {
  const char *text = getenv(name);
  char *end;
  if (text == NULL || *text < '0' || *text > '9')
    return 0;
  const unsigned long long number = strtoull(text, &end, 10);
  return *end == '\0' ? number : 0;
}

/* Whether a variable that names a process means this one; one that is not there does where it may
 * be missing. */
static bool means_us(const char *name, bool may_be_missing) {
  return getenv(name) == NULL ? may_be_missing : number_of(name) == (unsigned long long)getpid();
}

void roost_manager_tell(const char *text) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  const size_t len = path != NULL ? strlen(path) : 0;
  if (len < 2 || len >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
    return;
  memcpy(to.sun_path, path, len);
  if (path[0] == '@') /* a name that is no file's */
    to.sun_path[0] = '\0';
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0)
    return;
  (void)sendto(descriptor, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
  close(descriptor);
}

int roost_manager_listen(roost_host *host) {
  const unsigned long long count = means_us("LISTEN_PID", false) ? number_of("LISTEN_FDS") : 0;
  int status = 0;
  for (unsigned long long i = 0; i < count && status == 0; i++)
    status = roost_host_inherit(host, FIRST_DESCRIPTOR + (int)i);
  unsetenv("LISTEN_PID"); /* what this process starts has nothing of it */
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  return status;
}

uint64_t roost_manager_watchdog_ms(void) {
  return means_us("WATCHDOG_PID", true) ? number_of("WATCHDOG_USEC") / 2000 : 0;
}

static void write_journal(void *ud, roost_log_level level, roost_slice line) {
  static const char priorities[] = {[ROOST_LOG_DEBUG] = '7',
                                    [ROOST_LOG_INFO] = '6',
                                    [ROOST_LOG_WARN] = '4',
                                    [ROOST_LOG_ERROR] = '3'};
  (void)ud;
  fprintf(stderr, "<%c>%.*s\n", priorities[level], (int)line.len, line.ptr);
}

roost_log_fn *roost_manager_log(void) {
  const char *stream = getenv("JOURNAL_STREAM");
  struct stat info;
  char own[64];
  if (stream == NULL || fstat(STDERR_FILENO, &info) != 0)
    return NULL;
  snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)info.st_dev, (uintmax_t)info.st_ino);
  return strcmp(stream, own) == 0 ? write_journal : NULL;
}
