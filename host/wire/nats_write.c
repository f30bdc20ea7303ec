/*
 * What a NATS client sends.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/slice.h"
#include "wire/json.h"
#include "wire/nats.h"

/* Digits of a size, with blanks before them: more than one blank between words is fine. */
#define SIZE_DIGITS 8

_Static_assert(ROOST_NATS_PAYLOAD_MAX == 99999999, "it has SIZE_DIGITS digits");

/* --------------------------------------------------------------------- CONNECT --------------- */

static int write_text(roost_buffer *out, const char *key, roost_slice text) {
  if (text.ptr == NULL)
    return 0;
  const int status = roost_json_write_key(out, ',', roost_slice_text(key));
  return status != 0 ? status : roost_json_write_string(out, text);
}

static int write_who(roost_buffer *out, const roost_nats_connect *connect) {
  const struct {
    const char *key;
    roost_slice text;
  } texts[] = {{"name", connect->name}, {"version", connect->version},  {"user", connect->user},
               {"pass", connect->pass}, {"auth_token", connect->token}, {"jwt", connect->jwt},
               {"nkey", connect->nkey}, {"sig", connect->signature}};
  int status = 0;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0] && status == 0; i++)
    status = write_text(out, texts[i].key, texts[i].text);
  return status;
}

int roost_nats_write_connect(roost_buffer *out, const roost_nats_connect *connect) {
  static const char start[] = "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,"
                              "\"lang\":\"roost\",\"headers\":true,\"no_responders\":true";
  const size_t at = out->len;
  int status = roost_buffer_append(out, start, sizeof start - 1);
  if (status == 0)
    status =
        roost_buffer_printf(out, ",\"tls_required\":%s,\"echo\":%s",
                            connect->tls ? "true" : "false", connect->no_echo ? "false" : "true");
  if (status == 0)
    status = write_who(out, connect);
  if (status == 0)
    status = roost_buffer_append(out, "}\r\n", 3);
  if (status != 0)
    out->len = at;
  return status;
}

/* --------------------------------------------------------------------- lines ----------------- */

bool roost_nats_subject_good(roost_slice text) {
  if (text.len == 0 || text.len > ROOST_NATS_SUBJECT_MAX)
    return false;
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
      return false;
  return true;
}

int roost_nats_write_sub(roost_buffer *out, roost_slice subject, roost_slice queue, uint64_t sid) {
  return roost_buffer_printf(out, "SUB %.*s %.*s%s%" PRIu64 "\r\n", (int)subject.len, subject.ptr,
                             (int)queue.len, queue.len > 0 ? queue.ptr : "",
                             queue.len > 0 ? " " : "", sid);
}

int roost_nats_write_unsub(roost_buffer *out, uint64_t sid, uint64_t after) {
  if (after > 0)
    return roost_buffer_printf(out, "UNSUB %" PRIu64 " %" PRIu64 "\r\n", sid, after);
  return roost_buffer_printf(out, "UNSUB %" PRIu64 "\r\n", sid);
}

int roost_nats_write_ping(roost_buffer *out) {
  return roost_buffer_append(out, "PING\r\n", 6);
}

int roost_nats_write_pong(roost_buffer *out) {
  return roost_buffer_append(out, "PONG\r\n", 6);
}

/* --------------------------------------------------------------------- messages -------------- */

static void put(roost_buffer *out, const void *bytes, size_t len) {
  if (len > 0)
    memcpy(out->ptr + out->len, bytes, len);
  out->len += len;
}

int roost_nats_pub_begin(roost_buffer *out, roost_nats_mark *mark, roost_slice subject,
                         roost_slice reply, bool has_block) {
  static const char blanks[] = "                 \r\n"; /* two sizes with a blank before each */
  const size_t width = (has_block ? 2 : 1) * (SIZE_DIGITS + 1);
  const size_t blank_at = sizeof blanks - 1 - 2 - (width - 1);
  const int status =
      roost_buffer_reserve(out, sizeof "HPUB" + subject.len + 1 + reply.len + width + 2);
  if (status != 0)
    return status;
  *mark = (roost_nats_mark){.at = out->len, .has_block = has_block};
  put(out, "HPUB ", has_block ? 5 : 0);
  put(out, "PUB ", has_block ? 0 : 4);
  put(out, subject.ptr, subject.len);
  if (reply.ptr != NULL) {
    put(out, " ", 1);
    put(out, reply.ptr, reply.len);
  }
  put(out, " ", 1);
  mark->sizes = out->len;
  put(out, blanks + blank_at, width - 1 + 2);
  mark->content = mark->payload = out->len;
  if (!has_block || roost_buffer_append(out, "NATS/1.0\r\n", 10) == 0)
    return 0;
  roost_nats_pub_undo(out, mark);
  return ROOST_ENOMEM;
}

int roost_nats_pub_body(roost_buffer *out, roost_nats_mark *mark) {
  const int status = roost_buffer_append(out, "\r\n", 2);
  mark->payload = out->len;
  return status;
}

/* Right-aligned, where blanks stand. */
static void write_size(char *at, size_t size) {
  char *digit = at + SIZE_DIGITS;
  do {
    *--digit = (char)('0' + size % 10);
    size /= 10;
  } while (size > 0);
}

int roost_nats_pub_end(roost_buffer *out, const roost_nats_mark *mark) {
  const size_t size = roost_nats_pub_size(out, mark);
  const int status =
      size > ROOST_NATS_PAYLOAD_MAX ? ROOST_EFULL : roost_buffer_append(out, "\r\n", 2);
  if (status != 0) {
    roost_nats_pub_undo(out, mark);
    return status;
  }
  char *at = out->ptr + mark->sizes;
  if (mark->has_block) {
    write_size(at, mark->payload - mark->content);
    at += SIZE_DIGITS + 1;
  }
  write_size(at, size);
  return 0;
}

void roost_nats_pub_undo(roost_buffer *out, const roost_nats_mark *mark) {
  out->len = mark->at;
}
