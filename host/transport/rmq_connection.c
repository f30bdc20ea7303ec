#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "transport/rmq_internal.h"

#define SILENT_BEATS 4 /* two whole heartbeats */

static roost_rmq_session *of(roost_link *link) {
  return (roost_rmq_session *)link;
}

static bool is_gone(const roost_rmq_session *session) {
  return session->link.dialer == NULL;
}

static roost_wheel *wheel_of(const roost_rmq_session *session) {
  return roost_loop_wheel(session->owner->dialer.loop);
}

void roost_rmq_connection_fail(roost_rmq_connection *connection, int status, const char *why) {
  if (why != connection->why)
    snprintf(connection->why, sizeof connection->why, "%s", why);
  roost_dialer_fail(&connection->dialer, status, connection->why);
}

int roost_rmq_sent(roost_rmq_session *session, int status) {
  if (status == 0)
    roost_conn_dirty(session->link.conn);
  else if (status == ROOST_ENOMEM)
    roost_rmq_connection_fail(session->owner, ROOST_EGONE, "out of memory");
  return status;
}

bool roost_rmq_crowded(const roost_rmq_connection *connection) {
  const roost_rmq_session *session = roost_rmq_session_of(connection);
  return session != NULL && (session->is_blocked || roost_conn_crowded(session->link.conn));
}

/* ------------------------------------------------------------------------- heartbeats -------- */

static void on_beat(roost_timer *timer) {
  roost_rmq_session *session = ROOST_LIST_ENTRY(timer, roost_rmq_session, beat);
  if (is_gone(session))
    return;
  if (session->owner->is_paused)
    session->silent = 0; /* what comes is not looked at */
  if (++session->silent > SILENT_BEATS) {
    roost_rmq_connection_fail(session->owner, ROOST_EGONE, "the broker's heartbeat has stopped");
    return;
  }
  roost_timer_start(wheel_of(session), &session->beat, session->beat_ms);
  (void)roost_rmq_sent(session, roost_rmq_write_heartbeat(roost_rmq_out(session)));
}

static void on_unready(roost_timer *timer) {
  roost_rmq_session *session = ROOST_LIST_ENTRY(timer, roost_rmq_session, beat);
  if (!is_gone(session))
    roost_rmq_connection_fail(session->owner, ROOST_ECONNECT,
                              "ETIMEDOUT: the broker does not answer");
}

/* ------------------------------------------------------------------------- getting ready ----- */

static roost_slice text_or(const char *text, const char *otherwise) {
  return roost_slice_text(text != NULL ? text : otherwise);
}

/* One whose name is empty does not exist: a URL that ends in a slash says none. */
static roost_slice virtual_host(const roost_broker *broker) {
  const bool is_said = broker->path != NULL && broker->path[0] != '\0';
  return roost_slice_text(is_said ? broker->path : "/");
}

static bool has_word(roost_slice words, const char *word) {
  const size_t len = strlen(word);
  for (size_t at = 0; at + len <= words.len; at++) {
    const bool begins = at == 0 || words.ptr[at - 1] == ' ';
    const bool ends = at + len == words.len || words.ptr[at + len] == ' ';
    if (begins && ends && memcmp(words.ptr + at, word, len) == 0)
      return true;
  }
  return false;
}

static void on_start(roost_rmq_session *session, const roost_rmq_event *event) {
  const roost_broker *broker = &session->owner->options->broker;
  if (!has_word(event->text, "PLAIN")) {
    roost_rmq_connection_fail(session->owner, ROOST_ECONNECT,
                              "EACCES: the broker takes no user and password");
    return;
  }
  const int status = roost_rmq_write_start_ok(
      session->codec, roost_rmq_out(session), text_or(broker->user, "guest"),
      text_or(broker->password, "guest"), text_or(session->owner->name, "roost"));
  (void)roost_rmq_sent(session, status);
}

