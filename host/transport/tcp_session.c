#include "core/slice.h"
#include "transport/codec.h"
#include "transport/tcp_internal.h"
#include "wire/envelope.h"

static const char bad_json[] = "Could not parse JSON";

static roost_tcp_session *of_origin(roost_origin *origin) {
  return (roost_tcp_session *)origin;
}

static const roost_server_config *config_of(const roost_tcp_session *session) {
  return session->server->server.config;
}

static void say(roost_tcp_session *session, roost_log_level level, roost_log_kind kind,
                const char *msg, const char *err) {
  roost_tcp_log(session->server, level, kind, msg, roost_conn_remote(session->conn), err);
}

static void stop_timer(roost_tcp_session *session) {
  roost_timer_stop(roost_loop_wheel(session->server->loop), &session->timer);
}

static void start_timer(roost_tcp_session *session, void (*fn)(roost_timer *timer), uint64_t ms) {
  stop_timer(session);
  session->timer.fn = fn;
  roost_timer_start(roost_loop_wheel(session->server->loop), &session->timer, ms);
}

static roost_tcp_session *of_timer(roost_timer *timer) {
  return ROOST_LIST_ENTRY(timer, roost_tcp_session, timer);
}

static void account(roost_tcp_session *session) {
  roost_conn_account(session->conn,
                     session->carry.cap + roost_frame_reader_memory(&session->reader));
}

/* --------------------------------------------------------------------- the end --------------- */

void roost_tcp_session_close(roost_tcp_session *session) {
  session->is_closed = true;
  roost_conn_close(session->conn);
}

static void on_linger_timer(roost_timer *timer) {
  roost_tcp_session *session = of_timer(timer);
  const size_t queued = roost_conn_queued(session->conn);
  if (queued == 0 || queued >= session->lingering_bytes) {
    roost_tcp_session_close(session);
    return;
  }
  session->lingering_bytes = queued;
  start_timer(session, on_linger_timer, ROOST_TCP_LINGER_MS);
}

/* Sends our FIN where nothing more is owed to the peer. */
static void finish_if_done(roost_tcp_session *session) {
  if (session->state != ROOST_TCP_ENDING || session->is_closed || session->origin.in_flight > 0 ||
      session->origin.streams > 0)
    return;
  session->state = ROOST_TCP_LINGERING;
  session->lingering_bytes = roost_conn_queued(session->conn);
  roost_conn_shutdown(session->conn);
  start_timer(session, on_linger_timer, ROOST_TCP_LINGER_MS);
}

/* Nothing is dispatched from here on. What still comes is thrown away, which lets us see FIN. */
static void begin_ending(roost_tcp_session *session) {
  session->state = ROOST_TCP_ENDING;
  stop_timer(session);
  roost_frame_reader_deinit(&session->reader);
  roost_buffer_deinit(&session->carry);
  session->carried = 0;
  account(session);
  roost_conn_resume(session->conn);
}

static void discard(roost_tcp_session *session, size_t n) {
  session->discarded += n;
  if (session->discarded > ROOST_TCP_DISCARD_BYTES)
    roost_conn_pause(session->conn);
}

static void peer_is_leaving(roost_tcp_session *session) {
  const roost_server *server = &session->server->server;
  if (session->origin.gone)
    return;
  session->origin.gone = true;
  server->sink->on_gone(server->sink_ud, &session->origin, true);
}

/* Streams have no end of their own: those of a broken connection get one. */
static void on_streams_timer(roost_timer *timer) {
  roost_tcp_session *session = of_timer(timer);
  peer_is_leaving(session);
  finish_if_done(session);
}

/* The stream of bytes can't be understood any more: what was dispatched is still answered. */
static void fail(roost_tcp_session *session, const char *err) {
  say(session, ROOST_LOG_WARN, ROOST_LOG_KIND_FRAME, "bad frame, connection closed", err);
  begin_ending(session);
  start_timer(session, on_streams_timer, ROOST_TCP_STREAMS_END_MS);
  finish_if_done(session);
}

/* --------------------------------------------------------------------- the rate -------------- */

