#include "vm_test.h"

static void pcall_and_xpcall_are_luas_own(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  vm_test_expect(&self, "return pcall(function(...) return ... end, 1, nil)", "true,1,nil");
  vm_test_expect(&self, "return pcall(error)", "false,nil");
  vm_test_expect(&self, "return pcall(error, 'x', 0)", "false,x");
  vm_test_expect(&self, "return pcall(pcall)", "false,bad argument #1 to 'pcall' (value expected)");
  vm_test_expect(&self, "return pcall(1)", "false,attempt to call a number value");
  vm_test_expect(&self, "return xpcall(function(a, b) return b, a end, print, 1, 2)", "true,2,1");
  vm_test_expect(&self, "return xpcall(error, function(m) return m .. '!' end, 'x', 0)",
                 "false,x!");
  vm_test_expect(&self, "return select('#', xpcall(error, function() end))", "2");
  vm_test_expect(&self, "return pcall(xpcall, print)",
                 "false,bad argument #2 to 'xpcall' (function expected, got no value)");
  vm_test_expect(&self, "return xpcall(function() sleep(1) error('late', 0) end, string.upper)",
                 "false,LATE");
  vm_test_expect(&self, "local ok, e = pcall(string.rep, 'x', 1 << 60) return ok", "false");
  vm_test_deinit(&self);
}

static void a_caught_cancel_is_raised_again(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  vm_test_init(&self);
  vm_job_start(&job, &self,
               "for i = 1, 3 do log(i, (xpcall(sleep, function(e) return e end, 50))) end "
               "log((pcall(function() local c <close> = setmetatable({}, {__close = function()"
               "  log(pcall(pcall, error, 'other', 0)) log(sleep(1)) end}) wait() end)))"
               "return 'ended by itself'");
  roost_task_cancel(job.task);
  vm_test_advance(&self, 3);
  assert_string_equal(self.log, "1,false;2,false;3,false;true,false,other;slept;false;");
  assert_string_equal(job.result, "ended by itself");
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pcall_and_xpcall_are_luas_own),
      cmocka_unit_test(a_caught_cancel_is_raised_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