/* The smaller one of what both may; 0 is no limit. */
static uint64_t agreed(uint64_t ours, uint64_t theirs) {
  return ours == 0 || (theirs != 0 && theirs < ours) ? theirs : ours;
}

static void on_tune(roost_rmq_session *session, const roost_rmq_event *event) {
  const roost_rmq_options *options = session->owner->options;
  const uint64_t heartbeat_s =
      options->heartbeat == 0 ? 0 : agreed((options->heartbeat + 999) / 1000, event->heartbeat_s);
  const uint64_t frame_max = agreed(ROOST_RMQ_FRAME_MAX, event->frame_max);
  roost_buffer *out = roost_rmq_out(session);
  session->beat_ms = heartbeat_s * 500;
  roost_rmq_set_frame_max(session->codec, (size_t)frame_max);
  int status = roost_rmq_write_tune_ok(session->codec, out, (uint16_t)agreed(1, event->channel_max),
                                       (uint32_t)frame_max, (uint16_t)heartbeat_s);
  if (status == 0)
    status = roost_rmq_write_open(session->codec, out, virtual_host(&options->broker));
  if (roost_rmq_sent(session, status) == ROOST_EINVAL)
    roost_rmq_connection_fail(session->owner, ROOST_ECONNECT,
                              "EINVAL: the virtual host's name is too long");
}

static void become_ready(roost_rmq_session *session) {
  session->is_ready = true;
  session->silent = 0;
  roost_timer_stop(wheel_of(session), &session->beat);
  roost_timer_init(&session->beat, on_beat);
  if (session->beat_ms > 0)
    roost_timer_start(wheel_of(session), &session->beat, session->beat_ms);
  session->owner->ops->on_ready(session->owner->ud, session);
}

/* The errno's name that comes closest to why the broker ends a connection or a channel. */
static const char *errno_of(uint16_t code) {
  switch (code) {
  case 403:
  case 530:
    return "EACCES";
  case 404:
    return "ENOENT";
  case 405:
    return "EBUSY";
  case 406:
    return "EINVAL";
  default:
    return "EPROTO";
  }
}

/* The broker ends the connection, or the channel, without which it is of no use. */
static void on_broker_close(roost_rmq_session *session, const roost_rmq_event *event) {
  roost_rmq_connection *owner = session->owner;
  roost_buffer *out = roost_rmq_out(session);
  snprintf(owner->why, sizeof owner->why, "%s: %.*s", errno_of(event->code),
           (int)(event->text.len < 200 ? event->text.len : 200), event->text.ptr);
  const int status = event->kind == ROOST_RMQ_CLOSE
                         ? roost_rmq_write_close_ok(session->codec, out)
                         : roost_rmq_write_close(session->codec, out, ROOST_RMQ_GOODBYE_CODE,
                                                 ROOST_SLICE("its channel is closed"));
  if (status == 0)
    roost_conn_dirty(session->link.conn);
  const int why_status = session->is_ready ? ROOST_EGONE : ROOST_ECONNECT;
  roost_dialer_close(&owner->dialer); /* not failed: that must still be sent */
  owner->ops->on_closed(owner->ud, why_status, owner->why);
}

/* Takes what is of the connection; false: it is none of that. */
static bool take_own(roost_rmq_session *session, const roost_rmq_event *event) {
  roost_buffer *out = roost_rmq_out(session);
  switch (event->kind) {
  case ROOST_RMQ_HEARTBEAT:
    return true;
  case ROOST_RMQ_START:
    on_start(session, event);
    return true;
  case ROOST_RMQ_SECURE:
    roost_rmq_connection_fail(session->owner, ROOST_ECONNECT,
                              "EACCES: the broker wants more than user and password");
    return true;
  case ROOST_RMQ_TUNE:
    on_tune(session, event);
    return true;
  case ROOST_RMQ_OPEN_OK:
    (void)roost_rmq_sent(session,
                         roost_rmq_write_channel_open(session->codec, out, ROOST_RMQ_CHANNEL));
    return true;
  case ROOST_RMQ_CHANNEL_OPEN_OK:
    if (!session->is_ready)
      become_ready(session);
    return true;
  case ROOST_RMQ_CHANNEL_FLOW:
    (void)roost_rmq_sent(
        session, roost_rmq_write_flow_ok(session->codec, out, event->channel, event->active));
    return true;
  case ROOST_RMQ_CLOSE:
  case ROOST_RMQ_CHANNEL_CLOSE:
    on_broker_close(session, event);
    return true;
  default:
    return false;
  }
}

