/* roost exec and roost test: a Lua program on a loop of its own. */
#include "exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "core/slice.h"

/* ------------------------------------------------------------------------- running ----------- */

static void print(void *ud, roost_slice text) {
  (void)ud;
  fwrite(text.ptr, 1, text.len, stdout); /* whoever stopped reading has seen enough */
}

static void end(void *ud, int code) {
  (void)ud;
  fflush(stdout);
  exit(code);
}

static int run_program(const roost_command *command, const roost_exec_config *config) {
  const roost_alloc *alloc = roost_alloc_default();
  roost_buffer error;
  roost_buffer_init(&error, alloc);
  const int status = roost_exec_run(alloc, config, &error);
  fflush(stdout);
  if (status == ROOST_ESCRIPT || error.len > 0)
    fprintf(stderr, "roost %s: %.*s\n", command->name, (int)error.len, error.ptr);
  else if (status != 0)
    fprintf(stderr, "roost %s: %s\n", command->name, roost_status_name(status));
  roost_buffer_deinit(&error);
  return status == 0 ? ROOST_EXIT_OK : ROOST_EXIT_FAILED;
}

/* ------------------------------------------------------------------------- exec -------------- */

static int exec_file(const roost_command *command, int argc, char **argv) {
  static const roost_option options[] = {{0}};
  roost_args args = {.command = command, .options = options, .argc = argc, .argv = argv};
  const int option = roost_args_next(&args);
  if (option == ROOST_ARGS_HELP)
    return roost_help_command(command);
  if (option == ROOST_ARGS_ERROR)
    return ROOST_EXIT_USAGE;
  if (option == ROOST_ARGS_END)
    return roost_usage_error(command, "a file is needed");
  const roost_exec_config config = {.path = args.value,
                                    .args = argv + args.at + 1,
                                    .arg_count = (size_t)(argc - args.at - 1),
                                    .words_before = (size_t)args.at + 1, /* roost exec */
                                    .print = print,
                                    .exit = end};
  return run_program(command, &config);
}

const roost_command roost_command_exec = {
    .name = "exec",
    .summary = "run a Lua script that may use the whole API",
    .help =
        "Usage: roost exec FILE [ARG...]\n"
        "\n"
        "Runs a Lua file as a service's handler is run: it may wait, start tasks and timers, and\n"
        "has everything that require \"roost\" gives. The global arg holds its arguments; print\n"
        "goes to stdout, the log to stderr.\n"
        "\n"
        "It ends when the file and every task it started are over, with 0; with 1 where the file\n"
        "raised an error; or as os.exit says.\n",
    .run = exec_file};

/* ------------------------------------------------------------------------- test -------------- */

enum { OPTION_DIR };

/* The arguments but for -C, which are the program's. */
static int read_test_args(const roost_command *command, int argc, char **argv, char **paths,
                          size_t *count) {
  static const roost_option options[] = {{"-C", "DIR", NULL}, {0}};
  roost_args args = {.command = command, .options = options, .argc = argc, .argv = argv};
  for (;;) {
    const int option = roost_args_next(&args);
    if (option == OPTION_DIR && chdir(args.value) != 0) {
      roost_usage_error(command, "-C %s: no such folder", args.value);
      return ROOST_ARGS_ERROR;
    }
    if (option == ROOST_ARGS_WORD)
      paths[(*count)++] = argv[args.at];
    else if (option != OPTION_DIR)
      return option;
  }
}

static int test(const roost_command *command, int argc, char **argv) {
  char **paths = calloc((size_t)argc, sizeof *paths);
  size_t count = 0;
  int code = ROOST_EXIT_USAGE;
  const int option =
      paths != NULL ? read_test_args(command, argc, argv, paths, &count) : ROOST_ARGS_ERROR;
  if (option == ROOST_ARGS_HELP) {
    code = roost_help_command(command);
  } else if (option == ROOST_ARGS_END) {
    const roost_exec_config config = {
        .module = "roost.test", .args = paths, .arg_count = count, .print = print, .exit = end};
    code = run_program(command, &config);
  }
  free(paths);
  return code;
}

const roost_command roost_command_test = {
    .name = "test",
    .summary = "run the specs of services",
    .help =
        "Usage: roost test [-C DIR] [PATH...]\n"
        "\n"
        "Runs specs written for busted (Debian: lua-busted) inside Roost's own Lua, with\n"
        "require \"roost.testing\". PATH is a spec, a service, or a folder, whose files named\n"
        "*_spec.lua are run, those of its folders too; without one it is services.\n"
        "Each failure is a line on stdout that begins with its file and line; the last line is\n"
        "\"N passed, N failed\".\n"
        "\n"
        "  -C DIR           work in DIR: paths start there\n"
        "\n"
        "It exits with 1 if anything failed, also where a spec cannot be loaded or holds no "
        "test.\n",
    .run = test};
