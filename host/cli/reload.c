/* roost reload: has the host that runs here load its services anew. */
#include <stdio.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/args.h"
#include "cli/input.h"
#include "core/slice.h"
#include "wire/json.h"

#define TIMEOUT_MS 120000 /* a service may take long to start */

enum { OPTION_SOCKET };

static const roost_option options[] = {{"--socket", "S", NULL}, {0}};

/* One run of the command. */
typedef struct reloading {
  const roost_command *command;
  const char *socket;
  roost_buffer target;
  roost_buffer bytes; /* the answer */
  roost_buffer line;
  int code; /* to exit with */
} reloading;

/* ------------------------------------------------------------------------- the answer -------- */

static int put_number(roost_buffer *line, roost_json_type type, const roost_json_token *token) {
  return type == ROOST_JSON_INTEGER ? roost_buffer_printf(line, "%lld", (long long)token->integer)
                                    : roost_buffer_append_byte(line, '-');
}

static int put_text(roost_buffer *out, const roost_json_token *token) {
  const int status = roost_buffer_reserve(out, token->text.len);
  if (status == 0 && token->text.len > 0)
    out->len += roost_json_unescape(out->ptr + out->len, token->text);
  return status;
}

/* What a reload says of one service. */
typedef struct outcome {
  roost_buffer service;
  roost_buffer from;
  roost_buffer to;
  roost_buffer refused;
} outcome;

/* Reads the object that the reader is inside of. */
static int read_outcome(outcome *got, roost_json_reader *reader) {
  roost_json_token key;
  int status = 0;
  while (status == 0 && roost_json_next(reader, &key) == ROOST_JSON_KEY) {
    roost_json_token value;
    const roost_slice name = key.text;
    const roost_json_type type = roost_json_next(reader, &value);
    if (type == ROOST_JSON_ARRAY || type == ROOST_JSON_OBJECT)
      status = roost_json_skip(reader);
    else if (roost_slice_equal(name, ROOST_SLICE("service")) && type == ROOST_JSON_STRING)
      status = put_text(&got->service, &value);
    else if (roost_slice_equal(name, ROOST_SLICE("refused")) && type == ROOST_JSON_STRING)
      status = put_text(&got->refused, &value);
    else if (roost_slice_equal(name, ROOST_SLICE("from")))
      status = put_number(&got->from, type, &value);
    else if (roost_slice_equal(name, ROOST_SLICE("to")))
      status = put_number(&got->to, type, &value);
  }
  return reader->error != NULL ? ROOST_EPROTO : status;
}

static int print_outcome(reloading *r, const outcome *got) {
  roost_buffer_clear(&r->line);
  int status = roost_buffer_append_slice(&r->line, roost_buffer_slice(&got->service));
  const bool refused = got->refused.len > 0;
  if (status == 0 && refused)
    status =
        roost_buffer_printf(&r->line, " refused: %.*s\n", (int)got->refused.len, got->refused.ptr);
  else if (status == 0)
    status = roost_buffer_printf(&r->line, " gen %.*s -> %.*s\n", (int)got->from.len,
                                 got->from.len > 0 ? got->from.ptr : "", (int)got->to.len,
                                 got->to.len > 0 ? got->to.ptr : "");
  if (status == 0 && refused)
    r->code = ROOST_EXIT_FAILED;
  int code = r->code;
  if (status == 0 && !roost_cli_print_plain(roost_buffer_slice(&r->line), &code))
    r->code = code;
  return status;
}

static int print_one(reloading *r, roost_json_reader *reader) {
  outcome got;
  roost_buffer *const parts[] = {&got.service, &got.from, &got.to, &got.refused};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
    roost_buffer_init(parts[i], roost_alloc_default());
  int status = read_outcome(&got, reader);
  if (status == 0)
    status = print_outcome(r, &got);
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
    roost_buffer_deinit(parts[i]);
  return status;
}

static int print_all(reloading *r, roost_slice json) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_type type;
  roost_json_reader_init(&reader, json);
  if (roost_json_next(&reader, &token) != ROOST_JSON_ARRAY)
    return ROOST_EPROTO;
  while ((type = roost_json_next(&reader, &token)) == ROOST_JSON_OBJECT) {
    const int status = print_one(r, &reader);
    if (status != 0)
      return status;
  }
  return type == ROOST_JSON_ARRAY_END ? 0 : ROOST_EPROTO;
}

