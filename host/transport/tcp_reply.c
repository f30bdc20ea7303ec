/*
 * A session's replies: each is written into the frame it goes out in.
 */
#include "core/slice.h"
#include "transport/codec.h"
#include "transport/tcp_internal.h"
#include "wire/envelope.h"

static bool takes_replies(const roost_tcp_session *session) {
  return session->state != ROOST_TCP_LINGERING && !session->is_closed;
}

roost_buffer *roost_tcp_reply_begin(roost_origin *origin, roost_reply_kind kind) {
  roost_tcp_session *session = (roost_tcp_session *)origin;
  if (!takes_replies(session))
    return NULL;
  roost_buffer *out = roost_conn_out(session->conn);
  if (roost_frame_begin(out, &session->mark, session->reader.framing, session->server->digits) != 0)
    return NULL;
  if (roost_envelope_reply_begin(out, kind) == 0)
    return out;
  roost_frame_undo(out, &session->mark);
  return NULL;
}

/* Writes the header of the frame begun and has it sent; where status is one it is taken back. */
static int send_frame(roost_tcp_session *session, int status) {
  roost_buffer *out = roost_conn_out(session->conn);
  if (status != 0) {
    roost_frame_undo(out, &session->mark);
    return status;
  }
  const int digits = roost_frame_end(out, &session->mark);
  if (digits < 0)
    return digits;
  session->server->digits = (uint8_t)digits;
  roost_conn_dirty(session->conn);
  return roost_conn_crowded(session->conn) ? ROOST_EFULL : 0;
}

/* The frame begun is what the codec makes of the packet in it. */
static int encode(roost_tcp_session *session) {
  roost_tcp_server *server = session->server;
  roost_codec *codec = server->server.codec;
  const int status =
      roost_codec_write(codec, roost_conn_out(session->conn), &session->mark, &server->body);
  if (status == ROOST_ESCRIPT)
    roost_tcp_log(session->server, ROOST_LOG_ERROR, ROOST_LOG_KIND_HANDLER,
                  "a reply cannot be sent", roost_conn_remote(session->conn), codec->why);
  return status;
}

/* In the place of a last reply that the codec did not take, so that nobody waits for it. */
static int reply_masked(roost_tcp_session *session, roost_slice id) {
  if (session->masking)
    return ROOST_ESCRIPT;
  roost_buffer *out = roost_tcp_reply_begin(&session->origin, ROOST_REPLY_ERROR);
  if (out == NULL)
    return ROOST_ENOMEM;
  if (roost_message_write_error(out, ROOST_SLICE(ROOST_INTERNAL_ERROR)) != 0) {
    roost_frame_undo(out, &session->mark);
    return ROOST_ENOMEM;
  }
  session->masking = true;
  const int status = roost_tcp_reply_end(&session->origin, ROOST_REPLY_ERROR, id);
  session->masking = false;
  return status;
}

int roost_tcp_reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id) {
  roost_tcp_session *session = (roost_tcp_session *)origin;
  int status = roost_envelope_reply_end(roost_conn_out(session->conn), kind, id);
  if (status == 0 && session->server->server.codec != NULL)
    status = encode(session);
  status = send_frame(session, status);
  const bool is_last = kind != ROOST_REPLY_ITEM && kind != ROOST_REPLY_VOID;
  return status == ROOST_ESCRIPT && is_last ? reply_masked(session, id) : status;
}

void roost_tcp_reply_undo(roost_origin *origin) {
  roost_tcp_session *session = (roost_tcp_session *)origin;
  roost_frame_undo(roost_conn_out(session->conn), &session->mark);
}

void roost_tcp_reply_unhandled(roost_origin *origin, roost_slice id) {
  roost_tcp_session *session = (roost_tcp_session *)origin;
  if (!takes_replies(session))
    return;
  roost_buffer *out = roost_conn_out(session->conn);
  if (roost_frame_begin(out, &session->mark, session->reader.framing, 3) != 0)
    return;
  int status = roost_envelope_write_unhandled(out, id);
  if (status == 0 && session->server->server.codec != NULL)
    status = encode(session);
  if (send_frame(session, status) == ROOST_ESCRIPT)
    (void)reply_masked(session, id);
}
