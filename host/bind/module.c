#include "bind/module.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <string.h>

#include "bind/bind.h"
#include "vm/error.h"
#include "vm/task.h"
#include "vm/value.h"
#include "wire/utf8.h"

#define LETTERS       "binsj"
#define ARGS_MAX      16
#define RESULTS_MAX   8
#define MESSAGE_BYTES 256
#define NAME_BYTES    64
#define KEPT_BYTES    4096 /* of buffers that are not in use */
#define SCRATCH_NAME  "roost.scratch"

/* Upvalues of a module's functions. */
enum { FUNCTION = 1, SCRATCH };

/* The signature's letters without their question marks. */
typedef struct own_function {
  char *name;
  roost_module_fn *fn;
  void *ud;
  size_t count; /* of arguments */
  char letters[ARGS_MAX];
  bool optional[ARGS_MAX];
} own_function;

typedef struct module {
  struct module *next;
  char *name;
  own_function *functions;
  size_t count;
} module;

struct roost_modules {
  const roost_alloc *alloc;
  module *all;
  size_t count;
  roost_sandbox_offer *offers; /* one for each, then own_offers */
};

/* Of the Lua half; with the end of the list. */
static const roost_sandbox_offer own_offers[] = {
    {"roost", "roost"}, {"cjson", "roost.cjson"}, {NULL, NULL}};

#define OWN_OFFERS (sizeof own_offers / sizeof own_offers[0])

/* ------------------------------------------------------------------------- arguments --------- */

typedef struct result {
  char letter; /* as of a signature; 0: nil */
  bool boolean;
  lua_Integer integer;
  lua_Number number;
  size_t at; /* of a text: in scratch.returned */
  size_t len;
} result;

/* The buffers of one call. */
typedef struct scratch {
  roost_buffer given;    /* JSON texts of arguments */
  roost_buffer returned; /* texts of results */
} scratch;

struct roost_params {
  lua_State *lua; /* its stack has the arguments from 1 on */
  const own_function *function;
  scratch *texts;
  size_t json_at[ARGS_MAX];
  size_t json_len[ARGS_MAX];
  size_t result_count;
  result results[RESULTS_MAX];
  char message[MESSAGE_BYTES]; /* "": none */
};

/* Whether there is a value of that letter at a place. */
static bool has(const roost_params *args, size_t place, char letter) {
  return args != NULL && place < args->function->count &&
         args->function->letters[place] == letter && !lua_isnoneornil(args->lua, (int)place + 1);
}

bool roost_params_given(const roost_params *args, size_t place) {
  return args != NULL && place < args->function->count &&
         !lua_isnoneornil(args->lua, (int)place + 1);
}

bool roost_params_boolean(const roost_params *args, size_t place) {
  return has(args, place, 'b') && lua_toboolean(args->lua, (int)place + 1);
}

int64_t roost_params_integer(const roost_params *args, size_t place) {
  return has(args, place, 'i') ? lua_tointeger(args->lua, (int)place + 1) : 0;
}

double roost_params_number(const roost_params *args, size_t place) {
  return has(args, place, 'n') ? lua_tonumber(args->lua, (int)place + 1) : 0;
}

roost_slice roost_params_text(const roost_params *args, size_t place) {
  roost_slice text = {NULL, 0};
  if (has(args, place, 's'))
    text.ptr = lua_tolstring(args->lua, (int)place + 1, &text.len);
  return text;
}

roost_slice roost_params_json(const roost_params *args, size_t place) {
  if (!has(args, place, 'j'))
    return (roost_slice){NULL, 0};
  return (roost_slice){args->texts->given.ptr + args->json_at[place], args->json_len[place]};
}

/* ------------------------------------------------------------------------- results ----------- */

static int add_result(roost_params *args, result added) {
  if (args == NULL)
    return ROOST_EINVAL;
  if (args->result_count == RESULTS_MAX)
    return ROOST_EFULL;
  args->results[args->result_count++] = added;
  return 0;
}

