/*
 * Both halves: JSON text to Lua values (value.c) and back (value_write.c).
 */
#include "vm_test.h"

#include "core/slice.h"

static int decode(lua_State *lua) {
  roost_slice text;
  const char *why = "none";
  size_t at = 0;
  text.ptr = luaL_checklstring(lua, 1, &text.len);
  int top = lua_gettop(lua);
  if (roost_value_push_json(lua, text, &why, &at) == 0)
    return 1;
  if (lua_gettop(lua) != top)
    return luaL_error(lua, "it left something on the stack");
  return luaL_error(lua, "%s at %d", why, (int)at);
}

static roost_buffer out; /* of encode, which an error may leave */

/* encode(value) -> text, after "keep:", which must stay as it is */
static int encode(lua_State *lua) {
  lua_settop(lua, 1);
  roost_buffer_clear(&out);
  int status = roost_buffer_append(&out, "keep:", 5);
  if (status == 0)
    status = roost_value_write_json(lua, 1, &out);
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

static int array(lua_State *lua) {
  lua_settop(lua, 1);
  roost_value_mark_array(lua);
  return 1;
}

static int bytes(lua_State *lua) {
  lua_settop(lua, 1);
  roost_value_mark_bytes(lua);
  return 1;
}

static void init(vm_test *self) {
  vm_test_init(self);
  roost_buffer_init(&out, &self->probe.alloc);
  lua_register(self->vm->lua, "decode", decode);
  lua_register(self->vm->lua, "encode", encode);
  lua_register(self->vm->lua, "array", array);
  lua_register(self->vm->lua, "bytes", bytes);
}

static void deinit(vm_test *self) {
  roost_buffer_deinit(&out);
  vm_test_deinit(self);
}

static void every_shape_is_decoded(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self, "return decode'null' == null, decode'true', decode' false '",
                 "true,true,false");
  vm_test_expect(&self, "return decode'\"a\\\\u0041\\\\n\\\\\\\\\"', decode'\"\"'", "aA\n\\,");
  vm_test_expect(&self,
                 "local v = decode'{\"a\":[1,[],{}],\"b\":{\"c\":null}}'"
                 "return #v.a, v.a[1], #v.a[2], next(v.a[3]), v.b.c == null",
                 "3,1,0,nil,true");
  vm_test_expect(&self, "return decode'{\"a\":1,\"b\":2,\"a\":3}'.a", "3");
  vm_test_expect(&self, "return decode'[1,null,3]'[2] == null, #decode'[null,null]'", "true,2");
  vm_test_expect(&self, "return getmetatable(decode'{}'), getmetatable(decode'[]') ~= nil",
                 "nil,true");
  deinit(&self);
}

static void numbers_are_exact(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self,
                 "local v = decode'[9223372036854775807,-9223372036854775808,9007199254740993]'"
                 "return v[1] == math.maxinteger, v[2] == math.mininteger, v[3]",
                 "true,true,9007199254740993");
  vm_test_expect(
      &self,
      "return encode{ math.maxinteger, math.mininteger, 9007199254740993, 1.0, -0.0, 0.1,"
      " 5e-324, 1e21, 123456789012345680000.0 }",
      "[9223372036854775807,-9223372036854775808,9007199254740993,1,0,0.1,5e-324,1e+21,"
      "123456789012345680000]");
  vm_test_expect(&self, "return encode{ 1/0, -1/0, 0/0, decode'1e400' }", "[null,null,null,null]");
  vm_test_expect(&self,
                 "return math.type(decode'1'), math.type(decode'1.0'), math.type(decode'1e2'), "
                 "math.type(decode'9223372036854775808')",
                 "integer,float,float,float");
  deinit(&self);
}

