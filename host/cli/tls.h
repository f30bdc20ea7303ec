/*
 * cli/tls.h - the options of commands that dial tls:// URLs.
 *
 * The rows stand in the command's own table; whichever it is, it is handed to roost_cli_tls_take.
 * Texts are borrowed from argv; what roost_cli_tls_open makes is given back by roost_cli_tls_close.
 */
#ifndef ROOST_CLI_TLS_H
#define ROOST_CLI_TLS_H

#include "cli/args.h"
#include "net/tls.h"

#define ROOST_CLI_TLS_OPTIONS                                                                      \
  {"--tls-ca", "FILE", NULL}, {"--tls-cert", "FILE", NULL}, {"--tls-key", "FILE", NULL},           \
      {"--tls-name", "NAME", NULL}, {                                                              \
    "--insecure", NULL, NULL                                                                       \
  }

#define ROOST_CLI_TLS_HELP                                                                         \
  "  --tls-ca FILE      for tls:// URLs: who is trusted (as the system says)\n"                    \
  "  --tls-cert FILE    our certificate, with --tls-key\n"                                         \
  "  --tls-key FILE     its private key\n"                                                         \
  "  --tls-name NAME    whose certificate it must be (the URL's host)\n"                           \
  "  --insecure         accept any certificate\n"

typedef struct roost_cli_tls {
  const char *ca[2]; /* ends with NULL */
  roost_tls_config config;
  const char *option;         /* one that was given; NULL: none */
  roost_tls_context *context; /* NULL: plain */
} roost_cli_tls;

/* Takes an option if it is one of these. */
bool roost_cli_tls_take(roost_cli_tls *tls, const char *name, const char *value);

/* Makes the context of a configuration; prefix begins what is said of its keys. The exit code, with
 * a line on stderr. */
int roost_cli_tls_read(roost_cli_tls *tls, const roost_command *command,
                       const roost_tls_config *config, const char *prefix);

/* Reads the files, where the URL wants TLS. The exit code, with a line on stderr. */
int roost_cli_tls_open(roost_cli_tls *tls, const roost_command *command, const roost_url *url);

void roost_cli_tls_close(roost_cli_tls *tls);

#endif
