/*
 * cli/admin.h - what status and reload have in common: a request to the host that runs here.
 *
 * What is wrong is said on stderr; the exit code is returned. One thread.
 */
#ifndef ROOST_CLI_ADMIN_H
#define ROOST_CLI_ADMIN_H

#include "admin/client.h"
#include "cli/cli.h"

#define ROOST_CLI_SOCKET      "run/roost.sock"
#define ROOST_CLI_SOCKET_HELP "  --socket S  the host's admin socket (" ROOST_CLI_SOCKET ")\n"

/* Sends a request to the host at that socket and reads its answer into *bytes, an empty buffer;
 * *body borrows from it. */
int roost_cli_admin_ask(roost_slice *body, roost_buffer *bytes, const roost_command *command,
                        const char *socket, const char *method, const char *target,
                        uint32_t timeout_ms);

/* Prints a text of another process, but for its control characters that are no line ends. */
bool roost_cli_print_plain(roost_slice text, int *code);

#endif
