#include "cli/target.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/brokers.h"
#include "core/slice.h"
#include "core/url.h"

#define DEFAULT_URL     "tcp://127.0.0.1:3000"
#define DEFAULT_PATH    "config/host.lua"
#define MAX_REPLY_BYTES ((size_t)1 << 30)

/* ------------------------------------------------------------------------- configurations ---- */

static const roost_client_config *find_named(const roost_settings *settings, const char *name) {
  for (size_t i = 0; settings != NULL && i < settings->client_count; i++)
    if (strcmp(settings->clients[i].name, name) == 0)
      return &settings->clients[i];
  return NULL;
}

/* Into target->settings. The exit code, with what is wrong on stderr; of_keys is left out of it. */
static int load(roost_cli_target *target, const roost_command *command,
                const roost_settings_source *source, const char *of_keys) {
  roost_problems problems;
  roost_problems_init(&problems, roost_alloc_default());
  const int status =
      roost_settings_load(&target->settings, roost_alloc_default(), source, &problems);
  const size_t skip = strlen(of_keys);
  for (size_t i = 0; i < problems.count; i++) {
    const char *text = problems.items[i].text;
    if (problems.items[i].severity == ROOST_PROBLEM_ERROR)
      fprintf(stderr, "roost %s: %s\n", command->name,
              strncmp(text, of_keys, skip) == 0 ? text + skip : text);
  }
  if (status != 0 && problems.errors == 0)
    fprintf(stderr, "roost %s: %s: %s\n", command->name, source->path, roost_status_name(status));
  roost_problems_deinit(&problems);
  return status == 0 ? ROOST_EXIT_OK : ROOST_EXIT_USAGE;
}

static bool is_tcp(const roost_client_config *config) {
  return strcmp(config->transport, "tcp") == 0;
}

/* ------------------------------------------------------------------------- named clients ----- */

/* What the load generator, which has connections of its own, wants to know. */
static int take_tcp(roost_cli_target *target, const roost_command *command) {
  const roost_client_config *client = &target->config;
  char prefix[160];
  if (strlen(client->host) >= sizeof target->url.host)
    return roost_usage_error(command, "--client %s: its host is too long", target->client_name);
  memcpy(target->url.host, client->host, strlen(client->host) + 1);
  target->url.tls = client->tls != NULL;
  target->url.port = client->port;
  snprintf(prefix, sizeof prefix, "--client %.100s: tls.", target->client_name);
  return client->tls != NULL ? roost_cli_tls_read(&target->tls, command, client->tls, prefix)
                             : ROOST_EXIT_OK;
}

static int take_client(roost_cli_target *target, const roost_command *command,
                       const roost_client_config *client) {
  if (client == NULL)
    return roost_usage_error(command, "--client %s: %s has no client of that name",
                             target->client_name, DEFAULT_PATH);
  if (roost_transport_find(client->transport) == NULL)
    return roost_usage_error(command,
                             "--client %s: its transport is %s, which exists in a host only",
                             target->client_name, client->transport);
  if (client->serializer != NULL || client->deserializer != NULL)
    return roost_usage_error(command, "--client %s: its serializer exists in a host only",
                             target->client_name);
  target->config = *client;
  const bool is_six = strchr(client->host, ':') != NULL;
  snprintf(target->text, sizeof target->text, is_six ? "%s (%s://[%s]:%u)" : "%s (%s://%s:%u)",
           target->client_name, is_tcp(client) && client->tls != NULL ? "tls" : client->transport,
           client->host, (unsigned)client->port);
  return is_tcp(client) ? take_tcp(target, command) : ROOST_EXIT_OK;
}

static int find_client(roost_cli_target *target, const roost_command *command) {
  const roost_settings_source source = {.path = DEFAULT_PATH, .only_clients = true};
  if (access(DEFAULT_PATH, F_OK) != 0)
    return roost_usage_error(command, "--client %s: there is no %s", target->client_name,
                             DEFAULT_PATH);
  const int code = load(target, command, &source, "");
  return code == ROOST_EXIT_OK
             ? take_client(target, command, find_named(target->settings, target->client_name))
             : code;
}

/* ------------------------------------------------------------------------- URLs -------------- */

