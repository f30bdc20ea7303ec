#include <stdio.h>
#include <string.h>
#include <time.h>

#include "certificates.h"
#include "configuration_internal.h"

/* One look at the file. */
struct reading {
  roost_job job;
  roost_configuration *owner;
  roost_settings *settings;
  roost_tls_context **contexts; /* of settings' servers */
  roost_problems problems;
  int status;
};

static roost_settings *settings_of(const roost_list *link) {
  return ROOST_LIST_ENTRY(link, const version, link)->settings;
}

static roost_settings *base_of(const roost_configuration *self) {
  return settings_of(self->versions.next);
}

static roost_settings *current_of(const roost_configuration *self) {
  return settings_of(self->versions.prev);
}

static int add_version(roost_configuration *self, roost_settings *settings) {
  version *added = roost_alloc_get(self->config.alloc, sizeof *added);
  if (added == NULL)
    return ROOST_ENOMEM;
  added->settings = settings;
  roost_list_append(&self->versions, &added->link);
  return 0;
}

static void free_version(const roost_configuration *self, version *old) {
  roost_list_remove(&old->link);
  roost_settings_free(old->settings);
  roost_alloc_put(self->config.alloc, old, sizeof *old);
}

/* ------------------------------------------------------------------------- reading ----------- */

static void read_files(roost_job *job, roost_runner *runner) {
  reading *self = ROOST_LIST_ENTRY(job, reading, job);
  const roost_configuration *owner = self->owner;
  (void)runner;
  self->status =
      roost_settings_load(&self->settings, owner->config.alloc, &owner->source, &self->problems);
  if (self->status == 0)
    self->status = roost_certificates_load(&self->contexts, owner->config.alloc, self->settings,
                                           ROOST_PROBLEM_WARNING, &self->problems);
}

static void free_reading(reading *self) {
  const roost_alloc *alloc = self->owner->config.alloc;
  if (self->settings != NULL)
    roost_certificates_free(alloc, self->contexts, self->settings);
  roost_settings_free(self->settings);
  roost_problems_deinit(&self->problems);
  roost_alloc_put(alloc, self, sizeof *self);
}

static void say(const roost_configuration *self, roost_log_level level, const char *msg,
                const char *text) {
  roost_log_line line;
  roost_log_begin(&line, self->config.log, level, roost_slice_text(msg));
  roost_log_text(&line, "err", roost_slice_text(text));
  roost_log_end(&line);
}

static void say_problems(const roost_configuration *self, const reading *read) {
  static const char refused[] = "configuration not reloaded, the old one stays";
  for (size_t i = 0; i < read->problems.count; i++) {
    const roost_problem *problem = &read->problems.items[i];
    if (problem->severity == ROOST_PROBLEM_ERROR)
      say(self, ROOST_LOG_ERROR, refused, problem->text);
    else if (read->status == 0)
      roost_log_say(self->config.log, ROOST_LOG_WARN, problem->text);
  }
  if (read->status != 0 && read->problems.errors == 0)
    say(self, ROOST_LOG_ERROR, refused, roost_status_name(read->status));
}

/* ------------------------------------------------------------------------- servers ----------- */

static void needs_restart(const roost_configuration *self, const char *key) {
  roost_log_line line;
  roost_log_begin(&line, self->config.log, ROOST_LOG_WARN,
                  ROOST_SLICE("configuration has changed where that needs a restart"));
  roost_log_text(&line, "key", roost_slice_text(key));
  roost_log_end(&line);
}

static void server_needs_restart(const roost_configuration *self, size_t index) {
  char key[48];
  snprintf(key, sizeof key, "servers[%zu]", index + 1);
  needs_restart(self, key);
}

static roost_server *server_for(const roost_configuration *self,
                                const roost_server_config *config) {
  const roost_worker *worker = self->config.worker;
  for (size_t i = 0; i < worker->server_count; i++)
    if (worker->servers[i]->config == config)
      return worker->servers[i];
  return NULL;
}