static void arrays_and_objects_stay_apart(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  const char *const same[] = {"[]",
                              "{}",
                              "[[],{}]",
                              "{\"a\":[]}",
                              "[{}]",
                              "{\"a\":{}}",
                              "[null]",
                              "{\"a\":null}",
                              "[[[[]]]]",
                              "\"\\ud800\"",
                              "\"\\udc00x\"",
                              "\"\xF0\x9F\x98\x80\"",
                              "\"\\u0000\\u001f\\\"\\\\/\"",
                              "[1,2.5,\"x\",true,false,null,{\"k\":\"v\"}]"};
  for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
    vm_job job;
    lua_pushstring(self.vm->lua, same[i]);
    lua_setglobal(self.vm->lua, "text");
    vm_job_run(&job, &self, 0, "return encode(decode(text))");
    assert_string_equal(job.result, same[i]);
  }
  vm_test_expect(&self, "return encode({}), encode(array{}), encode(array{ 1 }), encode{ a = {} }",
                 "{},[],[1],{\"a\":{}}");
  vm_test_expect(&self, "local v = decode'[1]' v[1] = nil return encode(v)", "[]");
  vm_test_expect(&self, "return encode(nil), encode(null), encode{ null, null }",
                 "null,null,[null,null]");
  deinit(&self);
}

static void bytes_are_written_as_a_buffer(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self, "return encode{ b = bytes('\\0\\255a') }",
                 "{\"b\":{\"type\":\"Buffer\",\"data\":[0,255,97]}}");
  vm_test_expect(&self, "return encode(bytes(''))", "{\"type\":\"Buffer\",\"data\":[]}");
  vm_test_expect(&self, "local b = bytes('x') b[1] = nil return pcall(encode, { a = b })",
                 "false,a: roost.bytes without text");
  deinit(&self);
}

static void errors_name_the_path(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  const char *const wrong[][2] = {
      {"print", "a function cannot be sent"},
      {"{ items = { { sku = 'a' }, { sku = '\\255' } } }",
       "items[2].sku: text is not UTF-8 (roost.bytes sends binary)"},
      {"{ a = { b = { print } } }", "a.b[1]: a function cannot be sent"},
      {"{ { { {} , io.stdout } } }", "[1][1][2]: a userdata cannot be sent"},
      {"{ a = coroutine.create(print) }", "a: a thread cannot be sent"},
      {"{ 1, nil, 3 }", "the list has holes"},
      {"{ a = { [2] = 1 } }", "a: the list has holes"},
      {"{ 1, a = 2 }", "text and other keys are mixed"},
      {"{ x = { [1] = 1, [2] = 2, a = 1 } }", "x: text and other keys are mixed"},
      {"{ x = array{ a = 1 } }", "x: text and other keys are mixed"},
      {"{ x = { [1.5] = 1 } }", "x: a key is neither text nor an index"},
      {"{ x = { [true] = 1 } }", "x: a key is neither text nor an index"},
      {"{ x = { [0] = 1 } }", "x: a key is neither text nor an index"},
      {"{ x = { [-1] = 1 } }", "x: a key is neither text nor an index"},
      {"{ ['\\255'] = 1 }", "a key is not UTF-8"},
      {"{ a = { ['\\255'] = 1 } }", "a: a key is not UTF-8"},
      {"(function() local t = {} t.me = t return t end)()", "me: a table contains itself"},
      {"(function() local t = {} t[1] = { x = { t } } return { a = t } end)()",
       "a[1].x[1]: a table contains itself"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char code[512];
    char expected[512];
    snprintf(code, sizeof code, "return pcall(encode, %s)", wrong[i][0]);
    snprintf(expected, sizeof expected, "false,%s", wrong[i][1]);
    vm_test_expect(&self, code, expected);
  }
  vm_test_expect(&self, "local t = { 1 } return encode{ t, t, { t } }", "[[1],[1],[[1]]]");
  deinit(&self);
}

static void text_that_is_not_json_is_refused(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  const char *const wrong[] = {"",       "[1",       "{\"a\":}", "[1,]",   "{\"a\" 1}", "01",
                               "[1] 2",  "nul",      "'a'",      "[NaN]",  "{a:1}",     "\"a\nb\"",
                               "[1,[2]", "{\"a\":[", "\"\\x\"",  "[0x10]", "{1:2}",     "+1"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    lua_pushstring(self.vm->lua, wrong[i]);
    lua_setglobal(self.vm->lua, "text");
    vm_test_expect(&self,
                   "local ok, e = pcall(decode, text) return ok, (e:match('left something'))",
                   "false,nil");
  }
  deinit(&self);
}

static void the_depth_is_limited(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self,
                 "local a, o = '[', '{\"a\":' "
                 "local text = a:rep(1000) .. (']'):rep(1000)"
                 "local text2 = o:rep(999) .. '{}' .. ('}'):rep(999)"
                 "return encode(decode(text)) == text, encode(decode(text2)) == text2,"
                 "  (pcall(decode, '[' .. text .. ']'))",
                 "true,true,false");
  vm_test_expect(
      &self,
      "local function nest(n) local v = 1 for i = 1, n do v = i % 2 == 0 and { v } or "
      "{ k = v } end return v end "
      "local ok = pcall(encode, nest(1000)) "
      "local no, err = pcall(encode, nest(1001))"
      "return ok, no, err == ('k[1].'):rep(499) .. 'k[1]: nested more than 1,000 levels deep'",
      "true,false,true");
  vm_test_expect(&self,
                 "local v = 1 for i = 1, 1001 do v = { k = v } end "
                 "local _, err = pcall(encode, v)"
                 "return err == ('k.'):rep(999) .. 'k: nested more than 1,000 levels deep'",
                 "true");
  deinit(&self);
}

