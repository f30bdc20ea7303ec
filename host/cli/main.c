#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "config/suggest.h"

const roost_command *const roost_commands[] = {
    &roost_command_run,    &roost_command_check,  &roost_command_call,    &roost_command_emit,
    &roost_command_reload, &roost_command_status, &roost_command_exec,    &roost_command_test,
    &roost_command_bench,  &roost_command_new,    &roost_command_version, NULL};

static const roost_command *find(const char *name) {
  for (size_t i = 0; roost_commands[i] != NULL; i++)
    if (strcmp(roost_commands[i]->name, name) == 0)
      return roost_commands[i];
  return NULL;
}

static int unknown(const char *name) {
  roost_suggestion near = {.word = name};
  for (size_t i = 0; roost_commands[i] != NULL; i++)
    roost_suggest(&near, roost_commands[i]->name);
  if (near.best != NULL)
    fprintf(stderr, "roost: unknown command %s (did you mean %s?); see roost --help\n", name,
            near.best);
  else
    fprintf(stderr, "roost: unknown command %s; see roost --help\n", name);
  return ROOST_EXIT_USAGE;
}

/* roost help [COMMAND] */
static int help(int argc, char **argv) {
  if (argc < 2)
    return roost_help_all();
  const roost_command *command = find(argv[1]);
  return command != NULL ? roost_help_command(command) : unknown(argv[1]);
}

/* A standard descriptor that is closed would become somebody's socket. */
static void open_missing(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0)
      return;
}

int main(int argc, char **argv) {
  open_missing();
  signal(SIGPIPE, SIG_IGN); /* a reader who left shows as EPIPE where it is written to */
  if (argc < 2) {
    fprintf(stderr, "roost: no command; see roost --help\n");
    return ROOST_EXIT_USAGE;
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
    return help(argc - 1, argv + 1);
  if (strcmp(name, "--version") == 0)
    name = roost_command_version.name;
  const roost_command *command = find(name);
  return command != NULL ? command->run(command, argc - 1, argv + 1) : unknown(name);
}
