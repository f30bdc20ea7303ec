/*
 * roost.client: handles for the outbounds of service/pending.h.
 */
#include "bind/client.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "config/client_table.h"
#include "core/slice.h"
#include "vm/error.h"
#include "vm/sandbox.h"
#include "vm/task.h"
#include "vm/value.h"
#include "wire/json.h"
#include "wire/pattern.h"

#define HANDLE_NAME "roost.client.handle"
#define EVENTS_MAX  64 /* changes kept for who reads them slowly */

/* Of a sandbox's own clients: how many there may be at a time, and how much may wait in each. */
#define OWN_CLIENTS_MAX 64
#define OWN_BUFFER_MAX  ((size_t)16 << 20)

/* Registry key: how many clients of its own a sandbox has. */
static const char own_clients_key;

/* A change of the connection. */
typedef struct event {
  roost_outbound_state state;
  int status;
  char *why; /* a copy of what roost_outbound_watcher.changed has; NULL: nothing; owned */
} event;

typedef struct handle {
  roost_vm_link link;       /* a main chunk only records what client is meant */
  roost_outbound *outbound; /* NULL: not made yet, or gone */
  bool gone;                /* with its dispatch, or its service */
  roost_dispatch *dispatch; /* borrowed */
  const roost_alloc *alloc;
  char *name;                     /* of a named client; owned */
  roost_client_table *table;      /* of a client made from a table; owned */
  roost_outbound_watcher watcher; /* in outbound->watchers */
  roost_list waiters;             /* tasks that wait for a change */
  event last;                     /* change */
  event events[EVENTS_MAX];       /* not read yet, the oldest first; while they are watched */
  size_t event_count;
  roost_buffer expected; /* patterns a main chunk has said requests will have: JSON text and NUL */
  bool watched;          /* somebody reads events */
  bool counted;          /* among a sandbox's own clients */
} handle;

static handle *check_handle(lua_State *lua, int index) {
  return luaL_checkudata(lua, index, HANDLE_NAME);
}

roost_outbound *roost_bind_client_of(lua_State *lua, int index) {
  const handle *self = lua_touserdata(lua, index);
  if (self->outbound == NULL && !self->gone)
    roost_task_check_begun(lua);
  if (self->outbound == NULL)
    roost_error_raise_text(lua, "the client has ended with its service");
  return self->outbound;
}

roost_outbound *roost_bind_check_client(lua_State *lua, int index) {
  (void)check_handle(lua, index);
  return roost_bind_client_of(lua, index);
}

int roost_bind_write_route(roost_buffer *pattern, const char **why) {
  roost_buffer route;
  roost_buffer_init(&route, pattern->alloc);
  int status = roost_pattern_normalise(&route, roost_buffer_slice(pattern), why);
  if (status > 0) {
    roost_buffer_clear(pattern);
    status = roost_json_write_string(pattern, roost_buffer_slice(&route));
  } else if (status == 0) { /* true, false: as they are */
    status = 0;
  }
  roost_buffer_deinit(&route);
  return status;
}

/* ------------------------------------------------------------------------- changes ----------- */

/* The connection's text lasts until the next attempt, the event's until somebody reads it. */
static event make_event(const handle *self, roost_outbound_state state, int status,
                        const char *why) {
  return (event){state, status,
                 why != NULL ? roost_alloc_text(self->alloc, roost_slice_text(why)) : NULL};
}

static void drop_first_event(handle *self) {
  roost_alloc_put_text(self->alloc, self->events[0].why);
  self->event_count--;
  memmove(self->events, self->events + 1, self->event_count * sizeof self->events[0]);
}

static void drop_events(handle *self) {
  while (self->event_count > 0)
    drop_first_event(self);
}

