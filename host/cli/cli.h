/*
 * cli/cli.h - the roost command: its subcommands and what they have in common.
 *
 * Start reading at main.c. A subcommand is one file: its help text, its options, and a function
 * that gets its own arguments and returns the exit code. Results go to stdout, everything else to
 * stderr.
 */
#ifndef ROOST_CLI_CLI_H
#define ROOST_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes; a second signal during a drain exits with 130. */
enum {
  ROOST_EXIT_OK = 0,
  ROOST_EXIT_FAILED = 1,  /* the remote side answered with an error, or a check failed */
  ROOST_EXIT_USAGE = 2,   /* the command line is wrong */
  ROOST_EXIT_CONNECT = 3, /* could not connect */
  ROOST_EXIT_TIMEOUT = 4  /* timed out */
};

typedef struct roost_command {
  const char *name;
  const char *summary; /* one line, for the list of commands */
  const char *help;    /* what --help prints */
  int (*run)(const struct roost_command *command, int argc, char **argv); /* argv[0] is the name */
} roost_command;

extern const roost_command roost_command_run;
extern const roost_command roost_command_check;
extern const roost_command roost_command_call;
extern const roost_command roost_command_emit;
extern const roost_command roost_command_reload;
extern const roost_command roost_command_status;
extern const roost_command roost_command_exec;
extern const roost_command roost_command_test;
extern const roost_command roost_command_bench;
extern const roost_command roost_command_new;
extern const roost_command roost_command_version;

/* All of them, NULL-terminated, in the order help shows them. */
extern const roost_command *const roost_commands[];

/* Writes the list of commands, or one command's help, to stdout; returns the exit code. */
int roost_help_all(void);
int roost_help_command(const roost_command *command);

/* Writes text to stdout and flushes it. False where that failed: quietly where nobody reads it any
 * more, else with a line on stderr; *code is the exit code then. */
bool roost_print(const char *text, size_t len, int *code);

/* One line on stderr, "roost NAME: ..." and where help is; returns the exit code for usage. */
int roost_usage_error(const roost_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