static uint64_t now_ms(const roost_tcp_session *session) {
  return roost_loop_wheel(session->server->loop)->now_ms;
}

/* A draining session takes what it was sent without looking at its rate. */
static bool has_rate(const roost_tcp_session *session) {
  return config_of(session)->rate.per_second > 0 && session->state == ROOST_TCP_OPEN;
}

static uint64_t most_tokens(const roost_tcp_session *session) {
  return (uint64_t)config_of(session)->rate.burst * ROOST_TCP_TOKEN;
}

/* Adds the tokens of the time since they were last counted: a second's are per_second messages',
 * so a millisecond's are per_second of them. */
static void count_tokens(roost_tcp_session *session) {
  const uint64_t per_ms = config_of(session)->rate.per_second;
  const uint64_t most = most_tokens(session);
  const uint64_t passed = now_ms(session) - session->tokens_ms;
  session->tokens_ms += passed;
  if (passed > (most - session->tokens) / per_ms) /* without overflow */
    session->tokens = most;
  else
    session->tokens += passed * per_ms;
}

/* There is one: none is spent between a frame's first byte, taken with a token at hand, and its
 * last. */
static void spend_token(roost_tcp_session *session) {
  if (has_rate(session))
    session->tokens -= ROOST_TCP_TOKEN;
}

/* Not inlined: few connections have a rate, and each frame asks. */
__attribute__((noinline)) static bool has_no_token(roost_tcp_session *session) {
  count_tokens(session);
  return session->tokens < ROOST_TCP_TOKEN;
}

static bool is_over_rate(roost_tcp_session *session) {
  return has_rate(session) && has_no_token(session);
}

static void on_rate_timer(roost_timer *timer) {
  roost_tcp_session *session = of_timer(timer);
  session->over_last_ms = now_ms(session);
  if (!session->said_rate && session->over_last_ms - session->over_ms >= ROOST_TCP_FULL_LOG_MS) {
    session->said_rate = true;
    say(session, ROOST_LOG_WARN, ROOST_LOG_KIND_LIMIT, "too many messages, read more slowly",
        "rate");
  }
  roost_loop_defer(session->server->loop, &session->resume);
}

/* Goes on once there is a token. */
static void wait_for_token(roost_tcp_session *session) {
  const uint64_t per_ms = config_of(session)->rate.per_second;
  const uint64_t missing = ROOST_TCP_TOKEN - session->tokens;
  const uint64_t now = now_ms(session);
  if (now - session->over_last_ms > ROOST_TCP_RATE_GAP_MS)
    session->over_ms = now;
  session->over_last_ms = now;
  if (!roost_timer_running(&session->timer) || session->timer.fn != on_rate_timer)
    start_timer(session, on_rate_timer, (missing + per_ms - 1) / per_ms);
}

/* --------------------------------------------------------------------- dispatching ----------- */

static bool is_full(const roost_tcp_session *session) {
  const uint32_t most = config_of(session)->max_in_flight;
  return most > 0 && session->origin.in_flight >= most;
}

static bool takes_messages(const roost_tcp_session *session) {
  return session->state <= ROOST_TCP_LAST && !session->is_closed;
}

/* By what it has not been answered yet, or has not read. */
static bool is_blocked(const roost_tcp_session *session) {
  return is_full(session) || roost_conn_crowded(session->conn);
}

static bool may_dispatch(roost_tcp_session *session) {
  return takes_messages(session) && !is_blocked(session) && !is_over_rate(session);
}

/* Has in *frame the packet that the codec makes of it. */
static bool decoded(roost_tcp_session *session, roost_slice *frame) {
  roost_codec *codec = session->server->server.codec;
  roost_buffer *packet = &session->server->packet;
  roost_buffer_clear(packet);
  roost_buffer_trim(packet, ROOST_CODEC_KEEP_BYTES);
  if (codec->read(codec, *frame, packet) != 0) {
    fail(session, codec->why);
    return false;
  }
  *frame = roost_buffer_slice(packet);
  return true;
}

/* What reading a frame came to: 1 with its message; 0: it is none, and thrown away; -1: there is no
 * frame, or the connection has failed. */
