#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"
#include "core/alloc.h"

/* Problems and the last line, all on stdout: they are the result. */
static int report(const roost_problems *problems) {
  char text[1024];
  int code = ROOST_EXIT_OK;
  for (size_t i = 0; i < problems->count; i++) {
    const roost_problem *problem = &problems->items[i];
    const bool error = problem->severity == ROOST_PROBLEM_ERROR;
    if (!roost_print(error ? "error: " : "warning: ", error ? 7 : 9, &code) ||
        !roost_print(problem->text, strlen(problem->text), &code) || !roost_print("\n", 1, &code))
      return code;
  }
  const size_t errors = problems->errors;
  const int len =
      errors == 0 ? snprintf(text, sizeof text, "ok\n")
                  : snprintf(text, sizeof text, "%zu problem%s\n", errors, errors == 1 ? "" : "s");
  if (!roost_print(text, (size_t)len, &code))
    return code;
  return errors == 0 ? ROOST_EXIT_OK : ROOST_EXIT_FAILED;
}

static int run(const roost_command *command, int argc, char **argv) {
  roost_cli_config given;
  bool go_on;
  int code = roost_cli_config_read(&given, command, argc, argv, &go_on);
  if (!go_on)
    return code;
  const roost_alloc *alloc = roost_alloc_default();
  roost_problems problems;
  roost_problems_init(&problems, alloc);
  roost_override *overrides = calloc(given.set_count + 1, sizeof *overrides);
  for (size_t i = 0; overrides != NULL && i < given.set_count; i++)
    overrides[i] = (roost_override){.key = given.sets[i].key, .value = given.sets[i].value};
  const roost_settings_source source = {
      .path = given.path, .overrides = overrides, .override_count = given.set_count};
  const int status =
      overrides != NULL ? roost_check(alloc, &source, given.start, &problems) : ROOST_ENOMEM;
  if (status != 0) {
    fprintf(stderr, "roost check: %s\n",
            status == ROOST_ENOMEM ? "out of memory" : roost_status_name(status));
    code = ROOST_EXIT_FAILED;
  } else {
    code = report(&problems);
  }
  free(overrides);
  roost_problems_deinit(&problems);
  roost_cli_config_free(&given);
  return code;
}

const roost_command roost_command_check = {
    .name = "check",
    .summary = "find what is wrong with a configuration and its services",
    .help =
        "Usage: roost check [-C DIR] [--set KEY=VALUE]... [--start] [CONFIG]\n"
        "\n"
        "Reads a configuration as roost run would, loads every service it names, and tries every\n"
        "listener, without starting anything. Each problem is a line that names the file and the\n"
        "key or line; the last line is \"ok\" or how many there are.\n"
        "\n"
        "  -C DIR           work in DIR: relative paths start there, CONFIG's too\n"
        "  --set KEY=VALUE  set one key of the configuration, as for roost run\n"
        "  --start          run the services' on_start hooks, too\n"
        "\n"
        "It exits with 1 if there is a problem; warnings are shown but are none.\n",
    .run = run};