static int add_text(roost_params *args, char letter, roost_slice value) {
  if (args == NULL)
    return ROOST_EINVAL;
  roost_buffer *texts = &args->texts->returned;
  const result added = {.letter = letter, .at = texts->len, .len = value.len};
  if (args->result_count == RESULTS_MAX)
    return ROOST_EFULL;
  const int status = roost_buffer_append_slice(texts, value);
  return status != 0 ? status : add_result(args, added);
}

int roost_return_nil(roost_params *args) {
  return add_result(args, (result){.letter = 0});
}

int roost_return_boolean(roost_params *args, bool value) {
  return add_result(args, (result){.letter = 'b', .boolean = value});
}

int roost_return_integer(roost_params *args, int64_t value) {
  return add_result(args, (result){.letter = 'i', .integer = value});
}

int roost_return_number(roost_params *args, double value) {
  return add_result(args, (result){.letter = 'n', .number = value});
}

int roost_return_text(roost_params *args, roost_slice value) {
  return add_text(args, 's', value);
}

int roost_return_json(roost_params *args, roost_slice value) {
  return add_text(args, 'j', value);
}

int roost_raise(roost_params *args, const char *message) {
  if (args == NULL)
    return ROOST_EINVAL;
  const size_t len = message != NULL ? strnlen(message, MESSAGE_BYTES - 1) : 0;
  if (len > 0)
    memcpy(args->message, message, len);
  args->message[len] = '\0';
  return ROOST_ESCRIPT;
}

/* ------------------------------------------------------------------------- a call ------------ */

static int free_scratch(lua_State *lua) {
  scratch *self = lua_touserdata(lua, 1);
  roost_buffer_deinit(&self->given);
  roost_buffer_deinit(&self->returned);
  return 0;
}

/* The collector does not know what a scratch holds: see roost_bind_guard_buffer. */
static bool is_guarded(lua_State *lua) {
  return roost_sandbox_on(lua) || roost_vm_of(lua)->closing;
}

static scratch *push_new_scratch(lua_State *lua) {
  scratch *self = lua_newuserdatauv(lua, sizeof *self, 0);
  roost_buffer_init(&self->given, roost_vm_of(lua)->alloc);
  roost_buffer_init(&self->returned, roost_vm_of(lua)->alloc);
  if (luaL_newmetatable(lua, SCRATCH_NAME)) {
    lua_pushcfunction(lua, free_scratch);
    lua_setfield(lua, -2, "__gc");
    lua_pushcfunction(lua, free_scratch);
    lua_setfield(lua, -2, "__close");
  }
  lua_setmetatable(lua, -2);
  if (is_guarded(lua))
    lua_toclose(lua, -1);
  return self;
}

/* Takes the function's out of its upvalue: what making Lua values runs may call it once more. An
 * error that passes by leaves it to the collector. */
static scratch *push_scratch(lua_State *lua) {
  if (is_guarded(lua) || lua_type(lua, lua_upvalueindex(SCRATCH)) != LUA_TUSERDATA)
    return push_new_scratch(lua);
  lua_pushvalue(lua, lua_upvalueindex(SCRATCH));
  lua_pushnil(lua);
  lua_replace(lua, lua_upvalueindex(SCRATCH));
  return lua_touserdata(lua, -1);
}

static void put_scratch_back(lua_State *lua, int index) {
  if (is_guarded(lua))
    return;
  scratch *self = lua_touserdata(lua, index);
  roost_buffer *buffers[] = {&self->given, &self->returned};
  for (size_t i = 0; i < 2; i++) {
    roost_buffer_clear(buffers[i]);
    roost_buffer_trim(buffers[i], KEPT_BYTES);
  }
  lua_pushvalue(lua, index);
  lua_replace(lua, lua_upvalueindex(SCRATCH));
}

