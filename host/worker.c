#include "worker_internal.h"

#include "bind/bind.h"
#include "core/error_text.h"
#include "net/crypto.h"

#define ROUNDS_PER_TURN   16
#define ROUND_US          1000 /* others wait meanwhile */
#define MUCH_MEMORY_BYTES ((size_t)4 << 20)
#define CONN_BYTES        4096 /* what one holds besides buffers: 1 KiB, with TLS 15 */
#define RELOAD_RETRY_MS   1000

static const roost_worker_limits default_limits = {.request_timeout_ms = 30000,
                                                   .start_timeout_ms = 10000,
                                                   .drain_timeout_ms = 30000,
                                                   .reload_retry_ms = RELOAD_RETRY_MS,
                                                   .service = {(size_t)64 << 20, 1000},
                                                   .buffer_memory_bytes = (size_t)256 << 20};

/* ------------------------------------------------------------------------- the turn ---------- */

/* Tasks that wake each other go on within one turn, so that the end of a stream still finds its
 * last item unsent; but not for ever. */
static void run_ready(roost_worker *worker) {
  for (int round = 0; round < ROUNDS_PER_TURN; round++) {
    const uint64_t left_us = roost_loop_left_us(worker->loop);
    if (!roost_runner_turn(worker->runner, left_us < ROUND_US ? left_us : ROUND_US))
      return;
    if (left_us == 0)
      break;
  }
  roost_loop_defer(worker->loop, &worker->again);
}

static void note_memory(roost_worker *worker) {
  const roost_loop *loop = worker->loop;
  const size_t bytes = roost_loop_buffer_bytes(loop) + roost_loop_conn_count(loop) * CONN_BYTES;
  if (bytes > worker->buffers_peak) {
    worker->buffers_peak = bytes;
  } else if (worker->buffers_peak - bytes >= MUCH_MEMORY_BYTES) {
    worker->buffers_peak = bytes;
    if (worker->config.on_memory_freed != NULL)
      worker->config.on_memory_freed(worker->config.ud);
  }
}

static void on_flush(void *ud) {
  roost_worker *worker = ud;
  run_ready(worker);
  roost_dispatch_flush(worker->dispatch);
  if (!roost_list_empty(&worker->runner->ready)) /* a generation has gone live */
    roost_loop_defer(worker->loop, &worker->again);
  roost_worker_check_drained(worker);
  roost_stats_settle(worker->dispatch);
  note_memory(worker);
  if (worker->config.number > 0)
    roost_worker_publish(worker);
}

static void on_again(void *ud) {
  (void)ud; /* the flush of this turn does it */
}

/* ------------------------------------------------------------------------- making ------------ */

static void on_cutoff(roost_timer *timer);

/* ------------------------------------------------------------------------- clients ----------- */

static int new_client(roost_worker *worker, roost_client **out, const roost_client_config *config,
                      const roost_client_sink *sink, void *sink_ud) {
  const roost_transport *transport = roost_transport_find(config->transport);
  roost_codec *codec;
  if (transport == NULL)
    return ROOST_EUNSUPPORTED;
  int status = roost_worker_find_codec(&codec, worker, config->serializer, config->deserializer);
  if (status == 0)
    status = transport->new_client(out, worker->loop, config, sink, sink_ud);
  if (status != 0)
    return status;
  (*out)->codec = codec;
  return 0;
}

static int open_client(void *ud, roost_client **out, const roost_client_config *config,
                       const roost_client_sink *sink, void *sink_ud) {
  roost_worker *worker = ud;
  if (worker->config.open_client != NULL) {
    int status = worker->config.open_client(worker->config.clients_ud, out, config, sink, sink_ud);
    if (status != ROOST_ENOENT)
      return status;
  }
  if (strcmp(config->transport, "local") == 0)
    return roost_local_client_new(out, worker->loop, config, &worker->local_config,
                                  &roost_dispatch_sink, worker->local_gate, sink, sink_ud);
  return new_client(worker, out, config, sink, sink_ud);
}

