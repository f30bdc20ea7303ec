#include "cli/bench_args.h"

#include <string.h>

#include "cli/bench_check.h"
#include "wire/number.h"

#define DEFAULT_TIMEOUT_MS   5000
#define MAX_CONNECTIONS      60000
#define MAX_SECONDS          1e6
#define MAX_RATE             1e8
#define MAX_TIMEOUT_MS       1000000000
#define DEFAULT_PACED_PLACES 1024 /* what a host takes from one connection (max_in_flight) */

enum {
  OPTION_URL,
  OPTION_CLIENT,
  OPTION_CONNECTIONS,
  OPTION_IN_FLIGHT,
  OPTION_SECONDS,
  OPTION_RATE,
  OPTION_WARMUP,
  OPTION_TIMEOUT,
  OPTION_EXPECT,
  OPTION_ANY,
  OPTION_JSON
};

static const roost_option options[] = {{"--url", "URL", NULL},
                                       {"--client", "NAME", NULL},
                                       {"-c", "N", NULL},
                                       {"-p", "N", NULL},
                                       {"-d", "SECONDS", NULL},
                                       {"--rate", "R", NULL},
                                       {"--warmup", "SECONDS", NULL},
                                       {"--timeout", "MS", NULL},
                                       {"--expect", "JSON", NULL},
                                       {"--any", NULL, NULL},
                                       {"--json", NULL, NULL},
                                       ROOST_CLI_TLS_OPTIONS,
                                       {0}};

/* A count from 1 to max. */
static int read_count(const roost_args *args, const char *name, uint64_t max, uint64_t *count) {
  if (roost_args_number(args->value, max, count) && *count > 0)
    return ROOST_EXIT_OK;
  return roost_usage_error(args->command, "%s wants a number from 1 to %llu, got \"%s\"", name,
                           (unsigned long long)max, args->value);
}

/* A number like 0.5 or 1e3, at most max. */
static int read_decimal(const roost_args *args, const char *name, double max, bool zero,
                        double *value) {
  const char *text = args->value;
  const char *end = text + strlen(text);
  roost_number number;
  if (text[0] >= '0' && text[0] <= '9' && roost_number_read(&number, text, end) == end) {
    *value = number.is_integer ? (double)number.integer : number.number;
    if (*value <= max && (zero || *value > 0))
      return ROOST_EXIT_OK;
  }
  return roost_usage_error(args->command, "%s wants a number %s to %.0f, got \"%s\"", name,
                           zero ? "from 0" : "above 0 and up", max, text);
}

static int add_word(roost_bench_args *bench, const roost_args *args) {
  if (bench->pattern == NULL)
    bench->pattern = args->value;
  else if (bench->data == NULL)
    bench->data = args->value;
  else
    return roost_usage_error(args->command, "unexpected argument \"%s\"", args->value);
  return ROOST_EXIT_OK;
}

static int read_option(roost_bench_args *bench, const roost_args *args, int option) {
  switch (option) {
  case OPTION_URL:
    bench->target.url_text = args->value;
    return ROOST_EXIT_OK;
  case OPTION_CLIENT:
    bench->target.client_name = args->value;
    return ROOST_EXIT_OK;
  case OPTION_CONNECTIONS:
    return read_count(args, "-c", MAX_CONNECTIONS, &bench->connections);
  case OPTION_IN_FLIGHT:
    return read_count(args, "-p", ROOST_BENCH_PLACES_MAX, &bench->in_flight);
  case OPTION_SECONDS:
    return read_decimal(args, "-d", MAX_SECONDS, false, &bench->seconds);
  case OPTION_RATE:
    return read_decimal(args, "--rate", MAX_RATE, false, &bench->rate);
  case OPTION_WARMUP:
    return read_decimal(args, "--warmup", MAX_SECONDS, true, &bench->warmup);
  case OPTION_TIMEOUT:
    return read_count(args, "--timeout", MAX_TIMEOUT_MS, &bench->timeout_ms);
  case OPTION_EXPECT:
    bench->expect = args->value;
    return ROOST_EXIT_OK;
  case OPTION_ANY:
    bench->any = true;
    return ROOST_EXIT_OK;
  case OPTION_JSON:
    bench->json = true;
    return ROOST_EXIT_OK;
  case ROOST_ARGS_WORD:
    return add_word(bench, args);
  default:
    (void)roost_cli_tls_take(&bench->target.tls, options[option].name, args->value);
    return ROOST_EXIT_OK;
  }
}

/* What can only be seen of all arguments together. */
static int check(roost_bench_args *bench, const roost_command *command) {
  if (bench->pattern == NULL)
    return roost_usage_error(command, "no PATTERN given");
  if (bench->any && bench->expect != NULL)
    return roost_usage_error(command, "--expect and --any contradict each other");
  if (bench->in_flight == 0) {
    const uint64_t most = ROOST_BENCH_PLACES_MAX / bench->connections;
    bench->in_flight = bench->rate == 0              ? 1
                       : most < DEFAULT_PACED_PLACES ? most
                                                     : DEFAULT_PACED_PLACES;
  }
  if (bench->in_flight > ROOST_BENCH_PLACES_MAX / bench->connections)
    return roost_usage_error(command, "-c times -p is more than %u", ROOST_BENCH_PLACES_MAX);
  const int code = roost_cli_target_find(&bench->target, command);
  if (code == ROOST_EXIT_OK && strcmp(bench->target.config.transport, "tcp") != 0)
    return roost_usage_error(command, "it loads tcp:// and tls:// addresses, not %s",
                             bench->target.config.transport);
  return code;
}

int roost_bench_args_read(roost_bench_args *bench, const roost_command *command, int argc,
                          char **argv, bool *go_on) {
  roost_args args = {.command = command, .options = options, .argc = argc, .argv = argv};
  *bench = (roost_bench_args){.connections = 10, .seconds = 10, .timeout_ms = DEFAULT_TIMEOUT_MS};
  *go_on = false;
  int code = ROOST_EXIT_OK;
  int option;
  while (code == ROOST_EXIT_OK && (option = roost_args_next(&args)) != ROOST_ARGS_END) {
    if (option == ROOST_ARGS_HELP)
      return roost_help_command(command);
    if (option == ROOST_ARGS_ERROR)
      return ROOST_EXIT_USAGE;
    code = read_option(bench, &args, option);
  }
  if (code == ROOST_EXIT_OK)
    code = check(bench, command);
  *go_on = code == ROOST_EXIT_OK;
  return code;
}
