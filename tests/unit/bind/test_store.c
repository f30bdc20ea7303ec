#include "bind_test.h"

static void values_of_every_kind(void **state) {
  (void)state;
  bind_test_expect("local s = roost.store return { s:get('k') == nil, s:set('k', 5) == nil,"
                   "  s:get('k'), s:delete('k'), s:delete('k'), s:get('k') == nil }",
                   "[true,true,5,true,false,true]");
  bind_test_expect("local s = roost.store local v = { 1, { a = roost.array() }, roost.null }"
                   "s:set('k', v) v[1] = 2 return s:get('k')",
                   "[1,{\"a\":[]},null]");
  bind_test_expect("local s = roost.store s:set('k', false) s:set('', '\\0') s:set('\\0', 1.5)"
                   "return { s:get('k'), #s:get(''), s:get('\\0') }",
                   "[false,1,1.5]");
  bind_test_expect("local s = roost.store s:set('k', 1) s:set('k', nil) return s:get('k') == nil",
                   "true");
  bind_test_expect("local s = roost.store s:set('b', 1) s:set('a:2', 1) s:set('a:1', 1)"
                   "return { s:keys(), s:keys('a:'), s:keys('none') }",
                   "[[\"a:1\",\"a:2\",\"b\"],[\"a:1\",\"a:2\"],[]]");
}

static void add_and_incr(void **state) {
  (void)state;
  bind_test_expect("local s = roost.store return { s:add('k', 1), s:add('k', 2), s:get('k') }",
                   "[true,false,1]");
  bind_test_expect("local s = roost.store return { s:incr('n'), s:incr('n', 5), s:incr('n', -2),"
                   "  s:get('n'), s:incr('n', 0.5) }",
                   "[1,6,4,4,4.5]");
  bind_test_expect("local s = roost.store s:set('n', 2^53 | 0) return { s:incr('n'),"
                   "  math.type(s:incr('n')), math.type(s:incr('m', 1.0)) }",
                   "[9007199254740993,\"integer\",\"float\"]");
}

static void time_to_live(void **state) {
  (void)state;
  bind_test_expect("local s = roost.store s:set('k', 1, { ttl = 10 }) s:add('l', 1, { ttl = 9.5 }) "
                   "roost.sleep(8) local early = { s:get('k'), s:get('l') } roost.sleep(2) "
                   "return { early, s:get('k') == nil, s:get('l') == nil, s:add('l', 2) }",
                   "[[1,1],true,true,true]");
  bind_test_expect("local s = roost.store s:incr('n', 1, { ttl = 10 }) roost.sleep(6) "
                   "s:incr('n', 1, { ttl = 10 }) roost.sleep(6) return s:incr('n')",
                   "1");
  bind_test_expect("local s = roost.store s:set('k', 1, {}) s:set('l', 1, { ttl = math.huge }) "
                   "roost.sleep(50) return { s:get('k'), s:get('l') }",
                   "[1,1]");
}

