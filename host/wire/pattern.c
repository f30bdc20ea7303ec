#include "wire/pattern.h"

#include "core/slice.h"
#include "wire/json.h"
#include "wire/number.h"
#include "wire/pattern_key.h"

/* Nest's limits. */
#define DEPTH_MAX 5
#define KEYS_MAX  20

static const char too_deep[] = "the pattern is nested deeper than 5 levels below the top";
static const char too_many[] = "the pattern has an object with more than 20 keys";

/* A route in the making: appended to `out`, or only compared with `expected` where out is NULL. */
typedef struct maker {
  roost_buffer *out;
  roost_slice expected; /* what is left to come, while is_same */
  bool is_same;         /* all that came was as expected */
  bool is_parsed_text;  /* the JSON stood inside a text, where 1e400 is Infinity and not null */
  const char *collides; /* set where a limit replaced a part */
} maker;

/* A value as the tokenizer saw it; a container's members are read when it is its turn. */
typedef struct node {
  roost_json_type type;
  roost_json_token token;
  roost_slice text; /* of a container: from its bracket on, and beyond its end */
} node;

typedef struct member {
  roost_pattern_key key;
  bool is_index; /* the key is an array index */
  node value;
} member;

static int put_object(maker *m, roost_slice text, unsigned depth);

/* --------------------------------------------------------------------- output ---------------- */

static int put(maker *m, roost_slice part) {
  if (m->out != NULL)
    return roost_buffer_append_slice(m->out, part);
  m->is_same =
      m->is_same && part.len <= m->expected.len && memcmp(part.ptr, m->expected.ptr, part.len) == 0;
  if (m->is_same)
    m->expected = roost_slice_of(m->expected.ptr + part.len, m->expected.len - part.len);
  return 0;
}

/* Compares a text's spelling in JSON with the route's: they agree in \\ and \" alone. */
static int put_expected(maker *m, roost_slice text) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] == '\\' && text.ptr[++i] != '\\' && text.ptr[i] != '"')
      m->is_same = false;
  }
  return text.len > 0 ? put(m, text) : 0;
}

/* Puts text without JSON's escapes and, in quotes, with a route's: \\ and \" and no others. */
static int put_text(maker *m, roost_slice text, bool escaped, bool quoted) {
  if (!escaped)
    return text.len > 0 ? put(m, text) : 0;
  if (m->out == NULL)
    return put_expected(m, text);
  /* Taken apart into the upper half of the room, put together from its start: a byte becomes two
   * at most, so what is written never overtakes what is read. */
  int status = roost_buffer_reserve(m->out, 2 * text.len);
  if (status != 0)
    return status;
  char *to = m->out->ptr + m->out->len;
  const char *from = to + text.len;
  size_t len = roost_json_unescape(to + text.len, text);
  for (size_t i = 0; i < len; i++) {
    char byte = from[i];
    if (quoted && (byte == '\\' || byte == '"'))
      *to++ = '\\';
    *to++ = byte;
  }
  m->out->len = (size_t)(to - m->out->ptr);
  return 0;
}

static int put_quoted(maker *m, roost_slice text, bool escaped) {
  int status = put(m, ROOST_SLICE("\""));
  if (status == 0)
    status = put_text(m, text, escaped, true);
  return status != 0 ? status : put(m, ROOST_SLICE("\""));
}

static int put_number(maker *m, double value) {
  if (value - value != 0) {
    if (!m->is_parsed_text)
      return put(m, ROOST_SLICE("null"));
    return put(m, value > 0 ? ROOST_SLICE("Infinity") : ROOST_SLICE("-Infinity"));
  }
  char text[ROOST_NUMBER_TEXT_MAX];
  return put(m, roost_slice_of(text, roost_number_print_double(text, value)));
}

/* --------------------------------------------------------------------- objects --------------- */

/* Reads the next value, or a key, or the end of the container. */
static void read_value(node *out, roost_json_reader *reader) {
  out->type = roost_json_next(reader, &out->token);
  if (out->type != ROOST_JSON_OBJECT && out->type != ROOST_JSON_ARRAY)
    return;
  out->text = roost_slice_of(reader->at - 1, (size_t)(reader->end - reader->at) + 1);
  roost_json_skip(reader);
}

