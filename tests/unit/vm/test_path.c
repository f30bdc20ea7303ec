/*
 * Paths of every shape; what the walkers make of them is in test_value.c and test_pack.c.
 */
#include "vm_test.h"

#include "vm/path.h"

/* path(key, ...) -> the text of an error below a table within a table ..., each with that key */
static int path(lua_State *lua) {
  roost_path steps[8];
  int count = lua_gettop(lua);
  const roost_path *outer = NULL;
  for (int i = 1; i <= count; i++) {
    lua_newtable(lua);
    if (roost_path_enter(lua, &steps[i], outer, lua_gettop(lua)) != 0)
      return luaL_error(lua, "it was not let in");
    steps[i].key = i;
    if (lua_isnil(lua, i)) { /* by index */
      steps[i].key = 0;
      steps[i].index = 7;
    }
    outer = &steps[i];
  }
  int top = lua_gettop(lua);
  int status = roost_path_refuse(lua, outer, "why");
  if (status != ROOST_EINVAL || lua_gettop(lua) != top + 1)
    return luaL_error(lua, "it should have pushed the text");
  return 1;
}

/* nest(depth) -> the error of entering that many tables, or nil */
static int nest(lua_State *lua) {
  static roost_path steps[1200];
  lua_Integer depth = luaL_checkinteger(lua, 1);
  const roost_path *outer = NULL;
  for (lua_Integer i = 0; i < depth; i++) {
    lua_newtable(lua);
    if (roost_path_enter(lua, &steps[i], outer, lua_gettop(lua)) != 0)
      return 1;
    lua_pushinteger(lua, 1);
    steps[i].key = lua_gettop(lua);
    outer = &steps[i];
  }
  return 0;
}

/* inside(t) -> the error of entering t below itself */
static int inside(lua_State *lua) {
  roost_path outer;
  roost_path here;
  luaL_checktype(lua, 1, LUA_TTABLE);
  roost_path_enter(lua, &outer, NULL, 1);
  lua_pushliteral(lua, "me");
  outer.key = 2;
  return roost_path_enter(lua, &here, &outer, 1) == ROOST_EINVAL ? 1 : 0;
}

static int type(lua_State *lua) {
  roost_path_refuse_type(lua, NULL, 1, "eaten");
  return 1;
}

static void init(vm_test *self) {
  vm_test_init(self);
  lua_register(self->vm->lua, "path", path);
  lua_register(self->vm->lua, "nest", nest);
  lua_register(self->vm->lua, "inside", inside);
  lua_register(self->vm->lua, "refuse_type", type);
}

static void keys_of_every_kind(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self, "return path()", "why");
  vm_test_expect(&self, "return path('a')", "a: why");
  vm_test_expect(&self, "return path('a', 'b', 2, 'c')", "a.b[2].c: why");
  vm_test_expect(&self, "return path(1, 2.5, true, false)", "[1][2.5][true][false]: why");
  vm_test_expect(&self, "return path('list', nil)", "list[7]: why");
  vm_test_expect(&self, "return #path(('x'):rep(10000))", "10005");
  vm_test_expect(&self, "return refuse_type(print), refuse_type(5)",
                 "a function cannot be eaten,a number cannot be eaten");
  vm_test_deinit(&self);
}

static void depth_and_cycles(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self, "return nest(1000)", "");
  vm_test_expect(&self, "return (nest(1001):gsub('%[1%]', '', 999))",
                 "[1]: nested more than 1,000 levels deep");
  vm_test_expect(&self, "return inside{}", "me: a table contains itself");
  vm_test_deinit(&self);
}

static void a_buffer_has_as_much_room_as_the_state(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  self.vm->memory_limit = 1000;
  assert_int_equal(roost_path_room(self.vm->lua, 0), 1000);
  assert_int_equal(roost_path_room(self.vm->lua, 5), 1005);
  self.vm->memory_limit = SIZE_MAX - 4;
  assert_true(roost_path_room(self.vm->lua, 5) == SIZE_MAX);
  self.vm->memory_limit = SIZE_MAX;
  assert_true(roost_path_room(self.vm->lua, 0) == SIZE_MAX);
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_buffer_has_as_much_room_as_the_state),
      cmocka_unit_test(keys_of_every_kind),
      cmocka_unit_test(depth_and_cycles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