/* ------------------------------------------------------------------------- reading ----------- */

/* The bytes make no sense. */
static void on_nonsense(roost_rmq_session *session, int status, const char *why) {
  roost_rmq_connection *owner = session->owner;
  if (session->is_ready) {
    roost_rmq_connection_fail(owner, ROOST_EPROTO, why);
    return;
  }
  snprintf(owner->why, sizeof owner->why, "%s: %s", status == ROOST_ENOMEM ? "ENOMEM" : "EPROTO",
           why);
  roost_rmq_connection_fail(owner, ROOST_ECONNECT, owner->why);
}

/* Takes events from the front of *input until it is over, or on_event has had enough. The session
 * may have another owner after each of them (rmq_farewell.c), and the one before be gone. */
static void take_events(roost_rmq_session *session, roost_slice *input) {
  roost_rmq_event event;
  const char *why = "";
  int status = 1;
  while (status > 0 && !is_gone(session) && !session->owner->is_paused) {
    roost_rmq_connection *owner = session->owner;
    status = roost_rmq_read(session->codec, input, &event, &why);
    if (status <= 0 || take_own(session, &event))
      continue;
    if (event.kind == ROOST_RMQ_BLOCKED || event.kind == ROOST_RMQ_UNBLOCKED)
      session->is_blocked = event.kind == ROOST_RMQ_BLOCKED;
    if (session->is_ready && !owner->ops->on_event(owner->ud, session, &event) &&
        !is_gone(session) && session->owner == owner)
      owner->is_paused = true;
  }
  if (status < 0 && !is_gone(session))
    on_nonsense(session, status, why);
}

/* After a round of reading: decides whether there is to be more. */
static void settle(const roost_rmq_session *session) {
  const roost_rmq_connection *owner = session->owner;
  if (owner->is_paused)
    roost_conn_pause(session->link.conn);
  else
    roost_conn_resume(session->link.conn);
  roost_conn_account(session->link.conn, owner->carry.cap + roost_rmq_codec_memory(session->codec));
}

static void on_bytes(void *ud, roost_link *link, roost_slice bytes) {
  const roost_rmq_connection *self = ud;
  roost_rmq_session *session = of(link);
  session->silent = 0;
  if (self->carry.len == 0)
    take_events(session, &bytes);
  if (is_gone(session))
    return;
  if (bytes.len > 0 && roost_buffer_append_slice(&session->owner->carry, bytes) != 0)
    roost_rmq_connection_fail(session->owner, ROOST_EGONE, "out of memory");
  else
    settle(session);
}

/* What was kept is the session's owner's, who may have changed meanwhile. */
static void on_resume(void *ud) {
  roost_rmq_connection *self = ud;
  roost_rmq_session *session = roost_rmq_session_of(self);
  if (session == NULL)
    return;
  roost_buffer held = self->carry;
  roost_slice rest = roost_buffer_slice(&held);
  if (held.len > 0) {
    rest.ptr += self->carried;
    rest.len -= self->carried;
  }
  roost_buffer_init(&self->carry, held.alloc);
  self->carried = 0;
  self->is_paused = false;
  take_events(session, &rest);
  if (is_gone(session) || rest.len == 0) {
    roost_buffer_deinit(&held);
  } else {
    session->owner->carry = held;
    session->owner->carried = held.len - rest.len;
  }
  if (!is_gone(session))
    settle(session);
}

void roost_rmq_connection_resume(roost_rmq_connection *connection) {
  if (connection->is_paused)
    roost_loop_defer(connection->dialer.loop, &connection->resume);
}

