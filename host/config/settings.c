#include "config/settings.h"

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <string.h>
#include <sys/stat.h>

#include "config/fingerprint.h"
#include "config/override.h"
#include "config/schema.h"
#include "config/script.h"
#include "core/embedded.h"
#include "core/open_file.h"
#include "core/slice.h"

#define EMBEDDED_NAME "config/host.lua"

/* One load, while it goes on. */
typedef struct loading {
  const roost_settings_source *source; /* borrowed */
  roost_settings *settings;
  roost_problems *problems; /* borrowed */
  roost_script script;
  roost_keys_reader reader;
  roost_buffer text; /* of the file, or a path */
  int status;        /* first ENOMEM */
} loading;

static int read_text(loading *load) {
  const roost_settings_source *source = load->source;
  if (source->text != NULL)
    return roost_buffer_append_slice(&load->text, roost_slice_text(source->text));
  if (source->path == NULL) {
    for (const roost_embedded_file *file = roost_embedded_files; file->name != NULL; file++)
      if (strcmp(file->name, EMBEDDED_NAME) == 0)
        return roost_buffer_append(&load->text, file->ptr, file->len);
    return 0;
  }
  const int status = roost_script_read_file(&load->text, source->working_dir, source->path);
  if (status != ROOST_ESYSTEM)
    return status;
  roost_problems_add(load->problems, ROOST_PROBLEM_ERROR, "%s: %s", source->path,
                     roost_open_error(errno));
  return ROOST_ECONFIG;
}

/* Replaces the table on top by one that has nothing but its clients. */
static void keep_clients(lua_State *lua) {
  static const char key[] = "clients";
  lua_newtable(lua);
  lua_getfield(lua, -2, key);
  lua_setfield(lua, -2, key);
}

/* Everything that may raise. */
static int run(lua_State *lua) {
  loading *load = lua_touserdata(lua, 1);
  lua_settop(lua, 0);
  roost_script_run(&load->script, roost_buffer_slice(&load->text), load->settings->file);
  if (!lua_istable(lua, -1)) {
    roost_problems_add(load->problems, ROOST_PROBLEM_ERROR, "%s: must return a table, returns %s",
                       load->settings->file,
                       lua_isnil(lua, -1) ? "nothing" : luaL_typename(lua, -1));
    return 0;
  }
  for (size_t i = 0; i < load->source->override_count; i++)
    roost_override_apply(&load->script, &load->source->overrides[i], load->problems);
  if (load->source->only_clients)
    keep_clients(lua);
  load->reader.lua = lua;
  lua_getfield(lua, -1, "service_options");
  load->settings->options_mark = roost_fingerprint(lua, -1, NULL);
  lua_pop(lua, 1);
  roost_keys_read(&load->reader, roost_schema_host, load->settings);
  return 0;
}

/* Lua names the file, a long path by its end, unless the script had it say nothing. */
static void say_raised(loading *load, const char *text) {
  const char *file = load->settings->file;
  const bool named = strncmp(text, file, strlen(file)) == 0 || strncmp(text, "...", 3) == 0;
  roost_problems_add(load->problems, ROOST_PROBLEM_ERROR, "%s%s%s", named ? "" : file,
                     named ? "" : ": ", text);
}

/* Runs and reads the file; what it raised is a problem. */
static int evaluate(loading *load) {
  const char *file = load->settings->file;
  int status =
      roost_script_open(&load->script, load->settings->arena.alloc, load->source->working_dir);
  if (status != 0)
    return status;
  lua_State *lua = load->script.lua;
  lua_pushcfunction(lua, run);
  lua_pushlightuserdata(lua, load);
  status = lua_pcall(lua, 1, 0, 0);
  if (status == LUA_ERRMEM && load->script.too_large)
    roost_problems_add(load->problems, ROOST_PROBLEM_ERROR, "%s: needs too much memory", file);
  else if (status == LUA_ERRMEM)
    load->status = ROOST_ENOMEM;
  else if (status != LUA_OK && lua_type(lua, -1) == LUA_TSTRING)
    say_raised(load, lua_tostring(lua, -1));
  else if (status != LUA_OK)
    roost_problems_add(load->problems, ROOST_PROBLEM_ERROR, "%s: raised a %s", file,
                       luaL_typename(lua, -1));
  roost_script_close(&load->script);
  return load->status != 0 ? load->status : load->reader.status;
}

