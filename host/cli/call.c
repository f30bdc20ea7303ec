/* roost call and roost emit: one packet to a host or a Nest server, over one connection. */
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/input.h"
#include "cli/json_text.h"
#include "cli/target.h"
#include "core/error_text.h"
#include "core/slice.h"
#include "net/crypto.h"
#include "wire/json.h"

#define DEFAULT_TIMEOUT_MS 30000
#define MAX_TIMEOUT_MS     1000000000
#define ID_DIGITS          21 /* as many as Nest's ids have */

enum { OPTION_URL, OPTION_TIMEOUT, OPTION_META, OPTION_CLIENT };

static const roost_option options[] = {{"--url", "URL", NULL},        {"--timeout", "MS", NULL},
                                       {"--meta", "KEY=VALUE", NULL}, {"--client", "NAME", NULL},
                                       ROOST_CLI_TLS_OPTIONS,         {0}};

/* One run of the command. */
typedef struct request {
  const roost_command *command;
  roost_cli_target target;
  uint64_t timeout_ms;
  const char *pattern_text; /* NULL: not given */
  const char *data_text;    /* NULL: not given */
  roost_buffer pattern;     /* JSON text */
  roost_buffer data;        /* JSON text */
  roost_buffer metadata;    /* JSON text, or empty; unclosed while arguments are read */
  roost_buffer line;        /* to be printed */
  int code;                 /* to exit with */
} request;

static bool is_emit(const request *r) {
  return r->command == &roost_command_emit;
}

/* ------------------------------------------------------------------------- arguments --------- */

static int add_metadata(request *r, const char *text) {
  const char *equals = strchr(text, '=');
  if (equals == NULL || equals == text)
    return roost_usage_error(r->command, "--meta wants KEY=VALUE, got \"%s\"", text);
  int status = roost_buffer_append_byte(&r->metadata, r->metadata.len == 0 ? '{' : ',');
  if (status == 0)
    status = roost_json_write_string(&r->metadata, roost_slice_of(text, (size_t)(equals - text)));
  if (status == 0)
    status = roost_buffer_append_byte(&r->metadata, ':');
  if (status == 0)
    status = roost_json_write_string(&r->metadata, roost_slice_text(equals + 1));
  if (status == ROOST_EINVAL)
    return roost_usage_error(r->command, "--meta is not UTF-8");
  return status == 0 ? ROOST_EXIT_OK : roost_input_out_of_memory(r->command);
}

static int add_word(request *r, const char *word) {
  if (r->pattern_text == NULL)
    r->pattern_text = word;
  else if (r->data_text == NULL)
    r->data_text = word;
  else
    return roost_usage_error(r->command, "unexpected argument \"%s\"", word);
  return ROOST_EXIT_OK;
}

/* Reads the command line; *over where the help was all that was wanted. */
static int read_args(request *r, int argc, char **argv, bool *over) {
  roost_args args = {.command = r->command, .options = options, .argc = argc, .argv = argv};
  int code = ROOST_EXIT_OK;
  while (code == ROOST_EXIT_OK) {
    const int option = roost_args_next(&args);
    if (option == ROOST_ARGS_END) {
      break;
    } else if (option == ROOST_ARGS_HELP) {
      *over = true;
      return roost_help_command(r->command);
    } else if (option == ROOST_ARGS_ERROR) {
      return ROOST_EXIT_USAGE;
    } else if (option == ROOST_ARGS_WORD) {
      code = add_word(r, args.value);
    } else if (option == OPTION_URL) {
      r->target.url_text = args.value;
    } else if (option == OPTION_CLIENT) {
      r->target.client_name = args.value;
    } else if (roost_cli_tls_take(&r->target.tls, options[option].name, args.value)) {
      continue;
    } else if (option == OPTION_META) {
      code = add_metadata(r, args.value);
    } else if (!roost_args_number(args.value, MAX_TIMEOUT_MS, &r->timeout_ms)) {
      code = roost_usage_error(r->command, "--timeout wants milliseconds, got \"%s\"", args.value);
    }
  }
  if (code == ROOST_EXIT_OK && r->pattern_text == NULL)
    code = roost_usage_error(r->command, "no PATTERN given");
  return code == ROOST_EXIT_OK ? roost_cli_target_find(&r->target, r->command) : code;
}

/* ------------------------------------------------------------------------- replies ----------- */

static bool print_error(request *r, roost_slice err) {
  roost_buffer_clear(&r->line);
  r->code = ROOST_EXIT_FAILED;
  if (roost_json_text_error(&r->line, err) != 0) {
    roost_input_out_of_memory(r->command);
    return false;
  }
  fprintf(stderr, "%.*s\n", (int)r->line.len, r->line.len > 0 ? r->line.ptr : "");
  return false;
}

static bool on_reply(void *ud, const roost_reply *reply) {
  request *r = ud;
  if (reply->err.ptr != NULL)
    return print_error(r, reply->err);
  if (reply->response.ptr == NULL)
    return true; /* JavaScript's undefined: nothing to print */
  roost_buffer_clear(&r->line);
  if (roost_json_text_compact(&r->line, reply->response) != 0 ||
      roost_buffer_append_byte(&r->line, '\n') != 0) {
    r->code = roost_input_out_of_memory(r->command);
    return false;
  }
  return roost_print(r->line.ptr, r->line.len, &r->code);
}