static void say_renewed(const roost_configuration *self, const roost_server *server,
                        const roost_tls_context *context) {
  const time_t expires = (time_t)roost_tls_context_expires(context);
  char date[32];
  struct tm parts;
  roost_log_line line;
  gmtime_r(&expires, &parts);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts);
  roost_log_begin(&line, self->config.log, ROOST_LOG_INFO, ROOST_SLICE("certificates reloaded"));
  roost_log_text(&line, "server", roost_slice_text(server->config->name));
  roost_log_text(&line, "expires", roost_slice_text(date));
  roost_log_end(&line);
}

/* The listener goes on with what it was started with, but for who may do what, how often, and its
 * certificates. */
static void apply_server(const roost_configuration *self, roost_server_config *live,
                         const roost_server_config *wanted, roost_tls_context *context) {
  roost_server *server = server_for(self, live);
  live->allow = wanted->allow;
  live->rate = wanted->rate;
  if (server == NULL || context == NULL || live->tls == NULL)
    return;
  server->ops->secure(server, context);
  say_renewed(self, server, context);
}

static void apply_servers(const roost_configuration *self, const reading *read) {
  const roost_settings *base = base_of(self);
  const roost_settings *wanted = read->settings;
  if (base->server_count != wanted->server_count)
    needs_restart(self, "servers");
  for (size_t i = 0; i < base->server_count && i < wanted->server_count; i++) {
    roost_server_config *live = &base->servers[i];
    if (live->mark != wanted->servers[i].mark ||
        (live->tls == NULL) != (wanted->servers[i].tls == NULL))
      server_needs_restart(self, i);
    apply_server(self, live, &wanted->servers[i], read->contexts[i]);
  }
}

/* ------------------------------------------------------------------------- the rest ---------- */

