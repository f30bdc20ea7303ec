#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/override.h"
#include "core/slice.h"
#include "core/url.h"
#include "host_internal.h"
#include "net/crypto.h"
#include "wire/json.h"
#include "wire/utf8.h"

/* Of roost_config, before it had memory_limit. */
#define OLDEST_CONFIG_BYTES offsetof(roost_config, memory_limit)

/* A listener of roost_host_listen. */
typedef struct own_server {
  struct own_server *next;
  roost_server_config config;
  char *host;
  char name[16];
} own_server;

/* ------------------------------------------------------------------------- errors ------------ */

/* Why this thread's last roost_host_new made none: there is no host that could keep it. */
static _Thread_local char no_host[96] = "out of memory";

const char *roost_host_error(const roost_host *host) {
  if (host == NULL)
    return no_host;
  return host->error.len > 0 ? host->error.ptr : "";
}

void roost_host_end_error(roost_host *host) {
  if (roost_buffer_append_byte(&host->error, '\0') != 0)
    roost_buffer_clear(&host->error);
}

int roost_host_fail(roost_host *host, int status, const char *text) {
  roost_buffer_clear(&host->error);
  roost_buffer_append_slice(&host->error, roost_slice_text(text));
  roost_host_end_error(host);
  return status;
}

static int fail_about(roost_host *host, int status, const char *what, const char *why) {
  roost_buffer_clear(&host->error);
  roost_buffer_printf(&host->error, "%s: %s", what, why);
  roost_host_end_error(host);
  return status;
}

static int fail_without(int status, const char *text) {
  snprintf(no_host, sizeof no_host, "%s", text);
  return status;
}

/* Warnings go to the log; errors become the host's text, a line each. */
static int report(roost_host *host, const roost_problems *problems, int status) {
  roost_buffer_clear(&host->error);
  for (size_t i = 0; i < problems->count; i++) {
    const roost_problem *problem = &problems->items[i];
    if (problem->severity == ROOST_PROBLEM_WARNING)
      roost_log_say(host->log, ROOST_LOG_WARN, problem->text);
    else
      roost_buffer_printf(&host->error, "%s%s", host->error.len ? "\n" : "", problem->text);
  }
  if (status != 0 && host->error.len == 0)
    roost_buffer_append_slice(&host->error, roost_slice_text(roost_status_name(status)));
  if (host->error.len > 0)
    roost_host_end_error(host);
  return status;
}

/* ------------------------------------------------------------------------- life -------------- */

/* Writes what programs of this symbol's version have: a longer struct takes a version of its own.
 */
void roost_config_init(roost_config *cfg) {
  if (cfg == NULL)
    return;
  memset(cfg, 0, sizeof *cfg);
  cfg->struct_size = sizeof *cfg;
}

static const char *own_text(const roost_host *host, const char *text) {
  return text ? roost_alloc_text(&host->alloc, roost_slice_text(text)) : NULL;
}

/* What a program of an older header does not know is as by default. */
static int take_config(roost_config *out, const roost_config *cfg) {
  if (cfg == NULL)
    return fail_without(ROOST_EINVAL, "a roost_config is needed");
  if (cfg->struct_size < OLDEST_CONFIG_BYTES || cfg->struct_size > sizeof *cfg) {
    snprintf(no_host, sizeof no_host, "struct_size: %zu: was roost_config_init called?",
             cfg->struct_size);
    return ROOST_EINVAL;
  }
  roost_config_init(out);
  memcpy(out, cfg, cfg->struct_size);
  out->struct_size = sizeof *out;
  return 0;
}

/* The one that the process is in may have been removed. */
static int fail_without_folder(int error) {
  if (error == ENOMEM)
    return fail_without(ROOST_ENOMEM, "out of memory");
  snprintf(no_host, sizeof no_host, "the working directory: %s", strerror(error));
  return ROOST_ESYSTEM;
}

static int copy_config(roost_host *host, const roost_config *cfg) {
  host->config = *cfg;
  host->config.services = own_text(host, cfg->services);
  host->config.lua_dir = own_text(host, cfg->lua_dir);
  host->config.working_dir = NULL;
  char *here = cfg->working_dir ? NULL : getcwd(NULL, 0);
  if (cfg->working_dir == NULL && here == NULL)
    return fail_without_folder(errno);
  host->config.working_dir = own_text(host, cfg->working_dir ? cfg->working_dir : here);
  free(here);
  bool short_of_memory = (cfg->services && !host->config.services) ||
                         (cfg->lua_dir && !host->config.lua_dir) || !host->config.working_dir;
  return short_of_memory ? fail_without(ROOST_ENOMEM, "out of memory") : 0;
}

