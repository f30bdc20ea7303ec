#include "core/open_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int roost_open_descriptor(const char *path) {
  struct stat info;
  const int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0)
    return -1;
  int error = fstat(descriptor, &info) != 0 ? errno : 0;
  if (error == 0 && !S_ISREG(info.st_mode))
    error = S_ISDIR(info.st_mode) ? EISDIR : ENODEV;
  if (error == 0)
    return descriptor;
  close(descriptor);
  errno = error;
  return -1;
}

FILE *roost_open_file(const char *path) {
  const int descriptor = roost_open_descriptor(path);
  FILE *file = descriptor >= 0 ? fdopen(descriptor, "rb") : NULL;
  if (file != NULL || descriptor < 0)
    return file;
  const int error = errno;
  close(descriptor);
  errno = error;
  return NULL;
}

const char *roost_open_error(int error) {
  return error == ENODEV ? "it is no regular file" : strerror(error);
}
