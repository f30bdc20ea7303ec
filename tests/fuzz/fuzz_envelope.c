/* The envelope accepts what is JSON and nothing else (its pattern and data aside, which it leaves
 * to others), what it finds lies inside the text, and what it writes it reads again. */
#include "fuzz.h"
#include "wire/envelope.h"
#include "wire/json.h"

static void check_member(roost_slice member, roost_slice text, bool is_valid) {
  if (member.ptr == NULL)
    return;
  PROMISE(member.len > 0 && member.ptr >= text.ptr);
  PROMISE(member.ptr + member.len <= text.ptr + text.len);
  PROMISE(!is_valid || roost_json_validate(member) == 0);
}

/* Whether the text is JSON but for its depth: values may nest as deep inside an envelope as they
 * may alone. */
static bool is_json(roost_slice text) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_type type;
  roost_json_reader_init(&reader, text);
  do {
    type = roost_json_next(&reader, &token);
  } while (type != ROOST_JSON_END && type != ROOST_JSON_ERROR);
  return type == ROOST_JSON_END || strcmp(reader.error, "containers are nested too deep") == 0;
}

static bool same_member(roost_slice a, roost_slice b) {
  return (a.ptr == NULL) == (b.ptr == NULL) && roost_slice_equal(a, b);
}

static void check_written(const roost_message *message) {
  roost_buffer out;
  roost_message again;
  if (message->pattern.ptr == NULL || message->data.ptr == NULL)
    return;
  roost_buffer_init(&out, roost_alloc_default());
  PROMISE(roost_envelope_write_request(&out, message) == 0);
  PROMISE(roost_envelope_read(&again, roost_buffer_slice(&out)) == 1);
  PROMISE(same_member(message->pattern, again.pattern) && same_member(message->data, again.data));
  PROMISE(same_member(message->id, again.id) && same_member(message->metadata, again.metadata));
  roost_buffer_deinit(&out);
}

static bool same_place(roost_slice a, roost_slice a_text, roost_slice b, roost_slice b_text) {
  return (a.ptr == NULL) == (b.ptr == NULL) && a.len == b.len &&
         (a.ptr == NULL || a.ptr - a_text.ptr == b.ptr - b_text.ptr);
}

/* A space behind it keeps a request from being read as the usual one, and must change nothing else.
 */
static void check_spaced_request(const roost_message *message, int status, roost_slice text) {
  roost_message other;
  roost_buffer spaced;
  roost_buffer_init(&spaced, roost_alloc_default());
  PROMISE(roost_buffer_append_slice(&spaced, text) == 0);
  PROMISE(roost_buffer_append_byte(&spaced, ' ') == 0);
  const roost_slice long_text = roost_buffer_slice(&spaced);
  PROMISE(roost_envelope_read(&other, long_text) == status);
  if (status == 1) {
    PROMISE(same_place(message->pattern, text, other.pattern, long_text));
    PROMISE(same_place(message->data, text, other.data, long_text));
    PROMISE(same_place(message->id, text, other.id, long_text));
    PROMISE(same_place(message->metadata, text, other.metadata, long_text));
  }
  roost_buffer_deinit(&spaced);
}

static bool is_checked(roost_slice member) {
  return member.ptr == NULL || roost_json_validate(member) == 0;
}

static void check_request(roost_slice text) {
  roost_message message;
  int status = roost_envelope_read(&message, text);
  PROMISE(status == 1 || status == 0 || status == ROOST_EPROTO);
  check_spaced_request(&message, status, text);
  if (status == ROOST_EPROTO) {
    PROMISE(roost_json_validate(text) != 0);
    return;
  }
  check_member(message.pattern, text, false);
  check_member(message.id, text, true);
  check_member(message.metadata, text, true);
  check_member(message.data, text, false);
  PROMISE(status == (message.pattern.ptr != NULL || message.data.ptr != NULL ? 1 : 0));
  const bool is_valid = is_checked(message.pattern) && is_checked(message.data);
  PROMISE(is_valid ? is_json(text) : roost_json_validate(text) != 0);
  check_written(&message);
}

/* A space behind it keeps a reply from being read as the usual one, and must change nothing else.
 */
static void check_spaced(const roost_reply *reply, int status, roost_slice text) {
  roost_reply other;
  roost_buffer spaced;
  roost_buffer_init(&spaced, roost_alloc_default());
  PROMISE(roost_buffer_append_slice(&spaced, text) == 0);
  PROMISE(roost_buffer_append_byte(&spaced, ' ') == 0);
  const roost_slice long_text = roost_buffer_slice(&spaced);
  PROMISE(roost_envelope_read_reply(&other, long_text) == status);
  if (status == 1 && !reply->foreign) {
    PROMISE(!other.foreign && reply->last == other.last);
    PROMISE(same_place(reply->id, text, other.id, long_text));
    PROMISE(same_place(reply->err, text, other.err, long_text));
    PROMISE(same_place(reply->response, text, other.response, long_text));
  }
  roost_buffer_deinit(&spaced);
}

static void check_reply(roost_slice text) {
  roost_reply reply;
  int status = roost_envelope_read_reply(&reply, text);
  PROMISE(status == 1 || status == 0 || status == ROOST_EPROTO);
  PROMISE(status == ROOST_EPROTO ? roost_json_validate(text) != 0 : is_json(text));
  check_spaced(&reply, status, text);
  if (status != 1)
    return;
  check_member(reply.id, text, true);
  check_member(reply.err, text, true);
  check_member(reply.response, text, !reply.foreign);
  PROMISE(reply.err.ptr == NULL || reply.last);
  PROMISE(!reply.foreign ||
          (reply.last && reply.err.ptr == NULL && reply.response.len == text.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  roost_buffer text;
  fuzz_text(&text, data, size);
  check_request(roost_buffer_slice(&text));
  check_reply(roost_buffer_slice(&text));
  roost_buffer_deinit(&text);
  return 0;
}
