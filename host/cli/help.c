#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

bool roost_print(const char *text, size_t len, int *code) {
  if (fwrite(text, 1, len, stdout) == len && fflush(stdout) == 0)
    return true;
  *code = ROOST_EXIT_OK; /* whoever stopped reading has seen enough */
  if (errno != EPIPE) {
    fprintf(stderr, "roost: writing to stdout: %s\n", strerror(errno));
    *code = ROOST_EXIT_FAILED;
  }
  return false;
}

int roost_usage_error(const roost_command *command, const char *format, ...) {
  va_list args;
  fprintf(stderr, "roost %s: ", command->name);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, "; see roost %s --help\n", command->name);
  return ROOST_EXIT_USAGE;
}

int roost_help_command(const roost_command *command) {
  int code = ROOST_EXIT_OK;
  roost_print(command->help, strlen(command->help), &code);
  return code;
}

int roost_help_all(void) {
  static const char intro[] = "Usage: roost COMMAND [ARG...]\n"
                              "\n"
                              "Roost hosts services written in Lua that NestJS microservices can "
                              "call, and is called by them.\n"
                              "\n"
                              "Commands:\n";
  static const char outro[] = "\n"
                              "roost COMMAND --help says more about each.\n";
  int code = ROOST_EXIT_OK;
  if (!roost_print(intro, sizeof intro - 1, &code))
    return code;
  for (size_t i = 0; roost_commands[i] != NULL; i++) {
    char line[160];
    const int len = snprintf(line, sizeof line, "  %-9s%s\n", roost_commands[i]->name,
                             roost_commands[i]->summary);
    if (!roost_print(line, (size_t)len, &code))
      return code;
  }
  roost_print(outro, sizeof outro - 1, &code);
  return code;
}
