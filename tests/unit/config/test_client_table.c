#include <lauxlib.h>
#include <lua.h>

#include "alloc_probe.h"
#include "config/client_table.h"
#include "core/slice.h"

typedef struct fixture {
  roost_alloc_probe probe;
  lua_State *lua;
  roost_client_table *table; /* NULL where it could not be read */
  roost_buffer error;
} fixture;

static int init(void **state) {
  fixture *self = calloc(1, sizeof *self);
  roost_alloc_probe_init(&self->probe);
  roost_buffer_init(&self->error, &self->probe.alloc);
  self->lua = luaL_newstate();
  *state = self;
  return 0;
}

static int deinit(void **state) {
  fixture *self = *state;
  roost_client_table_free(self->table);
  roost_buffer_deinit(&self->error);
  assert_int_equal(self->probe.bytes, 0);
  lua_close(self->lua);
  free(self);
  return 0;
}

/* Reads the table that a Lua expression gives. */
static int read_table(fixture *self, const char *text, const char *working_dir) {
  roost_client_table_free(self->table);
  roost_buffer_clear(&self->error);
  lua_settop(self->lua, 0);
  lua_pushfstring(self->lua, "return %s", text);
  assert_int_equal(luaL_dostring(self->lua, lua_tostring(self->lua, 1)), LUA_OK);
  return roost_client_table_read(&self->table, &self->probe.alloc, self->lua, 2, working_dir,
                                 &self->error);
}

static void a_table_is_read(void **state) {
  fixture *self = *state;
  assert_int_equal(read_table(self, "{ url = 'tcp://h.test:1', timeout = 5 }", NULL), 0);
  assert_string_equal(self->table->config.host, "h.test");
  assert_int_equal(self->table->config.port, 1);
  assert_int_equal(self->table->config.timeout, 5);
  assert_null(self->table->config.tls);
  assert_null(self->table->config.name);
}

static void urls_are_tried_in_their_order(void **state) {
  fixture *self = *state;
  assert_int_equal(read_table(self, "{ urls = { 'tls://a:1', 'tls://b', 'tls://[::1]:3' } }", NULL),
                   0);
  const roost_client_config *config = &self->table->config;
  assert_string_equal(config->host, "a");
  assert_int_equal(config->port, 1);
  assert_int_equal(config->other_count, 2);
  assert_string_equal(config->others[0].host, "b");
  assert_int_equal(config->others[0].port, 3000);
  assert_string_equal(config->others[1].host, "::1");
  assert_int_equal(config->others[1].port, 3);
  assert_non_null(config->tls);
}

static void relative_paths_start_at_the_working_directory(void **state) {
  fixture *self = *state;
  assert_int_equal(read_table(self, "{ tls = { ca = 'ca.pem' } }", "/here"), 0);
  assert_string_equal(self->table->config.tls->dir, "/here");
  assert_string_equal(self->table->config.tls->ca[0], "ca.pem");
  assert_int_equal(read_table(self, "{ tls = { ca = 'ca.pem' } }", NULL), 0);
  assert_null(self->table->config.tls->dir);
}

static void all_that_is_wrong_is_said(void **state) {
  fixture *self = *state;
  assert_int_equal(read_table(self, "{ prot = 1, port = 'x' }", NULL), ROOST_ECONFIG);
  assert_null(self->table);
  assert_true(roost_buffer_append_byte(&self->error, '\0') == 0);
  assert_non_null(strstr(self->error.ptr, "prot: unknown key"));
  assert_non_null(strstr(self->error.ptr, "\nroost.client: port: "));
}

static void memory_may_be_short_at_every_point(void **state) {
  fixture *self = *state;
  static const char text[] = "{ url = 'tls://h:1', tls = { ca = { 'a', 'b' } } }";
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status != 0; n++) {
    self->probe.refuse_after = n;
    status = read_table(self, text, "/here");
    self->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    assert_true(status == 0 || status == ROOST_ENOMEM);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_table_is_read, init, deinit),
      cmocka_unit_test_setup_teardown(urls_are_tried_in_their_order, init, deinit),
      cmocka_unit_test_setup_teardown(relative_paths_start_at_the_working_directory, init, deinit),
      cmocka_unit_test_setup_teardown(all_that_is_wrong_is_said, init, deinit),
      cmocka_unit_test_setup_teardown(memory_may_be_short_at_every_point, init, deinit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
