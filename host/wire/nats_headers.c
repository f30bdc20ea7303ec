#include "wire/nats_headers.h"

#include "core/slice.h"
#include "wire/json.h"
#include "wire/utf8.h"

static const char first_line[] = "NATS/1.0";
static const char error_name[] = "a header's name has a blank, a colon or a control character";
static const char error_value[] = "a header's value has a line's end or another control character";
static const char error_list[] = "a list of a header's values holds something else than texts";

static roost_slice trim(roost_slice text) {
  while (text.len > 0 && (*text.ptr == ' ' || *text.ptr == '\t')) {
    text.ptr++;
    text.len--;
  }
  while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
    text.len--;
  return text;
}

/* --------------------------------------------------------------------- reading --------------- */

/* Takes a line from the front, without its end. */
static roost_slice take_line(roost_slice *lines) {
  const char *newline = lines->len > 0 ? memchr(lines->ptr, '\n', lines->len) : NULL;
  roost_slice line = {lines->ptr, newline != NULL ? (size_t)(newline - lines->ptr) : lines->len};
  const size_t taken = line.len + (newline != NULL ? 1 : 0);
  lines->ptr += taken;
  lines->len -= taken;
  if (line.len > 0 && line.ptr[line.len - 1] == '\r')
    line.len--;
  return line;
}

int roost_nats_headers_open(roost_nats_headers *headers, roost_slice block) {
  *headers = (roost_nats_headers){.lines = block};
  if (block.len == 0)
    return ROOST_EPROTO;
  roost_slice line = take_line(&headers->lines);
  const size_t len = sizeof first_line - 1;
  if (line.len < len || memcmp(line.ptr, first_line, len) != 0)
    return ROOST_EPROTO;
  line = trim((roost_slice){line.ptr + len, line.len - len});
  size_t digits = 0;
  for (; digits < 3 && digits < line.len && line.ptr[digits] >= '0' && line.ptr[digits] <= '9';
       digits++)
    headers->status = headers->status * 10 + (unsigned)(line.ptr[digits] - '0');
  headers->reason = trim((roost_slice){line.ptr + digits, line.len - digits});
  return 0;
}

bool roost_nats_headers_next(roost_nats_headers *headers, roost_slice *name, roost_slice *value) {
  while (headers->lines.len > 0) {
    const roost_slice line = take_line(&headers->lines);
    const char *colon = line.len > 0 ? memchr(line.ptr, ':', line.len) : NULL;
    if (colon == NULL || colon == line.ptr)
      continue;
    const size_t len = (size_t)(colon - line.ptr);
    *name = (roost_slice){line.ptr, len};
    *value = trim((roost_slice){colon + 1, line.len - len - 1});
    return true;
  }
  return false;
}

roost_slice roost_nats_header(roost_slice block, roost_slice name) {
  roost_nats_headers headers;
  roost_slice found;
  roost_slice value;
  if (block.ptr != NULL && roost_nats_headers_open(&headers, block) == 0)
    while (roost_nats_headers_next(&headers, &found, &value))
      if (roost_slice_equal(found, name))
        return value;
  return (roost_slice){NULL, 0};
}

/* --------------------------------------------------------------------- as JSON --------------- */

typedef struct line {
  roost_slice name;
  roost_slice value;
  bool done; /* it was written together with an earlier one */
} line;

static int write_values(roost_buffer *out, line *lines, size_t count, size_t first) {
  size_t more = 0;
  for (size_t i = first + 1; i < count; i++)
    more += roost_slice_equal(lines[i].name, lines[first].name);
  int status = more > 0 ? roost_buffer_append_byte(out, '[') : 0;
  if (status == 0)
    status = roost_json_write_string(out, lines[first].value);
  for (size_t i = first + 1; i < count && more > 0 && status == 0; i++) {
    if (!roost_slice_equal(lines[i].name, lines[first].name))
      continue;
    lines[i].done = true;
    status = roost_buffer_append_byte(out, ',');
    if (status == 0)
      status = roost_json_write_string(out, lines[i].value);
  }
  return status == 0 && more > 0 ? roost_buffer_append_byte(out, ']') : status;
}

static int write_object(roost_buffer *out, line *lines, size_t count) {
  char before = '{';
  for (size_t i = 0; i < count; i++) {
    if (lines[i].done)
      continue;
    int status = roost_json_write_key(out, before, lines[i].name);
    if (status == 0)
      status = write_values(out, lines, count, i);
    if (status != 0)
      return status;
    before = ',';
  }
  return count > 0 ? roost_buffer_append_byte(out, '}') : roost_buffer_append(out, "{}", 2);
}

/* The block is UTF-8. */
static int write_json(roost_buffer *out, roost_slice block) {
  line lines[ROOST_NATS_HEADERS_MAX];
  roost_nats_headers headers;
  size_t count = 0;
  if (roost_nats_headers_open(&headers, block) != 0)
    return ROOST_EPROTO;
  for (roost_slice name, value; roost_nats_headers_next(&headers, &name, &value); count++) {
    if (count == ROOST_NATS_HEADERS_MAX)
      return ROOST_EPROTO;
    lines[count] = (line){.name = name, .value = value};
  }
  const size_t at = out->len;
  const int status = write_object(out, lines, count);
  if (status != 0)
    out->len = at;
  return status;
}

