#include "cli/bench_args.h"
#include "cli/bench_check.h"
#include "usage_probe.h"

#define MAX_ARGS 24

static const roost_command command = {.name = "bench"};

static int read_args(roost_bench_args *bench, bool *go_on, char **argv) {
  int argc = 0;
  while (argv[argc] != NULL)
    argc++;
  usage_error[0] = '\0';
  helps = 0;
  return roost_bench_args_read(bench, &command, argc, argv, go_on);
}

#define READ(bench, go_on, ...)                                                                    \
  read_args((bench), (go_on), (char *[MAX_ARGS]){"bench", __VA_ARGS__, NULL})

static void has_defaults(void **state) {
  (void)state;
  roost_bench_args bench;
  bool go_on;
  assert_int_equal(READ(&bench, &go_on, "sum"), ROOST_EXIT_OK);
  assert_true(go_on);
  assert_string_equal(bench.target.url.host, "127.0.0.1");
  assert_int_equal(bench.target.url.port, 3000);
  assert_int_equal(bench.connections, 10);
  assert_int_equal(bench.in_flight, 1);
  assert_true(bench.seconds == 10 && bench.warmup == 0 && bench.rate == 0);
  assert_int_equal(bench.timeout_ms, 5000);
  assert_null(bench.expect);
  assert_false(bench.any);
  assert_false(bench.json);
  assert_string_equal(bench.pattern, "sum");
  assert_null(bench.data);
}

static void takes_every_option(void **state) {
  (void)state;
  roost_bench_args bench;
  bool go_on;
  assert_int_equal(READ(&bench, &go_on, "--url", "tcp://[::1]:77", "-c", "3", "-p", "4", "-d",
                        "0.5", "--rate", "1e3", "--warmup", "0", "--timeout", "9", "--expect", "-6",
                        "--json", "{\"cmd\":\"sum\"}", "-5"),
                   ROOST_EXIT_OK);
  assert_true(go_on);
  assert_string_equal(bench.target.url.host, "::1");
  assert_int_equal(bench.target.url.port, 77);
  assert_int_equal(bench.connections, 3);
  assert_int_equal(bench.in_flight, 4);
  assert_true(bench.seconds == 0.5 && bench.warmup == 0 && bench.rate == 1000);
  assert_int_equal(bench.timeout_ms, 9);
  assert_string_equal(bench.expect, "-6");
  assert_true(bench.json);
  assert_string_equal(bench.pattern, "{\"cmd\":\"sum\"}");
  assert_string_equal(bench.data, "-5");
  assert_int_equal(READ(&bench, &go_on, "--any", "x"), ROOST_EXIT_OK);
  assert_true(bench.any);
}

/* Paced requests are not held back by a window, unless all of them together would be too many. */
static void a_rate_opens_the_window(void **state) {
  (void)state;
  roost_bench_args bench;
  bool go_on;
  assert_int_equal(READ(&bench, &go_on, "--rate", "5", "x"), ROOST_EXIT_OK);
  assert_int_equal(bench.in_flight, 1024);
  assert_int_equal(READ(&bench, &go_on, "--rate", "5", "-p", "7", "x"), ROOST_EXIT_OK);
  assert_int_equal(bench.in_flight, 7);
  assert_int_equal(READ(&bench, &go_on, "--rate", "5", "-c", "50000", "x"), ROOST_EXIT_OK);
  assert_int_equal(bench.in_flight, ROOST_BENCH_PLACES_MAX / 50000);
}

static void help_ends_it(void **state) {
  (void)state;
  roost_bench_args bench;
  bool go_on = true;
  assert_int_equal(READ(&bench, &go_on, "--help"), ROOST_EXIT_OK);
  assert_false(go_on);
  assert_int_equal(helps, 1);
}

static void assert_refused(const char *option, const char *value, const char *reason) {
  roost_bench_args bench;
  bool go_on = true;
  char name[32];
  char given[32];
  snprintf(name, sizeof name, "%s", option);
  snprintf(given, sizeof given, "%s", value);
  assert_int_equal(READ(&bench, &go_on, name, given, "x"), ROOST_EXIT_USAGE);
  assert_false(go_on);
  assert_string_equal(usage_error, reason);
}

static void says_what_is_wrong(void **state) {
  (void)state;
  roost_bench_args bench;
  bool go_on = true;
  assert_refused("-c", "0", "-c wants a number from 1 to 60000, got \"0\"");
  assert_refused("-c", "60001", "-c wants a number from 1 to 60000, got \"60001\"");
  assert_refused("-p", "many", "-p wants a number from 1 to 1048576, got \"many\"");
  assert_refused("-d", "0", "-d wants a number above 0 and up to 1000000, got \"0\"");
  assert_refused("-d", "-1", "-d wants a number above 0 and up to 1000000, got \"-1\"");
  assert_refused("-d", "10s", "-d wants a number above 0 and up to 1000000, got \"10s\"");
  assert_refused("-d", "", "-d wants a number above 0 and up to 1000000, got \"\"");
  assert_refused("-d", "1e999", "-d wants a number above 0 and up to 1000000, got \"1e999\"");
  assert_refused("--rate", "0.0", "--rate wants a number above 0 and up to 100000000, got \"0.0\"");
  assert_refused("--warmup", "x", "--warmup wants a number from 0 to 1000000, got \"x\"");
  assert_refused("--timeout", "0", "--timeout wants a number from 1 to 1000000000, got \"0\"");
  assert_refused("--url", "here", "--url here: expected tcp://HOST:PORT or tls://HOST:PORT");
  assert_refused("--tls-name", "a", "--tls-name is for tls:// URLs");
  assert_refused("--tls-ca", "/none", "--tls-ca is for tls:// URLs");
  assert_int_equal(READ(&bench, &go_on, "--json"), ROOST_EXIT_USAGE);
  assert_string_equal(usage_error, "no PATTERN given");
  assert_int_equal(READ(&bench, &go_on, "x", "1", "2"), ROOST_EXIT_USAGE);
  assert_string_equal(usage_error, "unexpected argument \"2\"");
  assert_int_equal(READ(&bench, &go_on, "--any", "--expect", "1", "x"), ROOST_EXIT_USAGE);
  assert_string_equal(usage_error, "--expect and --any contradict each other");
  assert_int_equal(READ(&bench, &go_on, "-c", "1025", "-p", "1024", "x"), ROOST_EXIT_USAGE);
  assert_string_equal(usage_error, "-c times -p is more than 1048576");
  assert_int_equal(READ(&bench, &go_on, "--no-such", "x"), ROOST_EXIT_USAGE);
  assert_false(go_on);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(has_defaults),
      cmocka_unit_test(takes_every_option),
      cmocka_unit_test(a_rate_opens_the_window),
      cmocka_unit_test(help_ends_it),
      cmocka_unit_test(says_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
