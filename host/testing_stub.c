#include "testing_stub.h"

#include <stdio.h>

#include "core/slice.h"

/* ------------------------------------------------------------------------- what was sent ----- */

static int put(roost_buffer *out, const char *name, roost_slice json) {
  int status = roost_buffer_printf(out, ",\"%s\":", name);
  return status != 0 ? status : roost_buffer_append_slice(out, json);
}

/* One object on a line; what memory is too short for is not there. */
static void write_down(roost_test_stub *stub, const roost_message *message) {
  const size_t before = stub->sent.len;
  int status = roost_buffer_printf(&stub->sent, "{\"kind\":\"%s\"",
                                   roost_message_is_event(message) ? "event" : "message");
  if (status == 0 && message->pattern.ptr != NULL)
    status = put(&stub->sent, "pattern", message->pattern);
  if (status == 0 && message->data.ptr != NULL)
    status = put(&stub->sent, "data", message->data);
  if (status == 0 && message->metadata.ptr != NULL)
    status = put(&stub->sent, "metadata", message->metadata);
  if (status == 0)
    status = roost_buffer_append_slice(&stub->sent, ROOST_SLICE("}\n"));
  if (status != 0)
    stub->sent.len = before;
}

/* ------------------------------------------------------------------------- the server -------- */

static int on_message(void *ud, roost_origin *origin, const roost_message *message) {
  roost_test_stub *stub = ud;
  write_down(stub, message);
  if (stub->kind == ROOST_TEST_STUB_SILENT)
    return 0;
  return roost_dispatch_sink.on_message(stub->gate, origin, message);
}

static void on_gone(void *ud, roost_origin *origin, bool reachable) {
  const roost_test_stub *stub = ud;
  roost_dispatch_sink.on_gone(stub->gate, origin, reachable);
}

static void on_writable(void *ud, roost_origin *origin) {
  const roost_test_stub *stub = ud;
  roost_dispatch_sink.on_writable(stub->gate, origin);
}

static roost_format format(void *ud, roost_slice pattern) {
  (void)ud;
  (void)pattern;
  return ROOST_FORMAT_JSON;
}

static const roost_sink_ops stub_sink = {on_message, on_gone, on_writable, format};

static int make_server(roost_test_stub *stub) {
  roost_test_host *host = stub->host;
  roost_server_config_init(&stub->server_config);
  stub->services[0] = stub->name;
  stub->server_config.name = stub->name;
  stub->server_config.services = stub->services;
  int status = roost_dispatch_add_gate(&stub->gate, host->worker->dispatch, &stub->server_config);
  if (status == 0)
    status = roost_tcp_server_new(&stub->server, host->exec->loop, &stub->server_config, host->log,
                                  &stub_sink, stub);
  return status;
}

/* ------------------------------------------------------------------------- stubs ------------- */

static bool is_tcp(const roost_client_config *config) {
  return strcmp(config->transport, "tcp") == 0;
}

static roost_test_stub *find(const roost_test_host *host, const char *name) {
  for (roost_list *at = host->stubs.next; at != &host->stubs; at = at->next) {
    roost_test_stub *stub = ROOST_LIST_ENTRY(at, roost_test_stub, link);
    if (strcmp(stub->client.name, name) == 0)
      return stub;
  }
  return NULL;
}

roost_slice roost_test_stub_sent(const roost_test_host *host, const char *name) {
  const roost_test_stub *stub = find(host, name);
  return stub != NULL ? roost_buffer_slice(&stub->sent) : ROOST_SLICE("");
}

/* Its name as a server and a service says what it is; the client's own name is the end of it. */
#define NAME_PREFIX "stub "

static void stub_free(roost_test_stub *stub) {
  const roost_alloc *alloc = stub->host->exec->alloc;
  roost_list_remove(&stub->link);
  roost_buffer_deinit(&stub->sent);
  roost_alloc_put_text(alloc, stub->name);
  roost_alloc_put(alloc, stub, sizeof *stub);
}

static roost_test_stub *stub_new(roost_test_host *host, const char *name) {
  const roost_alloc *alloc = host->exec->alloc;
  roost_buffer full;
  roost_test_stub *stub = roost_alloc_get(alloc, sizeof *stub);
  if (stub == NULL)
    return NULL;
  stub->host = host;
  roost_list_init(&stub->link);
  roost_buffer_init(&stub->sent, alloc);
  roost_buffer_init(&full, alloc);
  if (roost_buffer_printf(&full, NAME_PREFIX "%s", name) == 0)
    stub->name = roost_alloc_text(alloc, roost_buffer_slice(&full));
  roost_buffer_deinit(&full);
  if (stub->name == NULL || make_server(stub) != 0) {
    stub_free(stub);
    return NULL;
  }
  roost_client_config_init(&stub->client);
  stub->client.name = stub->name + sizeof NAME_PREFIX - 1;
  stub->client.host = "stub";
  roost_list_append(&host->stubs, &stub->link);
  return stub;
}

static roost_test_stub *get(roost_test_host *host, const char *name) {
  roost_test_stub *stub = find(host, name);
  return stub != NULL ? stub : stub_new(host, name);
}

static bool is_of(const roost_outbound *outbound, const roost_test_stub *stub) {
  const char *name = outbound->config->name;
  return name != NULL && strcmp(name, stub->client.name) == 0;
}

/* Ends what was connected to it before, as a restart would; who still tries goes on. */
static void restart(roost_test_stub *stub) {
  roost_dispatch *dispatch = stub->host->worker->dispatch;
  for (roost_list *at = dispatch->outbounds.next; at != &dispatch->outbounds; at = at->next) {
    roost_outbound *outbound = ROOST_LIST_ENTRY(at, roost_outbound, link);
    if (is_of(outbound, stub) && outbound->state == ROOST_OUTBOUND_UP)
      roost_outbound_close(outbound);
  }
}

