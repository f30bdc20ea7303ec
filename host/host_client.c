/*
 * Requests and events that the embedder sends: roost_host_connect, roost_request, roost_emit.
 */
#include <string.h>

#include "core/slice.h"
#include "host_internal.h"
#include "wire/json.h"
#include "wire/pattern.h"
#include "wire/utf8.h"

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
#define NAME_BYTES   64

/* A client of roost_host_connect. */
typedef struct own_client {
  struct own_client *next;
  roost_settings *settings; /* with this one client */
} own_client;

/* One that is under way; it is freed before its fn is called for the last time. */
typedef struct sent {
  roost_pending pending;
  roost_list link; /* in host->sent */
  roost_host *host;
  roost_reply_fn *fn; /* NULL: an event */
  void *ud;
} sent;

/* ------------------------------------------------------------------------- named clients ----- */

static const roost_client_config *config_of(const own_client *client) {
  return &client->settings->clients[0];
}

const roost_client_config *roost_host_find_client(void *ud, const char *name) {
  const roost_host *host = ud;
  const own_client *at = atomic_load_explicit(&host->own_clients, memory_order_acquire);
  for (; at != NULL; at = at->next)
    if (strcmp(config_of(at)->name, name) == 0)
      return config_of(at);
  return NULL;
}

/* It is written into a Lua text as it is. */
static bool is_plain(const char *url) {
  for (const char *at = url; *at != '\0'; at++)
    if ((unsigned char)*at <= ' ' || *at == '"' || *at == '\\' || (unsigned char)*at >= 0x7f)
      return false;
  return *url != '\0';
}

static bool is_name(const char *name) {
  const size_t len = strlen(name);
  return len > 0 && len <= NAME_BYTES && strspn(name, NAME_LETTERS) == len &&
         strcmp(name, "local") != 0;
}

/* Reads it as an entry of a configuration's clients. */
static int read_client(roost_host *host, own_client *client, const char *name, const char *url,
                       roost_problems *problems) {
  roost_buffer text;
  roost_buffer_init(&text, &host->alloc);
  int status =
      roost_buffer_printf(&text, "return{clients={[\"%s\"]={url=\"%s\"}}}%c", name, url, 0);
  if (status == 0) {
    const roost_settings_source source = {.path = "roost_host_connect",
                                          .text = text.ptr,
                                          .working_dir = host->config.working_dir,
                                          .only_clients = true};
    status = roost_settings_load(&client->settings, &host->alloc, &source, problems);
  }
  roost_buffer_deinit(&text);
  return status;
}

static int add_client(roost_host *host, const char *name, const char *url) {
  roost_problems problems;
  own_client *client = roost_alloc_get(&host->alloc, sizeof *client);
  if (client == NULL)
    return roost_host_fail(host, ROOST_ENOMEM, "out of memory");
  roost_problems_init(&problems, &host->alloc);
  const int status = read_client(host, client, name, url, &problems);
  if (status == 0) {
    client->next = atomic_load_explicit(&host->own_clients, memory_order_relaxed);
    atomic_store_explicit(&host->own_clients, client, memory_order_release);
  } else {
    roost_alloc_put(&host->alloc, client, sizeof *client);
    roost_host_fail(host, status,
                    problems.count > 0 ? problems.items[0].text : roost_status_name(status));
  }
  roost_problems_deinit(&problems);
  return status == ROOST_ECONFIG ? ROOST_EINVAL : status;
}

int roost_host_connect(roost_host *host, const char *name, const char *url) {
  if (host == NULL)
    return ROOST_EINVAL;
  if (name == NULL || !is_name(name))
    return roost_host_fail(host, ROOST_EINVAL,
                           "a client's name has letters, digits, _ and -, and is not local");
  if (url == NULL || !is_plain(url))
    return roost_host_fail(host, ROOST_EINVAL, "a URL is needed, as tcp://HOST:PORT");
  if (roost_host_find_client(host, name) != NULL)
    return roost_host_fail(host, ROOST_ESTATE, "there is a client of that name");
  return add_client(host, name, url);
}

void roost_host_free_clients(roost_host *host) {
  own_client *client = atomic_exchange(&host->own_clients, NULL);
  while (client != NULL) {
    own_client *next = client->next;
    roost_settings_free(client->settings);
    roost_alloc_put(&host->alloc, client, sizeof *client);
    client = next;
  }
}