int roost_nats_headers_to_json(roost_buffer *out, roost_slice block) {
  if (roost_utf8_valid_prefix(block) == block.len)
    return write_json(out, block);
  roost_buffer fixed;
  roost_buffer_init(&fixed, out->alloc);
  int status = roost_utf8_repair(&fixed, block);
  if (status == 0)
    status = write_json(out, roost_buffer_slice(&fixed));
  roost_buffer_deinit(&fixed);
  return status;
}

/* --------------------------------------------------------------------- from JSON ------------- */

static bool is_name(roost_slice name) {
  for (size_t i = 0; i < name.len; i++)
    if ((unsigned char)name.ptr[i] <= ' ' || name.ptr[i] == ':' || name.ptr[i] == 0x7f)
      return false;
  return name.len > 0;
}

static bool is_value(roost_slice value) {
  for (size_t i = 0; i < value.len; i++)
    if (((unsigned char)value.ptr[i] < ' ' && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
      return false;
  return true;
}

int roost_nats_headers_write(roost_buffer *out, roost_slice name, roost_slice value) {
  if (!is_name(name) || !is_value(value))
    return ROOST_EINVAL;
  const size_t need = name.len + 2 + value.len + 2;
  if (roost_buffer_reserve(out, need) != 0)
    return ROOST_ENOMEM;
  (void)roost_buffer_append_slice(out, name); /* there is room */
  (void)roost_buffer_append(out, ": ", 2);
  (void)roost_buffer_append_slice(out, value);
  return roost_buffer_append(out, "\r\n", 2);
}

/* Appends the text of a token, or of what is not one its JSON. */
static int append_text(roost_buffer *out, roost_json_type type, const roost_json_token *token,
                       roost_slice json) {
  if (type != ROOST_JSON_STRING)
    return roost_buffer_append_slice(out, json);
  if (!token->escaped)
    return roost_buffer_append_slice(out, token->text);
  if (roost_buffer_reserve(out, token->text.len) != 0)
    return ROOST_ENOMEM;
  out->len += roost_json_unescape(out->ptr + out->len, token->text);
  return 0;
}

/* Writes "name: " and the value behind it, and checks it there. */
static int write_line(roost_buffer *out, roost_slice name, roost_json_type type,
                      const roost_json_token *token, roost_slice json, const char **why) {
  int status = roost_nats_headers_write(out, name, (roost_slice){"", 0});
  if (status == ROOST_EINVAL)
    *why = error_name;
  if (status != 0)
    return status;
  out->len -= 2;
  const size_t at = out->len;
  status = append_text(out, type, token, json);
  if (status == 0 && !is_value((roost_slice){out->ptr + at, out->len - at})) {
    *why = error_value;
    status = ROOST_EINVAL;
  }
  return status == 0 ? roost_buffer_append(out, "\r\n", 2) : status;
}

/* Reads the JSON text of a value that is no list; null gives no line. */
static int write_value(roost_buffer *out, roost_slice name, roost_slice json, const char **why) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, json);
  const roost_json_type type = roost_json_next(&reader, &token);
  return type == ROOST_JSON_NULL ? 0 : write_line(out, name, type, &token, json, why);
}

static int write_list(roost_buffer *out, roost_slice name, roost_slice json, const char **why) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_type type;
  int status = 0;
  roost_json_reader_init(&reader, json);
  (void)roost_json_next(&reader, &token); /* the bracket */
  while (status == 0 && (type = roost_json_next(&reader, &token)) != ROOST_JSON_ARRAY_END) {
    if (type != ROOST_JSON_STRING) {
      *why = error_list;
      return ROOST_EINVAL;
    }
    status = write_line(out, name, type, &token, (roost_slice){NULL, 0}, why);
  }
  return status;
}

/* Whether a JSON object has that member, written in the same way. */
static bool has_member(roost_slice json, roost_slice key) {
  roost_json_reader reader;
  roost_json_token token;
  if (json.ptr == NULL)
    return false;
  roost_json_reader_init(&reader, json);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return false;
  while (roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    if (roost_slice_equal(token.text, key))
      return true;
    if (roost_json_skip(&reader) != 0)
      return false;
  }
  return false;
}

static int write_member(roost_buffer *out, const roost_json_token *key, roost_slice value,
                        const char **why) {
  if (key->escaped) { /* a quote, a backslash or a control character */
    *why = error_name;
    return ROOST_EINVAL;
  }
  return *value.ptr == '[' ? write_list(out, key->text, value, why)
                           : write_value(out, key->text, value, why);
}

int roost_nats_headers_from_json(roost_buffer *out, roost_slice json, roost_slice except,
                                 const char **why) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_type type;
  roost_json_reader_init(&reader, json);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return ROOST_EPROTO;
  while ((type = roost_json_next(&reader, &token)) == ROOST_JSON_KEY) {
    const roost_json_token key = token;
    roost_slice value;
    if (roost_json_take(&reader, &value) != 0)
      return ROOST_EPROTO;
    if (has_member(except, key.text))
      continue;
    const int status = write_member(out, &key, value, why);
    if (status != 0)
      return status;
  }
  return type == ROOST_JSON_OBJECT_END ? 0 : ROOST_EPROTO;
}
