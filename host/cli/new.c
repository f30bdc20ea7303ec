/* roost new: a service to begin with, and its spec. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/args.h"
#include "core/buffer.h"
#include "core/embedded.h"

#define FOLDER "services"

/* ------------------------------------------------------------------------- templates --------- */

static const roost_embedded_file *find_template(const char *name) {
  for (const roost_embedded_file *file = roost_embedded_files; file->name != NULL; file++)
    if (strcmp(file->name, name) == 0)
      return file;
  return NULL;
}

/* Appends the template with every NAME in it replaced. */
static int fill_in(roost_buffer *out, const char *template, const char *name) {
  static const char mark[] = "NAME";
  const roost_embedded_file *file = find_template(template);
  const char *at = file->ptr;
  const char *end = at + file->len;
  int status = 0;
  while (status == 0 && at < end) {
    const char *next = memmem(at, (size_t)(end - at), mark, sizeof mark - 1);
    const char *stop = next ? next : end;
    status = roost_buffer_append(out, at, (size_t)(stop - at));
    if (status == 0 && next != NULL)
      status = roost_buffer_append(out, name, strlen(name));
    at = next ? next + sizeof mark - 1 : end;
  }
  return status;
}

/* ------------------------------------------------------------------------- files ------------- */

static int fail(const char *path) {
  fprintf(stderr, "roost new: %s: %s\n", path, strerror(errno));
  return ROOST_EXIT_FAILED;
}

/* Writes a file that was not there before. */
static int write_file(const char *path, const char *template, const char *name) {
  roost_buffer text;
  FILE *file = fopen(path, "wxe");
  if (file == NULL)
    return fail(path);
  roost_buffer_init(&text, roost_alloc_default());
  int code = ROOST_EXIT_OK;
  if (fill_in(&text, template, name) != 0 || fwrite(text.ptr, 1, text.len, file) != text.len)
    code = fail(path);
  if (fclose(file) != 0 && code == ROOST_EXIT_OK)
    code = fail(path);
  roost_buffer_deinit(&text);
  if (code == ROOST_EXIT_OK)
    printf("%s\n", path);
  return code;
}

/* Lua's module names and file names both: letters, digits, - and _, a letter first. */
static bool is_name(const char *name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  static const char others[] = "0123456789_-";
  if (*name == '\0' || strchr(letters, *name) == NULL)
    return false;
  for (; *name != '\0'; name++)
    if (strchr(letters, *name) == NULL && strchr(others, *name) == NULL)
      return false;
  return true;
}

/* Nothing is written where one of them is there. */
static bool is_taken(const char *const *paths, size_t count) {
  struct stat info;
  for (size_t i = 0; i < count; i++)
    if (lstat(paths[i], &info) == 0) {
      fprintf(stderr, "roost new: %s: it is there already\n", paths[i]);
      return true;
    }
  return false;
}

static int make(const char *name) {
  char service[300];
  char spec[300];
  char folder[300];
  const char *const paths[] = {service, spec, folder};
  snprintf(service, sizeof service, FOLDER "/%s.lua", name);
  snprintf(spec, sizeof spec, FOLDER "/%s_spec.lua", name);
  snprintf(folder, sizeof folder, FOLDER "/%s", name);
  if (is_taken(paths, sizeof paths / sizeof *paths))
    return ROOST_EXIT_FAILED;
  if (mkdir(FOLDER, 0777) != 0 && errno != EEXIST)
    return fail(FOLDER);
  const int code = write_file(service, "new/service.lua", name);
  return code == ROOST_EXIT_OK ? write_file(spec, "new/service_spec.lua", name) : code;
}

static int run(const roost_command *command, int argc, char **argv) {
  static const roost_option options[] = {{0}};
  roost_args args = {.command = command, .options = options, .argc = argc, .argv = argv};
  const int option = roost_args_next(&args);
  if (option == ROOST_ARGS_HELP)
    return roost_help_command(command);
  if (option == ROOST_ARGS_ERROR)
    return ROOST_EXIT_USAGE;
  if (option == ROOST_ARGS_END)
    return roost_usage_error(command, "a name is needed");
  const char *name = args.value;
  if (roost_args_next(&args) != ROOST_ARGS_END)
    return roost_usage_error(command, "one name is enough, got \"%s\" too", args.value);
  const size_t len = strlen(name);
  const bool is_spec = len >= 5 && strcmp(name + len - 5, "_spec") == 0;
  if (len > 100 || !is_name(name) || strcmp(name, "lib") == 0 || is_spec)
    return roost_usage_error(command, "\"%s\" can't be a service's name", name);
  return make(name);
}

const roost_command roost_command_new = {
    .name = "new",
    .summary = "make a new service with its spec",
    .help = "Usage: roost new NAME\n"
            "\n"
            "Writes services/NAME.lua, a small service to begin with, and services/NAME_spec.lua,\n"
            "which tests it: roost test services/NAME. Files that are there already stay as they\n"
            "are.\n",
    .run = run};
