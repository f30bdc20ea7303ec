/* The matcher by itself; that it matches as Lua's own is for test_bounded.c. */
#include "vm_test.h"

#include "vm/match.h"

typedef struct search {
  const char *subject;
  const char *pattern;
  size_t from;
  bool may_anchor;
  char found[256]; /* each match, with a ; behind it */
} search;

static int run(lua_State *lua) {
  search *self = lua_touserdata(lua, 1);
  roost_match match;
  roost_match_init(&match, lua, (roost_slice){self->subject, strlen(self->subject)},
                   (roost_slice){self->pattern, strlen(self->pattern)}, self->from,
                   self->may_anchor);
  size_t len = 0;
  while (roost_match_next(&match))
    len += (size_t)snprintf(self->found + len, sizeof self->found - len, "%.*s;",
                            (int)(match.end - match.start), match.start);
  assert_false(roost_match_next(&match)); /* it stays at its end */
  return 0;
}

static void expect(vm_test *test, const char *subject, const char *pattern, size_t from,
                   const char *found) {
  search self = {.subject = subject, .pattern = pattern, .from = from, .may_anchor = true};
  lua_pushcfunction(test->vm->lua, run);
  lua_pushlightuserdata(test->vm->lua, &self);
  if (lua_pcall(test->vm->lua, 1, 0, 0) != LUA_OK) {
    snprintf(self.found, sizeof self.found, "%s", lua_tostring(test->vm->lua, -1));
    lua_pop(test->vm->lua, 1);
  }
  assert_string_equal(self.found, found);
}

static void matches_come_one_after_another(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  expect(&self, "one two", "%a+", 0, "one;two;");
  expect(&self, "one two", "%a+", 1, "ne;two;");
  expect(&self, "one", "%a+", 3, "");
  expect(&self, "one", "", 4, "");
  expect(&self, "abc", "x*", 0, ";;;;");
  expect(&self, "aab", "a*", 0, "aa;;");
  expect(&self, "", "", 0, ";");
  expect(&self, "aaa", "^a", 0, "a;");
  expect(&self, "aaa", "^a", 1, "a;");
  expect(&self, "baa", "^a", 0, "");
  expect(&self, "a^a", "[%^]", 0, "^;");
  expect(&self, "x(a(b)c)(d", "%b()", 0, "(a(b)c);");
  vm_test_deinit(&self);
}

static void mistakes_are_found_when_they_are_reached(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  expect(&self, "abc", "x[", 0, "");
  expect(&self, "xbc", "x[", 0, "malformed pattern (missing ']')");
  expect(&self, "abc", "x%", 0, "");
  expect(&self, "xbc", "x%", 0, "malformed pattern (ends with '%')");
  expect(&self, "(b)", "%b(", 0, "malformed pattern (missing arguments to '%b')");
  expect(&self, "abc", "%fa", 0, "missing '[' after '%f' in pattern");
  expect(&self, "abc", "a%1", 0, "invalid capture index %1");
  expect(&self, "abc", "a)", 0, "invalid pattern capture");
  vm_test_deinit(&self);
}

/* What is known of a set does not depend on whether it was looked through or remembered. */
static void sets_are_remembered(void **state) {
  (void)state;
  vm_test self;
  char subject[201];
  vm_test_init(&self);
  memset(subject, 'a', sizeof subject - 1);
  subject[200] = '\0';
  subject[150] = 'x';
  subject[160] = 'y';
  expect(&self, subject, "[xy]", 0, "x;y;");
  expect(&self, subject, "[^a]", 0, "x;y;");
  expect(&self, subject, "[^%l-]", 0, "");
  expect(&self, subject, "[xy]a?[a][^b]", 0, "xaaa;yaaa;");
  expect(&self, subject, "[x-z]a[a-c]-[yz]", 0, "xaaaaaaaaay;");
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matches_come_one_after_another),
      cmocka_unit_test(mistakes_are_found_when_they_are_reached),
      cmocka_unit_test(sets_are_remembered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
