#include "wire/json.h"

#include "wire/json_read.h"

/* What the grammar allows next. */
enum {
  EXPECT_VALUE,   /* at the start, after a colon, after a comma in an array */
  EXPECT_FIRST,   /* after [ or {: a value or key, or the end of the container */
  EXPECT_MORE,    /* after a value in a container: a comma or the end of the container */
  EXPECT_NOTHING, /* after the outermost value */
  EXPECT_FAILED   /* after an error */
};

static const char error_skipped[] = "what is passed over is not JSON";

void roost_json_reader_init(roost_json_reader *reader, roost_slice text) {
  reader->start = text.ptr;
  reader->at = text.ptr;
  reader->end = text.len > 0 ? text.ptr + text.len : text.ptr;
  reader->error = NULL;
  reader->depth = 0;
  reader->expect = EXPECT_VALUE;
}

static roost_json_type fail(roost_json_reader *reader, const char *at, const char *error) {
  reader->expect = EXPECT_FAILED;
  return roost_json_fail(reader, at, error);
}

/* --------------------------------------------------------------------- containers ------------ */

static inline void value_done(roost_json_reader *reader, const char *at) {
  reader->at = at;
  reader->expect = reader->depth > 0 ? EXPECT_MORE : EXPECT_NOTHING;
}

static inline roost_json_type open_container(roost_json_reader *reader, const char *at,
                                             bool is_object) {
  if (reader->depth == ROOST_JSON_DEPTH_MAX)
    return fail(reader, at, roost_json_error_depth);
  unsigned level = reader->depth++;
  uint64_t *word = &reader->object[level / 64];
  uint64_t bit = (uint64_t)1 << (level % 64);
  uint64_t outer = level % 64 > 0 ? *word & (bit - 1) : 0;
  *word = is_object ? outer | bit : outer;
  reader->in_object = is_object;
  reader->at = at + 1;
  reader->expect = EXPECT_FIRST;
  return is_object ? ROOST_JSON_OBJECT : ROOST_JSON_ARRAY;
}

static inline void leave_container(roost_json_reader *reader) {
  unsigned depth = --reader->depth;
  if (depth > 0)
    reader->in_object = (reader->object[(depth - 1) / 64] >> ((depth - 1) % 64) & 1) != 0;
}

static inline roost_json_type close_container(roost_json_reader *reader, const char *at) {
  leave_container(reader);
  value_done(reader, at + 1);
  return *at == '}' ? ROOST_JSON_OBJECT_END : ROOST_JSON_ARRAY_END;
}

/* --------------------------------------------------------------------- tokens ---------------- */

static inline roost_json_type read_value(roost_json_reader *reader, const char *at,
                                         roost_json_token *token) {
  if (at < reader->end && (*at == '{' || *at == '['))
    return open_container(reader, at, *at == '{');
  roost_json_type type = roost_json_read_scalar(reader, at, token);
  if (type == ROOST_JSON_ERROR)
    reader->expect = EXPECT_FAILED;
  else
    value_done(reader, reader->at);
  return type;
}

static inline roost_json_type read_key(roost_json_reader *reader, const char *at,
                                       roost_json_token *token) {
  bool is_read = roost_json_read_key(reader, at, token);
  reader->expect = is_read ? EXPECT_VALUE : EXPECT_FAILED;
  return is_read ? ROOST_JSON_KEY : ROOST_JSON_ERROR;
}

/* Whether the container ends here. */
static inline bool at_end(const roost_json_reader *reader, const char *at) {
  return at < reader->end && *at == (reader->in_object ? '}' : ']');
}

roost_json_type roost_json_next(roost_json_reader *reader, roost_json_token *token) {
  const char *at = roost_json_space(reader->at, reader->end);
  bool is_key = false;
  switch (reader->expect) {
  case EXPECT_VALUE:
    break;
  case EXPECT_MORE:
    if (at == reader->end || *at != ',')
      return at_end(reader, at) ? close_container(reader, at)
                                : fail(reader, at, roost_json_error_more);
    at = roost_json_space(at + 1, reader->end);
    is_key = reader->in_object;
    break;
  case EXPECT_FIRST:
    if (at_end(reader, at))
      return close_container(reader, at);
    is_key = reader->in_object;
    break;
  case EXPECT_NOTHING:
    reader->at = at;
    return at == reader->end ? ROOST_JSON_END : fail(reader, at, roost_json_error_extra);
  default:
    return ROOST_JSON_ERROR;
  }
  return is_key ? read_key(reader, at, token) : read_value(reader, at, token);
}

/* Passes over the value at `at`; NULL, and the reader has failed, where it isn't one. */
static const char *pass(roost_json_reader *reader, const char *at, unsigned depth_max) {
  at = roost_json_pass(reader->start, at, reader->end, depth_max);
  if (at == NULL)
    fail(reader, reader->at, error_skipped);
  return at;
}

int roost_json_skip(roost_json_reader *reader) {
  bool is_inside = reader->expect == EXPECT_FIRST;
  if (!is_inside && reader->expect != EXPECT_VALUE)
    return ROOST_EPROTO;
  unsigned outside = is_inside ? reader->depth - 1u : reader->depth;
  const char *at = is_inside ? reader->at - 1 : reader->at;
  const char *after = pass(reader, at, ROOST_JSON_DEPTH_MAX - outside);
  if (after == NULL)
    return ROOST_EPROTO;
  if (is_inside)
    leave_container(reader);
  value_done(reader, after);
  return 0;
}

int roost_json_take(roost_json_reader *reader, roost_slice *value) {
  if (reader->expect != EXPECT_VALUE)
    return ROOST_EPROTO;
  const char *at = roost_json_space(reader->at, reader->end);
  const char *after = pass(reader, at, ROOST_JSON_DEPTH_MAX);
  if (after == NULL)
    return ROOST_EPROTO;
  *value = (roost_slice){at, (size_t)(after - at)};
  value_done(reader, after);
  return 0;
}

int roost_json_validate(roost_slice text) {
  if (text.len == 0)
    return ROOST_EPROTO;
  const char *end = text.ptr + text.len;
  const char *at = roost_json_pass(text.ptr, text.ptr, end, ROOST_JSON_DEPTH_MAX);
  return at != NULL && roost_json_space(at, end) == end ? 0 : ROOST_EPROTO;
}