static int read_message(roost_tcp_session *session, int status, roost_slice frame,
                        roost_message *message) {
  const roost_codec *codec = session->server->server.codec;
  if (status < 0)
    fail(session, session->reader.error);
  if (status <= 0)
    return -1;
  spend_token(session);
  if (codec != NULL && codec->read != NULL && !decoded(session, &frame))
    return -1;
  status = roost_envelope_read(message, frame);
  if (status < 0) {
    fail(session, bad_json);
    return -1;
  }
  if (status == 0)
    say(session, ROOST_LOG_WARN, ROOST_LOG_KIND_FOREIGN, "not a message, ignored",
        "it has neither pattern nor data");
  return status;
}

/* The next message of the input, of those that may be dispatched in this turn. */
static bool next_message(roost_origin *origin, roost_message *message) {
  roost_tcp_session *session = of_origin(origin);
  roost_slice *input = session->input;
  int status = 0;
  while (status == 0 && input != NULL && session->frames_left > 0 && input->len > 0 &&
         may_dispatch(session)) {
    roost_slice frame = {NULL, 0};
    if (session->frames_left < ROOST_TCP_FRAMES && roost_loop_is_spent(session->server->loop))
      return false;
    session->frames_left--;
    status = roost_frame_read(&session->reader, input, &frame);
    status = read_message(session, status, frame, message);
  }
  return status > 0;
}

static void dispatch(roost_tcp_session *session, const roost_message *message) {
  const roost_server *server = &session->server->server;
  if (server->sink->on_message(server->sink_ud, &session->origin, message) != 0)
    fail(session, bad_json);
}

/* Dispatches what may be dispatched in this turn from the front of *input. */
static void dispatch_some(roost_tcp_session *session, roost_slice *input) {
  roost_message message;
  session->input = input;
  session->frames_left = ROOST_TCP_FRAMES;
  while (next_message(&session->origin, &message))
    dispatch(session, &message);
  session->input = NULL;
}

static void on_full_timer(roost_timer *timer) {
  roost_tcp_session *session = of_timer(timer);
  session->said_full = true;
  say(session, ROOST_LOG_WARN, ROOST_LOG_KIND_LIMIT, "too many requests in flight, not read",
      "max_in_flight");
}

/* What has come may not have been read, but was progress. */
static void on_incomplete_timer(roost_timer *timer) {
  roost_tcp_session *session = of_timer(timer);
  if (roost_conn_read_now(session->conn))
    return;
  say(session, ROOST_LOG_WARN, ROOST_LOG_KIND_LIMIT, "incomplete frame, connection closed",
      "incomplete_message_timeout");
  roost_tcp_session_close(session);
}

/* Has the timer look after what the session waits for. */
static void watch(roost_tcp_session *session, bool has_carry) {
  const uint64_t incomplete_ms = config_of(session)->incomplete_message_timeout;
  if (session->waiting && is_full(session)) {
    if (session->said_full)
      stop_timer(session);
    else if (!roost_timer_running(&session->timer) || session->timer.fn != on_full_timer)
      start_timer(session, on_full_timer, ROOST_TCP_FULL_LOG_MS);
  } else if (has_carry && is_over_rate(session)) {
    wait_for_token(session);
  } else if (!session->waiting && !has_carry && roost_frame_reader_pending(&session->reader) &&
             incomplete_ms > 0) {
    start_timer(session, on_incomplete_timer, incomplete_ms);
  } else {
    stop_timer(session);
  }
}

/* After a round of dispatching: decides who moves next, the peer or we. */
static void settle(roost_tcp_session *session) {
  if (!takes_messages(session))
    return;
  const bool has_carry = session->carry.len > session->carried;
  session->waiting = is_blocked(session) || (has_carry && is_over_rate(session));
  roost_slice none = {NULL, 0};
  roost_slice frame;
  if (!has_carry)
    (void)roost_frame_read(&session->reader, &none, &frame); /* lets go of a delivered frame */
  account(session);
  if (has_carry || session->waiting || session->state == ROOST_TCP_LAST)
    roost_conn_pause(session->conn);
  else
    roost_conn_resume(session->conn);
  if (has_carry && !session->waiting)
    roost_loop_defer(session->server->loop, &session->resume);
  watch(session, has_carry);
  roost_tcp_rest_soon(session);
}