static void on_changed(roost_outbound_watcher *watcher, roost_outbound_state state, int status,
                       const char *why) {
  handle *self = ROOST_LIST_ENTRY(watcher, handle, watcher);
  roost_alloc_put_text(self->alloc, self->last.why);
  self->last = make_event(self, state, status, why);
  if (self->watched && self->event_count == EVENTS_MAX)
    drop_first_event(self);
  if (self->watched)
    self->events[self->event_count++] = make_event(self, state, status, why);
  roost_task_wake_all(&self->waiters);
}

/* Its host is gone, while the state lives on: a test's. */
static void on_gone(roost_outbound_watcher *watcher) {
  handle *self = ROOST_LIST_ENTRY(watcher, handle, watcher);
  self->outbound = NULL;
  self->gone = true;
  roost_task_wake_all(&self->waiters);
}

/* handle:state() -> "connected", "disconnected", or nil where it was never used */
static int get_state(lua_State *lua) {
  const handle *self = check_handle(lua, 1);
  if (self->outbound == NULL && !self->gone)
    return 0;
  const roost_outbound *outbound = roost_bind_check_client(lua, 1);
  if (!outbound->was_told)
    return 0;
  lua_pushstring(lua, outbound->state == ROOST_OUTBOUND_UP ? "connected" : "disconnected");
  return 1;
}

/* handle:watch(whether): event() tells of what changes from now on. */
static int watch(lua_State *lua) {
  handle *self = check_handle(lua, 1);
  self->watched = lua_toboolean(lua, 2);
  drop_events(self);
  return 0;
}

/* Memory was short for the text where it is missing. */
static void push_event_failure(lua_State *lua, const handle *self, const event *change) {
  roost_bind_push_failure(lua, self->outbound, change->status,
                          change->why != NULL ? change->why : "");
}

/* Pushes "connected", "blocked", "unblocked", or "disconnected" and the error table of why. */
static int push_event(lua_State *lua, handle *self) {
  const event *first = &self->events[0];
  const bool is_up = first->state == ROOST_OUTBOUND_UP;
  if (is_up) {
    lua_pushstring(lua, first->why != NULL ? first->why : "connected");
  } else {
    lua_pushliteral(lua, "disconnected");
    push_event_failure(lua, self, first);
  }
  drop_first_event(self);
  return is_up ? 1 : 2;
}

static int take_event(lua_State *lua, handle *self);

static int event_again(lua_State *lua, int status, lua_KContext context) {
  handle *self = check_handle(lua, 1);
  (void)status;
  (void)context;
  roost_task_current(lua)->dormant = roost_task_current(lua)->background = false;
  roost_task_resumed(lua);
  return take_event(lua, self);
}

/* The next change, or the end, where there is one already; else waits. */
static int take_event(lua_State *lua, handle *self) {
  if (self->outbound == NULL)
    return 0;
  if (self->event_count > 0)
    return push_event(lua, self);
  roost_bind_make_dormant(lua);
  roost_task_current(lua)->background = true;
  return roost_task_wait_in(lua, &self->waiters, 0, event_again);
}

/* handle:event(): waits for the next change, which neither a program nor a service waits for; nil
 * where the client has ended with its service. */
static int next_event(lua_State *lua) {
  handle *self = check_handle(lua, 1);
  lua_settop(lua, 1);
  roost_task_check_may_wait(lua);
  return take_event(lua, self);
}

/* ------------------------------------------------------------------------- the connection ---- */

static int connected(lua_State *lua, int status, lua_KContext context) {
  handle *self = check_handle(lua, 1);
  (void)status;
  (void)context;
  roost_task_resumed(lua);
  const roost_outbound *outbound = roost_bind_check_client(lua, 1);
  if (outbound->state == ROOST_OUTBOUND_UP)
    return 0;
  if (outbound->state == ROOST_OUTBOUND_CONNECTING)
    return roost_task_wait_in(lua, &self->waiters, 0, connected);
  push_event_failure(lua, self, &self->last);
  return lua_error(lua);
}

