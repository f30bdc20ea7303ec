#include "wire/pattern.h"
#include "wire_test.h"

typedef struct row {
  const char *json;
  const char *route; /* NULL: none */
} row;

static const row resolved[] = {
    {"\"sum\"", "sum"},
    {"\"\"", ""},
    {"\" x \"", " x "},
    {"\"a\\nb\\\"c\"", "a\nb\"c"},
    {"{\"cmd\":\"sum\"}", "{\"cmd\":\"sum\"}"},
    {" { \"cmd\" : \"sum\" } ", "{\"cmd\":\"sum\"}"},
    {"\"{\\\"cmd\\\":\\\"sum\\\"}\"", "{\"cmd\":\"sum\"}"},
    {"\" { \\\"cmd\\\" : \\\"sum\\\" } \"", "{\"cmd\":\"sum\"}"},
    {"{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
    {"{\"z\":0,\"\xC3\xA9\":0,\"B\":0,\"b\":0,\"A\":0,\"a\":0,\"9\":0,\"10\":0,\"-y\":0,\"_x\":0}",
     "{\"_x\":0,\"-y\":0,\"10\":0,\"9\":0,\"a\":0,\"A\":0,\"b\":0,\"B\":0,\"\xC3\xA9\":0,\"z\":0}"},
    {"1", "1"},
    {"\"1\"", "1"},
    {"\"1.0\"", "1"},
    {"1.0", "1"},
    {"\"42.0\"", "42"},
    {"\"01\"", "01"},
    {"1e3", "1000"},
    {"1e21", "1e+21"},
    {"-0", "0"},
    {"0.5", "0.5"},
    {"9007199254740993", "9007199254740992"},
    {"\"9007199254740993\"", "9007199254740992"},
    {"9223372036854775807", "9223372036854776000"},
    {"\"\\\"echo\\\"\"", "echo"},
    {"\"\\\"1.0\\\"\"", "1.0"},
    {"{\"m\":2}", "{\"m\":2}"},
    {"{\"m\":\"2\"}", "{\"m\":\"2\"}"},
    {"[1,\"z\",null,true,false]", "{\"0\":1,\"1\":\"z\",\"2\":null,\"3\":true,\"4\":false}"},
    {"[]", "{}"},
    {"{}", "{}"},
    {"[0,1,2,3,4,5,6,7,8,9,10]",
     "{\"0\":0,\"1\":1,\"10\":10,\"2\":2,\"3\":3,\"4\":4,\"5\":5,\"6\":6,\"7\":7,\"8\":8,\"9\":9}"},
    {"{\"a\":\"q\\\"\\\\\",\"k\\\"\\\\\":1}", "{\"a\":\"q\\\"\\\\\",\"k\\\"\\\\\":1}"},
    {"{\"a\":\"\\u0041\\n\\/\"}", "{\"a\":\"A\n/\"}"},
    {"{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}"},
    {"{\"a\":1,\"\\u0061\":2}", "{\"a\":2}"},
    {"{\"1\\u0001\":1,\"1\":2}", "{\"1\":2,\"1\x01\":1}"},
    {"{\"a\\u0001\":1,\"a\":2}", "{\"a\x01\":1,\"a\":2}"},
    {"{\"a\":{\"c\":[{}],\"b\":1}}", "{\"a\":{\"b\":1,\"c\":{\"0\":{}}}}"},
    {"{\"a\":1e400}", "{\"a\":null}"},
    {"\"1e400\"", "Infinity"},
    {"\"{\\\"a\\\":-1e400}\"", "{\"a\":-Infinity}"},
    {"[[[[[[1]]]]]]", "{\"0\":{\"0\":{\"0\":{\"0\":{\"0\":{\"0\":1}}}}}}"},
    {"[[[[[[[1]]]]]]]", "{\"0\":{\"0\":{\"0\":{\"0\":{\"0\":{\"0\":[MAX_DEPTH_REACHED]}}}}}}"},
    {"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21]", "[TOO_MANY_KEYS]"},
    {"{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21],\"b\":1}",
     "{\"a\":[TOO_MANY_KEYS],\"b\":1}"},
    {"\"[TOO_MANY_KEYS]\"", "[TOO_MANY_KEYS]"},
    {"true", NULL},
    {"false", NULL},
    {"null", NULL},
    {"1e400", NULL},
    {"\"true\"", NULL},
    {"\" null \"", NULL},
};

static void resolves_as_a_server(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < ROWS(resolved); i++) {
    roost_slice json = exact_copy(roost_slice_text(resolved[i].json));
    roost_buffer_clear(&f->out);
    assert_int_equal(roost_buffer_append_byte(&f->out, '>'), 0);
    assert_int_equal(roost_pattern_resolve(&f->out, json), resolved[i].route != NULL ? 1 : 0);
    const char *route = resolved[i].route != NULL ? resolved[i].route : "";
    assert_text((roost_slice){f->out.ptr + 1, f->out.len - 1}, route);
    free_copy(json);
  }
}

