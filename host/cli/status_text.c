#include "cli/status_text.h"

#include <stdio.h>

#include "core/slice.h"
#include "wire/json.h"

#define MAX_COLUMNS 13

typedef enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_BYTES } column_kind;

typedef struct column {
  const char *key; /* NULL ends a table; "" is the member's own name */
  const char *title;
  column_kind kind;
} column;

static const column service_columns[] = {{"", "service", COLUMN_TEXT},
                                         {"state", "state", COLUMN_TEXT},
                                         {"generation", "gen", COLUMN_NUMBER},
                                         {"in_flight", "in flight", COLUMN_NUMBER},
                                         {"requests", "requests", COLUMN_NUMBER},
                                         {"events", "events", COLUMN_NUMBER},
                                         {"errors", "errors", COLUMN_NUMBER},
                                         {"timeouts", "timeouts", COLUMN_NUMBER},
                                         {"per_second", "/s", COLUMN_NUMBER},
                                         {"p50_ms", "p50 ms", COLUMN_NUMBER},
                                         {"p99_ms", "p99 ms", COLUMN_NUMBER},
                                         {"cpu_ms", "cpu ms", COLUMN_NUMBER},
                                         {"memory_bytes", "memory", COLUMN_BYTES},
                                         {0}};

static const column worker_columns[] = {{"", "worker", COLUMN_TEXT},
                                        {"stuck", "stuck", COLUMN_TEXT},
                                        {"connections", "connections", COLUMN_NUMBER},
                                        {"in_flight", "in flight", COLUMN_NUMBER},
                                        {"requests", "requests", COLUMN_NUMBER},
                                        {"events", "events", COLUMN_NUMBER},
                                        {"errors", "errors", COLUMN_NUMBER},
                                        {"timeouts", "timeouts", COLUMN_NUMBER},
                                        {"longest_turn_ms", "longest turn ms", COLUMN_NUMBER},
                                        {"memory_bytes", "memory", COLUMN_BYTES},
                                        {0}};

static const column server_columns[] = {{"", "server", COLUMN_TEXT},
                                        {"transport", "transport", COLUMN_TEXT},
                                        {"address", "address", COLUMN_TEXT},
                                        {"tls", "tls", COLUMN_TEXT},
                                        {"status", "status", COLUMN_TEXT},
                                        {"connections", "connections", COLUMN_NUMBER},
                                        {"accepted", "accepted", COLUMN_NUMBER},
                                        {"denied", "denied", COLUMN_NUMBER},
                                        {"bytes_in", "in", COLUMN_BYTES},
                                        {"bytes_out", "out", COLUMN_BYTES},
                                        {0}};

static const column client_columns[] = {{"", "client", COLUMN_TEXT},
                                        {"transport", "transport", COLUMN_TEXT},
                                        {"address", "address", COLUMN_TEXT},
                                        {"status", "status", COLUMN_TEXT},
                                        {"pending", "pending", COLUMN_NUMBER},
                                        {"requests", "requests", COLUMN_NUMBER},
                                        {"errors", "errors", COLUMN_NUMBER},
                                        {"timeouts", "timeouts", COLUMN_NUMBER},
                                        {"reconnects", "reconnects", COLUMN_NUMBER},
                                        {"late", "late", COLUMN_NUMBER},
                                        {0}};

/* ------------------------------------------------------------------------- JSON -------------- */

/* The text of an object's member; false where it has none. */
static bool find(roost_slice object, const char *name, roost_slice *value) {
  roost_json_reader reader;
  roost_json_token key;
  roost_json_reader_init(&reader, object);
  if (roost_json_next(&reader, &key) != ROOST_JSON_OBJECT)
    return false;
  while (roost_json_next(&reader, &key) == ROOST_JSON_KEY) {
    if (roost_json_take(&reader, value) != 0)
      return false;
    if (roost_slice_equal(key.text, roost_slice_text(name)))
      return true;
  }
  return false;
}

/* Texts lose their quotes and keep their escapes, so that nothing in them is a control character.
 */
static roost_slice bare(roost_slice value) {
  if (value.len < 2 || value.ptr[0] != '"')
    return value;
  return roost_slice_of(value.ptr + 1, value.len - 2);
}

