/*
 * roost.server: handles for the servers of this worker.
 *
 * A handle knows a server by its name or its place in the configuration, and looks for it when it
 * is first used: a main chunk runs before there are any. What happens to the server waits in the
 * handle while somebody listens, the oldest first.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"
#include "core/error_text.h"
#include "vm/error.h"
#include "vm/sandbox.h"

#define HANDLE_NAME "roost.server.handle"
#define EVENTS_MAX  1024 /* kept for who reads them slowly */

typedef struct event {
  roost_server_event kind;
  roost_address peer; /* of a connection */
  char why[160];      /* of the end; cut where it is longer */
} event;

typedef struct handle {
  roost_vm_link link;
  roost_server *server; /* NULL: not found yet, or closed */
  roost_server_watcher watcher;
  roost_list waiters;  /* the task that waits for an event */
  roost_buffer events; /* not read yet */
  bool watched;        /* somebody reads them */
  bool gone;           /* it was closed */
} handle;

static handle *check_handle(lua_State *lua) {
  return luaL_checkudata(lua, 1, HANDLE_NAME);
}

/* ------------------------------------------------------------------------- events ------------ */

/* Where memory is short there is one event less. */
static void add_event(handle *self, roost_server_event kind, const roost_address *peer,
                      const char *why) {
  event what = {.kind = kind};
  if (peer != NULL)
    what.peer = *peer;
  snprintf(what.why, sizeof what.why, "%s", why);
  if (self->events.len >= EVENTS_MAX * sizeof what)
    roost_buffer_consume(&self->events, sizeof what);
  (void)roost_buffer_append(&self->events, &what, sizeof what);
  roost_task_wake_all(&self->waiters);
}

static void on_told(roost_server_watcher *watcher, roost_server_event kind,
                    const roost_address *peer, const char *why) {
  handle *self = ROOST_LIST_ENTRY(watcher, handle, watcher);
  if (self->watched)
    add_event(self, kind, peer, why);
}

static void on_gone(roost_server_watcher *watcher) {
  handle *self = ROOST_LIST_ENTRY(watcher, handle, watcher);
  self->server = NULL;
  self->gone = true;
  roost_task_wake_all(&self->waiters);
}

/* ------------------------------------------------------------------------- finding ----------- */

/* Its name or place is the handle's user value. NULL: there is none, or none yet. */
static roost_server *find(lua_State *lua, handle *self) {
  if (self->server != NULL || self->gone || roost_task_current(lua) == NULL)
    return self->server;
  const roost_dispatch *dispatch = roost_bind_generation(lua)->dispatch;
  lua_getiuservalue(lua, 1, 1);
  self->server = lua_type(lua, -1) == LUA_TNUMBER
                     ? roost_dispatch_nth_server(dispatch, (size_t)lua_tointeger(lua, -1))
                     : roost_dispatch_find_server(dispatch, lua_tostring(lua, -1));
  lua_pop(lua, 1);
  if (self->server == NULL)
    return NULL;
  roost_list_append(&self->server->watchers, &self->watcher.link);
  if (self->watched && self->server->listening)
    add_event(self, ROOST_SERVER_LISTENING, NULL, "");
  return self->server;
}

static roost_server *check_server(lua_State *lua) {
  handle *self = check_handle(lua);
  if (find(lua, self) != NULL)
    return self->server;
  if (self->gone)
    roost_error_raise_text(lua, "the server is closed");
  roost_task_check_begun(lua);
  const bool is_place = lua_getiuservalue(lua, 1, 1) == LUA_TNUMBER;
  roost_error_raise_text(lua,
                         is_place ? "there is no server %s" : "there is no server named \"%s\"",
                         lua_tostring(lua, -1));
  return NULL;
}

static const char *state_name(const roost_server *server) {
  return server->listening ? "connected" : "disconnected";
}

/* ------------------------------------------------------------------------- methods ----------- */

/* handle:state() -> "connected", "disconnected", or nil while there is none */
static int get_state(lua_State *lua) {
  const roost_server *server = find(lua, check_handle(lua));
  if (server == NULL)
    return 0;
  lua_pushstring(lua, state_name(server));
  return 1;
}

/* handle:watch(whether): event() tells of what happens from now on. */
static int watch(lua_State *lua) {
  handle *self = check_handle(lua);
  self->watched = lua_toboolean(lua, 2);
  roost_buffer_deinit(&self->events);
  return 0;
}

static void push_address(lua_State *lua, const roost_address *address) {
  lua_createtable(lua, 0, 2);
  lua_pushstring(lua, address->text);
  lua_setfield(lua, -2, "address");
  lua_pushinteger(lua, address->port);
  lua_setfield(lua, -2, "port");
}

