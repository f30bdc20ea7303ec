#include "roost.h"

const char *roost_status_name(int status) {
  static const char *const names[] = {
      [-ROOST_OK] = "ROOST_OK",
      [-ROOST_ENOMEM] = "ROOST_ENOMEM",
      [-ROOST_EINVAL] = "ROOST_EINVAL",
      [-ROOST_ECONFIG] = "ROOST_ECONFIG",
      [-ROOST_ESCRIPT] = "ROOST_ESCRIPT",
      [-ROOST_EPROTO] = "ROOST_EPROTO",
      [-ROOST_EFULL] = "ROOST_EFULL",
      [-ROOST_ETIMEDOUT] = "ROOST_ETIMEDOUT",
      [-ROOST_EGONE] = "ROOST_EGONE",
      [-ROOST_ENOENT] = "ROOST_ENOENT",
      [-ROOST_ESTATE] = "ROOST_ESTATE",
      [-ROOST_ECONNECT] = "ROOST_ECONNECT",
      [-ROOST_ESYSTEM] = "ROOST_ESYSTEM",
      [-ROOST_EREMOTE] = "ROOST_EREMOTE",
      [-ROOST_EUNSUPPORTED] = "ROOST_EUNSUPPORTED",
  };
  const int count = (int)(sizeof names / sizeof names[0]);
  if (status > 0 || status <= -count)
    return "ROOST_E?";
  return names[-status];
}

uint32_t roost_version(void) {
  return ROOST_VERSION_MAJOR * 10000 + ROOST_VERSION_MINOR * 100 + ROOST_VERSION_PATCH;
}
