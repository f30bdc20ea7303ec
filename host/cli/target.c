#include "cli/target.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/settings.h"

#define DEFAULT_URL  "tcp://127.0.0.1:3000"
#define DEFAULT_PATH "config/host.lua"

static const roost_client_config *find_named(const roost_settings *settings, const char *name) {
  for (size_t i = 0; i < settings->client_count; i++)
    if (strcmp(settings->clients[i].name, name) == 0)
      return &settings->clients[i];
  return NULL;
}

static int take_client(roost_cli_target *target, const roost_command *command,
                       const roost_client_config *client) {
  if (client == NULL)
    return roost_usage_error(command, "--client %s: %s has no client of that name",
                             target->client_name, DEFAULT_PATH);
  if (strcmp(client->transport, "tcp") != 0)
    return roost_usage_error(command,
                             "--client %s: its transport is %s, which exists in a host only",
                             target->client_name, client->transport);
  if (strlen(client->host) >= sizeof target->url.host)
    return roost_usage_error(command, "--client %s: its host is too long", target->client_name);
  if (client->framing != ROOST_FRAMING_NEST)
    return roost_usage_error(command, "--client %s: its framing is not nest", target->client_name);
  memcpy(target->url.host, client->host, strlen(client->host) + 1);
  target->url.tls = client->tls != NULL;
  target->url.port = client->port;
  const bool is_six = strchr(client->host, ':') != NULL;
  snprintf(target->text, sizeof target->text, is_six ? "%s (%s://[%s]:%u)" : "%s (%s://%s:%u)",
           target->client_name, target->url.tls ? "tls" : "tcp", client->host,
           (unsigned)client->port);
  char prefix[160];
  snprintf(prefix, sizeof prefix, "--client %.100s: tls.", target->client_name);
  return client->tls != NULL ? roost_cli_tls_read(&target->tls, command, client->tls, prefix)
                             : ROOST_EXIT_OK;
}

static int find_client(roost_cli_target *target, const roost_command *command) {
  const roost_settings_source source = {.path = DEFAULT_PATH, .only_clients = true};
  roost_problems problems;
  roost_settings *settings;
  if (access(DEFAULT_PATH, F_OK) != 0)
    return roost_usage_error(command, "--client %s: there is no %s", target->client_name,
                             DEFAULT_PATH);
  roost_problems_init(&problems, roost_alloc_default());
  int status = roost_settings_load(&settings, roost_alloc_default(), &source, &problems);
  int code = status == 0 ? take_client(target, command, find_named(settings, target->client_name))
                         : ROOST_EXIT_USAGE;
  for (size_t i = 0; i < problems.count; i++)
    if (problems.items[i].severity == ROOST_PROBLEM_ERROR)
      fprintf(stderr, "roost %s: %s\n", command->name, problems.items[i].text);
  if (status != 0 && problems.errors == 0)
    fprintf(stderr, "roost %s: %s: %s\n", command->name, DEFAULT_PATH, roost_status_name(status));
  roost_problems_deinit(&problems);
  roost_settings_free(settings);
  return code;
}

int roost_cli_target_find(roost_cli_target *target, const roost_command *command) {
  const char *why;
  if (target->url_text != NULL && target->client_name != NULL)
    return roost_usage_error(command, "--url and --client contradict each other");
  if (target->client_name != NULL && target->tls.option != NULL)
    return roost_usage_error(command, "--client and %s contradict each other", target->tls.option);
  if (target->client_name != NULL)
    return find_client(target, command);
  const char *text = target->url_text != NULL ? target->url_text : DEFAULT_URL;
  if (!roost_args_url(text, &target->url, &why))
    return roost_usage_error(command, "--url %s: %s", text, why);
  snprintf(target->text, sizeof target->text, "%s", text);
  return roost_cli_tls_open(&target->tls, command, &target->url);
}

void roost_cli_target_release(roost_cli_target *target) {
  roost_cli_tls_close(&target->tls);
}