/* Memory of an allocator of the embedder's is his to give back. */
static void on_memory_freed(void *ud) {
  const roost_host *host = ud;
  if (host->config.alloc.resize == roost_alloc_default()->resize)
    roost_control_trim(host->control);
}

static void on_running(void *ud) {
  const roost_host *host = ud;
  roost_reloads_start(host->reloads);
}

/* The old state was in memory of several threads, and is gone soon. */
static void on_reloaded(void *ud) {
  const roost_host *host = ud;
  if (host->reloads != NULL) /* else the end of the host ends what the builder had begun */
    roost_reloads_note(host->reloads);
  if (host->configuration != NULL)
    roost_configuration_sweep(host->configuration);
  on_memory_freed(ud);
}

static int make_store(roost_host *host) {
  const roost_store_config config = {&host->alloc, &host->clock, roost_random_bytes};
  return roost_store_new(&host->store, &config);
}

static uint32_t tick(void *ud) {
  return roost_watchdog_tick(ud);
}

static int make_watchdog(roost_host *host) {
  const roost_watchdog_config config = {.alloc = &host->alloc,
                                        .log = host->log,
                                        .signal = host->config.watchdog_signal,
                                        .wake = roost_control_tick_now,
                                        .ud = host->control};
  const int status = roost_watchdog_new(&host->watchdog, &config);
  if (status == 0)
    roost_control_set_tick(host->control, tick, host->watchdog);
  if (status == ROOST_EINVAL)
    snprintf(no_host, sizeof no_host, "watchdog_signal: %d cannot be used", config.signal);
  return status;
}

/* On that worker's thread. */
static void on_other_reloaded(void *ud, roost_worker *worker) {
  const roost_host *host = ud;
  if (host->configuration != NULL)
    roost_configuration_sweep_other(host->configuration, worker);
  on_memory_freed(ud);
}

static int make_workers(roost_host *host, const roost_worker_config *of_first) {
  const roost_workers_config config = {.alloc = &host->alloc,
                                       .first = host->worker,
                                       .on_other_reloaded = on_other_reloaded,
                                       .ud = host,
                                       .others = *of_first,
                                       .builder = host->builder,
                                       .reaper = host->reaper};
  return roost_workers_new(&host->workers, &config);
}

static int make_worker(roost_host *host) {
  const roost_worker_config config = {.alloc = &host->alloc,
                                      .clock = &host->clock,
                                      .log = host->log,
                                      .modules = host->modules,
                                      .sockets = &host->sockets,
                                      .store = host->store,
                                      .other_client = roost_host_find_client,
                                      .clients_ud = host,
                                      .watchdog = host->watchdog,
                                      .working_dir = host->config.working_dir,
                                      .lua_dir = host->config.lua_dir,
                                      .on_memory_freed = on_memory_freed,
                                      .on_running = on_running,
                                      .on_reloaded = on_reloaded,
                                      .ud = host};
  int status = roost_worker_new(&host->worker, &config);
  if (status == 0)
    status = roost_background_start(&host->builder, &host->alloc, host->watchdog, "roost-builder");
  if (status == 0)
    status = roost_background_start(&host->reaper, &host->alloc, host->watchdog, "roost-reaper");
  return status == 0 ? make_workers(host, &config) : status;
}

static int make_background(roost_host *host) {
  roost_background_port_init(&host->build_port, host->builder, host->worker->loop);
  roost_background_port_init(&host->reap_port, host->reaper, host->worker->loop);
  const roost_jobs builder = roost_background_jobs(&host->build_port);
  const roost_jobs reaper = roost_background_jobs(&host->reap_port);
  roost_worker_set_jobs(host->worker, &builder, &reaper);
  const roost_reloads_config reloads = {.alloc = &host->alloc,
                                        .control = host->control,
                                        .log = host->log,
                                        .worker = host->worker,
                                        .workers = host->workers,
                                        .builder = builder,
                                        .working_dir = host->config.working_dir};
  return roost_reloads_new(&host->reloads, &reloads);
}