static int make_parts(roost_worker *worker) {
  const roost_worker_config *config = &worker->config;
  worker->loop = config->loop;
  int status = config->loop ? 0 : roost_loop_new(&worker->loop, config->alloc, config->clock);
  if (status != 0)
    return status;
  if (config->loop == NULL)
    roost_loop_set_sockets(worker->loop, config->sockets);
  roost_loop_add_flush(worker->loop, &worker->flush);
  roost_dispatch_config dispatch = {.worker = config->number,
                                    .alloc = config->alloc,
                                    .clock = config->clock,
                                    .runner = worker->runner,
                                    .wheel = roost_loop_wheel(worker->loop),
                                    .now_us = roost_loop_now_us(worker->loop),
                                    .log = config->log,
                                    .modules = config->modules,
                                    .store = config->store,
                                    .open_client = open_client,
                                    .open_client_ud = worker,
                                    .other_client = config->other_client,
                                    .other_client_ud = config->clients_ud,
                                    .binding = &roost_bind,
                                    .on_reloaded = roost_worker_on_reloaded,
                                    .on_reloaded_ud = worker,
                                    .random_bytes = roost_random_bytes,
                                    .working_dir = config->working_dir,
                                    .lua_dir = config->lua_dir};
  status = roost_dispatch_new(&worker->dispatch, &dispatch);
  if (status != 0)
    return status;
  if (worker->runner == &worker->own_runner) {
    worker->runner->on_switch = roost_stats_switch;
    worker->runner->on_switch_ud = worker->dispatch;
  }
  worker->local_config = (roost_server_config){.name = "local", .transport = "local"};
  return roost_dispatch_add_gate(&worker->local_gate, worker->dispatch, &worker->local_config);
}

void roost_worker_limit_service(const roost_worker *worker, roost_service *service) {
  const roost_service_options *options =
      worker->settings != NULL ? roost_settings_service(worker->settings, service->name) : NULL;
  service->limits = worker->limits.service;
  service->sandbox = options != NULL && options->sandbox;
  if (options != NULL && options->memory != ROOST_SERVICE_UNSET)
    service->limits.memory_bytes = (size_t)options->memory;
  if (options != NULL && options->cpu != ROOST_SERVICE_UNSET)
    service->limits.cpu_ms = options->cpu;
  if (service->current != NULL && service->current->vm != NULL && !service->current->borrows_vm)
    service->current->vm->cpu_limit_ms = service->limits.cpu_ms;
}

void roost_worker_apply(roost_worker *worker, const roost_settings *settings) {
  const roost_worker_limits limits = {
      .request_timeout_ms = settings->limits.request_timeout,
      .start_timeout_ms = settings->reload.start_timeout,
      .drain_timeout_ms = settings->reload.drain_timeout,
      .reload_retry_ms = worker->limits.reload_retry_ms,
      .service = {settings->limits.service_memory, settings->limits.handler_cpu},
      .buffer_memory_bytes = settings->limits.buffer_memory};
  worker->settings = settings;
  if (worker->config.watchdog != NULL)
    roost_watchdog_set_abort(worker->config.watchdog, settings->limits.stuck == ROOST_STUCK_ABORT);
  roost_worker_set_limits(worker, &limits);
  worker->local_config.wildcards = settings->wildcards;
  worker->services = settings->services != NULL ? settings->services[0] : NULL;
  roost_dispatch_set_clients(worker->dispatch, settings->clients, settings->client_count);
  for (size_t i = 0; i < worker->dispatch->service_count; i++)
    roost_worker_limit_service(worker, worker->dispatch->services[i]);
}

/* A borrowed loop goes on for others. */
static void end_loop(roost_worker *worker) {
  if (worker->config.loop == NULL)
    roost_loop_stop(worker->loop);
}

