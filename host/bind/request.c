/*
 * One request to another service, and the task that waits for its replies.
 *
 * A request is a userdata with a pending; while that is out there, the request is to-be-closed in
 * the C function that waits (call), or in the stream that reads it, so that a cancel, a time-out of
 * the caller's or a reset frees its place at once. Replies wait in it as their bytes: decoding
 * makes Lua values, which is the waiting task's business.
 * Shelf: requests of call, which nobody but call ever holds, are put there and used again: the
 * anchors, a table, keep them; each is there at its place.
 */
#include <lauxlib.h>
#include <lua.h>

#include "bind/client.h"
#include "vm/error.h"
#include "vm/pack.h"
#include "vm/task.h"
#include "vm/value.h"

#define REQUEST_NAME "roost.request"
#define KEPT_BYTES   4096 /* of a buffer that is not in use */
#define SHELF_MAX    256  /* requests that are kept for more */

/* In front of each reply in the buffer. */
typedef struct item {
  size_t len;
  roost_format format;
  bool is_value; /* else it is undefined, and has no bytes */
} item;

typedef struct shelf {
  roost_list idle; /* request.idle */
  size_t count;    /* of those that are anchored, in use or not */
} shelf;

typedef struct request {
  roost_pending pending;
  shelf *shelf;       /* where it goes when it is over; NULL: nowhere */
  lua_Integer place;  /* among the anchors */
  roost_list idle;    /* in shelf->idle */
  roost_buffer said;  /* the pattern, and the metadata; until it is sent */
  roost_list waiters; /* the task that waits */
  roost_buffer items; /* replies not taken yet */
  size_t taken;       /* bytes of them */
  bool only_last;     /* earlier values are of no interest */
  bool over;          /* nothing more will come */
  bool returned;      /* to be closed by whoever it is returned to */
  bool is_event;
  bool inherits;    /* its time is that of the request that is being served */
  int status;       /* why it failed; EREMOTE: with the error in err */
  const char *why;  /* as roost_pending_ops.failed has it */
  roost_buffer err; /* JSON text */
} request;

static request *of(roost_pending *pending) {
  return ROOST_LIST_ENTRY(pending, request, pending);
}

/* ------------------------------------------------------------------------- what happens ------ */

static void finish(request *self, int status, const char *why) {
  self->over = true;
  self->status = status;
  self->why = why;
  roost_task_wake_all(&self->waiters);
}

static int keep_value(request *self, const roost_reply *reply) {
  const item head = {reply->response.len, reply->format, reply->response.ptr != NULL};
  if (self->only_last) {
    roost_buffer_clear(&self->items);
    self->taken = 0;
  }
  int status = roost_buffer_append(&self->items, &head, sizeof head);
  if (status == 0 && head.is_value)
    status = roost_buffer_append_slice(&self->items, reply->response);
  return status;
}

static void on_reply(roost_pending *pending, const roost_reply *reply) {
  request *self = of(pending);
  const roost_outbound *outbound = pending->outbound;
  const bool has_value = reply->response.ptr != NULL || !reply->last;
  if (reply->err.ptr != NULL) {
    int status = roost_buffer_append_slice(&self->err, reply->err);
    finish(self, status == 0 ? ROOST_EREMOTE : status, "");
    return;
  }
  int status = has_value ? keep_value(self, reply) : 0;
  if (status == 0 && outbound != NULL &&
      self->items.len - self->taken > outbound->config->max_buffer_size)
    status = ROOST_EFULL;
  if (status != 0) {
    roost_pending_drop(pending);
    finish(self, status, "");
  } else if (reply->last) {
    finish(self, 0, "");
  } else if (!self->only_last) {
    roost_pending_note_unread(pending, self->items.len - self->taken);
    roost_task_wake_all(&self->waiters);
  }
}

static void on_sent(roost_pending *pending) {
  finish(of(pending), 0, "");
}

static void on_failed(roost_pending *pending, int status, const char *why) {
  finish(of(pending), status, why);
}

/* Each reply to the request that is being served gives that more time, and so to those it makes.
 * Where nobody waits, nobody waits too long. */
static uint64_t more_ms(const roost_pending *pending) {
  const request *self = ROOST_LIST_ENTRY(pending, const request, pending);
  if (!self->inherits)
    return 0;
  if (roost_list_empty(&self->waiters))
    return pending->timeout_ms;
  const roost_task *task = ROOST_LIST_ENTRY(self->waiters.next, const roost_task, queue);
  const uint64_t due_ms = task->context != NULL ? roost_call_due_ms(task->context) : 0;
  const uint64_t now_ms = pending->outbound->wheel->now_ms;
  return due_ms > now_ms ? due_ms - now_ms : 0;
}

