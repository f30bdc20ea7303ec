/* The bounded functions against Lua's own, on cases made from seeds by stock_cases.lua. */
#include "vm_test.h"

#include <lualib.h>

static int load_cases(lua_State *lua) {
  if (luaL_loadfile(lua, STOCK_CASES) != LUA_OK)
    return lua_error(lua);
  lua_call(lua, 0, 1);
  lua_setfield(lua, LUA_REGISTRYINDEX, "cases");
  return 0;
}

static lua_State *open_stock(void) {
  lua_State *lua = luaL_newstate();
  assert_non_null(lua);
  luaL_openlibs(lua);
  return lua;
}

static void prepare(lua_State *lua) {
  lua_pushcfunction(lua, load_cases);
  if (lua_pcall(lua, 0, 0, 0) != LUA_OK)
    fail_msg("%s", lua_tostring(lua, -1));
}

/* Leaves the transcript of one case on the stack. */
static const char *transcript(lua_State *lua, const char *kind, int seed, size_t *len) {
  lua_settop(lua, 0);
  lua_getfield(lua, LUA_REGISTRYINDEX, "cases");
  lua_pushstring(lua, kind);
  lua_pushinteger(lua, seed);
  if (lua_pcall(lua, 2, 1, 0) != LUA_OK)
    fail_msg("%s %d: %s", kind, seed, lua_tostring(lua, -1));
  return lua_tolstring(lua, -1, len);
}

static void compare(const char *kind, int count) {
  vm_test self;
  lua_State *stock = open_stock();
  const char *seeds = getenv("ROOST_SEEDS"); /* for longer runs */
  int first = 1;
  vm_test_init(&self);
  prepare(self.vm->lua);
  prepare(stock);
  if (seeds != NULL)
    sscanf(seeds, "%d+%d", &first, &count);
  for (int seed = first; seed < first + count; seed++) {
    size_t expected_len;
    size_t len;
    const char *expected = transcript(stock, kind, seed, &expected_len);
    const char *got = transcript(self.vm->lua, kind, seed, &len);
    if (len != expected_len || memcmp(got, expected, len) != 0)
      fail_msg("%s, seed %d: expected\n%s\ngot\n%s", kind, seed, expected, got);
  }
  lua_close(stock);
  vm_test_deinit(&self);
}

static void patterns_match_as_luas_own(void **state) {
  (void)state;
  compare("patterns", 20000);
}

static void patterns_have_the_same_bounds(void **state) {
  (void)state;
  compare("bounds", 3000);
}

static void longer_texts_match_as_with_luas_own(void **state) {
  (void)state;
  compare("runs", 3000);
}

static void functions_of_strings_check_their_arguments_alike(void **state) {
  (void)state;
  compare("string_arguments", 500);
}

static void functions_of_tables_are_luas_own(void **state) {
  (void)state;
  compare("tables", 10000);
}

static void load_is_luas_own(void **state) {
  (void)state;
  compare("loads", 5000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(patterns_match_as_luas_own),
      cmocka_unit_test(patterns_have_the_same_bounds),
      cmocka_unit_test(longer_texts_match_as_with_luas_own),
      cmocka_unit_test(functions_of_strings_check_their_arguments_alike),
      cmocka_unit_test(functions_of_tables_are_luas_own),
      cmocka_unit_test(load_is_luas_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
