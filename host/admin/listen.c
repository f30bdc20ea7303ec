#include "admin/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/slice.h"

#define BACKLOG 128

static const char no_socket[] = "there is a file of that name that is no socket";

/* A path as bind and connect take it. These know names of 107 bytes; a longer one goes by its
 * folder's descriptor. */
typedef struct place {
  roost_buffer path; /* NUL-terminated */
  int folder;        /* -1: not needed */
  struct sockaddr_un address;
} place;

static int fail(const char **why, int status, const char *text) {
  *why = text;
  return status;
}

static int fail_errno(const char **why) {
  return fail(why, ROOST_ESYSTEM, strerror(errno));
}

/* Makes the folders above the last part of the path. */
static int make_folders(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    const int failed = mkdir(path, 0777) != 0 && errno != EEXIST;
    *slash = '/';
    if (failed)
      return ROOST_ESYSTEM;
  }
  return 0;
}

static int find_path(place *at, const char *working_dir, const char *path, const char **why) {
  const bool relative = working_dir != NULL && path[0] != '/';
  *at = (place){.folder = -1, .address = {.sun_family = AF_UNIX}};
  roost_buffer_init(&at->path, roost_alloc_default());
  int status = roost_buffer_printf(&at->path, "%s%s%s", relative ? working_dir : "",
                                   relative ? "/" : "", path);
  if (status == 0)
    status = roost_buffer_append_byte(&at->path, '\0');
  return status == 0 ? 0 : fail(why, status, "out of memory");
}

static int find_address(place *at, const char **why) {
  char *path = at->path.ptr;
  char *slash = strrchr(path, '/');
  const size_t size = sizeof at->address.sun_path;
  if (strlen(path) < size) {
    memcpy(at->address.sun_path, path, strlen(path) + 1);
    return 0;
  }
  if (slash == NULL || slash == path || strlen(slash) > 64)
    return fail(why, ROOST_EINVAL, "the name is too long for a socket");
  *slash = '\0';
  at->folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  *slash = '/';
  if (at->folder < 0)
    return fail_errno(why);
  snprintf(at->address.sun_path, size, "/proc/self/fd/%d/%s", at->folder, slash + 1);
  return 0;
}

static void leave(place *at) {
  if (at->folder >= 0)
    close(at->folder);
  roost_buffer_deinit(&at->path);
}

static int connect_to(int *out, const place *at) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  *out = -1;
  if (fd < 0)
    return ROOST_ESYSTEM;
  if (connect(fd, (const struct sockaddr *)&at->address, sizeof at->address) == 0) {
    *out = fd;
    return 0;
  }
  const int error = errno;
  close(fd);
  errno = error;
  return ROOST_ECONNECT;
}

/* What a host that was killed leaves behind; anything else in that place is left alone. */
static int remove_stale(const place *at, const char **why) {
  struct stat info;
  int fd;
  if (lstat(at->address.sun_path, &info) != 0)
    return errno == ENOENT ? 0 : fail_errno(why);
  if (!S_ISSOCK(info.st_mode))
    return fail(why, ROOST_ESYSTEM, no_socket);
  if (connect_to(&fd, at) == 0) {
    close(fd);
    return fail(why, ROOST_ESTATE, "another host answers there");
  }
  if (errno == EAGAIN) /* he is busy */
    return fail(why, ROOST_ESTATE, "another host answers there");
  if (errno != ECONNREFUSED)
    return fail_errno(why);
  return unlink(at->address.sun_path) == 0 || errno == ENOENT ? 0 : fail_errno(why);
}

/* Linux gives the file the mode that the socket has when it is bound. */
static int bind_socket(int *out, const place *at, const char **why) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && fchmod(fd, 0600) == 0 &&
      bind(fd, (const struct sockaddr *)&at->address, sizeof at->address) == 0 &&
      listen(fd, BACKLOG) == 0) {
    *out = fd;
    return 0;
  }
  const int status =
      errno == EADDRINUSE ? fail(why, ROOST_ESTATE, "another host answers there") : fail_errno(why);
  if (fd >= 0)
    close(fd);
  return status;
}

int roost_admin_listen_socket(int *out, const char *working_dir, const char *path,
                              const char **why) {
  place at;
  *out = -1;
  int status = find_path(&at, working_dir, path, why);
  if (status == 0 && make_folders(at.path.ptr) != 0)
    status = fail_errno(why);
  if (status == 0)
    status = find_address(&at, why);
  if (status == 0)
    status = remove_stale(&at, why);
  if (status == 0)
    status = bind_socket(out, &at, why);
  leave(&at);
  return status;
}

int roost_admin_check_socket(const char *working_dir, const char *path, const char **why) {
  place at;
  struct stat info;
  int status = find_path(&at, working_dir, path, why);
  if (status == 0)
    status = find_address(&at, why);
  if (status == 0 && lstat(at.address.sun_path, &info) == 0 && !S_ISSOCK(info.st_mode))
    status = fail(why, ROOST_EINVAL, no_socket);
  leave(&at);
  return status;
}

void roost_admin_unlink_socket(const char *working_dir, const char *path) {
  place at;
  const char *why;
  int other;
  if (find_path(&at, working_dir, path, &why) == 0 && find_address(&at, &why) == 0) {
    if (connect_to(&other, &at) == 0)
      close(other);
    else if (errno == ECONNREFUSED)
      unlink(at.address.sun_path);
  }
  leave(&at);
}

int roost_admin_connect_socket(int *out, const char *working_dir, const char *path,
                               const char **why) {
  place at;
  *out = -1;
  int status = find_path(&at, working_dir, path, why);
  if (status == 0)
    status = find_address(&at, why);
  if (status == 0 && connect_to(out, &at) != 0)
    status = fail(why, ROOST_ECONNECT, strerror(errno));
  leave(&at);
  return status;
}

/* ------------------------------------------------------------------------- HTTP -------------- */

typedef union endpoint {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} endpoint;

static socklen_t read_address(endpoint *address, const char *host, uint16_t port) {
  memset(address, 0, sizeof *address);
  if (strcmp(host, "localhost") == 0)
    host = "127.0.0.1";
  if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons(port);
    return sizeof address->v4;
  }
  address->v6.sin6_family = AF_INET6;
  address->v6.sin6_port = htons(port);
  return inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1 ? sizeof address->v6 : 0;
}

int roost_admin_listen_http(int *out, const char *host, uint16_t *port, const char **why) {
  endpoint address;
  socklen_t len = read_address(&address, host, *port);
  const int on = 1;
  *out = -1;
  if (len == 0)
    return fail(why, ROOST_EINVAL, "this is no address");
  const int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      bind(fd, &address.any, len) == 0 && listen(fd, BACKLOG) == 0 &&
      getsockname(fd, &address.any, &len) == 0) {
    *port = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    *out = fd;
    return 0;
  }
  const int status =
      errno == EADDRINUSE ? fail(why, ROOST_ESTATE, strerror(errno)) : fail_errno(why);
  if (fd >= 0)
    close(fd);
  return status;
}
