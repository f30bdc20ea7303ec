#include "vm/steps.h"

#include "vm/watchdog.h"

void roost_steps_over(roost_vm *vm, struct lua_State *lua) {
  vm->steps_left = ROOST_STEPS_PER_POLL;
  roost_vm_poll(lua);
}
