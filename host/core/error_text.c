#include "core/error_text.h"

#include <string.h>

#define LAST_ERROR 140 /* Linux has 133 */

const char *roost_error_text(const char *name) {
  static const char tls[] = "ETLS: ";
  if (strncmp(name, tls, sizeof tls - 1) == 0)
    return name + sizeof tls - 1;
  for (int error = 1; error <= LAST_ERROR; error++) {
    const char *candidate = strerrorname_np(error);
    if (candidate != NULL && strcmp(candidate, name) == 0)
      return strerrordesc_np(error);
  }
  return strcmp(name, "ENOTFOUND") == 0 ? "No such host" : name;
}
