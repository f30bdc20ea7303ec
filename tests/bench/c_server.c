/*
 * A Nest TCP server without Lua, on the host's own net/, wire/ and transport/: the limit that the
 * host with its scripts is measured against. It knows {"cmd":"sum"} (adds up an array of numbers)
 * and "echo" (returns its data). Prints the port it took; ends when it is killed.
 *
 *   roost_bench_c_server [PORT [KEY CERT]] [--lua]    files in PEM: with TLS
 *
 * --lua: a Lua function adds up, called through Lua's own API and with nothing around it: what no
 * host of Lua handlers can be below.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/slice.h"
#include "transport/transport.h"
#include "wire/json.h"

static lua_State *lua; /* NULL: nothing is done in Lua */

static const char handler[] = "return function(data)"
                              "  local total = 0 "
                              "  for i = 1, #data do total = total + data[i] end"
                              "  return total "
                              "end";

static void answer(roost_origin *origin, const roost_message *message, roost_slice value) {
  roost_buffer *out = origin->ops->reply_begin(origin, ROOST_REPLY_LAST);
  if (out == NULL)
    return;
  if (roost_buffer_append_slice(out, value) != 0)
    origin->ops->reply_undo(origin);
  else
    (void)origin->ops->reply_end(origin, ROOST_REPLY_LAST, message->id);
}

/* 1 with the next number of the array; 0: there is none; EPROTO. */
static int next_number(roost_json_reader *reader, double *number) {
  roost_json_token token;
  for (;;) {
    switch (roost_json_next(reader, &token)) {
    case ROOST_JSON_INTEGER:
      *number = (double)token.integer;
      return 1;
    case ROOST_JSON_DOUBLE:
      *number = token.number;
      return 1;
    case ROOST_JSON_ERROR:
      return ROOST_EPROTO;
    case ROOST_JSON_END:
      return 0;
    default:
      break;
    }
  }
}

static int add_up(roost_json_reader *reader, double *total) {
  double number;
  int status;
  *total = 0;
  while ((status = next_number(reader, &number)) > 0)
    *total += number;
  return status;
}

static int add_up_in_lua(roost_json_reader *reader, double *total) {
  double number;
  int status;
  lua_pushvalue(lua, 1);
  lua_createtable(lua, 4, 0);
  for (lua_Integer i = 1; (status = next_number(reader, &number)) > 0; i++) {
    lua_pushnumber(lua, number);
    lua_rawseti(lua, -2, i);
  }
  if (status == 0 && lua_pcall(lua, 1, 1, 0) != LUA_OK)
    status = ROOST_EPROTO;
  *total = lua_tonumber(lua, -1);
  lua_settop(lua, 1);
  return status;
}

static int answer_sum(roost_origin *origin, const roost_message *message) {
  roost_json_reader reader;
  double total;
  roost_json_reader_init(&reader, message->data);
  if ((lua != NULL ? add_up_in_lua(&reader, &total) : add_up(&reader, &total)) != 0)
    return ROOST_EPROTO;
  roost_buffer *out = origin->ops->reply_begin(origin, ROOST_REPLY_LAST);
  if (out == NULL)
    return 0;
  if (roost_json_write_double(out, total) != 0)
    origin->ops->reply_undo(origin);
  else
    (void)origin->ops->reply_end(origin, ROOST_REPLY_LAST, message->id);
  return 0;
}

static int on_message(void *ud, roost_origin *origin, const roost_message *message) {
  (void)ud;
  if (roost_slice_equal(message->pattern, ROOST_SLICE("{\"cmd\":\"sum\"}")))
    return answer_sum(origin, message);
  if (roost_json_validate(message->data) != 0)
    return ROOST_EPROTO;
  if (roost_slice_equal(message->pattern, ROOST_SLICE("\"echo\"")))
    answer(origin, message, message->data);
  else if (!roost_message_is_event(message))
    origin->ops->reply_unhandled(origin, message->id);
  return 0;
}

static void on_gone(void *ud, roost_origin *origin, bool reachable) {
  (void)ud;
  (void)origin;
  (void)reachable;
}

/* Opens it on loop, with TLS where key and cert are given. False with the reason in *why. */
static bool open_server(roost_server **server, roost_loop *loop, const roost_server_config *config,
                        const roost_sink_ops *sink, const char **why) {
  static roost_buffer text;
  roost_tls_context *context;
  if (roost_tcp_server_open(server, loop, config, NULL, sink, NULL, why) != 0)
    return false;
  if (config->tls == NULL)
    return (*server)->ops->start(*server) == 0;
  roost_buffer_init(&text, roost_alloc_default());
  if (roost_tls_server_context(&context, roost_alloc_default(), config->tls, &text) != 0) {
    *why = roost_buffer_append_byte(&text, '\0') == 0 ? text.ptr : "out of memory";
    return false;
  }
  (*server)->ops->secure(*server, context);
  roost_tls_context_release(context);
  return (*server)->ops->start(*server) == 0;
}

static bool open_lua(void) {
  lua = luaL_newstate();
  if (lua == NULL)
    return false;
  luaL_openlibs(lua);
  return luaL_dostring(lua, handler) == LUA_OK;
}

int main(int argc, char **argv) {
  static const roost_sink_ops sink = {.on_message = on_message, .on_gone = on_gone};
  roost_clock clock = {.fake = false};
  roost_server_config config;
  roost_server *server;
  roost_loop *loop;
  const char *why = "";
  if (argc > 1 && strcmp(argv[argc - 1], "--lua") == 0) {
    argc--;
    if (!open_lua())
      return 1;
  }
  roost_server_config_init(&config);
  config.host = "127.0.0.1";
  config.max_connections = 0; /* no limit */
  config.port = argc > 1 ? (uint16_t)atoi(argv[1]) : 0;
  const roost_tls_config tls = {.key = argc > 3 ? argv[2] : NULL,
                                .cert = argc > 3 ? argv[3] : NULL};
  config.tls = argc > 3 ? &tls : NULL;
  if (roost_loop_new(&loop, roost_alloc_default(), &clock) != 0 ||
      !open_server(&server, loop, &config, &sink, &why)) {
    fprintf(stderr, "c_server: %s\n", why);
    return 1;
  }
  printf("%u\n", server->address.port);
  fflush(stdout);
  return roost_loop_run(loop) == 0 ? 0 : 1;
}
