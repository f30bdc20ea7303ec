#include "service/call.h"

#include "service/dispatch.h"
#include "wire/json.h"

#define IDLE_MAX   1024
#define KEEP_BYTES 4096 /* a pooled call holds no larger buffer */

static const char internal_error[] = "Internal server error";

/* ------------------------------------------------------------------------- pool -------------- */

static void on_deadline(roost_timer *timer);

static roost_call *call_take(roost_dispatch *dispatch) {
  roost_call *call;
  if (!roost_list_empty(&dispatch->idle_calls)) {
    call = ROOST_LIST_ENTRY(dispatch->idle_calls.next, roost_call, link);
    roost_list_remove(&call->link);
    dispatch->idle_call_count--;
    return call;
  }
  call = roost_alloc_get(dispatch->config.alloc, sizeof *call);
  if (call == NULL)
    return NULL;
  call->dispatch = dispatch;
  roost_list_init(&call->link);
  roost_list_init(&call->running_link);
  roost_list_init(&call->flush);
  roost_list_init(&call->waiters);
  roost_buffer_init(&call->kept, dispatch->config.alloc);
  roost_buffer_init(&call->item, dispatch->config.alloc);
  roost_timer_init(&call->deadline, on_deadline);
  return call;
}

static void forget_tls(roost_call *call) {
  roost_tls_info_release(call->tls);
  call->tls = NULL;
}

static void call_free(roost_call *call) {
  forget_tls(call);
  roost_timer_stop(call->dispatch->config.wheel, &call->deadline);
  roost_list_remove(&call->link);
  roost_list_remove(&call->running_link);
  roost_list_remove(&call->flush);
  roost_buffer_deinit(&call->kept);
  roost_buffer_deinit(&call->item);
  roost_alloc_put(call->dispatch->config.alloc, call, sizeof *call);
}

static void call_give(roost_call *call) {
  roost_dispatch *dispatch = call->dispatch;
  forget_tls(call);
  if (dispatch->idle_call_count >= IDLE_MAX) {
    call_free(call);
    return;
  }
  if ((call->kept.cap | call->item.cap) != 0) { /* most calls never need these */
    roost_buffer_clear(&call->kept);
    roost_buffer_clear(&call->item);
    roost_buffer_trim(&call->kept, KEEP_BYTES);
    roost_buffer_trim(&call->item, KEEP_BYTES);
  }
  roost_list_prepend(&dispatch->idle_calls, &call->link);
  dispatch->idle_call_count++;
}

void roost_call_free_all(roost_dispatch *dispatch) {
  while (!roost_list_empty(&dispatch->calls))
    call_free(ROOST_LIST_ENTRY(dispatch->calls.next, roost_call, running_link));
  while (!roost_list_empty(&dispatch->idle_calls))
    call_free(ROOST_LIST_ENTRY(dispatch->idle_calls.next, roost_call, link));
}

/* ------------------------------------------------------------------------- ending ------------ */

/* No longer counts against its connection's limits. */
static void uncount(roost_call *call) {
  if (!call->counted)
    return;
  call->counted = false;
  if (call->item_sent)
    call->origin->streams--;
  else
    call->origin->in_flight--;
  call->origin->ops->eased(call->origin);
}

static roost_service *service_of(const roost_call *call) {
  return call->generation ? call->generation->service : NULL;
}

static void release(roost_call *call) {
  roost_generation *generation = call->generation;
  call->dispatch->config.binding->end_call(call);
  roost_list_remove(&call->running_link);
  call_give(call);
  if (generation != NULL)
    roost_generation_unpin(generation);
}

static void keep(roost_call *call, bool with_data);

void roost_call_set_failed(roost_call *call) {
  if (call->outcome == ROOST_OUTCOME_OK)
    call->outcome = ROOST_OUTCOME_ERROR;
}

/* Whoever keeps the message until it is over may want it to come again. */
static void tell_failure(const roost_call *call) {
  roost_origin *origin = call->origin;
  if (call->outcome != ROOST_OUTCOME_OK && origin != NULL && origin->ops->failed != NULL)
    origin->ops->failed(origin, call->outcome == ROOST_OUTCOME_CUT ? ROOST_SETTLE_REQUEUE
                                                                   : ROOST_SETTLE_NACK);
}

