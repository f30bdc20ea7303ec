#include <microhttpd.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin_internal.h"
#include "admin/pages.h"
#include "core/slice.h"

#define MAX_CONNECTIONS 128u /* of a door; more wait to be accepted */
#define TIMEOUT_S       2u   /* of a connection on which nothing happens, which keeps others out */
#define MEMORY_BYTES    ((size_t)16384)
#define MAX_BODY_BYTES  65536
#define PAUSE_MS        50 /* of accepting, where there is no descriptor left */

/* ------------------------------------------------------------------------- exchanges --------- */

static roost_exchange *exchange_new(roost_door *door, struct MHD_Connection *connection) {
  roost_admin *admin = door->admin;
  roost_exchange *exchange = roost_alloc_get(admin->config.alloc, sizeof *exchange);
  if (exchange == NULL)
    return NULL;
  exchange->admin = admin;
  exchange->door = door;
  exchange->connection = connection;
  roost_timer_init(&exchange->patience, NULL);
  roost_buffer_init(&exchange->json, admin->config.alloc);
  roost_list_append(&admin->exchanges, &exchange->link);
  return exchange;
}

void roost_exchange_free(roost_exchange *exchange) {
  roost_list_remove(&exchange->link);
  roost_buffer_deinit(&exchange->json);
  roost_alloc_put(exchange->admin->config.alloc, exchange, sizeof *exchange);
}

void roost_exchange_resume(roost_exchange *exchange) {
  roost_timer_stop(roost_loop_wheel(exchange->admin->loop), &exchange->patience);
  exchange->state = ROOST_EXCHANGE_DONE;
  MHD_resume_connection(exchange->connection);
  roost_loop_defer(exchange->admin->loop, &exchange->door->again);
}

/* A connection is over, one way or another; what a reload still refers to stays until that ends. */
static void on_completed(void *ud, struct MHD_Connection *connection, void **place,
                         enum MHD_RequestTerminationCode how) {
  roost_exchange *exchange = *place;
  (void)ud;
  (void)connection;
  (void)how;
  if (exchange == NULL)
    return;
  exchange->connection = NULL;
  if (exchange->state == ROOST_EXCHANGE_RELOADING)
    return;
  roost_timer_stop(roost_loop_wheel(exchange->admin->loop), &exchange->patience);
  roost_exchange_free(exchange);
}

/* ------------------------------------------------------------------------- answering --------- */

/* Takes the answer's body. */
static enum MHD_Result send_answer(struct MHD_Connection *connection, roost_page_answer *answer) {
  struct MHD_Response *response =
      MHD_create_response_from_buffer(answer->body.len, answer->body.ptr, MHD_RESPMEM_MUST_COPY);
  enum MHD_Result sent = MHD_NO;
  roost_buffer_deinit(&answer->body);
  if (response == NULL)
    return MHD_NO;
  const bool ready =
      MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type) == MHD_YES &&
      MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
      (answer->allow == NULL ||
       MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow) == MHD_YES);
  if (ready)
    sent = MHD_queue_response(connection, answer->code, response);
  MHD_destroy_response(response);
  return sent;
}

static enum MHD_Result finish(struct MHD_Connection *connection, roost_page_answer *answer,
                              int status) {
  if (status == 0)
    return send_answer(connection, answer);
  roost_buffer_deinit(&answer->body);
  return MHD_NO;
}

static enum MHD_Result say(struct MHD_Connection *connection, roost_page_answer *answer,
                           unsigned code, const char *text) {
  return finish(connection, answer, roost_page_say(answer, code, text));
}