/* Around the sizes at which decoding moves from the stack to a table. */
static void any_number_of_elements(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self,
                 "for _, n in ipairs{ 1, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000, 5000 } do"
                 "  local a, o = {}, {}"
                 "  for i = 1, n do a[i] = i o[i] = ('\"k%d\":%d'):format(i, i) end "
                 "  local v = decode('[' .. table.concat(a, ',') .. ']')"
                 "  assert(#v == n and v[1] == 1 and v[n] == n and v[n + 1] == nil)"
                 "  assert(encode(v) == '[' .. table.concat(a, ',') .. ']')"
                 "  v = decode('{' .. table.concat(o, ',') .. '}')"
                 "  for i = 1, n do assert(v['k' .. i] == i) end "
                 "  local count = 0 for _ in pairs(v) do count = count + 1 end assert(count == n)"
                 "end return 'ok'",
                 "ok");
  vm_test_expect(
      &self,
      "local t = {} for i = 1, 200 do t[i] = ('{\"a\":[%d,{\"b\":\"%d\"}]}'):format(i, i)"
      " end local text = '[' .. table.concat(t, ',') .. ']' "
      "local v = decode(text) return v[200].a[1], v[77].a[2].b",
      "200,77");
  deinit(&self);
}

/* A small table has no room to spare: it takes what Lua's own constructor takes. (Decoding may have
 * grown the stack, once.) */
static void small_tables_have_their_exact_size(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(
      &self,
      "local function cost(make) collectgarbage() collectgarbage('stop')"
      "  local keep = {} for i = 1, 1000 do keep[i] = false end "
      "  local before = collectgarbage('count') for i = 1, 1000 do keep[i] = make() end "
      "  local used = collectgarbage('count') - before collectgarbage('restart') return used end "
      "local texts = { '[1,2,3]', '{\"a\":1,\"b\":2}', '[]', '{}' }"
      "local makers = { function() return { 1, 2, 3 } end, function() return { a = 1, b = 2 } end,"
      "  function() return {} end, function() return {} end }"
      "for i, text in ipairs(texts) do"
      "  local ours, luas = cost(function() return decode(text) end), cost(makers[i])"
      "  assert(ours < luas + 8, text .. ' ' .. ours .. ' ' .. luas) end return 'ok'",
      "ok");
  deinit(&self);
}

