/*
 * cli/bench_args.h - the command line of roost bench. Every text is borrowed from argv.
 */
#ifndef ROOST_CLI_BENCH_ARGS_H
#define ROOST_CLI_BENCH_ARGS_H

#include "cli/target.h"

typedef struct roost_bench_args {
  roost_cli_target target;
  uint64_t connections;
  uint64_t in_flight; /* at most, on each connection */
  double seconds;
  double warmup; /* seconds before them */
  double rate;   /* requests per second; 0: as fast as they are answered */
  uint64_t timeout_ms;
  const char *expect;  /* NULL: what the first call is answered with */
  bool any;            /* every value is right */
  bool json;           /* print one line of JSON */
  const char *pattern; /* as given */
  const char *data;    /* NULL: not given */
} roost_bench_args;

/* Reads the arguments, and the files they name. *go_on is false where the command is over already;
 * the exit code is returned then. Else the target is to be released. */
int roost_bench_args_read(roost_bench_args *bench, const roost_command *command, int argc,
                          char **argv, bool *go_on);

#endif
