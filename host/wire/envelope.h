/*
 * wire/envelope.h - Nest's packets: {"pattern":..,"data":..,"id":..} and their replies.
 *
 * Start reading at roost_envelope_read: one pass over the text finds where each member's value
 * stands. Every part is validated but the value of data, which is only balanced (quotes and
 * brackets): whoever decodes it validates it, else roost_json_validate must. The last of several
 * equal members wins. Text must be valid UTF-8. No I/O; any thread.
 */
#ifndef ROOST_WIRE_ENVELOPE_H
#define ROOST_WIRE_ENVELOPE_H

#include "core/buffer.h"
#include "wire/message.h"

/* Reads a request or an event. Returns 1; 0 where the text is valid JSON but neither (a scalar,
 * an array, an object with neither pattern nor data: Nest calls it foreign); EPROTO where it is
 * not JSON. */
int roost_envelope_read(roost_message *message, roost_slice text);

/* Reads a reply with the rules of Nest 12: an object with a member besides id, err, response,
 * isDisposed and status is foreign (then response is the whole text). Returns 1, 0 for a scalar
 * (to be ignored), EPROTO where it is not JSON. All of it is validated. */
int roost_envelope_read_reply(roost_reply *reply, roost_slice text);

/* JavaScript's idea of truth, for checked JSON text; ptr NULL is not true. An err that is not true
 * is none. */
bool roost_envelope_is_truthy(roost_slice value);

/* Writing a reply: begin, then the caller appends the value's JSON text, then end; for
 * VOID and END there is no value. The key order is Nest's:
 * {"response":V,"isDisposed":true,"id":ID}  {"response":V,"id":ID}  {"isDisposed":true,"id":ID}
 * {"id":ID}  {"err":V,"isDisposed":true,"id":ID}. ENOMEM. */
int roost_envelope_reply_begin(roost_buffer *out, roost_reply_kind kind);
int roost_envelope_reply_end(roost_buffer *out, roost_reply_kind kind, roost_slice id);

/* {"id":ID,"status":"error","err":"There is no matching message handler defined in the remote
 * service."} */
int roost_envelope_write_unhandled(roost_buffer *out, roost_slice id);

/* Writing a request or an event in place: begin writes {"pattern":P,"data":  then the caller
 * appends the data's JSON text, then end writes  ,"metadata":M,"id":I}  without those whose ptr is
 * NULL. */
int roost_envelope_request_begin(roost_buffer *out, const roost_message *message);
int roost_envelope_request_end(roost_buffer *out, const roost_message *message);

/* {"pattern":P,"data":D,"metadata":M,"id":I}; metadata and id are left out where ptr is NULL.
 * All four are JSON text. */
int roost_envelope_write_request(roost_buffer *out, const roost_message *message);

#endif