/* lua-cjson, where it is right: no large integers, no empty arrays, few digits. */
static void agrees_with_cjson(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(
      &self,
      "local cjson = require 'cjson' assert(cjson.null == null)"
      "math.randomseed(7)"
      "local function text() local t = {} for i = 1, math.random(0, 12) do"
      "  t[i] = utf8.char(math.random(1, 3) == 1 and math.random(1, 0x7ff) or math.random(32, 126))"
      "  end return table.concat(t) end "
      "local function value(depth)"
      "  local kind = math.random(1, depth > 4 and 5 or 7)"
      "  if kind == 1 then return null elseif kind == 2 then return math.random(2) == 1"
      "  elseif kind == 3 then return math.random(-1000000, 1000000)"
      "  elseif kind == 4 then return math.random(-100000, 100000) / 64"
      "  elseif kind == 5 then return text() end "
      "  local t = {} for i = 1, math.random(1, 9) do"
      "    t[kind == 6 and i or text() .. 'k'] = value(depth + 1) end return t end "
      "local function same(a, b) if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end"
      "  for k, v in pairs(a) do if not same(v, b[k]) then return false end end "
      "  for k in pairs(b) do if a[k] == nil then return false end end return true end "
      "for i = 1, 500 do local v = value(0)"
      "  assert(same(cjson.decode('[' .. encode(v) .. ']')[1], v))"
      "  assert(same(decode(cjson.encode{ v })[1], v)) end return 'ok'",
      "ok");
  deinit(&self);
}

/* Keys are remembered by their first and last bytes and their length, objects by their first key.
 */
static void keys_stay_themselves(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(
      &self,
      "local seed = 7 "
      "local function random(n)"
      "  seed = (seed * 1103515245 + 12345) % 2147483648 return seed // 65536 % n end "
      "local function key()"
      "  local text = '' "
      "  for i = 1, random(19) do local at = random(3) + 1 text = text .. ('abA'):sub(at, at) end "
      "  return text end "
      "for round = 1, 300 do "
      "  local expected, parts = {}, {} "
      "  for i = 1, 1 + round % 80 do"
      "    local k = key() parts[i] = ('\"%s\":%d'):format(k, i) expected[k] = i end "
      "  local got = decode('{' .. table.concat(parts, ',') .. '}') "
      "  for k, v in pairs(expected) do assert(got[k] == v, k) end "
      "  for k, v in pairs(got) do assert(expected[k] == v, k) end "
      "end return 'ok'",
      "ok");
  vm_test_expect(&self,
                 "local v = decode('{\"a\":{\"a\":1,\"\\\\u0061\":2},\"a\":3}') "
                 "return v.a, next(v, 'a') == nil, decode('{\"\\\\u0061\":4}').a",
                 "3,true,4");
  deinit(&self);
}

/* A text that was decoded before is no better than others: each part of it fails as it did, each
 * byte of it that is another makes another value. */
static void expected_keys_are_compared(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(
      &self,
      "local text = '{\"a\":1,\"beta\":{\"gammagam\":[1,\"x\"],\"de\":{}},"
      "\"sixteen bytes ok\":null,\"more than sixteen\":[{\"a\":2}],\"\\\\u0041\":7}'"
      "local first, keys = {}, { 'a', 'beta', 'gammagam', 'de', 'sixteen bytes ok' }"
      "for i = 0, #text - 1 do first[i] = select(2, pcall(decode, text:sub(1, i))) end "
      "for i = 1, 4 do local v = decode(text)"
      "  assert(v.a == 1 and v.beta.gammagam[2] == 'x' and next(v.beta.de) == nil and v.A == 7)"
      "  assert(v['sixteen bytes ok'] == null and v['more than sixteen'][1].a == 2) end "
      "for i = 0, #text - 1 do"
      "  assert(select(2, pcall(decode, text:sub(1, i))) == first[i], first[i]) end "
      "for _, key in ipairs(keys) do for i = 1, #key do"
      "  decode(text) decode(text) local other = key:sub(1, i - 1) .. '!' .. key:sub(i + 1)"
      "  local v = decode((text:gsub('\"' .. key .. '\"', '\"' .. other .. '\"', 1)))"
      "  assert(encode(v):find('\"' .. other .. '\":', 1, true), other) end "
      "  local v = decode((text:gsub('\"' .. key .. '\":', '\"' .. key .. '\"\\n: '))) assert(v.a "
      "== 1)"
      "  decode(text) decode(text)"
      "  assert(not pcall(decode, (text:gsub('\"' .. key .. '\":', '?' .. key .. '\":', 1))))"
      "  assert(not pcall(decode, (text:gsub('\"' .. key .. '\":', '\"' .. key .. ':', 1)))) end "
      "return 'ok'",
      "ok");
  deinit(&self);
}

