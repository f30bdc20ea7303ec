/*
 * cli/config.h - the arguments that run and check have in common: [-C DIR] [--set K=V]... [CONFIG].
 *
 * roost_cli_config owns its list; the texts are borrowed from argv, whose --set arguments it cuts
 * in two.
 */
#ifndef ROOST_CLI_CONFIG_H
#define ROOST_CLI_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"

typedef struct roost_cli_set {
  const char *key;
  const char *value;
} roost_cli_set;

typedef struct roost_cli_config {
  const char *path; /* NULL: the configuration compiled in */
  roost_cli_set *sets;
  size_t set_count;
  bool start; /* --start, where the command has it */
} roost_cli_config;

/* Reads the arguments and changes to DIR. *go_on is false where the command is over already; the
 * exit code is returned then, and nothing is to be freed. */
int roost_cli_config_read(roost_cli_config *config, const roost_command *command, int argc,
                          char **argv, bool *go_on);
void roost_cli_config_free(roost_cli_config *config);

#endif