static const roost_pending_ops pending_ops = {
    .reply = on_reply, .sent = on_sent, .failed = on_failed, .more_ms = more_ms};

/* ------------------------------------------------------------------------- its life ---------- */

/* Room on the stack for __close to be called, also where memory is short by then: else a request
 * would stay out there. */
#define CLOSE_ROOM (2 * LUA_MINSTACK)

/* Upvalues of the functions that make requests. */
enum { HANDLE_CLASS = 1, REQUEST_CLASS, SHELF, ANCHORS };

static request *push_request(lua_State *lua) {
  luaL_checkstack(lua, CLOSE_ROOM, NULL);
  request *self = lua_newuserdatauv(lua, sizeof *self, 0);
  const roost_alloc *alloc = roost_vm_of(lua)->alloc;
  *self = (request){0};
  roost_pending_init(&self->pending, alloc, &pending_ops);
  self->pending.owner = roost_vm_of(lua);
  roost_list_init(&self->idle);
  roost_list_init(&self->waiters);
  roost_buffer_init(&self->said, alloc);
  roost_buffer_init(&self->items, alloc);
  roost_buffer_init(&self->err, alloc);
  lua_pushvalue(lua, lua_upvalueindex(REQUEST_CLASS));
  lua_setmetatable(lua, -2);
  return self;
}

/* One that was used before, or a new one. */
static request *push_used_request(lua_State *lua) {
  luaL_checkstack(lua, CLOSE_ROOM, NULL);
  shelf *from = lua_touserdata(lua, lua_upvalueindex(SHELF));
  if (!roost_list_empty(&from->idle)) {
    request *self = ROOST_LIST_ENTRY(from->idle.next, request, idle);
    lua_rawgeti(lua, lua_upvalueindex(ANCHORS), self->place);
    roost_list_remove(&self->idle);
    self->over = false;
    self->status = 0;
    return self;
  }
  request *self = push_request(lua);
  if (from->count == SHELF_MAX)
    return self;
  lua_pushvalue(lua, -1);
  lua_rawseti(lua, lua_upvalueindex(ANCHORS), (lua_Integer)from->count + 1);
  self->place = (lua_Integer)++from->count;
  self->shelf = from;
  return self;
}

static void empty(roost_buffer *buffer) {
  roost_buffer_clear(buffer);
  roost_buffer_trim(buffer, KEPT_BYTES);
}

/* Whoever waited has left. */
static void put_back(request *self) {
  roost_pending_drop(&self->pending);
  roost_list_remove(&self->waiters);
  empty(&self->said);
  empty(&self->items);
  empty(&self->err);
  self->taken = 0;
  self->over = true;
  roost_list_prepend(&self->shelf->idle, &self->idle);
}

static int free_request(lua_State *lua) {
  request *self = lua_touserdata(lua, 1);
  roost_pending_deinit(&self->pending);
  roost_list_remove(&self->idle);
  roost_buffer_deinit(&self->said);
  roost_buffer_deinit(&self->items);
  roost_buffer_deinit(&self->err);
  self->over = true;
  return 0;
}

/* __close, which the function that makes it calls, too. */
static int close_request(lua_State *lua) {
  request *self = lua_touserdata(lua, 1);
  if (self->returned) {
    self->returned = false;
    return 0;
  }
  if (self->shelf == NULL)
    return free_request(lua);
  put_back(self);
  return 0;
}

/* ------------------------------------------------------------------------- sending ----------- */

static int write_data(lua_State *lua, roost_format format, int index, roost_buffer *out) {
  return format == ROOST_FORMAT_PACKED ? roost_pack_write(lua, index, out)
                                       : roost_value_write_json(lua, index, out);
}

/* Writes the JSON text of a pattern: an event may carry its route, as text. */
static void write_pattern(lua_State *lua, int index, bool as_route, roost_buffer *out) {
  const char *why = "out of memory";
  roost_buffer_clear(out);
  int status = roost_value_write_json(lua, index, out);
  if (status == 0 && as_route)
    status = roost_bind_write_route(out, &why);
  else if (status == ROOST_EINVAL)
    why = lua_tostring(lua, -1);
  if (status != 0)
    roost_error_raise_text(lua, "the pattern cannot be sent: %s", why);
}

