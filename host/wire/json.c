#include "wire/json.h"

#include "wire/json_scan.h"
#include "wire/number.h"

/* What the grammar allows next. */
enum {
  EXPECT_VALUE,   /* at the start, after a colon, after a comma in an array */
  EXPECT_FIRST,   /* after [ or {: a value or key, or the end of the container */
  EXPECT_MORE,    /* after a value in a container: a comma or the end of the container */
  EXPECT_NOTHING, /* after the outermost value */
  EXPECT_FAILED   /* after an error */
};

static const char error_value[] = "a value is expected";
static const char error_key[] = "a member's name in quotes is expected";
static const char error_colon[] = "a colon is expected";
static const char error_more[] = "a comma or the end of the container is expected";
static const char error_extra[] = "there is more than one value";
static const char error_number[] = "this is not a number";
static const char error_string[] = "the string is not closed";
static const char error_control[] = "a control character must be escaped in a string";
static const char error_escape[] = "there is no such escape";
static const char error_skipped[] = "what is passed over is not JSON";
static const char error_depth[] = "containers are nested too deep";

void roost_json_reader_init(roost_json_reader *reader, roost_slice text) {
  reader->start = text.ptr;
  reader->at = text.ptr;
  reader->end = text.len > 0 ? text.ptr + text.len : text.ptr;
  reader->error = NULL;
  reader->depth = 0;
  reader->expect = EXPECT_VALUE;
}

static roost_json_type fail(roost_json_reader *reader, const char *at, const char *error) {
  reader->at = at;
  reader->error = error;
  reader->expect = EXPECT_FAILED;
  return ROOST_JSON_ERROR;
}

/* --------------------------------------------------------------------- containers ------------ */

static inline void value_done(roost_json_reader *reader, const char *at) {
  reader->at = at;
  reader->expect = reader->depth > 0 ? EXPECT_MORE : EXPECT_NOTHING;
}

static inline roost_json_type open_container(roost_json_reader *reader, const char *at,
                                             bool is_object) {
  if (reader->depth == ROOST_JSON_DEPTH_MAX)
    return fail(reader, at, error_depth);
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

/* --------------------------------------------------------------------- single values --------- */

/* Reads the string whose opening quote is at `at`. Returns the byte after it, NULL on failure. */
static inline const char *read_string(roost_json_reader *reader, const char *at,
                                      roost_json_token *token) {
  const char *first = at + 1;
  const char *stop = roost_json_quote(reader->start, first, reader->end, &token->escaped);
  if (stop == reader->end) {
    fail(reader, at, error_string);
    return NULL;
  }
  if (*stop != '"') {
    fail(reader, stop, *stop == '\\' ? error_escape : error_control);
    return NULL;
  }
  token->text = (roost_slice){first, (size_t)(stop - first)};
  return stop + 1;
}

static roost_json_type read_any_number(roost_json_reader *reader, const char *at,
                                       roost_json_token *token) {
  roost_number number;
  const char *after = roost_number_read(&number, at, reader->end);
  if (after == NULL)
    return fail(reader, at, error_number);
  value_done(reader, after);
  if (number.is_integer) {
    token->integer = number.integer;
    return ROOST_JSON_INTEGER;
  }
  token->number = number.number;
  return ROOST_JSON_DOUBLE;
}

/* Whole numbers of up to 18 digits are read here, all others by wire/number.h. */
static inline roost_json_type read_number(roost_json_reader *reader, const char *at,
                                          roost_json_token *token) {
  bool is_negative = *at == '-';
  const char *first = at + is_negative;
  const char *limit = reader->end - first > 19 ? first + 19 : reader->end;
  const char *digit = first;
  uint64_t value = 0;
  for (; digit < limit && (unsigned)(*digit - '0') <= 9; digit++)
    value = value * 10 + (uint64_t)(*digit - '0');
  bool is_simple = digit > first && digit - first <= 18 && (*first != '0' || digit - first == 1) &&
                   !(is_negative && value == 0);
  if (!is_simple || (digit < reader->end && (*digit == '.' || *digit == 'e' || *digit == 'E')))
    return read_any_number(reader, at, token);
  value_done(reader, digit);
  token->integer = is_negative ? -(int64_t)value : (int64_t)value;
  return ROOST_JSON_INTEGER;
}

static inline roost_json_type read_word(roost_json_reader *reader, const char *at, const char *word,
                                        size_t len, roost_json_type type) {
  if ((size_t)(reader->end - at) < len || memcmp(at, word, len) != 0)
    return fail(reader, at, error_value);
  value_done(reader, at + len);
  return type;
}

static inline roost_json_type read_value(roost_json_reader *reader, const char *at,
                                         roost_json_token *token) {
  if (at == reader->end)
    return fail(reader, at, error_value);
  switch (*at) {
  case '"': {
    const char *after = read_string(reader, at, token);
    if (after == NULL)
      return ROOST_JSON_ERROR;
    value_done(reader, after);
    return ROOST_JSON_STRING;
  }
  case '{':
    return open_container(reader, at, true);
  case '[':
    return open_container(reader, at, false);
  case 't':
    return read_word(reader, at, "true", 4, ROOST_JSON_TRUE);
  case 'f':
    return read_word(reader, at, "false", 5, ROOST_JSON_FALSE);
  case 'n':
    return read_word(reader, at, "null", 4, ROOST_JSON_NULL);
  default:
    if (*at == '-' || (*at >= '0' && *at <= '9'))
      return read_number(reader, at, token);
    return fail(reader, at, error_value);
  }
}

/* Reads a member's name and the colon after it. */
static inline roost_json_type read_key(roost_json_reader *reader, const char *at,
                                       roost_json_token *token) {
  if (at == reader->end || *at != '"')
    return fail(reader, at, error_key);
  at = read_string(reader, at, token);
  if (at == NULL)
    return ROOST_JSON_ERROR;
  at = roost_json_space(at, reader->end);
  if (at == reader->end || *at != ':')
    return fail(reader, at, error_colon);
  reader->at = at + 1;
  reader->expect = EXPECT_VALUE;
  return ROOST_JSON_KEY;
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
      return at_end(reader, at) ? close_container(reader, at) : fail(reader, at, error_more);
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
    return at == reader->end ? ROOST_JSON_END : fail(reader, at, error_extra);
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
