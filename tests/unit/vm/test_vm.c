#include "vm_test.h"

static void a_state_is_counted_and_given_back(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  roost_vm *vm = self.vm;
  assert_ptr_equal(roost_vm_of(vm->lua), vm);
  size_t before = vm->memory_bytes;
  assert_true(before > 0 && before <= self.probe.bytes);
  vm_test_expect(&self, "big = ('x'):rep(100000) return #big", "100000");
  assert_true(vm->memory_bytes >= before + 100000);
  vm_test_expect(&self, "big = nil collectgarbage() return true", "true");
  assert_true(vm->memory_bytes < before + 50000);
  vm_test_deinit(&self);
}

static void the_limit_is_an_error_scripts_can_catch(void **state) {
  (void)state;
  vm_test self;
  vm_test_prepare(&self);
  assert_int_equal(vm_test_try_open(&self, 400000), 0);
  roost_vm_go_live(self.vm);
  vm_test_expect(&self, "return pcall(string.rep, 'x', 500000)",
                 "false,LimitError: EMEMORY: not enough memory: the limit is 400000 bytes");
  assert_true(self.vm->memory_bytes < 400000);
  vm_job job;
  vm_job_run(&job, &self, 0, "local t = {} while true do t[#t + 1] = {} end");
  assert_true(job.failed);
  assert_string_equal(job.result,
                      "LimitError: EMEMORY: not enough memory: the limit is 400000 bytes");
  assert_string_equal(job.trace, "");
  vm_test_expect(&self, "return 'goes on'", "goes on");
  vm_test_deinit(&self);
}

static void a_limit_too_small_for_a_state_is_told_from_short_memory(void **state) {
  (void)state;
  vm_test self;
  vm_test_prepare(&self);
  assert_int_equal(vm_test_try_open(&self, 10), ROOST_EFULL);
  assert_int_equal(vm_test_try_open(&self, 2000), ROOST_EFULL);
  vm_test_deinit(&self);
}

static void coroutines_know_their_vm(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  lua_State *co = lua_newthread(self.vm->lua);
  assert_ptr_equal(roost_vm_of(co), self.vm);
  assert_false(roost_vm_waits(co));
  roost_vm_set_waits(co, true);
  assert_true(roost_vm_waits(co));
  assert_ptr_equal(roost_vm_of(co), self.vm);
  assert_false(roost_vm_waits(self.vm->lua));
  vm_test_deinit(&self);
}

static void closing_ends_all_tasks(void **state) {
  (void)state;
  vm_test self;
  vm_job jobs[4];
  vm_test_prepare(&self);
  assert_int_equal(vm_test_try_open(&self, 0), 0);
  vm_job_start(&jobs[0], &self, "log('held')");
  roost_vm_go_live(self.vm); /* ready */
  vm_job_start(&jobs[1], &self, "sleep(10) log('time')");
  vm_job_start(&jobs[2], &self, "wait() log('list')");
  vm_job_start(
      &jobs[3], &self,
      "local x <close> = setmetatable({}, {__close = function() log('close') end}) wait()");
  vm_test_deinit(&self);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(jobs[i].ended, 1);
    assert_true(jobs[i].reset);
  }
  assert_string_equal(self.log, "close;");
  assert_true(roost_list_empty(&self.waiters));
  assert_false(roost_runner_turn(&self.runner, UINT64_MAX));
}

static vm_job late_job;
static int late_status;

static int start_late(lua_State *lua) {
  late_status = vm_job_try(&late_job, roost_vm_of(lua)->owner, "sleep(5)", &vm_job_ops);
  return 0;
}

static void a_finalizer_starts_nothing_in_a_vm_that_closes(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  late_status = 0;
  lua_register(self.vm->lua, "start_late", start_late);
  vm_test_expect(&self, "keep = setmetatable({}, {__gc = start_late}) return 1", "1");
  vm_test_deinit(&self); /* nothing is left, no timer runs */
  assert_int_equal(late_status, ROOST_ESTATE);
  assert_null(late_job.task);
  assert_int_equal(late_job.ended, 0);
}

static void quiet(roost_vm *vm) {
  vm_test *self = vm->owner;
  strcat(self->log, "quiet;");
}

static void tells_when_the_last_task_has_ended(void **state) {
  (void)state;
  vm_test self;
  vm_job one;
  vm_job two;
  vm_test_init(&self);
  self.vm->on_quiet = quiet;
  vm_job_start(&one, &self, "wait() log('one')");
  vm_job_start(&two, &self, "wait() log('two')");
  vm_test_wake_all(&self);
  assert_string_equal(self.log, "one;two;quiet;");
  vm_test_deinit(&self);
}

/* Keeps much and goes on making garbage, in runs of a few hundred blocks each. */
static const char churn[] = "keep, at = {}, 0\n"
                            "for i = 1, 50000 do keep[i] = {i, 'text ' .. i} end\n"
                            "function churn()\n"
                            "  for i = 1, 100 do\n"
                            "    at = at % #keep + 1\n"
                            "    keep[at] = {at, 'other ' .. at}\n"
                            "  end\n"
                            "end\n";

/* Where Lua runs into the limit it collects all at once, which takes long. */
static void a_cycle_ends_before_the_limit_is_reached(void **state) {
  (void)state;
  vm_test self;
  const size_t limit = (size_t)10 << 20;
  size_t peak = 0;
  size_t largest_run = 0;
  vm_test_prepare(&self);
  assert_int_equal(vm_test_try_open(&self, limit), 0);
  roost_vm_go_live(self.vm);
  vm_test_expect(&self, churn, "");
  for (int i = 0; i < 3000; i++) {
    const size_t before = self.vm->memory_bytes;
    lua_getglobal(self.vm->lua, "churn");
    assert_int_equal(roost_vm_call(self.vm, 0, 0), LUA_OK);
    const size_t after = self.vm->memory_bytes;
    if (after > before && after - before > largest_run)
      largest_run = after - before;
    if (after > peak)
      peak = after;
    if (after > self.vm->tune_above || after < self.vm->tune_below)
      roost_vm_tune(self.vm);
  }
  assert_true(peak + largest_run < limit);
  vm_test_deinit(&self);
}

static void opening_may_fail_at_every_allocation(void **state) {
  (void)state;
  vm_test self;
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status != 0; n++) {
    vm_test_prepare(&self);
    self.probe.refuse_after = n;
    status = vm_test_try_open(&self, 0);
    if (status != 0) {
      assert_int_equal(status, ROOST_ENOMEM);
      assert_null(self.vm);
      assert_int_equal(self.probe.bytes, 0);
    }
  }
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_state_is_counted_and_given_back),
      cmocka_unit_test(the_limit_is_an_error_scripts_can_catch),
      cmocka_unit_test(a_limit_too_small_for_a_state_is_told_from_short_memory),
      cmocka_unit_test(coroutines_know_their_vm),
      cmocka_unit_test(closing_ends_all_tasks),
      cmocka_unit_test(a_finalizer_starts_nothing_in_a_vm_that_closes),
      cmocka_unit_test(tells_when_the_last_task_has_ended),
      cmocka_unit_test(a_cycle_ends_before_the_limit_is_reached),
      cmocka_unit_test(opening_may_fail_at_every_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
