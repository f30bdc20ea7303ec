#include "reloads.h"

#include <sys/stat.h>

#include "core/slice.h"
#include "scan.h"
#include "watching.h"
#include "wire/json.h"
#include "wire/utf8.h"

struct roost_reloads {
  roost_reloads_config config;
  const roost_settings *settings; /* borrowed; NULL: there are none */
  roost_list requests;            /* request.link, that wait for a look */
  roost_list running;             /* request.link, that wait for services */
  roost_scan *scan;               /* under way; NULL: none */
  bool all;                       /* that one is about all services, not just those asked for */
  bool again;                     /* another look after it */
  bool all_again;                 /* and that one */
  roost_buffer told;              /* problems with finding services that the log has had */
  roost_buffer folders;           /* that the last look found */
  roost_watching *watching;       /* NULL: nothing is watched */
  uint64_t quiet_ms;              /* of watching */
};

/* Somebody who waits for one or all services. */
typedef struct request {
  roost_list link;
  roost_reloads *reloads;
  char *service;      /* owned; NULL: all */
  size_t left;        /* services that are not over, and one while they are being started */
  struct part *parts; /* owned */
  size_t part_count;
  roost_buffer json; /* the outcome, once all is over */
  roost_reloads_done *fn;
  void *ud;
} request;

/* One service of it. */
typedef struct part {
  roost_reload_waiter waiter;
  request *request;
  roost_buffer json; /* its outcome */
} part;

/* ------------------------------------------------------------------------- requests ---------- */

static void request_free(request *self) {
  const roost_alloc *alloc = self->reloads->config.alloc;
  for (size_t i = 0; i < self->part_count; i++) {
    roost_list_remove(&self->parts[i].waiter.link);
    roost_buffer_deinit(&self->parts[i].json);
  }
  roost_alloc_put(alloc, self->parts, self->part_count * sizeof *self->parts);
  roost_alloc_put_text(alloc, self->service);
  roost_buffer_deinit(&self->json);
  roost_list_remove(&self->link);
  roost_alloc_put(alloc, self, sizeof *self);
}

/* An outcome that there is no memory for is left out. */
static void add_outcome(roost_buffer *json, roost_slice outcome) {
  const size_t before = json->len;
  int status = before > 1 && outcome.len > 0 ? roost_buffer_append_byte(json, ',') : 0;
  if (status == 0)
    status = roost_buffer_append_slice(json, outcome);
  if (status != 0)
    json->len = before;
}

/* In the services' order, whichever was over first. */
static void finish(request *self) {
  for (size_t i = 0; i < self->part_count; i++)
    add_outcome(&self->json, roost_buffer_slice(&self->parts[i].json));
  const bool whole = roost_buffer_append_byte(&self->json, ']') == 0;
  if (self->fn != NULL)
    self->fn(self->ud, whole ? roost_buffer_slice(&self->json) : ROOST_SLICE("[]"));
  request_free(self);
}

static void let_go(request *self) {
  if (--self->left == 0)
    finish(self);
}

/* What a script raised may hold any bytes. */
static roost_slice readable(roost_slice text) {
  text.len = roost_utf8_valid_prefix(text);
  return text;
}

/* Appends one; nothing where memory is short. */
static void write_outcome(roost_buffer *json, const char *service, uint32_t from, uint32_t to,
                          roost_slice refused) {
  const size_t before = json->len;
  int status = roost_buffer_append_slice(json, ROOST_SLICE("{\"service\":"));
  if (status == 0)
    status = roost_json_write_string(json, roost_slice_text(service));
  if (status == 0)
    status = roost_buffer_printf(json, ",\"from\":%u,\"to\":%u,\"refused\":", from, to);
  if (status == 0)
    status = to != 0 ? roost_buffer_append_slice(json, ROOST_SLICE("null"))
                     : roost_json_write_string(json, readable(refused));
  if (status == 0)
    status = roost_buffer_append_byte(json, '}');
  if (status != 0)
    json->len = before;
}

