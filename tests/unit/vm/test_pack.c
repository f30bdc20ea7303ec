#include "vm_test.h"

#include "core/slice.h"
#include "vm/pack.h"

static roost_buffer out; /* of pack, which an error may leave */

/* pack(value) -> bytes, after "keep:", which must stay as it is */
static int pack(lua_State *lua) {
  lua_settop(lua, 1);
  roost_buffer_clear(&out);
  int status = roost_buffer_append(&out, "keep:", 5);
  if (status == 0)
    status = roost_pack_write(lua, 1, &out);
  bool whole = out.len >= 5 && memcmp(out.ptr, "keep:", 5) == 0;
  bool clean = status == 0 ? lua_gettop(lua) == 1
                           : out.len <= 5 && lua_gettop(lua) == (status == ROOST_EINVAL ? 2 : 1);
  if (status == 0)
    lua_pushlstring(lua, out.ptr + 5, out.len - 5);
  if (!clean || (status == 0 && !whole))
    return luaL_error(lua, "it left something behind");
  if (status == ROOST_ENOMEM)
    return luaL_error(lua, "out of memory");
  return status == 0 ? 1 : lua_error(lua);
}

static char *copied; /* of unpack, which an error may leave */

static int unpack(lua_State *lua) {
  roost_slice bytes;
  bytes.ptr = luaL_checklstring(lua, 1, &bytes.len);
  /* In memory of its own, so that a read past its end is found. */
  free(copied);
  copied = malloc(bytes.len > 0 ? bytes.len : 1);
  assert_non_null(copied);
  memcpy(copied, bytes.ptr, bytes.len);
  int top = lua_gettop(lua);
  int status = roost_pack_push(lua, roost_slice_of(copied, bytes.len));
  if (lua_gettop(lua) != top + (status == 0))
    return luaL_error(lua, "it left something on the stack");
  return status == 0 ? 1 : luaL_error(lua, "EPROTO");
}

static int array(lua_State *lua) {
  lua_settop(lua, 1);
  roost_value_mark_array(lua);
  return 1;
}

static int bytes_of(lua_State *lua) {
  lua_settop(lua, 1);
  roost_value_mark_bytes(lua);
  return 1;
}

static int json(lua_State *lua) {
  roost_buffer text;
  roost_buffer_init(&text, roost_alloc_default());
  assert_int_equal(roost_value_write_json(lua, 1, &text), 0);
  lua_pushlstring(lua, text.ptr, text.len);
  roost_buffer_deinit(&text);
  return 1;
}

static void init(vm_test *self) {
  vm_test_init(self);
  roost_buffer_init(&out, &self->probe.alloc);
  lua_register(self->vm->lua, "pack", pack);
  lua_register(self->vm->lua, "unpack", unpack);
  lua_register(self->vm->lua, "array", array);
  lua_register(self->vm->lua, "bytes", bytes_of);
  lua_register(self->vm->lua, "json", json);
  vm_job job;
  vm_job_run(&job, self, 0,
             "function same(a, b)"
             "  if type(a) ~= 'table' or type(b) ~= 'table' then"
             "    return math.type(a) == math.type(b) and (a == b or a ~= a and b ~= b) end "
             "  if getmetatable(a) ~= getmetatable(b) then return false end "
             "  for k, v in pairs(a) do if not same(v, b[k]) then return false end end "
             "  for k in pairs(b) do if a[k] == nil then return false end end return true end "
             "function copies(v) local c = unpack(pack(v)) assert(type(v) ~= 'table' or c ~= v)"
             "  return same(v, c) end");
  assert_false(job.failed);
}

static void deinit(vm_test *self) {
  roost_buffer_deinit(&out);
  free(copied);
  copied = NULL;
  vm_test_deinit(self);
}

static void every_kind_survives(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  static const char *const values[] = {
      "nil",
      "true",
      "false",
      "null",
      "0",
      "-1",
      "math.maxinteger",
      "math.mininteger",
      "0.5",
      "-0.0",
      "1/0",
      "0/0",
      "2.0^53",
      "''",
      "'text'",
      "'\\0\\255\\n'",
      "('x'):rep(127)",
      "('x'):rep(128)",
      "('x'):rep(16384)",
      "{}",
      "{ 1, 2, 3 }",
      "{ a = 1, b = { c = { 'd' } } }",
      "{ 1, 2, x = 3, [2.5] = 4, [true] = 5, [false] = 6, [-1] = 7, [0] = 8, [1 << 40] = 9 }",
      "{ 1, nil, 3 }",
      "{ nil, nil, 3 }",
      "{ null, null }",
      "array{}",
      "array{ 1, array{} }",
      "bytes('\\0\\255')",
      "{ a = bytes('') }",
      "{ ['\\0\\255'] = '\\255' }",
  };
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    char code[256];
    snprintf(code, sizeof code, "return copies(%s)", values[i]);
    vm_test_expect(&self, code, "true");
  }
  vm_test_expect(&self, "return 1 / unpack(pack(-0.0))", "-inf");
  vm_test_expect(&self, "return json(unpack(pack{ array{}, {}, bytes'a', null }))",
                 "[[],{},{\"type\":\"Buffer\",\"data\":[97]},null]");
  deinit(&self);
}

