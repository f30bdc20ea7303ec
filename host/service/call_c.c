/*
 * The roost_call_ functions of roost.h: what a C handler does with its call.
 */
#include "service/call.h"
#include "service/dispatch.h"

roost_slice roost_call_pattern(const roost_call *call) {
  if (call == NULL)
    return (roost_slice){NULL, 0};
  return call->pattern;
}

roost_slice roost_call_data(const roost_call *call) {
  if (call == NULL)
    return (roost_slice){NULL, 0};
  return call->data.ptr != NULL ? call->data : ROOST_SLICE("null");
}

bool roost_call_is_event(const roost_call *call) {
  return call != NULL && call->event;
}

/* Why nothing can be sent any more. */
static int lost(const roost_call *call) {
  return call->origin == NULL ? ROOST_EGONE : ROOST_ETIMEDOUT;
}

int roost_call_push(roost_call *call, roost_slice data) {
  if (call == NULL)
    return ROOST_EINVAL;
  roost_buffer *item;
  if (call->answered)
    return lost(call);
  int status = roost_call_item_begin(call, &item);
  if (status == ROOST_EFULL)
    return lost(call); /* one stream too many, and answered so */
  if (status != 0)
    return status;
  status = roost_buffer_append_slice(item, data);
  if (status != 0)
    return status;
  roost_call_item_end(call);
  return roost_call_crowded(call) ? ROOST_EFULL : 0;
}

void roost_call_finish(roost_call *call) {
  call->answered = call->finished = true;
  if (!call->running)
    roost_call_end(call);
}

int roost_call_reply(roost_call *call, roost_slice data) {
  if (call == NULL)
    return ROOST_EINVAL;
  int status = roost_call_owed(call) || call->event ? 0 : lost(call);
  if (data.ptr == NULL) {
    roost_call_reply_none(call);
  } else {
    roost_buffer *out = roost_call_reply_begin(call, ROOST_REPLY_LAST);
    if (out != NULL && (status = roost_buffer_append_slice(out, data)) == 0)
      roost_call_reply_end(call, ROOST_REPLY_LAST);
    else if (out != NULL)
      roost_call_reply_undo(call);
  }
  roost_call_finish(call);
  return status;
}

int roost_call_fail(roost_call *call, const char *message) {
  if (call == NULL)
    return ROOST_EINVAL;
  int status = roost_call_owed(call) || call->event ? 0 : lost(call);
  roost_call_set_failed(call);
  call->dispatch->stats.errors++;
  roost_call_reply_error(call, roost_slice_text(message));
  roost_call_finish(call);
  return status;
}
