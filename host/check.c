#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/listen.h"
#include "certificates.h"
#include "control.h"
#include "net/crypto.h"
#include "running.h"
#include "worker.h"

/* ------------------------------------------------------------------------- services ---------- */

static void on_found(void *ud, bool error, const char *text) {
  roost_problems_add(ud, error ? ROOST_PROBLEM_ERROR : ROOST_PROBLEM_WARNING, "%s", text);
}

static bool is_found(const roost_found_list *found, const char *name) {
  for (size_t i = 0; i < found->count; i++)
    if (strcmp(found->items[i].name, name) == 0)
      return true;
  return false;
}

/* A listener may expose only services that are there. */
static void check_exposed(const roost_found_list *found, const roost_settings *settings,
                          roost_problems *problems) {
  for (size_t i = 0; i < settings->server_count; i++) {
    const char *const *name = settings->servers[i].services;
    for (; name != NULL && *name != NULL; name++)
      if (!is_found(found, *name))
        roost_problems_add(problems, ROOST_PROBLEM_ERROR,
                           "%s: servers[%zu].services: there is no service named \"%s\"",
                           settings->file, i + 1, *name);
  }
}

/* Options of a service that is not there are as good as none, and it may have another name. */
static void check_options(const roost_found_list *found, const roost_settings *settings,
                          roost_problems *problems) {
  for (size_t i = 0; i < settings->service_option_count; i++) {
    const char *name = settings->service_options[i].name;
    if (!is_found(found, name))
      roost_problems_add(problems, ROOST_PROBLEM_WARNING,
                         "%s: service_options: there is no service named \"%s\"", settings->file,
                         name);
  }
}

int roost_check_find_services(roost_found_list *found, const roost_settings *settings,
                              const char *working_dir, roost_problems *problems) {
  size_t errors = problems->errors;
  for (const char *const *path = settings->services; *path != NULL; path++) {
    int status = roost_found_add(found, working_dir, *path, on_found, problems);
    if (status == ROOST_ENOENT)
      roost_problems_add(problems, ROOST_PROBLEM_ERROR, "%s: services: %s: no such file or folder",
                         settings->file, *path);
    else if (status != 0)
      return status;
  }
  check_exposed(found, settings, problems);
  check_options(found, settings, problems);
  return problems->errors > errors ? ROOST_ECONFIG : 0;
}

/* ------------------------------------------------------------------------- the look ---------- */

/* Everything one check needs, in the order it is made. */
typedef struct look {
  const roost_alloc *alloc;
  const roost_settings_source *source;
  roost_problems *problems;
  roost_clock clock;
  char *working_dir; /* malloc's, or the source's */
  roost_log *log;    /* what services log while they load goes to stderr */
  roost_control *control;
  roost_settings *settings;
  roost_found_list found;
  roost_running running; /* the host that is started already, perhaps */
  roost_store *store;    /* of this look alone */
  roost_worker *worker;
} look;

static int begin(look *at) {
  roost_found_init(&at->found, at->alloc);
  roost_buffer_init(&at->running.bytes, at->alloc);
  at->working_dir = at->source->working_dir ? (char *)at->source->working_dir : getcwd(NULL, 0);
  if (at->working_dir == NULL) {
    roost_problems_add(at->problems, ROOST_PROBLEM_ERROR, "the working directory: %s",
                       strerror(errno));
    return ROOST_ECONFIG;
  }
  int status = roost_log_new(&at->log, at->alloc, &at->clock, NULL, NULL);
  if (status == 0)
    status = roost_control_start(&at->control, at->alloc, at->log);
  return status;
}

static void end(look *at) {
  roost_worker_free(at->worker);
  roost_store_free(at->store);
  roost_found_deinit(&at->found);
  roost_running_deinit(&at->running);
  roost_control_stop(at->control);
  if (at->log != NULL)
    roost_log_free(at->log);
  roost_settings_free(at->settings);
  if (at->source->working_dir == NULL)
    free(at->working_dir);
}

static int load_services(look *at) {
  const roost_store_config store = {at->alloc, &at->clock, roost_random_bytes};
  int status = roost_store_new(&at->store, &store);
  if (status != 0)
    return status;
  roost_store_set_limit(at->store, at->settings->limits.store_memory);
  const roost_worker_config config = {.alloc = at->alloc,
                                      .clock = &at->clock,
                                      .log = at->log,
                                      .store = at->store,
                                      .working_dir = at->working_dir};
  status = roost_worker_new(&at->worker, &config);
  if (status != 0)
    return status;
  roost_worker_apply(at->worker, at->settings);
  status = roost_check_find_services(&at->found, at->settings, at->working_dir, at->problems);
  if (status == ROOST_ENOMEM)
    return status;
  const size_t errors = at->problems->errors;
  status = roost_worker_load(at->worker, &at->found, at->problems);
  /* One that may have too little memory is a problem as others are. */
  return status == ROOST_ENOMEM && at->problems->errors > errors ? ROOST_ESCRIPT : status;
}

/* As roost_admin_open does, without a socket file being made. */
static void try_admin_socket(look *at) {
  const roost_settings *settings = at->settings;
  const char *why;
  if (settings->admin_socket != NULL &&
      roost_admin_check_socket(at->working_dir, settings->admin_socket, &why) == ROOST_EINVAL)
    roost_problems_add(at->problems,
                       settings->admin_socket_given ? ROOST_PROBLEM_ERROR : ROOST_PROBLEM_WARNING,
                       "%s: admin.socket: %s: %s", settings->file, settings->admin_socket, why);
}

