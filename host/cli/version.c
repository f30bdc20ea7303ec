#include <stdio.h>
#include <uv.h>

#include "cli/args.h"
#include "config/script.h"
#include "net/crypto.h"
#include "roost.h"
#include "transport/transport.h"

static int run(const roost_command *command, int argc, char **argv) {
  static const roost_option options[] = {{0}};
  roost_args args = {.command = command, .options = options, .argc = argc, .argv = argv};
  const int option = roost_args_next(&args);
  if (option == ROOST_ARGS_HELP)
    return roost_help_command(command);
  if (option == ROOST_ARGS_ERROR)
    return ROOST_EXIT_USAGE;
  if (option != ROOST_ARGS_END)
    return roost_usage_error(command, "unexpected argument \"%s\"", args.value);
  char transports[128] = "";
  size_t named = 0;
  for (size_t i = 0; roost_transports[i] != NULL; i++)
    named += (size_t)snprintf(transports + named, sizeof transports - named, " %s",
                              roost_transports[i]->name);
  char text[384];
  const uint32_t version = roost_version();
  int code = ROOST_EXIT_OK;
  const int len =
      snprintf(text, sizeof text,
               "Roost %u.%u.%u\n"
               "Lua %s\n"
               "libuv %s\n"
               "OpenSSL %s\n"
               "transports:%s local\n",
               version / 10000, version / 100 % 100, version % 100, roost_script_lua_version(),
               uv_version_string(), roost_crypto_version(), transports);
  roost_print(text, (size_t)len, &code);
  return code;
}

const roost_command roost_command_version = {
    .name = "version",
    .summary = "show the versions of Roost and of what it is built on",
    .help = "Usage: roost version\n"
            "\n"
            "Prints the versions of Roost, Lua, libuv and OpenSSL, and the transports built in.\n",
    .run = run};
