#include "bind_test.h"

static void the_lua_half_can_come_from_a_folder(void **state) {
  (void)state;
  static service_test self;
  char path[256];
  service_test_prepare(&self);
  snprintf(path, sizeof path, "mkdir '%s/roost'", self.folder);
  assert_int_equal(system(path), 0);
  assert_int_equal(service_test_dispatch(&self), 0);
  self.dispatch->config.lua_dir = self.folder;
  service_test_write(&self, "roost/init",
                     "local s = require 'roost.service' return { service = s.new, mine = 5 }");
  service_test_write(&self, "roost/service",
                     "local core = ... local made = {} return { new = function() return made end, "
                     "check_returned = function(v) assert(v == made and core.service_name == 'a') "
                     "end }");
  service_test_load(&self, "a", "assert(roost.mine == 5)");
  service_test_deinit(&self);
}

static void every_service_has_a_state_of_its_own(void **state) {
  (void)state;
  static service_test self;
  service_test_init(&self);
  service_test_load(&self, "a", "shared = 1 service:message('a', function() return shared end)");
  service_test_load(&self, "b",
                    "service:message('b', function() return shared == nil and service.name end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"a\"", NULL, "1");
  service_test_send(&self, &self.peer, "\"b\"", NULL, "2");
  service_test_expect(&self, "last 1 1\nlast 2 \"b\"\n");
  service_test_deinit(&self);
}

static void modules_lie_beside_it(void **state) {
  (void)state;
  static service_test self;
  char path[256];
  service_test_prepare(&self);
  snprintf(path, sizeof path, "mkdir '%s/a' '%s/lib' '%s/lua'", self.folder, self.folder,
           self.folder);
  assert_int_equal(system(path), 0);
  assert_int_equal(service_test_dispatch(&self), 0);
  service_test_write(&self, "a/own", "return 'own'");
  service_test_write(&self, "lib/shared", "return 'shared'");
  service_test_write(&self, "lua/common", "return 'common'");
  service_test_load(&self, "a",
                    "assert(require 'own' == 'own' and require 'shared' == 'shared' and "
                    "require 'common' == 'common')");
  service_test_deinit(&self);
}

/* A state that is being closed runs no finalizers but those there were before. */
static void finalizers_at_the_end_leave_nothing(void **state) {
  (void)state;
  static service_test self;
  service_test_init(&self);
  service_test_load(
      &self, "a",
      "roost.store:set('kept', { 1 })"
      "bad = setmetatable({}, { __gc = function()"
      "  roost.json.encode { ('x'):rep(5000), '\\xff' } end })"
      "last = setmetatable({}, { __gc = function()"
      "  local long = ('x'):rep(5000)"
      "  assert(not pcall(roost.json.encode, { long, '\\xff' })) roost.json.encode { long }"
      "  assert(not pcall(roost.store.set, roost.store, 'k', { long, print }))"
      "  roost.store:set('k', { 'short' }) assert(roost.store:get('k')[1] == 'short')"
      "  roost.store:set('k', { long })"
      "  pcall(roost.log.info, roost.log, 'x', { a = setmetatable({}, { __tostring = error }) })"
      "  roost.log:info('fields', { a = { long }, b = 1 }) print('all of it') end })");
  service_test_go(&self);
  roost_generation_free(self.dispatch->services[0]->current);
  self.dispatch->services[0]->current = NULL;
  service_test_expect_line(&self, "all of it");
  service_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_lua_half_can_come_from_a_folder),
      cmocka_unit_test(every_service_has_a_state_of_its_own),
      cmocka_unit_test(modules_lie_beside_it),
      cmocka_unit_test(finalizers_at_the_end_leave_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
