#include "poll_probe.h"

#include "vm/steps.h"

static void a_poll_follows_so_many_steps(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  self.vm->steps_left = ROOST_STEPS_PER_POLL;
  poll_probe_arm(0);
  for (int i = 1; i < ROOST_STEPS_PER_POLL; i++)
    roost_steps_spend(self.vm, self.vm->lua, 1);
  assert_int_equal(poll_probe.polls, 0);
  roost_steps_spend(self.vm, self.vm->lua, 1);
  assert_int_equal(poll_probe.polls, 1);
  roost_steps_spend(self.vm, self.vm->lua, ROOST_STEPS_PER_POLL - 1);
  assert_int_equal(poll_probe.polls, 1);
  roost_steps_spend_bytes(self.vm, self.vm->lua, 0);
  assert_int_equal(poll_probe.polls, 2);
  roost_steps_spend_bytes(self.vm, self.vm->lua, SIZE_MAX);
  assert_int_equal(poll_probe.polls, 3);
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_poll_follows_so_many_steps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
