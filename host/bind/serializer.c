#include "bind/serializer.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"
#include "vm/error.h"
#include "vm/source.h"
#include "vm/value.h"

#define WHY_BYTES 256

/* One direction: a function of a module. */
typedef struct codec_half {
  char *module;     /* owned; NULL: there is none */
  const char *key;  /* "serializer" or "deserializer" */
  const char *name; /* of the function, for errors */
  int function;     /* in the registry */
  bool bytes;       /* it is for text, not for values */
} codec_half;

typedef struct codec {
  roost_codec codec; /* first: a codec is a roost_codec */
  roost_list link;   /* in its owner's list */
  roost_serializers *owner;
  codec_half out;
  codec_half in;
  char why[WHY_BYTES];
} codec;

struct roost_serializers {
  roost_serializers_config config;
  roost_vm *vm;
  roost_list codecs;
  char *root; /* of lib/?.lua */
};

/* What a protected function is told, and tells. */
typedef struct job {
  codec *codec;
  codec_half *half;
  const char *names[2]; /* functions that will do, the first one for values, the other for bytes */
  roost_slice from;
  roost_buffer *to;
  int status; /* first ENOMEM */
} job;

/* ------------------------------------------------------------------------- the state --------- */

/* print(...): at info, as a service's does. Upvalue 1: the log. */
static int print(lua_State *lua) {
  roost_log *log = lua_touserdata(lua, lua_upvalueindex(1));
  const int count = lua_gettop(lua);
  luaL_Buffer text;
  luaL_buffinit(lua, &text);
  for (int i = 1; i <= count; i++) {
    if (i > 1)
      luaL_addchar(&text, '\t');
    luaL_tolstring(lua, i, NULL);
    luaL_addvalue(&text);
  }
  luaL_pushresult(&text);
  roost_log_say(log, ROOST_LOG_INFO, lua_tostring(lua, -1));
  return 0;
}

/* What require "roost" gives here: null, array, bytes, json. */
static void open_roost(lua_State *lua) {
  static const char *const names[] = {"encode", "decode"};
  luaL_getsubtable(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_newtable(lua);
  roost_bind_open_json(lua);
  lua_newtable(lua);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *flat = lua_pushfstring(lua, "json_%s", names[i]);
    lua_getfield(lua, -3, flat);
    lua_setfield(lua, -3, names[i]);
    lua_pushnil(lua);
    lua_setfield(lua, -4, flat);
    lua_pop(lua, 1);
  }
  lua_setfield(lua, -2, "json");
  lua_setfield(lua, -2, "roost");
  lua_pop(lua, 1);
}

static int open_state(lua_State *lua) {
  const roost_serializers *self = lua_touserdata(lua, 1);
  const roost_source source = {.root = self->root, .path = self->root, .name = "lib"};
  roost_vm_open_libraries(lua);
  roost_source_set_path(lua, &source, self->config.working_dir);
  open_roost(lua);
  lua_pushlightuserdata(lua, self->config.log);
  lua_pushcclosure(lua, print, 1);
  lua_setglobal(lua, "print");
  return 0;
}

static int make_root(roost_serializers *self) {
  const char *services = self->config.services ? self->config.services : "services";
  const bool relative = services[0] != '/';
  roost_buffer text;
  roost_buffer_init(&text, self->config.alloc);
  int status = roost_buffer_printf(&text, "%s%s%s", relative ? self->config.working_dir : "",
                                   relative ? "/" : "", services);
  if (status == 0) {
    self->root = roost_alloc_text(self->config.alloc, roost_buffer_slice(&text));
    status = self->root != NULL ? 0 : ROOST_ENOMEM;
  }
  roost_buffer_deinit(&text);
  return status;
}

static int make_state(roost_serializers *self) {
  const roost_serializers_config *config = &self->config;
  const roost_vm_config vm = {.alloc = config->alloc,
                              .runner = config->runner,
                              .wheel = config->wheel,
                              .memory_limit = config->memory_limit,
                              .cpu_limit_ms = config->cpu_limit_ms,
                              .name = "serializers"};
  int status = make_root(self);
  if (status == 0)
    status = roost_vm_open(&self->vm, &vm);
  if (status != 0)
    return status == ROOST_EFULL ? ROOST_ENOMEM : status;
  lua_pushcfunction(self->vm->lua, open_state);
  lua_pushlightuserdata(self->vm->lua, self);
  status = lua_pcall(self->vm->lua, 1, 0, 0) == LUA_OK ? 0 : ROOST_ENOMEM;
  lua_settop(self->vm->lua, 0);
  return status;
}