/* handle:connect() */
static int connect_handle(lua_State *lua) {
  handle *self = check_handle(lua, 1);
  roost_outbound *outbound = roost_bind_check_client(lua, 1);
  lua_settop(lua, 1);
  roost_task_check_may_wait(lua);
  if (outbound->state == ROOST_OUTBOUND_UP)
    return 0;
  int status = roost_outbound_connect(outbound);
  if (status != 0) {
    roost_bind_push_failure(lua, outbound, status, roost_status_name(status));
    return lua_error(lua);
  }
  return roost_task_wait_in(lua, &self->waiters, 0, connected);
}

/* handle:close(). A named client is shared with other services: a sandbox leaves it alone. */
static int close_handle(lua_State *lua) {
  const handle *self = check_handle(lua, 1);
  if (self->name != NULL && roost_sandbox_on(lua))
    return roost_error_raise_text(lua, "client:close: a sandboxed service may not close a client "
                                       "that others share");
  roost_outbound_close(roost_bind_check_client(lua, 1));
  return 0;
}

static void set_address(lua_State *lua, const char *name, const roost_address *address) {
  lua_createtable(lua, 0, 2);
  lua_pushstring(lua, address->text);
  lua_setfield(lua, -2, "address");
  lua_pushinteger(lua, address->port);
  lua_setfield(lua, -2, "port");
  lua_setfield(lua, -2, name);
}

static void push_tls(lua_State *lua, const roost_tls_info *tls) {
  lua_createtable(lua, 0, 4);
  lua_pushstring(lua, tls->version);
  lua_setfield(lua, -2, "version");
  lua_pushstring(lua, tls->cipher);
  lua_setfield(lua, -2, "cipher");
  lua_pushboolean(lua, tls->resumed);
  lua_setfield(lua, -2, "resumed");
  roost_bind_push_certificate(lua, tls);
  lua_setfield(lua, -2, "peer");
}

/* handle:info() -> { transport, connected, local, remote, fd }, nil where there is no connection */
static int get_info(lua_State *lua) {
  const handle *self = check_handle(lua, 1);
  if (self->outbound == NULL && !self->gone) /* not made yet: a main chunk */
    return 0;
  const roost_outbound *outbound = roost_bind_client_of(lua, 1);
  const roost_client *client = outbound->client;
  if (outbound->state != ROOST_OUTBOUND_UP)
    return 0;
  lua_createtable(lua, 0, 6);
  lua_pushstring(lua, outbound->config->transport);
  lua_setfield(lua, -2, "transport");
  lua_pushboolean(lua, true);
  lua_setfield(lua, -2, "connected");
  const roost_address *remote = roost_client_remote(client);
  if (remote == NULL)
    return 1;
  set_address(lua, "remote", remote);
  set_address(lua, "local", roost_client_local(client));
  lua_pushinteger(lua, roost_client_descriptor(client));
  lua_setfield(lua, -2, "fd");
  const roost_tls_info *tls = roost_client_tls(client);
  if (tls != NULL) {
    push_tls(lua, tls);
    lua_setfield(lua, -2, "tls");
  }
  return 1;
}

/* ------------------------------------------------------------------------- replies ----------- */

/* 1: not yet; 0; raises. */
static int expect_now(lua_State *lua, const roost_outbound *outbound, roost_slice pattern) {
  roost_client *client = outbound->client;
  if (client->ops->expect == NULL)
    return 0;
  const int status = client->ops->expect(client, pattern);
  if (status == ROOST_EUNSUPPORTED)
    roost_error_raise_text(lua, "client:subscribe_to_response_of: %s", client->refusal);
  if (status < 0)
    roost_error_raise_text(lua, "client:subscribe_to_response_of: %s", roost_status_name(status));
  return status;
}

