/* Bytes that are a value give one which, packed, is a fixed point; all others are refused. */
#include <lua.h>

#include "fuzz.h"
#include "vm/pack.h"
#include "vm/vm.h"

/* Packs the value on top of the stack into out. It is one, so it can be. */
static void pack(lua_State *lua, roost_buffer *out) {
  roost_buffer_init(out, roost_alloc_default());
  PROMISE(roost_pack_write(lua, -1, out) == 0);
  lua_pop(lua, 1);
}

/* check(light userdata: the bytes) */
static int check(lua_State *lua) {
  const roost_slice *bytes = lua_touserdata(lua, 1);
  roost_buffer once;
  roost_buffer twice;
  roost_pack_number number;
  int status = roost_pack_push(lua, *bytes);
  PROMISE(status == 0 || status == ROOST_EPROTO);
  PROMISE(lua_gettop(lua) == (status == 0 ? 2 : 1));
  if (status != 0)
    return 0;
  PROMISE(roost_pack_get_number(*bytes, &number) == (lua_type(lua, -1) == LUA_TNUMBER));
  pack(lua, &once);
  /* Members under equal keys have become one, and it may be an element now. */
  PROMISE(roost_pack_push(lua, roost_buffer_slice(&once)) == 0);
  pack(lua, &twice);
  PROMISE(twice.len <= once.len);
  roost_buffer_deinit(&once);
  roost_buffer_deinit(&twice);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  roost_runner runner;
  roost_vm *vm;
  roost_slice bytes = {(const char *)data, size};
  const roost_vm_config config = {.alloc = roost_alloc_default(), .runner = &runner};
  roost_runner_init(&runner);
  PROMISE(roost_vm_open(&vm, &config) == 0);
  lua_pushcfunction(vm->lua, check);
  lua_pushlightuserdata(vm->lua, &bytes);
  PROMISE(lua_pcall(vm->lua, 1, 0, 0) == LUA_OK);
  roost_vm_close(vm);
  return 0;
}
