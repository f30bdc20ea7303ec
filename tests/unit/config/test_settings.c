#include "load_settings.h"

static void assert_defaults(const roost_settings *settings) {
  assert_int_equal(settings->workers, 1);
  assert_false(settings->wildcards);
  assert_int_equal(settings->limits.request_timeout, 30000);
  assert_int_equal(settings->limits.buffer_memory, 268435456);
  assert_int_equal(settings->limits.store_memory, 67108864);
  assert_int_equal(settings->limits.service_memory, 67108864);
  assert_int_equal(settings->limits.handler_cpu, 1000);
  assert_int_equal(settings->limits.stuck, ROOST_STUCK_LOG);
  assert_false(settings->reload.watch);
  assert_int_equal(settings->reload.debounce, 200);
  assert_int_equal(settings->reload.drain_timeout, 30000);
  assert_int_equal(settings->reload.start_timeout, 10000);
  assert_int_equal(settings->log_level, ROOST_LOG_INFO);
  assert_int_equal(settings->log_format, ROOST_LOG_LOGFMT);
  assert_string_equal(settings->admin_socket, "run/roost.sock");
  assert_string_equal(settings->admin_http, "127.0.0.1:9464");
  assert_string_equal(settings->admin_http_host, "127.0.0.1");
  assert_int_equal(settings->admin_http_port, 9464);
  assert_false(settings->admin_socket_given);
  assert_false(settings->admin_http_given);
  assert_int_equal(settings->server_count, 1);
  const roost_server_config *server = &settings->servers[0];
  assert_string_equal(server->name, "1");
  assert_string_equal(server->transport, "tcp");
  assert_int_equal(server->port, 3000);
  assert_null(server->services);
  assert_false(server->wildcards);
  assert_int_equal(server->max_buffer_size, 16777216);
  assert_int_equal(server->incomplete_message_timeout, 30000);
  assert_int_equal(server->max_send_buffer_size, 16777216);
  assert_int_equal(server->max_connections, 10000);
  assert_int_equal(server->max_connections_per_ip, 0);
  assert_int_equal(server->backlog, 1024);
  assert_int_equal(server->max_in_flight, 1024);
  assert_int_equal(server->max_streams, 65536);
  assert_int_equal(server->idle_timeout, 0);
  assert_int_equal(server->retry_attempts, 0);
  assert_int_equal(server->retry_delay, 0);
}

static void an_empty_table_is_all_defaults(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {} }");
  assert_int_equal(load->problems.count, 0);
  assert_defaults(load->settings);
  assert_string_equal(load->settings->servers[0].host, "localhost");
  assert_string_equal(load->settings->file, "host.lua");
  assert_null(load->settings->services[0]);
}

static void the_file_compiled_in_is_all_defaults(void **state) {
  load_case *load = *state;
  load_file(load, NULL);
  assert_int_equal(load->problems.count, 0);
  assert_defaults(load->settings);
  assert_string_equal(load->settings->servers[0].host, "127.0.0.1");
}

