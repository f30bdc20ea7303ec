#include "wire/json_scan.h"

#include "wire/json.h"

/* --------------------------------------------------------------------- strings --------------- */

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

const char *roost_json_string_end(const char *at, const char *end, bool *escaped) {
  while ((at = roost_scan_special(at, end)) < end && *at == '\\') {
    const char *next = check_escape(at, end);
    if (next == NULL)
      return at;
    *escaped = true;
    at = next;
  }
  return at;
}

/* Passes over the string whose opening quote is at `at`; NULL where it is none. */
static inline const char *pass_string(const char *start, const char *at, const char *end) {
  bool escaped;
  at = roost_json_quote(start, at + 1, end, &escaped);
  return at < end && *at == '"' ? at + 1 : NULL;
}

/* --------------------------------------------------------------------- other values ---------- */

static inline bool is_digit(const char *at, const char *end) {
  return at < end && (unsigned)(*at - '0') <= 9;
}

/* Passes over one digit at least. */
static inline const char *pass_digits(const char *at, const char *end) {
  if (!is_digit(at, end))
    return NULL;
  do {
    at++;
  } while (is_digit(at, end));
  return at;
}

static inline const char *pass_number(const char *at, const char *end) {
  if (*at == '-')
    at++;
  bool is_zero = at < end && *at == '0';
  at = pass_digits(at, is_zero ? at + 1 : end);
  if (at != NULL && is_zero && is_digit(at, end))
    return NULL;
  if (at != NULL && at < end && *at == '.')
    at = pass_digits(at + 1, end);
  if (at != NULL && at < end && (*at | 0x20) == 'e') {
    at++;
    if (at < end && (*at == '+' || *at == '-'))
      at++;
    at = pass_digits(at, end);
  }
  return at;
}

static inline const char *pass_word(const char *at, const char *end, const char *word, size_t len) {
  return (size_t)(end - at) >= len && memcmp(at, word, len) == 0 ? at + len : NULL;
}

static inline const char *pass_scalar(const char *start, const char *at, const char *end) {
  switch (*at) {
  case '"':
    return pass_string(start, at, end);
  case 't':
    return pass_word(at, end, "true", 4);
  case 'f':
    return pass_word(at, end, "false", 5);
  case 'n':
    return pass_word(at, end, "null", 4);
  default:
    return *at == '-' || is_digit(at, end) ? pass_number(at, end) : NULL;
  }
}

/* --------------------------------------------------------------------- containers ------------ */

/* Passes over a member's name and its colon. */
static inline const char *pass_key(const char *start, const char *at, const char *end) {
  at = roost_json_space(at, end);
  if (at == end || *at != '"')
    return NULL;
  at = pass_string(start, at, end);
  if (at == NULL)
    return NULL;
  at = roost_json_space(at, end);
  return at < end && *at == ':' ? at + 1 : NULL;
}

/* The containers that are open, the innermost last. */
typedef struct nesting {
  unsigned depth;
  bool in_object;                                    /* the innermost is an object */
  uint64_t object[(ROOST_JSON_DEPTH_MAX + 63) / 64]; /* bit per level: it is one */
} nesting;

static inline void nesting_open(nesting *open, bool is_object) {
  unsigned level = open->depth++;
  uint64_t *word = &open->object[level / 64];
  uint64_t bit = (uint64_t)1 << (level % 64);
  uint64_t outer = level % 64 > 0 ? *word & (bit - 1) : 0;
  *word = is_object ? outer | bit : outer;
  open->in_object = is_object;
}

static inline void nesting_close(nesting *open) {
  unsigned depth = --open->depth;
  if (depth > 0)
    open->in_object = (open->object[(depth - 1) / 64] >> ((depth - 1) % 64) & 1) != 0;
}

/* After a value: passes over the ends of containers, then a comma and, in an object, a key. Returns
 * where the next value is to come, or the end where *open is empty then. */
static inline const char *pass_more(nesting *open, const char *start, const char *at,
                                    const char *end) {
  while (open->depth > 0) {
    at = roost_json_space(at, end);
    if (at == end)
      return NULL;
    if (*at == ',')
      return open->in_object ? pass_key(start, at + 1, end) : at + 1;
    if (*at != (open->in_object ? '}' : ']'))
      return NULL;
    nesting_close(open);
    at++;
  }
  return at;
}

const char *roost_json_pass(const char *start, const char *at, const char *end,
                            unsigned depth_max) {
  nesting open;
  open.depth = 0;
  open.in_object = false;
  do {
    at = roost_json_space(at, end);
    if (at == end)
      return NULL;
    if (*at != '{' && *at != '[') {
      at = pass_scalar(start, at, end);
    } else {
      if (open.depth == depth_max)
        return NULL;
      nesting_open(&open, *at == '{');
      at = roost_json_space(at + 1, end);
      if (at == end || *at != (open.in_object ? '}' : ']')) {
        if (open.in_object && (at = pass_key(start, at, end)) == NULL)
          return NULL;
        continue;
      }
    }
    if (at == NULL || (at = pass_more(&open, start, at, end)) == NULL)
      return NULL;
  } while (open.depth > 0);
  return at;
}

/* The quote that ends the string at hand, then the byte after it; NULL where there is none. */
static const char *leave_string(const char *at, const char *end) {
  bool escaped;
  at = roost_json_string_end(at, end, &escaped);
  return at < end && *at == '"' ? at + 1 : NULL;
}

static const char *balance_container(const char *at, const char *end) {
  size_t depth = 0;
  bool in_string = false;
  const char *start = at;
  at = roost_balance_blocks(at, end, &depth, &in_string);
  if (depth == 0 && at > start)
    return at;
  if (in_string && (at = leave_string(at, end)) == NULL)
    return NULL;
  while ((at = roost_scan_bracket(at, end)) < end) {
    char byte = *at++;
    if (byte == '{' || byte == '[') {
      depth++;
    } else if (byte != '"') {
      if (--depth == 0)
        return at;
    } else if ((at = leave_string(at, end)) == NULL) {
      return NULL;
    }
  }
  return NULL;
}

const char *roost_json_balance(const char *start, const char *at, const char *end) {
  if (*at == '"')
    return pass_string(start, at, end);
  if (*at == '{' || *at == '[')
    return balance_container(at, end);
  const char *first = at;
  while (at < end && *at != ',' && *at != '}' && (uint8_t)*at > ' ')
    at++;
  return at > first ? at : NULL;
}
