/* What of a sandbox only C can show; the rest is in tests/lua/sandbox_spec.lua. */
#include "service/service_test.h"

#include <lua.h>

#include "vm/sandbox.h"

/* As service_test_load, but in a sandbox; NULL: it cannot be loaded. */
static roost_generation *load(service_test *self, const char *text) {
  char path[128];
  roost_buffer error;
  roost_service *service;
  roost_generation *generation = NULL;
  service_test_write(self, "guest", text);
  snprintf(path, sizeof path, "%s/guest.lua", self->folder);
  roost_buffer_init(&error, roost_alloc_default());
  if (roost_dispatch_add_service(&service, self->dispatch, "guest", self->folder, path) == 0) {
    service->sandbox = true;
    if (roost_generation_load(&generation, service, &error) == 0)
      service->current = generation;
  }
  snprintf(self->error, sizeof self->error, "%.*s", (int)error.len, error.len ? error.ptr : "");
  roost_buffer_deinit(&error);
  return generation;
}

#define GUEST(code) "local service = require('roost').service() " code " return service"

static void only_its_own_state_is_closed_off(void **state) {
  (void)state;
  static service_test self;
  service_test_init(&self);
  const roost_generation *guest = load(&self, GUEST("assert(io == nil)"));
  const roost_generation *own = service_test_load(&self, "own", "assert(io ~= nil)");
  assert_true(roost_sandbox_on(guest->vm->lua));
  assert_false(roost_sandbox_on(own->vm->lua));
  assert_int_equal(lua_gettop(guest->vm->lua), 0);
  service_test_deinit(&self);
}

static void host_globals_are_whole(void **state) {
  (void)state;
  static service_test self;
  service_test_init(&self);
  lua_State *lua = load(&self, GUEST("string.format = nil"))->vm->lua;
  roost_sandbox_push_host(lua);
  assert_int_equal(lua_getfield(lua, -1, "io"), LUA_TTABLE);
  assert_int_equal(lua_getfield(lua, -2, "string"), LUA_TTABLE);
  assert_int_equal(lua_getfield(lua, -1, "format"), LUA_TFUNCTION);
  assert_int_equal(lua_getfield(lua, -2, "dump"), LUA_TNIL); /* methods of strings are from here */
  lua_settop(lua, 0);
  service_test_deinit(&self);
}

static void loading_fails_at_every_allocation(void **state) {
  (void)state;
  static service_test self;
  roost_generation *generation = NULL;
  for (size_t n = 0; generation == NULL; n += n < 50 ? 1 : 7) {
    service_test_init(&self);
    self.probe.refuse_after = n;
    generation =
        load(&self, GUEST("require 'cjson' load('return ' .. '1')() pcall(require, 'missing') "
                          "pcall(setmetatable, {}, { __gc = print }) loadfile 'missing' "
                          "service:message('m', function() end)"));
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    service_test_deinit(&self);
    assert_true(n < 20000);
  }
}

static void bytecode_is_no_service(void **state) {
  (void)state;
  static service_test self;
  service_test_init(&self);
  assert_null(load(&self, "\x1bLua"));
  assert_non_null(strstr(self.error, "attempt to load a binary chunk (mode is 't')"));
  service_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_its_own_state_is_closed_off),
      cmocka_unit_test(host_globals_are_whole),
      cmocka_unit_test(loading_fails_at_every_allocation),
      cmocka_unit_test(bytecode_is_no_service),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