static void every_member_is_stored(void **state) {
  load_case *load = *state;
  load_text(
      load,
      "return { services = {}, wildcards = true,\n"
      "limits = { request_timeout = 1, buffer_memory = 2, store_memory = 3,\n"
      "service_memory = 19, handler_cpu = 20, stuck = 'abort' },\n"
      "service_options = { both = { memory = 21, cpu = 22, sandbox = true }, one = { cpu = 0 } },\n"
      "reload = { debounce = 4, drain_timeout = 5, start_timeout = 6 },\n"
      "log = { level = 'error', format = 'json' },\n"
      "servers = { { name = 'n', transport = 'tcp', host = '::1', port = 65535,\n"
      "services = { 'a', 'b' }, max_buffer_size = 7, incomplete_message_timeout = 8,\n"
      "max_send_buffer_size = 9, max_connections = 10, max_connections_per_ip = 11,\n"
      "backlog = 12, max_in_flight = 13, max_streams = 14, idle_timeout = 15,\n"
      "retry_attempts = 16, retry_delay = 17, handshake_timeout = 18,\n"
      "framing = 'nest', wildcards = true, allow_insecure = true } } }");
  assert_int_equal(load->problems.count, 0);
  const roost_settings *settings = load->settings;
  const roost_server_config *server = &settings->servers[0];
  assert_true(settings->wildcards);
  assert_int_equal(settings->limits.request_timeout, 1);
  assert_int_equal(settings->limits.buffer_memory, 2);
  assert_int_equal(settings->limits.store_memory, 3);
  assert_int_equal(settings->limits.service_memory, 19);
  assert_int_equal(settings->limits.handler_cpu, 20);
  assert_int_equal(settings->limits.stuck, ROOST_STUCK_ABORT);
  assert_int_equal(roost_settings_service(settings, "both")->memory, 21);
  assert_int_equal(roost_settings_service(settings, "both")->cpu, 22);
  assert_true(roost_settings_service(settings, "one")->memory == ROOST_SERVICE_UNSET);
  assert_int_equal(roost_settings_service(settings, "one")->cpu, 0);
  assert_true(roost_settings_service(settings, "both")->sandbox);
  assert_false(roost_settings_service(settings, "one")->sandbox);
  assert_null(roost_settings_service(settings, "other"));
  assert_int_equal(settings->reload.debounce, 4);
  assert_int_equal(settings->reload.drain_timeout, 5);
  assert_int_equal(settings->reload.start_timeout, 6);
  assert_int_equal(settings->log_level, ROOST_LOG_ERROR);
  assert_int_equal(settings->log_format, ROOST_LOG_JSON);
  assert_string_equal(server->name, "n");
  assert_string_equal(server->host, "::1");
  assert_int_equal(server->port, 65535);
  assert_string_equal(server->services[0], "a");
  assert_string_equal(server->services[1], "b");
  assert_null(server->services[2]);
  assert_int_equal(server->max_buffer_size, 7);
  assert_int_equal(server->incomplete_message_timeout, 8);
  assert_int_equal(server->max_send_buffer_size, 9);
  assert_int_equal(server->max_connections, 10);
  assert_int_equal(server->max_connections_per_ip, 11);
  assert_int_equal(server->backlog, 12);
  assert_int_equal(server->max_in_flight, 13);
  assert_int_equal(server->max_streams, 14);
  assert_int_equal(server->idle_timeout, 15);
  assert_int_equal(server->retry_attempts, 16);
  assert_int_equal(server->retry_delay, 17);
  assert_true(server->wildcards);
}

static void what_numbers_may_look_like(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, limits = { request_timeout = '0123', "
                  "buffer_memory = 64 * 2.0, store_memory = '5' } }");
  assert_int_equal(load->status, 0);
  assert_int_equal(load->settings->limits.request_timeout, 123);
  assert_int_equal(load->settings->limits.buffer_memory, 128);
  assert_int_equal(load->settings->limits.store_memory, 5);
  static const char *const bad[][2] = {
      {"1.5", "1.5"},     {"'fast'", "\"fast\""},
      {"''", "\"\""},     {"'1e3'", "\"1e3\""},
      {"' 5'", "\" 5\""}, {"'0x10'", "\"0x10\""},
      {"'-'", "\"-\""},   {"'9999999999999999999'", "\"9999999999999999999\""},
      {"true", "true"},   {"{}", "a table"},
      {"0/0", NULL},      {"1e300", "1e+300"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char text[128];
    snprintf(text, sizeof text, "return { services = {}, limits = { request_timeout = %s } }",
             bad[i][0]);
    load_text(load, text);
    assert_int_equal(load->problems.errors, 1);
    if (bad[i][1] == NULL)
      continue; /* how C prints it depends on the machine */
    snprintf(text, sizeof text,
             "host.lua: limits.request_timeout: expected a number of milliseconds, got %s",
             bad[i][1]);
    assert_error(load, text);
  }
  load_text(load, "return { services = {}, limits = { request_timeout = '-5' } }");
  assert_error(load, "host.lua: limits.request_timeout: must be at least 0, got -5");
}

static void all_problems_are_told_at_once(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, worker = 2, limits = { request_timeout = 'fast' },\n"
                  "servers = { { prot = 1 }, { port = 70000 } }, log = 5 }");
  assert_int_equal(load->status, ROOST_ECONFIG);
  assert_int_equal(load->problems.count, 5);
  assert_true(load_has_problem(load, "host.lua: worker: unknown key (did you mean \"workers\"?)"));
  assert_true(load_has_problem(load, "host.lua: limits.request_timeout: expected a number of "
                                     "milliseconds, got \"fast\""));
  assert_true(
      load_has_problem(load, "host.lua: servers[1].prot: unknown key (did you mean \"port\"?)"));
  assert_true(load_has_problem(load, "host.lua: servers[2].port: must be between 0 and 65535, got "
                                     "70000"));
  assert_true(load_has_problem(load, "host.lua: log: expected a table, got 5"));
}

