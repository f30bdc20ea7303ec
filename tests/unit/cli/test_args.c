#include "cli/args.h"
#include "usage_probe.h"

#define MAX_ARGS 12

enum { OPTION_URL, OPTION_FLAG, OPTION_DIR, OPTION_LATER };

static const roost_option options[] = {{"--url", "URL", NULL},
                                       {"--flag", NULL, NULL},
                                       {"-C", "DIR", NULL},
                                       {"--later", "X", "is not supported yet"},
                                       {0}};

static roost_args args_of(char **argv) {
  int argc = 0;
  while (argv[argc] != NULL)
    argc++;
  usage_error[0] = '\0';
  return (roost_args){.options = options, .argc = argc, .argv = argv};
}

#define ARGS(...) args_of((char *[MAX_ARGS]){"command", __VA_ARGS__, NULL})

static void assert_next(roost_args *args, int expected, const char *value) {
  assert_int_equal(roost_args_next(args), expected);
  if (value != NULL)
    assert_string_equal(args->value, value);
}

static void reads_options_and_words(void **state) {
  (void)state;
  roost_args args = ARGS("a", "--url", "u", "--flag", "b", "--url=v=w", "-C", "d", "--url=");
  assert_next(&args, ROOST_ARGS_WORD, "a");
  assert_next(&args, OPTION_URL, "u");
  assert_next(&args, OPTION_FLAG, NULL);
  assert_next(&args, ROOST_ARGS_WORD, "b");
  assert_next(&args, OPTION_URL, "v=w");
  assert_next(&args, OPTION_DIR, "d");
  assert_next(&args, OPTION_URL, "");
  assert_next(&args, ROOST_ARGS_END, NULL);
  assert_next(&args, ROOST_ARGS_END, NULL);
}

static void what_is_no_option(void **state) {
  (void)state;
  roost_args args = ARGS("-", "-5", "-0.5", "--", "--flag", "--help", "--");
  assert_next(&args, ROOST_ARGS_WORD, "-");
  assert_next(&args, ROOST_ARGS_WORD, "-5");
  assert_next(&args, ROOST_ARGS_WORD, "-0.5");
  assert_next(&args, ROOST_ARGS_WORD, "--flag");
  assert_next(&args, ROOST_ARGS_WORD, "--help");
  assert_next(&args, ROOST_ARGS_WORD, "--");
  assert_next(&args, ROOST_ARGS_END, NULL);
}

static void a_value_may_look_like_an_option(void **state) {
  (void)state;
  roost_args args = ARGS("--url", "--flag", "--url", "--");
  assert_next(&args, OPTION_URL, "--flag");
  assert_next(&args, OPTION_URL, "--");
  assert_next(&args, ROOST_ARGS_END, NULL);
}

static void help_is_always_there(void **state) {
  (void)state;
  roost_args args = ARGS("--help");
  assert_next(&args, ROOST_ARGS_HELP, NULL);
  args = ARGS("-h");
  assert_next(&args, ROOST_ARGS_HELP, NULL);
}

static void says_what_is_wrong(void **state) {
  (void)state;
  roost_args args = ARGS("--ulr", "x");
  assert_next(&args, ROOST_ARGS_ERROR, NULL);
  assert_string_equal(usage_error, "unknown option --ulr (did you mean --url?)");
  args = ARGS("--colour=red");
  assert_next(&args, ROOST_ARGS_ERROR, NULL);
  assert_string_equal(usage_error, "unknown option --colour");
  args = ARGS("-x");
  assert_next(&args, ROOST_ARGS_ERROR, NULL);
  assert_string_equal(usage_error, "unknown option -x");
  args = ARGS("--ur", "x"); /* no abbreviations: they break when an option is added */
  assert_next(&args, ROOST_ARGS_ERROR, NULL);
  args = ARGS("--url");
  assert_next(&args, ROOST_ARGS_ERROR, NULL);
  assert_string_equal(usage_error, "--url needs a value: --url URL");
  args = ARGS("--flag=x");
  assert_next(&args, ROOST_ARGS_ERROR, NULL);
  assert_string_equal(usage_error, "--flag takes no value");
  args = ARGS("--later", "x");
  assert_next(&args, ROOST_ARGS_ERROR, NULL);
  assert_string_equal(usage_error, "--later is not supported yet");
}