/* A whole number; 0 where it is none. */
static double number_of(roost_slice value) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, value);
  switch (roost_json_next(&reader, &token)) {
  case ROOST_JSON_INTEGER:
    return (double)token.integer;
  case ROOST_JSON_DOUBLE:
    return token.number;
  default:
    return 0;
  }
}

static double find_number(roost_slice object, const char *name) {
  roost_slice value;
  return find(object, name, &value) ? number_of(value) : 0;
}

static roost_slice find_text(roost_slice object, const char *name) {
  roost_slice value;
  if (!find(object, name, &value) || roost_slice_equal(value, ROOST_SLICE("null")))
    return ROOST_SLICE("");
  return bare(value);
}

/* ------------------------------------------------------------------------- cells ------------- */

#define BYTES_SHOWN 24

static void show_bytes(char shown[BYTES_SHOWN], double bytes) {
  static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
    bytes /= 1024;
    unit++;
  }
  snprintf(shown, BYTES_SHOWN, unit == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes,
           units[unit]);
}

/* What stands in a column for an entry; room is for what has to be written. */
static roost_slice cell(const column *of, roost_slice name, roost_slice entry,
                        char room[BYTES_SHOWN]) {
  if (of->key[0] == '\0')
    return name;
  if (of->kind != COLUMN_BYTES)
    return find_text(entry, of->key);
  show_bytes(room, find_number(entry, of->key));
  return roost_slice_text(room);
}

/* Characters, of UTF-8. */
static size_t width_of(roost_slice text) {
  size_t width = 0;
  for (size_t i = 0; i < text.len; i++)
    width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
  return width;
}

static int pad(roost_buffer *out, size_t count) {
  int status = 0;
  while (count-- > 0 && status == 0)
    status = roost_buffer_append_byte(out, ' ');
  return status;
}

static int put_cell(roost_buffer *out, const column *of, roost_slice text, size_t width) {
  const size_t missing = width - width_of(text);
  const bool is_last = of[1].key == NULL;
  int status = of->kind == COLUMN_TEXT ? 0 : pad(out, missing);
  if (status == 0)
    status = roost_buffer_append_slice(out, text);
  if (status == 0 && of->kind == COLUMN_TEXT && !is_last)
    status = pad(out, missing);
  return status == 0
             ? roost_buffer_append_slice(out, is_last ? ROOST_SLICE("\n") : ROOST_SLICE("  "))
             : status;
}

/* ------------------------------------------------------------------------- tables ------------ */

/* The next entry of an object of objects; false at its end. */
static bool next_entry(roost_json_reader *reader, roost_slice *name, roost_slice *entry) {
  roost_json_token key;
  if (roost_json_next(reader, &key) != ROOST_JSON_KEY)
    return false;
  *name = key.text;
  return roost_json_take(reader, entry) == 0;
}

static bool begin(roost_json_reader *reader, roost_slice object) {
  roost_json_token token;
  roost_json_reader_init(reader, object);
  return roost_json_next(reader, &token) == ROOST_JSON_OBJECT;
}

static size_t measure(roost_slice object, const column *columns, size_t widths[MAX_COLUMNS]) {
  roost_json_reader reader;
  roost_slice name;
  roost_slice entry;
  char room[BYTES_SHOWN];
  size_t rows = 0;
  for (size_t i = 0; columns[i].key != NULL; i++)
    widths[i] = width_of(roost_slice_text(columns[i].title));
  for (bool any = begin(&reader, object); any && next_entry(&reader, &name, &entry); rows++)
    for (size_t i = 0; columns[i].key != NULL; i++) {
      const size_t width = width_of(cell(&columns[i], name, entry, room));
      if (width > widths[i])
        widths[i] = width;
    }
  return rows;
}

static int put_row(roost_buffer *out, const column *columns, const size_t *widths, roost_slice name,
                   roost_slice entry) {
  char room[BYTES_SHOWN];
  int status = 0;
  for (size_t i = 0; columns[i].key != NULL && status == 0; i++)
    status = put_cell(out, &columns[i], cell(&columns[i], name, entry, room), widths[i]);
  return status;
}