void roost_worker_set_limits(roost_worker *worker, const roost_worker_limits *limits) {
  worker->limits = *limits;
  roost_loop_set_buffer_limit(worker->loop, limits->buffer_memory_bytes);
  worker->dispatch->config.start_timeout_ms = limits->start_timeout_ms;
  worker->dispatch->config.drain_timeout_ms = limits->drain_timeout_ms;
  worker->dispatch->config.reload_retry_ms = limits->reload_retry_ms;
  worker->dispatch->config.request_timeout_ms = limits->request_timeout_ms;
  worker->dispatch->config.service_limits = limits->service;
}

void roost_worker_set_team(roost_worker *worker, const roost_worker_team *team, void *ud) {
  worker->team = team;
  worker->team_ud = ud;
}

void roost_worker_set_jobs(roost_worker *worker, const roost_jobs *builder,
                           const roost_jobs *reaper) {
  worker->dispatch->config.builder = *builder;
  worker->dispatch->config.reaper = *reaper;
}

int roost_worker_new(roost_worker **out, const roost_worker_config *config) {
  roost_worker *worker = roost_alloc_get(config->alloc, sizeof *worker);
  *out = NULL;
  if (worker == NULL)
    return ROOST_ENOMEM;
  worker->config = *config;
  worker->flush = (roost_loop_hook){.fn = on_flush, .ud = worker};
  worker->again = (roost_loop_hook){.fn = on_again, .ud = worker};
  roost_list_init(&worker->flush.link);
  roost_list_init(&worker->again.link);
  roost_runner_init(&worker->own_runner);
  worker->own_runner.worker = (int)config->number;
  worker->runner = config->runner ? config->runner : &worker->own_runner;
  roost_timer_init(&worker->cutoff, on_cutoff);
  roost_buffer_init(&worker->error, config->alloc);
  int status = make_parts(worker);
  if (status == 0 && config->watchdog != NULL)
    status = roost_watchdog_add(config->watchdog, worker->runner);
  if (status != 0) {
    roost_worker_free(worker);
    return status;
  }
  roost_worker_set_limits(worker, &default_limits);
  *out = worker;
  return 0;
}

static void close_servers(roost_worker *worker) {
  for (roost_list *at = worker->dispatch->gates.next; at != &worker->dispatch->gates; at = at->next)
    ROOST_LIST_ENTRY(at, roost_gate, link)->server = NULL;
  for (size_t i = 0; i < worker->server_count; i++)
    worker->servers[i]->ops->close(worker->servers[i]);
  roost_alloc_put(worker->config.alloc, worker->servers,
                  worker->server_count * sizeof(roost_server *));
  worker->servers = NULL;
  worker->server_count = 0;
}

void roost_worker_close(roost_worker *worker) {
  if (worker == NULL || worker->closed)
    return;
  worker->closed = true;
  worker->state = ROOST_WORKER_DRAINED;
  if (worker->dispatch != NULL) {
    for (size_t i = 0; i < worker->dispatch->service_count; i++)
      roost_reload_abandon(worker->dispatch->services[i]);
    close_servers(worker);
  }
  if (worker->loop != NULL) {
    /* Turns in which the servers' connections end, and tell the dispatch. */
    roost_loop_remove_hook(&worker->flush);
    roost_loop_poll(worker->loop, 0);
    roost_timer_stop(roost_loop_wheel(worker->loop), &worker->cutoff);
  }
}

void roost_worker_free(roost_worker *worker) {
  if (worker == NULL)
    return;
  const roost_alloc *alloc = worker->config.alloc;
  roost_worker_close(worker);
  roost_dispatch_free(worker->dispatch);
  roost_serializers_free(worker->serializers);
  roost_loop_remove_hook(&worker->again);
  if (worker->config.loop == NULL)
    roost_loop_free(worker->loop);
  if (worker->config.watchdog != NULL)
    roost_watchdog_remove(worker->config.watchdog, worker->runner);
  roost_runner_deinit(&worker->own_runner);
  roost_buffer_deinit(&worker->error);
  roost_worker_free_copies(worker);
  roost_alloc_put(alloc, worker, sizeof *worker);
}