/* why: an error's name, perhaps with a colon and what is wrong after it; or a text alone. */
static void push_end(lua_State *lua, const char *why) {
  const size_t name = strspn(why, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
  if (name < 2 || (why[name] != '\0' && why[name] != ':')) {
    roost_error_push(lua, "ConnectionError", "ECLOSED", why);
    return;
  }
  const char *code = lua_pushlstring(lua, why, name);
  const char *text = why + name + strspn(why + name, ": ");
  roost_error_push(lua, "ConnectionError", code, *text != '\0' ? text : roost_error_text(code));
  lua_remove(lua, -2);
}

static int push_event(lua_State *lua, handle *self) {
  static const char *const names[] = {
      [ROOST_SERVER_LISTENING] = "listening", [ROOST_SERVER_CONNECTION] = "connection",
      [ROOST_SERVER_LOST] = "lost",           [ROOST_SERVER_RETRYING] = "retrying",
      [ROOST_SERVER_DRAINING] = "draining",   [ROOST_SERVER_BLOCKED] = "blocked",
      [ROOST_SERVER_UNBLOCKED] = "unblocked"};
  event first;
  memcpy(&first, self->events.ptr, sizeof first);
  roost_buffer_consume(&self->events, sizeof first);
  lua_pushstring(lua, names[first.kind]);
  if (first.kind == ROOST_SERVER_CONNECTION) {
    push_address(lua, &first.peer);
  } else if (first.kind == ROOST_SERVER_LOST) {
    push_end(lua, first.why);
  } else {
    return 1;
  }
  return 2;
}

static int take_event(lua_State *lua, handle *self);

static int event_again(lua_State *lua, int status, lua_KContext context) {
  handle *self = check_handle(lua);
  (void)status;
  (void)context;
  roost_task_current(lua)->dormant = roost_task_current(lua)->background = false;
  roost_task_resumed(lua);
  return take_event(lua, self);
}

static int take_event(lua_State *lua, handle *self) {
  if (self->events.len > 0)
    return push_event(lua, self);
  if (self->gone)
    return 0;
  roost_bind_make_dormant(lua);
  roost_task_current(lua)->background = true;
  return roost_task_wait_in(lua, &self->waiters, 0, event_again);
}

/* handle:event() -> "listening"; "connection", address; "lost", error; "draining"; nil where it was
 * closed. Waits, and neither a program nor a service waits for that. */
static int next_event(lua_State *lua) {
  lua_settop(lua, 1);
  roost_task_check_may_wait(lua);
  check_server(lua);
  return take_event(lua, check_handle(lua));
}

/* handle:info() -> { transport, connected, local, fd } */
static int get_info(lua_State *lua) {
  const roost_server *server = check_server(lua);
  const int descriptor = server->ops->descriptor != NULL ? server->ops->descriptor(server) : -1;
  lua_createtable(lua, 0, 5);
  lua_pushstring(lua, server->config->transport);
  lua_setfield(lua, -2, "transport");
  lua_pushboolean(lua, server->listening);
  lua_setfield(lua, -2, "connected");
  if (descriptor >= 0) {
    lua_pushinteger(lua, descriptor);
    lua_setfield(lua, -2, "fd");
  }
  if (server->address.text[0] == '\0')
    return 1; /* it has no listener */
  push_address(lua, &server->address);
  lua_setfield(lua, -2, "local");
  return 1;
}

/* handle:close(): it accepts no more, and its connections end when nothing is owed to them. */
static int close_handle(lua_State *lua) {
  roost_server *server = check_server(lua);
  roost_task_check_begun(lua);
  server->ops->drain(server);
  return 0;
}

/* ------------------------------------------------------------------------- making ------------ */

/* It is looked for when it is used. */
static int attach(roost_vm_link *link, roost_buffer *why) {
  (void)link;
  (void)why;
  return 0;
}

static void detach(roost_vm_link *link) {
  handle *self = ROOST_LIST_ENTRY(link, handle, link);
  roost_list_remove(&self->watcher.link);
  self->server = NULL;
  self->gone = true;
}

static int free_handle(lua_State *lua) {
  handle *self = lua_touserdata(lua, 1);
  roost_list_remove(&self->link.link);
  roost_list_remove(&self->watcher.link);
  roost_buffer_deinit(&self->events);
  return 0;
}

/* core.server(name or place) -> handle. Listeners are everybody's: a sandbox neither closes them
 * nor hears who connects. */
static int open_server(lua_State *lua) {
  if (roost_sandbox_on(lua))
    return roost_error_raise_text(lua, "roost.server: not in a sandboxed service");
  handle *self = lua_newuserdatauv(lua, sizeof *self, 1);
  *self = (handle){.link = {.attach = attach, .detach = detach},
                   .watcher = {.told = on_told, .gone = on_gone}};
  roost_list_append(&roost_vm_of(lua)->links, &self->link.link);
  roost_list_init(&self->watcher.link);
  roost_list_init(&self->waiters);
  roost_buffer_init(&self->events, roost_vm_of(lua)->alloc);
  luaL_setmetatable(lua, HANDLE_NAME);
  lua_insert(lua, 1);
  lua_settop(lua, 2);
  lua_setiuservalue(lua, 1, 1);
  if (roost_task_current(lua) != NULL)
    check_server(lua);
  return 1;
}

void roost_bind_open_server(lua_State *lua) {
  static const luaL_Reg methods[] = {{"state", get_state},    {"watch", watch},
                                     {"event", next_event},   {"info", get_info},
                                     {"close", close_handle}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"server", open_server}, {NULL, NULL}};
  luaL_newmetatable(lua, HANDLE_NAME);
  luaL_newlib(lua, methods);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, free_handle);
  lua_setfield(lua, -2, "__gc");
  lua_pop(lua, 1);
  luaL_setfuncs(lua, functions, 0);
}
