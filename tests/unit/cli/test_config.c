#include <sys/stat.h>
#include <unistd.h>

#include "cli/config.h"
#include "usage_probe.h"

#define MAX_ARGS 12

const roost_command roost_command_check = {.name = "check"};
static const roost_command run_command = {.name = "run"};

/* Each test works in an empty folder of its own. */
static int set_up(void **state) {
  static char dir[64];
  strcpy(dir, "/tmp/roost-test-XXXXXX");
  *state = mkdtemp(dir);
  helps = 0;
  usage_error[0] = '\0';
  return *state != NULL ? chdir(dir) : -1;
}

static int tear_down(void **state) {
  return chdir("/") != 0 || rmdir(*state) != 0;
}

/* argv lives as long as the test: the texts are borrowed from it. */
static bool read_config(roost_cli_config *config, const roost_command *command, char **argv,
                        int *code) {
  bool go_on;
  int argc = 0;
  while (argv[argc] != NULL)
    argc++;
  *code = roost_cli_config_read(config, command, argc, argv, &go_on);
  return go_on;
}

static void reads_all_of_it(void **state) {
  (void)state;
  char first[] = "a.b=1=2";
  char second[] = "--set=c=";
  char *argv[] = {"run", "--set", first, "host.lua", second, NULL};
  roost_cli_config config;
  int code;
  assert_true(read_config(&config, &run_command, argv, &code));
  assert_string_equal(config.path, "host.lua");
  assert_int_equal(config.set_count, 2);
  assert_string_equal(config.sets[0].key, "a.b");
  assert_string_equal(config.sets[0].value, "1=2");
  assert_string_equal(config.sets[1].key, "c");
  assert_string_equal(config.sets[1].value, "");
  assert_false(config.start);
  roost_cli_config_free(&config);
}

static void takes_the_default_file_where_there_is_one(void **state) {
  (void)state;
  char *argv[] = {"run", NULL};
  roost_cli_config config;
  int code;
  assert_true(read_config(&config, &run_command, argv, &code));
  assert_null(config.path);
  roost_cli_config_free(&config);
  assert_int_equal(mkdir("config", 0700), 0);
  fclose(fopen("config/host.lua", "w"));
  assert_true(read_config(&config, &run_command, argv, &code));
  assert_string_equal(config.path, "config/host.lua");
  roost_cli_config_free(&config);
  unlink("config/host.lua");
  rmdir("config");
}

static void changes_the_folder(void **state) {
  (void)state;
  char *argv[] = {"run", "-C", "inner", NULL};
  char dir[128];
  roost_cli_config config;
  int code;
  assert_false(read_config(&config, &run_command, argv, &code));
  assert_int_equal(code, ROOST_EXIT_USAGE);
  assert_string_equal(usage_error, "-C inner: No such file or directory");
  assert_int_equal(mkdir("inner", 0700), 0);
  assert_true(read_config(&config, &run_command, argv, &code));
  assert_non_null(getcwd(dir, sizeof dir));
  assert_non_null(strstr(dir, "/inner"));
  roost_cli_config_free(&config);
  assert_int_equal(chdir(".."), 0);
  rmdir("inner");
}

static void refuses_what_is_wrong(void **state) {
  (void)state;
  static char no_equals[] = "key";
  static char no_key[] = "=value";
  char *cases[][4] = {{"run", "a", "b", NULL},        {"run", "--set", no_equals, NULL},
                      {"run", "--set", no_key, NULL}, {"run", "--set", NULL},
                      {"run", "--start", NULL},       {"run", "--nope", NULL}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    roost_cli_config config;
    int code;
    usage_error[0] = '\0';
    assert_false(read_config(&config, &run_command, cases[i], &code));
    assert_int_equal(code, ROOST_EXIT_USAGE);
    assert_string_not_equal(usage_error, "");
  }
}

static void check_has_start_and_both_have_help(void **state) {
  (void)state;
  char *start[] = {"check", "--start", NULL};
  char *help[] = {"check", "-C", "nowhere", "--help", NULL};
  roost_cli_config config;
  int code;
  assert_true(read_config(&config, &roost_command_check, start, &code));
  assert_true(config.start);
  roost_cli_config_free(&config);
  assert_false(read_config(&config, &roost_command_check, help, &code));
  assert_int_equal(code, ROOST_EXIT_OK);
  assert_int_equal(helps, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(reads_all_of_it),
      TEST(takes_the_default_file_where_there_is_one),
      TEST(changes_the_folder),
      TEST(refuses_what_is_wrong),
      TEST(check_has_start_and_both_have_help),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
