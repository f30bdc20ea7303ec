#include "admin/admin.h"

#include "admin/admin_internal.h"
#include "admin/listen.h"
#include "core/slice.h"

enum { DOOR_SOCKET, DOOR_HTTP };

/* ------------------------------------------------------------------------- listening --------- */

/* What was not asked for may be missing. */
static int complain(const roost_admin *admin, roost_problems *problems, size_t door,
                    const char *why) {
  const roost_settings *settings = admin->config.settings;
  const bool is_socket = door == DOOR_SOCKET;
  const bool given = is_socket ? settings->admin_socket_given : settings->admin_http_given;
  roost_problems_add(problems, given ? ROOST_PROBLEM_ERROR : ROOST_PROBLEM_WARNING,
                     "%s: admin.%s: cannot listen on %s: %s%s", settings->file,
                     is_socket ? "socket" : "http",
                     is_socket ? settings->admin_socket : settings->admin_http, why,
                     given ? "" : "; going on without it");
  return given ? ROOST_ESYSTEM : 0;
}

static int open_socket(roost_admin *admin, roost_problems *problems) {
  const roost_admin_config *config = &admin->config;
  roost_door *door = &admin->doors[DOOR_SOCKET];
  const char *why = "";
  if (config->settings->admin_socket == NULL)
    return 0;
  int status = roost_admin_listen_socket(&door->fd, config->working_dir,
                                         config->settings->admin_socket, &why);
  if (status == 0) {
    status = roost_door_open(door);
    why = "no HTTP daemon";
  }
  return status == 0 ? 0 : complain(admin, problems, DOOR_SOCKET, why);
}

static int open_http(roost_admin *admin, roost_problems *problems) {
  const roost_settings *settings = admin->config.settings;
  roost_door *door = &admin->doors[DOOR_HTTP];
  const char *why = "";
  if (settings->admin_http == NULL)
    return 0;
  admin->port = settings->admin_http_port;
  int status = roost_admin_listen_http(&door->fd, settings->admin_http_host, &admin->port, &why);
  if (status == 0) {
    status = roost_door_open(door);
    why = "no HTTP daemon";
  }
  if (status == 0)
    return 0;
  admin->port = 0;
  return complain(admin, problems, DOOR_HTTP, why);
}

static void say_open(const roost_admin *admin) {
  const roost_settings *settings = admin->config.settings;
  roost_log_line line;
  char address[ROOST_REPORT_ADDRESS_BYTES];
  roost_log_begin(&line, admin->config.log, ROOST_LOG_INFO, ROOST_SLICE("admin pages"));
  if (admin->doors[DOOR_SOCKET].daemon != NULL)
    roost_log_text(&line, "socket", roost_slice_text(settings->admin_socket));
  if (admin->doors[DOOR_HTTP].daemon != NULL) {
    roost_report_address(address, settings->admin_http_host, admin->port);
    roost_log_text(&line, "http", roost_slice_text(address));
  }
  roost_log_end(&line);
}

/* ------------------------------------------------------------------------- life -------------- */

/* What the control thread is asked to do, and how that went. */
typedef struct beginning {
  roost_admin *admin;
  int status;
} beginning;

static void begin(void *ud) {
  beginning *b = ud;
  for (size_t i = 0; i < 2 && b->status == 0; i++)
    if (b->admin->doors[i].daemon != NULL)
      b->status = roost_door_start(&b->admin->doors[i]);
  if (b->status == 0) /* from then on the worker has something of ours */
    roost_asking_start(b->admin);
}

static void end(void *ud) {
  roost_admin *admin = ud;
  roost_asking_stop(admin);
  for (size_t i = 0; i < 2; i++)
    roost_door_close(&admin->doors[i]);
}

static roost_admin *admin_new(const roost_admin_config *config) {
  roost_admin *admin = roost_alloc_get(config->alloc, sizeof *admin);
  if (admin == NULL)
    return NULL;
  admin->config = *config;
  admin->loop = roost_control_loop(config->control);
  admin->opened_us = roost_clock_now_us(&admin->clock);
  for (size_t i = 0; i < 2; i++) {
    roost_door *door = &admin->doors[i];
    *door = (roost_door){.admin = admin, .local = i == DOOR_SOCKET, .fd = -1};
    roost_timer_init(&door->timer, NULL);
    roost_list_init(&door->again.link);
  }
  roost_list_init(&admin->exchanges);
  if (roost_asking_init(admin) == 0)
    return admin;
  roost_alloc_put(config->alloc, admin, sizeof *admin);
  return NULL;
}

int roost_admin_open(roost_admin **out, const roost_admin_config *config,
                     roost_problems *problems) {
  roost_admin *admin = admin_new(config);
  *out = NULL;
  if (admin == NULL)
    return ROOST_ENOMEM;
  int status = open_socket(admin, problems);
  if (status == 0)
    status = open_http(admin, problems);
  const bool any =
      admin->doors[DOOR_SOCKET].daemon != NULL || admin->doors[DOOR_HTTP].daemon != NULL;
  if (status == 0 && any) {
    beginning b = {admin, 0};
    roost_control_call(config->control, begin, &b);
    status = b.status;
  }
  if (status == 0 && any) {
    say_open(admin);
    *out = admin;
    return 0;
  }
  roost_admin_close(admin);
  roost_admin_free(admin);
  return status;
}

void roost_admin_close(roost_admin *admin) {
  if (admin == NULL || atomic_exchange(&admin->closing, true))
    return;
  const bool had_socket = admin->doors[DOOR_SOCKET].daemon != NULL;
  roost_control_call(admin->config.control, end, admin);
  if (had_socket)
    roost_admin_unlink_socket(admin->config.working_dir, admin->config.settings->admin_socket);
}

void roost_admin_free(roost_admin *admin) {
  if (admin == NULL)
    return;
  while (!roost_list_empty(&admin->exchanges))
    roost_exchange_free(ROOST_LIST_ENTRY(admin->exchanges.next, roost_exchange, link));
  roost_asking_deinit(admin);
  roost_alloc_put(admin->config.alloc, admin, sizeof *admin);
}

uint16_t roost_admin_port(const roost_admin *admin) {
  return admin != NULL ? admin->port : 0;
}