static int explain(const request *r, const roost_cli_client *client, int status) {
  switch (status) {
  case ROOST_ECONNECT:
    fprintf(stderr, "roost %s: could not connect to %s: %s\n", r->command->name, r->target.text,
            roost_error_text(client->why));
    return ROOST_EXIT_CONNECT;
  case ROOST_ETIMEDOUT:
    fprintf(stderr, "roost %s: no reply within %llu ms\n", r->command->name,
            (unsigned long long)r->timeout_ms);
    return ROOST_EXIT_TIMEOUT;
  case ROOST_EPROTO:
    fprintf(stderr, "roost %s: this is no Nest peer: %s\n", r->command->name, client->why);
    return ROOST_EXIT_FAILED;
  default:
    fprintf(stderr, "roost %s: %s\n", r->command->name, client->why);
    return ROOST_EXIT_FAILED;
  }
}

/* ------------------------------------------------------------------------- the exchange ------ */

static int make_id(char id[ID_DIGITS + 3]) {
  unsigned char bytes[(ID_DIGITS + 1) / 2];
  const int status = roost_random_bytes(bytes, sizeof bytes);
  id[0] = '"';
  for (size_t i = 0; i < ID_DIGITS; i++)
    id[i + 1] = "0123456789abcdef"[(bytes[i / 2] >> (i % 2 * 4)) & 15];
  memcpy(id + 1 + ID_DIGITS, "\"", 2);
  return status;
}

static int exchange(request *r, roost_cli_client *client, const roost_message *message) {
  int status = roost_cli_client_open(client, &r->target.config, r->timeout_ms);
  if (status == 0)
    status = roost_cli_client_send(client, message);
  if (status == 0)
    status = is_emit(r) ? roost_cli_client_flush(client)
                        : roost_cli_client_replies(client, message->id, on_reply, r);
  return status;
}

static int talk(request *r) {
  char id[ID_DIGITS + 3];
  roost_cli_client client;
  roost_message message = {.pattern = roost_buffer_slice(&r->pattern),
                           .data = roost_buffer_slice(&r->data)};
  if (r->metadata.len > 0) {
    if (roost_buffer_append_byte(&r->metadata, '}') != 0)
      return roost_input_out_of_memory(r->command);
    message.metadata = roost_buffer_slice(&r->metadata);
  }
  if (!is_emit(r)) {
    if (make_id(id) != 0) {
      fprintf(stderr, "roost %s: no random numbers for an id\n", r->command->name);
      return ROOST_EXIT_FAILED;
    }
    message.id = roost_slice_text(id);
  }
  const int status = exchange(r, &client, &message);
  const int code = status == 0 ? r->code : explain(r, &client, status);
  roost_cli_client_close(&client);
  return code;
}

static int run(const roost_command *command, int argc, char **argv) {
  request r = {.command = command, .timeout_ms = DEFAULT_TIMEOUT_MS};
  roost_buffer *const buffers[] = {&r.pattern, &r.data, &r.metadata, &r.line};
  const size_t count = sizeof buffers / sizeof buffers[0];
  bool over = false;
  for (size_t i = 0; i < count; i++)
    roost_buffer_init(buffers[i], roost_alloc_default());
  int code = read_args(&r, argc, argv, &over);
  if (!over && code == ROOST_EXIT_OK)
    code = roost_input_pattern(&r.pattern, command, r.pattern_text);
  if (!over && code == ROOST_EXIT_OK)
    code = roost_input_data(&r.data, command, r.data_text);
  if (!over && code == ROOST_EXIT_OK)
    code = talk(&r);
  for (size_t i = 0; i < count; i++)
    roost_buffer_deinit(buffers[i]);
  roost_cli_target_release(&r.target);
  return code;
}

#define OPTIONS_HELP                                                                               \
  "PATTERN and DATA are JSON, or plain text where they are none: sum, 7, '{\"cmd\":\"sum\"}'.\n"   \
  "Without DATA {} is sent; - reads it from stdin.\n"                                              \
  "\n"                                                                                             \
  "  --url URL          where to (tcp://127.0.0.1:3000), tls:// with TLS; or a broker:\n"          \
  "                     nats, redis, mqtt, amqp, kafka\n"                                          \
  "  --client NAME      where that client of config/host.lua connects to\n"                        \
  "  --meta KEY=VALUE   metadata, as text; may be given several times\n" ROOST_CLI_TLS_HELP

const roost_command roost_command_call = {
    .name = "call",
    .summary = "send a request and print the replies",
    .help = "Usage: roost call [--url URL | --client NAME] [--timeout MS]\n"
            "                  [--meta KEY=VALUE]... PATTERN [DATA]\n"
            "\n"
            "Sends a request to a Roost host or a NestJS server and prints every reply as one\n"
            "line of JSON; a reply without a value prints nothing.\n" OPTIONS_HELP
            "  --timeout MS       how long to wait for the connection and for each reply\n"
            "                     (30000; 0: for ever)\n"
            "\n"
            "It exits with 1 if the answer is an error, which goes to stderr, or the connection\n"
            "is lost, with 3 if it could not connect, and with 4 if the time is over.\n",
    .run = run};

const roost_command roost_command_emit = {
    .name = "emit",
    .summary = "send an event",
    .help = "Usage: roost emit [--url URL | --client NAME] [--timeout MS]\n"
            "                  [--meta KEY=VALUE]... PATTERN [DATA]\n"
            "\n"
            "Sends an event to a Roost host or a NestJS server. Nobody answers an event: that it\n"
            "was sent does not mean that somebody handles it.\n" OPTIONS_HELP
            "  --timeout MS       how long to wait for the connection and until it is written\n"
            "                     (30000; 0: for ever)\n"
            "\n"
            "It exits with 3 if it could not connect, with 4 if the time is over, and with 1 if\n"
            "the connection is lost.\n",
    .run = run};
