#include "testing_host.h"

#include "core/slice.h"
#include "net/crypto.h"
#include "testing_stub.h"

#define MAX_REPLY_BYTES ((size_t)1 << 30)
#define LOAD_MS         4000 /* for a main chunk, at most: within the time of a test */

/* ------------------------------------------------------------------------- making ------------ */

static void on_line(void *ud, roost_log_level level, roost_slice line) {
  roost_test_host *host = ud;
  (void)level;
  if (roost_buffer_append_slice(&host->lines, line) == 0)
    (void)roost_buffer_append_byte(&host->lines, '\n');
}

uint64_t roost_test_host_uptime_ms(const roost_test_host *host) {
  return roost_loop_now_ms(host->exec->loop) - host->made_ms;
}

void roost_test_host_collect_log(roost_test_host *host) {
  roost_log_drain(host->log);
}

static int add_servers(roost_test_host *host) {
  int status = 0;
  for (size_t i = 0; i < host->settings->server_count && status == 0; i++)
    status = roost_worker_add_server(host->worker, &host->settings->servers[i]);
  return status;
}

static int configure(roost_test_host *host, const char *text) {
  roost_exec *exec = host->exec;
  const roost_settings_source source = {
      .path = "config", .text = text, .working_dir = exec->working_dir};
  int status = roost_settings_load(&host->settings, exec->alloc, &source, &host->problems);
  if (status != 0)
    return status;
  roost_log_set_level(host->log, host->settings->log_level);
  const roost_store_config store = {exec->alloc, &exec->clock, roost_random_bytes};
  status = roost_store_new(&host->store, &store);
  if (status != 0)
    return status;
  roost_store_set_limit(host->store, host->settings->limits.store_memory);
  const roost_worker_config config = {.alloc = exec->alloc,
                                      .clock = &exec->clock,
                                      .log = host->log,
                                      .store = host->store,
                                      .working_dir = exec->working_dir,
                                      .loop = exec->loop,
                                      .runner = &exec->runner,
                                      .open_client = roost_test_stub_open,
                                      .other_client = roost_test_stub_config,
                                      .clients_ud = host};
  status = roost_worker_new(&host->worker, &config);
  if (status != 0)
    return status;
  roost_worker_apply(host->worker, host->settings);
  host->worker->dispatch->config.reload_retry_ms = 0; /* a test says when */
  if (host->worker->dispatch->config.start_timeout_ms > LOAD_MS)
    host->worker->dispatch->config.start_timeout_ms = LOAD_MS;
  status = roost_worker_load_serializers(host->worker, host->settings, &host->problems);
  return status == 0 ? add_servers(host) : status;
}

int roost_test_host_new(roost_test_host **out, roost_exec *exec, const char *text) {
  *out = NULL;
  roost_test_host *host = roost_alloc_get(exec->alloc, sizeof *host);
  if (host == NULL)
    return ROOST_ENOMEM;
  host->exec = exec;
  host->made_ms = roost_loop_now_ms(exec->loop);
  roost_buffer_init(&host->lines, exec->alloc);
  roost_found_init(&host->found, exec->alloc);
  roost_problems_init(&host->problems, exec->alloc);
  roost_list_init(&host->peers);
  roost_list_init(&host->stubs);
  roost_list_init(&host->waiters);
  roost_list_append(&exec->hosts, &host->link);
  *out = host;
  int status = roost_log_new(&host->log, exec->alloc, &exec->clock, on_line, host);
  if (status != 0)
    return status;
  roost_log_set_format(host->log, ROOST_LOG_JSON);
  return configure(host, text);
}

/* ------------------------------------------------------------------------- services ---------- */

static void on_found(void *ud, bool error, const char *text) {
  roost_problems_add(ud, error ? ROOST_PROBLEM_ERROR : ROOST_PROBLEM_WARNING, "%s", text);
}