/* ------------------------------------------------------------------------- servers ----------- */

static void on_server_drained(void *ud, roost_server *server) {
  roost_worker *worker = ud;
  (void)server;
  worker->drained_count++;
  roost_worker_check_drained(worker);
}

static void say_listening(const roost_worker *worker, const roost_server *server) {
  roost_log_line line;
  roost_log_begin(&line, worker->config.log, ROOST_LOG_INFO, ROOST_SLICE("listening"));
  roost_log_text(&line, "server", roost_slice_text(server->config->name));
  roost_log_text(&line, "transport", roost_slice_text(server->config->transport));
  roost_log_address(&line, "address", &server->address);
  roost_log_end(&line);
}

/* Whoever connects there waits for ever: a service manager holds the socket open. */
static void warn_of_sockets(const roost_worker *worker) {
  roost_address address;
  for (size_t i = 0; roost_loop_inherited(worker->loop, i, &address); i++) {
    roost_log_line line;
    roost_log_begin(&line, worker->config.log, ROOST_LOG_WARN,
                    ROOST_SLICE("a socket was handed over for an address that no server has"));
    roost_log_address(&line, "address", &address);
    roost_log_end(&line);
  }
}

static void start_server(const roost_worker *worker, roost_server *server) {
  (void)roost_gate_subscribe(server->sink_ud); /* else with the next flush */
  server->ops->start(server);
  if (server->address.text[0] != '\0' && worker->config.number == 0) /* else another one accepts */
    say_listening(worker, server);
}

static int open_of_transport(roost_server **out, roost_worker *worker,
                             const roost_server_config *config, roost_gate *gate, const void *how,
                             const char **why) {
  const roost_transport *transport = how;
  return transport->open_server(out, worker->loop, config, worker->config.log, &roost_dispatch_sink,
                                gate, why);
}

static int open_adopting(roost_server **out, roost_worker *worker,
                         const roost_server_config *config, roost_gate *gate, const void *how,
                         const char **why) {
  (void)how;
  (void)why;
  return roost_tcp_server_new(out, worker->loop, config, worker->config.log, &roost_dispatch_sink,
                              gate);
}

int roost_worker_place_server(roost_worker *worker, const roost_server_config *config,
                              roost_open_server_fn *open, const void *how, const char **why) {
  const roost_alloc *alloc = worker->config.alloc;
  size_t count = worker->server_count;
  roost_gate *gate = NULL;
  roost_server *server;
  *why = "out of memory";
  roost_server **grown = roost_alloc_resize(alloc, worker->servers, count * sizeof *grown,
                                            (count + 1) * sizeof *grown);
  if (grown == NULL)
    return ROOST_ENOMEM;
  worker->servers = grown;
  roost_codec *codec;
  int status = roost_worker_find_codec(&codec, worker, config->serializer, config->deserializer);
  if (status == ROOST_ESCRIPT)
    *why = "its serializer cannot be loaded";
  if (status == 0)
    status = roost_dispatch_add_gate(&gate, worker->dispatch, config);
  if (status == 0)
    status = open(&server, worker, config, gate, how, why);
  if (status != 0) { /* give the place back, so that the size stays the count */
    if (gate != NULL)
      roost_dispatch_remove_gate(gate);
    grown = roost_alloc_resize(alloc, grown, (count + 1) * sizeof *grown, count * sizeof *grown);
    if (grown != NULL || count == 0)
      worker->servers = grown;
    *why = roost_error_text(*why);
    return status;
  }
  gate->server = server;
  server->codec = codec;
  server->on_drained = on_server_drained;
  server->on_drained_ud = worker;
  worker->servers[worker->server_count++] = server;
  return 0;
}