void roost_tcp_session_take(roost_tcp_session *session, roost_slice bytes) {
  if (!takes_messages(session)) {
    discard(session, bytes.len);
    return;
  }
  dispatch_some(session, &bytes);
  if (bytes.len > 0 && takes_messages(session) &&
      roost_buffer_append_slice(&session->carry, bytes) != 0)
    fail(session, "out of memory");
  settle(session);
}

static void take_carry(roost_tcp_session *session) {
  if (session->carry.len == 0)
    return;
  roost_slice rest = roost_buffer_slice(&session->carry);
  rest.ptr += session->carried;
  rest.len -= session->carried;
  dispatch_some(session, &rest);
  if (!takes_messages(session))
    return;
  session->carried = session->carry.len - rest.len;
  if (rest.len == 0) {
    roost_buffer_deinit(&session->carry);
    session->carried = 0;
  }
}

/* Draining, and nothing is carried over: first what the kernel holds, then the end. */
static void take_last(roost_tcp_session *session) {
  if (!session->last_read) {
    session->last_read = true;
    roost_loop_defer(session->server->loop, &session->resume);
    (void)roost_conn_read_now(session->conn);
    return;
  }
  begin_ending(session);
  finish_if_done(session);
}

static void on_resume(void *ud) {
  roost_tcp_session *session = ud;
  if (!takes_messages(session))
    return;
  if (!roost_conn_has_turn(session->conn)) {
    roost_loop_defer(session->server->loop, &session->resume);
    return;
  }
  take_carry(session);
  if (session->state == ROOST_TCP_LAST && session->carry.len == 0)
    take_last(session);
  settle(session);
}

void roost_tcp_session_drain(roost_tcp_session *session) {
  if (session->state != ROOST_TCP_OPEN)
    return;
  session->state = ROOST_TCP_LAST;
  roost_conn_pause(session->conn);
  roost_loop_defer(session->server->loop, &session->resume);
}

/* --------------------------------------------------------------------- the conn's calls ------ */

static void on_bytes(void *ud, roost_slice bytes) {
  roost_tcp_session_take(ud, bytes);
}

static size_t room(void *ud, char **place) {
  roost_tcp_session *session = ud;
  return takes_messages(session) ? roost_frame_room(&session->reader, place) : 0;
}

static void on_filled(void *ud, size_t n) {
  roost_tcp_session *session = ud;
  roost_slice frame = {NULL, 0};
  roost_message message;
  const int status = roost_frame_filled(&session->reader, n, &frame);
  if (read_message(session, status, frame, &message) > 0)
    dispatch(session, &message);
  settle(session);
}

void roost_tcp_session_take_eof(roost_tcp_session *session) {
  if (takes_messages(session))
    begin_ending(session);
  if (session->state == ROOST_TCP_ENDING)
    peer_is_leaving(session);
  finish_if_done(session);
}

static void on_eof(void *ud) {
  roost_tcp_session_take_eof(ud);
}

static void on_writable(void *ud) {
  roost_tcp_session *session = ud;
  const roost_server *server = &session->server->server;
  if (server->sink->on_writable != NULL)
    server->sink->on_writable(server->sink_ud, &session->origin);
  roost_loop_defer(session->server->loop, &session->resume);
}

static bool is_busy(void *ud) {
  const roost_tcp_session *session = ud;
  return session->origin.in_flight > 0 || session->origin.streams > 0;
}

static void on_closed(void *ud, int status, const char *why) {
  roost_tcp_session *session = ud;
  roost_tcp_server *owner = session->server;
  const roost_server *server = &owner->server;
  (void)why;
  roost_tcp_log_closed(owner, session->conn, status);
  session->origin.gone = true;
  session->is_closed = true;
  server->sink->on_gone(server->sink_ud, &session->origin, false);
  roost_tcp_session_free(session);
  roost_tcp_server_released(owner);
}

