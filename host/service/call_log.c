/*
 * What the log says of a call.
 */
#include "service/dispatch.h"

/* An id or pattern is shown without its quotes where it is text without escapes. */
static roost_slice bare(roost_slice json) {
  bool text = json.len >= 2 && json.ptr[0] == '"';
  if (!text || memchr(json.ptr, '\\', json.len) != NULL)
    return json;
  return roost_slice_of(json.ptr + 1, json.len - 2);
}

void roost_call_log_fields(const roost_call *call, roost_log_line *line) {
  if (call->generation != NULL) {
    roost_log_text(line, "service", roost_slice_text(call->generation->service->name));
    roost_log_integer(line, "worker", call->dispatch->config.worker);
    roost_log_integer(line, "gen", call->generation->number);
  }
  roost_log_text(line, "server", roost_slice_text(call->server->name));
  roost_log_address(line, "peer",
                    call->is_kept || call->origin == NULL
                        ? &call->peer
                        : call->origin->ops->remote(call->origin));
  if (call->id.ptr != NULL)
    roost_log_text(line, "req", bare(call->id));
  roost_log_text(line, "pattern", roost_buffer_slice(&call->handler->route));
}

void roost_call_log_failure(roost_call *call, roost_slice error, roost_slice trace) {
  roost_dispatch *dispatch = call->dispatch;
  roost_log_line line;
  roost_call_set_failed(call);
  dispatch->stats.errors++;
  if (call->generation != NULL) {
    call->generation->service->stats.errors++;
    roost_service_set_error(call->generation->service, error);
  }
  if (!roost_log_limited(dispatch->config.log, ROOST_LOG_KIND_HANDLER))
    return;
  roost_log_begin(&line, dispatch->config.log, ROOST_LOG_ERROR, ROOST_SLICE("handler failed"));
  roost_call_log_fields(call, &line);
  uint64_t now_ms = roost_clock_now_us(dispatch->config.clock) / 1000;
  roost_log_integer(&line, "ms", (int64_t)(now_ms - call->started_ms));
  roost_log_text(&line, "err", error);
  if (trace.len > 0)
    roost_log_text(&line, "trace", trace);
  roost_log_end(&line);
}