/* ------------------------------------------------------------------------- what becomes of it  */

static sent *of(roost_pending *pending) {
  return ROOST_LIST_ENTRY(pending, sent, pending);
}

static void free_sent(sent *self) {
  const roost_alloc *alloc = &self->host->alloc;
  roost_list_remove(&self->link);
  roost_pending_deinit(&self->pending);
  roost_alloc_put(alloc, self, sizeof *self);
}

static void finish(sent *self, int status, roost_slice data) {
  roost_reply_fn *fn = self->fn;
  void *ud = self->ud;
  free_sent(self);
  if (fn != NULL)
    fn(ud, status, data, true);
}

static void on_reply(roost_pending *pending, const roost_reply *reply) {
  sent *self = of(pending);
  if (reply->err.ptr != NULL)
    finish(self, ROOST_EREMOTE, reply->err);
  else if (reply->last)
    finish(self, ROOST_OK, reply->response);
  else
    self->fn(self->ud, ROOST_OK, reply->response, false);
}

static void on_sent(roost_pending *pending) {
  free_sent(of(pending));
}

static void say_lost(const sent *self, const char *why) {
  roost_log_line line;
  if (!roost_log_limited(self->host->log, ROOST_LOG_KIND_LIMIT))
    return;
  roost_log_begin(&line, self->host->log, ROOST_LOG_WARN, ROOST_SLICE("an event was not sent"));
  roost_log_text(&line, "err", roost_slice_text(why));
  roost_log_end(&line);
}

static void on_failed(roost_pending *pending, int status, const char *why) {
  sent *self = of(pending);
  if (self->fn == NULL)
    say_lost(self, why);
  finish(self, status, roost_slice_text(why));
}

static const roost_pending_ops pending_ops = {
    .reply = on_reply, .sent = on_sent, .failed = on_failed};

void roost_host_fail_sent(roost_host *host) {
  host->freeing = true;
  while (!roost_list_empty(&host->sent)) {
    sent *self = ROOST_LIST_ENTRY(host->sent.next, sent, link);
    finish(self, ROOST_EGONE, ROOST_SLICE("the host is being freed"));
  }
}

/* ------------------------------------------------------------------------- sending ----------- */

/* To this host's own handlers; apart from the one that services use, whose values are not JSON. */
static int find_local(roost_outbound **out, roost_host *host) {
  static const roost_client_config local = {
      .transport = "local", .json = true, .max_buffer_size = ROOST_BUFFER_BYTES_DEFAULT};
  int status = 0;
  if (host->local == NULL)
    status = roost_dispatch_new_client(&host->local, host->worker->dispatch, &local);
  *out = host->local;
  return status;
}

static int find_client(roost_outbound **out, roost_host *host, const char *name) {
  if (strcmp(name, "local") == 0)
    return find_local(out, host);
  const int status = roost_dispatch_find_client(out, host->worker->dispatch, name);
  if (status == 0 && strcmp((*out)->config->transport, "local") == 0)
    return find_local(out, host);
  return status;
}

/* Writes the JSON text of a pattern, given as that or as plain text: an event's is its route. */
static int write_pattern(roost_buffer *out, roost_slice pattern, bool as_route, const char **why) {
  roost_buffer route;
  int status;
  *why = "the pattern is not UTF-8";
  if (roost_utf8_valid_prefix(pattern) < pattern.len)
    return ROOST_EINVAL;
  *why = "out of memory";
  status = roost_json_validate(pattern) == 0 ? roost_buffer_append_slice(out, pattern)
                                             : roost_json_write_string(out, pattern);
  if (status != 0)
    return status;
  roost_buffer_init(&route, out->alloc);
  status = roost_pattern_normalise(&route, roost_buffer_slice(out), why);
  if (status == 0)
    *why = "a pattern is text, a number or an object";
  if (status > 0 && as_route) {
    roost_buffer_clear(out);
    status = roost_json_write_string(out, roost_buffer_slice(&route));
  } else {
    status = status > 0 ? 0 : status == 0 ? ROOST_EINVAL : status;
  }
  roost_buffer_deinit(&route);
  return status;
}

