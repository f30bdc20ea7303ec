/* roost bench: how fast a host or a Nest server answers one request, asked over and over. */
#include <stdio.h>
#include <string.h>

#include "cli/bench_args.h"
#include "cli/bench_load.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/json_text.h"
#include "core/error_text.h"
#include "core/slice.h"
#include "wire/envelope.h"
#include "wire/json.h"

#define PROBE_ID      "\"0000000000000000000ff\""
#define BUSY_PERCENT  90 /* beyond it the generator may be what is measured */
#define NS_PER_SECOND 1000000000.0

/* One run of the command. */
typedef struct bench {
  const roost_command *command;
  roost_bench_args args;
  roost_buffer pattern; /* JSON text */
  roost_buffer data;    /* JSON text */
  roost_buffer packet;  /* of the first call */
  roost_buffer report;
  roost_bench_check check;
  roost_clock clock;
  uint64_t deadline_us; /* of the first call, streams and all */
  bool late;            /* it was passed */
  bool failed;          /* the first call was answered with an error */
  int status;           /* 0, or what went wrong while its answer was read */
} bench;

/* ------------------------------------------------------------------------- the first call ---- */

static bool on_reply(void *ud, const roost_reply *reply) {
  bench *b = ud;
  if (reply->err.ptr != NULL) {
    b->failed = true;
    roost_buffer_clear(&b->report);
    b->status = roost_json_text_error(&b->report, reply->err);
    return false;
  }
  if (reply->response.ptr != NULL || !reply->last)
    b->status = roost_bench_check_expect(&b->check, reply->response);
  b->late = roost_clock_now_us(&b->clock) > b->deadline_us && !reply->last;
  return b->status == 0 && !b->late;
}

static int explain(const bench *b, const roost_cli_client *client, int status) {
  const char *name = b->command->name;
  switch (status) {
  case ROOST_ECONNECT:
    fprintf(stderr, "roost %s: could not connect to %s: %s\n", name, b->args.target.text,
            roost_error_text(client->why));
    return ROOST_EXIT_CONNECT;
  case ROOST_ETIMEDOUT:
    fprintf(stderr, "roost %s: the first call was not answered within %llu ms\n", name,
            (unsigned long long)b->args.timeout_ms);
    return ROOST_EXIT_TIMEOUT;
  default:
    fprintf(stderr, "roost %s: the first call failed: %s\n", name, client->why);
    return ROOST_EXIT_FAILED;
  }
}

/* What every answer is expected to be: the first one. */
static int probe(bench *b) {
  roost_cli_client client;
  const roost_message message = {.pattern = roost_buffer_slice(&b->pattern),
                                 .data = roost_buffer_slice(&b->data),
                                 .id = ROOST_SLICE(PROBE_ID)};
  b->deadline_us = roost_clock_now_us(&b->clock) + b->args.timeout_ms * 1000;
  int status = roost_cli_client_open(&client, &b->args.target.config, b->args.timeout_ms);
  if (status == 0)
    status = roost_cli_client_send(&client, &message);
  if (status == 0)
    status = roost_cli_client_replies(&client, message.id, on_reply, b);
  if (b->late)
    status = ROOST_ETIMEDOUT;
  const int code = status == 0 ? ROOST_EXIT_OK : explain(b, &client, status);
  roost_cli_client_close(&client);
  if (code != ROOST_EXIT_OK)
    return code;
  if (b->status != 0)
    return roost_input_out_of_memory(b->command);
  if (b->failed) {
    fprintf(stderr,
            "roost %s: the first call was answered with an error, so that values are not "
            "checked: %.*s\n",
            b->command->name, (int)b->report.len, b->report.len > 0 ? b->report.ptr : "");
    b->check.rule = ROOST_BENCH_ANY;
  }
  return ROOST_EXIT_OK;
}