static void check_type(lua_State *lua, int index, char letter) {
  int is_integer = 1;
  switch (letter) {
  case 'b':
    luaL_checktype(lua, index, LUA_TBOOLEAN);
    return;
  case 'i':
    luaL_checktype(lua, index, LUA_TNUMBER);
    (void)lua_tointegerx(lua, index, &is_integer);
    luaL_argcheck(lua, is_integer, index, "number has no integer representation");
    return;
  case 'n':
    luaL_checktype(lua, index, LUA_TNUMBER);
    return;
  case 's':
    luaL_checktype(lua, index, LUA_TSTRING);
    return;
  default:
    luaL_checkany(lua, index);
  }
}

static void check_arguments(lua_State *lua, const own_function *function) {
  for (size_t i = 0; i < function->count; i++) {
    const int index = (int)i + 1;
    if (!function->optional[i] || !lua_isnoneornil(lua, index))
      check_type(lua, index, function->letters[i]);
  }
  lua_settop(lua, (int)function->count);
}

static void write_arguments(roost_params *args) {
  lua_State *lua = args->lua;
  roost_buffer *out = &args->texts->given;
  for (size_t i = 0; i < args->function->count; i++) {
    const int index = (int)i + 1;
    if (!has(args, i, 'j'))
      continue;
    args->json_at[i] = out->len;
    const int status = roost_value_write_json(lua, index, out);
    if (status == ROOST_EINVAL)
      luaL_argerror(lua, index, lua_tostring(lua, -1));
    if (status != 0) {
      roost_error_push_memory(lua);
      lua_error(lua);
    }
    args->json_len[i] = out->len - args->json_at[i];
  }
}

static int fail(const roost_params *args, int status) {
  if (status == ROOST_ENOMEM) {
    roost_error_push_memory(args->lua);
    return lua_error(args->lua);
  }
  return roost_error_raise_text(
      args->lua, "%s", args->message[0] != '\0' ? args->message : roost_status_name(status));
}

static void push_json(const roost_params *args, roost_slice text) {
  const char *why = "not UTF-8";
  size_t at = roost_utf8_valid_prefix(text);
  if (at == text.len && roost_value_push_json(args->lua, text, &why, &at) == 0)
    return;
  roost_error_raise_text(args->lua, "%s has returned what is not JSON: %s at byte %d",
                         args->function->name, why, (int)at + 1);
}

static void push_result(const roost_params *args, const result *value) {
  lua_State *lua = args->lua;
  const roost_buffer *texts = &args->texts->returned;
  const roost_slice text = {value->len > 0 ? texts->ptr + value->at : "", value->len};
  switch (value->letter) {
  case 'b':
    lua_pushboolean(lua, value->boolean);
    return;
  case 'i':
    lua_pushinteger(lua, value->integer);
    return;
  case 'n':
    lua_pushnumber(lua, value->number);
    return;
  case 's':
    lua_pushlstring(lua, text.ptr, text.len);
    return;
  case 'j':
    push_json(args, text);
    return;
  default:
    lua_pushnil(lua);
  }
}

static int call_function(lua_State *lua) {
  const own_function *function = lua_touserdata(lua, lua_upvalueindex(FUNCTION));
  roost_params args;
  roost_task_check_begun(lua);
  check_arguments(lua, function);
  luaL_checkstack(lua, RESULTS_MAX + LUA_MINSTACK, NULL);
  args.lua = lua;
  args.function = function;
  args.result_count = 0;
  args.message[0] = '\0';
  args.texts = push_scratch(lua);
  const int at = lua_gettop(lua);
  write_arguments(&args);
  const int status = function->fn(function->ud, &args);
  if (status < 0)
    return fail(&args, status);
  for (size_t i = 0; i < args.result_count; i++)
    push_result(&args, &args.results[i]);
  put_scratch_back(lua, at);
  return (int)args.result_count;
}

