/* Programs on a loop of their own, as roost exec and roost test run them. */
#include "alloc_probe.h"

#include <stdio.h>
#include <unistd.h>

#include "core/slice.h"
#include "exec.h"

typedef struct run {
  roost_alloc_probe probe;
  char printed[4096];
  char error[4096];
  char path[64];
  int status;
} run;

static void on_print(void *ud, roost_slice text) {
  run *self = ud;
  size_t len = strlen(self->printed);
  snprintf(self->printed + len, sizeof self->printed - len, "%.*s", (int)text.len, text.ptr);
}

static void on_exit_called(void *ud, int code) {
  (void)ud;
  fail_msg("os.exit(%d) was called", code);
}

static void write_program(run *self, const char *code) {
  strcpy(self->path, "/tmp/roost-exec-XXXXXX");
  int descriptor = mkstemp(self->path);
  assert_true(descriptor >= 0);
  FILE *file = fdopen(descriptor, "w");
  fputs(code, file);
  fclose(file);
}

static void execute(run *self, const char *code) {
  char *args[] = {"one", "two"};
  roost_buffer error;
  *self = (run){.status = 0};
  roost_alloc_probe_init(&self->probe);
  write_program(self, code);
  const roost_exec_config config = {.path = self->path,
                                    .args = args,
                                    .arg_count = 2,
                                    .print = on_print,
                                    .exit = on_exit_called,
                                    .ud = self};
  roost_buffer_init(&error, &self->probe.alloc);
  self->status = roost_exec_run(&self->probe.alloc, &config, &error);
  snprintf(self->error, sizeof self->error, "%.*s", (int)error.len, error.len ? error.ptr : "");
  roost_buffer_deinit(&error);
  unlink(self->path);
  assert_int_equal(self->probe.bytes, 0);
}

static void runs_to_its_end_and_that_of_its_tasks(void **state) {
  run self;
  (void)state;
  execute(&self,
          "local roost = require 'roost'\n"
          "print(..., arg[1], arg[2], #arg)\n"
          "roost.sleep(1)\n"
          "roost.spawn(function() roost.sleep(2) print('task') end)\n"
          "local n, timer = 0, nil\n"
          "timer = roost.every(1, function() n = n + 1 if n == 3 then timer:cancel() end end)\n"
          "print('main')");
  assert_int_equal(self.status, 0);
  assert_string_equal(self.printed, "one\tone\ttwo\t2\nmain\ntask\n");
}

static void says_what_it_raised(void **state) {
  run self;
  (void)state;
  execute(&self, "local function f() error('no luck') end\nlocal roost = require 'roost'\n"
                 "roost.sleep(1)\nf()");
  assert_int_equal(self.status, ROOST_ESCRIPT);
  assert_non_null(strstr(self.error, ":1: no luck"));
  assert_non_null(strstr(self.error, ":4: in main chunk"));
}

static void says_what_cannot_be_loaded(void **state) {
  run self;
  (void)state;
  execute(&self, "local x = = 1");
  assert_int_equal(self.status, ROOST_ESCRIPT);
  assert_non_null(strstr(self.error, ":1: unexpected symbol"));
}

static void a_wait_for_what_cannot_come_fails(void **state) {
  run self;
  (void)state;
  execute(&self, "require('roost').stream.subject():first()");
  assert_int_equal(self.status, ROOST_ESCRIPT);
  assert_non_null(strstr(self.error, "waits for what can't come"));
}

static void a_task_that_waits_for_nothing_does_not_hold_it_up(void **state) {
  run self;
  (void)state;
  execute(&self, "local roost = require 'roost'\n"
                 "roost.spawn(function() roost.stream.subject():first() end)");
  assert_int_equal(self.status, 0);
}

/* Hosts, their peers and services end with the program, closed or not. */
static void hosts_that_are_left_open_end_with_it(void **state) {
  run self;
  (void)state;
  execute(&self,
          "local testing = require 'roost.testing' local roost = require 'roost'\n"
          "local host = testing.host { services = { a = function(service)\n"
          "  service:message('slow', function() roost.sleep(60000) end)\n"
          "  service:message('next', function(d) return roost.client('NEXT'):call('x', d) end)\n"
          "  roost.every(1000, function() end)\n"
          "end } }\n"
          "host:stub('NEXT', { x = function(d) return d end })\n"
          "print(host:call('next', 1))\n"
          "host:connect():send { pattern = 'slow', id = 1 }\n"
          "host:settle()");
  assert_int_equal(self.status, 0);
  assert_string_equal(self.printed, "1\n");
}

static void out_of_memory_at_every_allocation(void **state) {
  run self;
  (void)state;
  self = (run){.status = 0};
  write_program(&self, "require('roost').sleep(1)");
  const roost_exec_config config = {
      .path = self.path, .print = on_print, .exit = on_exit_called, .ud = &self};
  int status = ROOST_ENOMEM;
  for (size_t allowed = 0; status != 0; allowed += 1 + allowed / 20) {
    roost_buffer error;
    roost_alloc_probe_init(&self.probe);
    self.probe.refuse_after = allowed;
    roost_buffer_init(&error, &self.probe.alloc);
    status = roost_exec_run(&self.probe.alloc, &config, &error);
    roost_buffer_deinit(&error);
    assert_int_equal(self.probe.bytes, 0);
  }
  unlink(self.path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs_to_its_end_and_that_of_its_tasks),
      cmocka_unit_test(says_what_it_raised),
      cmocka_unit_test(says_what_cannot_be_loaded),
      cmocka_unit_test(a_wait_for_what_cannot_come_fails),
      cmocka_unit_test(a_task_that_waits_for_nothing_does_not_hold_it_up),
      cmocka_unit_test(hosts_that_are_left_open_end_with_it),
      cmocka_unit_test(out_of_memory_at_every_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