static void try_admin_port(look *at) {
  const roost_settings *settings = at->settings;
  uint16_t port = settings->admin_http_port;
  const char *why;
  int fd;
  if (settings->admin_http == NULL || at->running.answers)
    return;
  if (roost_admin_listen_http(&fd, settings->admin_http_host, &port, &why) == 0)
    close(fd);
  else
    roost_problems_add(
        at->problems, settings->admin_http_given ? ROOST_PROBLEM_ERROR : ROOST_PROBLEM_WARNING,
        "%s: admin.http: cannot listen on %s: %s", settings->file, settings->admin_http, why);
}

/* What the host holds that runs with this configuration is there for the next one. */
static int try_listener(look *at, size_t place) {
  const roost_server_config *server = &at->settings->servers[place];
  const char *why;
  if (server->options == NULL) { /* else a broker: one that is not there is waited for */
    const int status = roost_worker_listen(at->worker, server, NULL, &why);
    if (status == 0 || status == ROOST_ENOMEM)
      return status;
    if (!roost_running_holds(&at->running, server->port))
      roost_problems_add(at->problems, ROOST_PROBLEM_ERROR,
                         "%s: servers[%zu].port: cannot listen on %s:%u: %s", at->settings->file,
                         place + 1, server->host, (unsigned)server->port, why);
  }
  /* One that nobody can reach, so that conflicts of patterns are looked for there, too. */
  return roost_worker_add_server(at->worker, server);
}

static int try_listeners(look *at) {
  const int asked =
      roost_running_find(&at->running, at->alloc, at->settings, at->source->working_dir);
  if (asked != 0)
    return asked;
  try_admin_socket(at);
  try_admin_port(at);
  int status = 0;
  for (size_t i = 0; i < at->settings->server_count && status == 0; i++)
    status = try_listener(at, i);
  return status;
}

static int try_certificates(look *at) {
  roost_tls_context **contexts;
  const int status = roost_certificates_load(&contexts, at->alloc, at->settings,
                                             ROOST_PROBLEM_ERROR, at->problems);
  roost_certificates_free(at->alloc, contexts, at->settings);
  return status == ROOST_ENOMEM ? status : 0;
}

/* Of one entry, as a problem names it. */
static int try_files(look *at, const char *transport_name, const void *options, const char *entry) {
  char why[256];
  const roost_transport *transport = roost_transport_find(transport_name);
  if (options == NULL || transport == NULL || transport->check_files == NULL)
    return 0;
  const int status = transport->check_files(options, at->alloc, why, sizeof why);
  if (status != ROOST_ECONFIG)
    return status;
  roost_problems_add(at->problems, ROOST_PROBLEM_ERROR, "%s: %s.%s", at->settings->file, entry,
                     why);
  return 0;
}

static int try_all_files(look *at) {
  const roost_settings *settings = at->settings;
  char entry[160];
  int status = 0;
  for (size_t i = 0; i < settings->server_count && status == 0; i++) {
    snprintf(entry, sizeof entry, "servers[%zu]", i + 1);
    status = try_files(at, settings->servers[i].transport, settings->servers[i].options, entry);
  }
  for (size_t i = 0; i < settings->client_count && status == 0; i++) {
    snprintf(entry, sizeof entry, "clients.%.100s", settings->clients[i].name);
    status = try_files(at, settings->clients[i].transport, settings->clients[i].options, entry);
  }
  return status;
}

/* Where one is wrong its listener is not tried: it could not be made. */
static int try_listeners_and_serializers(look *at) {
  const int status = roost_worker_load_serializers(at->worker, at->settings, at->problems);
  if (status == ROOST_ECONFIG)
    return 0;
  return status == 0 ? try_listeners(at) : status;
}

/* on_start of every service, as run does it, but nothing goes live. */
static int start_services(look *at) {
  roost_worker *worker = at->worker;
  worker->check_only = true;
  roost_worker_start(worker);
  int status = 0;
  while (worker->state == ROOST_WORKER_STARTING && status == 0)
    status = roost_loop_poll(worker->loop, 1000);
  if (worker->state == ROOST_WORKER_FAILED)
    roost_problems_add(at->problems, ROOST_PROBLEM_ERROR, "%.*s", (int)worker->error.len,
                       worker->error.ptr);
  return status;
}

static int look_at(look *at, bool start) {
  int status = roost_settings_load(&at->settings, at->alloc, at->source, at->problems);
  if (status != 0)
    return status;
  bool loaded = true;
  status = load_services(at);
  if (status == ROOST_ESCRIPT || status == ROOST_ECONFIG)
    loaded = false;
  else if (status != 0)
    return status;
  status = try_certificates(at);
  if (status == 0)
    status = try_all_files(at);
  if (status == 0)
    status = try_listeners_and_serializers(at);
  if (status == 0)
    status = roost_worker_check_conflicts(at->worker, ROOST_PROBLEM_ERROR, at->problems);
  if (status == 0 && start && loaded)
    status = start_services(at);
  return status;
}

int roost_check(const roost_alloc *alloc, const roost_settings_source *source, bool start,
                roost_problems *problems) {
  look at = {.alloc = alloc, .source = source, .problems = problems};
  int status = begin(&at);
  if (status == 0)
    status = look_at(&at, start);
  end(&at);
  return status == ROOST_ECONFIG ? 0 : status; /* it is among the problems */
}
