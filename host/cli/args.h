/*
 * cli/args.h - reading a command line: options as data, then whatever is no option.
 *
 *     static const roost_option options[] = {{"--timeout", "MS", NULL}, {NULL}};
 *     roost_args args = {.command = command, .options = options, .argc = argc, .argv = argv};
 *     for (int option; (option = roost_args_next(&args)) != ROOST_ARGS_END;) switch (option) {...}
 *
 * An option's value is the next argument, or stands after "=". "--" ends the options; "-" and
 * negative numbers are none. Every text is borrowed from argv.
 */
#ifndef ROOST_CLI_ARGS_H
#define ROOST_CLI_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"

enum {
  ROOST_ARGS_END = -1,  /* no argument is left */
  ROOST_ARGS_WORD = -2, /* value is an argument that is no option */
  ROOST_ARGS_HELP = -3, /* --help or -h */
  ROOST_ARGS_ERROR = -4 /* said on stderr already */
};

typedef struct roost_option {
  const char *name;  /* "--timeout" or "-C"; NULL ends a table */
  const char *value; /* what help calls its value; NULL: it takes none */
  const char *later; /* why it cannot be used yet; NULL: it can */
} roost_option;

typedef struct roost_args {
  const roost_command *command; /* borrowed, for messages */
  const roost_option *options;  /* borrowed */
  int argc;
  char **argv;
  int at;            /* index of the argument read last */
  bool only_words;   /* "--" has been read */
  const char *value; /* of what was returned last */
} roost_args;

/* Index of the next option in the table, or one of ROOST_ARGS_. */
int roost_args_next(roost_args *args);

/* A whole number from 0 to max in plain digits. */
bool roost_args_number(const char *text, uint64_t max, uint64_t *number);

/* An address as "tcp://HOST:PORT" or "tls://HOST:PORT"; the port is 3000 where there is none, an
 * IPv6 address stands in brackets. False where it is none, with a fixed text in *why. */
typedef struct roost_url {
  char host[256];
  uint16_t port; /* 1 to 65535 */
  bool tls;
} roost_url;

bool roost_args_url(const char *text, roost_url *url, const char **why);

#endif