static roost_pattern_key index_key(size_t index) {
  static const char cells[] = "0 1 2 3 4 5 6 7 8 9 10111213141516171819";
  return (roost_pattern_key){.text = {cells + 2 * index, index < 10 ? 1 : 2}};
}

/* Reads the container's members in the order they stand in; of equal keys the last value in the
 * place of the first. Returns how many, or KEYS_MAX + 1 where there are more than KEYS_MAX. */
static size_t read_members(member *members, roost_slice text) {
  size_t count = 0;
  roost_json_reader reader;
  node head;
  roost_json_reader_init(&reader, text);
  bool is_array = roost_json_next(&reader, &head.token) == ROOST_JSON_ARRAY;
  for (;;) {
    read_value(&head, &reader);
    if (head.type == ROOST_JSON_ARRAY_END || head.type == ROOST_JSON_OBJECT_END)
      return count;
    size_t place = count;
    roost_pattern_key key = {.text = {NULL, 0}};
    if (!is_array) {
      key = (roost_pattern_key){head.token.text, head.token.escaped};
      for (place = 0; place < count && !roost_pattern_key_equal(&members[place].key, &key);)
        place++;
      read_value(&head, &reader);
    }
    if (place == KEYS_MAX)
      return KEYS_MAX + 1;
    if (is_array)
      key = index_key(place);
    if (place == count) {
      members[place].key = key;
      members[place].is_index = roost_pattern_key_is_index(&key);
      count++;
    }
    members[place].value = head;
  }
}

static bool goes_before(const member *a, const member *b) {
  int order = roost_pattern_key_compare(&a->key, &b->key);
  return order != 0 ? order < 0 : a->is_index && !b->is_index;
}

/* Sorts a few members; those that go neither way stay as they are. */
static void sort_members(const member **sorted, const member *members, size_t count) {
  for (size_t i = 0; i < count; i++) {
    size_t at = i;
    for (; at > 0 && goes_before(&members[i], sorted[at - 1]); at--)
      sorted[at] = sorted[at - 1];
    sorted[at] = &members[i];
  }
}

/* Puts a value that stands inside an object. */
static int put_value(maker *m, const node *v, unsigned depth) {
  switch (v->type) {
  case ROOST_JSON_STRING:
    return put_quoted(m, v->token.text, v->token.escaped);
  case ROOST_JSON_INTEGER:
    return put_number(m, (double)v->token.integer);
  case ROOST_JSON_DOUBLE:
    return put_number(m, v->token.number);
  case ROOST_JSON_TRUE:
    return put(m, ROOST_SLICE("true"));
  case ROOST_JSON_FALSE:
    return put(m, ROOST_SLICE("false"));
  case ROOST_JSON_NULL:
    return put(m, ROOST_SLICE("null"));
  default:
    return put_object(m, v->text, depth);
  }
}

static int put_members(maker *m, const member *members, size_t count, unsigned depth) {
  const member *sorted[KEYS_MAX];
  sort_members(sorted, members, count);
  int status = put(m, ROOST_SLICE("{"));
  for (size_t i = 0; i < count && status == 0; i++) {
    if (i > 0)
      status = put(m, ROOST_SLICE(","));
    if (status == 0)
      status = put_quoted(m, sorted[i]->key.text, sorted[i]->key.escaped);
    if (status == 0)
      status = put(m, ROOST_SLICE(":"));
    if (status == 0)
      status = put_value(m, &sorted[i]->value, depth + 1);
  }
  return status != 0 ? status : put(m, ROOST_SLICE("}"));
}

/* Puts an object or array; depth (0 for the outermost) bounds how far this calls itself. */
static int put_object(maker *m, roost_slice text, unsigned depth) {
  if (depth > DEPTH_MAX) {
    m->collides = too_deep;
    return put(m, ROOST_SLICE("[MAX_DEPTH_REACHED]"));
  }
  member members[KEYS_MAX];
  size_t count = read_members(members, text);
  if (count > KEYS_MAX) {
    m->collides = too_many;
    return put(m, ROOST_SLICE("[TOO_MANY_KEYS]"));
  }
  return put_members(m, members, count, depth);
}

/* --------------------------------------------------------------------- the three ways -------- */

static int read_pattern(node *out, roost_slice json) {
  if (roost_json_validate(json) != 0)
    return ROOST_EPROTO;
  roost_json_reader reader;
  roost_json_reader_init(&reader, json);
  read_value(out, &reader);
  return 0;
}

