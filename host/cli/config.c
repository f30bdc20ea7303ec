#include "cli/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"

#define DEFAULT_PATH "config/host.lua"

enum { OPTION_DIR, OPTION_SET, OPTION_START };

static const roost_option run_options[] = {{"-C", "DIR", NULL}, {"--set", "KEY=VALUE", NULL}, {0}};
static const roost_option check_options[] = {
    {"-C", "DIR", NULL}, {"--set", "KEY=VALUE", NULL}, {"--start", NULL, NULL}, {0}};

/* There are never more of them than arguments. */
static bool add_set(roost_cli_config *config, const roost_args *args, char *text) {
  char *equals = strchr(text, '=');
  if (equals == NULL || equals == text) {
    roost_usage_error(args->command, "--set wants KEY=VALUE, got \"%s\"", text);
    return false;
  }
  *equals = '\0';
  config->sets[config->set_count++] = (roost_cli_set){text, equals + 1};
  return true;
}

static int read_args(roost_cli_config *config, roost_args *args, const char **dir) {
  for (;;) {
    switch (roost_args_next(args)) {
    case ROOST_ARGS_END:
      return 0;
    case OPTION_DIR:
      *dir = args->value;
      break;
    case OPTION_SET:
      if (!add_set(config, args, (char *)(uintptr_t)args->value))
        return ROOST_ARGS_ERROR;
      break;
    case OPTION_START:
      config->start = true;
      break;
    case ROOST_ARGS_WORD:
      if (config->path != NULL) {
        roost_usage_error(args->command, "unexpected argument \"%s\"", args->value);
        return ROOST_ARGS_ERROR;
      }
      config->path = args->value;
      break;
    case ROOST_ARGS_HELP:
      return ROOST_ARGS_HELP;
    default:
      return ROOST_ARGS_ERROR;
    }
  }
}

int roost_cli_config_read(roost_cli_config *config, const roost_command *command, int argc,
                          char **argv, bool *go_on) {
  const bool check = command == &roost_command_check;
  roost_args args = {.command = command,
                     .options = check ? check_options : run_options,
                     .argc = argc,
                     .argv = argv};
  const char *dir = NULL;
  *go_on = false;
  *config = (roost_cli_config){.sets = calloc((size_t)argc, sizeof *config->sets)};
  int code = ROOST_EXIT_FAILED;
  const int status = config->sets != NULL ? read_args(config, &args, &dir) : 1;
  if (status == ROOST_ARGS_HELP) {
    code = roost_help_command(command);
  } else if (status == ROOST_ARGS_ERROR) {
    code = ROOST_EXIT_USAGE;
  } else if (status != 0) {
    fputs("roost: out of memory\n", stderr);
  } else if (dir != NULL && chdir(dir) != 0) {
    code = roost_usage_error(command, "-C %s: %s", dir, strerror(errno));
  } else {
    if (config->path == NULL && access(DEFAULT_PATH, F_OK) == 0)
      config->path = DEFAULT_PATH;
    *go_on = true;
    return ROOST_EXIT_OK;
  }
  roost_cli_config_free(config);
  return code;
}

void roost_cli_config_free(roost_cli_config *config) {
  free(config->sets);
  config->sets = NULL;
}