/* handle:expect(pattern) -> whether replies to requests with it can come */
static int expect(lua_State *lua) {
  handle *self = check_handle(lua, 1);
  luaL_checkany(lua, 2);
  roost_buffer *json = roost_bind_push_buffer(lua);
  if (roost_value_write_json(lua, 2, json) != 0)
    return luaL_argerror(lua, 2, "this is no pattern");
  if (self->outbound == NULL && !self->gone) {
    if (roost_buffer_append_byte(json, '\0') != 0 ||
        roost_buffer_append_slice(&self->expected, roost_buffer_slice(json)) != 0)
      return roost_error_raise_text(lua, "out of memory");
    roost_buffer_deinit(json);
    lua_pushboolean(lua, true);
    return 1;
  }
  const int status = expect_now(lua, roost_bind_client_of(lua, 1), roost_buffer_slice(json));
  roost_buffer_deinit(json);
  lua_pushboolean(lua, status == 0);
  return 1;
}

/* What a main chunk has said. */
static int say_expected(handle *self, roost_buffer *why) {
  roost_client *client = self->outbound->client;
  const char *at = self->expected.ptr;
  const char *end = at + self->expected.len;
  int status = 0;
  for (; at < end && client->ops->expect != NULL && status >= 0; at += strlen(at) + 1)
    status = client->ops->expect(client, roost_slice_text(at));
  if (status == ROOST_EUNSUPPORTED)
    (void)roost_buffer_printf(why, "client:subscribe_to_response_of: %s", client->refusal);
  roost_buffer_deinit(&self->expected);
  return status < 0 ? status : 0;
}

/* ------------------------------------------------------------------------- making ------------ */

/* Counts the clients of a sandbox by one more or less; returns how many there are. */
static lua_Integer count_own_client(lua_State *lua, lua_Integer more) {
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &own_clients_key);
  const lua_Integer count = lua_tointeger(lua, -1) + more;
  lua_pushinteger(lua, count);
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &own_clients_key);
  lua_pop(lua, 1);
  return count;
}

/* Where it is not made yet. As roost_dispatch_find_client and roost_dispatch_new_client. */
static int make_outbound(handle *self) {
  int status =
      self->name != NULL
          ? roost_dispatch_find_client(&self->outbound, self->dispatch, self->name)
          : roost_dispatch_new_client(&self->outbound, self->dispatch, &self->table->config);
  if (status == 0)
    roost_outbound_watch(self->outbound, &self->watcher);
  return status;
}

/* What is wrong, as a format for the client's name. */
static const char *failure_of(int status) {
  switch (status) {
  case ROOST_ENOENT:
    return "there is no client named \"%s\" in the configuration";
  case ROOST_EUNSUPPORTED:
    return "client %s: its transport is not available here";
  case ROOST_ESCRIPT:
    return "client %s: its serializer cannot be loaded (the log says why)";
  default:
    return "client %s: out of memory";
  }
}

static const char *name_of(const handle *self) {
  return self->name != NULL ? self->name : "made from a table";
}

static int attach(roost_vm_link *link, roost_buffer *why) {
  handle *self = ROOST_LIST_ENTRY(link, handle, link);
  const int status = self->outbound == NULL ? make_outbound(self) : 0;
  if (status != 0)
    (void)roost_buffer_printf(why, failure_of(status), name_of(self));
  else if (self->expected.len > 0)
    return say_expected(self, why);
  return status;
}

/* A client made from a table ends with its handle. */
static void detach(roost_vm_link *link) {
  handle *self = ROOST_LIST_ENTRY(link, handle, link);
  roost_list_remove(&self->watcher.link);
  if (self->table != NULL)
    roost_outbound_free(self->outbound);
  self->outbound = NULL;
  self->gone = true;
}

static int free_handle(lua_State *lua) {
  handle *self = lua_touserdata(lua, 1);
  const roost_alloc *alloc = roost_vm_of(lua)->alloc;
  roost_list_remove(&self->link.link);
  if (!self->gone)
    detach(&self->link);
  roost_client_table_free(self->table);
  roost_alloc_put_text(alloc, self->name);
  roost_alloc_put_text(alloc, self->last.why);
  roost_buffer_deinit(&self->expected);
  drop_events(self);
  self->table = NULL;
  self->name = NULL;
  self->last.why = NULL;
  if (self->counted)
    count_own_client(lua, -1);
  self->counted = false;
  return 0;
}