static enum MHD_Result show(roost_exchange *exchange, roost_page_answer *answer,
                            const roost_page_target *target) {
  const roost_admin *admin = exchange->admin;
  roost_report *report;
  const roost_status_facts facts = {
      .config = admin->config.settings->file,
      .uptime_ms = (roost_clock_now_us(&admin->clock) - admin->opened_us) / 1000,
      .workers = (uint32_t)admin->asked_count,
      .stuck = roost_asking_is_stuck(admin)};
  int status = roost_asking_report(&report, admin);
  if (status == 0)
    status = roost_page_write(answer, target, report, &facts, roost_asking_stuck_ms(admin));
  roost_report_free(report);
  return finish(exchange->connection, answer, status);
}

/* ------------------------------------------------------------------------- reloading --------- */

static void on_reloaded(void *ud, roost_slice json) {
  roost_exchange *exchange = ud;
  if (exchange->connection == NULL) { /* nobody waits for it any more */
    roost_exchange_free(exchange);
    return;
  }
  exchange->failed = roost_buffer_append_slice(&exchange->json, json);
  if (exchange->calling)
    exchange->state = ROOST_EXCHANGE_DONE;
  else
    roost_exchange_resume(exchange);
}

static enum MHD_Result reload(roost_exchange *exchange, roost_page_answer *answer,
                              const roost_page_target *target) {
  const roost_admin_config *config = &exchange->admin->config;
  if (config->ops == NULL || config->ops->reload == NULL)
    return say(exchange->connection, answer, 501, "this host cannot reload services");
  if (exchange->state == ROOST_EXCHANGE_NEW &&
      roost_asking_stuck_ms(exchange->admin) >= ROOST_PAGE_DEAD_MS)
    return say(exchange->connection, answer, 503, "a worker is stuck: nothing was begun");
  if (exchange->state == ROOST_EXCHANGE_NEW) {
    exchange->state = ROOST_EXCHANGE_RELOADING;
    exchange->calling = true;
    exchange->failed = config->ops->reload(config->ud, target->service, on_reloaded, exchange);
    exchange->calling = false;
    if (exchange->failed != 0)
      exchange->state = ROOST_EXCHANGE_DONE;
  }
  if (exchange->state == ROOST_EXCHANGE_RELOADING) {
    MHD_suspend_connection(exchange->connection);
    return MHD_YES;
  }
  if (exchange->failed == ROOST_ENOENT)
    return say(exchange->connection, answer, 404, "there is no service of that name");
  if (exchange->failed != 0)
    return say(exchange->connection, answer, 503, roost_status_name(exchange->failed));
  answer->code = 200;
  answer->type = "application/json";
  return finish(exchange->connection, answer,
                roost_buffer_append_slice(&answer->body, roost_buffer_slice(&exchange->json)));
}

/* ------------------------------------------------------------------------- requests ---------- */

static bool is_too_long(struct MHD_Connection *connection) {
  const char *length =
      MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
  return length != NULL && strlen(length) > 5; /* digits; what is less is counted as it comes */
}

static enum MHD_Result begin(roost_door *door, struct MHD_Connection *connection, void **place) {
  roost_page_answer answer = {.code = 0};
  *place = exchange_new(door, connection);
  if (*place == NULL)
    return MHD_NO;
  if (!is_too_long(connection))
    return MHD_YES;
  roost_buffer_init(&answer.body, door->admin->config.alloc);
  return say(connection, &answer, 413, "no body is needed");
}

static enum MHD_Result answer_request(roost_exchange *exchange, const char *url,
                                      const char *method) {
  const roost_page_target target = roost_page_find(url);
  roost_page_answer answer = {.code = 0};
  int status;
  roost_buffer_init(&answer.body, exchange->admin->config.alloc);
  if (atomic_load(&exchange->admin->closing))
    return MHD_NO;
  if (roost_page_refuse(&answer, &target, method, exchange->door->local, &status))
    return finish(exchange->connection, &answer, status);
  if (target.page == ROOST_PAGE_RELOAD)
    return reload(exchange, &answer, &target);
  const bool is_new = exchange->state == ROOST_EXCHANGE_NEW;
  if (target.page != ROOST_PAGE_LIVE && is_new && roost_asking_wait(exchange)) {
    MHD_suspend_connection(exchange->connection);
    return MHD_YES;
  }
  return show(exchange, &answer, &target);
}

