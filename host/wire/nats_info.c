/*
 * INFO: what a NATS server says of itself.
 */
#include "core/slice.h"
#include "wire/json.h"
#include "wire/nats.h"
#include "wire/utf8.h"

/* Whether the member that key names was one of info's flags; then it is set. */
static bool *flag_of(roost_nats_info *info, roost_slice key) {
  if (roost_slice_equal(key, ROOST_SLICE("headers")))
    return &info->headers;
  if (roost_slice_equal(key, ROOST_SLICE("jetstream")))
    return &info->jetstream;
  if (roost_slice_equal(key, ROOST_SLICE("auth_required")))
    return &info->auth_required;
  if (roost_slice_equal(key, ROOST_SLICE("tls_required")))
    return &info->tls_required;
  if (roost_slice_equal(key, ROOST_SLICE("tls_available")))
    return &info->tls_available;
  if (roost_slice_equal(key, ROOST_SLICE("ldm")))
    return &info->lame_duck;
  return NULL;
}

static roost_slice *text_of(roost_nats_info *info, roost_slice key) {
  if (roost_slice_equal(key, ROOST_SLICE("version")))
    return &info->version;
  if (roost_slice_equal(key, ROOST_SLICE("nonce")))
    return &info->nonce;
  return NULL;
}

static int read_flag(roost_json_reader *reader, bool *flag) {
  roost_json_token token;
  const roost_json_type type = roost_json_next(reader, &token);
  *flag = type == ROOST_JSON_TRUE;
  return type == ROOST_JSON_TRUE || type == ROOST_JSON_FALSE ? 0 : ROOST_EPROTO;
}

static int read_text(roost_json_reader *reader, roost_slice *text) {
  roost_json_token token;
  if (roost_json_next(reader, &token) != ROOST_JSON_STRING)
    return ROOST_EPROTO;
  *text = token.text;
  return 0;
}

static int read_size(roost_json_reader *reader, uint64_t *size) {
  roost_json_token token;
  if (roost_json_next(reader, &token) != ROOST_JSON_INTEGER || token.integer < 0)
    return ROOST_EPROTO;
  *size = (uint64_t)token.integer;
  return 0;
}

static int read_member(roost_json_reader *reader, roost_nats_info *info, roost_slice key) {
  bool *flag = flag_of(info, key);
  roost_slice *text = text_of(info, key);
  if (flag != NULL)
    return read_flag(reader, flag);
  if (text != NULL)
    return read_text(reader, text);
  if (roost_slice_equal(key, ROOST_SLICE("max_payload")))
    return read_size(reader, &info->max_payload);
  if (roost_slice_equal(key, ROOST_SLICE("connect_urls")))
    return roost_json_take(reader, &info->urls);
  return roost_json_skip(reader);
}

int roost_nats_info_read(roost_nats_info *info, roost_slice json) {
  roost_json_reader reader;
  roost_json_token token;
  *info = (roost_nats_info){.max_payload = 0};
  if (roost_utf8_valid_prefix(json) < json.len)
    return ROOST_EPROTO;
  roost_json_reader_init(&reader, json);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return ROOST_EPROTO;
  roost_json_type type;
  while ((type = roost_json_next(&reader, &token)) == ROOST_JSON_KEY) {
    const int status = read_member(&reader, info, token.text);
    if (status != 0)
      return status;
  }
  if (type != ROOST_JSON_OBJECT_END || roost_json_next(&reader, &token) != ROOST_JSON_END)
    return ROOST_EPROTO;
  return 0;
}

/* What is left of the list is cut off where a string ends. */
bool roost_nats_info_url(roost_slice *urls, roost_slice *url) {
  while (urls->len > 0) {
    const char *open = memchr(urls->ptr, '"', urls->len);
    if (open == NULL)
      break;
    const size_t before = (size_t)(open - urls->ptr) + 1;
    urls->ptr += before;
    urls->len -= before;
    const char *close = memchr(urls->ptr, '"', urls->len);
    if (close == NULL)
      break;
    *url = (roost_slice){urls->ptr, (size_t)(close - urls->ptr)};
    urls->ptr += url->len + 1;
    urls->len -= url->len + 1;
    if (url->len > 0 && memchr(url->ptr, '\\', url->len) == NULL)
      return true;
  }
  urls->len = 0;
  return false;
}