static void resolve_refuses_what_is_not_json(void **state) {
  fixture *f = *state;
  static const char *const texts[] = {"", "{", "sum", "{\"a\":1,}", "[1]]", "{\"a\":[[[[[[[[1}"};
  for (size_t i = 0; i < ROWS(texts); i++) {
    const char *why = NULL;
    assert_int_equal(roost_pattern_resolve(&f->out, roost_slice_text(texts[i])), ROOST_EPROTO);
    assert_int_equal(roost_pattern_normalise(&f->out, roost_slice_text(texts[i]), &why),
                     ROOST_EPROTO);
    assert_int_equal(f->out.len, 0);
  }
}

static const row normalised[] = {
    {"\"sum\"", "sum"},
    {"\"{\\\"b\\\":1,\\\"a\\\":2}\"", "{\"b\":1,\"a\":2}"},
    {"\"1.0\"", "1.0"},
    {"\"true\"", "true"},
    {"7", "7"},
    {"1.50", "1.5"},
    {"{\"b\":1,\"a\":\"q\\\"\\\\\"}", "{\"a\":\"q\\\"\\\\\",\"b\":1}"},
    {"[\"a\",\"b\"]", "{\"0\":\"a\",\"1\":\"b\"}"},
    {"{\"a\":[1,\"z\",null,true]}", "{\"a\":{\"0\":1,\"1\":\"z\",\"2\":null,\"3\":true}}"},
};

static void normalises_as_a_client(void **state) {
  fixture *f = *state;
  const char *why = NULL;
  for (size_t i = 0; i < ROWS(normalised); i++) {
    roost_buffer_clear(&f->out);
    assert_int_equal(roost_pattern_normalise(&f->out, roost_slice_text(normalised[i].json), &why),
                     1);
    assert_text(roost_buffer_slice(&f->out), normalised[i].route);
    assert_null(why);
  }
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_pattern_normalise(&f->out, ROOST_SLICE("true"), &why), 0);
  assert_int_equal(roost_pattern_normalise(&f->out, ROOST_SLICE("null"), &why), 0);
  assert_int_equal(f->out.len, 0);
}

static void normalise_refuses_what_would_collide(void **state) {
  fixture *f = *state;
  const char *why = NULL;
  assert_int_equal(roost_pattern_normalise(&f->out, ROOST_SLICE("[[[[[[[1]]]]]]]"), &why),
                   ROOST_EINVAL);
  assert_string_equal(why, "the pattern is nested deeper than 5 levels below the top");
  roost_slice many = ROOST_SLICE("{\"x\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21]}");
  assert_int_equal(roost_pattern_normalise(&f->out, many, &why), ROOST_EINVAL);
  assert_string_equal(why, "the pattern has an object with more than 20 keys");
  assert_int_equal(f->out.len, 0);
}

/* Twenty different keys, each twice, are twenty keys. */
static void counts_different_keys(void **state) {
  fixture *f = *state;
  const char *why = NULL;
  for (int keys = 20; keys <= 21; keys++) {
    char json[1024] = "{";
    for (int i = 0; i < 2 * keys; i++)
      snprintf(json + strlen(json), 16, "%s\"k%02d\":%d", i > 0 ? "," : "", i % keys, i);
    strcat(json, "}");
    roost_buffer_clear(&f->out);
    int status = roost_pattern_normalise(&f->out, roost_slice_text(json), &why);
    assert_int_equal(status, keys == 20 ? 1 : ROOST_EINVAL);
  }
}

static void tells_what_can_be_reached(void **state) {
  (void)state;
  static const char *const yes[] = {"sum",
                                    "",
                                    "1",
                                    "0.5",
                                    "1e+21",
                                    "-1",
                                    "01",
                                    "a.b",
                                    "{\"a\":2,\"b\":1}",
                                    "{\"a\":\"q\\\"\\\\\"}",
                                    "{",
                                    "{}",
                                    " x",
                                    "9007199254740992",
                                    "[TOO_MANY_KEYS]",
                                    "{\"0\":1}"};
  static const char *const no[] = {"true",
                                   "null",
                                   "false",
                                   " null",
                                   "1.0",
                                   "1e3",
                                   "9007199254740993",
                                   "-0",
                                   " 1",
                                   "\"echo\"",
                                   "[]",
                                   "[1]",
                                   "{ }",
                                   "{\"b\":1,\"a\":2}",
                                   "{\"a\":\"\\u0041\"}",
                                   "{\"a\":\"\\n\"}",
                                   "{\"a\":1,\"a\":1}",
                                   "{\"a\":1.0}",
                                   "{\"a\":[]}",
                                   "[[[[[[[1]]]]]]]"};
  for (size_t i = 0; i < ROWS(yes); i++) {
    if (!roost_pattern_reachable(roost_slice_text(yes[i])))
      print_error("text %zu\n", i);
    assert_true(roost_pattern_reachable(roost_slice_text(yes[i])));
  }
  for (size_t i = 0; i < ROWS(no); i++) {
    if (roost_pattern_reachable(roost_slice_text(no[i])))
      print_error("text %zu\n", i);
    assert_false(roost_pattern_reachable(roost_slice_text(no[i])));
  }
}