static void odd_values_are_shown_safely(void **state) {
  load_case *load = *state;
  load_text(load, "return { services = {}, ['a b'] = 1, [5] = 2, log = { level = "
                  "('x'):rep(200) }, limits = { [1] = 1 } }");
  assert_int_equal(load->problems.errors, 4);
  assert_true(load_has_problem(load, "host.lua: [\"a b\"]: unknown key"));
  assert_true(load_has_problem(load, "host.lua: expected named keys, found 5"));
  assert_true(load_has_problem(load, "host.lua: limits: expected named keys, found 1"));
  load_text(load, "return { services = {}, servers = { { name = 'a\\0b' } } }");
  assert_error(load, "host.lua: servers[1].name: must not contain a NUL byte");
}

static void a_missing_file_is_a_problem(void **state) {
  load_case *load = *state;
  load_file(load, "absent.lua");
  assert_int_equal(load->status, ROOST_ECONFIG);
  assert_error(load, "absent.lua: No such file or directory");
  load_file(load, ".");
  assert_error(load, ".: Is a directory");
}

static void services_start_at_the_working_directory(void **state) {
  load_case *load = *state;
  char folder[128];
  snprintf(folder, sizeof folder, "%s/services", load->dir);
  load_text(load, "return {}");
  assert_error(load, "host.lua: services: \"services\": No such file or directory");
  mkdir(folder, 0700);
  load_write(load, "a.lua", "");
  load_text(load, "return {}");
  assert_int_equal(load->status, 0);
  assert_string_equal(load->settings->services[0], "services");
  assert_null(load->settings->services[1]);
  load_text(load, "return { services = { 'a.lua', 'services', 'b.lua', '/dev/null' } }");
  assert_int_equal(load->problems.count, 2);
  assert_true(load_has_problem(load, "host.lua: services: \"b.lua\": No such file or directory"));
  assert_true(
      load_has_problem(load, "host.lua: services: \"/dev/null\": neither a file nor a folder"));
  load_text(load, "return { services = { 'a.lua', 'services' } }");
  assert_string_equal(load->settings->services[0], "a.lua");
  assert_string_equal(load->settings->services[1], "services");
  assert_null(load->settings->services[2]);
}

static void the_folder_is_optional_with_no_file(void **state) {
  load_case *load = *state;
  char folder[128];
  load_file(load, NULL);
  assert_int_equal(load->status, 0);
  assert_null(load->settings->services[0]);
  snprintf(folder, sizeof folder, "%s/services", load->dir);
  mkdir(folder, 0700);
  load_file(load, NULL);
  assert_string_equal(load->settings->services[0], "services");
  load_set(load, "services", "elsewhere");
  load_file(load, NULL);
  assert_error(load,
               "built-in config/host.lua: services: \"elsewhere\": No such file or directory");
}

/* Out of memory at every single allocation in turn. */
static void running_out_of_memory_is_a_status(void **state) {
  load_case *load = *state;
  load_write(load, "secret", "word\n");
  load_set(load, "servers.2.port", "5");
  size_t refused = 0;
  const char *text = "return { services = { '.', 'host.lua' }, x = 1, y = 2, servers = { { name = "
                     "file('secret'), services = { 'a' } } }, workers = 2 }";
  load_text(load, text);
  assert_int_equal(load->problems.count, 2);
  for (size_t allowed = 0;; allowed++) {
    load_clear(load);
    load->probe.refuse_after = allowed;
    load_file(load, "host.lua");
    load->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    if (load->status != ROOST_ENOMEM)
      break;
    refused++;
  }
  assert_int_equal(load->status, ROOST_ECONFIG);
  assert_int_equal(load->problems.count, 2);
  assert_true(refused > 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(an_empty_table_is_all_defaults),
      LOAD_TEST(the_file_compiled_in_is_all_defaults),
      LOAD_TEST(every_member_is_stored),
      LOAD_TEST(what_numbers_may_look_like),
      LOAD_TEST(all_problems_are_told_at_once),
      LOAD_TEST(odd_values_are_shown_safely),
      LOAD_TEST(a_missing_file_is_a_problem),
      LOAD_TEST(services_start_at_the_working_directory),
      LOAD_TEST(the_folder_is_optional_with_no_file),
      LOAD_TEST(running_out_of_memory_is_a_status),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