/* A name is written as it was the first time, whatever its length, and whatever became of other
 * names in its place. */
static void names_stay_themselves(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self,
                 "local tails = { '', '\"', '\\1', '\\u{e4}', '\\u{1F600}', '\\n' }"
                 "local function expect(key) local out = key:gsub('[\"\\1\\n]',"
                 "  { ['\"'] = '\\\\\"', ['\\1'] = '\\\\u0001', ['\\n'] = '\\\\n' })"
                 "  return '\"' .. out .. '\":' end "
                 "for round = 1, 4 do for len = 0, 40 do for _, tail in ipairs(tails) do"
                 "  local key = ('k'):rep(len) .. tail"
                 "  for again = 1, 3 do assert(encode({ [key] = len }) == '{' .. expect(key) .. "
                 "len .. '}') end "
                 "  if len % 8 == 0 then collectgarbage() end end end end "
                 "for round = 1, 4 do for n = 1, 400 do"
                 "  assert(encode({ ['n' .. n] = { ['m' .. n] = n } }) == "
                 "('{\"n%d\":{\"m%d\":%d}}'):format(n, n, n))"
                 "end end return 'ok'",
                 "ok");
  vm_test_expect(&self,
                 "local t = {} for i = 1, 5 do encode({ a = 1, b = { c = 2 } }) end "
                 "local _, one = pcall(encode, { 1, a = 1 })"
                 "local _, two = pcall(encode, { b = { c = print } })"
                 "return one, two",
                 "text and other keys are mixed,b.c: a function cannot be sent");
  vm_test_expect(&self,
                 "local big, names = {}, {} for i = 1, 300 do big['key' .. i] = i end "
                 "for round = 1, 4 do local v = decode(encode({ known = big })).known "
                 "for i = 1, 300 do assert(v['key' .. i] == i) end end return 'ok'",
                 "ok");
  deinit(&self);
}

/* What became of a decoded array, and errors in every element of one. */
static void marked_arrays_are_looked_at(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(
      &self,
      "local v = decode('[1,2,3]') v[3] = nil local one = encode(v) v[2] = nil v[1] = nil "
      "local two = encode(v) v[2] = 5 local _, three = pcall(encode, v) v[2] = nil "
      "v.x = 1 local _, four = pcall(encode, v) v[1] = 1 local _, five = pcall(encode, v) "
      "return one, two, three, four, five",
      "[1,2],[],the list has holes,text and other keys are mixed,"
      "text and other keys are mixed");
  vm_test_expect(&self,
                 "for n = 1, 20 do for bad = 1, n do local t = {} "
                 "for i = 1, n do t[i] = { i, { k = i } } end t[bad][2].k = print "
                 "local _, err = pcall(encode, { l = array(t) })"
                 "assert(err == ('l[%d][2].k: a function cannot be sent'):format(bad), err) "
                 "t[bad] = i end end return 'ok'",
                 "ok");
  deinit(&self);
}

/* Flat arrays whose end, a comma in a string or a bracket lies at each place of the first blocks.
 */
static void flat_arrays_of_any_length(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self,
                 "local ends = { '', ',1', ',\"a,b\"', ',\"]\"', ',\"\\\\\"\"', ',[]', "
                 "',{\"k\":[1,2]}', ', 5 ', ',-0.5' }"
                 "for len = 0, 40 do for before = 0, 20, 5 do for _, tail in ipairs(ends) do"
                 "  local text = '[\"' .. ('x'):rep(len) .. '\"' .. tail .. ']'"
                 "  local whole = (' '):rep(before) .. text"
                 "  local v = decode(whole)"
                 "  assert(encode(v) == text:gsub(' ', ''), text)"
                 "  assert(v[1] == ('x'):rep(len) and #v == (tail == '' and 1 or 2))"
                 "  for cut = 1, #text - 1 do assert(not pcall(decode, text:sub(1, cut))) end "
                 "end end end return 'ok'",
                 "ok");
  deinit(&self);
}