static bool overrides_services(const roost_settings_source *source) {
  static const char key[] = "services";
  for (size_t i = 0; i < source->override_count; i++) {
    const char *name = source->overrides[i].key;
    if (strncmp(name, key, sizeof key - 1) == 0 && strchr(".[", name[sizeof key - 1]) != NULL)
      return true; /* strchr finds the end of the name, too */
  }
  return false;
}

/* Whether path, starting at the working directory, is a file or folder; an errno where not. */
static int look_for(loading *load, const char *path, int *error) {
  struct stat info;
  const char *start = load->source->working_dir;
  const bool relative = start != NULL && path[0] != '/';
  roost_buffer_clear(&load->text);
  int status =
      roost_buffer_printf(&load->text, "%s%s%s", relative ? start : "", relative ? "/" : "", path);
  if (status == 0)
    status = roost_buffer_append_byte(&load->text, '\0');
  if (status != 0)
    return status;
  *error = stat(load->text.ptr, &info) == 0 ? 0 : errno;
  if (*error == 0 && !S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode))
    *error = EINVAL;
  return 0;
}

/* Leaves only those that exist. With no file of the user's the folder is optional: an installed
 * program starts without a tree. */
static int find_services(loading *load) {
  roost_settings *settings = load->settings;
  const bool optional = load->source->path == NULL && !overrides_services(load->source);
  size_t count = 0;
  while (settings->services != NULL && settings->services[count] != NULL)
    count++;
  const char **found = roost_arena_get(&settings->arena, (count + 1) * sizeof *found);
  size_t found_count = 0;
  for (size_t i = 0; found != NULL && i < count; i++) {
    const char *path = settings->services[i];
    int error;
    const int status = look_for(load, path, &error);
    if (status != 0)
      return status;
    if (error == 0)
      found[found_count++] = path;
    else if (!optional)
      roost_problems_add(load->problems, ROOST_PROBLEM_ERROR, "%s: services: \"%s\": %s",
                         settings->file, path,
                         error == EINVAL ? "neither a file nor a folder" : strerror(error));
  }
  settings->services = found;
  return found != NULL ? 0 : ROOST_ENOMEM;
}

static int load_all(loading *load) {
  const roost_settings_source *source = load->source;
  roost_settings *settings = load->settings;
  const char *name = source->path != NULL ? source->path : "built-in " EMBEDDED_NAME;
  settings->file = roost_arena_text(&settings->arena, roost_slice_text(name));
  if (settings->file == NULL)
    return ROOST_ENOMEM;
  load->reader.file = settings->file;
  load->reader.working_dir = source->working_dir;
  int status = read_text(load);
  if (status == 0)
    status = evaluate(load);
  if (status == 0 && !source->only_clients)
    status = find_services(load);
  return status != 0 ? status : load->problems->status;
}

int roost_settings_load(roost_settings **out, const roost_alloc *alloc,
                        const roost_settings_source *source, roost_problems *problems) {
  *out = NULL;
  const size_t errors = problems->errors;
  loading load = {.source = source, .problems = problems};
  load.settings = roost_alloc_get(alloc, sizeof *load.settings);
  if (load.settings == NULL)
    return ROOST_ENOMEM;
  roost_arena_init(&load.settings->arena, alloc);
  roost_buffer_init(&load.text, alloc);
  roost_keys_reader_init(&load.reader, alloc);
  load.reader.arena = &load.settings->arena;
  load.reader.problems = problems;
  int status = load_all(&load);
  if (status == 0 && problems->errors > errors)
    status = ROOST_ECONFIG;
  roost_keys_reader_deinit(&load.reader);
  roost_buffer_deinit(&load.text);
  if (status == 0)
    *out = load.settings;
  else
    roost_settings_free(load.settings);
  return status;
}

void roost_settings_free(roost_settings *settings) {
  if (settings == NULL)
    return;
  const roost_alloc *alloc = settings->arena.alloc;
  roost_arena_deinit(&settings->arena);
  roost_alloc_put(alloc, settings, sizeof *settings);
}

const roost_service_options *roost_settings_service(const roost_settings *settings,
                                                    const char *name) {
  for (size_t i = 0; i < settings->service_option_count; i++)
    if (strcmp(settings->service_options[i].name, name) == 0)
      return &settings->service_options[i];
  return NULL;
}