static const roost_conn_ops conn_ops = {
    .on_bytes = on_bytes,
    .room = room,
    .on_filled = on_filled,
    .on_eof = on_eof,
    .on_writable = on_writable,
    .busy = is_busy,
    .on_closed = on_closed,
};

/* --------------------------------------------------------------------- the sink's calls ------ */

static void eased(roost_origin *origin) {
  roost_tcp_session *session = of_origin(origin);
  if (session->state == ROOST_TCP_ENDING)
    finish_if_done(session);
  else if (session->waiting && !is_blocked(session))
    roost_loop_defer(session->server->loop, &session->resume);
  else if (session->origin.in_flight == 0)
    roost_tcp_rest_soon(session);
}

static bool crowded(const roost_origin *origin) {
  return roost_conn_crowded(((const roost_tcp_session *)origin)->conn);
}

static const roost_address *remote(const roost_origin *origin) {
  return roost_conn_remote(((const roost_tcp_session *)origin)->conn);
}

static const roost_address *local(const roost_origin *origin) {
  return roost_conn_local(((const roost_tcp_session *)origin)->conn);
}

static const roost_tls_info *tls(const roost_origin *origin) {
  return roost_conn_tls_info(((const roost_tcp_session *)origin)->conn);
}

static void close_origin(roost_origin *origin) {
  roost_tcp_session_close(of_origin(origin));
}

static const roost_origin_ops origin_ops = {
    .reply_begin = roost_tcp_reply_begin,
    .reply_end = roost_tcp_reply_end,
    .reply_undo = roost_tcp_reply_undo,
    .reply_unhandled = roost_tcp_reply_unhandled,
    .next = next_message,
    .eased = eased,
    .crowded = crowded,
    .remote = remote,
    .local = local,
    .tls = tls,
    .close = close_origin,
};

/* --------------------------------------------------------------------- making ---------------- */

roost_tcp_session *roost_tcp_session_new(roost_tcp_server *server) {
  const roost_server_config *config = server->server.config;
  const roost_alloc *alloc = roost_loop_alloc(server->loop);
  roost_tcp_session *session = roost_alloc_get(alloc, sizeof *session);
  if (session == NULL)
    return NULL;
  session->origin.ops = &origin_ops;
  session->origin.server = &server->server;
  roost_list_init(&session->origin.calls);
  roost_list_init(&session->link);
  roost_list_init(&session->rest_link);
  session->server = server;
  session->resume.fn = on_resume;
  session->resume.ud = session;
  roost_timer_init(&session->timer, on_incomplete_timer);
  roost_frame_reader_init(&session->reader, alloc, config->framing, config->max_buffer_size);
  session->reader.raw = server->server.codec != NULL && server->server.codec->takes_bytes;
  roost_buffer_init(&session->carry, alloc);
  return session;
}

void roost_tcp_session_attach(roost_tcp_session *session, roost_conn *conn) {
  session->conn = conn;
  session->tokens = most_tokens(session);
  session->tokens_ms = now_ms(session);
  roost_list_append(&session->server->sessions, &session->link);
  roost_conn_set_ops(conn, &conn_ops, session);
}

void roost_tcp_session_free(roost_tcp_session *session) {
  stop_timer(session);
  roost_loop_remove_hook(&session->resume);
  roost_frame_reader_deinit(&session->reader);
  roost_buffer_deinit(&session->carry);
  roost_list_remove(&session->link);
  roost_list_remove(&session->rest_link);
  roost_alloc_put(roost_loop_alloc(session->server->loop), session, sizeof *session);
}

bool roost_tcp_session_is_idle(const roost_tcp_session *session) {
  const roost_origin *origin = &session->origin;
  return session->state == ROOST_TCP_OPEN && !session->is_closed && !origin->gone &&
         origin->in_flight == 0 && origin->streams == 0 && roost_list_empty(&origin->calls) &&
         !session->waiting && session->carry.cap == 0 &&
         !roost_frame_reader_pending(&session->reader) && !roost_timer_running(&session->timer) &&
         !roost_loop_hook_is_in(&session->resume) && !session->said_full && !has_rate(session);
}