/* Each path is looked at alone: two of them may hold services of one name. */
static int refuse_twin(roost_test_host *host, const char *name) {
  const roost_dispatch *dispatch = host->worker->dispatch;
  for (size_t i = 0; i < dispatch->service_count; i++)
    if (strcmp(dispatch->services[i]->name, name) == 0) {
      roost_problems_add(&host->problems, ROOST_PROBLEM_ERROR,
                         "services: a service named \"%s\" is there already", name);
      return ROOST_ECONFIG;
    }
  return 0;
}

int roost_test_host_add(roost_test_host *host, const char *path) {
  const size_t errors = host->problems.errors;
  roost_found_deinit(&host->found);
  roost_found_init(&host->found, host->exec->alloc);
  int status =
      roost_found_add(&host->found, host->exec->working_dir, path, on_found, &host->problems);
  if (status == ROOST_ENOENT)
    roost_problems_add(&host->problems, ROOST_PROBLEM_ERROR, "services: %s: no such file or folder",
                       path);
  if (status == 0)
    status = host->problems.errors > errors ? ROOST_ECONFIG : 0;
  for (size_t i = 0; i < host->found.count && status == 0; i++)
    status = refuse_twin(host, host->found.items[i].name);
  return status == 0 ? roost_worker_load(host->worker, &host->found, &host->problems) : status;
}

int roost_test_host_add_inline(roost_generation **out, roost_test_host *host, const char *name) {
  *out = NULL;
  int status = refuse_twin(host, name);
  const roost_service_options *options = roost_settings_service(host->settings, name);
  if (options != NULL && options->sandbox) {
    roost_problems_add(&host->problems, ROOST_PROBLEM_ERROR,
                       "service_options.%s.sandbox: a service inside of a test is no sandbox; "
                       "put it into a file",
                       name);
    status = ROOST_ECONFIG;
  }
  return status == 0
             ? roost_worker_add_inline(out, host->worker, name, host->exec->program.generation->vm)
             : status;
}

int roost_test_host_start(roost_test_host *host) {
  int status = roost_worker_check_conflicts(host->worker, ROOST_PROBLEM_WARNING, &host->problems);
  if (status != 0)
    return status;
  for (size_t i = 0; i < host->problems.count; i++)
    roost_log_say(host->log, ROOST_LOG_WARN, host->problems.items[i].text);
  host->state = ROOST_WORKER_STARTING;
  roost_worker_start(host->worker);
  return 0;
}

/* ------------------------------------------------------------------------- peers ------------- */

static void on_bytes(void *ud, roost_slice bytes) {
  roost_test_peer *peer = ud;
  if (roost_buffer_append_slice(&peer->received, bytes) != 0)
    roost_conn_close(peer->conn);
  roost_task_wake_all(&peer->waiters);
}

static void on_eof(void *ud) {
  roost_test_peer *peer = ud;
  peer->ended = true;
  roost_conn_shutdown(peer->conn);
  roost_task_wake_all(&peer->waiters);
}

static void on_writable(void *ud) {
  (void)ud;
}

static void on_closed(void *ud, int status, const char *why) {
  roost_test_peer *peer = ud;
  (void)status;
  (void)why;
  peer->ended = true;
  peer->conn = NULL;
  roost_list_remove(&peer->link);
  roost_task_wake_all(&peer->waiters);
  peer->gone(peer);
}

static const roost_conn_ops conn_ops = {
    .on_bytes = on_bytes, .on_eof = on_eof, .on_writable = on_writable, .on_closed = on_closed};

void roost_test_peer_init(roost_test_peer *peer) {
  roost_frame_reader_init(&peer->reader, peer->exec->alloc, ROOST_FRAMING_NEST, MAX_REPLY_BYTES);
  roost_buffer_init(&peer->received, peer->exec->alloc);
  roost_list_init(&peer->link);
  roost_list_init(&peer->waiters);
}

static roost_server *find_server(const roost_test_host *host, const char *name) {
  const roost_worker *worker = host->worker;
  for (size_t i = 0; i < worker->server_count; i++)
    if (name == NULL || strcmp(worker->servers[i]->config->name, name) == 0)
      return worker->servers[i];
  return NULL;
}