static void count_end(const roost_call *call) {
  if (call->forwarded)
    return; /* it counts where it runs */
  roost_service *service = service_of(call);
  call->dispatch->stats.in_flight--;
  if (service != NULL)
    service->stats.in_flight--;
  call->handler->stats->ended[call->event][call->refused ? ROOST_OUTCOME_ERROR : call->outcome]++;
  roost_stats_count(call->dispatch, service, call->started_us);
}

void roost_call_end(roost_call *call) {
  roost_call_undo_open(call);
  if (call->item_waits)
    roost_call_reply_none(call);
  call->answered = true;
  if (!roost_list_empty(&call->waiters))
    roost_task_wake_all(&call->waiters);
  if (roost_timer_running(&call->deadline))
    roost_timer_stop(call->dispatch->config.wheel, &call->deadline);
  tell_failure(call);
  uncount(call);
  count_end(call);
  if (call->pins > 1 && !call->is_kept)
    keep(call, call->script == NULL);
  roost_list_remove(&call->link);
  call->origin = NULL;
  roost_call_unpin(call);
}

void roost_call_pin(roost_call *call) {
  call->pins++;
}

void roost_call_unpin(roost_call *call) {
  if (--call->pins == 0)
    release(call);
}

/* ------------------------------------------------------------------------- keeping ----------- */

static void keep_slice(roost_call *call, roost_slice *slice) {
  if (slice->ptr == NULL)
    return;
  char *copy = call->kept.ptr + call->kept.len;
  if (slice->len > 0)
    memcpy(copy, slice->ptr, slice->len);
  call->kept.len += slice->len;
  slice->ptr = copy;
}

const roost_tls_info *roost_call_tls(const roost_call *call) {
  const roost_origin *origin = call->origin;
  if (call->is_kept && call->tls != NULL)
    return call->tls;
  return origin != NULL && origin->ops->tls != NULL ? origin->ops->tls(origin) : NULL;
}

/* Has whoever looks for calls find it: those that the caller's end, or the host's, can meet. */
static void link_call(roost_call *call) {
  if (call->origin != NULL)
    roost_list_append(&call->origin->calls, &call->link);
  roost_list_append(&call->dispatch->calls, &call->running_link);
}

/* From now on the call lives longer than the frame it came in. Out of memory it goes on without
 * what is for the log and for ctx, but an id it cannot do without: then nothing is owed. */
static void keep(roost_call *call, bool with_data) {
  call->is_kept = true;
  if (roost_list_empty(&call->running_link))
    link_call(call);
  if (call->origin != NULL) {
    const roost_address *peer = call->origin->ops->remote(call->origin);
    call->peer = peer != NULL ? *peer : (roost_address){0};
    call->tls = roost_tls_info_hold(roost_call_tls(call));
  }
  if (!with_data)
    call->data = (roost_slice){NULL, 0};
  size_t need = call->pattern.len + call->id.len + call->metadata.len + call->data.len + 1;
  if (roost_buffer_reserve(&call->kept, need) != 0) {
    call->pattern = call->id = call->metadata = call->data = (roost_slice){NULL, 0};
    call->answered = true;
    return;
  }
  keep_slice(call, &call->pattern);
  keep_slice(call, &call->id);
  keep_slice(call, &call->metadata);
  keep_slice(call, &call->data);
}

/* ------------------------------------------------------------------------- time and loss ----- */

uint64_t roost_call_due_ms(const roost_call *call) {
  return call->timeout_ms == 0 ? UINT64_MAX : call->started_ms + call->timeout_ms;
}

void roost_call_arm(roost_call *call) {
  uint64_t due = roost_call_due_ms(call);
  uint64_t now = call->dispatch->config.wheel->now_ms;
  if (due != UINT64_MAX)
    roost_timer_start(call->dispatch->config.wheel, &call->deadline, due > now ? due - now : 0);
}

static void tell_change(roost_call *call, roost_call_change change) {
  if (call->on_change != NULL)
    call->on_change(call, change);
}

void roost_call_writable(roost_call *call) {
  roost_task_wake_all(&call->waiters);
  tell_change(call, ROOST_CALL_WRITABLE);
}

/* Nobody waits for what the handler does any more: it is told to stop. */
static void cancel(roost_call *call) {
  call->abandoned = true;
  roost_task_wake_all(&call->waiters);
  tell_change(call, ROOST_CALL_LEFT);
  if (call->task != NULL)
    roost_task_cancel(call->task);
}