static int take_tcp_url(roost_cli_target *target, const roost_command *command, const char *text) {
  const char *why;
  if (!roost_args_url(text, &target->url, &why))
    return roost_usage_error(command, "--url %s: %s", text, why);
  roost_client_config_init(&target->config);
  target->config.host = target->url.host;
  target->config.port = target->url.port;
  target->config.tls = target->url.tls ? &target->tls.config : NULL;
  target->config.max_buffer_size = MAX_REPLY_BYTES;
  target->config.incomplete_message_timeout = 0;
  target->config.max_send_buffer_size = 0;
  return roost_cli_tls_open(&target->tls, command, &target->url);
}

/* As a client of a configuration that says no more than the command line does. */
static int take_broker_url(roost_cli_target *target, const roost_command *command,
                           const char *text) {
  static const char prefix[] = "--url: clients.target.";
  const roost_tls_config *tls = &target->tls.config;
  const roost_override all[] = {
      {"clients.target.url", text, true},
      {"clients.target.tls.ca", target->tls.ca[0], true},
      {"clients.target.tls.cert", tls->cert, true},
      {"clients.target.tls.key", tls->key, true},
      {"clients.target.tls.servername", tls->servername, true},
      {"clients.target.tls.insecure", tls->insecure ? "true" : NULL, false}};
  roost_override given[sizeof all / sizeof all[0]];
  size_t count = 0;
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    if (all[i].value != NULL)
      given[count++] = all[i];
  const roost_settings_source source = {.path = "--url",
                                        .text = "return { clients = { target = {} } }",
                                        .overrides = given,
                                        .override_count = count,
                                        .only_clients = true};
  const int code = load(target, command, &source, prefix);
  if (code != ROOST_EXIT_OK)
    return code;
  target->config = *find_named(target->settings, "target");
  if (tls->insecure)
    fprintf(stderr, "roost %s: --insecure: the server's certificate is not verified\n",
            command->name);
  return ROOST_EXIT_OK;
}

/* A password is nobody's business. */
static void show_url(roost_cli_target *target, const char *text, const roost_url_parts *parts) {
  if (parts->user.ptr == NULL)
    snprintf(target->text, sizeof target->text, "%s", text);
  else
    snprintf(target->text, sizeof target->text, "%.*s://%s:%u", (int)parts->scheme.len,
             parts->scheme.ptr, target->config.host, (unsigned)target->config.port);
}

static bool is_tcp_scheme(roost_slice scheme) {
  return roost_slice_equal(scheme, ROOST_SLICE("tcp")) ||
         roost_slice_equal(scheme, ROOST_SLICE("tls"));
}

/* Nobody's scheme: all there are in this build. */
static int refuse_scheme(const roost_command *command, const char *text) {
  const roost_broker_schema *schema;
  char known[160] = "tcp, tls";
  size_t len = strlen(known);
  for (size_t i = 0; (schema = roost_broker_schema_at(i)) != NULL; i++)
    for (const char *const *at = schema->schemes; *at != NULL && len < sizeof known; at++)
      if (**at != '\0' && !is_tcp_scheme(roost_slice_text(*at)))
        len += (size_t)snprintf(known + len, sizeof known - len, ", %s", *at);
  return roost_usage_error(command, "--url %s: its scheme is none of %s", text, known);
}

static int find_url(roost_cli_target *target, const roost_command *command) {
  const char *text = target->url_text != NULL ? target->url_text : DEFAULT_URL;
  roost_url_parts parts;
  const bool is_url = roost_url_read(text, &parts);
  const bool is_broker = is_url && roost_broker_schema_of(parts.scheme) != NULL;
  if (is_url && !is_broker && !is_tcp_scheme(parts.scheme))
    return refuse_scheme(command, text);
  const int code =
      is_broker ? take_broker_url(target, command, text) : take_tcp_url(target, command, text);
  if (code == ROOST_EXIT_OK)
    show_url(target, text, &parts);
  return code;
}

int roost_cli_target_find(roost_cli_target *target, const roost_command *command) {
  if (target->url_text != NULL && target->client_name != NULL)
    return roost_usage_error(command, "--url and --client contradict each other");
  if (target->client_name != NULL && target->tls.option != NULL)
    return roost_usage_error(command, "--client and %s contradict each other", target->tls.option);
  return target->client_name != NULL ? find_client(target, command) : find_url(target, command);
}

void roost_cli_target_release(roost_cli_target *target) {
  roost_cli_tls_close(&target->tls);
  roost_settings_free(target->settings);
  target->settings = NULL;
}
