/*
 * What the embedder offers to services, and what bounds the host.
 */
#include <string.h>

#include "host_internal.h"

int roost_host_module(roost_host *host, const char *name, const roost_function *functions) {
  if (host == NULL)
    return ROOST_EINVAL;
  const char *why;
  if (host->loaded)
    return roost_host_fail(host, ROOST_ESTATE, "the configuration is loaded already");
  const int status = roost_modules_add(host->modules, name, functions, &why);
  return status == 0 ? 0 : roost_host_fail(host, status, why);
}
