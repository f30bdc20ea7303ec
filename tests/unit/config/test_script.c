#include "load_settings.h"

static void sees_only_what_it_may(void **state) {
  load_case *load = *state;
  load_text(load,
            "local seen = {}\n"
            "for _, name in ipairs { 'env', 'file', 'tonumber', 'tostring', 'type', 'ipairs',\n"
            "  'pairs', 'select', 'error', 'assert' } do\n"
            "  assert(type(({ env = env, file = file, tonumber = tonumber, tostring = tostring,\n"
            "    type = type, ipairs = ipairs, pairs = pairs, select = select, error = error,\n"
            "    assert = assert })[name]) == 'function', name)\n"
            "end\n"
            "assert(string.rep('x', 2) == 'xx' and ('x'):upper() == 'X')\n"
            "assert(table.concat { 1, 2 } == '12' and math.floor(1.5) == 1)\n"
            "assert(not (io or os or require or load or loadstring or dofile or loadfile))\n"
            "assert(not (debug or package or coroutine or setmetatable or getmetatable))\n"
            "assert(not (pcall or xpcall or print or rawset or rawget or collectgarbage or _G))\n"
            "return { services = {} }");
  assert_int_equal(load->status, 0);
}

static void env_reads_or_complains(void **state) {
  load_case *load = *state;
  setenv("ROOST_TEST_PORT", "4567", 1);
  unsetenv("ROOST_TEST_NONE");
  load_text(load, "return { services = {}, servers = { { port = env('ROOST_TEST_PORT'),\n"
                  "  name = env('ROOST_TEST_NONE', 'fallback') } } }");
  assert_int_equal(load->status, 0);
  assert_int_equal(load->settings->servers[0].port, 4567);
  assert_string_equal(load->settings->servers[0].name, "fallback");
  load_text(load, "local a = 1\nreturn { x = env('ROOST_TEST_NONE') }");
  assert_error(load, "host.lua:2: the environment variable ROOST_TEST_NONE is not set and env was "
                     "given no default");
}

static const char named_by_file[] =
    "return { services = {}, servers = { { name = file('secret') } } }";

static void assert_file_gives(load_case *load, const char *bytes, const char *expected) {
  load_write(load, "secret", bytes);
  load_text(load, named_by_file);
  assert_string_equal(load->settings->servers[0].name, expected);
}

static void file_drops_one_newline(void **state) {
  load_case *load = *state;
  assert_file_gives(load, "word\n", "word");
  assert_file_gives(load, "word\n\n", "word\n");
  assert_file_gives(load, "word\r\n", "word");
  assert_file_gives(load, "word\r", "word\r");
  assert_file_gives(load, "word", "word");
  load_write(load, "secret", "");
  load_text(load, named_by_file);
  assert_error(load, "host.lua: servers[1].name: must not be empty");
  load_text(load, "\n\nreturn { x = file('absent') }");
  assert_error(load, "host.lua:3: absent: No such file or directory");
  load_text(load, "return { x = file('.') }");
  assert_error(load, "host.lua:1: .: Is a directory");
  load_text(load, "return { x = file('/dev/zero') }");
  assert_error(load, "host.lua:1: /dev/zero: it is no regular file");
}

static void a_script_that_never_ends_is_ended(void **state) {
  load_case *load = *state;
  load_text(load, "local n = 0\nwhile true do\n  n = n + 1\nend");
  assert_int_equal(load->status, ROOST_ECONFIG);
  assert_int_equal(load->problems.count, 1);
  assert_non_null(strstr(load->problems.items[0].text, "host.lua:"));
  assert_non_null(strstr(load->problems.items[0].text, "still running after 50 million"));
  load_text(load, "return { clients = { A = function()\n  while true do end\nend } }");
  assert_int_equal(load->status, ROOST_ECONFIG);
  assert_non_null(strstr(load->problems.items[0].text, "host.lua:2: still running"));
}

static void a_script_that_wants_too_much_memory_is_refused(void **state) {
  load_case *load = *state;
  load_text(load, "return { x = string.rep('x', 1 << 30) }");
  assert_error(load, "host.lua: needs too much memory");
  load_text(load, "local t = {}\nfor i = 1, 1 << 30 do t[i] = i end");
  assert_error(load, "host.lua: needs too much memory");
}

static void says_what_lua_says(void **state) {
  load_case *load = *state;
  load_text(load, "return {\n  a = 1,\n  b = = 2,\n}");
  assert_error(load, "host.lua:3: unexpected symbol near '='");
  load_text(load, "\nerror('no way')");
  assert_error(load, "host.lua:2: no way");
  load_text(load, "error({})");
  assert_error(load, "host.lua: raised a table");
  load_text(load, "return { x = nothing.y }");
  assert_error(load, "host.lua:1: attempt to index a nil value (global 'nothing')");
  load_text(load, "");
  assert_error(load, "host.lua: must return a table, returns nothing");
  load_text(load, "return 5");
  assert_error(load, "host.lua: must return a table, returns number");
  load_text(load, "\x1bLua");
  assert_int_equal(load->status, ROOST_ECONFIG); /* no bytecode */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(sees_only_what_it_may),
      LOAD_TEST(env_reads_or_complains),
      LOAD_TEST(file_drops_one_newline),
      LOAD_TEST(a_script_that_never_ends_is_ended),
      LOAD_TEST(a_script_that_wants_too_much_memory_is_refused),
      LOAD_TEST(says_what_lua_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