/* ------------------------------------------------------------------------- the link ---------- */

static void init_link(roost_link *link, void *ud) {
  roost_rmq_connection *self = ud;
  roost_rmq_session *session = of(link);
  session->owner = self;
  roost_timer_init(&session->beat, on_unready);
  (void)roost_rmq_codec_new(&session->codec, roost_loop_alloc(self->dialer.loop), self->max_body);
  roost_buffer_deinit(&self->carry);
  self->carried = 0;
  self->is_paused = false;
}

static void deinit_link(roost_link *link) {
  roost_rmq_session *session = of(link);
  if (link->conn != NULL)
    roost_timer_stop(roost_loop_wheel(roost_conn_loop(link->conn)), &session->beat);
  roost_rmq_codec_free(session->codec);
}

static void on_open(void *ud, roost_link *link) {
  roost_rmq_connection *self = ud;
  roost_rmq_session *session = of(link);
  if (session->codec == NULL) {
    roost_rmq_connection_fail(self, ROOST_ECONNECT, "ENOMEM");
    return;
  }
  roost_timer_start(wheel_of(session), &session->beat, ROOST_RMQ_READY_MS);
  (void)roost_rmq_sent(session, roost_rmq_write_protocol(roost_rmq_out(session)));
}

static void on_writable(void *ud, roost_link *link) {
  const roost_rmq_connection *self = ud;
  (void)link;
  self->ops->on_writable(self->ud);
}

static void on_closed(void *ud, int status, const char *why) {
  const roost_rmq_connection *self = ud;
  self->ops->on_closed(self->ud, status, why);
}

static const roost_link_ops link_ops = {.size = sizeof(roost_rmq_session),
                                        .init = init_link,
                                        .deinit = deinit_link,
                                        .on_open = on_open,
                                        .on_bytes = on_bytes,
                                        .on_writable = on_writable,
                                        .on_closed = on_closed};

/* ------------------------------------------------------------------------- life -------------- */

void roost_rmq_connection_init(roost_rmq_connection *connection, roost_loop *loop,
                               const roost_rmq_options *options, size_t max_send_buffer_size,
                               const roost_rmq_connection_ops *ops, void *ud) {
  *connection = (roost_rmq_connection){.options = options, .ops = ops, .ud = ud};
  roost_dialer_init_broker(&connection->dialer, loop, &options->broker, max_send_buffer_size,
                           &link_ops, connection);
  roost_buffer_init(&connection->carry, roost_loop_alloc(loop));
  connection->resume = (roost_loop_hook){.fn = on_resume, .ud = connection};
  roost_list_init(&connection->resume.link);
}

void roost_rmq_connection_deinit(roost_rmq_connection *connection) {
  roost_loop_remove_hook(&connection->resume);
  roost_dialer_deinit(&connection->dialer);
  roost_buffer_deinit(&connection->carry);
}

int roost_rmq_connection_open(roost_rmq_connection *connection) {
  return roost_dialer_connect(&connection->dialer);
}

void roost_rmq_connection_close(roost_rmq_connection *connection) {
  roost_loop_remove_hook(&connection->resume);
  (void)roost_rmq_farewell(connection);
  roost_dialer_close(&connection->dialer);
}

/* ------------------------------------------------------------------------- what is declared -- */

roost_rmq_declare roost_rmq_queue_of(const roost_rmq_options *options) {
  return (roost_rmq_declare){.name = roost_slice_text(options->queue),
                             .durable = options->is_durable,
                             .exclusive = options->is_exclusive,
                             .auto_delete = options->is_auto_delete,
                             .arguments = roost_slice_text(options->arguments)};
}

roost_rmq_declare roost_rmq_exchange_of(const roost_rmq_options *options) {
  return (roost_rmq_declare){.name = roost_rmq_exchange(options),
                             .type = text_or(options->exchange_type, "topic"),
                             .durable = true};
}