static void mistakes_are_named(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"roost.store:get()", "bad argument #1 to 'get' (string expected, got no value)"},
      {"roost.store:get(5)", "bad argument #1 to 'get' (string expected, got number)"},
      {"roost.store.get('k')", "bad argument #1 to 'get' (roost.store expected, got string)"},
      {"roost.store:set('k')", "bad argument #2 to 'set' (value expected)"},
      {"roost.store:add('k', nil)", "bad argument #2 to 'add' (a value is expected, not nil)"},
      {"roost.store:set('k', print)",
       "the value of \\\"k\\\" cannot be stored: a function cannot be copied"},
      {"roost.store:add('k', { items = { { sku = print } } })",
       "the value of \\\"k\\\" cannot be stored: items[1].sku: a function cannot be copied"},
      {"roost.store:set('k', 1, 5)", "bad argument #3 to 'set' (table expected, got number)"},
      {"roost.store:set('k', 1, { tll = 5 })",
       "bad argument #3 to 'set' (unknown option 'tll'; there is ttl)"},
      {"roost.store:set('k', 1, { 5 })", "unknown option '1'; there is ttl"},
      {"roost.store:set('k', 1, { ttl = 0 })", "ttl is a number of milliseconds above 0"},
      {"roost.store:set('k', 1, { ttl = 0/0 })", "ttl is a number of milliseconds above 0"},
      {"roost.store:set('k', 1, { ttl = '5' })", "ttl is a number of milliseconds above 0"},
      {"roost.store:incr('k', '5')", "bad argument #2 to 'incr' (number expected, got string)"},
      {"roost.store:set('k', 'x') roost.store:incr('k')",
       "\\\"k\\\" cannot be incremented: it is not a number"},
      {"roost.store:set('k', math.maxinteger) roost.store:incr('k')",
       "\\\"k\\\" cannot be incremented: the sum does not fit an integer"},
      {"roost.store:keys(5)", "bad argument #1 to 'keys' (string expected, got number)"},
      {"roost.store.x = 1", "attempt to index a roost.store value"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    bind_test_expect_error(rows[i][0], rows[i][1]);
}

static void over_the_limit(void **state) {
  (void)state;
  bind_test_expect("local s = roost.store s:set('old', 1) local text = ('x'):rep(1 << 26) "
                   "local ok, e = pcall(s.set, s, 'k', text) "
                   "local _, f = pcall(s.add, s, 'l', text) "
                   "return { ok, e.name, e.code, e.message, f.code, s:get('old'), s:keys() }",
                   "[false,\"LimitError\",\"EFULL\","
                   "\"roost.store is full: \\\"k\\\" would take it over limits.store_memory\","
                   "\"EFULL\",1,[\"old\"]]");
}

/* A finalizer that uses the store while a value is being made of the store's bytes. */
static void finalizers_may_use_it(void **state) {
  (void)state;
  bind_test_expect("local s = roost.store local list = {}"
                   "for i = 1, 2000 do list[i] = { 'text' .. i } end s:set('list', list) "
                   "s:set('other', ('y'):rep(3000)) local runs = 0 "
                   "local function litter() setmetatable({}, { __gc = function() runs = runs + 1 "
                   "  s:get('other') s:set('more', { runs }) litter() end }) end "
                   "litter() collectgarbage('incremental', 0, 1000) local calls = 0 "
                   "for _ = 1, 50 do local v = s:get('list')"
                   "  for i = 1, 2000 do assert(v[i][1] == 'text' .. i) end end "
                   "return runs > 0",
                   "true");
}

static void it_is_there_while_a_service_loads_and_is_shared(void **state) {
  (void)state;
  static service_test self;
  service_test_init(&self);
  service_test_load(&self, "a",
                    "roost.store:set('loaded', { by = 'a' })"
                    "service:message('count', function() return roost.store:incr('n') end)");
  service_test_load(&self, "b",
                    "local loaded = roost.store:get('loaded')"
                    "service:message('loaded', function() return loaded end)"
                    "service:message('also', function() return roost.store:incr('n') end)");
  service_test_go(&self);
  service_test_send(&self, &self.peer, "\"loaded\"", "null", "1");
  service_test_send(&self, &self.peer, "\"count\"", "null", "2");
  service_test_send(&self, &self.peer, "\"also\"", "null", "3");
  service_test_expect(&self, "last 1 {\"by\":\"a\"}\nlast 2 1\nlast 3 2\n");
  service_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_of_every_kind),
      cmocka_unit_test(add_and_incr),
      cmocka_unit_test(time_to_live),
      cmocka_unit_test(mistakes_are_named),
      cmocka_unit_test(over_the_limit),
      cmocka_unit_test(finalizers_may_use_it),
      cmocka_unit_test(it_is_there_while_a_service_loads_and_is_shared),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