void roost_worker_begin_server(const roost_worker *worker, roost_tls_context *tls) {
  roost_server *server = worker->servers[worker->server_count - 1];
  if (tls != NULL && server->ops->secure != NULL)
    server->ops->secure(server, tls);
  if (worker->state == ROOST_WORKER_RUNNING)
    start_server(worker, server);
}

int roost_worker_listen(roost_worker *worker, const roost_server_config *config,
                        roost_tls_context *tls, const char **why) {
  const roost_transport *transport = roost_transport_find(config->transport);
  if (transport == NULL) {
    *why = "this transport is not in this build";
    return ROOST_EUNSUPPORTED;
  }
  int status = roost_worker_place_server(worker, config, open_of_transport, transport, why);
  if (status == 0)
    roost_worker_begin_server(worker, tls);
  return status;
}

int roost_worker_add_server(roost_worker *worker, const roost_server_config *config) {
  const char *why;
  return roost_worker_place_server(worker, config, open_adopting, NULL, &why);
}

/* ------------------------------------------------------------------------- starting ---------- */

void roost_worker_fail(roost_worker *worker, roost_slice why) {
  worker->state = ROOST_WORKER_FAILED;
  roost_buffer_clear(&worker->error);
  (void)roost_buffer_append_slice(&worker->error, why);
  end_loop(worker);
}

static void fail(roost_worker *worker, const roost_generation *generation) {
  roost_buffer why;
  roost_buffer_init(&why, worker->config.alloc);
  (void)roost_buffer_printf(&why, "service %s: on_start: %.*s", generation->service->name,
                            (int)generation->error.len, generation->error.ptr);
  roost_worker_fail(worker, roost_buffer_slice(&why));
  roost_buffer_deinit(&why);
  if (worker->team != NULL)
    worker->team->on_failed(worker->team_ud, worker);
}

static void say_ready(const roost_worker *worker) {
  roost_log_line line;
  roost_log_begin(&line, worker->config.log, ROOST_LOG_INFO, ROOST_SLICE("ready"));
  roost_log_integer(&line, "services", (int64_t)worker->dispatch->service_count);
  roost_log_integer(&line, "servers", (int64_t)worker->server_count);
  roost_log_end(&line);
}

void roost_worker_go_live(roost_worker *worker) {
  worker->state = ROOST_WORKER_RUNNING;
  if (worker->check_only)
    return;
  for (size_t i = 0; i < worker->dispatch->service_count; i++)
    roost_generation_publish(worker->dispatch->services[i]->current);
  for (size_t i = 0; i < worker->server_count; i++)
    start_server(worker, worker->servers[i]);
  if (worker->config.number == 0) {
    warn_of_sockets(worker);
    say_ready(worker);
  }
  if (worker->config.on_running != NULL)
    worker->config.on_running(worker->config.ud);
}

static void start_is_over(roost_worker *worker) {
  if (worker->team != NULL)
    worker->team->on_started(worker->team_ud, worker);
  else
    roost_worker_go_live(worker);
}

static void on_generation(void *ud, roost_generation *generation) {
  roost_worker *worker = ud;
  if (worker->state == ROOST_WORKER_DRAINING) {
    roost_worker_check_drained(worker);
  } else if (worker->state == ROOST_WORKER_STARTING) {
    if (generation->state == ROOST_GENERATION_FAILED)
      fail(worker, generation);
    else if (--worker->starting == 0)
      start_is_over(worker);
  }
}

void roost_worker_take(roost_worker *worker, roost_generation *generation) {
  generation->on_change = on_generation;
  generation->on_change_ud = worker;
  generation->service->current = generation;
}

void roost_worker_start(roost_worker *worker) {
  worker->state = ROOST_WORKER_STARTING;
  /* One more than there are, so that none that is over at once makes it live too early. */
  worker->starting = worker->dispatch->service_count + 1;
  for (size_t i = 0; i < worker->dispatch->service_count; i++)
    if (worker->state == ROOST_WORKER_STARTING)
      roost_generation_start(worker->dispatch->services[i]->current,
                             worker->limits.start_timeout_ms);
  if (worker->state == ROOST_WORKER_STARTING && --worker->starting == 0)
    start_is_over(worker);
}

