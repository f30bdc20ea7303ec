/* The text of a line: what roost_log_begin, _text, _integer, _user_text and _user_literal append.
 */
#include "core/log_format.h"

#include <time.h>

#include "core/slice.h"

/* Keeps the first failure; a line that has one is lost as a whole. */
static void note(roost_log_line *line, int status) {
  if (line->status == 0)
    line->status = status;
}

static void put(roost_log_line *line, const char *bytes, size_t len) {
  note(line, roost_buffer_append(&line->text, bytes, len));
}

static void put_text(roost_log_line *line, const char *text) {
  put(line, text, strlen(text));
}

/* Bytes of the UTF-8 character at the start of text, 0 where there is none. */
static size_t character(const char *text, size_t left) {
  const unsigned char *at = (const unsigned char *)text;
  if (at[0] < 0x80)
    return 1;
  const size_t len = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
  if (at[0] < 0xc2 || at[0] > 0xf4 || len > left)
    return 0;
  for (size_t i = 1; i < len; i++)
    if ((at[i] & 0xc0) != 0x80)
      return 0;
  const bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
  const bool surrogate = at[0] == 0xed && at[1] > 0x9f;
  const bool beyond = at[0] == 0xf4 && at[1] > 0x8f;
  return overlong || surrogate || beyond ? 0 : len;
}

/* C0, DEL, and C1 (which terminals obey too, as U+0080 to U+009F). */
static bool is_control(const char *at, size_t len) {
  const unsigned char byte = (unsigned char)at[0];
  if (len == 2)
    return byte == 0xc2 && (unsigned char)at[1] < 0xa0;
  return byte < 0x20 || byte == 0x7f;
}

static const char *short_escape(char byte) {
  switch (byte) {
  case '\n':
    return "\\n";
  case '\t':
    return "\\t";
  case '"':
    return "\\\"";
  case '\\':
    return "\\\\";
  default:
    return NULL;
  }
}

/* Appends text between quotes; everything that is unsafe in a line is escaped. */
static void put_quoted(roost_log_line *line, roost_slice text) {
  const bool json = line->format == ROOST_LOG_JSON;
  put(line, "\"", 1);
  for (size_t i = 0; i < text.len;) {
    const char *at = text.ptr + i;
    const size_t len = character(at, text.len - i);
    if (len == 0) {
      if (json)
        put_text(line, "\xef\xbf\xbd");
      else
        note(line, roost_buffer_printf(&line->text, "\\x%02x", (unsigned char)*at));
      i++;
      continue;
    }
    if (len == 1 && short_escape(*at) != NULL) {
      put_text(line, short_escape(*at));
    } else if (is_control(at, len)) {
      const unsigned code = (unsigned char)at[len - 1];
      note(line, roost_buffer_printf(&line->text, json ? "\\u%04x" : "\\x%02x", code));
    } else {
      put(line, at, len);
    }
    i += len;
  }
  put(line, "\"", 1);
}

static bool needs_quotes(roost_slice text) {
  if (text.len == 0)
    return true;
  for (size_t i = 0; i < text.len;) {
    const char *at = text.ptr + i;
    const size_t len = character(at, text.len - i);
    if (len == 0 || *at == ' ' || *at == '"' || *at == '=' || is_control(at, len))
      return true;
    i += len;
  }
  return false;
}

static void put_value(roost_log_line *line, roost_slice value) {
  if (line->format == ROOST_LOG_JSON || needs_quotes(value))
    put_quoted(line, value);
  else
    put(line, value.ptr, value.len);
}

/* Appends what stands before a value: the separator and the key. */
static void put_key(roost_log_line *line, roost_slice key) {
  const bool first = line->text.len == ROOST_LOG_HEADER_BYTES;
  if (line->format == ROOST_LOG_JSON) {
    put(line, first ? "{" : ",", 1);
    put_quoted(line, key);
    put(line, ":", 1);
    return;
  }
  if (!first)
    put(line, " ", 1);
  put(line, key.ptr, key.len);
  put(line, "=", 1);
}

/* The script's key, made safe, and told apart from the names that are ours. */
static void put_user_key(roost_log_line *line, roost_slice key) {
  static const char *const ours[] = {"ts",  "level",  "msg",  "service", "worker",
                                     "gen", "server", "peer", "req",     "pattern",
                                     "ms",  "err",    "trace"};
  roost_buffer safe;
  roost_buffer_init(&safe, line->text.alloc);
  for (size_t i = 0; i < key.len;) {
    const char *at = key.ptr + i;
    const size_t len = character(at, key.len - i);
    const bool bad = len == 0 || strchr(" \"=\\", *at) != NULL || is_control(at, len);
    note(line, roost_buffer_append(&safe, bad ? "_" : at, bad ? 1 : len));
    i += len > 0 ? len : 1;
  }
  bool clash = safe.len == 0;
  for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
    clash = clash || roost_slice_equal(roost_buffer_slice(&safe), roost_slice_text(ours[i]));
  if (clash)
    note(line, roost_buffer_append_byte(&safe, '_'));
  put_key(line, roost_buffer_slice(&safe));
  roost_buffer_deinit(&safe);
}

static void put_time(roost_log_line *line, uint64_t wall_us) {
  const time_t seconds = (time_t)(wall_us / 1000000);
  struct tm utc;
  char text[32];
  gmtime_r(&seconds, &utc);
  const size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  put_key(line, ROOST_SLICE("ts"));
  const char *quote = line->format == ROOST_LOG_JSON ? "\"" : "";
  note(line, roost_buffer_printf(&line->text, "%s%.*s.%03uZ%s", quote, (int)len, text,
                                 (unsigned)(wall_us / 1000 % 1000), quote));
}

void roost_log_format_begin(roost_log_line *line, uint64_t wall_us, roost_slice msg) {
  static const char *const levels[] = {"debug", "info", "warn", "error"};
  static const char header[ROOST_LOG_HEADER_BYTES];
  put(line, header, sizeof header);
  put_time(line, wall_us);
  put_key(line, ROOST_SLICE("level"));
  put_value(line, roost_slice_text(levels[line->level]));
  put_key(line, ROOST_SLICE("msg"));
  put_quoted(line, msg);
}

void roost_log_format_end(roost_log_line *line) {
  if (line->format == ROOST_LOG_JSON)
    put(line, "}", 1);
}

void roost_log_text(roost_log_line *line, const char *key, roost_slice value) {
  if (line->log == NULL || line->status != 0)
    return;
  put_key(line, roost_slice_text(key));
  put_value(line, value);
}

void roost_log_integer(roost_log_line *line, const char *key, int64_t value) {
  if (line->log == NULL || line->status != 0)
    return;
  put_key(line, roost_slice_text(key));
  note(line, roost_buffer_printf(&line->text, "%lld", (long long)value));
}

/* Whether the line takes another field. One that is longer than the queue finds no room there, so
 * it is not made any longer. */
static bool takes_more(roost_log_line *line) {
  if (line->log != NULL && line->status == 0 && line->text.len > ROOST_LOG_QUEUE_BYTES)
    line->status = ROOST_EFULL;
  return line->log != NULL && line->status == 0;
}

void roost_log_user_text(roost_log_line *line, roost_slice key, roost_slice value) {
  if (!takes_more(line))
    return;
  put_user_key(line, key);
  put_value(line, value);
}

void roost_log_user_literal(roost_log_line *line, roost_slice key, roost_slice json) {
  if (!takes_more(line))
    return;
  put_user_key(line, key);
  if (line->format == ROOST_LOG_JSON)
    put(line, json.ptr, json.len);
  else
    put_value(line, json);
}