static void on_reloaded(roost_reload_waiter *waiter, const roost_reload_result *result) {
  part *self = ROOST_LIST_ENTRY(waiter, part, waiter);
  write_outcome(&self->json, result->service->name, result->from, result->to, result->refused);
  let_go(self->request);
}

static bool concerns(const request *self, const char *service) {
  return self->service == NULL || strcmp(self->service, service) == 0;
}

static void start_services(request *self) {
  roost_dispatch *dispatch = self->reloads->config.worker->dispatch;
  for (size_t i = 0, used = 0; i < dispatch->service_count && used < self->part_count; i++) {
    part *each = &self->parts[used];
    if (!concerns(self, dispatch->services[i]->name))
      continue;
    used++;
    self->left++;
    roost_reload_start(dispatch->services[i], &each->waiter);
  }
}

/* The services are those there are after a look. */
static void start_request(request *self) {
  const roost_dispatch *dispatch = self->reloads->config.worker->dispatch;
  size_t count = 0;
  for (size_t i = 0; i < dispatch->service_count; i++)
    count += concerns(self, dispatch->services[i]->name);
  roost_list_append(&self->reloads->running, &self->link);
  if (count > 0)
    self->parts = roost_alloc_get(self->reloads->config.alloc, count * sizeof *self->parts);
  self->part_count = self->parts != NULL ? count : 0;
  for (size_t i = 0; i < self->part_count; i++) {
    self->parts[i] = (part){.waiter = {.fn = on_reloaded}, .request = self};
    roost_list_init(&self->parts[i].waiter.link);
    roost_buffer_init(&self->parts[i].json, self->reloads->config.alloc);
  }
  self->left = 1;
  if (self->service != NULL && self->part_count == 0)
    write_outcome(&self->json, self->service, 0, 0,
                  count == 0 ? ROOST_SLICE("there is no such service")
                             : ROOST_SLICE("out of memory"));
  start_services(self);
  let_go(self);
}

static int look(roost_reloads *reloads, bool all);

int roost_reloads_request(roost_reloads *reloads, const char *service, roost_reloads_done *fn,
                          void *ud) {
  const roost_alloc *alloc = reloads->config.alloc;
  if (reloads->config.worker->state != ROOST_WORKER_RUNNING || reloads->settings == NULL)
    return ROOST_ESTATE;
  request *self = roost_alloc_get(alloc, sizeof *self);
  if (self == NULL)
    return ROOST_ENOMEM;
  *self = (request){.reloads = reloads, .fn = fn, .ud = ud};
  roost_list_init(&self->link);
  roost_buffer_init(&self->json, alloc);
  if (service != NULL)
    self->service = roost_alloc_text(alloc, roost_slice_text(service));
  if ((service != NULL && self->service == NULL) ||
      roost_buffer_append_byte(&self->json, '[') != 0) {
    request_free(self);
    return ROOST_ENOMEM;
  }
  roost_list_append(&reloads->requests, &self->link);
  const int status = look(reloads, service == NULL);
  if (status != 0)
    request_free(self);
  return status;
}

/* ------------------------------------------------------------------------- a look ------------ */

static bool is_told(const roost_reloads *reloads, const char *text) {
  const roost_buffer *told = &reloads->told;
  const char *end = told->len > 0 ? told->ptr + told->len : told->ptr;
  for (const char *at = told->ptr; at < end; at += strlen(at) + 1)
    if (strcmp(at, text) == 0)
      return true;
  return false;
}

/* Each is said once, as long as it is there. */
static void say_problems(roost_reloads *reloads, const roost_problems *problems) {
  roost_buffer now;
  roost_buffer_init(&now, reloads->config.alloc);
  for (size_t i = 0; i < problems->count; i++) {
    const char *text = problems->items[i].text;
    if (!is_told(reloads, text))
      roost_log_say(reloads->config.log,
                    problems->items[i].severity == ROOST_PROBLEM_ERROR ? ROOST_LOG_ERROR
                                                                       : ROOST_LOG_WARN,
                    text);
    (void)roost_buffer_printf(&now, "%s%c", text, '\0');
  }
  roost_buffer_deinit(&reloads->told);
  reloads->told = now;
}