/* ------------------------------------------------------------------------- opening ----------- */

/* Upvalue 1 is which module. */
static int load_module(lua_State *lua) {
  const module *self = lua_touserdata(lua, lua_upvalueindex(1));
  lua_createtable(lua, 0, (int)self->count);
  for (size_t i = 0; i < self->count; i++) {
    lua_pushlightuserdata(lua, &self->functions[i]);
    lua_pushnil(lua);
    lua_pushcclosure(lua, call_function, 2);
    lua_setfield(lua, -2, self->functions[i].name);
  }
  return 1;
}

void roost_modules_open(lua_State *lua, const roost_modules *modules) {
  if (modules == NULL)
    return;
  luaL_getsubtable(lua, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (module *at = modules->all; at != NULL; at = at->next) {
    lua_pushlightuserdata(lua, at);
    lua_pushcclosure(lua, load_module, 1);
    lua_setfield(lua, -2, at->name);
  }
  lua_pop(lua, 1);
}

const roost_sandbox_offer *roost_modules_offers(const roost_modules *modules) {
  return modules != NULL && modules->offers != NULL ? modules->offers : own_offers;
}

/* ------------------------------------------------------------------------- adding ------------ */

static bool is_name(const char *name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  const size_t len = name != NULL ? strlen(name) : 0;
  return len > 0 && len <= NAME_BYTES && strspn(name, letters) == len &&
         (*name < '0' || *name > '9');
}

static bool read_signature(own_function *function, const char *signature) {
  for (const char *at = signature != NULL ? signature : ""; *at != '\0'; at++) {
    if (*at == '?' && function->count > 0 && !function->optional[function->count - 1]) {
      function->optional[function->count - 1] = true;
      continue;
    }
    if (strchr(LETTERS, *at) == NULL || function->count == ARGS_MAX)
      return false;
    function->letters[function->count++] = *at;
  }
  return true;
}

static int copy_function(own_function *to, const roost_alloc *alloc, const roost_function *from,
                         const char **why) {
  *why = "a function's name is a word, and there is a function";
  if (!is_name(from->name) || from->fn == NULL)
    return ROOST_EINVAL;
  to->fn = from->fn;
  to->ud = from->ud;
  *why = "a signature has at most 16 of the letters b i n s j, each perhaps with a ? behind it";
  if (!read_signature(to, from->signature))
    return ROOST_EINVAL;
  *why = "out of memory";
  to->name = roost_alloc_text(alloc, roost_slice_text(from->name));
  return to->name != NULL ? 0 : ROOST_ENOMEM;
}

static void free_module(const roost_alloc *alloc, module *self) {
  for (size_t i = 0; self->functions != NULL && i < self->count; i++)
    roost_alloc_put_text(alloc, self->functions[i].name);
  roost_alloc_put(alloc, self->functions,
                  self->functions != NULL ? self->count * sizeof *self->functions : 0);
  roost_alloc_put_text(alloc, self->name);
}

/* Whether one before it has its name: which one Lua would call is not to be guessed. */
static bool is_second(const module *self, size_t place) {
  for (size_t i = 0; i < place; i++)
    if (strcmp(self->functions[i].name, self->functions[place].name) == 0)
      return true;
  return false;
}

static int copy_module(module *to, const roost_alloc *alloc, const char *name,
                       const roost_function *functions, const char **why) {
  int status = 0;
  *to = (module){.name = roost_alloc_text(alloc, roost_slice_text(name))};
  while (functions[to->count].name != NULL)
    to->count++;
  to->functions = roost_alloc_get(alloc, to->count * sizeof *to->functions);
  *why = "out of memory";
  if (to->name == NULL || to->functions == NULL)
    status = ROOST_ENOMEM;
  for (size_t i = 0; status == 0 && i < to->count; i++) {
    status = copy_function(&to->functions[i], alloc, &functions[i], why);
    if (status == 0 && is_second(to, i)) {
      *why = "a module has two functions of one name";
      status = ROOST_EINVAL;
    }
  }
  return status;
}

/* What is offered with one more module. */
static roost_sandbox_offer *make_offers(const roost_modules *modules, const char *name) {
  roost_sandbox_offer *offers =
      roost_alloc_get(modules->alloc, (modules->count + 1 + OWN_OFFERS) * sizeof *offers);
  if (offers == NULL)
    return NULL;
  for (size_t i = 0; i < modules->count; i++)
    offers[i] = modules->offers[i];
  offers[modules->count] = (roost_sandbox_offer){name, name};
  memcpy(offers + modules->count + 1, own_offers, sizeof own_offers);
  return offers;
}

static void free_offers(roost_modules *modules) {
  const size_t count = modules->offers != NULL ? modules->count + OWN_OFFERS : 0;
  roost_alloc_put(modules->alloc, modules->offers, count * sizeof *modules->offers);
}

static int add(roost_modules *modules, const char *name, const roost_function *functions,
               const char **why) {
  const roost_alloc *alloc = modules->alloc;
  module *added = roost_alloc_get(alloc, sizeof *added);
  *why = "out of memory";
  if (added == NULL)
    return ROOST_ENOMEM;
  int status = copy_module(added, alloc, name, functions, why);
  roost_sandbox_offer *offers = status == 0 ? make_offers(modules, added->name) : NULL;
  if (status == 0 && offers == NULL)
    status = ROOST_ENOMEM;
  if (status != 0) {
    free_module(alloc, added);
    roost_alloc_put(alloc, added, sizeof *added);
    return status;
  }
  free_offers(modules);
  modules->offers = offers;
  modules->count++;
  added->next = modules->all;
  modules->all = added;
  return 0;
}

static bool is_taken(const roost_modules *modules, const char *name) {
  for (const roost_sandbox_offer *at = roost_modules_offers(modules); at->name != NULL; at++)
    if (strcmp(at->name, name) == 0)
      return true;
  return false;
}

/* What package.loaded has from the start: require looks there first. */
static bool is_of_lua(const char *name) {
  static const char *const libraries[] = {
      LUA_GNAME,      LUA_COLIBNAME,   LUA_TABLIBNAME,  LUA_IOLIBNAME, LUA_OSLIBNAME,
      LUA_STRLIBNAME, LUA_UTF8LIBNAME, LUA_MATHLIBNAME, LUA_DBLIBNAME, LUA_LOADLIBNAME};
  for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
    if (strcmp(libraries[i], name) == 0)
      return true;
  return false;
}

int roost_modules_new(roost_modules **out, const roost_alloc *alloc) {
  roost_modules *modules = roost_alloc_get(alloc, sizeof *modules);
  *out = modules;
  if (modules == NULL)
    return ROOST_ENOMEM;
  modules->alloc = alloc;
  return 0;
}

int roost_modules_add(roost_modules *modules, const char *name, const roost_function *functions,
                      const char **why) {
  *why = "a module's name is a word";
  if (!is_name(name))
    return ROOST_EINVAL;
  *why = "a module has functions";
  if (functions == NULL || functions[0].name == NULL)
    return ROOST_EINVAL;
  *why = "Lua has a library of that name";
  if (is_of_lua(name))
    return ROOST_EINVAL;
  *why = "there is a module of that name";
  if (is_taken(modules, name))
    return ROOST_EINVAL;
  return add(modules, name, functions, why);
}

void roost_modules_free(roost_modules *modules) {
  if (modules == NULL)
    return;
  const roost_alloc *alloc = modules->alloc;
  free_offers(modules);
  while (modules->all != NULL) {
    module *first = modules->all;
    modules->all = first->next;
    free_module(alloc, first);
    roost_alloc_put(alloc, first, sizeof *first);
  }
  roost_alloc_put(alloc, modules, sizeof *modules);
}