static int make_parts(roost_host *host) {
  const roost_config *config = &host->config;
  int status = roost_modules_new(&host->modules, &host->alloc);
  if (status == 0)
    status = roost_log_new(&host->log, &host->alloc, &host->clock, config->log, config->log_ud);
  if (status == 0)
    status = roost_control_start(&host->control, &host->alloc, host->log);
  if (status == 0)
    status = make_watchdog(host);
  if (status == 0)
    status = make_store(host);
  if (status == 0)
    status = make_worker(host);
  return status == 0 ? make_background(host) : status;
}

/* The struct itself is not counted: it holds the counter. */
static roost_host *make(roost_config *config) {
  if (config->alloc.resize == NULL)
    config->alloc = *roost_alloc_default();
  roost_host *host = roost_alloc_get(&config->alloc, sizeof *host);
  if (host == NULL)
    return NULL;
  host->alloc = config->alloc;
  if (config->memory_limit > 0) {
    roost_cap_init(&host->cap, &config->alloc, config->memory_limit);
    host->alloc = host->cap.alloc;
  }
  host->sockets.limit = config->connection_limit;
  roost_buffer_init(&host->error, &host->alloc);
  roost_list_init(&host->posted);
  roost_list_init(&host->sent);
  pthread_mutex_init(&host->mutex, NULL);
  host->config.alloc = config->alloc;
  return host;
}

/* Those that are EINVAL have been said where it was found. */
static int fail_making(int status) {
  if (status == ROOST_ENOMEM)
    return fail_without(status, "out of memory");
  if (status == ROOST_ESYSTEM)
    return fail_without(status,
                        "the operating system refused a thread, a descriptor or random bytes");
  return status;
}

int roost_host_new(roost_host **out, const roost_config *cfg) {
  roost_config own;
  if (out == NULL)
    return fail_without(ROOST_EINVAL, "a place for the host is needed");
  *out = NULL;
  int status = take_config(&own, cfg);
  if (status != 0)
    return status;
  roost_host *host = make(&own);
  if (host == NULL)
    return fail_making(ROOST_ENOMEM);
  status = copy_config(host, &own);
  if (status == 0)
    status = fail_making(make_parts(host));
  if (status != 0) {
    roost_host_free(host);
    return status;
  }
  *out = host;
  return 0;
}

static void free_overrides(roost_host *host) {
  for (size_t i = 0; i < host->override_count; i++) {
    roost_alloc_put_text(&host->alloc, (char *)host->overrides[i].key);
    roost_alloc_put_text(&host->alloc, (char *)host->overrides[i].value);
  }
  roost_alloc_put(&host->alloc, host->overrides, host->override_count * sizeof *host->overrides);
}

static void own_server_free(const roost_host *host, own_server *server) {
  roost_alloc_put_text(&host->alloc, server->host);
  roost_alloc_put(&host->alloc, server, sizeof *server);
}

/* What is closed from now on is closed here. */
static void end_background(roost_host *host) {
  const roost_jobs none = {NULL, NULL};
  roost_workers_close(host->workers);
  roost_forwards_close(host->forwards);
  roost_background_stop(host->builder, false);
  roost_background_port_drop(&host->build_port);
  roost_worker_close(host->worker);
  roost_reloads_free(host->reloads);
  host->reloads = NULL;
  roost_background_stop(host->reaper, true); /* old states still use the worker's parts */
  roost_background_port_flush(&host->reap_port);
  if (host->worker != NULL)
    roost_worker_set_jobs(host->worker, &none, &none);
}

