#include "vm/resume.h"

#include <lua.h>

static void push(roost_frame *frame, roost_vm *vm, lua_State *lua) {
  frame->lua = lua;
  frame->outer = vm->runner->top;
  vm->runner->top = frame;
}

static void pop(const roost_frame *frame, roost_vm *vm) {
  vm->runner->top = frame->outer;
}

int roost_resume(lua_State *lua, lua_State *from, int arguments, int *results) {
  roost_vm *vm = roost_vm_of(lua);
  roost_frame frame;
  push(&frame, vm, lua);
  roost_vm_set_waits(lua, false);
  int status = lua_resume(lua, from, arguments, results);
  pop(&frame, vm);
  return status;
}

int roost_reset_thread(roost_vm *vm, lua_State *lua) {
  roost_frame frame;
  push(&frame, vm, lua);
  int status = lua_resetthread(lua);
  pop(&frame, vm);
  return status;
}