void roost_reloads_told(roost_reloads *reloads, const roost_problems *problems) {
  for (size_t i = 0; i < problems->count; i++)
    (void)roost_buffer_printf(&reloads->told, "%s%c", problems->items[i].text, '\0');
}

/* Whether one of these requests is about a service. */
static bool is_asked_for(const roost_list *requests, const char *service) {
  for (const roost_list *at = requests->next; at != requests; at = at->next)
    if (concerns(ROOST_LIST_ENTRY(at, const request, link), service))
      return true;
  return false;
}

static const roost_found *find_found(const roost_scan *scan, const char *name) {
  for (size_t i = 0; i < scan->found.count; i++)
    if (strcmp(scan->found.items[i].name, name) == 0)
      return &scan->found.items[i];
  return NULL;
}

/* Those that are new join the others, in their order: with only some asked for by name, those. */
static void take_found(const roost_reloads *reloads, roost_scan *scan, const roost_list *requests) {
  const roost_reloads_config *config = &reloads->config;
  for (size_t i = scan->found.count; !reloads->all && i-- > 0;) {
    const char *name = scan->found.items[i].name;
    if (roost_worker_find_service(config->worker, name) == NULL && !is_asked_for(requests, name))
      roost_found_remove(&scan->found, i);
  }
  (void)roost_worker_take_found(config->worker, &scan->found);
  if (config->workers != NULL)
    (void)roost_workers_take_found(config->workers, &scan->found);
}

/* Whether it is to be made from the file that was found from now on. Where there are two, the one
 * that it was made from stays. A build reads the path: that service has to wait for another look.
 */
static bool take_move(roost_reloads *reloads, roost_service *service,
                      const roost_scan_service *seen, const roost_found *found) {
  if (found == NULL || seen->is_there || strcmp(service->source.path, found->path) == 0)
    return false;
  if (service->reload.building) {
    reloads->again = true;
    reloads->all_again = reloads->all_again || reloads->all;
    return false;
  }
  return roost_service_move(service, found->root, found->path) == 0;
}

/* While the first worker is reloading it, it stays until the next look. */
static void remove_service(const roost_reloads *reloads, const roost_service *service) {
  const roost_reloads_config *config = &reloads->config;
  if (!roost_reload_is_idle(&service->reload))
    return;
  if (config->workers != NULL)
    (void)roost_workers_remove(config->workers, service->name);
  else
    roost_worker_remove(config->worker, service->name);
}

static void treat_known(roost_reloads *reloads, const roost_scan *scan,
                        const roost_list *requests) {
  const roost_worker *worker = reloads->config.worker;
  for (size_t i = 0; i < scan->service_count; i++) {
    const roost_scan_service *seen = &scan->services[i];
    const roost_found *found = find_found(scan, seen->name);
    roost_service *service = roost_worker_find_service(worker, seen->name);
    const bool asked = is_asked_for(requests, seen->name);
    if (service == NULL || (!reloads->all && !asked))
      continue;
    const bool moved = take_move(reloads, service, seen, found);
    if (found == NULL && (!seen->is_wanted || service->current == NULL)) /* it has no old code */
      remove_service(reloads, service);
    else if ((moved || seen->is_changed) && !asked)
      roost_reload_start(service, NULL);
  }
}

static bool is_new(const roost_service *service) {
  return service->current == NULL && service->reload.next == NULL && service->reload.refusals == 0;
}

static void load_new(const roost_worker *worker, const roost_list *requests) {
  for (size_t i = 0; i < worker->dispatch->service_count; i++) {
    roost_service *service = worker->dispatch->services[i];
    if (is_new(service) && !is_asked_for(requests, service->name))
      roost_reload_start(service, NULL);
  }
}

static void start_requests(roost_list *requests) {
  while (!roost_list_empty(requests)) {
    request *next = ROOST_LIST_ENTRY(requests->next, request, link);
    roost_list_remove(&next->link);
    start_request(next);
  }
}