static void reads_numbers(void **state) {
  (void)state;
  uint64_t number = 7;
  assert_true(roost_args_number("0", 10, &number));
  assert_int_equal(number, 0);
  assert_true(roost_args_number("010", 10, &number));
  assert_int_equal(number, 10);
  assert_true(roost_args_number("18446744073709551615", UINT64_MAX, &number));
  assert_true(number == UINT64_MAX);
  static const char *const bad[] = {
      "", "11", "-1", "+1", " 1", "1 ", "0x1", "1e1", "1.0", "99999999999999999999999", "a"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_false(roost_args_number(bad[i], 10, &number));
  assert_false(roost_args_number("18446744073709551616", UINT64_MAX, &number));
  assert_true(number == UINT64_MAX); /* untouched where it is none */
  assert_true(roost_args_number("3", 3, &number));
  assert_false(roost_args_number("4", 3, &number));
  assert_false(roost_args_number("5", 0, &number));
}

static void reads_urls(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *host; /* NULL: none */
    int port;
  } cases[] = {{"tcp://127.0.0.1:4000", "127.0.0.1", 4000},
               {"tcp://example.com", "example.com", 3000},
               {"tcp://[::1]:65535", "::1", 65535},
               {"tcp://[::1]", "::1", 3000},
               {"tcp://a:1", "a", 1},
               {"tls://a:1", "a", 1},
               {"tls://a", "a", 3000},
               {"tcp://a:0", NULL, 0},
               {"tcp://a:65536", NULL, 0},
               {"tcp://a:", NULL, 0},
               {"tcp://a:b", NULL, 0},
               {"tcp://a:1/", NULL, 0},
               {"tcp://a/b", NULL, 0},
               {"tcp://", NULL, 0},
               {"tcp://:1", NULL, 0},
               {"tcp://[::1", NULL, 0},
               {"tcp://[]:1", NULL, 0},
               {"tcp://::1:3000", NULL, 0},
               {"tcp:/a:1", NULL, 0},
               {"a:1", NULL, 0},
               {"", NULL, 0},
               {"TCP://a:1", NULL, 0},
               {"http://a:1", NULL, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    roost_url url;
    const char *why = NULL;
    const bool read = roost_args_url(cases[i].text, &url, &why);
    if (read != (cases[i].host != NULL))
      fail_msg("%s", cases[i].text);
    if (read) {
      assert_string_equal(url.host, cases[i].host);
      assert_int_equal(url.port, cases[i].port);
      assert_int_equal(url.tls, cases[i].text[1] == 'l');
    } else {
      assert_string_equal(why, "expected tcp://HOST:PORT or tls://HOST:PORT");
    }
  }
}

static void long_hosts_are_refused(void **state) {
  (void)state;
  char text[400] = "tcp://";
  roost_url url;
  const char *why;
  memset(text + 6, 'a', 255);
  assert_true(roost_args_url(text, &url, &why));
  assert_int_equal(strlen(url.host), 255);
  text[6 + 255] = 'a';
  assert_false(roost_args_url(text, &url, &why));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_options_and_words),
      cmocka_unit_test(what_is_no_option),
      cmocka_unit_test(a_value_may_look_like_an_option),
      cmocka_unit_test(help_is_always_there),
      cmocka_unit_test(says_what_is_wrong),
      cmocka_unit_test(reads_numbers),
      cmocka_unit_test(reads_urls),
      cmocka_unit_test(long_hosts_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