/* Clients that were opened before there was a stub; those of TCP have come to it by their dial. */
static int take_over(roost_test_stub *stub) {
  roost_dispatch *dispatch = stub->host->worker->dispatch;
  int status = 0;
  for (roost_list *at = dispatch->outbounds.next; at != &dispatch->outbounds && status == 0;
       at = at->next) {
    roost_outbound *outbound = ROOST_LIST_ENTRY(at, roost_outbound, link);
    if (is_of(outbound, stub) && !is_tcp(outbound->config))
      status = roost_outbound_replace(outbound, roost_test_stub_open, stub->host);
  }
  return status;
}

/* The handlers of an earlier call are no longer in the tables. */
static int make_generation(roost_test_stub *stub, roost_generation **out) {
  roost_test_host *host = stub->host;
  const roost_dispatch *dispatch = host->worker->dispatch;
  roost_vm *vm = host->exec->program.generation->vm;
  for (size_t i = 0; i < dispatch->service_count; i++)
    if (strcmp(dispatch->services[i]->name, stub->name) == 0)
      return roost_generation_borrow(out, dispatch->services[i], vm);
  return roost_worker_add_inline(out, host->worker, stub->name, vm);
}

int roost_test_stub_begin(roost_test_host *host, const char *name, roost_test_stub_kind kind,
                          roost_generation **out) {
  roost_test_stub *stub = get(host, name);
  *out = NULL;
  if (stub == NULL)
    return ROOST_ENOMEM;
  const bool is_first = stub->kind == ROOST_TEST_STUB_NONE;
  restart(stub);
  stub->kind = kind;
  const int status = is_first ? take_over(stub) : 0;
  if (status != 0)
    return status;
  return kind == ROOST_TEST_STUB_HANDLERS ? make_generation(stub, out) : 0;
}

int roost_test_stub_end(roost_test_host *host, roost_generation *generation) {
  roost_generation *before = generation->service->current;
  roost_generation_publish(generation);
  int status = roost_dispatch_rebuild(host->worker->dispatch, NULL, NULL);
  if (before != NULL && before != generation) {
    roost_generation_cut(before);
    roost_generation_unpin(before);
  }
  return status;
}

/* ------------------------------------------------------------------------- clients ----------- */

const roost_client_config *roost_test_stub_config(void *ud, const char *name) {
  roost_test_stub *stub = get(ud, name);
  if (stub == NULL)
    return NULL;
  if (stub->kind == ROOST_TEST_STUB_NONE)
    stub->kind = ROOST_TEST_STUB_DOWN;
  return &stub->client;
}

static int dial(void *ud, roost_conn **out, const roost_conn_ops *ops, void *ops_ud) {
  roost_test_stub *stub = ud;
  roost_conn *other;
  if (stub->kind == ROOST_TEST_STUB_DOWN)
    return ROOST_ECONNECT;
  if (stub->kind == ROOST_TEST_STUB_NONE)
    return roost_conn_dial(out, stub->host->exec->loop, stub->client.host, stub->client.port, 0,
                           ops, ops_ud);
  int status = roost_conn_pair(out, &other, stub->host->exec->loop);
  if (status != 0)
    return status;
  roost_conn_set_ops(*out, ops, ops_ud);
  (void)roost_tcp_server_adopt(stub->server, other); /* else it is closed, which is seen */
  return 1;
}

/* A stub answers in place of a broker, or of the host itself, as a peer of TCP does. */
int roost_test_stub_open(void *ud, roost_client **out, const roost_client_config *config,
                         const roost_client_sink *sink, void *sink_ud) {
  roost_test_host *host = ud;
  if (config->name == NULL)
    return ROOST_ENOENT;
  roost_test_stub *stub = is_tcp(config) ? get(host, config->name) : find(host, config->name);
  if (stub == NULL)
    return is_tcp(config) ? ROOST_ENOMEM : ROOST_ENOENT;
  if (!is_tcp(config) && stub->kind == ROOST_TEST_STUB_NONE)
    return ROOST_ENOENT;
  if (stub->kind == ROOST_TEST_STUB_NONE)
    stub->client = *config;
  int status = roost_tcp_client_new(out, host->exec->loop, is_tcp(config) ? config : &stub->client,
                                    sink, sink_ud);
  if (status == 0)
    roost_client_set_dial(*out, dial, stub);
  return status;
}

/* ------------------------------------------------------------------------- the end ----------- */

void roost_test_stubs_close(roost_test_host *host) {
  for (roost_list *at = host->stubs.next; at != &host->stubs; at = at->next) {
    roost_test_stub *stub = ROOST_LIST_ENTRY(at, roost_test_stub, link);
    stub->kind = ROOST_TEST_STUB_DOWN;
    restart(stub);
  }
}

bool roost_test_stubs_are_open(const roost_test_host *host) {
  for (const roost_list *at = host->stubs.next; at != &host->stubs; at = at->next)
    if (ROOST_LIST_ENTRY(at, const roost_test_stub, link)->server->stats.connections > 0)
      return true;
  return false;
}

void roost_test_stubs_free(roost_test_host *host) {
  while (!roost_list_empty(&host->stubs)) {
    roost_test_stub *stub = ROOST_LIST_ENTRY(host->stubs.next, roost_test_stub, link);
    stub->server->ops->close(stub->server);
    stub_free(stub);
  }
}