static void on_scanned(roost_job *job) {
  roost_scan *scan = ROOST_LIST_ENTRY(job, roost_scan, job);
  roost_reloads *reloads = scan->ud;
  roost_worker *worker = reloads->config.worker;
  roost_list requests;
  reloads->scan = NULL;
  say_problems(reloads, &scan->problems);
  roost_buffer_deinit(&reloads->folders);
  reloads->folders = scan->folders;
  roost_buffer_init(&scan->folders, reloads->config.alloc);
  roost_list_init(&requests);
  if (!reloads->again)
    roost_list_move(&requests, &reloads->requests);
  if (worker->state == ROOST_WORKER_RUNNING) {
    take_found(reloads, scan, &requests);
    treat_known(reloads, scan, &requests);
    if (reloads->all)
      load_new(worker, &requests);
  }
  roost_scan_free(scan);
  start_requests(&requests);
  roost_reloads_note(reloads);
  if (reloads->again && look(reloads, false) != 0)
    start_requests(&reloads->requests);
}

/* Whoever comes while one is under way needs another one: that one may have looked already. ENOMEM.
 */
static int look(roost_reloads *reloads, bool all) {
  const roost_reloads_config *config = &reloads->config;
  reloads->all_again = reloads->all_again || all;
  reloads->again = reloads->scan != NULL;
  if (reloads->again || reloads->settings == NULL)
    return 0;
  const int status = roost_scan_new(&reloads->scan, config->alloc, config->worker->dispatch,
                                    reloads->settings->services, config->working_dir);
  if (status != 0) {
    roost_log_say(config->log, ROOST_LOG_ERROR,
                  "the services' files are not looked at: out of memory");
    return status;
  }
  reloads->all = reloads->all_again;
  reloads->all_again = false;
  reloads->scan->ud = reloads;
  reloads->scan->job.done = on_scanned;
  roost_job_start(&config->builder, &reloads->scan->job, config->worker->runner);
  return 0;
}

void roost_reloads_look(roost_reloads *reloads) {
  const roost_dispatch *dispatch = reloads->config.worker->dispatch;
  if (reloads->config.worker->state != ROOST_WORKER_RUNNING)
    return;
  for (size_t i = 0; i < dispatch->service_count; i++)
    roost_reload_say_again(dispatch->services[i]);
  (void)look(reloads, true);
}

/* ------------------------------------------------------------------------- watching ---------- */

static int add_folder(roost_buffer *folders, const char *path, const char *below) {
  return roost_buffer_printf(folders, "%s%s%c", path, below, '\0');
}

static int add_folder_of(roost_buffer *folders, const char *file) {
  const char *slash = strrchr(file, '/');
  if (slash == NULL || slash == file)
    return 0;
  return roost_buffer_printf(folders, "%.*s%c", (int)(slash - file), file, '\0');
}

/* Where a service's files lie or may come to lie. */
static int add_service_folders(roost_buffer *folders, const roost_service *service) {
  int status = add_folder(folders, service->source.root, "");
  if (status == 0)
    status = add_folder(folders, service->source.root, "/lib");
  if (status == 0)
    status = add_folder_of(folders, service->source.root);
  if (status == 0)
    status = add_folder_of(folders, service->source.path);
  for (size_t i = 0; i < service->files.count && status == 0; i++)
    status = add_folder_of(folders, service->files.items[i].path);
  return status;
}

/* Where a link lies that is a part of path: it may come to lead somewhere else. */
static int add_folders_of_links(roost_buffer *folders, char *path) {
  int status = 0;
  for (char *end = path; end != NULL && status == 0;) {
    struct stat info;
    end = strchr(end + 1, '/');
    if (end != NULL)
      *end = '\0';
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode))
      status = add_folder_of(folders, path);
    if (end != NULL)
      *end = '/';
  }
  return status;
}