int roost_test_host_connect(roost_test_host *host, roost_test_peer *peer, const char *server,
                            const roost_address *address, const roost_tls_info *tls) {
  roost_server *to = find_server(host, server);
  roost_conn *other;
  if (to == NULL)
    return ROOST_ENOENT;
  int status = roost_conn_pair(&peer->conn, &other, host->exec->loop);
  if (status != 0)
    return status;
  peer->reader.framing = to->config->framing;
  roost_list_append(&host->peers, &peer->link);
  roost_conn_set_ops(peer->conn, &conn_ops, peer);
  status = roost_conn_play(other, address, tls);
  if (status != 0) {
    roost_conn_close(other);
    return status;
  }
  return roost_tcp_server_adopt(to, other);
}

void roost_test_peer_close(roost_test_peer *peer) {
  if (peer->conn != NULL)
    roost_conn_close(peer->conn);
}

/* ------------------------------------------------------------------------- the end ----------- */

static void close_peers(roost_test_host *host) {
  for (roost_list *at = host->peers.next; at != &host->peers; at = at->next)
    roost_test_peer_close(ROOST_LIST_ENTRY(at, roost_test_peer, link));
}

void roost_test_host_close(roost_test_host *host) {
  host->closing = true;
  close_peers(host);
  if (host->worker != NULL)
    roost_worker_drain(host->worker);
}

static void host_free(roost_test_host *host) {
  roost_list_remove(&host->link);
  roost_worker_free(host->worker);
  roost_test_stubs_free(host);
  roost_store_free(host->store);
  roost_testing_forget(host);
  roost_task_wake_all(&host->waiters);
  if (host->log != NULL)
    roost_log_free(host->log);
  roost_settings_free(host->settings);
  roost_found_deinit(&host->found);
  roost_problems_deinit(&host->problems);
  roost_buffer_deinit(&host->lines);
  roost_alloc_put(host->exec->alloc, host, sizeof *host);
}

/* The drain of one that never ran has nothing to wait for. */
static bool is_over(roost_test_host *host) {
  if (!host->closing || !roost_list_empty(&host->peers))
    return false;
  const roost_worker *worker = host->worker;
  if (worker != NULL && worker->state != ROOST_WORKER_DRAINED &&
      worker->state != ROOST_WORKER_FAILED)
    return false;
  roost_test_stubs_close(host);
  return !roost_test_stubs_are_open(host);
}

static bool is_to_be_cut(const roost_test_host *host) {
  return host->closing && host->cut_us != 0 && roost_clock_real_us() > host->cut_us;
}

static void look_at(roost_test_host *host) {
  if (host->worker == NULL)
    return;
  if (is_to_be_cut(host))
    roost_worker_cut(host->worker);
  roost_worker_check_drained(host->worker);
  if ((int)host->worker->state == host->state)
    return;
  host->state = (int)host->worker->state;
  roost_task_wake_all(&host->waiters);
}

void roost_test_hosts_close(roost_exec *exec) {
  for (roost_list *at = exec->hosts.next; at != &exec->hosts; at = at->next) {
    roost_test_host *host = ROOST_LIST_ENTRY(at, roost_test_host, link);
    if (!host->closing)
      roost_test_host_close(host);
  }
}

void roost_test_hosts_turn(roost_exec *exec) {
  roost_list *at = exec->hosts.next;
  while (at != &exec->hosts) {
    roost_test_host *host = ROOST_LIST_ENTRY(at, roost_test_host, link);
    look_at(host);
    at = at->next;
    if (!is_over(host))
      continue;
    host_free(host); /* runs the loop: the list may be another one now */
    exec->quiet = false;
    at = exec->hosts.next;
  }
}

void roost_test_hosts_free(roost_exec *exec) {
  while (!roost_list_empty(&exec->hosts)) {
    roost_test_host *host = ROOST_LIST_ENTRY(exec->hosts.next, roost_test_host, link);
    close_peers(host);
    roost_test_stubs_close(host);
    while (!roost_list_empty(&host->peers) || roost_test_stubs_are_open(host))
      roost_loop_poll(exec->loop, 0);
    host_free(host);
  }
}