int roost_serializers_new(roost_serializers **out, const roost_serializers_config *config) {
  roost_serializers *self = roost_alloc_get(config->alloc, sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->config = *config;
  roost_list_init(&self->codecs);
  const int status = make_state(self);
  if (status == 0)
    *out = self;
  else
    roost_serializers_free(self);
  return status;
}

static void codec_free(codec *self) {
  const roost_alloc *alloc = self->owner->config.alloc;
  roost_list_remove(&self->link);
  roost_alloc_put_text(alloc, self->out.module);
  roost_alloc_put_text(alloc, self->in.module);
  roost_alloc_put(alloc, self, sizeof *self);
}

void roost_serializers_free(roost_serializers *self) {
  if (self == NULL)
    return;
  while (!roost_list_empty(&self->codecs))
    codec_free(ROOST_LIST_ENTRY(self->codecs.next, codec, link));
  roost_vm_close(self->vm);
  roost_alloc_put_text(self->config.alloc, self->root);
  roost_alloc_put(self->config.alloc, self, sizeof *self);
}

/* ------------------------------------------------------------------------- calling ----------- */

static int describe(lua_State *lua) {
  return roost_error_describe(lua, 1, lua_touserdata(lua, 2)) != 0 ? luaL_error(lua, "") : 0;
}

/* Appends what was raised, which is popped. */
static void take_error(lua_State *lua, roost_buffer *out) {
  const size_t before = out->len;
  lua_pushcfunction(lua, describe);
  lua_insert(lua, -2);
  lua_pushlightuserdata(lua, out);
  if (lua_pcall(lua, 2, 0, 0) == LUA_OK)
    return;
  lua_pop(lua, 1);
  out->len = before;
  (void)roost_buffer_append_slice(out, ROOST_SLICE("an error that cannot be shown"));
}

/* Runs function with the job; what it raises is in error, behind the half's key. ESCRIPT, ENOMEM.
 */
static int run(job *at, lua_CFunction function, roost_buffer *error) {
  lua_State *lua = at->codec->owner->vm->lua;
  if (!lua_checkstack(lua, 3))
    return ROOST_ENOMEM;
  lua_pushcfunction(lua, function);
  lua_pushlightuserdata(lua, at);
  const int status = roost_vm_call(at->codec->owner->vm, 1, 0);
  if (status == LUA_OK)
    return at->status;
  if (status == LUA_ERRMEM) {
    lua_pop(lua, 1);
    return ROOST_ENOMEM;
  }
  (void)roost_buffer_printf(error, "%s: ", at->half->key);
  take_error(lua, error);
  return ROOST_ESCRIPT;
}

/* ------------------------------------------------------------------------- packets ----------- */

static void push_function(lua_State *lua, const job *at) {
  lua_rawgeti(lua, LUA_REGISTRYINDEX, at->half->function);
}

static int write_packet(lua_State *lua) {
  job *at = lua_touserdata(lua, 1);
  push_function(lua, at);
  if (roost_value_push_json(lua, at->from, NULL, NULL) != 0)
    return luaL_error(lua, "the packet is not JSON");
  lua_call(lua, 1, 1);
  roost_slice text;
  if (!at->half->bytes) {
    if (lua_isnil(lua, -1))
      return luaL_error(lua, "%s returned nothing", at->half->name);
    const int status = roost_value_write_json(lua, -1, at->to);
    if (status == ROOST_EINVAL)
      return luaL_error(lua, "what %s returned: %s", at->half->name, lua_tostring(lua, -1));
    at->status = status;
    return 0;
  }
  if (lua_type(lua, -1) != LUA_TSTRING)
    return luaL_error(lua, "%s returned a %s, not text", at->half->name, luaL_typename(lua, -1));
  text.ptr = lua_tolstring(lua, -1, &text.len);
  at->status = roost_buffer_append_slice(at->to, text);
  return 0;
}

static int read_packet(lua_State *lua) {
  job *at = lua_touserdata(lua, 1);
  const char *why;
  size_t offset;
  push_function(lua, at);
  if (at->half->bytes)
    lua_pushlstring(lua, at->from.ptr, at->from.len);
  else if (roost_value_push_json(lua, at->from, &why, &offset) != 0)
    return luaL_error(lua, "not JSON: %s at byte %d", why, (int)offset + 1);
  lua_call(lua, 1, 1);
  const int status = roost_value_write_json(lua, -1, at->to);
  if (status == ROOST_EINVAL)
    return luaL_error(lua, "what %s returned: %s", at->half->name, lua_tostring(lua, -1));
  at->status = status;
  return 0;
}

/* Has the reason of a failure in why, cut where it is long. */
static int transform(codec *self, codec_half *half, lua_CFunction function, roost_slice from,
                     roost_buffer *to) {
  job at = {.codec = self, .half = half, .from = from, .to = to};
  roost_buffer error;
  roost_buffer_init(&error, self->owner->config.alloc);
  const int status = run(&at, function, &error);
  self->codec.why = self->why;
  if (status == ROOST_ESCRIPT)
    snprintf(self->why, sizeof self->why, "%.*s", (int)error.len, error.len > 0 ? error.ptr : "");
  else if (status != 0)
    snprintf(self->why, sizeof self->why, "%s: out of memory", half->key);
  roost_buffer_deinit(&error);
  return status;
}

static int codec_write(roost_codec *base, roost_slice packet, roost_buffer *bytes) {
  codec *self = (codec *)base;
  return transform(self, &self->out, write_packet, packet, bytes);
}

static int codec_read(roost_codec *base, roost_slice bytes, roost_buffer *packet) {
  codec *self = (codec *)base;
  return transform(self, &self->in, read_packet, bytes, packet);
}

/* ------------------------------------------------------------------------- modules ----------- */

/* Requires the half's module and finds its function. */
static int find_function(lua_State *lua) {
  job *at = lua_touserdata(lua, 1);
  lua_getglobal(lua, "require");
  lua_pushstring(lua, at->half->module);
  lua_call(lua, 1, 1);
  if (!lua_istable(lua, -1))
    return luaL_error(lua, "module '%s' returned a %s, not a table", at->half->module,
                      luaL_typename(lua, -1));
  for (int i = 0; i < 2; i++) {
    if (lua_getfield(lua, -1, at->names[i]) == LUA_TFUNCTION) {
      at->half->bytes = i == 1;
      at->half->name = at->names[i];
      at->half->function = luaL_ref(lua, LUA_REGISTRYINDEX);
      return 0;
    }
    lua_pop(lua, 1);
  }
  return luaL_error(lua, "module '%s' has neither %s nor %s", at->half->module, at->names[0],
                    at->names[1]);
}

static int load_half(codec *self, codec_half *half, const char *module, const char *const names[2],
                     roost_buffer *error) {
  if (module == NULL)
    return 0;
  job at = {.codec = self, .half = half, .names = {names[0], names[1]}};
  half->module = roost_alloc_text(self->owner->config.alloc, roost_slice_text(module));
  return half->module != NULL ? run(&at, find_function, error) : ROOST_ENOMEM;
}

static int codec_load(codec *self, const char *serializer, const char *deserializer,
                      roost_buffer *error) {
  static const char *const out_names[2] = {"serialize", "encode"};
  static const char *const in_names[2] = {"deserialize", "decode"};
  self->out.key = "serializer";
  self->in.key = "deserializer";
  int status = load_half(self, &self->out, serializer, out_names, error);
  if (status == 0)
    status = load_half(self, &self->in, deserializer, in_names, error);
  self->codec.takes_bytes = self->in.bytes;
  self->codec.write = serializer != NULL ? codec_write : NULL;
  self->codec.read = deserializer != NULL ? codec_read : NULL;
  return status;
}

static bool same(const char *a, const char *b) {
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

int roost_serializers_get(roost_codec **out, roost_serializers *self, const char *serializer,
                          const char *deserializer, roost_buffer *error) {
  *out = NULL;
  for (roost_list *at = self->codecs.next; at != &self->codecs; at = at->next) {
    codec *known = ROOST_LIST_ENTRY(at, codec, link);
    if (same(known->out.module, serializer) && same(known->in.module, deserializer)) {
      *out = &known->codec;
      return 0;
    }
  }
  codec *made = roost_alloc_get(self->config.alloc, sizeof *made);
  if (made == NULL)
    return ROOST_ENOMEM;
  made->owner = self;
  roost_list_append(&self->codecs, &made->link);
  const int status = codec_load(made, serializer, deserializer, error);
  if (status == 0)
    *out = &made->codec;
  else
    codec_free(made);
  return status;
}

static int get_or_log(roost_codec **out, roost_serializers *self, const char *serializer,
                      const char *deserializer) {
  roost_buffer error;
  roost_buffer_init(&error, self->config.alloc);
  const int status = roost_serializers_get(out, self, serializer, deserializer, &error);
  if (status == ROOST_ESCRIPT && roost_buffer_append_byte(&error, '\0') == 0)
    roost_log_say(self->config.log, ROOST_LOG_ERROR, error.ptr);
  roost_buffer_deinit(&error);
  return status;
}

int roost_serializers_find(roost_codec **out, roost_serializers **self,
                           const roost_serializers_config *config, const char *serializer,
                           const char *deserializer, roost_buffer *error) {
  *out = NULL;
  if (serializer == NULL && deserializer == NULL)
    return 0;
  const int status = *self == NULL ? roost_serializers_new(self, config) : 0;
  if (status != 0)
    return status;
  return error != NULL ? roost_serializers_get(out, *self, serializer, deserializer, error)
                       : get_or_log(out, *self, serializer, deserializer);
}