/* Puts the route of an outermost value that isn't looked at as JSON any more. Returns 1; 0 where
 * it has none. */
static int put_route(maker *m, const node *v) {
  int status;
  if (v->type == ROOST_JSON_TRUE || v->type == ROOST_JSON_FALSE || v->type == ROOST_JSON_NULL)
    return 0;
  if (v->type == ROOST_JSON_DOUBLE && !m->is_parsed_text && v->token.number - v->token.number != 0)
    return 0;
  if (v->type == ROOST_JSON_STRING)
    status = put_text(m, v->token.text, v->token.escaped, false);
  else
    status = put_value(m, v, 0);
  return status != 0 ? status : 1;
}

/* The route of a text that came in: of what it says where it is JSON, else the text itself. */
static int put_parsed_text(maker *m, roost_slice text) {
  node v;
  m->is_parsed_text = true;
  if (read_pattern(&v, text) == 0)
    return put_route(m, &v);
  int status = put(m, text);
  return status != 0 ? status : 1;
}

static int put_incoming(maker *m, const node *v) {
  if (v->type != ROOST_JSON_STRING)
    return put_route(m, v);
  if (!v->token.escaped)
    return put_parsed_text(m, v->token.text);
  roost_buffer text;
  roost_buffer_init(&text, m->out->alloc);
  int status = roost_buffer_reserve(&text, v->token.text.len);
  if (status == 0) {
    text.len = roost_json_unescape(text.ptr, v->token.text);
    status = put_parsed_text(m, roost_buffer_slice(&text));
  }
  roost_buffer_deinit(&text);
  return status;
}

int roost_pattern_resolve(roost_buffer *route, roost_slice json) {
  maker m = {.out = route};
  node v;
  size_t before = route->len;
  int status = read_pattern(&v, json);
  if (status == 0)
    status = put_incoming(&m, &v);
  if (status < 0)
    route->len = before;
  return status;
}

int roost_pattern_normalise(roost_buffer *route, roost_slice json, const char **why) {
  maker m = {.out = route, .is_parsed_text = true};
  node v;
  size_t before = route->len;
  int status = read_pattern(&v, json);
  if (status == 0)
    status = put_route(&m, &v);
  if (status >= 0 && m.collides != NULL) {
    *why = m.collides;
    status = ROOST_EINVAL;
  }
  if (status < 0)
    route->len = before;
  return status;
}

bool roost_pattern_reachable(roost_slice route) {
  maker m = {.expected = route, .is_same = true};
  node v;
  m.is_parsed_text = true;
  if (read_pattern(&v, route) != 0)
    return true;
  return v.type != ROOST_JSON_STRING && put_route(&m, &v) == 1 && m.is_same && m.expected.len == 0;
}

/* --------------------------------------------------------------------- wildcards ------------- */

/* Cuts the first token off *rest; the ptr of what is left is NULL after the last. */
static roost_slice cut_token(roost_slice *rest) {
  const char *dot = rest->len > 0 ? memchr(rest->ptr, '.', rest->len) : NULL;
  roost_slice token = *rest;
  if (dot == NULL) {
    *rest = (roost_slice){NULL, 0};
    return token;
  }
  token.len = (size_t)(dot - rest->ptr);
  *rest = roost_slice_of(dot + 1, rest->len - token.len - 1);
  return token;
}

static bool is_star(roost_slice token) {
  return token.len == 1 && token.ptr[0] == '*';
}

/* Whether the token is > and no other follows. */
static bool is_tail(roost_slice token, roost_slice rest) {
  return token.len == 1 && token.ptr[0] == '>' && rest.ptr == NULL;
}

bool roost_pattern_is_wildcard(roost_slice route) {
  while (route.ptr != NULL) {
    roost_slice token = cut_token(&route);
    if (is_star(token) || is_tail(token, route))
      return true;
  }
  return false;
}

bool roost_pattern_matches(roost_slice wildcard, roost_slice route) {
  while (wildcard.ptr != NULL && route.ptr != NULL) {
    roost_slice token = cut_token(&wildcard);
    if (is_tail(token, wildcard))
      return route.len > 0;
    roost_slice other = cut_token(&route);
    if (is_star(token) ? other.len == 0 : !roost_slice_equal(token, other))
      return false;
  }
  return wildcard.ptr == NULL && route.ptr == NULL;
}