static void on_deadline(roost_timer *timer) {
  roost_call *call = ROOST_LIST_ENTRY(timer, roost_call, deadline);
  roost_log_line line;
  call->outcome = ROOST_OUTCOME_TIMEOUT;
  call->dispatch->stats.timeouts++;
  if (call->generation != NULL)
    service_of(call)->stats.timeouts++;
  if (roost_log_limited(call->dispatch->config.log, ROOST_LOG_KIND_TIMEOUT)) {
    roost_log_begin(&line, call->dispatch->config.log, ROOST_LOG_WARN,
                    ROOST_SLICE("handler ran out of time"));
    roost_call_log_fields(call, &line);
    roost_log_integer(&line, "ms", (int64_t)call->timeout_ms);
    roost_log_end(&line);
  }
  roost_call_reply_error(call, ROOST_SLICE("Timeout has occurred"));
  cancel(call);
}

void roost_call_gone(roost_call *call, bool reachable) {
  call->abandoned = true;
  if (call->streaming || !reachable) {
    roost_call_drop_item(call);
    roost_list_remove(&call->link);
    uncount(call);
    call->origin = NULL;
  }
  roost_task_wake_all(&call->waiters);
  tell_change(call, reachable ? ROOST_CALL_LEAVING : ROOST_CALL_LEFT);
}

void roost_call_cut(roost_call *call) {
  call->outcome = ROOST_OUTCOME_CUT;
  roost_call_reply_error(call, ROOST_SLICE("Service is shutting down"));
  cancel(call);
}

/* ------------------------------------------------------------------------- Lua handlers ------ */

static int task_begin(struct lua_State *lua, void *ud) {
  roost_call *call = ud;
  return call->dispatch->config.binding->begin_call(lua, call);
}

static int task_finish(struct lua_State *lua, void *ud, int count) {
  roost_call *call = ud;
  return call->dispatch->config.binding->finish_call(lua, call, count);
}

static int task_fail(struct lua_State *lua, void *ud) {
  roost_call *call = ud;
  return call->refused ? -1 : call->dispatch->config.binding->fail_call(lua, call);
}

static void task_ended(void *ud, bool reset) {
  roost_call *call = ud;
  call->task = NULL;
  if (reset && !call->refused) {
    if (!call->abandoned)
      roost_call_log_failure(call, ROOST_SLICE("the handler was ended by force"),
                             (roost_slice){NULL, 0});
    roost_call_reply_error(call, roost_slice_text(internal_error));
    call->dispatch->config.binding->forced_call(call);
  }
  if (!call->running)
    roost_call_end(call);
}

static int task_next(void **ud);

static const roost_task_ops task_ops = {.begin = task_begin,
                                        .finish = task_finish,
                                        .fail = task_fail,
                                        .ended = task_ended,
                                        .next = task_next};

bool roost_call_serves(const roost_task *task) {
  return task->ops == &task_ops;
}

static int run_lua(roost_call *call) {
  roost_dispatch *dispatch = call->dispatch;
  roost_call *outer = dispatch->running;
  roost_task *task;
  dispatch->running = call;
  call->running = true;
  int status = roost_generation_start_task(call->generation, &task, &task_ops, call, call);
  call = dispatch->running; /* the last of those that began in the task; NULL: it has ended */
  dispatch->running = outer;
  if (call == NULL)
    return 0;
  call->running = false;
  if (status != 0 || task == NULL) {
    if (call->refused)
      status = ROOST_EPROTO;
    roost_call_end(call);
    return status;
  }
  call->task = task;
  keep(call, call->script == NULL);
  roost_call_arm(call);
  return 0;
}

/* ------------------------------------------------------------------------- C handlers -------- */

/* What is forwarded packed is decoded where it runs. */
static bool is_refused(const roost_call *call) {
  if (call->data.ptr == NULL)
    return false;
  return call->format == ROOST_FORMAT_JSON ? roost_json_validate(call->data) != 0
                                           : !call->forwarded;
}

static int run_c(roost_call *call) {
  if (is_refused(call)) {
    call->refused = true;
    roost_call_end(call);
    return ROOST_EPROTO;
  }
  link_call(call); /* whose end a C handler may bring about */
  call->running = true;
  if (call->handler->fn != NULL)
    call->handler->fn(call->handler->ud, call);
  else
    call->dispatch->config.forward(call->dispatch->config.forward_ud, call);
  call->running = false;
  if ((call->event && !call->forwarded) || call->finished) {
    roost_call_end(call);
    return 0;
  }
  keep(call, false);
  roost_call_arm(call);
  return 0;
}

