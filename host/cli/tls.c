#include "cli/tls.h"

#include <stdio.h>
#include <string.h>

bool roost_cli_tls_take(roost_cli_tls *tls, const char *name, const char *value) {
  const struct {
    const char *name;
    const char **place;
  } texts[] = {{"--tls-ca", &tls->ca[0]},
               {"--tls-cert", &tls->config.cert},
               {"--tls-key", &tls->config.key},
               {"--tls-name", &tls->config.servername}};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (strcmp(texts[i].name, name) != 0)
      continue;
    *texts[i].place = value;
    tls->option = texts[i].name;
    return true;
  }
  if (strcmp(name, "--insecure") != 0)
    return false;
  tls->config.insecure = true;
  tls->option = "--insecure";
  return true;
}

int roost_cli_tls_read(roost_cli_tls *tls, const roost_command *command,
                       const roost_tls_config *config, const char *prefix) {
  roost_buffer text;
  roost_buffer_init(&text, roost_alloc_default());
  const int status = roost_tls_client_context(&tls->context, roost_alloc_default(), config, &text);
  int code = ROOST_EXIT_OK;
  if (status == ROOST_ECONFIG)
    code = roost_usage_error(command, "%s%.*s", prefix, (int)text.len, text.ptr);
  else if (status != 0)
    code = roost_usage_error(command, "out of memory");
  else if (text.len > 0)
    fprintf(stderr, "roost %s: %s%.*s\n", command->name, prefix, (int)text.len, text.ptr);
  roost_buffer_deinit(&text);
  return code;
}

int roost_cli_tls_open(roost_cli_tls *tls, const roost_command *command, const roost_url *url) {
  if (!url->tls)
    return tls->option == NULL ? ROOST_EXIT_OK
                               : roost_usage_error(command, "%s is for tls:// URLs", tls->option);
  if (tls->config.insecure)
    fprintf(stderr, "roost %s: --insecure: the server's certificate is not verified\n",
            command->name);
  if (tls->ca[0] != NULL)
    tls->config.ca = tls->ca;
  return roost_cli_tls_read(tls, command, &tls->config, "--tls-");
}

void roost_cli_tls_close(roost_cli_tls *tls) {
  roost_tls_context_release(tls->context);
  tls->context = NULL;
}
