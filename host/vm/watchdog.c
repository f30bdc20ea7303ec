#include "vm/watchdog.h"

void roost_vm_poll(struct lua_State *lua) {
  (void)lua;
}