void roost_host_free(roost_host *host) {
  if (host == NULL)
    return;
  if (host->worker != NULL && host->worker->loop != NULL)
    roost_loop_set_quota(host->worker->loop, 0);
  roost_host_fail_sent(host);
  roost_host_drop_posted(host);
  roost_admin_close(host->admin); /* and so asks the worker nothing */
  roost_remote_reload_close(host->remote);
  end_background(host);
  roost_workers_join(host->workers);
  roost_worker_free(host->worker);
  roost_rounds_free(host->rounds);
  roost_workers_free(host->workers);
  roost_forwards_free(host->forwards);
  roost_background_port_deinit(&host->build_port);
  roost_background_port_deinit(&host->reap_port);
  roost_store_free(host->store);
  roost_control_stop(host->control);
  roost_watchdog_free(host->watchdog);
  roost_remote_reload_free(host->remote);
  roost_admin_free(host->admin);
  if (host->log != NULL)
    roost_log_free(host->log);
  while (host->own_servers != NULL) {
    own_server *server = host->own_servers;
    host->own_servers = server->next;
    own_server_free(host, server);
  }
  roost_configuration_free(host->configuration);
  roost_host_free_clients(host);
  roost_modules_free(host->modules);
  free_overrides(host);
  roost_alloc_put_text(&host->alloc, host->path);
  roost_alloc_put_text(&host->alloc, (char *)host->config.services);
  roost_alloc_put_text(&host->alloc, (char *)host->config.lua_dir);
  roost_alloc_put_text(&host->alloc, (char *)host->config.working_dir);
  roost_buffer_deinit(&host->error);
  pthread_mutex_destroy(&host->mutex);
  roost_alloc alloc = host->config.alloc;
  roost_alloc_put(&alloc, host, sizeof *host);
}

/* ------------------------------------------------------------------------- configuration ----- */

static int add_override(roost_host *host, const char *key, const char *value, bool plain) {
  size_t count = host->override_count;
  roost_override added = {own_text(host, key), own_text(host, value), plain};
  roost_override *grown = NULL;
  if (added.key != NULL && added.value != NULL)
    grown = roost_alloc_resize(&host->alloc, host->overrides, count * sizeof *grown,
                               (count + 1) * sizeof *grown);
  if (grown == NULL) {
    roost_alloc_put_text(&host->alloc, (char *)added.key);
    roost_alloc_put_text(&host->alloc, (char *)added.value);
    return ROOST_ENOMEM;
  }
  host->overrides = grown;
  grown[count] = added;
  host->override_count++;
  return 0;
}

int roost_host_set(roost_host *host, const char *key, const char *value) {
  if (host == NULL)
    return ROOST_EINVAL;
  if (key == NULL || value == NULL)
    return roost_host_fail(host, ROOST_EINVAL, "a key and a value are needed");
  if (!roost_override_is_key(key))
    return fail_about(host, ROOST_EINVAL, key, "not a key, as servers[1].port is");
  if (host->loaded)
    return roost_host_fail(host, ROOST_ESTATE, "the configuration is loaded already");
  int status = add_override(host, key, value, false);
  return status == 0 ? 0 : roost_host_fail(host, status, "out of memory");
}

static int load(roost_host *host, const char *path, roost_problems *problems) {
  if (host->config.services != NULL) {
    int status = add_override(host, "services", host->config.services, true);
    if (status != 0)
      return status;
  }
  return roost_host_load(host, path, problems);
}

int roost_host_load_config(roost_host *host, const char *path) {
  if (host == NULL)
    return ROOST_EINVAL;
  roost_problems problems;
  if (host->loaded || host->worker->state != ROOST_WORKER_IDLE)
    return roost_host_fail(host, ROOST_ESTATE,
                           "a configuration is loaded once, before run and poll");
  host->loaded = true;
  roost_problems_init(&problems, &host->alloc);
  int status = load(host, path, &problems);
  host->broken = status != 0;
  report(host, &problems, status);
  roost_reloads_told(host->reloads, &problems);
  roost_problems_deinit(&problems);
  return status;
}

int roost_host_reload_config(roost_host *host) {
  if (host == NULL)
    return ROOST_EINVAL;
  if (host->configuration == NULL || host->broken)
    return roost_host_fail(host, ROOST_ESTATE,
                           "there is no configuration that could be read again");
  const int status = roost_configuration_reload(host->configuration);
  return status == 0 ? 0 : roost_host_fail(host, status, "out of memory");
}

int roost_host_reload(roost_host *host, const char *service) {
  if (host == NULL)
    return ROOST_EINVAL;
  if (host->worker->state != ROOST_WORKER_RUNNING)
    return roost_host_fail(host, ROOST_ESTATE, "the host is not running");
  if (service != NULL) {
    const int status = roost_worker_reload(host->worker, service, NULL);
    return status == 0 ? 0 : fail_about(host, status, service, "there is no such service");
  }
  const int status = roost_reloads_request(host->reloads, NULL, NULL, NULL);
  return status == 0 ? 0 : roost_host_fail(host, status, "nothing can be reloaded");
}

/* ------------------------------------------------------------------------- listeners --------- */

