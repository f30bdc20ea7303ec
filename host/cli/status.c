/* roost status: what the host that runs here is doing. */
#include <stdio.h>

#include "cli/admin.h"
#include "cli/args.h"
#include "cli/input.h"
#include "cli/status_text.h"
#include "core/slice.h"

#define TIMEOUT_MS 10000

enum { OPTION_SOCKET, OPTION_JSON };

static const roost_option options[] = {{"--socket", "S", NULL}, {"--json", NULL, NULL}, {0}};

static int show(const roost_command *command, const char *socket, bool json, roost_buffer *bytes,
                roost_buffer *text) {
  roost_slice body;
  int code = roost_cli_admin_ask(&body, bytes, command, socket, "GET", "/status", TIMEOUT_MS);
  if (code != ROOST_EXIT_OK)
    return code;
  int status = 0;
  if (json) {
    status = roost_buffer_append_slice(text, body);
    if (status == 0)
      status = roost_buffer_append_byte(text, '\n');
  } else {
    status = roost_status_text(text, body);
  }
  if (status == ROOST_EPROTO) {
    fprintf(stderr, "roost status: what %s answers is no status\n", socket);
    return ROOST_EXIT_FAILED;
  }
  if (status != 0)
    return roost_input_out_of_memory(command);
  roost_print(text->ptr, text->len, &code);
  return code;
}

static int run(const roost_command *command, int argc, char **argv) {
  roost_args args = {.command = command, .options = options, .argc = argc, .argv = argv};
  const char *socket = ROOST_CLI_SOCKET;
  bool json = false;
  for (int option; (option = roost_args_next(&args)) != ROOST_ARGS_END;) {
    if (option == ROOST_ARGS_HELP)
      return roost_help_command(command);
    if (option == ROOST_ARGS_WORD)
      return roost_usage_error(command, "unexpected argument \"%s\"", args.value);
    if (option == ROOST_ARGS_ERROR)
      return ROOST_EXIT_USAGE;
    if (option == OPTION_SOCKET)
      socket = args.value;
    else
      json = true;
  }
  roost_buffer bytes;
  roost_buffer text;
  roost_buffer_init(&bytes, roost_alloc_default());
  roost_buffer_init(&text, roost_alloc_default());
  const int code = show(command, socket, json, &bytes, &text);
  roost_buffer_deinit(&bytes);
  roost_buffer_deinit(&text);
  return code;
}

const roost_command roost_command_status = {
    .name = "status",
    .summary = "show what a running host is doing",
    .help = "Usage: roost status [--socket S] [--json]\n"
            "\n"
            "Shows the services, listeners and clients of the host that runs in this directory:\n"
            "generations, connections, rates, errors, memory. Rates and percentiles are of the\n"
            "last half to whole minute.\n"
            "\n" ROOST_CLI_SOCKET_HELP "  --json      print it as JSON\n"
            "\n"
            "It exits with 3 if no host answers there, and with 4 if it does not in 10 s.\n",
    .run = run};