static handle *push_handle(lua_State *lua) {
  handle *self = lua_newuserdatauv(lua, sizeof *self, 0);
  *self = (handle){.link = {.attach = attach, .detach = detach},
                   .dispatch = roost_bind_generation(lua)->dispatch,
                   .alloc = roost_vm_of(lua)->alloc,
                   .watcher = {.changed = on_changed, .gone = on_gone}};
  roost_list_init(&self->watcher.link);
  roost_list_init(&self->waiters);
  roost_buffer_init(&self->expected, roost_vm_of(lua)->alloc);
  roost_list_append(&roost_vm_of(lua)->links, &self->link.link);
  luaL_setmetatable(lua, HANDLE_NAME);
  return self;
}

/* A main chunk may run on another thread than the worker's. */
static int begin_handle(lua_State *lua, handle *self) {
  const int status = roost_task_current(lua) != NULL ? make_outbound(self) : 0;
  if (status != 0)
    return roost_error_raise_text(lua, failure_of(status), name_of(self));
  return 1;
}

/* Whether the value on top names a file: text that is no PEM, or a list with such a one. */
static bool names_file(lua_State *lua) {
  if (lua_type(lua, -1) == LUA_TSTRING)
    return strstr(lua_tostring(lua, -1), "-----BEGIN") == NULL;
  if (!lua_istable(lua, -1))
    return false;
  bool found = false;
  for (lua_Unsigned i = lua_rawlen(lua, -1); i > 0 && !found; i--) {
    lua_rawgeti(lua, -1, (lua_Integer)i);
    found = lua_type(lua, -1) == LUA_TSTRING && names_file(lua);
    lua_pop(lua, 1);
  }
  return found;
}

static void push_member(lua_State *lua, int table, const char *name) {
  lua_pushstring(lua, name);
  lua_rawget(lua, table);
}

static void limit_buffer(size_t *bytes) {
  if (*bytes == 0 || *bytes > OWN_BUFFER_MAX)
    *bytes = OWN_BUFFER_MAX;
}

/* What waits in clients lies outside of the state's own memory, and each takes a descriptor. */
static void limit_own_clients(lua_State *lua) {
  if (count_own_client(lua, 0) >= OWN_CLIENTS_MAX)
    lua_gc(lua, LUA_GCCOLLECT); /* those that nobody has any more count no longer */
  if (count_own_client(lua, 0) >= OWN_CLIENTS_MAX)
    roost_error_raise_text(lua,
                           "roost.client: a sandboxed service has at most %d clients of its own",
                           OWN_CLIENTS_MAX);
}

static void refuse_file(lua_State *lua, int table, const char *where, const char *name) {
  push_member(lua, table, name);
  if (names_file(lua))
    roost_error_raise_text(
        lua, "roost.client: %s%s: a sandboxed service gives PEM text, not a file", where, name);
  lua_pop(lua, 1);
}

/* What TLS is told, if that is on top of the stack, which it is taken from. */
static void refuse_tls_files(lua_State *lua, const char *where) {
  static const char *const texts[] = {"key", "cert", "ca"};
  for (size_t i = 0; lua_istable(lua, -1) && i < sizeof texts / sizeof texts[0]; i++)
    refuse_file(lua, lua_gettop(lua), where, texts[i]);
  lua_pop(lua, 1);
}

/* Of NATS: text of one line is the name of a file. */
static void refuse_creds_file(lua_State *lua) {
  push_member(lua, 1, "creds");
  if (lua_type(lua, -1) == LUA_TSTRING && strchr(lua_tostring(lua, -1), '\n') == NULL)
    roost_error_raise_text(lua, "roost.client: creds: a sandboxed service gives the text of the "
                                "file, not its name");
  lua_pop(lua, 1);
}

