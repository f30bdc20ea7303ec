#include "bind_test.h"

static void expect_line(const char *body, const char *line) {
  static service_test self;
  bind_test_answer(&self, 0, body, "1");
  service_test_expect_line(&self, line);
  service_test_deinit(&self);
}

static void lines_with_fields(void **state) {
  (void)state;
  expect_line("roost.log:info('hello') return 1",
              "level=info msg=\"hello\" service=a worker=0 gen=1");
  expect_line(
      "ctx.log:warn('w', { n = 5 }) return 1",
      "level=warn msg=\"w\" service=a worker=0 gen=1 server=public peer=10.0.0.5:4711 req=1 "
      "pattern=run n=5");
  expect_line("roost.log:error('e', { t = { 1, 'x' } }) return 1", "t=");
  expect_line("roost.log:error('e', { f = print }) return 1", "f=\"function: ");
  expect_line("roost.log:info('m', { service = 'mine' }) return 1", "service_=mine");
  expect_line("roost.log:info(setmetatable({}, { __tostring = function() return 'shown' end })) "
              "return 1",
              "msg=\"shown\"");
  expect_line("print('a', 1, nil, {} ~= nil) return 1", "msg=\"a\\t1\\tnil\\ttrue\"");
}

static void a_field_that_raises_still_ends_the_line(void **state) {
  (void)state;
  bind_test_expect_error("roost.log:info('line', { x = setmetatable({ print }, { __tostring = "
                         "function() error('in tostring', 0) end }) })",
                         "in tostring");
  bind_test_expect_error("roost.log:info('m', 5)", "table expected");
}

static void below_the_level_nothing_is_said(void **state) {
  (void)state;
  static service_test self;
  bind_test_answer(&self, 0, "roost.log:debug('hidden', { x = error }) return 1", "1");
  assert_null(strstr(self.lines, "hidden"));
  service_test_deinit(&self);
}

static void what_tasks_raise_is_logged(void **state) {
  (void)state;
  static service_test self;
  bind_test_answer(&self, 5,
                   "roost.spawn(function() roost.sleep(1) error('in task') end)"
                   "roost.spawn(function() local x x.y = 1 end):cancel() return 1",
                   "1");
  service_test_expect_line(&self, "level=error msg=\"task failed\" service=a worker=0 gen=1 "
                                  "server=public peer=10.0.0.5:4711 req=1 pattern=run "
                                  "err=\"a.lua:1: in task\" trace=\"a.lua:1: in ");
  assert_null(strstr(self.lines, "attempt to index"));
  service_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_with_fields),
      cmocka_unit_test(a_field_that_raises_still_ends_the_line),
      cmocka_unit_test(below_the_level_nothing_is_said),
      cmocka_unit_test(what_tasks_raise_is_logged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
