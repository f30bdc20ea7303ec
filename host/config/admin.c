#include "config/admin.h"

#include <lua.h>

#include "config/settings.h"
#include "core/slice.h"
#include "core/url.h"

/* As any text; returns whether it is one now, or false is. */
static bool read_plain(roost_keys_reader *reader, const roost_key *key, void *base) {
  const size_t errors = reader->problems->errors;
  roost_key plain = *key;
  plain.read = NULL;
  roost_key_read(reader, &plain, base);
  return reader->problems->errors == errors && reader->status == 0;
}

void roost_admin_socket_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  roost_settings *settings = base;
  settings->admin_socket_given = !lua_isnil(reader->lua, -1);
  read_plain(reader, key, base);
}

static bool split(roost_keys_reader *reader, const char *text, roost_url_parts *parts) {
  const char *url = NULL;
  roost_buffer_clear(&reader->route);
  if (roost_buffer_printf(&reader->route, "http://%s", text) == 0 &&
      roost_buffer_append_byte(&reader->route, '\0') == 0)
    url = roost_arena_text(reader->arena, roost_buffer_slice(&reader->route));
  if (url == NULL)
    reader->status = ROOST_ENOMEM;
  return url != NULL && roost_url_split(url, parts) && parts->has_port;
}

void roost_admin_http_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  roost_settings *settings = base;
  roost_url_parts parts;
  settings->admin_http_given = !lua_isnil(reader->lua, -1);
  if (!read_plain(reader, key, base) || settings->admin_http == NULL)
    return;
  if (!split(reader, settings->admin_http, &parts)) {
    if (reader->status == 0)
      roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                         "expected HOST:PORT as \"127.0.0.1:9464\", or false, got \"%.100s\"",
                         settings->admin_http);
    return;
  }
  settings->admin_http_host = roost_arena_text(reader->arena, parts.host);
  settings->admin_http_port = parts.port;
  if (settings->admin_http_host == NULL)
    reader->status = ROOST_ENOMEM;
  else if (!roost_is_loopback(settings->admin_http_host))
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR,
                       "\"%.100s\" is not a loopback address: what is said there is not for others",
                       settings->admin_http_host);
}