/* A configured folder may hold no service yet, as lua/ no module. */
static int add_configured(const roost_reloads *reloads, roost_buffer *folders) {
  const char *working_dir = reloads->config.working_dir;
  roost_buffer path;
  roost_buffer_init(&path, reloads->config.alloc);
  int status = add_folder(folders, working_dir, "/lua");
  for (const char *const *at = reloads->settings->services; *at != NULL && status == 0; at++) {
    roost_buffer_clear(&path);
    status = **at == '/' ? roost_buffer_printf(&path, "%s%c", *at, '\0')
                         : roost_buffer_printf(&path, "%s/%s%c", working_dir, *at, '\0');
    if (status == 0)
      status = add_folder(folders, path.ptr, "");
    if (status == 0)
      status = add_folders_of_links(folders, path.ptr);
  }
  roost_buffer_deinit(&path);
  return status;
}

void roost_reloads_note(roost_reloads *reloads) {
  const roost_dispatch *dispatch = reloads->config.worker->dispatch;
  roost_buffer folders;
  if (reloads->watching == NULL)
    return;
  roost_buffer_init(&folders, reloads->config.alloc);
  int status = roost_buffer_append_slice(&folders, roost_buffer_slice(&reloads->folders));
  if (status == 0)
    status = add_configured(reloads, &folders);
  for (size_t i = 0; i < dispatch->service_count && status == 0; i++)
    status = add_service_folders(&folders, dispatch->services[i]);
  if (status == 0)
    status = roost_watching_set(reloads->watching, &folders);
  if (status != 0)
    roost_log_say(reloads->config.log, ROOST_LOG_ERROR, "folders are not watched: out of memory");
  roost_buffer_deinit(&folders);
}

static void on_changes(void *ud) {
  roost_reloads *reloads = ud;
  if (reloads->config.worker->state == ROOST_WORKER_RUNNING)
    (void)look(reloads, true);
}

/* On the control thread. */
static void on_quiet(void *ud) {
  roost_reloads *reloads = ud;
  (void)roost_loop_post(reloads->config.worker->loop, on_changes, reloads);
}

static void watch(roost_reloads *reloads) {
  const roost_reload *wanted = &reloads->settings->reload;
  if (reloads->watching != NULL && (!wanted->watch || wanted->debounce != reloads->quiet_ms)) {
    roost_watching_stop(reloads->watching);
    reloads->watching = NULL;
  }
  if (reloads->watching == NULL && wanted->watch) {
    reloads->quiet_ms = wanted->debounce;
    if (roost_watching_start(&reloads->watching, reloads->config.alloc, reloads->config.control,
                             reloads->config.log, wanted->debounce, on_quiet, reloads) != 0)
      roost_log_say(reloads->config.log, ROOST_LOG_ERROR, "folders are not watched: out of memory");
  }
  roost_reloads_note(reloads);
}

void roost_reloads_start(roost_reloads *reloads) {
  if (reloads->settings != NULL)
    watch(reloads);
}

/* ------------------------------------------------------------------------- life -------------- */

void roost_reloads_apply(roost_reloads *reloads, const roost_settings *settings) {
  reloads->settings = settings;
  if (reloads->config.worker->state == ROOST_WORKER_RUNNING)
    watch(reloads);
}

int roost_reloads_new(roost_reloads **out, const roost_reloads_config *config) {
  roost_reloads *reloads = roost_alloc_get(config->alloc, sizeof *reloads);
  *out = reloads;
  if (reloads == NULL)
    return ROOST_ENOMEM;
  reloads->config = *config;
  roost_list_init(&reloads->requests);
  roost_list_init(&reloads->running);
  roost_buffer_init(&reloads->told, config->alloc);
  roost_buffer_init(&reloads->folders, config->alloc);
  return 0;
}

void roost_reloads_free(roost_reloads *reloads) {
  if (reloads == NULL)
    return;
  roost_watching_stop(reloads->watching);
  roost_list_move(&reloads->running, &reloads->requests);
  while (!roost_list_empty(&reloads->running))
    finish(ROOST_LIST_ENTRY(reloads->running.next, request, link));
  roost_scan_free(reloads->scan);
  roost_buffer_deinit(&reloads->told);
  roost_buffer_deinit(&reloads->folders);
  roost_alloc_put(reloads->config.alloc, reloads, sizeof *reloads);
}