/* Pushes the trace context of the request that is being served; false: it has none. */
static bool push_traceparent(lua_State *lua) {
  static const char name[] = "\"traceparent\"";
  roost_call *call = roost_bind_current_call(lua);
  if (call == NULL || call->metadata.ptr == NULL ||
      memmem(call->metadata.ptr, call->metadata.len, name, sizeof name - 1) == NULL)
    return false;
  const int top = lua_gettop(lua);
  roost_bind_push_ctx(lua, call, 0);
  lua_getfield(lua, -1, "metadata");
  lua_getfield(lua, -1, "traceparent");
  if (!lua_isstring(lua, -1)) {
    lua_settop(lua, top);
    return false;
  }
  lua_replace(lua, top + 1);
  lua_settop(lua, top + 1);
  return true;
}

/* Has the metadata at index carry the trace context on, unless it says one of its own. */
static void add_traceparent(lua_State *lua, int index) {
  if (!push_traceparent(lua))
    return;
  lua_createtable(lua, 0, 4);
  if (lua_istable(lua, index)) {
    lua_pushnil(lua);
    while (lua_next(lua, index)) {
      lua_pushvalue(lua, -2);
      lua_insert(lua, -2);
      lua_rawset(lua, -4);
    }
  }
  if (lua_getfield(lua, -1, "traceparent") == LUA_TNIL) {
    lua_pushvalue(lua, -3);
    lua_setfield(lua, -3, "traceparent");
  }
  lua_pop(lua, 1);
  lua_replace(lua, index);
  lua_pop(lua, 1);
}

/* Appends the JSON text of the metadata at index; false where there is none. */
static bool write_metadata(lua_State *lua, int index, roost_buffer *out) {
  add_traceparent(lua, index);
  if (lua_isnil(lua, index))
    return false;
  int status = roost_value_write_json(lua, index, out);
  if (status != 0)
    roost_error_raise_text(lua, "the metadata cannot be sent: %s",
                           status == ROOST_EINVAL ? lua_tostring(lua, -1) : "out of memory");
  return true;
}

static int raise_failure(lua_State *lua, const roost_outbound *outbound, int status,
                         const char *why);

/* Milliseconds until then, at least one. */
static uint64_t left_of(uint64_t due_ms, const roost_outbound *outbound) {
  return due_ms > outbound->wheel->now_ms ? due_ms - outbound->wheel->now_ms : 1;
}

/* As the caller says (0: none), else as the configuration does, else (*inherits) what is left of
 * the time of the request that is being served. */
static uint64_t timeout_of(lua_State *lua, int index, const roost_outbound *outbound,
                           bool *inherits) {
  *inherits = false;
  if (!lua_isnoneornil(lua, index))
    return (uint64_t)luaL_checkinteger(lua, index);
  if (outbound->config->timeout > 0)
    return outbound->config->timeout;
  *inherits = true;
  const roost_call *call = roost_bind_current_call(lua);
  const uint64_t due_ms = call != NULL ? roost_call_due_ms(call) : UINT64_MAX;
  return due_ms == UINT64_MAX ? 0 : left_of(due_ms, outbound);
}

/* Appends the JSON text of the transport's options at index; false where there are none. */
static bool write_options(lua_State *lua, int index, roost_buffer *out) {
  if (lua_isnil(lua, index))
    return false;
  if (roost_value_write_json(lua, index, out) != 0)
    roost_error_raise_text(lua, "the options cannot be sent");
  return true;
}

/* Writes pattern, metadata and options one after the other into the request's buffer. */
static roost_message write_head(lua_State *lua, const roost_outbound *outbound, request *self) {
  write_pattern(lua, 2, self->is_event && outbound->client->ops->routes_events, &self->said);
  const size_t pattern_len = self->said.len;
  const bool has_metadata = write_metadata(lua, 5, &self->said);
  const size_t options_at = self->said.len;
  const bool has_options = write_options(lua, 6, &self->said);
  const char *at = self->said.ptr;
  roost_message said = {.pattern = roost_slice_of(at, pattern_len)};
  if (has_metadata)
    said.metadata = roost_slice_of(at + pattern_len, options_at - pattern_len);
  if (has_options)
    said.options = roost_slice_of(at + options_at, self->said.len - options_at);
  return said;
}

/* Sends what stands at 2 (pattern), 3 (data), 4 (timeout in ms), 5 (metadata), 6 (options); those
 * from 4 on may be nil; due_ms: when its time, of which a part is over, will be (0: none of it is).
 * Returns as roost_outbound_end. Its errors may leave a message half written: the request must be
 * to be closed. */
