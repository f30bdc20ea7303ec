/*
 * What a call sends: its reply, or the items of its stream.
 */
#include "service/call.h"
#include "service/dispatch.h"
#include "wire/json.h"

/* ------------------------------------------------------------------------- replies ----------- */

bool roost_call_owed(const roost_call *call) {
  return !call->event && !call->answered && call->origin != NULL;
}

void roost_call_drop_item(roost_call *call) {
  call->item_waits = false;
  roost_list_remove(&call->flush);
}

/* Sends the waiting item, which is undefined where it has no text; last: the end rides on it. */
static void send_item(roost_call *call, bool last) {
  roost_call_drop_item(call);
  if (!roost_call_owed(call))
    return;
  bool is_void = call->item.len == 0;
  roost_reply_kind kind = last ? (is_void ? ROOST_REPLY_END : ROOST_REPLY_LAST)
                               : (is_void ? ROOST_REPLY_VOID : ROOST_REPLY_ITEM);
  const roost_origin_ops *ops = call->origin->ops;
  roost_buffer *out = ops->reply_begin(call->origin, kind);
  if (out == NULL)
    return;
  call->origin->value_format = call->item_format;
  if (roost_buffer_append_slice(out, roost_buffer_slice(&call->item)) != 0)
    ops->reply_undo(call->origin);
  else
    ops->reply_end(call->origin, kind, call->id);
  roost_buffer_clear(&call->item);
}

void roost_call_flush(roost_call *call) {
  if (call->item_waits)
    send_item(call, false);
}

void roost_call_undo_open(roost_call *call) {
  if (call->writing && call->origin != NULL)
    roost_call_reply_undo(call);
  call->writing = false;
}

roost_buffer *roost_call_reply_begin(roost_call *call, roost_reply_kind kind) {
  roost_call_undo_open(call);
  roost_call_flush(call);
  if (!roost_call_owed(call))
    return NULL;
  roost_buffer *out = call->origin->ops->reply_begin(call->origin, kind);
  call->writing = out != NULL;
  return out;
}

roost_format roost_call_format(const roost_call *call) {
  return call->origin != NULL && call->origin->takes_packed ? ROOST_FORMAT_PACKED
                                                            : ROOST_FORMAT_JSON;
}

/* Of the reply being written, or else of the item. */
void roost_call_set_format(roost_call *call, roost_format format) {
  if (call->writing)
    call->origin->value_format = format;
  else
    call->item_format = format;
}

void roost_call_reply_end(roost_call *call, roost_reply_kind kind) {
  call->writing = false;
  call->origin->ops->reply_end(call->origin, kind, call->id);
  call->answered = true;
}

void roost_call_reply_undo(roost_call *call) {
  call->writing = false;
  call->origin->ops->reply_undo(call->origin);
}

void roost_call_reply_none(roost_call *call) {
  if (call->item_waits)
    send_item(call, true);
  else if (roost_call_reply_begin(call, ROOST_REPLY_END) != NULL)
    roost_call_reply_end(call, ROOST_REPLY_END);
  call->answered = true;
}

void roost_call_reply_error(roost_call *call, roost_slice message) {
  roost_buffer *out = roost_call_reply_begin(call, ROOST_REPLY_ERROR);
  if (out != NULL) {
    const int status = roost_message_write_error(out, message);
    if (status == 0)
      roost_call_reply_end(call, ROOST_REPLY_ERROR);
    else
      roost_call_reply_undo(call);
    if (status == ROOST_EINVAL) { /* a C handler's text that is not UTF-8 */
      roost_call_reply_error(call, ROOST_SLICE(ROOST_INTERNAL_ERROR));
      return;
    }
  }
  call->answered = true;
}

/* ------------------------------------------------------------------------- streams ----------- */

void roost_call_set_streaming(roost_call *call) {
  call->streaming = true;
}

/* With its first item a stream no longer counts as in flight. */
static void count_stream(roost_call *call) {
  call->item_sent = call->streaming = true;
  if (!call->counted)
    return;
  call->origin->in_flight--;
  call->origin->streams++;
  call->origin->ops->eased(call->origin);
}

int roost_call_item_begin(roost_call *call, roost_buffer **buffer) {
  *buffer = &call->item;
  if (!roost_call_owed(call) || call->abandoned)
    return ROOST_EGONE;
  uint32_t max = call->server->max_streams;
  if (!call->item_sent && max != 0 && call->origin->streams >= max) {
    roost_call_reply_error(call, ROOST_SLICE("Too many streams"));
    call->abandoned = true;
    roost_task_wake_all(&call->waiters); /* the handler may wait for what it returned to end */
    return ROOST_EFULL;
  }
  if (!call->item_sent)
    count_stream(call);
  roost_call_flush(call);
  roost_buffer_clear(&call->item);
  call->item_format = ROOST_FORMAT_JSON;
  return 0;
}

void roost_call_item_end(roost_call *call) {
  call->item_waits = true;
  roost_list_append(&call->dispatch->items, &call->flush);
  if (roost_timer_running(&call->deadline)) {
    call->started_ms = call->dispatch->config.wheel->now_ms;
    roost_call_arm(call);
  }
}

bool roost_call_crowded(const roost_call *call) {
  return call->origin != NULL && call->origin->ops->crowded(call->origin);
}