static bool same_text(const char *a, const char *b) {
  return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What cannot change stays as it was, in the new settings, too. */
static void keep_fixed(const roost_configuration *self, roost_settings *wanted) {
  const roost_settings *base = base_of(self);
  if (base->workers != wanted->workers)
    needs_restart(self, "workers");
  if (base->wildcards != wanted->wildcards)
    needs_restart(self, "wildcards");
  if (!same_text(base->admin_socket, wanted->admin_socket))
    needs_restart(self, "admin.socket");
  if (!same_text(base->admin_http, wanted->admin_http))
    needs_restart(self, "admin.http");
  wanted->workers = base->workers;
  wanted->wildcards = base->wildcards;
}

static const roost_client_config *find_client(const roost_settings *settings, const char *name) {
  for (size_t i = 0; i < settings->client_count; i++)
    if (strcmp(settings->clients[i].name, name) == 0)
      return &settings->clients[i];
  return NULL;
}

static bool same_clients(const roost_settings *a, const roost_settings *b) {
  if (a->client_count != b->client_count)
    return false;
  for (size_t i = 0; i < a->client_count; i++) {
    const roost_client_config *other = find_client(b, a->clients[i].name);
    if (other == NULL || other->mark != a->clients[i].mark)
      return false;
  }
  return true;
}

/* Services that use a client keep the one they have: their next generation finds the new one. */
static int apply(roost_configuration *self, reading *read) {
  const roost_configuration_config *config = &self->config;
  roost_settings *wanted = read->settings;
  const roost_settings *before = current_of(self);
  int status = roost_worker_load_serializers(config->worker, wanted, &read->problems);
  if (status == 0)
    status = add_version(self, wanted);
  if (status != 0)
    return status;
  keep_fixed(self, wanted);
  status = roost_configuration_tell_others(self, read->contexts);
  if (status != 0) {
    ROOST_LIST_ENTRY(self->versions.prev, version, link)->settings = NULL; /* they are read's */
    free_version(self, ROOST_LIST_ENTRY(self->versions.prev, version, link));
    return status;
  }
  apply_servers(self, read);
  roost_log_set_level(config->log, wanted->log_level);
  roost_log_set_format(config->log, wanted->log_format);
  roost_store_set_limit(config->store, wanted->limits.store_memory);
  const bool all = !same_clients(before, wanted) || before->options_mark != wanted->options_mark;
  roost_worker_apply(config->worker, wanted);
  roost_reloads_apply(config->reloads, wanted);
  if (all)
    (void)roost_reloads_request(config->reloads, NULL, NULL, NULL);
  else
    roost_reloads_look(config->reloads);
  roost_certificates_free(config->alloc, read->contexts, wanted);
  read->settings = NULL; /* they are in use */
  return 0;
}

static void on_read(roost_job *job) {
  reading *read = ROOST_LIST_ENTRY(job, reading, job);
  roost_configuration *self = read->owner;
  self->reading = NULL;
  if (read->status == 0)
    read->status = apply(self, read);
  say_problems(self, read);
  if (read->status == 0)
    roost_log_say(self->config.log, ROOST_LOG_INFO, "configuration reloaded");
  else
    roost_reloads_look(self->config.reloads); /* the services' files are another matter */
  free_reading(read);
  roost_configuration_sweep(self);
  if (self->again && roost_configuration_reload(self) != 0)
    say(self, ROOST_LOG_ERROR, "configuration not reloaded, the old one stays", "out of memory");
}

int roost_configuration_reload(roost_configuration *self) {
  self->again = self->reading != NULL;
  if (self->again)
    return 0;
  reading *read = roost_alloc_get(self->config.alloc, sizeof *read);
  if (read == NULL)
    return ROOST_ENOMEM;
  read->owner = self;
  read->job = (roost_job){.run = read_files, .done = on_read};
  roost_problems_init(&read->problems, self->config.alloc);
  self->reading = read;
  roost_job_start(&self->config.builder, &read->job, self->config.worker->runner);
  return 0;
}

/* ------------------------------------------------------------------------- life -------------- */

bool roost_configuration_is_used(const roost_worker *worker, const roost_settings *settings) {
  const roost_dispatch *dispatch = worker->dispatch;
  for (const roost_list *at = dispatch->outbounds.next; at != &dispatch->outbounds; at = at->next) {
    const roost_client_config *config = ROOST_LIST_ENTRY(at, const roost_outbound, link)->config;
    for (size_t i = 0; i < settings->client_count; i++)
      if (config == &settings->clients[i])
        return true;
  }
  return false;
}

void roost_configuration_sweep(roost_configuration *self) {
  roost_dispatch_sweep_clients(self->config.worker->dispatch);
  roost_list *at = self->versions.next->next;
  while (at != &self->versions && at != self->versions.prev) {
    version *old = ROOST_LIST_ENTRY(at, version, link);
    at = at->next;
    if (atomic_load(&old->holders) == 0 &&
        !roost_configuration_is_used(self->config.worker, old->settings))
      free_version(self, old);
  }
}

int roost_configuration_new(roost_configuration **out, const roost_configuration_config *config,
                            roost_settings *base, const roost_settings_source *source) {
  roost_configuration *self = roost_alloc_get(config->alloc, sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->config = *config;
  self->source = *source;
  roost_list_init(&self->versions);
  if (add_version(self, base) != 0) {
    roost_alloc_put(config->alloc, self, sizeof *self);
    return ROOST_ENOMEM;
  }
  *out = self;
  return 0;
}

void roost_configuration_free(roost_configuration *self) {
  if (self == NULL)
    return;
  if (self->reading != NULL)
    free_reading(self->reading);
  roost_configuration_free_others(self);
  while (!roost_list_empty(&self->versions))
    free_version(self, ROOST_LIST_ENTRY(self->versions.next, version, link));
  roost_alloc_put(self->config.alloc, self, sizeof *self);
}