/* ------------------------------------------------------------------------- draining ---------- */

static bool is_drained(const roost_worker *worker) {
  if (worker->drained_count < worker->server_count ||
      !roost_list_empty(&worker->dispatch->draining))
    return false;
  for (size_t i = 0; i < worker->dispatch->service_count; i++) {
    const roost_generation *generation = worker->dispatch->services[i]->current;
    if (generation == NULL)
      continue;
    if (generation->state != ROOST_GENERATION_STOPPING || !roost_generation_quiet(generation))
      return false;
  }
  return true;
}

static void finish_drain(roost_worker *worker) {
  worker->state = ROOST_WORKER_DRAINED;
  roost_timer_stop(roost_loop_wheel(worker->loop), &worker->cutoff);
  if (worker->config.number == 0)
    roost_log_say(worker->config.log, ROOST_LOG_INFO, "stopped");
  end_loop(worker);
  if (worker->team != NULL)
    worker->team->on_drained(worker->team_ud, worker);
}

void roost_worker_check_drained(roost_worker *worker) {
  if (worker->state == ROOST_WORKER_DRAINING && is_drained(worker) &&
      (worker->team == NULL || worker->team->may_end(worker->team_ud, worker)))
    finish_drain(worker);
}

void roost_worker_cut(roost_worker *worker) {
  if (worker->state != ROOST_WORKER_DRAINING || worker->cut)
    return;
  worker->cut = true;
  roost_timer_start(roost_loop_wheel(worker->loop), &worker->cutoff, ROOST_CUT_GRACE_MS);
  roost_dispatch_cut(worker->dispatch, NULL);
  for (size_t i = 0; i < worker->dispatch->service_count; i++)
    if (worker->dispatch->services[i]->current != NULL)
      roost_generation_cut(worker->dispatch->services[i]->current);
  roost_list *draining = &worker->dispatch->draining;
  for (roost_list *at = draining->next; at != draining; at = at->next)
    roost_generation_cut(ROOST_LIST_ENTRY(at, roost_generation, link));
  roost_worker_check_drained(worker);
}

static void on_cutoff(roost_timer *timer) {
  roost_worker *worker = ROOST_LIST_ENTRY(timer, roost_worker, cutoff);
  if (worker->cut) { /* whoever does not end now is ended by roost_worker_free */
    finish_drain(worker);
    return;
  }
  if (worker->config.number == 0)
    roost_log_say(worker->config.log, ROOST_LOG_WARN,
                  "reload.drain_timeout is over: what still runs is cut off");
  roost_worker_cut(worker);
}

void roost_worker_drain(roost_worker *worker) {
  bool was_running = worker->state == ROOST_WORKER_RUNNING;
  if (worker->state == ROOST_WORKER_DRAINING || worker->state == ROOST_WORKER_DRAINED)
    return;
  worker->state = ROOST_WORKER_DRAINING;
  if (worker->config.number == 0)
    roost_log_say(worker->config.log, ROOST_LOG_INFO, "draining");
  roost_timer_start(roost_loop_wheel(worker->loop), &worker->cutoff,
                    worker->limits.drain_timeout_ms);
  for (size_t i = 0; i < worker->server_count; i++)
    worker->servers[i]->ops->drain(worker->servers[i]);
  for (size_t i = 0; i < worker->dispatch->service_count; i++) {
    roost_generation *generation = worker->dispatch->services[i]->current;
    roost_reload_abandon(worker->dispatch->services[i]);
    if (generation == NULL)
      continue;
    if (was_running)
      roost_generation_stop(generation);
    else
      roost_generation_cut(generation);
  }
  roost_worker_check_drained(worker);
}