static void tables_are_copied_raw(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self,
                 "local t = setmetatable({ 1, a = 2 }, { __index = function() error('no') end,"
                 " __pairs = function() error('no') end, __len = function() error('no') end })"
                 "local c = unpack(pack(t))"
                 "return getmetatable(c), c[1], c.a, c.b",
                 "nil,1,2,nil");
  vm_test_expect(&self,
                 "local t = { 1 } local c = unpack(pack{ t, t })"
                 "return c[1] ~= c[2], c[1][1], c[2][1]",
                 "true,1,1");
  /* Lists that lie in the hash part, wholly or in part. */
  vm_test_expect(&self,
                 "local t = {} for i = 100, 1, -1 do t[i] = i end "
                 "local c = unpack(pack(t)) return #c, same(t, c)",
                 "100,true");
  vm_test_expect(&self,
                 "local t = { 1, 2, 3, x = 1 } for i = 9, 4, -1 do t[i] = i end "
                 "local c = unpack(pack(t)) return #c, same(t, c)",
                 "9,true");
  deinit(&self);
}

static void tables_have_their_exact_size(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(
      &self,
      "local function cost(make) collectgarbage() collectgarbage('stop')"
      "  local keep = {} for i = 1, 1000 do keep[i] = false end "
      "  local before = collectgarbage('count') for i = 1, 1000 do keep[i] = make() end "
      "  local used = collectgarbage('count') - before collectgarbage('restart') return used end "
      "local grown = {} for i = 1, 5 do grown[i] = i end "
      "local values = { { 1, 2, 3 }, { a = 1, b = 2 }, {}, grown }"
      "local makers = { function() return { 1, 2, 3 } end, function() return { a = 1, b = 2 } end,"
      "  function() return {} end, function() return { 1, 2, 3, 4, 5 } end }"
      "for i, value in ipairs(values) do local packed = pack(value)"
      "  local ours, luas = cost(function() return unpack(packed) end), cost(makers[i])"
      "  assert(ours < luas + 8, i .. ' ' .. ours .. ' ' .. luas) end return 'ok'",
      "ok");
  deinit(&self);
}

static void errors_name_the_path(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  const char *const wrong[][2] = {
      {"print", "a function cannot be copied"},
      {"coroutine.create(print)", "a thread cannot be copied"},
      {"io.stdout", "a userdata cannot be copied"},
      {"{ items = { { sku = 'a' }, { sku = print } } }",
       "items[2].sku: a function cannot be copied"},
      {"{ [2.5] = { [true] = { [-1] = print } } }", "[2.5][true][-1]: a function cannot be copied"},
      {"{ x = { [print] = 1 } }", "x: a function cannot be copied as a key"},
      {"{ [{}] = 1 }", "a table cannot be copied as a key"},
      {"{ [null] = 1 }", "a userdata cannot be copied as a key"},
      {"(function() local t = {} t.me = t return t end)()", "me: a table contains itself"},
      {"(function() local t = {} t[1] = { x = { t } } return { a = t } end)()",
       "a[1].x[1]: a table contains itself"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char code[512];
    char expected[512];
    snprintf(code, sizeof code, "return pcall(pack, %s)", wrong[i][0]);
    snprintf(expected, sizeof expected, "false,%s", wrong[i][1]);
    vm_test_expect(&self, code, expected);
  }
  deinit(&self);
}

static void the_depth_is_limited(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self,
                 "local function nested(n) local t = {} for _ = 2, n do t = { t } end return t end "
                 "local ok, e = pcall(pack, nested(1001))"
                 "return copies(nested(1000)), ok, (e:gsub('%[1%]', '', 999))",
                 "true,false,[1]: nested more than 1,000 levels deep");
  /* Bytes may come with more: one table more around the 1,000. */
  vm_test_expect(&self,
                 "local function nested(n) local t = {} for _ = 2, n do t = { t } end return t end "
                 "local one, most = pack{ true }, pack(nested(1000))"
                 "local prefix = one:sub(1, #one - 1)"
                 "return pcall(unpack, prefix .. most)",
                 "false,EPROTO");
  deinit(&self);
}

/* Every prefix and every changed byte of a packed value is refused or gives some value; nothing
 * else happens. */