/* A table of a member of the status, with a blank line before; nothing where it is empty. */
static int put_table(roost_buffer *out, roost_slice status_json, const char *member,
                     const column *columns) {
  roost_json_reader reader;
  size_t widths[MAX_COLUMNS] = {0};
  roost_slice object;
  roost_slice name;
  roost_slice entry;
  if (!find(status_json, member, &object) || measure(object, columns, widths) == 0)
    return 0;
  int status = roost_buffer_append_byte(out, '\n');
  for (size_t i = 0; columns[i].key != NULL && status == 0; i++)
    status = put_cell(out, &columns[i], roost_slice_text(columns[i].title), widths[i]);
  for (bool any = begin(&reader, object); any && status == 0 && next_entry(&reader, &name, &entry);)
    status = put_row(out, columns, widths, name, entry);
  return status;
}

/* ------------------------------------------------------------------------- the rest ---------- */

/* "SERVICE refused: ..." and "SERVICE last error: ...", a line each. */
static int put_errors(roost_buffer *out, roost_slice status_json) {
  static const struct {
    const char *key;
    const char *title;
  } kinds[] = {{"refused", "reload refused"}, {"last_error", "last error"}};
  roost_json_reader reader;
  roost_slice object;
  roost_slice name;
  roost_slice entry;
  bool first = true;
  int status = 0;
  if (!find(status_json, "services", &object))
    return 0;
  for (bool any = begin(&reader, object); any && status == 0 && next_entry(&reader, &name, &entry);)
    for (size_t i = 0; i < 2 && status == 0; i++) {
      const roost_slice text = find_text(entry, kinds[i].key);
      if (text.len == 0)
        continue;
      status = roost_buffer_printf(out, "%s%.*s %s: %.*s\n", first ? "\n" : "", (int)name.len,
                                   name.ptr, kinds[i].title, (int)text.len, text.ptr);
      first = false;
    }
  return status;
}

static int put_head(roost_buffer *out, roost_slice json) {
  char memory[BYTES_SHOWN];
  const roost_slice version = find_text(json, "version");
  const roost_slice state = find_text(json, "state");
  const roost_slice config = find_text(json, "config");
  const unsigned long seconds = (unsigned long)(find_number(json, "uptime_ms") / 1000);
  show_bytes(memory, find_number(json, "memory_bytes"));
  int status = roost_buffer_printf(
      out, "roost %.*s  pid %.0f  %.*s  up %lu:%02lu:%02lu  memory %s  %.*s\n", (int)version.len,
      version.ptr, find_number(json, "pid"), (int)state.len, state.ptr, seconds / 3600,
      seconds / 60 % 60, seconds % 60, memory, (int)config.len, config.ptr);
  if (status == 0 && roost_slice_equal(find_text(json, "stuck"), ROOST_SLICE("true")))
    status = roost_buffer_append_slice(
        out, ROOST_SLICE("A worker is stuck: what follows is what it said last.\n"));
  return status;
}

/* One alone would say what the rest says. */
static int put_workers(roost_buffer *out, roost_slice json) {
  return find_number(json, "workers") > 1 ? put_table(out, json, "per_worker", worker_columns) : 0;
}

static int put_store(roost_buffer *out, roost_slice json) {
  roost_slice store;
  char held[BYTES_SHOWN];
  char limit[BYTES_SHOWN];
  if (!find(json, "store", &store))
    return 0;
  show_bytes(held, find_number(store, "bytes"));
  show_bytes(limit, find_number(store, "limit"));
  return roost_buffer_printf(out, "\nstore: %.0f keys, %s of %s\n", find_number(store, "keys"),
                             held, limit);
}

int roost_status_text(roost_buffer *out, roost_slice json) {
  roost_slice version;
  if (roost_json_validate(json) != 0 || !find(json, "version", &version))
    return ROOST_EPROTO;
  int status = put_head(out, json);
  if (status == 0)
    status = put_workers(out, json);
  if (status == 0)
    status = put_table(out, json, "services", service_columns);
  if (status == 0)
    status = put_errors(out, json);
  if (status == 0)
    status = put_table(out, json, "servers", server_columns);
  if (status == 0)
    status = put_table(out, json, "clients", client_columns);
  if (status == 0)
    status = put_store(out, json);
  return status;
}
