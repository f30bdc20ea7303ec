/*
 * cli/target.h - where call, emit and bench send to: a URL, or a client of the configuration.
 */
#ifndef ROOST_CLI_TARGET_H
#define ROOST_CLI_TARGET_H

#include "cli/args.h"
#include "cli/tls.h"
#include "config/settings.h"

typedef struct roost_cli_target {
  const char *url_text;       /* --url, or NULL */
  const char *client_name;    /* --client, or NULL */
  roost_cli_tls tls;          /* its options, and the context of a tcp one that speaks TLS */
  roost_url url;              /* where that is; of transport tcp only */
  roost_client_config config; /* of whatever transport */
  roost_settings *settings;   /* has what config points at; NULL: nothing */
  char text[384];             /* for messages */
} roost_cli_target;

/* Fills in url, config, text and the context of tls; without --url and --client it is the default.
 * Says what is wrong on stderr and returns the exit code. */
int roost_cli_target_find(roost_cli_target *target, const roost_command *command);

/* Gives back what it holds. */
void roost_cli_target_release(roost_cli_target *target);

#endif