/* The rule for what is right, from the arguments or the first call. */
static int find_rule(bench *b) {
  if (b->args.any) {
    b->check.rule = ROOST_BENCH_ANY;
    return ROOST_EXIT_OK;
  }
  if (b->args.expect == NULL)
    return probe(b);
  b->check.rule = ROOST_BENCH_EQUAL;
  roost_buffer_clear(&b->packet);
  int status = roost_json_text_argument(&b->packet, roost_slice_text(b->args.expect));
  if (status == 0)
    status = roost_bench_check_expect(&b->check, roost_buffer_slice(&b->packet));
  if (status == ROOST_EINVAL)
    return roost_usage_error(b->command, "--expect is not UTF-8");
  return status == 0 ? ROOST_EXIT_OK : roost_input_out_of_memory(b->command);
}

/* ------------------------------------------------------------------------- the report -------- */

static const struct {
  const char *name;
  const char *key; /* in JSON */
  double share;
} quantiles[] = {
    {"p50", "p50", 0.5}, {"p90", "p90", 0.9}, {"p99", "p99", 0.99}, {"p99.9", "p99_9", 0.999}};

#define QUANTILES (sizeof quantiles / sizeof quantiles[0])

static double per_second(const roost_bench_result *r) {
  return r->seconds > 0 ? (double)r->requests / r->seconds : 0;
}

static double cpu_percent(const roost_bench_result *r) {
  return r->seconds > 0 ? 100 * r->cpu_seconds / r->seconds : 0;
}

static uint64_t least_ns(const roost_bench_result *r) {
  return r->latency_ns.count > 0 ? r->latency_ns.min : 0;
}

static unsigned long long wrong_replies(const bench *b, const roost_bench_result *r) {
  const uint64_t count = r->wrong + b->check.strays;
  return count;
}

/* " NAME 12.3 us", with three digits. */
static int add_time(roost_buffer *out, const char *name, uint64_t ns) {
  static const char *const units[] = {"us", "ms", "s"};
  double value = (double)ns / 1000;
  size_t unit = 0;
  for (; unit < 2 && value >= 999.5; unit++)
    value /= 1000;
  const int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return roost_buffer_printf(out, "%s %.*f %s", name, digits, value, units[unit]);
}

static int add_bytes(roost_buffer *out, const char *name, uint64_t bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = (double)bytes;
  size_t unit = 0;
  for (; unit < 4 && value >= 1000; unit++)
    value /= 1024;
  return roost_buffer_printf(out, "%.*f %s %s", value < 10 && unit > 0 ? 1 : 0, value, units[unit],
                             name);
}

static int add_latencies(roost_buffer *out, const roost_bench_result *r) {
  int status = roost_buffer_printf(out, "\nlatency    ");
  if (status == 0)
    status = add_time(out, "min", least_ns(r));
  for (size_t i = 0; i < QUANTILES && status == 0; i++) {
    status = roost_buffer_append(out, ", ", 2);
    if (status == 0)
      status = add_time(out, quantiles[i].name,
                        roost_histogram_quantile(&r->latency_ns, quantiles[i].share));
  }
  if (status == 0)
    status = roost_buffer_append(out, ", ", 2);
  return status == 0 ? add_time(out, "max", r->latency_ns.max) : status;
}

static int write_text(bench *b, const roost_bench_result *r) {
  const roost_bench_args *args = &b->args;
  roost_buffer *out = &b->report;
  int status = roost_buffer_printf(
      out,
      "%llu connection%s, %s%llu in flight on each, %.4g s\n"
      "requests   %llu, %.0f/s\n"
      "errors     %llu, wrong replies %llu, unanswered %llu",
      (unsigned long long)args->connections, args->connections == 1 ? "" : "s",
      args->rate > 0 ? "at most " : "", (unsigned long long)args->in_flight, r->seconds,
      (unsigned long long)r->requests, per_second(r), (unsigned long long)r->errors,
      wrong_replies(b, r), (unsigned long long)r->unanswered);
  if (status == 0)
    status = add_latencies(out, r);
  if (status == 0)
    status = roost_buffer_append(out, "\nbytes      ", 12);
  if (status == 0)
    status = add_bytes(out, "sent, ", r->bytes_out);
  if (status == 0)
    status = add_bytes(out, "received", r->bytes_in);
  if (status == 0)
    status = roost_buffer_printf(out, "\ngenerator  CPU %.0f %%%s\n", cpu_percent(r),
                                 cpu_percent(r) > BUSY_PERCENT
                                     ? ": it was busy itself, a faster server would not show"
                                     : "");
  return status;
}