static int send(lua_State *lua, roost_outbound *outbound, request *self, lua_KContext due_ms) {
  int status;
  const roost_message said = write_head(lua, outbound, self);
  self->pending.timeout_ms = timeout_of(lua, 4, outbound, &self->inherits);
  self->pending.waited_ms =
      due_ms == 0 ? 0 : self->pending.timeout_ms - left_of((uint64_t)due_ms, outbound);
  roost_buffer *out =
      roost_outbound_begin(outbound, &self->pending, !self->is_event, &said, &status);
  if (out == NULL)
    return raise_failure(lua, outbound, status, "");
  status = write_data(lua, self->pending.format, 3, out);
  if (status != 0) {
    roost_pending_drop(&self->pending);
    return roost_error_raise_text(lua, "the data cannot be sent: %s",
                                  status == ROOST_EINVAL ? lua_tostring(lua, -1) : "out of memory");
  }
  status = roost_outbound_end(outbound, &self->pending, &said);
  if (status == ROOST_ESCRIPT || status == ROOST_EUNSUPPORTED)
    return raise_failure(lua, outbound, status, roost_outbound_why(outbound, status));
  if (status < 0)
    return raise_failure(lua, outbound, status, roost_status_name(status));
  return status;
}

/* ------------------------------------------------------------------------- errors ------------ */

static int raise_failure(lua_State *lua, const roost_outbound *outbound, int status,
                         const char *why) {
  roost_bind_push_failure(lua, outbound, status, why);
  return lua_error(lua);
}

/* Raises what it failed with; 0 where it has not. */
static int check_failure(lua_State *lua, const roost_outbound *outbound, const request *self) {
  if (self->status == ROOST_EREMOTE)
    return roost_bind_raise_remote(lua, roost_buffer_slice(&self->err));
  return self->status == 0 ? 0 : raise_failure(lua, outbound, self->status, self->why);
}

/* ------------------------------------------------------------------------- replies ----------- */

/* Nothing that could be sent. */
static bool is_missing(lua_State *lua, int index) {
  const int type = lua_type(lua, index);
  return type == LUA_TNIL ||
         (type == LUA_TLIGHTUSERDATA && lua_touserdata(lua, index) == NULL); /* roost.null */
}

/* Gives back the memory of what was taken, once it is most of it. */
static void drop_taken(request *self) {
  if (self->taken < self->items.len - self->taken)
    return;
  roost_buffer_consume(&self->items, self->taken);
  self->taken = 0;
  if (self->items.len == 0)
    roost_buffer_trim(&self->items, KEPT_BYTES);
}

/* Pushes the next value that waits; undefined is null. */
static void push_item(lua_State *lua, request *self) {
  item head;
  memcpy(&head, self->items.ptr + self->taken, sizeof head);
  const roost_slice bytes = {self->items.ptr + self->taken + sizeof head, head.len};
  self->taken += sizeof head + head.len;
  if (!head.is_value)
    roost_value_push_null(lua);
  else if (head.format == ROOST_FORMAT_PACKED ? roost_pack_push(lua, bytes) != 0
                                              : roost_value_push_json(lua, bytes, NULL, NULL) != 0)
    roost_error_raise_text(lua, "a reply cannot be read");
  drop_taken(self);
}

/* The handle at 1, pattern and data at 2 and 3: the arguments of a function that makes requests. */
static roost_outbound *check_arguments(lua_State *lua) {
  lua_settop(lua, 6);
  if (!lua_getmetatable(lua, 1) || !lua_rawequal(lua, -1, lua_upvalueindex(HANDLE_CLASS)))
    luaL_typeerror(lua, 1, "client");
  lua_pop(lua, 1);
  if (is_missing(lua, 2) || is_missing(lua, 3))
    roost_error_raise(lua, "InvalidMessageError", "EINVAL",
                      "The invalid data or message pattern (undefined/null)");
  return roost_bind_client_of(lua, 1);
}

/* The request lies at index 7, to be closed; the handle at 1. */
static int call_over(lua_State *lua, int status, lua_KContext context) {
  request *self = lua_touserdata(lua, 7);
  (void)status;
  (void)context;
  roost_task_resumed(lua);
  if (!self->over)
    return roost_task_wait_in(lua, &self->waiters, 0, call_over);
  check_failure(lua, roost_bind_client_of(lua, 1), self);
  if (self->items.len == 0)
    lua_pushnil(lua);
  else
    push_item(lua, self);
  return 1;
}

/* Waits until less is to be sent, then k, with the time at which that is over as its context (0: no
 * such time), goes on. */
