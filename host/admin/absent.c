/* The admin pages of a build without libmicrohttpd: there are none. */
#include "admin/admin.h"

int roost_admin_open(roost_admin **out, const roost_admin_config *config,
                     roost_problems *problems) {
  const roost_settings *settings = config->settings;
  const bool given = settings->admin_socket_given || settings->admin_http_given;
  *out = NULL;
  if (!given || (settings->admin_socket == NULL && settings->admin_http == NULL))
    return 0;
  roost_problems_add(problems, ROOST_PROBLEM_ERROR,
                     "%s: admin: this build has no admin pages (ROOST_ADMIN)", settings->file);
  return ROOST_EUNSUPPORTED;
}

void roost_admin_close(roost_admin *admin) {
  (void)admin;
}

void roost_admin_free(roost_admin *admin) {
  (void)admin;
}

uint16_t roost_admin_port(const roost_admin *admin) {
  (void)admin;
  return 0;
}