static int write_notes(roost_buffer *out, const roost_bench_check *check) {
  int status = roost_buffer_printf(out, ",\"messages\":[");
  for (size_t i = 0; i < check->note_count && status == 0; i++) {
    status = roost_buffer_printf(out, "%s{\"count\":%llu,\"text\":", i > 0 ? "," : "",
                                 (unsigned long long)check->notes[i].count);
    if (status == 0)
      status = roost_json_write_string(out, roost_slice_text(check->notes[i].text));
    if (status == 0)
      status = roost_buffer_append_byte(out, '}');
  }
  return status == 0 ? roost_buffer_append(out, "]}\n", 3) : status;
}

static int write_json(bench *b, const roost_bench_result *r) {
  roost_buffer *out = &b->report;
  int status = roost_buffer_printf(
      out,
      "{\"requests\":%llu,\"errors\":%llu,\"wrong\":%llu,\"unanswered\":%llu,\"seconds\":%.6f,"
      "\"per_second\":%.1f,\"latency_us\":{\"min\":%.3f,\"mean\":%.3f",
      (unsigned long long)r->requests, (unsigned long long)r->errors, wrong_replies(b, r),
      (unsigned long long)r->unanswered, r->seconds, per_second(r), (double)least_ns(r) / 1000,
      r->latency_ns.count > 0 ? r->latency_ns.sum / (double)r->latency_ns.count / 1000 : 0.0);
  for (size_t i = 0; i < QUANTILES && status == 0; i++)
    status = roost_buffer_printf(
        out, ",\"%s\":%.3f", quantiles[i].key,
        (double)roost_histogram_quantile(&r->latency_ns, quantiles[i].share) / 1000);
  if (status == 0)
    status = roost_buffer_printf(
        out, ",\"max\":%.3f},\"bytes_out\":%llu,\"bytes_in\":%llu,\"generator_cpu\":%.3f",
        (double)r->latency_ns.max / 1000, (unsigned long long)r->bytes_out,
        (unsigned long long)r->bytes_in, cpu_percent(r) / 100);
  return status == 0 ? write_notes(out, &b->check) : status;
}

/* What went wrong goes to stderr. */
static void print_notes(const bench *b, const roost_bench_result *r) {
  const char *name = b->command->name;
  const roost_bench_check *check = &b->check;
  for (size_t i = 0; i < check->note_count; i++)
    fprintf(stderr, "roost %s: %llu x %s\n", name, (unsigned long long)check->notes[i].count,
            check->notes[i].text);
  if (check->unnoted > 0)
    fprintf(stderr, "roost %s: %llu x something else\n", name, (unsigned long long)check->unnoted);
  if (r->end == ROOST_BENCH_NO_CONNECTION)
    fprintf(stderr, "roost %s: could not connect to %s: %s\n", name, b->args.target.text, r->why);
  else if (r->end != ROOST_BENCH_DONE && r->end != ROOST_BENCH_INTERRUPTED)
    fprintf(stderr, "roost %s: %s\n", name, r->why);
}

static int code_of(const bench *b, const roost_bench_result *r) {
  if (r->end == ROOST_BENCH_NO_CONNECTION)
    return ROOST_EXIT_CONNECT;
  if (r->end == ROOST_BENCH_NO_ANSWER && r->requests == 0)
    return ROOST_EXIT_TIMEOUT;
  if (r->end != ROOST_BENCH_DONE && r->end != ROOST_BENCH_INTERRUPTED)
    return ROOST_EXIT_FAILED;
  return r->errors + r->wrong + r->unanswered + b->check.strays > 0 ? ROOST_EXIT_FAILED
                                                                    : ROOST_EXIT_OK;
}

static int show(bench *b, const roost_bench_result *r) {
  int code = code_of(b, r);
  print_notes(b, r);
  if (r->end == ROOST_BENCH_NO_CONNECTION || r->end == ROOST_BENCH_FAILED)
    return code;
  roost_buffer_clear(&b->report);
  if ((b->args.json ? write_json(b, r) : write_text(b, r)) != 0)
    return roost_input_out_of_memory(b->command);
  int print_code = ROOST_EXIT_OK;
  if (!roost_print(b->report.ptr, b->report.len, &print_code) && code == ROOST_EXIT_OK)
    code = print_code;
  return code;
}