/* A sandbox's own client, from the table at index 1: files of the host's are not read for it, its
 * private keys least of all, and no module is run outside of the sandbox. */
static void check_own_client(lua_State *lua) {
  static const char *const modules[] = {"serializer", "deserializer"};
  limit_own_clients(lua);
  for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
    push_member(lua, 1, modules[i]);
    if (!lua_isnil(lua, -1))
      roost_error_raise_text(lua, "roost.client: %s: not in a sandboxed service", modules[i]);
    lua_pop(lua, 1);
  }
  push_member(lua, 1, "tls");
  refuse_tls_files(lua, "tls.");
  refuse_creds_file(lua);
  push_member(lua, 1, "client"); /* of Kafka */
  if (lua_istable(lua, -1)) {
    push_member(lua, lua_gettop(lua), "ssl");
    refuse_tls_files(lua, "client.ssl.");
  }
  lua_pop(lua, 1);
}

static void read_table(lua_State *lua, handle *self) {
  roost_buffer *error = roost_bind_push_buffer(lua);
  int status = roost_client_table_read(&self->table, roost_vm_of(lua)->alloc, lua, 1,
                                       self->dispatch->config.working_dir, error);
  if (status == ROOST_ECONFIG) {
    lua_pushlstring(lua, error->ptr, error->len);
    roost_error_raise_text(lua, "%s", lua_tostring(lua, -1));
  } else if (status != 0) {
    roost_error_raise_text(lua, "out of memory");
  }
  roost_buffer_deinit(error);
  lua_pop(lua, 1);
}

/* The client of the table at index 1. */
static int open_own_client(lua_State *lua) {
  const bool sandbox = roost_sandbox_on(lua);
  if (sandbox)
    check_own_client(lua);
  handle *self = push_handle(lua);
  if (sandbox)
    self->counted = count_own_client(lua, 1) > 0;
  read_table(lua, self);
  if (sandbox) {
    limit_buffer(&self->table->config.max_buffer_size);
    limit_buffer(&self->table->config.max_send_buffer_size);
  }
  return begin_handle(lua, self);
}

/* core.client(name or table) -> handle */
static int open_client(lua_State *lua) {
  const roost_vm *vm = roost_vm_of(lua);
  const bool is_named = lua_type(lua, 1) == LUA_TSTRING;
  if (!is_named)
    luaL_checktype(lua, 1, LUA_TTABLE);
  if (vm->closing)
    return roost_error_raise_text(lua, "the service has ended");
  if (!is_named)
    return open_own_client(lua);
  const char *name = lua_tostring(lua, 1);
  if (!roost_dispatch_knows_client(roost_bind_generation(lua)->dispatch, name))
    return roost_error_raise_text(lua, failure_of(ROOST_ENOENT), name);
  handle *self = push_handle(lua);
  self->name = roost_alloc_text(vm->alloc, roost_slice_text(name));
  if (self->name == NULL)
    return roost_error_raise_text(lua, "out of memory");
  return begin_handle(lua, self);
}

/* core.check_begun(): raises in a main chunk */
static int check_begun(lua_State *lua) {
  roost_task_check_begun(lua);
  return 0;
}

void roost_bind_open_client(lua_State *lua) {
  static const luaL_Reg methods[] = {
      {"connect", connect_handle}, {"close", close_handle}, {"state", get_state}, {"watch", watch},
      {"event", next_event},       {"info", get_info},      {"expect", expect},   {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"client", open_client}, {"check_begun", check_begun}, {NULL, NULL}};
  luaL_setfuncs(lua, functions, 0);
  luaL_newmetatable(lua, HANDLE_NAME);
  luaL_newlib(lua, methods);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, free_handle);
  lua_setfield(lua, -2, "__gc");
  roost_bind_open_request(lua);
}