/* Numbers alone and in arrays, where reading and writing have short ways. */
static void numbers_at_the_edges(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(
      &self,
      "local texts = { '0', '9', '10', '99', '100', '-1', '-9', '-10', '9007199254740991',"
      "  '9007199254740992', '9007199254740993', '-9007199254740993', '999999999999999999',"
      "  '1000000000000000000', '9223372036854775807', '-9223372036854775808', '0.5', '12.5',"
      "  '1000000000000000.5', '1e+21', '1e-7' }"
      "for _, text in ipairs(texts) do"
      "  for _, form in ipairs{ '%s', '[%s]', '[%s,%s]', '{\"k\":%s}', '[[%s],%s,7]' } do"
      "    local whole = form:gsub('%%s', text) assert(encode(decode(whole)) == whole, whole) end "
      "end "
      "return encode(decode('[-0,1E2,1e0,-0.0,9223372036854775808,1e15]')), encode(-0.0),"
      "  encode(2^53), encode(1e15), math.type(decode('-0')), encode(0/0), encode(1/0)",
      "[0,100,1,0,9223372036854776000,1000000000000000],0,9007199254740992,1000000000000000,float,"
      "null,null");
  for (int i = 0; i < 3; i++)
    vm_test_expect(&self,
                   "return decode('{\"a\":1,\"b\":2,\"a\":3}').a, pcall(decode, '[01]'),"
                   "pcall(decode, '[1.]'), pcall(decode, '[-]')",
                   "3,false,false,false,this is not a number at 1");
  deinit(&self);
}

/* What lua_next gives out of order is an array all the same. */
static void arrays_in_any_order(void **state) {
  (void)state;
  vm_test self;
  init(&self);
  vm_test_expect(&self, "local t = {} for i = 20, 1, -1 do t[i] = i end return encode({ t })",
                 "[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]]");
  vm_test_expect(&self, "local t = { 1, 2, 3 } t[5] = 5 t[4] = 4 return encode(array(t))",
                 "[1,2,3,4,5]");
  vm_test_expect(&self, "local t = { 1, 2 } t.x = 1 return select(2, pcall(encode, t))",
                 "text and other keys are mixed");
  deinit(&self);
}

static void out_of_memory_at_every_allocation(void **state) {
  (void)state;
  static const char script[] = "local v for i = 1, 3 do "
                               "v = decode('{\"a\":[1,2,{\"b\":\"x\\\\ny\"}],\"c\":[' .. "
                               "('1,'):rep(300) .. '1],\"d\":[\"e\"]}') "
                               "encode(v) end return pcall(encode, { a = { v, print } })";
  vm_test self;
  bool succeeded = false;
  for (size_t n = 0; !succeeded; n++) {
    vm_job job;
    init(&self);
    self.probe.refuse_after = n;
    int status = vm_job_try(&job, &self, script, &vm_job_ops);
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    succeeded = status == 0 && strcmp(job.result, "false,a[2]: a function cannot be sent") == 0;
    assert_null(strstr(job.result, "left something"));
    assert_true(n < 10000);
    deinit(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_shape_is_decoded),
      cmocka_unit_test(numbers_are_exact),
      cmocka_unit_test(arrays_and_objects_stay_apart),
      cmocka_unit_test(bytes_are_written_as_a_buffer),
      cmocka_unit_test(errors_name_the_path),
      cmocka_unit_test(text_that_is_not_json_is_refused),
      cmocka_unit_test(the_depth_is_limited),
      cmocka_unit_test(any_number_of_elements),
      cmocka_unit_test(small_tables_have_their_exact_size),
      cmocka_unit_test(agrees_with_cjson),
      cmocka_unit_test(keys_stay_themselves),
      cmocka_unit_test(expected_keys_are_compared),
      cmocka_unit_test(names_stay_themselves),
      cmocka_unit_test(marked_arrays_are_looked_at),
      cmocka_unit_test(flat_arrays_of_any_length),
      cmocka_unit_test(numbers_at_the_edges),
      cmocka_unit_test(arrays_in_any_order),
      cmocka_unit_test(out_of_memory_at_every_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