/* Called for each request several times: for its head, for each part of its body, at its end, and
 * again after it was suspended. */
static enum MHD_Result on_request(void *ud, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *len, void **place) {
  roost_exchange *exchange = *place;
  (void)version;
  (void)bytes;
  if (exchange == NULL)
    return begin(ud, connection, place);
  if (*len > 0) {
    exchange->received += *len;
    *len = 0;
    return exchange->received <= MAX_BODY_BYTES ? MHD_YES : MHD_NO;
  }
  return answer_request(exchange, url, method);
}

/* ------------------------------------------------------------------------- doors ------------- */

/* Out of descriptors the daemon would be called again and again for one who waits to be accepted.
 */
static bool cannot_accept(const roost_door *door) {
  const union MHD_DaemonInfo *info =
      MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
  struct pollfd listener = {.fd = door->fd, .events = POLLIN};
  return info->num_connections == 0 && poll(&listener, 1, 0) > 0;
}

static void pause_door(roost_door *door) {
  roost_poll_close(door->poll);
  door->poll = NULL;
  roost_timer_start(roost_loop_wheel(door->admin->loop), &door->timer, PAUSE_MS);
}

static void serve(void *ud) {
  roost_door *door = ud;
  roost_wheel *wheel = roost_loop_wheel(door->admin->loop);
  MHD_UNSIGNED_LONG_LONG after_ms;
  MHD_run(door->daemon);
  if (cannot_accept(door))
    pause_door(door);
  else if (MHD_get_timeout(door->daemon, &after_ms) == MHD_YES)
    roost_timer_start(wheel, &door->timer, after_ms);
  else
    roost_timer_stop(wheel, &door->timer);
}

static int watch(roost_door *door) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  return roost_poll_open(&door->poll, door->admin->loop, info->epoll_fd, serve, door);
}

static void on_timer(roost_timer *timer) {
  roost_door *door = ROOST_LIST_ENTRY(timer, roost_door, timer);
  if (door->poll == NULL && watch(door) != 0)
    pause_door(door);
  else
    serve(door);
}

int roost_door_open(roost_door *door) {
  door->daemon = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, door,
      MHD_OPTION_LISTEN_SOCKET, door->fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
      MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_BYTES, MHD_OPTION_END);
  if (door->daemon != NULL)
    return 0;
  close(door->fd);
  door->fd = -1;
  return ROOST_ESYSTEM;
}

int roost_door_start(roost_door *door) {
  door->again = (roost_loop_hook){.fn = serve, .ud = door};
  roost_list_init(&door->again.link);
  roost_timer_init(&door->timer, on_timer);
  return watch(door);
}

/* The daemon cannot be stopped while a connection is suspended. */
static void resume_all(roost_door *door) {
  roost_list *at = door->admin->exchanges.next;
  for (; at != &door->admin->exchanges; at = at->next) {
    roost_exchange *exchange = ROOST_LIST_ENTRY(at, roost_exchange, link);
    const bool waits = exchange->state == ROOST_EXCHANGE_WAITING;
    if (exchange->door != door || exchange->connection == NULL)
      continue;
    if (waits)
      roost_exchange_resume(exchange);
    else if (exchange->state == ROOST_EXCHANGE_RELOADING)
      MHD_resume_connection(exchange->connection);
  }
}

void roost_door_close(roost_door *door) {
  if (door->daemon == NULL)
    return;
  resume_all(door);
  MHD_run(door->daemon);
  roost_poll_close(door->poll);
  roost_timer_stop(roost_loop_wheel(door->admin->loop), &door->timer);
  roost_loop_remove_hook(&door->again);
  MHD_stop_daemon(door->daemon);
  door->daemon = NULL;
}