/* ------------------------------------------------------------------------- the command ------- */

static int put_load(bench *b) {
  roost_bench_result *result = roost_alloc_get(b->check.alloc, sizeof *result);
  if (result == NULL)
    return roost_input_out_of_memory(b->command);
  const roost_bench_load_config config = {
      .alloc = b->check.alloc,
      .url = &b->args.target.url,
      .tls = b->args.target.tls.context,
      .connections = b->args.connections,
      .in_flight = b->args.in_flight,
      .rate = b->args.rate,
      .warmup_ns = (uint64_t)(b->args.warmup * NS_PER_SECOND),
      .measure_ns = (uint64_t)(b->args.seconds * NS_PER_SECOND),
      .timeout_ns = b->args.timeout_ms * 1000000,
      .pattern = roost_buffer_slice(&b->pattern),
      .data = roost_buffer_slice(&b->data),
  };
  roost_bench_load_run(result, &config, &b->check);
  const int code = show(b, result);
  roost_alloc_put(b->check.alloc, result, sizeof *result);
  return code;
}

static int run(const roost_command *command, int argc, char **argv) {
  const roost_alloc *alloc = roost_alloc_default();
  bench b = {.command = command};
  roost_buffer *const buffers[] = {&b.pattern, &b.data, &b.packet, &b.report};
  const size_t count = sizeof buffers / sizeof buffers[0];
  bool go_on;
  int code = roost_bench_args_read(&b.args, command, argc, argv, &go_on);
  if (!go_on)
    return code;
  for (size_t i = 0; i < count; i++)
    roost_buffer_init(buffers[i], alloc);
  roost_bench_check_init(&b.check, alloc, ROOST_BENCH_ITEMS);
  code = roost_input_pattern(&b.pattern, command, b.args.pattern);
  if (code == ROOST_EXIT_OK)
    code = roost_input_data(&b.data, command, b.args.data);
  if (code == ROOST_EXIT_OK)
    code = find_rule(&b);
  if (code == ROOST_EXIT_OK)
    code = put_load(&b);
  roost_bench_check_deinit(&b.check);
  roost_cli_target_release(&b.args.target);
  for (size_t i = 0; i < count; i++)
    roost_buffer_deinit(buffers[i]);
  return code;
}

const roost_command roost_command_bench = {
    .name = "bench",
    .summary = "measure how fast a request is answered",
    .help =
        "Usage: roost bench [--url URL | --client NAME] [-c N] [-p N] [-d SECONDS] [--rate R]\n"
        "                   PATTERN [DATA]\n"
        "\n"
        "Sends one request over and over to a Roost host or a NestJS server, checks every reply's\n"
        "id and value, and prints the rate and the latency. PATTERN and DATA are as in roost "
        "call:\n"
        "JSON, or plain text; without DATA {} is sent, - reads it from stdin.\n"
        "\n"
        "  --url URL          where to (tcp://127.0.0.1:3000), tls:// with TLS\n"
        "  --client NAME      where that client of config/host.lua connects to\n"
        "  -c N               connections (10)\n"
        "  -p N               requests in flight on each (1; with --rate at most so many, 1024)\n"
        "  -d SECONDS         how long (10)\n"
        "  --rate R           R requests a second, whatever the server does: latency counts from\n"
        "                     when a request was due. Without it each connection sends a request\n"
        "                     when one was answered\n"
        "  --warmup SECONDS   before it counts (0)\n"
        "  --expect JSON      the value every reply must have. Without it the first call's answer\n"
        "                     is what every one must be; the order of members does not matter\n"
        "  --any              every value will do\n"
        "  --timeout MS       how long to wait for connections, and for answers (5000)\n"
        "  --json             print one line of JSON\n" ROOST_CLI_TLS_HELP "\n"
        "A stream is answered when it ends. Ctrl-C ends it early and prints what there is.\n"
        "It exits with 1 if an answer was an error, wrong, or missing, or the connection is lost,\n"
        "with 3 if it could not connect, and with 4 if nothing was answered in time.\n",
    .run = run};