static int wait_for_room(lua_State *lua, roost_outbound *outbound, lua_KContext due_ms,
                         lua_KFunction k) {
  const uint64_t now_ms = outbound->wheel->now_ms;
  bool inherits;
  const uint64_t timeout_ms = due_ms == 0 ? timeout_of(lua, 4, outbound, &inherits) : 0;
  if (timeout_ms > 0)
    due_ms = (lua_KContext)(now_ms + timeout_ms);
  if (due_ms != 0 && (uint64_t)due_ms <= now_ms) {
    outbound->stats.timeouts++;
    return raise_failure(lua, outbound, ROOST_ETIMEDOUT, "");
  }
  return roost_task_wait_in_for(lua, &outbound->writers,
                                due_ms == 0 ? UINT64_MAX : (uint64_t)due_ms - now_ms, due_ms, k);
}

static int call(lua_State *lua, int status, lua_KContext due_ms) {
  roost_outbound *outbound = roost_bind_client_of(lua, 1);
  if (status == LUA_YIELD)
    roost_task_resumed(lua);
  if (roost_outbound_crowded(outbound))
    return wait_for_room(lua, outbound, due_ms, call);
  request *self = push_used_request(lua);
  self->only_last = true;
  lua_toclose(lua, 7);
  send(lua, outbound, self, due_ms);
  return roost_task_wait_in(lua, &self->waiters, 0, call_over);
}

static int call_client(lua_State *lua) {
  check_arguments(lua);
  roost_task_check_may_wait(lua);
  return call(lua, LUA_OK, 0);
}

static int return_request(lua_State *lua, request *self) {
  self->returned = true;
  roost_buffer_deinit(&self->said);
  lua_settop(lua, 7);
  lua_pushvalue(lua, 7);
  return 1;
}

static int begin_request(lua_State *lua, int status, lua_KContext due_ms) {
  roost_outbound *outbound = roost_bind_client_of(lua, 1);
  if (status == LUA_YIELD)
    roost_task_resumed(lua);
  if (roost_outbound_crowded(outbound))
    return wait_for_room(lua, outbound, due_ms, begin_request);
  request *self = push_request(lua);
  lua_toclose(lua, 7);
  send(lua, outbound, self, due_ms);
  return return_request(lua, self);
}

static int request_client(lua_State *lua) {
  check_arguments(lua);
  roost_task_check_may_wait(lua);
  return begin_request(lua, LUA_OK, 0);
}

static int emit_client(lua_State *lua) {
  roost_outbound *outbound = check_arguments(lua);
  request *self = push_request(lua);
  self->is_event = true;
  lua_toclose(lua, 7);
  if (send(lua, outbound, self, 0) == 0)
    return return_request(lua, self);
  lua_pushboolean(lua, true);
  return 1;
}

/* The request at 1, the handle at 2. */
static int next_over(lua_State *lua, int status, lua_KContext context) {
  request *self = luaL_checkudata(lua, 1, REQUEST_NAME);
  (void)status;
  (void)context;
  roost_task_resumed(lua);
  if (self->items.len > self->taken) {
    lua_pushboolean(lua, true);
    push_item(lua, self);
    roost_pending_note_unread(&self->pending, self->items.len - self->taken);
    return 2;
  }
  if (!self->over)
    return roost_task_wait_in(lua, &self->waiters, 0, next_over);
  check_failure(lua, roost_bind_check_client(lua, 2), self);
  lua_pushboolean(lua, false);
  return 1;
}

/* request:next(handle) -> true and the next value, or false at the end; raises what it failed with
 */
static int next_reply(lua_State *lua) {
  request *self = luaL_checkudata(lua, 1, REQUEST_NAME);
  lua_settop(lua, 2);
  if (self->over || self->items.len > self->taken)
    return next_over(lua, LUA_OK, 0);
  return roost_task_wait_in(lua, &self->waiters, 0, next_over);
}

static void push_shelf(lua_State *lua) {
  shelf *made = lua_newuserdatauv(lua, sizeof *made, 0);
  *made = (shelf){.count = 0};
  roost_list_init(&made->idle);
}

void roost_bind_open_request(lua_State *lua) {
  static const luaL_Reg functions[] = {{"call_client", call_client},
                                       {"request_client", request_client},
                                       {"emit_client", emit_client},
                                       {NULL, NULL}};
  luaL_newmetatable(lua, REQUEST_NAME);
  lua_pushcfunction(lua, close_request);
  lua_setfield(lua, -2, "__close");
  lua_pushcfunction(lua, free_request);
  lua_setfield(lua, -2, "__gc");
  lua_createtable(lua, 0, 1);
  lua_pushcfunction(lua, next_reply);
  lua_setfield(lua, -2, "next");
  lua_setfield(lua, -2, "__index");
  push_shelf(lua);
  lua_newtable(lua);
  luaL_setfuncs(lua, functions, 4);
}