static void other_bytes_are_refused(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self,
                 "local whole = pack{ 1, 2.5, 'three', { a = true, [4] = array{} }, null }"
                 "for i = 0, #whole - 1 do assert(not pcall(unpack, whole:sub(1, i)), i) end "
                 "assert(not pcall(unpack, whole .. '\\0'))"
                 "for i = 1, #whole do for byte = 0, 255 do"
                 "  pcall(unpack, whole:sub(1, i - 1) .. string.char(byte) .. whole:sub(i + 1))"
                 "end end return 'ok'",
                 "ok");
  /* A nil inside, NaN and a table as keys. */
  vm_test_expect(&self,
                 "local one = pack{ true } local text = pack{ a = true } local p = pcall "
                 "return p(unpack, one:sub(1, -2) .. pack(nil)), "
                 "p(unpack, text:sub(1, -2) .. pack(nil)), "
                 "p(unpack, text:sub(1, 9) .. pack(0/0) .. pack(1)), "
                 "p(unpack, text:sub(1, 9) .. pack({}) .. pack(1)), "
                 "(p(unpack, text:sub(1, 9) .. pack(5) .. pack(1)))",
                 "false,false,false,false,true");
  /* A head that promises more than there is must not make a table of that size. */
  vm_test_expect(&self,
                 "local head = pack({}):sub(1, 1)"
                 "for _, counts in ipairs{ ('<I4I4'):pack(0x7fffffff, 0),"
                 "  ('<I4I4'):pack(0, 0x7fffffff), ('<I4I4'):pack(0xffffffff, 0xffffffff) } do"
                 "  local before = collectgarbage('count')"
                 "  assert(not pcall(unpack, head .. counts .. ('\\1'):rep(1000)))"
                 "  assert(collectgarbage('count') - before < 100) end return 'ok'",
                 "ok");
  deinit(&self);
}

static void numbers_and_lists_without_lua(void **state) {
  (void)state;
  vm_test self;
  char bytes[ROOST_PACK_NUMBER_BYTES];
  const roost_pack_number whole = {.is_integer = true, .integer = INT64_MIN};
  const roost_pack_number half = {.real = 0.5};
  roost_pack_number number;
  roost_buffer list;
  init(&self);
  roost_pack_put_number(bytes, &whole);
  assert_true(roost_pack_get_number(roost_slice_of(bytes, sizeof bytes), &number));
  assert_true(number.is_integer && number.integer == INT64_MIN);
  roost_pack_put_number(bytes, &half);
  assert_true(roost_pack_get_number(roost_slice_of(bytes, sizeof bytes), &number));
  assert_true(!number.is_integer && number.real == 0.5);
  assert_int_equal(roost_pack_push(self.vm->lua, roost_slice_of(bytes, sizeof bytes)), 0);
  assert_true(lua_tonumber(self.vm->lua, -1) == 0.5);
  lua_pop(self.vm->lua, 1);
  assert_false(roost_pack_get_number(roost_slice_of(bytes, sizeof bytes - 1), &number));
  assert_false(roost_pack_get_number(ROOST_SLICE(""), &number));

  roost_buffer_init(&list, roost_alloc_default());
  assert_int_equal(roost_pack_write_text(&list, ROOST_SLICE("12345678")), 0);
  assert_false(roost_pack_get_number(roost_slice_of(list.ptr, 9), &number));
  roost_buffer_clear(&list);
  assert_int_equal(roost_pack_begin_list(&list, SIZE_MAX), ROOST_ENOMEM);
  assert_int_equal(list.len, 0);
  assert_int_equal(roost_pack_begin_list(&list, 2), 0);
  assert_int_equal(roost_pack_write_text(&list, ROOST_SLICE("a")), 0);
  assert_int_equal(roost_pack_write_text(&list, ROOST_SLICE("")), 0);
  assert_int_equal(roost_pack_push(self.vm->lua, roost_buffer_slice(&list)), 0);
  lua_setglobal(self.vm->lua, "list");
  roost_buffer_deinit(&list);
  vm_test_expect(&self, "return json(list)", "[\"a\",\"\"]");
  deinit(&self);
}

static void out_of_memory_at_every_allocation(void **state) {
  (void)state;
  static const char script[] =
      "local v = { 1, { b = 'x' }, c = {} } for i = 1, 100 do v.c[i] = tostring(i) end "
      "local c = unpack(pack(v)) assert(c.c[100] == '100') "
      "return pcall(pack, { a = { v, print } })";
  vm_test self;
  bool succeeded = false;
  for (size_t n = 0; !succeeded; n++) {
    vm_job job;
    init(&self);
    self.probe.refuse_after = n;
    int status = vm_job_try(&job, &self, script, &vm_job_ops);
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    succeeded = status == 0 && strcmp(job.result, "false,a[2]: a function cannot be copied") == 0;
    assert_null(strstr(job.result, "left something"));
    assert_true(n < 10000);
    deinit(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_kind_survives),
      cmocka_unit_test(tables_are_copied_raw),
      cmocka_unit_test(tables_have_their_exact_size),
      cmocka_unit_test(errors_name_the_path),
      cmocka_unit_test(the_depth_is_limited),
      cmocka_unit_test(other_bytes_are_refused),
      cmocka_unit_test(numbers_and_lists_without_lua),
      cmocka_unit_test(out_of_memory_at_every_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
