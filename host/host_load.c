/*
 * A host's configuration: read, and carried out on all its workers.
 */
#include <sched.h>

#include "certificates.h"
#include "check.h"
#include "core/slice.h"
#include "host_internal.h"

/* What each of the others does as the first has done. */
typedef struct loading {
  roost_host *host;
  const roost_found_list *found;
  roost_problems *problems;
} loading;

static int load_there(roost_worker *worker, void *ud) {
  const loading *what = ud;
  roost_worker_apply(worker, what->host->settings);
  return roost_worker_load_as(worker, what->found, what->host->worker, what->problems);
}

static int load_services(roost_host *host, roost_problems *problems) {
  roost_found_list found;
  const loading what = {host, &found, problems};
  roost_found_init(&found, &host->alloc);
  int status =
      roost_check_find_services(&found, host->settings, host->config.working_dir, problems);
  if (status == 0)
    status = roost_worker_load(host->worker, &found, problems);
  if (status == 0)
    status = roost_workers_each(host->workers, load_there, (void *)&what);
  roost_found_deinit(&found);
  return status;
}

static int listen_one(roost_host *host, size_t index, roost_tls_context *tls,
                      roost_problems *problems) {
  const roost_server_config *server = &host->settings->servers[index];
  const char *why;
  int status = roost_worker_listen(host->worker, server, tls, &why);
  if (status != 0 && server->options != NULL)
    roost_problems_add(problems, ROOST_PROBLEM_ERROR, "servers[%zu]: %s: %s", index + 1,
                       server->transport, why);
  else if (status != 0)
    roost_problems_add(problems, ROOST_PROBLEM_ERROR, "servers[%zu]: cannot listen on %s:%u: %s",
                       index + 1, server->host, (unsigned)server->port, why);
  else if (server->options == NULL) /* a session with a broker is one for all workers */
    status = roost_workers_share(host->workers, host->worker->server_count - 1, tls);
  return status;
}

/* One per core that this process may use. */
static size_t count_cores(void) {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? (size_t)CPU_COUNT(&cores) : 1;
}

static int add_workers(roost_host *host, roost_problems *problems) {
  const size_t wanted = host->settings->workers != 0 ? host->settings->workers : count_cores();
  int status = roost_workers_add(host->workers, wanted);
  for (size_t i = 0; status == 0 && i < host->worker->server_count; i++)
    status = roost_workers_share(host->workers, i, NULL); /* of roost_host_listen */
  if (status == 0)
    status = roost_forwards_new(&host->forwards, host->workers, &host->alloc);
  if (status == 0)
    status = roost_configuration_set_workers(host->configuration, host->workers);
  if (status == 0)
    status = roost_rounds_new(&host->rounds, host->workers, &host->alloc);
  if (status == ROOST_ESYSTEM)
    roost_problems_add(problems, ROOST_PROBLEM_ERROR,
                       "workers: worker %zu of %zu cannot be started: out of threads, descriptors "
                       "or timers (ulimit -u and -n)",
                       roost_workers_count(host->workers) + 1, wanted);
  return status;
}

static int load_serializers_there(roost_worker *worker, void *ud) {
  const loading *what = ud;
  return roost_worker_load_serializers(worker, what->host->settings, what->problems);
}

static int load_serializers(roost_host *host, roost_problems *problems) {
  loading what = {.host = host, .problems = problems};
  int status = roost_worker_load_serializers(host->worker, host->settings, problems);
  if (status == 0)
    status = roost_workers_each(host->workers, load_serializers_there, &what);
  return status;
}

/* The others see the same conflicts. */
static int build_tables_there(roost_worker *worker, void *ud) {
  roost_problems unsaid;
  (void)ud;
  roost_problems_init(&unsaid, worker->config.alloc);
  const int status = roost_worker_check_conflicts(worker, ROOST_PROBLEM_WARNING, &unsaid);
  roost_problems_deinit(&unsaid);
  return status;
}

static int build_tables(roost_host *host, roost_problems *problems) {
  int status = roost_worker_check_conflicts(host->worker, ROOST_PROBLEM_WARNING, problems);
  if (status == 0)
    status = roost_workers_each(host->workers, build_tables_there, NULL);
  return status;
}

static int listen_all(roost_host *host, roost_problems *problems) {
  const roost_settings *settings = host->settings;
  roost_tls_context **contexts;
  int status =
      roost_certificates_load(&contexts, &host->alloc, settings, ROOST_PROBLEM_WARNING, problems);
  for (size_t i = 0; status == 0 && i < settings->server_count; i++)
    status = listen_one(host, i, contexts[i], problems);
  roost_certificates_free(&host->alloc, contexts, settings);
  host->server_count = settings->server_count;
  return status;
}

static int load_settings(roost_host *host, const char *path, roost_problems *problems) {
  const roost_configuration_config config = {.alloc = &host->alloc,
                                             .log = host->log,
                                             .store = host->store,
                                             .worker = host->worker,
                                             .reloads = host->reloads,
                                             .builder = roost_background_jobs(&host->build_port)};
  roost_settings *settings;
  if (path != NULL) {
    host->path = roost_alloc_text(&host->alloc, roost_slice_text(path));
    if (host->path == NULL)
      return ROOST_ENOMEM;
  }
  const roost_settings_source source = {.path = host->path,
                                        .working_dir = host->config.working_dir,
                                        .overrides = host->overrides,
                                        .override_count = host->override_count};
  int status = roost_settings_load(&settings, &host->alloc, &source, problems);
  if (status != 0)
    return status;
  status = roost_configuration_new(&host->configuration, &config, settings, &source);
  if (status == 0)
    host->settings = settings;
  else
    roost_settings_free(settings);
  return status;
}

static int open_admin(roost_host *host, roost_problems *problems) {
  static const roost_admin_ops ops = {.reload = roost_remote_reload_start};
  const roost_remote_reload_config remote = {.alloc = &host->alloc,
                                             .control = host->control,
                                             .worker = host->worker,
                                             .reloads = host->reloads};
  int status = roost_remote_reload_new(&host->remote, &remote);
  if (status != 0)
    return status;
  const roost_admin_config config = {.alloc = &host->alloc,
                                     .log = host->log,
                                     .control = host->control,
                                     .worker = host->worker,
                                     .workers = host->workers,
                                     .settings = host->settings,
                                     .working_dir = host->config.working_dir,
                                     .ops = &ops,
                                     .ud = host->remote};
  return roost_admin_open(&host->admin, &config, problems);
}

int roost_host_load(roost_host *host, const char *path, roost_problems *problems) {
  int status = load_settings(host, path, problems);
  if (status != 0)
    return status;
  roost_log_set_level(host->log, host->settings->log_level);
  roost_log_set_format(host->log, host->settings->log_format);
  roost_store_set_limit(host->store, host->settings->limits.store_memory);
  roost_worker_apply(host->worker, host->settings);
  roost_reloads_apply(host->reloads, host->settings);
  status = add_workers(host, problems);
  if (status == 0)
    status = load_services(host, problems);
  if (status == 0)
    status = load_serializers(host, problems);
  if (status == 0)
    status = listen_all(host, problems);
  if (status == 0)
    status = build_tables(host, problems);
  if (status == 0)
    status = open_admin(host, problems);
  return status;
}