/* ------------------------------------------------------------------------- starting ---------- */

static void reset_flags(roost_call *call) {
  call->task = NULL;
  call->script = NULL;
  call->on_change = NULL;
  call->outcome = ROOST_OUTCOME_OK;
  call->counted = call->streaming = call->item_sent = call->answered = call->item_waits = false;
  call->writing = call->finished = false;
  call->abandoned = call->refused = call->running = call->is_kept = false;
}

static void count_start(roost_call *call) {
  roost_dispatch *dispatch = call->dispatch;
  bool event = call->event;
  call->counted = true;
  call->origin->in_flight++;
  if (call->forwarded)
    return;
  dispatch->stats.in_flight++;
  *(event ? &dispatch->stats.events : &dispatch->stats.requests) += 1;
  if (call->generation == NULL)
    return;
  roost_service_stats *stats = &service_of(call)->stats;
  stats->in_flight++;
  *(event ? &stats->events : &stats->requests) += 1;
}

/* A broker's session is one for all workers: its messages are everybody's, but for what only the
 * first one has. */
static bool is_spread(const roost_dispatch *dispatch, const roost_origin *origin,
                      const roost_handler *handler) {
  const roost_dispatch_config *config = &dispatch->config;
  return config->spread != NULL && origin->server->config->options != NULL &&
         handler->generation != NULL && !handler->generation->singleton &&
         config->spread(config->forward_ud);
}

/* A call that has not begun; NULL where memory is short. */
static roost_call *call_make(roost_dispatch *dispatch, roost_origin *origin,
                             const roost_message *message, const roost_handler *handler,
                             bool event) {
  roost_call *call = call_take(dispatch);
  if (call == NULL)
    return NULL;
  reset_flags(call);
  call->origin = origin;
  call->server = origin->server->config;
  call->handler = handler;
  call->generation = handler->generation;
  call->pattern = message->pattern;
  call->id = message->id;
  call->metadata = message->metadata;
  call->data = message->data;
  call->format = message->format;
  call->event = event || roost_message_is_event(message);
  call->pins = 1;
  call->started_ms = dispatch->config.wheel->now_ms;
  call->started_us = *dispatch->config.now_us;
  call->timeout_ms = handler->timeout_ms == ROOST_TIMEOUT_DEFAULT
                         ? dispatch->config.request_timeout_ms
                         : handler->timeout_ms;
  call->forwarded = handler->forwards || is_spread(dispatch, origin, handler);
  if (call->forwarded)
    call->timeout_ms = 0; /* it is bounded where it runs */
  count_start(call);
  if (call->generation != NULL)
    roost_generation_pin(call->generation);
  return call;
}

int roost_call_start(roost_dispatch *dispatch, roost_origin *origin, const roost_message *message,
                     const roost_handler *handler, bool event) {
  roost_call *call = call_make(dispatch, origin, message, handler, event);
  if (call == NULL)
    return ROOST_ENOMEM;
  return handler->fn != NULL || call->forwarded ? run_c(call) : run_lua(call);
}

/* The request that its caller has sent after this one, if it is there already, begins where this
 * one ends, in the same coroutine: to end that and begin it again would cost more than most
 * handlers. One that is not for the same service is left to whoever started the first. */
static int task_next(void **ud) {
  roost_call *call = *ud;
  roost_dispatch *dispatch = call->dispatch;
  const roost_generation *generation = call->generation;
  roost_origin *origin = call->origin;
  if (call != dispatch->running || origin == NULL || origin->ops->next == NULL)
    return 0;
  call->running = false;
  dispatch->running = NULL;
  roost_call_end(call);
  if (!origin->ops->next(origin, &dispatch->next))
    return -1;
  const roost_handler *handler = roost_gate_recall(dispatch->gate, &dispatch->next);
  call = NULL;
  if (handler != NULL && handler->generation == generation)
    call = call_make(dispatch, origin, &dispatch->next, handler, false);
  if (call == NULL) {
    dispatch->has_next = true;
    return -1;
  }
  call->running = true;
  dispatch->running = call;
  *ud = call;
  return 1;
}