typedef struct match_row {
  const char *wildcard;
  const char *route;
  bool matches;
} match_row;

static const match_row matches[] = {
    {"a", "a", true},         {"a", "b", false},
    {"a.b", "a.b", true},     {"a.b", "a", false},
    {"*", "a", true},         {"*", "a.b", false},
    {"*", "", false},         {"a.*", "a.b", true},
    {"a.*", "a", false},      {"a.*", "a.b.c", false},
    {"a.*", "a.", false},     {"*.b", "a.b", true},
    {"a.*.c", "a.b.c", true}, {"a.*.c", "a.b.d", false},
    {">", "a", true},         {">", "a.b.c", true},
    {">", "", false},         {"a.>", "a.b", true},
    {"a.>", "a.b.c", true},   {"a.>", "a", false},
    {"a.>", "b.c", false},    {"a.>", "a.", false},
    {"*.>", "a.b", true},     {"a*", "ab", false},
    {"a*", "a*", true},       {">.a", "b.a", false},
    {">.a", ">.a", true},     {"a.>.b", "a.x.b", false},
    {"a..b", "a..b", true},   {"a.*.b", "a..b", false},
    {"", "", true},
};

static void matches_as_nats_does(void **state) {
  (void)state;
  for (size_t i = 0; i < ROWS(matches); i++) {
    bool result = roost_pattern_matches(roost_slice_text(matches[i].wildcard),
                                        roost_slice_text(matches[i].route));
    if (result != matches[i].matches)
      print_error("%s on %s\n", matches[i].wildcard, matches[i].route);
    assert_int_equal(result, matches[i].matches);
  }
}

static void knows_wildcards(void **state) {
  (void)state;
  static const char *const yes[] = {"*", ">", "a.*", "*.a", "a.*.b", "a.>"};
  static const char *const no[] = {"", "a", "a.b", "a*", "*a", ">.a", "a>", "a.>b", "**"};
  for (size_t i = 0; i < ROWS(yes); i++)
    assert_true(roost_pattern_is_wildcard(roost_slice_text(yes[i])));
  for (size_t i = 0; i < ROWS(no); i++)
    assert_false(roost_pattern_is_wildcard(roost_slice_text(no[i])));
}

/* However late the allocator refuses, nothing half made is left. */
static void survives_a_refusing_allocator(void **state) {
  fixture *f = *state;
  /* the longer ones don't fit the smallest buffer there is */
  static const char *const texts[] = {
      "\"sum\"",
      "{\"cmd\":\"sum\"}",
      "\"{\\\"cmd\\\":\\\"0123456789012345678901234567890123456789012345678\\\"}\"",
      "{\"cmd\":\"\\u00e9 0123456789012345678901234567890123456789012\",\"b\":[1,2]}",
  };
  for (size_t i = 0; i < ROWS(texts); i++) {
    int status = ROOST_ENOMEM;
    for (size_t refuse_after = 0; status != 1; refuse_after++) {
      assert_true(refuse_after < 10);
      roost_buffer_deinit(&f->out);
      f->probe.refuse_after = refuse_after;
      status = roost_pattern_resolve(&f->out, roost_slice_text(texts[i]));
      f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
      assert_int_equal(status, refuse_after > 0 && status == 1 ? 1 : ROOST_ENOMEM);
      assert_int_equal(f->out.len > 0, status == 1);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(resolves_as_a_server, set_up, tear_down),
      cmocka_unit_test_setup_teardown(resolve_refuses_what_is_not_json, set_up, tear_down),
      cmocka_unit_test_setup_teardown(normalises_as_a_client, set_up, tear_down),
      cmocka_unit_test_setup_teardown(normalise_refuses_what_would_collide, set_up, tear_down),
      cmocka_unit_test_setup_teardown(counts_different_keys, set_up, tear_down),
      cmocka_unit_test(tells_what_can_be_reached),
      cmocka_unit_test(matches_as_nats_does),
      cmocka_unit_test(knows_wildcards),
      cmocka_unit_test_setup_teardown(survives_a_refusing_allocator, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