static int own_server_new(own_server **out, roost_host *host, const char *url) {
  roost_url_parts parts;
  *out = NULL;
  if (!roost_url_split(url, &parts) || !parts.has_port ||
      !roost_slice_equal(parts.scheme, ROOST_SLICE("tcp")))
    return fail_about(host, ROOST_EINVAL, url, "expected tcp://HOST:PORT");
  own_server *server = roost_alloc_get(&host->alloc, sizeof *server);
  if (server == NULL)
    return roost_host_fail(host, ROOST_ENOMEM, "out of memory");
  server->host = roost_alloc_text(&host->alloc, parts.host);
  if (server->host == NULL || !roost_is_loopback(server->host)) {
    bool exposed = server->host != NULL;
    own_server_free(host, server);
    return exposed ? fail_about(host, ROOST_EINVAL, url,
                                "not loopback and without TLS: say so in a configuration file, "
                                "with allow_insecure = true")
                   : roost_host_fail(host, ROOST_ENOMEM, "out of memory");
  }
  snprintf(server->name, sizeof server->name, "%zu", host->server_count + 1);
  roost_server_config_init(&server->config);
  server->config.name = server->name;
  server->config.host = server->host;
  server->config.port = parts.port;
  *out = server;
  return 0;
}

int roost_host_listen(roost_host *host, const char *url) {
  if (host == NULL)
    return ROOST_EINVAL;
  own_server *server;
  const char *why;
  if (url == NULL)
    return roost_host_fail(host, ROOST_EINVAL, "a URL is needed");
  if (host->worker->state > ROOST_WORKER_RUNNING)
    return roost_host_fail(host, ROOST_ESTATE, "the host is stopping");
  int status = own_server_new(&server, host, url);
  if (status != 0)
    return status;
  status = roost_worker_listen(host->worker, &server->config, NULL, &why);
  if (status == 0 && roost_workers_share(host->workers, host->worker->server_count - 1, NULL) != 0)
    roost_log_say(host->log, ROOST_LOG_WARN,
                  "a listener is served by one worker alone: out of memory");
  if (status != 0) {
    own_server_free(host, server);
    return fail_about(host, status, url, why);
  }
  server->next = host->own_servers;
  host->own_servers = server;
  host->server_count++;
  return 0;
}

int roost_host_inherit(roost_host *host, int descriptor) {
  if (host == NULL)
    return ROOST_EINVAL;
  if (host->loaded)
    return roost_host_fail(host, ROOST_ESTATE, "the configuration is loaded already");
  const int status = roost_loop_inherit(host->worker->loop, descriptor);
  if (status == ROOST_EFULL)
    return roost_host_fail(host, status, "too many sockets are handed over");
  return status == 0 ? 0 : roost_host_fail(host, status, "it is no TCP socket that listens");
}

int roost_host_port(const roost_host *host, size_t server) {
  if (host == NULL)
    return ROOST_EINVAL;
  if (server >= host->worker->server_count)
    return ROOST_ENOENT;
  return host->worker->servers[server]->address.port;
}

static int forward_last_there(roost_worker *worker, void *ud) {
  const roost_list *handlers = ud;
  return roost_dispatch_add_forward(
      worker->dispatch, ROOST_LIST_ENTRY(handlers->prev, const roost_handler, link), handlers);
}

int roost_host_handle(roost_host *host, const char *pattern, roost_handler_fn *fn, void *ud) {
  if (host == NULL)
    return ROOST_EINVAL;
  const char *why = "out of memory";
  roost_slice text = roost_slice_text(pattern);
  roost_buffer json;
  if (text.ptr == NULL || fn == NULL || roost_utf8_valid_prefix(text) < text.len)
    return roost_host_fail(host, ROOST_EINVAL, "a pattern in UTF-8 and a function are needed");
  roost_buffer_init(&json, &host->alloc);
  int status = roost_json_validate(text) == 0 ? roost_buffer_append_slice(&json, text)
                                              : roost_json_write_string(&json, text);
  if (status == 0)
    status =
        roost_dispatch_add_handler(host->worker->dispatch, roost_buffer_slice(&json), fn, ud, &why);
  if (status == 0)
    status =
        roost_workers_each(host->workers, forward_last_there, &host->worker->dispatch->handlers);
  roost_buffer_deinit(&json);
  return status == 0 ? 0 : fail_about(host, status, pattern, why);
}