/* ------------------------------------------------------------------------- the request ------- */

/* Appends a name as part of a URL. */
static int put_escaped(roost_buffer *out, const char *name) {
  int status = 0;
  for (; *name != '\0' && status == 0; name++) {
    const unsigned char byte = (unsigned char)*name;
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                       (byte >= 'A' && byte <= 'Z') || strchr("-._~", byte) != NULL;
    status = plain ? roost_buffer_append_byte(out, (char)byte)
                   : roost_buffer_printf(out, "%%%02X", byte);
  }
  return status;
}

static int write_target(reloading *r, const char *service) {
  roost_buffer_clear(&r->target);
  int status = roost_buffer_append_slice(&r->target, ROOST_SLICE("/reload"));
  if (status == 0 && service != NULL)
    status = roost_buffer_append_byte(&r->target, '/');
  if (status == 0 && service != NULL)
    status = put_escaped(&r->target, service);
  return status == 0 ? roost_buffer_append_byte(&r->target, '\0') : status;
}

/* service NULL: all. Returns false where there is no point in going on. */
static bool reload(reloading *r, const char *service) {
  roost_slice body;
  if (write_target(r, service) != 0) {
    r->code = roost_input_out_of_memory(r->command);
    return false;
  }
  roost_buffer_clear(&r->bytes);
  const int code = roost_cli_admin_ask(&body, &r->bytes, r->command, r->socket, "POST",
                                       r->target.ptr, TIMEOUT_MS);
  if (code != ROOST_EXIT_OK) {
    r->code = code;
    return code == ROOST_EXIT_FAILED;
  }
  const int status = print_all(r, body);
  if (status == ROOST_EPROTO) {
    fprintf(stderr, "roost reload: what %s answers is no outcome\n", r->socket);
    r->code = ROOST_EXIT_FAILED;
  } else if (status != 0) {
    r->code = roost_input_out_of_memory(r->command);
  }
  return status == 0;
}

/* The words are moved to the front of argv; returns how many, or an exit code below 0. */
static int read_args(reloading *r, int argc, char **argv, bool *over) {
  roost_args args = {.command = r->command, .options = options, .argc = argc, .argv = argv};
  int words = 0;
  for (int option; (option = roost_args_next(&args)) != ROOST_ARGS_END;) {
    if (option == OPTION_SOCKET) {
      r->socket = args.value;
    } else if (option == ROOST_ARGS_WORD && *args.value == '\0') {
      *over = true;
      r->code = roost_usage_error(r->command, "a service has a name");
      return 0;
    } else if (option == ROOST_ARGS_WORD) {
      argv[words++] = (char *)(uintptr_t)args.value;
    } else {
      *over = true;
      r->code = option == ROOST_ARGS_HELP ? roost_help_command(r->command) : ROOST_EXIT_USAGE;
      return 0;
    }
  }
  return words;
}

static int run(const roost_command *command, int argc, char **argv) {
  reloading r = {.command = command, .socket = ROOST_CLI_SOCKET, .code = ROOST_EXIT_OK};
  bool over = false;
  const int words = read_args(&r, argc, argv, &over);
  roost_buffer_init(&r.target, roost_alloc_default());
  roost_buffer_init(&r.bytes, roost_alloc_default());
  roost_buffer_init(&r.line, roost_alloc_default());
  if (!over && words == 0)
    reload(&r, NULL);
  for (int i = 0; !over && i < words; i++)
    if (!reload(&r, argv[i]))
      break;
  roost_buffer_deinit(&r.target);
  roost_buffer_deinit(&r.bytes);
  roost_buffer_deinit(&r.line);
  return r.code;
}

const roost_command roost_command_reload = {
    .name = "reload",
    .summary = "have a running host load services anew",
    .help =
        "Usage: roost reload [--socket S] [SERVICE...]\n"
        "\n"
        "Has the host that runs in this directory load these services anew and no others, or\n"
        "all there are, new ones too. Each is a line: \"NAME gen 3 -> 4\", or \"NAME refused:\"\n"
        "and why, with the old one going on.\n"
        "\n" ROOST_CLI_SOCKET_HELP "\n"
        "It exits with 1 if one was refused, or all since a worker is stuck, with 3 if no host\n"
        "answers there, and with 4 if it does not in two minutes.\n",
    .run = run};
