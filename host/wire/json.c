#include "wire/json.h"

#include "wire/number.h"
#include "wire/simd.h"

/* What the grammar allows next. */
enum {
  EXPECT_VALUE,        /* at the start, after a colon, after a comma in an array */
  EXPECT_VALUE_OR_END, /* after [ */
  EXPECT_KEY,          /* after a comma in an object */
  EXPECT_KEY_OR_END,   /* after { */
  EXPECT_MORE,         /* after a value in a container: a comma or the end of the container */
  EXPECT_NOTHING,      /* after the outermost value */
  EXPECT_FAILED        /* after an error */
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
static const char error_open[] = "the container is not closed";
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

static inline const char *skip_space(const char *at, const char *end) {
  while (at < end && (uint8_t)*at <= ' ' &&
         (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
    at++;
  return at;
}

/* --------------------------------------------------------------------- containers ------------ */

static inline bool in_object(const roost_json_reader *reader) {
  unsigned level = reader->depth - 1u;
  return (reader->object[level / 64] >> (level % 64) & 1) != 0;
}

static inline void value_done(roost_json_reader *reader, const char *at) {
  reader->at = at;
  reader->expect = reader->depth > 0 ? EXPECT_MORE : EXPECT_NOTHING;
}

static inline roost_json_type open_container(roost_json_reader *reader, const char *at,
                                             bool is_object) {
  if (reader->depth == ROOST_JSON_DEPTH_MAX)
    return fail(reader, at, error_depth);
  unsigned level = reader->depth++;
  uint64_t bit = (uint64_t)1 << (level % 64);
  if (is_object)
    reader->object[level / 64] |= bit;
  else
    reader->object[level / 64] &= ~bit;
  reader->at = at + 1;
  reader->expect = is_object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
  return is_object ? ROOST_JSON_OBJECT : ROOST_JSON_ARRAY;
}

static inline roost_json_type close_container(roost_json_reader *reader, const char *at) {
  roost_json_type type = *at == '}' ? ROOST_JSON_OBJECT_END : ROOST_JSON_ARRAY_END;
  reader->depth--;
  value_done(reader, at + 1);
  return type;
}

/* --------------------------------------------------------------------- single values --------- */

static inline bool is_hex(char c) {
  return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Checks the escape at a backslash and returns the byte after it, or NULL. */
static const char *check_escape(const char *at, const char *end) {
  if (end - at < 2)
    return NULL;
  switch (at[1]) {
  case '"':
  case '\\':
  case '/':
  case 'b':
  case 'f':
  case 'n':
  case 'r':
  case 't':
    return at + 2;
  case 'u':
    if (end - at < 6)
      return NULL;
    return is_hex(at[2]) && is_hex(at[3]) && is_hex(at[4]) && is_hex(at[5]) ? at + 6 : NULL;
  default:
    return NULL;
  }
}

/* Reads the string whose opening quote is at `at`. Returns the byte after it, NULL on failure. */
static inline const char *read_string(roost_json_reader *reader, const char *at,
                                      roost_json_token *token) {
  const char *end = reader->end;
  const char *first = ++at;
  token->escaped = false;
  for (;;) {
    at = roost_scan_special(at, end);
    if (at == end) {
      fail(reader, first - 1, error_string);
      return NULL;
    }
    if (*at == '"')
      break;
    const char *next = *at == '\\' ? check_escape(at, end) : NULL;
    if (next == NULL) {
      fail(reader, at, *at == '\\' ? error_escape : error_control);
      return NULL;
    }
    token->escaped = true;
    at = next;
  }
  token->text = (roost_slice){first, (size_t)(at - first)};
  return at + 1;
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
  at = skip_space(at, reader->end);
  if (at == reader->end || *at != ':')
    return fail(reader, at, error_colon);
  reader->at = at + 1;
  reader->expect = EXPECT_VALUE;
  return ROOST_JSON_KEY;
}

/* After a value: a comma and what follows it, or the end of the container. */
static inline roost_json_type read_more(roost_json_reader *reader, const char *at,
                                        roost_json_token *token) {
  bool is_object = in_object(reader);
  if (at < reader->end && *at == ',') {
    at = skip_space(at + 1, reader->end);
    return is_object ? read_key(reader, at, token) : read_value(reader, at, token);
  }
  if (at < reader->end && *at == (is_object ? '}' : ']'))
    return close_container(reader, at);
  return fail(reader, at, error_more);
}

roost_json_type roost_json_next(roost_json_reader *reader, roost_json_token *token) {
  const char *at = skip_space(reader->at, reader->end);
  switch (reader->expect) {
  case EXPECT_MORE:
    return read_more(reader, at, token);
  case EXPECT_VALUE_OR_END:
    if (at < reader->end && *at == ']')
      return close_container(reader, at);
    return read_value(reader, at, token);
  case EXPECT_VALUE:
    return read_value(reader, at, token);
  case EXPECT_KEY_OR_END:
    if (at < reader->end && *at == '}')
      return close_container(reader, at);
    return read_key(reader, at, token);
  case EXPECT_KEY:
    return read_key(reader, at, token);
  case EXPECT_NOTHING:
    reader->at = at;
    return at == reader->end ? ROOST_JSON_END : fail(reader, at, error_extra);
  default:
    return ROOST_JSON_ERROR;
  }
}

int roost_json_skip(roost_json_reader *reader) {
  bool inside = reader->expect == EXPECT_KEY_OR_END || reader->expect == EXPECT_VALUE_OR_END;
  unsigned until = inside ? reader->depth - 1u : reader->depth;
  roost_json_token token;
  do {
    if (roost_json_next(reader, &token) == ROOST_JSON_ERROR)
      return ROOST_EPROTO;
  } while (reader->depth > until);
  return 0;
}

/* --------------------------------------------------------------------- values as text -------- */

/* Passes over the container at `at`: its end, or NULL where it has none. */
static const char *balance(const char *at, const char *end) {
  size_t depth = 0;
  while ((at = roost_scan_bracket(at, end)) < end) {
    char byte = *at++;
    if (byte == '{' || byte == '[') {
      depth++;
    } else if (byte != '"') {
      if (--depth == 0)
        return at;
    } else {
      while ((at = roost_scan_special(at, end)) < end && *at == '\\')
        at = end - at > 2 ? at + 2 : end;
      if (at == end || *at != '"')
        return NULL;
      at++;
    }
  }
  return NULL;
}

/* Passes over a container of any nesting that a reader of its own allows. */
static const char *check_container(roost_json_reader *reader, const char *at) {
  roost_json_reader inner;
  roost_json_token token;
  roost_json_reader_init(&inner, (roost_slice){at, (size_t)(reader->end - at)});
  roost_json_next(&inner, &token);
  if (roost_json_skip(&inner) == 0)
    return inner.at;
  fail(reader, inner.at, inner.error);
  return NULL;
}

static const char *pass_word(const char *at, const char *end) {
  while (at < end && *at != ',' && *at != '}' && (uint8_t)*at > ' ')
    at++;
  return at;
}

static inline bool at_container(const char *at, const char *end) {
  return at < end && (*at == '{' || *at == '[');
}

int roost_json_take(roost_json_reader *reader, roost_slice *value) {
  if (reader->expect == EXPECT_FAILED)
    return ROOST_EPROTO;
  const char *at = skip_space(reader->at, reader->end);
  if (at_container(at, reader->end)) {
    const char *after = check_container(reader, at);
    if (after == NULL)
      return ROOST_EPROTO;
    value_done(reader, after);
  } else {
    roost_json_token token;
    if (read_value(reader, at, &token) == ROOST_JSON_ERROR)
      return ROOST_EPROTO;
  }
  *value = (roost_slice){at, (size_t)(reader->at - at)};
  return 0;
}

int roost_json_take_unchecked(roost_json_reader *reader, roost_slice *value) {
  if (reader->expect == EXPECT_FAILED)
    return ROOST_EPROTO;
  const char *at = skip_space(reader->at, reader->end);
  if (at == reader->end || *at == '"')
    return roost_json_take(reader, value);
  bool is_container = at_container(at, reader->end);
  const char *after = is_container ? balance(at, reader->end) : pass_word(at, reader->end);
  if (after == NULL || after == at) {
    fail(reader, at, is_container ? error_open : error_value);
    return ROOST_EPROTO;
  }
  value_done(reader, after);
  *value = (roost_slice){at, (size_t)(after - at)};
  return 0;
}

int roost_json_validate(roost_slice text) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, text);
  for (;;) {
    roost_json_type type = roost_json_next(&reader, &token);
    if (type == ROOST_JSON_END)
      return 0;
    if (type == ROOST_JSON_ERROR)
      return ROOST_EPROTO;
  }
}