/* As roost_outbound_end. */
static int hand_over(sent *self, roost_outbound *outbound, roost_slice pattern, roost_slice data) {
  const roost_message said = {.pattern = pattern};
  int status;
  roost_buffer *out =
      roost_outbound_begin(outbound, &self->pending, self->fn != NULL, &said, &status);
  if (out == NULL)
    return status;
  status = roost_buffer_append_slice(out, data);
  if (status == 0)
    return roost_outbound_end(outbound, &self->pending, &said);
  roost_pending_drop(&self->pending);
  return status;
}

/* What the loop's time is behind, since it stands while nobody polls. */
static uint64_t behind_ms(const roost_host *host) {
  const uint64_t now_ms = roost_clock_now_us(&host->clock) / 1000;
  const uint64_t loop_ms = roost_loop_now_ms(host->worker->loop);
  return now_ms > loop_ms ? now_ms - loop_ms : 0;
}

static int send(roost_host *host, roost_outbound *outbound, roost_slice pattern, roost_slice data,
                uint64_t timeout_ms, roost_reply_fn *fn, void *ud) {
  sent *self = roost_alloc_get(&host->alloc, sizeof *self);
  if (self == NULL)
    return ROOST_ENOMEM;
  roost_pending_init(&self->pending, &host->alloc, &pending_ops);
  self->host = host;
  self->fn = fn;
  self->ud = ud;
  roost_list_append(&host->sent, &self->link);
  const bool was_inside = host->inside;
  host->inside = true; /* a handler of this host may run now */
  if (timeout_ms > 0)
    self->pending.timeout_ms = timeout_ms + behind_ms(host);
  const int status = hand_over(self, outbound, pattern, data);
  host->inside = was_inside;
  self->pending.timeout_ms = timeout_ms;
  if (status != 0) /* an error, or an event that is sent already */
    free_sent(self);
  return status < 0 ? status : 0;
}

static int refuse(roost_host *host, const char *client, roost_slice pattern, roost_slice data) {
  if (client == NULL || pattern.ptr == NULL)
    return roost_host_fail(host, ROOST_EINVAL, "a client and a pattern are needed");
  if (data.ptr != NULL &&
      (roost_utf8_valid_prefix(data) < data.len || roost_json_validate(data) != 0))
    return roost_host_fail(host, ROOST_EINVAL, "the data is not JSON");
  if (host->freeing)
    return roost_host_fail(host, ROOST_ESTATE, "the host is being freed");
  if (host->worker->state == ROOST_WORKER_DRAINED)
    return roost_host_fail(host, ROOST_ESTATE, "the host has stopped");
  return 0;
}

static int begin(roost_host *host, const char *client, roost_slice pattern, roost_slice data,
                 uint64_t timeout_ms, roost_reply_fn *fn, void *ud) {
  roost_outbound *outbound;
  roost_buffer json;
  const char *why = "the client cannot be used";
  int status = refuse(host, client, pattern, data);
  if (status != 0)
    return status;
  status = find_client(&outbound, host, client);
  if (status == ROOST_ENOENT)
    why = "there is no such client";
  roost_buffer_init(&json, &host->alloc);
  if (status == 0)
    status = write_pattern(&json, pattern, fn == NULL, &why);
  if (status == 0) {
    status =
        send(host, outbound, roost_buffer_slice(&json), data.ptr != NULL ? data : ROOST_SLICE("{}"),
             timeout_ms != 0 || fn == NULL ? timeout_ms : outbound->config->timeout, fn, ud);
    if (status != 0)
      why = roost_status_name(status);
  }
  roost_buffer_deinit(&json);
  return status == 0 ? 0 : roost_host_fail(host, status, why);
}

int roost_request(roost_host *host, const char *client, roost_slice pattern, roost_slice data,
                  uint32_t timeout_ms, roost_reply_fn *fn, void *ud) {
  if (host == NULL)
    return ROOST_EINVAL;
  if (fn == NULL)
    return roost_host_fail(host, ROOST_EINVAL, "a function for the replies is needed");
  return begin(host, client, pattern, data, timeout_ms, fn, ud);
}

int roost_emit(roost_host *host, const char *client, roost_slice pattern, roost_slice data) {
  if (host == NULL)
    return ROOST_EINVAL;
  return begin(host, client, pattern, data, 0, NULL, NULL);
}
