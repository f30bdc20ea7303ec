/* A text becomes a Lua value where the validator accepts it, and only there; the value, written
 * and read again, is written in the same length (members may change places). */
#include <lua.h>

#include "fuzz.h"
#include "vm/value.h"
#include "vm/vm.h"
#include "wire/json.h"

/* Writes the value on top of the stack into out, and takes it off. What was read can be written. */
static void write(lua_State *lua, roost_buffer *out) {
  roost_buffer_init(out, roost_alloc_default());
  PROMISE(roost_value_write_json(lua, -1, out) == 0);
  PROMISE(roost_json_validate(roost_buffer_slice(out)) == 0);
  lua_pop(lua, 1);
}

/* check(light userdata: the text) */
static int check(lua_State *lua) {
  const roost_slice *text = lua_touserdata(lua, 1);
  const char *why = NULL;
  size_t at = 0;
  roost_buffer once;
  roost_buffer twice;
  const int status = roost_value_push_json(lua, *text, &why, &at);
  PROMISE((status == 0) == (roost_json_validate(*text) == 0));
  PROMISE(lua_gettop(lua) == (status == 0 ? 2 : 1));
  if (status != 0) {
    PROMISE(why != NULL && at <= text->len);
    return 0;
  }
  write(lua, &once);
  PROMISE(roost_value_push_json(lua, roost_buffer_slice(&once), &why, &at) == 0);
  write(lua, &twice);
  PROMISE(twice.len == once.len);
  roost_buffer_deinit(&once);
  roost_buffer_deinit(&twice);
  return 0;
}

static int open_values(lua_State *lua) {
  roost_value_open(lua);
  return 0;
}

static void run(lua_State *lua, lua_CFunction function, void *ud) {
  lua_pushcfunction(lua, function);
  lua_pushlightuserdata(lua, ud);
  PROMISE(lua_pcall(lua, 1, 0, 0) == LUA_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static roost_runner runner;
  static roost_vm *vm;
  roost_buffer text;
  if (vm == NULL) {
    const roost_vm_config config = {.alloc = roost_alloc_default(), .runner = &runner};
    roost_runner_init(&runner);
    PROMISE(roost_vm_open(&vm, &config) == 0);
    run(vm->lua, open_values, NULL);
  }
  fuzz_text(&text, data, size);
  roost_slice whole = roost_buffer_slice(&text);
  run(vm->lua, check, &whole);
  roost_buffer_deinit(&text);
  return 0;
}
